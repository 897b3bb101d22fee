// SPDX-License-Identifier: Apache-2.0

// Package single has Go use one processor in a program that imports it.
//
// The program that services execute waits for the kernel, the runtime and the manager most of its
// time. System calls have threads of their own; more of Go's would be made and woken for nothing.
//
// Go keeps memory at hand for each processor, and takes it back, page by page, from one that it is to
// use no more. So this package imports nothing but the runtime: Go then initializes it before nearly
// all others, when there is next to nothing to take back. Source: Go's specification, Program
// initialization; the documentation of GOMAXPROCS; (*p).destroy in Go's runtime/proc.go.
package single

import "runtime"

func init() { runtime.GOMAXPROCS(1) } //nolint:gochecknoinits // it is to be before all others
