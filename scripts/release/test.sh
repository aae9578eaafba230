#!/bin/bash
# Tests what scripts/release.sh refuses and what scripts/reproduce.sh --compare finds; builds nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# expect CODE TEXT COMMAND...: the command ends with this code and says this.
expect() {
	local code=0
	"${@:3}" >"$work/said" 2>&1 || code=$?
	if [ "$code" = "$1" ] && grep -qF -- "$2" "$work/said"; then return; fi
	echo "release/test: ${*:3}: exit code $code, want $1 and \"$2\"; it said:" >&2
	cat "$work/said" >&2
	failed=1
}

# both FILE TEXT writes a file into two folders.
both() { echo "$2" | tee "$work/first/$1" >"$work/second/$1"; }

mkdir "$work/first" "$work/second"
compare=(scripts/reproduce.sh --compare "$work/first" "$work/second")
expect 1 "there is nothing in" "${compare[@]}"
both a.tar.gz archive
both a.policy.yaml '      PCR0: 0011'
expect 0 "equal: all 2 files" "${compare[@]}"
expect 0 "PCR0 of a.eif" "${compare[@]}"
echo other >"$work/second/a.tar.gz"
expect 1 "DIFFERENT: a.tar.gz" "${compare[@]}"
both a.tar.gz archive
echo '      PCR0: 0012' >"$work/second/a.policy.yaml"
expect 1 "DIFFERENT: PCR0 of a.eif" "${compare[@]}"
both a.policy.yaml '      PCR0: 0011'
touch "$work/first/only-here"
expect 1 "DIFFERENT: only-here" "${compare[@]}"
rm "$work/first/only-here"
touch "$work/second/only-there"
expect 1 "DIFFERENT: only-there" "${compare[@]}"
expect 2 "usage: scripts/reproduce.sh" scripts/reproduce.sh --compare "$work/first"
expect 2 "usage: scripts/release.sh" scripts/release.sh --sign
mkdir "$work/kernels"
expect 1 "SHA256SUMS is missing, which says what the kernels must be" scripts/release.sh --kernels "$work/kernels"
expect 1 "No such file or directory" scripts/release.sh --kernels "$work/kernels" --pins "$work/none"
expect 1 "--pins without --kernels" scripts/release.sh --pins scripts/release/test.sh

# A tree without .git, as in a source archive; then one of a commit, with a file that the commit has not.
mkdir "$work/tree"
cp -r --parents scripts/release.sh scripts/release go.work shared/wire enclave/cmd/chamber-init "$work/tree"
release=("$work/tree/scripts/release.sh" --quick)
expect 1 "no .git here: set REVISION" env -u REVISION -u SOURCE_DATE_EPOCH "${release[@]}"
expect 1 "SOURCE_DATE_EPOCH is not a number of seconds" env REVISION=1 SOURCE_DATE_EPOCH=today "${release[@]}"
expect 1 "there is no enclave/cmd/chamber-enclave" env REVISION=1 SOURCE_DATE_EPOCH=1 "${release[@]}"
git -C "$work/tree" init -q
git -C "$work/tree" add .
git -C "$work/tree" -c user.name=test -c user.email=test@localhost commit -q -m test
touch "$work/tree/more"
expect 1 "?? more" "${release[@]}"
expect 1 "there is no enclave/cmd/chamber-enclave" "${release[@]}" --allow-dirty
sed -i 's/^toolchain .*/toolchain go1.0.0/' "$work/tree/go.work"
expect 1 "the release is built by go1.0.0" "${release[@]}" --allow-dirty

[ "$failed" = 0 ] || exit 1
echo "release/test: ok"
