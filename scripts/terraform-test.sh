#!/bin/sh
# Checks the Terraform modules: their form, the tests of all that need no provider, and that what these render is what stands in kmstest's
# testdata, which the Go tests put before the KMS stand-in, DynamoDB and the signer's configuration. With -update it writes these anew.
# Then it validates the rest against the schema of hashicorp/aws and runs their tests with a provider that makes nothing, if terraform can get that
# provider, by network or as its CLI configuration says; with -aws it fails if not.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
golden=$root/enclave/internal/kms/kmstest/testdata

if ! command -v terraform >/dev/null 2>&1; then
	echo "terraform-test: terraform is missing; version 1.6 or later is needed (https://developer.hashicorp.com/terraform/install)" >&2
	exit 1
fi
case ${1-} in
"" | -update | -aws) ;;
*)
	echo "usage: $0 [-update | -aws]" >&2
	exit 2
	;;
esac
export CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

terraform fmt -check -diff -recursive terraform

# said runs a command that is only heard of if it fails.
said() {
	"$@" >"$work/log" 2>&1 || {
		cat "$work/log" >&2
		exit 1
	}
}

# compare has a golden file be what was rendered.
compare() {
	if [ "$update" = yes ]; then
		cp "$2" "$1"
	elif ! diff "$1" "$2"; then
		echo "terraform-test: $1 is not what Terraform renders: run $0 -update" >&2
		status=1
	fi
}

# render applies a module, which makes nothing, with each of its sets of variables, and compares its outputs: of one with a policy alone the policy,
# of the others all.
render() {
	kind=$1
	shift
	for variables in "$@"; do
		name=$(basename "$variables" .tfvars)
		said terraform apply -auto-approve -input=false -no-color -state="$work/state/$kind-$name" -var-file="$variables"
		case $kind in
		kms-key-policy)
			terraform output -no-color -state="$work/state/$kind-$name" -raw policy_json >"$work/$name.json"
			echo >>"$work/$name.json"
			compare "$golden/$name.json" "$work/$name.json"
			;;
		*)
			terraform output -no-color -state="$work/state/$kind-$name" -json >"$work/$name.json"
			compare "$golden/terraform/$kind-$name.json" "$work/$name.json"
			;;
		esac
	done
}

update=no
if [ "${1-}" = -update ]; then
	update=yes
	mkdir -p "$golden/terraform"
fi

free=0
for versions in terraform/modules/*/versions.tf terraform/dynamodb-keystore/schema/versions.tf terraform/examples/enclave/policies/versions.tf; do
	module=${versions%/versions.tf}
	kind=$(basename "$module")
	if grep -q hashicorp/aws "$versions"; then
		continue
	fi
	free=$((free + 1))
	cd "$root/$module"
	export TF_DATA_DIR="$work/data/$kind"
	said terraform init -backend=false -input=false
	if [ -d tests ]; then
		terraform test -no-color
	else
		said terraform validate -no-color
	fi
	if [ -d testdata ]; then
		render "$kind" testdata/*.tfvars
	fi
	cd "$root"
done
echo "terraform-test: $free modules without a provider"

# The provider has hundreds of megabytes: it is fetched once, and the modules get it from there.
cache=$root/.cache/terraform
fetched() { [ -n "$(find -L "$cache/providers/registry.terraform.io/hashicorp/aws" -name 'terraform-provider-aws_v*' -type f 2>/dev/null)" ]; }
if ! fetched; then
	mkdir -p "$cache" "$work/provider"
	cp terraform/modules/attested-key/versions.tf "$work/provider"
	(cd "$work/provider" && TF_DATA_DIR=$cache terraform init -backend=false -input=false -no-color) >"$work/log" 2>&1 || cat "$work/log" >&2
fi
if fetched; then
	cp -R terraform "$work/terraform" # where terraform may leave its lock files
	for versions in terraform/modules/*/versions.tf terraform/dynamodb-keystore/versions.tf terraform/examples/*/versions.tf; do
		module=${versions%/versions.tf}
		if ! grep -q hashicorp/aws "$versions"; then
			continue
		fi
		cd "$work/$module"
		TF_DATA_DIR="$work/data/aws-$(basename "$module")"
		export TF_DATA_DIR
		said terraform init -backend=false -input=false -no-color -plugin-dir="$cache/providers"
		said terraform validate -no-color
		echo "terraform-test: $module is valid"
		if [ -d tests ]; then
			terraform test -no-color
		fi
		cd "$root"
	done
	echo "terraform-test: the modules with hashicorp/aws checked with $(find -L "$cache/providers" -name 'terraform-provider-aws_v*' -type f -exec basename {} \;)"
else
	echo "terraform-test: NOT CHECKED: terraform finds no hashicorp/aws (see above), so of the modules with it the form alone was looked at" >&2
	if [ "${1-}" = -aws ]; then
		exit 1
	fi
fi
exit "$status"
