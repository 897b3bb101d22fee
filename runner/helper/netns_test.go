// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// namesWorld is a Netns whose name server is a script: it notes each start and each SIGHUP. It begins
// with the lines of the file first, and in the background with those of the file late.
type namesWorld struct {
	*Running
	t   *testing.T
	dir string
}

func startNetns(t *testing.T) *namesWorld {
	t.Helper()
	heedHangup(t)
	w := &namesWorld{t: t, dir: t.TempDir()}
	names := filepath.Join(w.dir, "names")
	program := filepath.Join(w.dir, "aardvark-dns")
	// The part in the background is a program of its own, so that its process ID is not the script's.
	script := fmt.Sprintf(`#!/bin/sh
cd %s
echo "start $*" >>log
. ./first
(trap 'echo hup >>log' HUP; trap 'exit 0' TERM; . ./late; sh -c 'echo $PPID >names/aardvark.pid'; while :; do sleep 0.01; done) &
`, w.dir)
	if err := errors.Join(os.Mkdir(names, 0o700), os.WriteFile(program, []byte(script), 0o755), os.WriteFile(filepath.Join(w.dir, "first"), nil, 0o600),
		os.WriteFile(filepath.Join(w.dir, "late"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	r, err := Netns{Program: program, Names: names, Dir: w.dir}.Start((*exec.Cmd).Start)
	if err != nil {
		t.Fatal(err)
	}
	w.Running = r
	t.Cleanup(func() {
		_ = unix.Kill(r.PID, unix.SIGKILL)
		if pid := w.server(); pid > 0 {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		_ = r.Close()
	})
	return w
}

func (w *namesWorld) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *namesWorld) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(w.dir, name))
	return string(text)
}

// server is the PID of the one that runs, 0 if none has noted itself.
func (w *namesWorld) server() int {
	pid := 0
	_, _ = fmt.Sscan(w.read("names/aardvark.pid"), &pid)
	return pid
}

func (w *namesWorld) starts() int { return strings.Count(w.read("log"), "start ") }

func (w *namesWorld) ask(want error) {
	w.t.Helper()
	if err := AskForNames(w.t.Context(), w.dir); !errors.Is(err, want) {
		w.t.Fatalf("asked for names: %v, want %v", err, want)
	}
}

// TestNamesAreServed: who asks gets the server started, or told of new names. One that ends comes
// back if there are names, and the process ID of one that does not is forgotten.
func TestNamesAreServed(t *testing.T) {
	w := startNetns(t)
	if n := w.starts(); n != 0 {
		t.Fatalf("%d starts before anybody has names", n)
	}
	w.write("names/front", "10.89.0.1\n")
	w.ask(nil)
	one := w.server()
	if want := "start --config " + filepath.Join(w.dir, "names") + " -p 53 run\n"; one == 0 || w.read("log") != want {
		t.Fatalf("server %d; %q, want %q", one, w.read("log"), want)
	}
	w.ask(nil)
	if !within(func() bool { return strings.HasSuffix(w.read("log"), "hup\n") }) || w.starts() != 1 {
		t.Fatalf("one that runs: %q", w.read("log"))
	}
	// netavark would tell who is none of ours.
	if err := unix.Kill(one, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if !within(func() bool { return w.starts() == 2 && w.server() != 0 && w.server() != one && !ended(w.server()) }) {
		t.Fatalf("it does not come back: %q", w.read("log"))
	}
	w.ask(nil)
	two := w.server()
	if err := unix.Kill(two, unix.SIGTERM); err != nil { // it ends with status 0
		t.Fatal(err)
	}
	if !within(func() bool { return w.starts() == 3 && w.server() != 0 && w.server() != two && !ended(w.server()) }) {
		t.Fatalf("one that ended by itself although there are names does not come back: %q", w.read("log"))
	}
	w.ask(nil)
	if err := errors.Join(os.Remove(filepath.Join(w.dir, "names/front")), unix.Kill(w.server(), unix.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	if !within(func() bool { return w.server() == 0 }) {
		t.Error("netavark would take the process ID for that of a server")
	}
	w.ask(nil)
	if n := w.starts(); n != 4 {
		t.Errorf("%d starts after one that ended without names, want one for who asked: %q", n, w.read("log"))
	}
}

// TestLateServer: a server that notes its process ID long after its first process has ended, as one
// of Debian 12 may on a busy machine, is waited for and not started twice. Nobody waits for one
// that has ended.
func TestLateServer(t *testing.T) {
	w := startNetns(t)
	w.write("late", "exit 3\n")
	w.ask(NamesError{125})
	w.write("late", "sleep 1.2\n")
	w.ask(nil)
	if n := w.starts(); n != 2 || ended(w.server()) {
		t.Errorf("%d starts, server %d", n, w.server())
	}
}

// TestNamesOfMany: who finds too many others waiting tries again, until told to stop.
func TestNamesOfMany(t *testing.T) {
	dir := t.TempDir()
	socket, err := boundSocket(filepath.Join(dir, namesSocket), unix.SOCK_SEQPACKET, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := unix.Listen(int(socket.Fd()), 0); err != nil {
		t.Fatal(err)
	}
	first, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(first)
	if err := shortly(socket.Name(), func(short string) error { return unix.Connect(first, &unix.SockaddrUnix{Name: short}) }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := AskForNames(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("it does not heed the end: %v", err)
	}
	answered := make(chan error)
	go func() { answered <- AskForNames(t.Context(), dir) }()
	for range 2 {
		fd, _, err := unix.Accept(int(socket.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if _, err := unix.Write(fd, []byte{0}); err != nil {
			t.Error(err)
		}
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// TestHintOfNames: what could not be executed has written nothing into the journal.
func TestHintOfNames(t *testing.T) {
	for status, want := range map[int]string{1: "journalctl", 126: "restart podunit-netns", 127: "restart podunit-netns"} {
		if got := (NamesError{status}).Hint(); !strings.Contains(got, want) {
			t.Errorf("status %d: %s", status, got)
		}
	}
}

// TestNamesThatCannotBeServed: who asks is told the status, and the server is tried again as long as
// there are names.
func TestNamesThatCannotBeServed(t *testing.T) {
	w := startNetns(t)
	w.write("first", "exit 7\n")
	w.ask(NamesError{7})
	if n := w.starts(); n != 1 {
		t.Errorf("%d starts without names", n)
	}
	w.write("names/front", "10.89.0.1\n")
	w.ask(NamesError{7})
	if !within(func() bool { return w.starts() >= 4 }) {
		t.Fatalf("it is not tried again: %q", w.read("log"))
	}
	w.write("late", "sleep 0.2\n") // as one of Debian 12 may be
	w.write("first", "")
	if !within(func() bool { return w.server() != 0 && !ended(w.server()) }) {
		t.Fatal("it is not served although it could be")
	}
	w.ask(nil)
}

// TestNetnsEnds: it ends with status 0 when asked to, and with 1 when its network does. Who asks for
// names then finds nobody.
func TestNetnsEnds(t *testing.T) {
	for want, end := range map[int]func(w *namesWorld, network *exec.Cmd) error{
		0: func(w *namesWorld, _ *exec.Cmd) error { return unix.Kill(w.PID, unix.SIGTERM) },
		1: func(_ *namesWorld, network *exec.Cmd) error { return network.Process.Kill() },
	} {
		w := startNetns(t)
		network := exec.Command("sleep", "1000")
		if err := network.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = network.Process.Kill(); _ = network.Wait() })
		if err := errors.Join(w.WatchNetwork(network.Process.Pid), unix.Kill(w.PID, unix.SIGHUP), end(w, network)); err != nil {
			t.Fatal(err)
		}
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(w.PID, &status, 0, nil); err != nil || !status.Exited() || status.ExitStatus() != want {
			t.Errorf("%v: %v, want status %d", err, status, want)
		}
		w.ask(ErrNoHolder)
		if err := os.Remove(filepath.Join(w.dir, namesSocket)); err != nil {
			t.Error(err)
		}
		w.ask(ErrNoHolder)
	}
}
