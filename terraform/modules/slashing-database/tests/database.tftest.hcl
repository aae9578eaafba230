# By a provider that makes nothing: it needs the schema of hashicorp/aws.
mock_provider "aws" {}

variables {
  name                      = "slashing"
  vpc_id                    = "vpc-1"
  subnet_ids                = ["subnet-1", "subnet-2"]
  client_security_group_ids = ["sg-1", "sg-2"]
}

run "protected" {
  command = plan

  assert {
    condition = (
      aws_db_instance.this.multi_az && aws_db_instance.this.storage_encrypted && aws_db_instance.this.deletion_protection &&
      !aws_db_instance.this.publicly_accessible && !aws_db_instance.this.skip_final_snapshot && aws_db_instance.this.backup_retention_period > 0 &&
      !aws_db_instance.this.iam_database_authentication_enabled && aws_db_instance.this.manage_master_user_password
    )
    error_message = "the database is not protected"
  }
  assert {
    condition     = aws_db_parameter_group.this.family == "postgres17" && contains([for p in aws_db_parameter_group.this.parameter : "${p.name}=${p.value}"], "rds.force_ssl=1")
    error_message = "the database takes connections without TLS"
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.signer) == 2 && alltrue([for r in aws_vpc_security_group_ingress_rule.signer : r.from_port == 5432 && r.to_port == 5432])
    error_message = "others than the clients may connect, or they may not"
  }
}

run "the_next_major_version" {
  command = plan
  variables {
    postgres_major              = "18"
    allow_major_version_upgrade = true
  }

  assert {
    condition     = aws_db_parameter_group.this.name == "slashing-postgres18" && aws_db_instance.this.parameter_group_name == "slashing-postgres18" && aws_db_instance.this.allow_major_version_upgrade
    error_message = "the parameters of the next version have the name of this one's"
  }
}

run "a_name_that_rds_refuses_is_refused" {
  command = plan
  variables {
    name = "slashing-"
  }
  expect_failures = [var.name]
}

run "one_subnet_is_refused" {
  command = plan
  variables {
    subnet_ids = ["subnet-1"]
  }
  expect_failures = [var.subnet_ids]
}
