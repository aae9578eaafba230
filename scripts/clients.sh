#!/bin/sh
# Lets the remote signer clients of Lodestar and Prysm ask the signer for signatures, and fails if any answer is not as
# it must be. Both are fetched in pinned versions, Lodestar with npm, Prysm with the Go command; the first run takes
# some minutes. They are built and run here alone: no part of them is in the product.
#   scripts/clients.sh SIGNER     SIGNER is the signer's binary
set -eu
cd "$(dirname "$0")/.."
root=$PWD
cache=$root/.cache/clients

signer=${1:-}
if [ $# -ne 1 ] || [ ! -x "$signer" ]; then
	echo "usage: scripts/clients.sh SIGNER, the binary that make split builds" >&2
	exit 2
fi

for tool in node npm; do
	command -v $tool >/dev/null 2>&1 || {
		case $tool in node) package=nodejs ;; *) package=npm ;; esac
		echo "clients: $tool is missing; it is in Debian's package $package. Run as root: apt-get install -y nodejs npm" >&2
		exit 1
	}
done
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] || {
	echo "clients: node is version $major, needed is 20 or later" >&2
	exit 1
}

# npm's files stay out of the tree: modules are looked for beside the script, so that it runs as a copy. Without
# --ignore-scripts packages would fetch and run binaries of their own; they have slower replacements for each.
mkdir -p "$cache/lodestar"
cp scripts/clients/lodestar/package.json scripts/clients/lodestar/package-lock.json scripts/clients/lodestar/*.mjs "$cache/lodestar/"
(cd "$cache/lodestar" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || {
	echo "clients: npm ci failed in $cache/lodestar" >&2
	exit 1
}

echo "clients: building Prysm's client, which takes some minutes the first time"
(cd scripts/clients/prysm && GOWORK=off go build -mod=readonly -buildvcs=false -o "$cache/prysm" .) 2>"$cache/prysm.log" || {
	cat "$cache/prysm.log" >&2
	echo "clients: Prysm's client did not build" >&2
	exit 1
}

node scripts/clients/run.mjs "$signer" "$cache/lodestar" "$cache/prysm"
