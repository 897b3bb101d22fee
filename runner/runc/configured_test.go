// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/safe"
	"go.podman.io/common/pkg/config"
	"golang.org/x/sys/unix"
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

// TestSaidByAPipe: who asks what containers.conf says does not wait for a writer.
func TestSaidByAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "containers.conf")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_CONF", pipe)
	said := make(chan error, 1)
	go func() {
		_, err := Said(nil)
		said <- err
	}()
	select {
	case err := <-said:
		if !errors.Is(err, safe.ErrNotRegular) {
			t.Errorf("got %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("it waits for the pipe")
	}
}

// TestAsked: what containers.conf asks of the runtime reaches its command line, with both ways to
// create a container.
func TestAsked(t *testing.T) {
	r := fake(t, `exit 1`)
	if err := os.WriteFile(r.Command, []byte("#!/bin/sh\necho \"$@\" >>"+r.Command+".args; exit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{false, true} {
		r.NoKeyring, r.NoPivot = want, want
		_, _ = r.Foreground(t.Context(), "x", t.TempDir(), Config{}, Streams{}, nil)
		c, err := r.Create(t.Context(), "x", t.TempDir(), Streams{}, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Configure(Config{}); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		text, err := os.ReadFile(r.Command + ".args")
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		if len(lines) != 2 {
			t.Fatalf("%q", lines)
		}
		for _, line := range lines {
			if got := strings.Contains(line, " --no-new-keyring --no-pivot "); got != want {
				t.Errorf("%v: %s", want, line)
			}
		}
		if err := os.Remove(r.Command + ".args"); err != nil {
			t.Fatal(err)
		}
	}
}
