// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
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

// TestOutputThatNobodyReads: a list that goes to a pipe without a reader holds nobody up once the
// verb is to end. All of it arrives where somebody reads, and what is no pipe is left as it is.
func TestOutputThatNobodyReads(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithCancel(t.Context())
	out := output(ctx, writer)
	list := bytes.Repeat([]byte("a line\n"), 1<<17)
	go func() { _, _ = out.Write(list) }()
	got := make([]byte, len(list))
	if _, err := io.ReadFull(reader, got); err != nil || !bytes.Equal(got, list) {
		t.Errorf("the reader has another list: %v", err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := out.Write(list)
		ended <- err
	}()
	if _, err := reader.Read(got[:1]); err != nil { // it is under way
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits for ever")
	}
	if n, err := out.Write([]byte("x")); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("and then: %d, %v", n, err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "list"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if out := output(ctx, file); out != io.Writer(file) {
		t.Errorf("a file is taken for a pipe: %T", out)
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
