#!/bin/bash
# Asks the registries for the digests of the base images, and writes the build arguments that Dockerfile.enclave and Dockerfile.parent
# require, one NAME=IMAGE@sha256:… a line:
#
#   scripts/pin-bases.sh [FILE]     FILE is build/bases.args if none is named; - prints them
#
#   docker build $(sed 's/^/--build-arg /' build/bases.args) …
#
# A digest is written only if a registry answered with it; otherwise FILE stays as it was and the exit code is 1. It needs skopeo, or
# docker with buildx.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "pin-bases: $*" >&2; }
fail() { say "$*"; exit 1; }

[ $# -le 1 ] || { echo "usage: scripts/pin-bases.sh [FILE]" >&2; exit 2; }
file=${1:-build/bases.args}

# The release of Go that the workspace names, on the Debian whose C library the binaries are linked with.
go=$(sed -n 's/^toolchain go//p' go.work)
[ -n "$go" ] || fail "go.work names no toolchain"

tags=(
	"GO_IMAGE docker.io/library/golang:$go-bookworm"
	"LAUNCHER_IMAGE public.ecr.aws/amazonlinux/amazonlinux:2023"
)

# digest IMAGE: of its manifest list, if it has one, so that it holds for every architecture.
digest() {
	if command -v skopeo >/dev/null 2>&1; then
		skopeo inspect --raw "docker://$1" | sha256sum | sed 's/ .*//; s/^/sha256:/'
	else
		docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$1"
	fi
}

command -v skopeo >/dev/null 2>&1 || docker buildx version >/dev/null 2>&1 || fail "no skopeo here and no docker with buildx; on Debian: apt-get install skopeo"

pinned=
for tag in "${tags[@]}"; do
	read -r name image <<<"$tag"
	found=$(digest "$image") || fail "no registry answered for $image"
	[[ $found =~ ^sha256:[0-9a-f]{64}$ ]] || fail "$image has no digest: $found"
	say "$image is $found"
	pinned+="$name=${image%:*}@$found"$'\n'
done

if [ "$file" = - ]; then
	printf %s "$pinned"
else
	mkdir -p "$(dirname "$file")"
	printf %s "$pinned" >"$file"
	say "wrote $file"
fi
