{{/* What does not fit together, one a line. */}}
{{- define "containment-chamber.problems" -}}
{{- $c := .Values.config -}}
{{- $mode := include "containment-chamber.mode" . -}}
{{- $backend := dig "anti_slashing" "backend" "" $c -}}
{{- $state := dig "signer_state" "backend" "" $c -}}
{{- if and .Values.enclave.enabled .Values.simulated.enabled }}
enclave.enabled and simulated.enabled: choose one
{{- end }}
{{- if not (dig "network" "" $c) }}
config.network: must be set to mainnet, sepolia, hoodi, holesky, gnosis or custom; a signer on the wrong network signs nothing
{{- end }}
{{- if not $backend }}
config.anti_slashing.backend: must be set to postgres, dynamodb or sqlite; it decides whether this signer can vote twice
{{- end }}
{{- include "containment-chamber.problems.listeners" . }}
{{- include "containment-chamber.problems.access" . }}
{{- include "containment-chamber.problems.stores" (dict "root" . "mode" $mode "backend" $backend "state" $state) }}
{{- if eq $mode "nitro" }}
{{- include "containment-chamber.problems.nitro" . }}
{{- end }}
{{- include "containment-chamber.problems.environment" . }}
{{- include "containment-chamber.problems.pod" . }}
{{- end -}}

{{- define "containment-chamber.problems.listeners" -}}
{{- $c := .Values.config -}}
{{- $mode := include "containment-chamber.mode" . -}}
{{- $platform := dig "tee" "platform" "" $c -}}
{{- $want := ternary "none" $mode (eq $mode "standard") -}}
{{- if and $platform (ne $platform $want) }}
config.tee.platform: is {{ $platform }}, but {{ if eq $mode "standard" }}neither enclave.enabled nor simulated.enabled is set{{ else }}{{ ternary "enclave" "simulated" (eq $mode "nitro") }}.enabled is set, which makes it {{ $mode }}{{ end }}; leave it out
{{- end }}
{{- range $key, $value := dict "server.listen_address" (dig "server" "listen_address" "" $c) "metrics.listen_address" (dig "metrics" "listen_address" "" $c) "parent.health.listen_address" (dig "parent" "health" "listen_address" "" $c) }}
{{- if and $value (not (has $value (list "0.0.0.0" "::"))) }}
config.{{ $key }}: is {{ $value }}, where neither probes nor Services reach it; want 0.0.0.0 or ::, better as listenAddress
{{- end }}
{{- end }}
{{- range $key, $value := dict "server.listen_port" (dig "server" "listen_port" 1 $c) "tls.listen_port" (dig "tls" "listen_port" 1 $c) "metrics.listen_port" (dig "metrics" "listen_port" 1 $c) "parent.health.listen_port" (dig "parent" "health" "listen_port" 1 $c) }}
{{- if eq (int $value) 0 }}
config.{{ $key }}: is 0, which takes any free port; Services need to know it
{{- end }}
{{- end }}
{{- $tls := dig "tls" "mode" "" $c -}}
{{- if and (ne $mode "standard") $tls (ne $tls "atls") }}
config.tls.mode: is {{ $tls }}, but {{ $mode }} mode requires atls, because clients know the enclave by nothing else
{{- end }}
{{- if and (eq $mode "standard") (eq $tls "atls") }}
config.tls.mode: atls needs an enclave: set enclave.enabled
{{- end }}
{{- if and .Values.tlsSecretName (ne $mode "standard") }}
tlsSecretName: is for standard mode; an enclave makes its own certificate
{{- end }}
{{- if and .Values.tlsSecretName $tls (ne $tls "file") }}
tlsSecretName: is set, but config.tls.mode is {{ $tls }}
{{- end }}
{{- end -}}

