# The slashing record in PostgreSQL, and an instance profile.
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
identity                  = {}
share_key_arns = [
  "arn:aws:kms:eu-central-1:111122223333:key/1a1a1a1a-0000-4000-8000-00000000000a",
  "arn:aws:kms:eu-central-1:444455556666:key/2b2b2b2b-0000-4000-8000-00000000000b",
  "arn:aws:kms:eu-central-1:777788889999:key/3c3c3c3c-0000-4000-8000-00000000000c",
]
credentials_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/4d4d4d4d-0000-4000-8000-00000000000d"
sealed_credential   = "AQICAHhWbXzGzUo5x0m1C3v2uQ5d0w=="
chamber_id          = "5b0f2ac4e91d47d38c6a90e2b7f3d851"
slashing_database = {
  host   = "containment-chamber-slashing.abc123.eu-central-1.rds.amazonaws.com"
  port   = 5432
  name   = "slashing"
  user   = "signer"
  ca_pem = <<-PEM
    -----BEGIN CERTIFICATE-----
    MIIBKzCB3qADAgECAgEBMAUGAytlcDAVMRMwEQYDVQQDDApleGFtcGxlIENBMB4X
    DTI2MTEyMTE2MjU1MVoXDTM2MTExODE2MjU1MVowFTETMBEGA1UEAwwKZXhhbXBs
    ZSBDQTAqMAUGAytlcAMhANx6XDl4iapvmZ4g2FYbvIOpb5Rl1PRTRKWaXMMZmuRx
    o1MwUTAdBgNVHQ4EFgQU+hwl9j/v0LiL0C9NH94VkajtgwQwHwYDVR0jBBgwFoAU
    +hwl9j/v0LiL0C9NH94VkajtgwQwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXADQQAI
    npokRKFnOg6u1lo3jaAQA2efRWo255UbB6yyGtMD9wmrxCUW5IPh8NNyuMmgzLC3
    WytH2Pb+SzZS/MtXnucD
    -----END CERTIFICATE-----
  PEM
}
