# An upgrade of the image and of its certificate under way, with the role of the instance measured, service accounts, and shares that KMS encrypts.
# The keys of the other accounts are their administrators' own.
region = "eu-central-1"
name   = "containment-chamber"
accounts = {
  primary     = "111122223333"
  secondary_b = "444455556666"
  secondary_c = "777788889999"
}
secondary_keys = false
key_administrator_arns = {
  primary     = ["arn:aws:iam::111122223333:role/key-admin", "arn:aws:iam::111122223333:user/second"]
  secondary_b = []
  secondary_c = []
}
sealer_role_arns                   = ["arn:aws:iam::111122223333:role/operations/sealer"]
enclave_signing_cert_hash          = "999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999"
enclave_previous_signing_cert_hash = "888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888"
enclave_pcr0_hashes                = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"]
enclave_pcr3                       = "333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333"
wrap                               = "encrypt"
identity = {
  irsa = {
    oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF"
    namespace         = "validators"
    service_account   = "containment-chamber"
  }
}
share_key_arns = [
  "arn:aws:kms:eu-central-1:111122223333:key/1a1a1a1a-0000-4000-8000-00000000000a",
  "arn:aws:kms:us-east-1:444455556666:key/2b2b2b2b-0000-4000-8000-00000000000b",
  "arn:aws:kms:eu-west-1:777788889999:key/3c3c3c3c-0000-4000-8000-00000000000c",
]
credentials_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/4d4d4d4d-0000-4000-8000-00000000000d"
sealed_credential   = "AQICAHhWbXzGzUo5x0m1C3v2uQ5d0w=="
chamber_id          = "5b0f2ac4e91d47d38c6a90e2b7f3d851"
