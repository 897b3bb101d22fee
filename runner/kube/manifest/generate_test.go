// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/spf13/pflag"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/kube/yaml"
	"github.com/podunit/podunit/runner/spec"
)

// words parses the command line of a case: one word a line.
func words(t *testing.T, data []byte, pod bool) (*spec.Container, *spec.Pod) {
	t.Helper()
	fs := pflag.NewFlagSet("case", pflag.ContinueOnError)
	args := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	host := spec.Host{Dir: "/home/alice"}
	if pod {
		f := spec.PodFlags(fs)
		if err := fs.Parse(args); err != nil {
			t.Fatal(err)
		}
		p, err := f.Pod(fs.Args(), host)
		if p == nil {
			t.Fatal(err)
		}
		return nil, p
	}
	f := spec.ContainerFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	c, err := f.Container(fs.Args(), host) // what is refused can be written down all the same
	if c == nil {
		t.Fatal(err)
	}
	return c, nil
}

// TestGenerate writes the cases of testdata/kube/generate and plays the result. A case has pod,
// the words of pod create, and run-1, run-2 ..., those of run; options holds NAME VALUE lines;
// yaml is what comes out, error what is wrong, played the plan of it. Writing the played pod again
// gives the same.
func TestGenerate(t *testing.T) {
	cases, err := filepath.Glob("../../../testdata/kube/generate/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			o := GenerateOptions{Command: "podunit kube generate NAME", PathType: func(p string) string {
				switch {
				case strings.HasPrefix(p, "/dev/"):
					return "CharDevice"
				case strings.HasSuffix(p, ".conf"):
					return "File"
				case strings.HasPrefix(p, "/new"):
					return ""
				}
				return "Directory"
			}}
			m := Made{}
			var given []txtar.File
			want, got := map[string]string{}, map[string]string{}
			for _, f := range archive.Files {
				switch f.Name {
				case "yaml", "error", "played":
					want[f.Name] = string(f.Data)
					continue
				case "pod":
					_, m.Pod = words(t, f.Data, true)
				case "options":
					generateOptions(t, string(f.Data), &o)
				default:
					c, _ := words(t, f.Data, false)
					made := MadeContainer{Spec: *c}
					made.Image.Env, made.Image.Cmd = []string{"PATH=/bin", "LANG=C"}, []string{"serve"}
					m.Containers = append(m.Containers, made)
				}
				given = append(given, f)
			}
			text, err := Generate([]Made{m}, o)
			if err != nil {
				got["error"] = err.Error() + "\n"
			} else {
				got["yaml"] = string(text)
				got["played"] = replayed(t, text, o)
			}
			if *update {
				rewrite(t, file, archive.Comment, given, got)
				return
			}
			for _, part := range []string{"error", "yaml", "played"} {
				if got[part] != want[part] {
					t.Errorf("%s is\n%swant\n%s", part, got[part], want[part])
				}
			}
		})
	}
}

func rewrite(t *testing.T, file string, comment []byte, given []txtar.File, got map[string]string) {
	t.Helper()
	for _, part := range []string{"error", "yaml", "played"} {
		if got[part] != "" {
			given = append(given, txtar.File{Name: part, Data: []byte(got[part])})
		}
	}
	write(t, file, comment, given, nil)
}

func replayed(t *testing.T, text []byte, o GenerateOptions) string {
	t.Helper()
	stored := func(string) (map[string][]byte, bool) { return map[string][]byte{"": []byte("v")}, true }
	plan, list := Read([]yaml.Source{{Name: "yaml", Data: text}}, Options{Stored: stored})
	if plan == nil {
		return drawn(list)
	}
	again, err := Rewrite(plan.Objects, nil, GenerateOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := withoutComments(text), withoutComments(again); a != b {
		t.Errorf("written again it is\n%swant\n%s", b, a)
	}
	return drawn(list) + render(t, plan, false)
}

func withoutComments(text []byte) string {
	var b strings.Builder
	for l := range strings.Lines(string(text)) {
		if !strings.HasPrefix(l, "#") {
			b.WriteString(l)
		}
	}
	return b.String()
}

func generateOptions(t *testing.T, text string, o *GenerateOptions) {
	t.Helper()
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "type":
			o.Type = value
		case "replicas":
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			o.Replicas = int32(n)
		case "service":
			o.Service = true
		case "claim": // NAME DRIVER OPTION=VALUE
			f := strings.Fields(value)
			c := kube.Claim{Name: f[0], Driver: f[1], Options: map[string]string{}}
			for _, kv := range f[2:] {
				k, v, _ := strings.Cut(kv, "=")
				c.Options[k] = v
			}
			o.Claims = append(o.Claims, c)
		default:
			t.Fatalf("option %q", line)
		}
	}
}

// several are two pods, and what they use.
const several = pair + `---
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]
      containers: [{name: c, image: "quay.io/x/d:1", volumeMounts: [{name: v, mountPath: /v}]}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce]}
`

