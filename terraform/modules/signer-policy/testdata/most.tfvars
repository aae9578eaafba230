# All that the role can be given: the parent is trusted with the slashing record, the tables have a key of one's own, the state is in PostgreSQL too.
share_key_arns = [
  "arn:aws:kms:eu-central-1:111122223333:key/1a1a1a1a-0000-4000-8000-00000000000a",
  "arn:aws:kms:us-east-1:444455556666:key/2b2b2b2b-0000-4000-8000-00000000000b",
]
wrap                       = "encrypt"
credentials_key_arn        = "arn:aws:kms:eu-central-1:111122223333:key/4d4d4d4d-0000-4000-8000-00000000000d"
state_table_arn            = "arn:aws:dynamodb:eu-central-1:111122223333:table/containment-state"
keys_table_arn             = "arn:aws:dynamodb:eu-central-1:111122223333:table/containment-keys"
trusted_slashing_table_arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/containment-slashing"
table_key_arns             = ["arn:aws:kms:eu-central-1:111122223333:key/5e5e5e5e-0000-4000-8000-00000000000e"]
database_user_arns         = ["arn:aws:rds-db:eu-central-1:111122223333:dbuser:db-ABCDEFGHIJKL01234/state"]
