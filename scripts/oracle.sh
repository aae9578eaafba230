#!/bin/sh
# Compares our signing roots of generated requests, of every type in every fork, with those that lodestar computes, and
# fails if any differs.
#   ORACLE_CASES  requests of each type in each fork, 2000 unless given; a tenth for envelopes, which are large
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

for tool in node npm; do
	command -v $tool >/dev/null 2>&1 || {
		case $tool in node) package=nodejs ;; *) package=npm ;; esac
		echo "oracle: $tool is missing; it is in Debian's package $package. Run as root: apt-get install -y nodejs npm" >&2
		exit 1
	}
done
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] || {
	echo "oracle: node is version $major, needed is 20 or later" >&2
	exit 1
}

# npm's files stay out of the tree: modules are looked for beside the script, so that it runs as a copy.
mkdir -p "$cache"
cp scripts/oracle/package.json scripts/oracle/package-lock.json scripts/oracle/*.mjs "$cache/"
(cd "$cache" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || {
	echo "oracle: npm ci failed in $cache" >&2
	exit 1
}

cd enclave/internal/api/eth2
go test -count=1 -timeout 60m -run '^TestOracle$' -oracle "$cache/oracle.mjs" \
	-oracle.cases "${ORACLE_CASES:-2000}" -oracle.seed "${ORACLE_SEED:-1}" $write
