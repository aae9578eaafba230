output "arns" {
  description = "ARNs of the tables that were made, by purpose."
  value       = { for purpose, t in aws_dynamodb_table.this : purpose => t.arn }
}
