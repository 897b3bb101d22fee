// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/pkg/config"
	"golang.org/x/sys/unix"
)

// TestView shows a program a runtime directory below /tmp, and nobody else: in the machine's
// /tmp nothing of that name is ever there, which a stranger could take, and its loss does
// no harm.
func TestView(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	// Not below /tmp, as root's are not.
	base, err := os.MkdirTemp("/dev/shm", "podunit-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	dir := filepath.Join(base, "0123abc")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	seen := seenDir(dir)
	if seen == dir || filepath.Dir(seen) != viewed {
		t.Fatalf("AppArmor would not let pasta into %s", seen)
	}
	if units := "/run/podunit-user/1003/podunit/net/0123abc"; filepath.Dir(seenDir(units)) != viewed {
		t.Errorf("AppArmor would not let pasta into %s", units)
	}
	if err := inView(dir, func() error {
		return exec.Command("sh", "-c", "echo 7 >"+filepath.Join(seen, "pid")).Run()
	}); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "pid")); err != nil || string(b) != "7\n" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := os.Lstat(seen); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there for all to see: %v", seen, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), base) {
		t.Errorf("this process has the mount as well: %v", err)
	}
}

// TestRootView: root's pasta is not root, finds the namespace and the file for its process ID, and
// nothing else; also where the directory itself is below the one that is hidden.
func TestRootView(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	for _, base := range []string{"/dev/shm", "/tmp"} {
		base, err := os.MkdirTemp(base, "podunit-test-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(base)
		dir := filepath.Join(base, "0123abc")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{netnsFile: "the namespace\n", "secret": "x"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		var out []byte
		err = inRootView(dir, func() (err error) {
			cmd := exec.Command("sh", "-c", "id -u; id -G; ls /tmp /tmp/0123abc; cat /tmp/0123abc/netns; echo 7 >/tmp/0123abc/pasta.pid; grep CapEff /proc/self/status")
			cmd.SysProcAttr = asPasta()
			out, err = cmd.CombinedOutput()
			return err
		})
		if want := "65533\n65533\n/tmp:\n0123abc\n\n/tmp/0123abc:\nnetns\npasta.pid\nthe namespace\nCapEff:\t0000000000201400\n"; err != nil || string(out) != want {
			t.Errorf("%v: %s", err, out)
		}
		if pid, err := readPID(filepath.Join(dir, pidFile)); err != nil || pid != 7 {
			t.Errorf("its process ID: %d, %v", pid, err)
		}
	}
}

// TestViewManyTimes never ends on the main thread, whose namespaces are the process's.
func TestViewManyTimes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	base, err := os.MkdirTemp("/dev/shm", "podunit-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	before, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := inView(filepath.Join(base, "x"), func() error {
			if unix.Gettid() == unix.Getpid() {
				return errors.New("on the main thread")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := os.Readlink("/proc/self/ns/mnt"); err != nil || after != before {
		t.Errorf("the process is in %s, was in %s: %v", after, before, err)
	}
}

// daemon is a pasta that goes to the background, shows the namespace on its command line,
// and cannot write its PID, as on a full disk. Its exit status may say so or not.
const daemon = `#!/bin/sh
while [ $# -gt 0 ]; do
	case $1 in
	--pid) PID=$2 ;;
	--netns) NETNS=$2 ;;
	esac
	shift
done
: >"$PID"
sh -c 'echo $$ >"$1"; while :; do sleep 1; done' pasta "$STARTED" "$NETNS" >/dev/null 2>&1 </dev/null &
while [ ! -s "$STARTED" ]; do :; done
exit $STATUS
`

// TestPastaWithoutPID ends a pasta that could not tell its PID, whether it says so or not.
func TestPastaWithoutPID(t *testing.T) {
	for _, status := range []string{"0", "1"} {
		dir, bin := t.TempDir(), t.TempDir()
		started := filepath.Join(bin, "started")
		text := strings.NewReplacer("$STARTED", started, "$STATUS", status).Replace(daemon)
		if err := os.WriteFile(filepath.Join(bin, "pasta"), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		_, err := startPasta(context.Background(), Request{
			Dir: dir, Config: &config.Config{}, Network: spec.Network{Mode: spec.NetPasta, Options: []string{"-I", "tap0"}},
		}, nil, nil)
		if err == nil {
			t.Errorf("status %s: it has no PID, and that is no error", status)
		}
		b, err := os.ReadFile(started)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		for begun := time.Now(); !strings.Contains("ZX", procState(pid)); time.Sleep(time.Millisecond) {
			if time.Since(begun) > time.Minute {
				t.Errorf("status %s: pasta %d lives on", status, pid)
				_ = unix.Kill(pid, unix.SIGKILL)
				break
			}
		}
	}
}

// TestStrangersCommandLine leaves alone what somebody else runs with a command line like a
// pasta's, and does not fail of it.
func TestStrangersCommandLine(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("sh", "-c", "read x", "pasta", filepath.Join(dir, "other", netnsFile))
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, pidFile), []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o600), stopPasta(dir)); err != nil {
		t.Error(err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() < 0 {
		t.Errorf("it was ended: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, pidFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file stays: %v", err)
	}
}

// strict is a pasta under a profile that lets it open namespaces in one directory only, as Debian
// 12's: it stays, with the namespace on its command line.
const strict = `#!/bin/sh
while [ $# -gt 0 ]; do
	case $1 in
	--pid) PID=$2 ;;
	--netns) NETNS=$2 ;;
	esac
	shift
done
case $NETNS in
/run/user/[0-9]*/netns/*) ;;
*) echo "Couldn't open network namespace $NETNS" >&2; exit 1 ;;
esac
case $PID in
/tmp/*) ;;
*) echo "Couldn't open PID file $PID" >&2; exit 1 ;;
esac
[ "$(cat "$NETNS")" = "the namespace" ] && [ "$(ls /run/user)" = 65533 ] || exit 1
sh -c 'echo $$ >"$1"; while :; do sleep 1; done' pasta "$PID" "$NETNS" >/dev/null 2>&1 </dev/null &
while [ ! -s "$PID" ]; do :; done
`

// TestStrictProfile starts such a pasta, for root and otherwise, and ends it; of its view nothing is
// to be seen by others.
func TestStrictProfile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	if err := os.Mkdir("/run/user", 0o755); err == nil {
		t.Cleanup(func() { _ = os.Remove("/run/user") })
	} else if !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	for _, root := range []bool{false, true} {
		// Not below /tmp, which the view hides, and the program with it.
		base, err := os.MkdirTemp("/var/tmp", "podunit-test-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(base)
		dir := filepath.Join(base, "0123abc")
		program := filepath.Join(base, "pasta")
		if err := errors.Join(os.Chmod(base, 0o755), os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, netnsFile), []byte("the namespace\n"), 0o644), os.WriteFile(program, []byte(strict), 0o755)); err != nil {
			t.Fatal(err)
		}
		req := Request{Dir: dir, Root: root, Network: spec.Network{Mode: spec.NetPasta}}
		if _, err := showPasta(t.Context(), req, program, nil, nil); err != nil {
			t.Errorf("root %v: %v", root, err)
			continue
		}
		pid, err := readPID(filepath.Join(dir, pidFile))
		if err != nil || pid == 0 || !isPasta(pid, dir) {
			t.Errorf("root %v: it is not known as %d, %v", root, pid, err)
		}
		if _, err := os.Lstat(narrow); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there for all to see: %v", narrow, err)
		}
		if err := stopPasta(dir); err != nil {
			t.Error(err)
		}
		for begun := time.Now(); !strings.Contains("ZX", procState(pid)); time.Sleep(time.Millisecond) {
			if time.Since(begun) > time.Minute {
				t.Errorf("root %v: pasta %d lives on", root, pid)
				_ = unix.Kill(pid, unix.SIGKILL)
				break
			}
		}
	}
}

// TestRefusedTwice: the error tells both what pasta said first and why the second attempt failed.
func TestRefusedTwice(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	base, err := os.MkdirTemp("/var/tmp", "podunit-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	dir, program := filepath.Join(base, "0123abc"), filepath.Join(base, "pasta")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(program, []byte("#!/bin/sh\necho \"Couldn't open network namespace: denied\" >&2; exit 1\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
	// There is no namespace to be mounted for the second attempt.
	_, err = showPasta(t.Context(), Request{Dir: dir, Network: spec.Network{Mode: spec.NetPasta}}, program, nil, nil)
	var said PastaError
	if !errors.As(err, &said) || !strings.Contains(said.Said, "denied") || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "mount ") {
		t.Error(err)
	}
}
