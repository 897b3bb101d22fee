// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/kube/yaml"
)

// Verdict is what becomes of a field that a document has.
type Verdict uint8

// The verdicts.
const (
	Honoured    Verdict = iota // it has its effect
	Meaningless                // one machine has nothing that it could act on; accepted without a word
	Noted                      // it has no effect, and a warning says so; with --strict that is an error
	Refused                    // the document is refused: going on without it would do harm
)

// String is the word that the documents use.
func (v Verdict) String() string {
	return [...]string{"honoured", "no meaning here", "noted", "refused"}[v]
}

// Field is one row of the table of fields.
type Field struct {
	// Type is the Go type of k8s.io/api that declares the field.
	Type string
	// Name is the field as YAML has it.
	Name    string
	Verdict Verdict
	// Doc says what the field does here; for a refused or noted one it is the hint of the report.
	Doc string
}

// Fields is the table of every field of the kinds that are played. The documents are made from it,
// and decoding judges by it: a field that is missing here makes a test fail, so that none is
// dropped in silence. Of a field without meaning the table has no deeper rows.
func Fields() []Field {
	var all []Field
	for _, group := range [][]Field{objectFields(), podFields(), containerFields(), probeFields(), securityFields(), volumeFields(), controllerFields(), storageFields()} {
		all = append(all, group...)
	}
	return all
}

// Place tells where a type of the table is first found: the kind, and the path from its top.
type Place struct {
	Type, Kind, Path string
}

// Places lists the types of the table in the order in which the kinds lead to them.
func Places() []Place {
	var all []Place
	seen := map[reflect.Type]bool{}
	type step struct {
		typ  reflect.Type
		path string
	}
	for _, k := range kinds() {
		queue := []step{{reflect.TypeOf(k.make()).Elem(), ""}}
		for len(queue) > 0 {
			s := queue[0]
			queue = queue[1:]
			for s.typ.Kind() == reflect.Pointer || s.typ.Kind() == reflect.Slice {
				if s.typ.Kind() == reflect.Slice {
					s.path += "[]"
				}
				s.typ = s.typ.Elem()
			}
			if s.typ.Kind() != reflect.Struct || seen[s.typ] || reflect.PointerTo(s.typ).Implements(reflect.TypeFor[json.Unmarshaler]()) {
				continue
			}
			seen[s.typ] = true
			for _, f := range yaml.FieldsOf(s.typ) {
				if !slices.ContainsFunc(all, func(p Place) bool { return p.Type == f.Owner.Name() }) {
					all = append(all, Place{f.Owner.Name(), k.name, s.path})
				}
				if verdicts()[f.Owner.Name()+"."+f.Name].Verdict == Honoured {
					queue = append(queue, step{f.Type, strings.TrimPrefix(s.path+"."+f.Name, ".")})
				}
			}
		}
	}
	return all
}

const (
	h = Honoured
	m = Meaningless
	n = Noted
	r = Refused
)

const noScheduler = "there is one machine, and nothing to choose between"

func objectFields() []Field {
	const system = "kept by a cluster; the output of kubectl get is accepted"
	return []Field{
		{"TypeMeta", "kind", h, "which object it is"},
		{"TypeMeta", "apiVersion", h, "a version that does not belong to the kind is noted"},
		{"ObjectMeta", "name", h, "needed; names of units, volumes and secrets are made from it"},
		{"ObjectMeta", "generateName", h, "beside a name it means nothing, as the output of kubectl get has it; alone it is refused: names are not made up, or a later play could not find it"},
		{"ObjectMeta", "namespace", h, "only seen by fieldRef; two objects of one kind and name are refused whatever their namespaces"},
		{"ObjectMeta", "labels", h, "those of the pod become labels of every container"},
		{"ObjectMeta", "annotations", h, "those of the pod and of its controller; see the table of annotations"},
		{"ObjectMeta", "selfLink", m, system}, {"ObjectMeta", "uid", m, system}, {"ObjectMeta", "resourceVersion", m, system},
		{"ObjectMeta", "generation", m, system}, {"ObjectMeta", "creationTimestamp", m, system},
		{"ObjectMeta", "deletionTimestamp", m, system}, {"ObjectMeta", "deletionGracePeriodSeconds", m, system},
		{"ObjectMeta", "ownerReferences", m, system}, {"ObjectMeta", "finalizers", m, system}, {"ObjectMeta", "managedFields", m, system},
	}
}

