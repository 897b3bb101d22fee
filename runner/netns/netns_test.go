// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/process"
	"golang.org/x/sys/unix"
)

// TestOpen takes network namespaces, and waits for nobody where there is something else.
func TestOpen(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		threadNS: "", pipe: "is not a network namespace", "/proc/self/ns/uts": "is not a network namespace",
		filepath.Dir(pipe): "is not a network namespace", pipe + "s": "no such file",
	} {
		f, err := Open(path)
		if err == nil {
			f.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// TestOpenOf: what has the number of a process by now is not opened in its stead.
func TestOpenOf(t *testing.T) {
	ticks := process.StartTicks(os.Getpid())
	f, err := OpenOf(os.Getpid(), ticks)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	for name, of := range map[string]struct {
		pid   int
		ticks uint64
	}{"another one": {os.Getpid(), ticks + 1}, "nobody": {1 << 30, ticks}} {
		if f, err := OpenOf(of.pid, of.ticks); f != nil || !errors.Is(err, ErrEnded) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

// TestSet sets parameters in a namespace of its own, and leaves those of this one alone.
func TestSet(t *testing.T) {
	ns, err := Anonymous()
	if errors.Is(err, unix.EPERM) && os.Geteuid() != 0 {
		t.Skip("only root makes a network namespace")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	path := filepath.Join("/proc/self/fd", strconv.Itoa(int(ns.Fd())))
	const name, file = "net.ipv4.ip_unprivileged_port_start", "/proc/sys/net/ipv4/ip_unprivileged_port_start"
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := Set(path, map[string]string{name: "77"}); err != nil {
		t.Fatal(err)
	}
	err = Do(ns, func() error {
		got, err := os.ReadFile(file)
		if string(got) != "77\n" {
			t.Errorf("inside: %q", got)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Errorf("outside: %q, before %q, %v", after, before, err)
	}
	for name, want := range map[string]string{"net.ipv4.nosuch": "sysctl net.ipv4.nosuch=x: open", name: "sysctl " + name + "=x: write"} {
		if err := Set(path, map[string]string{name: "x"}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
