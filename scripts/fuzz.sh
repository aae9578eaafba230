#!/bin/sh
# Runs every fuzz target of the tree for the time given.
set -eu
time=$1
cd "$(dirname "$0")/.."

targets=$(grep -r '^func Fuzz' --include='*_test.go' enclave parent shared |
	sed -E 's|^(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]*).*|\1 \2|' | sort)
[ -n "$targets" ] || { echo "no fuzz target found" >&2; exit 1; }
echo "$targets" | while read -r dir name; do
	echo "$dir $name"
	(cd "$dir" && go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 10x . </dev/null)
done
