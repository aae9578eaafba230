# The trust policy of the signer's role: who gets its credentials. There is no provider and no resource here.

locals {
  pod_identity = [for i in var.pod_identity[*] : {
    Sid       = "PodOfTheSigner"
    Effect    = "Allow"
    Principal = { Service = "pods.eks.amazonaws.com" }
    Action    = ["sts:AssumeRole", "sts:TagSession"]

    # The session's tags, which EKS sets. Without them any association of the account could name the role.
    Condition = { StringEquals = {
      "aws:RequestTag/eks-cluster-arn"            = i.cluster_arn
      "aws:RequestTag/kubernetes-namespace"       = i.namespace
      "aws:RequestTag/kubernetes-service-account" = i.service_account
    } }
  }]

  irsa = [for i in var.irsa[*] : {
    Sid       = "ServiceAccountOfTheSigner"
    Effect    = "Allow"
    Principal = { Federated = i.oidc_provider_arn }
    Action    = ["sts:AssumeRoleWithWebIdentity"]
    Condition = { StringEquals = {
      "${split("oidc-provider/", i.oidc_provider_arn)[1]}:aud" = "sts.amazonaws.com"
      "${split("oidc-provider/", i.oidc_provider_arn)[1]}:sub" = "system:serviceaccount:${i.namespace}:${i.service_account}"
    } }
  }]

  instance = [for s in [{
    Sid       = "InstanceOfTheSigner"
    Effect    = "Allow"
    Principal = { Service = "ec2.amazonaws.com" }
    Action    = ["sts:AssumeRole"]
  }] : s if var.instance]

  # Of objects with other attributes no list can be made: each goes by its text.
  statements = concat([for s in local.pod_identity : jsonencode(s)], [for s in local.irsa : jsonencode(s)], [for s in local.instance : jsonencode(s)])
}
