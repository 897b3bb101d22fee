// SPDX-License-Identifier: Apache-2.0

//go:build lab

package vm

import (
	"fmt"
	"strings"
	"testing"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// TestVMDisk proves that the machines' disk is what the power cuts need: it loses what was not
// flushed, and nothing else.
func TestVMDisk(t *testing.T) { disk(boot(t, labtest.Options{Seed: 1}), t, "/") }

// TestLossyDisk proves the same of a lossy lab, whose kernel goes on.
func TestLossyDisk(t *testing.T) {
	l := labtest.Boot(t, labtest.Options{Lossy: true, Seed: 1, Bare: true, NoImages: true})
	disk(l, t, "/home")
	// Nothing that the kernel has not written; all of it after an end in order.
	l.MustRun("root", "mount -o remount,commit=600 /home; sync -f /home; echo >/home/forgotten; echo >/etc/forgotten")
	l.PowerCut()
	l.Boot()
	l.MustRun("root", "! ls -d /home/forgotten || exit 1; ! ls -d /etc/forgotten || exit 1; echo >/home/kept; echo >/etc/kept")
	l.Reboot()
	l.MustRun("root", "ls /home/kept /etc/kept")
}

// disk judges the disk that is mounted on a directory of a lab.
func disk(l *labtest.Lab, t *testing.T, at string) {
	t.Helper()
	const blocks = 512
	// A commit of the file system's journal flushes all: none may come between the last write and
	// the cut.
	l.MustRun("root", fmt.Sprintf(`mount -o remount,commit=600 %[2]s; cd /var/tmp; dd if=/dev/zero of=old bs=4096 count=%[1]d conv=fsync 2>/dev/null
tr '\0' B </dev/zero | dd of=flushed bs=4096 count=%[1]d iflag=fullblock conv=fsync 2>/dev/null
sync -f %[2]s
tr '\0' B </dev/zero | dd of=old bs=4096 count=%[1]d iflag=fullblock oflag=direct conv=notrunc 2>/dev/null`, blocks, at))
	l.PowerCut()
	l.Boot()
	counts := l.MustRun("root", `python3 -c '
for name in "old", "flushed":
    data = open("/var/tmp/" + name, "rb").read()
    pieces = [data[i:i+4096] for i in range(0, len(data), 4096)]
    print(name, len(pieces), sum(p == b"B" * 4096 for p in pieces), sum(p == bytes(4096) for p in pieces))'`)
	t.Log(counts)
	var total, fresh, stale int
	if _, err := fmt.Sscanf(counts, "old %d %d %d", &total, &fresh, &stale); err != nil || total != blocks || fresh+stale != blocks {
		t.Errorf("blocks are neither old nor new: %v", err)
	}
	if fresh == 0 || stale == 0 {
		t.Errorf("of unflushed blocks %d are there and %d are lost: some of each should be", fresh, stale)
	}
	if want := fmt.Sprintf("\nflushed %d %[1]d 0", blocks); !strings.HasSuffix(counts, want) {
		t.Error("the disk has lost what was flushed")
	}
}
