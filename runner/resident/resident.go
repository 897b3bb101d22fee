// SPDX-License-Identifier: Apache-2.0

// Package resident has the kernel put memory under the heap at once. A start allocates a good
// two megabytes and frees nothing, which is almost six hundred page faults one by one: a
// tenth of podunit's time where the kernel is a guest and a fault is dear. It imports nothing,
// so that it comes before those who allocate.
package resident

/*
#cgo CFLAGS: -O2 -Wall -Wextra
void podunit_resident(const void *heap);
*/
import "C"
import "unsafe"

// first is where the heap stands when this package's turn comes; Go fills it upwards.
var first = new([64]byte)

func init() { C.podunit_resident(unsafe.Pointer(first)) } //nolint:gochecknoinits // main comes after all that allocate
