// SPDX-License-Identifier: Apache-2.0

package yaml

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/podunit/podunit/generator/report"
)

// thing has a field of each sort that Kubernetes has.
type thing struct {
	Inner
	Name   string            `json:"name,omitempty"`
	Count  int32             `json:"count,omitempty"`
	Big    *int64            `json:"big,omitempty"`
	On     bool              `json:"on,omitempty"`
	Words  []string          `json:"words,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	Data   map[string][]byte `json:"data,omitempty"`
	List   []thing           `json:"list,omitempty"`
	Any    any               `json:"any,omitempty"`
}

// Inner is exported, as the embedded structs of Kubernetes are.
type Inner struct {
	Deep string `json:"deep,omitempty"`
}

func decode(t *testing.T, text string) (thing, report.List) {
	t.Helper()
	var r Report
	var v thing
	docs := Read([]Source{{Name: "f", Data: []byte(text)}}, &r)
	d := Decoder{Report: &r, Unknown: report.Warning}
	for _, doc := range docs {
		d.Decode(doc.Root, &v)
	}
	return v, r.List()
}

func TestDecode(t *testing.T) {
	big := int64(1) << 40
	v, list := decode(t, "deep: d\nname: a\ncount: 0o17\nbig: 1099511627776\non: true\nwords: [x, 'y']\nlabels: {a: b}\ndata: {k: aGk=}\nlist: [{name: n}]\nany: {a: [1, 2.5, true, null, x]}\n")
	want := thing{Inner: Inner{"d"}, Name: "a", Count: 15, Big: &big, On: true, Words: []string{"x", "y"}, Labels: map[string]string{"a": "b"},
		Data: map[string][]byte{"k": []byte("hi")}, List: []thing{{Name: "n"}},
		Any: map[string]any{"a": []any{1.0, 2.5, true, nil, "x"}}}
	if len(list) > 0 || !reflect.DeepEqual(v, want) {
		t.Errorf("%+v\n%+v\n%v", v, want, list)
	}
}

// TestSplit: cutting a stream into documents takes nothing away from them.
func TestSplit(t *testing.T) {
	for text, want := range map[string]string{
		"name: |\n  a\n---\n":                     "a\n",
		"name: |\n  a\n":                          "a\n",
		"name: |+\n  a\n\n--- # x\n":              "a\n\n",
		"--- {name: a}\n":                         "a",
		"name: a\r\n---\r\ncount: 1\r\n":          "a",
		"\ufeffname: a\n":                         "a",
		"name: \"a\n  b\"\n...\n---\n# the end\n": "a b",
		"%YAML 1.2\n---\nname: a\n...\n":          "a",
	} {
		v, list := decode(t, text)
		if len(list) > 0 || v.Name != want {
			t.Errorf("%q is %q, want %q: %v", text, v.Name, want, list)
		}
	}
}

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct{ text, want, hint string }{
		"a tab":                    {"a:\n\tb: c\n", "f:2:1: error: YAML: found character that cannot start any token", "tab"},
		"a tab after blanks":       {"a:\n  \tb: c\n", "f:2:3: error: YAML: ", "tab"},
		"deeper than allowed":      {"a: b\n  c: d\n", "f:2:1: error: YAML: mapping values are not allowed", "indented deeper"},
		"a second document":        {"name: a\n---\na: b\n  c: d\n", "f:4:1: error: YAML: mapping values", ""},
		"a duplicate":              {"name: a\nlabels: {x: y}\nname: b\n", "f:3:1: error: field name is there twice, first in line 1", ""},
		"an unknown field":         {"nam: a\n", "f:1:1: warning: nam: unknown field", "did you mean name?"},
		"a field of a list":        {"list:\n- name: a\n- nam: b\n", "f:3:3: warning: list[1].nam: unknown field", "name"},
		"text for a number":        {"count: x\n", "f:1:8: error: count: a whole number is needed here", ""},
		"a quoted number":          {"count: \"7\"\n", "f:1:8: error: count: a whole number is needed here", "without quotes: 7"},
		"a number out of range":    {"count: 3000000000\n", "f:1:8: error: count: a whole number is needed here", "out of range"},
		"a broken number":          {"count: 1.5\n", "f:1:8: error: count: a whole number", ""},
		"an object for text":       {"name: {a: b}\n", "f:1:7: error: name: text is needed here", "this is an object"},
		"text for a list":          {"words: x\n", "f:1:8: error: words: a list is needed here", "dash"},
		"a list for an object":     {"labels: [x]\n", "f:1:9: error: labels: an object of names and values is needed here", ""},
		"a number for text":        {"name: 7\n", "f:1:7: warning: name: a number stands where text belongs", `"7"`},
		"a switch for text":        {"name: no\n", "f:1:7: error: name: no is text to one reader", `"no"`},
		"a switch as a name":       {"labels: {yes: x}\n", "f:1:10: error: labels.yes: the name yes", ""},
		"no base64":                {"data: {k: secret!}\n", "f:1:11: error: data.k: this is no base64", ""},
		"a name with dots":         {"labels: {a.b/c: 1}\n", "f:1:17: warning: labels[a.b/c]: a number", ""},
		"a merge of text":          {"<<: x\nname: a\n", "error: << merges something that is no map", ""},
		"a map as a name":          {"? {a: b}\n: c\n", "error: the name of a field is no single value", ""},
		"an alias in itself":       {"any: &a [*a]\n", "nests too deep", ""},
		"a deep nest":              {"any: " + strings.Repeat("[", 300) + strings.Repeat("]", 300) + "\n", "nests too deep", ""},
		"a second file of a split": {"---\nname: a\n--- # more\ncoun: 1\n", "f:4:1: warning: coun: unknown field", "count"},
		"a line that is no mark":   {"name: |-\n  a\n  --- x\ncoun: 1\n", "f:4:1: warning: coun", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, list := decode(t, c.text)
			for _, d := range list {
				if strings.Contains(d.Place(), c.want) && strings.Contains(d.Hint, c.hint) {
					return
				}
			}
			t.Errorf("nothing like %q (%s) in %v", c.want, c.hint, list)
		})
	}
}

// TestAliases: what an anchor stands for may be used often, as long as it stands for little.
func TestAliases(t *testing.T) {
	v, list := decode(t, "list:\n- &a {name: x, words: [p]}\n- *a\n- {<<: *a, name: y}\n- {<<: [{name: z}, *a]}\n")
	if len(list) > 0 || len(v.List) != 4 || v.List[1].Name != "x" || v.List[2].Name != "y" || v.List[2].Words[0] != "p" || v.List[3].Name != "z" {
		t.Errorf("%+v %v", v, list)
	}
	// 2^60 values in sixty lines.
	var b strings.Builder
	b.WriteString("any:\n  a0: &a0 [x, x]\n")
	for i := range 60 {
		b.WriteString(strings.NewReplacer("I", string(rune('a'+i%26))+strings.Repeat("z", i/26), "P", prev(i)).Replace("  I: &I [*P, *P]\n"))
	}
	_, list = decode(t, b.String())
	if len(list) != 1 || !strings.Contains(list[0].Message, "stands for more than") {
		t.Errorf("a bomb: %v", list)
	}
}

func prev(i int) string {
	if i == 0 {
		return "a0"
	}
	i--
	return string(rune('a'+i%26)) + strings.Repeat("z", i/26)
}

func TestLimits(t *testing.T) {
	var r Report
	if docs := Read([]Source{{Name: "big", TooLarge: true}, {Name: "large", Data: bytes.Repeat([]byte("#\n"), 5<<20)}, {Name: "small", Data: []byte("a: b\n")}}, &r); len(docs) != 1 {
		t.Errorf("%d documents", len(docs))
	}
	if l := r.List(); len(l) != 2 || l[0].Pos.String() != "big" || !strings.Contains(l[0].Message, "more than 8 MiB") || l[1].Message != l[0].Message {
		t.Errorf("%v", l)
	}
	r = Report{}
	for range maxFaults + 3 {
		r.Add(report.Diagnostic{})
	}
	if l := r.List(); len(l) != maxFaults+1 || l[maxFaults].Message != "3 further findings are not shown" || r.Errors() != maxFaults+3 {
		t.Errorf("%d findings, the last is %v", len(l), l[len(l)-1])
	}
}

func TestHide(t *testing.T) {
	var r Report
	docs := Read([]Source{{Name: "f", Data: []byte("data: {k: hunter2}\n")}}, &r)
	d := Decoder{Report: &r, Hide: true}
	d.Decode(docs[0].Root, &thing{})
	if l := r.List(); len(l) != 1 || l[0].Excerpt != "" || strings.Contains(l[0].Message, "hunter2") {
		t.Errorf("%+v", l)
	}
}

func TestFieldsOf(t *testing.T) {
	var names []string
	for _, f := range FieldsOf(reflect.TypeFor[thing]()) {
		names = append(names, f.Owner.Name()+"."+f.Name)
	}
	if got := strings.Join(names, " "); !strings.HasPrefix(got, "Inner.deep thing.name thing.count ") {
		t.Errorf("%s", got)
	}
}

func TestAt(t *testing.T) {
	var r Report
	root := Read([]Source{{Name: "f", Data: []byte("a:\n  b:\n  - c: x\n")}}, &r)[0].Root
	for _, c := range []struct {
		path Path
		line int
		text string
	}{{Path{"a", "b", 0, "c"}, 3, "x"}, {Path{"a", "b", 0, "d"}, 3, ""}, {Path{"a", "z", 1}, 2, ""}, {Path{"a", "b", 7}, 3, ""}, {nil, 1, ""}} {
		if n, _ := root.At(c.path); n.Line != c.line || n.Text() != c.text {
			t.Errorf("%s leads to line %d, %q", c.path, n.Line, n.Text())
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("name: a\n---\nlist: [{name: &x y}, *x]\n")
	f.Add("a: &a [*a]\n")
	f.Add("<<: {name: x}\nlist: [1, {}]\n")
	f.Add("%YAML 1.2\n---\n...\n\t")
	f.Fuzz(func(t *testing.T, text string) {
		_, list := decode(t, text)
		for _, d := range list {
			if d.Pos.Line < 1 && d.Code != "yaml-size" {
				t.Fatalf("no line: %s", d.Place())
			}
		}
	})
}
