# What the policies do is tested in Go, with the sets of variables in testdata.
variables {
  region                    = "eu-central-1"
  name                      = "containment-chamber"
  accounts                  = { primary = "111122223333", secondary_b = "444455556666", secondary_c = "777788889999" }
  key_administrator_arns    = { primary = ["arn:aws:iam::111122223333:role/a"], secondary_b = ["arn:aws:iam::444455556666:role/b"], secondary_c = ["arn:aws:iam::777788889999:role/c"] }
  sealer_role_arns          = ["arn:aws:iam::111122223333:role/sealer"]
  enclave_signing_cert_hash = "888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888"
  enclave_pcr0_hashes       = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
  wrap                      = "data_key"
  identity                  = {}
  share_key_arns            = ["arn:aws:kms:eu-central-1:111122223333:key/1a", "arn:aws:kms:eu-central-1:444455556666:key/2b", "arn:aws:kms:eu-central-1:777788889999:key/3c"]
  credentials_key_arn       = "arn:aws:kms:eu-central-1:111122223333:key/4d"
}

run "each_key_has_its_own_administrator" {
  command = plan

  assert {
    condition = { for name, p in output.key_policies : name => [for s in jsondecode(p).Statement : s.Principal.AWS if s.Sid == "AdministerWithoutUse"][0] } == {
      credentials = ["arn:aws:iam::111122223333:role/a"]
      primary     = ["arn:aws:iam::111122223333:role/a"]
      secondary_b = ["arn:aws:iam::444455556666:role/b"]
      secondary_c = ["arn:aws:iam::777788889999:role/c"]
    }
    error_message = "an administrator has another's key"
  }
  assert {
    condition     = [for name, p in output.key_policies : name if strcontains(p, "role/sealer")] == ["credentials"]
    error_message = "who seals credentials can make shares"
  }
}

run "two_keys_in_one_account_are_refused" {
  command = plan
  variables {
    accounts = { primary = "111122223333", secondary_b = "444455556666", secondary_c = "444455556666" }
  }
  expect_failures = [var.accounts]
}

run "any_signed_image_is_refused" {
  command = plan
  variables {
    enclave_pcr0_hashes = []
  }
  expect_failures = [var.enclave_pcr0_hashes]
}

run "a_credential_that_nobody_seals_is_refused" {
  command = plan
  variables {
    sealer_role_arns = []
  }
  expect_failures = [var.sealer_role_arns]
}

run "a_partition_that_is_none_is_refused" {
  command = plan
  variables {
    partition = "aws-iso-z"
  }
  expect_failures = [var.partition]
}

run "a_name_that_ends_in_a_dash_is_refused" {
  command = plan
  variables {
    name = "signer-"
  }
  expect_failures = [var.name]
}

run "a_key_of_ones_own_for_the_tables" {
  command = plan
  variables {
    table_kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/5e"
  }

  assert {
    condition = alltrue([for p in [output.signer_policy, output.slashing_policy] :
      [for s in jsondecode(p).Statement : s.Resource if strcontains(s.Sid, "Encryption")] == [["arn:aws:kms:eu-central-1:111122223333:key/5e"]]
    ])
    error_message = "the role or the user cannot use tables that are encrypted with the key"
  }
}
