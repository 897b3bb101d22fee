/* SPDX-License-Identifier: Apache-2.0 */

/*
 * podunit-checker: it executes the checks of a container, in the container.
 *
 * The first check has the OCI runtime start it, with the rights of any other command of the
 * container, and it stays: each later check costs a fork instead of a runtime. It runs one
 * check at a time and does nothing of its own accord. Whatever limits a check is outside:
 * podunit kills the cgroup that this program is in with all that it has started.
 *
 * The container gets hold of no file of the machine: this program comes as a sealed file in
 * memory, its socket has no name inside.
 *
 * usage: podunit-checker
 * Each check begins in the directory where this does. File descriptor 4 is a listening socket,
 * where podunit asks; 3 is the program itself. What goes over the socket: runner/helper/check.go.
 */
#define _GNU_SOURCE
#include "../syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { VERSION = 1, TEXT = 32 * 1024, WORDS = 1024, PATH = 4096 };
enum { LISTENER = 3, PASSED = 4, HIGHEST = 7 };

/* What an answer is about. */
enum { ENDED, NO_PROGRAM, NO_DIRECTORY, NO_PROCESS, NO_STATUS };

struct answer {
	int about;
	int value; /* a status as of wait(2), or an error number */
};

static const char name[] = "podunit-checker"; /* as long as /proc/self/fd/3 */
static char text[TEXT];
static char *words[WORDS + 1];
static char directory[PATH];

static void quit(int status)
{
	for (;;)
		call(SYS_exit_group, status, 0, 0, 0, 0);
}

/* Receive a question: its length in text, and in out the file that gets what the check says. */
static long receive(int from, int *out)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { text, sizeof text };
	static struct msghdr msg; /* a C library may have more in it than is set here */
	long n;

	msg.msg_name = NULL;
	msg.msg_namelen = 0;
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	msg.msg_control = &control;
	msg.msg_controllen = CMSG_LEN(sizeof(int)); /* the space would do for two */
	msg.msg_flags = 0;
	do
		n = call(SYS_recvmsg, from, (long)&msg, MSG_CMSG_CLOEXEC, 0, 0);
	while (n == -EINTR);
	if (n < 0 || msg.msg_controllen < CMSG_LEN(sizeof(int)) || control.head.cmsg_level != SOL_SOCKET || control.head.cmsg_type != SCM_RIGHTS)
		return -1;
	*out = *(int *)CMSG_DATA(&control.head);
	return msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -1 : n;
}

/* The words of a question, each with its end: whether there is one. */
static int divide(long n)
{
	int count = 0;
	long at = 1;

	if (n < 3 || text[0] != VERSION || text[n - 1])
		return 0;
	while (at < n) {
		if (count == WORDS)
			return 0;
		words[count++] = text + at;
		while (text[at++])
			;
	}
	words[count] = NULL;
	return 1;
}

/* The value of the last PATH=, as for the runtime, or NULL. */
static const char *path_of(char **env)
{
	const char *found = NULL;

	for (; *env; env++)
		if ((*env)[0] == 'P' && (*env)[1] == 'A' && (*env)[2] == 'T' && (*env)[3] == 'H' && (*env)[4] == '=')
			found = *env + 5;
	return found;
}

/* Execute words[0], which is looked for if it is no path. Returns the number of the error. */
static int execute(char **env)
{
	char full[PATH];
	const char *dir = path_of(env), *s;
	int best = ENOENT;

	for (s = words[0]; *s; s++)
		if (*s == '/')
			return -call(SYS_execve, (long)words[0], (long)words, (long)env, 0, 0);
	while (dir && *words[0]) {
		size_t n = 0;
		int e;

		while (*dir && *dir != ':' && n < sizeof full - 1)
			full[n++] = *dir++;
		if (n > 0) /* an empty one would be where we are, and the runtime does not look there */
			full[n++] = '/';
		for (s = words[0]; n > 0 && *s && n < sizeof full; s++)
			full[n++] = *s;
		if (n > 0 && n < sizeof full) {
			full[n] = 0;
			e = -call(SYS_execve, (long)full, (long)words, (long)env, 0, 0);
			if (e == EACCES)
				best = e;
			else if (e != ENOENT && e != ENOTDIR)
				return e;
		}
		while (*dir && *dir != ':')
			dir++;
		if (!*dir++)
			break;
	}
	return best;
}

/* Become the check; what stands in the way goes to report. */
static void become(char **env, int out, int report)
{
	struct answer a;

	call(SYS_setsid, 0, 0, 0, 0, 0);
	call(SYS_dup3, out, 1, 0, 0, 0);
	call(SYS_dup3, out, 2, 0, 0, 0);
	a.about = NO_DIRECTORY;
	a.value = -call(SYS_chdir, (long)directory, 0, 0, 0, 0);
	if (a.value == 0) {
		a.about = NO_PROGRAM;
		a.value = execute(env);
	}
	call(SYS_write, report, (long)&a, sizeof a, 0, 0);
	quit(127);
}

