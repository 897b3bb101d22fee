/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A program of 8 kB that loads another one and becomes it; seal.c makes it and says what
 * for, loader.c is what it does.
 */
#ifndef PODUNIT_LOADER_H
#define PODUNIT_LOADER_H

/* Clang puts constants of the code where loader.c must have none. */
#if (defined __x86_64__ || defined __aarch64__) && !defined __clang__

#include <elf.h>
#include <limits.h>
#include <stddef.h>

/* The loader's file begins with this; its code follows. */
struct podunit_loader {
	Elf64_Ehdr elf;
	Elf64_Phdr load, stack;
	char program[PATH_MAX]; /* what it loads */
	char complaint[64];     /* what it says if it cannot */
};

/* All headers of a program that is loaded lie in so many bytes, and its interpreter's name. */
#define PODUNIT_HEADERS 4096

#ifdef __x86_64__
#define PODUNIT_MACHINE EM_X86_64
#else
#define PODUNIT_MACHINE EM_AARCH64
#endif

/* The code: a section, which can be copied to anywhere, and where in it to begin. */
extern const char __start_podunit_loader[], __stop_podunit_loader[], podunit_loader_entry[];

#endif
#endif
