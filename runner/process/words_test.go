// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestWordsOfAProcess(t *testing.T) {
	cmd := exec.Command("yes", "600", "0")
	cmd.Env = []string{"A=b", "C=d e"}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	// While the kernel executes a program, the process has no words. One that writes has them.
	if said, err := bufio.NewReader(out).ReadString('\n'); said != "600 0\n" {
		t.Fatalf("%q, %v", said, err)
	}
	if got, err := CommandLine(cmd.Process.Pid); err != nil || !slices.Equal(got, []string{"yes", "600", "0"}) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := Environ(cmd.Process.Pid); err != nil || !slices.Equal(got, cmd.Env) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := CommandLine(1 << 30); err == nil {
		t.Error("of no process")
	}
}

// TestAProcessThatShowsItsMemory as its words and variables, more of it than we would want to have.
func TestAProcessThatShowsItsMemory(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestShowMemory$")
	cmd.Env = append(os.Environ(), showMemory+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	switch said, err := bufio.NewReader(out).ReadString('\n'); {
	case said == missing:
		in.Close()
		_ = cmd.Wait() // it has said why
		t.Skip("the kernel was built without CONFIG_CHECKPOINT_RESTORE")
	case said != shown:
		t.Fatalf("%q, %v", said, err)
	}
	for name, read := range map[string]func(int) ([]string, error){"words": CommandLine, "variables": Environ} {
		got, err := read(cmd.Process.Pid)
		if err != nil || len(strings.Join(got, " ")) != maxWords-1 { // the last one is taken for an end
			t.Errorf("%d bytes of %s, %v", len(strings.Join(got, " ")), name, err)
		}
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

const showMemory, shown, missing = "PODUNIT_TEST_SHOW_MEMORY", "shown\n", "missing\n"

// TestShowMemory is such a process, where the variable says so.
func TestShowMemory(t *testing.T) {
	if os.Getenv(showMemory) == "" {
		return
	}
	var size uint32 // known only to a kernel with PR_SET_MM_MAP, which not all are built with
	err := unix.Prctl(unix.PR_SET_MM, unix.PR_SET_MM_MAP_SIZE, uintptr(unsafe.Pointer(&size)), 0, 0)
	if errors.Is(err, unix.EINVAL) {
		fmt.Print(missing)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	much, err := unix.Mmap(-1, 0, 2*maxWords, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	begin := uint64(uintptr(unsafe.Pointer(&much[0])))
	end := begin + uint64(len(much))
	// struct prctl_mm_map of linux/prctl.h; where the process has each, its 26th and later fields
	// of stat say.
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')'):]))
	at := func(n int) (v uint64) {
		if _, err := fmt.Sscan(fields[n-2], &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	brk, _, _ := unix.RawSyscall(unix.SYS_BRK, 0, 0, 0)
	m := [...]uint64{at(26), at(27), at(45), at(46), at(47), uint64(brk), at(28), begin, end, begin, end, 0, 0xffffffff << 32}
	if err := unix.Prctl(unix.PR_SET_MM, unix.PR_SET_MM_MAP, uintptr(unsafe.Pointer(&m[0])), unsafe.Sizeof(m), 0); err != nil {
		t.Fatal(err)
	}
	fmt.Print(shown)
	_, _ = io.ReadAll(os.Stdin)
}
