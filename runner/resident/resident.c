/* SPDX-License-Identifier: Apache-2.0 */

#define _GNU_SOURCE
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

void podunit_resident(const void *heap);

/*
 * Go reserves the heap in pieces of 4 MB, of which this is the first. Neither call can fail in
 * a way that matters: what the kernel does not know (before Linux 5.14), or what lies behind
 * the piece, stays as it is and is made at the first touch, as ever. Source: madvise(2).
 */
void podunit_resident(const void *heap)
{
	enum { HUGE = 2 << 20, PIECE = 4 << 20, START = 2300 << 10 /* what a start takes, in bytes */ };
	const uintptr_t at = (uintptr_t)heap;

	madvise((void *)(at & -(uintptr_t)HUGE), PIECE, MADV_HUGEPAGE);
	madvise((void *)(at & -(uintptr_t)getpagesize()), START, MADV_POPULATE_WRITE);
}
