// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// TestInterruptible: what waits for ever is left behind when somebody ends it, and what ends by
// itself says how.
func TestInterruptible(t *testing.T) {
	failed := errors.New("failed")
	if err := Interruptible(t.Context(), func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	never := make(chan struct{})
	defer close(never)
	waits := Waits(&cobra.Command{RunE: func(*cobra.Command, []string) error {
		cancel()
		<-never
		return nil
	}})
	waits.SetContext(ctx)
	ended := make(chan error, 1)
	go func() { ended <- waits.RunE(waits, nil) }()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	case <-time.After(time.Minute):
		t.Error("it waits for ever")
	}
	// Who heeds the context may say so.
	if err := Interruptible(ctx, func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
}

// TestToFileGivenUp: an archive that is given up leaves no file.
func TestToFileGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	path := filepath.Join(t.TempDir(), "archive")
	err := (&Env{}).ToFile(ctx, path, func(w io.Writer) error {
		for range 3 {
			if _, err := w.Write([]byte("x")); err != nil {
				return err
			}
			cancel()
		}
		return nil
	})
	if _, there := os.Lstat(path); !errors.Is(err, context.Canceled) || !errors.Is(there, fs.ErrNotExist) {
		t.Errorf("%v, and the file: %v", err, there)
	}
}
