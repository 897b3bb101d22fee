// SPDX-License-Identifier: Apache-2.0

package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/container"
)

// TestNewRuntime has the runtime of a new container come from --runtime, else from containers.conf,
// else be runc.
func TestNewRuntime(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine")
	if err := os.WriteFile(mine, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ conf, flag, want, err string }{
		"nobody said anything":      {"", "", "", ""},
		"the file":                  {"[engine]\nruntime='m'\n[engine.runtimes]\nm=['" + mine + "']", "", mine, ""},
		"a flag over it":            {"[engine]\nruntime='nosuch'", "mine", "mine", ""},
		"one that is not installed": {"[engine]\nruntime='nosuch'", "", "", "runtime of containers.conf: the OCI runtime nosuch is not installed"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, "containers.conf")
			if err := os.WriteFile(file, []byte(tc.conf), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("CONTAINERS_CONF", file)
			conf, err := ReadConf(nil)
			if err != nil {
				t.Fatal(err)
			}
			e := &Engine{Config: Config{Runtime: tc.flag}, Containers: &container.Engine{Config: conf}}
			got, err := e.newRuntime()
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("got %q, %v", got, err)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
			if name == "the file" && e.Containers.Runtime.Command != mine {
				t.Errorf("it would be started with %q", e.Containers.Runtime.Command)
			}
		})
	}
	t.Setenv("CONTAINERS_CONF", filepath.Join(dir, "nowhere"))
	if _, err := ReadConf(nil); err == nil {
		t.Error("a file that is named and not there is no error")
	}
}
