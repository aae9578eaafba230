# What the example makes, by a provider that makes nothing: it needs the schema of hashicorp/aws.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333", arn = "arn:aws:sts::111122223333:assumed-role/terraform/me" }
  }
  mock_data "aws_iam_session_context" {
    defaults = { issuer_arn = "arn:aws:iam::111122223333:role/terraform" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:111122223333:key/1a1a1a1a-0000-4000-8000-00000000000a" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/containment-chamber" }
  }
  mock_resource "aws_db_instance" {
    defaults = {
      address            = "containment-chamber-slashing.abc123.eu-central-1.rds.amazonaws.com"
      port               = 5432
      master_user_secret = [{ kms_key_id = "", secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:rds!db-1", secret_status = "active" }]
    }
  }
}

mock_provider "aws" {
  alias = "secondary_b"
  mock_data "aws_caller_identity" {
    defaults = { account_id = "444455556666", arn = "arn:aws:sts::444455556666:assumed-role/terraform/me" }
  }
  mock_data "aws_iam_session_context" {
    defaults = { issuer_arn = "arn:aws:iam::444455556666:role/terraform" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:444455556666:key/2b2b2b2b-0000-4000-8000-00000000000b" }
  }
}

mock_provider "aws" {
  alias = "secondary_c"
  mock_data "aws_caller_identity" {
    defaults = { account_id = "777788889999", arn = "arn:aws:sts::777788889999:assumed-role/terraform/me" }
  }
  mock_data "aws_iam_session_context" {
    defaults = { issuer_arn = "arn:aws:iam::777788889999:role/terraform" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:777788889999:key/3c3c3c3c-0000-4000-8000-00000000000c" }
  }
}

# All four keys of one mocked account would have one ARN.
override_resource {
  target = module.key_credentials.aws_kms_key.this
  values = { arn = "arn:aws:kms:eu-central-1:111122223333:key/4d4d4d4d-0000-4000-8000-00000000000d" }
}

variables {
  primary_profile           = "a"
  secondary_b_profile       = "b"
  secondary_c_profile       = "c"
  enclave_signing_cert_hash = "888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888888"
  enclave_pcr0_hashes       = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
  sealer_role_arns          = ["arn:aws:iam::111122223333:role/operations/sealer"]
  key_administrator_arns = {
    primary     = ["arn:aws:iam::111122223333:role/terraform", "arn:aws:iam::111122223333:user/second"]
    secondary_b = ["arn:aws:iam::444455556666:role/terraform"]
    secondary_c = ["arn:aws:iam::777788889999:role/terraform"]
  }
}

# Plans alone: what is made is protected from being destroyed, so that an apply could not be cleared away.
run "instance" {
  command = plan

  assert {
    condition     = aws_iam_role_policy.signer.name == "signer" && length(aws_iam_instance_profile.signer) == 1 && length(aws_eks_pod_identity_association.signer) == 0
    error_message = "the role has no instance profile"
  }
  assert {
    condition     = strcontains(aws_iam_role.signer.assume_role_policy, "ec2.amazonaws.com")
    error_message = "the role is not the instance's"
  }
  assert {
    condition     = aws_iam_user.slashing.name == "containment-chamber-slashing" && !strcontains(aws_iam_user_policy.slashing.policy, "-state") && strcontains(aws_iam_user_policy.slashing.policy, ":table/containment-chamber-slashing")
    error_message = "the slashing record has no user of its own"
  }
  assert {
    condition     = strcontains(module.policies.key_policies.secondary_c, "arn:aws:iam::777788889999:role/terraform") && strcontains(module.policies.key_policies.secondary_c, "arn:aws:iam::111122223333:role/containment-chamber")
    error_message = "the third key is not of its account's administrator and for the role"
  }
}

run "pod_identity" {
  command = plan
  variables {
    identity = {
      pod_identity = { cluster_arn = "arn:aws:eks:eu-central-1:111122223333:cluster/validators", namespace = "validators", service_account = "containment-chamber" }
    }
  }

  assert {
    condition     = length(aws_iam_instance_profile.signer) == 0 && one(aws_eks_pod_identity_association.signer[*].cluster_name) == "validators"
    error_message = "the pod gets no identity"
  }
}

run "postgresql" {
  command = plan
  variables {
    slashing_database = {
      vpc_id                    = "vpc-1"
      subnet_ids                = ["subnet-1", "subnet-2"]
      client_security_group_ids = ["sg-1"]
      ca_bundle_path            = "tests/example.tftest.hcl" # any text
    }
  }

  assert {
    condition     = length(module.slashing_database) == 1
    error_message = "the slashing record is not in PostgreSQL"
  }
  assert {
    condition     = join(",", keys(module.tables.arns)) == "keys,slashing,state" && aws_iam_user.slashing.name != ""
    error_message = "a switch to PostgreSQL takes the table of the record away"
  }
}

run "keys_of_other_administrators" {
  command = plan
  variables {
    secondary_key_arns = {
      b = "arn:aws:kms:eu-central-1:444455556666:key/2b2b2b2b-0000-4000-8000-00000000000b"
      c = "arn:aws:kms:eu-west-1:777788889999:key/3c3c3c3c-0000-4000-8000-00000000000c"
    }
    key_administrator_arns = { primary = ["arn:aws:iam::111122223333:role/terraform"] }
  }

  assert {
    condition     = length(module.key_secondary_b) == 0 && length(module.key_secondary_c) == 0 && join(",", keys(module.policies.key_policies)) == "credentials,primary"
    error_message = "a key of another administrator is made here as well"
  }
}

run "debug_mode_is_refused" {
  command = plan
  variables {
    enclave_pcr0_hashes = ["000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"]
  }
  expect_failures = [var.enclave_pcr0_hashes]
}

run "no_image_is_refused" {
  command = plan
  variables {
    enclave_pcr0_hashes = []
  }
  expect_failures = [var.enclave_pcr0_hashes]
}

run "no_signature_is_refused" {
  command = plan
  variables {
    enclave_signing_cert_hash = "0x88"
  }
  expect_failures = [var.enclave_signing_cert_hash]
}

# The first step with administrators of their own, who need the role to be there.
run "the_role_alone" {
  command = plan
  plan_options {
    target = [aws_iam_role.signer]
  }
  variables {
    secondary_b_profile    = "a"
    secondary_c_profile    = "a"
    key_administrator_arns = { primary = ["arn:aws:iam::111122223333:role/terraform"] }
  }

  assert {
    condition     = strcontains(aws_iam_role.signer.assume_role_policy, "ec2.amazonaws.com")
    error_message = "the role cannot be made before the keys"
  }
}

run "an_alias_as_another_administrators_key_is_refused" {
  command = plan
  variables {
    secondary_key_arns = {
      b = "arn:aws:kms:eu-central-1:444455556666:alias/share"
      c = "arn:aws:kms:eu-west-1:777788889999:key/3c3c3c3c-0000-4000-8000-00000000000c"
    }
  }
  expect_failures = [var.secondary_key_arns]
}

run "who_applies_must_administer" {
  command = plan
  variables {
    key_administrator_arns = {
      primary     = ["arn:aws:iam::111122223333:user/second"]
      secondary_b = ["arn:aws:iam::444455556666:role/terraform"]
      secondary_c = ["arn:aws:iam::777788889999:role/terraform"]
    }
  }
  expect_failures = [data.aws_iam_session_context.primary]
}

run "a_credential_that_nobody_seals_is_refused" {
  command = plan
  variables {
    sealer_role_arns = []
  }
  expect_failures = [var.sealer_role_arns]
}

run "a_cluster_elsewhere_is_refused" {
  command = plan
  variables {
    identity = {
      pod_identity = { cluster_arn = "arn:aws:eks:us-east-1:111122223333:cluster/validators", namespace = "validators", service_account = "containment-chamber" }
    }
  }
  expect_failures = [aws_iam_role.signer]
}

run "a_cluster_of_another_account_is_refused" {
  command = plan
  variables {
    identity = {
      irsa = { oidc_provider_arn = "arn:aws:iam::444455556666:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0123", namespace = "validators", service_account = "containment-chamber" }
    }
  }
  expect_failures = [aws_iam_role.signer]
}

run "a_key_of_ones_own_for_the_tables" {
  command = plan
  variables {
    table_kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/5e5e5e5e-0000-4000-8000-00000000000e"
  }

  assert {
    condition     = strcontains(aws_iam_user_policy.slashing.policy, "5e5e5e5e")
    error_message = "the user cannot use tables that are encrypted with the key"
  }
}
