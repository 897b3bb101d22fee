// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/safe"
)

func TestANegativeTimeoutWaitsForEver(t *testing.T) {
	if seconds(-1) < 100*365*24*time.Hour {
		t.Error("-1 is not for ever")
	}
	if seconds(3) != 3*time.Second {
		t.Error("3 is not three seconds")
	}
}

func TestIDsOf(t *testing.T) {
	dir := t.TempDir()
	there, missing := filepath.Join(dir, "there"), filepath.Join(dir, "missing")
	if err := os.WriteFile(there, []byte("abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ids, err := IDsOf([]string{missing, there}, true)
	if err != nil || !slices.Equal(ids, []string{"abc"}) {
		t.Errorf("ignoring what is missing: %q, %v", ids, err)
	}
	ids, err = IDsOf([]string{missing, there}, false)
	if !errors.Is(err, os.ErrNotExist) || !slices.Equal(ids, []string{"abc"}) {
		t.Errorf("one missing: %q, %v", ids, err)
	}
	if _, err := IDsOf([]string{dir}, true); err == nil {
		t.Error("a directory can be read")
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, "/dev/zero"} { // of which one keeps the reader waiting, and one has no end
		if _, err := IDsOf([]string{path}, true); !errors.Is(err, safe.ErrNotRegular) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
