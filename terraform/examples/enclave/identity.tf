# The signer's role, which the parent relays.

resource "aws_iam_role" "signer" {
  name               = var.name
  description        = "Containment Chamber's signer"
  assume_role_policy = module.policies.signer_trust
  tags               = var.tags

  lifecycle {
    precondition {
      condition = alltrue([for p in var.identity.pod_identity[*] :
        split(":", p.cluster_arn)[3] == var.region && split(":", p.cluster_arn)[4] == data.aws_caller_identity.primary.account_id
      ])
      error_message = "identity.pod_identity.cluster_arn must be of the primary account and of region: there the association of the pod is made."
    }
    precondition {
      condition     = alltrue([for i in var.identity.irsa[*] : split(":", i.oidc_provider_arn)[4] == data.aws_caller_identity.primary.account_id])
      error_message = "identity.irsa.oidc_provider_arn must be of the primary account, whose role it is."
    }
  }
}

resource "aws_iam_role_policy" "signer" {
  name   = "signer"
  role   = aws_iam_role.signer.id
  policy = module.policies.signer_policy
}

resource "aws_eks_pod_identity_association" "signer" {
  count = var.identity.pod_identity == null ? 0 : 1

  cluster_name    = split("/", var.identity.pod_identity.cluster_arn)[1]
  namespace       = var.identity.pod_identity.namespace
  service_account = var.identity.pod_identity.service_account
  role_arn        = aws_iam_role.signer.arn
  tags            = var.tags
}

resource "aws_iam_instance_profile" "signer" {
  count = var.identity.pod_identity == null && var.identity.irsa == null ? 1 : 0

  name = var.name
  role = aws_iam_role.signer.name
  tags = var.tags
}

# The slashing record's own credential. Its access key is not made here: Terraform would keep it in its state in clear. It is made and sealed by hand,
# as aws-setup.md shows. With PostgreSQL the user has no key, and waits.

resource "aws_iam_user" "slashing" {
  name          = "${var.name}-slashing"
  force_destroy = true # with the access keys that Terraform did not make
  tags          = var.tags
}

resource "aws_iam_user_policy" "slashing" {
  name   = "slashing-record"
  user   = aws_iam_user.slashing.name
  policy = module.policies.slashing_policy
}
