// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/kube/yaml"
	"github.com/podunit/podunit/runner/spec"
)

var update = flag.Bool("update", false, "rewrite the golden cases")

// TestGolden plays the cases of testdata/kube. A case is a txtar file whose comment says what it
// shows: options holds NAME VALUE lines (see options), *.yaml and *.json are the documents in
// their order, configmap/* files of --configmap; plan and report are what comes out; resolve, if
// there, says what to resolve against, and resolved is the outcome. Of a plan only what differs
// from a plain pod is written; the case plan-whole writes everything.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("../../../testdata/kube/*.txtar")
	if err != nil || len(cases) < 150 {
		t.Fatalf("%d cases: %v", len(cases), err)
	}
	for _, file := range cases {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(bytes.TrimSpace(archive.Comment)) == 0 {
				t.Error("the case does not say what it shows")
			}
			o := Options{Dir: "/srv/dir"}
			var sources []yaml.Source
			var given []txtar.File
			expected := map[string]string{}
			facts := ""
			for _, f := range archive.Files {
				switch {
				case f.Name == "plan" || f.Name == "report" || f.Name == "resolved" || f.Name == "generated":
					expected[f.Name] = string(f.Data)
					continue
				case f.Name == "options":
					options(t, string(f.Data), &o)
				case f.Name == "resolve":
					facts = string(f.Data)
				case strings.HasPrefix(f.Name, "configmap/"):
					o.ConfigMaps = append(o.ConfigMaps, yaml.Source{Name: f.Name, Data: f.Data})
				default:
					sources = append(sources, yaml.Source{Name: f.Name, Data: f.Data})
				}
				given = append(given, f)
			}
			got := map[string]string{}
			plan, list := Read(sources, o)
			if len(list) > 0 {
				got["report"] = drawn(list)
			}
			if (plan == nil) != (list.Errors() > 0) {
				t.Errorf("plan %v with %d errors", plan != nil, list.Errors())
			}
			if plan != nil {
				contradictions(t, plan)
				got["plan"] = render(t, plan, name == "plan-whole")
				if facts != "" {
					got["resolved"] = resolved(t, plan, facts)
				}
			}
			if *update {
				write(t, file, archive.Comment, given, got)
				return
			}
			for _, part := range []string{"report", "plan", "resolved"} {
				if got[part] != expected[part] {
					t.Errorf("%s is\n%swant\n%s", part, got[part], expected[part])
				}
			}
		})
	}
}

func write(t *testing.T, file string, comment []byte, given []txtar.File, got map[string]string) {
	t.Helper()
	out := &txtar.Archive{Comment: comment, Files: given}
	for _, part := range []string{"report", "plan", "resolved"} {
		if got[part] != "" {
			out.Files = append(out.Files, txtar.File{Name: part, Data: []byte(got[part])})
		}
	}
	if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
		t.Fatal(err)
	}
}

// contradictions: what a plan asks for is what a command line could ask for.
func contradictions(t *testing.T, p *kube.Plan) {
	t.Helper()
	judge := func(who string, err error) {
		var faults spec.Faults
		if err != nil && !errors.As(err, &faults) {
			t.Errorf("%s: %v", who, err)
		}
		for _, f := range faults {
			t.Errorf("%s: %v", who, f)
		}
	}
	for _, pod := range p.Pods {
		s := pod.Spec
		judge("pod "+pod.Name, s.Check())
		for _, c := range pod.Containers {
			s := c.Spec
			judge("container "+c.Name, s.Check())
		}
	}
}

func drawn(list report.List) string {
	var b strings.Builder
	for _, d := range list {
		b.WriteString(d.Place() + "\n")
		if d.Hint != "" {
			b.WriteString("  hint: " + d.Hint + "\n")
		}
	}
	return b.String()
}

