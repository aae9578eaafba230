#!/bin/bash
# Makes the files of a release into build/release: for amd64 and arm64 the static programs with the notices of what they are linked with and
# what they are run with, their manual pages and completions, their SBOM, the enclave image, unsigned, and the policy that allows it; the
# chart; where all of it came from; and the checksums.
#
#   scripts/release.sh [--kernels DIR [--pins FILE]] [--allow-dirty] [--quick] [--out DIR]
#
#   --kernels DIR   AWS's kernels for the enclave images, in DIR/x86_64 and DIR/arm64 as aws-nitro-enclaves-cli-devel installs them under
#                   /usr/share/nitro_enclaves/blobs; without it the images have a kernel of Debian, which does not start in AWS, and their
#                   names say so
#   --pins FILE     what the kernels must be, as sha256sum writes it in DIR: DIGEST  x86_64/bzImage (DIR/SHA256SUMS)
#   --allow-dirty   build a tree that differs from its commit; the files say so, and are for trying out only
#   --quick         the two measured programs for amd64 alone: no archive, no chart, no image
#
# The same commit, Go and Debian packages make the same bytes, see docs/reproducible-builds.md. A tree without .git is told its commit by
# REVISION and the commit's time by SOURCE_DATE_EPOCH. HELM may name a helm of the version below.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
helm_version=v3.22.0

say() { echo "release: $*"; }
fail() { echo "release: $*" >&2; exit 1; }

out=$root/build/release kernels='' pins='' dirty='' quick=''
while [ $# -gt 0 ]; do
	case $1 in
	--allow-dirty) dirty=allowed ;;
	--quick) quick=yes ;;
	--out | --kernels | --pins)
		[ -n "${2:-}" ] || fail "$1 needs a name"
		case $1 in
		--out) out=$(realpath -m "$2") ;;
		--kernels) kernels=$(realpath -e "$2") ;;
		--pins) pins=$(realpath -e "$2") ;;
		esac
		shift
		;;
	*) sed -n 's/^#   scripts/usage: scripts/p' "$0" >&2; exit 2 ;;
	esac
	shift
done
if [ -n "$kernels" ]; then
	pins=${pins:-$kernels/SHA256SUMS}
	[ -s "$pins" ] || fail "$pins is missing, which says what the kernels must be: in $kernels, sha256sum x86_64/* arm64/* >SHA256SUMS"
elif [ -n "$pins" ]; then
	fail "--pins without --kernels"
fi

cd "$root"
# shellcheck source=scripts/release/environment.sh disable=SC1091
. scripts/release/environment.sh

