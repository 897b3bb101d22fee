// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fake is a runtime made of a shell script; $LOG is where it may complain.
func fake(t *testing.T, script string) Runtime {
	t.Helper()
	path := filepath.Join(t.TempDir(), "runc")
	text := "#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in --log) LOG=$2 ;; --root) ROOT=$2 ;; esac; shift; done\n" + script
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return Runtime{Command: path, Root: filepath.Join(t.TempDir(), "state")}
}

func TestWhatTheRuntimeSaysBecomesOneOfOurErrors(t *testing.T) {
	for _, c := range []struct {
		name, says string
		want       error
	}{
		{"a command that is not there", `exec: \"nosuch\": executable file not found in $PATH`, ErrNotFound},
		{"a file that may not be executed", `exec: \"/etc/passwd\": permission denied`, ErrNotExecutable},
		{"a binary of another machine", `exec /x: exec format error`, ErrNotExecutable},
		{"a directory that is not there", `chdir to cwd (\"/nope\") set in config.json failed: no such file or directory`, ErrNoDirectory},
		{"a container it does not know", `container does not exist`, ErrNoContainer},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := fake(t, `printf '{"level":"error","msg":"runc run failed: unable to start container process: `+strings.ReplaceAll(c.says, `\`, `\\`)+`"}\n' >"$LOG"; exit 1`)
			_, err := r.Foreground(context.Background(), "x", t.TempDir(), nil, Streams{}, nil)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if strings.Contains(err.Error(), "unable to start container process") {
				t.Errorf("it tells how the runtime is built: %v", err)
			}
		})
	}
}

func TestTheContainersStatusIsNotTheRuntimesFault(t *testing.T) {
	r := fake(t, "exit 7")
	if code, err := r.Foreground(context.Background(), "x", t.TempDir(), nil, Streams{}, nil); code != 7 || err != nil {
		t.Errorf("got %d, %v", code, err)
	}
}

func TestForegroundTellsThePIDOnce(t *testing.T) {
	bundle := t.TempDir()
	r := fake(t, "echo 4711 >"+filepath.Join(bundle, "pid")+"; sleep 0.2")
	var told []int
	if _, err := r.Foreground(context.Background(), "x", bundle, nil, Streams{}, func(pid int) { told = append(told, pid) }); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0] != 4711 {
		t.Errorf("told %v", told)
	}
}

func TestDeleteRemovesStateThatTheRuntimeRefuses(t *testing.T) {
	r := fake(t, "echo 'cannot load state' >&2; exit 1")
	if err := r.Delete(context.Background(), "x"); err != nil {
		t.Errorf("nothing there: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(r.Root, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.Delete(context.Background(), "x"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(r.Root, "x")); !errors.Is(err, os.ErrNotExist) {
		t.Error("half a container is left")
	}
}

func TestFindNamesAMissingRuntime(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Find("nosuchruntime", "")
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "nosuchruntime") {
		t.Errorf("got %v", err)
	}
}

func TestReadPIDRefusesNonsense(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	for text, ok := range map[string]bool{"12\n": true, "0": false, "-3": false, "x": false, "": false} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadPID(path); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
