variables {
  account_id             = "111122223333"
  enclave_role_arns      = ["arn:aws:iam::111122223333:role/signer"]
  key_administrator_arns = ["arn:aws:iam::111122223333:role/key-admin"]
  pcr8_list              = ["888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888"]
  pcr0_list              = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
}

run "decrypts_only_attested" {
  command = plan

  assert {
    condition = alltrue([for s in jsondecode(output.policy_json).Statement :
      can(s.Condition.StringEqualsIgnoreCase["kms:RecipientAttestation:PCR8"]) && can(s.Condition.StringEqualsIgnoreCase["kms:RecipientAttestation:ImageSha384"])
      if s.Effect == "Allow" && anytrue([for a in s.Action : contains(["kms:Decrypt", "kms:GenerateDataKey"], a)])
    ])
    error_message = "an Allow of Decrypt or GenerateDataKey has no condition on PCR8 and PCR0"
  }
  assert {
    condition     = anytrue([for s in jsondecode(output.policy_json).Statement : s.Effect == "Allow" && contains(s.Action, "kms:Decrypt")])
    error_message = "nobody can decrypt"
  }
  assert {
    condition     = alltrue([for s in jsondecode(output.policy_json).Statement : alltrue([for a in s.Action : !strcontains(a, "*")])])
    error_message = "an action has a wildcard, and with it what nobody wrote down"
  }
  assert {
    condition     = alltrue([for s in jsondecode(output.policy_json).Statement : !contains(s.Action, "kms:Encrypt") && !contains(s.Action, "kms:CreateGrant")])
    error_message = "Encrypt or CreateGrant is allowed without having been asked for"
  }
  assert {
    condition     = strcontains(output.policy_json, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa") && !strcontains(output.policy_json, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
    error_message = "a register is not in lower case"
  }
  assert {
    condition     = !strcontains(output.policy_json, "PCR3")
    error_message = "PCR3 is in a policy that was not asked for it"
  }
}

run "the_root_user_names_administrators_and_nobody_else_of_the_account" {
  command = plan

  assert {
    condition = [for s in jsondecode(output.policy_json).Statement : [s.Action, s.Principal.AWS, s.Condition.StringEquals["aws:PrincipalArn"]] if strcontains(jsonencode(s.Principal), ":root")] == [
      [["kms:DescribeKey", "kms:GetKeyPolicy", "kms:PutKeyPolicy"], ["arn:aws:iam::111122223333:root"], ["arn:aws:iam::111122223333:root"]]
    ]
    error_message = "the account has another right than that of its root user"
  }
}

run "deletion_takes_thirty_days" {
  command = plan

  assert {
    condition = [for s in jsondecode(output.policy_json).Statement : s.Condition if s.Effect == "Allow" && contains(s.Action, "kms:ScheduleKeyDeletion")] == [
      { NumericGreaterThanEquals = { "kms:ScheduleKeyDeletionPendingWindowInDays" = ["30"] } }
    ]
    error_message = "a key can be gone sooner"
  }
}

run "credentials_are_decrypted_only" {
  command = plan
  variables {
    wrap = null
  }

  assert {
    condition     = [for s in jsondecode(output.policy_json).Statement : s.Action if s.Effect == "Allow" && s.Principal.AWS == ["arn:aws:iam::111122223333:role/signer"]] == [["kms:Decrypt"]]
    error_message = "the enclave can do something else than decrypt"
  }
}

run "the_enclave_as_administrator_is_refused" {
  command = plan
  variables {
    key_administrator_arns = ["arn:aws:iam::111122223333:role/key-admin", "arn:aws:iam::111122223333:role/validators/Signer"]
  }
  expect_failures = [output.policy_json]
}

run "another_partition_is_refused" {
  command = plan
  variables {
    key_administrator_arns = ["arn:aws-cn:iam::111122223333:role/key-admin"]
  }
  expect_failures = [output.policy_json]
}

run "an_unknown_wrap_is_refused" {
  command = plan
  variables {
    wrap = "none"
  }
  expect_failures = [var.wrap]
}

run "administrators_cannot_use_the_key" {
  command = plan

  assert {
    condition = alltrue([for s in jsondecode(output.policy_json).Statement :
      alltrue([for a in s.Action : !can(regex("^kms:(Decrypt|Encrypt|ReEncrypt.*|Generate.*|DeriveSharedSecret|CreateGrant)$", a))])
      if s.Effect == "Allow" && try(contains(s.Principal.AWS, "arn:aws:iam::111122223333:role/key-admin"), false)
    ])
    error_message = "an administrator can use the key"
  }
}

run "encrypt_when_asked_for" {
  command = plan
  variables {
    wrap = "encrypt"
  }

  assert {
    condition     = length([for s in jsondecode(output.policy_json).Statement : s if s.Effect == "Allow" && s.Action == ["kms:Encrypt"]]) == 1
    error_message = "Encrypt is not allowed, or not alone"
  }
}

run "sealers_encrypt_and_nothing_else" {
  command = plan
  variables {
    encrypt_role_arns = ["arn:aws:iam::111122223333:role/sealer", "arn:aws:iam::444455556666:role/signer"]
  }

  assert {
    condition = [for s in jsondecode(output.policy_json).Statement : { action = s.Action, principal = s.Principal.AWS, condition = s.Condition }
      if s.Effect == "Allow" && try(anytrue([for a in s.Principal.AWS : contains(var.encrypt_role_arns, a)]), false)] == [{
        action    = ["kms:Encrypt"]
        principal = ["arn:aws:iam::111122223333:role/sealer", "arn:aws:iam::444455556666:role/signer"]
        condition = { StringLike = { "kms:EncryptionContext:containment-chamber" = ["*"] } }
    }]
    error_message = "a sealer may do something else than encrypt a credential"
  }
  assert {
    condition = alltrue([for s in jsondecode(output.policy_json).Statement :
      !contains(s.Action, "kms:Encrypt") || s.Sid == "SealersEncryptCredentials"
    ])
    error_message = "somebody else may encrypt because a sealer may"
  }
}

run "a_wildcard_sealer_is_refused" {
  command = plan
  variables {
    encrypt_role_arns = ["arn:aws:iam::111122223333:role/sealer", "arn:aws:iam::111122223333:role/*"]
  }
  expect_failures = [var.encrypt_role_arns]
}

run "everybody_as_sealer_is_refused" {
  command = plan
  variables {
    encrypt_role_arns = ["*"]
  }
  expect_failures = [var.encrypt_role_arns]
}

run "an_account_as_sealer_is_refused" {
  command = plan
  variables {
    encrypt_role_arns = ["arn:aws:iam::111122223333:root"]
  }
  expect_failures = [var.encrypt_role_arns]
}

run "a_user_as_sealer_is_refused" {
  command = plan
  variables {
    encrypt_role_arns = ["arn:aws:iam::111122223333:user/sealer"]
  }
  expect_failures = [var.encrypt_role_arns]
}

run "the_enclave_as_sealer_is_refused" {
  command = plan
  variables {
    encrypt_role_arns = ["arn:aws:iam::111122223333:role/sealer", "arn:aws:iam::111122223333:role/signer"]
  }
  expect_failures = [output.policy_json]
}

run "the_enclave_by_another_path_as_sealer_is_refused" {
  command = plan
  variables {
    encrypt_role_arns = ["arn:aws:iam::111122223333:role/validators/Signer"]
  }
  expect_failures = [output.policy_json]
}

run "an_administrator_as_sealer_is_refused" {
  command = plan
  variables {
    encrypt_role_arns = ["arn:aws:iam::111122223333:role/key-admin"]
  }
  expect_failures = [output.policy_json]
}

run "two_images_and_the_instance" {
  command = plan
  variables {
    pcr0_list = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]
    pcr3      = "333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333"
  }

  assert {
    condition = [for s in jsondecode(output.policy_json).Statement : s.Condition.StringEqualsIgnoreCase
      if s.Effect == "Allow" && contains(s.Action, "kms:Decrypt")] == [{
        "kms:RecipientAttestation:ImageSha384" = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]
        "kms:RecipientAttestation:PCR3"        = ["333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333"]
        "kms:RecipientAttestation:PCR8"        = ["888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888"]
    }]
    error_message = "the registers are not those that were given"
  }
}