version=$(sed -n 's/^const Release = "\(.*\)"$/\1/p' shared/wire/*.go)
[ -n "$version" ] || fail "no const Release in shared/wire"
commit=${REVISION:-} state=clean
if [ -e .git ]; then
	commit=$(git rev-parse HEAD)
	SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
	changed=$(git status --porcelain)
	if [ -n "$changed" ]; then
		[ -n "$dirty" ] || fail "the tree is not what was committed (--allow-dirty builds it all the same):
$changed"
		commit=$commit-dirty
	fi
fi
[ -n "$commit" ] || fail "no .git here: set REVISION to the commit that this tree is of, and SOURCE_DATE_EPOCH to its time"
[[ ${SOURCE_DATE_EPOCH:-} =~ ^[0-9]+$ ]] || fail "SOURCE_DATE_EPOCH is not a number of seconds"
[[ $commit != *-dirty ]] || state=dirty
export SOURCE_DATE_EPOCH

# The cross compiler's C library is not the one that arm64 machines have, so that a release is of one architecture's making.
[ "$(uname -sm)" = "Linux x86_64" ] || fail "a release is built on Linux on x86_64; this is $(uname -sm)"
command -v dpkg-query >/dev/null || fail "a release is built on Debian, whose packages it names"

need() { # PROGRAM PACKAGE…
	command -v "$1" >/dev/null 2>&1 && return
	shift
	[ "$(id -u)" = 0 ] || fail "missing, run as root: apt-get update && apt-get install -y --no-install-recommends $*"
	say "installing with apt-get: $*"
	{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"; } >&2
}
need gcc gcc libc6-dev
if [ -n "$quick" ]; then
	arches=(amd64) programs=(chamber-enclave chamber-init)
else
	arches=(amd64 arm64) programs=(containment-chamber chamber-enclave chamber-init containment-chamber-enclave-proxy)
	need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$out"
mkdir -p "$out"
ldflags='-s -w -buildid='
static='-linkmode external -extldflags "-static -Wl,--build-id=none"'
# shellcheck source=/dev/null
distro=$(. /etc/os-release && echo "$ID-$VERSION_CODENAME")
# shellcheck disable=SC2154 # want is the environment's
printf '%s\n' "commit=${commit%-dirty}" "state=$state" "go=$want" "goroot=$(go env GOROOT)" "distro=$distro" \
	"flags=-trimpath -buildvcs=false -tags netgo,osusergo -ldflags $ldflags $static" "init-flags=CGO_ENABLED=0 -trimpath -buildvcs=false -ldflags $ldflags" >"$work/build"

(cd scripts/release && go build -trimpath -o "$work/tool" .)
tool() { "$work/tool" "$1" -time "$SOURCE_DATE_EPOCH" -version "$version" -modules "$GOMODCACHE" "${@:2}"; }

# compile ARCH PROGRAM
compile() {
	local module=enclave binary=$work/$1/$2
	[ "$2" != containment-chamber-enclave-proxy ] || module=parent
	[ -d "$module/cmd/$2" ] || fail "there is no $module/cmd/$2"
	(
		cd "$module"
		export GOOS=linux GOARCH=$1 CGO_ENABLED=1
		CC=$(compiler "$1") && export CC
		if [ "$2" = chamber-init ]; then
			CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "$ldflags" -o "$binary" "./cmd/$2"
		else
			go build -trimpath -buildvcs=false -tags netgo,osusergo -ldflags "$ldflags $static" -o "$binary" "./cmd/$2"
		fi
	)
	if readelf -l "$binary" | grep -q INTERP; then fail "$2 for $1 is not static"; fi
}

# What a release is run with, beside its programs.
extras=(config.example.yaml scripts/enclave-entrypoint.sh scripts/systemd/*.service charts/containment-chamber/files/seccomp.json)

# image ARCH NAME makes the enclave image of the program that compile left, and the policy that allows it; sets image to its file, and adds
# the kernel to what is known of the build.
image() {
	local arch=x86_64 label=$version supplier kernel from options=()
	[ "$1" = amd64 ] || arch=arm64
	image=$out/$2.eif
	if [ -n "$kernels" ]; then
		sed -nE "s,^([0-9a-f]{64}) [ *](\./)?$arch/([^/]+)\$,\1  \3,p" "$pins" >"$work/pins-$arch"
		[ -s "$work/pins-$arch" ] || fail "$pins has no line for $arch/"
		options=(--blobs "$kernels/$arch" --pins "$work/pins-$arch")
	else
		image=$out/$2_debian-kernel.eif label="$version with a kernel of Debian"
	fi
	scripts/build-eif.sh --arch "$arch" --program "$work/$1/chamber-enclave" --output "$image" "${options[@]}" >"$work/eif.log" 2>&1 || fail "build-eif: $(cat "$work/eif.log")"
	cmp -s build/eif/chamber-init "$work/$1/chamber-init" || fail "the image for $1 has another chamber-init than the archive"
	"$work/amd64/containment-chamber" attest policy --from-eif "$image" --label "$label" >"${image%.eif}.policy.yaml"
	if [ -n "$kernels" ]; then
		kernel=aws-$arch supplier='Amazon Web Services' from=https://github.com/aws/aws-nitro-enclaves-sdk-bootstrap
	else
		kernel=$(cat ".cache/eif/$arch/name") supplier=Debian from=https://snapshot.debian.org/binary/$(cat ".cache/eif/$arch/name")/
	fi
	# What the builder says that it took, and not all that lies beside it.
	sed -nE "s,^(kernel|cmdline-file|module) sha256:([0-9a-f]{64})  .*/([^/]+)\$,file=\2 $kernel/\3,p" "$work/eif.log" >"$work/files-$1"
	{ cat "$work/files-$1" && printf '%s\n' "kernel=$kernel" "kernel-supplier=$supplier" "kernel-source=$from"; } >>"$work/build-$1"
}

