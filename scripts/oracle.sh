#!/bin/sh
# Compares our signing roots of generated requests, of every type in every fork, with those that lodestar computes, and
# fails if any differs.
#   ORACLE_CASES  requests of each type in each fork, 2000 unless given; a tenth for envelopes and at
#                 most 100 for blocks with their bodies, which are large
#   ORACLE_SEED   what the requests follow from, 1 unless given
#   --write       ask about the requests of the committed answers, and write these anew unless there is a difference
set -eu
cd "$(dirname "$0")/.."
root=$PWD
cache=$root/.cache/oracle

case ${1:-} in
'') write= ;;
--write) write=-oracle.write ;;
*)
	echo "usage: scripts/oracle.sh [--write]" >&2
	exit 2
	;;
esac

sh scripts/npm.sh scripts/oracle "$cache"

cd enclave/internal/api/eth2
go test -count=1 -timeout 60m -run '^TestOracle$' -oracle "$cache/oracle.mjs" \
	-oracle.cases "${ORACLE_CASES:-2000}" -oracle.seed "${ORACLE_SEED:-1}" $write
