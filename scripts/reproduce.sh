#!/bin/bash
# Builds the release twice, in all that must not matter as unlike as one machine allows, and fails if a single byte differs.
#
#   scripts/reproduce.sh [--kernels DIR [--pins FILE]] [--allow-dirty]   the whole release, as two users: needs root
#   scripts/reproduce.sh --quick [--allow-dirty]                         the two measured programs for amd64
#   scripts/reproduce.sh --compare FIRST SECOND                          no build: two folders, such as yours and a published release
#
#              first                      second
#   folder     build/reproduce/first      one under /var/tmp, with a longer path
#   user       who calls                  nobody (--quick: who calls)
#   clock      now                        400 days later, through faketime, and files dated 1999
#   caches     Go's own                   an empty build cache; modules unpacked anew (--quick: Go's own)
#   Go         as it is installed         a copy elsewhere (--quick: as it is installed)
#   umask      022                        077
#   language   C, UTC                     C.UTF-8, Pacific/Kiritimati
#   settings   none                       GOFLAGS, GOAMD64, CGO_CFLAGS and CC that would change the programs, if they were heard
#
# Exit code: 0 all is equal; 1 something differs, and is named, or a build failed; 2 the command line is wrong.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

say() { echo "reproduce: $*"; }
fail() { echo "reproduce: $*" >&2; exit 1; }
usage() { sed -n 's/^#   scripts/usage: scripts/p' "$0" >&2; exit 2; }

quick='' options=() compare=() kernels='' pins=''
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=yes && options+=("$1") ;;
	--allow-dirty) options+=("$1") ;;
	--kernels | --pins)
		[ $# -ge 2 ] || usage
		if [ "$1" = --kernels ]; then kernels=$(realpath -e "$2"); else pins=$(realpath -e "$2"); fi
		shift
		;;
	--compare)
		[ $# = 3 ] || usage
		compare=("$(realpath "$2")" "$(realpath "$3")")
		shift 2
		;;
	*) usage ;;
	esac
	shift
done

# digest FILE
digest() { if [ -f "$1" ]; then sha256sum <"$1" | cut -d ' ' -f 1; else echo "is not there"; fi; }

# table FIRST SECOND prints both digests of each file, and PCR0 of each policy; it fails if any two differ.
table() {
	local file a b names differ=()
	names=$({ find "$1" -type f -printf '%P\n' && find "$2" -type f -printf '%P\n'; } | LC_ALL=C sort -u)
	[ -n "$names" ] || fail "there is nothing in $1 and $2"
	row() { # NAME FIRST SECOND
		printf '%s\n  first   %s\n  second  %s\n' "$@"
		[ "$2" = "$3" ] || differ+=("$1")
	}
	while read -r file; do
		row "$file" "$(digest "$1/$file")" "$(digest "$2/$file")"
		[[ $file == *.policy.yaml ]] || continue
		a=$(sed -n 's/^ *PCR0: *"\{0,1\}\([0-9a-f]*\).*/\1/p' "$1/$file")
		b=$(sed -n 's/^ *PCR0: *"\{0,1\}\([0-9a-f]*\).*/\1/p' "$2/$file")
		row "PCR0 of ${file%.policy.yaml}.eif" "${a:-is not there}" "${b:-is not there}"
	done <<<"$names"
	if [ ${#differ[@]} -gt 0 ]; then
		for file in "${differ[@]}"; do say "DIFFERENT: $file" >&2; done
		return 1
	fi
	say "equal: all $(wc -l <<<"$names") files"
}

if [ ${#compare[@]} -gt 0 ]; then
	table "${compare[@]}"
	exit
fi

[ -n "$quick" ] || [ "$(id -u)" = 0 ] || fail "this builds as another user as well, and needs root; --quick does not"
cd "$root"
export PATH=$root/.cache/go/bin:$PATH
if ! command -v faketime >/dev/null 2>&1; then
	[ "$(id -u)" = 0 ] || fail "missing, run as root: apt-get update && apt-get install -y faketime"
	say "installing with apt-get: faketime"
	{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends faketime; } >&2
fi

first=$root/build/reproduce/first
second=$(mktemp -d /var/tmp/containment-chamber-second-build.XXXXXX)
trap 'chmod -R u+w "$second" && rm -rf "$second"' EXIT
rm -rf "$root/build/reproduce"
mkdir -p "$first" "$second/src"

# Both trees are without .git: they are told the commit.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
REVISION=$(git rev-parse HEAD)
if [ -n "$(git status --porcelain)" ]; then
	[[ " ${options[*]} " == *" --allow-dirty "* ]] || fail "the tree is not what was committed (--allow-dirty builds it all the same)"
	REVISION=$REVISION-dirty
fi
export SOURCE_DATE_EPOCH REVISION
git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -cf "$second/source.tar" -T -
mkdir -p "$first/src/.cache/tools"
tar -xf "$second/source.tar" -C "$first/src"
(umask 077 && tar -xf "$second/source.tar" --no-same-permissions -C "$second/src")
rm "$second/source.tar"
find "$second/src" -exec touch -hd 1999-12-31T23:59:59Z {} +

if [ -n "$kernels" ]; then
	cp -rL "$kernels" "$second/kernels"
	[ -z "$pins" ] || cp "$pins" "$second/kernels/SHA256SUMS"
fi
# What is fetched beside modules is pinned by its digest, or is no part of what is made.
for part in .cache/eif .cache/tools/helm-v*; do
	[ ! -e "$part" ] || cp -rL "$part" "$first/src/$part"
done

say "first build, in $first"
"$first/src/scripts/release.sh" "${options[@]}" ${kernels:+--kernels "$kernels"} ${pins:+--pins "$pins"} --out "$first/release"

modules=$(go env GOMODCACHE) run=()
if [ -z "$quick" ]; then
	mkdir "$second/src/.cache" && cp -r "$first/src/.cache/." "$second/src/.cache"
	cp -rL "$(go env GOROOT)" "$second/goroot"
	for module in enclave parent shared scripts/release; do
		(cd "$second/src/$module" && GOWORK=off GOMODCACHE=$second/modules GOPROXY=file://$modules/cache/download,$(go env GOPROXY) go mod download)
	done
	modules=$second/modules
	chown -R 65534:65534 "$second"
	run=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	export PATH=$second/goroot/bin:$PATH
fi
say "second build, in $second"
cd "$second/src"
umask 077
"${run[@]}" env HOME="$second" TMPDIR="$second" TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 GOMODCACHE="$modules" GOCACHE="$second/cache" \
	GOFLAGS=-tags=other GOAMD64=v3 GOARM64=v9.0 CGO_CFLAGS=-O0 CC=/bin/false \
	faketime -f +400d scripts/release.sh "${options[@]}" ${kernels:+--kernels "$second/kernels"} --out "$second/release"
cp -r "$second/release" "$root/build/reproduce/second"

say "artefacts of both builds, and PCR0:"
table "$first/release" "$root/build/reproduce/second"
