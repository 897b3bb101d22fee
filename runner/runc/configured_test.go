// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"os"
	"path/filepath"
	"testing"

	"go.podman.io/common/pkg/config"
)

func TestConfigured(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine")
	if err := os.WriteFile(mine, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if err := os.Symlink("mine", filepath.Join(dir, "crun")); err != nil { // installed, and not asked for
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                         "",
		"[containers]\ninit=true":  "",
		"[engine]\nruntime='runc'": "",
		"[engine]\nruntime='crun'\n[engine.runtimes]\ncrun=[]":              "crun",
		"[engine]\nruntime='nosuch'":                                        "nosuch",
		"[engine]\nruntime='m'\n[engine.runtimes]\nm=['/x','" + mine + "']": mine,
	} {
		file := filepath.Join(dir, "containers.conf")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("CONTAINERS_CONF", file)
		conf, err := config.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Configured(conf, nil); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
}
