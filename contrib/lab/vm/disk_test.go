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
func TestVMDisk(t *testing.T) {
	l := boot(t, labtest.Options{Seed: 1})
	const blocks = 512
	// A commit of the file system's journal flushes all: none may come between the last write and
	// the cut.
	l.MustRun("root", fmt.Sprintf(`mount -o remount,commit=600 /; cd /var/tmp; dd if=/dev/zero of=old bs=4096 count=%d conv=fsync 2>/dev/null
tr '\0' B </dev/zero | dd of=flushed bs=4096 count=%[1]d iflag=fullblock conv=fsync 2>/dev/null
sync
tr '\0' B </dev/zero | dd of=old bs=4096 count=%[1]d iflag=fullblock oflag=direct conv=notrunc 2>/dev/null`, blocks))
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
