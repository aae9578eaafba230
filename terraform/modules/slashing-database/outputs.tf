output "host" {
  description = "Name of the server, as its certificate has it."
  value       = aws_db_instance.this.address
}

output "port" {
  description = "TCP port of the server."
  value       = aws_db_instance.this.port
}

output "administrator_secret_arn" {
  description = "The secret with the administrator's password, in Secrets Manager."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}

output "resource_id" {
  description = "Resource ID, which the ARNs of IAM database users have."
  value       = aws_db_instance.this.resource_id
}
