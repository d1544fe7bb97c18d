{{- define "atelier.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "atelier.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "atelier.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "atelier.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* What is not in a namespace must not meet another release's. */ -}}
{{- define "atelier.clusterName" -}}
{{- $name := include "atelier.fullname" . -}}
{{- if eq $name .Release.Namespace -}}{{ $name }}{{- else -}}{{ printf "%s-%s" .Release.Namespace $name | trunc 63 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{- define "atelier.selector" -}}
app.kubernetes.io/name: {{ include "atelier.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "atelier.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{ include "atelier.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: atelier
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{- define "atelier.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end -}}
{{- end -}}

{{- define "atelier.controller.account" -}}
{{- with .Values.controller.serviceAccount -}}
{{- if .create -}}{{ default (include "atelier.fullname" $) .name }}{{- else -}}{{ default "default" .name }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "atelier.controlPlane.account" -}}
{{- with .Values.controlPlane.serviceAccount -}}
{{- if .create -}}{{ default (printf "%s-control-plane" (include "atelier.fullname" $)) .name }}{{- else -}}{{ default "default" .name }}{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The Service that the APIService points at. */ -}}
{{- define "atelier.live.service" -}}{{ include "atelier.fullname" . }}-live{{- end -}}

{{- define "atelier.registry.peerName" -}}
{{- default (printf "%s-registry.%s.svc" (include "atelier.fullname" .) .Release.Namespace) .Values.registry.tls.peerName -}}
{{- end -}}

{{- /* Restricted, as the Pod Security Standards have it. */ -}}
{{- define "atelier.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "atelier.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "atelier.affinity" -}}
{{- if .values.affinity -}}
{{ toYaml .values.affinity }}
{{- else -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
  - weight: 100
    podAffinityTerm:
      topologyKey: kubernetes.io/hostname
      labelSelector:
        matchLabels:
          {{- include "atelier.selector" . | nindent 10 }}
{{- end -}}
{{- end -}}

{{- /* What a pod of ours has in common with any other: where it may run. */ -}}
{{- define "atelier.scheduling" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints:
{{- toYaml . | nindent 0 }}
{{- end }}
affinity:
  {{- include "atelier.affinity" . | nindent 2 }}
securityContext:
  {{- include "atelier.podSecurity" . | nindent 2 }}
{{- end -}}
