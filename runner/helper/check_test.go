// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// build makes podunit-checker as the Makefile does.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "podunit-checker")
	if out, err := exec.Command("make", "--no-print-directory", "-C", "../..", "checker", "CHECKER="+path).CombinedOutput(); err != nil {
		t.Fatalf("make checker: %v\n%s", err, out)
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("podunit-checker does not know this machine")
	}
	return path
}

// checker is one that runs, outside of any container.
type checker struct {
	*exec.Cmd
	socket string
}

func startChecker(t *testing.T, dir string, env ...string) *checker {
	t.Helper()
	c := startCheckerAs(t, &exec.Cmd{Path: CheckerCommand()[0], Args: CheckerCommand(), Dir: dir, Env: append([]string{}, env...)})
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return c
}

// startCheckerAs starts a command that is podunit-checker or becomes it. It gets one file more than
// it needs, as if the runtime had left it open.
func startCheckerAs(t *testing.T, cmd *exec.Cmd) *checker {
	t.Helper()
	heedHangup(t)
	program, err := os.Open(build(t))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	extra, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	c := &checker{Cmd: cmd, socket: filepath.Join(t.TempDir(), strings.Repeat("long", 40), CheckSocketName("-a"))}
	if err := os.Mkdir(filepath.Dir(c.socket), 0o700); err != nil {
		t.Fatal(err)
	}
	socket, err := CheckSocket(c.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	c.ExtraFiles = []*os.File{program, socket, extra}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// sleeps waits until it holds its streams and its socket and nothing more.
func (c *checker) sleeps(t *testing.T) {
	t.Helper()
	if !within(func() bool {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.Process.Pid))
		return err == nil && len(entries) == 4
	}) {
		t.Error("it holds other files than four")
	}
}

// run asks for a check and returns what it wrote, too.
func (c *checker) run(t *testing.T, command ...string) (code int, output string, err error) {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	q, err := AskCheck(c.socket, command, in)
	in.Close()
	if err != nil {
		return 0, "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	code, err = q.Answer(ctx, func() {})
	if ctx.Err() != nil {
		t.Fatalf("%q does not end", command)
	}
	text, rerr := io.ReadAll(out)
	if rerr != nil {
		t.Fatal(rerr)
	}
	return code, string(text), err
}

// ignored is the line of proc(5) that tells which signals the test ignores, and so what it executes.
func ignored(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "\nSigIgn:")
	mask, _, _ := strings.Cut(after, "\n")
	return "SigIgn:" + mask + "\n"
}

// TestChecker asks one program for checks of all kinds, one after the other.
func TestChecker(t *testing.T) {
	dir := t.TempDir()
	first, second, work := filepath.Join(dir, "first"), filepath.Join(dir, "second"), filepath.Join(dir, "work")
	for name, mode := range map[string]os.FileMode{"first/closed": 0o644, "second/closed": 0o755, "second/own": 0o755, "first/forbidden": 0o644, "work/here": 0o755} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("#!/bin/sh\necho found \"$@\"\n"), mode)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"first/binary": "\x7fELF", "first/lost": "#!/nosuch\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := startChecker(t, work, "PATH=/nosuch", "PATH="+first+"::"+second+":/usr/bin:/bin", "A=b")
	for _, one := range []struct {
		command []string
		code    int
		output  string
		err     error // of a *CheckError
	}{
		{command: []string{"true"}},
		{command: []string{"/bin/sh", "-c", "echo fine; echo really >&2; exit 7"}, code: 7, output: "fine\nreally\n"},
		{command: []string{"sh", "-c", "kill -SEGV $$"}, code: 128 + 11},
		{command: []string{"sh", "-c", "kill -KILL $$"}, code: 128 + 9},
		{command: []string{"sh", "-c", `echo "$0" "$A" "$1"`, "zero", ""}, output: "zero b \n"},
		{command: []string{"pwd"}, output: work + "\n"},
		{command: []string{"./here", "a b", "c"}, output: "found a b c\n"},
		{command: []string{"here"}, err: unix.ENOENT}, // an empty part of PATH is no place to look
		{command: []string{"closed"}, output: "found\n"},
		{command: []string{"own"}, output: "found\n"},
		{command: []string{"nosuch"}, err: unix.ENOENT},
		{command: []string{"/nosuch"}, err: unix.ENOENT},
		{command: []string{"forbidden"}, err: unix.EACCES},
		{command: []string{"binary"}, err: unix.ENOEXEC},
		{command: []string{"lost"}, err: unix.ENOENT},
		{command: []string{work}, err: unix.EACCES},
		{command: []string{strings.Repeat("x", 5000)}, err: unix.ENOENT},
		// The leader of a session and of its group, with the streams and nothing else, and no
		// signal ignored but those that are in the test.
		{command: []string{"sh", "-c", `set -- $(cat /proc/$$/stat); [ $1 = $5 ] && [ $1 = $6 ] && echo leader; ls /proc/$$/fd; exec grep -E 'Sig(Blk|Ign)' /proc/self/status`},
			output: "leader\n0\n1\n2\nSigBlk:\t0000000000000000\n" + ignored(t)},
		{command: []string{"sh", "-c", "echo x >/dev/stdout; cat; head -c 300000 /dev/zero | tr '\\0' y | wc -c"}, output: "x\n300000\n"},
		{command: append([]string{"sh", "-c", "echo $#"}, strings.Split(strings.Repeat("word ", maxCheckWords-4)+"last", " ")...), output: strconv.Itoa(maxCheckWords-4) + "\n"},
		{command: []string{"sh", "-c", "true " + strings.Repeat("x", maxCheckBytes-20)}},
	} {
		if !CanAsk(one.command) {
			t.Errorf("%.60q cannot be asked", one.command)
			continue
		}
		code, output, err := c.run(t, one.command...)
		var not *CheckError
		if code != one.code || output != one.output || (err != nil) != (one.err != nil) || err != nil && (!errors.As(err, &not) || not.Directory || not.Process || !errors.Is(err, one.err)) {
			t.Errorf("%.60q: %d, %q, %v; want %d, %q, %v", one.command, code, output, err, one.code, one.output, one.err)
		}
	}
	// A directory that is gone, and one of the same name.
	if err := os.RemoveAll(work); err != nil {
		t.Fatal(err)
	}
	_, _, err := c.run(t, "true")
	var not *CheckError
	if !errors.As(err, &not) || !not.Directory || !errors.Is(err, unix.ENOENT) {
		t.Errorf("where there is no directory: %v", err)
	}
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, output, err := c.run(t, "pwd"); output != work+"\n" || err != nil {
		t.Errorf("in a new directory: %q, %v", output, err)
	}
}

