// SPDX-License-Identifier: Apache-2.0

// Package docs draws the tables of package manifest as a page of the manual: which kinds, fields and
// annotations of Kubernetes have an effect on one machine.
package docs

//go:generate go run -C ../../.. ./runner/kube/docs/write

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/kube/manifest"
)

// Files gives the pages by their paths from the root of the tree.
func Files() map[string][]byte {
	return map[string][]byte{"contrib/doc/kube.md": page()}
}

const intro = `# Kubernetes YAML

<!-- Made from the tables in runner/kube/manifest by: go run ./runner/kube/docs/write -->

` + "`podunit kube play`" + `, ` + "`.kube`" + ` files and ` + "`podunit check`" + ` judge documents by these tables. A field is

- **honoured**: it has its effect here;
- **no meaning here**: one machine has nothing that it could act on. It is accepted without a word, so that a document for a
  cluster plays as it is. Below such a field only the spelling of fields is judged;
- **noted**: it has no effect, and a warning says so, with its line. With ` + "`--strict`" + ` that is an error, and in
  ` + "`podunit check`" + ` too;
- **refused**: going on without it would do harm. Nothing is made.

A field that is not in the tables is unknown. It is noted, with the name that was probably meant.

`

func page() []byte {
	var b strings.Builder
	b.WriteString(intro)
	kinds(&b)
	fields(&b)
	annotations(&b)
	b.WriteString(notes)
	return []byte(b.String())
}

func kinds(b *strings.Builder) {
	b.WriteString("## Kinds\n\n| Kind | apiVersion | What it is here |\n|---|---|---|\n")
	var silent []string
	for _, k := range manifest.Kinds() {
		if len(k.Versions) == 0 {
			silent = append(silent, k.Name)
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", k.Name, strings.Join(k.Versions, ", "), k.Doc)
	}
	b.WriteString("| List, PodList, ... | v1 | each of its items |\n\n")
	b.WriteString("No meaning here: " + strings.Join(silent, ", ") + ". Every other kind is noted.\n\n")
}

func fields(b *strings.Builder) {
	b.WriteString("## Fields\n\n")
	rows := manifest.Fields()
	for _, p := range manifest.Places() {
		if !slices.ContainsFunc(rows, func(f manifest.Field) bool { return f.Type == p.Type }) {
			continue
		}
		where := p.Kind
		if p.Path != "" {
			where += ", `" + p.Path + "`"
		}
		fmt.Fprintf(b, "### %s\n\nFirst in %s.\n\n| Field | | |\n|---|---|---|\n", p.Type, where)
		for _, f := range rows {
			if f.Type == p.Type {
				fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.Name, f.Verdict, strings.ReplaceAll(f.Doc, "|", "\\|"))
			}
		}
		b.WriteString("\n")
	}
}

func annotations(b *strings.Builder) {
	b.WriteString("## Annotations\n\nThose of a pod may stand in its own metadata, in its template's, which are stronger, or in its " +
		"controller's. `CTR` is the name of a container; what is in brackets may be left out, and the annotation is then for all containers.\n\n" +
		"| Annotation | On | Effect |\n|---|---|---|\n")
	for _, a := range manifest.Annotations() {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", a.Key, a.On, strings.ReplaceAll(a.Doc, "|", "\\|"))
	}
}

// notes says what no table holds.
//
//go:embed notes.md
var notes string
