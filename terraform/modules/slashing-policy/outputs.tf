output "policy_json" {
  description = "The identity policy, for aws_iam_user_policy."
  value = jsonencode({
    Version   = "2012-10-17"
    Statement = local.statements
  })
}
