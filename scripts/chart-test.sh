#!/bin/bash
# Tests charts/containment-chamber without a cluster:
#
#   - names of metrics, keys of the configuration, the seccomp profile and the runbooks against the code (scripts/chart/verify)
#   - every ci/*-values.yaml of the chart is linted and rendered, and compared with ci/golden: manifests, notes, and what the Pod
#     Security Standard "restricted" says of the pods
#   - what has to be refused is (scripts/chart/refusals)
#   - manifests against the schemas of Kubernetes and of the Prometheus operator
#   - each rendered configuration is read by the product's own programs; those of simulated mode run, and become ready
#   - the programs run as the pods do, under the seccomp profile (scripts/chart/contained.sh); needs root, and says so without
#   - alerts fire when they should, and only then (scripts/chart/alerts_test.yaml), and as the chart renders them, for one release alone
#     (scripts/chart/scoped_test.yaml); queries of the dashboard are queries
#   - the launcher waits for its parent, and not for ever (scripts/chart/prestop.sh)
#
#   scripts/chart-test.sh            fails at what differs
#   scripts/chart-test.sh -update    writes ci/golden, values.schema.json and files/seccomp.json anew
#
# Tools are built from source into .cache/tools, which takes some ten minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
chart=charts/containment-chamber
golden=$chart/ci/golden
tools=$root/.cache/tools
out=$root/build/chart

helm_version=v3.22.0
validate_version=v0.0.4
promtool_version=v0.315.0 # as in scripts/chart/promtool/go.mod
operator_version=v0.85.0  # the newest whose module has the definitions
kubernetes="1.24 1.25 1.26 1.27 1.28 1.29 1.30"

export GOWORK=off
say() { echo "chart-test: $*"; }
fail() { echo "chart-test: $*" >&2; exit 1; }

update=
case ${1:-} in
-update) update=yes ;;
'') ;;
*) fail "want no argument, or -update" ;;
esac
command -v go >/dev/null || fail "Go is missing: make setup installs it"
command -v curl >/dev/null || fail "curl is missing: apt-get install curl"

# tool NAME VERSION PACKAGE: as $tools/NAME-VERSION.
tool() {
	[ -x "$tools/$1-$2" ] && return 0
	say "building $1 $2 into .cache/tools, some minutes the first time"
	mkdir -p "$tools/new"
	GOBIN=$tools/new go install "$3@$2"
	mv "$tools/new/$1" "$tools/$1-$2"
}
tool helm "$helm_version" helm.sh/helm/v3/cmd/helm
tool kubectl-validate "$validate_version" sigs.k8s.io/kubectl-validate
helm=$tools/helm-$helm_version
validate=$tools/kubectl-validate-$validate_version
promtool=$tools/promtool-$promtool_version
grep -q "github.com/prometheus/prometheus $promtool_version" scripts/chart/promtool/go.mod || fail "promtool_version is not that of scripts/chart/promtool/go.mod"
if [ ! -x "$promtool" ]; then
	say "building promtool $promtool_version into .cache/tools, some minutes the first time"
	(cd scripts/chart/promtool && go build -o "$promtool" github.com/prometheus/prometheus/cmd/promtool)
fi

rm -rf "$out"
mkdir -p "$out/rendered" "$out/config" "$out/compared"
children=()
finish() {
	local child
	for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
}
trap finish EXIT

# Static, so that they run in a container of nothing else.
static=(-trimpath -buildvcs=false -tags 'netgo,osusergo' -ldflags '-linkmode external -extldflags "-static"')
(cd enclave && CGO_ENABLED=1 go build "${static[@]}" -o "$out/" ./cmd/containment-chamber)
(cd parent && CGO_ENABLED=1 go build "${static[@]}" -o "$out/" ./cmd/containment-chamber-enclave-proxy)
(cd scripts/chart/verify && CGO_ENABLED=0 go build -o "$out/" . ./probe ./admission)

# render CHART NAME FLAGS...: manifests of one values file. A helm that was built from source takes itself to be on an old Kubernetes.
render() {
	local from=$1 name=$2
	shift 2
	"$helm" template cc "$from" --namespace signers --kube-version "${kube:-1.27.0}" ${name:+--values "$chart/ci/$name-values.yaml"} "$@"
}

say "names of metrics, keys of the configuration, seccomp profile, runbooks"
"$out/verify" ${update:+-update} -queries "$out/queries.yaml" .

# The configuration out of manifests, for awk.
unwrap='/^  config.yaml: \|/ {on = 1; next} /^---/ {on = 0} on {sub(/^    /, ""); print}'
cases=()
for file in "$chart"/ci/*-values.yaml; do
	name=${file##*/}
	cases+=("${name%-values.yaml}")
