variables {
  table_arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/containment-slashing"
}

run "one_table_and_what_votes_need" {
  command = plan

  assert {
    condition = jsondecode(output.policy_json).Statement == [{
      Sid      = "SlashingRecord"
      Effect   = "Allow"
      Action   = ["dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:Scan", "dynamodb:UpdateItem"]
      Resource = ["arn:aws:dynamodb:eu-central-1:111122223333:table/containment-slashing"]
    }]
    error_message = "the user may do something else"
  }
}

run "a_wildcard_is_refused" {
  command = plan
  variables {
    table_arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/containment-*"
  }
  expect_failures = [var.table_arn]
}

run "an_alias_is_refused" {
  command = plan
  variables {
    table_key_arn = "alias/aws/dynamodb"
  }
  expect_failures = [var.table_key_arn]
}
