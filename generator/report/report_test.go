// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func sample() List {
	return List{
		{Severity: Warning, Code: "b", Unit: "b.container", Pos: Position{"b", 1, 1}, Message: "later"},
		{Code: "a", Unit: "a.container", Doing: "converting", Pos: Position{"a", 12, 3}, Width: 5, Excerpt: "\tä wrong=1", Message: "it is wrong", Hint: "mend it"},
	}
}

func TestTerminal(t *testing.T) {
	l := sample()
	l.Sort()
	var b strings.Builder
	if err := l.Terminal(&b, Palette{}); err != nil {
		t.Fatal(err)
	}
	want := "a:12:3: error: it is wrong\n   12 |  ä wrong=1\n      |   ^^^^\n  hint: mend it\nb:1:1: warning: later\n"
	// Byte column 3 is inside of ä; the caret is drawn from there.
	if got := b.String(); !strings.HasPrefix(got, "a:12:3: error: it is wrong\n   12 |  ä wrong=1\n      | ") || !strings.HasSuffix(got, "  hint: mend it\nb:1:1: warning: later\n") {
		t.Errorf("got\n%swant about\n%s", got, want)
	}
	b.Reset()
	if err := l.Terminal(&b, Colours()); err != nil || !strings.Contains(b.String(), "\x1b[1;31merror\x1b[0m: it is wrong") {
		t.Errorf("colours: %q", b.String())
	}
}

func TestCaret(t *testing.T) {
	for _, c := range []struct {
		name       string
		line       string
		col, width int
		want       string
	}{
		{"in the middle", "Key=value", 5, 5, "Key=value\n    ^^^^^"},
		{"at the end", "Key=", 5, 1, "Key=\n    ^"},
		{"beyond the end", "Key", 50, 3, "Key\n   ^"},
		{"a tab counts one column", "\tKey=x", 2, 3, " Key=x\n ^^^"},
		{"wide text counts runes", "é=x", 3, 1, "é=x\n ^"},
		{"control characters are named", "a\x1bb", 3, 1, "a\\x1bb\n     ^"},
		{"no width", "Key=x", 1, 0, "Key=x\n^"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, pad, carets := excerpt(c.line, c.col, c.width)
			if got := text + "\n" + strings.Repeat(" ", pad) + strings.Repeat("^", carets); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
	long := "Key=" + strings.Repeat("ö", 1000) + "here" + strings.Repeat("x", 1000)
	text, pad, carets := excerpt(long, 2005, 4)
	if runes := []rune(text); len(runes) > 130 || string(runes[pad:pad+carets]) != "here" {
		t.Errorf("a long line: %q, caret at %d", text, pad)
	}
}

func TestLine(t *testing.T) {
	d := sample()[1]
	if got, want := d.Line(), `converting "a.container": it is wrong in a:12:3 (hint: mend it)`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := sample()[0].Line(), "Warning: later in b:1:1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := d.Place(), "a:12:3: error: it is wrong"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	d.Message = "two\nlines \x1b[31m\u202e\xff"
	if got := d.Place(); got != `a:12:3: error: two\nlines \x1b[31m\u202e\xff` {
		t.Errorf("got %s", got)
	}
}

func TestDedup(t *testing.T) {
	d := sample()[1]
	other := d
	other.Unit = "z.container"
	l := List{d, other, other}
	l.Sort()
	if l = l.Dedup(); len(l) != 1 || l[0].Also != 2 || !strings.Contains(l[0].Line(), "also for 2 more") {
		t.Errorf("%+v", l)
	}
}

func TestMachine(t *testing.T) {
	var b bytes.Buffer
	if err := (List{}).JSON(&b); err != nil || b.String() != "[]\n" {
		t.Errorf("an empty list: %q, %v", b.String(), err)
	}
	b.Reset()
	l := sample()
	l.Sort()
	if err := l.JSON(&b); err != nil {
		t.Fatal(err)
	}
	var out []map[string]any
	if err := json.Unmarshal(b.Bytes(), &out); err != nil || len(out) != 2 || out[0]["line"] != 12.0 || out[0]["severity"] != "error" || out[0]["hint"] != "mend it" {
		t.Errorf("%v, %v", out, err)
	}
	b.Reset()
	l[0].Pos.File = "/etc/with space/a"
	if err := l.SARIF(&b, "1.0"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"version": "2.1.0"`, `"uri": "file:///etc/with%20space/a"`, `"startLine": 12`, `"endColumn": 8`, `"uri": "b"`, `"level": "warning"`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("SARIF lacks %s:\n%s", want, b.String())
		}
	}
}
