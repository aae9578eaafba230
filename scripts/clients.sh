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

sh scripts/npm.sh scripts/clients/lodestar "$cache/lodestar"

echo "clients: building Prysm's client, which takes some minutes the first time"
(cd scripts/clients/prysm && GOWORK=off go build -mod=readonly -buildvcs=false -o "$cache/prysm" .) 2>"$cache/prysm.log" || {
	cat "$cache/prysm.log" >&2
	echo "clients: Prysm's client did not build" >&2
	exit 1
}

node scripts/clients/run.mjs "$signer" "$cache/lodestar" "$cache/prysm"
