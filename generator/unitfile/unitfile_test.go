// SPDX-License-Identifier: Apache-2.0

package unitfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestPositions(t *testing.T) {
	text := "# c\n  [A]\n\n  Key  =  value \\\n\t# comment\n\n    more\\\n  end\nB=1\r\n[A]\nC=\\\n  x\n"
	f, faults := Parse("f", []byte(text))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	g := f.Group("A")
	if got := g.Pos().String(); got != "f:2:3" {
		t.Errorf("section stands at %s", got)
	}
	key := g.Last("Key")
	if key.Value != "value moreend" {
		t.Errorf("Key is %q", key.Value)
	}
	for _, c := range []struct {
		off  int
		want string
	}{{0, "f:4:11"}, {4, "f:4:15"}, {6, "f:7:5"}, {10, "f:8:3"}, {12, "f:8:5"}} {
		if got := key.ValuePos(c.off).String(); got != c.want {
			t.Errorf("byte %d of the value stands at %s, want %s", c.off, got, c.want)
		}
	}
	if got := g.Last("B").Pos().String(); got != "f:9:1" {
		t.Errorf("B stands at %s", got)
	}
	if got := g.Last("C").ValuePos(0).String(); got != "f:12:3" {
		t.Errorf("the value of C stands at %s", got)
	}
	if got := key.Excerpt(key.ValuePos(6)); got != "    more\\" {
		t.Errorf("excerpt is %q", got)
	}
}

func TestMergeKeepsPositions(t *testing.T) {
	f, _ := Parse("main", []byte("[A]\nX=1\n"))
	d, _ := Parse("drop", []byte("[A]\nX=2\n[B]\nY=3\n"))
	f.Merge(d)
	f.Merge(d)
	if got := f.String(); got != "[A]\nX=1\nX=2\nX=2\n\n[B]\nY=3\nY=3\n" {
		t.Errorf("merged:\n%s", got)
	}
	if got := f.Group("A").Last("X").Pos().String(); got != "drop:2:1" {
		t.Errorf("the drop-in's line stands at %s", got)
	}
	if got := d.String(); got != "[A]\nX=2\n\n[B]\nY=3\n" {
		t.Errorf("the drop-in changed:\n%s", got)
	}
}

func TestHostileFiles(t *testing.T) {
	big := strings.Repeat("x", MaxLine+1)
	for name, c := range map[string]struct{ text, want string }{
		"a NUL byte":              {"[A]\nB=\x00\n", "f:2:3: error: line contains a NUL byte"},
		"invalid UTF-8":           {"[A]\nKey=a\xffb\n", "f:2:6: error: line contains invalid UTF-8"},
		"a line that is too long": {"[A]\nB=" + big + "\n", "f:2:1: error: line is longer"},
		"a continued line that is too long": {
			"[A]\nB=" + strings.Repeat(strings.Repeat("y", 1000)+"\\\n", 1100) + "\n", "error: continued line is longer",
		},
		"a file that is too large": {strings.Repeat("# comment\n", MaxSize/10+1), "f: error: file is larger than 4 MiB"},
		"a binary file":            {strings.Repeat("\x7fELF\x00\xff\n", 100000), "too many faults"},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := Parse("f", []byte(c.text))
			if len(faults) == 0 || len(faults) > maxFaults {
				t.Fatalf("%d faults", len(faults))
			}
			found := false
			for _, d := range faults {
				found = found || strings.Contains(d.Place(), c.want)
			}
			if !found {
				t.Errorf("no fault like %q, the first is %q", c.want, faults[0].Place())
			}
		})
	}
	f, faults := Parse("f", []byte("[A]\n"+strings.Repeat("K=v\n", 100000)))
	if len(faults) > 0 || len(f.Group("A").All("K")) != 100000 {
		t.Errorf("100000 keys: %v", faults)
	}
}

