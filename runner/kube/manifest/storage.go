// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"maps"
	"path"
	"regexp"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/spec"
)

// maxData is what Kubernetes allows in one ConfigMap or Secret, in bytes.
const maxData = 1 << 20

// storage reads the objects that pods refer to; where they stand in the stream does not matter.
func (p *planner) storage(objects, extra []*object) {
	hosts := map[string]kube.Volume{} // of PersistentVolumes
	for _, o := range objects {
		if v, ok := o.value.(*corev1.PersistentVolume); ok {
			switch {
			case v.Spec.HostPath != nil:
				at := o.at("spec", "hostPath")
				hosts[v.Name] = kube.Volume{Path: p.volumePath(v.Spec.HostPath.Path, at.in("path")), Check: hostCheck(v.Spec.HostPath, at)}
			case v.Spec.Local != nil:
				hosts[v.Name] = kube.Volume{Path: p.volumePath(v.Spec.Local.Path, o.at("spec", "local", "path"))}
			}
		}
	}
	for _, o := range objects {
		switch v := o.value.(type) {
		case *corev1.ConfigMap:
			p.configMap(o, v)
		case *corev1.Secret:
			p.addSecret(o, v)
		case *corev1.PersistentVolumeClaim:
			p.annotate(o)
			p.claimSpec(&v.Spec, o.at("spec"))
			c := p.newClaim(cmp.Or(v.Annotations[annName], v.Name), v.Labels, v.Annotations, o.at("metadata", "annotations"))
			if err := spec.CheckName(c.Name); err != nil && v.Name != "" {
				o.at("metadata", "annotations", annName).fault("kube-annotation", "", "%q: %v", c.Name, err)
			}
			if v.Spec.VolumeName != "" {
				host, ok := hosts[v.Spec.VolumeName]
				if !ok {
					o.at("spec", "volumeName").note("kube-claim", "", "there is no PersistentVolume %s here; a volume of the machine is used", v.Spec.VolumeName)
				}
				c.Host = host.Path
				if host.Check != kube.HostExists {
					c.Check = host.Check
				}
			}
			p.claims[v.Name] = c
			p.plan.Claims = append(p.plan.Claims, *c)
		}
	}
	for _, o := range extra {
		v, ok := o.value.(*corev1.ConfigMap)
		switch {
		case !ok:
			o.at("kind").note("kube-configmap", "give the file as an operand", "only ConfigMaps count in a file of --configmap")
		case o.name() == "":
			o.at("metadata", "name").fault("kube-name", "write metadata: {name: NAME}", "the ConfigMap has no name")
		case p.configMaps[o.name()] != nil:
			o.at("metadata", "name").fault("kube-configmap", "leave out one of them", "there is a ConfigMap %s already", o.name())
		default:
			p.configMap(o, v)
		}
	}
}

func (p *planner) volumePath(s string, at place) string {
	if !path.IsAbs(s) {
		at.fault("kube-volume", "begin it with a slash", "%q is not an absolute path", s)
	}
	return path.Clean(s)
}

var dataKey = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)

func (p *planner) configMap(o *object, v *corev1.ConfigMap) {
	size := 0
	for _, key := range slices.Sorted(maps.Keys(v.Data)) {
		p.dataKey(key, o.at("data", key))
		size += len(v.Data[key])
	}
	for _, key := range slices.Sorted(maps.Keys(v.BinaryData)) {
		p.dataKey(key, o.at("binaryData", key))
		size += len(v.BinaryData[key])
		if _, both := v.Data[key]; both {
			o.at("binaryData", key).fault("kube-configmap", "leave out one of them", "data has this key too")
		}
	}
	if size > maxData {
		o.at("data").fault("kube-size", "use a volume", "the ConfigMap holds %d bytes, and may hold %d", size, maxData)
	}
	p.configMaps[v.Name] = v
}

func (p *planner) dataKey(key string, at place) {
	if !dataKey.MatchString(key) {
		at.note("kube-name", "letters, digits, -, _ and . are allowed", "Kubernetes refuses the key")
	}
}

// secretKeys are the keys that secrets of a type must have.
func secretKeys(t corev1.SecretType) []string {
	switch t {
	case corev1.SecretTypeDockerConfigJson:
		return []string{corev1.DockerConfigJsonKey}
	case corev1.SecretTypeDockercfg:
		return []string{corev1.DockerConfigKey}
	case corev1.SecretTypeTLS:
		return []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey}
	case corev1.SecretTypeSSHAuth:
		return []string{corev1.SSHAuthPrivateKey}
	}
	return nil
}

func (p *planner) addSecret(o *object, v *corev1.Secret) {
	s := &kube.Secret{Name: v.Name, Type: string(v.Type), Labels: v.Labels, Immutable: isTrue(v.Immutable), Data: map[string][]byte{}}
	size := 0
	for key, value := range v.Data {
		s.Data[key] = value
	}
	for key, value := range v.StringData {
		s.Data[key] = []byte(value)
	}
	s.Keys = slices.Sorted(maps.Keys(s.Data))
	for _, key := range s.Keys {
		at := o.at("data", key)
		if _, plain := v.StringData[key]; plain {
			at = o.at("stringData", key)
		}
		p.dataKey(key, at)
		size += len(s.Data[key])
	}
	for _, key := range secretKeys(v.Type) {
		if _, ok := s.Data[key]; !ok {
			o.at("type").note("kube-secret", "add it to data", "Kubernetes refuses a secret of this type without the key %s", key)
		}
	}
	if size > maxData {
		o.at("data").fault("kube-size", "use a volume", "the Secret holds %d bytes, and may hold %d", size, maxData)
	}
	p.secrets[s.Name] = s
	p.plan.Secrets = append(p.plan.Secrets, *s)
}

