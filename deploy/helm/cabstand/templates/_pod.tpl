{{/*
What the pods of the three services have in common. Each takes (dict "root" . "service" … "port" … "admin" …), where
port and admin are the ports of gRPC and of metrics and health.
*/}}
{{- define "cabstand.podMetadata" -}}
labels:
  app.kubernetes.io/name: cabstand
  cabstand/service: {{ .service }}
annotations:
  # A change of the configuration restarts the pods.
  cabstand/config: {{ include "cabstand.config" . | sha256sum }}
  {{- with (get .root.Values .service).podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "cabstand.podSpec" -}}
{{- $values := get .root.Values .service -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  seccompProfile: { type: RuntimeDefault }
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: { cabstand/service: {{ .service }} }
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "cabstand.container" -}}
{{- $values := get .root.Values .service -}}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [{{ .service }}, --config, /config/{{ .service }}.yaml]
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end -}}

{{- define "cabstand.podNames" -}}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: POD_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
{{- end -}}

{{/* Kubernetes's own gRPC probes speak no TLS: with it the admin port is asked, whose certificate no kubelet checks. */}}
{{- define "cabstand.probes" -}}
{{- $secure := include "cabstand.secure" .root -}}
{{- $ready := printf "grpc: { port: %d }" .port -}}
{{- if $secure }}{{ $ready = "httpGet: { path: /readyz, port: admin, scheme: HTTPS }" }}{{ end -}}
startupProbe:
  {{ $ready }}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: {{ (get .root.Values .service).startupFailureThreshold | default 24 }}
readinessProbe:
  {{ $ready }}
  periodSeconds: 5
  timeoutSeconds: 5
# Not the health of gRPC: a service that drains serves nobody new, and lives.
livenessProbe:
  httpGet: { path: /healthz, port: admin, scheme: {{ ternary "HTTPS" "HTTP" (not (empty $secure)) }} }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{/* `own` is the name that a pod's key has in the Secret. */}}
{{- define "cabstand.volumeMounts" -}}
- { name: tmp, mountPath: /tmp }
- { name: config, mountPath: /config, readOnly: true }
{{- if include "cabstand.secure" .root }}
- { name: subnet, mountPath: /keys/subnet, readOnly: true }
- { name: admin, mountPath: /keys/admin, readOnly: true }
# Of the keys of all of its kind a container sees its own only.
- { name: keys, mountPath: /keys/own/key.json, subPathExpr: {{ .own }}.key.json, readOnly: true }
- { name: keys, mountPath: /keys/own/tls.crt, subPathExpr: {{ .own }}.crt, readOnly: true }
- { name: keys, mountPath: /keys/own/tls.key, subPathExpr: {{ .own }}.key, readOnly: true }
{{- end }}
{{- end -}}

{{- define "cabstand.volumes" -}}
- name: tmp
  emptyDir: { medium: Memory, sizeLimit: 256Mi }
- name: config
  configMap: { name: cabstand }
{{- if include "cabstand.secure" .root }}
- name: subnet
  secret: { secretName: {{ .root.Values.secrets.subnet }}, defaultMode: 0440 }
- name: admin
  secret: { secretName: {{ .root.Values.secrets.admin }}, defaultMode: 0440 }
- name: keys
  secret: { secretName: {{ get .root.Values.secrets (printf "%sKeys" .service) }}, defaultMode: 0440 }
{{- end }}
{{- end -}}