func podFields() []Field {
	return []Field{
		{"Pod", "metadata", h, ""}, {"Pod", "spec", h, ""}, {"Pod", "status", m, "written by a cluster"},
		{"PodTemplateSpec", "metadata", h, "labels and annotations of the pod"}, {"PodTemplateSpec", "spec", h, ""},
		{"PodSpec", "containers", h, "at least one, or a note"},
		{"PodSpec", "initContainers", h, "one after the other, before the others; restartPolicy: Always makes one a sidecar"},
		{"PodSpec", "ephemeralContainers", r, "they are added to a running pod; make it a container, or use podunit exec"},
		{"PodSpec", "volumes", h, ""},
		{"PodSpec", "restartPolicy", h, "Restart= of each container's unit, with a growing delay"},
		{"PodSpec", "terminationGracePeriodSeconds", h, "time between the stop signal and KILL, 30 if absent, as in Kubernetes"},
		{"PodSpec", "activeDeadlineSeconds", h, "the pod is stopped after it, and counts as failed"},
		{"PodSpec", "dnsPolicy", h, "ClusterFirst is the network's name server where it has one, else the machine's"},
		{"PodSpec", "dnsConfig", h, "name servers, search domains and options of /etc/resolv.conf"},
		{"PodSpec", "hostAliases", h, "lines of /etc/hosts"},
		{"PodSpec", "hostname", h, "else the pod's name"},
		{"PodSpec", "hostnameOverride", h, "stronger than hostname and subdomain"},
		{"PodSpec", "subdomain", h, "the full name in /etc/hosts is HOSTNAME.SUBDOMAIN.NAMESPACE.svc.cluster.local"},
		{"PodSpec", "setHostnameAsFQDN", h, "the full name becomes the host name"},
		{"PodSpec", "hostNetwork", h, "the machine's network and host name"},
		{"PodSpec", "hostPID", h, ""}, {"PodSpec", "hostIPC", h, ""},
		{"PodSpec", "hostUsers", h, "false: a user namespace of its own"},
		{"PodSpec", "shareProcessNamespace", h, ""},
		{"PodSpec", "securityContext", h, "defaults of its containers"},
		{"PodSpec", "imagePullSecrets", h, "logins for the registries"},
		{"PodSpec", "resources", h, "limits of the pod as a whole"},
		{"PodSpec", "runtimeClassName", h, "the runtime of this name, if the machine has one"},
		{"PodSpec", "os", h, "linux; windows is refused"},
		{"PodSpec", "serviceAccountName", m, "only seen by fieldRef; there is no API server"},
		{"PodSpec", "serviceAccount", m, "there is no API server"},
		{"PodSpec", "automountServiceAccountToken", m, "there is no API server"},
		{"PodSpec", "enableServiceLinks", m, "no variables are made for services"},
		{"PodSpec", "nodeName", m, noScheduler}, {"PodSpec", "nodeSelector", m, noScheduler}, {"PodSpec", "affinity", m, noScheduler},
		{"PodSpec", "tolerations", m, noScheduler}, {"PodSpec", "topologySpreadConstraints", m, noScheduler},
		{"PodSpec", "schedulerName", m, noScheduler}, {"PodSpec", "schedulingGates", m, noScheduler},
		{"PodSpec", "priorityClassName", m, noScheduler}, {"PodSpec", "priority", m, noScheduler},
		{"PodSpec", "preemptionPolicy", m, noScheduler}, {"PodSpec", "overhead", m, noScheduler},
		{"PodSpec", "readinessGates", m, noScheduler}, {"PodSpec", "workloadRef", m, noScheduler},
		{"PodSpec", "resourceClaims", r, "devices that a cluster allocates are not there; name the device, such as podman.io/device=/dev/dri: 1 below resources.limits"},
		{"HostAlias", "ip", h, ""}, {"HostAlias", "hostnames", h, ""},
		{"PodDNSConfig", "nameservers", h, "at most three"}, {"PodDNSConfig", "searches", h, "at most 32"}, {"PodDNSConfig", "options", h, ""},
		{"PodDNSConfigOption", "name", h, ""}, {"PodDNSConfigOption", "value", h, ""},
		{"LocalObjectReference", "name", h, ""},
		{"PodOS", "name", h, "linux"},
	}
}

