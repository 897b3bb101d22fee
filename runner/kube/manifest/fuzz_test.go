// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/kube/yaml"
)

// FuzzRead: whatever the documents are, there is a plan or an error, and a plan can be recorded
// and written back.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("../../../testdata/kube/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range txtar.Parse(data).Files {
			if part.Name == "pod.yaml" {
				f.Add(string(part.Data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		plan, list := Read([]yaml.Source{{Name: "f", Data: []byte(text)}}, Options{PublishAll: true, NoPodPrefix: true})
		if (plan == nil) != (list.Errors() > 0) {
			t.Fatalf("a plan: %v, errors: %v", plan != nil, list)
		}
		if plan == nil {
			return
		}
		data, err := json.Marshal(plan)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &kube.Plan{}); err != nil {
			t.Fatal(err)
		}
		out, err := Rewrite(plan.Objects, nil, GenerateOptions{}, values(plan))
		if err != nil {
			t.Fatal(err)
		}
		if again, list := Read([]yaml.Source{{Name: "again", Data: out}}, Options{NoPodPrefix: true}); again == nil {
			t.Fatalf("written back it is refused: %v\n%s", list, out)
		}
		facts := kube.Facts{Secret: func(string, string) ([]byte, error) { return nil, nil }, File: func(string, string) ([]byte, error) { return nil, nil }}
		for _, pod := range plan.Pods {
			for _, c := range pod.Containers {
				if _, err := c.Resolve(kube.Image{}, facts); err != nil && err.Error() == "" {
					t.Fatal("an error without words")
				}
			}
		}
	})
}

// values are those of the secrets of a plan.
func values(p *kube.Plan) func(name string) (map[string][]byte, bool) {
	return func(name string) (map[string][]byte, bool) {
		for _, s := range p.Secrets {
			if s.Name == name {
				return s.Data, true
			}
		}
		return nil, false
	}
}

func BenchmarkRead(b *testing.B) {
	text := "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n"
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		text += "  - name: " + name + "\n    image: docker.io/library/busybox:1\n    command: [sleep, inf]\n    env: [{name: A, value: x}, {name: B, value: $(A)}]\n" +
			"    livenessProbe: {exec: {command: ['true']}}\n    resources: {limits: {memory: 64Mi}}\n"
	}
	for b.Loop() {
		if plan, list := Read([]yaml.Source{{Name: "f", Data: []byte(text)}}, Options{}); plan == nil {
			b.Fatal(list)
		}
	}
}
