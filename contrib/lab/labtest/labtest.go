// SPDX-License-Identifier: Apache-2.0

// Package labtest boots labs for Go tests. Such tests carry the build tag lab and names that start
// with TestLab; make lab-test runs them. A lab boots in about half a second, so each test has its
// own.
package labtest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/cache"
	"github.com/podunit/podunit/contrib/lab/machine"
	"github.com/podunit/podunit/contrib/lab/rootfs"
)

// Options of a lab for a test.
type Options struct {
	Name     string // empty: from the test's name and process
	Bare     bool   // do not install podunit
	NoRoute  bool   // no default route
	NoImages bool   // an empty registry
	Off      bool   // do not boot
	VM       string // the Debian release of a virtual machine; empty: a container of nspawn
	Lossy    bool   // a container of nspawn with a disk that loses unflushed writes at a power cut
	Seed     uint64 // of what the virtual machine or the lossy lab loses
}

// Release is the Debian release of the labs that tests boot: what PODUNIT_LAB_DEBIAN says, else
// rootfs.Suite.
func Release() string { return cmp.Or(os.Getenv("PODUNIT_LAB_DEBIAN"), rootfs.Suite) }

// Lab is a booted machine that ends with its test. Its methods fail the test when the lab itself
// fails; what a command returns is for the test to judge.
type Lab struct {
	Machine *machine.Machine
	t       testing.TB
}

// Boot makes a lab, with podunit as it is in the source tree, boots it, and waits for its registry.
// The lab is removed when the test ends, and also when the test's process is killed. With
// PODUNIT_LAB_KEEP set, the lab of a failed test stays: lab ls lists it. Without root the test is
// skipped.
func Boot(t testing.TB, opt Options) *Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a lab needs root: run sudo make lab-test")
	}
	dir, err := top()
	if err == nil && !opt.Bare {
		err = built()
	}
	if err != nil {
		t.Fatal(err)
	}
	if opt.Name == "" {
		opt.Name = name(t.Name())
	}
	c, err := cache.Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := machine.GC(c, t.Output()); err != nil {
		t.Fatal(err)
	}
	helper := filepath.Join(dir, "bin/podunit-lab")
	mopt := machine.Options{NoRoute: opt.NoRoute, NoImages: opt.NoImages, Release: Release(), VM: opt.VM, Lossy: opt.Lossy, Seed: opt.Seed, Owner: os.Getpid(), Helper: helper}
	if !opt.Bare {
		mopt.Fill = func(upper string) error {
			return run(dir, "make", "-o", "build", "install", "PREFIX=/usr", "DESTDIR="+upper)
		}
	}
	m, err := machine.New(context.Background(), c, opt.Name, mopt, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{Machine: m, t: t}
	stop := watch(t, helper, opt.Name)
	t.Cleanup(func() {
		if t.Failed() {
			l.dump()
			if os.Getenv("PODUNIT_LAB_KEEP") != "" {
				t.Logf("lab %s is kept", opt.Name)
				return
			}
		}
		if err := m.Remove(); err != nil {
			t.Error(err)
		}
		stop()
	})
	if !opt.Off {
		l.Boot()
	}
	if !opt.Off && !opt.NoImages {
		// Its unit is up before it listens.
		l.Eventually("root", "curl -fsS localhost:5000/v2/_catalog", l.patience())
	}
	return l
}

// top of the source tree, with the lab program built in it, once a process.
var top = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("go list -m: %w", err)
	}
	dir := strings.TrimSpace(string(out))
	return dir, run(dir, "make", "lab")
})

// built makes podunit once a process, for the prefix it is installed to in labs.
var built = sync.OnceValue(func() error {
	dir, err := top()
	if err != nil {
		return err
	}
	return run(dir, "make", "build", "PREFIX=/usr")
})

func run(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// name of a lab for a test: it must fit a host name, and two runs side by side must differ.
func name(test string) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, strings.TrimPrefix(test, "TestLab"))
	s = strings.Trim(s[:min(len(s), 20)], "-")
	return strings.TrimPrefix(fmt.Sprintf("%s-%d", s, os.Getpid()), "-")
}

// watch starts a process that removes the lab when this one dies, however it dies: then the pipe
// between them closes.
func watch(t testing.TB, helper, name string) (stop func()) {
	t.Helper()
	cmd := exec.Command(helper, "watch", "--name", name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error("lab watch:", err)
		}
	}
}

// Rounds is how often a test does what it does: as often as a variable of the environment says, or
// usually so.
func Rounds(t testing.TB, variable string, usual int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: want a number from 1 on", variable, text)
	}
	return n
}

// For is the same lab on behalf of a part of the test: what fails, fails that part.
func (l *Lab) For(t testing.TB) *Lab { return &Lab{Machine: l.Machine, t: t} }

// dump shows what a failed test's reader asks first.
func (l *Lab) dump() {
	if !l.Machine.Running() {
		l.t.Logf("the lab is off; its console says:\n%s", l.Machine.Console())
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.patience()/6)
	defer cancel()
	res, _ := l.Machine.Run(ctx, machine.Command{User: "root", Args: []string{
		"journalctl -b --no-pager -o short-precise | tail -n 60; loginctl list-users; systemctl --user -M alice@ --no-pager list-units --failed"}})
	l.t.Logf("the lab's last words:\n%s%s", res.Stdout, res.Stderr)
}

// patience is how long a test waits for what takes moments on an idle machine. An emulated
// processor is many times slower.
func (l *Lab) patience() time.Duration {
	if l.Machine.Virtual() {
		return 10 * time.Minute
	}
	return time.Minute
}

