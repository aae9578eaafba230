#!/bin/bash
# Makes base images of Debian packages and this machine's Go, for machines that reach no registry, in the image store of scripts/images.sh,
# and prints the build arguments that name them by digest. What is there already is not made again.
#
#   scripts/images/local-bases.sh BUILDAH-FLAG…     the flags that name the store
#
# The base of the launcher has everything that the launcher needs, except nitro-cli, which Debian has not.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
work=$root/.cache/images/bases
release=bookworm

say() { echo "local-bases: $*" >&2; }
fail() { say "$*"; exit 1; }

[ "$(id -u)" = 0 ] || fail "debootstrap needs root"
for program in buildah debootstrap; do
	command -v "$program" >/dev/null 2>&1 || fail "$program is missing: apt-get install $program"
done
store=("$@")
mkdir -p "$work"
exec 9>"$work/lock"
flock -n 9 || fail "another run makes the bases"

# digest IMAGE: empty if there is none.
digest() { buildah "${store[@]}" images --format '{{.Digest}}' "$1" 2>/dev/null || true; }

# base_of DIRECTORY PACKAGES: a small Debian with these packages, separated by commas.
base_of() {
	say "debootstrap $release with $2: two minutes"
	rm -rf --one-file-system "$1"
	# In a mount namespace of its own: what is mounted into the tree meanwhile ends with it, however it ends.
	unshare --mount --propagation private debootstrap --variant=minbase --include="$2" "$release" "$1" >"$work/log" 2>&1 || {
		tail -n 20 "$work/log" >&2
		fail "debootstrap failed; its log is $work/log"
	}
	rm -rf --one-file-system "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*
}

# import DIRECTORY IMAGE CONFIG-FLAG…
import() {
	local tree=$1 image=$2 container
	shift 2
	container=$(buildah "${store[@]}" from scratch)
	buildah "${store[@]}" add -q "$container" "$tree" / >/dev/null
	buildah "${store[@]}" config "$@" "$container"
	buildah "${store[@]}" commit -q --rm --timestamp 0 "$container" "$image" >/dev/null
	rm -rf --one-file-system "$tree"
	say "made $image"
}

go=localhost/containment-chamber-base/go:$(go env GOVERSION)-$release
if [ -z "$(digest "$go")" ]; then
	base_of "$work/go" ca-certificates,gcc,libc6-dev
	mkdir -p "$work/go/usr/local/go"
	cp -a "$(go env GOROOT)/." "$work/go/usr/local/go/"
	import "$work/go" "$go" --env GOPATH=/go --env PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
fi
launcher=localhost/containment-chamber-base/launcher:$release
if [ -z "$(digest "$launcher")" ]; then
	base_of "$work/launcher" ca-certificates,curl,jq,procps
	import "$work/launcher" "$launcher"
fi
echo "GO_IMAGE=${go%:*}@$(digest "$go")"
echo "LAUNCHER_IMAGE=${launcher%:*}@$(digest "$launcher")"
