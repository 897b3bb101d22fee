// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listen makes a manager's end of the protocol.
func listen(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// receive takes one message and closes the descriptors that came with it.
func receive(t *testing.T, c *net.UnixConn) (string, int) {
	t.Helper()
	buf, oob := make([]byte, 4096), make([]byte, 256)
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	n, oobn, _, _, err := c.ReadMsgUnix(buf, oob)
	if err != nil {
		t.Fatal(err)
	}
	fds := 0
	if oobn > 0 {
		msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			t.Fatal(err)
		}
		for i := range msgs {
			rights, err := unix.ParseUnixRights(&msgs[i])
			if err != nil {
				t.Fatal(err)
			}
			for _, fd := range rights {
				unix.Close(fd)
				fds++
			}
		}
	}
	return string(buf[:n]), fds
}

func env(value string) func(string) (string, bool) {
	return func(name string) (string, bool) { return value, name == Env && value != "" }
}

func TestSend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	abstract := fmt.Sprintf("@podunit-notify-test-%d", time.Now().UnixNano())
	for _, name := range []string{path, abstract} {
		manager := listen(t, name)
		s := FromEnv(env(name))
		if err := s.Send(append(Ready("two\nlines"), MainPID(42), ExtendTimeout(1500*time.Millisecond), "")...); err != nil {
			t.Fatal(err)
		}
		got, _ := receive(t, manager)
		want := "READY=1\nSTATUS=two lines\nMAINPID=42\nEXTEND_TIMEOUT_USEC=1500000\n"
		if got != want {
			t.Errorf("on %s got %q, want %q", name, got, want)
		}
	}
}

// TestStrangersStatus: what a registry answers and a check prints does nothing to the terminal of who
// asks for the status of the unit.
func TestStrangersStatus(t *testing.T) {
	const words = "größe 日本\x1b]0;title\a\x9b31m\u202e\r\nREADY=1"
	const want = `größe 日本\x1b]0;title\a\x9b31m\u202e READY=1`
	if got := Status(words); got != "STATUS="+want {
		t.Errorf("%q", got)
	}
	if got := Ready(words); strings.Join(got, "|") != "READY=1|STATUS="+want {
		t.Errorf("%q", got)
	}
}

func TestZeroSaysNothing(t *testing.T) {
	s := FromEnv(env(""))
	if s.Present() {
		t.Error("a manager without a socket")
	}
	if err := errors.Join(s.Send(Ready("up")...), s.Barrier(context.Background())); err != nil {
		t.Error(err)
	}
}

func TestBadAddress(t *testing.T) {
	err := FromEnv(env("vsock:2:3")).Send("READY=1")
	if err == nil || !strings.Contains(err.Error(), "vsock:2:3") {
		t.Errorf("got %v", err)
	}
	if err := FromEnv(env(filepath.Join(t.TempDir(), "absent"))).Send("READY=1"); err == nil {
		t.Error("nobody listens, yet no error")
	}
}

func TestBarrierReturnsWhenTheManagerHasReadIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	manager := listen(t, path)
	done := make(chan error, 1)
	go func() { done <- FromEnv(env(path)).Barrier(context.Background()) }()
	select {
	case err := <-done:
		t.Fatalf("returned before the manager looked: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if msg, fds := receive(t, manager); msg != "BARRIER=1" || fds != 1 {
		t.Errorf("got %q with %d descriptors", msg, fds)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestBarrierEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	listen(t, path)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := FromEnv(env(path)).Barrier(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
