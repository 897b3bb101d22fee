// SPDX-License-Identifier: Apache-2.0

// Package manifest turns Kubernetes YAML into a kube.Plan, and what was played or made by hand back
// into YAML.
//
// Read takes the documents and gives the Plan, or a report of everything that is wrong with them:
// file, line, column, field and the way out. Generate and Rewrite write YAML.
//
// The package touches no disk, no network and no manager. What Kubernetes has and this does not is
// in Fields: every field of every kind has a verdict there, by which documents are judged and of
// which the manual is made. It needs Kubernetes' own types, which the small program does not link:
// what services execute works from the Plan alone.
package manifest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/kube/yaml"
	"github.com/podunit/podunit/runner/spec"
)

// Validate says what becomes of things that have no effect.
type Validate string

// The ways to validate.
const (
	ValidateWarn   Validate = ""       // a warning
	ValidateStrict Validate = "strict" // an error
	ValidateIgnore Validate = "ignore" // nothing is said
)

// Options is what a command line says about documents. The zero value is a plain play.
type Options struct {
	Validate Validate
	// ConfigMaps are the files of --configmap.
	ConfigMaps []yaml.Source
	// Annotations are added to pods, their controllers and claims, over those of the documents.
	Annotations map[string]string
	// Publish displaces the ports of the documents of the same container port and protocol.
	Publish    []spec.PortMapping
	PublishAll bool
	// Networks take the place of the default network and of hostNetwork.
	Networks []spec.Network
	// UserNS is stronger than the annotation and hostUsers; UserNSAuto is --userns auto.
	UserNS     spec.UserNS
	UserNSAuto bool
	// IPs and MACs are for the first pod, the second one and so on.
	IPs, MACs  []string
	NoHosts    bool
	NoHostname bool
	// NoPodPrefix names containers as the documents do.
	NoPodPrefix bool
	Log         spec.Log
	// SeccompRoot is where seccomp profiles of type Localhost are; empty means DefaultSeccompRoot.
	SeccompRoot string
	// Dir is what relative host paths start from, absolute.
	Dir string
	// Rootless refuses what needs root: NFS.
	Rootless bool
	// SystemdUnit becomes the label PODMAN_SYSTEMD_UNIT of all that is made.
	SystemdUnit string
	// Partial says that there are more documents elsewhere: what refers to objects that are not
	// here is not judged, and nothing to play is no fault.
	Partial bool
	// Stored looks a stored secret up: the values by their keys; a secret that was stored as one
	// value has it under the empty key. It may be nil. It is asked only for secrets that are not
	// among the documents.
	Stored func(name string) (map[string][]byte, bool)
	// NoZone reports whether the machine lacks a time zone; nil knows nothing of zones.
	NoZone func(name string) bool
}

// DefaultSeccompRoot is where the kubelet has seccomp profiles.
const DefaultSeccompRoot = "/var/lib/kubelet/seccomp"

// Read plans the documents of the sources. The report holds errors and warnings, in order of files
// and lines; with an error the plan is nil.
func Read(sources []yaml.Source, o Options) (*kube.Plan, report.List) {
	p := &planner{
		judge: judge{validate: o.Validate}, Options: o, plan: &kube.Plan{},
		configMaps: map[string]*corev1.ConfigMap{}, secrets: map[string]*kube.Secret{}, claims: map[string]*kube.Claim{}, hostPorts: map[string][]port{},
		volumesOf: map[string]*object{},
	}
	if p.SeccompRoot == "" {
		p.SeccompRoot = DefaultSeccompRoot
	}
	objects := p.objects(yaml.Read(sources, &p.report))
	extra := p.objects(yaml.Read(o.ConfigMaps, &p.report))
	p.names(objects)
	p.storage(objects, extra)
	pods := 0
	for _, obj := range objects {
		if obj.kind.pods {
			pods++
			p.annotate(obj)
			p.workload(obj)
		}
	}
	p.playable(sources, objects)
	p.services(objects)
	p.together()
	if p.report.Errors() > 0 {
		return nil, p.report.List()
	}
	for _, d := range p.pods {
		p.fold(d)
	}
	for _, obj := range objects {
		p.keep(obj)
	}
	for _, obj := range extra {
		if obj.kind.name == "ConfigMap" {
			p.keep(obj)
		}
	}
	p.digest()
	return p.plan, p.report.List()
}

// Check makes a function that reports on one file, which may be one of several, as podunit check
// does: what has no effect is an error there. noZone is that of Options; nil knows of no time zone
// that the machine lacks.
func Check(noZone func(name string) bool) func(path string, data []byte) report.List {
	return func(path string, data []byte) report.List {
		_, list := Read([]yaml.Source{{Name: path, Data: data}}, Options{Validate: ValidateStrict, Partial: true, Dir: "/", NoZone: noZone})
		return list
	}
}

