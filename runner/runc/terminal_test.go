// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"bytes"
	"context"
	"io"
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

// TestFilesStayTheCallers: runc makes the container's user the owner of each stream that it gets,
// so a file that a shell has opened does not reach it.
func TestFilesStayTheCallers(t *testing.T) {
	dir := t.TempDir()
	runtime := filepath.Join(dir, "runtime")
	script := "#!/bin/sh\nfor n in 0 1 2; do readlink /proc/$$/fd/$n; done; cat; echo err >&2\n"
	if err := os.WriteFile(runtime, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	var files [5]*os.File
	for i, name := range []string{"in", "out", "err", "process", "log"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("words"), 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
		if files[i], err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
			t.Fatal(err)
		}
	}
	r, s := Runtime{Command: runtime, Root: dir}, Streams{Stdin: files[0], Stdout: files[1], Stderr: files[2]}
	for what, run := range map[string]func() (int, error){
		"run": func() (int, error) { return r.Foreground(context.Background(), "x", dir, Config{}, s, nil) },
		"exec": func() (int, error) {
			return r.Exec(context.Background(), Execution{ID: "x", Process: files[3], Log: files[4], Streams: s})
		},
	} {
		for _, f := range files {
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
		}
		if code, err := run(); err != nil || code != 0 {
			t.Fatalf("%s: %d, %v", what, code, err)
		}
		text, err := os.ReadFile(files[1].Name())
		if err != nil || strings.Count(string(text), "pipe:[") != 3 || !strings.HasSuffix(string(text), "words") {
			t.Errorf("%s: %q, %v", what, text, err)
		}
		if text, err := os.ReadFile(files[2].Name()); err != nil || !strings.HasPrefix(string(text), "err\n") {
			t.Errorf("%s: %q, %v", what, text, err)
		}
	}
}
