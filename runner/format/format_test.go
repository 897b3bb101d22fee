// SPDX-License-Identifier: Apache-2.0

package format

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

type row struct {
	ID        string
	Names     []string
	CreatedAt string
	hidden    string
	embedded
}

type embedded struct{ Size int }

func (r row) Status() string { return "up " + r.hidden }

func rows() []row {
	return []row{
		{ID: "a1", Names: []string{"web", "www"}, CreatedAt: "today", hidden: "1 s", embedded: embedded{7}},
		{ID: "b2", CreatedAt: "yesterday"},
	}
}

func TestRows(t *testing.T) {
	for _, c := range []struct {
		name string
		t    Table
		want string
	}{
		{
			"the verb's own table has headings",
			Table{Default: "{{.ID}}\t{{.CreatedAt}}\t{{.Status}}", Headings: map[string]string{"CreatedAt": "created"}},
			"ID          CREATED     STATUS\na1          today       up 1 s\nb2          yesterday   up \n",
		},
		{
			"--noheading leaves them out",
			Table{Default: "{{.ID}}\t{{.CreatedAt}}", NoHeading: true},
			"a1          today\nb2          yesterday\n",
		},
		{
			"a template is a line a row",
			Table{Format: "{{.ID}} {{.Size}} {{.Status}}"},
			"a1 7 up 1 s\nb2 0 up \n",
		},
		{
			"a template with a range of its own runs once",
			Table{Format: "{{range .}}{{.ID}};{{end}}"},
			"a1;b2;\n",
		},
		{
			"the word table brings headings",
			Table{Format: "table {{.ID}} {{.CreatedAt}}"},
			"ID          CREATED AT\na1          today\nb2          yesterday\n",
		},
		{
			"functions",
			Table{Format: `{{upper .ID}} {{join .Names ","}} {{json .Names}} {{truncate .CreatedAt 3}}`},
			"A1 web,www [\"web\",\"www\"] tod\nB2  null yes\n",
		},
		{
			"Id is another word for ID",
			Table{Format: `{{.Id}} {{json .Id}}`},
			"a1 \"a1\"\nb2 \"b2\"\n",
		},
		{
			"an escaped tab is a tab",
			Table{Format: `{{.ID}}\t{{.Size}}`},
			"a1\t7\nb2\t0\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			if err := Rows(&b, c.t, rows()); err != nil {
				t.Fatal(err)
			}
			if b.String() != c.want {
				t.Errorf("got\n%s\nwant\n%s", b.String(), c.want)
			}
		})
	}
}

func TestRowsFaults(t *testing.T) {
	for _, c := range []struct{ name, format, want string }{
		{"an unknown field lists those there are", "{{.Foo}}", `--format "{{.Foo}}": there is no field .Foo; fields are CreatedAt, ID, Names, Size, Status`},
		{"an unknown field in a table", "table {{.Foo}}", "there is no field .Foo"},
		{"an unknown function", "{{frob .ID}}", `function "frob" not defined`},
		{"an open brace", "{{.ID", "bad character"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			err := Rows(&b, Table{Format: c.format}, rows())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	var b strings.Builder
	if err := JSON(&b, []row(nil)); err != nil || b.String() != "[]\n" {
		t.Errorf("a nil slice: %q, %v", b.String(), err)
	}
	b.Reset()
	if err := Each(&b, "", []map[string]string{{"Cmd": "a && b"}}); err != nil {
		t.Fatal(err)
	}
	if want := "[\n    {\n        \"Cmd\": \"a && b\"\n    }\n]\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	for format, want := range map[string]bool{"json": true, "{{json}}": true, " {{ json . }}": false, "{{json .ID}}": false, "table": false} {
		if IsJSON(format) != want {
			t.Errorf("IsJSON(%q) is %v", format, !want)
		}
	}
}

// TestStrangersTexts: what an image's author writes makes no further row and no escape
// sequence; in JSON, and for a template of the user's own that is no terminal's, it stays.
func TestStrangersTexts(t *testing.T) {
	type row struct {
		Command string
		Labels  map[string]string
		Args    []string
		Time    time.Time
		inner   string
	}
	now := time.Now()
	evil := row{Command: "sh\nroot  /etc\x1b[2J", Labels: map[string]string{"a\x1b": "b\nc"}, Args: []string{"\u202e"}, Time: now, inner: "x"}
	var out strings.Builder
	if err := Rows(&out, Table{Default: "{{.Command}}\t{{.Labels}}\t{{.Args}}\t{{.Time.Unix}}", NoHeading: true}, []row{evil}); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	if strings.Count(got, "\n") != 1 || strings.ContainsAny(got, "\x1b\u202e") || !strings.Contains(got, `sh\nroot  /etc\x1b[2J`) || !strings.Contains(got, fmt.Sprint(now.Unix())) {
		t.Errorf("%q", got)
	}
	if evil.Command != "sh\nroot  /etc\x1b[2J" || evil.Args[0] != "\u202e" || evil.Labels["a\x1b"] != "b\nc" {
		t.Errorf("the row itself was changed: %+v", evil)
	}
	out.Reset()
	if err := Rows(&out, Table{Format: "{{index .Labels \"a\x1b\"}}"}, []row{evil}); err != nil || out.String() != "b\nc\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	out.Reset()
	if err := JSON(&out, []*row{&evil}); err != nil || !strings.Contains(out.String(), `"Command": "sh\nroot  /etc\u001b[2J"`) {
		t.Errorf("%q, %v", out.String(), err)
	}
}
