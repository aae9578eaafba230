# shellcheck shell=bash
# Sourced by scripts/release.sh at the root of the tree: what of a machine and of a user may reach a build, and what did.

export PATH=$PWD/.cache/go/bin:$PATH
. scripts/release/settings.sh
unset CC CXX
export GOWORK=off GOTOOLCHAIN=local LC_ALL=C TZ=UTC
umask 022

want=$(sed -n 's/^toolchain //p' go.work)
[ "$(go env GOVERSION)" = "$want" ] || fail "Go is $(go env GOVERSION) and the release is built by $want: make setup"

# package FILE: the Debian package that a file is of, with version and architecture.
package() {
	local owner
	owner=$(dpkg-query -S "$(realpath "$1")") || fail "$1 is of no Debian package"
	dpkg-query -W -f '${Package} ${Version} ${Architecture}\n' "${owner%%:*}"
}

compiler() { if [ "$1" = arm64 ]; then echo aarch64-linux-gnu-gcc; else echo gcc; fi; }

# describe ARCH: what no binary says of itself, for SBOM and provenance.
describe() {
	local cc libc libgcc tool
	cc=$(compiler "$1")
	libc=$(package "$("$cc" -print-file-name=libc.a)")
	libgcc=$(package "$("$cc" -print-libgcc-file-name)")
	printf 'linked=%s\n' "$libc" "$libgcc"
	for tool in "$cc" "$("$cc" -print-prog-name=as)" "$("$cc" -print-prog-name=ld)"; do
		tool=$(package "$(command -v "$tool")")
		echo "tool=$tool"
	done | sort -u
}
