#!/bin/bash
# Runs the demonstration with signer and parent in the file systems of their images, which scripts/images.sh left in build/images: two
# containers of one simulated pod, with a directory of sockets for vsock. The demonstration itself and the stand-in of AWS KMS run outside;
# they are a client, an operator and a cloud. What keeps the two apart is said in scripts/images/enter.sh.
#
#   scripts/images/run.sh [flag of the demonstration…]
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
layout=$root/build/images

fail() { echo "run: $*" >&2; exit 1; }

for program in jq umoci unshare setpriv; do
	command -v "$program" >/dev/null 2>&1 || fail "$program is missing: apt-get install jq umoci util-linux"
done
[ "$(id -u)" = 0 ] || fail "this needs root, to unpack images as they are"
version=v$(sed -n 's/^const Release = "\(.*\)"$/\1/p' shared/wire/*.go)
[ -f "$layout/index.json" ] || fail "no images in build/images: run scripts/images.sh first"

# Unix sockets have paths of a hundred bytes at most, so that none of this is below the tree.
work=$(mktemp -d /tmp/chamber.XXXXXX)
# stop ends what a demonstration that was killed left behind.
stop() {
	local name pid
	for name in signer parent; do
		pid=$(cat "$work/bundles/$name/pid" 2>/dev/null) || continue
		[ "$(readlink "/proc/$pid/root")" != "$work/bundles/$name/rootfs" ] || kill -KILL "$pid"
	done
	rm -rf --one-file-system "$work"
}
trap stop EXIT
trap 'exit 143' TERM INT

mkdir -p "$work/bundles" "$work/bin" "$work/pod"
for name in signer parent; do
	tag=$version
	[ "$name" = signer ] || tag=$version-$name
	umoci --log error unpack --image "$layout:$tag" "$work/bundles/$name" || fail "build/images has no $tag: run scripts/images.sh $name"
	echo "run: $name is $(jq -r --arg tag "$tag" '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == $tag) | .digest' "$layout/index.json"):" \
		"$(jq -r '"\(.process.args | join(" ")) as user \(.process.user.uid)"' "$work/bundles/$name/config.json")"
done
# A client measures the signer that the image holds.
ln -s "$work/bundles/signer/rootfs/containment-chamber" "$work/bundles/parent/rootfs/containment-chamber-enclave-proxy" "$work/bin/"
make -s split
ln -s "$root/build/kmsd" "$work/bin/"
CHAMBER_BUNDLES=$work/bundles CHAMBER_DIR=$work/pod build/demo -dir "$work/pod" -binaries "$work/bin" -through "$root/scripts/images/enter.sh" "$@"
