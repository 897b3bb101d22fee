// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is for what takes milliseconds on a machine that is not busy.
const patience = time.Minute

// heedHangup has programs of the test find SIGHUP as a manager's find it, also below nohup(1): what a
// process ignores its children ignore, what it is told of they do not.
func heedHangup(t *testing.T) {
	t.Helper()
	told := make(chan os.Signal, 1)
	signal.Notify(told, unix.SIGHUP)
	t.Cleanup(func() { signal.Stop(told) })
}

// relay is a helper that passes on what comes to a container's socket.
type relay struct {
	*Running
	dir     string
	manager *net.UnixConn
}

func startRelay(t *testing.T, manager string) *relay {
	t.Helper()
	dir := t.TempDir()
	if manager == "" {
		manager = filepath.Join(dir, "manager")
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: manager, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	socket, err := NotifySocket(filepath.Join(dir, "notify"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	r, err := Log{Notify: socket, Manager: manager, StartLimit: 90 * time.Second, StopLimit: 10 * time.Second, PIDFile: filepath.Join(dir, "pid")}.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.Close(); !within(func() bool { return ended(r.PID) && ended(Successor(filepath.Join(dir, "pid"))) }) {
			t.Errorf("the helper does not end")
		}
	})
	return &relay{r, dir, conn}
}

func (r *relay) send(t *testing.T, message string) {
	t.Helper()
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: filepath.Join(r.dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(message)); err != nil {
		t.Fatal(err)
	}
}

// receive is the next message that the manager gets.
func (r *relay) receive(t *testing.T) string {
	t.Helper()
	if err := r.manager.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<16)
	n, err := r.manager.Read(b)
	if err != nil {
		t.Fatalf("nothing came: %v", err)
	}
	return string(b[:n])
}

// within waits for something to be so.
func within(is func() bool) bool {
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(2 * time.Millisecond) {
		if is() {
			return true
		}
	}
	return false
}

// ended tells whether a process is gone, or only its parent has not noticed.
func ended(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}

func name(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(b))
}

// childOf is the first child of a process, 0 if it has none.
func childOf(pid int) (child int) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	_, _ = fmt.Sscan(string(b), &child)
	return child
}

// guardOf waits for the process that guards a helper.
func guardOf(t *testing.T, pid int) (guard int) {
	t.Helper()
	if !within(func() bool { guard = childOf(pid); return name(guard) == "podunit-guard" }) {
		t.Fatalf("process %d has no guard", pid)
	}
	return guard
}

func kill(t *testing.T, pid int, sig unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// TestRelayPassesOn judges what reaches the manager of one message each; the last word is always
// READY=1, so that nothing is waited for in vain.
func TestRelayPassesOn(t *testing.T) {
	for _, c := range []struct{ name, sent, want string }{
		{"ready", "READY=1", "READY=1\n"},
		{"ready, as systemd-notify says it", "READY=1\n", "READY=1\n"},
		{"not ready", "READY=0\nSTOPPING=1", "STOPPING=1\n"},
		{"a status", "STATUS=half way there", "STATUS=half way there\n"},
		{"no status any more", "STATUS=", "STATUS=\n"},
		{"letters of all kinds", "STATUS=größer € 𝄞", "STATUS=größer € 𝄞\n"},
		{"what a terminal would obey", "STATUS=\x1b[31mred\a\x7f\u009b2J", "STATUS=?[31mred????2J\n"},
		{"no letters", "STATUS=a\xffb\xc3(\xed\xa0\x80\xf8", "STATUS=a?b?(????\n"},
		{"a long status", "STATUS=" + strings.Repeat("x", 3000), "STATUS=" + strings.Repeat("x", 512) + "\n"},
		{"alive", "WATCHDOG=1", "WATCHDOG=1\n"},
		{"the watchdog's bite", "WATCHDOG=trigger\nWATCHDOG_USEC=1", ""},
		{"a main process", "MAINPID=1\nMAINPIDFDID=7\nMAINPIDFD=1", ""},
		{"files to keep", "FDSTORE=1\nFDNAME=x\nFDSTOREREMOVE=1", ""},
		{"other words", "ERRNO=2\nBUSERROR=x\nEXIT_STATUS=0\nNOTIFYACCESS=none\nX_OWN=1\nRESTART_RESET=1", ""},
		{"a reload", "RELOADING=1\nMONOTONIC_USEC=12345", "RELOADING=1\nMONOTONIC_USEC=12345\n"},
		{"no time", "RELOADING=1\nMONOTONIC_USEC=1;2", "RELOADING=1\n"},
		{"the words among others", "MAINPID=1\nREADY=1\nFDSTORE=1\nSTATUS=up", "READY=1\nSTATUS=up\n"},
		{"more time", "EXTEND_TIMEOUT_USEC=5000000", "EXTEND_TIMEOUT_USEC=5000000\n"},
		{"more time than there is", "EXTEND_TIMEOUT_USEC=999999999999", "EXTEND_TIMEOUT_USEC=90000000\n"},
		{"more time than a number holds", "EXTEND_TIMEOUT_USEC=99999999999999999999999", ""},
		{"less time than none", "EXTEND_TIMEOUT_USEC=-1\nEXTEND_TIMEOUT_USEC=", ""},
		{"a beginning of a word", "READY=12\nREADY=1 \nREADY\nSTATUS", ""},
		{"an end of a word", "XREADY=1\n READY=1", ""},
		{"more than the manager reads", "READY=1\n" + strings.Repeat("x", 4090), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := startRelay(t, "")
			r.send(t, c.sent)
			const last = "STATUS=that is all\n"
			r.send(t, last)
			got := r.receive(t)
			if c.want == "" {
				c.want = last
			}
			if got != c.want {
				t.Errorf("the manager gets %q, want %q", got, c.want)
			}
		})
	}
}