func (p *planner) claimSpec(in *corev1.PersistentVolumeClaimSpec, at place) {
	if in.VolumeMode != nil && at.in("volumeMode").oneOf(string(*in.VolumeMode), "Filesystem", "Block") && *in.VolumeMode == corev1.PersistentVolumeBlock {
		at.in("volumeMode").fault("kube-refused", "use hostPath with type BlockDevice", "there are no claims of block devices here")
	}
}

// claimTemplates makes the claims of a StatefulSet, and volumes of the pod where it has none of
// the name.
func (p *planner) claimTemplates(o *object, v *appsv1.StatefulSet, d *draft) {
	pod := d.spec.DeepCopy()
	for i := range v.Spec.VolumeClaimTemplates {
		t := &v.Spec.VolumeClaimTemplates[i]
		at := o.at("spec", "volumeClaimTemplates", i)
		if t.Name == "" {
			at.in("metadata", "name").fault("kube-name", "write metadata: {name: NAME}", "the template has no name")
			continue
		}
		p.claimSpec(&t.Spec, at.in("spec"))
		c := p.newClaim(t.Name+"-"+v.Name+"-0", t.Labels, t.Annotations, at.in("metadata", "annotations"))
		c.Template = true
		p.claims[c.Name] = c
		p.plan.Claims = append(p.plan.Claims, *c)
		source := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c.Name}}
		// The template is stronger than a volume of the same name, as in Kubernetes.
		pod.Volumes = slices.DeleteFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == t.Name })
		pod.Volumes = append(pod.Volumes, corev1.Volume{Name: t.Name, VolumeSource: source})
	}
	d.spec = pod
}

// selector notes a selector that does not fit the template: Kubernetes refuses it.
func (p *planner) selector(o *object, s *metav1.LabelSelector, template map[string]string) {
	at := o.at("spec", "selector")
	if s == nil {
		at.note("kube-selector", "write selector: {matchLabels: {app: NAME}}, and the same labels in the template", "Kubernetes refuses a %s without a selector", o.kind.name)
		return
	}
	sel, err := metav1.LabelSelectorAsSelector(s)
	switch {
	case err != nil:
		at.note("kube-selector", "", "Kubernetes refuses the selector: %v", err)
	case !sel.Matches(labels.Set(template)):
		at.note("kube-selector", "give the template these labels", "Kubernetes refuses the selector: it does not match the labels of the template")
	}
}

// services gives names to the pods that services select.
func (p *planner) services(objects []*object) {
	for _, o := range objects {
		v, ok := o.value.(*corev1.Service)
		if !ok {
			continue
		}
		at := o.at("spec")
		switch v.Spec.Type {
		case corev1.ServiceTypeClusterIP, "":
		default:
			if at.in("type").oneOf(string(v.Spec.Type), "ClusterIP", "NodePort", "LoadBalancer", "ExternalName") {
				at.in("type").note("kube-service", "publish with hostPort", "only names come from a Service here")
			}
		}
		for i, sp := range v.Spec.Ports {
			if target := sp.TargetPort.String(); target != "" && target != "0" && sp.TargetPort.IntVal != sp.Port && !p.named(v, sp) {
				at.in("ports", i, "targetPort").note("kube-service", "use the container's port", "the name leads straight to the pod, where the port is %s and not %d", target, sp.Port)
			}
		}
		found := false
		for _, d := range p.pods {
			if len(v.Spec.Selector) == 0 || !labels.SelectorFromSet(v.Spec.Selector).Matches(labels.Set(d.meta.Labels)) {
				continue
			}
			found = true
			ns := o.value.GetNamespace()
			if ns == "" {
				ns = "default"
			}
			if d.hostNetwork {
				continue
			}
			for _, name := range []string{v.Name, v.Name + "." + ns, v.Name + "." + ns + ".svc", v.Name + "." + ns + ".svc.cluster.local"} {
				if !slices.Contains(d.Network.Aliases, name) {
					d.Network.Aliases = append(d.Network.Aliases, name)
				}
			}
		}
		if !found && !p.Partial {
			at.in("selector").note("kube-service", "compare it with the labels of the pods", "it selects no pod of these documents")
		}
	}
}

// named tells whether the target is the name of a port with the same number.
func (p *planner) named(v *corev1.Service, sp corev1.ServicePort) bool {
	for _, d := range p.pods {
		if !labels.SelectorFromSet(v.Spec.Selector).Matches(labels.Set(d.meta.Labels)) {
			continue
		}
		for _, c := range d.spec.Containers {
			for _, cp := range c.Ports {
				if cp.Name == sp.TargetPort.StrVal && cp.Name != "" && cp.ContainerPort == sp.Port {
					return true
				}
			}
		}
	}
	return false
}
