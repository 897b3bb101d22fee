// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"bytes"
	"os"
	"testing"
)

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"nginx -g 'daemon off;'":  "nginx -g 'daemon off;'",
		"größe 日本 🐳":              "größe 日本 🐳",
		"\x1b[2J\x1b]0;title\x07": `\x1b[2J\x1b]0;title\a`,
		"one\ntwo\tthree\r":       `one\ntwo\tthree\r`,
		"\u009b31m":               `\u009b31m`,
		"\x9b31m":                 `\x9b31m`,
		"a\u202eb\u2066":          `a\u202eb\u2066`,
		"\u2028":                  `\u2028`,
		"\x00":                    `\x00`,
		"\\x1b":                   `\x1b`,
	} {
		if got := Line(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := Text("one\n\ttwo\x1b\r\n"); got != "one\n\ttwo\\x1b\\r\n" {
		t.Errorf("%q", got)
	}
}

// TestFilter writes byte by byte: characters stay whole.
func TestFilter(t *testing.T) {
	var out bytes.Buffer
	f := &filter{w: &out}
	const text = "ü\x1b[1m 日本\n\u009b"
	for i := range len(text) {
		if n, err := f.Write([]byte{text[i]}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := out.String(); got != "ü\\x1b[1m 日本\n\\u009b" {
		t.Errorf("%q", got)
	}
	if got := Filter(&out); got != &out {
		t.Error("what is no terminal gets the bytes")
	}
	if f, err := os.Open(os.DevNull); err != nil || Filter(f) != f {
		t.Errorf("a file gets the bytes: %v", err)
	}
}
