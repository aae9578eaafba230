variable "partition" {
  description = "AWS partition: aws, aws-us-gov or aws-cn."
  type        = string
  default     = "aws"
  nullable    = false

  validation {
    condition     = contains(["aws", "aws-us-gov", "aws-cn"], var.partition)
    error_message = "partition must be aws, aws-us-gov or aws-cn."
  }
}

variable "region" {
  description = "Region of the signer, whose STS it asks."
  type        = string
  nullable    = false
}

variable "role_arn" {
  description = "ARN of the signer's role (tee.role_arn)."
  type        = string
  nullable    = false
}

variable "identity" {
  description = "Where the parent gets the role's credentials: pod_identity, irsa or instance."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["pod_identity", "irsa", "instance"], var.identity)
    error_message = "identity must be pod_identity, irsa or instance."
  }
}

variable "share_key_arns" {
  description = "ARNs of the KMS keys of the shares."
  type        = list(string)
  nullable    = false
}

variable "threshold" {
  description = "How many shares rebuild the master key (chamber.kms_threshold)."
  type        = number
  nullable    = false
}

variable "wrap" {
  description = "How shares are wrapped (chamber.wrap): data_key or encrypt."
  type        = string
  default     = "data_key"
  nullable    = false

  validation {
    condition     = contains(["data_key", "encrypt"], var.wrap)
    error_message = "wrap must be data_key or encrypt."
  }
}

variable "chamber_id" {
  description = "Identity of the master key (chamber.id), as \"operator init\" prints it; null until then."
  type        = string
  default     = null

  validation {
    condition     = var.chamber_id == null || can(regex("^[0-9a-f]{32}$", var.chamber_id))
    error_message = "chamber_id must be 32 hexadecimal digits in lower case, as \"operator init\" prints them."
  }
}

variable "setup_token_sha256" {
  description = "chamber.setup_token_sha256, as \"operator setup-token\" prints it; null when the chamber is initialised."
  type        = string
  default     = null

  validation {
    condition     = var.setup_token_sha256 == null || can(regex("^[0-9a-fA-F]{64}$", var.setup_token_sha256))
    error_message = "setup_token_sha256 must be 64 hexadecimal digits, the SHA-256 of the setup token: never the token itself."
  }
}

variable "state_table_arn" {
  description = "ARN of the table of the signer state."
  type        = string
  nullable    = false
}

variable "keys_table_arn" {
  description = "ARN of the table of the stored keys."
  type        = string
  nullable    = false
}

variable "credentials_key_arn" {
  description = "ARN of the KMS key that the slashing store's credential is sealed with."
  type        = string
  nullable    = false
}

variable "slashing_table_arn" {
  description = "ARN of the table of the slashing record; null if it is in PostgreSQL."
  type        = string
  default     = null
}

variable "slashing_database" {
  description = "PostgreSQL of the slashing record, with the certificates that vouch for it (for RDS the bundle of the region); null if it is in DynamoDB."
  type        = object({ host = string, port = number, name = string, user = string, ca_pem = string })
  default     = null
}

variable "sealed_credential" {
  description = "The sealed password or access key, base64: ciphertext, of \"aws kms encrypt\". Null until it is made."
  type        = string
  default     = null

  validation {
    condition     = var.sealed_credential == null || can(regex("^[A-Za-z0-9+/]+=*$", var.sealed_credential))
    error_message = "sealed_credential must be base64, as \"aws kms encrypt\" prints CiphertextBlob."
  }
}
