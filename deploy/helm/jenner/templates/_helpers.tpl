{{- define "jenner.name" -}}
{{- $name := ternary .Release.Name (printf "%s-jenner" .Release.Name) (contains "jenner" .Release.Name) -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* What selects the pods of a component: (dict "root" . "component" "worker"). Never changes. */}}
{{- define "jenner.selector" -}}
app.kubernetes.io/name: jenner
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "jenner.labels" -}}
{{ include "jenner.selector" . }}
app.kubernetes.io/part-of: jenner
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .manager | default .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{- define "jenner.image" -}}
image: "{{ .root.Values.image.registry }}/jenner-{{ .image }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}"
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- end -}}

{{/* The head of every pod's spec: the restricted Pod Security Standard; a token only of a named account. */}}
{{- define "jenner.pod" -}}
serviceAccountName: {{ .account | default (include "jenner.name" .root) }}
automountServiceAccountToken: {{ not (empty .account) }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with .scheduling }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "jenner.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* How jenner-ready reaches the server: (dict "root" . "server" "host:port"). */}}
{{- define "jenner.clientEnv" -}}
- {name: JENNER_SERVER, value: {{ .server | quote }}}
{{- if .root.Values.tls.enabled }}
- {name: JENNER_CA, value: /tls/ca.crt}
{{- if .root.Values.tls.requireClientCert }}
- {name: JENNER_CERT, value: /client-tls/tls.crt}
- {name: JENNER_KEY, value: /client-tls/tls.key}
{{- end }}
{{- end }}
{{- end -}}

{{/* How many workers have a name that is known beforehand. */}}
{{- define "jenner.maxWorkers" -}}
{{- eq .Values.workers.mode "job" | ternary 0 (ternary .Values.workers.autoscaling.maxReplicas .Values.workers.replicas .Values.workers.autoscaling.enabled) -}}
{{- end -}}

{{- define "jenner.claim" -}}
accessModes: [ReadWriteOnce]
{{- with .className }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests: {storage: {{ .size }}}
{{- end -}}

{{/* The Prometheus job; rules and boards expect one that begins so. */}}
{{- define "jenner.job" -}}
{{- ternary .Release.Name (printf "jenner-%s" .Release.Name) (hasPrefix "jenner" .Release.Name) -}}
{{- end -}}

{{/* Who signs certificates. */}}
{{- define "jenner.issuer" -}}
{{- .Values.tls.certManager.issuerRef | default (dict "kind" "Issuer" "name" (printf "%s-ca" (include "jenner.name" .))) | toYaml -}}
{{- end -}}
