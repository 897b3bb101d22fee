// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"context"
	"errors"
	"os"
	"testing"
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
