// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/pkg/config"
)

// TestLoginName goes by the user ID, whatever sudo(8) left in the environment; the environment knows
// users of a directory, who are not in /etc/passwd.
func TestLoginName(t *testing.T) {
	for uid, want := range map[int]string{0: "root", 1<<31 - 3: "carol"} {
		e := &Env{User: rootless.Identity{UID: uid}, Lookup: func(name string) (string, bool) { return "carol", name == "USER" }}
		if got := e.LoginName(); got != want {
			t.Errorf("%d: %q, want %q", uid, got, want)
		}
	}
}

// TestLogDriverOfTheFiles: the library's own choice for a user who cannot read the journal is none.
func TestLogDriverOfTheFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "containers.conf")
	t.Setenv("CONTAINERS_CONF", file)
	for text, want := range map[string]string{"": "", "log_driver='k8s-file'\n": spec.LogFile} {
		if err := os.WriteFile(file, []byte("[containers]\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		e := &Env{conf: &config.Config{Containers: config.ContainersConfig{LogDriver: spec.LogFile}}}
		if got := e.Host().Config.Containers.LogDriver; got != want {
			t.Errorf("a file with %q: %q, want %q", text, got, want)
		}
	}
}

// TestFilesThatCannotBeReadAgain: whoever has read the command line does not go on with a log driver
// that no file may have named.
func TestFilesThatCannotBeReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "containers.conf")
	t.Setenv("CONTAINERS_CONF", file)
	if err := os.WriteFile(file, []byte("[containers\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := &Env{conf: &config.Config{Containers: config.ContainersConfig{LogDriver: spec.LogFile}}}
	opened := false
	open := func(context.Context, service.Config) (*service.Engine, error) {
		opened = true
		return nil, nil
	}
	if _, err := e.open(t.Context(), open); err != nil || !opened {
		t.Fatalf("before: %v", err)
	}
	e.Host()
	opened = false
	if _, err := e.open(t.Context(), open); err == nil || !strings.Contains(err.Error(), "containers.conf") || opened {
		t.Errorf("%v", err)
	}
}
