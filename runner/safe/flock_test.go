// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFlock(t *testing.T) {
	open := func() *os.File {
		f, err := os.Open(t.TempDir() + "/..")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	first, second := open(), open()
	if err := Flock(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	if err := Flock(ctx, second); !errors.Is(err, stop) {
		t.Errorf("of a lock that another has: %v", err)
	}
	got := make(chan error, 1)
	go func() { got <- Flock(t.Context(), second) }()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Errorf("after the other has let go: %v", err)
	}
}

// TestTryFlock: whoever takes the lock of a file that its holder has removed would hold it alone,
// together with whoever makes the file anew.
func TestTryFlock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	try := func(want bool) *os.File {
		t.Helper()
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		if held, err := TryFlock(f); held != want || err != nil {
			t.Errorf("held %t, %v; want %t", held, err, want)
		}
		return f
	}
	first := try(true)
	second := try(false)
	if err := errors.Join(os.Remove(path), first.Close()); err != nil {
		t.Fatal(err)
	}
	if held, err := TryFlock(second); held || err != nil {
		t.Errorf("of a file that is gone: held %t, %v", held, err)
	}
	third := try(true)
	if held, err := TryFlock(second); held || err != nil {
		t.Errorf("of a file in whose place is another one: held %t, %v", held, err)
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	if held, err := TryFlock(third); held || !errors.Is(err, os.ErrClosed) && !errors.Is(err, unix.EBADF) {
		t.Errorf("of a file that is closed: held %t, %v", held, err)
	}
}