// planner carries one Read.
type planner struct {
	judge
	Options
	plan       *kube.Plan
	configMaps map[string]*corev1.ConfigMap
	secrets    map[string]*kube.Secret
	claims     map[string]*kube.Claim
	pods       []*draft
	hostPorts  map[string][]port
	volumesOf  map[string]*object
}

// draft is a pod with the places that later checks report on.
type draft struct {
	*kube.Pod
	o    *object
	at   place // of the pod's spec
	meta corev1.PodTemplateSpec
	spec *corev1.PodSpec
	// annotations are those that podman's features read.
	annotations map[string]string
	hostNetwork bool
	// containerNames are names of containers that the document says in an annotation, by their
	// names in the document.
	containerNames map[string]string
}

// names refuses objects without a name, and two of one kind and name.
func (p *planner) names(objects []*object) {
	first := map[string]*object{}
	for _, o := range objects {
		at := o.at("metadata", "name")
		if o.name() == "" {
			if made := o.at("metadata", "generateName"); made.has() {
				made.fault("kube-name", "give the object a metadata.name: names are not made up, or a later play could not find it", "this is not possible here")
			} else {
				at.fault("kube-name", "write metadata: {name: NAME}", "the %s has no name", o.kind.name)
			}
			continue
		}
		if err := spec.CheckName(o.name()); err != nil {
			at.fault("kube-name", "", "%q: %v", o.name(), err)
			continue
		}
		if wrong := subdomain(o.name()); wrong != "" {
			at.note("kube-name", "write small letters, digits, - and .", "Kubernetes refuses the name %q: %s", o.name(), wrong)
		}
		key := o.kind.name + " " + o.name()
		if other := first[key]; other != nil {
			node, _ := other.doc.Root.At(yaml.Path{"metadata", "name"})
			at.fault("kube-name", "give one of them another name; namespaces do not keep them apart",
				"there are two of %s, the other is at %s", key, node.Pos())
		}
		first[key] = o
	}
}

// playable refuses a stream in which nothing can be played.
func (p *planner) playable(sources []yaml.Source, objects []*object) {
	if p.Partial || p.report.Errors() > 0 || slices.ContainsFunc(objects, func(o *object) bool { return o.kind.alone }) {
		return
	}
	d := report.Diagnostic{Code: "kube-nothing", Message: "there is nothing to play", Hint: "a Pod, a Deployment, a Job, a claim or a Secret is needed"}
	if len(sources) > 0 {
		d.Pos.File = sources[0].Name
	}
	p.report.Add(d)
}

// annotate folds --annotation into an object.
func (p *planner) annotate(o *object) {
	if len(p.Annotations) == 0 {
		return
	}
	all := map[string]string{}
	for k, v := range o.value.GetAnnotations() {
		all[k] = v
	}
	for k, v := range p.Annotations {
		all[k] = v
	}
	o.value.SetAnnotations(all)
}

// workload makes the pod of an object.
func (p *planner) workload(o *object) {
	pod := &kube.Pod{Kind: o.kind.name, Object: o.name(), Name: o.name() + "-pod", Start: true}
	d := &draft{Pod: pod, o: o}
	replicas := func(n *int32) {
		at := o.at("spec", "replicas")
		switch {
		case n == nil || *n == 1:
		case *n == 0:
			pod.Start = false
		case *n < 0:
			at.fault("kube-value", "", "%d is less than 0", *n)
		default:
			at.note("kube-replicas", "", "%d pods are asked for; one machine runs one", *n)
		}
	}
	template := func(t corev1.PodTemplateSpec, path ...any) {
		d.meta, d.spec, d.at = t, &t.Spec, o.at(path...).in("spec")
		if !o.at(path...).has() {
			o.at(path...).fault("kube-spec", "", "the %s has no pod template", o.kind.name)
		}
	}
	always := true
	switch v := o.value.(type) {
	case *corev1.Pod:
		pod.Name, always = v.Name, false
		template(corev1.PodTemplateSpec{Spec: v.Spec})
		d.meta.Labels = v.Labels
	case *appsv1.Deployment:
		replicas(v.Spec.Replicas)
		template(v.Spec.Template, "spec", "template")
		p.selector(o, v.Spec.Selector, v.Spec.Template.Labels)
	case *appsv1.DaemonSet:
		template(v.Spec.Template, "spec", "template")
		p.selector(o, v.Spec.Selector, v.Spec.Template.Labels)
	case *appsv1.ReplicaSet:
		replicas(v.Spec.Replicas)
		template(v.Spec.Template, "spec", "template")
		p.selector(o, v.Spec.Selector, v.Spec.Template.Labels)
	case *corev1.ReplicationController:
		replicas(v.Spec.Replicas)
		if v.Spec.Template == nil {
			v.Spec.Template = &corev1.PodTemplateSpec{}
		}
		template(*v.Spec.Template, "spec", "template")
	case *appsv1.StatefulSet:
		pod.Name = v.Name + "-0"
		replicas(v.Spec.Replicas)
		template(v.Spec.Template, "spec", "template")
		p.selector(o, v.Spec.Selector, v.Spec.Template.Labels)
		p.claimTemplates(o, v, d)
	case *batchv1.Job:
		always = false
		template(v.Spec.Template, "spec", "template")
		p.job(d, v.Name, &v.Spec, o.at("spec"))
	case *batchv1.CronJob:
		always = false
		template(v.Spec.JobTemplate.Spec.Template, "spec", "jobTemplate", "spec", "template")
		p.job(d, v.Name, &v.Spec.JobTemplate.Spec, o.at("spec", "jobTemplate", "spec"))
		p.cron(d, v)
	}
	if always && d.spec.RestartPolicy != "" && !strings.EqualFold(string(d.spec.RestartPolicy), "Always") {
		d.at.in("restartPolicy").note("kube-restart", "leave it out, or write a Pod or a Job", "a %s has the policy Always in Kubernetes, which refuses this", o.kind.name)
	}
	if o.name() == "" {
		pod.Name = "" // said before
	}
	if own := o.value.GetAnnotations()[annName]; own != "" {
		if err := spec.CheckName(own); err != nil {
			o.at("metadata", "annotations", annName).fault("kube-annotation", "", "%q: %v", own, err)
		}
		pod.Name = own
	}
	pod.Namespace = cmp.Or(o.value.GetNamespace(), "default")
	p.pods = append(p.pods, d)
	p.plan.Pods = append(p.plan.Pods, pod)
	p.pod(d)
}

