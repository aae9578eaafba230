variable "name" {
  description = "Name of the instance and of what belongs to it."
  type        = string
  nullable    = false
}

variable "vpc_id" {
  description = "VPC of the database."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Subnets of it, in two availability zones at least."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids must be two or more: the standby is in another availability zone."
  }
}

variable "client_security_group_ids" {
  description = "Security groups that may connect: those of the nodes or pods whose parents dial for the enclave, and that of who administers the database."
  type        = list(string)
  nullable    = false
}

variable "instance_class" {
  description = "Class of the instance."
  type        = string
  default     = "db.t4g.medium"
  nullable    = false
}

variable "postgres_major" {
  description = "Major version of PostgreSQL, 14 or later."
  type        = string
  default     = "17"
  nullable    = false

  validation {
    condition     = can(regex("^(1[4-9]|[2-9][0-9])$", var.postgres_major))
    error_message = "postgres_major must be 14 or later, such as 17."
  }
}

variable "ca_cert_identifier" {
  description = "Authority of the server's certificate, whose bundle goes into anti_slashing.ca_pem."
  type        = string
  default     = "rds-ca-rsa2048-g1"
  nullable    = false
}

variable "kms_key_arn" {
  description = "ARN of your own KMS key to encrypt the storage with; null for AWS's (aws/rds)."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
  nullable    = false
}
