{{/* Labels of what this release owns. Pods have the first one only: an upgrade of the chart alone restarts nothing. */}}
{{- define "cabstand.labels" -}}
app.kubernetes.io/name: cabstand
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* "true" or "": whether keys and TLS are used. */}}
{{- define "cabstand.secure" -}}
{{- if eq .Values.auth.mode "keys" }}true{{ end -}}
{{- end -}}

{{/* The names of all routers, which hosters and gateways dial. */}}
{{- define "cabstand.routers" -}}
{{- $names := list -}}
{{- range until (int .Values.router.replicas) -}}
{{- $names = append $names (printf "router-%d.routers.$(POD_NAMESPACE).svc:50050" .) -}}
{{- end -}}
{{- join "," $names -}}
{{- end -}}

{{/* What callers of gateways dial. */}}
{{- define "cabstand.audiences" -}}
{{- join "," (concat (list "gateway.$(POD_NAMESPACE).svc:50060") .Values.gateway.audiences) -}}
{{- end -}}

{{/* The image, for a tag that is given, or the chart's own. Takes (dict "root" . "tag" …). */}}
{{- define "cabstand.image" -}}
{{- with .root.Values.image -}}
{{- if and .digest (not $.tag) -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ $.tag | default .tag | default $.root.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The configuration of a service: its file, and over it what values say. Takes (dict "root" . "service" …). */}}
{{- define "cabstand.config" -}}
{{- $config := .root.Files.Get (printf "config/%s.yaml" .service) | fromYaml -}}
{{- if not (include "cabstand.secure" .root) -}}
{{- $config = omit $config "tls" -}}
{{- $_ := set $config "auth" (dict "mode" "none" "allow_remote" true) -}}
{{- $_ := set $config "admin" (dict "listen" $config.admin.listen "open" true) -}}
{{- end -}}
{{- if and (eq .service "gateway") .root.Values.gateway.http.enabled -}}
{{- $http := dict "listen" (printf "0.0.0.0:%v" .root.Values.gateway.http.port) -}}
{{- with .root.Values.gateway.http.corsOrigins }}{{ $_ := set $http "cors_origins" . }}{{ end -}}
{{- $_ := set $config "http" $http -}}
{{- end -}}
{{- mergeOverwrite $config (deepCopy (get .root.Values .service).config) | toYaml -}}
{{- end -}}

{{/* The seconds until a service is killed: SIGTERM may take twice shutdown_seconds. Takes what `config` does. */}}
{{- define "cabstand.grace" -}}
{{- $grace := int (get .root.Values .service).terminationGracePeriodSeconds -}}
{{- $shutdown := (include "cabstand.config" . | fromYaml).shutdown_seconds -}}
{{- $least := max (add 5 (mul 2 (int $shutdown))) (add 25 (int $shutdown)) -}}
{{- if lt $grace (int $least) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds is %d: with shutdown_seconds %v expected at least %d" .service $grace $shutdown $least) -}}
{{- end -}}
{{- $grace -}}
{{- end -}}
