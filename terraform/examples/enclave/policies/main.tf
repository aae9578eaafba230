# Everything of the example that is text: the policies of keys, role and user, and the configuration. There is no provider and no resource here, so
# that what the example gives whom can be tested without AWS.

locals {
  arn = {
    role     = "arn:${var.partition}:iam::${var.accounts.primary}:role/${var.name}"
    keys     = "arn:${var.partition}:dynamodb:${var.region}:${var.accounts.primary}:table/${var.name}-keys"
    state    = "arn:${var.partition}:dynamodb:${var.region}:${var.accounts.primary}:table/${var.name}-state"
    slashing = "arn:${var.partition}:dynamodb:${var.region}:${var.accounts.primary}:table/${var.name}-slashing"
  }
  pcr8_list = compact([var.enclave_signing_cert_hash, var.enclave_previous_signing_cert_hash])
}

# The keys of the shares: nobody seals with them.
module "share_key" {
  source   = "../../../modules/kms-key-policy"
  for_each = { for name, id in var.accounts : name => id if name == "primary" || var.secondary_keys }

  account_id             = each.value
  enclave_role_arns      = [local.arn.role]
  key_administrator_arns = var.key_administrator_arns[each.key]
  pcr8_list              = local.pcr8_list
  pcr0_list              = var.enclave_pcr0_hashes
  pcr3                   = var.enclave_pcr3
  wrap                   = var.wrap
}

# The key of the slashing store's credential, which people seal.
module "credentials_key" {
  source = "../../../modules/kms-key-policy"

  account_id             = var.accounts.primary
  enclave_role_arns      = [local.arn.role]
  key_administrator_arns = var.key_administrator_arns.primary
  encrypt_role_arns      = var.sealer_role_arns
  pcr8_list              = local.pcr8_list
  pcr0_list              = var.enclave_pcr0_hashes
  pcr3                   = var.enclave_pcr3
  wrap                   = null
}

module "signer" {
  source = "../../../modules/signer-policy"

  share_key_arns      = var.share_key_arns
  credentials_key_arn = var.credentials_key_arn
  wrap                = var.wrap
  state_table_arn     = local.arn.state
  keys_table_arn      = local.arn.keys
  table_key_arns      = compact([var.table_kms_key_arn])
}

module "slashing" {
  source        = "../../../modules/slashing-policy"
  table_arn     = local.arn.slashing
  table_key_arn = var.table_kms_key_arn
}

module "trust" {
  source = "../../../modules/signer-trust"

  pod_identity = var.identity.pod_identity
  irsa         = var.identity.irsa
  instance     = var.identity.pod_identity == null && var.identity.irsa == null
}

module "configuration" {
  source = "../../../modules/configuration"

  partition           = var.partition
  region              = var.region
  role_arn            = local.arn.role
  identity            = var.identity.pod_identity != null ? "pod_identity" : var.identity.irsa != null ? "irsa" : "instance"
  share_key_arns      = var.share_key_arns
  threshold           = 2
  wrap                = var.wrap
  chamber_id          = var.chamber_id
  setup_token_sha256  = var.setup_token_sha256
  state_table_arn     = local.arn.state
  keys_table_arn      = local.arn.keys
  credentials_key_arn = var.credentials_key_arn
  slashing_table_arn  = var.slashing_database == null ? local.arn.slashing : null
  slashing_database   = var.slashing_database
  sealed_credential   = var.sealed_credential
}
