output "tables" {
  description = "By purpose (keys, slashing, state): the partition key, the attributes of keys and their types, and the indices with their partition keys."
  value       = local.tables
}

output "create_table_json" {
  description = "By purpose, as DynamoDB's CreateTable has it, but for TableName; for aws dynamodb create-table --cli-input-json."
  value       = { for name, t in local.create_table : name => jsonencode(t) }
}
