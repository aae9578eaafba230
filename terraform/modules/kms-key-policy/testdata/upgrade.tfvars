# An upgrade under way: the old and the new image. The role is of another account than the key, the instance's role is asked for, and the
# enclave may encrypt.
account_id             = "444455556666"
enclave_role_arns      = ["arn:aws:iam::111122223333:role/validators/signer"]
key_administrator_arns = ["arn:aws:iam::444455556666:role/key-admin", "arn:aws:iam::444455556666:user/second"]
pcr8_list              = ["888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888"]
pcr0_list              = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"]
pcr3                   = "333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333"
wrap                   = "encrypt"
