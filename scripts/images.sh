#!/bin/bash
# Builds the images with buildah, without a Docker engine, into the OCI layout build/images, and prints size and digest of each.
#
#   scripts/images.sh [--local] [--twice] [--run] [--any-eif] [TAG…]
#
#   --local   base images of Debian packages and this machine's Go, made here, even if a registry can be reached
#   --twice   build signer, enclave and parent again, from the start, and fail if a digest differs
#   --run     run the demonstration through the file systems of signer and parent: scripts/images/run.sh
#   --any-eif the launcher takes build/containment-chamber.eif even if its program is not that of the image of the enclave
#   TAG       signer, enclave, parent, launcher (and signer and enclave, which it needs); all of them if none is named
#
# The launcher is labelled with register 0 of its enclave image and with whose kernel that has. With a kernel of Debian, which is for tests,
# its tag ends in -nitro-debian-kernel and not in -nitro.
#
# Base images come from their registries, by digest. Where no registry answers they are made here, which is told; the launcher is then
# without nitro-cli, which its label containment-chamber.nitro-cli=absent says. The programs are the same whatever bases they are built
# in only as far as Go and C compiler are: digests are compared between builds in the same bases.
#
# buildah, skopeo, umoci, debootstrap, jq and cpio are installed with apt-get where they are missing. Bases are kept in .cache/images, and of an
# earlier build nothing is. Modules are those of Go's cache, so that nothing is fetched in the builds of signer, enclave and parent.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
cache=$root/.cache/images
out=$root/build/images
repository=ghcr.io/unforeseen-consequences/containment-chamber

say() { echo "images: $*"; }
fail() { echo "images: $*" >&2; exit 1; }
usage() { sed -n 's/^#   scripts/usage: scripts/p' "$0" >&2; exit 2; }

from=registries twice='' run='' any_eif='' targets=()
for argument in "$@"; do
	case $argument in
	--local) from=here ;;
	--twice) twice=yes ;;
	--run) run=yes ;;
	--any-eif) any_eif=yes ;;
	signer | enclave | parent | launcher) targets+=("$argument") ;;
	*) usage ;;
	esac
