# A signer in an enclave: three KMS keys in three accounts, two of which open the master key; tables, role and slashing credential in the first.

locals {
  share_key_arns = var.secondary_key_arns == null ? [
    module.key_primary.arn, module.key_secondary_b[0].arn, module.key_secondary_c[0].arn,
  ] : [module.key_primary.arn, var.secondary_key_arns.b, var.secondary_key_arns.c]
}

module "policies" {
  source = "./policies"

  partition = data.aws_partition.current.partition
  region    = var.region
  name      = var.name
  accounts = {
    primary     = data.aws_caller_identity.primary.account_id
    secondary_b = var.secondary_key_arns == null ? data.aws_caller_identity.secondary_b[0].account_id : split(":", var.secondary_key_arns.b)[4]
    secondary_c = var.secondary_key_arns == null ? data.aws_caller_identity.secondary_c[0].account_id : split(":", var.secondary_key_arns.c)[4]
  }
  key_administrator_arns             = var.key_administrator_arns
  secondary_keys                     = var.secondary_key_arns == null
  sealer_role_arns                   = var.sealer_role_arns
  enclave_signing_cert_hash          = var.enclave_signing_cert_hash
  enclave_previous_signing_cert_hash = var.enclave_previous_signing_cert_hash
  enclave_pcr0_hashes                = var.enclave_pcr0_hashes
  enclave_pcr3                       = var.enclave_pcr3
  wrap                               = var.wrap
  table_kms_key_arn                  = var.table_kms_key_arn
  identity                           = var.identity
  share_key_arns                     = local.share_key_arns
  credentials_key_arn                = module.key_credentials.arn
  chamber_id                         = var.chamber_id
  setup_token_sha256                 = var.setup_token_sha256
  sealed_credential                  = var.sealed_credential
  slashing_database = var.slashing_database == null ? null : {
    host   = module.slashing_database[0].host
    port   = module.slashing_database[0].port
    name   = "slashing"
    user   = "signer"
    ca_pem = file(var.slashing_database.ca_bundle_path)
  }
}

module "key_primary" {
  source      = "../../modules/attested-key"
  description = "${var.name} share 1"
  policy_json = module.policies.key_policies.primary
  tags        = var.tags
  depends_on  = [aws_iam_role.signer]
}

module "key_secondary_b" {
  source      = "../../modules/attested-key"
  count       = var.secondary_key_arns == null ? 1 : 0
  providers   = { aws = aws.secondary_b }
  description = "${var.name} share 2"
  policy_json = module.policies.key_policies.secondary_b
  tags        = var.tags
  depends_on  = [aws_iam_role.signer]
}

module "key_secondary_c" {
  source      = "../../modules/attested-key"
  count       = var.secondary_key_arns == null ? 1 : 0
  providers   = { aws = aws.secondary_c }
  description = "${var.name} share 3"
  policy_json = module.policies.key_policies.secondary_c
  tags        = var.tags
  depends_on  = [aws_iam_role.signer]
}

module "key_credentials" {
  source      = "../../modules/attested-key"
  description = "${var.name} slashing credential"
  policy_json = module.policies.key_policies.credentials
  tags        = var.tags
  depends_on  = [aws_iam_role.signer]
}

# That of the slashing record is made even if PostgreSQL keeps it: what was written is not taken away by a change of place.
module "tables" {
  source      = "../../dynamodb-keystore"
  names       = { keys = "${var.name}-keys", state = "${var.name}-state", slashing = "${var.name}-slashing" }
  kms_key_arn = var.table_kms_key_arn
  tags        = var.tags
}

module "slashing_database" {
  source = "../../modules/slashing-database"
  count  = var.slashing_database == null ? 0 : 1

  name                      = "${var.name}-slashing"
  vpc_id                    = var.slashing_database.vpc_id
  subnet_ids                = var.slashing_database.subnet_ids
  client_security_group_ids = var.slashing_database.client_security_group_ids
  instance_class            = var.slashing_database.instance_class
  postgres_major            = var.slashing_database.postgres_major
  tags                      = var.tags

  allow_major_version_upgrade = var.slashing_database.allow_major_version_upgrade
}
