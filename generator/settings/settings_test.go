// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
		errs  int
	}{
		{"nothing", nil, Yield, 0},
		{"the main file", map[string]string{"etc/podunit/podunit.conf": "# comment\n[Generator]\nGenerator=force\n"}, Force, 0},
		{"the administrator's main file replaces the distribution's", map[string]string{
			"etc/podunit/podunit.conf": "", "usr/lib/podunit/podunit.conf": "[Generator]\nGenerator=force\n"}, Yield, 0},
		{"the user's main file", map[string]string{"home/podunit/podunit.conf": "[Generator]\nGenerator=force\n", "etc/podunit/podunit.conf": "[Generator]\nGenerator=yield\n"}, Force, 0},
		{"the user's main file adds to the system's", map[string]string{"home/podunit/podunit.conf": "", "etc/podunit/podunit.conf": "[Generator]\nGenerator=force\n"}, Force, 0},
		{"the last drop-in counts", map[string]string{
			"etc/podunit/podunit.conf.d/10-a.conf": "[Generator]\nGenerator=yield\n", "usr/lib/podunit/podunit.conf.d/20-b.conf": "[Generator]\nGenerator=force\n"}, Force, 0},
		{"a drop-in hides one of its name", map[string]string{
			"etc/podunit/podunit.conf.d/20-b.conf": "", "usr/lib/podunit/podunit.conf.d/20-b.conf": "[Generator]\nGenerator=force\n"}, Yield, 0},
		{"other files do not count", map[string]string{"etc/podunit/podunit.conf.d/20-b.txt": "[Generator]\nGenerator=force\n"}, Yield, 0},
		{"an unknown value", map[string]string{"etc/podunit/podunit.conf": "[Generator]\nGenerator=maybe\n"}, Yield, 1},
		{"no settings file", map[string]string{"etc/podunit/podunit.conf": "[Generator\n=\n"}, Yield, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range c.files {
				path := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, errs := Where{Root: root, Config: filepath.Join(root, "home")}.Read()
			if got.Generator != c.want || len(errs) != c.errs {
				t.Errorf("%q, %v", got.Generator, errs)
			}
		})
	}
}

// TestNoFile: what is no file of settings is told at once, and does not hold up the boot.
func TestNoFile(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a FIFO":            func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"an endless device": func(path string) error { return os.Symlink("/dev/zero", path) },
		"a huge file":       func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("#\n"), maxSize), 0o644) },
		"a directory":       func(path string) error { return os.Mkdir(path, 0o755) },
	} {
		root := t.TempDir()
		path := filepath.Join(root, "etc/podunit/podunit.conf")
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), put(path)); err != nil {
			t.Fatal(err)
		}
		done := reading(Where{Root: root})
		select {
		case errs := <-done:
			if len(errs) != 1 || !strings.Contains(errs[0].Error(), path) {
				t.Errorf("%s: %v", name, errs)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s is waited for", name)
		}
	}
}

func reading(w Where) <-chan []error {
	done := make(chan []error, 1)
	go func() {
		_, errs := w.Read()
		done <- errs
	}()
	return done
}
