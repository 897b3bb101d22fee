/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A program of 6 kB that loads another one and becomes it; seal.c makes it and says what
 * for, loader.c is what it does.
 */
#ifndef PODUNIT_LOADER_H
#define PODUNIT_LOADER_H

/* Clang puts constants of the code where loader.c must have none, and an old compiler a look at
 * a canary that is not there. */
#if !defined __clang__ && !defined __SANITIZE_ADDRESS__ && defined __has_attribute
#if __has_attribute(no_stack_protector) && defined __x86_64__
#define PODUNIT_MACHINE EM_X86_64
#elif __has_attribute(no_stack_protector) && defined __aarch64__
#define PODUNIT_MACHINE EM_AARCH64
#endif
#endif

#ifdef PODUNIT_MACHINE

#include <elf.h>
#include <limits.h>
#include <stddef.h>
#include <sys/stat.h>

/* What tells a file from one that has taken its place, or has been written to. */
struct podunit_file {
	unsigned long device, inode, size, seconds, nanoseconds;
};

static inline __attribute__((always_inline)) struct podunit_file podunit_file_of(const struct stat *st)
{
	return (struct podunit_file){ st->st_dev, st->st_ino, st->st_size, st->st_ctim.tv_sec, st->st_ctim.tv_nsec };
}

/* The loader's file begins with this; its code follows. */
struct podunit_loader {
	Elf64_Ehdr elf;
	Elf64_Phdr load, stack;
	char program[PATH_MAX]; /* what it loads */
	char complaint[80];     /* what it says if it cannot */
	struct podunit_file file, interpreter;
};

/* All headers of a program that is loaded lie in so many bytes, and its interpreter's name. */
#define PODUNIT_HEADERS 4096

/* The code: a section, which can be copied to anywhere, and where in it to begin. */
extern const char __start_podunit_loader[], __stop_podunit_loader[], podunit_loader_entry[];

#endif
#endif
