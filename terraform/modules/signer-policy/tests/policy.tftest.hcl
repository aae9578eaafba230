variables {
  share_key_arns  = ["arn:aws:kms:eu-central-1:111122223333:key/1a1a1a1a-0000-4000-8000-00000000000a"]
  state_table_arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/containment-state"
  keys_table_arn  = "arn:aws:dynamodb:eu-central-1:111122223333:table/containment-keys"
}

run "nothing_beyond_what_is_named" {
  command = plan

  assert {
    condition = alltrue([for s in jsondecode(output.policy_json).Statement :
      s.Effect == "Allow" && alltrue([for r in s.Resource : startswith(r, "arn:") && !strcontains(r, "*")]) && alltrue([for a in s.Action : !strcontains(a, "*")])
    ])
    error_message = "a statement has a wildcard"
  }
  assert {
    condition     = !strcontains(output.policy_json, "slashing") && !strcontains(output.policy_json, "kms:Encrypt") && !strcontains(output.policy_json, "rds-db")
    error_message = "a right is given that was not asked for"
  }
  assert {
    condition     = anytrue([for s in jsondecode(output.policy_json).Statement : s.Action == ["dynamodb:Query"] && s.Resource == ["${var.keys_table_arn}/index/by_status"]])
    error_message = "stored keys cannot be loaded by their status"
  }
}

run "encrypt_instead_of_data_keys" {
  command = plan
  variables {
    wrap = "encrypt"
  }

  assert {
    condition     = [for s in jsondecode(output.policy_json).Statement : s.Action if s.Sid == "SharesOfTheMasterKey"] == [["kms:Decrypt", "kms:Encrypt"]]
    error_message = "the role cannot wrap shares, or can do more"
  }
}

run "keys_of_tables_only_by_way_of_dynamodb" {
  command = plan
  variables {
    table_key_arns = ["arn:aws:kms:eu-central-1:111122223333:key/5e5e5e5e-0000-4000-8000-00000000000e"]
  }

  assert {
    condition = [for s in jsondecode(output.policy_json).Statement : s.Condition if s.Sid == "EncryptionOfTables"] == [
      { StringLike = { "kms:ViaService" = ["dynamodb.*.amazonaws.com"] } }
    ]
    error_message = "the role can use the key of a table by itself"
  }
}

run "a_wildcard_key_is_refused" {
  command = plan
  variables {
    share_key_arns = ["arn:aws:kms:eu-central-1:111122223333:key/*"]
  }
  expect_failures = [var.share_key_arns]
}

run "an_alias_is_refused" {
  command = plan
  variables {
    credentials_key_arn = "arn:aws:kms:eu-central-1:111122223333:alias/containment"
  }
  expect_failures = [var.credentials_key_arn]
}

run "a_wildcard_table_is_refused" {
  command = plan
  variables {
    state_table_arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/*"
  }
  expect_failures = [var.state_table_arn]
}

run "a_wildcard_user_is_refused" {
  command = plan
  variables {
    database_user_arns = ["arn:aws:rds-db:eu-central-1:111122223333:dbuser:*/*"]
  }
  expect_failures = [var.database_user_arns]
}

run "one_table_for_two_is_refused" {
  command = plan
  variables {
    keys_table_arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/containment-state"
  }
  expect_failures = [output.policy_json]
}

run "credentials_under_a_share_key_are_refused" {
  command = plan
  variables {
    credentials_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/1a1a1a1a-0000-4000-8000-00000000000a"
  }
  expect_failures = [output.policy_json]
}

run "nothing_is_refused" {
  command = plan
  variables {
    share_key_arns  = []
    state_table_arn = null
    keys_table_arn  = null
  }
  expect_failures = [output.policy_json]
}
