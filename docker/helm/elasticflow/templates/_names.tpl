{{- define "elasticflow.name" -}}
{{- printf "%s" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- define "elasticflow.labels" -}}
app.kubernetes.io/name: elasticflow
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}
{{- define "elasticflow.selector" -}}
app.kubernetes.io/name: elasticflow
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
