{{/* Names and labels, as the charts of Helm's own guide have them. */}}
{{- define "planlease.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "planlease.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "planlease.selectorLabels" -}}
app.kubernetes.io/name: {{ include "planlease.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "planlease.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: planlease
{{ include "planlease.selectorLabels" . }}
{{- end -}}

{{- define "planlease.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "planlease.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "planlease.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The restricted profile of the pod security standards, and what a user adds to it. */}}
{{- define "planlease.podSecurityContext" -}}
{{- $restricted := dict "runAsNonRoot" true "runAsUser" 65532 "runAsGroup" 65532 "fsGroup" 65532 "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- toYaml (mergeOverwrite $restricted (deepCopy .Values.podSecurityContext)) -}}
{{- end -}}

{{- define "planlease.securityContext" -}}
{{- $restricted := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "runAsNonRoot" true "capabilities" (dict "drop" (list "ALL")) "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- toYaml (mergeOverwrite $restricted (deepCopy .Values.sidecar.securityContext)) -}}
{{- end -}}

{{/* Refuses a key of a user's map that the chart sets itself. A list: the value's name, the user's map, the chart's keys. */}}
{{- define "planlease.unique" -}}
{{- $value := index . 0 -}}{{- $own := index . 2 -}}
{{- range $key, $_ := index . 1 -}}
{{- if has $key $own -}}
{{- fail (printf "%s: the chart sets %s itself" $value $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The labels of pods, and those of a user. A list: the context, the component, the value's name, the user's labels. */}}
{{- define "planlease.podLabels" -}}
{{- $labels := include "planlease.labels" (index . 0) | fromYaml -}}
{{- $_ := set $labels "app.kubernetes.io/component" (index . 1) -}}
{{- include "planlease.unique" (list (index . 2) (index . 3) (keys $labels)) -}}
{{- toYaml (merge $labels (index . 3)) -}}
{{- end -}}

{{/* An address to listen on, with its port. A list: the values, the port. */}}
{{- define "planlease.listen" -}}
{{- $address := (index . 0).listenAddress -}}
{{- if contains ":" $address -}}[{{ $address }}]{{- else -}}{{ $address }}{{- end -}}:{{ int (index . 1) }}
{{- end -}}

{{/*
The arguments of a sidecar: the chart's, then sidecar.extraArgs. The program takes each flag once, except --allow-host and
--verbose; so a flag that would be there twice is refused here, and not by a container that does not start. A --name replaces
the chart's.
A list: the chart's arguments, the user's.
*/}}
{{- define "planlease.args" -}}
{{- $instead := dict "--grace" "sidecar.graceSeconds" "--log-format" "sidecar.logFormat" "--metrics" "metrics.port and listenAddress" "--token-file" "gateway.tokenSecret" "--viewer-token-file" "gateway.viewerTokenSecret" "--listen" "listenAddress" -}}
{{- $given := dict -}}
{{- range $argument := index . 1 -}}
{{- $flag := splitList "=" $argument | first -}}
{{- if and (hasPrefix "--" $flag) (not (has $flag (list "--allow-host" "--verbose"))) -}}
{{- if hasKey $given $flag -}}
{{- fail (printf "sidecar.extraArgs: %s is there twice; the program takes it once" $flag) -}}
{{- end -}}
{{- $_ := set $given $flag true -}}
{{- end -}}
{{- end -}}
{{- $arguments := list -}}
{{- range $argument := index . 0 -}}
{{- $flag := splitList "=" $argument | first -}}
{{- if not (hasKey $given $flag) -}}
{{- $arguments = append $arguments $argument -}}
{{- else if ne $flag "--name" -}}
{{- fail (printf "sidecar.extraArgs: the chart sets %s itself%s" $flag (ternary (printf "; use %s" (get $instead $flag)) "" (hasKey $instead $flag))) -}}
{{- end -}}
{{- end -}}
{{- toYaml (concat $arguments (index . 1)) -}}
{{- end -}}

{{/* The variables of a sidecar: the chart's, then sidecar.extraEnv. Each name once, since the API server merges by name. */}}
{{- define "planlease.sidecarEnv" -}}
{{- $names := list "POD_NAME" -}}
{{- range include "planlease.env" . | fromYamlArray -}}{{- $names = append $names .name -}}{{- end -}}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
{{ include "planlease.env" . }}
{{- range $variable := .Values.sidecar.extraEnv -}}
{{- if has $variable.name $names -}}
{{- fail (printf "sidecar.extraEnv: %s is there twice, or the chart sets it itself" $variable.name) -}}
{{- end -}}
{{- $names = append $names $variable.name }}
{{ toYaml (list $variable) }}
{{- end -}}
{{- end -}}

{{/*
Where etcd may be reached: networkPolicy.etcdTo, else what etcd.endpoints tell. An address is a block of one; a name of the
cluster (etcd-0.etcd, …svc, …svc.cluster.local) is any pod of it. A name from outside says nothing of addresses.
*/}}
{{- define "planlease.etcdPeers" -}}
{{- if .Values.networkPolicy.etcdTo -}}
{{ toYaml .Values.networkPolicy.etcdTo }}
{{- else -}}
{{- $peers := list -}}
{{- range .Values.etcd.endpoints -}}
{{- $authority := . | trimPrefix "https://" | trimPrefix "http://" -}}
{{- $host := regexReplaceAll ":[0-9]+$" $authority "" -}}
{{- if regexMatch "^[0-9]+(\\.[0-9]+){3}$" $host -}}
{{- $peers = append $peers (dict "ipBlock" (dict "cidr" (printf "%s/32" $host))) -}}
{{- else if hasPrefix "[" $host -}}
{{- $peers = append $peers (dict "ipBlock" (dict "cidr" (printf "%s/128" ($host | trimPrefix "[" | trimSuffix "]")))) -}}
{{- else if regexMatch "^[^.]+(\\.[^.]+)?$|\\.svc(\\.cluster\\.local)?\\.?$" $host -}}
{{- $peers = append $peers (dict "namespaceSelector" dict) -}}
{{- else -}}
{{- fail (printf "networkPolicy.etcdTo: say where %s may be reached, as [{ipBlock: {cidr: 192.0.2.0/24}}]; a policy names addresses and pods, not host names" $host) -}}
{{- end -}}
{{- end -}}
{{ toYaml (uniq $peers) }}
{{- end -}}
{{- end -}}

{{/* Where etcd is and how to talk to it: for every container that speaks to it. */}}
{{- define "planlease.env" -}}
- name: PLANLEASE_ENDPOINTS
  value: {{ required "etcd.endpoints: say where etcd is, as https://etcd-0.etcd:2379" (join "," .Values.etcd.endpoints) | quote }}
- name: PLANLEASE_ROOT
  value: {{ .Values.etcd.root | quote }}
- name: PLANLEASE_NAMESPACE
  value: {{ .Values.etcd.namespace | quote }}
- name: PLANLEASE_TTL
  value: {{ printf "%ds" (int .Values.ttlSeconds) | quote }}
{{- if .Values.etcd.tlsSecret }}
- name: PLANLEASE_CACERT
  value: /etc/planlease/tls/ca.crt
{{- if .Values.etcd.clientCertificate }}
- name: PLANLEASE_CERT
  value: /etc/planlease/tls/tls.crt
- name: PLANLEASE_KEY
  value: /etc/planlease/tls/tls.key
{{- end }}
{{- end }}
{{- if .Values.etcd.credentialsSecret }}
- name: PLANLEASE_USER
  valueFrom:
    secretKeyRef: { name: {{ .Values.etcd.credentialsSecret | quote }}, key: username }
- name: PLANLEASE_PASSWORD_FILE
  value: /etc/planlease/credentials/password
{{- end }}
{{- end -}}

{{- define "planlease.mounts" -}}
{{- if .Values.etcd.tlsSecret }}
- { name: planlease-tls, mountPath: /etc/planlease/tls, readOnly: true }
{{- end }}
{{- if .Values.etcd.credentialsSecret }}
- { name: planlease-credentials, mountPath: /etc/planlease/credentials, readOnly: true }
{{- end }}
{{- end -}}

{{/* The secrets that planlease.mounts mounts. */}}
{{- define "planlease.secrets" -}}
{{- if .Values.etcd.tlsSecret }}
- name: planlease-tls
  secret: { secretName: {{ .Values.etcd.tlsSecret | quote }}, defaultMode: 0440 }
{{- end }}
{{- if .Values.etcd.credentialsSecret }}
- name: planlease-credentials
  secret:
    secretName: {{ .Values.etcd.credentialsSecret | quote }}
    defaultMode: 0440
    items: [{ key: password, path: password }]
{{- end }}
{{- end -}}

{{/* The volumes that the sidecar needs; the socket is in planlease-run, which your own container mounts as well. */}}
{{- define "planlease.volumes" -}}
- name: planlease-run
  emptyDir: { medium: Memory, sizeLimit: 1Mi }
{{ include "planlease.secrets" . }}
{{- end -}}

{{- define "planlease.probe" -}}
{{- $probe := index . 0 -}}{{- $values := index . 1 -}}
httpGet: { path: {{ $probe }}, port: planlease-http }
periodSeconds: 5
timeoutSeconds: 3
{{- end -}}

{{/*
The sidecar for a pod of your own. Where it goes depends on sidecar.native:

    spec:
      initContainers:
        {{- include "planlease.sidecar.native" . | nindent 8 }}
      containers:
        {{- include "planlease.sidecar.classic" . | nindent 8 }}
        - name: my-program
          volumeMounts: [{ name: planlease-run, mountPath: /run/planlease }]
      volumes:
        {{- include "planlease.volumes" . | nindent 8 }}

One of the two is empty. The socket is /run/planlease/sidecar.sock. In a chart that has this one as a dependency, pass
(dict "Values" .Values.planlease "Chart" .Subcharts.planlease.Chart "Release" .Release) instead of the dot.
*/}}
{{- define "planlease.sidecar.native" -}}
{{- if .Values.sidecar.native -}}
{{ include "planlease.sidecar" . }}
  restartPolicy: Always
{{- end -}}
{{- end -}}

{{- define "planlease.sidecar.classic" -}}
{{- if not .Values.sidecar.native -}}
{{ include "planlease.sidecar" . }}
{{- end -}}
{{- end -}}

{{- define "planlease.sidecar" -}}
- name: planlease
  image: {{ include "planlease.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args:
    {{- $own := list "sidecar" "--socket=/run/planlease/sidecar.sock" (printf "--metrics=%s" (include "planlease.listen" (list .Values .Values.metrics.port))) (printf "--grace=%ds" (int .Values.sidecar.graceSeconds)) (printf "--log-format=%s" .Values.sidecar.logFormat) "--name=$(POD_NAME)" }}
    {{- include "planlease.args" (list $own .Values.sidecar.extraArgs) | nindent 4 }}
  env:
    {{- include "planlease.sidecarEnv" . | nindent 4 }}
  ports:
    - { name: planlease-http, containerPort: {{ int .Values.metrics.port }} }
  startupProbe:
    {{- include "planlease.probe" (list "/startupz" .Values) | nindent 4 }}
    failureThreshold: 60
  livenessProbe:
    {{- include "planlease.probe" (list "/livez" .Values) | nindent 4 }}
    failureThreshold: 6
  {{- if not .Values.sidecar.native }}
  # A pod without etcd can still finish what it has begun; so only a gateway's traffic depends on readiness.
  lifecycle:
    preStop:
      exec: { command: ["/planlease", "sidecar", "drain", "--socket=/run/planlease/sidecar.sock", "--wait={{ int .Values.sidecar.graceSeconds }}s"] }
  {{- end }}
  resources:
    {{- toYaml .Values.sidecar.resources | nindent 4 }}
  securityContext:
    {{- include "planlease.securityContext" . | nindent 4 }}
  volumeMounts:
    - { name: planlease-run, mountPath: /run/planlease }
    {{- include "planlease.mounts" . | nindent 4 }}
{{- end -}}

{{/* Spread over hosts, unless a user says otherwise. A list: the constraints that were given, and the labels of the pods. */}}
{{- define "planlease.spread" -}}
{{- $given := index . 0 -}}{{- $labels := index . 1 -}}
{{- if $given -}}
{{ toYaml $given }}
{{- else -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- $labels | nindent 6 }}
{{- end -}}
{{- end -}}
