// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.podman.io/storage/pkg/configfile"
	"golang.org/x/sys/unix"
)

func TestSettings(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	dir := filepath.Join(home, "config", "containers")
	file := configfile.File{Name: "containers", Extension: "conf", EnvironmentName: "CONTAINERS_CONF", UserId: 1000}
	pipe := filepath.Join(home, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	huge := filepath.Join(home, "huge")
	if err := os.WriteFile(huge, []byte("[engine]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	small := filepath.Join(home, "small")
	if err := os.WriteFile(small, []byte("[engine]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, settingsLimit+1); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]error{
		pipe: ErrNotRegular, "/dev/zero": ErrNotRegular, huge: ErrTooLarge,
		small: nil, "/dev/null": nil, filepath.Join(home, "nowhere"): nil, home: nil,
	} {
		for _, at := range []string{"containers.conf", "containers.conf.d/10-x.conf", "containers.conf.modules/m"} {
			name := filepath.Join(dir, at)
			if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(to, name); err != nil {
				t.Fatal(err)
			}
			f := file
			f.Modules = []string{"m"}
			if err := Settings(f); !errors.Is(err, want) {
				t.Errorf("%s leads to %s: %v, want %v", at, to, err, want)
			}
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		for _, variable := range []string{"CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE"} {
			t.Run(variable, func(t *testing.T) {
				t.Setenv(variable, to)
				if err := Settings(file); !errors.Is(err, want) {
					t.Errorf("%s is %s: %v, want %v", variable, to, err, want)
				}
			})
		}
	}
	t.Setenv("CONTAINERS_CONF", "/dev/fd/63") // as a shell writes <(COMMAND)
	if err := Settings(file); err != nil {
		t.Error(err)
	}
}