func TestSplit(t *testing.T) {
	type split func(string) ([]Word, error)
	for _, c := range []struct {
		name  string
		split split
		in    string
		want  []string
		err   error
	}{
		{"blanks", SplitWords, "  a \t b  ", []string{"a", "b"}, nil},
		{"quotes anywhere in a word", SplitWords, `a"b c"d 'e "f'`, []string{"ab cd", `e "f`}, nil},
		{"a backslash is ordinary", SplitWords, `a\n "b\"`, []string{`a\n`, `b\`}, nil},
		{"an open quote", SplitWords, `a "b`, nil, ErrQuote},
		{"an empty word stays", SplitWords, `a "" b`, []string{"a", "", "b"}, nil},
		{"escapes", SplitArgs, `\110i "\t" '\n' \x41 \u00e4 \U0001F600 \s`, []string{"Hi", "\t", "\n", "A", "ä", "😀", " "}, nil},
		{"an open quote reaches to the end", SplitArgs, `a "b c`, []string{"a", "b c"}, nil},
		{"a last backslash is dropped", SplitArgs, `a b\`, []string{"a", "b"}, nil},
		{"only a backslash", SplitArgs, `\`, nil, nil},
		{"an empty word stays", SplitArgs, `a "" ''`, []string{"a", "", ""}, nil},
		{"an unknown escape", SplitArgs, `a '\.'`, nil, ErrEscape},
		{"NUL is refused", SplitArgs, `\x00`, nil, ErrEscape},
		{"octal above 377 is refused", SplitArgs, `\400`, nil, ErrEscape},
		{"half a hexadecimal escape", SplitArgs, `\x4`, nil, ErrEscape},
		{"a sign is no digit", SplitArgs, `\x+4`, nil, ErrEscape},
		{"a surrogate", SplitArgs, `\ud800`, nil, ErrEscape},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.split(c.in)
			if !errors.Is(err, c.err) {
				t.Fatalf("%s: error %v, want %v", c.in, err, c.err)
			}
			if !slices.Equal(Texts(got), c.want) && len(got)+len(c.want) > 0 {
				t.Errorf("%s: %q, want %q", c.in, Texts(got), c.want)
			}
		})
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "": `""`, ";": `";"`, "a b": `"a\x20b"`, `a"b`: `"a\"b"`, `a\b`: `"a\\b"`, "it's": `"it's"`,
		"a\nb": `"a\nb"`, "\x01\x7f": `"\x01\x7f"`, "ä€": "ä€", "%h/$X": "%h/$X", "a;b": "a;b", "a\u00a0": `"a\u00a0"`,
	} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}

// FuzzParse: printing a parsed file and parsing that again changes nothing, and positions point at
// what they say.
func FuzzParse(f *testing.F) {
	f.Add("[A]\nB=c\\\n# x\n\n d\n;\n[C]\n[A]\nE=")
	f.Add("# only\n\n#comments \\\n")
	f.Add("[A]\n K = v \\")
	f.Add("\ufeff[A]\nx\n=\n[\n[]\n[a[b]\n[a=b]\n[a=b\n")
	f.Add("[A]\n\\\n = x\n\\\n\n\\\\\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, faults := Parse("f", []byte(text))
		rows := strings.Split(text, "\n")
		for _, d := range faults {
			if d.Pos.Line < 0 || d.Pos.Line > len(rows) {
				t.Fatalf("fault outside of the file: %s", d.Place())
			}
		}
		for _, g := range file.Groups {
			for i := range g.Lines {
				l := &g.Lines[i]
				if l.IsComment() {
					continue
				}
				p := l.Pos()
				first, _ := utf8.DecodeRuneInString(l.Key)
				if row := rows[p.Line-1]; p.Col > len(row) || !strings.HasPrefix(row[p.Col-1:], string(first)) {
					t.Fatalf("key %q does not stand at %s", l.Key, p)
				}
				for off := range l.Value {
					p := l.ValuePos(off)
					if row := rows[p.Line-1]; p.Col > len(row) || row[p.Col-1] != l.Value[off] {
						t.Fatalf("byte %d of %q does not stand at %s", off, l.Value, p)
					}
				}
			}
		}
		if len(faults) > 0 {
			return
		}
		once := file.String()
		again, faults := Parse("f", []byte(once))
		if len(faults) > 0 {
			t.Fatalf("what was printed does not parse: %s\n%q", faults[0].Place(), once)
		}
		if twice := again.String(); twice != once {
			t.Fatalf("not a fixed point:\n%q\n%q", once, twice)
		}
	})
}

// FuzzQuote: what is joined splits into the same words.
func FuzzQuote(f *testing.F) {
	f.Add("a", "b c", "")
	f.Add(";", `"\'`, "\x01\u00a0\u0085")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		words := []string{a, b, c}
		for _, w := range words {
			if !utf8.ValidString(w) || strings.ContainsRune(w, 0) {
				t.Skip()
			}
		}
		line := Join(words)
		if strings.ContainsAny(line, "\n\r") {
			t.Fatalf("%q is more than a line", line)
		}
		if strings.TrimSpace(line) != line {
			t.Fatalf("%q loses blanks at its ends", line)
		}
		got, err := SplitArgs(line)
		if err != nil || !slices.Equal(Texts(got), words) {
			t.Fatalf("%q became %q and that %q (%v)", words, line, Texts(got), err)
		}
	})
}

// FuzzSplit: no input panics, and words lie where they say, one after the other.
func FuzzSplit(f *testing.F) {
	f.Add(`a "b c" 'd\x20' \`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, split := range []func(string) ([]Word, error){SplitWords, SplitArgs} {
			words, err := split(s)
			if err != nil {
				continue
			}
			at := 0
			for _, w := range words {
				if w.Off < at || w.End < w.Off || w.End > len(s) {
					t.Fatalf("word %q lies at %d to %d of %q", w.Text, w.Off, w.End, s)
				}
				at = w.End
			}
		}
	})
}

// TestQuotePath has what systemd 257 was seen to read back as the path.
func TestQuotePath(t *testing.T) {
	for path, want := range map[string]string{
		"/plain":      "/plain",
		"/a;b$c%h":    "/a;b$c%h",
		"/two words":  `"/two words"`,
		"/tab\there":  "\"/tab\there\"",
		`/a " b\c 'q`: `"/a \" b\\c 'q"`,
		`/u\x20`:      `"/u\\x20"`,
		"/nb\u00a0":   "\"/nb\u00a0\"",
	} {
		if got, ok := QuotePath(path); got != want || !ok {
			t.Errorf("QuotePath(%q) = %s, %t, want %s", path, got, ok, want)
		}
	}
	for _, path := range []string{"/a\nb", "/a\rb", "/a\x00b"} {
		if got, ok := QuotePath(path); ok {
			t.Errorf("QuotePath(%q) = %q", path, got)
		}
	}
}

// What is hard to read is nothing to wait for: the boot does.
func TestHostileTextTakesNoTime(t *testing.T) {
	parse := func(text string) (took time.Duration, fault string) {
		begin := time.Now()
		_, faults := Parse("f", []byte(text))
		took = time.Since(begin)
		if len(faults) > 0 {
			fault = faults[0].Code
		}
		return took, fault
	}
	for name, c := range map[string]struct {
		text  func(n int) string
		n     int
		fault string
	}{
		"a line of many parts":     {func(n int) string { return "[A]\nX=a\\\n" + strings.Repeat(" a \\\n", n) }, 300_000, ""},
		"a line of too many parts": {func(n int) string { return "[A]\nX=a\\\n" + strings.Repeat("ab\\\n", n) }, 900_000, "line-too-long"},
		"many different sections": {func(n int) string {
			var b strings.Builder
			for i := range n {
				fmt.Fprintf(&b, "[X-%d]\n", i)
			}
			return b.String()
		}, 300_000, "too-many-sections"},
		"many sections of the same few": {func(n int) string { return strings.Repeat("[A]\n[B]\nX=1\n", n) }, 200_000, ""},
	} {
		took, got := parse(c.text(c.n))
		if took > 5*time.Second {
			// On a slow machine a quarter takes a quarter of that; where time grows with the
			// square, a sixteenth.
			if quarter, _ := parse(c.text(c.n / 4)); took > 8*quarter {
				t.Errorf("%s: took %v, and a quarter of it %v", name, took, quarter)
			}
		}
		if got != c.fault {
			t.Errorf("%s: the fault is %q, want %q", name, got, c.fault)
		}
	}
}