func containerFields() []Field {
	return []Field{
		{"Container", "name", h, "needed, and unique in its pod"}, {"Container", "image", h, "needed"},
		{"Container", "imagePullPolicy", h, "Always, IfNotPresent, Never; and missing, newer as podman has them"},
		{"Container", "command", h, "in place of the image's entrypoint and command; $(NAME) is expanded"},
		{"Container", "args", h, "in place of the image's command; $(NAME) is expanded"},
		{"Container", "workingDir", h, ""}, {"Container", "ports", h, "hostPort publishes; containerPort alone does with --publish-all"},
		{"Container", "envFrom", h, ""}, {"Container", "env", h, "$(NAME) is expanded"},
		{"Container", "resources", h, ""}, {"Container", "resizePolicy", m, "resources are not changed while it runs"},
		{"Container", "restartPolicy", h, "stronger than the pod's"}, {"Container", "restartPolicyRules", h, ""},
		{"Container", "volumeMounts", h, ""},
		{"Container", "volumeDevices", r, "there are no claims of block devices; use hostPath with type BlockDevice"},
		{"Container", "livenessProbe", h, ""}, {"Container", "readinessProbe", h, ""}, {"Container", "startupProbe", h, ""},
		{"Container", "lifecycle", h, ""},
		{"Container", "terminationMessagePath", h, "its text is shown by systemctl status and in the journal"},
		{"Container", "terminationMessagePolicy", h, ""},
		{"Container", "securityContext", h, ""},
		{"Container", "stdin", h, "standard input is kept open"},
		{"Container", "stdinOnce", n, "standard input stays open when an attached client leaves"},
		{"Container", "tty", h, ""},
		{"ContainerPort", "name", h, "for probes"}, {"ContainerPort", "hostPort", h, "published on the machine"},
		{"ContainerPort", "containerPort", h, "equal to hostPort if absent"}, {"ContainerPort", "protocol", h, "TCP, UDP"},
		{"ContainerPort", "hostIP", h, "all addresses if absent"},
		{"EnvVar", "name", h, ""}, {"EnvVar", "value", h, ""}, {"EnvVar", "valueFrom", h, ""},
		{"EnvVarSource", "fieldRef", h, ""}, {"EnvVarSource", "resourceFieldRef", h, ""}, {"EnvVarSource", "configMapKeyRef", h, ""},
		{"EnvVarSource", "secretKeyRef", h, ""}, {"EnvVarSource", "fileKeyRef", h, "read from a volume of the pod when the container starts"},
		{"EnvFromSource", "prefix", h, ""}, {"EnvFromSource", "configMapRef", h, ""}, {"EnvFromSource", "secretRef", h, ""},
		{"ConfigMapEnvSource", "optional", h, ""}, {"SecretEnvSource", "optional", h, ""},
		{"ConfigMapKeySelector", "key", h, ""}, {"ConfigMapKeySelector", "optional", h, ""},
		{"SecretKeySelector", "key", h, ""}, {"SecretKeySelector", "optional", h, ""},
		{"FileKeySelector", "volumeName", h, ""}, {"FileKeySelector", "path", h, ""}, {"FileKeySelector", "key", h, ""}, {"FileKeySelector", "optional", h, ""},
		{"ObjectFieldSelector", "apiVersion", m, "there is one version"},
		{"ObjectFieldSelector", "fieldPath", h, "metadata.name, .namespace, .uid, .labels, .annotations, spec.nodeName, spec.serviceAccountName, status.hostIP, .hostIPs, .podIP, .podIPs"},
		{"ResourceFieldSelector", "containerName", h, ""}, {"ResourceFieldSelector", "resource", h, "limits and requests of cpu, memory, ephemeral-storage, hugepages-SIZE"},
		{"ResourceFieldSelector", "divisor", h, "the value is rounded up"},
		{"ResourceRequirements", "limits", h, "cpu and memory limit the container's own cgroup, as --cpus and --memory; devices as VENDOR/CLASS=NAME or podman.io/device=PATH; ephemeral-storage has no meaning; others, and hugepages-SIZE, are noted"},
		{"ResourceRequirements", "requests", h, "cpu is CPUWeight= of the unit (100 for each CPU), memory is as --memory-reservation"},
		{"ResourceRequirements", "claims", r, "devices that a cluster allocates are not there; name the device, such as podman.io/device=/dev/dri: 1 below resources.limits"},
		{"ContainerRestartRule", "action", h, "Restart; RestartAllContainers starts all containers of the pod anew"}, {"ContainerRestartRule", "exitCodes", h, ""},
		{"ContainerRestartRuleOnExitCodes", "operator", h, "In, NotIn"}, {"ContainerRestartRuleOnExitCodes", "values", h, ""},
		{"VolumeMount", "name", h, ""}, {"VolumeMount", "readOnly", h, ""}, {"VolumeMount", "recursiveReadOnly", h, ""},
		{"VolumeMount", "mountPath", h, "podman's options after a colon (:Z, :U, ...) are honoured, and noted: Kubernetes refuses them"},
		{"VolumeMount", "subPath", h, "made if it is not there"}, {"VolumeMount", "subPathExpr", h, "subPath with $(NAME)"},
		{"VolumeMount", "mountPropagation", h, "None is private, HostToContainer rslave, Bidirectional rshared"},
		{"Sysctl", "name", h, "only those of the pod's own namespaces"}, {"Sysctl", "value", h, ""},
	}
}

