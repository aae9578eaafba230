output "policy_json" {
  description = "The key policy, for aws_kms_key_policy or the policy of an aws_kms_key."
  value = jsonencode({
    Version   = "2012-10-17"
    Id        = "containment-chamber"
    Statement = local.statements
  })

  # KMS has its management called from the key's own account only: with administrators elsewhere nobody could change the policy again.
  precondition {
    condition     = alltrue([for a in var.key_administrator_arns : split(":", a)[4] == var.account_id])
    error_message = "key_administrator_arns must be of account_id, whose key it is."
  }
}
