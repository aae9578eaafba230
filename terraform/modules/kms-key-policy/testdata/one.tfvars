# One image, one role, what most will write.
account_id             = "111122223333"
enclave_role_arns      = ["arn:aws:iam::111122223333:role/validators/signer"]
key_administrator_arns = ["arn:aws:iam::111122223333:role/key-admin"]
pcr8_list              = ["888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888"]
pcr0_list              = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