// options reads NAME VALUE lines, named like the flags of kube play.
func options(t *testing.T, text string, o *Options) {
	t.Helper()
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		var err error
		switch name {
		case "strict":
			o.Validate = ValidateStrict
		case "ignore":
			o.Validate = ValidateIgnore
		case "annotation":
			k, v, _ := strings.Cut(value, "=")
			if o.Annotations == nil {
				o.Annotations = map[string]string{}
			}
			o.Annotations[k] = v
		case "publish":
			var m spec.PortMapping
			m, err = spec.ParsePort(value)
			o.Publish = append(o.Publish, m)
		case "publish-all":
			o.PublishAll = true
		case "network":
			var n spec.Network
			n, err = spec.ParseNetwork(value)
			o.Networks = append(o.Networks, n)
		case "userns":
			if value == "auto" {
				o.UserNSAuto = true
			} else {
				o.UserNS, err = spec.ParseUserNS(value)
			}
		case "ip":
			o.IPs = append(o.IPs, value)
		case "mac":
			o.MACs = append(o.MACs, value)
		case "no-hosts":
			o.NoHosts = true
		case "no-pod-prefix":
			o.NoPodPrefix = true
		case "rootless":
			o.Rootless = true
		case "unit":
			o.SystemdUnit = value
		case "seccomp-root":
			o.SeccompRoot = value
		case "stored": // NAME KEY=VALUE... or NAME =VALUE
			secret, pairs, _ := strings.Cut(value, " ")
			before := o.Stored
			values := map[string][]byte{}
			for pair := range strings.FieldsSeq(pairs) {
				k, v, _ := strings.Cut(pair, "=")
				values[k] = []byte(v)
			}
			o.Stored = func(name string) (map[string][]byte, bool) {
				if name == secret {
					return values, true
				}
				if before != nil {
					return before(name)
				}
				return nil, false
			}
		default:
			t.Fatalf("option %q", line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// plain is a pod of which a case shows only what differs.
const plain = "apiVersion: v1\nkind: Pod\nmetadata: {name: plain}\nspec: {containers: [{name: c, image: 'docker.io/library/busybox:1'}]}\n"

// render writes a plan as lines PATH = VALUE.
func render(t *testing.T, p *kube.Plan, whole bool) string {
	t.Helper()
	base, list := Read([]yaml.Source{{Name: "plain", Data: []byte(plain)}}, Options{})
	if base == nil {
		t.Fatal(list)
	}
	var b strings.Builder
	show := func(title string, v, like any) {
		b.WriteString(title + "\n")
		hide := map[string]bool{}
		lines := flat(t, v)
		if like != nil && !whole {
			for _, l := range flat(t, like) {
				hide[l] = true
				name, _, _ := strings.Cut(l, " = ")
				if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+" = ") }) {
					lines = append(lines, name+" = nothing")
				}
			}
			slices.Sort(lines)
		}
		for _, l := range lines {
			name, _, _ := strings.Cut(l, " = ")
			if !hide[l] && !slices.Contains([]string{"Name", "Unit", "Role", "Digest", "Kind", "Spec.Name", "Spec.Pod", "Spec.InfraName"}, name) &&
				(whole || !strings.HasPrefix(name, "Spec.Labels.io.kubernetes.") && !strings.HasPrefix(name, "Spec.Annotations.")) {
				b.WriteString("  " + l + "\n")
			}
		}
	}
	for _, pod := range p.Pods {
		outer := *pod
		outer.Containers, outer.Volumes = nil, nil
		like := *base.Pods[0]
		like.Containers = nil
		like.Spec.Hostname, like.Object, like.Network.Aliases = pod.Name, pod.Object, nil
		title := fmt.Sprintf("pod %s (%s), %s", pod.Name, pod.Kind, pod.Unit)
		show(title, outer, like)
		for _, c := range pod.Containers {
			show(fmt.Sprintf(" %s %s in %s: %s", c.Role, c.Name, c.Unit, c.Spec.Name), c, base.Pods[0].Containers[0])
		}
		for _, v := range pod.Volumes {
			show(fmt.Sprintf(" volume %s: %s", v.Name, v.Kind), v, nil)
		}
	}
	for _, c := range p.Claims {
		show("claim "+c.Name, c, nil)
	}
	for _, s := range p.Secrets {
		show("secret "+s.Name, s, nil)
	}
	return b.String()
}