// TestWhatCanBeAsked: what does not fit is the runtime's.
func TestWhatCanBeAsked(t *testing.T) {
	for _, bad := range [][]string{nil, {""}, {"a\x00b"}, {"sh", "a\x00"}, {strings.Repeat("x", maxCheckBytes)}, make([]string, maxCheckWords+1)} {
		if len(bad) > maxCheckWords {
			bad[0] = "x"
		}
		if CanAsk(bad) {
			t.Errorf("%.20q", bad)
		}
	}
}

// TestCheckerHolds looks at what it holds while it sleeps.
func TestCheckerHolds(t *testing.T) {
	c := startChecker(t, t.TempDir(), "PATH=/usr/bin:/bin", "EMPTY=", "PASSWORD=secret")
	if _, output, err := c.run(t, "sh", "-c", "echo $PASSWORD"); err != nil || output != "secret\n" {
		t.Fatalf("%q, %v", output, err)
	}
	if got := name(c.Process.Pid); got != "podunit-checker" {
		t.Errorf("its name is %q", got)
	}
	dir := fmt.Sprintf("/proc/%d/", c.Process.Pid)
	if text, err := os.ReadFile(dir + "cmdline"); err != nil || string(text) != "podunit-checker\x00" {
		t.Errorf("its command line is %q, %v", text, err)
	}
	if text, err := os.ReadFile(dir + "environ"); os.Geteuid() == 0 && (err != nil || strings.Trim(string(text), "\x00") != "") {
		t.Errorf("its environment is to be seen: %q, %v", text, err)
	}
	if target, err := os.Readlink(dir + "cwd"); err != nil || target != "/" {
		t.Errorf("it is in %s, %v", target, err)
	}
	c.sleeps(t)
	var fds []string
	entries, err := os.ReadDir(dir + "fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, _ := os.Readlink(dir + "fd/" + e.Name())
		target, _, _ = strings.Cut(target, "[")
		fds = append(fds, e.Name()+" "+target)
	}
	if got := strings.Join(fds, ", "); got != "0 /dev/null, 1 /dev/null, 2 /dev/null, 3 socket:" {
		t.Errorf("it holds %s", got)
	}
	text, err := os.ReadFile(dir + "smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	_, pss, _ := strings.Cut(string(text), "\nPss:")
	var kB int
	if _, err := fmt.Sscan(pss, &kB); err != nil || kB > 100 {
		t.Errorf("it holds %d kB, %v", kB, err)
	}
	if os.Geteuid() != 0 {
		// Its files are root's, whoever it is, as of a program that may not be traced.
		if _, err := os.Readlink(dir + "fd/3"); !errors.Is(err, os.ErrPermission) {
			t.Errorf("its socket can be taken: %v", err)
		}
	}
}

// TestCheckerBuriesOrphans has children of a check outlive it.
func TestCheckerBuriesOrphans(t *testing.T) {
	c := startChecker(t, t.TempDir(), "PATH=/usr/bin:/bin")
	_, out, err := c.run(t, "sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!")
	orphan, aerr := strconv.Atoi(strings.TrimSpace(out))
	if err != nil || aerr != nil {
		t.Fatal(out, err)
	}
	if got := childOf(c.Process.Pid); got != orphan {
		t.Errorf("its child is %d, not %d", got, orphan)
	}
	kill(t, orphan, unix.SIGKILL)
	if !within(func() bool {
		if code, _, err := c.run(t, "sh", "-c", "exit 5"); code != 5 || err != nil {
			t.Errorf("%d, %v", code, err)
		}
		return unix.Kill(orphan, 0) == unix.ESRCH
	}) {
		t.Error("it leaves a zombie")
	}
}

// TestCheckerWithIgnoredSignals: a status is one also where the runtime was told to ignore the end of
// children.
func TestCheckerWithIgnoredSignals(t *testing.T) {
	c := startCheckerAs(t, exec.Command("env", "--ignore-signal=CHLD", "/proc/self/fd/3"))
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	if code, _, err := c.run(t, "/bin/sh", "-c", "exit 3"); code != 3 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
}

// TestCheckerWithFewFiles works with as many as a check needs, and ends at once with fewer: a
// question would be lost.
func TestCheckerWithFewFiles(t *testing.T) {
	limited := func(files int) *checker {
		return startCheckerAs(t, exec.Command("sh", "-c", fmt.Sprintf("ulimit -n %d && exec /proc/self/fd/3", files)))
	}
	enough := limited(8)
	t.Cleanup(func() { _ = enough.Process.Kill(); _ = enough.Wait() })
	if code, _, err := enough.run(t, "/bin/sh", "-c", "exit 3"); code != 3 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
	few := limited(7)
	end := time.AfterFunc(patience, func() { _ = few.Process.Kill() })
	defer end.Stop()
	if _ = few.Wait(); few.ProcessState.ExitCode() != 2 {
		t.Errorf("with fewer: %v", few.ProcessState)
	}
	if _, _, err := few.run(t, "true"); !errors.Is(err, ErrNotAsked) {
		t.Errorf("with fewer: %v", err)
	}
}

// TestCheckerThatIsGone: what it has not begun was not executed, and what it has begun may have been.
func TestCheckerThatIsGone(t *testing.T) {
	c := startChecker(t, t.TempDir(), "PATH=/usr/bin:/bin")
	done := make(chan error, 2)
	marks := t.TempDir()
	ask := func(command string) *Question {
		q, err := AskCheck(c.socket, []string{"sh", "-c", command}, os.Stderr)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	answer := func(q *Question) {
		_, err := q.Answer(context.Background(), func() {})
		done <- err
	}
	begun := ask("touch " + marks + "/begun; exec sleep 1000 2>/dev/null >&2")
	if !within(func() bool { _, err := os.Stat(marks + "/begun"); return err == nil }) {
		t.Fatal("nothing begins")
	}
	waiting := ask("touch " + marks + "/waiting")
	child := childOf(c.Process.Pid)
	kill(t, c.Process.Pid, unix.SIGKILL)
	kill(t, child, unix.SIGKILL)
	for _, one := range []struct {
		*Question
		want error
	}{{begun, ErrNoAnswer}, {waiting, ErrNotAsked}} {
		answer(one.Question)
		if err := <-done; !errors.Is(err, one.want) {
			t.Errorf("%v, want %v", err, one.want)
		}
	}
	if _, err := os.Stat(marks + "/waiting"); err == nil {
		t.Error("what was never begun was executed")
	}
	_ = c.Wait()
	if _, _, err := c.run(t, "true"); !errors.Is(err, ErrNotAsked) {
		t.Errorf("nobody is there: %v", err)
	}
	if err := os.Remove(c.socket); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.run(t, "true"); !errors.Is(err, ErrNotAsked) {
		t.Errorf("there is no socket: %v", err)
	}
}

// TestQuestionBeyondItsTime calls kill until all has ended, and gives up on somebody else who never
// answers.
func TestQuestionBeyondItsTime(t *testing.T) {
	c := startChecker(t, t.TempDir(), "PATH=/usr/bin:/bin")
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	q, err := AskCheck(c.socket, []string{"sh", "-c", "echo begun; exec sleep 1000"}, in)
	in.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	child := childOf(c.Process.Pid)
	cancel()
	if _, err := q.Answer(ctx, func() { _ = unix.Kill(c.Process.Pid, unix.SIGKILL); _ = unix.Kill(child, unix.SIGKILL) }); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("%v", err)
	}

	socket, err := CheckSocket(c.socket) // it replaces the other's name
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if q, err = AskCheck(c.socket, []string{"true"}, os.Stderr); err != nil {
		t.Fatal(err)
	}
	kills := 0
	if _, err := q.Answer(ctx, func() { kills++ }); !errors.Is(err, ErrNoAnswer) || kills == 0 {
		t.Errorf("%v after %d kills", err, kills)
	}
}

// TestLyingAnswers has somebody else answer, as in a container that has taken the socket.
func TestLyingAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	number := func(about, value byte) string { return string([]byte{about, 0, 0, 0, value, 0, 0, 0}) }
	for _, lie := range []string{
		"x", "1234567", "123456789", strings.Repeat("x", 100000), strings.Repeat("\xff", 8),
		number(5, 1), number(1, 0), number(checkNoDirectory, 0), number(checkNoStatus, 0),
		number(checkNoStatus, byte(unix.ECHILD)), // no lie, and it was executed
		number(checkEnded, 0x7f),                 // stopped
		string([]byte{0, 0, 0, 0, 0, 0, 1, 0}), string([]byte{1, 0, 0, 0, 0, 0x10, 0, 0}),
	} {
		q, err := AskCheck(path, []string{"true"}, os.Stderr)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := listener.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		// Files that come along are nobody's, and an answer is read once.
		if _, _, err := conn.WriteMsgUnix([]byte(lie), unix.UnixRights(0, 1, 2), nil); err != nil {
			t.Fatal(err)
		}
		before := openFiles(t)
		code, err := q.Answer(context.Background(), func() { t.Error("nothing is to be killed") })
		if code != 0 || err == nil || errors.Is(err, ErrNotAsked) || errors.Is(err, ErrNoAnswer) || errors.As(err, new(*CheckError)) {
			t.Errorf("%.20q: %d, %v", lie, code, err)
		}
		if after := openFiles(t); after >= before {
			t.Errorf("%.20q: %d files are open, before %d", lie, after, before)
		}
		conn.Close()
	}
	for answer, want := range map[string]int{number(checkEnded, 0): 0, number(checkEnded, 9): 137, string([]byte{0, 0, 0, 0, 0, 255, 0, 0}): 255} {
		q, err := AskCheck(path, []string{"true"}, os.Stderr)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := listener.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(answer)); err != nil {
			t.Fatal(err)
		}
		if code, err := q.Answer(context.Background(), nil); code != want || err != nil {
			t.Errorf("%q: %d, %v; want %d", answer, code, err, want)
		}
		conn.Close()
	}
}

