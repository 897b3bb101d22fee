// SPDX-License-Identifier: Apache-2.0

package yaml

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/spelling"
)

// Decoder decodes nodes into Go types and reports what does not fit.
type Decoder struct {
	Report *Report
	// Unknown is the severity of unknown fields and of values that must be converted; with Quiet
	// they are not reported at all.
	Unknown report.Severity
	Quiet   bool
	// Visit is called for each field of a struct that is written, before its value is decoded: the
	// struct's type, the name of the field, its path. If it returns false, the value is left alone
	// and the field stays unset. It may be nil.
	Visit func(owner reflect.Type, name string, path Path, key, value *Node) bool
	// Hide keeps lines out of the report: for documents that hold secrets.
	Hide bool
	// Special decodes types that are written as one value but are structs in Go; it says whether
	// it knows the type, and what is wrong, with a hint.
	Special func(t reflect.Type, n *Node) (v any, known bool, wrong, hint string)
}

// Decode fills into, a pointer to a struct, from n. What is wrong is reported, and left out.
func (d *Decoder) Decode(n *Node, into any) {
	v := d.value(n, reflect.TypeOf(into).Elem(), nil)
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		d.say(report.Error, n, nil, "kube-type", "the document cannot be decoded: "+err.Error(), "")
	}
}

func (d *Decoder) say(s report.Severity, n *Node, path Path, code, message, hint string) {
	if s == report.Error {
		d.Report.Break(n)
	}
	d.Report.At(s, n, path, d.Hide, code, message, hint)
}

func (d *Decoder) note(n *Node, path Path, code, message, hint string) {
	if !d.Quiet {
		d.say(d.Unknown, n, path, code, message, hint)
	}
}

// FieldsOf lists the fields of a struct as JSON has them, those of embedded structs included, each
// with the struct that declares it.
func FieldsOf(t reflect.Type) []StructField {
	var fields []StructField
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case f.Anonymous && name == "":
			et := f.Type
			if et.Kind() == reflect.Pointer {
				et = et.Elem()
			}
			fields = append(fields, FieldsOf(et)...)
		case name != "":
			fields = append(fields, StructField{name, f.Type, t})
		}
	}
	return fields
}

// StructField is a field as JSON has it.
type StructField struct {
	Name  string
	Type  reflect.Type
	Owner reflect.Type // the struct that declares it
}

var (
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
	byteSlice   = reflect.TypeFor[[]byte]()
)

// value turns a node into what encoding/json would have read for type t; nil if it does not fit or
// is null.
func (d *Decoder) value(n *Node, t reflect.Type, path Path) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Kind == Null {
		return nil
	}
	if d.Special != nil {
		if v, known, wrong, hint := d.Special(t, n); known {
			if wrong != "" {
				d.say(report.Error, n, path, "kube-type", wrong, hint)
				return nil
			}
			return v
		}
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return anything(n)
	}
	switch {
	case t == byteSlice:
		return d.bytes(n, path)
	case t.Kind() == reflect.Struct:
		return d.structure(n, t, path)
	case t.Kind() == reflect.Map:
		return d.mapping(n, t, path)
	case t.Kind() == reflect.Slice:
		if n.Kind != List {
			d.say(report.Error, n, path, "kube-type", "a list is needed here", "begin each element with a dash")
			return nil
		}
		out := make([]any, 0, len(n.Items))
		for i, item := range n.Items {
			// An element that does not fit stays as a zero value, so that indices remain those of
			// the text.
			v := d.value(item, t.Elem(), path.With(i))
			if v == nil {
				v = reflect.Zero(t.Elem()).Interface()
			}
			out = append(out, v)
		}
		return out
	case t.Kind() == reflect.Interface:
		return anything(n)
	}
	return d.scalar(n, t, path)
}

func (d *Decoder) structure(n *Node, t reflect.Type, path Path) any {
	fields := FieldsOf(t)
	names := func() []string {
		out := make([]string, len(fields))
		for i, f := range fields {
			out[i] = f.Name
		}
		slices.Sort(out)
		return out
	}
	if n.Kind != Map {
		d.say(report.Error, n, path, "kube-type", "an object is needed here", "its fields are "+strings.Join(names(), ", "))
		return nil
	}
	out := make(map[string]any, len(n.Fields))
	for _, f := range n.Fields {
		i := slices.IndexFunc(fields, func(sf StructField) bool { return sf.Name == f.Name })
		if i < 0 {
			hint := shorten(names())
			if near := spelling.Nearest(f.Name, names()); near != "" {
				hint = "did you mean " + near + "?"
			}
			d.note(f.Key, path.With(f.Name), "kube-field", "unknown field", hint)
			continue
		}
		p := path.With(f.Name)
		if d.Visit != nil && !d.Visit(fields[i].Owner, f.Name, p, f.Key, f.Value) {
			continue
		}
		if v := d.value(f.Value, fields[i].Type, p); v != nil {
			out[f.Name] = v
		}
	}
	return out
}

// shorten lists names as a hint, but not all fifty.
func shorten(names []string) string {
	if len(names) > 12 {
		return fmt.Sprintf("known here are %s and %d more", strings.Join(names[:12], ", "), len(names)-12)
	}
	return "known here are " + strings.Join(names, ", ")
}