/* Run a check to its end. */
static void run(char **env, int out, struct answer *a)
{
	int report[2], status = 0;
	long child, ended, n;

	a->about = NO_PROCESS;
	a->value = -call(SYS_pipe2, (long)report, O_CLOEXEC, 0, 0, 0);
	if (a->value)
		return;
	child = call(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (child == 0)
		become(env, out, report[1]);
	call(SYS_close, report[1], 0, 0, 0, 0);
	call(SYS_close, out, 0, 0, 0, 0); /* its reader waits for the last writer */
	if (child < 0) {
		a->value = -child;
	} else {
		do
			n = call(SYS_read, report[0], (long)a, sizeof *a, 0, 0);
		while (n == -EINTR);
		if (n != sizeof *a)
			a->about = ENDED;
		do /* orphans of checks are ours, and buried here */
			ended = call(SYS_wait4, -1, (long)&status, 0, 0, 0);
		while (ended != child && (ended > 0 || ended == -EINTR));
		if (ended < 0) {
			a->about = NO_STATUS;
			a->value = -ended;
		} else if (a->about == ENDED) {
			a->value = status;
		}
	}
	call(SYS_close, report[0], 0, 0, 0, 0);
}

static void serve(int asked, char **env)
{
	struct answer a;
	int out = -1;
	long n = receive(asked, &out);

	if (n > 0 && divide(n)) {
		run(env, out, &a);
		call(SYS_sendto, asked, (long)&a, sizeof a, MSG_NOSIGNAL, 0);
	} else if (out >= 0) {
		call(SYS_close, out, 0, 0, 0, 0);
	}
}

/* Nobody may have us ignore it: then no status of a child would be left. */
static void await_children(void)
{
	struct {
		long handler, flags, restorer, mask;
	} heed = { 0, 0, 0, 0 };

	call(SYS_rt_sigaction, SIGCHLD, (long)&heed, 0, sizeof heed.mask, 0);
}

/* Move the environment to where /proc/PID/environ does not show it: checks need it, and secrets of the
 * container may be in it. Whether there was room. */
static int hide(char **env)
{
	volatile char *from, *to; /* or the compiler wants memcpy(3) */
	char **each;
	long size = 0, room;

	for (each = env; *each; each++)
		for (from = *each, size++; *from; from++)
			size++;
	room = call(SYS_brk, 0, 0, 0, 0, 0);
	if (call(SYS_brk, room + size, 0, 0, 0, 0) != room + size)
		return 0;
	to = (char *)room;
	for (each = env; *each; each++) {
		from = *each;
		*each = (char *)to;
		while ((*to++ = *from))
			*from++ = 0;
	}
	return 1;
}

/* The kernel begins here, with the arguments on the stack. */
#if defined __x86_64__
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n");
#elif defined __aarch64__
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x0, sp\n\tbl begin\n");
#else
#error "the system calls of this machine are not known here; see checker in the Makefile"
#endif

void begin(long *stack)
{
	char **argv = (char **)(stack + 1);
	char **env = argv + stack[0] + 1;
	long asked;

	if (stack[0] != 1 || call(SYS_getcwd, (long)directory, sizeof directory, 0, 0, 0) < 0)
		quit(2);
	/* Nobody inside with our user ID takes our socket. */
	call(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
	call(SYS_prctl, PR_SET_NAME, (long)name, 0, 0, 0);
	/* Else orphans of checks were the first process's to bury, and few do. */
	call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	await_children();
	if (!hide(env))
		quit(2);
	for (size_t i = 0; i < sizeof name && argv[0][i]; i++)
		argv[0][i] = name[i];
	/* A limit of files too low for a socket that asks, the output and a pipe: a question would be lost. */
	if (call(SYS_dup3, PASSED, LISTENER, O_CLOEXEC, 0, 0) < 0 || call(SYS_dup3, LISTENER, HIGHEST, O_CLOEXEC, 0, 0) < 0)
		quit(2);
	call(SYS_close_range, PASSED, ~0U, 0, 0, 0);
	call(SYS_close, PASSED, 0, 0, 0, 0); /* before Linux 5.9 */
	call(SYS_close, HIGHEST, 0, 0, 0, 0);
	call(SYS_chdir, (long)"/", 0, 0, 0, 0); /* a directory of the container's can be unmounted */
	for (;;) {
		asked = call(SYS_accept4, LISTENER, 0, 0, SOCK_CLOEXEC, 0);
		if (asked == -EINTR || asked == -ECONNABORTED)
			continue;
		if (asked < 0)
			quit(1);
		serve(asked, env);
		call(SYS_close, asked, 0, 0, 0, 0);
	}
}