// TestCheckOfUnknownEnd: it was executed, so it is not for the runtime to execute it again.
func TestCheckOfUnknownEnd(t *testing.T) {
	_, err := read(checkNoStatus, uint32(unix.ECHILD))
	if !errors.Is(err, unix.ECHILD) || errors.Is(err, ErrNotAsked) || errors.As(err, new(*CheckError)) {
		t.Errorf("%v", err)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestCheckerTakesNoStrangeQuestion: an older or newer podunit, or somebody else, asks something
// else.
func TestCheckerTakesNoStrangeQuestion(t *testing.T) {
	c := startChecker(t, t.TempDir(), "PATH=/usr/bin:/bin")
	for _, question := range []struct {
		text  string
		files []int
	}{
		{"", []int{1}}, {"\x01", []int{1}}, {"\x01\x00", []int{1}}, {"\x02true\x00", []int{1}}, {"\x01true", []int{1}}, {"\x01true\x00", nil}, {"\x01true\x00", []int{1, 2}},
		{"\x01" + strings.Repeat("x\x00", maxCheckWords+1), []int{1}}, {"\x01" + strings.Repeat("x", maxCheckBytes) + "\x00", []int{1}},
	} {
		conn, err := net.DialUnix("unixpacket", nil, shortAddr(t, c.socket))
		if err != nil {
			t.Fatal(err)
		}
		var rights []byte
		if question.files != nil {
			rights = unix.UnixRights(question.files...)
		}
		if err := withSocket(conn, func(fd int) error { return unix.Sendmsg(fd, []byte(question.text), rights, nil, unix.MSG_NOSIGNAL) }); err != nil {
			t.Fatal(err)
		}
		if n, _ := conn.Read(make([]byte, 8)); n > 0 {
			t.Errorf("%.20q is answered", question.text)
		}
		conn.Close()
	}
	if _, _, err := c.run(t, "true"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	c.sleeps(t)
}

// shortAddr is a name of a socket whose path may be too long for one.
func shortAddr(t *testing.T, path string) *net.UnixAddr {
	t.Helper()
	link := filepath.Join(t.TempDir(), "s")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	return &net.UnixAddr{Name: link, Net: "unixpacket"}
}

func withSocket(conn syscall.Conn, do func(fd int) error) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	return errors.Join(raw.Control(func(fd uintptr) { failed = do(int(fd)) }), failed)
}
