variable "share_key_arns" {
  description = "ARNs of the KMS keys that hold the shares of the master key (chamber.kms_key_arns), of any account and region."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.share_key_arns) <= 16
    error_message = "share_key_arns must be at most 16, as chamber.kms_key_arns."
  }
  validation {
    condition     = alltrue([for a in var.share_key_arns : can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9a-z-]+$", a))])
    error_message = "share_key_arns must be ARNs of keys, without aliases and wildcards."
  }
}

variable "wrap" {
  description = "How shares are wrapped, as chamber.wrap: data_key or encrypt."
  type        = string
  default     = "data_key"
  nullable    = false

  validation {
    condition     = contains(["data_key", "encrypt"], var.wrap)
    error_message = "wrap must be data_key or encrypt."
  }
}

variable "credentials_key_arn" {
  description = "ARN of the KMS key that the slashing store's credential is sealed with (anti_slashing.sealed_password_kms_key_arn); null if there is none."
  type        = string
  default     = null

  validation {
    condition     = var.credentials_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9a-z-]+$", var.credentials_key_arn))
    error_message = "credentials_key_arn must be the ARN of a key, without an alias and wildcards."
  }
}

variable "state_table_arn" {
  description = "ARN of the table of the signer state (signer_state.table); null if it is in no table."
  type        = string
  default     = null

  validation {
    condition     = var.state_table_arn == null || can(regex("^arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[A-Za-z0-9_.-]{3,255}$", var.state_table_arn))
    error_message = "state_table_arn must be the ARN of a table, without wildcards."
  }
}

variable "keys_table_arn" {
  description = "ARN of the table of the stored keys (key_sources.dynamodb.table); null if they are in no table."
  type        = string
  default     = null

  validation {
    condition     = var.keys_table_arn == null || can(regex("^arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[A-Za-z0-9_.-]{3,255}$", var.keys_table_arn))
    error_message = "keys_table_arn must be the ARN of a table, without wildcards."
  }
}

variable "trusted_slashing_table_arn" {
  description = "ARN of the table of the slashing record, if the role is to write it, which on platform nitro takes anti_slashing.trust_parent: whoever controls the host can then make keys vote twice. Null, as a sealed access key wants it: see slashing-policy."
  type        = string
  default     = null

  validation {
    condition     = var.trusted_slashing_table_arn == null || can(regex("^arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[A-Za-z0-9_.-]{3,255}$", var.trusted_slashing_table_arn))
    error_message = "trusted_slashing_table_arn must be the ARN of a table, without wildcards."
  }
}

variable "table_key_arns" {
  description = "ARNs of your own KMS keys that DynamoDB encrypts the tables with; none for AWS's."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for a in var.table_key_arns : can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9a-z-]+$", a))])
    error_message = "table_key_arns must be ARNs of keys, without aliases and wildcards."
  }
}

variable "database_user_arns" {
  description = "Users of RDS that log in with IAM (password_source rds_iam): arn:aws:rds-db:REGION:ACCOUNT:dbuser:RESOURCE_ID/USER. Not that of the slashing record, unless the parent is trusted with it."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for a in var.database_user_arns : can(regex("^arn:aws[a-z-]*:rds-db:[a-z0-9-]+:[0-9]{12}:dbuser:[A-Za-z0-9-]+/[A-Za-z0-9_]+$", a))])
    error_message = "database_user_arns must be ARNs of database users, without wildcards."
  }
}
