# The form of the tables, as the signer's code makes and checks them. There is no provider and no resource here, so that it can be tested against
# that code without AWS.

locals {
  tables = {
    keys = {
      hash_key   = "public_key"
      attributes = { public_key = "B", status_shard = "S" }
      indices    = { by_status = "status_shard" } # with all attributes of the items
    }
    slashing = {
      hash_key   = "key"
      attributes = { key = "B" }
      indices    = {}
    }
    state = {
      hash_key   = "name"
      attributes = { name = "S" }
      indices    = {}
    }
  }

  # The same as DynamoDB's CreateTable has it, but for the table's name.
  create_table = { for name, t in local.tables : name => merge(
    {
      AttributeDefinitions      = [for a, type in t.attributes : { AttributeName = a, AttributeType = type }]
      BillingMode               = "PAY_PER_REQUEST"
      DeletionProtectionEnabled = true
      KeySchema                 = [{ AttributeName = t.hash_key, KeyType = "HASH" }]
    },
    { for k, v in {
      GlobalSecondaryIndexes = [for i, key in t.indices : {
        IndexName  = i
        KeySchema  = [{ AttributeName = key, KeyType = "HASH" }]
        Projection = { ProjectionType = "ALL" }
      }]
    } : k => v if length(t.indices) > 0 },
  ) }
}
