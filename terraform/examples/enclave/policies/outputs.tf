output "key_policies" {
  description = "Policies of the keys: primary, secondary_b and secondary_c for the shares, credentials for the slashing store's credential."
  value       = merge({ for name, m in module.share_key : name => m.policy_json }, { credentials = module.credentials_key.policy_json })
}

output "signer_policy" {
  description = "Identity policy of the signer's role."
  value       = module.signer.policy_json
}

output "signer_trust" {
  description = "Trust policy of the signer's role."
  value       = module.trust.policy_json
}

output "slashing_policy" {
  description = "Identity policy of the slashing user."
  value       = module.slashing.policy_json
}

output "arn" {
  description = "ARNs of the role and of the tables."
  value       = local.arn
}

output "configuration" {
  description = "The part of config.yaml."
  value       = module.configuration.yaml
}
