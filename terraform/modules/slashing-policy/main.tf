# The policy of the user whose access key writes the slashing record. The key is sealed for the enclave, so that the host has it never: the role that
# the parent relays may not touch this table. There is no provider and no resource here.

locals {
  statements = concat(
    [{
      Sid      = "SlashingRecord"
      Effect   = "Allow"
      Action   = ["dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:Scan", "dynamodb:UpdateItem"]
      Resource = [var.table_arn]
    }],
    [for s in [{
      Sid       = "EncryptionOfTheTable"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
      Resource  = [var.table_key_arn]
      Condition = { StringLike = { "kms:ViaService" = ["dynamodb.*.amazonaws.com"] } }
    }] : s if var.table_key_arn != null],
  )
}
