#!/bin/sh
# Looks for known vulnerabilities in what the modules given call. Its database is on the network: where that cannot be
# reached the check says so and passes, since it judges nothing.
set -eu
version=$1
shift
cd "$(dirname "$0")/.."

for module in "$@"; do
	status=0
	out=$(cd "$module" && GOWORK=off go run "golang.org/x/vuln/cmd/govulncheck@$version" ./... 2>&1) || status=$?
	case $out in
	*"govulncheck: fetching vulnerabilities"*)
		echo "govulncheck: its database cannot be reached from here; not checked"
		exit 0
		;;
	esac
	echo "govulncheck $module: $(echo "$out" | tail -n 1)"
	if [ "$status" != 0 ]; then
		echo "$out" >&2
		exit 1
	fi
done
