variable "account_id" {
  description = "Account that owns the key, 12 digits."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be 12 digits."
  }
}

variable "enclave_role_arns" {
  description = "Roles that the enclave signs its requests with, of any account. One of another account needs an identity policy there as well."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.enclave_role_arns) > 0 && alltrue([for a in var.enclave_role_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/[^*?]+$", a))])
    error_message = "enclave_role_arns must be one or more ARNs of roles, without wildcards."
  }
}

variable "key_administrator_arns" {
  description = "Roles or users of the account that manage the key, all of them: whoever is not named here administers no more. They cannot decrypt with it, but they can replace this policy: that is what several keys under several administrators are for. Roles of Identity Center (aws-reserved/sso.amazonaws.com) are fit; the account's root user can name others if they are gone."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.key_administrator_arns) > 0 && alltrue([for a in var.key_administrator_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[^*?]+$", a))])
    error_message = "key_administrator_arns must be one or more ARNs of roles or users, without wildcards."
  }
}

variable "pcr8_list" {
  description = "PCR8 of the certificate that signed the image, as \"containment-chamber eif measure\" prints it, 96 hexadecimal digits: SHA-384 of 48 zero bytes and the SHA-384 of the certificate in DER. While the certificate changes, the old and the new one."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.pcr8_list) > 0 && alltrue([for v in var.pcr8_list : can(regex("^[0-9a-fA-F]{96}$", v))])
    error_message = "pcr8_list must be one or more values of 96 hexadecimal digits."
  }
  validation {
    condition     = alltrue([for v in var.pcr8_list : !can(regex("^0+$", v))])
    error_message = "pcr8_list must not be zero: that admits every image without a signature, and every enclave in debug mode."
  }
}

variable "pcr0_list" {
  description = "PCR0: the images that are admitted, 96 hexadecimal digits each; during an upgrade the old and the new one. Empty admits every image that the certificate ever signed."
  type        = list(string)
  nullable    = false

  validation {
    condition     = alltrue([for v in var.pcr0_list : can(regex("^[0-9a-fA-F]{96}$", v))])
    error_message = "pcr0_list must have values of 96 hexadecimal digits."
  }
  validation {
    condition     = alltrue([for v in var.pcr0_list : !can(regex("^0+$", v))])
    error_message = "pcr0_list must not have zero: that admits every enclave in debug mode, whose memory its host can read."
  }
}

variable "pcr3" {
  description = "PCR3: SHA-384 of 48 zero bytes and the ARN of the role of the parent instance, 96 hexadecimal digits; null is not checked."
  type        = string
  default     = null

  validation {
    condition     = var.pcr3 == null || can(regex("^[0-9a-fA-F]{96}$", var.pcr3))
    error_message = "pcr3 must be 96 hexadecimal digits."
  }
  validation {
    condition     = var.pcr3 == null || !can(regex("^0+$", var.pcr3))
    error_message = "pcr3 must not be zero: that admits every instance without a role."
  }
}

variable "wrap" {
  description = "What the key is for, as chamber.wrap: data_key for shares that KMS makes a data key for (GenerateDataKey, with the document), encrypt for shares that KMS encrypts (Encrypt, for which KMS takes no document, so that the host can too: what it makes can replace a ciphertext, but reads none). Null for credentials, which the enclave does nothing with but decrypt."
  type        = string
  default     = "data_key"

  validation {
    condition     = var.wrap == null || contains(["data_key", "encrypt"], coalesce(var.wrap, "data_key"))
    error_message = "wrap must be data_key, encrypt or null."
  }
}

variable "encrypt_role_arns" {
  description = "Roles of people or pipelines that may kms:Encrypt a credential with the key, and do nothing else with it. Not a role that the parent, its instance or its pod has."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for a in var.encrypt_role_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/[^*?]+$", a))])
    error_message = "encrypt_role_arns must be ARNs of roles, without wildcards."
  }
}