func probeFields() []Field {
	return []Field{
		{"Lifecycle", "postStart", h, "right after the start; the container is ready only when it is done"},
		{"Lifecycle", "preStop", h, "before the stop signal, within the time to stop"},
		{"Lifecycle", "stopSignal", h, "else the image's, else TERM"},
		{"LifecycleHandler", "exec", h, ""}, {"LifecycleHandler", "httpGet", h, "any answer will do"},
		{"LifecycleHandler", "tcpSocket", r, "Kubernetes never runs it either; use exec or httpGet"}, {"LifecycleHandler", "sleep", h, ""},
		{"SleepAction", "seconds", h, ""},
		{"ProbeHandler", "exec", h, "in the container; exit status 0 is good"}, {"ProbeHandler", "httpGet", h, "from the pod's network, the image needs no client; 200 to 399 is good"},
		{"ProbeHandler", "tcpSocket", h, "from the pod's network"}, {"ProbeHandler", "grpc", h, "the health service of gRPC"},
		{"ExecAction", "command", h, "no shell, nothing expanded"},
		{"HTTPGetAction", "path", h, "/ if absent"}, {"HTTPGetAction", "port", h, "a number, or the name of a port"},
		{"HTTPGetAction", "host", h, "the pod if absent"}, {"HTTPGetAction", "scheme", h, "HTTPS accepts every certificate"},
		{"HTTPGetAction", "httpHeaders", h, ""}, {"HTTPHeader", "name", h, ""}, {"HTTPHeader", "value", h, ""},
		{"TCPSocketAction", "port", h, ""}, {"TCPSocketAction", "host", h, ""},
		{"GRPCAction", "port", h, ""}, {"GRPCAction", "service", h, ""},
		{"Probe", "initialDelaySeconds", h, ""}, {"Probe", "timeoutSeconds", h, "1 if absent"}, {"Probe", "periodSeconds", h, "10 if absent"},
		{"Probe", "successThreshold", h, "1 if absent"}, {"Probe", "failureThreshold", h, "3 if absent"},
		{"Probe", "terminationGracePeriodSeconds", h, "time to stop when this probe has failed"},
	}
}

