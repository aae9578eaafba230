# The part of config.yaml that says where things are in AWS. There is no provider and no resource here. It holds no secret.

locals {
  endpoint_suffix = var.partition == "aws-cn" ? "amazonaws.com.cn" : "amazonaws.com"

  regions = {
    sts      = [var.region]
    kms      = distinct([for a in compact(concat(var.share_key_arns, [var.credentials_key_arn])) : split(":", a)[3]])
    dynamodb = distinct([for a in compact([var.state_table_arn, var.keys_table_arn, var.slashing_table_arn]) : split(":", a)[3]])
  }

  identity_hosts = {
    pod_identity = [{ name = "pod-identity", host = "169.254.170.23", port = 80, plain = true }]
    instance     = [{ name = "metadata", host = "169.254.169.254", port = 80, plain = true }]
    irsa         = [] # the token is in a file of the parent, and STS answers to it
  }

  routes = concat(
    flatten([for service, regions in local.regions : [for r in regions : {
      name = "${service}-${r}", host = "${service}.${r}.${local.endpoint_suffix}", port = 443, plain = false
    }]]),
    local.identity_hosts[var.identity],
    [for d in var.slashing_database[*] : { name = "slashing", host = d.host, port = d.port, plain = true }],
  )
}
