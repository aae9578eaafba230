# A KMS key with the policy that it is given, from kms-key-policy. The policy names its principals, which must be there before it.

resource "aws_kms_key" "this" {
  description             = var.description
  policy                  = var.policy_json
  enable_key_rotation     = true # of the material alone: ciphertexts of before open as ever
  deletion_window_in_days = 30   # a key that is gone takes what it sealed with it
  tags                    = merge(var.tags, { Name = var.description })

  lifecycle {
    prevent_destroy = true
  }
}
