# PostgreSQL for the slashing record. Its standby is synchronous, so that a failover loses no vote that was signed.

resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnet_ids
  tags       = var.tags
}

resource "aws_security_group" "this" {
  name        = var.name
  description = "PostgreSQL of ${var.name}"
  vpc_id      = var.vpc_id
  tags        = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "signer" {
  for_each = toset(var.client_security_group_ids)

  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  tags                         = var.tags
}

# By its major version: the group of the next one must be there while the database still has that of this one.
resource "aws_db_parameter_group" "this" {
  name   = "${var.name}-postgres${var.postgres_major}"
  family = "postgres${var.postgres_major}"
  tags   = var.tags

  # Passwords go by SCRAM alone, with channel binding, and over TLS alone.
  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
  parameter {
    name  = "password_encryption"
    value = "scram-sha-256"
  }
  parameter {
    name  = "rds.accepted_password_auth_method"
    value = "scram"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "this" {
  identifier     = var.name
  engine         = "postgres"
  engine_version = var.postgres_major
  instance_class = var.instance_class
  tags           = var.tags

  allow_major_version_upgrade = var.allow_major_version_upgrade

  db_name                             = "slashing"
  username                            = "administrator"
  manage_master_user_password         = true # in Secrets Manager, and so never in Terraform's state
  iam_database_authentication_enabled = var.iam_authentication

  multi_az               = true
  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]
  publicly_accessible    = false
  ca_cert_identifier     = var.ca_cert_identifier
  parameter_group_name   = aws_db_parameter_group.this.name

  storage_type      = "gp3"
  allocated_storage = 20
  storage_encrypted = true
  kms_key_id        = var.kms_key_arn

  # A backup is older than what was signed since: see backup-restore.md before one is used.
  backup_retention_period         = 14
  copy_tags_to_snapshot           = true
  delete_automated_backups        = false
  deletion_protection             = true
  skip_final_snapshot             = false
  final_snapshot_identifier       = "${var.name}-final"
  auto_minor_version_upgrade      = true
  enabled_cloudwatch_logs_exports = ["postgresql"]

  lifecycle {
    prevent_destroy = true
  }
}
