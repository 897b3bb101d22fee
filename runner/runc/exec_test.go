// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// TestFilesOfAnExec: what is handed on has the numbers from 3 on, and the runtime still finds the
// process and its log.
func TestFilesOfAnExec(t *testing.T) {
	dir := t.TempDir()
	runtime := filepath.Join(dir, "runtime")
	// --root R --log L --log-format json exec --process P --preserve-fds N ID
	script := "#!/bin/sh\nshift 2; log=$2; shift 5; read -r process <$2; read -r first <&3; read -r second <&4; echo said >>$log; echo $process $first $second $3 $4 $5\n"
	if err := os.WriteFile(runtime, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) *os.File {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	out := file("out", "")
	x := Execution{ID: "id", Process: file("process", "process\n"), Log: file("log", ""), Streams: Streams{Stdout: out, Stderr: os.Stderr, Files: []*os.File{file("a", "first\n"), file("b", "second\n")}}}
	if code, err := (Runtime{Command: runtime, Root: dir}).Exec(context.Background(), x); err != nil || code != 0 {
		t.Fatalf("%d, %v", code, err)
	}
	for name, want := range map[string]string{"out": "process first second --preserve-fds 2 id\n", "log": "said\n"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
