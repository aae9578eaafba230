{{- define "containment-chamber.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "containment-chamber.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: signer
{{- end -}}

{{/* Labels of every object but for the component. */}}
{{- define "containment-chamber.common" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: containment-chamber
{{- end -}}

{{- define "containment-chamber.labels" -}}
{{ include "containment-chamber.selector" . }}
{{ include "containment-chamber.common" . }}
{{- end -}}

{{/* standard, nitro or simulated. Both at once is refused in validate.tpl. */}}
{{- define "containment-chamber.mode" -}}
{{- if .Values.enclave.enabled -}}nitro{{- else if .Values.simulated.enabled -}}simulated{{- else -}}standard{{- end -}}
{{- end -}}

{{- define "containment-chamber.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "containment-chamber.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "containment-chamber.imageTag" -}}
{{- if .Values.image.tag -}}
{{- .Values.image.tag -}}
{{- else if .Values.enclave.enabled -}}
{{- printf "%s-nitro" .Chart.AppVersion -}}
{{- else -}}
{{- .Chart.AppVersion -}}
{{- end -}}
{{- end -}}

{{- define "containment-chamber.image" -}}
{{- $at := ternary (printf "@%s" .Values.image.digest) "" (ne .Values.image.digest "") -}}
{{- printf "%s:%s%s" .Values.image.repository (include "containment-chamber.imageTag" .) $at -}}
{{- end -}}

{{- define "containment-chamber.parentImage" -}}
{{- $own := .Values.parent.image -}}
{{- $tag := default (printf "%s-parent" (include "containment-chamber.imageTag" . | trimSuffix "-nitro")) $own.tag -}}
{{- $at := ternary (printf "@%s" $own.digest) "" (ne $own.digest "") -}}
{{- printf "%s:%s%s" (default .Values.image.repository $own.repository) $tag $at -}}
{{- end -}}

{{/* The configuration as it is rendered: config, and below it what the chart sets. */}}
{{- define "containment-chamber.config" -}}
{{- $mode := include "containment-chamber.mode" . -}}
{{- $everywhere := dict "listen_address" .Values.listenAddress -}}
{{- $set := dict "server" (mustDeepCopy $everywhere) "metrics" $everywhere -}}
{{- if eq $mode "standard" -}}
{{- if .Values.tlsSecretName -}}
{{- $_ := set $set "tls" (dict "mode" "file" "file" (dict "cert_path" "/etc/containment-chamber-tls/tls.crt" "key_path" "/etc/containment-chamber-tls/tls.key")) -}}
{{- end -}}
{{- else -}}
{{- $_ := set $set "tls" (dict "mode" "atls") -}}
{{- $_ := set $set "parent" (dict "health" $everywhere) -}}
{{- $tee := dict "platform" $mode -}}
{{- if eq $mode "simulated" -}}
{{- $_ := set $tee "simulated" (dict "socket_dir" "/run/containment-chamber" "state_dir" "/var/lib/containment-chamber/nsm") -}}
{{- end -}}
{{- $_ := set $set "tee" $tee -}}
{{- if eq $mode "nitro" -}}
{{- $_ := set $set "auth" (dict "mode" "policies") -}}
{{- end -}}
{{- end -}}
{{- $config := mustDeepCopy .Values.config -}}
{{- if not (hasKey (default dict $config.server) "drain_delay_seconds") -}}
{{- $_ := set $set.server "drain_delay_seconds" 15 -}}
{{- end -}}
{{- mustMerge $config $set | toYaml -}}
{{- end -}}

{{/* The ConfigMap's name says what is in it: a pod comes back with the configuration that it was made with. */}}
{{- define "containment-chamber.configName" -}}
{{- printf "%s-%s" (include "containment-chamber.fullname" .) (include "containment-chamber.config" . | sha256sum | trunc 10) -}}
{{- end -}}

{{/* Ports as a YAML mapping. */}}
{{- define "containment-chamber.ports" -}}
{{- $c := include "containment-chamber.config" . | fromYaml -}}
main: {{ dig "server" "listen_port" 9000 $c | int }}
tls: {{ dig "tls" "listen_port" 9443 $c | int }}
metrics: {{ dig "metrics" "listen_port" 3000 $c | int }}
parent: {{ dig "parent" "health" "listen_port" 3001 $c | int }}
{{- end -}}

{{/* URLs of services, of those keys that are set. */}}
{{- define "containment-chamber.endpoints" -}}
{{- $c := .Values.config -}}
{{- $all := dict "chamber.kms_endpoint" (dig "chamber" "kms_endpoint" "" $c) "signer_state.endpoint" (dig "signer_state" "endpoint" "" $c) "key_sources.dynamodb.endpoint" (dig "key_sources" "dynamodb" "endpoint" "" $c) "anti_slashing.dynamodb.endpoint" (dig "anti_slashing" "dynamodb" "endpoint" "" $c) -}}
{{- range $key, $url := $all }}
{{- if $url }}
{{ $key }}: {{ $url | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The port of a URL, or else the second of the list. */}}
{{- define "containment-chamber.port" -}}
{{- $at := first . | regexFind "^[^?#]*" | regexFind "//[^/]*" -}}
{{- regexFind ":[0-9]+$" $at | trimPrefix ":" | default (last .) -}}
{{- end -}}

{{/* Ports of databases, as a YAML list: given, of the URLs in config, or PostgreSQL's own. */}}
{{- define "containment-chamber.databasePorts" -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.databasePorts }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- if not $ports -}}
{{- range $section := list "anti_slashing" "signer_state" -}}
{{- if eq (dig $section "backend" "" $.Values.config) "postgres" -}}
{{- $ports = append $ports (include "containment-chamber.port" (list (dig $section "url" "" $.Values.config) 5432) | int) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- uniq $ports | toYaml -}}
{{- end -}}

{{/* Seconds from SIGTERM until nothing is under way any more. */}}
{{- define "containment-chamber.drain" -}}
{{- $c := include "containment-chamber.config" . | fromYaml -}}
{{- $drain := dig "server" "drain_timeout_seconds" 15 $c | int -}}
{{- if ne (include "containment-chamber.mode" .) "standard" -}}
{{- $drain = max $drain (dig "parent" "drain_timeout_seconds" 20 $c | int) -}}
{{- end -}}
{{- add $drain (dig "server" "drain_delay_seconds" 0 $c | int) -}}
{{- end -}}

{{/* The least grace: that, and what ends afterwards. An enclave takes its time. */}}
{{- define "containment-chamber.leastGrace" -}}
{{- add (include "containment-chamber.drain" . | int) (ternary 25 5 .Values.enclave.enabled) -}}
{{- end -}}

{{- define "containment-chamber.grace" -}}
{{- default (add (include "containment-chamber.leastGrace" . | int) 5) .Values.terminationGracePeriodSeconds -}}
{{- end -}}

{{/* Whether the slashing record is a file. */}}
{{- define "containment-chamber.sqlite" -}}
{{- $c := .Values.config -}}
{{- if or (eq (dig "anti_slashing" "backend" "" $c) "sqlite") (eq (dig "signer_state" "backend" "" $c) "sqlite") -}}true{{- end -}}
{{- end -}}

{{/* Security context of a container that needs nothing. */}}
{{- define "containment-chamber.restricted" -}}
runAsNonRoot: true
runAsUser: 65534
runAsGroup: 65534
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "containment-chamber.seccomp" -}}
{{- if .Values.enclave.enabled -}}
{type: Localhost, localhostProfile: {{ .Values.enclave.seccompProfile | quote }}}
{{- else -}}
{type: RuntimeDefault}
{{- end -}}
{{- end -}}