done
[ "${#cases[@]}" -ge 7 ] || fail "$chart/ci has ${#cases[@]} values files: want 7 at least"

say "lint, render, compare: ${cases[*]}"
mkdir -p "$golden"
# helm shows the notes of an installation alone; this copy of the chart has them among its manifests.
cp -r "$chart" "$out/noted"
printf 'notes: |\n  {{- include (print .Template.BasePath "/NOTES.txt") . | nindent 2 }}\n' >"$out/noted/templates/notes.yaml"
for name in "${cases[@]}"; do
	"$helm" lint --strict --quiet --kube-version 1.27.0 --values "$chart/ci/$name-values.yaml" "$chart" >"$out/lint" 2>&1 || fail "helm lint, $name: $(cat "$out/lint")"
	render "$chart" "$name" >"$out/rendered/$name.yaml"
	awk "$unwrap" "$out/rendered/$name.yaml" >"$out/config/$name.yaml"
	render "$out/noted" "$name" --show-only templates/notes.yaml | sed '1,3d; s/^  //' >"$out/compared/$name.txt"
	cp "$out/rendered/$name.yaml" "$out/compared/"
done
"$out/admission" "$out"/rendered/*.yaml >"$out/compared/admission.txt"
[ -z "$update" ] || { rm -f "$golden"/* && cp "$out"/compared/* "$golden/"; }
diff -ru "$golden" "$out/compared" || fail "not as $golden; if it is meant so, run scripts/chart-test.sh -update"

# What docs/eks.md shows has to work too.
awk '/^# values.yaml$/ {on = 1} /^```$/ {on = 0} on' docs/eks.md >"$out/eks-values.yaml"
[ -s "$out/eks-values.yaml" ] || fail "docs/eks.md: found no values"
"$helm" template containment-chamber "$chart" --kube-version 1.27.0 --values "$out/eks-values.yaml" >"$out/rendered/eks.yaml" || fail "docs/eks.md: its values are refused"
awk "$unwrap" "$out/rendered/eks.yaml" >"$out/config/eks.yaml"

say "refusals"
refused=0
while IFS='|' read -r name flags want; do
	name=${name// /} want=${want# }
	case $name in '#'*) continue ;; esac
	read -ra flags <<<"$flags"
	if said=$(render "$chart" "$name" "${flags[@]}" 2>&1 >/dev/null); then
		fail "not refused: $name ${flags[*]}"
	fi
	grep -qF -- "$want" <<<"$said" || fail "$name ${flags[*]}: want '$want' in: $said"
	refused=$((refused + 1))
done <scripts/chart/refusals
[ "$refused" -ge 40 ] || fail "only $refused refusals were tried"
if grep -rn 'production: true' "$chart"/ci/*.yaml; then fail "production: true is the default, and not to be set"; fi

say "settings that change one thing"
# differs NAME FLAGS: what the flags take from the manifests and add, without names that follow from the configuration.
differs() {
	local name=$1
	shift
	diff <(sed 's/-[0-9a-f]\{10\}\b//' "$out/rendered/$name.yaml") <(render "$chart" "$name" "$@" | sed 's/-[0-9a-f]\{10\}\b//') | sed -n 's/^\([<>]\) */\1 /p' | paste -sd' ' || true
}
changed=0
while IFS='|' read -r name flags want; do
	name=${name// /} want=${want# }
	case $name in '#'*) continue ;; esac
	read -ra flags <<<"$flags"
	said=$(differs "$name" "${flags[@]}")
	[ "$said" = "$want" ] || fail "$name ${flags[*]}: want '$want', but it changes '$said'"
	changed=$((changed + 1))
done <scripts/chart/changes
[ "$changed" -ge 10 ] || fail "only $changed changes were tried"
# A changed configuration is another object, and the old one is kept for the pods that were made with it.
configs() { { render "$chart" standard-minimal "$@" --show-only templates/configmap.yaml && render "$chart" standard-minimal "$@" --show-only templates/deployment.yaml; } | sed -n 's/^  name: \(.*-[0-9a-f]\{10\}\)$/\1/p; s/^ *configMap: {name: \(.*\)}$/\1/p' | sort -u; }
before=$(configs) same=$(configs --set replicaCount=0) after=$(configs --set config.log.level=debug)
if [ "$(wc -l <<<"$before$after")" != 1 ] || [ "$before" != "$same" ] || [ "$before" = "$after" ]; then
	fail "names of the ConfigMap: $before, unchanged $same, changed $after"
