// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"strings"
	"testing"
)

const whole = `apiVersion: v1
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

// TestCheck: what has no effect is an error, and what other files may hold is not missed.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"all is well":                 {whole, ""},
		"nothing at all":              {"", ""},
		"an empty document":           {"---\n---\n" + whole, ""},
		"a ConfigMap alone":           {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n", ""},
		"what other files hold":       {strings.Replace(whole, "    env:", "    envFrom: [{configMapRef: {name: x}}, {secretRef: {name: y}}]\n    env:", 1), ""},
		"a claim of another file":     {strings.Replace(whole, "hostPath: {path: /srv, type: Directory}", "persistentVolumeClaim: {claimName: x}", 1), ""},
		"broken syntax":               {"a: b\n  c: d\n", "f:2:1: error: YAML: mapping values are not allowed"},
		"a tab":                       {"a:\n\tb: c\n", "f:2:1: error: YAML: found character that cannot start any token"},
		"an unknown field":            {strings.Replace(whole, "hostPort", "hostport", 1), "f:13:7: error: spec.containers[0].ports[0].hostport: unknown field|did you mean hostPort?"},
		"a field in the wrong place":  {strings.Replace(whole, "  restartPolicy", "  image: x\n  restartPolicy", 1), "f:7:3: error: spec.image: unknown field"},
		"an object instead of a list": {strings.Replace(whole, "    ports:\n    - containerPort", "    ports:\n      containerPort", 1), "f:12:7: error: spec.containers[0].ports: a list is needed here"},
		"a scalar instead of a list":  {strings.Replace(whole, "    env:\n    - {name: A, value: \"1\"}", "    env: A", 1), "f:14:10: error: spec.containers[0].env: a list is needed here"},
		"a field twice":               {strings.Replace(whole, "  restartPolicy: Always", "  restartPolicy: Always\n  restartPolicy: Never", 1), "f:8:3: error: field restartPolicy is there twice"},
		"a misspelt kind":             {strings.Replace(whole, "kind: Pod", "kind: Pood", 1), "f:2:7: error: kind: Pood is no kind that is played|did you mean Pod?"},
		"an unknown kind":             {"apiVersion: v1\nkind: Ingress\nmetadata: {name: x}\n", "f:2:7: error: kind: Ingress is no kind that is played"},
		"no kind":                     {"apiVersion: v1\n", "f:1:1: error: the object has no kind"},
		"not an object":               {"- a\n", "f:1:1: error: the document is not an object"},
		"no name":                     {strings.Replace(whole, "  name: web\n  labels", "  labels", 1), "f:3:1: error: metadata.name: the Pod has no name"},
		"no containers":               {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {}\n", "the pod has no containers"},
		"an init container that succeeds starts all anew": {strings.Replace(whole, "  containers:", "  initContainers:\n  - name: i\n    image: quay.io/x/a:1\n    restartPolicy: Never\n"+
			"    restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [0]}}]\n  containers:", 1),
			"restartPolicyRules[0].exitCodes.values: an init container that succeeds would run for ever|take 0 out"},
		"no image":                   {strings.Replace(whole, "    image: docker.io/library/nginx\n", "", 1), "f:9:5: error: spec.containers[0].image: the container has no image"},
		"a deployment without pod":   {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 1}\n", "the Deployment has no pod template"},
		"a missing key of this file": {strings.Replace(whole, "{name: A, value: \"1\"}", "{name: A, valueFrom: {configMapKeyRef: {name: c, key: z}}}", 1), "ConfigMap c has no key \"z\"|it has a"},
		"merged fields": {"apiVersion: v1\nkind: ConfigMap\nmetadata: &m {name: a}\n---\n" +
			"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  hostAliases: &x []\n  containers:\n  - &c {name: a, image: b}\n  - {<<: *c, name: b}\n  - {<<: [{image: b}, *c], name: c}\n", ""},
		"merged fields miss one":   {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - {<<: {image: b}}\n", "f:6:5: error: spec.containers[0].name: the container has no name"},
		"an object twice":          {"apiVersion: v1\nkind: List\nitems:\n- &a {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- *a\n", "there are two of ConfigMap a"},
		"a list that holds itself": {"apiVersion: v1\nkind: List\nitems: &i\n- {apiVersion: v1, kind: List, items: *i}\n", "nests too deep"},
		"a list of objects":        {"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n  dat: {}\n", "f:7:3: error: dat: unknown field|did you mean data?"},
	} {
		t.Run(name, func(t *testing.T) {
			list := Check(nil)("f", []byte(c.text))
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

// TestCheckOfZones: a time zone that the machine lacks is found where the machine is asked, and not
// where it isn't.
func TestCheckOfZones(t *testing.T) {
	const job = `apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "@daily"
  timeZone: Mars/Base
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: a.b/c}]}}}}
`
	if list := Check(nil)("a.yaml", []byte(job)); len(list) > 0 {
		t.Errorf("without a machine: %s", list[0].Place())
	}
	list := Check(func(name string) bool { return name == "Mars/Base" })("a.yaml", []byte(job))
	if len(list) != 1 || list[0].Pos.Line != 6 || !strings.Contains(list[0].Message, `this machine knows no time zone "Mars/Base"`) {
		t.Errorf("with a machine: %v", list)
	}
}