func (d *Decoder) mapping(n *Node, t reflect.Type, path Path) any {
	if n.Kind != Map {
		d.say(report.Error, n, path, "kube-type", "an object of names and values is needed here", "write NAME: VALUE, a line each")
		return nil
	}
	out := make(map[string]any, len(n.Fields))
	for _, f := range n.Fields {
		if f.Key.Plain && switchWord(f.Name) {
			d.say(report.Error, f.Key, path.With(f.Name), "kube-ambiguous", "the name "+f.Name+" means true or false to some readers of YAML", "put it in quotes")
			continue
		}
		v := d.value(f.Value, t.Elem(), path.With(f.Name))
		if v == nil {
			v = reflect.Zero(t.Elem()).Interface()
		}
		out[f.Name] = v
	}
	return out
}

func (d *Decoder) bytes(n *Node, path Path) any {
	if n.Kind != Scalar {
		d.say(report.Error, n, path, "kube-type", "text in base64 is needed here", "")
		return nil
	}
	text := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == ' ' {
			return -1
		}
		return r
	}, n.Value)
	if _, err := base64.StdEncoding.DecodeString(text); err != nil {
		// The value stays out of the message: it may be a secret.
		d.say(report.Error, n, path, "kube-base64", "this is no base64", "encode it with base64 -w0, or write it as it is below stringData")
		return nil
	}
	return text
}

// switchWord tells whether YAML 1.1 reads a word as true or false where YAML 1.2 reads text.
func switchWord(s string) bool {
	switch strings.ToLower(s) {
	case "yes", "no", "on", "off":
		return true
	}
	return false
}

func (d *Decoder) scalar(n *Node, t reflect.Type, path Path) any {
	want := map[reflect.Kind]string{
		reflect.String: "text", reflect.Bool: "true or false", reflect.Int32: "a whole number", reflect.Int64: "a whole number", reflect.Int: "a whole number",
		reflect.Uint32: "a whole number", reflect.Float64: "a number",
	}[t.Kind()]
	wrong := func(hint string) any {
		d.say(report.Error, n, path, "kube-type", want+" is needed here", hint)
		return nil
	}
	if n.Kind != Scalar {
		what := "an object"
		if n.Kind == List {
			what = "a list"
		}
		return wrong("this is " + what)
	}
	switch t.Kind() {
	case reflect.String:
		return d.text(n, path)
	case reflect.Bool:
		switch {
		case n.Tag == "!!bool":
			return strings.EqualFold(n.Value, "true")
		case n.Plain && switchWord(n.Value):
			on := strings.EqualFold(n.Value, "yes") || strings.EqualFold(n.Value, "on")
			d.note(n, path, "kube-type", fmt.Sprintf("%s is taken as %v", n.Value, on), "write true or false")
			return on
		}
		if b, err := strconv.ParseBool(n.Value); err == nil && !n.Plain {
			return wrong(fmt.Sprintf("without quotes: %v", b))
		}
		return wrong("")
	case reflect.Float64:
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil && n.Plain {
			return f
		}
		return wrong("")
	}
	i, err := strconv.ParseInt(n.Value, 0, 64)
	switch {
	case err == nil && !n.Plain:
		return wrong("without quotes: " + n.Value)
	case err != nil || n.Tag != "!!int":
		return wrong("")
	case t.Kind() == reflect.Int32 && int64(int32(i)) != i, t.Kind() == reflect.Uint32 && int64(uint32(i)) != i:
		return wrong(n.Value + " is out of range")
	}
	return i
}

// text reads a string. Kubernetes refuses numbers and booleans there; other readers turn them into
// text, and so is done here, with a note.
func (d *Decoder) text(n *Node, path Path) any {
	if !n.Plain {
		return n.Value
	}
	if switchWord(n.Value) {
		d.say(report.Error, n, path, "kube-ambiguous", n.Value+" is text to one reader of YAML, and true or false to another", `put it in quotes: "`+n.Value+`"`)
		return nil
	}
	switch n.Tag {
	case "!!int", "!!float":
		d.note(n, path, "kube-type", "a number stands where text belongs; it is taken as written", `put it in quotes: "`+n.Value+`"`)
	case "!!bool":
		d.note(n, path, "kube-type", "true or false stands where text belongs; it is taken as text", `put it in quotes: "`+strings.ToLower(n.Value)+`"`)
		return strings.ToLower(n.Value)
	}
	return n.Value
}

// anything is a value without a type.
func anything(n *Node) any {
	switch n.Kind {
	case Map:
		out := make(map[string]any, len(n.Fields))
		for _, f := range n.Fields {
			out[f.Name] = anything(f.Value)
		}
		return out
	case List:
		out := make([]any, 0, len(n.Items))
		for _, item := range n.Items {
			out = append(out, anything(item))
		}
		return out
	case Scalar:
		switch n.Tag {
		case "!!bool":
			return strings.EqualFold(n.Value, "true")
		case "!!int":
			if i, err := strconv.ParseInt(n.Value, 0, 64); err == nil {
				return i
			}
		case "!!float":
			if f, err := strconv.ParseFloat(n.Value, 64); err == nil && f-f == 0 {
				return f
			}
		}
		return n.Value
	}
	return nil
}

// TimeText reads a time as Kubernetes writes it, for Special.
func TimeText(n *Node) (any, string, string) {
	if n.Kind == Scalar {
		if t, err := time.Parse(time.RFC3339, n.Value); err == nil {
			return t.Format(time.RFC3339), "", ""
		}
	}
	return nil, "a time is needed here", "such as 2026-01-31T12:00:00Z"
}
