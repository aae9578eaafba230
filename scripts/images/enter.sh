#!/bin/bash
# Becomes a program of an unpacked image, in a file system of its own, as a container runtime starts it: scripts/images/run.sh has the
# demonstration call it with the program's path outside, and its arguments.
#
#   CHAMBER_BUNDLES   directory of the unpacked images, signer and parent
#   CHAMBER_DIR       directory of the demonstration
#
# The process keeps its number, so that signals reach the program itself. It has the image's user, no capabilities, no way to get any, and
# a root that it cannot write to. The parent sees the configuration, the sockets and the token of its pod, and the network; the signer sees
# the sockets, its keys and databases, and no network at all.
set -euo pipefail

fail() { echo "enter: $*" >&2; exit 1; }

# mounted does what needs a mount namespace: here already, with the user's number of the image.
if [ "${1:-}" = --mounted ]; then
	bundle=$2 user=$3
	shift 3
	tree=$bundle/rootfs
	mount --bind "$tree" "$tree"
	while read -r how path; do
		mount --rbind "$path" "$tree$path"
		[ "$how" = rw ] || mount -o remount,bind,ro "$tree$path"
	done <"$bundle/mounts"
	mount -o remount,bind,ro "$tree"
	# A second user namespace has capabilities only until the program is there, which does not get them.
	mapfile -t environment <"$bundle/environment"
	exec "$(command -v env)" -i "${environment[@]}" "$(command -v setpriv)" --no-new-privs \
		"$(command -v unshare)" --user --map-user="$user" --map-group="$user" --root "$tree" --wd / -- "$@"
fi

program=$1
shift
case ${program##*/} in
containment-chamber)
	bundle=$CHAMBER_BUNDLES/signer
	namespaces=(--net) told=nothing=
	printf '%s\n' "rw $CHAMBER_DIR" >"$bundle/mounts"
	;;
containment-chamber-enclave-proxy)
	bundle=$CHAMBER_BUNDLES/parent
	namespaces=() told=AWS_CONTAINER_
	printf '%s\n' "ro $CHAMBER_DIR/config.yaml" "rw $CHAMBER_DIR/vsock" "ro $CHAMBER_DIR/kms/agent-token" "ro /etc/resolv.conf" >"$bundle/mounts"
	;;
*) fail "no image has $program" ;;
esac
echo "rw /proc" >>"$bundle/mounts"
while read -r _ path; do
	if [ -d "$path" ]; then
		mkdir -p "$bundle/rootfs$path"
	else
		mkdir -p "$bundle/rootfs${path%/*}"
		[ -e "$bundle/rootfs$path" ] || : >"$bundle/rootfs$path"
	fi
done <"$bundle/mounts"

entry=$(jq -r '.process.args[0]' "$bundle/config.json")
user=$(jq -r .process.user.uid "$bundle/config.json")
[ "${entry##*/}" = "${program##*/}" ] || fail "the image's entry point is $entry, not ${program##*/}"
{
	jq -r '.process.env[]' "$bundle/config.json"
	env | grep "^$told" || true
} >"$bundle/environment"
echo $$ >"$bundle/pid"
exec unshare --user --map-user="$user" --map-group="$user" --keep-caps --mount --ipc --uts "${namespaces[@]}" \
	"$0" --mounted "$bundle" "$user" "$entry" "$@"
