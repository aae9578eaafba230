# A key for a database's password: one role seals it, the enclave opens it.
account_id             = "111122223333"
enclave_role_arns      = ["arn:aws:iam::111122223333:role/validators/signer"]
key_administrator_arns = ["arn:aws:iam::111122223333:role/key-admin"]
encrypt_role_arns      = ["arn:aws:iam::111122223333:role/operations/sealer"]
pcr8_list              = ["888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888"]
pcr0_list              = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
wrap                   = null