done
[ ${#targets[@]} -gt 0 ] || targets=(signer enclave parent launcher)
asked() { [[ " ${targets[*]} " == *" $1 "* ]]; }
if asked launcher; then # last, of what it needs
	asked parent && targets=(signer enclave parent launcher) || targets=(signer enclave launcher)
fi

[ "$(uname -s)" = Linux ] || fail "buildah needs Linux"
[ "$(id -u)" = 0 ] || fail "this needs root: the builds run in chroots"

need() { # PROGRAM…, each in a package of its name
	local program missing=()
	for program in "$@"; do command -v "$program" >/dev/null 2>&1 || missing+=("$program"); done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null 2>&1 || fail "missing: ${missing[*]}; no apt-get here to install them with"
	say "installing with apt-get: ${missing[*]}"
	{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}"; } >"$cache/apt.log" 2>&1 || {
		cat "$cache/apt.log" >&2
		fail "apt-get install ${missing[*]} failed"
	}
}

mkdir -p "$cache/tmp" "$out"
export TMPDIR=$cache/tmp
need buildah skopeo umoci debootstrap jq cpio

# One file system over another costs no copy; where the kernel refuses that, as inside of some containers, STORAGE_DRIVER=vfs copies.
store=(--root "$cache/store" --runroot "$cache/run" --storage-driver "${STORAGE_DRIVER:-overlay}")
policy='{"default":[{"type":"insecureAcceptAnything"}]}' # of images by digest, which need no signature
echo "$policy" >"$cache/policy.json"

version=v$(sed -n 's/^const Release = "\(.*\)"$/\1/p' shared/wire/*.go)
[ "$version" != v ] || fail "no const Release in shared/wire"
revision=${REVISION:-$(git rev-parse HEAD)} || fail "no commit here to name in the labels: set REVISION"
[ -n "${REVISION:-}" ] || [ -z "$(git status --porcelain --untracked-files=no)" ] || revision=$revision-modified
epoch=${SOURCE_DATE_EPOCH:-0}

# find_bases fills bases with build arguments.
find_bases() {
	local found
	if [ "$from" = registries ] && scripts/pin-bases.sh build/bases.args; then
		found=$(cat build/bases.args)
		nitro=required
	else
		say "base images are made here of Debian packages and Go $(go env GOVERSION)"
		found=$(scripts/images/local-bases.sh "${store[@]}")
		nitro=absent
	fi
	mapfile -t bases <<<"$found"
	printf 'images: %s\n' "${bases[@]}"
}

# tag_of TARGET
tag_of() {
	case $1 in
	signer) echo "$version" ;;
	launcher) [ "$kernel" = aws ] && echo "$version-nitro" || echo "$version-nitro-debian-kernel" ;;
	*) echo "$version-$1" ;;
	esac
}

# build TARGET: its digest is that of what was pushed into the layout. Nothing is taken from an earlier build: with --layers, buildah 1.28
# takes labels with the values that arguments had then, and its history names images that are not part of the result.
build() {
	local target=$1 file=Dockerfile.enclave argument arguments=()
	case $target in parent | launcher) file=Dockerfile.parent ;; esac
	if [ "$target" = launcher ]; then
		arguments=(--build-arg "SIGNER_IMAGE=$repository@$(buildah "${store[@]}" images --format '{{.Digest}}' "$repository:$version")"
			--build-arg "PCR0=$pcr0" --build-arg "KERNEL=$kernel")
	fi
	for argument in "${bases[@]}" "VERSION=$version" "REVISION=$revision" "SOURCE_DATE_EPOCH=$epoch" "NITRO_CLI=$nitro" GOPROXY=file:///modules; do
		arguments+=(--build-arg "$argument")
	done
	# A label with the version of buildah would make the digest depend on it.
	! buildah build --help | grep -q -e --identity-label || arguments+=(--identity-label=false)
	buildah "${store[@]}" build --isolation chroot --signature-policy "$cache/policy.json" --volume "$modules:/modules:ro" --timestamp "$epoch" \
		--omit-history "${arguments[@]}" --file "$file" --target "$target" --tag "$repository:$(tag_of "$target")" . >"$cache/$target.log" 2>&1 || {
		tail -n 30 "$cache/$target.log" >&2
		fail "$target was not built; the log is $cache/$target.log"
	}
	buildah "${store[@]}" push -q --signature-policy "$cache/policy.json" --digestfile "$cache/$target.digest" \
		"$repository:$(tag_of "$target")" "oci:$out:$(tag_of "$target")"
}

# table prints what is in the layout: MiB are of the layers as they are pulled.
table() {
	local target tag
	printf '%-9s %-72s %6s  %s\n' IMAGE TAG MIB DIGEST
	for target in "${targets[@]}"; do
		tag=$(tag_of "$target")
		printf '%-9s %-72s %6s  %s\n' "$target" "$repository:$tag" \
			"$(skopeo inspect --raw "oci:$out:$tag" | jq -r '[.layers[].size] | add / 1048576 * 10 | round / 10')" "$(cat "$cache/$target.digest")"
	done
}

# An enclave image file is measured and signed by whoever makes it: this makes none but takes what scripts/build-eif.sh left.
eif=build/containment-chamber.eif pcr0='' kernel=''

# read_eif sets pcr0 and kernel. The metadata is not measured, but register 0 is what counts.
read_eif() {
	local described
	[ -s "$eif" ] || fail "the launcher needs $eif: scripts/build-eif.sh makes it, for AWS with --blobs and --pins"
	(cd enclave && GOWORK=off go build -o "$cache/containment-chamber" ./cmd/containment-chamber)
	described=$("$cache/containment-chamber" eif describe --json "$eif") || fail "$eif cannot be read"
	pcr0=$(jq -r .pcrs.PCR0 <<<"$described")
	case $(jq -r .unmeasured_metadata.BuildMetadata.KernelVersion <<<"$described") in
	linux-image-*) kernel=debian ;;
	*) kernel=aws ;;
	esac
	# A section is its header, twelve bytes, and its content.
	read -r offset size < <(jq -r '[.sections[] | select(.type == "ramdisk")][1] | "\(.offset + 12) \(.size_bytes)"' <<<"$described")
	say "$eif has PCR0 $pcr0 and a kernel of $kernel"
}

# program_of_eif prints the digest of what the enclave runs, which is a file of the second ramdisk.
program_of_eif() {
	dd if="$eif" iflag=skip_bytes,count_bytes skip="$offset" count="$size" bs=1M status=none >"$cache/ramdisk"
	! gzip -t "$cache/ramdisk" 2>/dev/null || { gzip -dc "$cache/ramdisk" >"$cache/ramdisk.raw" && mv "$cache/ramdisk.raw" "$cache/ramdisk"; }
	cpio --quiet --extract --to-stdout rootfs/chamber-enclave <"$cache/ramdisk" | sha256sum | cut -d ' ' -f 1
	rm -f "$cache/ramdisk"
}

# check_eif holds the enclave image to the program of the image of the enclave, which was built of this tree.
check_eif() {
	local tree=$cache/tmp/enclave of_image of_eif
	rm -rf --one-file-system "$tree"
	umoci --log error unpack --image "$out:$version-enclave" "$tree"
	of_image=$(sha256sum <"$tree/rootfs/chamber-enclave" | cut -d ' ' -f 1)
	cp "$tree/rootfs/chamber-enclave" "$cache/chamber-enclave"
	rm -rf --one-file-system "$tree"
	of_eif=$(program_of_eif)
	[ "$of_image" != "$of_eif" ] || return 0
	say "$eif runs a chamber-enclave of $of_eif, and the image of the enclave has one of $of_image"
	[ -n "$any_eif" ] || fail "they differ: scripts/build-eif.sh --program .cache/images/chamber-enclave takes that of the image; --any-eif takes $eif as it is"
}

if asked launcher; then read_eif; fi
find_bases
modules=$(go env GOMODCACHE)/cache/download
for module in enclave parent; do (cd "$module" && GOWORK=off go mod download); done
for target in "${targets[@]}"; do
	say "building $target"
	began=$SECONDS
	if [ "$target" = launcher ]; then check_eif; fi
	build "$target"
	say "built $target in $((SECONDS - began)) s"
done
table
[ "$nitro" = required ] || ! asked launcher || say "the launcher has no nitro-cli, and can start no enclave: Amazon's packages were not reached"

if [ -n "$twice" ]; then
	for target in "${targets[@]}"; do
		[ "$target" != launcher ] || continue # the packages of its base leave times and identifiers behind
		first=$(cat "$cache/$target.digest")
		say "building $target again"
		build "$target"
		second=$(cat "$cache/$target.digest")
		printf '%-9s first  %s\n%-9s second %s\n' "$target" "$first" "" "$second"
		[ "$first" = "$second" ] || fail "two builds of $target differ"
	done
fi
[ -z "$run" ] || scripts/images/run.sh
