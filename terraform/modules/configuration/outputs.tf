output "yaml" {
  description = "The part of config.yaml."
  value = templatefile("${path.module}/config.yaml.tftpl", {
    role_arn            = var.role_arn
    routes              = local.routes
    chamber_id          = var.chamber_id
    share_key_arns      = var.share_key_arns
    threshold           = var.threshold
    wrap                = var.wrap
    setup_token_sha256  = var.setup_token_sha256
    state_table_arn     = var.state_table_arn
    keys_table_arn      = var.keys_table_arn
    credentials_key_arn = var.credentials_key_arn
    slashing_table_arn  = var.slashing_table_arn
    database            = var.slashing_database
    ca_pem              = var.slashing_database == null ? "" : jsonencode(replace(trimspace(var.slashing_database.ca_pem), "/\\s+/", " "))
    sealed_credential   = var.sealed_credential
  })

  precondition {
    condition     = (var.slashing_table_arn == null) != (var.slashing_database == null)
    error_message = "exactly one of slashing_table_arn and slashing_database must be set."
  }
  precondition {
    condition     = var.threshold >= 1 && var.threshold <= length(var.share_key_arns)
    error_message = "threshold must be at least 1, and no more than there are share_key_arns."
  }
  precondition {
    condition     = var.wrap != "encrypt" || var.chamber_id != null
    error_message = "wrap encrypt needs chamber_id, as soon as \"operator init\" has printed it: else whoever has the role can plant a master key that he knows. Begin with data_key."
  }
}
