/* SPDX-License-Identifier: Apache-2.0 */

/*
 * System calls without the C library: with it, a static program of nothing has 700 kB, and one that
 * sleeps has its pages in memory. What fails returns the negative error number. Source: syscall(2).
 */
#ifndef PODUNIT_SYSCALL_H
#define PODUNIT_SYSCALL_H

#include <sys/syscall.h>

#if defined __x86_64__
static inline long call(long n, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return r;
}
#elif defined __aarch64__
static inline long call(long n, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}
#else /* with the C library */
#include <errno.h>
#include <unistd.h>

static inline long call(long n, long a, long b, long c, long d, long e)
{
	const long r = syscall(n, a, b, c, d, e);

	return r < 0 ? -errno : r;
}
#endif

#endif
