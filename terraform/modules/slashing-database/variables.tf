variable "name" {
  description = "Name of the instance, and the beginning of the names of what belongs to it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 63
    error_message = "name must be at most 63 lower case letters, digits and single dashes, begin with a letter and end with none of the dashes."
  }
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

variable "allow_major_version_upgrade" {
  description = "Lets a change of postgres_major upgrade the database. It stops for that, and nothing signs meanwhile."
  type        = bool
  default     = false
  nullable    = false
}

variable "iam_authentication" {
  description = "Lets users with the role rds_iam log in with tokens of IAM. The host can make those, so that the user of the slashing record must not have that role."
  type        = bool
  default     = false
  nullable    = false
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
