output "arn" {
  description = "ARN of the key, as chamber.kms_key_arns has it."
  value       = aws_kms_key.this.arn
}