// TestRelayKnowsWhenThereMayBeMoreTime asks for it in every state of a unit.
func TestRelayKnowsWhenThereMayBeMoreTime(t *testing.T) {
	r := startRelay(t, fmt.Sprintf("@podunit-helper-test-%d", time.Now().UnixNano()))
	const more = "EXTEND_TIMEOUT_USEC=999000000"
	for _, c := range []struct{ sent, want string }{
		{more, "EXTEND_TIMEOUT_USEC=90000000\n"},
		{more + "\nREADY=1", "READY=1\n"},               // the manager heeds READY=1 first, and then it runs
		{more + "\nSTATUS=running", "STATUS=running\n"}, // RuntimeMaxSec= is not the container's
		{"RELOADING=1", "RELOADING=1\n"},
		{more, "EXTEND_TIMEOUT_USEC=90000000\n"},
		{"READY=1\n" + more, "READY=1\n"},
		{more + "\nSTATUS=reloaded", "STATUS=reloaded\n"},
		{"STOPPING=1", "STOPPING=1\n"},
		{more, "EXTEND_TIMEOUT_USEC=10000000\n"},
	} {
		r.send(t, c.sent)
		if got := r.receive(t); got != c.want {
			t.Errorf("of %q the manager gets %q, want %q", c.sent, got, c.want)
		}
	}
}

// TestRelayAnswersABarrier closes what systemd-notify sends along, once what came before is
// passed on.
func TestRelayAnswersABarrier(t *testing.T) {
	r := startRelay(t, "")
	r.send(t, "READY=1")
	end, barrier, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	to := &unix.SockaddrUnix{Name: filepath.Join(r.dir, "notify")}
	if err := unix.Sendmsg(fd, []byte("BARRIER=1"), unix.UnixRights(int(barrier.Fd())), to, 0); err != nil {
		t.Fatal(err)
	}
	barrier.Close()
	if err := end.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := end.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("nobody closes the barrier")
	}
	if got := r.receive(t); got != "READY=1\n" {
		t.Errorf("the manager gets %q", got)
	}
}

// TestAGuardGoesOn kills the helper and its guards, again and again.
func TestAGuardGoesOn(t *testing.T) {
	r := startRelay(t, "")
	pid := r.PID
	for i := range 6 {
		guard := guardOf(t, pid)
		if i%2 == 0 {
			kill(t, guard, unix.SIGKILL)
			if !within(func() bool { return ended(guard) }) {
				t.Fatalf("guard %d lives", guard)
			}
			guard = guardOf(t, pid) // another one
		}
		kill(t, pid, unix.SIGKILL)
		text := fmt.Sprintf("STATUS=round %d\n", i)
		r.send(t, text)
		if got := r.receive(t); got != text {
			t.Fatalf("the manager gets %q, want %q", got, text)
		}
		if !within(func() bool { return Successor(filepath.Join(r.dir, "pid")) == guard }) {
			t.Fatalf("%d is noted, want %d", Successor(filepath.Join(r.dir, "pid")), guard)
		}
		if pid = guard; name(pid) != "podunit-log" {
			t.Errorf("it is called %s", name(pid))
		}
	}
}

