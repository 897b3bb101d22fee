// SPDX-License-Identifier: Apache-2.0

package format

import (
	"reflect"

	"github.com/podunit/podunit/runner/terminal"
)

// cleaned copies rows for a table: what strangers have written is shown on one line, and
// does nothing to a terminal. Fields that a template cannot name stay as they are.
func cleaned[T any](rows []T) []T {
	out := make([]T, len(rows))
	for i := range rows {
		reflect.ValueOf(&out[i]).Elem().Set(clean(reflect.ValueOf(&rows[i]).Elem()))
	}
	return out
}

// clean copies a value with its texts made fit for a table.
func clean(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.String:
		out.SetString(terminal.Line(v.String()))
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(clean(v.Elem()))
		}
	case reflect.Interface:
		if !v.IsNil() {
			out.Set(clean(v.Elem()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if out.Field(i).CanSet() {
				out.Field(i).Set(clean(v.Field(i)))
			}
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		}
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			out.Index(i).Set(clean(v.Index(i)))
		}
	case reflect.Map:
		if !v.IsNil() {
			out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
			for _, k := range v.MapKeys() {
				out.SetMapIndex(clean(k), clean(v.MapIndex(k)))
			}
		}
	}
	return out
}
