# The policy of a KMS key that opens its ciphertexts for one enclave only. There is no provider and no resource here: the policy is text,
# for the key of whatever configuration, account and administrator.
#
# There is no statement for the account on purpose. It would hand the key to the identity policies of the account, and with them to everybody
# who may write those.

locals {
  # Lower case, as KMS has them, and without regard to case, as AWS writes its examples. All must match; of a list one must.
  measured = merge(
    { "kms:RecipientAttestation:PCR8" = [for v in var.pcr8_list : lower(v)] },
    length(var.pcr0_list) == 0 ? {} : { "kms:RecipientAttestation:ImageSha384" = [for v in var.pcr0_list : lower(v)] },
    var.pcr3 == null ? {} : { "kms:RecipientAttestation:PCR3" = [lower(var.pcr3)] },
  )

  # Who is who, whatever the path and the case: the name of a role is the only one of its account.
  names = { for list, arns in {
    enclave       = var.enclave_role_arns
    administrator = var.key_administrator_arns
    encrypt       = var.encrypt_role_arns
    } : list => [for a in arns : lower(join("/", [split(":", a)[4], split("/", split(":", a)[5])[0], reverse(split("/", a))[0]]))]
  }

  account = "arn:${split(":", var.enclave_role_arns[0])[1]}:iam::${var.account_id}:root"

  administrate = {
    Sid       = "AdministerWithoutUse"
    Effect    = "Allow"
    Principal = { AWS = var.key_administrator_arns }
    Action = [
      "kms:CancelKeyDeletion",
      "kms:CreateAlias",
      "kms:DeleteAlias",
      "kms:DescribeKey",
      "kms:DisableKey",
      "kms:DisableKeyRotation",
      "kms:EnableKey",
      "kms:EnableKeyRotation",
      "kms:GetKeyPolicy",
      "kms:GetKeyRotationStatus",
      "kms:ListGrants",
      "kms:ListKeyPolicies",
      "kms:ListResourceTags",
      "kms:PutKeyPolicy",
      "kms:RevokeGrant",
      "kms:TagResource",
      "kms:UntagResource",
      "kms:UpdateAlias",
      "kms:UpdateKeyDescription",
    ]
    Resource = "*"
  }

  # A key is gone no sooner than KMS can be told to wait, so that somebody notices.
  delete = {
    Sid       = "AdministratorsDeleteLate"
    Effect    = "Allow"
    Principal = { AWS = var.key_administrator_arns }
    Action    = ["kms:ScheduleKeyDeletion"]
    Resource  = "*"
    Condition = { NumericGreaterThanEquals = { "kms:ScheduleKeyDeletionPendingWindowInDays" = ["30"] } }
  }

  # A policy means the role that was: one that is deleted, as Identity Center does with its own, administers no more under the same name either.
  # The account's root user always exists, and can name administrators anew. The condition keeps everybody else of the account out, whom the
  # principal would otherwise leave to identity policies.
  recover = {
    Sid       = "RootUserNamesAdministrators"
    Effect    = "Allow"
    Principal = { AWS = [local.account] }
    Action    = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:PutKeyPolicy"]
    Resource  = "*"
    Condition = { StringEquals = { "aws:PrincipalArn" = [local.account] } }
  }

  decrypt = {
    Sid       = "EnclaveDecryptsAttested"
    Effect    = "Allow"
    Principal = { AWS = var.enclave_role_arns }
    Action    = var.wrap == "data_key" ? ["kms:Decrypt", "kms:GenerateDataKey"] : ["kms:Decrypt"]
    Resource  = "*"
    Condition = { StringEqualsIgnoreCase = local.measured }
  }

  encrypt = {
    Sid       = "EnclaveEncrypts"
    Effect    = "Allow"
    Principal = { AWS = var.enclave_role_arns }
    Action    = ["kms:Encrypt"]
    Resource  = "*"
  }

  # What is sealed must name its purpose, as "config sealed-context" has it. The encryption context of a share of a master key does not: so
  # that nobody else than the enclave makes one.
  seal = {
    Sid       = "SealersEncryptCredentials"
    Effect    = "Allow"
    Principal = { AWS = var.encrypt_role_arns }
    Action    = ["kms:Encrypt"]
    Resource  = "*"
    Condition = { StringLike = { "kms:EncryptionContext:containment-chamber" = ["*"] } }
  }

  # A request without a document, or with another enclave's, is refused whatever else would allow it: a statement that is added later, or a
  # grant, which no condition of an Allow concerns. The negated operator matches where the register is absent.
  refuse = [for key, values in local.measured : {
    Sid       = "NobodyElse${replace(reverse(split(":", key))[0], "Sha384", "")}"
    Effect    = "Deny"
    Principal = { AWS = "*" }
    Action = [
      "kms:Decrypt",
      "kms:DeriveSharedSecret",
      "kms:GenerateDataKey",
      "kms:GenerateDataKeyPair",
      "kms:GenerateDataKeyPairWithoutPlaintext",
      "kms:GenerateDataKeyWithoutPlaintext",
      "kms:ReEncryptFrom",
    ]
    Resource  = "*"
    Condition = { StringNotEqualsIgnoreCase = { (key) = values } }
  }]

  statements = concat(
    [local.administrate, local.delete, local.recover, local.decrypt],
    [for s in [local.encrypt] : s if var.wrap == "encrypt"],
    [for s in [local.seal] : s if length(var.encrypt_role_arns) > 0],
    local.refuse,
  )
}
