#!/bin/sh
# Checks the Terraform modules: their form, their own tests, and that the key policies in kmstest's testdata, which the Go tests put
# before the KMS stand-in, are what the module renders. With -update it writes these anew.
set -eu
cd "$(dirname "$0")/.."
golden=$PWD/enclave/internal/kms/kmstest/testdata

if ! command -v terraform >/dev/null 2>&1; then
	echo "terraform-test: terraform is missing; version 1.6 or later is needed (https://developer.hashicorp.com/terraform/install)" >&2
	exit 1
fi
unset TF_CLI_CONFIG_FILE # nobody's configuration is needed: there is no provider
export CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TF_DATA_DIR="$work/data"

terraform fmt -check -diff -recursive terraform
cd terraform/modules/kms-key-policy
terraform init -backend=false -input=false >/dev/null
terraform test -no-color

status=0
for variables in testdata/*.tfvars; do
	name=$(basename "$variables" .tfvars)
	terraform apply -auto-approve -input=false -no-color -state="$work/$name.tfstate" -var-file="$variables" >"$work/log" 2>&1 || {
		cat "$work/log" >&2
		exit 1
	}
	{
		terraform output -no-color -state="$work/$name.tfstate" -raw policy_json
		echo
	} >"$work/$name.json"
	if [ "${1-}" = -update ]; then
		cp "$work/$name.json" "$golden/$name.json"
	elif ! diff "$golden/$name.json" "$work/$name.json"; then
		echo "terraform-test: $golden/$name.json is not what the module renders: run $0 -update" >&2
		status=1
	fi
done
exit "$status"
