// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/podunit/podunit/runner/kube/yaml"
)

// TestFieldsAreComplete walks the Go types of every kind and wants a verdict for each field that
// is not below one without meaning. A new version of k8s.io/api with new fields fails here, so
// that none is dropped in silence.
func TestFieldsAreComplete(t *testing.T) {
	rows := map[string]Field{}
	for _, f := range Fields() {
		key := f.Type + "." + f.Name
		if _, double := rows[key]; double {
			t.Errorf("%s is there twice", key)
		}
		if f.Verdict != Honoured && f.Doc == "" {
			t.Errorf("%s is %s, and the table does not say why", key, f.Verdict)
		}
		rows[key] = f
	}
	used := map[string]bool{}
	seen := map[reflect.Type]bool{}
	var walk func(t reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] || reflect.PointerTo(typ).Implements(reflect.TypeFor[json.Unmarshaler]()) {
			return
		}
		seen[typ] = true
		for _, f := range yaml.FieldsOf(typ) {
			key := f.Owner.Name() + "." + f.Name
			row, ok := rows[key]
			if !ok {
				t.Errorf("%s of %s has no verdict", key, typ)
				continue
			}
			used[key] = true
			if row.Verdict == Honoured {
				walk(f.Type)
			}
		}
	}
	for _, k := range kinds() {
		walk(reflect.TypeOf(k.make()))
	}
	for key := range rows {
		if !used[key] {
			t.Errorf("%s is in the table, and no kind has it", key)
		}
	}
}

// TestFieldsAreShown wants a golden case for each field that has an effect or a report.
func TestFieldsAreShown(t *testing.T) {
	cases, err := filepath.Glob("../../../testdata/kube/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, file := range cases {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if !strings.HasSuffix(f.Name, ".yaml") && !strings.HasSuffix(f.Name, ".json") {
				continue
			}
			var r yaml.Report
			for _, doc := range yaml.Read([]yaml.Source{{Name: f.Name, Data: f.Data}}, &r) {
				for _, k := range kinds() {
					if k.name != doc.Root.Field("kind").Text() {
						continue
					}
					d := yaml.Decoder{Report: &r, Special: special}
					d.Visit = func(owner reflect.Type, name string, _ yaml.Path, _, _ *yaml.Node) bool {
						shown[owner.Name()+"."+name] = true
						return true
					}
					d.Decode(doc.Root, k.make())
				}
			}
		}
	}
	for _, f := range Fields() {
		if key := f.Type + "." + f.Name; f.Verdict == Honoured && !shown[key] {
			t.Errorf("no case has %s", key)
		}
	}
}
