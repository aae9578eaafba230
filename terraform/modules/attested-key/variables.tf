variable "description" {
  description = "What people see of the key."
  type        = string
  nullable    = false
}

variable "policy_json" {
  description = "The key policy, from kms-key-policy."
  type        = string
  nullable    = false
}

variable "tags" {
  description = "Tags of the key."
  type        = map(string)
  default     = {}
  nullable    = false
}
