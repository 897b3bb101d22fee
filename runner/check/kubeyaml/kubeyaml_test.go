// SPDX-License-Identifier: Apache-2.0

package kubeyaml

import (
	"strings"
	"testing"
	"time"
)

const pod = `apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: {app: web}
spec:
  restartPolicy: Always
  containers:
  - name: web
    image: docker.io/library/nginx
    ports:
    - containerPort: 80
      hostPort: 8080
    env:
    - {name: A, value: "1"}
    livenessProbe:
      httpGet: {path: /, port: 80}
    volumeMounts:
    - {name: data, mountPath: /data}
  volumes:
  - name: data
    hostPath: {path: /srv, type: Directory}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {a: b}
`

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"all is well":                 {pod, ""},
		"nothing at all":              {"", ""},
		"an empty document":           {"---\n---\n" + pod, ""},
		"broken syntax":               {"a: b\n  c: d\n", "f:2:1: error: YAML: mapping values are not allowed"},
		"a tab":                       {"a:\n\tb: c\n", "f:2:1: error: YAML: found character that cannot start any token"},
		"an unknown field":            {strings.Replace(pod, "hostPort", "hostport", 1), "f:13:7: error: unknown field hostport in ContainerPort|did you mean hostPort?"},
		"a field in the wrong place":  {strings.Replace(pod, "  restartPolicy", "  image: x\n  restartPolicy", 1), "f:7:3: error: unknown field image in PodSpec"},
		"an object instead of a list": {strings.Replace(pod, "    ports:\n    - containerPort", "    ports:\n      containerPort", 1), "f:12:7: error: a list is needed here"},
		"a scalar instead of a list":  {strings.Replace(pod, "    env:\n    - {name: A, value: \"1\"}", "    env: A", 1), "f:14:10: error: a list is needed here"},
		"a field twice":               {strings.Replace(pod, "  restartPolicy: Always", "  restartPolicy: Always\n  restartPolicy: Never", 1), "f:8:3: error: field restartPolicy is there twice"},
		"a misspelt kind":             {strings.Replace(pod, "kind: Pod", "kind: Pood", 1), "f:2:7: error: kind Pood is not run by kube play|did you mean Pod?"},
		"an unknown kind":             {"apiVersion: v1\nkind: Ingress\nmetadata: {name: x}\n", "f:2:7: warning: kind Ingress is not run"},
		"no kind":                     {"apiVersion: v1\n", "f:1:1: error: the object has no kind"},
		"not an object":               {"- a\n", "f:1:1: error: the document is not an object"},
		"no name":                     {strings.Replace(pod, "  name: web\n  labels", "  labels", 1), "f:1:1: error: Pod has no metadata.name"},
		"no containers":               {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {}\n", "Pod has no containers"},
		"no image":                    {strings.Replace(pod, "    image: docker.io/library/nginx\n", "", 1), "f:9:5: error: the container has no image"},
		"a deployment without pod":    {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 1}\n", "Deployment has no spec.template"},
		"merged fields":               {"apiVersion: v1\nkind: ConfigMap\nmetadata: &m {name: a}\n---\n" + "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  hostAliases: &x []\n  containers:\n  - &c {name: a, image: b}\n  - {<<: *c, name: b}\n  - {<<: [{image: b}, *c], name: c}\n", ""},
		"merged fields miss one":      {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - {<<: {image: b}}\n", "f:6:5: error: the container has no name"},
		"a list of aliases":           {"apiVersion: v1\nkind: List\nitems:\n- &a {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- *a\n", ""},
		"a list that holds itself":    {"apiVersion: v1\nkind: List\nitems: &i\n- {apiVersion: v1, kind: List, items: *i}\n", "nests too deep"},
		"a list of objects":           {"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n  dat: {}\n", "f:7:3: error: unknown field dat in ConfigMap|did you mean data?"},
	} {
		t.Run(name, func(t *testing.T) {
			list := Check("f", []byte(c.text))
			if c.want == "" {
				if len(list) > 0 {
					t.Errorf("%s", list[0].Place())
				}
				return
			}
			want, hint, _ := strings.Cut(c.want, "|")
			for _, d := range list {
				if strings.Contains(d.Place(), want) && strings.Contains(d.Hint, hint) {
					return
				}
			}
			t.Errorf("nothing like %q in %v", c.want, list)
		})
	}
}

// TestBomb: a few lines that stand for billions of values are refused at once.
func TestBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\n  annotations:\n    a0: &a0 [x, x]\n")
	for i := 1; i < 60; i++ {
		p := i - 1
		b.WriteString("    a" + itoa(i) + ": &a" + itoa(i) + " [*a" + itoa(p) + ", *a" + itoa(p) + "]\n")
	}
	text := strings.Replace(b.String(), "annotations", "ownerReferences", 1) + "spec: {containers: [{name: a, image: b}]}\n"
	start := time.Now()
	list := Check("f", []byte(text))
	if time.Since(start) > 5*time.Second {
		t.Errorf("took %s", time.Since(start))
	}
	if len(list) == 0 || !strings.Contains(list[0].Message, "stands for more than") {
		t.Errorf("%v", list)
	}
	deep := "apiVersion: v1\nkind: Pod\nmetadata: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "\n"
	if list := Check("f", []byte(deep)); len(list) == 0 {
		t.Error("deep nesting is accepted")
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func FuzzCheck(f *testing.F) {
	f.Add(pod)
	f.Add("a: &a [*a]\n")
	f.Add("apiVersion: v1\nkind: Pod\nmetadata: {<<: {name: x}}\nspec:\n  containers: [1, {}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, d := range Check("f", []byte(text)) {
			if d.Pos.Line < 1 {
				t.Fatalf("no line: %s", d.Place())
			}
		}
	})
}
