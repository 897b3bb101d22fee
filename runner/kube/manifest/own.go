// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/spec"
)

// podunit's own annotations keep what Kubernetes has no field for, so that what was generated
// plays as it was. Clusters ignore them.
const (
	annOwn        = "io.podunit/"
	annName       = annOwn + "name"            // of the pod or volume, where Kubernetes does not allow it
	annContainers = annOwn + "container-names" // JSON: names of containers by their names in the document
	annNetworks   = annOwn + "networks"        // JSON: a list of what --network takes
	annMounts     = annOwn + "mount-options"   // JSON: options as of --volume, by container and path
)

// own reads the names of containers.
func (p *planner) own(d *draft) {
	p.ownJSON(d, annContainers, &d.containerNames)
	for _, k := range slices.Sorted(maps.Keys(d.containerNames)) {
		if err := spec.CheckName(d.containerNames[k]); err != nil {
			p.annotation(d, annContainers).fault("kube-annotation", "", "%q: %v", d.containerNames[k], err)
		}
	}
}

// ownJSON reads an annotation that holds JSON.
func (p *planner) ownJSON(d *draft, key string, into any) bool {
	text, ok := d.annotations[key]
	if !ok {
		return false
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		p.annotation(d, key).fault("kube-annotation", "podunit kube generate writes it", "it is not what podunit writes: %v", err)
		return false
	}
	return true
}

// networkAnnotation reads the networks that a generated document names.
func (p *planner) networkAnnotation(d *draft) []spec.Network {
	var words []string
	var networks []spec.Network
	p.ownJSON(d, annNetworks, &words)
	for _, w := range words {
		n, err := spec.ParseNetwork(w)
		if err != nil {
			p.annotation(d, annNetworks).fault("kube-annotation", "", "%q: %v", w, err)
			continue
		}
		networks = append(networks, n)
	}
	return networks
}

// mountAnnotation applies the options of mounts.
func (p *planner) mountAnnotation(d *draft) {
	options := map[string]map[string]string{}
	p.ownJSON(d, annMounts, &options)
	for _, c := range d.Containers {
		for i := range c.Mounts {
			m := &c.Mounts[i]
			words, ok := options[c.Name][m.Path]
			if !ok {
				continue
			}
			if !podman(m, words) {
				p.annotation(d, annMounts).fault("kube-annotation", "such as Z,U", "%q are no options of a mount", words)
			}
		}
	}
}

// podman applies options of --volume; false if they are none.
func podman(m *kube.Mount, options string) bool {
	parsed, err := spec.ParseVolume("volume:"+m.Path+":"+options, "/")
	if err != nil {
		return false
	}
	m.Relabel, m.Chown = parsed.Relabel, parsed.Chown
	for _, o := range parsed.Options {
		switch o {
		case "ro":
			m.ReadOnly = true
		case "rprivate", "rslave", "rshared", "private", "slave", "shared":
			m.Propagation = o
		case "rw":
		default:
			m.Options = append(m.Options, o)
		}
	}
	if parsed.Overlay {
		m.Options = append(m.Options, "O")
	}
	if parsed.NoCopy {
		m.Options = append(m.Options, "nocopy")
	}
	return true
}

// podSpec finds the pod's spec in an object.
func podSpec(o metav1.Object) *corev1.PodSpec {
	switch v := o.(type) {
	case *corev1.Pod:
		return &v.Spec
	case *appsv1.Deployment:
		return &v.Spec.Template.Spec
	case *appsv1.DaemonSet:
		return &v.Spec.Template.Spec
	case *appsv1.ReplicaSet:
		return &v.Spec.Template.Spec
	case *appsv1.StatefulSet:
		return &v.Spec.Template.Spec
	case *corev1.ReplicationController:
		if v.Spec.Template != nil {
			return &v.Spec.Template.Spec
		}
	case *batchv1.Job:
		return &v.Spec.Template.Spec
	case *batchv1.CronJob:
		return &v.Spec.JobTemplate.Spec.Template.Spec
	}
	return nil
}

// fold writes what the command line said into the object, so that the document alone plays the
// same pod.
func (p *planner) fold(d *draft) {
	s := podSpec(d.o.value)
	if p.PublishAll {
		for i := range s.Containers {
			for k := range s.Containers[i].Ports {
				if cp := &s.Containers[i].Ports[k]; cp.HostPort == 0 {
					cp.HostPort = cp.ContainerPort
				}
			}
		}
	}
	for _, m := range p.Publish {
		if slices.ContainsFunc(d.Spec.Publish, func(o spec.PortMapping) bool { return o == m }) {
			foldPort(s, m)
		}
	}
	all := maps.Clone(d.o.value.GetAnnotations())
	if all == nil {
		all = map[string]string{}
	}
	keep := func(key string, v any) {
		data, err := json.Marshal(v)
		if err == nil {
			all[key] = string(data)
		}
	}
	if len(p.Networks) > 0 {
		var words []string
		for _, n := range p.Networks {
			words = append(words, networkWord(n))
		}
		keep(annNetworks, words)
		s.HostNetwork = false
	}
	if p.NoPodPrefix {
		names := map[string]string{}
		for _, c := range d.Containers {
			names[c.Name] = c.Spec.Name
		}
		keep(annContainers, names)
	}
	switch {
	case p.UserNSAuto:
		no := false
		s.HostUsers = &no
	case p.UserNS.Mode != "":
		all[annUserNS] = p.UserNS.String()
	}
	d.o.value.SetAnnotations(all)
}

// foldPort publishes a mapping in the container that has the port, else in the first one.
func foldPort(s *corev1.PodSpec, m spec.PortMapping) {
	if len(s.Containers) == 0 {
		return
	}
	for i := range int32(max(m.Range, 1)) {
		want := corev1.ContainerPort{ContainerPort: int32(m.ContainerPort) + i, Protocol: corev1.Protocol(strings.ToUpper(m.Protocol))}
		if m.HostPort != 0 {
			want.HostPort = int32(m.HostPort) + i
		}
		if m.HostIP.IsValid() {
			want.HostIP = m.HostIP.String()
		}
		found := false
		for k := range s.Containers {
			for l := range s.Containers[k].Ports {
				cp := &s.Containers[k].Ports[l]
				same := cp.Protocol == want.Protocol || (cp.Protocol == "" && want.Protocol == corev1.ProtocolTCP)
				if cp.ContainerPort == want.ContainerPort && same {
					want.Name = cp.Name
					*cp, found = want, true
				}
			}
		}
		if !found {
			s.Containers[0].Ports = append(s.Containers[0].Ports, want)
		}
	}
}

// networkWord is a network as --network takes it.
func networkWord(n spec.Network) string {
	word, rest := n.Mode, strings.Join(n.Options, ",")
	switch n.Mode {
	case spec.NetNamed:
		word = n.Name
	case spec.NetContainer:
		rest = n.Name
	case spec.NetNS:
		rest = n.Path
	}
	if rest != "" {
		word += ":" + rest
	}
	return word
}
