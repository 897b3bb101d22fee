// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/runc"
	"github.com/spf13/cobra"
)

// TestGlobalFlagsAreReadOnce: before the verb and after it, and all of them count.
func TestGlobalFlagsAreReadOnce(t *testing.T) {
	for line, want := range map[string]string{
		"":                                    "error",
		"say":                                 "[] ",
		"--module=a say":                      "[a] ",
		"--module a say":                      "[a] ",
		"--module a --runtime crun say":       "[a] crun",
		"say --module a":                      "[a] ",
		"--module a say --module b":           "[a b] ",
		"--runtime say say":                   "[] say",
		"--log-level loud say":                "error 1",
		"--module a --no-such say --module b": "error",
	} {
		var stdout, stderr bytes.Buffer
		e := &Env{Stdout: &stdout, Stderr: &stderr, Lookup: func(string) (string, bool) { return "", false }}
		e.Program.Verbs = []Verb{{Name: "say", New: func(e *Env) *cobra.Command {
			return &cobra.Command{Use: "say", Run: func(*cobra.Command, []string) { fmt.Fprint(e.Stdout, e.Modules, " ", e.Runtime) }}
		}}}
		code := Run(context.Background(), e, strings.Fields(line))
		if of := map[string]int{"error": ExitRunner, "error 1": 1}[want]; of != 0 {
			if code != of || !strings.HasPrefix(stderr.String(), "podunit: error: ") {
				t.Errorf("%s: status %d, %q", line, code, &stderr)
			}
			continue
		}
		if code != 0 || stdout.String() != want {
			t.Errorf("%s: status %d, %q, want %q; %s", line, code, &stdout, want, &stderr)
		}
	}
}

// TestOnlyTheVerbThatIsMeantIsMade: the others and their flags would take a millisecond.
func TestOnlyTheVerbThatIsMeantIsMade(t *testing.T) {
	made := map[string]int{}
	e := &Env{Stdout: os.Stdout, Stderr: os.Stderr, Lookup: os.LookupEnv}
	for _, name := range []string{"one", "two"} {
		e.Program.Verbs = append(e.Program.Verbs, Verb{Name: name, New: func(*Env) *cobra.Command {
			made[name]++
			return &cobra.Command{Use: name, Run: func(*cobra.Command, []string) {}}
		}})
	}
	if code := Run(context.Background(), e, []string{"--runtime", "one", "two"}); code != 0 || made["one"] != 0 || made["two"] != 1 {
		t.Errorf("status %d, %v", code, made)
	}
}

func TestExitStatuses(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
		says string
	}{
		{nil, 0, ""},
		{ExitStatus(3), 3, ""},
		{Ended(7, nil), 7, ""},
		{Ended(0, fmt.Errorf("%w: x", runc.ErrNotFound)), ExitNotFound, "command not found"},
		{Ended(0, fmt.Errorf("%w: x", runc.ErrNotExecutable)), ExitNotExecutable, "cannot be executed"},
		{Ended(0, fmt.Errorf("%w: x", runc.ErrNoDirectory)), ExitNotExecutable, "working directory"},
		{WithStatus(errors.New("in use"), 2), 2, "in use"},
		{errors.New("broken"), ExitRunner, "broken"},
		{&image.BeyondError{What: "a pull"}, ExitRunner, "a pull"}, // the full program is the last one
	} {
		var stderr bytes.Buffer
		e := &Env{Stdout: &stderr, Stderr: &stderr, Lookup: func(string) (string, bool) { return "", false }}
		e.Program.Verbs = []Verb{{Name: "do", New: func(*Env) *cobra.Command {
			return &cobra.Command{Use: "do", RunE: func(*cobra.Command, []string) error { return c.err }}
		}}}
		if code := Run(context.Background(), e, []string{"do"}); code != c.want || !strings.Contains(stderr.String(), c.says) || (c.says == "") != (stderr.Len() == 0) {
			t.Errorf("%v: status %d, %q", c.err, code, &stderr)
		}
	}
}

