// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"golang.org/x/sys/unix"
)

// TestYAMLOfAPipe: a pipe is refused, which nobody may ever write, with the way that takes it.
func TestYAMLOfAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sources(&cli.Env{}, []string{pipe}); err == nil || !strings.Contains(hint.Of(err), "standard input: < "+pipe) {
		t.Errorf("%v, hint %q", err, hint.Of(err))
	}
	if _, err := sources(&cli.Env{}, []string{filepath.Dir(pipe)}); err == nil || hint.Of(err) != "" {
		t.Errorf("a directory: %v, hint %q", err, hint.Of(err))
	}
}
