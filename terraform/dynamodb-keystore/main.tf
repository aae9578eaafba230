module "schema" {
  source = "./schema"
}

locals {
  names = { for purpose, name in var.names : purpose => name if name != null }
}

resource "aws_dynamodb_table" "this" {
  for_each = local.names

  name                        = each.value
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = module.schema.tables[each.key].hash_key
  deletion_protection_enabled = true
  tags                        = merge(var.tags, { Name = each.value })

  dynamic "attribute" {
    for_each = module.schema.tables[each.key].attributes
    content {
      name = attribute.key
      type = attribute.value
    }
  }

  dynamic "global_secondary_index" {
    for_each = module.schema.tables[each.key].indices
    content {
      name            = global_secondary_index.key
      hash_key        = global_secondary_index.value
      projection_type = "ALL"
    }
  }

  point_in_time_recovery {
    enabled = true
  }

  # With a key of KMS, rather than the one of the service that shows nowhere: AWS's (aws/dynamodb) unless another is named.
  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }

  lifecycle {
    prevent_destroy = true
  }
}
