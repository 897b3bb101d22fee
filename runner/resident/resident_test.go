// SPDX-License-Identifier: Apache-2.0

package resident

import (
	"errors"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestResident asks the kernel for the pages that follow the first object.
func TestResident(t *testing.T) {
	const pages = 64
	page := os.Getpagesize()
	at := unsafe.Add(unsafe.Pointer(first), -int(uintptr(unsafe.Pointer(first))%uintptr(page)))
	if err := unix.Madvise(unsafe.Slice((*byte)(at), page), unix.MADV_POPULATE_WRITE); errors.Is(err, unix.EINVAL) {
		t.Skip("this kernel has no MADV_POPULATE_WRITE (Linux 5.14)")
	}
	var there [pages]byte
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(at), uintptr(pages*page), uintptr(unsafe.Pointer(&there))); errno != 0 {
		t.Fatal(errno)
	}
	for i, b := range there {
		if b&1 == 0 {
			t.Errorf("page %d of the heap is not there", i)
		}
	}
}
