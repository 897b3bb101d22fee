// SPDX-License-Identifier: Apache-2.0

package manage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/generator/source"
)

// TestPut: an edited file stays what it was and where it counts.
func TestPut(t *testing.T) {
	root := t.TempDir()
	s := Store{Dir: root + "/etc/containers/systemd", Search: source.Search{Root: root, Getenv: func(string) string { return "" }}}
	for name, mode := range map[string]fs.FileMode{
		"/etc/containers/systemd/plain.container":     0o644,
		"/etc/containers/systemd/sub/deep.container":  0o644,
		"/etc/containers/systemd/private.container":   0o600,
		"/srv/git/linked.container":                   0o640,
		"/srv/git/dir/far.container":                  0o644,
		"/run/containers/systemd/high.container":      0o644,
		"/usr/share/containers/systemd/low.container": 0o600,
		"/etc/containers/systemd/m.quadlets":          0o644,
	} {
		text := good
		if name == "/etc/containers/systemd/m.quadlets" {
			text = "# FileName=part\n[Volume]\n"
		}
		if err := os.MkdirAll(filepath.Dir(root+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"linked.container": root + "/srv/git/linked.container", "dir": root + "/srv/git/dir", "masked.container": "/dev/null"} {
		if err := os.Symlink(target, filepath.Join(s.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, unit string
		path, dir  string // below root
		mode       fs.FileMode
		problem    string
	}{
		{"a file of the install directory", "plain.container", "/etc/containers/systemd/plain.container", "/etc/containers/systemd", 0o644, ""},
		{"a file in a subdirectory", "deep.container", "/etc/containers/systemd/sub/deep.container", "/etc/containers/systemd/sub", 0o644, ""},
		{"a file for nobody else", "private.container", "/etc/containers/systemd/private.container", "/etc/containers/systemd", 0o600, ""},
		{"a link", "linked.container", "/srv/git/linked.container", "/etc/containers/systemd", 0o640, ""},
		{"a file in a directory that is linked", "far.container", "/srv/git/dir/far.container", "/srv/git/dir", 0o644, ""},
		{"a file of the distribution", "low.container", "/etc/containers/systemd/low.container", "/etc/containers/systemd", 0o600, ""},
		{"a new file", "new.container", "/etc/containers/systemd/new.container", "/etc/containers/systemd", 0o644, ""},
		{"a file of a higher directory", "high.container", "", "", 0, "would be hidden by " + root + "/run/containers/systemd/high.container"},
		{"a link to nothing", "masked.container", "", "", 0, "masked.container is a link to /dev/null"},
		{"a section of a .quadlets file", "part.volume", "", "", 0, "part.volume is a section of " + root + "/etc/containers/systemd/m.quadlets"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, e, err := s.Read(c.unit)
			if err != nil && !errors.Is(err, ErrNotFound) {
				t.Fatal(err)
			}
			e.Name = c.unit
			p, err := s.Place(e)
			if c.problem != "" {
				var h interface{ Hint() string }
				if err == nil || !strings.Contains(err.Error(), c.problem) || !errors.As(err, &h) {
					t.Errorf("error %v, want one with a hint: %s", err, c.problem)
				}
				return
			}
			if err == nil {
				err = s.Put(t.Context(), p, []byte("new"))
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.Path != root+c.path || p.Dir != root+c.dir {
				t.Errorf("%+v", p)
			}
			st, err := os.Lstat(root + c.path)
			if err != nil || st.Mode() != c.mode {
				t.Errorf("%v, %v", st, err)
			}
			if data, _, err := s.Read(c.unit); err != nil || string(data) != "new" {
				t.Errorf("what counts is %q, %v", data, err)
			}
		})
	}
	if st, err := os.Lstat(s.Dir + "/linked.container"); err != nil || st.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", st, err)
	}
}

// TestPutNewOverOld: what the search path does not show is not overwritten.
func TestPutNewOverOld(t *testing.T) {
	s := newStore(t)
	path := put(t, map[string]string{"a.container": good})
	s.Dir = path
	p, err := s.Place(Entry{Name: "a.container"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), p, []byte("new")); !errors.Is(err, ErrExists) {
		t.Errorf("%v", err)
	}
}