// Run runs a bash script as user and returns what it wrote and its exit status. After two minutes,
// twenty in a virtual machine, it is killed, and the test fails.
func (l *Lab) Run(user, script string) (stdout, stderr string, code int) {
	l.t.Helper()
	return l.Command(machine.Command{User: user, Args: []string{script}})
}

// Command is Run with everything that can be said about a command.
func (l *Lab) Command(c machine.Command) (stdout, stderr string, code int) {
	l.t.Helper()
	if c.Timeout == 0 {
		c.Timeout = 2 * l.patience()
	}
	res, err := l.Machine.Run(context.Background(), c)
	if err != nil {
		l.t.Fatalf("%v\nstdout: %s\nstderr: %s", err, res.Stdout, res.Stderr)
	}
	return res.Stdout, res.Stderr, res.Code
}

// MustRun is Run for scripts that succeed; it returns standard output without the last newline.
func (l *Lab) MustRun(user, script string) string {
	l.t.Helper()
	return l.MustCommand(machine.Command{User: user, Args: []string{script}})
}

// MustCommand is MustRun with everything that can be said about a command.
func (l *Lab) MustCommand(c machine.Command) string {
	l.t.Helper()
	stdout, stderr, code := l.Command(c)
	if code != 0 {
		l.t.Fatalf("as %s: %s\nexit status %d\nstdout: %s\nstderr: %s", c.User, strings.Join(c.Args, " "), code, stdout, stderr)
	}
	return strings.TrimSuffix(stdout, "\n")
}

// Busy reports whether the machine has other work, and how much: the load, of which tests of
// time know that it takes theirs. What a host keeps from a virtual machine does not show.
func (l *Lab) Busy() (load float64, busy bool) {
	l.t.Helper()
	if _, err := fmt.Sscan(l.MustRun("root", "cat /proc/loadavg"), &load); err != nil {
		l.t.Fatal(err)
	}
	return load, load > 1.5*float64(runtime.NumCPU())
}

// Promptly is the two seconds in which what is given up must end; on a busy machine, as long as
// forty commands take that do nothing. The load would not tell: it is the mean of a minute.
func (l *Lab) Promptly() time.Duration {
	l.t.Helper()
	start := time.Now()
	for range 5 {
		l.MustRun("alice", "true")
	}
	return max(2*time.Second, 8*time.Since(start))
}

// Eventually repeats a script until it succeeds, and returns its output. The test fails when that
// takes longer than within.
func (l *Lab) Eventually(user, script string, within time.Duration) string {
	l.t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		stdout, stderr, code := l.Run(user, script)
		if code == 0 {
			return strings.TrimSuffix(stdout, "\n")
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("as %s, after %v: %s\nexit status %d\nstdout: %s\nstderr: %s", user, within, script, code, stdout, stderr)
		}
	}
}

// Active waits until each of the units is active: up to five minutes, ten in a virtual machine, for a
// start may pull its image, and a boot start many. What systemctl itself says of several is true
// when one is.
func (l *Lab) Active(user string, units ...string) {
	l.t.Helper()
	l.Eventually(user, `for unit in `+strings.Join(units, " ")+`; do
		[ $(id -u) = 0 ] && state=$(systemctl is-active $unit) || state=$(systemctl --user is-active $unit)
		[ "$state" = active ] || { echo $unit is $state; exit 1; }
		done`, max(5*time.Minute, l.patience()))
}

// Gone waits up to a minute, ten in a virtual machine, until a script prints nothing, whatever its
// status: what ends may take its time. The test fails with what is printed then.
func (l *Lab) Gone(user, script string) {
	l.t.Helper()
	for deadline := time.Now().Add(l.patience()); ; time.Sleep(50 * time.Millisecond) {
		stdout, _, _ := l.Run(user, script)
		if strings.TrimSpace(stdout) == "" {
			return
		}
		if time.Now().After(deadline) {
			l.t.Errorf("as %s, after %v, still there by %s:\n%s", user, l.patience(), script, stdout)
			return
		}
	}
}

// WriteFile writes a file as user, relative to the user's home, with the directories above it.
func (l *Lab) WriteFile(user, name, text string) {
	l.t.Helper()
	_, stderr, code := l.Command(machine.Command{
		User:  user,
		Args:  []string{"sh", "-c", `mkdir -p "$1" && cat >"$2"`, "sh", path.Dir(name), name},
		Stdin: strings.NewReader(text),
	})
	if code != 0 {
		l.t.Fatalf("write %s as %s: %s", name, user, stderr)
	}
}

// ReadFile reads a file as user, relative to the user's home.
func (l *Lab) ReadFile(user, name string) string {
	l.t.Helper()
	var out bytes.Buffer
	_, stderr, code := l.Command(machine.Command{User: user, Args: []string{"cat", "--", name}, Stdout: &out})
	if code != 0 {
		l.t.Fatalf("read %s as %s: %s", name, user, stderr)
	}
	return out.String()
}

// Boot gives a lab that is off its power and waits until it is up.
func (l *Lab) Boot() {
	l.t.Helper()
	if err := l.Machine.Boot(context.Background()); err != nil {
		l.t.Fatal(err)
	}
}

// Poweroff shuts down in order.
func (l *Lab) Poweroff() {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*l.patience())
	defer cancel()
	if err := l.Machine.Poweroff(ctx); err != nil {
		l.t.Fatal(err)
	}
}

// PowerCut kills everything at once.
func (l *Lab) PowerCut() {
	l.t.Helper()
	if err := l.Machine.PowerCut(); err != nil {
		l.t.Fatal(err)
	}
}

// Reboot is Poweroff and Boot.
func (l *Lab) Reboot() {
	l.t.Helper()
	l.Poweroff()
	l.Boot()
}
