#!/bin/bash
# Asks AWS's vsock-proxy and the product's the same questions, side by side in a guest as that of e2e-vsock.sh, and prints a table.
#
#   scripts/e2e-vsock-compare.sh PATH-OF-VSOCK-PROXY PATH-OF-VHOST-DEVICE-VSOCK
#
# AWS's proxy (github.com/aws/aws-nitro-enclaves-cli, vsock_proxy; static) listens on context identifier 3 alone, which loopback has
# not. So the guest gets a vsock device with that identifier, from rust-vmm's vhost-device-vsock (cargo install vhost-device-vsock): a
# process of its own, which touches no vsock of this machine either. Neither program is fetched here. make e2e-vsock has to have run
# before, for QEMU and the guest's kernel, whose package is fetched once more for the modules of that device.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
cache=$root/.cache/vsock-guest
extra=$root/.cache/vsock-guest-device
out=$root/build/e2e-vsock-compare
limit=1800 # seconds from boot to power off; it takes some 200

fail() { echo "compare: $*" >&2; exit 1; }

[ $# = 2 ] || fail "want the paths of AWS's vsock-proxy and of vhost-device-vsock"
theirs=$(realpath "$1")
device=$(realpath "$2")
for file in "$theirs" "$device"; do [ -x "$file" ] || fail "$file is no program"; done
if readelf -l "$theirs" | grep -q INTERP; then fail "$theirs is not static, and the guest has no libraries"; fi
[ -s "$cache/name" ] || fail "no guest yet: make e2e-vsock makes it"

# in the order in which they are loaded; the second line is e2e-vsock.sh's but for the device's own
modules=(virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci
	vsock vmw_vsock_virtio_transport_common vmw_vsock_virtio_transport vsock_loopback)

# fetch_modules unpacks them from the package that the guest's kernel came from.
fetch_modules() {
	local kernel new=$extra.new module
	kernel=$(cat "$cache/name")
	echo "compare: fetching $kernel for its modules, about 30 MB"
	rm -rf "$new" "$extra"
	mkdir -p "$new"
	(cd "$new" && apt-get -q -o APT::Sandbox::User=root download "$kernel" >/dev/null) || fail "apt-get has no $kernel any more: remove $cache, and run make e2e-vsock"
	dpkg -x "$new"/*.deb "$new/unpacked"
	for module in "${modules[@]}"; do
		find "$new/unpacked" -name "$module.ko" -exec cp {} "$new/" \; -o -name "$module.ko.xz" -exec cp {} "$new/" \;
		[ ! -e "$new/$module.ko.xz" ] || xz -d "$new/$module.ko.xz"
		[ -e "$new/$module.ko" ] || fail "$kernel has no module $module"
	done
	rm -rf "$new"/*.deb "$new/unpacked"
	echo "$kernel" >"$new/name"
	mv "$new" "$extra"
}

build() {
	local tree=$out/guest module
	rm -rf "$out"
	mkdir -p "$tree"/{bin,dev,proc,sys,tmp,etc,modules,e2e/shipped}
	(cd parent && GOWORK=off go build -trimpath -tags netgo,osusergo -o "$tree/e2e/shipped/" ./cmd/containment-chamber-enclave-proxy)
	(cd enclave && GOWORK=off go build -trimpath -tags netgo,osusergo -ldflags '-linkmode external -extldflags "-static"' -o "$tree/e2e/" ./e2e/vsock)
	cp "$theirs" "$tree/e2e/vsock-proxy"
	cp "$cache/busybox" "$tree/bin/"
	for module in "${modules[@]}"; do cp "$extra/$module.ko" "$tree/modules/"; done
	printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >"$tree/etc/resolv.conf"
	# The soft limit of file descriptors is raised for both: 600 connections are 1200 of them.
	cat >"$tree/init" <<INIT
#!/bin/busybox sh
export PATH=/bin RUST_LOG=info
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
ip link set lo up
for m in ${modules[*]}; do insmod "/modules/\$m.ko" || echo "compare: no module \$m"; done
ulimit -n 4096
echo "compare: Linux \$(uname -r); AWS's: \$(/e2e/vsock-proxy --version)"
/e2e/vsock --binaries /e2e --compare /e2e/vsock-proxy
echo "compare: ended with exit code \$?"
poweroff -f
INIT
	chmod +x "$tree/init"
	(cd "$tree" && find . | "$cache/busybox" cpio -o -H newc 2>/dev/null) >"$out/initrd"
	rm -rf "$tree"
}

# boot is e2e-vsock.sh's, with the device: its process shares the guest's memory, and ends with QEMU.
boot() {
	local status=0 control
	control=$(mktemp -d)
	"$device" --guest-cid 3 --socket "$control/device" --uds-path "$control/host" >"$out/device.log" 2>&1 &
	local device_process=$!
	for _ in $(seq 100); do [ ! -S "$control/device" ] || break; sleep 0.1; done
	timeout --foreground --kill-after 10 "$limit" qemu-system-x86_64 -accel tcg -cpu max -m 1536 -smp 2 \
		-object memory-backend-memfd,id=memory,size=1536M,share=on -machine q35,memory-backend=memory \
		-chardev "socket,id=device,path=$control/device" -device vhost-user-vsock-pci,chardev=device \
		-kernel "$cache/vmlinuz" -initrd "$out/initrd" -append "console=ttyS0 panic=-1 quiet" \
		-nographic -no-reboot -nodefaults -serial stdio </dev/null 2>&1 | sed -u 's/\x1b[^a-zA-Z]*[a-zA-Z]//g; s/\r$//' | tee "$out/transcript" || status=${PIPESTATUS[0]}
	kill "$device_process" 2>/dev/null || true
	rm -rf "$control"
	[ "$status" = 0 ] || fail "QEMU ended with exit code $status"
}

if ! cmp -s "$cache/name" "$extra/name"; then fetch_modules; fi
build
boot
grep -q '^compare: ended with exit code 0$' "$out/transcript" || fail "some answers are missing, or not what the product should do"
echo "compare: the transcript is $out/transcript"
