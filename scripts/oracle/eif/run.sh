#!/bin/sh
# Compares our enclave images with those of AWS's own library: images that we write must have the bytes and the registers that it gives
# them, and what it builds and signs must be read the same. Needs Rust, OpenSSL's headers, cmake and a quarter of an hour on two cores the
# first time.
#   --write  build the images of shared/eif/testdata anew, with keys that are thrown away
set -eu
cd "$(dirname "$0")/../../.."
root=$PWD
cache=$root/.cache/eif-oracle

case ${1:-} in
'' | --write) ;;
*)
	echo "usage: scripts/oracle/eif/run.sh [--write]" >&2
	exit 2
	;;
esac
command -v cargo >/dev/null 2>&1 || { echo "scripts/oracle/eif/run.sh: cargo is missing: https://rustup.rs, 1.94 or later" >&2; exit 1; }

cargo build --locked --release --quiet --manifest-path scripts/oracle/eif/Cargo.toml --target-dir "$cache"
oracle=$cache/release/eif-oracle

# new_key NAME CURVE: a key and a certificate that nobody else has.
new_key() {
	openssl ecparam -name "$2" -genkey -noout -out "$tmp/$1.key"
	openssl req -new -x509 -key "$tmp/$1.key" -days 3650 -subj "/CN=containment-chamber test $1" -out "$tmp/$1.pem"
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

if [ "${1:-}" = --write ]; then
	out=$root/shared/eif/testdata
	yes kernel | head -c 1000 >"$tmp/kernel"
	yes boot | head -c 700 >"$tmp/boot"
	yes application | head -c 900 >"$tmp/application"
	cat >"$tmp/metadata.json" <<-END
		{"ImageName": "chamber", "ImageVersion": "1", "BuildMetadata": {"BuildTime": "1970-01-01T00:00:01Z", "BuildTool": "make",
		"BuildToolVersion": "4", "OperatingSystem": "Linux", "KernelVersion": "6.12"}, "DockerInfo": null, "CustomMetadata": null}
	END
	build() { "$oracle" build "$out/$1.eif" "$2" 'console=ttyS0' "$tmp/metadata.json" "$tmp/kernel" "$tmp/boot" "$tmp/application" >/dev/null; }
	build unsigned x86_64
	build unsigned-arm64 arm64
	for pair in es256:prime256v1 es384:secp384r1 es512:secp521r1; do
		name=${pair%:*}
		new_key "$name" "${pair#*:}"
		build "$name" x86_64
		"$oracle" sign "$out/$name.eif" "$tmp/$name.key" "$tmp/$name.pem" >/dev/null
	done
	for image in "$out"/*.eif; do
		"$oracle" describe "$image" >"${image%.eif}.json"
	done
fi

# What "eif build" makes, signed and not, compressed and not: the same registers, and a good signature.
(cd enclave && GOWORK=off go build -o "$tmp/" ./cmd/containment-chamber)
new_key signer secp384r1
mkdir -p "$tmp/root/etc"
install -m 0755 scripts/oracle/eif/run.sh "$tmp/root/program"
ln -s ../program "$tmp/root/etc/link"
for options in '' --gzip "--signing-certificate $tmp/signer.pem --private-key $tmp/signer.key" '--arch arm64'; do
	# shellcheck disable=SC2086 # several words
	"$tmp/containment-chamber" eif build $options --output "$tmp/built.eif" --kernel "$tmp/containment-chamber" --init "$tmp/root/program" \
		--cmdline 'console=ttyS0' --rootfs "$tmp/root" --cmd /program >/dev/null
	"$oracle" describe "$tmp/built.eif" >"$tmp/theirs.json"
	"$tmp/containment-chamber" eif measure --json "$tmp/built.eif" | grep -o '"PCR[0-9]*": "[0-9a-f]*"' >"$tmp/ours"
	grep -o '"PCR[0-9]*": "[0-9a-f]*"' "$tmp/theirs.json" | diff - "$tmp/ours" || { echo "scripts/oracle/eif/run.sh: eif build $options: AWS's library finds other registers" >&2; exit 1; }
	grep -q '"checksum": true' "$tmp/theirs.json" || { echo "scripts/oracle/eif/run.sh: eif build $options: wrong checksum" >&2; exit 1; }
	case $options in *private-key*) signature=true ;; *) signature=null ;; esac
	grep -q "\"signature\": $signature" "$tmp/theirs.json" || { echo "scripts/oracle/eif/run.sh: eif build $options: want signature $signature" >&2; exit 1; }
done
echo "AWS's library finds the same registers in what eif build makes"

cd shared/eif
go test -count=1 -run '^TestOracle$' . -oracle "$oracle"
