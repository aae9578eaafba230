variable "names" {
  description = "Names of the tables; null makes none. keys: the stored validator keys (key_sources.dynamodb.table). state: the signer state (signer_state.table). slashing: the slashing record (anti_slashing.dynamodb.table)."
  type        = object({ keys = optional(string), state = optional(string), slashing = optional(string) })
  nullable    = false

  validation {
    condition     = alltrue([for n in values(var.names) : n == null || can(regex("^[A-Za-z0-9_.-]{3,255}$", n))])
    error_message = "names must have 3 to 255 letters, digits, underscores, dots or dashes each."
  }
  validation {
    condition     = length(compact(values(var.names))) > 0 && length(distinct(compact(values(var.names)))) == length(compact(values(var.names)))
    error_message = "names must be of one table or more, and differ."
  }
}

variable "kms_key_arn" {
  description = "ARN of your own KMS key to encrypt the tables with; null for AWS's (aws/dynamodb). What is stored is ciphertext anyway, but for the slashing record, which is no secret."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9a-z-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, without an alias."
  }
}

variable "tags" {
  description = "Tags of the tables."
  type        = map(string)
  default     = {}
  nullable    = false
}
