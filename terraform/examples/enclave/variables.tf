variable "primary_profile" {
  description = "AWS profile of the account with the signer, the tables and the first key."
  type        = string
  nullable    = false
}

variable "secondary_b_profile" {
  description = "AWS profile of the account with the second key."
  type        = string
  nullable    = false
}

variable "secondary_c_profile" {
  description = "AWS profile of the account with the third key."
  type        = string
  nullable    = false
}

variable "secondary_key_arns" {
  description = "The second and the third key, if the administrators of their accounts made them with examples/share-key; nothing is made there then, and both profiles may be the primary one. Null makes them; keys that were made here are taken out of the state first (terraform state rm)."
  type        = object({ b = string, c = string })
  default     = null

  validation {
    condition     = var.secondary_key_arns == null || alltrue([for a in values(coalesce(var.secondary_key_arns, { b = "", c = "" })) : can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9a-z-]+$", a))])
    error_message = "secondary_key_arns must be two ARNs of keys, without aliases."
  }
}

variable "enclave_signing_cert_hash" {
  description = "PCR8 of the enclave image, as \"containment-chamber eif measure\" prints it, 96 hexadecimal digits: SHA-384 of 48 zero bytes and the SHA-384 of the signing certificate in DER."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-fA-F]{96}$", var.enclave_signing_cert_hash)) && !can(regex("^0+$", var.enclave_signing_cert_hash))
    error_message = "enclave_signing_cert_hash must be 96 hexadecimal digits, without 0x, and not zero, which is an image without a signature: it is PCR8, as \"containment-chamber eif measure\" and \"nitro-cli describe-eif\" print it."
  }
}

variable "enclave_pcr0_hashes" {
  description = "PCR0 of the enclave images that may run, 96 hexadecimal digits each; during an upgrade the old and the new one."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.enclave_pcr0_hashes) > 0
    error_message = "enclave_pcr0_hashes must name an image: with the certificate alone every image that was ever signed is admitted, old ones with known holes too."
  }
  validation {
    condition     = alltrue([for v in var.enclave_pcr0_hashes : can(regex("^[0-9a-fA-F]{96}$", v)) && !can(regex("^0+$", v))])
    error_message = "enclave_pcr0_hashes must have 96 hexadecimal digits each, without 0x, and not zero, which is every enclave in debug mode."
  }
}

variable "sealer_role_arns" {
  description = "Existing roles of people or pipelines that seal the slashing store's credential. Not the signer's, an administrator's of the keys, or one that the host can take."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.sealer_role_arns) > 0
    error_message = "sealer_role_arns must name a role: without one nobody can seal the slashing store's credential, and without that the signer does not start."
  }
}

variable "key_administrator_arns" {
  description = "Roles and users that administer the keys of each account, of that account: all of them, among them who applies this. Those of the secondary accounts only for keys that are made here. Not the signer's role."
  type = object({
    primary     = list(string)
    secondary_b = optional(list(string), [])
    secondary_c = optional(list(string), [])
  })
  nullable = false

  validation {
    condition     = length(var.key_administrator_arns.primary) > 0
    error_message = "key_administrator_arns.primary must name a role or user of the account, among them the one that applies this."
  }
}

variable "identity" {
  description = "How the parent gets the role: pod_identity (EKS Pod Identity) or irsa (IAM role for service accounts); {} makes an instance profile for EC2."
  type = object({
    pod_identity = optional(object({ cluster_arn = string, namespace = string, service_account = string }))
    irsa         = optional(object({ oidc_provider_arn = string, namespace = string, service_account = string }))
  })
  default  = {}
  nullable = false
}

variable "region" {
  description = "AWS region of everything."
  type        = string
  default     = "eu-central-1"
  nullable    = false
}

variable "name" {
  description = "Name of the role, and the beginning of all other names."
  type        = string
  default     = "containment-chamber"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) >= 3 && length(var.name) <= 41
    error_message = "name must be 3 to 41 lower case letters, digits and single dashes, begin with a letter and end with none of the dashes."
  }
}

variable "enclave_previous_signing_cert_hash" {
  description = "PCR8 of the old certificate while it changes; null otherwise."
  type        = string
  default     = null
}

variable "enclave_pcr3" {
  description = "PCR3, if only instances with a certain role may run the enclave: SHA-384 of 48 zero bytes and the ARN of the role of the instance (of the node, not of the pod)."
  type        = string
  default     = null
}

variable "wrap" {
  description = "How shares are wrapped, as chamber.wrap: data_key, or encrypt, which lets the role kms:Encrypt and so needs chamber_id."
  type        = string
  default     = "data_key"
  nullable    = false
}

variable "chamber_id" {
  description = "chamber.id, as \"operator init\" prints it; null until then."
  type        = string
  default     = null
}

variable "setup_token_sha256" {
  description = "chamber.setup_token_sha256, as \"operator setup-token\" prints it; null when the chamber is initialised."
  type        = string
  default     = null
}

variable "sealed_credential" {
  description = "The slashing store's credential as \"aws kms encrypt\" sealed it, base64; null until then."
  type        = string
  default     = null
}

variable "table_kms_key_arn" {
  description = "ARN of your own KMS key that DynamoDB encrypts the tables with; null for AWS's (aws/dynamodb). Its policy must let the role, the slashing user and whoever applies this use it by way of DynamoDB."
  type        = string
  default     = null
}

variable "slashing_database" {
  description = "Keeps the slashing record in RDS for PostgreSQL instead of DynamoDB; ca_bundle_path is the file with the certificates of the region's authorities, which AWS publishes."
  type = object({
    vpc_id                    = string
    subnet_ids                = list(string)
    client_security_group_ids = list(string)
    ca_bundle_path            = string
    instance_class            = optional(string, "db.t4g.medium")
    postgres_major            = optional(string, "17")

    allow_major_version_upgrade = optional(bool, false)
  })
  default = null
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
  nullable    = false
}
