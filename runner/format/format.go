// SPDX-License-Identifier: Apache-2.0

// Package format draws what the verbs list: as a table, through a Go template of
// the user's, or as JSON, in the ways of podman's --format.
//
//	format ""                     the verb's own table, with headings
//	format "table {{.ID}} {{.X}}" a table of these columns, with headings
//	format "{{.ID}} {{.X}}"       a line per row, without headings
//	format "json"                 a JSON array
//
// A template knows the functions join, json, lower, pad, split, title, truncate and
// upper. Source: podman-ps(1), --format; go.podman.io/common/pkg/report.
package format

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/podunit/podunit/runner/terminal"
	"go.podman.io/common/pkg/report"
)

// Table says how rows are drawn.
type Table struct {
	// Format is what the user gave with --format, "" when nothing. It must not be a
	// JSON format, see IsJSON: what JSON shows is not what the columns show.
	Format string
	// Default is the template of the verb's own table, columns separated by a tab:
	// "{{.ID}}\t{{.Names}}".
	Default string
	// Headings name columns whose heading is not the field's name in upper case with
	// spaces between the words (CreatedAt: CREATED AT).
	Headings map[string]string
	// NoHeading leaves the headings out (--noheading).
	NoHeading bool
}

// IsJSON reports whether a --format asks for JSON: "json" or "{{json}}". A template
// that uses the function json, as in "{{json .}}", does not.
func IsJSON(format string) bool { return report.IsJSON(format) }

// JSON writes v with an indent of four spaces and a final newline. A nil slice is
// written as an empty array, so that readers need no case for it.
func JSON(w io.Writer, v any) error {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice && r.IsNil() {
		v = []struct{}{}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	return e.Encode(v)
}

// Rows draws rows as t says. T is a struct, or a pointer to one; what a template can
// name are its exported fields, those of embedded structs, and its methods without
// parameters.
func Rows[T any](w io.Writer, t Table, rows []T) error {
	if has := headings[T](nil); has["ID"] != "" && has["Id"] == "" {
		// Docker's inspect has Id, and so people write it; podman takes both.
		t.Format = regexp.MustCompile(`\.Id\b`).ReplaceAllString(t.Format, ".ID")
	}
	buffered := bufio.NewWriter(w) // or each cell of a table is a system call of its own
	defer buffered.Flush()         // what an error leaves of the rows
	f := report.New(terminal.Filter(buffered), "--format")
	origin, text := report.OriginUser, t.Format
	if text == "" {
		origin, text = report.OriginPodman, report.EnforceRange(t.Default+"\n")
	}
	if t.Format == "" || strings.HasPrefix(t.Format, "table ") {
		rows = cleaned(rows) // a template of the user's own gets what there is
	}
	f, err := f.Parse(origin, text)
	if err != nil {
		return fmt.Errorf("--format %q: %s", t.Format, plain(err))
	}
	if f.RenderHeaders && !t.NoHeading {
		if err := f.Execute([]map[string]string{headings[T](t.Headings)}); err != nil {
			return fault[T](t.Format, err)
		}
	}
	if err := f.Execute(rows); err != nil {
		return fault[T](t.Format, err)
	}
	return errors.Join(f.Flush(), buffered.Flush())
}

// Each runs a template on every value, a line each, or writes all of them as JSON when
// the format is "" or a JSON format: the way of the inspect verbs.
func Each[T any](w io.Writer, format string, values []T) error {
	if format == "" || IsJSON(format) {
		return JSON(w, values)
	}
	return Rows(w, Table{Format: format}, values)
}

// Fields lists what a template for T can name, sorted, for completion.
func Fields[T any]() []string {
	return slices.Sorted(maps.Keys(headings[T](nil)))
}

func headings[T any](own map[string]string) map[string]string {
	t := reflect.TypeFor[T]()
	s := t
	if s.Kind() == reflect.Pointer {
		s = s.Elem()
	}
	all := make(map[string]string)
	if s.Kind() == reflect.Struct {
		maps.Copy(all, report.Headers(reflect.New(s).Interface(), nil)[0])
		for name := range all {
			if f, ok := s.FieldByName(name); !ok || !f.IsExported() {
				delete(all, name)
			}
		}
	}
	for i := range t.NumMethod() {
		m := t.Method(i)
		if m.Type.NumIn() == 1 && m.Type.NumOut() >= 1 {
			all[m.Name] = strings.ToUpper(m.Name)
		}
	}
	for name, heading := range own {
		all[name] = strings.ToUpper(heading)
	}
	return all
}

// fault turns a template's error into one that shows what there is to choose from.
func fault[T any](format string, err error) error {
	text := plain(err)
	if strings.Contains(text, "can't evaluate field") {
		_, name, _ := strings.Cut(text, "can't evaluate field ")
		name, _, _ = strings.Cut(name, " ")
		return fmt.Errorf("--format %q: there is no field .%s; fields are %s", format, name, strings.Join(Fields[T](), ", "))
	}
	return fmt.Errorf("--format %q: %s", format, text)
}

// plain is the message of a template's error without its prefix.
func plain(err error) string {
	text := err.Error()
	var exec template.ExecError
	if errors.As(err, &exec) {
		text = exec.Err.Error()
	}
	return strings.TrimPrefix(text, "template: ")
}
