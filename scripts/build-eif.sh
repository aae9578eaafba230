#!/bin/bash
# Builds the enclave image, in one of two ways, and prints the registers (PCR0, 1, 2 and, signed, 8) that an enclave of it has.
#
#   scripts/build-eif.sh [options]                 with our own builder: the same parts give the same bytes (docs/enclave-image.md)
#   scripts/build-eif.sh --docker-uri IMAGE [...]  with docker and AWS's nitro-cli: other bytes each time, since it writes times
#
#   --output FILE               the image (build/containment-chamber.eif)
#   --arch x86_64|arm64         the processor (this machine's)
#   --signing-certificate FILE  sign, with --private-key FILE: PEM, P-384
# With our own builder:
#   --blobs DIR                 AWS's kernel, cmdline and nsm.ko, as aws-nitro-enclaves-cli-devel installs them
#                               (/usr/share/nitro_enclaves/blobs); without it a kernel of Debian is fetched, which is not for AWS
#   --pins FILE                 what kernel and modules must be, as sha256sum writes it: DIGEST  NAME; needed with --blobs
#   --unpinned                  take kernel and modules as they are, and write build/eif/pins for --pins
#   --program FILE              chamber-enclave built before, such as that of a release; without it, it is built here
#   --oci DIR[:REF]             the container image (Dockerfile.enclave, target enclave) in the OCI image layout, in place of --program; its
#                               environment is left out
set -euo pipefail
began=$PWD
cd "$(dirname "$0")/.."
root=$PWD
cache=$root/.cache/eif
out=$root/build/eif

say() { echo "build-eif: $*" >&2; }
fail() {
	echo "build-eif: $*" >&2
	exit 1
}
usage() {
	sed -n 's/^# \{0,1\}//; 2,/^set /{/^set /d; p;}' "$root/scripts/build-eif.sh" | sed 1d >&2
	exit 2
}

