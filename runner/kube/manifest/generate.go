// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/spec"
)

// Made is a pod that somebody made by hand, or containers without a pod.
type Made struct {
	// Pod is nil for containers without a pod; they become one pod, named after the first.
	Pod        *spec.Pod
	Containers []MadeContainer
}

// MadeContainer is one container of it.
type MadeContainer struct {
	Spec spec.Container
	// Image leaves out what the image says itself.
	Image v1.ImageConfig
	// Ports are the published ports as they are: those of Spec, with the ports of the machine that
	// were picked.
	Ports []spec.PortMapping
}

// GenerateOptions are the flags of kube generate. The zero value writes pods.
type GenerateOptions struct {
	// Type is pod, deployment, daemonset or job; empty means pod.
	Type string
	// Replicas is for deployments; zero means 1.
	Replicas int32
	// Service adds a Service of type NodePort, and publishes no ports of the machine.
	Service bool
	// Command is the command line as the header shows it, Version the program's.
	Command, Version string
	// PathType tells what is at a path of the machine: Directory, File, Socket, CharDevice,
	// BlockDevice; "" if nothing is. It may be nil.
	PathType func(path string) string
	// Claims describe volumes that containers use; one that is not among them is written with its
	// name alone.
	Claims []kube.Claim
}

// Generate writes what was made by hand as Kubernetes YAML. What Kubernetes cannot hold is kept in
// annotations, or named in a comment. The same input gives the same bytes.
func Generate(made []Made, o GenerateOptions) ([]byte, error) {
	if len(made) == 0 {
		return nil, errors.New("there is nothing to write")
	}
	w := &writer{GenerateOptions: o}
	var workloads, services []metav1.Object
	for i := range made {
		m := &made[i]
		if len(m.Containers) == 0 {
			return nil, fmt.Errorf("pod %s has no containers", m.Pod.Name)
		}
		for _, c := range m.Containers {
			if c.Spec.Rootfs != nil {
				return nil, fmt.Errorf("container %s runs from a directory (--rootfs), and Kubernetes runs images only", c.Spec.Name)
			}
		}
		g := &generator{writer: w, made: m}
		pod := g.pod()
		obj, err := w.workload(pod)
		if err != nil {
			return nil, err
		}
		workloads = append(workloads, obj)
		if s := w.service(pod); s != nil {
			services = append(services, s)
		}
	}
	return w.stream(slices.Concat(w.claims, services, workloads))
}

// Rewrite writes the pods of a plan back, by their names; none means all. With each pod go the
// ConfigMaps, claims, secrets and services that it uses. Values of secrets come from secret; if it
// is nil, secrets are only named in a comment.
func Rewrite(objects []kube.Object, pods []string, o GenerateOptions, secret func(name string) (map[string][]byte, bool)) ([]byte, error) {
	w := &writer{GenerateOptions: o}
	var workloads, others []metav1.Object
	for _, obj := range objects {
		i := slices.IndexFunc(kinds(), func(k kind) bool { return k.name == obj.Kind })
		if i < 0 {
			return nil, fmt.Errorf("the record holds a %s, which is not known", obj.Kind)
		}
		k := kinds()[i]
		v := k.make()
		if err := json.Unmarshal(obj.Source, v); err != nil {
			return nil, fmt.Errorf("the record of %s %s: %w", obj.Kind, obj.Name, err)
		}
		switch {
		case !k.pods:
			others = append(others, v)
		case len(pods) == 0 || slices.Contains(pods, podName(k.name, v)):
			workloads = append(workloads, v)
		}
	}
	if len(workloads) == 0 && len(pods) > 0 {
		return nil, fmt.Errorf("there is no pod %s", strings.Join(pods, ", "))
	}
	var used []metav1.Object
	for _, v := range others {
		if len(pods) > 0 && !slices.ContainsFunc(workloads, func(w metav1.Object) bool { return uses(w, v) }) {
			continue
		}
		if s, ok := v.(*corev1.Secret); ok {
			if secret == nil {
				w.note("the secret %s is not written; podunit kube play needs it stored", s.Name)
				continue
			}
			data, found := secret(s.Name)
			if !found {
				w.note("the secret %s is not stored any more", s.Name)
				continue
			}
			s.Data, s.StringData = data, nil
		}
		used = append(used, v)
	}
	return w.stream(append(used, workloads...))
}

// podName is the name of the pod that an object makes.
func podName(kind string, o metav1.Object) string {
	if own := o.GetAnnotations()[annName]; own != "" {
		return own
	}
	switch kind {
	case "Pod":
		return o.GetName()
	case "StatefulSet":
		return o.GetName() + "-0"
	}
	return o.GetName() + "-pod"
}

