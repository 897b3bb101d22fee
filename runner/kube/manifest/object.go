// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/spelling"
	"github.com/podunit/podunit/runner/kube/yaml"
)

// kind is a kind of objects and what becomes of it.
type kind struct {
	name     string
	versions []string
	// make makes an empty object; nil for a kind that is not read.
	make func() metav1.Object
	// pods says that it makes pods.
	pods bool
	// alone says that it is worth a play without any pod.
	alone bool
	doc   string
}

func kinds() []kind {
	return []kind{
		{"Pod", []string{"v1"}, func() metav1.Object { return &corev1.Pod{} }, true, true, "a pod"},
		{"Deployment", []string{"apps/v1"}, func() metav1.Object { return &appsv1.Deployment{} }, true, true, "one pod, NAME-pod"},
		{"DaemonSet", []string{"apps/v1"}, func() metav1.Object { return &appsv1.DaemonSet{} }, true, true, "one pod, NAME-pod"},
		{"StatefulSet", []string{"apps/v1"}, func() metav1.Object { return &appsv1.StatefulSet{} }, true, true, "one pod, NAME-0"},
		{"ReplicaSet", []string{"apps/v1"}, func() metav1.Object { return &appsv1.ReplicaSet{} }, true, true, "one pod, NAME-pod"},
		{"ReplicationController", []string{"v1"}, func() metav1.Object { return &corev1.ReplicationController{} }, true, true, "one pod, NAME-pod"},
		{"Job", []string{"batch/v1"}, func() metav1.Object { return &batchv1.Job{} }, true, true, "one pod, NAME-pod, that runs to its end"},
		{"CronJob", []string{"batch/v1"}, func() metav1.Object { return &batchv1.CronJob{} }, true, true, "a timer that starts a job"},
		{"ConfigMap", []string{"v1"}, func() metav1.Object { return &corev1.ConfigMap{} }, false, false, "variables and files of the pods of the same play"},
		{"Secret", []string{"v1"}, func() metav1.Object { return &corev1.Secret{} }, false, true, "a stored secret"},
		{"PersistentVolumeClaim", []string{"v1"}, func() metav1.Object { return &corev1.PersistentVolumeClaim{} }, false, true, "a volume"},
		{"PersistentVolume", []string{"v1"}, func() metav1.Object { return &corev1.PersistentVolume{} }, false, false, "a directory for the claim that names it"},
		{"Service", []string{"v1"}, func() metav1.Object { return &corev1.Service{} }, false, false, "names of the pods it selects"},
	}
}

// Kind is a row of the table of kinds.
type Kind struct {
	Name     string
	Versions []string
	Doc      string
}

// Kinds is the table of the kinds that are played, and of those that are accepted because they say
// nothing to one machine, which have no versions.
func Kinds() []Kind {
	var all []Kind
	for _, k := range kinds() {
		all = append(all, Kind{k.name, k.versions, k.doc})
	}
	for _, name := range meaningless() {
		all = append(all, Kind{Name: name})
	}
	return all
}

// meaningless are kinds that say nothing to one machine.
func meaningless() []string {
	return []string{
		"Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "PodDisruptionBudget",
		"HorizontalPodAutoscaler", "PriorityClass", "StorageClass",
	}
}

// object is one document that was read.
type object struct {
	kind  *kind
	doc   *yaml.Document
	value metav1.Object
	to    *judge
}

func (o *object) name() string { return o.value.GetName() }

// place is a place in an object.
type place struct {
	o    *object
	path yaml.Path
}

func (o *object) at(path ...any) place { return place{o, path} }

func (p place) in(parts ...any) place { return place{p.o, p.path.With(parts...)} }

// has tells whether the document has this place.
func (p place) has() bool {
	node := p.o.doc.Root
	for _, part := range p.path {
		next, _ := node.At(yaml.Path{part})
		if next == node {
			return false
		}
		node = next
	}
	return node.Kind != yaml.Null
}

func (p place) fault(code, hint, format string, args ...any) {
	p.say(report.Error, code, hint, format, args...)
}

// note says that something has no effect, or not the one it has elsewhere.
func (p place) note(code, hint, format string, args ...any) {
	if s, quiet := p.o.to.notes(); !quiet {
		p.say(s, code, hint, format, args...)
	}
}

func (p place) say(s report.Severity, code, hint, format string, args ...any) {
	node, key := p.o.doc.Root.At(p.path)
	if p.o.to.report.Broken(node) {
		return
	}
	if key != nil && node.Kind != yaml.Scalar {
		node = key
	}
	p.o.to.report.At(s, node, p.path, p.o.kind != nil && p.o.kind.name == "Secret", code, fmt.Sprintf(format, args...), hint)
}