output=$root/build/containment-chamber.eif
arch=$(uname -m)
blobs='' pins='' unpinned='' program='' oci='' docker_uri=''
signing=()
# from_here FILE: as it was meant where the script was called.
from_here() { case $1 in /*) echo "$1" ;; *) echo "$began/$1" ;; esac; }
while [ $# -gt 0 ]; do
	case $1 in
	--unpinned) unpinned=yes && shift && continue ;;
	--output | --arch | --blobs | --pins | --program | --oci | --docker-uri | --signing-certificate | --private-key) [ $# -ge 2 ] || usage ;;
	*) usage ;;
	esac
	case $1 in
	--output) output=$(from_here "$2") ;;
	--arch) arch=$2 ;;
	--blobs) blobs=$(from_here "$2") ;;
	--pins) pins=$(from_here "$2") ;;
	--program) program=$(from_here "$2") ;;
	--oci) oci=$(from_here "$2") ;;
	--docker-uri) docker_uri=$2 ;;
	--signing-certificate | --private-key) signing+=("$1" "$(from_here "$2")") ;;
	esac
	shift 2
done
case $arch in
x86_64 | amd64) arch=x86_64 go_arch=amd64 kernel_name=bzImage ;;
arm64 | aarch64) arch=arm64 go_arch=arm64 kernel_name=Image ;;
*) fail "--arch: $arch, want x86_64 or arm64" ;;
esac
export PATH=$root/.cache/go/bin:$PATH
. "$root/scripts/release/settings.sh"
# The toolchain is part of the bytes.
GOTOOLCHAIN=$(sed -n 's/^toolchain //p' go.work)
export GOTOOLCHAIN

# need PROGRAM WHERE
need() { command -v "$1" >/dev/null 2>&1 || fail "$1 is missing: $2"; }

# with_nitro_cli is AWS's way. Its ramdisks hold the times of their making, hence PCR0 differs from build to build.
with_nitro_cli() {
	need docker "https://docs.docker.com/engine/install/"
	need nitro-cli "on Amazon Linux: dnf install aws-nitro-enclaves-cli aws-nitro-enclaves-cli-devel"
	say "nitro-cli does not build reproducibly: keep this image and its registers, a second build has others"
	nitro-cli build-enclave --docker-uri "$docker_uri" "${signing[@]}" --output-file "$output"
	chamber eif measure "$output"
}

# chamber ARGUMENT...: our command line, built for this machine.
chamber() {
	[ -n "${chamber_built:-}" ] || (cd enclave && GOWORK=off go build -trimpath -buildvcs=false -o "$out/" ./cmd/containment-chamber)
	chamber_built=yes
	"$out/containment-chamber" "$@"
}

# build_program builds what the enclave runs. Its C part is compiled by this machine's compiler, which is part of its bytes.
build_program() {
	local compiler=${CC:-gcc}
	if [ "$go_arch" != "$(go env GOHOSTARCH)" ]; then
		compiler=${CC:-$([ "$go_arch" = arm64 ] && echo aarch64-linux-gnu-gcc || echo x86_64-linux-gnu-gcc)}
	fi
	need "$compiler" "a C compiler for $arch: apt-get install gcc, or gcc-aarch64-linux-gnu libc6-dev-arm64-cross to build for arm64 elsewhere"
	say "building chamber-enclave with $(go env GOVERSION) and $("$compiler" --version | head -n 1)"
	(cd enclave && GOWORK=off GOOS=linux GOARCH=$go_arch CGO_ENABLED=1 CC=$compiler go build -trimpath -buildvcs=false -tags netgo,osusergo \
		-ldflags '-s -w -buildid= -linkmode external -extldflags "-static -Wl,--build-id=none"' -o "$out/chamber-enclave" ./cmd/chamber-enclave)
	program=$out/chamber-enclave
}

build_init() {
	(cd enclave && GOWORK=off GOOS=linux GOARCH=$go_arch CGO_ENABLED=0 go build -trimpath -buildvcs=false \
		-ldflags '-s -w -buildid=' -o "$out/chamber-init" ./cmd/chamber-init)
}

# digest_of FILE
digest_of() { sha256sum <"$1" | cut -d ' ' -f 1; }

# pinned FILE NAME gives FILE@sha256:DIGEST with the digest that NAME is pinned to.
pinned() {
	local digest
	if [ -n "$unpinned" ]; then
		echo "$(digest_of "$1")  $2" >>"$out/pins"
		echo "$1"
		return
	fi
	digest=$(awk -v name="$2" '$2 == name || $2 == "*" name { print $1 }' "$pins")
	[ -n "$digest" ] || fail "$2 is not pinned in $pins: --unpinned writes the line for it"
	echo "$1@sha256:$digest"
}

# debian_pins are of the packages that this script knows.
debian_pins() {
	cat <<'PINS'
d1bc2c60a78ae6979736d081bc3c90e45ace6baf414f767dff588e319d3492bd  linux-image-6.12.107+deb13-cloud-amd64/vmlinuz
f47f706257bbfc3a86387f1087666421345537d8ec64fe904fe4228d6365f094  linux-image-6.12.107+deb13-cloud-amd64/nsm.ko
e4e7982672928e43eb6f4d6815bdffd1d77a621815aca7de33c2db4112e26a72  linux-image-6.12.107+deb13-cloud-amd64/virtio_mmio.ko
85302a52a0c810cdb4ee5f8ca0f39a9164ad485e677ad1ea059acc509d52109b  linux-image-6.12.107+deb13-cloud-amd64/vsock.ko
42822782398b38d2df58d233b28de342370630d5160d58b0a30e25401bf05677  linux-image-6.12.107+deb13-cloud-amd64/vmw_vsock_virtio_transport_common.ko
4094e666f87a5252155d609aa8955e4a303ea92bf1fbab02c078a965deb32082  linux-image-6.12.107+deb13-cloud-amd64/vmw_vsock_virtio_transport.ko
f671b4c0ebd29ef90f9ac0d2e82eb3b7826130f7882d6f5172180fcfb5d7452b  linux-image-6.12.107+deb13-cloud-arm64/vmlinuz
11c61310e3d199d7668d2c04ef25ca9b9aaf5e3d2ab265b0bd221f3e7a52f344  linux-image-6.12.107+deb13-cloud-arm64/nsm.ko
56df4dd3e4c0beefd3f5858580fb0e8c8ef8d7046089d8f3195afef74545ff58  linux-image-6.12.107+deb13-cloud-arm64/virtio_mmio.ko
4054d78d7a1cf18a10cca2b2d52fd93313a49488fb1bc074b45799ce461e032f  linux-image-6.12.107+deb13-cloud-arm64/vsock.ko
f86d96341c992cecf2c4859ba604df5ec08fd2ac53d655c3696c57a41e832577  linux-image-6.12.107+deb13-cloud-arm64/vmw_vsock_virtio_transport_common.ko
6fd91262852b6fd4f61a5471425951d86a7f85f60ac05d2d728a8545363b7fb1  linux-image-6.12.107+deb13-cloud-arm64/vmw_vsock_virtio_transport.ko
PINS
}

# fetch_debian unpacks a kernel that has a driver for the security module: that of Debian 13, whatever Debian this is.
fetch_debian() {
	need apt-get "the kernel is a package of Debian; elsewhere give --blobs"
	need dpkg "the kernel is a package of Debian; elsewhere give --blobs"
	need xz "apt-get install xz-utils"
	[ -r /usr/share/keyrings/debian-archive-keyring.gpg ] || fail "Debian's keys are missing: apt-get install debian-archive-keyring"
	local mirror new=$cache.new package module file
	# The mirror is this machine's own, where it has one of Debian.
	# shellcheck disable=SC2016 # apt-get fills this in
	mirror=$(apt-get indextargets 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' --format '$(REPO_URI)' | sort -u | head -n 1)
	[ -n "$mirror" ] || mirror=http://deb.debian.org/debian/
	rm -rf "$new"
	mkdir -p "$new/lists/partial" "$new/cache/archives/partial" "$new/packages"
	echo "deb [arch=$go_arch signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$new/sources.list"
	apt=(-qq -o "Dir::Etc::sourcelist=$new/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$new/lists" -o Dir::State::status=/dev/null
		-o "Dir::Cache=$new/cache" -o "APT::Architecture=$go_arch" -o "APT::Architectures=$go_arch" -o APT::Sandbox::User=root)
	apt-get "${apt[@]}" update >&2
	package=$(apt-cache "${apt[@]}" depends "linux-image-cloud-$go_arch" | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
	[ -n "$package" ] || fail "no package linux-image-cloud-$go_arch"
	say "fetching $package into .cache, about 34 MB"
	(cd "$new/packages" && apt-get "${apt[@]}" download "$package" >&2)
	for file in "$new"/packages/*.deb; do dpkg -x "$file" "$new/unpacked"; done
	cp "$new"/unpacked/boot/vmlinuz-* "$new/vmlinuz"
	for module in "${modules[@]}"; do
		file=$(find "$new/unpacked" -name "$module.ko" -o -name "$module.ko.xz")
		case $file in
		*.ko) cp "$file" "$new/$module.ko" ;;
		*.xz) xz -dc "$file" >"$new/$module.ko" ;;
		*) grep -q "/$module.ko$" "$new"/unpacked/usr/lib/modules/*/modules.builtin || fail "$package has no module $module" ;;
		esac
	done
	echo "$package" >"$new/name"
	rm -rf "$new/packages" "$new/unpacked" "$new/lists" "$new/cache" "$new/sources.list" "${cache:?}/$arch"
	mkdir -p "$cache"
	mv "$new" "$cache/$arch"
}

