# Three accounts, one image, the pod's identity.
region = "eu-central-1"
name   = "containment-chamber"
accounts = {
  primary     = "111122223333"
  secondary_b = "444455556666"
  secondary_c = "777788889999"
}
key_administrator_arns = {
  primary     = ["arn:aws:iam::111122223333:role/key-admin"]
  secondary_b = ["arn:aws:iam::444455556666:role/key-admin"]
  secondary_c = ["arn:aws:iam::777788889999:role/key-admin"]
}
sealer_role_arns          = ["arn:aws:iam::111122223333:role/operations/sealer"]
enclave_signing_cert_hash = "888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888"
enclave_pcr0_hashes       = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
wrap                      = "data_key"
identity = {
  pod_identity = {
    cluster_arn     = "arn:aws:eks:eu-central-1:111122223333:cluster/validators"
    namespace       = "validators"
    service_account = "containment-chamber"
  }
}
share_key_arns = [
  "arn:aws:kms:eu-central-1:111122223333:key/1a1a1a1a-0000-4000-8000-00000000000a",
  "arn:aws:kms:eu-central-1:444455556666:key/2b2b2b2b-0000-4000-8000-00000000000b",
  "arn:aws:kms:eu-central-1:777788889999:key/3c3c3c3c-0000-4000-8000-00000000000c",
]
credentials_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/4d4d4d4d-0000-4000-8000-00000000000d"
sealed_credential   = "AQICAHhWbXzGzUo5x0m1C3v2uQ5d0w=="
setup_token_sha256  = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
