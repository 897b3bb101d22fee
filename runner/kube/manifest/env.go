// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podunit/podunit/runner/kube"
)

// env lists the variables of a container, from weak to strong.
func (p *planner) env(d *draft, c *kube.Container, in *corev1.Container, at place) {
	for i, from := range in.EnvFrom {
		p.envFrom(c, from, at.in("envFrom", i))
	}
	for i, v := range in.Env {
		one := at.in("env", i)
		if v.Name == "" {
			one.fault("kube-env", "write name: NAME", "the variable has no name")
			continue
		}
		p.envName(v.Name, one.in("name"))
		if v.ValueFrom == nil {
			p.envValue(v.Name, kube.Value{Text: v.Value}, one.in("value"))
			c.Process.Env = append(c.Process.Env, kube.Variable{Name: v.Name, Value: kube.Value{Text: v.Value, Expand: strings.Contains(v.Value, "$")}})
			continue
		}
		if v.Value != "" {
			one.in("value").fault("kube-env", "leave out one of them", "value does not go together with valueFrom")
		}
		if value, ok := p.valueFrom(d, in, v.ValueFrom, one.in("valueFrom")); ok {
			p.envValue(v.Name, value, one.in("valueFrom"))
			c.Process.Env = append(c.Process.Env, kube.Variable{Name: v.Name, Value: value})
		}
	}
}

func (p *planner) envName(name string, at place) {
	if strings.ContainsAny(name, "=\x00") {
		at.fault("kube-env", "", "%q is no name of a variable", name)
		return
	}
	for _, r := range name {
		if r < ' ' || r > '~' {
			at.note("kube-env", "", "Kubernetes refuses the name %q", name)
			return
		}
	}
}

// envValue refuses a value that no variable can hold, before a runtime does: it ends at its first
// NUL byte.
func (p *planner) envValue(name string, v kube.Value, at place) {
	text := v.Text
	if v.Secret != nil {
		if s, _ := p.secret(v.Secret.Secret); s != nil {
			text = string(s.Data[v.Secret.Key])
		}
	}
	if strings.Contains(text, "\x00") {
		at.fault("kube-env", "take it from a file: mount the ConfigMap or Secret as a volume", "the value of %s has a NUL byte, which no variable can hold", name)
	}
}

// envFrom takes all keys of a ConfigMap or Secret.
func (p *planner) envFrom(c *kube.Container, from corev1.EnvFromSource, at place) {
	add := func(key string, v kube.Value, at place) {
		p.envName(from.Prefix+key, at)
		p.envValue(from.Prefix+key, v, at)
		c.Process.Env = append(c.Process.Env, kube.Variable{Name: from.Prefix + key, Value: v})
	}
	switch {
	case from.ConfigMapRef != nil && from.SecretRef != nil, from.ConfigMapRef == nil && from.SecretRef == nil:
		at.fault("kube-env", "", "it has one of configMapRef and secretRef")
	case from.ConfigMapRef != nil:
		at = at.in("configMapRef")
		m := p.configMaps[from.ConfigMapRef.Name]
		if m == nil {
			p.missing(isTrue(from.ConfigMapRef.Optional), "ConfigMap", from.ConfigMapRef.Name, at.in("name"))
			return
		}
		for _, key := range slices.Sorted(maps.Keys(m.Data)) {
			add(key, kube.Value{Text: m.Data[key]}, at)
		}
	default:
		at = at.in("secretRef")
		s, stored := p.secret(from.SecretRef.Name)
		if s == nil {
			p.missing(isTrue(from.SecretRef.Optional), "Secret", from.SecretRef.Name, at.in("name"))
			return
		}
		for _, key := range s.Keys {
			if key == "" {
				at.in("name").fault("kube-secret", "name one variable with secretKeyRef", "the stored secret %s is one value without a key", s.Name)
				continue
			}
			add(key, kube.Value{Secret: &kube.KeyRef{Secret: s.Name, Key: key, Stored: stored}}, at)
		}
	}
}

func isTrue(b *bool) bool { return b != nil && *b }

// missing reports an object that nobody has, unless it may be missing.
func (p *planner) missing(optional bool, kind, name string, at place) {
	if optional || (p.Partial && name != "") {
		return
	}
	hint := "add the " + kind + " to the documents, or write optional: true"
	if kind == "ConfigMap" {
		hint = "add the ConfigMap to the documents, give its file with --configmap, or write optional: true"
	}
	if name == "" {
		at.fault("kube-missing", "", "the name of the %s is missing", kind)
		return
	}
	at.fault("kube-missing", hint, "there is no %s %s", kind, name)
}

