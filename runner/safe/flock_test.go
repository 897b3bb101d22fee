// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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

// TestTryFlock: whoever takes the lock of a file that its holder has removed would hold it alone,
// together with whoever makes the file anew.
func TestTryFlock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	try := func(want bool) *os.File {
		t.Helper()
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		if held, err := TryFlock(f); held != want || err != nil {
			t.Errorf("held %t, %v; want %t", held, err, want)
		}
		return f
	}
	first := try(true)
	second := try(false)
	if err := errors.Join(os.Remove(path), first.Close()); err != nil {
		t.Fatal(err)
	}
	if held, err := TryFlock(second); held || err != nil {
		t.Errorf("of a file that is gone: held %t, %v", held, err)
	}
	third := try(true)
	if held, err := TryFlock(second); held || err != nil {
		t.Errorf("of a file in whose place is another one: held %t, %v", held, err)
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	if held, err := TryFlock(third); held || !errors.Is(err, os.ErrClosed) && !errors.Is(err, unix.EBADF) {
		t.Errorf("of a file that is closed: held %t, %v", held, err)
	}
}

// TestHolder: of a lock by either call in another process, and not of one that waits for it.
func TestHolder(t *testing.T) {
	const child = "PODUNIT_TEST_LOCK"
	if kind, path, ok := strings.Cut(os.Getenv(child), " "); ok {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("opened")
		if kind == "flock" {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		} else {
			err = unix.FcntlFlock(f.Fd(), unix.F_SETLKW, &unix.Flock_t{Type: unix.F_WRLCK})
		}
		fmt.Println("locked", err)
		_, _ = os.Stdin.Read(make([]byte, 1))
		return
	}
	for _, kind := range []string{"flock", "posix"} {
		shm, err := os.MkdirTemp("/dev/shm", "podunit-test-") // some other file systems have numbers of their own
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(shm) })
		path := filepath.Join(shm, "lock")
		start := func() (pid int, next func() string) {
			cmd := exec.Command(os.Args[0], "-test.run", "^TestHolder$")
			cmd.Env = append(os.Environ(), child+"="+kind+" "+path)
			out, err := cmd.StdoutPipe()
			if _, ierr := cmd.StdinPipe(); errors.Join(err, ierr, cmd.Start()) != nil {
				t.Fatal(err, ierr)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			lines := bufio.NewReader(out)
			return cmd.Process.Pid, func() string { line, _ := lines.ReadString('\n'); return line }
		}
		first, says := start()
		if got := says() + says(); got != "opened\nlocked <nil>\n" {
			t.Fatal(got)
		}
		second, says := start()
		if got := says(); got != "opened\n" {
			t.Fatal(got)
		}
		if pid := Holder(path); pid != first {
			t.Errorf("%s: %d has it, want %d", kind, pid, first)
		}
		if err := unix.Kill(first, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if got := says(); got != "locked <nil>\n" {
			t.Fatal(got)
		}
		if pid := Holder(path); pid != second {
			t.Errorf("%s: then %d has it, want %d", kind, pid, second)
		}
		if pid := Holder(filepath.Dir(path)); pid != 0 {
			t.Errorf("%s: what nobody has, %d has", kind, pid)
		}
	}
}
