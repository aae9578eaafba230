variable "partition" {
  description = "AWS partition."
  type        = string
  default     = "aws"
  nullable    = false

  validation {
    condition     = contains(["aws", "aws-us-gov", "aws-cn"], var.partition)
    error_message = "partition must be aws, aws-us-gov or aws-cn."
  }
}

variable "region" {
  description = "Region of the tables and the signer."
  type        = string
  nullable    = false
}

variable "name" {
  description = "Name of the role, and the beginning of the names of the tables and keys."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) >= 3 && length(var.name) <= 41
    error_message = "name must be 3 to 41 lower case letters, digits and single dashes, begin with a letter and end with none of the dashes."
  }
}

variable "accounts" {
  description = "The three accounts, 12 digits each."
  type        = object({ primary = string, secondary_b = string, secondary_c = string })
  nullable    = false

  validation {
    condition     = length(distinct(values(var.accounts))) == 3
    error_message = "accounts must be three different accounts: of two keys in one account one administrator has both."
  }
}

variable "secondary_keys" {
  description = "Whether the keys of the secondary accounts are made here."
  type        = bool
  default     = true
  nullable    = false
}

variable "key_administrator_arns" {
  description = "Administrators of the key of each account, of that account."
  type        = object({ primary = list(string), secondary_b = list(string), secondary_c = list(string) })
  nullable    = false
}

variable "sealer_role_arns" {
  description = "Roles that may seal the slashing store's credential."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.sealer_role_arns) > 0
    error_message = "sealer_role_arns must name a role: without one nobody can seal the slashing store's credential, and without that the signer does not start."
  }
}

variable "enclave_signing_cert_hash" {
  description = "PCR8."
  type        = string
  nullable    = false
}

variable "enclave_previous_signing_cert_hash" {
  description = "PCR8 of the certificate before, while it changes."
  type        = string
  default     = null
}

variable "enclave_pcr0_hashes" {
  description = "PCR0 of the images that are admitted."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.enclave_pcr0_hashes) > 0
    error_message = "enclave_pcr0_hashes must name an image: with PCR8 alone every image that was ever signed is admitted, old ones with known holes too."
  }
}

variable "enclave_pcr3" {
  description = "PCR3, or null."
  type        = string
  default     = null
}

variable "wrap" {
  description = "How shares are wrapped."
  type        = string
  nullable    = false
}

variable "table_kms_key_arn" {
  description = "ARN of your own KMS key that DynamoDB encrypts the tables with; null for AWS's."
  type        = string
  default     = null
}

variable "identity" {
  description = "How the parent gets the role: a service account by pod_identity or by irsa; with neither the instance's role."
  type = object({
    pod_identity = optional(object({ cluster_arn = string, namespace = string, service_account = string }))
    irsa         = optional(object({ oidc_provider_arn = string, namespace = string, service_account = string }))
  })
  nullable = false
}

variable "share_key_arns" {
  description = "ARNs of the keys of the shares: primary, secondary_b, secondary_c."
  type        = list(string)
  nullable    = false
}

variable "credentials_key_arn" {
  description = "ARN of the key of the slashing store's credential."
  type        = string
  nullable    = false
}

variable "chamber_id" {
  description = "chamber.id, or null."
  type        = string
  default     = null
}

variable "setup_token_sha256" {
  description = "chamber.setup_token_sha256, or null."
  type        = string
  default     = null
}

variable "slashing_database" {
  description = "PostgreSQL of the slashing record, or null for DynamoDB."
  type        = object({ host = string, port = number, name = string, user = string, ca_pem = string })
  default     = null
}

variable "sealed_credential" {
  description = "The slashing store's sealed credential, or null."
  type        = string
  default     = null
}
