variable "pod_identity" {
  description = "The pod's service account, for EKS Pod Identity; null if it is not used."
  type        = object({ cluster_arn = string, namespace = string, service_account = string })
  default     = null

  validation {
    condition     = var.pod_identity == null || can(regex("^arn:aws[a-z-]*:eks:[a-z0-9-]+:[0-9]{12}:cluster/[A-Za-z0-9][A-Za-z0-9_-]{0,99}$", var.pod_identity.cluster_arn))
    error_message = "pod_identity.cluster_arn must be the ARN of an EKS cluster."
  }
  validation {
    condition     = var.pod_identity == null || can(regex("^[a-z0-9][a-z0-9.-]*/[a-z0-9][a-z0-9.-]*$", "${var.pod_identity.namespace}/${var.pod_identity.service_account}"))
    error_message = "pod_identity must have the names of one namespace and one service account, without wildcards."
  }
}

variable "irsa" {
  description = "The pod's service account, for an IAM role for service accounts; null if it is not used."
  type        = object({ oidc_provider_arn = string, namespace = string, service_account = string })
  default     = null

  validation {
    condition     = var.irsa == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/[A-Za-z0-9./_-]+$", var.irsa.oidc_provider_arn))
    error_message = "irsa.oidc_provider_arn must be the ARN of the cluster's OIDC provider in IAM."
  }
  validation {
    condition     = var.irsa == null || can(regex("^[a-z0-9][a-z0-9.-]*/[a-z0-9][a-z0-9.-]*$", "${var.irsa.namespace}/${var.irsa.service_account}"))
    error_message = "irsa must have the names of one namespace and one service account, without wildcards."
  }
}

variable "instance" {
  description = "Whether the role is that of EC2 instances, by an instance profile. Every pod and process there can have its credentials."
  type        = bool
  default     = false
  nullable    = false
}