// TestWhatIsHandedOver: the full program is not there in a test, and the error says which it would
// be.
func TestWhatIsHandedOver(t *testing.T) {
	fifo, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer fifo.Close()
	for line, over := range map[string]bool{
		"mine": false, "theirs": true, "--module x mine": false, "--module x theirs": true, "": true, "--help": true,
		"beyond": true, "broken": false, "mine --env-file " + fifo.Name(): false, "mine --env-file /dev/null": true, "mine --label-file=/dev/null": true,
	} {
		var stderr bytes.Buffer
		released := false
		e := &Env{Stdout: &stderr, Stderr: &stderr, Lookup: func(string) (string, bool) { return "", false }}
		e.releaseSignals = func() error {
			released = true
			return nil
		}
		e.Program.Small = true
		for name, err := range map[string]error{"mine": nil, "beyond": &image.BeyondError{What: "it"}, "broken": errors.New("broken")} {
			e.Program.Verbs = append(e.Program.Verbs, Verb{Name: name, New: func(*Env) *cobra.Command {
				c := &cobra.Command{Use: name, RunE: func(*cobra.Command, []string) error { return err }}
				c.Flags().String("env-file", "", "")
				return c
			}})
		}
		code := Run(context.Background(), e, strings.Fields(line))
		if got := strings.Contains(stderr.String(), filepath.Join("libexec", "podunit", "podunit")); got != over || released != over || over && code != ExitRunner {
			t.Errorf("%q is handed over: %t, status %d\n%s", line, got, code, &stderr)
		}
	}
}

// TestServicesExecuteTheSmallProgram finds it from where the full one is installed.
func TestServicesExecuteTheSmallProgram(t *testing.T) {
	dir := t.TempDir()
	full, small := filepath.Join(dir, "libexec/podunit/podunit"), filepath.Join(dir, "bin/podunit")
	if got := smallOf(full); got != full {
		t.Errorf("without a small one: %s", got)
	}
	if err := errors.Join(os.Mkdir(filepath.Dir(small), 0o755), os.WriteFile(small, nil, 0o755)); err != nil {
		t.Fatal(err)
	}
	if got := smallOf(full); got != small {
		t.Errorf("beside a small one: %s", got)
	}
	if elsewhere := filepath.Join(dir, "podunit"); smallOf(elsewhere) != elsewhere {
		t.Errorf("one that is installed nowhere takes %s", smallOf(elsewhere))
	}
}

func TestTheStatusOfARemoval(t *testing.T) {
	missing, inUse, other := errors.New("missing"), errors.New("in use"), errors.New("other")
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"nothing is wrong", errors.Join(nil, nil), 0},
		{"not there", errors.Join(missing), 1},
		{"two are not there", errors.Join(errors.Join(missing, nil), missing), 1},
		{"not there, and another fault", errors.Join(missing, other), 0},
		{"in use", inUse, 2},
		{"in use, and not there", errors.Join(errors.Join(missing), inUse), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Removed(c.err, func(err error) bool { return errors.Is(err, missing) }, func(err error) bool { return errors.Is(err, inUse) })
			var s faultWithStatus
			if errors.As(got, &s); s.status != c.want || (got == nil) != (c.err == nil) {
				t.Errorf("%v: %d", got, s.status)
			}
		})
	}
}

func TestTheStatusOfAnEnd(t *testing.T) {
	for err, want := range map[error]int{
		runc.ErrNotFound:         127,
		bundle.ErrNoCommand:      127,
		runc.ErrNotExecutable:    126,
		runc.ErrNoDirectory:      126,
		network.PortInUseError{}: 126,
		bundle.ErrNoWorkDir:      126,
		bundle.ErrNoUser:         126,
		bundle.ErrNoGroup:        126,
	} {
		var s faultWithStatus
		if !errors.As(Ended(0, fmt.Errorf("start: %w", err)), &s) || s.status != want {
			t.Errorf("%v: %d, want %d", err, s.status, want)
		}
	}
}

// TestAGroupWithoutAVerb shows the verbs and is an error: a script that lost its word has done
// nothing.
func TestAGroupWithoutAVerb(t *testing.T) {
	var out bytes.Buffer
	cmd := Group("group", "", &cobra.Command{Use: "verb", Run: func(*cobra.Command, []string) {}})
	cmd.SetOut(&out)
	cmd.SetArgs(nil)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if err := cmd.ExecuteContext(t.Context()); err == nil || err.Error() != `missing command "group COMMAND"` || !strings.Contains(out.String(), "verb") {
		t.Errorf("%v, %q", err, &out)
	}
}
