run "pod_identity" {
  command = plan
  variables {
    pod_identity = { cluster_arn = "arn:aws:eks:eu-central-1:111122223333:cluster/validators", namespace = "validators", service_account = "containment-chamber" }
  }

  assert {
    condition = jsondecode(output.policy_json).Statement == [{
      Sid       = "PodOfTheSigner"
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = { StringEquals = {
        "aws:RequestTag/eks-cluster-arn"            = "arn:aws:eks:eu-central-1:111122223333:cluster/validators"
        "aws:RequestTag/kubernetes-namespace"       = "validators"
        "aws:RequestTag/kubernetes-service-account" = "containment-chamber"
      } }
    }]
    error_message = "another pod gets the role"
  }
}

run "service_account" {
  command = plan
  variables {
    irsa = { oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0123", namespace = "validators", service_account = "containment-chamber" }
  }

  assert {
    condition = jsondecode(output.policy_json).Statement == [{
      Sid       = "ServiceAccountOfTheSigner"
      Effect    = "Allow"
      Principal = { Federated = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0123" }
      Action    = ["sts:AssumeRoleWithWebIdentity"]
      Condition = { StringEquals = {
        "oidc.eks.eu-central-1.amazonaws.com/id/0123:aud" = "sts.amazonaws.com"
        "oidc.eks.eu-central-1.amazonaws.com/id/0123:sub" = "system:serviceaccount:validators:containment-chamber"
      } }
    }]
    error_message = "another service account gets the role"
  }
}

run "instance" {
  command = plan
  variables {
    instance = true
  }

  assert {
    condition     = [for s in jsondecode(output.policy_json).Statement : [s.Principal.Service, s.Action]] == [["ec2.amazonaws.com", ["sts:AssumeRole"]]]
    error_message = "the instance does not get the role"
  }
}

run "nobody_is_refused" {
  command         = plan
  expect_failures = [output.policy_json]
}

run "two_ways_are_refused" {
  command = plan
  variables {
    instance = true
    irsa     = { oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0123", namespace = "validators", service_account = "containment-chamber" }
  }
  expect_failures = [output.policy_json]
}

run "every_service_account_is_refused" {
  command = plan
  variables {
    irsa = { oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0123", namespace = "validators", service_account = "*" }
  }
  expect_failures = [var.irsa]
}

run "every_cluster_is_refused" {
  command = plan
  variables {
    pod_identity = { cluster_arn = "*", namespace = "validators", service_account = "containment-chamber" }
  }
  expect_failures = [var.pod_identity]
}
