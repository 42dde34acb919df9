{{- define "slipway.labels" -}}
app.kubernetes.io/name: slipway
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: slipway
{{- end }}

{{- define "slipway.image" -}}
{{ .root.Values.image.registry }}/{{ .name }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "slipway.keysSecret" -}}
{{ .Values.keys.existingSecret | default "slipway-keys" }}
{{- end }}

{{- define "slipway.podSecurity" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "slipway.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* The flags and mounts that both servers need to reach Jenkins and S3. */ -}}
{{- define "slipway.backendArgs" -}}
- --jenkins-url={{ required "jenkins.url is required: the address of the Jenkins that runs the pipelines (docs/jenkins.md)" .Values.jenkins.url }}
- --jenkins-user={{ .Values.jenkins.username }}
- --jenkins-token-file=/etc/slipway/jenkins/token
- --jenkins-timeout={{ .Values.jenkins.timeout }}
- --jenkins-max-in-flight={{ .Values.jenkins.maxInFlight }}
{{- if or .Values.jenkins.ca.configMap .Values.jenkins.ca.secret }}
- --jenkins-ca-file=/etc/slipway/jenkins-ca/ca.crt
{{- end }}
{{- if .Values.s3.endpoint }}
- --s3-endpoint={{ .Values.s3.endpoint }}
- --s3-region={{ .Values.s3.region }}
- --s3-bucket={{ .Values.s3.bucket }}
- --s3-access-key-file=/etc/slipway/s3/accessKey
- --s3-secret-key-file=/etc/slipway/s3/secretKey
{{- end }}
- --git-cache-dir=/var/cache/slipway
{{- if .Values.egress.allowLocal }}
- --egress-allow-local
{{- end }}
{{- end }}

{{- define "slipway.backendMounts" -}}
- {name: keys, mountPath: /etc/slipway/keys, readOnly: true}
- {name: jenkins, mountPath: /etc/slipway/jenkins, readOnly: true}
{{- if or .Values.jenkins.ca.configMap .Values.jenkins.ca.secret }}
- {name: jenkins-ca, mountPath: /etc/slipway/jenkins-ca, readOnly: true}
{{- end }}
{{- if .Values.s3.endpoint }}
- {name: s3, mountPath: /etc/slipway/s3, readOnly: true}
{{- end }}
- {name: cache, mountPath: /var/cache/slipway}
# Large forms are kept in files while they are read.
- {name: cache, mountPath: /tmp, subPath: tmp}
{{- end }}

{{- define "slipway.backendVolumes" -}}
- name: keys
  secret: {secretName: {{ include "slipway.keysSecret" . }}}
- name: jenkins
  secret: {secretName: {{ .Values.jenkins.tokenSecret }}}
{{- if .Values.jenkins.ca.configMap }}
- name: jenkins-ca
  configMap: {name: {{ .Values.jenkins.ca.configMap }}}
{{- else if .Values.jenkins.ca.secret }}
- name: jenkins-ca
  secret: {secretName: {{ .Values.jenkins.ca.secret }}}
{{- end }}
{{- if .Values.s3.endpoint }}
- name: s3
  secret: {secretName: {{ .Values.s3.credentialsSecret }}}
{{- end }}
- name: cache
  emptyDir: {sizeLimit: {{ .Values.git.cacheSize }}}
{{- end }}

{{- define "slipway.jenkinsAccountNamespace" -}}
{{- $account := .Values.jenkins.serviceAccount -}}
{{- if $account.create -}}{{ .Release.Namespace }}{{- else -}}{{ $account.namespace | default .Values.workerNamespace }}{{- end -}}
{{- end }}

{{- /* The memory from which on garbage is collected more often: nine tenths of the limit, where that is in Mi or Gi. */ -}}
{{- define "slipway.memoryLimit" -}}
{{- $limit := toString (((.limits | default dict).memory) | default "") }}
{{- if regexMatch "^[0-9]+Mi$" $limit }}
env: [{name: GOMEMLIMIT, value: {{ div (mul (trimSuffix "Mi" $limit | int) 9) 10 }}MiB}]
{{- else if regexMatch "^[0-9]+Gi$" $limit }}
env: [{name: GOMEMLIMIT, value: {{ div (mul (trimSuffix "Gi" $limit | int) 9216) 10 }}MiB}]
{{- end }}
{{- end }}

{{- /* Where the pods of a component run; without topologySpreadConstraints of their own they are spread over the nodes. */ -}}
{{- define "slipway.scheduling" -}}
{{- with .scheduling }}
{{- toYaml . }}
{{- end }}
{{- if not .scheduling.topologySpreadConstraints }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {app.kubernetes.io/instance: {{ .root.Release.Name }}, app.kubernetes.io/component: {{ .component }}}
{{- end }}
{{- end }}

{{- /* The flags about agent pods. */ -}}
{{- define "slipway.agentArgs" -}}
- --agent-jenkins-image={{ include "slipway.image" (dict "root" . "name" .Values.agents.image) }}
- --agent-payload={{ .Values.agents.payload }}
- --agent-restricted={{ .Values.agents.restricted }}
- --agent-service-account={{ .Values.agents.serviceAccount.name }}
- --agent-dns-policy={{ .Values.agents.dnsPolicy }}
- --agent-active-deadline={{ .Values.agents.activeDeadline }}
- --agent-default-cpu-limit={{ .Values.agents.defaultLimits.cpu }}
- --agent-default-memory-limit={{ .Values.agents.defaultLimits.memory }}
{{- if .Values.jenkins.serviceAccount.name }}
- --jenkins-agent-user=system:serviceaccount:{{ include "slipway.jenkinsAccountNamespace" . }}:{{ .Values.jenkins.serviceAccount.name }}
{{- end }}
{{- end }}
