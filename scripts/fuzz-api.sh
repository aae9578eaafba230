#!/bin/sh
# Holds what a running signer answers against its description, enclave/internal/api/openapi/openapi.yaml, with requests that schemathesis makes
# of it, good and bad: no server error, no status and no form of an answer that is not described, nothing taken that the description refuses,
# nothing done without a token. One signer with keys and policies in files, one with a chamber; some four minutes on two processors.
#   FUZZ_EXAMPLES  requests of each operation that are drawn at random, 10 unless given, beside those that follow from its schema
#   FUZZ_SEED      what they follow from, 1 unless given
#   scripts/fuzz-api.sh [--only files|chamber] [-- ARGUMENTS OF SCHEMATHESIS]
set -eu
cd "$(dirname "$0")/.."
cache=$PWD/.cache/fuzz-api
pins=scripts/fuzz-api/requirements.txt

fail() { echo "fuzz-api: $*" >&2; exit 1; }

command -v go >/dev/null 2>&1 || fail "go is missing. Run: make setup"
command -v python3 >/dev/null 2>&1 || fail "python3 is missing. Run: apt-get install -y python3 python3-venv (Debian, Ubuntu), brew install python (macOS)"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "python3 is $(python3 -V), needed is 3.11 or later"
python3 -c 'import ensurepip, venv' 2>/dev/null || fail "python3 has no venv. Run: apt-get install -y python3-venv"

if ! cmp -s "$pins" "$cache/installed.txt"; then
	rm -rf "$cache"
	mkdir -p "$cache"
	python3 -m venv "$cache/venv"
	"$cache/venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r "$pins" ||
		fail "schemathesis could not be installed from PyPI"
	cp "$pins" "$cache/installed.txt"
fi

mkdir -p build/fuzz-api
(cd enclave && go build -o ../build/fuzz-api/ ./cmd/containment-chamber ./e2e/kmsd)
exec "$cache/venv/bin/python" scripts/fuzz-api/fuzz.py "$@"
