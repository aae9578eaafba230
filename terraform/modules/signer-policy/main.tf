# The identity policy of the signer's role: what its code asks of AWS, and no more. There is no provider and no resource here. The parent has the
# same credentials: what this policy allows, whoever controls the host may do as well, and attestation stands in the policies of the KMS keys.

locals {
  statements = concat(
    # With wrap data_key KMS makes a key for each share; with encrypt it seals the share itself. Keys of other accounts need this statement besides
    # their own policy, those of the role's account have enough with theirs.
    [for s in [{
      Sid      = "SharesOfTheMasterKey"
      Effect   = "Allow"
      Action   = var.wrap == "encrypt" ? ["kms:Decrypt", "kms:Encrypt"] : ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = var.share_key_arns
    }] : s if length(var.share_key_arns) > 0],

    [for arn in compact([var.credentials_key_arn]) : {
      Sid      = "SealedCredential"
      Effect   = "Allow"
      Action   = ["kms:Decrypt"]
      Resource = [arn]
    }],

    [for arn in compact([var.state_table_arn]) : {
      Sid      = "SignerState"
      Effect   = "Allow"
      Action   = ["dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Scan"]
      Resource = [arn]
    }],

    [for arn in compact([var.keys_table_arn]) : {
      Sid      = "StoredKeys"
      Effect   = "Allow"
      Action   = ["dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem"]
      Resource = [arn]
    }],

    [for arn in compact([var.keys_table_arn]) : {
      Sid      = "StoredKeysByStatus"
      Effect   = "Allow"
      Action   = ["dynamodb:Query"]
      Resource = ["${arn}/index/by_status"]
    }],

    # Only for anti_slashing.trust_parent: whoever has the role can then lower the record.
    [for arn in compact([var.trusted_slashing_table_arn]) : {
      Sid      = "SlashingRecord"
      Effect   = "Allow"
      Action   = ["dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:Scan", "dynamodb:UpdateItem"]
      Resource = [arn]
    }],

    # DynamoDB uses the key of a table in the name of its caller; AWS's own key (aws/dynamodb) asks for nothing.
    [for s in [{
      Sid       = "EncryptionOfTables"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
      Resource  = var.table_key_arns
      Condition = { StringLike = { "kms:ViaService" = ["dynamodb.*.amazonaws.com"] } }
    }] : s if length(var.table_key_arns) > 0],

    [for s in [{
      Sid      = "DatabaseUsers"
      Effect   = "Allow"
      Action   = ["rds-db:connect"]
      Resource = var.database_user_arns
    }] : s if length(var.database_user_arns) > 0],
  )
}
