// SPDX-License-Identifier: Apache-2.0

package manage

import (
	"context"
	"errors"
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
	if paths, errs := s.Install(t.Context(), s.Plan([]string{dir}, nil), false); len(paths) != 2 || len(errs) != 1 {
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
			if _, errs := s.Install(t.Context(), s.Plan([]string{dir}, nil), false); len(errs) > 0 {
				t.Fatal(errs)
			}
			for _, name := range gone {
				if err := os.Remove(filepath.Join(s.Dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			removed, errs := s.Remove(t.Context(), []string{"a.container"}, RemoveOptions{}, manager{}.services())
			if len(errs) > 0 || !slices.Contains(removed, "a.container") || tree(t, s.Dir) != "" {
				t.Errorf("removed %q, %v, left %s", removed, errs, tree(t, s.Dir))
			}
		})
		t.Run("with --all, "+name, func(t *testing.T) {
			s := newStore(t)
			dir := put(t, map[string]string{"a.container": good, "b.container": good, "env": "A=b"})
			if _, errs := s.Install(t.Context(), s.Plan([]string{dir}, nil), false); len(errs) > 0 {
				t.Fatal(errs)
			}
			for _, name := range gone {
				if err := os.Remove(filepath.Join(s.Dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			if removed, errs := s.Remove(t.Context(), nil, RemoveOptions{All: true}, manager{}.services()); len(errs) > 0 || len(removed) == 0 || tree(t, s.Dir) != "" {
				t.Errorf("removed %q, %v, left %s", removed, errs, tree(t, s.Dir))
			}
		})
	}
	t.Run("of a unit with a file beside it", func(t *testing.T) {
		s := newStore(t)
		dir := put(t, map[string]string{"env": "A=b"})
		one := put(t, map[string]string{"a.container": good})
		if _, errs := s.Install(t.Context(), s.Plan([]string{filepath.Join(one, "a.container"), filepath.Join(dir, "env")}, nil), false); len(errs) > 0 {
			t.Fatal(errs)
		}
		if err := os.Remove(filepath.Join(s.Dir, "a.container")); err != nil {
			t.Fatal(err)
		}
		if removed, errs := s.Remove(t.Context(), []string{"a.container"}, RemoveOptions{}, manager{}.services()); len(errs) > 0 || !slices.Equal(removed, []string{"a.container"}) || tree(t, s.Dir) != "" {
			t.Errorf("removed %q, %v, left %s", removed, errs, tree(t, s.Dir))
		}
		if removed, errs := s.Remove(t.Context(), []string{"a.container"}, RemoveOptions{}, manager{}.services()); len(errs) != 1 || len(removed) > 0 {
			t.Errorf("and again: removed %q, %v", removed, errs)
		}
	})
}

// TestRemoveBySupportingFile: it is no name of a unit, and takes no application with it.
func TestRemoveBySupportingFile(t *testing.T) {
	s := newStore(t)
	dir := put(t, map[string]string{"a.container": good, "env": "A=b"})
	if _, errs := s.Install(t.Context(), s.Plan([]string{dir}, nil), false); len(errs) > 0 {
		t.Fatal(errs)
	}
	before := tree(t, s.Dir)
	for _, name := range []string{"env", "shop.quadlets"} {
		if removed, errs := s.Remove(t.Context(), []string{name}, RemoveOptions{}, manager{}.services()); len(errs) != 1 || !errors.Is(errs[0], ErrType) || len(removed) > 0 || tree(t, s.Dir) != before {
			t.Errorf("%s: removed %q, %v, left %s", name, removed, errs, tree(t, s.Dir))
		}
	}
}

// TestRemoveMeetsInstall: while services are being stopped, another podunit installs again what is
// to go, and something beside it.
func TestRemoveMeetsInstall(t *testing.T) {
	s := newStore(t)
	files := map[string]string{"a.container": good, "b.container": good, "env": "A=b"}
	if _, errs := s.Install(t.Context(), s.Plan([]string{put(t, files)}, nil), false); len(errs) > 0 {
		t.Fatal(errs)
	}
	sv := manager{"a.service": {true, "active", "running"}}.services()
	stop := sv.Stop
	sv.Stop = func(service string) error {
		delete(files, "b.container")
		files["new.volume"] = "[Volume]\n"
		if _, errs := s.Install(t.Context(), s.Plan([]string{put(t, files)}, nil), true); len(errs) > 0 {
			t.Error(errs)
		}
		return stop(service)
	}
	removed, errs := s.Remove(t.Context(), []string{"a.container"}, RemoveOptions{Force: true}, sv)
	if len(errs) != 2 || !slices.Equal(removed, []string{"b.container"}) || tree(t, s.Dir) != ".shop.app a.container env new.volume" {
		t.Errorf("removed %q, %v, left %s", removed, errs, tree(t, s.Dir))
	}
	if got, err := s.record(".shop.app"); err != nil || !slices.Contains(got, "new.volume") || !slices.Contains(got, "env") || len(got) != 3 {
		t.Errorf("the record has %q, %v", got, err)
	}
}

// TestLockEnds: who waits for another podunit can be stopped.
func TestLockEnds(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	err := withLock(ctx, dir, func() error {
		cancel()
		return withLock(ctx, dir, func() error { return errors.New("both have it") })
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
