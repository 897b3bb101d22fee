// SPDX-License-Identifier: Apache-2.0

package source

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func put(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func paths(root string, dirs []Dir) string {
	var out []string
	for _, d := range dirs {
		out = append(out, strings.TrimPrefix(d.Path, root))
	}
	return strings.Join(out, " ")
}

func TestDirs(t *testing.T) {
	root := t.TempDir()
	put(t, root, map[string]string{
		"etc/containers/systemd/users/1000/own/x": "", "etc/containers/systemd/users/1001/x": "", "etc/containers/systemd/users/team/7/x": "",
		"etc/containers/systemd/app/x": "", "etc/containers/systemd/a.container.d/x": "", "usr/share/containers/systemd/users/1001/x": "",
		"run/containers/systemd/x": "", "home/.config/containers/systemd/x": "", "run/user/1000/containers/systemd/x": "",
	})
	for _, c := range []struct {
		name     string
		search   Search
		env      map[string]string
		want     string
		warnings int
	}{
		{"the system's", Search{}, nil, "/run/containers/systemd /etc/containers/systemd /etc/containers/systemd/app /usr/share/containers/systemd", 0},
		{"a user's", Search{User: true, UID: 1000}, map[string]string{"HOME": root + "/home", "XDG_RUNTIME_DIR": root + "/run/user/1000"},
			"/run/user/1000/containers/systemd /home/.config/containers/systemd /etc/containers/systemd/users /etc/containers/systemd/users/team " +
				"/etc/containers/systemd/users/team/7 /etc/containers/systemd/users/1000 /etc/containers/systemd/users/1000/own " +
				"/usr/share/containers/systemd/users /usr/share/containers/systemd/users/1000", 0},
		{"a user without a home", Search{User: true, UID: 7}, nil, "/etc/containers/systemd/users /etc/containers/systemd/users/team /etc/containers/systemd/users/team/7 " +
			"/etc/containers/systemd/users/7 /usr/share/containers/systemd/users /usr/share/containers/systemd/users/7", 1},
		{"a user with a relative home", Search{User: true, UID: -1}, map[string]string{"XDG_CONFIG_HOME": "rel"}, "/etc/containers/systemd/users /usr/share/containers/systemd/users", 2},
		{"given directories", Search{User: true}, map[string]string{"QUADLET_UNIT_DIRS": root + "/etc/containers/systemd/app:" + root + "/none:rel:" + root + "/run"},
			"/etc/containers/systemd/app /none", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.search.Root = root
			c.search.Getenv = func(name string) string { return c.env[name] }
			dirs, list := c.search.Dirs()
			if got := paths(root, dirs); got != c.want || len(list) != c.warnings {
				t.Errorf("got  %s\nwant %s\n%v", got, c.want, list)
			}
		})
	}
}

func TestTooManyDirs(t *testing.T) {
	root := t.TempDir()
	for i := range maxDirs + 10 {
		if err := os.MkdirAll(filepath.Join(root, "d", string(rune('a'+i%26)), string(rune('a'+i/26%26)), string(rune('a'+i/676))), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dirs, list := Search{Getenv: func(name string) string {
		if name == "QUADLET_UNIT_DIRS" {
			return root
		}
		return ""
	}}.Dirs()
	if len(dirs) != maxDirs || len(list) != 1 || list.Errors() != 1 {
		t.Errorf("%d directories, %v", len(dirs), list)
	}
}

func TestSplit(t *testing.T) {
	sections, faults := Split("f", []byte("\n---\n\n# x\n#FileName= one \n[Unit]\nA=b\n[CONTAINER]\n  ---  \n[Pod]\n# FileName=two\n# FileName=three\n"))
	if len(faults) > 0 || len(sections) != 2 {
		t.Fatalf("%v, %v", sections, faults)
	}
	if s := sections[0]; s.Base != "one.container" || s.Source.Skip != 3 || !strings.HasPrefix(s.Source.Text, "# x\n") || !strings.HasSuffix(s.Source.Text, "[CONTAINER]") {
		t.Errorf("%s, %+v", s.Base, s.Source)
	}
	if s := sections[1]; s.Base != "two.pod" || s.Source.Skip != 9 {
		t.Errorf("%s, %+v", s.Base, s.Source)
	}
}

// TestSplitRejects: who installs a file gets all of it or nothing.
func TestSplitRejects(t *testing.T) {
	sections, faults := Split("f", []byte("# FileName=one\n[Pod]\n---\n[Pod]\n"))
	if len(sections) != 0 || len(faults) != 1 || faults[0].Pos.Line != 4 {
		t.Errorf("%v, %v", sections, faults)
	}
}

// TestManySections: a file with many units and many faults says each fault to a bounded number of
// readers.
func TestManySections(t *testing.T) {
	root := t.TempDir()
	var b strings.Builder
	for i := range 2000 {
		b.WriteString("# FileName=n" + strconv.Itoa(i) + "\n[Pod]\n---\n[Pod]\n---\n")
	}
	put(t, root, map[string]string{"many.quadlets": b.String()})
	dirs, _ := Search{Getenv: func(name string) string { return map[string]string{"QUADLET_UNIT_DIRS": root}[name] }}.Dirs()
	l := Load(dirs, false)
	if len(l.Units) != 2000 || len(l.Units[0].Faults) != maxShared || len(l.Report) != 50-maxShared {
		t.Errorf("%d units with %d faults each, %d of the run", len(l.Units), len(l.Units[0].Faults), len(l.Report))
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("# FileName=a\n[Container]\n---\n# FileName=b\n[Pod]\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows := strings.Split(text, "\n")
		sections, faults := split("f", []byte(text))
		for _, d := range faults {
			if d.Pos.Line < 0 || d.Pos.Line > len(rows) {
				t.Fatalf("a fault outside of the file: %s", d.Place())
			}
		}
		for _, s := range sections {
			if strings.ContainsAny(s.Base, "/\\") || strings.HasPrefix(s.Base, ".container") {
				t.Fatalf("name %q", s.Base)
			}
			if first, _, _ := strings.Cut(s.Source.Text, "\n"); !strings.Contains(rows[s.Source.Skip], strings.TrimSpace(first)) {
				t.Fatalf("section %s does not begin in line %d", s.Base, s.Source.Skip+1)
			}
		}
	})
}

// TestDropInDirUnreadable: what every unit would read is missed by every unit, whichever looks first.
func TestDropInDirUnreadable(t *testing.T) {
	root := t.TempDir()
	files := map[string]string{"container.d/10-x.conf": "[Container]\nReadOnly=yes\n", "other.volume": ""}
	for i := range 20 {
		files["c"+strconv.Itoa(i)+".container"] = "[Container]\nImage=localhost/a\n"
	}
	put(t, root, files)
	dirs, _ := Search{Getenv: func(name string) string { return map[string]string{"QUADLET_UNIT_DIRS": root}[name] }}.Dirs()
	// Tests may run as root, who can read everything. What was a directory a moment ago is none now.
	if err := os.RemoveAll(filepath.Join(root, "container.d")); err != nil {
		t.Fatal(err)
	}
	put(t, root, map[string]string{"container.d": ""})
	for _, in := range Load(dirs, false).Units {
		want := 1
		if in.Base == "other.volume" {
			want = 0
		}
		if len(in.Faults) != want || want == 1 && !strings.Contains(in.Faults[0].Message, "cannot be read: ") {
			t.Errorf("%s: %v", in.Base, in.Faults)
		}
	}
}