{{- define "containment-chamber.problems.stores" -}}
{{- $v := .root.Values -}}
{{- $c := $v.config -}}
{{- if and (gt (int $v.replicaCount) 1) (has .backend (list "sqlite" "noop")) }}
replicaCount: is {{ $v.replicaCount }}, but config.anti_slashing.backend {{ .backend }} serves one signer: two could vote twice; want postgres or dynamodb
{{- end }}
{{- if and (gt (int $v.replicaCount) 1) (eq .state "sqlite") }}
replicaCount: is {{ $v.replicaCount }}, but config.signer_state.backend sqlite serves one signer; want postgres or dynamodb
{{- end }}
{{- if and $v.production (eq .backend "noop") }}
config.anti_slashing.backend: noop records nothing, so that every vote can be made twice; it is refused with production: true
{{- end }}
{{- if and $v.production (eq .mode "simulated") }}
simulated.enabled: protects nothing; it is refused with production: true
{{- end }}
{{- if and $v.production $v.enclave.debug }}
enclave.debug: a debug enclave shows its memory to the host; it is refused with production: true
{{- end }}
{{- if and (ne .mode "nitro") (eq .backend "sqlite") (not (dig "anti_slashing" "sqlite" "path" "" $c)) }}
config.anti_slashing.sqlite.path: must be set, such as /var/lib/containment-chamber/slashing.sqlite
{{- end }}
{{- if eq .mode "standard" }}
{{- $volumes := dict "config" (dict "configMap" dict) "tls" (dict "secret" dict) -}}
{{- range $v.extraVolumes }}{{ $_ := set $volumes .name . }}{{ end -}}
{{- $mounts := dict -}}
{{- if $v.persistence.enabled }}{{ $_ := set $mounts "/var/lib/containment-chamber" "data" }}{{ end -}}
{{- range $v.extraVolumeMounts }}{{ $_ := set $mounts (trimSuffix "/" .mountPath) .name }}{{ end -}}
{{- range $key, $path := dict "anti_slashing.sqlite.path" (ternary (dig "anti_slashing" "sqlite" "path" "" $c) "" (eq .backend "sqlite")) "signer_state.path" (ternary (dig "signer_state" "path" "" $c) "" (eq .state "sqlite")) }}
{{- if $path }}
{{- $at := "" -}}
{{- range $mount, $_ := $mounts }}{{ if and (hasPrefix (printf "%s/" $mount) $path) (ge (len $mount) (len $at)) }}{{ $at = $mount }}{{ end }}{{ end -}}
{{- $volume := get $mounts $at | default "" -}}
{{- if not $volume }}
config.{{ $key }}: {{ $path }} is on no disk that outlives the pod: set persistence.enabled and a path below /var/lib/containment-chamber, or mount a volume of yours there
{{- else if $v.production }}
{{- range $kind := list "emptyDir" "ephemeral" "configMap" "secret" "projected" "downwardAPI" }}
{{- if hasKey (get $volumes $volume | default dict) $kind }}
config.{{ $key }}: {{ $path }} is on volume {{ $volume }}, whose {{ $kind }} does not outlive the pod, and a signer that has lost its record can vote twice: set persistence.enabled, or mount a persistentVolumeClaim there
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $key, $url := dict "anti_slashing.url" (dig "anti_slashing" "url" "" $c) "signer_state.url" (dig "signer_state" "url" "" $c) }}
{{- with include "containment-chamber.urlFault" $url }}
config.{{ $key }}: {{ . }}; {{ if eq $.mode "nitro" }}on Nitro the host reads this, so give the password as sealed_password with password_source kms, or none with rds_iam{{ else }}where a password is needed, give the whole URL from a Secret: env CONTAINMENT_{{ $key | replace "." "__" | upper }} with valueFrom.secretKeyRef{{ end }}
{{- end }}
{{- end }}
{{- range $variable := $v.env }}
{{- if and .value (regexMatch "^CONTAINMENT_(ANTI_SLASHING|SIGNER_STATE)__URL$" .name) }}
{{- with include "containment-chamber.urlFault" .value }}
env {{ $variable.name }}: {{ . }}; {{ if eq $.mode "nitro" }}on Nitro the host reads this: want sealed_password with password_source kms, or rds_iam{{ else }}want it from a Secret, by valueFrom.secretKeyRef{{ end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $key, $url := include "containment-chamber.endpoints" $.root | fromYaml }}
{{- if contains "@" $url }}
config.{{ $key }}: want a URL without a user and a password
{{- end }}
{{- end }}
{{- end -}}