// secret finds a secret among the documents, else among those that are stored.
func (p *planner) secret(name string) (s *kube.Secret, stored bool) {
	if s := p.secrets[name]; s != nil {
		return s, false
	}
	if p.Stored == nil {
		return nil, false
	}
	values, ok := p.Stored(name)
	if !ok {
		return nil, false
	}
	return &kube.Secret{Name: name, Data: values, Keys: slices.Sorted(maps.Keys(values))}, true
}

// secretKey finds one key of a secret. A secret that was stored as one value has that value under
// every key.
func (p *planner) secretKey(name, key string, optional bool, at place) (kube.Value, bool) {
	s, stored := p.secret(name)
	if s == nil {
		p.missing(optional, "Secret", name, at.in("name"))
		return kube.Value{}, false
	}
	switch {
	case slices.Contains(s.Keys, key):
		return kube.Value{Secret: &kube.KeyRef{Secret: name, Key: key, Stored: stored}}, true
	case stored && slices.Contains(s.Keys, ""):
		at.note("kube-secret", "", "the stored secret %s is one value, which is taken as %s", name, key)
		return kube.Value{Secret: &kube.KeyRef{Secret: name, Key: "", Stored: true}}, true
	case !optional:
		at.in("key").fault("kube-missing", keysHint(s.Keys), "Secret %s has no key %q", name, key)
	}
	return kube.Value{}, false
}

func keysHint(keys []string) string {
	if len(keys) == 0 {
		return "it has no keys"
	}
	if len(keys) > 10 {
		keys = keys[:10]
	}
	return "it has " + strings.Join(keys, ", ")
}

// valueFrom finds where a value comes from; false if it is missing, which was reported unless it
// may be.
func (p *planner) valueFrom(d *draft, c *corev1.Container, in *corev1.EnvVarSource, at place) (kube.Value, bool) {
	switch {
	case in.ConfigMapKeyRef != nil:
		ref, at := in.ConfigMapKeyRef, at.in("configMapKeyRef")
		m := p.configMaps[ref.Name]
		if m == nil {
			p.missing(isTrue(ref.Optional), "ConfigMap", ref.Name, at.in("name"))
			return kube.Value{}, false
		}
		if text, ok := m.Data[ref.Key]; ok {
			return kube.Value{Text: text}, true
		}
		if !isTrue(ref.Optional) {
			at.in("key").fault("kube-missing", keysHint(slices.Sorted(maps.Keys(m.Data))), "ConfigMap %s has no key %q", ref.Name, ref.Key)
		}
		return kube.Value{}, false
	case in.SecretKeyRef != nil:
		return p.secretKey(in.SecretKeyRef.Name, in.SecretKeyRef.Key, isTrue(in.SecretKeyRef.Optional), at.in("secretKeyRef"))
	case in.FieldRef != nil:
		return p.fieldRef(d, in.FieldRef, at.in("fieldRef"), false)
	case in.ResourceFieldRef != nil:
		return p.resourceRef(d, c, in.ResourceFieldRef, at.in("resourceFieldRef"))
	case in.FileKeyRef != nil:
		ref, at := in.FileKeyRef, at.in("fileKeyRef")
		if !slices.ContainsFunc(d.Volumes, func(v *kube.Volume) bool { return v.Name == ref.VolumeName }) {
			at.in("volumeName").fault("kube-volume", "", "the pod has no volume %q", ref.VolumeName)
		}
		if !kube.Below(ref.Path) {
			at.in("path").fault("kube-value", "", "%q is no path below the volume", ref.Path)
		}
		return kube.Value{File: &kube.FileKey{Volume: ref.VolumeName, Path: ref.Path, Key: ref.Key, Optional: isTrue(ref.Optional)}}, true
	}
	at.fault("kube-env", "", "it has one of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef and fileKeyRef")
	return kube.Value{}, false
}

var subscript = regexp.MustCompile(`^metadata\.(labels|annotations)\['([^']*)'\]$`)

