/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the small programs give up: they outlive their start by the life of a container, and
 * the container may be hostile.
 */
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

void podunit_ignore_signals(void)
{
	const uint64_t all = ~0ULL;

	/* The kernel's call: the C library keeps two signals for itself. Those of faults end
	 * the process all the same. */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all);
	signal(SIGCHLD, SIG_IGN);
}

void podunit_heed_signals(void)
{
	const uint64_t none = 0;

	signal(SIGCHLD, SIG_DFL);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
}

int podunit_drop_privileges(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	/* Not allowed without CAP_SETPCAP, and then nothing is to be had from it. */
	for (int c = 0; prctl(PR_CAPBSET_DROP, c, 0, 0, 0) == 0; c++)
		;
	if (syscall(SYS_capset, &head, none) < 0)
		return -1;
	/* Whoever has the same user may trace a process with no more capabilities than its own, and reach
	 * all that it can through /proc/PID/root: so could a container that sees the machine's processes.
	 * Source: ptrace(2), "Ptrace access mode checking". */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int podunit_leave_root(const char *shm)
{
	/* Any directory that is there will do to mount on; the mount namespace is our own. */
	static const char place[] = "/proc";

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	if (mount("podunit-infra", place, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,nr_inodes=8,mode=0755") < 0)
		return -1;
	if (chdir(place) < 0 || mkdir("empty", 0555) < 0 || mkdir("shm", 0500) < 0)
		return -1;
	if (shm[0] && mount(shm, "shm", NULL, MS_BIND, NULL) < 0)
		return -1;
	if (mount(NULL, ".", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return -1;
	/* The old root comes to lie on the new one, and goes. Source: pivot_root(2). */
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		return -1;
	return chroot("/empty") < 0 || chdir("/") < 0 ? -1 : 0;
}

#if defined __x86_64__
#define MACHINE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define MACHINE AUDIT_ARCH_AARCH64
#endif

int podunit_allow_only(const int *calls, size_t n)
{
#ifdef MACHINE
	struct sock_filter code[64];
	struct sock_fprog program = { .filter = code };
	size_t at = 0;

	if (n > 32)
		return -1;
	code[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0);
	code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	code[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < n; i++) {
		code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
		code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	program.len = at;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
#else
	return 0; /* the numbers of this machine's system calls are not known here */
#endif
}
