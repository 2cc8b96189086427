{{- define "outrigger.name" -}}{{ .Release.Name }}-injector{{- end }}
{{- define "outrigger.image" -}}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{- end }}
{{- define "outrigger.labels" -}}
app.kubernetes.io/name: {{ include "outrigger.name" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "outrigger.selector" -}}
app.kubernetes.io/name: {{ include "outrigger.name" . }}
{{- end }}