// uses tells whether a workload refers to an object.
func uses(workload, o metav1.Object) bool {
	s := podSpec(workload)
	name := o.GetName()
	volume := func(f func(v *corev1.VolumeSource) bool) bool {
		return slices.ContainsFunc(s.Volumes, func(v corev1.Volume) bool { return f(&v.VolumeSource) })
	}
	env := func(f func(e *corev1.EnvFromSource, v *corev1.EnvVarSource) bool) bool {
		for _, c := range slices.Concat(s.InitContainers, s.Containers) {
			for i := range c.EnvFrom {
				if f(&c.EnvFrom[i], &corev1.EnvVarSource{}) {
					return true
				}
			}
			for _, e := range c.Env {
				if e.ValueFrom != nil && f(&corev1.EnvFromSource{}, e.ValueFrom) {
					return true
				}
			}
		}
		return false
	}
	switch v := o.(type) {
	case *corev1.ConfigMap:
		return volume(func(v *corev1.VolumeSource) bool {
			in := v.Projected != nil && slices.ContainsFunc(v.Projected.Sources, func(p corev1.VolumeProjection) bool { return p.ConfigMap != nil && p.ConfigMap.Name == name })
			return in || (v.ConfigMap != nil && v.ConfigMap.Name == name)
		}) || env(func(e *corev1.EnvFromSource, v *corev1.EnvVarSource) bool {
			return (e.ConfigMapRef != nil && e.ConfigMapRef.Name == name) || (v.ConfigMapKeyRef != nil && v.ConfigMapKeyRef.Name == name)
		})
	case *corev1.Secret:
		return slices.ContainsFunc(s.ImagePullSecrets, func(r corev1.LocalObjectReference) bool { return r.Name == name }) ||
			volume(func(v *corev1.VolumeSource) bool {
				in := v.Projected != nil && slices.ContainsFunc(v.Projected.Sources, func(p corev1.VolumeProjection) bool { return p.Secret != nil && p.Secret.Name == name })
				return in || (v.Secret != nil && v.Secret.SecretName == name)
			}) || env(func(e *corev1.EnvFromSource, v *corev1.EnvVarSource) bool {
			return (e.SecretRef != nil && e.SecretRef.Name == name) || (v.SecretKeyRef != nil && v.SecretKeyRef.Name == name)
		})
	case *corev1.PersistentVolumeClaim:
		return volume(func(v *corev1.VolumeSource) bool {
			return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == name
		})
	case *corev1.Service:
		return len(v.Spec.Selector) > 0 && labels.SelectorFromSet(v.Spec.Selector).Matches(labels.Set(podLabels(workload)))
	}
	return true // a PersistentVolume: it does no harm
}

func podLabels(o metav1.Object) map[string]string {
	switch v := o.(type) {
	case *appsv1.Deployment:
		return v.Spec.Template.Labels
	case *appsv1.DaemonSet:
		return v.Spec.Template.Labels
	case *appsv1.ReplicaSet:
		return v.Spec.Template.Labels
	case *appsv1.StatefulSet:
		return v.Spec.Template.Labels
	case *corev1.ReplicationController:
		return v.Spec.Template.Labels
	case *batchv1.Job:
		return v.Spec.Template.Labels
	case *batchv1.CronJob:
		return v.Spec.JobTemplate.Spec.Template.Labels
	}
	return o.GetLabels()
}

// writer gathers the documents of one call.
type writer struct {
	GenerateOptions
	notes  []string
	claims []metav1.Object
}

// note says in a comment what the documents cannot hold.
func (w *writer) note(format string, args ...any) {
	n := fmt.Sprintf(format, args...)
	if !slices.Contains(w.notes, n) {
		w.notes = append(w.notes, n)
	}
}

// stream writes the comments and the documents.
func (w *writer) stream(objects []metav1.Object) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("# Play it with: podunit kube play FILE\n")
	if w.Command != "" {
		fmt.Fprintf(&b, "# Made by: %s\n", oneLine(w.Command))
	}
	if w.Version != "" {
		fmt.Fprintf(&b, "# podunit %s\n", oneLine(w.Version))
	}
	for _, n := range w.notes {
		fmt.Fprintf(&b, "# NOTE: %s\n", oneLine(n))
	}
	for i, o := range objects {
		if i > 0 {
			b.WriteString("---\n")
		}
		text, err := document(o)
		if err != nil {
			return nil, err
		}
		b.Write(text)
	}
	return b.Bytes(), nil
}

// oneLine keeps a text from ending its comment.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, s)
}

