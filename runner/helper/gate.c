/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The gate: it lets a created container begin when the runner says so, or is gone.
 *
 * A container that ends at once must have become its unit's main process before, or
 * its exit status is lost: the manager believes MAINPID= only of a process that is
 * alive. So the container is created, told to the manager, and only then begun. A
 * runner that is killed in between would leave a unit whose main process waits for
 * ever; this process outlives it.
 *
 * Where a log copier is started anyway, it is the gate as well (log.c). It knows the
 * container, and ends that if the runner was killed.
 *
 * usage: podunit-gate FIFO [COMMAND ARG...]
 * File descriptor 3 is a socket. A byte says whether the gate is to be opened or never; its
 * end without one opens it, too. FIFO is what the container's first process waits at in runc (exec.fifo in its
 * state directory); if it is empty, COMMAND is executed instead.
 */
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE = 10 * 1000 }; /* milliseconds for the first process to come to the gate */

int podunit_await_latch(int fd)
{
	ssize_t n;
	char c;

	/* The byte stays, for who goes on if we are killed now. */
	while ((n = recv(fd, &c, 1, MSG_PEEK)) < 0 && errno == EINTR)
		;
	if (n > 0)
		return c ? PODUNIT_OPEN : PODUNIT_NEVER;
	/* ECONNRESET: the other end is gone, with something unread. */
	return n == 0 || errno == ECONNRESET ? PODUNIT_GONE : PODUNIT_NEVER;
}

int podunit_open_gate(const char *path, int container)
{
	struct pollfd polls[] = { { .events = POLLIN }, { .fd = container, .events = POLLIN } };
	int r = -1;
	char c;

	/* Without waiting for a writer: it may have been killed. */
	polls[0].fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (polls[0].fd < 0)
		return -1;
	/* To the runtime, a container without the file is running. */
	if (poll(polls, 2, PATIENCE) > 0 && read(polls[0].fd, &c, 1) == 1)
		r = unlink(path);
	close(polls[0].fd);
	return r;
}

int podunit_gate_main(int argc, char **argv)
{
	podunit_ignore_signals();
	prctl(PR_SET_NAME, "podunit-gate", 0, 0, 0);
	if (argc < 2)
		return 2;
	if (podunit_await_latch(3) == PODUNIT_NEVER)
		return 1;
	if (argv[1][0])
		return podunit_open_gate(argv[1], -1) == 0 ? 0 : 1;
	if (argc < 3)
		return 2;
	podunit_heed_signals();
	execv(argv[2], argv + 2);
	return 1;
}