// together judges what only all pods together tell.
func (p *planner) together() {
	pods, containers := map[string]*draft{}, map[string]string{}
	for _, d := range p.pods {
		if other := pods[d.Name]; other != nil && d.Name != "" {
			if other.Kind == d.Kind && other.Object == d.Object {
				continue // said before
			}
			d.o.at("metadata", "name").fault("kube-name", "rename one of them", "%s and %s both make the pod %s",
				other.Kind+" "+other.Object, d.Kind+" "+d.Object, d.Name)
			continue
		}
		pods[d.Name] = d
		own := map[string]bool{}
		for i, c := range d.Containers {
			if own[c.Name] {
				continue // said before
			}
			own[c.Name] = true
			who := "container " + c.Name + " of pod " + d.Name
			if other := containers[c.Spec.Name]; other != "" && c.Name != "" {
				hint := "rename one of them"
				if p.NoPodPrefix {
					hint += ", or leave out --no-pod-prefix"
				}
				d.container(i).in("name").fault("kube-name", hint, "%s and %s would both be named %s", other, who, c.Spec.Name)
				continue
			}
			containers[c.Spec.Name] = who
		}
	}
	for name, d := range pods {
		for other, who := range containers {
			switch other {
			case name + "-infra":
				d.o.at("metadata", "name").fault("kube-name", "rename one of them", "the infra process of pod %s and %s would both be named %s", name, who, other)
			case name + "-pod":
				d.o.at("metadata", "name").fault("kube-name", "rename one of them", "pod %s and %s would both have the unit %s.service", name, who, other)
			}
		}
	}
	p.publish()
}

// container is the place of the i-th container in the order of start.
func (d *draft) container(i int) place {
	if i < len(d.spec.InitContainers) {
		return d.at.in("initContainers", i)
	}
	return d.at.in("containers", i-len(d.spec.InitContainers))
}

// keep puts the object into the plan as it was played.
func (p *planner) keep(o *object) {
	o.value.SetManagedFields(nil)
	value := o.value
	if s, ok := value.(*corev1.Secret); ok {
		c := s.DeepCopy()
		c.Data, c.StringData = nil, nil
		value = c
	}
	data, err := json.Marshal(value)
	if err != nil {
		o.at().fault("kube-object", "", "the object cannot be written: %v", err)
		return
	}
	p.plan.Objects = append(p.plan.Objects, kube.Object{Kind: o.kind.name, Name: o.name(), Source: data})
}

// subdomain tells what Kubernetes has against a name of an object, or "".
func subdomain(s string) string {
	if len(s) > 253 {
		return fmt.Sprintf("it has %d characters, and may have 253", len(s))
	}
	for part := range strings.SplitSeq(s, ".") {
		if wrong := dnsLabel(part); wrong != "" && !strings.HasPrefix(wrong, "it has") {
			return wrong
		}
	}
	return ""
}

// dnsLabel tells what Kubernetes has against a name of a container or volume, or "".
func dnsLabel(s string) string {
	if len(s) > 63 {
		return fmt.Sprintf("it has %d characters, and may have 63", len(s))
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-' && i > 0 && i < len(s)-1:
		default:
			return "only small letters, digits and, between them, - are allowed"
		}
	}
	if s == "" {
		return "a part is empty"
	}
	return ""
}
