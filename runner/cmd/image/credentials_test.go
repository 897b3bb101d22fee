// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/cli"
)

// TestCredentialsHalfWritten: logging out removes what a killed login has left, and nothing else.
func TestCredentialsHalfWritten(t *testing.T) {
	for name, file := range map[string]string{"the usual file": "", "a file of its own": "auth.json"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("REGISTRY_AUTH_FILE", "")
			t.Setenv("DOCKER_CONFIG", "")
			dir := t.TempDir()
			t.Setenv("XDG_RUNTIME_DIR", dir)
			dir = filepath.Join(dir, "containers")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			old := time.Now().Add(-2 * writing)
			for name, at := range map[string]time.Time{"auth.json": old, ".tmp-auth.json123": old, ".tmp-auth.json456": time.Now(), ".tmp-other.json1": old, "other": old} {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(`{"auths": {"localhost:1": {"auth": "dTpw"}}}`), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(path, at, at); err != nil {
					t.Fatal(err)
				}
			}
			want := []string{".tmp-auth.json456", ".tmp-other.json1", "auth.json", "other"}
			if os.Geteuid() == 0 { // who is not cannot make a stranger's file
				theirs := filepath.Join(dir, ".tmp-auth.json789")
				if err := errors.Join(os.WriteFile(theirs, nil, 0o600), os.Chtimes(theirs, old, old), os.Chown(theirs, 65534, 65534)); err != nil {
					t.Fatal(err)
				}
				want = slices.Insert(want, 1, filepath.Base(theirs))
			}
			cmd := NewLogout(&cli.Env{Lookup: os.LookupEnv, Stdout: os.Stderr})
			args := []string{"localhost:1"}
			if file != "" {
				args = append(args, "--authfile", filepath.Join(dir, file))
			}
			cmd.SetArgs(args)
			if err := cmd.Execute(); err != nil {
				t.Fatal(err)
			}
			var left []string
			entries, err := os.ReadDir(dir)
			for _, e := range entries {
				left = append(left, e.Name())
			}
			if err != nil || !slices.Equal(left, want) {
				t.Errorf("%q, want %q: %v", left, want, err)
			}
		})
	}
}