# share writes manual pages and completions as they stand below /usr/local/share, by the program that runs here: they are the same for
# every architecture.
share() {
	local program=$work/amd64/containment-chamber share=$work/share
	mkdir -p "$share/bash-completion/completions" "$share/zsh/site-functions" "$share/fish/vendor_completions.d"
	"$program" man "$share/man/man1"
	"$program" completion bash >"$share/bash-completion/completions/containment-chamber"
	"$program" completion zsh >"$share/zsh/site-functions/_containment-chamber"
	"$program" completion fish >"$share/fish/vendor_completions.d/containment-chamber.fish"
}

for arch in "${arches[@]}"; do
	{ cat "$work/build" && describe "$arch"; } >"$work/build-$arch"
	mkdir "$work/$arch"
	binaries=()
	for program in "${programs[@]}"; do
		say "building $program for $arch"
		compile "$arch" "$program"
		binaries+=("$work/$arch/$program")
	done
	name=containment-chamber_${version}_linux_$arch
	if [ -n "$quick" ]; then
		cp "${binaries[@]}" "$out"
		continue
	fi
	[ "$arch" != amd64 ] || share
	say "building the enclave image for $arch"
	image "$arch" "$name"
	tool notices -out "$work/$arch/THIRD-PARTY-NOTICES" -build "$work/build-$arch" "${binaries[@]}"
	tool sbom -out "$out/$name.spdx.json" -arch "$arch" -build "$work/build-$arch" -image "$image" "${binaries[@]}"
	tool archive -out "$out/$name.tar.gz" -prefix "$name" "${binaries[@]}" LICENSE "$work/$arch/THIRD-PARTY-NOTICES" "${extras[@]}" "$work/share"
done

# chart packages what helm takes, in files of a fixed time.
chart() {
	local helm=${HELM:-$root/.cache/tools/helm-$helm_version}
	if [ ! -x "$helm" ]; then
		say "installing helm $helm_version into .cache/tools, some minutes the first time"
		GOBIN=$work go install "helm.sh/helm/v3/cmd/helm@$helm_version"
		mkdir -p .cache/tools && mv "$work/helm" "$helm"
	fi
	"$helm" package -d "$work" charts/containment-chamber >"$work/helm.log" 2>&1 || fail "helm package: $(cat "$work/helm.log")"
	tool chart -out "$out/containment-chamber-$version.tgz" "$work/containment-chamber-$version.tgz"
}

# runs ARCH COMMAND...: the program says what it is, in the architecture that this machine is not as well.
runs() {
	local said
	said=$("${@:2}" "$work/$1/containment-chamber" version) || fail "the program for $1 does not run"
	[ "$said" = "containment-chamber $version linux/$1 $want" ] || fail "the program for $1 says: $said"
}

if [ -z "$quick" ]; then
	need qemu-aarch64-static qemu-user-static
	runs amd64
	runs arm64 qemu-aarch64-static
	chart
	{
		cat "$work/build" "$work"/files-a* && echo "helm=$helm_version"
		[ -z "$pins" ] || echo "file=$(sha256sum <"$pins" | cut -d ' ' -f 1) the-pins-of-the-kernels"
		cat "$work"/build-a* | grep -E '^(linked|tool)=' | sort -u
		echo "programs=$(echo "$work"/a*/c*[a-z])"
	} >"$work/build-all"
	tool provenance -out "$work/provenance" -build "$work/build-all" "$out"/*
	mv "$work/provenance" "$out/containment-chamber_$version.intoto.json"
fi
(cd "$out" && sha256sum -- * >"$work/SHA256SUMS" && mv "$work/SHA256SUMS" .)
say "in $out:"
cat "$out/SHA256SUMS"
[ "$state" = clean ] || say "the tree is not commit ${commit%-dirty}: this is for trying out only"
