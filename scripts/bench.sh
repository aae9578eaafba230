#!/bin/sh
# Measures the running signer, each phase for the time given, then attested TLS, the slashing stores and the parent's forwarder; further arguments go to
# build/bench (-h lists them). Then runs every benchmark of the tree, and compares the parts of each with its first part.
set -eu
time=$1
shift
cd "$(dirname "$0")/.."
mkdir -p build

if [ "$(uname -s)" = Linux ]; then
	build/bench -dir build -time "$time" "$@"
	echo
	build/relay
else
	echo "the running signer is measured on Linux only: the figures come from its process clocks"
fi

echo
echo "benchmarks of the parts:"
dirs=$(grep -rl '^func Benchmark' --include='*_test.go' enclave parent shared | sed 's|/[^/]*$||' | sort -u)
[ -n "$dirs" ] || { echo "no benchmark found" >&2; exit 1; }
out=build/bench.txt
: >"$out"
for dir in $dirs; do
	(cd "$dir" && go test -run '^$' -bench . -benchmem -benchtime 300ms .) >"$out.part" || { cat "$out.part"; exit 1; }
	grep -E '^(pkg:|Benchmark)' "$out.part" | tee -a "$out"
done
rm -f "$out.part"

echo
echo "ratios, each part against the first of its benchmark:"
awk '
	/^pkg:/ { package = $2 } # other packages have benchmarks of the same names
	/^Benchmark.*ns\/op/ {
		name = $1
		sub(/-[0-9]+$/, "", name)
		slash = index(name, "/")
		if (!slash) next
		what = substr(name, 10, slash - 10)
		group = package " " what
		for (i = 2; i < NF; i++) if ($(i + 1) == "ns/op") ns = $i
		if (!(group in first)) { first[group] = ns; label[group] = substr(name, slash + 1); next }
		printf "  %-28s %s takes %.2f times as long as %s\n", what, substr(name, slash + 1), ns / first[group], label[group]
		found = 1
	}
	END { if (!found) print "  none: no benchmark has parts" }
' "$out"
