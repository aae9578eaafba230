{{/* Pods apart: on Nitro always, since two parents cannot have one node's vsock ports; else where possible. */}}
{{- define "containment-chamber.affinity" -}}
podAntiAffinity:
  {{- if .Values.enclave.enabled }}
  requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      namespaceSelector: {}
      labelSelector: {matchLabels: {containment-chamber/vsock: "true"}}
  {{- else }}
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector: {matchLabels: {{ include "containment-chamber.selector" . | fromYaml | toJson }}}
  {{- end }}
{{- end -}}

{{- define "containment-chamber.volumes" -}}
{{- $mode := include "containment-chamber.mode" . -}}
- name: config
  configMap: {name: {{ include "containment-chamber.configName" . }}}
{{- if .Values.tlsSecretName }}
- name: tls
  secret: {secretName: {{ .Values.tlsSecretName | quote }}, defaultMode: 0440}
{{- end }}
{{- if .Values.persistence.enabled }}
- name: data
  persistentVolumeClaim: {claimName: {{ default (include "containment-chamber.fullname" .) .Values.persistence.existingClaim | quote }}}
{{- end }}
{{- if eq $mode "nitro" }}
- name: hugepages
  emptyDir: {medium: HugePages}
# Sockets, logs and temporary files of nitro-cli.
- name: nitro-run
  emptyDir: {sizeLimit: 16Mi}
- name: nitro-logs
  emptyDir: {sizeLimit: 64Mi}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- else if eq $mode "simulated" }}
- name: sockets
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
{{- if not .Values.persistence.enabled }}
- name: data
  emptyDir: {}
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The configuration, in every container: the launcher has the commands that check it. */}}
{{- define "containment-chamber.configMount" -}}
- {name: config, mountPath: /etc/containment-chamber, readOnly: true}
{{- end -}}

{{- define "containment-chamber.production" -}}
- {name: PRODUCTION, value: {{ .Values.production | toString | quote }}}
{{- end -}}