func securityFields() []Field {
	const windows = "there are no Windows containers"
	return []Field{
		{"PodSecurityContext", "seLinuxOptions", h, ""}, {"PodSecurityContext", "windowsOptions", r, windows},
		{"PodSecurityContext", "runAsUser", h, ""}, {"PodSecurityContext", "runAsGroup", h, "the image's user stays if it stands alone"},
		{"PodSecurityContext", "runAsNonRoot", h, "the start is refused for user 0; a name is looked up in the image"},
		{"PodSecurityContext", "supplementalGroups", h, ""}, {"PodSecurityContext", "supplementalGroupsPolicy", h, "Strict leaves out the groups of the image"},
		{"PodSecurityContext", "fsGroup", h, "owner of the pod's volumes, and a group of its processes"},
		{"PodSecurityContext", "fsGroupChangePolicy", h, ""}, {"PodSecurityContext", "sysctls", h, ""},
		{"PodSecurityContext", "seccompProfile", h, ""}, {"PodSecurityContext", "appArmorProfile", h, ""},
		{"PodSecurityContext", "seLinuxChangePolicy", m, "labels are changed as the mount says"},
		{"SecurityContext", "capabilities", h, ""}, {"SecurityContext", "privileged", h, ""}, {"SecurityContext", "seLinuxOptions", h, ""},
		{"SecurityContext", "windowsOptions", r, windows}, {"SecurityContext", "runAsUser", h, ""}, {"SecurityContext", "runAsGroup", h, ""},
		{"SecurityContext", "runAsNonRoot", h, ""}, {"SecurityContext", "readOnlyRootFilesystem", h, "/run, /tmp and /var/tmp stay writable, as with podman"},
		{"SecurityContext", "allowPrivilegeEscalation", h, "false sets no_new_privs"}, {"SecurityContext", "procMount", h, "Unmasked shows all of /proc and /sys"},
		{"SecurityContext", "seccompProfile", h, ""}, {"SecurityContext", "appArmorProfile", h, ""},
		{"Capabilities", "add", h, ""}, {"Capabilities", "drop", h, ""},
		{"SELinuxOptions", "user", h, ""}, {"SELinuxOptions", "role", h, ""}, {"SELinuxOptions", "type", h, ""}, {"SELinuxOptions", "level", h, ""},
		{"SeccompProfile", "type", h, "without a profile the engine's default is used, where Kubernetes has none"}, {"SeccompProfile", "localhostProfile", h, "below --seccomp-profile-root"},
		{"AppArmorProfile", "type", h, ""}, {"AppArmorProfile", "localhostProfile", h, ""},
	}
}

func volumeFields() []Field {
	const cloud = "this storage is not there on one machine; use hostPath or a claim"
	rows := []Field{
		{"Volume", "name", h, ""},
		{"VolumeSource", "hostPath", h, ""}, {"VolumeSource", "emptyDir", h, "one for the pod, gone with it"},
		{"VolumeSource", "secret", h, "files in memory"}, {"VolumeSource", "configMap", h, "files in memory"},
		{"VolumeSource", "projected", h, ""}, {"VolumeSource", "downwardAPI", h, ""},
		{"VolumeSource", "persistentVolumeClaim", h, "the named volume, made if it is not there"},
		{"VolumeSource", "ephemeral", h, "a volume that is removed with the pod"},
		{"VolumeSource", "image", h, "the files of an image, read-only"},
		{"VolumeSource", "nfs", h, "as root; refused for users"},
	}
	for _, name := range []string{
		"gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "iscsi", "glusterfs", "rbd", "flexVolume", "cinder", "cephfs", "flocker", "fc",
		"azureFile", "vsphereVolume", "quobyte", "azureDisk", "photonPersistentDisk", "portworxVolume", "scaleIO", "storageos", "csi",
	} {
		rows = append(rows, Field{"VolumeSource", name, r, cloud})
	}
	const cluster = "this is issued by an API server, which is not there"
	return append(rows,
		Field{"HostPathVolumeSource", "path", h, "relative to the working directory if it holds a slash; without any slash it is the name of a volume, as with podman"},
		Field{"HostPathVolumeSource", "type", h, "checked when the pod starts; absent, the path must exist"},
		Field{"EmptyDirVolumeSource", "medium", h, "Memory is one tmpfs for the pod; HugePages is refused"},
		Field{"EmptyDirVolumeSource", "sizeLimit", h, "size of the tmpfs; on disk it is noted"},
		Field{"SecretVolumeSource", "secretName", h, ""}, Field{"SecretVolumeSource", "items", h, ""}, Field{"SecretVolumeSource", "defaultMode", h, ""}, Field{"SecretVolumeSource", "optional", h, ""},
		Field{"ConfigMapVolumeSource", "items", h, ""}, Field{"ConfigMapVolumeSource", "defaultMode", h, ""}, Field{"ConfigMapVolumeSource", "optional", h, ""},
		Field{"KeyToPath", "key", h, ""}, Field{"KeyToPath", "path", h, "may have directories"}, Field{"KeyToPath", "mode", h, ""},
		Field{"PersistentVolumeClaimVolumeSource", "claimName", h, ""}, Field{"PersistentVolumeClaimVolumeSource", "readOnly", h, ""},
		Field{"DownwardAPIVolumeSource", "items", h, ""}, Field{"DownwardAPIVolumeSource", "defaultMode", h, ""},
		Field{"DownwardAPIVolumeFile", "path", h, ""}, Field{"DownwardAPIVolumeFile", "fieldRef", h, ""}, Field{"DownwardAPIVolumeFile", "resourceFieldRef", h, ""}, Field{"DownwardAPIVolumeFile", "mode", h, ""},
		Field{"ProjectedVolumeSource", "sources", h, ""}, Field{"ProjectedVolumeSource", "defaultMode", h, ""},
		Field{"VolumeProjection", "secret", h, ""}, Field{"VolumeProjection", "configMap", h, ""}, Field{"VolumeProjection", "downwardAPI", h, ""},
		Field{"VolumeProjection", "serviceAccountToken", r, cluster}, Field{"VolumeProjection", "clusterTrustBundle", r, cluster}, Field{"VolumeProjection", "podCertificate", r, cluster},
		Field{"SecretProjection", "items", h, ""}, Field{"SecretProjection", "optional", h, ""}, Field{"ConfigMapProjection", "items", h, ""}, Field{"ConfigMapProjection", "optional", h, ""},
		Field{"DownwardAPIProjection", "items", h, ""},
		Field{"EphemeralVolumeSource", "volumeClaimTemplate", h, ""},
		Field{"PersistentVolumeClaimTemplate", "metadata", h, ""}, Field{"PersistentVolumeClaimTemplate", "spec", h, ""},
		Field{"ImageVolumeSource", "reference", h, ""}, Field{"ImageVolumeSource", "pullPolicy", h, ""},
		Field{"NFSVolumeSource", "server", h, ""}, Field{"NFSVolumeSource", "path", h, ""}, Field{"NFSVolumeSource", "readOnly", h, ""},
	)
}

