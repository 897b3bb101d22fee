// SPDX-License-Identifier: Apache-2.0

package manage

import (
	"errors"
	"os"
	"slices"
	"testing"
)

// TestStale: who replaces files is told which services go on with the old ones.
func TestStale(t *testing.T) {
	s := newStore(t)
	app := map[string]string{"web.container": good, "db.container": good, "t@.container": good, "web.env": "A=b\n"}
	if _, errs := s.Install(t.Context(), s.Plan([]string{put(t, app)}, nil), false); len(errs) > 0 {
		t.Fatal(errs)
	}
	m := manager{"web.service": {true, "active", "running"}, "t@one.service": {true, "active", "running"}, "db.service": {true, "inactive", "dead"}, "new.service": {true, "active", "running"}}
	for _, c := range []struct {
		name           string
		change         map[string]string
		changes, stale []string
	}{
		{"nothing", nil, nil, nil},
		{"a unit that runs", map[string]string{"web.container": good + "#\n"}, []string{"web.container"}, []string{"web.service"}},
		{"a unit that does not run", map[string]string{"db.container": good + "#\n"}, []string{"db.container"}, nil},
		{"a template", map[string]string{"t@.container": good + "#\n"}, []string{"t@.container"}, []string{"t@one.service"}},
		{"a file beside", map[string]string{"web.env": "A=c\n"}, []string{"db.container", "t@.container", "web.container"}, []string{"t@one.service", "web.service"}},
		{"a unit that is new", map[string]string{"new.container": good}, nil, nil},
	} {
		files := map[string]string{}
		for name, text := range app {
			files[name] = text
		}
		for name, text := range c.change {
			files[name] = text
		}
		changes := s.Changes(s.Plan([]string{put(t, files)}, nil))
		slices.Sort(changes)
		stale, err := s.Stale(changes, m.services())
		if err != nil || !slices.Equal(changes, c.changes) || !slices.Equal(stale, c.stale) {
			t.Errorf("%s: changes %q, stale %q, %v", c.name, changes, stale, err)
		}
	}
}

// TestNotFound: who gives the name of the service or of the container is told the name of the file.
func TestNotFound(t *testing.T) {
	s := newStore(t)
	s.Install(t.Context(), s.Plan([]string{put(t, map[string]string{"web.container": good, "data.volume": "", "data.network": ""})}, nil), false)
	for name, want := range map[string]string{
		"web": "did you mean web.container?", "web.service": "did you mean web.container?", "systemd-web": "did you mean web.container?",
		"data": "did you mean data.network or data.volume?", "data-volume": "did you mean data.volume?", "wbe.container": "did you mean web.container?", "other": "",
	} {
		_, _, err := s.Read(name)
		_, errs := s.Remove(t.Context(), []string{name}, RemoveOptions{}, manager{}.services())
		for _, err := range append(errs, err) {
			var h interface{ Hint() string }
			hint := ""
			if errors.As(err, &h) {
				hint = h.Hint()
			}
			if err == nil || hint != want {
				t.Errorf("%s: %v, hint %q, want %q", name, err, hint, want)
			}
		}
	}
}

// TestInstallMode: a private file stays private where it is installed.
func TestInstallMode(t *testing.T) {
	s := newStore(t)
	dir := put(t, map[string]string{"a.container": good, "b.container": good, "b.env": "A=b\n"})
	for name, mode := range map[string]os.FileMode{"a.container": 0o600, "b.container": 0o644, "b.env": 0o640} {
		if err := os.Chmod(dir+"/"+name, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, replace := range []bool{false, true} {
		if _, errs := s.Install(t.Context(), s.Plan([]string{dir}, nil), replace); len(errs) > 0 {
			t.Fatal(errs)
		}
		for name, want := range map[string]os.FileMode{"a.container": 0o600, "b.container": 0o644, "b.env": 0o640} {
			if st, err := os.Stat(s.Dir + "/" + name); err != nil || st.Mode().Perm() != want {
				t.Errorf("%s: %v, %v, want %o", name, st.Mode(), err, want)
			}
		}
	}
}
