// SPDX-License-Identifier: Apache-2.0

package kubeyaml

import "strings"

// kinds are the objects that kube play knows.
func kinds() []string {
	return []string{"Pod", "Deployment", "DaemonSet", "Job", "ConfigMap", "Secret", "PersistentVolumeClaim"}
}

// schema lists the fields of each type. A field is NAME or NAME:TYPE; a type is one of these, "[]" or "{}" and a type,
// or text. Without a type a field may be anything. Source: Kubernetes API reference, core/v1, apps/v1 and batch/v1.
func schema(kind string) string {
	switch kind {
	case "Pod":
		return "apiVersion:text kind:text metadata:ObjectMeta spec:PodSpec status"
	case "Deployment":
		return "apiVersion:text kind:text metadata:ObjectMeta spec:DeploymentSpec status"
	case "DaemonSet":
		return "apiVersion:text kind:text metadata:ObjectMeta spec:DaemonSetSpec status"
	case "Job":
		return "apiVersion:text kind:text metadata:ObjectMeta spec:JobSpec status"
	case "ConfigMap":
		return "apiVersion:text kind:text metadata:ObjectMeta data:{}text binaryData:{}text immutable:text"
	case "Secret":
		return "apiVersion:text kind:text metadata:ObjectMeta data:{}text stringData:{}text type:text immutable:text"
	case "PersistentVolumeClaim":
		return "apiVersion:text kind:text metadata:ObjectMeta spec:PersistentVolumeClaimSpec status"
	case "ObjectMeta":
		return "name:text generateName:text namespace:text labels:{}text annotations:{}text uid:text resourceVersion:text generation:text " +
			"creationTimestamp:text deletionTimestamp:text deletionGracePeriodSeconds:text ownerReferences finalizers selfLink managedFields"
	case "DeploymentSpec":
		return "replicas:text selector:LabelSelector template:PodTemplateSpec strategy minReadySeconds:text revisionHistoryLimit:text " +
			"paused:text progressDeadlineSeconds:text"
	case "DaemonSetSpec":
		return "selector:LabelSelector template:PodTemplateSpec updateStrategy minReadySeconds:text revisionHistoryLimit:text"
	case "JobSpec":
		return "template:PodTemplateSpec parallelism:text completions:text completionMode:text backoffLimit:text backoffLimitPerIndex:text " +
			"maxFailedIndexes:text activeDeadlineSeconds:text ttlSecondsAfterFinished:text suspend:text selector:LabelSelector " +
			"manualSelector:text podFailurePolicy podReplacementPolicy:text successPolicy managedBy:text"
	case "LabelSelector":
		return "matchLabels:{}text matchExpressions"
	case "PodTemplateSpec":
		return "metadata:ObjectMeta spec:PodSpec"
	case "PodSpec":
		return "containers:[]Container initContainers:[]Container ephemeralContainers volumes:[]Volume restartPolicy:text " +
			"terminationGracePeriodSeconds:text activeDeadlineSeconds:text dnsPolicy:text nodeSelector:{}text serviceAccountName:text " +
			"serviceAccount:text automountServiceAccountToken:text nodeName:text hostNetwork:text hostPID:text hostIPC:text " +
			"shareProcessNamespace:text securityContext:PodSecurityContext imagePullSecrets hostname:text subdomain:text affinity " +
			"schedulerName:text tolerations hostAliases:[]HostAlias priorityClassName:text priority:text dnsConfig:PodDNSConfig " +
			"readinessGates runtimeClassName:text enableServiceLinks:text preemptionPolicy:text overhead topologySpreadConstraints " +
			"setHostnameAsFQDN:text os hostUsers:text schedulingGates resourceClaims resources hostnameOverride:text"
	case "HostAlias":
		return "ip:text hostnames:[]text"
	case "PodDNSConfig":
		return "nameservers:[]text searches:[]text options:[]DNSOption"
	case "DNSOption":
		return "name:text value:text"
	case "PodSecurityContext":
		return "seLinuxOptions:SELinuxOptions windowsOptions runAsUser:text runAsGroup:text runAsNonRoot:text supplementalGroups:[]text " +
			"supplementalGroupsPolicy:text fsGroup:text fsGroupChangePolicy:text sysctls:[]Sysctl seccompProfile appArmorProfile " +
			"seLinuxChangePolicy:text"
	case "Sysctl":
		return "name:text value:text"
	case "SELinuxOptions":
		return "user:text role:text type:text level:text filetype:text"
	case "Container":
		return "name:text image:text command:[]text args:[]text workingDir:text ports:[]ContainerPort envFrom:[]EnvFrom env:[]EnvVar " +
			"resources:Resources resizePolicy restartPolicy:text restartPolicyRules volumeMounts:[]VolumeMount volumeDevices:[]VolumeDevice " +
			"livenessProbe:Probe readinessProbe:Probe startupProbe:Probe lifecycle:Lifecycle terminationMessagePath:text " +
			"terminationMessagePolicy:text imagePullPolicy:text securityContext:SecurityContext stdin:text stdinOnce:text tty:text"
	case "ContainerPort":
		return "name:text hostPort:text containerPort:text protocol:text hostIP:text"
	case "EnvFrom":
		return "prefix:text configMapRef:Ref secretRef:Ref"
	case "Ref":
		return "name:text optional:text"
	case "EnvVar":
		return "name:text value:text valueFrom:EnvVarSource"
	case "EnvVarSource":
		return "fieldRef:FieldRef resourceFieldRef:ResourceFieldRef configMapKeyRef:KeyRef secretKeyRef:KeyRef fileKeyRef"
	case "FieldRef":
		return "apiVersion:text fieldPath:text"
	case "ResourceFieldRef":
		return "containerName:text resource:text divisor:text"
	case "KeyRef":
		return "name:text key:text optional:text"
	case "Resources":
		return "limits:{}text requests:{}text claims"
	case "VolumeMount":
		return "name:text readOnly:text recursiveReadOnly:text mountPath:text subPath:text mountPropagation:text subPathExpr:text"
	case "VolumeDevice":
		return "name:text devicePath:text"
	case "Probe":
		return "exec:ExecAction httpGet:HTTPGet tcpSocket:TCPSocket grpc initialDelaySeconds:text timeoutSeconds:text periodSeconds:text " +
			"successThreshold:text failureThreshold:text terminationGracePeriodSeconds:text"
	case "ExecAction":
		return "command:[]text"
	case "HTTPGet":
		return "path:text port:text host:text scheme:text httpHeaders:[]HTTPHeader"
	case "HTTPHeader":
		return "name:text value:text"
	case "TCPSocket":
		return "port:text host:text"
	case "Lifecycle":
		return "postStart:Handler preStop:Handler stopSignal:text"
	case "Handler":
		return "exec:ExecAction httpGet:HTTPGet tcpSocket:TCPSocket sleep"
	case "SecurityContext":
		return "capabilities:Capabilities privileged:text seLinuxOptions:SELinuxOptions windowsOptions runAsUser:text runAsGroup:text " +
			"runAsNonRoot:text readOnlyRootFilesystem:text allowPrivilegeEscalation:text procMount:text seccompProfile appArmorProfile"
	case "Capabilities":
		return "add:[]text drop:[]text"
	case "Volume":
		return "name:text hostPath:HostPath emptyDir:EmptyDir secret:SecretVolume configMap:ConfigMapVolume persistentVolumeClaim:PVCVolume " +
			"image:ImageVolume projected nfs csi downwardAPI ephemeral iscsi cephfs rbd glusterfs fc local"
	case "HostPath":
		return "path:text type:text"
	case "EmptyDir":
		return "medium:text sizeLimit:text"
	case "SecretVolume":
		return "secretName:text items:[]KeyToPath defaultMode:text optional:text"
	case "ConfigMapVolume":
		return "name:text items:[]KeyToPath defaultMode:text optional:text"
	case "KeyToPath":
		return "key:text path:text mode:text"
	case "PVCVolume":
		return "claimName:text readOnly:text"
	case "ImageVolume":
		return "reference:text pullPolicy:text"
	case "PersistentVolumeClaimSpec":
		return "accessModes:[]text selector:LabelSelector resources:Resources volumeName:text storageClassName:text volumeMode:text " +
			"dataSource dataSourceRef volumeAttributesClassName:text"
	}
	return ""
}

// fieldType finds the type of a field; ok is false when the type has no such field.
func fieldType(kind, name string) (t string, ok bool) {
	for f := range strings.FieldsSeq(schema(kind)) {
		if n, t, _ := strings.Cut(f, ":"); n == name {
			return t, true
		}
	}
	return "", false
}

// fieldNames lists the fields of a type.
func fieldNames(kind string) []string {
	var out []string
	for f := range strings.FieldsSeq(schema(kind)) {
		n, _, _ := strings.Cut(f, ":")
		out = append(out, n)
	}
	return out
}
