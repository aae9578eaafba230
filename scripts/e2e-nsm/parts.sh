#!/bin/bash
# Brings what e2e-nsm.sh boots into .cache/qemu-nsm, once: a QEMU with virtio-nsm and the machine nitro-enclave, built from Debian's source,
# and a Debian kernel with the driver of the NSM. Nothing of it is installed: packages are unpacked there. Compilers and headers are
# installed with apt-get where they are missing.
#
# The packages come from one suite of Debian, through the mirror that this machine uses, with package lists of their own: the machine's are
# left as they are.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=$PWD/.cache/qemu-nsm
work=$PWD/build/e2e-nsm-parts
suite=trixie # QEMU 10, which has the machine; Linux 6.12, which has the driver; meson and firmware as they fit
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

say() { echo "e2e-nsm: $*"; }
fail() { echo "e2e-nsm: $*" >&2; exit 1; }

. scripts/as-root.sh

# quietly WHAT COMMAND...: its output is shown only if it fails.
quietly() {
	local what=$1
	shift
	"$@" >"$work/log" 2>&1 || {
		tail -n 40 "$work/log" >&2
		fail "cannot $what"
	}
}

# with_lists PROGRAM ARGUMENT...: a program of apt, with the lists of this check.
with_lists() {
	local program=$1
	shift
	"$program" -q -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$work/apt/lists" \
		-o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=root "$@"
}

read_lists() {
	local mirror
	[ -s "$keyring" ] || fail "no $keyring here: this needs the packages of Debian"
	# shellcheck disable=SC2016 # the names are apt's
	mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' | awk '$1 == "Debian" && $2 !~ /security/ && !found++ { print $2 }')
	[ -n "$mirror" ] || fail "apt-get reads no packages of Debian here: kernel and QEMU's source come from there"
	mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
	cat >"$work/apt/sources.list" <<-LIST
		deb [signed-by=$keyring arch=amd64] $mirror $suite main
		deb-src [signed-by=$keyring] $mirror $suite main
	LIST
	say "reading the package lists of Debian $suite"
	quietly "read the package lists of Debian $suite through the mirror of this machine" with_lists apt-get update
	[ -n "$(with_lists apt-cache showsrc qemu 2>/dev/null | sed -n '/^Package: qemu$/p')" ] || fail "the mirror of this machine has no sources of Debian $suite"
}

# unpack PACKAGE...: into $work/unpacked.
unpack() {
	local file
	mkdir -p "$work/packages"
	(cd "$work/packages" && quietly "download $*" with_lists apt-get download "$@")
	for file in "$work"/packages/*.deb; do dpkg -x "$file" "$work/unpacked"; done
}

# install_tools installs what QEMU is compiled with.
install_tools() {
	local missing=() name
	for name in gcc libc6-dev make ninja-build pkg-config python3-venv flex bison libcbor-dev libglib2.0-dev libgnutls28-dev \
		libpixman-1-dev libfdt-dev binutils xz-utils; do
		dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
	done
	[ ${#missing[@]} != 0 ] || return 0
	say "installing ${missing[*]} with apt-get"
	quietly "read the package lists of this machine" as_root apt-get -qq update
	quietly "install ${missing[*]}" as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}"
}

# build_qemu builds QEMU with nothing but what the machine nitro-enclave needs. The tarball of Debian lacks the firmware images and a
# package of QEMU's tests, so that the two lines that ask for them go.
build_qemu() {
	local began=$SECONDS
	mkdir -p "$work/source"
	say "fetching QEMU's source, 40 MB"
	(cd "$work/source" && quietly "download QEMU's source" with_lists apt-get source --download-only qemu)
	tar -xf "$work"/source/qemu_*.orig.tar.xz -C "$work/source" --strip-components 1
	say "building QEMU, some two minutes on two idle cores"
	(
		cd "$work/source"
		sed -i '/^pycotap/d' pythondeps.toml
		sed -i 's/^    unpack_edk2_blobs = bzip2.found()/    unpack_edk2_blobs = false/' meson.build
		printf 'CONFIG_%s=y\n' MICROVM Q35 NITRO_ENCLAVE VIRTIO_NSM VHOST_USER_VSOCK VIRTIO_PCI >configs/devices/x86_64-softmmu/nsm.mak
		# meson, which QEMU asks for in a newer version than older suites have, is a Python package and runs where it was unpacked.
		export PYTHONPATH=$work/unpacked/usr/lib/python3/dist-packages PATH=$work/unpacked/usr/bin:$PATH
		mkdir build
		cd build
		quietly "configure QEMU" ../configure --python=/usr/bin/python3 --target-list=x86_64-softmmu --without-default-features \
			--without-default-devices --with-devices-x86_64=nsm --enable-system --enable-tcg --enable-gnutls --enable-libcbor \
			--enable-pixman --enable-fdt=system --enable-vhost-user --disable-install-blobs --disable-docs --disable-tools \
			--disable-guest-agent --disable-download --disable-werror
		quietly "build QEMU" ninja qemu-system-x86_64
		strip -o "$cache.new/qemu-system-x86_64" qemu-system-x86_64
	)
	say "QEMU is built after $((SECONDS - began)) s"
}

# in the order in which the guest loads them
modules=(rng-core nsm virtio_mmio vsock vmw_vsock_virtio_transport_common vmw_vsock_virtio_transport)

# take_parts copies what is used out of the unpacked packages. A module that the kernel has built in is not needed.
take_parts() {
	local tree=$work/unpacked module file
	cp "$tree"/boot/vmlinuz-* "$cache.new/vmlinuz"
	mkdir -p "$cache.new/firmware"
	cp -L "$tree"/usr/share/qemu/*.bin "$tree"/usr/share/qemu/*.rom "$tree"/usr/share/seabios/*.bin "$cache.new/firmware/"
	for module in "${modules[@]}"; do
		file=$(find "$tree" -name "$module.ko" -o -name "$module.ko.xz")
		case $file in
		*.ko) cp "$file" "$cache.new/$module.ko" ;;
		*.xz) xz -dc "$file" >"$cache.new/$module.ko" ;;
		*)
			find "$tree" -name modules.builtin -exec grep -q "/$module.ko\$" {} + || fail "the kernel has no module $module"
			continue
			;;
		esac
		echo "$module" >>"$cache.new/modules"
	done
}

main() {
	[ ! -s "$cache/name" ] || return 0
	[ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || fail "this needs Linux on x86_64, and the packages of Debian for it"
	command -v apt-get >/dev/null 2>&1 || fail "no apt-get here: kernel and QEMU's source come as Debian packages"
	rm -rf "$work" "$cache.new"
	mkdir -p "$work" "$cache.new"
	read_lists
	install_tools
	local kernel
	kernel=$(with_lists apt-cache show linux-image-cloud-amd64 | sed -n 's/^Depends: \(linux-image-[^ ]*\).*/\1/p' | sort -u)
	[ -n "$kernel" ] || fail "Debian $suite has no linux-image-cloud-amd64"
	say "fetching $kernel, meson and firmware, some 40 MB"
	unpack "$kernel" meson qemu-system-data seabios
	take_parts
	build_qemu
	printf '%s\n' "$kernel, $("$cache.new/qemu-system-x86_64" --version | head -n 1)" >"$cache.new/name"
	rm -rf "$work" "$cache"
	mv "$cache.new" "$cache"
	say "all parts are in .cache/qemu-nsm after $SECONDS s: $(cat "$cache/name")"
}

main
