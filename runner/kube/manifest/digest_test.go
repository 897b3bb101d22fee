// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/kube/yaml"
)

const pair = `apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {a: alpha}
---
apiVersion: v1
kind: Secret
metadata: {name: sec}
stringData: {p: one}
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: {app: web}
spec:
  volumes:
  - {name: files, configMap: {name: conf}}
  - {name: keys, secret: {secretName: sec}}
  containers:
  - name: a
    image: quay.io/x/a:1
    volumeMounts: [{name: files, mountPath: /files}]
  - name: b
    image: quay.io/x/b:1
    env: [{name: P, valueFrom: {secretKeyRef: {name: sec, key: p}}}]
  - name: c
    image: quay.io/x/c:1
    ports: [{containerPort: 80, hostPort: 8080}]
    volumeMounts: [{name: keys, mountPath: /keys}]
`

func planned(t *testing.T, text string) *kube.Plan {
	t.Helper()
	p, list := Read([]yaml.Source{{Name: "f", Data: []byte(text)}}, Options{})
	if p == nil {
		t.Fatal(list)
	}
	return p
}

// TestDigest: what changes in a document changes the digests of what must be made anew, and no
// others.
func TestDigest(t *testing.T) {
	before := planned(t, pair)
	for name, c := range map[string]struct{ from, to, want string }{
		"nothing":                {"", "", ""},
		"a comment":              {"spec:", "spec: # more", ""},
		"an image":               {"x/b:1", "x/b:2", "b"},
		"a file of a volume":     {"a: alpha", "a: beta", "a"},
		"a secret":               {"p: one", "p: two", "b c"},
		"a published port":       {"8080", "8081", "pod"},
		"a label":                {"app: web", "app: www", "pod a b c"},
		"the grace":              {"spec:", "spec:\n  terminationGracePeriodSeconds: 7", "pod a b c"},
		"an annotation of one":   {"labels: {app: web}", "labels: {app: web}\n  annotations: {io.containers.autoupdate/b: registry}", "b"},
		"an annotation of all":   {"labels: {app: web}", "labels: {app: web}\n  annotations: {io.containers.autoupdate: registry}", "a b c"},
		"a probe":                {"image: quay.io/x/a:1", "image: quay.io/x/a:1\n    livenessProbe: {exec: {command: [x]}}", "a"},
		"the order of fields":    {"  - name: a\n    image: quay.io/x/a:1", "  - image: quay.io/x/a:1\n    name: a", ""},
		"a volume nobody mounts": {"  volumes:", "  volumes:\n  - {name: z, emptyDir: {}}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			after := planned(t, strings.Replace(pair, c.from, c.to, 1))
			var changed []string
			if before.Pods[0].Digest != after.Pods[0].Digest {
				changed = append(changed, "pod")
			}
			for i, o := range before.Pods[0].Containers {
				if o.Digest != after.Pods[0].Containers[i].Digest {
					changed = append(changed, o.Name)
				}
			}
			if got := strings.Join(changed, " "); got != c.want {
				t.Errorf("changed are %q, and should be %q", got, c.want)
			}
		})
	}
}

// TestDigestOfTakenVolumes: a container that gets the mounts of another one, which has got them of
// a third one, must be made anew when their files change: those are new files then.
func TestDigestOfTakenVolumes(t *testing.T) {
	taking := strings.Replace(pair, "labels: {app: web}", "annotations: {io.podman.annotations.volumes-from/c: b, io.podman.annotations.volumes-from/b: a}", 1)
	before, after := planned(t, taking), planned(t, strings.Replace(taking, "a: alpha", "a: beta", 1))
	for i, c := range before.Pods[0].Containers {
		if now := after.Pods[0].Containers[i]; now.Digest == c.Digest {
			t.Errorf("%s is left as it is", c.Name)
		}
	}
}

// TestRecord: a plan comes back from its record as it was, and no value of a secret is in it.
func TestRecord(t *testing.T) {
	text := strings.ReplaceAll(pair, "p: one", "p: hunter2")
	before := planned(t, text)
	data, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", "aHVudGVyMg"} {
		if strings.Contains(string(data), secret) {
			t.Errorf("%s is in the record", secret)
		}
	}
	for _, o := range before.Objects {
		if strings.Contains(string(o.Source), "aHVudGVyMg") {
			t.Errorf("%s %s shows the secret", o.Kind, o.Name)
		}
	}
	var after kube.Plan
	if err := json.Unmarshal(data, &after); err != nil {
		t.Fatal(err)
	}
	for i := range before.Secrets {
		before.Secrets[i].Data = nil
	}
	again, err := json.Marshal(&after)
	if err != nil || string(again) != string(data) {
		t.Errorf("%v\n%s\n%s", err, again, data)
	}
	if !reflect.DeepEqual(before.Secrets, after.Secrets) {
		t.Errorf("%+v", after.Secrets)
	}
}
