#!/bin/sh
# Looks for what a build needs (Go, a C compiler, make), and with the argument "tests" for what the tests start (PostgreSQL, Java and
# DynamoDB Local); says what is missing, and installs it where it can: on Debian and Ubuntu with apt-get, Go itself as a module
# through the Go module proxy, DynamoDB Local with Maven into .cache. Elsewhere it names the command that does.
# It changes nothing when nothing is missing.
set -eu

cd "$(dirname "$0")/.."
root=$PWD
cache=$root/.cache

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }

# at_least A B: version A is B or later; both like 1.26.8.
at_least() {
	awk -v a="$1" -v b="$2" 'BEGIN {
		split(a, x, "."); split(b, y, ".")
		for (i = 1; i <= 3; i++) if (x[i] + 0 != y[i] + 0) exit !(x[i] + 0 > y[i] + 0)
	}'
}

# go_env COMMAND NAME: what it says of itself, not of the version that it would fetch for this tree.
go_env() { (cd / && GOTOOLCHAIN=local GOWORK=off "$1" env "$2" 2>/dev/null); }

go_version() { go_env "$1" GOVERSION | sed 's/^go//; s/[^0-9.].*//'; }

usable_go() { command -v "$1" >/dev/null 2>&1 && at_least "$(go_version "$1")" "$need"; }

# compiles: a C program with the C library's headers can be linked, as the BLS library and the race detector need.
compiles() {
	tmp=$(mktemp -d)
	printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' >"$tmp/a.c"
	if "${CC:-cc}" -o "$tmp/a" "$tmp/a.c" >/dev/null 2>&1; then ok=0; else ok=1; fi
	rm -rf "$tmp"
	return $ok
}

# has_postgres: the programs of the server, which Debian keeps out of PATH. The tests start a server of their own with them.
has_postgres() {
	for initdb in /usr/lib/postgresql/*/bin/initdb; do
		[ ! -x "$initdb" ] || return 0
	done
	command -v initdb >/dev/null 2>&1 && command -v postgres >/dev/null 2>&1
}

# java_version is empty where there is none: macOS has a java that only says where to get one.
java_version() { java -version 2>&1 | sed -n 's/^[a-z]* version "\([0-9.]*\).*/\1/p'; }

usable_java() { command -v java >/dev/null 2>&1 && at_least "$(java_version)" "$need_java"; }

# has_dynamodb: DynamoDB Local was fetched, in the version that this tree names.
has_dynamodb() { cmp -s scripts/dynamodb/SHA256SUMS "$cache/dynamodb-local/SHA256SUMS"; }

# install_packages NAME...: with apt-get, as root or through sudo; otherwise says what to run.
install_packages() {
	if ! command -v apt-get >/dev/null 2>&1; then
		case $(uname -s) in
		Darwin) fail "missing: $*. Run: xcode-select --install; brew install go; for the tests: brew install postgresql openjdk maven jq" ;;
		esac
		if command -v dnf >/dev/null 2>&1; then
			fail "missing: $*. Run as root: dnf install golang gcc glibc-devel glibc-static make; for the tests: dnf install postgresql-server java-21-openjdk-headless maven jq curl"
		elif command -v apk >/dev/null 2>&1; then
			fail "missing: $*. Run as root: apk add go gcc musl-dev make; for the tests: apk add postgresql openjdk21-jre-headless maven jq curl bash"
		fi
		fail "missing: $*. Install a C compiler with its headers, make, Go $need or later, and for the tests PostgreSQL, Java $need_java or later, Maven, jq and curl"
	fi
	if [ "$(id -u)" = 0 ]; then
		sudo=
	elif command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
		sudo=sudo
	else
		fail "missing, and installing needs root. Run as root: apt-get update && apt-get install -y $*"
	fi
	say "installing with ${sudo:+$sudo }apt-get: $*"
	export DEBIAN_FRONTEND=noninteractive
	# What was listed before may be gone from the mirror, so the lists are made new first.
	$sudo apt-get -qq update || fail "apt-get update failed; are you on a network with a Debian mirror?"
	# shellcheck disable=SC2086 # sudo is empty or one word
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >"$log" 2>&1 || {
		cat "$log" >&2
		fail "apt-get install $* failed"
	}
}

