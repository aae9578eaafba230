output "policy_json" {
  description = "The trust policy, for the assume_role_policy of an aws_iam_role."
  value       = "{\"Statement\":[${join(",", local.statements)}],\"Version\":\"2012-10-17\"}"

  precondition {
    condition     = length(local.statements) == 1
    error_message = "exactly one of pod_identity, irsa and instance must be set."
  }
}