// TestNoLineIsLost kills the helper while it copies as fast as it can.
func TestNoLineIsLost(t *testing.T) {
	if _, err := os.Stat("/run/systemd/journal/socket"); err == nil {
		t.Skip("the lines would go to this machine's journal")
	}
	stdout, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	lines, err := os.Create(filepath.Join(t.TempDir(), "lines"))
	if err != nil {
		t.Fatal(err)
	}
	defer lines.Close()
	// Without a journal they go to its stderr, which is ours.
	before := os.Stderr
	os.Stderr = lines
	pidFile := filepath.Join(t.TempDir(), "pid")
	r, err := Log{Stdout: stdout, PIDFile: pidFile}.Start()
	os.Stderr = before
	if err != nil {
		t.Fatal(err)
	}
	const all, kills = 150_000, 20
	written := make(chan error, 1)
	go func() {
		out := bufio.NewWriter(writer)
		for i := range all {
			fmt.Fprintf(out, "line %d\n", i)
		}
		fmt.Fprint(out, "and no newline")
		written <- errors.Join(out.Flush(), writer.Close())
	}()
	pid, killed := r.PID, 0
	for ; killed < kills; killed++ {
		guard := 0
		if !within(func() bool { guard = childOf(pid); return name(guard) == "podunit-guard" || ended(pid) }) {
			t.Fatalf("process %d has no guard", pid)
		}
		if unix.Kill(pid, unix.SIGKILL) != nil || ended(guard) {
			break // it has come to the end of the lines
		}
		pid = guard
	}
	if err := errors.Join(<-written, r.Close()); err != nil {
		t.Fatal(err)
	}
	if !within(func() bool { return ended(pid) && ended(Successor(pidFile)) }) {
		t.Fatal("it does not end")
	}
	b, err := os.ReadFile(lines.Name())
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	next, twice := 0, 0
	for i, line := range got[:len(got)-1] {
		// To a file, unlike to a journal, the beginning of a line may be written by one that is
		// killed.
		switch {
		case strings.HasSuffix(line, fmt.Sprintf("line %d", next)):
			next++
		case strings.HasSuffix(line, fmt.Sprintf("line %d", next-1)):
			twice++
		default:
			t.Fatalf("line %d is %q after line %d; %d kills", i, line, next-1, killed)
		}
	}
	if next != all || twice > killed || killed == 0 || got[len(got)-1] != "and no newline" {
		t.Errorf("%d lines, %d of them twice, %d kills; the last is %q", next, twice, killed, got[len(got)-1])
	}
	t.Logf("%d kills, %d lines twice", killed, twice)
}

// TestSignalsEndNoHelper sends all that systemctl kill may send to the whole of a unit.
func TestSignalsEndNoHelper(t *testing.T) {
	r := startRelay(t, "")
	guard := guardOf(t, r.PID)
	for sig := unix.Signal(1); sig <= 64; sig++ {
		if sig == unix.SIGKILL || sig == unix.SIGSTOP {
			continue
		}
		kill(t, r.PID, sig)
		kill(t, guard, sig)
	}
	r.send(t, "READY=1")
	if got := r.receive(t); got != "READY=1\n" {
		t.Errorf("the manager gets %q", got)
	}
	if ended(r.PID) || ended(guard) {
		t.Error("a signal has ended it")
	}
}

// sleeper is a process that stands for a container or its network.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// TestAContainerEndsWithItsNetwork kills the network's process.
func TestAContainerEndsWithItsNetwork(t *testing.T) {
	container, network := sleeper(t), sleeper(t)
	r := startRelay(t, "")
	if err := r.Watch(container.Process.Pid, network.Process.Pid, ""); err != nil {
		t.Fatal(err)
	}
	r.send(t, "STATUS=watched")
	r.receive(t)
	if ended(container.Process.Pid) {
		t.Fatal("it has ended before its network")
	}
	kill(t, network.Process.Pid, unix.SIGKILL)
	if !within(func() bool { return ended(container.Process.Pid) }) {
		t.Fatal("the container runs on without a network")
	}
	if !within(func() bool { return ended(r.PID) }) {
		t.Error("the helper outlives the container")
	}
}

