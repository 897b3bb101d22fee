// SPDX-License-Identifier: Apache-2.0

package update

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/generator/settings"
	"golang.org/x/sys/unix"
)

func TestSettings(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/podunit/podunit.conf":                 "[Generator]\nGenerator=force\n[AutoUpdate]\nKeep=3\nHealthWindow=5min\n",
		"home/podunit/podunit.conf":                "[AutoUpdate]\nOnUpdate=tell.service\nKeep=2\nHealthWindow=45\n",
		"home/podunit/podunit.conf.d/50-late.conf": "[AutoUpdate]\nPolicy=sometimes\nJitter=10s\nWindow=3\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadSettings(settings.Where{Root: root, Config: filepath.Join(root, "home")})
	want := Settings{Policy: Registry, HealthWindow: 45 * time.Second, Keep: 2, OnUpdate: "tell.service", Jitter: 10 * time.Second}
	if got != want {
		t.Errorf("%+v; want %+v", got, want)
	}
	for _, part := range []string{"50-late.conf: [AutoUpdate] Policy=sometimes: it is registry, pull, check or disabled", "Window=3: unknown key"} {
		if !strings.Contains(fmt.Sprint(err), part) {
			t.Errorf("%v; want %q", err, part)
		}
	}
}

// TestSettingsOfAStranger: what is no file of settings is told, and never waited for or read
// without end.
func TestSettingsOfAStranger(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "etc/podunit/podunit.conf.d")
	if err := errors.Join(os.MkdirAll(dir, 0o755), unix.Mkfifo(filepath.Join(dir, "1.conf"), 0o644), os.Symlink("/dev/zero", filepath.Join(dir, "2.conf")),
		os.WriteFile(filepath.Join(dir, "3.conf"), []byte(strings.Repeat("#\n", 1<<20)), 0o644), os.Symlink("/dev/null", filepath.Join(dir, "4.conf")),
		os.WriteFile(filepath.Join(dir, "5.conf"), []byte("[AutoUpdate]\nKeep=7\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	got, err := ReadSettings(settings.Where{Root: root})
	if got.Keep != 7 {
		t.Errorf("%+v", got)
	}
	for _, part := range []string{"1.conf: it is not a regular file", "2.conf: it is not a regular file", "3.conf: it is larger than 1 MiB"} {
		if !strings.Contains(fmt.Sprint(err), part) {
			t.Errorf("%v; want %q", err, part)
		}
	}
	if strings.Contains(fmt.Sprint(err), "4.conf") {
		t.Errorf("%v", err)
	}
}

func TestLimit(t *testing.T) {
	for policy, want := range map[Policy]string{Registry: "[registry local]", Pull: "[pull local]", Check: "[check check]", Disabled: "[]"} {
		got := []Policy{}
		for _, x := range (Settings{Policy: policy}).Limit([]Target{{Policy: Registry}, {Policy: Local}}) {
			got = append(got, x.Policy)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: %v; want %s", policy, got, want)
		}
	}
}
