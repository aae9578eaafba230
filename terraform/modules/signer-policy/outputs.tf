output "policy_json" {
  description = "The identity policy, for aws_iam_role_policy."
  value = jsonencode({
    Version   = "2012-10-17"
    Statement = local.statements
  })

  precondition {
    condition     = length(local.statements) > 0
    error_message = "a policy that allows nothing is none: name a key, a table or a database user."
  }
  precondition {
    condition     = length(distinct(compact([var.state_table_arn, var.keys_table_arn, var.trusted_slashing_table_arn]))) == length(compact([var.state_table_arn, var.keys_table_arn, var.trusted_slashing_table_arn]))
    error_message = "state, stored keys and slashing record must be in tables of their own."
  }
  precondition {
    condition     = var.credentials_key_arn == null || !contains(var.share_key_arns, coalesce(var.credentials_key_arn, "none"))
    error_message = "credentials_key_arn must not be one of share_key_arns: who seals credentials must not be able to make shares."
  }
}
