{{/* The spec of a worker's pod: of the StatefulSet or, with workers.mode job, of the Jobs that the bridge makes. */}}
{{- define "jenner.workerPod" -}}
{{- $name := include "jenner.name" . }}
{{- $v := .Values.workers }}
{{- $inSet := eq $v.mode "statefulset" }}
{{- $resources := deepCopy $v.resources }}
{{- if $v.gpus }}
{{- $_ := set $resources "limits" (merge (dict "nvidia.com/gpu" $v.gpus) ($resources.limits | default dict)) }}
{{- end }}
{{- include "jenner.pod" (dict "root" . "scheduling" $v.scheduling) }}
# SIGTERM: its ranks stop with a checkpoint (10 s), which is sent to the coordinator.
terminationGracePeriodSeconds: 120
{{- if not $inSet }}
restartPolicy: Never
{{- end }}
containers:
  - name: worker
    {{- include "jenner.image" (dict "root" . "image" (ternary "worker-cuda" "worker" (gt (int $v.gpus) 0))) | nindent 4 }}
    args:
      - --server={{ $name }}:7070
      - --name=$(POD_NAME)
      - --host=$(POD_IP)
      - --models-dir=/models
      - --work-dir=/var/lib/jenner/worker
      - --slots={{ $v.slots }}
      - --threads-per-rank={{ $v.threadsPerRank }}
      {{- if $v.gpus }}
      - --gpus={{ $v.gpus }}
      {{- end }}
      {{- if .Values.tls.enabled }}
      - --ca=/tls/ca.crt
      - --cert=/tls/tls.crt
      - --key=/tls/tls.key
      {{- else }}
      - --allow-plaintext
      {{- end }}
      {{- with $v.args }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    env:
      - name: POD_NAME
        valueFrom: {fieldRef: {fieldPath: metadata.name}}
      - name: POD_IP
        valueFrom: {fieldRef: {fieldPath: status.podIP}}
      {{- range $key, $value := $v.env }}
      - {name: {{ $key }}, value: {{ $value | quote }}}
      {{- end }}
    {{- include "jenner.containerSecurity" . | nindent 4 }}
    resources: {{- toYaml $resources | nindent 6 }}
    volumeMounts:
      - {name: work, mountPath: /var/lib/jenner}
      - {name: models, mountPath: /models, readOnly: true}
      - {name: shm, mountPath: /dev/shm}
      - {name: tmp, mountPath: /tmp}
      {{- if and .Values.tls.enabled $inSet }}
      # Of all workers' files in the volume only its own.
      {{- range list "ca.crt" "tls.crt" "tls.key" }}
      - {name: tls, mountPath: /tls/{{ . }}, subPathExpr: $(POD_NAME)/{{ . }}, readOnly: true}
      {{- end }}
      {{- else if .Values.tls.enabled }}
      - {name: tls, mountPath: /tls, readOnly: true}
      {{- end }}
volumes:
  - name: models
    {{- toYaml ($v.models | default (dict "emptyDir" dict)) | nindent 4 }}
  - name: shm
    emptyDir: {medium: Memory, sizeLimit: {{ $v.shm }}}
  - name: tmp
    emptyDir: {sizeLimit: 1Gi}
  {{- if not $inSet }}
  - name: work
    emptyDir: {sizeLimit: {{ $v.storage.size }}}
  {{- end }}
  {{- if and .Values.tls.enabled $inSet }}
  - name: tls
    projected:
      defaultMode: 0440
      sources:
        {{- range $i := until (int (include "jenner.maxWorkers" $)) }}
        {{- $worker := printf "%s-worker-%d" $name $i }}
        - secret:
            name: {{ $worker }}-tls
            items:
              {{- range list "ca.crt" "tls.crt" "tls.key" }}
              - {key: {{ . }}, path: {{ $worker }}/{{ . }}}
              {{- end }}
        {{- end }}
  {{- else if .Values.tls.enabled }}
  {{- $issuer := include "jenner.issuer" . | fromYaml }}
  # cert-manager's CSI driver makes a key and a certificate for each pod: a worker is whom the URI names.
  - name: tls
    csi:
      driver: csi.cert-manager.io
      readOnly: true
      volumeAttributes:
        csi.cert-manager.io/issuer-name: {{ $issuer.name }}
        csi.cert-manager.io/issuer-kind: {{ $issuer.kind | default "Issuer" }}
        {{- with $issuer.group }}
        csi.cert-manager.io/issuer-group: {{ . }}
        {{- end }}
        csi.cert-manager.io/common-name: ${POD_NAME}
        csi.cert-manager.io/uri-sans: jenner://workers/${POD_NAME}
        csi.cert-manager.io/key-usages: digital signature,client auth
        csi.cert-manager.io/key-encoding: PKCS8
        csi.cert-manager.io/duration: 9528h
        csi.cert-manager.io/fs-group: "10001"
  {{- end }}
{{- end -}}