func controllerFields() []Field {
	const rollout = "there is one pod, and nothing to roll out"
	const indexed = "a job runs once here; write a Job for each index"
	rows := []Field{}
	for _, kind := range []string{"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"} {
		rows = append(rows, Field{kind, "metadata", h, ""}, Field{kind, "spec", h, ""}, Field{kind, "status", m, "written by a cluster"})
	}
	const one = "1 pod; 0 makes it without starting it, more than 1 is noted"
	const selector = "it must match the labels of the template, or that is noted"
	return append(rows,
		Field{"DeploymentSpec", "replicas", h, one}, Field{"DeploymentSpec", "selector", h, selector}, Field{"DeploymentSpec", "template", h, ""},
		Field{"DeploymentSpec", "strategy", m, rollout}, Field{"DeploymentSpec", "minReadySeconds", m, rollout}, Field{"DeploymentSpec", "revisionHistoryLimit", m, rollout},
		Field{"DeploymentSpec", "paused", m, rollout}, Field{"DeploymentSpec", "progressDeadlineSeconds", m, rollout},
		Field{"DaemonSetSpec", "selector", h, selector}, Field{"DaemonSetSpec", "template", h, ""}, Field{"DaemonSetSpec", "updateStrategy", m, rollout},
		Field{"DaemonSetSpec", "minReadySeconds", m, rollout}, Field{"DaemonSetSpec", "revisionHistoryLimit", m, rollout},
		Field{"StatefulSetSpec", "replicas", h, one}, Field{"StatefulSetSpec", "selector", h, selector}, Field{"StatefulSetSpec", "template", h, "the pod and its host name are NAME-0"},
		Field{"StatefulSetSpec", "volumeClaimTemplates", h, "the volume TEMPLATE-NAME-0"}, Field{"StatefulSetSpec", "serviceName", m, rollout},
		Field{"StatefulSetSpec", "podManagementPolicy", m, rollout}, Field{"StatefulSetSpec", "updateStrategy", m, rollout}, Field{"StatefulSetSpec", "revisionHistoryLimit", m, rollout},
		Field{"StatefulSetSpec", "minReadySeconds", m, rollout}, Field{"StatefulSetSpec", "persistentVolumeClaimRetentionPolicy", m, "volumes stay until podunit kube down --force"},
		Field{"StatefulSetSpec", "ordinals", m, rollout},
		Field{"ReplicaSetSpec", "replicas", h, one}, Field{"ReplicaSetSpec", "selector", h, selector}, Field{"ReplicaSetSpec", "template", h, ""}, Field{"ReplicaSetSpec", "minReadySeconds", m, rollout},
		Field{"ReplicationControllerSpec", "replicas", h, one}, Field{"ReplicationControllerSpec", "selector", h, selector}, Field{"ReplicationControllerSpec", "template", h, ""}, Field{"ReplicationControllerSpec", "minReadySeconds", m, rollout},
		Field{"LabelSelector", "matchLabels", h, ""}, Field{"LabelSelector", "matchExpressions", h, ""},
		Field{"LabelSelectorRequirement", "key", h, ""}, Field{"LabelSelectorRequirement", "operator", h, ""}, Field{"LabelSelectorRequirement", "values", h, ""},
		Field{"JobSpec", "template", h, ""}, Field{"JobSpec", "backoffLimit", h, "6 if absent"}, Field{"JobSpec", "activeDeadlineSeconds", h, ""},
		Field{"JobSpec", "completions", h, "one run; more than 1 is noted"}, Field{"JobSpec", "parallelism", h, "0 makes it without starting it, more than 1 is noted"},
		Field{"JobSpec", "suspend", h, "made, not started"}, Field{"JobSpec", "ttlSecondsAfterFinished", h, ""}, Field{"JobSpec", "podFailurePolicy", h, "rules on exit codes"},
		Field{"JobSpec", "completionMode", h, "Indexed is refused"}, Field{"JobSpec", "backoffLimitPerIndex", r, indexed}, Field{"JobSpec", "maxFailedIndexes", r, indexed}, Field{"JobSpec", "successPolicy", r, indexed},
		Field{"JobSpec", "selector", m, noScheduler}, Field{"JobSpec", "manualSelector", m, noScheduler}, Field{"JobSpec", "podReplacementPolicy", m, noScheduler}, Field{"JobSpec", "managedBy", m, noScheduler},
		Field{"PodFailurePolicy", "rules", h, ""}, Field{"PodFailurePolicyRule", "action", h, "FailJob, Ignore, Count; FailIndex is refused"}, Field{"PodFailurePolicyRule", "onExitCodes", h, ""},
		Field{"PodFailurePolicyRule", "onPodConditions", m, "a cluster sets these"},
		Field{"PodFailurePolicyOnExitCodesRequirement", "containerName", h, ""}, Field{"PodFailurePolicyOnExitCodesRequirement", "operator", h, ""}, Field{"PodFailurePolicyOnExitCodesRequirement", "values", h, ""},
		Field{"CronJobSpec", "schedule", h, "OnCalendar= of a timer"}, Field{"CronJobSpec", "timeZone", h, "the machine's if absent; one that the machine does not know is refused"}, Field{"CronJobSpec", "startingDeadlineSeconds", h, "how late a missed run is made up"},
		Field{"CronJobSpec", "concurrencyPolicy", h, ""}, Field{"CronJobSpec", "suspend", h, "the timer is not started"}, Field{"CronJobSpec", "jobTemplate", h, ""},
		Field{"CronJobSpec", "successfulJobsHistoryLimit", m, "the journal keeps the history"}, Field{"CronJobSpec", "failedJobsHistoryLimit", m, "the journal keeps the history"},
		Field{"JobTemplateSpec", "metadata", m, "a run is a unit, and has no labels"}, Field{"JobTemplateSpec", "spec", h, ""},
	)
}

