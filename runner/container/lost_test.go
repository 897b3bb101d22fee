// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/podunit/podunit/runner/process"
	"golang.org/x/sys/unix"
)

// pipe is one, with its number.
func pipe(t *testing.T) (r, w *os.File, number uint64) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	if number = pipeNumber(r); number == 0 || number != pipeNumber(w) {
		t.Fatalf("the ends have the numbers %d and %d", number, pipeNumber(w))
	}
	return r, w, number
}

// TestPipesOfALostHelper are found at the processes that write to them, once nobody reads them.
func TestPipesOfALostHelper(t *testing.T) {
	r1, w1, out := pipe(t)
	r2, w2, fault := pipe(t)
	_, other, strange := pipe(t)
	// The first process has led its streams elsewhere, to a pipe of its own and to a file; another
	// has both.
	first, second := exec.Command("sleep", "600"), exec.Command("sh", "-c", "read go; echo from there; echo a fault >&2; read go")
	first.Stdout, second.Stdout, second.Stderr = other, w1, w2
	hold, err := second.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, cmd := range []*exec.Cmd{first, second} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it was killed
		})
		pids = append(pids, cmd.Process.Pid)
	}
	w1.Close()
	w2.Close()

	p, err := findPipes(pids, [2]uint64{out, fault})
	if err != nil || p.files[0] == nil || p.files[1] == nil {
		t.Fatalf("found %v, %v", p.files, err)
	}
	if !p.read {
		t.Error("they are read, and it does not see that")
	}
	p.close()

	r1.Close()
	r2.Close()
	p, err = findPipes(pids, [2]uint64{out, fault})
	defer p.close()
	if err != nil || p.files[0] == nil || p.files[1] == nil || p.read {
		t.Fatalf("found %v, read %t, %v; want both, and that nobody reads them", p.files, p.read, err)
	}
	fmt.Fprintln(hold, "go")
	for i, want := range []string{"from there\n", "a fault\n"} {
		if err := unix.SetNonblock(int(p.files[i].Fd()), false); err != nil {
			t.Fatal(err)
		}
		if got, err := bufio.NewReader(p.files[i]).ReadString('\n'); err != nil || got != want {
			t.Errorf("stream %d says %q, %v; want %q", i, got, err, want)
		}
	}

	if p, err := findPipes(pids, [2]uint64{1, 0}); err != nil || p.files != [2]*os.File{} {
		t.Errorf("with other numbers than there are: %v, %v", p.files, err)
	}
	if p, err := findPipes([]int{1 << 30}, [2]uint64{strange, 0}); err != nil || p.files != [2]*os.File{} {
		t.Errorf("of a process that is gone: %v, %v", p.files, err)
	}
}

// TestNothingElseIsAPipe: what has no number is not opened, such as a named pipe, where that would
// wait.
func TestNothingElseIsAPipe(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, f := range []*os.File{f, null, nil} {
		if n := pipeNumber(f); n != 0 {
			t.Errorf("%v has the number %d", f, n)
		}
	}
}

// TestUnwatched tells the containers that have lost the process beside them from the others.
func TestUnwatched(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	here, dead := os.Getpid(), cmd.Process.Pid
	ticks := process.StartTicks(here)
	whole := Status{PID: here, StartTicks: ticks, Cgroup: "/unit/payload", LogPID: dead, LogTicks: 1}
	for name, c := range map[string]struct {
		change func(*Status)
		want   bool
	}{
		"both were killed":                     {func(*Status) {}, true},
		"the helper is there":                  {func(s *Status) { s.LogPID, s.LogTicks = here, ticks }, false},
		"its number has another process":       {func(s *Status) { s.LogPID = here }, true},
		"it never had one":                     {func(s *Status) { s.LogPID = 0 }, false},
		"the container has ended":              {func(s *Status) { s.StartTicks = 1 }, false},
		"somebody waits for it who is its own": {func(s *Status) { s.Attached = true }, false},
		"it has no cgroup to start one in":     {func(s *Status) { s.Cgroup = "" }, false},
	} {
		e := &Engine{RunDir: t.TempDir()}
		s := whole
		c.change(&s)
		if err := os.MkdirAll(e.dir("id"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := e.saveStatus("id", s); err != nil {
			t.Fatal(err)
		}
		if got := e.Unwatched("id"); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestWhatIsLost: nobody is told that the log goes on where it does not.
func TestWhatIsLost(t *testing.T) {
	for _, c := range []struct {
		driver    string
		found     bool
		elsewhere []string
		want      string
	}{
		{"", true, nil, "podunit-log was killed, and is started again: lines of the container in between are lost"},
		{"", true, []string{"stderr"}, "podunit-log was killed, and is started again: lines of the container in between are lost, and what the unit leads elsewhere (stderr) goes to the journal until its next start"},
		{"", false, nil, "podunit-log was killed, and is started again without the pipes of the container: it has no log until its unit is restarted"},
		{logNone, false, nil, "podunit-log was killed, and is started again"},
	} {
		if got := lost(c.driver, c.found, c.elsewhere); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
