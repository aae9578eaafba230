# That the signer takes what is rendered, and understands it as it is meant, is tested in Go.
variables {
  region              = "eu-central-1"
  role_arn            = "arn:aws:iam::111122223333:role/signer"
  identity            = "pod_identity"
  share_key_arns      = ["arn:aws:kms:eu-central-1:111122223333:key/1a1a1a1a-0000-4000-8000-00000000000a", "arn:aws:kms:us-east-1:444455556666:key/2b2b2b2b-0000-4000-8000-00000000000b"]
  threshold           = 2
  state_table_arn     = "arn:aws:dynamodb:eu-central-1:111122223333:table/containment-state"
  keys_table_arn      = "arn:aws:dynamodb:eu-central-1:111122223333:table/containment-keys"
  slashing_table_arn  = "arn:aws:dynamodb:eu-central-1:111122223333:table/containment-slashing"
  credentials_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/4d4d4d4d-0000-4000-8000-00000000000d"
}

run "a_route_for_each_place" {
  command = plan

  assert {
    condition = [for r in yamldecode(output.yaml).tee.egress : "${r.host} ${r.vsock_port}"] == [
      "dynamodb.eu-central-1.amazonaws.com 8001", "kms.eu-central-1.amazonaws.com 8002", "kms.us-east-1.amazonaws.com 8003",
      "sts.eu-central-1.amazonaws.com 8004", "169.254.170.23 8005",
    ]
    error_message = "a place has no route, or one too many"
  }
  assert {
    condition     = !can(yamldecode(output.yaml).anti_slashing.trust_parent) && yamldecode(output.yaml).chamber.kms_threshold == 2 && yamldecode(output.yaml).auth.mode == "policies"
    error_message = "the parent is trusted, anybody may ask, or the threshold is another"
  }
}

run "china" {
  command = plan
  variables {
    partition = "aws-cn"
    region    = "cn-north-1"
    identity  = "irsa"
  }

  assert {
    condition     = contains([for r in yamldecode(output.yaml).tee.egress : r.host], "sts.cn-north-1.amazonaws.com.cn")
    error_message = "hosts are not those of the partition"
  }
}

run "no_slashing_record_is_refused" {
  command = plan
  variables {
    slashing_table_arn = null
  }
  expect_failures = [output.yaml]
}

run "three_of_two_is_refused" {
  command = plan
  variables {
    threshold = 3
  }
  expect_failures = [output.yaml]
}

run "encrypt_without_the_master_keys_identity_is_refused" {
  command = plan
  variables {
    wrap = "encrypt"
  }
  expect_failures = [output.yaml]
}

run "what_looks_like_a_number_stays_text" {
  command = plan
  variables {
    chamber_id         = "00000000000000000000000000000012"
    setup_token_sha256 = "1234567890123456789012345678901234567890123456789012345678901234"
  }

  assert {
    condition     = strcontains(output.yaml, "id: \"00000000000000000000000000000012\"") && strcontains(output.yaml, "setup_token_sha256: \"1234567890123456789012345678901234567890123456789012345678901234\"")
    error_message = "a value is a number in the file"
  }
}

run "a_partition_that_is_none_is_refused" {
  command = plan
  variables {
    partition = "amazon"
  }
  expect_failures = [var.partition]
}

run "an_identity_that_is_none_is_refused" {
  command = plan
  variables {
    chamber_id = "5B0F2AC4E91D47D38C6A90E2B7F3D851"
  }
  expect_failures = [var.chamber_id]
}

run "a_token_in_place_of_its_hash_is_refused" {
  command = plan
  variables {
    setup_token_sha256 = "JBSWY3DPEHPK3PXPJBSWY3DPEH"
  }
  expect_failures = [var.setup_token_sha256]
}