# What a kernel of Debian needs to reach the security module and the host, in the order of loading; some are built in.
modules=(rng-core nsm virtio_mmio vsock vmw_vsock_virtio_transport_common vmw_vsock_virtio_transport)

# of_debian sets kernel and modules to those of Debian's package.
of_debian() {
	[ -s "$cache/$arch/name" ] || fetch_debian
	name=$(cat "$cache/$arch/name")
	if [ -z "$pins" ] && [ -z "$unpinned" ]; then
		pins=$out/pins
		debian_pins | sed -n "s|^\([0-9a-f]*\)  $name/|\1  |p" >"$pins"
		[ -s "$pins" ] || fail "$name is not pinned in this script: Debian has moved on; --unpinned writes lines for --pins"
	fi
	kernel=$(pinned "$cache/$arch/vmlinuz" vmlinuz)
	command_line='reboot=k panic=30 pci=off nomodules console=ttyS0 random.trust_cpu=on'
	case $arch in
	x86_64) command_line="reboot=k panic=30 pci=off nomodules console=ttyS0 i8042.noaux i8042.nomux i8042.nopnp i8042.dumbkbd random.trust_cpu=on" ;;
	arm64) command_line="$command_line root=/dev/ram0" ;;
	esac
	parts+=(--cmdline "$command_line" --kernel-version "$name")
	local module
	for module in "${modules[@]}"; do
		[ -e "$cache/$arch/$module.ko" ] || continue # built in
		parts+=(--module "$(pinned "$cache/$arch/$module.ko" "$module.ko")")
	done
	label="of a Debian kernel ($name), not AWS's: it is for tests in QEMU"
}

# of_aws sets them to those that AWS built.
of_aws() {
	local file
	for file in "$kernel_name" cmdline; do
		[ -r "$blobs/$file" ] || fail "--blobs: $blobs/$file is missing; on Amazon Linux: dnf install aws-nitro-enclaves-cli-devel"
	done
	[ -n "$pins" ] || [ -n "$unpinned" ] || fail "--blobs needs --pins FILE; --unpinned writes lines for it"
	kernel=$(pinned "$blobs/$kernel_name" "$kernel_name")
	parts+=(--cmdline-file "$(pinned "$blobs/cmdline" cmdline)")
	[ ! -e "$blobs/nsm.ko" ] || parts+=(--module "$(pinned "$blobs/nsm.ko" nsm.ko)")
	label="of the kernel in $blobs"
}

reproducibly() {
	parts=()
	[ -z "$unpinned" ] || rm -f "$out/pins"
	build_init
	if [ -n "$blobs" ]; then of_aws; else of_debian; fi
	if [ -n "$oci" ]; then
		# Builders of container images write a PATH into them, and the same program in a directory has none.
		parts+=(--oci "$oci" --no-env)
	else
		[ -n "$program" ] || build_program
		rm -rf "$out/rootfs"
		mkdir -p "$out/rootfs"
		install -m 0755 "$program" "$out/rootfs/chamber-enclave"
		parts+=(--rootfs "$out/rootfs" --cmd /chamber-enclave)
	fi
	[ -z "$unpinned" ] || say "nothing held the kernel and its modules to anything; $out/pins has what they are now, for --pins"
	say "the registers are $label"
	chamber eif build --output "$output" --arch "$arch" --kernel "$kernel" --init "$out/chamber-init@sha256:$(digest_of "$out/chamber-init")" \
		"${parts[@]}" "${signing[@]}"
}

need go "https://go.dev/dl, or make setup"
mkdir -p "$out" "$root/.cache" "$(dirname "$output")"
if [ -n "$docker_uri" ]; then with_nitro_cli; else reproducibly; fi
