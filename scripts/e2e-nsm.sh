#!/bin/bash
# Boots our enclave images in QEMU's machine nitro-enclave, without KVM: a real NSM device and its driver, and vsock between the enclave and
# the parent on this machine. The checks are enclave/e2e/nsm; one that failed, or did not run, is a failure here.
#
# The first time e2e-nsm/parts.sh brings QEMU and a kernel into .cache/qemu-nsm, which stay as they came until that folder is removed.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
cache=$root/.cache/qemu-nsm
out=$root/build/e2e-nsm
limit=600 # seconds for the three boots and all that is asked in between; it takes some 60

say() { echo "e2e-nsm: $*"; }
fail() { echo "e2e-nsm: $*" >&2; exit 1; }

# build MODULE TAGS LDFLAGS PACKAGE...: as images are built.
build() {
	local module=$1 tags=$2 flags=$3
	shift 3
	(cd "$module" && GOWORK=off go build -trimpath -buildvcs=false -tags "$tags" -ldflags "-s -w -buildid= $flags" "${overlay[@]}" -o "$out/bin/" "$@")
}

# build_binaries replaces one file of the parent, whose AF_VSOCK is then the unix sockets of the emulated enclave.
build_binaries() {
	local static='-linkmode external -extldflags "-static -Wl,--build-id=none"' tags=netgo,osusergo
	mkdir -p "$out/bin"
	overlay=()
	build enclave "$tags" "$static" ./cmd/chamber-enclave ./e2e/nsm/guest
	CGO_ENABLED=0 build enclave "$tags" "" ./cmd/chamber-init
	build enclave "$tags" "" ./cmd/containment-chamber ./e2e/nsm
	printf '{"Replace":{"%s":"%s"}}\n' "$root/shared/vsock/kernel.go" "$root/enclave/e2e/nsm/testdata/kernel.go" >"$out/overlay.json"
	overlay=(-overlay "$out/overlay.json")
	build parent "$tags" "" ./cmd/containment-chamber-enclave-proxy
	local binary
	for binary in chamber-enclave chamber-init guest; do
		if readelf -l "$out/bin/$binary" | grep -q INTERP; then fail "$binary is not static"; fi
	done
}

# run boots, asks and shows what came of it.
run() {
	local status=0
	timeout --kill-after 30 "$limit" "$out/bin/nsm" -dir "$out/world" -binaries "$out/bin" -parts "$cache" </dev/null 2>&1 |
		tee "$out/transcript" || status=${PIPESTATUS[0]}
	[ "$status" != 124 ] || fail "it was not done after $limit s"
	[ "$status" = 0 ] || fail "the checks ended with exit code $status"
}

# judge compares the names of the checks with those that passed.
judge() {
	if ! diff "$out/wanted" <(sed -n 's/^ok [0-9]* - //p' "$out/transcript") >"$out/missing"; then
		sed -n 's/^< /  /p' "$out/missing" >&2
		fail "these checks did not pass"
	fi
}

began=$SECONDS
scripts/e2e-nsm/parts.sh
command -v readelf >/dev/null 2>&1 || fail "readelf is missing; run apt-get install binutils"
say "building"
rm -rf "$out"
build_binaries
"$out/bin/nsm" -list >"$out/wanted"
[ -s "$out/wanted" ] || fail "there are no checks"
say "booting $(cat "$cache/name") after $((SECONDS - began)) s"
booted=$SECONDS
run
judge
say "all $(wc -l <"$out/wanted") checks passed, $((SECONDS - booted)) s for three boots and what they were asked, $((SECONDS - began)) s in all"
