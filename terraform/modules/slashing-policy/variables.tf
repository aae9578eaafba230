variable "table_arn" {
  description = "ARN of the table of the slashing record (anti_slashing.dynamodb.table)."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[A-Za-z0-9_.-]{3,255}$", var.table_arn))
    error_message = "table_arn must be the ARN of a table, without wildcards."
  }
}

variable "table_key_arn" {
  description = "ARN of your own KMS key that DynamoDB encrypts the table with; null for AWS's."
  type        = string
  default     = null

  validation {
    condition     = var.table_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9a-z-]+$", var.table_key_arn))
    error_message = "table_key_arn must be the ARN of a key, without an alias and wildcards."
  }
}
