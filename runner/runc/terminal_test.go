// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestATerminalForWhoHasNone: a runtime that is to give the container a terminal finds one among
// its streams, and what it says there is heard.
func TestATerminalForWhoHasNone(t *testing.T) {
	if _, err := os.Stat("/dev/ptmx"); err != nil {
		t.Skip("no /dev/ptmx")
	}
	dir := t.TempDir()
	runtime := filepath.Join(dir, "runtime")
	script := "#!/bin/sh\ntest -t 2 && echo found && stty size <&2 && echo words >&2\n"
	if err := os.WriteFile(runtime, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	r := Runtime{Command: runtime, Root: dir}
	var files [2]*os.File
	for i, name := range []string{"process", "log"} {
		if files[i], err = os.Create(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	x := Execution{ID: "x", Process: files[0], Log: files[1], TTY: true, Streams: Streams{Stdout: out, Stderr: said}}
	code, err := r.Exec(context.Background(), x)
	if err != nil || code != 0 {
		t.Fatalf("%d, %v", code, err)
	}
	if text, err := os.ReadFile(out.Name()); err != nil || string(text) != "found\n24 80\n" {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := os.ReadFile(said.Name()); err != nil || !strings.Contains(string(text), "words") {
		t.Errorf("%q, %v", text, err)
	}
}

// TestWhatIsLoggedAlso: an attached container's output goes on to the terminal and to the log, and
// a log that is not there any more stops nothing.
func TestWhatIsLoggedAlso(t *testing.T) {
	dir := t.TempDir()
	runtime := filepath.Join(dir, "runtime")
	if err := os.WriteFile(runtime, []byte("#!/bin/sh\necho out; echo err >&2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	stdout, err := os.Create(filepath.Join(dir, "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	closed, err := os.Create(filepath.Join(dir, "closed"))
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	s := Streams{Stdout: stdout, Stderr: stderr, AlsoStdout: &log, AlsoStderr: closed}
	if _, err := (Runtime{Command: runtime, Root: dir}).Foreground(context.Background(), "x", dir, Config{}, s, nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"stdout": "out\n", "stderr": "err\n"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if log.String() != "out\n" {
		t.Errorf("the log: %q", log.String())
	}
}