// TestRewrite: a played document comes back with what the command line said, and plays the same.
func TestRewrite(t *testing.T) {
	ports := func(s string) (m spec.PortMapping) {
		m, err := spec.ParsePort(s)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	networks := []spec.Network{{Mode: spec.NetNamed, Name: "mynet", Options: []string{"alias=x"}}}
	for name, o := range map[string]Options{
		"plain":          {},
		"ports":          {Publish: []spec.PortMapping{ports("9000:80")}},
		"all ports":      {PublishAll: true},
		"network":        {Networks: networks},
		"user namespace": {UserNS: spec.UserNS{Mode: spec.UserKeepID}},
		"auto":           {UserNSAuto: true},
		"annotations":    {Annotations: map[string]string{annUpdate: "registry"}},
	} {
		t.Run(name, func(t *testing.T) {
			first, list := Read([]yaml.Source{{Name: "f", Data: []byte(several)}}, o)
			if first == nil {
				t.Fatal(list)
			}
			out, err := Rewrite(first.Objects, nil, GenerateOptions{}, func(name string) (map[string][]byte, bool) {
				return first.Secrets[0].Data, name == "sec"
			})
			if err != nil {
				t.Fatal(err)
			}
			second, list := Read([]yaml.Source{{Name: "again", Data: out}}, Options{})
			if second == nil {
				t.Fatalf("%v\n%s", list, out)
			}
			a, b := render(t, first, false), render(t, second, false)
			// What the command line said is an annotation now.
			var kept []string
			for l := range strings.Lines(b) {
				if !strings.HasPrefix(l, "  Annotations.io.p") {
					kept = append(kept, l)
				}
			}
			if sorted(a) != sorted(strings.Join(kept, "")) {
				t.Errorf("first\n%s\nthen\n%s\nwritten\n%s", a, b, out)
			}
		})
	}
}

// TestRewriteOne: with one pod goes what it uses, and nothing else.
func TestRewriteOne(t *testing.T) {
	plan, _ := Read([]yaml.Source{{Name: "f", Data: []byte(several)}}, Options{})
	out, err := Rewrite(plan.Objects, []string{"db-pod"}, GenerateOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(out); !strings.Contains(s, "name: data") || strings.Contains(s, "kind: Service") || strings.Contains(s, "ConfigMap") || strings.Contains(s, "name: web") {
		t.Errorf("db alone is\n%s", out)
	}
	out, err = Rewrite(plan.Objects, []string{"web"}, GenerateOptions{}, nil)
	if s := string(out); err != nil || !strings.Contains(s, "kind: Service") || !strings.Contains(s, "# NOTE: the secret sec is not written") || strings.Contains(s, "b25l") {
		t.Errorf("web alone is\n%s%v", out, err)
	}
	if _, err := Rewrite(plan.Objects, []string{"nope"}, GenerateOptions{}, nil); err == nil {
		t.Error("a pod that is not there is written")
	}
}

// sorted is the text with the documents' order taken away: pods come last when they are written.
func sorted(s string) string {
	lines := strings.SplitAfter(s, "\n")
	var blocks []string
	for _, l := range lines {
		if len(blocks) == 0 || !strings.HasPrefix(l, " ") {
			blocks = append(blocks, l)
		} else {
			blocks[len(blocks)-1] += l
		}
	}
	return fmt.Sprint(len(blocks), strings.Join(sortedBlocks(blocks), ""))
}

func sortedBlocks(b []string) []string {
	for i := range b {
		for k := i + 1; k < len(b); k++ {
			if b[k] < b[i] {
				b[i], b[k] = b[k], b[i]
			}
		}
	}
	return b
}

// TestEveryFieldIsWritten: each field of a container is written, or named as left out.
func TestEveryFieldIsWritten(t *testing.T) {
	known := map[string]bool{}
	for _, f := range written() {
		known[f] = true
	}
	for _, l := range leftOut() {
		if known[l.field] {
			t.Errorf("%s is written, and left out", l.field)
		}
		known[l.field] = true
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[spec.Container]()) {
		if !f.Anonymous && !known[f.Name] {
			t.Errorf("nobody writes %s", f.Name)
		}
		delete(known, f.Name)
	}
	for f := range known {
		t.Errorf("a container has no %s", f)
	}
}

func TestValid(t *testing.T) {
	long := strings.Repeat("a", 80)
	for in, want := range map[string]string{
		"web": "web", "My_App.1": "my-app-1", "/srv/Films": "srv-films", "_": "x", "--a--": "a", "ü": "x", long: long[:54] + "-" + valid(long)[55:],
	} {
		if got := valid(in); got != want || dnsLabel(got) != "" {
			t.Errorf("%q is %q, want %q (%s)", in, got, want, dnsLabel(got))
		}
	}
	if valid(long) == valid(long+"a") {
		t.Error("two long names become one")
	}
}

// FuzzExpand: what literal writes, expand reads back, whatever is known.
func FuzzExpand(f *testing.F) {
	for _, s := range []string{"$", "$$", "$(A)", "$$(A)", "$$$(A", "a$b$(", "$()"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := kube.Expand(literal(s), func(string) (string, bool) { return "known", true }); got != s {
			t.Errorf("%q comes back as %q by %q", s, got, literal(s))
		}
	})
}
