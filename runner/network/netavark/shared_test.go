// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUnmountedOnTheHost: what the host unmounts does not stay mounted for a holder that was started
// Within. The host is a process of this test that shares its mounts with those that it starts.
func TestUnmountedOnTheHost(t *testing.T) {
	const inside = "PODUNIT_TEST_DISK"
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	disk := os.Getenv(inside)
	if disk == "" {
		host := exec.Command("unshare", "--mount", "--propagation", "shared", os.Args[0], "-test.run", "^"+t.Name()+"$")
		host.Env = append(os.Environ(), inside+"="+t.TempDir())
		if out, err := host.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	err := Within("/proc/self/ns/net", "/nowhere", func() error {
		holder := exec.Command("sh", "-c", `grep -q " $1 " /proc/self/mountinfo && echo seen && read x && ! grep " $1 " /proc/self/mountinfo`, "holder", disk)
		in, err := holder.StdinPipe()
		if err != nil {
			return err
		}
		out, err := holder.StdoutPipe()
		if err != nil {
			return err
		}
		if err := holder.Start(); err != nil {
			return err
		}
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Errorf("the holder has not seen the disk: %v", err)
		}
		// This thread has the mounts of the holder.
		unmounted := make(chan error)
		go func() { unmounted <- unix.Unmount(disk, 0) }()
		if err := <-unmounted; err != nil {
			t.Errorf("unmount: %v", err)
		}
		_, _ = in.Write([]byte("\n"))
		if err := holder.Wait(); err != nil {
			t.Errorf("the holder has it still: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
