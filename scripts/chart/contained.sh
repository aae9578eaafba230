#!/bin/bash
# Runs programs as the chart's pods do: as user 65534, without capabilities, on a root file system that cannot be written, and under
# files/seccomp.json, which the container runtime crun applies. First a probe tells which system calls the profile lets pass; then a
# parent and a signer of simulated mode have to become ready.
#
#   contained.sh DIRECTORY    with probe, containment-chamber and containment-chamber-enclave-proxy, linked statically
#
# It needs root, for the containers alone: exit code 77 means that there is no root or no crun, and nothing was tried.
set -euo pipefail
programs=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
profile=$PWD/charts/containment-chamber/files/seccomp.json
bundle=$programs/bundle

say() { echo "contained: $*"; }
fail() { echo "contained: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || { say "not root: containers cannot be started"; exit 77; }
if ! command -v crun >/dev/null; then
	command -v apt-get >/dev/null || { say "crun is missing"; exit 77; }
	say "installing crun with apt-get"
	{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends crun; } >/dev/null 2>&1 || { say "crun cannot be installed"; exit 77; }
fi

rm -rf "$bundle"
mkdir -p "$bundle"/{root/{dev,proc,sys,etc,run,data,keys},etc,run,data,keys}
cp "$programs"/{probe,containment-chamber,containment-chamber-enclave-proxy} "$bundle/root/"
chmod 2777 "$bundle/run" "$bundle/data"
# As kubelets mount a Secret: what is seen are links into a folder that is replaced whole.
mkdir "$bundle/keys/..2026_01_01"
printf 'type: file-raw\nkeyType: BLS\nprivateKey: "0x%064d"\n' 1 >"$bundle/keys/..2026_01_01/one.yaml"
chmod 0440 "$bundle/keys/..2026_01_01/one.yaml"
chgrp -R 65534 "$bundle/keys"
ln -s ..2026_01_01 "$bundle/keys/..data"
ln -s ..data/one.yaml "$bundle/keys/one.yaml"
cat >"$bundle/etc/config.yaml" <<'C'
network: hoodi
key_sources: {filesystem: {paths: [/keys]}}
anti_slashing: {backend: sqlite, sqlite: {path: /data/slashing.sqlite}}
server: {listen_address: 127.0.0.1, listen_port: 0}
metrics: {listen_address: 127.0.0.1, listen_port: 0}
parent: {health: {listen_address: 127.0.0.1, listen_port: 0}}
tls: {mode: atls, listen_port: 0}
tee: {platform: simulated, simulated: {socket_dir: /run, state_dir: /data/nsm}}
C

# contain NAME ARGUMENT...: runs it in a container, in the foreground. The host's control groups are hidden: none is needed, and a
# runtime refuses those of some hosts.
contain() {
	local name=$1 arguments
	shift
	arguments=$(printf ',"%s"' "$@")
	mkdir -p "$bundle/$name"
	{
		cat <<-C
			{"ociVersion": "1.0.2", "root": {"path": "$bundle/root", "readonly": true},
			 "process": {"user": {"uid": 65534, "gid": 65534}, "args": [${arguments#,}], "cwd": "/", "noNewPrivileges": true,
			  "capabilities": {"bounding": [], "effective": [], "permitted": [], "inheritable": [], "ambient": []},
			  "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 4096, "soft": 4096}]},
			 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
			  {"destination": "/etc", "source": "$bundle/etc", "options": ["bind", "ro"]}, {"destination": "/keys", "source": "$bundle/keys", "options": ["bind", "ro"]},
			  {"destination": "/run", "source": "$bundle/run", "options": ["bind"]}, {"destination": "/data", "source": "$bundle/data", "options": ["bind"]}],
			 "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}], "seccomp":
		C
		cat "$profile"
		echo '}}'
	} >"$bundle/$name/config.json"
	# shellcheck disable=SC2016 # for the shell that is started
	exec unshare --mount sh -c 'mount -t tmpfs none /sys/fs/cgroup && exec crun --cgroup-manager=disabled --root "$1/state" run --bundle "$1/$2" "$2-$$"' sh "$bundle" "$name"
}

cat >"$bundle/want" <<'C'
socket unix yes
socket inet yes
socket inet6 yes
socket vsock yes
socket packet no
socket alg no
socket bluetooth no
socket netlink yes
unshare no
add_key no
perf_event_open no
C
(contain probe /probe) >"$bundle/got" 2>"$bundle/errors" || fail "the probe did not run: $(cat "$bundle/errors")"
diff -u "$bundle/want" "$bundle/got" || fail "the profile lets other system calls pass than it should"

children=()
# shellcheck disable=SC2317 # the trap calls it
finish() {
	local child
	for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
}
trap finish EXIT
(contain parent /containment-chamber-enclave-proxy run -c /etc/config.yaml) >"$bundle/parent.log" 2>&1 &
children+=($!)
(contain signer /containment-chamber server -c /etc/config.yaml) >"$bundle/signer.log" 2>&1 &
children+=($!)
for ((try = 0; try < 300; try++)); do
	health=$(sed -n 's/.*"listener":"ingress\/health","address":"\([^"]*\)".*/\1/p' "$bundle/parent.log" | head -1)
	if [ -n "$health" ] && [ "$(curl -s -m 2 -o "$bundle/readyz" -w '%{http_code}' "http://$health/readyz")" = 200 ]; then
		for child in "${children[@]}"; do kill "$child"; done
		for child in "${children[@]}"; do wait "$child" || fail "a program ended with $?: $(cat "$bundle"/*.log)"; done
		children=()
		say "parent and signer became ready under the profile"
		exit 0
	fi
	sleep 0.1
done
fail "not ready in 30 s: $(cat "$bundle"/*.log)"
