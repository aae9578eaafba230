#!/bin/sh
# Installs the Node modules of a directory of scripts and prints nothing. npm's files stay out of the tree: modules are looked for
# beside a script, so that the scripts run as a copy.
#   scripts/npm.sh FROM TO     FROM holds package.json, package-lock.json and the scripts, TO is where the copy goes
set -eu
cd "$(dirname "$0")/.."
from=$1
to=$2

fail() { echo "scripts/npm.sh: $*" >&2; exit 1; }

for tool in node npm; do
	command -v $tool >/dev/null 2>&1 ||
		fail "$tool is missing. Install Node 20 or later with npm: apt-get install -y nodejs npm (Debian 13, Ubuntu 25.04 or later)," \
			"brew install node (macOS), or https://nodejs.org"
done
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] || fail "node is version $major, needed is 20 or later: https://nodejs.org"

mkdir -p "$to"
cp "$from"/package.json "$from"/package-lock.json "$from"/*.mjs "$to/"
# Without --ignore-scripts packages would fetch and run binaries of their own; they have slower replacements for each.
npm ci --prefix "$to" --cache "$PWD/.cache/npm" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null || fail "npm ci failed in $to"