# fetch_go GO: uses any Go command to bring the version wanted, as the module that Go itself would fetch.
fetch_go() {
	os=$(go_env "$1" GOHOSTOS)
	arch=$(go_env "$1" GOHOSTARCH)
	module=golang.org/toolchain@v0.0.1-go$want.$os-$arch
	say "fetching Go $want through the Go module proxy into the module cache, about 70 MB ($1 is $(go_version "$1"), needed is $need)"
	tmp=$(mktemp -d) # outside of this tree, which an old Go cannot read
	(cd "$tmp" && GOTOOLCHAIN=local GOWORK=off GOFLAGS='' GO111MODULE=on "$1" mod download -json "$module") >"$log" 2>&1 || {
		cat "$log" >&2
		rm -rf "$tmp"
		fail "Go $want could not be fetched; install Go $need or later by hand"
	}
	rm -rf "$tmp"
	dir=$(sed -n 's/^.*"Dir": "\(.*\)",*$/\1/p' "$log")
	[ -f "$dir/bin/go" ] || fail "the module $module holds no bin/go"
	# A module's files carry no execute bit, and no go.mod of their own: Go repairs both the same way.
	chmod -R u+w "$dir/bin" "$dir/pkg/tool"
	find "$dir/bin" "$dir/pkg/tool" -type f -exec chmod a+x {} +
	if [ ! -f "$dir/src/go.mod" ]; then
		chmod u+w "$dir/src"
		cp "$dir/src/_go.mod" "$dir/src/go.mod"
	fi
	rm -rf "$cache/go"
	ln -s "$dir" "$cache/go"
}

# checksums of the files in a folder, as SHA256SUMS holds them.
checksums() {
	if command -v sha256sum >/dev/null 2>&1; then
		(cd "$1" && LC_ALL=C && export LC_ALL && sha256sum ./*)
	else
		(cd "$1" && LC_ALL=C && export LC_ALL && shasum -a 256 ./*)
	fi
}

# fetch_dynamodb fetches DynamoDB Local with all that it needs, and keeps it if every file is the one that this tree names.
fetch_dynamodb() {
	say "fetching DynamoDB Local with Maven into .cache, about 80 MB"
	new=$cache/dynamodb-local.new
	rm -rf "$new"
	mvn -B -q --strict-checksums -f scripts/dynamodb/pom.xml -Dmaven.repo.local="$new/repository" \
		dependency:copy-dependencies -DoutputDirectory="$new/lib" >"$log" 2>&1 || {
		cat "$log" >&2
		fail "DynamoDB Local could not be fetched; is Maven on a network with a repository?"
	}
	checksums "$new/lib" >"$new/SHA256SUMS"
	diff scripts/dynamodb/SHA256SUMS "$new/SHA256SUMS" >&2 ||
		fail "DynamoDB Local is not what scripts/dynamodb/SHA256SUMS names; whoever changes its version keeps $new/SHA256SUMS"
	rm -rf "$new/repository" "$cache/dynamodb-local"
	mv "$new" "$cache/dynamodb-local"
}

need_java=17 # of DynamoDB Local
need=$(sed -n 's/^go //p' go.work)
want=$(sed -n 's/^toolchain go//p' go.work)
want=${want:-$need}
[ -n "$need" ] || fail "no go version in go.work"
mkdir -p "$cache"
log=$cache/setup.log

missing=
compiles || missing="gcc libc6-dev"
command -v make >/dev/null 2>&1 || missing="$missing make"
if [ "${1:-}" = tests ]; then
	has_postgres || missing="$missing postgresql"
	for program in jq curl; do # of the launcher
		command -v $program >/dev/null 2>&1 || missing="$missing $program"
	done
	usable_java || missing="$missing default-jre-headless"
	has_dynamodb || command -v mvn >/dev/null 2>&1 || missing="$missing maven"
fi
go=go
if usable_go "$cache/go/bin/go"; then
	go=$cache/go/bin/go
elif ! command -v go >/dev/null 2>&1; then
	missing="$missing golang-go"
	[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
fi
# shellcheck disable=SC2086 # a list of names
[ -z "$missing" ] || install_packages $missing
if ! usable_go "$go"; then
	fetch_go "$go"
	go=$cache/go/bin/go
	usable_go "$go" || fail "$go does not run"
fi
if [ "${1:-}" = tests ]; then
	usable_java || fail "Java is version $(java_version), needed is $need_java or later, such as the package openjdk-$need_java-jre-headless"
	has_dynamodb || fetch_dynamodb
fi
compiles || fail "the C compiler still cannot link a program"
say "Go $(go_version "$go") ($(command -v "$go")), C compiler $(command -v "${CC:-cc}"), $(make --version | head -n 1)"