// oneOf checks a word; the empty one is always good.
func (p place) oneOf(word string, words ...string) bool {
	if word == "" || slices.Contains(words, word) {
		return true
	}
	hint := "it is one of " + strings.Join(words, ", ")
	if near := spelling.Nearest(word, words); near != "" {
		hint = "did you mean " + near + "?"
	}
	p.fault("kube-value", hint, "%q is not known here", word)
	return false
}

// spelled is oneOf for a word that podman takes in any case: Kubernetes does not, which is noted.
// It gives the word as it should be.
func (p place) spelled(word string, words ...string) string {
	for _, w := range words {
		if w != word && strings.EqualFold(w, word) {
			p.note("kube-value", "write "+w, "Kubernetes refuses %q, which is taken as %s", word, w)
			return w
		}
	}
	p.oneOf(word, words...)
	return word
}

// judge reads documents and says what does not fit.
type judge struct {
	report   yaml.Report
	validate Validate
}

// notes is the severity of what has no effect, and whether it is not said at all.
func (j *judge) notes() (s report.Severity, quiet bool) {
	switch j.validate {
	case ValidateStrict:
		return report.Error, false
	case ValidateIgnore:
		return report.Warning, true
	}
	return report.Warning, false
}

// verdicts is the table of fields by "Type.Name".
var verdicts = sync.OnceValue(func() map[string]Field {
	all := map[string]Field{}
	for _, f := range Fields() {
		all[f.Type+"."+f.Name] = f
	}
	return all
})

// objects reads documents; a List counts as what it holds.
func (j *judge) objects(docs []*yaml.Document) []*object {
	var all []*object
	for _, doc := range docs {
		all = append(all, j.document(doc, 0)...)
	}
	return all
}

func (j *judge) document(doc *yaml.Document, depth int) []*object {
	bare := &object{doc: doc, to: j}
	whole := bare.at()
	if doc.Root.Kind != yaml.Map {
		whole.fault("kube-object", "begin with apiVersion: and kind:", "the document is not an object")
		return nil
	}
	name := doc.Root.Field("kind").Text()
	version := doc.Root.Field("apiVersion").Text()
	known := kinds()
	names := make([]string, len(known))
	for i := range known {
		names[i] = known[i].name
	}
	if name == "" {
		whole.fault("kube-kind", "known are "+strings.Join(names, ", "), "the object has no kind")
		return nil
	}
	if list, ok := strings.CutSuffix(name, "List"); ok && (list == "" || slices.Contains(names, list)) {
		return j.list(doc, list, depth)
	}
	i := slices.Index(names, name)
	if i < 0 {
		j.unknown(bare, name, names)
		return nil
	}
	k := &known[i]
	switch {
	case version == "":
		whole.note("kube-version", "write apiVersion: "+k.versions[0], "the object has no apiVersion")
	case !slices.Contains(k.versions, version):
		bare.at("apiVersion").note("kube-version", "write "+k.versions[0], "%s is not the version of a %s", version, name)
	}
	if name == "Pod" {
		dropAccess(bare)
	}
	o := &object{kind: k, doc: doc, value: k.make(), to: j}
	severity, quiet := j.notes()
	d := yaml.Decoder{Report: &j.report, Unknown: severity, Quiet: quiet, Visit: o.visit, Hide: name == "Secret", Special: special}
	d.Decode(doc.Root, o.value)
	return []*object{o}
}

// list reads the items of a List. The items of a PodList may leave out what they are.
func (j *judge) list(doc *yaml.Document, of string, depth int) []*object {
	items := doc.Root.Field("items")
	if items == nil || items.Kind != yaml.List || depth > 10 {
		(&object{doc: doc, to: j}).at("items").fault("kube-type", "begin each element with a dash", "a list of objects is needed here")
		return nil
	}
	var all []*object
	for _, item := range items.Items {
		if of != "" && item.Kind == yaml.Map && item.Field("kind") == nil {
			version := *doc.Root
			version.Kind, version.Value, version.Tag, version.Fields = yaml.Scalar, doc.Root.Field("apiVersion").Text(), "!!str", nil
			kind := version
			kind.Value = of
			item.Fields = append(item.Fields, yaml.Field{Name: "kind", Key: &kind, Value: &kind}, yaml.Field{Name: "apiVersion", Key: &version, Value: &version})
		}
		all = append(all, j.document(&yaml.Document{File: doc.File, Root: item}, depth+1)...)
	}
	return all
}