run "debug_mode_is_refused" {
  command = plan
  variables {
    pcr0_list = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"]
  }
  expect_failures = [var.pcr0_list]
}

run "no_signature_is_refused" {
  command = plan
  variables {
    pcr8_list = ["000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"]
  }
  expect_failures = [var.pcr8_list]
}

run "no_certificate_is_refused" {
  command = plan
  variables {
    pcr8_list = []
  }
  expect_failures = [var.pcr8_list]
}

run "no_instance_role_is_refused" {
  command = plan
  variables {
    pcr3 = "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
  }
  expect_failures = [var.pcr3]
}

run "a_short_hash_is_refused" {
  command = plan
  variables {
    pcr0_list = ["aaaa"]
  }
  expect_failures = [var.pcr0_list]
}

run "a_prefixed_hash_is_refused" {
  command = plan
  variables {
    pcr8_list = ["0x888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888"]
  }
  expect_failures = [var.pcr8_list]
}

run "what_is_no_hash_is_refused" {
  command = plan
  variables {
    pcr3 = "gggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg"
  }
  expect_failures = [var.pcr3]
}

run "a_wildcard_role_is_refused" {
  command = plan
  variables {
    enclave_role_arns = ["arn:aws:iam::111122223333:role/*"]
  }
  expect_failures = [var.enclave_role_arns]
}

run "no_role_is_refused" {
  command = plan
  variables {
    enclave_role_arns = []
  }
  expect_failures = [var.enclave_role_arns]
}

run "the_root_as_administrator_is_refused" {
  command = plan
  variables {
    key_administrator_arns = ["arn:aws:iam::111122223333:root"]
  }
  expect_failures = [var.key_administrator_arns]
}

run "no_administrator_is_refused" {
  command = plan
  variables {
    key_administrator_arns = []
  }
  expect_failures = [var.key_administrator_arns]
}

run "an_account_that_is_none_is_refused" {
  command = plan
  variables {
    account_id = "1111"
  }
  expect_failures = [var.account_id]
}

run "an_administrator_elsewhere_is_refused" {
  command = plan
  variables {
    key_administrator_arns = ["arn:aws:iam::444455556666:role/key-admin"]
  }
  expect_failures = [output.policy_json]
}
