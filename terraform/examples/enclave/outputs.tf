output "configuration" {
  description = "The part of config.yaml that says where things are: terraform output -raw configuration."
  value       = module.policies.configuration
}

output "role_arn" {
  description = "tee.role_arn."
  value       = aws_iam_role.signer.arn
}

output "kms_key_arns" {
  description = "chamber.kms_key_arns."
  value       = local.share_key_arns
}

output "credentials_key_arn" {
  description = "anti_slashing.sealed_password_kms_key_arn."
  value       = module.key_credentials.arn
}

output "table_arns" {
  description = "ARNs of the tables: keys, state and slashing."
  value       = module.tables.arns
}

output "slashing_user" {
  description = "The user whose access key is made and sealed for the slashing record in DynamoDB."
  value       = aws_iam_user.slashing.name
}

output "instance_profile" {
  description = "The instance profile of the role; null on EKS."
  value       = one(aws_iam_instance_profile.signer[*].name)
}

output "slashing_database" {
  description = "Host of PostgreSQL, and the secret of its administrator; null with DynamoDB."
  value       = one([for d in module.slashing_database : { host = d.host, administrator_secret_arn = d.administrator_secret_arn }])
}
