// SPDX-License-Identifier: Apache-2.0

package output

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/podunit/podunit/generator/convert"
	"github.com/podunit/podunit/generator/rawfs"
)

const fullText = "# head\n[Unit]\n"

// TestUnit writes a unit where all kinds of things are in the way, with and without files that have
// no name yet.
func TestUnit(t *testing.T) {
	t.Parallel()
	for _, named := range []bool{false, true} {
		for _, c := range []struct {
			name   string
			before func(dir string) error
			fails  bool
		}{
			{name: "an empty directory", before: func(string) error { return nil }},
			{name: "an older unit", before: func(dir string) error {
				return os.WriteFile(dir+"/a.service", []byte("old, and longer than the new one"), 0o600)
			}},
			{name: "a link to elsewhere", before: func(dir string) error { return os.Symlink("/dev/null", dir+"/a.service") }},
			{name: "the rest of a run that was killed", before: func(dir string) error { return os.WriteFile(dir+"/.t.tmp", []byte("half"), 0o600) }},
			{name: "a directory", before: func(dir string) error { return os.Mkdir(dir+"/a.service", 0o700) }, fails: true},
		} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				if err := c.before(dir); err != nil {
					t.Fatal(err)
				}
				w := open(t, dir)
				w.named.Store(named)
				err := w.unit(&convert.Unit{Name: "a.service", Text: []byte("[Unit]\n")}, ".t.tmp")
				if c.fails {
					if err == nil {
						t.Error("no error")
					}
				} else if got, rerr := os.ReadFile(dir + "/a.service"); err != nil || rerr != nil || string(got) != fullText {
					t.Errorf("%v, %v, %q", err, rerr, got)
				}
				// A leftover of another run is only in the way of those who use its name.
				if rest, _ := filepath.Glob(dir + "/.t.tmp"); len(rest) > 0 && (named || c.name != "the rest of a run that was killed") {
					t.Errorf("left over: %v", rest)
				}
			})
		}
	}
}

// TestNoNameless is a file system that has no files without a name, as seen by the fallback.
func TestNoNameless(t *testing.T) {
	t.Parallel()
	const proc = "/proc/self" // procfs has neither
	w := open(t, proc)
	if err := w.unit(&convert.Unit{Name: "a.service"}, ".t.tmp"); err == nil {
		t.Error("a file in " + proc)
	}
	if !w.named.Load() {
		t.Error("tries again what does not work")
	}
}

func open(t *testing.T, dir string) *writer {
	t.Helper()
	fd, err := rawfs.Open(rawfs.Here, dir, rawfs.Locate, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rawfs.Close(fd) })
	w := &writer{path: dir, dir: fd, header: "# head\n"}
	w.buffers.New = func() any { return new([]byte) }
	return w
}
