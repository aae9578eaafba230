provider "aws" {
  profile = var.primary_profile
  region  = var.region
}

provider "aws" {
  alias   = "secondary_b"
  profile = var.secondary_b_profile
  region  = var.region
}

provider "aws" {
  alias   = "secondary_c"
  profile = var.secondary_c_profile
  region  = var.region
}

data "aws_partition" "current" {}

data "aws_caller_identity" "primary" {}

data "aws_caller_identity" "secondary_b" {
  count    = var.secondary_key_arns == null ? 1 : 0
  provider = aws.secondary_b
}

data "aws_caller_identity" "secondary_c" {
  count    = var.secondary_key_arns == null ? 1 : 0
  provider = aws.secondary_c
}

# The roles behind the sessions. KMS makes no key whose policy its maker could not change again, and whoever applies a policy without himself could
# not read the key any more.
data "aws_iam_session_context" "primary" {
  arn = data.aws_caller_identity.primary.arn

  lifecycle {
    postcondition {
      condition     = contains(var.key_administrator_arns.primary, self.issuer_arn)
      error_message = "key_administrator_arns.primary must have who applies this, ${self.issuer_arn}. To hand over, let a new administrator take the old one out."
    }
  }
}

data "aws_iam_session_context" "secondary_b" {
  count    = var.secondary_key_arns == null ? 1 : 0
  provider = aws.secondary_b
  arn      = data.aws_caller_identity.secondary_b[0].arn

  lifecycle {
    postcondition {
      condition     = contains(var.key_administrator_arns.secondary_b, self.issuer_arn)
      error_message = "key_administrator_arns.secondary_b must have who applies this, ${self.issuer_arn}."
    }
  }
}

data "aws_iam_session_context" "secondary_c" {
  count    = var.secondary_key_arns == null ? 1 : 0
  provider = aws.secondary_c
  arn      = data.aws_caller_identity.secondary_c[0].arn

  lifecycle {
    postcondition {
      condition     = contains(var.key_administrator_arns.secondary_c, self.issuer_arn)
      error_message = "key_administrator_arns.secondary_c must have who applies this, ${self.issuer_arn}."
    }
  }
}
