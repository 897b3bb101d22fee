// SPDX-License-Identifier: Apache-2.0

package documents

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/runner/kube/manifest"
	"github.com/podunit/podunit/runner/kube/yaml"
)

// document is a file of testdata/kube/documents. Its comment says what it shows, its parts are
//
//	how         lines: ci (it is one of a short run), root (it is played as root, too), args WORDS (of kube play),
//	            at play (it is refused when it is played, and not before), slow (it needs a minute or more),
//	            elsewhere (check has no notes on it, since other files may hold what is missing)
//	NAME.yaml   what is played, in this order; other files with a dot in their names lie beside it
//	setup       a bash script that runs before
//	notes       what each warning says, a line each
//	says        what kube play says besides on its standard error, a line each
//	refused     what the refusal says, a line each
//	check       a bash script that runs after the play (see play.sh)
//	want        what check prints
//	kubernetes  why Kubernetes refuses it: a part of what the API server says; without it, it must not
type document struct {
	name           string
	comment        string
	ci, root, slow bool
	atPlay         bool
	elsewhere      bool
	args           []string
	files          []txtar.File
	parts          map[string]string
}

// parts are those with a meaning of their own.
func parts() []string {
	return []string{"how", "setup", "notes", "says", "refused", "check", "want", "kubernetes"}
}

func (d document) lines(part string) []string {
	return strings.Split(strings.TrimSuffix(d.parts[part], "\n"), "\n")[:strings.Count(d.parts[part], "\n")]
}

// sources are the files that are played.
func (d document) sources() []yaml.Source {
	var out []yaml.Source
	for _, f := range d.files {
		if strings.HasSuffix(f.Name, ".yaml") || strings.HasSuffix(f.Name, ".json") {
			out = append(out, yaml.Source{Name: f.Name, Data: f.Data})
		}
	}
	return out
}

// load reads all documents.
func load(t *testing.T) []document {
	t.Helper()
	files, err := filepath.Glob("../../../testdata/kube/documents/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var out []document
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := document{name: strings.TrimSuffix(filepath.Base(file), ".txtar"), comment: string(archive.Comment), parts: map[string]string{}}
		for _, f := range archive.Files {
			switch {
			case slices.Contains(parts(), f.Name):
				d.parts[f.Name] = string(f.Data)
			case strings.Contains(f.Name, "."):
				d.files = append(d.files, f)
			default:
				t.Errorf("%s: the part %s has no meaning", d.name, f.Name)
			}
		}
		for _, line := range d.lines("how") {
			switch word, rest, _ := strings.Cut(line, " "); {
			case line == "ci":
				d.ci = true
			case line == "root":
				d.root = true
			case line == "slow":
				d.slow = true
			case line == "at play":
				d.atPlay = true
			case line == "elsewhere":
				d.elsewhere = true
			case word == "args":
				d.args = append(d.args, strings.Fields(rest)...)
			default:
				t.Errorf("%s: how: %q has no meaning", d.name, line)
			}
		}
		out = append(out, d)
	}
	return out
}

// TestDocuments reads them: each warning and each refusal is one that the document announces. What
// check, which is strict, says of them is the same.
func TestDocuments(t *testing.T) {
	documents := load(t)
	owner := map[string]string{}
	for _, d := range documents {
		t.Run(d.name, func(t *testing.T) {
			refused := d.parts["refused"] != ""
			switch {
			case strings.TrimSpace(d.comment) == "":
				t.Error("it does not say what it shows")
			case len(d.sources()) == 0:
				t.Error("it has no document")
			case refused == (d.parts["check"] != ""):
				t.Error("it needs either refused or check")
			case d.slow && d.ci:
				t.Error("what is slow is not for a short run")
			}
			sole(t, d, owner)
			o := manifest.Options{Dir: "/home/alice", Rootless: true, NoPodPrefix: slices.Contains(d.args, "--no-pod-prefix")}
			o.Stored = func(name string) (map[string][]byte, bool) {
				return map[string][]byte{"": nil}, strings.Contains(d.parts["setup"], "podunit secret create "+name)
			}
			if slices.Contains(d.args, "--strict") {
				o.Validate = manifest.ValidateStrict
			}
			plan, list := manifest.Read(d.sources(), o)
			if (plan == nil) != (refused && !d.atPlay) {
				t.Errorf("there is a plan: %v\n%s", plan != nil, said(list))
			}
			announced := d.lines("notes")
			if !d.atPlay {
				announced = append(announced, d.lines("refused")...)
			}
			match(t, announced, list)
			if plan == nil {
				return
			}
			var checked report.List
			for _, s := range d.sources() {
				checked = append(checked, manifest.Check(nil)(s.Name, s.Data)...)
			}
			if d.elsewhere {
				announced = nil
			}
			match(t, announced, checked)
		})
	}
}

// sole: documents are played side by side, so no two may have a pod of one name or a port of the
// machine in common.
func sole(t *testing.T, d document, owner map[string]string) {
	t.Helper()
	plan, _ := manifest.Read(d.sources(), manifest.Options{Dir: "/", Validate: manifest.ValidateIgnore, Partial: true})
	if plan == nil {
		return
	}
	claim := func(what string) {
		if other := owner[what]; other != "" && other != d.name {
			t.Errorf("%s is that of %s", what, other)
		}
		owner[what] = d.name
	}
	for _, p := range plan.Pods {
		claim("pod " + p.Name)
	}
	for _, c := range plan.Claims {
		claim("volume " + c.Name)
	}
	for _, s := range plan.Secrets {
		claim("secret " + s.Name)
	}
}

// match compares what was said with what is announced.
func match(t *testing.T, announced []string, list report.List) {
	t.Helper()
	left := slices.Clone(announced)
	for _, d := range list {
		text := d.Place() + " " + d.Hint
		i := slices.IndexFunc(left, func(want string) bool { return strings.Contains(text, want) })
		if i < 0 {
			t.Errorf("not announced: %s", text)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	if len(left) > 0 {
		t.Errorf("nobody said: %s\nbut:\n%s", strings.Join(left, "\n"), said(list))
	}
}

func said(list report.List) string {
	var b bytes.Buffer
	for _, d := range list {
		b.WriteString(d.Place() + " " + d.Hint + "\n")
	}
	return b.String()
}
