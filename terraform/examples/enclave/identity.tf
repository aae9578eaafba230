# The signer's role, which the parent relays.

resource "aws_iam_role" "signer" {
  name               = var.name
  description        = "Containment Chamber's signer"
  assume_role_policy = module.policies.signer_trust
  tags               = var.tags
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

# The slashing record's own credential. Its access key is not made here: Terraform would keep it in its state in clear. It is made and sealed in one
# go, as aws-setup.md shows.

resource "aws_iam_user" "slashing" {
  count = var.slashing_database == null ? 1 : 0

  name          = "${var.name}-slashing"
  force_destroy = true # with the access keys that Terraform did not make
  tags          = var.tags
}

resource "aws_iam_user_policy" "slashing" {
  count = var.slashing_database == null ? 1 : 0

  name   = "slashing-record"
  user   = aws_iam_user.slashing[0].name
  policy = module.policies.slashing_policy
}