func storageFields() []Field {
	const request = "a request is no quota, and a volume of this machine has no class"
	const names = "only names come from a Service; publish with hostPort"
	rows := []Field{
		{"ConfigMap", "metadata", h, ""}, {"ConfigMap", "data", h, ""}, {"ConfigMap", "binaryData", h, ""}, {"ConfigMap", "immutable", m, "each play reads the documents anew"},
		{"Secret", "metadata", h, ""}, {"Secret", "data", h, "base64"}, {"Secret", "stringData", h, "stronger than data"}, {"Secret", "immutable", h, "a later play does not replace it"}, {"Secret", "type", h, ""},
		{"PersistentVolumeClaim", "metadata", h, "see the table of annotations"}, {"PersistentVolumeClaim", "spec", h, ""}, {"PersistentVolumeClaim", "status", m, "written by a cluster"},
		{"PersistentVolumeClaimSpec", "accessModes", m, request}, {"PersistentVolumeClaimSpec", "selector", m, request}, {"PersistentVolumeClaimSpec", "resources", m, request},
		{"PersistentVolumeClaimSpec", "storageClassName", m, request}, {"PersistentVolumeClaimSpec", "volumeAttributesClassName", m, request},
		{"PersistentVolumeClaimSpec", "volumeName", h, "a PersistentVolume of the same play"},
		{"PersistentVolumeClaimSpec", "volumeMode", h, "Filesystem; Block is refused"},
		{"PersistentVolumeClaimSpec", "dataSource", r, "volumes are not cloned; see volume.podman.io/import-source"}, {"PersistentVolumeClaimSpec", "dataSourceRef", r, "volumes are not cloned; see volume.podman.io/import-source"},
		{"PersistentVolume", "metadata", h, ""}, {"PersistentVolume", "spec", h, ""}, {"PersistentVolume", "status", m, "written by a cluster"},
		{"PersistentVolumeSpec", "capacity", m, request}, {"PersistentVolumeSpec", "accessModes", m, request}, {"PersistentVolumeSpec", "claimRef", m, request},
		{"PersistentVolumeSpec", "persistentVolumeReclaimPolicy", m, request}, {"PersistentVolumeSpec", "storageClassName", m, request}, {"PersistentVolumeSpec", "mountOptions", n, "directories are mounted as they are"},
		{"PersistentVolumeSpec", "volumeMode", m, request}, {"PersistentVolumeSpec", "nodeAffinity", m, noScheduler}, {"PersistentVolumeSpec", "volumeAttributesClassName", m, request},
		{"PersistentVolumeSource", "hostPath", h, "for the claim that names it"}, {"PersistentVolumeSource", "local", h, "for the claim that names it"},
		{"LocalVolumeSource", "path", h, ""}, {"LocalVolumeSource", "fsType", m, "it is mounted already"},
	}
	for _, name := range []string{
		"gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "nfs", "rbd", "iscsi", "cinder", "cephfs", "fc", "flocker", "flexVolume", "azureFile",
		"vsphereVolume", "quobyte", "azureDisk", "photonPersistentDisk", "portworxVolume", "scaleIO", "storageos", "csi",
	} {
		rows = append(rows, Field{"PersistentVolumeSource", name, n, "this storage is not there on one machine; a claim becomes a volume of the machine"})
	}
	rows = append(rows, Field{"Service", "metadata", h, ""}, Field{"Service", "spec", h, ""}, Field{"Service", "status", m, "written by a cluster"},
		Field{"ServiceSpec", "selector", h, "the pods that get the names NAME, NAME.NAMESPACE, NAME.NAMESPACE.svc and NAME.NAMESPACE.svc.cluster.local"},
		Field{"ServiceSpec", "ports", h, "a port that differs from targetPort, and nodePort, are noted"},
		Field{"ServiceSpec", "type", h, "ClusterIP; NodePort, LoadBalancer and ExternalName are noted"},
		Field{"ServiceSpec", "externalName", n, names}, Field{"ServiceSpec", "externalIPs", n, names}, Field{"ServiceSpec", "loadBalancerIP", n, names},
		Field{"ServicePort", "name", m, names}, Field{"ServicePort", "protocol", m, names}, Field{"ServicePort", "appProtocol", m, names},
		Field{"ServicePort", "port", h, ""}, Field{"ServicePort", "targetPort", h, ""}, Field{"ServicePort", "nodePort", n, names})
	for _, name := range []string{
		"clusterIP", "clusterIPs", "sessionAffinity", "loadBalancerSourceRanges", "externalTrafficPolicy", "healthCheckNodePort", "publishNotReadyAddresses",
		"sessionAffinityConfig", "ipFamilies", "ipFamilyPolicy", "allocateLoadBalancerNodePorts", "loadBalancerClass", "internalTrafficPolicy", "trafficDistribution",
	} {
		rows = append(rows, Field{"ServiceSpec", name, m, "names lead straight to the pod"})
	}
	return rows
}
