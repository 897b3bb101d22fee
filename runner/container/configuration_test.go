// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
)

// TestForLinuxIsWhole gives each field of a configuration that is for Linux, too, a value, and
// finds all of them in what the runtime reads.
func TestForLinuxIsWhole(t *testing.T) {
	var full rspec.Spec
	v := reflect.ValueOf(&full).Elem()
	count := 0
	for i := range v.NumField() {
		systems := v.Type().Field(i).Tag.Get("platform")
		if systems != "" && !slices.Contains(strings.Split(systems, ","), "linux") {
			continue
		}
		count++
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Map:
			f.Set(reflect.MakeMap(f.Type()))
			f.SetMapIndex(reflect.ValueOf("x"), reflect.ValueOf("x"))
		default:
			t.Fatalf("%s: no value for a %s", v.Type().Field(i).Name, f.Kind())
		}
	}
	if count < 9 {
		t.Fatalf("%d fields for Linux", count)
	}
	want, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(forLinux(&full))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
