{{- define "user.labels" -}}
app.kubernetes.io/name: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "user.selector" -}}
app.kubernetes.io/name: {{ .Release.Name }}
{{- end }}
{{- define "user.portName" -}}
{{- if hasPrefix "http" .Values.service.protocol }}http{{ else }}{{ .Values.service.protocol }}{{ end }}
{{- end }}
