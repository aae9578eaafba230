# By a provider that makes nothing: it needs the schema of hashicorp/aws.
mock_provider "aws" {}

run "protected_and_backed_up" {
  command = plan
  variables {
    names = { keys = "t-keys", state = "t-state", slashing = "t-slashing" }
  }

  assert {
    condition = alltrue([for t in aws_dynamodb_table.this :
      t.deletion_protection_enabled && t.billing_mode == "PAY_PER_REQUEST" && one(t.point_in_time_recovery[*].enabled) && one(t.server_side_encryption[*].enabled)
    ]) && length(aws_dynamodb_table.this) == 3
    error_message = "a table is not protected, backed up or encrypted"
  }
  assert {
    condition = (
      aws_dynamodb_table.this["keys"].hash_key == "public_key" &&
      [for i in aws_dynamodb_table.this["keys"].global_secondary_index : "${i.name} ${i.hash_key} ${i.projection_type}"] == ["by_status status_shard ALL"] &&
      length(aws_dynamodb_table.this["slashing"].global_secondary_index) == 0
    )
    error_message = "the tables have not their form"
  }
}

run "only_what_is_named" {
  command = plan
  variables {
    names = { keys = "t-keys" }
  }

  assert {
    condition     = join(",", keys(aws_dynamodb_table.this)) == "keys"
    error_message = "a table is made that was not named"
  }
}

run "one_table_for_two_is_refused" {
  command = plan
  variables {
    names = { keys = "t-keys", state = "t-keys" }
  }
  expect_failures = [var.names]
}
