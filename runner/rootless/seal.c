/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Copy runc into memory while Go starts.
 *
 * So that no container can write to its program through /proc/PID/exe (CVE-2019-5736),
 * every start of runc copies itself into a sealed file in memory and executes itself
 * again: five milliseconds in which the start stands still. It does not if that is where
 * it was executed from. Our copy is made on another processor, beginning with the first
 * instruction of a start. Source: runc, libcontainer/nsenter/cloned_binary.c, and
 * libcontainer/exeseal of newer ones.
 *
 * Other runtimes are left alone, and so is SELinux, whose domains hang on the label of
 * the file. Whatever goes wrong here, runc does it by itself.
 */
#define _GNU_SOURCE
#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* since Linux 6.3 */
#endif

enum {
	/* Between fork and exec, Go puts other files behind the numbers that follow those of the
	 * streams (forkAndExecInChild1 in syscall/exec_linux.go); and from 64 on, the kernel makes
	 * a larger table and waits for all processors with it, 10 ms. */
	FAR_AWAY = 56,
	PIPE = 1 << 20, /* bytes; the most that pipe(7) gives everybody */
};

static pthread_t copier;
static int copying;
static char runtime[PATH_MAX];
static int copy = -1;

/* The descriptor of a sealed copy, or -1. */
static int seal(const char *path)
{
	int p[2] = { -1, -1 }, from = open(path, O_RDONLY | O_CLOEXEC), to = -1, sealed = -1;
	struct stat st;
	ssize_t n = 0;

	if (from < 0 || fstat(from, &st) < 0 || !S_ISREG(st.st_mode) || pipe2(p, O_CLOEXEC) < 0)
		goto out;
	to = memfd_create("runc", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (to < 0 && errno == EINVAL) /* before Linux 6.3 all may be executed */
		to = memfd_create("runc", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (to < 0)
		goto out;
	fcntl(p[1], F_SETPIPE_SZ, PIPE); /* a smaller one does as well */
	for (off_t left = st.st_size; left > 0; left -= n) {
		n = splice(from, NULL, p[1], NULL, left < PIPE ? left : PIPE, 0);
		if (n <= 0)
			goto out;
		for (ssize_t out = 0, m; out < n; out += m)
			if ((m = splice(p[0], NULL, to, NULL, n - out, 0)) <= 0)
				goto out;
	}
	if (fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
		sealed = fcntl(to, F_DUPFD_CLOEXEC, FAR_AWAY);
out:
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	if (p[0] >= 0) {
		close(p[0]);
		close(p[1]);
	}
	return sealed;
}

/* Where runc is: in PATH, or where runner/runc looks as well. */
static int find_runtime(void)
{
	const char *const path = getenv("PATH");
	char dirs[8192], *save = NULL;

	snprintf(dirs, sizeof dirs, "%s:/usr/sbin:/usr/local/sbin:/sbin", path ? path : "");
	for (char *dir = strtok_r(dirs, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		if (dir[0] != '/' || (size_t)snprintf(runtime, sizeof runtime, "%s/runc", dir) >= sizeof runtime)
			continue;
		if (access(runtime, X_OK) == 0)
			return 0;
	}
	return -1;
}

/* Whether the command line starts a container with runc, as far as words can tell. */
static int starts_container(int argc, char **argv)
{
	int verb = 0;

	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		if (!strncmp(argv[i], "--runtime", strlen("--runtime")))
			return 0;
		/* A word after a flag may be its value. */
		if (!verb && argv[i][0] != '-') {
			if (!strcmp(argv[i], "run") || !strcmp(argv[i], "start"))
				verb = 1;
			else if (i == 1 || argv[i - 1][0] != '-')
				return 0;
		}
	}
	return verb;
}

/* Whether a runtime copies itself. */
static int is_runc(const char *path)
{
	const char *base = strrchr(path, '/');

	return !strcmp(base ? base + 1 : path, "runc") && access("/sys/fs/selinux/enforce", F_OK) < 0;
}

static void *copy_runtime(void *unused)
{
	copy = seal(runtime);
	return NULL;
}

void podunit_expect_runtime(int argc, char **argv)
{
	/* The environment is read here: Go may change it while the thread runs. */
	if (starts_container(argc, argv) && is_runc("runc") && find_runtime() == 0)
		copying = podunit_thread(&copier, copy_runtime) == 0;
}

int podunit_await_runtime(const char *path)
{
	if (copying)
		pthread_join(copier, NULL);
	copying = 0;
	if (copy >= 0 && !strcmp(path, runtime))
		return copy;
	return is_runc(path) ? seal(path) : -1;
}
