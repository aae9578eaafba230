# One KMS key that holds one share of the master key, applied by the administrators of its account alone. Nobody who applies the other keys has a
# hand in it.

provider "aws" {
  profile = var.profile
  region  = var.region
}

data "aws_caller_identity" "current" {}

data "aws_iam_session_context" "current" {
  arn = data.aws_caller_identity.current.arn

  lifecycle {
    postcondition {
      condition     = contains(var.key_administrator_arns, self.issuer_arn)
      error_message = "key_administrator_arns must have who applies this, ${self.issuer_arn}. To hand over, let a new administrator take the old one out."
    }
  }
}

module "policy" {
  source = "../../modules/kms-key-policy"

  account_id             = data.aws_caller_identity.current.account_id
  enclave_role_arns      = [var.enclave_role_arn]
  key_administrator_arns = var.key_administrator_arns
  pcr8_list              = var.enclave_signing_cert_hashes
  pcr0_list              = var.enclave_pcr0_hashes
  pcr3                   = var.enclave_pcr3
  wrap                   = var.wrap
}

module "key" {
  source      = "../../modules/attested-key"
  description = var.description
  policy_json = module.policy.policy_json
}

output "arn" {
  description = "ARN of the key, for chamber.kms_key_arns and the policy of the signer's role."
  value       = module.key.arn
}