fi

say "manifests against the schemas of Kubernetes $kubernetes"
go mod download -json "github.com/prometheus-operator/prometheus-operator@$operator_version" >"$out/operator.json"
crds=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' "$out/operator.json")/example/prometheus-operator-crd
[ -f "$crds/monitoring.coreos.com_prometheusrules.yaml" ] || fail "prometheus-operator $operator_version has no definitions in its module"
mkdir "$out/crds"
for kind in servicemonitors prometheusrules; do
	cp "$crds/monitoring.coreos.com_$kind.yaml" "$out/crds/"
done
for version in $kubernetes; do
	rm -rf "$out/versioned"
	mkdir "$out/versioned"
	for name in "${cases[@]}"; do kube=$version.0 render "$chart" "$name" >"$out/versioned/$name.yaml"; done
	"$validate" --version "$version" --local-crds "$out/crds" "$out/versioned" >"$out/validate" 2>&1 || fail "Kubernetes $version: $(grep -v OK "$out/validate")"
done

# parent CONFIG FLAGS...: starts a parent of this configuration, with ports that are free, and waits until it has opened them.
parent() {
	local config=$1 address port ports=() try
	shift
	: >"$run/log"
	for port in server.listen_port tls.listen_port metrics.listen_port parent.health.listen_port; do ports+=(--set "$port=0"); done
	for address in server metrics parent.health; do [ -n "${as_rendered:-}" ] || ports+=(--set "$address.listen_address=127.0.0.1"); done
	env -i "$out/containment-chamber-enclave-proxy" run -c "$config" --set server.drain_delay_seconds=0 "${ports[@]}" "$@" >"$run/log" 2>&1 &
	parent=$!
	children+=("$parent")
	for ((try = 0; try < 100; try++)); do
		if grep -q '"event":"started"' "$run/log"; then return 0; fi
		kill -0 "$parent" 2>/dev/null || fail "$config: the parent ended: $(cat "$run/log")"
		sleep 0.1
	done
	fail "$config: the parent did not start in 10 s: $(cat "$run/log")"
}

# stop PROCESS: it must end well.
stop() {
	kill "$1"
	wait "$1" || fail "process ended with $?: $(cat "$run/log")"
}

# signs CONFIG: a signer of simulated mode behind the parent that runs becomes ready, asked as the probe asks.
signs() {
	local health try
	health=$(sed -n 's/.*"listener":"ingress\/health","address":"\([^"]*\)".*/\1/p' "$run/log" | head -1)
	env -i "$out/containment-chamber" server -c "$1" >"$run/signer.log" 2>&1 &
	children+=($!)
	for ((try = 0; try < 200; try++)); do
		if [ "$(curl -s -m 2 -o "$run/readyz" -w '%{http_code}' "http://$health/readyz")" = 200 ]; then
			stop "${children[-1]}"
			return 0
		fi
		kill -0 "${children[-1]}" 2>/dev/null || fail "$1: the signer ended: $(cat "$run/signer.log")"
		sleep 0.1
	done
	fail "$1: not ready in 20 s: $(cat "$run/readyz" "$run/signer.log")"
}

say "rendered configurations, by the programs that read them"
run=$out/run
for name in "${cases[@]}" eks; do
	config=$out/config/$name.yaml
	environment=(PRODUCTION=true)
	case $name in simulated*) environment=(PRODUCTION=false) ;; esac
	if [ -f "$chart/ci/$name.env" ]; then
		mapfile -t -O 1 environment < <(grep -v '^#' "$chart/ci/$name.env")
	fi
	env -i "${environment[@]}" "$out/containment-chamber" config check -c "$config" >"$out/check" 2>&1 || fail "$name: config check: $(cat "$out/check")"

	rm -rf "$run"
	mkdir -p "$run/data" "$run/keys"
	chmod 2777 "$run" "$run/data" # as kubelets make an emptyDir
	if grep -q '^  platform: nitro$' "$config"; then
		# At sockets, since this machine's vsock is not ours. It opens all that it would open, and dials nothing.
		parent "$config" --set tee.platform=simulated --set "tee.simulated.socket_dir=$run"
		stop "$parent"
	elif grep -q '^  platform: simulated$' "$config"; then
		sed -i "s|/run/containment-chamber|$run|; s|/var/lib/containment-chamber|$run/data|; s|/keys|$run/keys|" "$config"
		printf 'type: file-raw\nkeyType: BLS\nprivateKey: "0x%064d"\n' 1 >"$run/keys/one.yaml"
		parent "$config"
		signs "$config"
		stop "$parent"
	fi
done
children=()

