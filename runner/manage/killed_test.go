// SPDX-License-Identifier: Apache-2.0

package manage

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestInstallAfterAKill: what was half-written goes, and what exists already becomes no part of an
// application that does not install it.
func TestInstallAfterAKill(t *testing.T) {
	s := newStore(t)
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{".podunit-1.tmp": "half", "other.tmp": "", "mine.container": good, ".shop.app": "a.container\nenv\n"} {
		if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dir := put(t, map[string]string{"a.container": good, "mine.container": good, "env": "A=b"})
	if paths, errs := s.Install(s.Plan([]string{dir}, nil), false); len(paths) != 2 || len(errs) != 1 {
		t.Errorf("%q, %v", paths, errs)
	}
	if got := tree(t, s.Dir); got != ".shop.app a.container env mine.container other.tmp" {
		t.Errorf("left: %s", got)
	}
	if got, err := s.record(".shop.app"); err != nil || !slices.Equal(got, []string{"a.container", "env"}) {
		t.Errorf("the record has %q, %v", got, err)
	}
}

// TestRemoveAfterAKill: a removal that was killed is finished by the same command.
func TestRemoveAfterAKill(t *testing.T) {
	for name, gone := range map[string][]string{
		"of an application, after one unit":  {"env", "a.container"},
		"of an application, after all units": {"env", "a.container", "b.container"},
		"before any unit":                    {"env"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			dir := put(t, map[string]string{"a.container": good, "b.container": good, "env": "A=b"})
			if _, errs := s.Install(s.Plan([]string{dir}, nil), false); len(errs) > 0 {
				t.Fatal(errs)
			}
			for _, name := range gone {
				if err := os.Remove(filepath.Join(s.Dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			removed, errs := s.Remove([]string{"a.container"}, RemoveOptions{}, manager{}.services())
			if len(errs) > 0 || !slices.Contains(removed, "a.container") || tree(t, s.Dir) != "" {
				t.Errorf("removed %q, %v, left %s", removed, errs, tree(t, s.Dir))
			}
		})
	}
	t.Run("of a unit with a file beside it", func(t *testing.T) {
		s := newStore(t)
		dir := put(t, map[string]string{"env": "A=b"})
		one := put(t, map[string]string{"a.container": good})
		if _, errs := s.Install(s.Plan([]string{filepath.Join(one, "a.container"), filepath.Join(dir, "env")}, nil), false); len(errs) > 0 {
			t.Fatal(errs)
		}
		if err := os.Remove(filepath.Join(s.Dir, "a.container")); err != nil {
			t.Fatal(err)
		}
		if removed, errs := s.Remove([]string{"a.container"}, RemoveOptions{}, manager{}.services()); len(errs) > 0 || !slices.Equal(removed, []string{"a.container"}) || tree(t, s.Dir) != "" {
			t.Errorf("removed %q, %v, left %s", removed, errs, tree(t, s.Dir))
		}
		if removed, errs := s.Remove([]string{"a.container"}, RemoveOptions{}, manager{}.services()); len(errs) != 1 || len(removed) > 0 {
			t.Errorf("and again: removed %q, %v", removed, errs)
		}
	})
}
