/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The clock: it has the health checks of a container run where no service manager takes
 * orders from its user, which is in a unit of the system with User=, and where there is
 * none. It lives in the unit, beside the container, and dies with it, or as soon
 * as the container's first process has ended.
 *
 * usage: podunit-clock PID MILLISECONDS PROGRAM ID
 * PID is the container's first process. After the milliseconds it executes PROGRAM
 * healthcheck run --clock ID, again and again. What that writes is the pause until the
 * next run in milliseconds; when it writes nothing, there is nothing left to do. ID is the
 * container's and, after a dot, this clock's number.
 */
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Execute one check, which writes to out. */
static pid_t start(char *program, char *id, int out)
{
	char *argv[] = { program, "healthcheck", "run", "--clock", id, NULL };
	pid_t child = vfork();

	if (child == 0) {
		dup2(out, 1);
		execv(program, argv);
		_exit(127);
	}
	return child;
}

/* Run one check; the pause after it, or -1. */
static long check(char *program, char *id)
{
	char text[32], *end;
	size_t used = 0;
	ssize_t n;
	int out[2];
	pid_t child;
	long pause;

	if (pipe2(out, O_CLOEXEC) < 0)
		return -1;
	child = start(program, id, out[1]);
	close(out[1]);
	while (child > 0 && used < sizeof text - 1) {
		n = read(out[0], text + used, sizeof text - 1 - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += n;
	}
	close(out[0]);
	if (child < 0)
		return -1;
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	text[used] = 0;
	pause = strtol(text, &end, 10);
	return end > text && pause >= 0 ? pause : -1;
}

int podunit_clock_main(int argc, char **argv)
{
	struct pollfd container = { .events = POLLIN };
	long pause;
	int pagemap;

	if (argc != 5)
		return 2;
	pagemap = open(PODUNIT_PAGEMAP, O_RDONLY | O_CLOEXEC);
	prctl(PR_SET_NAME, "podunit-clock", 0, 0, 0);
	container.fd = syscall(SYS_pidfd_open, atoi(argv[1]), 0);
	if (container.fd < 0)
		return 0; /* it has ended by now */
	for (pause = atol(argv[2]); pause >= 0; pause = check(argv[3], argv[4])) {
		int n;

		while ((n = podunit_sleep(pagemap, &container, 1, pause > INT_MAX ? INT_MAX : (int)pause)) == -EINTR)
			;
		if (n != 0)
			break;
	}
	return 0;
}