# answers FAMILY...: the programs' listeners, by their logs, can be connected to at these addresses and at no other of the two.
answers() {
	local address port listeners
	mapfile -t listeners < <(sed -n 's/.*"listener":"\([^"]*\)","address":"[^"]*:\([0-9]*\)".*/\1 \2/p' "$run/log" | grep -v ' 0$' | sort -u)
	[ "${#listeners[@]}" -ge 2 ] || fail "found no listeners in $(cat "$run/log")"
	for address in 127.0.0.1 ::1; do
		for port in "${listeners[@]}"; do
			if (exec 3<>"/dev/tcp/$address/${port##* }") 2>/dev/null; then
				case " $* " in *" $address "*) ;; *) fail "listener $port is at $address too" ;; esac
			else
				case " $* " in *" $address "*) fail "listener $port is not at $address" ;; esac
			fi
		done
	done
}
dual="IPv6 NOT tried (this machine has none)"
if grep -q . /proc/net/if_inet6 2>/dev/null; then # its size is always 0
	say "IPv6 and IPv4"
	render "$chart" simulated --set listenAddress=:: | awk "$unwrap" | sed "s|/run/containment-chamber|$run|; s|/var/lib/containment-chamber|$run/data|; s|/keys|$run/keys|" >"$run/dual.yaml"
	as_rendered=yes parent "$run/dual.yaml"
	answers 127.0.0.1 ::1
	stop "$parent"
	as_rendered=yes parent "$out/config/simulated.yaml"
	answers 127.0.0.1
	stop "$parent"
	render "$chart" standard-minimal --set listenAddress=::,config.server.listen_port=19000,config.metrics.listen_port=19001 | awk "$unwrap" |
		sed "s|/var/lib/containment-chamber|$run/data|; s|/keys|$run/keys|; s/listen_port: 1900./listen_port: 0/" >"$run/dual.yaml"
	env -i "$out/containment-chamber" server -c "$run/dual.yaml" >"$run/log" 2>&1 &
	children+=($!)
	for ((try = 0; try < 100; try++)); do
		[ "$(grep -c '"message":"listening"' "$run/log")" != 2 ] || break
		sleep 0.1
	done
	answers 127.0.0.1 ::1
	stop "${children[-1]}"
	children=()
	dual="IPv6 tried"
fi

say "the launcher's end"
mkdir "$out/prestop"
awk '/^ *- \|$/ {on = 1; next} on && /^ *securityContext/ {exit} on {sub(/^ {20}/, ""); print}' "$out/rendered/nitro-minimal.yaml" >"$out/prestop/hook"
scripts/chart/prestop.sh "$out/prestop" || fail "the launcher's preStop hook, see above"

say "programs under the seccomp profile"
scripts/chart/contained.sh "$out" >"$out/contained" 2>&1 && contained=0 || contained=$?
case $contained in
0) profile="profile run" ;;
77) profile="profile NOT run ($(tail -1 "$out/contained"))" ;;
*) fail "$(cat "$out/contained")" ;;
esac

say "alerts and dashboard"
"$promtool" check rules --lint=all --lint-fatal "$chart/files/alerts.yaml" >"$out/rules" 2>&1 || fail "promtool check rules: $(cat "$out/rules")"
awk '/^---/ {on = 0} rule && /^spec:/ {on = 1; next} /^kind:/ {rule = /PrometheusRule/} on {sub(/^  /, ""); print}' "$out/rendered/nitro-full.yaml" >"$out/scoped.yaml"
"$promtool" check rules "$out/scoped.yaml" >"$out/rules" 2>&1 || fail "promtool check rules, as rendered: $(cat "$out/rules")"
if grep -E 'containment_[a-z0-9_]+([^a-z0-9_{]|$|\{[^n])' "$out/scoped.yaml" | grep -v containment_connect; then fail "rules that look at other releases too"; fi
cp scripts/chart/scoped_test.yaml "$out/"
"$promtool" test rules "$out/scoped_test.yaml" >"$out/rules" 2>&1 || fail "promtool test rules, as rendered: $(cat "$out/rules")"
"$promtool" check rules "$out/queries.yaml" >"$out/rules" 2>&1 || fail "promtool check rules, queries of the dashboard: $(cat "$out/rules")"
"$promtool" test rules scripts/chart/alerts_test.yaml >"$out/rules" 2>&1 || fail "promtool test rules: $(cat "$out/rules")"

say "ok: ${#cases[@]} values files, $refused refusals, $changed changes, $dual, Kubernetes $kubernetes, $(grep -c 'alert:' "$chart/files/alerts.yaml") alerts, $profile"