{{/* The signer in its own container, on the network itself. */}}
{{- define "containment-chamber.signer" -}}
{{- $p := include "containment-chamber.ports" . | fromYaml -}}
{{- $tls := ne (dig "tls" "mode" "disabled" (include "containment-chamber.config" . | fromYaml)) "disabled" -}}
- name: signer
  image: {{ include "containment-chamber.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [/containment-chamber]
  args: [server, -c, /etc/containment-chamber/config.yaml]
  env:
    {{- include "containment-chamber.production" . | nindent 4 }}
    {{- with .Values.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - {name: http, containerPort: {{ $p.main }}}
    {{- if $tls }}
    - {name: https, containerPort: {{ $p.tls }}}
    {{- end }}
    - {name: metrics, containerPort: {{ $p.metrics }}}
  # Five minutes to open its stores. One that is away at the start ends the signer, and Kubernetes starts it again, ever later; one that
  # goes away afterwards does not, and is no reason to kill it.
  startupProbe: {httpGet: {path: /upcheck, port: http}, periodSeconds: 2, timeoutSeconds: 5, failureThreshold: 150}
  livenessProbe: {httpGet: {path: /upcheck, port: http}, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6}
  readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 2}
  securityContext: {{- include "containment-chamber.restricted" . | nindent 4 }}
  resources: {{- toYaml .Values.resources | nindent 4 }}
  volumeMounts:
    {{- include "containment-chamber.configMount" . | nindent 4 }}
    {{- if .Values.tlsSecretName }}
    - {name: tls, mountPath: /etc/containment-chamber-tls, readOnly: true}
    {{- end }}
    {{- if .Values.persistence.enabled }}
    - {name: data, mountPath: /var/lib/containment-chamber}
    {{- end }}
    {{- with .Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* The signer of simulated mode: it opens no port, its parent does. It ends when it fails, which restarts it. */}}
{{- define "containment-chamber.simulatedSigner" -}}
- name: signer
  image: {{ include "containment-chamber.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [/containment-chamber]
  args: [server, -c, /etc/containment-chamber/config.yaml]
  env:
    {{- include "containment-chamber.production" . | nindent 4 }}
    {{- with .Values.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  securityContext: {{- include "containment-chamber.restricted" . | nindent 4 }}
  resources: {{- toYaml .Values.resources | nindent 4 }}
  volumeMounts:
    {{- include "containment-chamber.configMount" . | nindent 4 }}
    - {name: sockets, mountPath: /run/containment-chamber}
    - {name: data, mountPath: /var/lib/containment-chamber}
    {{- with .Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Starts the enclave, and starts it again. It has the device; the pod's identity and its ports are the parent's. */}}
{{- define "containment-chamber.launcher" -}}
{{- $p := include "containment-chamber.ports" . | fromYaml -}}
{{- $c := include "containment-chamber.config" . | fromYaml -}}
{{- $health := printf "http://127.0.0.1:%v/healthz" $p.parent -}}
{{- $memory := ternary (printf "%dGi" (div (int .Values.enclave.memoryMiB) 1024)) (printf "%dMi" (int .Values.enclave.memoryMiB)) (eq .Values.enclave.hugepages "1Gi") -}}
{{- $devices := dict .Values.enclave.deviceResource "1" (printf "hugepages-%s" .Values.enclave.hugepages) $memory -}}
{{- if .Values.enclave.cpuAdvertisement }}{{ $_ := set $devices (printf "%s_cpus" .Values.enclave.deviceResource) (toString .Values.enclave.cpuCount) }}{{ end -}}
{{- $resources := .Values.enclave.launcher.resources -}}
- name: launcher
  image: {{ include "containment-chamber.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [/usr/local/bin/enclave-entrypoint.sh]
  env:
    {{- include "containment-chamber.production" . | nindent 4 }}
    {{- if .Values.enclave.debug }}
    - {name: ENCLAVE_DEBUG, value: "1"}
    {{- end }}
    - {name: ENCLAVE_EIF, value: /enclave/containment-chamber.eif}
    - {name: ENCLAVE_MEMORY_MIB, value: {{ .Values.enclave.memoryMiB | int | quote }}}
    - {name: ENCLAVE_CPU_COUNT, value: {{ .Values.enclave.cpuCount | int | quote }}}
    - {name: ENCLAVE_CID, value: {{ dig "tee" "enclave_cid" 16 $c | int | quote }}}
    - {name: ENCLAVE_PARENT_HEALTH, value: {{ $health | quote }}}
    - {name: NITRO_CLI_SOCKETS_PATH, value: /run/nitro_enclaves}
    - {name: NITRO_CLI_LOGS_PATH, value: /var/log/nitro_enclaves}
    - {name: NITRO_CLI_ARTIFACTS, value: /tmp/nitro_enclaves}
    {{- with .Values.enclave.launcher.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  # The enclave stays until the parent has drained and is gone; SIGTERM then ends it. One answer that is late is no end of the parent.
  lifecycle:
    preStop:
      exec:
        command:
          - /bin/sh
          - -c
          - |
            end=$(($(date +%s) + {{ add (include "containment-chamber.drain" . | int) 2 }})) missed=0
            while [ "$(date +%s)" -lt "$end" ]; do
              curl -s -m 3 -o /dev/null {{ $health }}
              case $? in
              0) missed=0 ;;
              7) exit 0 ;;
              *) missed=$((missed + 1)) ;;
              esac
              [ "$missed" -lt 3 ] || exit 0
              sleep 1
            done
  securityContext:
    {{- if kindIs "invalid" .Values.enclave.launcher.deviceGroup }}
    # Owner of /dev/nitro_enclaves, and nothing else.
    runAsNonRoot: false
    runAsUser: 0
    {{- else }}
    runAsNonRoot: true
    runAsUser: 65534
    runAsGroup: {{ int .Values.enclave.launcher.deviceGroup }}
    {{- end }}
    readOnlyRootFilesystem: true
    allowPrivilegeEscalation: false
    capabilities: {drop: [ALL]}
  resources:
    requests: {{- merge (dict) $devices (default dict $resources.requests) | toYaml | nindent 6 }}
    limits: {{- merge (dict) $devices (default dict $resources.limits) | toYaml | nindent 6 }}
  volumeMounts:
    {{- include "containment-chamber.configMount" . | nindent 4 }}
    - {name: hugepages, mountPath: /dev/hugepages}
    - {name: nitro-run, mountPath: /run/nitro_enclaves}
    - {name: nitro-logs, mountPath: /var/log/nitro_enclaves}
    - {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* The parent. It is alive while it answers itself, whatever the enclave does; it is ready when the enclave behind it is. */}}
{{- define "containment-chamber.parent" -}}
{{- $p := include "containment-chamber.ports" . | fromYaml -}}
- name: parent
  image: {{ include "containment-chamber.parentImage" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [/containment-chamber-enclave-proxy]
  args: [run, -c, /etc/containment-chamber/config.yaml]
  env:
    {{- include "containment-chamber.production" . | nindent 4 }}
    {{- with .Values.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - {name: https, containerPort: {{ $p.tls }}}
    - {name: health, containerPort: {{ $p.main }}}
    - {name: metrics, containerPort: {{ $p.metrics }}}
    - {name: parent, containerPort: {{ $p.parent }}}
  startupProbe: {httpGet: {path: /healthz, port: parent}, periodSeconds: 2, timeoutSeconds: 5, failureThreshold: 30}
  livenessProbe: {httpGet: {path: /healthz, port: parent}, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6}
  readinessProbe: {httpGet: {path: /readyz, port: health}, periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 2}
  securityContext: {{- include "containment-chamber.restricted" . | nindent 4 }}
  resources: {{- toYaml .Values.parent.resources | nindent 4 }}
  volumeMounts:
    {{- include "containment-chamber.configMount" . | nindent 4 }}
    {{- if eq (include "containment-chamber.mode" .) "simulated" }}
    - {name: sockets, mountPath: /run/containment-chamber}
    {{- else }}
    {{- with .Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- end }}
{{- end -}}
