#!/bin/bash
# Boots a Debian kernel in QEMU, without KVM, and runs the project's static binaries in it over the loopback of AF_VSOCK, which few
# build machines have. The checks are enclave/e2e/vsock; a failure, a panic, a hang or a check that did not run is a failure here.
#
# QEMU is installed with apt-get where it is missing; kernel and busybox are unpacked into .cache/vsock-guest, and stay as they
# came until that folder is removed.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
cache=$root/.cache/vsock-guest
out=$root/build/e2e-vsock
limit=300 # seconds from boot to power off; it takes some 30

say() { echo "e2e-vsock: $*"; }
fail() { echo "e2e-vsock: $*" >&2; exit 1; }

if [ "$(uname -s) $(uname -m)" != "Linux x86_64" ]; then
	fail "this needs Linux on x86_64, and the packages of Debian for it"
fi
if ! command -v apt-get >/dev/null 2>&1; then
	fail "no apt-get here: kernel, QEMU and busybox come as Debian packages"
fi

. scripts/as-root.sh

# quietly COMMAND...: its output is shown only if it fails.
quietly() {
	"$@" >"$cache.log" 2>&1 || {
		cat "$cache.log" >&2
		fail "failed: $*"
	}
}

updated=
update_lists() {
	[ -z "$updated" ] || return 0
	say "apt-get update"
	quietly as_root apt-get -qq update
	updated=yes
}

# need PROGRAM PACKAGE
need() {
	command -v "$1" >/dev/null 2>&1 && return 0
	update_lists
	say "installing $2 with apt-get"
	quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$2"
}

