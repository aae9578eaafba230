# By a provider that makes nothing: it needs the schema of hashicorp/aws.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "444455556666", arn = "arn:aws:sts::444455556666:assumed-role/key-admin/me" }
  }
  mock_data "aws_iam_session_context" {
    defaults = { issuer_arn = "arn:aws:iam::444455556666:role/key-admin" }
  }
}

variables {
  profile                     = "b"
  region                      = "eu-central-1"
  enclave_role_arn            = "arn:aws:iam::111122223333:role/containment-chamber"
  key_administrator_arns      = ["arn:aws:iam::444455556666:role/key-admin"]
  enclave_signing_cert_hashes = ["888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888"]
  enclave_pcr0_hashes         = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
}

run "data_keys" {
  command = plan

  assert {
    condition     = strcontains(module.policy.policy_json, "EnclaveDecryptsAttested") && !strcontains(module.policy.policy_json, "kms:Encrypt\"")
    error_message = "the role may encrypt, or not decrypt"
  }
}

run "shares_that_kms_encrypts" {
  command = plan
  variables {
    wrap = "encrypt"
  }

  assert {
    condition     = strcontains(module.policy.policy_json, "kms:Encrypt\"")
    error_message = "the role cannot make shares"
  }
}

run "who_applies_must_administer" {
  command = plan
  variables {
    key_administrator_arns = ["arn:aws:iam::444455556666:user/other"]
  }
  expect_failures = [data.aws_iam_session_context.current]
}

run "no_image_is_refused" {
  command = plan
  variables {
    enclave_pcr0_hashes = []
  }
  expect_failures = [var.enclave_pcr0_hashes]
}
