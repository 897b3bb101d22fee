// SPDX-License-Identifier: Apache-2.0

package bars

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/image"
)

func TestBlob(t *testing.T) {
	const digest = "sha256:0123456789abcdef"
	for want, b := range map[string]image.Part{
		"Copying blob 0123456789ab [>-----------------------------] 0.0 of 30.0 MB":  {Total: 30e6},
		"Copying blob 0123456789ab [==========>-------------------] 10.0 of 30.0 MB": {Done: 10e6, Total: 30e6},
		"Copying blob 0123456789ab [=============================>] 29.9 of 30.0 MB": {Done: 29.9e6, Total: 30e6},
		"Copying blob 0123456789ab unpacking 30.0 MB":                                {Done: 30e6, Total: 30e6},
		"Copying blob 0123456789ab done":                                             {Done: 30e6, Total: 30e6, Complete: true},
		"Copying blob 0123456789ab skipped: already exists":                          {Complete: true, There: true},
		"Copying blob 0123456789ab 1.5 MB":                                           {Done: 1.5e6, Total: -1},
	} {
		b.Digest = digest
		if got := blob(b, 100); got != want {
			t.Errorf("%+v\ngives %s\nwant  %s", b, got, want)
		}
	}
	if got := blob(image.Part{Digest: digest, Done: 1e6, Total: 3e6}, 45); got != "Copying blob 0123456789ab 1.0 of 3.0 MB" {
		t.Errorf("where there is no room: %s", got)
	}
	if got := blob(image.Part{Digest: "short", Total: 1}, 80); !strings.HasPrefix(got, "Copying blob  [") {
		t.Errorf("a digest that is none: %q", got)
	}
}

// TestBlobsThatFit: a terminal is not overrun, and what is complete makes room.
func TestBlobsThatFit(t *testing.T) {
	all := []image.Part{
		{Digest: "sha256:aaa", Complete: true}, {Digest: "sha256:bbb", Total: -1}, {Digest: "sha256:ccc", Complete: true}, {Digest: "sha256:ddd", Total: -1},
	}
	for most, want := range map[int]string{9: "aaa bbb ccc ddd", 4: "aaa bbb ccc ddd", 3: "bbb ccc ddd", 2: "bbb ddd", 1: "bbb", 0: "", -1: ""} {
		var got []string
		for _, line := range blobs(all, 80, most) {
			got = append(got, strings.Fields(line)[2])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%d of them: %q, want %q", most, got, want)
		}
	}
}

// TestDrawing: the second drawing takes the place of the first, whatever the number of lines, and
// in the end nothing stands.
func TestDrawing(t *testing.T) {
	var out strings.Builder
	d := drawing{w: &out, begun: time.Now(), size: func() (int, int) { return 60, 24 }}
	name := "localhost:5000/" + strings.Repeat("long", 20)
	d.show(image.Progress{Name: name, Parts: []image.Part{{Digest: "sha256:aaa", Complete: true}, {Digest: "sha256:bbb", Total: -1}}})
	d.show(image.Progress{Name: name})
	d.clear()
	d.clear()
	screen := shown(out.String())
	if !slices.Equal(screen, []string{""}) {
		t.Errorf("in the end there is %q", screen)
	}
	first, rest, _ := strings.Cut(out.String(), "\r\x1b[K")
	if got := strings.Split(first, "\r\n"); len(got) != 3 || got[0] != "Copying blob aaa done" || len(got[2]) != 59 {
		t.Errorf("the first drawing is %q", got)
	}
	if !strings.HasPrefix(rest, "\x1b[A\x1b[K\x1b[A\x1b[Kpulling ") {
		t.Errorf("then comes %q", rest)
	}
}

// shown is what a terminal shows that got the text.
func shown(text string) []string {
	lines, at := []string{""}, 0
	for text != "" {
		switch {
		case strings.HasPrefix(text, "\x1b[K"):
			lines, text = append(lines[:at], ""), text[3:]
		case strings.HasPrefix(text, "\x1b[A"):
			at, text = at-1, text[3:]
		case text[0] == '\r':
			text = text[1:]
		case text[0] == '\n':
			at, lines, text = at+1, append(lines, ""), text[1:]
		default:
			lines[at] += text[:1]
			text = text[1:]
		}
	}
	return lines
}

func TestNoTerminal(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o, done, terminal := Draw(f, image.PullOptions{})
	if done(); terminal || o.Report != nil {
		t.Error("a file is taken for a terminal")
	}
}
