// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	rspec "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/slack"
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
			_, err := r.Foreground(context.Background(), "x", t.TempDir(), Config{}, Streams{}, nil)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if strings.Contains(err.Error(), "unable to start container process") {
				t.Errorf("it tells how the runtime is built: %v", err)
			}
		})
	}
}

// TestTooManyKeys: what the kernel calls a disk is a limit of the user's.
func TestTooManyKeys(t *testing.T) {
	r := fake(t, `printf '{"level":"error","msg":"runc run failed: unable to start container process: error during container init: unable to join session keyring: unable to create session key: disk quota exceeded"}\n' >"$LOG"; exit 1`)
	_, err := r.Foreground(context.Background(), "x", t.TempDir(), Config{}, Streams{}, nil)
	if err == nil || !strings.Contains(hint.Of(err), "kernel.keys.maxkeys") {
		t.Errorf("%v", err)
	}
}

func TestTheContainersStatusIsNotTheRuntimesFault(t *testing.T) {
	r := fake(t, "exit 7")
	if code, err := r.Foreground(context.Background(), "x", t.TempDir(), Config{}, Streams{}, nil); code != 7 || err != nil {
		t.Errorf("got %d, %v", code, err)
	}
}

// TestNoSignalOfGosOwn is one that an attached runc would pass on to the container.
func TestNoSignalOfGosOwn(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r := fake(t, `echo "$GODEBUG"`)
	if _, err := r.Foreground(context.Background(), "x", t.TempDir(), Config{}, Streams{Stdout: out}, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(out.Name()); err != nil || string(got) != "asyncpreemptoff=1\n" {
		t.Errorf("GODEBUG=%q, %v", got, err)
	}
}

// TestForegroundSaysItOnce leaves out what the runtime says on the container's standard error and
// in its log, of which comes the error; and nothing else.
func TestForegroundSaysItOnce(t *testing.T) {
	const fault = `runc run failed: unable to start container process: exec: boom`
	logged := `printf '{"level":"error","msg":"` + fault + `"}\n' >"$LOG"; `
	for name, c := range map[string]struct{ script, want string }{
		"both":                  {"echo hello >&2; " + logged + "echo '" + fault + "' >&2; exit 1", "hello\n"},
		"in one piece":          {logged + "printf 'hello\n" + fault + "\n' >&2; exit 1", "hello\n"},
		"the container says it": {"echo '" + fault + "' >&2; exit 1", fault + "\n"},
		"and goes on":           {"echo '" + fault + "' >&2; sleep 0.1; printf more >&2; exit 1", fault + "\nmore"},
		"something else":        {logged + "echo 'runc run failed: twice' >&2; exit 1", "runc run failed: twice\n"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			r := fake(t, c.script)
			_, _ = r.Foreground(context.Background(), "x", t.TempDir(), Config{}, Streams{Stderr: out}, nil) // it fails
			if got, err := os.ReadFile(out.Name()); err != nil || string(got) != c.want {
				t.Errorf("got %q, want %q; %v", got, c.want, err)
			}
		})
	}
}

