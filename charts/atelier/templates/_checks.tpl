{{- /* What the schema cannot see: values that contradict each other. */ -}}
{{- define "atelier.checks" -}}
{{- $election := dig "leader-election" true .Values.controller.flags -}}
{{- if and (gt (int .Values.controller.replicas) 1) (eq (toString $election) "false") -}}
{{- fail "controller.replicas: more than 1 needs leader election; take controller.flags.leader-election out" -}}
{{- end -}}
{{- range $flag, $value := .Values.controller.flags -}}
{{- if has $flag (list "kubeconfig" "context" "namespace" "operator-namespace" "controller-name" "cluster-id" "backend-config" "registry-bind" "registry-url" "registry-tls-cert" "registry-tls-key" "registry-leader-ca" "registry-leader-name" "metrics-bind" "live-bind" "live-service" "log-level" "log-format") -}}
{{- fail (printf "controller.flags.%s: the chart sets this flag itself, from a value of its own" $flag) -}}
{{- end -}}
{{- end -}}
{{- with .Values.controlPlane -}}
{{- if .enabled -}}
{{- if not .settings.region -}}{{- fail "controlPlane.settings.region: needed" -}}{{- end -}}
{{- if not .secrets -}}{{- fail "controlPlane.secrets: at least one is needed, or nobody may call" -}}{{- end -}}
{{- range $key := list "secrets" "consoleSecrets" "adminTokenFile" "replicas" -}}
{{- if hasKey $.Values.controlPlane.settings $key -}}
{{- fail (printf "controlPlane.settings.%s: the chart writes this itself; use controlPlane.%s" $key (ternary "adminTokenSecretRef" $key (eq $key "adminTokenFile"))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.backendConfig.create (not .Values.backendConfig.spec) -}}
{{- fail "backendConfig.spec: needed with backendConfig.create" -}}
{{- end -}}
{{- end -}}