{{/* What is wrong with a database's URL in a place that anybody reads. It never repeats the URL, which may hold a password. */}}
{{- define "containment-chamber.urlFault" -}}
{{- $parts := splitn "?" 2 . -}}
{{- if not . -}}
{{- else if not (regexMatch "^postgres(ql)?://" .) -}}
is no URL: want postgres://USER@HOST:PORT/DATABASE, since keyword=value strings may hold a password
{{- else if regexMatch "//.*:.*@" . -}}
holds a password: want postgres://USER@HOST:PORT/DATABASE
{{- else -}}
{{- range $parameter := splitList "&" (default "" $parts._1) -}}
{{- if and $parameter (not (regexMatch "^(host|sslmode)=[^@?#]*$" $parameter)) -}}
has parameters beside host and sslmode, such as password: want postgres://USER@HOST:PORT/DATABASE
{{- break -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "containment-chamber.problems.access" -}}
{{- $c := .Values.config -}}
{{- $nitro := eq (include "containment-chamber.mode" .) "nitro" -}}
{{- if and $nitro (eq (dig "auth" "mode" "" $c) "open") }}
config.auth.mode: open is refused on Nitro, where the node could ask for signatures of every key; want policies, which the chart sets
{{- end }}
{{- if and $nitro (dig "auth" "policy_file" "" $c) }}
config.auth.policy_file: an enclave has no files, and keeps policies and tokens under the master key
{{- end }}
{{- if and (eq (include "containment-chamber.mode" .) "standard") (eq (dig "auth" "mode" "" $c) "policies") (not (dig "auth" "policy_file" "" $c)) (not (dig "signer_state" "backend" "" $c)) }}
config.auth.mode: policies needs a place where they are: config.auth.policy_file on a volume, or config.signer_state.backend
{{- end }}
{{- end -}}

{{- define "containment-chamber.problems.nitro" -}}
{{- $c := .Values.config -}}
{{- $hosts := list -}}
{{- range dig "tee" "egress" list $c }}{{ $hosts = append $hosts (dig "host" "" .) }}{{ end -}}
{{- $backend := dig "anti_slashing" "backend" "" $c -}}
{{- if has $backend (list "sqlite" "noop") }}
config.anti_slashing.backend: {{ $backend }} is refused on Nitro, because an enclave has no disk; want postgres or dynamodb
{{- end }}
{{- if eq (dig "signer_state" "backend" "" $c) "sqlite" }}
config.signer_state.backend: sqlite is refused on Nitro, because an enclave has no disk; want postgres or dynamodb
{{- end }}
{{- if dig "key_sources" "filesystem" "paths" list $c }}
config.key_sources.filesystem.paths: an enclave has no such directory; want stored keys, key_sources.dynamodb or key_sources.database
{{- end }}
{{- if not $hosts }}
config.tee.egress: is empty, so that the enclave reaches neither KMS nor its stores
{{- end }}
{{- if not (hasSuffix "-nitro" (include "containment-chamber.imageTag" .)) }}
image.tag: is {{ .Values.image.tag }}, which is the signer for standard mode; on Nitro it must end in -nitro
{{- end }}
{{- $irsa := hasKey (default dict .Values.serviceAccount.annotations) "eks.amazonaws.com/role-arn" -}}
{{- if and $irsa .Values.serviceAccount.podIdentity }}
serviceAccount: has both podIdentity and the annotation eks.amazonaws.com/role-arn, and the latter would win; choose one
{{- end }}
{{- if and (or $irsa (dig "tee" "role_arn" "" $c)) $hosts (not (regexMatch "(^|[ .])sts[.-]" (join " " $hosts))) }}
config.tee.egress: has no route to STS (sts.REGION.amazonaws.com, port 443), which {{ ternary "the annotation eks.amazonaws.com/role-arn" "config.tee.role_arn" $irsa }} needs
{{- end }}
{{- if and .Values.serviceAccount.podIdentity (not (or (has "169.254.170.23" $hosts) (has "fd00:ec2::23" $hosts))) }}
config.tee.egress: has no route to the agent (169.254.170.23, port 80, plain: true), which serviceAccount.podIdentity needs
{{- end }}
{{- if and (ne (int .Values.replicaCount) 0) .Values.affinity (not (dig "podAntiAffinity" "requiredDuringSchedulingIgnoredDuringExecution" false .Values.affinity)) }}
affinity: must keep pods apart by podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution: on Nitro vsock ports belong to the node
{{- end }}
{{- $page := get (dict "1Gi" 1024 "32Mi" 32 "2Mi" 2) .Values.enclave.hugepages -}}
{{- if mod (int .Values.enclave.memoryMiB) $page }}
enclave.memoryMiB: is {{ .Values.enclave.memoryMiB }}, no whole number of huge pages of {{ .Values.enclave.hugepages }}; want a multiple of {{ $page }}{{ if eq $page 1024 }}, because the node's allocator takes pages of 1Gi first{{ end }}
{{- end }}
{{- end -}}