// TestForegroundKeepsLess has the file replaced while the container runs, and also if there is none.
func TestForegroundKeepsLess(t *testing.T) {
	for name, script := range map[string]string{"runs": "cp config.json read; echo 4711 >pid; until [ -e go ]; do sleep 0.01; done", "fails": "exit 1"} {
		bundle := t.TempDir()
		r := fake(t, "cd "+bundle+"; "+script)
		config := filepath.Join(bundle, configName)
		during := ""
		_, err := r.Foreground(context.Background(), "x", bundle, Config{Read: []byte("all"), Kept: []byte("less")}, Streams{}, func(int) {
			b, _ := os.ReadFile(config)
			during = string(b)
			_ = os.WriteFile(filepath.Join(bundle, "go"), nil, 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
		read, _ := os.ReadFile(filepath.Join(bundle, "read"))
		after, _ := os.ReadFile(config)
		if name == "runs" && (string(read) != "all" || during != "less") || string(after) != "less" {
			t.Errorf("%s: it read %q; the file has %q while it runs and %q after", name, read, during, after)
		}
	}
}

func TestForegroundTellsThePIDOnce(t *testing.T) {
	bundle := t.TempDir()
	r := fake(t, "sleep 0.05; echo 4711 >"+filepath.Join(bundle, "pid")+"; sleep 0.2")
	leavePID(t, bundle)
	var told []int
	if _, err := r.Foreground(context.Background(), "x", bundle, Config{}, Streams{}, func(pid int) { told = append(told, pid) }); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0] != 4711 {
		t.Errorf("told %v", told)
	}
}

func TestForegroundTellsThePIDOfWhatEndedAtOnce(t *testing.T) {
	for range 20 {
		bundle := t.TempDir()
		r := fake(t, "echo 4711 >"+filepath.Join(bundle, "pid")+"; exit 7")
		told := 0
		code, err := r.Foreground(context.Background(), "x", bundle, Config{}, Streams{}, func(pid int) { told = pid })
		if told != 4711 || code != 7 || err != nil {
			t.Fatalf("told %d; status %d, %v", told, code, err)
		}
	}
}

// leavePID leaves the file of an earlier start.
func leavePID(t *testing.T, bundle string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(bundle, "pid"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCreation is told the PID when runc has written it, and the end when it has ended.
func TestCreation(t *testing.T) {
	bundle := t.TempDir()
	leavePID(t, bundle)
	// Without its PID nobody waits for it any more.
	r := fake(t, `echo '{"id":"x"}' >.state && mv .state state; read config <config.json
echo $$ >.pid; mv .pid pid; until [ -e go ] || [ ! -e pid ]; do sleep 0.01; done; echo "$config" >end`)
	c, err := r.Create(context.Background(), "x", bundle, Streams{}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Configure(Config{Read: []byte("it\n"), Kept: []byte("less\n")}); err != nil {
		t.Fatal(err)
	}
	pid, err := c.Wait()
	if pid != c.cmd.Process.Pid || err != nil {
		t.Fatalf("got %d, %v", pid, err)
	}
	end := filepath.Join(bundle, "end")
	if _, err := os.Stat(end); err == nil {
		t.Error("the end was waited for")
	}
	if err := os.WriteFile(filepath.Join(bundle, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Close(), c.Close(), c.Discard(), c.Discard()); err != nil {
		t.Error(err)
	}
	// What was read is in no file afterwards.
	for file, want := range map[string]string{end: "it\n", filepath.Join(bundle, configName): "less\n"} {
		if text, err := os.ReadFile(file); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", file, text, err)
		}
	}
}

// TestSlack: the runtime's timers have slack until there is a container, whose own have the usual
// one.
func TestSlack(t *testing.T) {
	own, err := slack.Own()
	if err != nil {
		t.Fatal(err)
	}
	bundle := t.TempDir()
	leavePID(t, bundle)
	r := fake(t, `read config <config.json; cat /proc/self/timerslack_ns >slack
echo $$ >.pid; mv .pid pid; until [ -e go ] || [ ! -e pid ]; do sleep 0.01; done; cat /proc/self/timerslack_ns >>slack`)
	c, err := r.Create(context.Background(), "x", bundle, Streams{}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Configure(Config{Read: []byte("it\n"), Kept: []byte("it\n")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Close(), c.Discard()); err != nil {
		t.Error(err)
	}
	runtimes := own
	if c.slack != 0 {
		runtimes = slack.Late
	} else if os.Geteuid() == 0 && !hasSELinux() {
		t.Error("root may not change the slack")
	}
	want := fmt.Sprintf("%d\n%d\n", runtimes.Nanoseconds(), own.Nanoseconds())
	if got, err := os.ReadFile(filepath.Join(bundle, "slack")); err != nil || string(got) != want {
		t.Errorf("the slack of the runtime's timers, and of the container's: %q, want %q, %v", got, want, err)
	}
}

// TestSlackRefused: a container whose timers keep the runtime's slack is one all the same.
func TestSlackRefused(t *testing.T) {
	bundle := t.TempDir()
	leavePID(t, bundle)
	r := fake(t, `read config <config.json; echo $$ >.pid; mv .pid pid; until [ -e go ] || [ ! -e pid ]; do sleep 0.01; done`)
	c, err := r.Create(context.Background(), "x", bundle, Streams{}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Configure(Config{Read: []byte("it\n"), Kept: []byte("it\n")}); err != nil {
		t.Fatal(err)
	}
	c.slack = -1 // which the kernel refuses to anybody
	if _, err := c.Wait(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Close(), c.Discard()); err != nil {
		t.Error(err)
	}
}

// TestCreationFails tells what runc said, whether it has written a PID or not.
func TestCreationFails(t *testing.T) {
	for name, script := range map[string]string{
		"before": "read config <config.json; ",
		"after":  "read config <config.json; echo $$ >.pid; mv .pid pid; ",
		"gone":   "read config <config.json; sh -c : & wait; echo $! >.pid; mv .pid pid; sleep 0.1; ",
	} {
		t.Run(name, func(t *testing.T) {
			r := fake(t, script+`printf '{"level":"error","msg":"boom"}\n' >"$LOG"; exit 1`)
			c, err := r.Create(context.Background(), "x", t.TempDir(), Streams{}, false)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Configure(Config{Read: []byte("it\n"), Kept: []byte("less\n")}); err != nil {
				t.Fatal(err)
			}
			if _, err = c.Wait(); err == nil {
				err = c.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "boom") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestDiscard leaves nothing of a creation that is not to be configured.
func TestDiscard(t *testing.T) {
	bundle := t.TempDir()
	r := fake(t, "read config <config.json; echo fed >fed")
	c, err := r.Create(context.Background(), "x", bundle, Streams{}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Discard(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(bundle); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
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

// TestUpdate: the runtime reads the new limits from its standard input.
func TestUpdate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "runtime")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n[ \"$6\" = no ] && { echo there is no such cgroup >&2; exit 1; }\necho $3 $4 $5 $6 >"+dir+"/said; cat >>"+dir+"/said\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r, limit := Runtime{Command: path, Root: dir}, int64(1<<20)
	limits := &rspec.LinuxResources{Memory: &rspec.LinuxMemory{Limit: &limit}}
	if err := r.Update(t.Context(), "web", limits); err != nil {
		t.Fatal(err)
	}
	said, err := os.ReadFile(dir + "/said")
	if err != nil || string(said) != "update --resources - web\n{\"memory\":{\"limit\":1048576}}" {
		t.Errorf("%q, %v", said, err)
	}
	if err := r.Update(t.Context(), "no", limits); err == nil || !strings.Contains(err.Error(), "runtime update: there is no such cgroup") {
		t.Error(err)
	}
}
