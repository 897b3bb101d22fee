/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sleep, without the pages of this file that being awake has touched.
 *
 * The small programs sleep nearly all their life, but starting them runs the C
 * library's initialization all over a file of 30 MB, and the kernel maps what lies
 * around each page that is touched (fault-around, 64 kB): 1.6 MB in all, counted
 * against whoever runs the only container. The pages stay in the page cache; those
 * that are needed again come back without input or output.
 *
 * Of the segments that can be written, only pages that have not been: dropping the
 * others would lose what was written.
 */
#define _GNU_SOURCE
#include "helper.h"
#include "syscall.h"

#include <errno.h>
#include <link.h>
#include <poll.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Bits of an entry of /proc/PID/pagemap. Source: proc_pid_pagemap(5). */
#define PRESENT (1ULL << 63)
#define OF_FILE (1ULL << 61) /* not a private copy */

/* Drop the pages from from up to to that are still as they are in the file. */
static void drop_unwritten(int pagemap, uintptr_t from, uintptr_t to, uintptr_t page)
{
	uint64_t entry[64];

	while (from < to) {
		size_t n = (to - from) / page;

		if (n > sizeof entry / sizeof *entry)
			n = sizeof entry / sizeof *entry;
		if (pread(pagemap, entry, n * sizeof *entry, from / page * sizeof *entry) != (ssize_t)(n * sizeof *entry))
			return;
		for (size_t i = 0; i < n; i++, from += page)
			if (entry[i] & PRESENT && entry[i] & OF_FILE)
				madvise((void *)from, page, MADV_DONTNEED);
	}
}

/* Where the program's code is in memory. */
struct code {
	uintptr_t from, to;
};

/* Drop all but the code that runs, and say where that is. */
static struct code drop(int pagemap, uintptr_t page)
{
	const ElfW(Phdr) *ph = (const ElfW(Phdr) *)getauxval(AT_PHDR);
	const unsigned long n = getauxval(AT_PHNUM);
	struct code code = { 0, 0 };
	uintptr_t base = 0;

	/* The program headers follow the file's header, which the first segment holds. */
	for (unsigned long i = 0; ph && i < n; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_offset == 0)
			base = (uintptr_t)ph - sizeof(ElfW(Ehdr)) - ph[i].p_vaddr;
	/* Backwards: dropping must not map again what was just dropped. The segments that can be written come last. */
	for (unsigned long i = n; ph && i-- > 0;) {
		uintptr_t from, to;

		if (ph[i].p_type != PT_LOAD)
			continue;
		from = (base + ph[i].p_vaddr) & ~(page - 1);
		to = (base + ph[i].p_vaddr + ph[i].p_filesz + page - 1) & ~(page - 1);
		if (ph[i].p_flags & PF_W)
			drop_unwritten(pagemap, from, to, page);
		else if (ph[i].p_flags & PF_X)
			code = (struct code){ from, to };
		else /* what cannot be dropped stays; nothing depends on it */
			madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return code;
}

/* poll(2). It is inlined: see podunit_sleep. */
static inline __attribute__((always_inline)) int sleep_for(struct pollfd *polls, unsigned long n, int milliseconds)
{
#if defined __x86_64__ || defined __aarch64__
	struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000L };

	return call(SYS_ppoll, (long)polls, n, milliseconds < 0 ? 0 : (long)&time, 0, 0);
#else /* of 32 bits, it has two kinds of time: the C library knows which */
	const int ready = poll(polls, n, milliseconds);

	return ready < 0 ? -errno : ready;
#endif
}

/* A page of its own, and no word of the C library between dropping its code and sleeping: so this page
 * is all of the code that a sleeping program has in memory. Advice of its own makes the page a mapping
 * of its own, and the kernel maps nothing around a page that is outside of its mapping. */
__attribute__((section("podunit_asleep"), aligned(4096), noinline))
int podunit_sleep(int pagemap, struct pollfd *polls, unsigned long n, int milliseconds)
{
	const uintptr_t page = sysconf(_SC_PAGESIZE), here = (uintptr_t)podunit_sleep & ~(page - 1), next = here + page;
	const struct code code = drop(pagemap, page);

	if (here >= code.from && next <= code.to) {
		call(SYS_madvise, here, page, MADV_RANDOM, 0, 0);
		call(SYS_madvise, code.from, here - code.from, MADV_DONTNEED, 0, 0);
		call(SYS_madvise, next, code.to - next, MADV_DONTNEED, 0, 0);
	}
	return sleep_for(polls, n, milliseconds);
}
