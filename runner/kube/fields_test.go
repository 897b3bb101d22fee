// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/podunit/podunit/runner/kube/yaml"
)

// TestFieldsAreComplete walks the Go types of every kind and wants a verdict for each field that is not below one without
// meaning. A new version of k8s.io/api with new fields fails here, so that none is dropped in silence.
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
