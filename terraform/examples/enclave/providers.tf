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
  provider = aws.secondary_b
}

data "aws_caller_identity" "secondary_c" {
  provider = aws.secondary_c
}

# The roles behind the sessions: KMS makes no key whose policy its maker could not change again.
data "aws_iam_session_context" "primary" {
  arn = data.aws_caller_identity.primary.arn
}

data "aws_iam_session_context" "secondary_b" {
  provider = aws.secondary_b
  arn      = data.aws_caller_identity.secondary_b.arn
}

data "aws_iam_session_context" "secondary_c" {
  provider = aws.secondary_c
  arn      = data.aws_caller_identity.secondary_c.arn
}