func (j *judge) unknown(o *object, name string, names []string) {
	if slices.Contains(meaningless(), name) {
		return
	}
	p := o.at("kind")
	if near := spelling.Nearest(name, names); near != "" {
		p.fault("kube-kind", "did you mean "+near+"?", "%s is no kind that is played", name)
		return
	}
	p.note("kube-kind", "played are "+strings.Join(names, ", "), "%s is no kind that is played", name)
}

// visit judges a field by the table.
func (o *object) visit(owner reflect.Type, name string, path yaml.Path, key, value *yaml.Node) bool {
	f, ok := verdicts()[owner.Name()+"."+name]
	if !ok || value.Kind == yaml.Null {
		return true // below a field that has no meaning
	}
	// An empty list or object asks for nothing; templates write such.
	if (value.Kind == yaml.List && len(value.Items) == 0) || (value.Kind == yaml.Map && len(value.Fields) == 0 && f.Verdict != Refused) {
		return true
	}
	switch f.Verdict {
	case Refused:
		o.to.report.At(report.Error, key, path, false, "kube-refused", "this is not possible here", f.Doc)
		return false
	case Noted:
		if value.Kind == yaml.Scalar && (value.Value == "false" || value.Value == "" || value.Value == "0") {
			return true
		}
		if s, quiet := o.to.notes(); !quiet {
			o.to.report.At(s, key, path, false, "kube-no-effect", "this has no effect here", f.Doc)
		}
		return true // so that the object can be written back as it was
	case Meaningless:
		// What a cluster fills in is not kept. The rest is, so that a document that is written back
		// means the same to a cluster as before.
		if name == "creationTimestamp" || name == "deletionTimestamp" {
			o.timestamp(path, value)
		}
		return name != "status" && owner.Name() != "ObjectMeta"
	}
	return true
}

// timestamp notes what is no time where a cluster writes one: nothing reads it here, but Kubernetes
// refuses the object.
func (o *object) timestamp(path yaml.Path, value *yaml.Node) {
	_, wrong, hint := yaml.TimeText(value)
	if s, quiet := o.to.notes(); wrong != "" && !quiet {
		o.to.report.At(s, value, path, false, "kube-value", "Kubernetes refuses the object: "+wrong, hint)
	}
}

var (
	quantityType = reflect.TypeFor[resource.Quantity]()
	intOrString  = reflect.TypeFor[intstr.IntOrString]()
	timeType     = reflect.TypeFor[metav1.Time]()
	microTime    = reflect.TypeFor[metav1.MicroTime]()
)

// special decodes the types of Kubernetes that are one value in YAML.
func special(t reflect.Type, node *yaml.Node) (v any, known bool, wrong, hint string) {
	switch t {
	case quantityType:
		if node.Kind != yaml.Scalar {
			return nil, true, "a quantity is needed here", "such as 512Mi or 500m"
		}
		if _, err := resource.ParseQuantity(node.Value); err != nil {
			return nil, true, fmt.Sprintf("%q is no quantity", node.Value), quantityHint(node.Value)
		}
		return node.Value, true, "", ""
	case intOrString:
		if node.Kind != yaml.Scalar || node.Tag == "!!bool" || node.Tag == "!!float" {
			return nil, true, "a number or a name is needed here", ""
		}
		if node.Plain && node.Tag == "!!int" {
			q, err := resource.ParseQuantity(node.Value)
			if i, exact := q.AsInt64(); err == nil && exact && int64(int32(i)) == i {
				return i, true, "", ""
			}
			return nil, true, node.Value + " is out of range", ""
		}
		return node.Value, true, "", ""
	case timeType, microTime:
		v, wrong, hint := yaml.TimeText(node)
		return v, true, wrong, hint
	}
	return nil, false, "", ""
}

// quantityHint knows the usual slips: 512MB, 1gb, "1 Gi".
func quantityHint(s string) string {
	t := strings.ReplaceAll(s, " ", "")
	for _, fix := range []struct{ from, to string }{
		{"MB", "M"}, {"GB", "G"}, {"KB", "k"}, {"TB", "T"}, {"mb", "M"}, {"gb", "G"}, {"kb", "k"}, {"MiB", "Mi"}, {"GiB", "Gi"}, {"KiB", "Ki"},
		{"g", "G"}, {"K", "k"}, {"mi", "Mi"}, {"gi", "Gi"}, {"ki", "Ki"}, {"b", ""}, {"B", ""}, {"", ""},
	} {
		if head, ok := strings.CutSuffix(t, fix.from); ok {
			if _, err := resource.ParseQuantity(head + fix.to); err == nil && head != "" {
				return "did you mean " + head + fix.to + "?"
			}
		}
	}
	return "such as 512Mi, 1.5 or 500m"
}
