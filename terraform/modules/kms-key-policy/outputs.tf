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

  # The parent signs with the enclave's role: it could write this policy anew.
  precondition {
    condition     = length(setintersection(local.names.enclave, local.names.administrator)) == 0
    error_message = "key_administrator_arns must not have a role of enclave_role_arns: the parent has it too, and could let anybody decrypt."
  }
  precondition {
    condition     = length(distinct([for a in concat(var.enclave_role_arns, var.key_administrator_arns, var.encrypt_role_arns) : split(":", a)[1]])) == 1
    error_message = "enclave_role_arns, key_administrator_arns and encrypt_role_arns must be of one partition, as the key is."
  }

  # The parent signs with the enclave's role: with Encrypt it could plant shares of a key that it knows.
  precondition {
    condition     = length(setintersection(local.names.encrypt, local.names.enclave)) == 0
    error_message = "encrypt_role_arns must not have a role of enclave_role_arns: the parent has it too."
  }
  precondition {
    condition     = length(setintersection(local.names.encrypt, local.names.administrator)) == 0
    error_message = "encrypt_role_arns must not have a role of key_administrator_arns, which manage the key without using it."
  }
}