// TestAContainerThatIsToldToEndMayWrite although its network, told with it, is gone at once.
func TestAContainerThatIsToldToEndMayWrite(t *testing.T) {
	written := filepath.Join(t.TempDir(), "written")
	container, network := exec.Command("sh", "-c", `trap 'sleep 5; echo all > "$0"; exit' TERM; echo; while :; do sleep 0.1; done`, written), sleeper(t)
	ready, err := container.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := container.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = container.Process.Kill() })
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	r := startRelay(t, "")
	guard := guardOf(t, r.PID)
	if err := r.Watch(container.Process.Pid, network.Process.Pid, ""); err != nil {
		t.Fatal(err)
	}
	r.send(t, "STATUS=watched")
	r.receive(t)
	for _, pid := range []int{r.PID, guard, container.Process.Pid, network.Process.Pid} {
		kill(t, pid, unix.SIGTERM)
	}
	_ = container.Wait() // killed or not, the file tells
	if b, err := os.ReadFile(written); err != nil || string(b) != "all\n" {
		t.Errorf("it has written %q, %v", b, err)
	}
}

// TestWhatAContainerLeavesEnds by its cgroup, where the kernel kills nobody: with the host's
// process IDs.
func TestWhatAContainerLeavesEnds(t *testing.T) {
	cgroup, container := t.TempDir(), sleeper(t)
	kills := filepath.Join(cgroup, "cgroup.kill")
	if err := os.WriteFile(kills, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := startRelay(t, "")
	if err := r.Watch(container.Process.Pid, 0, cgroup); err != nil {
		t.Fatal(err)
	}
	r.send(t, "STATUS=watched")
	r.receive(t)
	if b, err := os.ReadFile(kills); err != nil || len(b) > 0 {
		t.Fatalf("while it runs: %q, %v", b, err)
	}
	kill(t, container.Process.Pid, unix.SIGKILL)
	if !within(func() bool { return ended(r.PID) }) {
		t.Fatal("the helper does not end")
	}
	if b, err := os.ReadFile(kills); err != nil || string(b) != "1" {
		t.Errorf("written to the cgroup: %q, %v", b, err)
	}
}

// TestAHelperEndsWithTheContainer once it has passed on the last words.
func TestAHelperEndsWithTheContainer(t *testing.T) {
	container, network := sleeper(t), sleeper(t)
	r := startRelay(t, "")
	guard := guardOf(t, r.PID)
	if err := r.Watch(container.Process.Pid, network.Process.Pid, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	r.send(t, "STATUS=last words")
	kill(t, container.Process.Pid, unix.SIGKILL)
	if got := r.receive(t); got != "STATUS=last words\n" {
		t.Errorf("the manager gets %q", got)
	}
	if !within(func() bool { return ended(r.PID) && ended(guard) }) {
		t.Error("the helper outlives the container")
	}
}

// TestTheNetworkEndsWithItsContainer also if it is deaf to what systemd would say.
func TestTheNetworkEndsWithItsContainer(t *testing.T) {
	r := startRelay(t, "")
	container, network := sleeper(t), sleeper(t)
	if err := r.Watch(container.Process.Pid, network.Process.Pid, ""); err != nil {
		t.Fatal(err)
	}
	kill(t, container.Process.Pid, unix.SIGKILL)
	if !within(func() bool { return ended(network.Process.Pid) }) {
		t.Error("the network goes on without its container")
	}
}

// TestTheNetworkEndsWithAStartThatIsKilled before there is a container.
func TestTheNetworkEndsWithAStartThatIsKilled(t *testing.T) {
	r := startRelay(t, "")
	network := sleeper(t)
	if err := r.Network(network.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil { // as the kernel does
		t.Fatal(err)
	}
	if !within(func() bool { return ended(network.Process.Pid) }) {
		t.Error("the network goes on without a container")
	}
	if err := r.Network(network.Process.Pid); err != nil {
		t.Errorf("after the end: %v", err)
	}
}

// TestAStartThatIsKilledLeavesNoContainer which would begin, and perhaps not hear the manager.
func TestAStartThatIsKilledLeavesNoContainer(t *testing.T) {
	for _, word := range [][]byte{nil, {OpenNow}} {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		near, far := os.NewFile(uintptr(fds[0]), "near"), os.NewFile(uintptr(fds[1]), "far")
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := unix.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		// As runc's first process: it says at the FIFO that it begins.
		container := exec.Command("sh", "-c", `echo > "$0"; exec sleep 1000`, fifo)
		if err := container.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = container.Process.Kill() })
		r, err := Log{Latch: far, FIFO: fifo}.Start()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(far.Close(), r.Watch(container.Process.Pid, 0, "")); err != nil {
			t.Fatal(err)
		}
		if _, err := near.Write(word); err != nil {
			t.Fatal(err)
		}
		if word != nil {
			if n, err := near.Read(make([]byte, 1)); n != 1 {
				t.Errorf("the gate is not opened: %v", err)
			}
			if err := container.Process.Signal(unix.SIGTERM); err != nil { // else it would be killed
				t.Error(err)
			}
		}
		if err := near.Close(); err != nil { // as the kernel does
			t.Fatal(err)
		}
		err = container.Wait()
		if want := map[bool]string{true: "signal: killed", false: "signal: terminated"}[word == nil]; err == nil || err.Error() != want {
			t.Errorf("after the word %v: %v, want %s", word, err, want)
		}
		if _, err := os.Stat(fifo); (err == nil) != (word == nil) {
			t.Errorf("after the word %v: %v", word, err)
		}
	}
}

// TestASlowStartThatIsKilledLeavesNoContainer although it has begun: what is left to do, nobody
// would. When the start is over, its container is left alone.
func TestASlowStartThatIsKilledLeavesNoContainer(t *testing.T) {
	for _, over := range []bool{false, true} {
		kills := filepath.Join(t.TempDir(), "cgroup.kill")
		if err := os.WriteFile(kills, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r := startRelay(t, "")
		container := sleeper(t)
		if err := errors.Join(r.Starting(), r.Watch(container.Process.Pid, 0, filepath.Dir(kills))); err != nil {
			t.Fatal(err)
		}
		r.send(t, "STATUS=watched")
		r.receive(t)
		if b, err := os.ReadFile(kills); err != nil || len(b) > 0 {
			t.Fatalf("while the start goes on: %q, %v", b, err)
		}
		want := "1"
		if over {
			want = ""
			if err := r.Started(true); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Close(); err != nil { // as the kernel does
			t.Fatal(err)
		}
		if over {
			r.send(t, "STATUS=seen")
			r.receive(t)
		}
		var b []byte
		if !within(func() bool { b, _ = os.ReadFile(kills); return string(b) == want }) {
			t.Errorf("over: %t, written to the cgroup: %q, want %q", over, b, want)
		}
	}
}

// TestAHelperEndsWithASlowStart if it has no other task: container and guard are not kept company. It
// leaves the container's network alone, which ends with the container where the helper stays.
func TestAHelperEndsWithASlowStart(t *testing.T) {
	for _, stay := range []bool{false, true} {
		r, err := Log{}.Start()
		if err != nil {
			t.Fatal(err)
		}
		container, network := sleeper(t), sleeper(t)
		if err := errors.Join(r.Network(network.Process.Pid), r.Starting(), r.Watch(container.Process.Pid, network.Process.Pid, "")); err != nil {
			t.Fatal(err)
		}
		guard := guardOf(t, r.PID)
		if err := r.Started(stay); err != nil {
			t.Fatal(err)
		}
		if !stay && !within(func() bool { return ended(r.PID) && ended(guard) }) {
			t.Error("it stays")
		}
		if ended(container.Process.Pid) {
			t.Error("it has ended the container")
		}
		kill(t, container.Process.Pid, unix.SIGKILL)
		if !within(func() bool { return ended(r.PID) && ended(guard) }) {
			t.Error("it does not end with the container")
		}
		// Who was killed before does not end by this.
		kill(t, network.Process.Pid, unix.SIGTERM)
		err = network.Wait()
		if want := map[bool]string{true: "signal: killed", false: "signal: terminated"}[stay]; err == nil || err.Error() != want {
			t.Errorf("stays: %t, the network ends by %v, want %s", stay, err, want)
		}
	}
}

// TestAHelperThatCannotBeTold of a slow start is left without a socket, as by every other failure.
func TestAHelperThatCannotBeTold(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	near := os.NewFile(uintptr(fds[0]), "near")
	defer near.Close()
	if err := unix.Close(fds[1]); err != nil { // as that of one that was killed
		t.Fatal(err)
	}
	r := &Running{control: near}
	if err := r.Starting(); !errors.Is(err, unix.EPIPE) || r.control != nil {
		t.Errorf("%v; the socket is open: %t", err, r.control != nil)
	}
}

// TestTheGateWaitsForNoContainerThatHasEnded between its making and its beginning.
func TestTheGateWaitsForNoContainerThatHasEnded(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	near, far := os.NewFile(uintptr(fds[0]), "near"), os.NewFile(uintptr(fds[1]), "far")
	defer near.Close()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// A writer that never writes: without one, the end of the container is not what is seen.
	writer, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	container := sleeper(t)
	r, err := Log{Latch: far, FIFO: fifo}.Start()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(far.Close(), r.Watch(container.Process.Pid, 0, "")); err != nil {
		t.Fatal(err)
	}
	kill(t, container.Process.Pid, unix.SIGKILL)
	begun := time.Now()
	if _, err := near.Write([]byte{OpenNow}); err != nil {
		t.Fatal(err)
	}
	if n, _ := near.Read(make([]byte, 1)); n != 0 || time.Since(begun) > 8*time.Second {
		t.Errorf("%d bytes, after %s", n, time.Since(begun))
	}
}

// TestTheRuntimesWordsAreNotTheContainers leaves unread what was written to the container's
// streams, if the gate is never to be opened.
func TestTheRuntimesWordsAreNotTheContainers(t *testing.T) {
	stdout, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	defer writer.Close()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	near, far := os.NewFile(uintptr(fds[0]), "near"), os.NewFile(uintptr(fds[1]), "far")
	defer near.Close()
	const words = "runc create failed: nothing\n"
	if _, err := writer.WriteString(words); err != nil {
		t.Fatal(err)
	}
	r, err := Log{Stdout: stdout, Latch: far, FIFO: filepath.Join(t.TempDir(), "none")}.Start()
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(far.Close(), r.Close())
	if _, werr := near.Write([]byte{0}); err != nil || werr != nil {
		t.Fatal(err, werr)
	}
	if !within(func() bool { return ended(r.PID) }) {
		t.Fatal("the helper does not end")
	}
	b := make([]byte, 100)
	if err := stdout.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := stdout.Read(b); err != nil || string(b[:n]) != words {
		t.Errorf("left in the pipe: %q, %v", b[:n], err)
	}
}

// TestAHelperGivesUpPrivileges looks at what the kernel says of it and of its guard.
func TestAHelperGivesUpPrivileges(t *testing.T) {
	r := startRelay(t, "")
	for _, pid := range []int{r.PID, guardOf(t, r.PID)} {
		confined(t, pid, 0)
		untraceable(t, pid)
	}
}

// confined judges the privileges of a process; seccomp is the mode that it is to have.
func confined(t *testing.T, pid, seccomp int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1"}
	if os.Geteuid() == 0 { // else the set is not ours to empty, and new privileges come from nowhere
		want = append(want, "CapBnd:\t0000000000000000")
	}
	if seccomp > 0 {
		want = append(want, fmt.Sprintf("Seccomp:\t%d", seccomp))
	}
	for _, line := range want {
		if !slices.Contains(strings.Split(string(b), "\n"), line) {
			t.Errorf("%s: not %q:\n%s", name(pid), line, b)
		}
	}
}

// untraceable judges whether a process of the same user, with no capability either, reaches a
// process.
func untraceable(t *testing.T, pid int) {
	t.Helper()
	for _, what := range []string{"root/", "exe"} {
		path := fmt.Sprintf("/proc/%d/%s", pid, what)
		if err := withoutCapabilities(func() error { _, err := os.Stat(path); return err }); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: a process of the same user sees %s: %v", name(pid), path, err)
		}
	}
}

// withoutCapabilities does something as a container's process may: as the same user, with no
// capability.
func withoutCapabilities(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // it ends with this function
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&head, &none[0]); err != nil {
			done <- err
			return
		}
		done <- do()
	}()
	return <-done
}