// document writes one object, without the fields that a cluster fills in.
func document(o metav1.Object) ([]byte, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // numbers stay as they are
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	delete(tree, "status")
	prune(tree)
	if data, err = json.Marshal(tree); err != nil {
		return nil, err
	}
	return sigsyaml.JSONToYAML(data)
}

// prune takes away what says nothing. An empty emptyDir says something.
func prune(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			prune(child)
			m, isMap := child.(map[string]any)
			empty := child == nil || (isMap && len(m) == 0)
			if empty && slices.Contains([]string{"creationTimestamp", "resources", "strategy", "updateStrategy", "securityContext", "metadata", "annotations"}, k) {
				delete(v, k)
			}
		}
	case []any:
		for _, child := range v {
			prune(child)
		}
	}
}

// workload puts a pod into what was asked for.
func (w *writer) workload(pod *corev1.Pod) (metav1.Object, error) {
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec}
	meta := metav1.ObjectMeta{Name: valid(pod.Name + "-" + w.Type), Labels: pod.Labels, Annotations: maps.Clone(pod.Annotations)}
	if meta.Annotations == nil {
		meta.Annotations = map[string]string{}
	}
	if meta.Annotations[annName] == "" {
		meta.Annotations[annName] = pod.Name // the pod of a controller would be named after that
	}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": pod.Labels["app"]}}
	if w.Replicas > 0 && w.Type != "deployment" {
		return nil, fmt.Errorf("replicas are for deployments, not for a %s", cmp.Or(w.Type, "pod"))
	}
	if (w.Type == "deployment" || w.Type == "daemonset") && pod.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		return nil, fmt.Errorf("a %s always restarts its pod, and pod %s has the restart policy %s", w.Type, pod.Name, pod.Spec.RestartPolicy)
	}
	switch w.Type {
	case "", "pod":
		return pod, nil
	case "deployment":
		d := &appsv1.Deployment{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: meta}
		d.Spec.Selector, d.Spec.Template = selector, template
		if w.Replicas > 1 {
			d.Spec.Replicas = &w.Replicas
		}
		return d, nil
	case "daemonset":
		d := &appsv1.DaemonSet{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DaemonSet"}, ObjectMeta: meta}
		d.Spec.Selector, d.Spec.Template = selector, template
		return d, nil
	case "job":
		one := int32(1)
		j := &batchv1.Job{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}, ObjectMeta: meta}
		j.Spec.Completions, j.Spec.Parallelism, j.Spec.Template = &one, &one, template
		j.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
		return j, nil
	}
	return nil, fmt.Errorf("%q is no type; pod, deployment, daemonset and job are", w.Type)
}

// service makes a Service for the ports of a pod; nil without ports, or if none was asked for.
func (w *writer) service(pod *corev1.Pod) *corev1.Service {
	if !w.Service {
		return nil
	}
	s := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Labels: map[string]string{"app": pod.Labels["app"]}},
	}
	s.Spec.Type, s.Spec.Selector = corev1.ServiceTypeNodePort, map[string]string{"app": pod.Labels["app"]}
	taken := map[int32]bool{}
	for _, c := range pod.Spec.Containers {
		for i := range c.Ports {
			cp := &c.Ports[i]
			sp := corev1.ServicePort{Name: fmt.Sprint(cp.ContainerPort), Port: cp.ContainerPort, Protocol: cp.Protocol}
			if cp.Protocol == corev1.ProtocolUDP {
				sp.Name += "-udp"
			}
			sp.TargetPort.IntVal = cp.ContainerPort
			// Any free port will do for a cluster. It is picked by a sum, so that the text stays
			// the same.
			sum := sha256.Sum256([]byte(pod.Name + "/" + sp.Name))
			sp.NodePort = 30000 + (int32(sum[0])<<8+int32(sum[1]))%2768
			for taken[sp.NodePort] {
				sp.NodePort = 30000 + (sp.NodePort-30000+1)%2768
			}
			taken[sp.NodePort] = true
			cp.HostPort, cp.HostIP = 0, ""
			s.Spec.Ports = append(s.Spec.Ports, sp)
		}
	}
	if len(s.Spec.Ports) == 0 {
		return nil
	}
	return s
}

// valid makes a name that Kubernetes accepts for a container, a volume or an object: small
// letters, digits and dashes, at most 63. A name that has to be cut keeps the sum of the whole.
func valid(name string) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-':
			return r
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, name)
	s = strings.Trim(s, "-")
	if s == "" {
		s = "x"
	}
	if len(s) > 63 {
		sum := sha256.Sum256([]byte(name))
		s = strings.TrimRight(s[:54], "-") + "-" + hex.EncodeToString(sum[:4])
	}
	return s
}