// flat lists the leaves of a value that are not empty, one a line.
func flat(t *testing.T, v any) []string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	var out []string
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			keys := make([]string, 0, len(v))
			for k := range v {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			for _, k := range keys {
				walk(strings.TrimPrefix(path+"."+k, "."), v[k])
			}
		case []any:
			words := true
			for _, e := range v {
				_, isText := e.(string)
				_, isNumber := e.(float64)
				words = words && (isText || isNumber)
			}
			if words && len(v) > 0 {
				line, _ := json.Marshal(v)
				out = append(out, path+" = "+string(line))
				return
			}
			for i, e := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), e)
			}
		case nil:
		case bool:
			if v {
				out = append(out, path+" = true")
			}
		case float64:
			if v != 0 {
				out = append(out, fmt.Sprintf("%s = %s", path, strings.TrimSuffix(fmt.Sprintf("%.3f", v), ".000")))
			}
		case string:
			if v != "" {
				line, _ := json.Marshal(v)
				out = append(out, path+" = "+string(line))
			}
		}
	}
	walk("", tree)
	return out
}

// resolved resolves every container against the image and machine that the lines describe:
// image-env, image-user, user.
func resolved(t *testing.T, p *kube.Plan, text string) string {
	t.Helper()
	img := kube.Image{LookUp: func(name string) (int64, error) {
		if name == "app" {
			return 1000, nil
		}
		if name == "toor" {
			return 0, nil
		}
		return 0, fmt.Errorf("there is no user %s in the image", name)
	}}
	facts := kube.Facts{
		UID: "uid-1", Node: "box", HostIP: []string{"192.0.2.1"}, PodIP: []string{"10.0.0.2", "fd00::2"}, CPU: 4, Memory: 8 << 30,
		Secret: func(name, key string) ([]byte, error) {
			if v, ok := p.Secret(name, key); ok {
				return v, nil
			}
			return []byte("stored-" + name + "-" + key), nil
		},
		File: func(volume, path string) ([]byte, error) {
			return []byte("# " + volume + "/" + path + "\nA=1\nB='two words'\n"), nil
		},
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "image-env":
			img.Config.Env = append(img.Config.Env, value)
		case "image-user":
			img.Config.User = value
		case "image":
		default:
			t.Fatalf("resolve %q", line)
		}
	}
	var b strings.Builder
	for _, pod := range p.Pods {
		for _, c := range pod.Containers {
			fmt.Fprintf(&b, "%s\n", c.Unit)
			r, err := c.Resolve(img, facts)
			if err != nil {
				fmt.Fprintf(&b, "  error: %v\n", err)
				continue
			}
			show := struct {
				Entrypoint, Command []string
				Cleared             bool
				User                string
				Env, SecretEnv      map[string]string
				SecretWords         bool
				SubPaths            []string
			}{r.Spec.Entrypoint, r.Spec.Command, r.Spec.Entrypoint != nil, r.Spec.User, r.Spec.Env, r.SecretEnv, r.SecretWords, nil}
			for _, m := range r.Mounts {
				if m.SubPath != "" {
					show.SubPaths = append(show.SubPaths, m.SubPath)
				}
			}
			for _, l := range flat(t, show) {
				b.WriteString("  " + l + "\n")
			}
		}
		for _, v := range pod.Volumes {
			for _, f := range v.Files {
				data, err := f.Content(facts)
				fmt.Fprintf(&b, "%s/%s %04o %q %v\n", v.Name, f.Path, f.Mode, data, err)
			}
		}
	}
	return b.String()
}
