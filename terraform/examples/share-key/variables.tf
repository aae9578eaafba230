variable "profile" {
  description = "AWS profile of the account of the key."
  type        = string
  nullable    = false
}

variable "region" {
  description = "AWS region of the key."
  type        = string
  nullable    = false
}

variable "description" {
  description = "What people see of the key."
  type        = string
  default     = "containment-chamber share"
  nullable    = false
}

variable "enclave_role_arn" {
  description = "ARN of the signer's role, which must be there."
  type        = string
  nullable    = false
}

variable "key_administrator_arns" {
  description = "Roles and users of the account that administer the key: all of them, among them who applies this."
  type        = list(string)
  nullable    = false
}

variable "enclave_signing_cert_hashes" {
  description = "PCR8 of the certificate that signed the image, as \"containment-chamber eif measure\" prints it; while the certificate changes, of the old one too."
  type        = list(string)
  nullable    = false
}

variable "enclave_pcr0_hashes" {
  description = "PCR0 of the images that may run; during an upgrade the old and the new one."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.enclave_pcr0_hashes) > 0
    error_message = "enclave_pcr0_hashes must name an image: with the certificate alone every image that was ever signed is admitted, old ones with known holes too."
  }
}

variable "enclave_pcr3" {
  description = "PCR3, or null."
  type        = string
  default     = null
}

variable "wrap" {
  description = "How shares are wrapped, as chamber.wrap of the signer: data_key, or encrypt, which lets its role kms:Encrypt."
  type        = string
  default     = "data_key"
  nullable    = false

  validation {
    condition     = contains(["data_key", "encrypt"], var.wrap)
    error_message = "wrap must be data_key or encrypt."
  }
}