// inMounts does something in a mount namespace of its own, as a start is in one.
func inMounts(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // it ends with this function
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			done <- err
			return
		}
		done <- do()
	}()
	return <-done
}

// TestInfraHasNothing looks at a pod's process from outside, with more power over it than any
// container has.
func TestInfraHasNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root here")
	}
	network := sleeper(t)
	cmd := (*exec.Cmd)(nil)
	var r *Running
	err := inMounts(func() (err error) {
		r, err = Infra{Namespaces: unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS, Hostname: "box"}.Start(func(c *exec.Cmd) error {
			cmd = c
			return c.Start()
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	proc := fmt.Sprintf("/proc/%d/", r.PID)
	for _, dir := range []string{"root", "cwd", "root/..", "cwd/../.."} {
		entries, err := os.ReadDir(proc + dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != "empty" && e.Name() != "shm" {
				t.Errorf("%s shows %s", dir, e.Name())
			}
		}
		if dir == "root" && len(entries) > 0 {
			t.Errorf("%s is not empty", dir)
		}
	}
	if err := os.WriteFile(proc+"root/x", nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("its root: %v", err)
	}
	var program unix.Statfs_t
	if err := unix.Statfs(proc+"exe", &program); err != nil || program.Flags&unix.ST_RDONLY == 0 {
		t.Errorf("its program can be written to once it has ended: %v", err)
	}
	confined(t, r.PID, 2)
	untraceable(t, r.PID)
	mounts, err := os.ReadFile(proc + "mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(mounts), "\n"); n > 1 {
		t.Errorf("%d mounts:\n%s", n, mounts)
	}
	for _, fd := range []string{"0", "1", "3"} {
		if to, err := os.Readlink(proc + "fd/" + fd); err == nil && strings.HasPrefix(to, "/") {
			t.Errorf("descriptor %s is %s", fd, to)
		}
	}
	for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGPIPE} {
		kill(t, r.PID, sig)
	}
	if err := r.WatchNetwork(network.Process.Pid); err != nil {
		t.Fatal(err)
	}
	kill(t, network.Process.Pid, unix.SIGKILL)
	var status unix.WaitStatus
	if _, err := unix.Wait4(r.PID, &status, 0, nil); err != nil || status.ExitStatus() != 1 {
		t.Errorf("%s ended with %v, %v; 1 tells the manager that it failed", cmd.Args[0], status, err)
	}
}

// TestInfraOfAnotherUser is that of a pod with a user namespace of its own, in which we are root
// or, as with keep-id, somebody else.
func TestInfraOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root here")
	}
	for name, ids := range map[string][]syscall.SysProcIDMap{
		"root":           {{ContainerID: 0, HostID: 0, Size: 1000}},
		"a user":         {{ContainerID: 0, HostID: 1, Size: 1000}, {ContainerID: 1000, HostID: 0, Size: 1}},
		"without a root": {{ContainerID: 1000, HostID: 0, Size: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Infra{Namespaces: unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS, Hostname: "box", UIDs: ids, GIDs: ids}.Start((*exec.Cmd).Start)
			if err != nil {
				t.Fatal(err)
			}
			if ended(r.PID) {
				t.Fatal("it ended at once")
			}
			confined(t, r.PID, 2)
			if entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/root", r.PID)); err != nil || len(entries) > 0 {
				t.Errorf("its root: %v, %v", entries, err)
			}
			kill(t, r.PID, unix.SIGTERM)
			var status unix.WaitStatus
			if _, err := unix.Wait4(r.PID, &status, 0, nil); err != nil || status != 0 {
				t.Errorf("it ended with %v, %v", status, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestInfraEndsAsAsked is no failure.
func TestInfraEndsAsAsked(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root here")
	}
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT} {
		r, err := Infra{Namespaces: unix.CLONE_NEWIPC}.Start((*exec.Cmd).Start)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.WatchNetwork(0); err != nil {
			t.Fatal(err)
		}
		kill(t, r.PID, sig)
		var status unix.WaitStatus
		if _, err := unix.Wait4(r.PID, &status, 0, nil); err != nil || !status.Exited() || status.ExitStatus() != 0 {
			t.Errorf("at %s it ended with %v, %v", sig, status, err)
		}
	}
}

// TestNotifySocketTakesThePlaceOfAnOldOne, as a container that starts again finds its own.
func TestNotifySocketTakesThePlaceOfAnOldOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("a-directory-with-a-long-name/", 5), "notify")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		f, err := NotifySocket(path)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode() != fs.ModeSocket|0o666 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}
