{{- /* What the objects of a release are called: the release's name, with "hookswitch" in it. */}}
{{- define "hookswitch.name" -}}
{{- ternary .Release.Name (printf "%s-hookswitch" .Release.Name) (contains "hookswitch" .Release.Name) | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "hookswitch.selector" -}}
app.kubernetes.io/name: hookswitch
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hookswitch.configMap" -}}
{{- default (include "hookswitch.name" .) .Values.config.existingConfigMap }}
{{- end }}

{{- /* What all pods have in common, before their containers. */}}
{{- define "hookswitch.pod" -}}
automountServiceAccountToken: false
# worker.grace, the receiver's pause before its stop, and a margin.
terminationGracePeriodSeconds: {{ add .Values.graceSeconds 15 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Spreads the pods of a component over nodes and zones. */}}
{{- define "hookswitch.spread" -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "hookswitch.selector" $.root | nindent 6 }}
      app.kubernetes.io/component: {{ $.component }}
{{- end }}
{{- end }}

{{- /* What all containers have in common. */}}
{{- define "hookswitch.container" -}}
image: {{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - name: HOOKSWITCH_AMQP_URL_FILE
    value: /run/secrets/amqp/amqp_url
  - name: HOOKSWITCH_REDIS_URL_FILE
    value: /run/secrets/hookswitch/redis_url
  - name: HOOKSWITCH_WORKER_GRACE
    value: {{ .Values.graceSeconds }}s
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: config
    mountPath: /etc/hookswitch
    readOnly: true
  - name: secrets
    mountPath: /run/secrets/hookswitch
    readOnly: true
  - name: amqp
    mountPath: /run/secrets/amqp
    readOnly: true
  - name: files
    mountPath: /var/lib/hookswitch
{{- end }}

{{- define "hookswitch.volumes" -}}
- name: config
  configMap:
    name: {{ include "hookswitch.configMap" .root }}
- name: secrets
  secret:
    secretName: {{ .root.Values.secrets.shared }}
- name: amqp
  secret:
    secretName: {{ .amqp }}
# The working directory, for `dead-letters export` and `discard`. It is gone with the pod, and `kubectl cp` needs a tar
# that the image lacks: write to standard output (`-`).
- name: files
  emptyDir:
    sizeLimit: 1Gi
{{- end }}

{{- /* A pod starts anew when the configuration that the chart writes changes. */}}
{{- define "hookswitch.annotations" -}}
{{- if not .Values.config.existingConfigMap }}
annotations:
  checksum/config: {{ sha256sum .Values.config.toml }}
{{- end }}
{{- end }}

{{- /* What a probe asks. */}}
{{- define "hookswitch.get" -}}
httpGet:
  path: {{ .path }}
  port: admin
  {{- if ne .root.Values.adminScheme "HTTP" }}
  scheme: {{ .root.Values.adminScheme }}
  {{- end }}
{{- end }}