// fieldRef is a field of the pod itself. whole allows all labels or annotations at once, which
// only files can hold.
func (p *planner) fieldRef(d *draft, in *corev1.ObjectFieldSelector, at place, whole bool) (kube.Value, bool) {
	if m := subscript.FindStringSubmatch(in.FieldPath); m != nil {
		if m[1] == "labels" {
			return kube.Value{Text: d.meta.Labels[m[2]]}, true
		}
		return kube.Value{Text: d.annotations[m[2]]}, true
	}
	switch in.FieldPath {
	case kube.FactName:
		if d.Cron != nil || d.Kind == "CronJob" {
			return kube.Value{Fact: kube.FactName}, true
		}
		return kube.Value{Text: d.Name}, true
	case "metadata.namespace":
		return kube.Value{Text: d.Namespace}, true
	case "spec.serviceAccountName":
		if d.spec.ServiceAccountName == "" {
			return kube.Value{Text: "default"}, true
		}
		return kube.Value{Text: d.spec.ServiceAccountName}, true
	case kube.FactUID, kube.FactNode, kube.FactHostIP, kube.FactHostIPs, kube.FactPodIP, kube.FactPodIPs:
		return kube.Value{Fact: in.FieldPath}, true
	case "metadata.labels", "metadata.annotations":
		if whole {
			m := d.meta.Labels
			if in.FieldPath == "metadata.annotations" {
				m = d.annotations
			}
			var b strings.Builder
			for _, k := range slices.Sorted(maps.Keys(m)) {
				fmt.Fprintf(&b, "%s=%s\n", k, strconv.Quote(m[k]))
			}
			return kube.Value{Text: strings.TrimSuffix(b.String(), "\n")}, true
		}
		at.in("fieldPath").fault("kube-env", "write "+in.FieldPath+"['KEY']", "a variable holds one of them")
		return kube.Value{}, false
	}
	at.in("fieldPath").fault("kube-env", "metadata.name, .namespace, .uid, .labels['KEY'], .annotations['KEY'], spec.nodeName, spec.serviceAccountName, status.hostIP, .hostIPs, .podIP and .podIPs are",
		"%q is no field that can be asked for", in.FieldPath)
	return kube.Value{}, false
}

// resourceRef is a limit or request of a container, divided and rounded up.
func (p *planner) resourceRef(d *draft, c *corev1.Container, in *corev1.ResourceFieldSelector, at place) (kube.Value, bool) {
	if in.ContainerName != "" {
		c = nil
		for _, list := range [][]corev1.Container{d.spec.InitContainers, d.spec.Containers} {
			for i := range list {
				if list[i].Name == in.ContainerName {
					c = &list[i]
				}
			}
		}
		if c == nil {
			at.in("containerName").fault("kube-env", "", "the pod has no container %q", in.ContainerName)
			return kube.Value{}, false
		}
	}
	if c == nil {
		at.fault("kube-env", "write containerName: NAME", "a file needs the name of a container")
		return kube.Value{}, false
	}
	kind, name, _ := strings.Cut(in.Resource, ".")
	known := name == "cpu" || name == "memory" || name == "ephemeral-storage" || strings.HasPrefix(name, corev1.ResourceHugePagesPrefix)
	if (kind != "limits" && kind != "requests") || !known {
		at.in("resource").fault("kube-env", "such as limits.memory or requests.cpu", "%q is no resource that can be asked for", in.Resource)
		return kube.Value{}, false
	}
	divisor := in.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	if divisor.Sign() < 0 {
		at.in("divisor").fault("kube-value", "", "%s is no divisor", divisor.String())
		return kube.Value{}, false
	}
	q, ok := c.Resources.Limits[corev1.ResourceName(name)]
	if kind == "requests" {
		if own, has := c.Resources.Requests[corev1.ResourceName(name)]; has {
			q = own
		} else if !ok {
			return kube.Value{Text: "0"}, true
		}
	} else if !ok {
		if name != "cpu" && name != "memory" {
			return kube.Value{Text: "0"}, true
		}
		return kube.Value{Capacity: &kube.Capacity{Resource: name, Divisor: divisor.String()}}, true
	}
	return kube.Value{Text: divide(q, divisor)}, true
}

// divide rounds q / divisor up. Thousandths are exact enough for both cpu and memory.
func divide(q, divisor resource.Quantity) string {
	if divisor.MilliValue()%1000 != 0 {
		d := divisor.MilliValue()
		return strconv.FormatInt((q.MilliValue()+d-1)/d, 10)
	}
	d := divisor.Value()
	return strconv.FormatInt((q.Value()+d-1)/d, 10)
}
