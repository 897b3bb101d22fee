// SPDX-License-Identifier: Apache-2.0

//go:build lab

package disk

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is the process with the disk, too: its arguments are then a seed, the file, the
// directory and a command.
func TestMain(m *testing.M) {
	if os.Getenv("LAB_DISK") == "" {
		os.Exit(m.Run())
	}
	seed, err := strconv.ParseUint(os.Args[1], 10, 64)
	if err == nil {
		var d *Disk
		if d, err = Open(os.Args[2], seed); err == nil {
			err = d.Mounted(os.Args[3], os.Args[4:])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// mounted runs a script on the mounted disk. When the script has said "ready", its power is cut; one
// that ends without a word is waited for, and then the disk is unmounted in order. It returns what
// the script printed before.
func mounted(t *testing.T, seed int, image, script string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", os.Args[0], fmt.Sprint(seed), image, dir, "sh", "-ec", "cd "+dir+"\n"+script)
	cmd.Env = append(os.Environ(), "LAB_DISK=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, in := io.Pipe()
	cmd.Stdout = in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait()
		in.Close()
	}()
	var text strings.Builder
	cut := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ready" {
			// First the disk: nothing of what the others' end has the kernel do may reach it.
			cut = true
			if !Attached(image) {
				t.Error("no loop device is seen while one is mounted")
			}
			_ = cmd.Process.Kill()
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			continue
		}
		text.WriteString(lines.Text() + "\n")
	}
	if err := <-ended; err != nil && !cut {
		t.Fatalf("%v: %s%s", err, text.String(), stderr.String())
	}
	// Its loop device goes with it.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if !Attached(image) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a loop device is left after the end of %s", dir)
		}
	}
	return text.String()
}

// TestLabLoop cuts the power of a mounted disk again and again. The file system mounts each time;
// what was synced is there, what was only written is there in parts, and what the kernel had
// not written yet is never there.
func TestLabLoop(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts need root: run sudo make lab-test")
	}
	image := file(t, 64<<20/block)
	if out, err := exec.Command("mke2fs", "-q", "-b", "4096", "-F", "-t", "ext4", image).CombinedOutput(); err != nil {
		t.Fatalf("mke2fs: %v: %s", err, out)
	}
	const blocks, rounds = 64, 20
	pattern := func(r int) string {
		return fmt.Sprintf(`yes %d | tr -d '\n' | dd of=over bs=4096 count=%d iflag=fullblock conv=notrunc`, 1000+r, blocks)
	}
	if out := mounted(t, 0, image, "exec 2>/dev/null; "+pattern(0)+"; echo 0 >synced; echo 0 >cached; mkdir names; echo once >ordered"); out != "" {
		t.Fatalf("at the first time: %s", out)
	}
	fresh, stale, mixed := 0, 0, 0
	for r := 1; r <= rounds; r++ {
		// A direct write reaches the disk and is not flushed; one that is only cached does not.
		out := mounted(t, r, image, fmt.Sprintf(`exec 2>/dev/null
cat synced cached ordered; ls names | wc -l
for i in $(seq 0 %[1]d); do dd if=over bs=4096 count=1 skip=$i | cut -c -4; done
echo %[2]d >synced; sync synced; %[3]s oflag=direct
echo %[2]d >cached; echo >names/%[2]d; echo ready; sleep infinity`, blocks-1, r, pattern(r)))
		lines := strings.Fields(out)
		if len(lines) != 4+blocks {
			t.Fatalf("round %d: %s", r, out)
		}
		if lines[0] != fmt.Sprint(r-1) {
			t.Errorf("round %d: synced has %s", r, lines[0])
		}
		if lines[1] != "0" || lines[3] != "0" {
			t.Errorf("round %d: the kernel remembers what was not written: cached has %s, there are %s names", r, lines[1], lines[3])
		}
		if lines[2] != "once" {
			t.Errorf("round %d: what an unmount has flushed is %s", r, lines[2])
		}
		kinds := map[string]int{}
		for _, l := range lines[4:] {
			kinds[l]++
		}
		fresh += kinds[fmt.Sprint(999+r)]
		stale += blocks - kinds[fmt.Sprint(999+r)]
		if r > 1 && len(kinds) > 1 {
			mixed++
		}
	}
	t.Logf("of blocks that were written and not flushed, %d are there and %d are not, both kinds after %d cuts", fresh, stale, mixed)
	if fresh < rounds*blocks/4 || stale < rounds*blocks/4 || mixed < rounds/2 {
		t.Error("half of them should be there, by chance")
	}
}