# fetch_guest unpacks the kernel with the modules of AF_VSOCK, and busybox.
fetch_guest() {
	update_lists
	local kernel new=$cache.new module file
	kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
	[ -n "$kernel" ] || fail "apt-get knows no package linux-image-cloud-amd64: this needs the packages of Debian"
	say "fetching $kernel and busybox-static into .cache, about 30 MB"
	rm -rf "$new"
	mkdir -p "$new/packages"
	(cd "$new/packages" && quietly apt-get -q -o APT::Sandbox::User=root download "$kernel" busybox-static)
	for file in "$new"/packages/*.deb; do
		dpkg -x "$file" "$new/unpacked"
	done
	cp "$new"/unpacked/boot/vmlinuz-* "$new/vmlinuz"
	cp "$new/unpacked/bin/busybox" "$new/busybox" 2>/dev/null || cp "$new/unpacked/usr/bin/busybox" "$new/busybox"
	for module in "${modules[@]}"; do
		file=$(find "$new/unpacked" -name "$module.ko" -o -name "$module.ko.xz")
		case $file in
		*.ko) cp "$file" "$new/$module.ko" ;;
		*.xz) xz -dc "$file" >"$new/$module.ko" ;;
		*) fail "$kernel has no module $module" ;;
		esac
	done
	echo "$kernel" >"$new/name"
	rm -rf "$new/packages" "$new/unpacked" "$cache"
	mv "$new" "$cache"
}

# in the order in which they are loaded
modules=(vsock vmw_vsock_virtio_transport_common vsock_loopback)

# build MODULE TAGS LDFLAGS OUT PACKAGE...: as images are built, and static.
build() {
	local module=$1 tags=$2 flags=$3 to=$4
	shift 4
	mkdir -p "$to"
	(cd "$module" && GOWORK=off go build -trimpath -buildvcs=false -tags "$tags" -ldflags "-s -w $flags" "${overlay[@]}" -o "$to/" "$@")
}

build_binaries() {
	local static='-linkmode external -extldflags "-static"' tags=netgo,osusergo
	local stand_in=$root/enclave/e2e/vsock
	rm -rf "$out"
	mkdir -p "$out/e2e"
	# The same platform simulated, with one package replaced: its sockets are then those of AF_VSOCK.
	printf '{"Replace":{"%s":"%s","%s":"","%s":"%s"}}\n' \
		"$root/shared/vsock/unixvsock/unixvsock.go" "$stand_in/unixvsock/unixvsock.go" \
		"$root/shared/vsock/unixvsock/hybrid.go" \
		"$root/shared/vsock/kernel_loopback_test.go" "$stand_in/testdata/kernel_test.go" >"$out/overlay.json"

	overlay=()
	build parent "$tags" "" "$out/e2e/shipped" ./cmd/containment-chamber-enclave-proxy
	build enclave "$tags" "$static" "$out/e2e/shipped" ./cmd/chamber-enclave
	build enclave "$tags" "$static" "$out/e2e" ./e2e/vsock
	overlay=(-overlay "$out/overlay.json")
	build parent "$tags" "" "$out/e2e/over-vsock" ./cmd/containment-chamber-enclave-proxy
	build enclave "$tags" "$static" "$out/e2e/over-vsock" ./cmd/containment-chamber ./e2e/demo ./e2e/kmsd
	(cd shared && GOWORK=off go test -c -tags "$tags" "${overlay[@]}" -o "$out/e2e/shared-vsock.test" ./vsock)
	local binary
	while read -r binary; do
		if readelf -l "$binary" | grep -q INTERP; then fail "$binary is not static"; fi
	done < <(find "$out/e2e" -type f)
}

# pack makes the guest's file system, which stays in memory.
pack() {
	local tree=$out/guest module
	rm -rf "$tree"
	mkdir -p "$tree"/{bin,dev,proc,sys,tmp,modules}
	cp "$cache/busybox" "$tree/bin/"
	mv "$out/e2e" "$tree/e2e"
	for module in "${modules[@]}"; do cp "$cache/$module.ko" "$tree/modules/"; done
	cat >"$tree/init" <<'INIT'
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
ip link set lo up
for m in @MODULES@; do insmod "/modules/$m.ko" || echo "e2e-vsock: no module $m"; done
echo "e2e-vsock: Linux $(uname -r) is up after $(cut -d ' ' -f 1 /proc/uptime) s"
/e2e/vsock --binaries /e2e
echo "e2e-vsock: the checks ended with exit code $?"
poweroff -f
INIT
	sed -i "s/@MODULES@/${modules[*]}/" "$tree/init"
	chmod +x "$tree/init"
	(cd "$tree" && find . | "$cache/busybox" cpio -o -H newc 2>/dev/null) >"$out/initrd"
	rm -rf "$tree"
}

# boot runs the guest until it powers off. -cpu max, because the BLS library ends at once on QEMU's default CPU; TCG, because the
# KVM of a build machine may not be one. A panic ends QEMU, since the guest would reboot.
boot() {
	local status=0
	timeout --foreground --kill-after 10 "$limit" qemu-system-x86_64 -accel tcg -cpu max -m 1536 -smp 2 \
		-kernel "$cache/vmlinuz" -initrd "$out/initrd" -append "console=ttyS0 panic=-1 quiet" \
		-nographic -no-reboot -nodefaults -serial stdio </dev/null 2>&1 | sed -u 's/\x1b[^a-zA-Z]*[a-zA-Z]//g; s/\r$//' | tee "$out/transcript" || status=${PIPESTATUS[0]}
	[ "$status" != 124 ] || fail "the guest was still up after $limit s"
	[ "$status" = 0 ] || fail "QEMU ended with exit code $status"
}

# judge compares the names of the checks with those that passed.
judge() {
	if ! diff "$out/wanted" <(sed -n 's/^ok [0-9]* - //p' "$out/transcript") >"$out/missing"; then
		sed -n 's/^< /  /p' "$out/missing" >&2
		fail "these checks did not pass"
	fi
	grep -q '^e2e-vsock: the checks ended with exit code 0$' "$out/transcript" || fail "the checks did not end well"
}

mkdir -p "$root/.cache"
need qemu-system-x86_64 qemu-system-x86
need readelf binutils
need xz xz-utils
[ -s "$cache/name" ] || fetch_guest
say "building"
began=$SECONDS
build_binaries
"$out/e2e/vsock" --list >"$out/wanted"
pack
say "booting $(cat "$cache/name") after $((SECONDS - began)) s"
booted=$SECONDS
boot
judge
say "all $(wc -l <"$out/wanted") checks passed, $((SECONDS - booted)) s from boot to power off, $((SECONDS - began)) s with the build"