{{/* Variables that would make the file say something else than what the templates went by. */}}
{{- define "containment-chamber.problems.environment" -}}
{{- range concat .Values.env .Values.enclave.launcher.env }}
{{- if has .name (list "PRODUCTION" "ENCLAVE_DEBUG") }}
env {{ .name }}: is set by the chart: want {{ ternary "production" "enclave.debug" (eq .name "PRODUCTION") }}
{{- else if regexMatch "^CONTAINMENT_(NETWORK|TEE__.*|TLS__MODE|.*__LISTEN_(ADDRESS|PORT)|.*__DRAIN_(DELAY|TIMEOUT)_SECONDS|(ANTI_SLASHING|SIGNER_STATE)__BACKEND)$" .name }}
env {{ .name }}: the templates go by this key, so it belongs into config
{{- else if regexMatch "^ENCLAVE_(EIF|MEMORY_MIB|CPU_COUNT|CID|PARENT_HEALTH)$" .name }}
env {{ .name }}: is set by the chart, from enclave and config
{{- else if eq .name "ENCLAVE_RESTART" }}
env ENCLAVE_RESTART: has no place in a Deployment, which would start a launcher again that has ended
{{- end }}
{{- end }}
{{- end -}}

{{- define "containment-chamber.problems.pod" -}}
{{- $least := include "containment-chamber.leastGrace" . | int -}}
{{- with .Values.terminationGracePeriodSeconds }}
{{- if lt (int .) $least }}
terminationGracePeriodSeconds: is {{ . }}, but the end may take {{ $least }}: the drain times of config, with some seconds after
{{- end }}
{{- end }}
{{- $least := .Values.pdb.minAvailable -}}
{{- if and (not (kindIs "invalid" $least)) (not (kindIs "invalid" .Values.pdb.maxUnavailable)) }}
pdb: has both minAvailable and maxUnavailable; choose one
{{- else if and (not (kindIs "invalid" $least)) (not (kindIs "string" $least)) (gt (int .Values.replicaCount) 1) (ge (int $least) (int .Values.replicaCount)) }}
pdb.minAvailable: is {{ $least }} of {{ .Values.replicaCount }} pods, so that no node could ever be drained
{{- end }}
{{- if and .Values.persistence.enabled (gt (int .Values.replicaCount) 1) (ne .Values.persistence.accessMode "ReadWriteMany") }}
persistence.enabled: is one disk for one pod, and replicaCount is {{ .Values.replicaCount }}
{{- end }}
{{- $keys := append (include "containment-chamber.labels" . | fromYaml | keys) "containment-chamber/vsock" -}}
{{- range $key, $_ := .Values.podLabels }}
{{- if has $key $keys }}
podLabels: {{ $key }} is set by the chart
{{- end }}
{{- end }}
{{- range $key, $_ := .Values.podAnnotations }}
{{- if has $key (list "kubectl.kubernetes.io/default-container" "eks.amazonaws.com/skip-containers") }}
podAnnotations: {{ $key }} is set by the chart
{{- end }}
{{- end }}
{{- if and .Values.persistence.enabled .Values.enclave.enabled }}
persistence.enabled: an enclave has no disk
{{- end }}
{{- end -}}
