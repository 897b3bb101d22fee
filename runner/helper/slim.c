/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Give back the pages of this file that starting up has touched.
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

#include <link.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
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

void podunit_slim(int pagemap, int last)
{
	const uintptr_t page = sysconf(_SC_PAGESIZE);
	const ElfW(Phdr) *ph = (const ElfW(Phdr) *)getauxval(AT_PHDR);
	const unsigned long n = getauxval(AT_PHNUM);
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
		if (ph[i].p_flags & PF_W) {
			drop_unwritten(pagemap, from, to, page);
			continue;
		}
		if (last) { /* the page with close(2) would come back */
			close(pagemap);
			last = 0;
		}
		/* What cannot be dropped stays; nothing depends on it. */
		madvise((void *)from, to - from, MADV_DONTNEED);
	}
}
