/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Make the moves of processes between cgroups quick for the next few milliseconds.
 *
 * The first of several moves waits until every processor has seen that moves begin (an RCU grace
 * period, 5 to 20 ms). Those that follow within another such time do not wait, and prolong it. A
 * start moves processes two or three times: the manager when it executes us, we when we divide
 * the unit's cgroup, the runtime with the container. And who makes a cgroup meanwhile waits for
 * who moves. So a thread asks for a move that changes nothing, of this process to the cgroup
 * where it is: while the manager's move still counts, or else beside other work. A system that
 * mounts cgroup2 with favordynmods never waits.
 * Source: Documentation/admin-guide/cgroup-v2.rst, favordynmods; kernel/rcu/sync.c.
 *
 * The constructor in runner/rootless/enter.c calls this, if it is linked in, as soon as the
 * manager has executed us; Go calls it before it feeds the runtime.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void podunit_quicken_moves(void);
void podunit_await_quick_moves(void);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for what follows */
static pthread_t mover;
static int moving;

static void *move(void *unused)
{
	char text[4096], path[sizeof text + 64], *line;
	ssize_t n = -1;
	int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		n = read(fd, text, sizeof text - 1);
		close(fd);
	}
	text[n < 0 ? 0 : n] = 0;
	line = strncmp(text, "0::/", 4) ? strstr(text, "\n0::/") : text;
	if (!line)
		return NULL;
	line = strchr(line, '/');
	line[strcspn(line, "\n")] = 0;
	snprintf(path, sizeof path, "/sys/fs/cgroup%s/cgroup.procs", line);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL; /* not ours to move anything in */
	if (write(fd, "0", 1) < 0) {
		/* It was worth a try. */
	}
	close(fd);
	return NULL;
}

static void await(void)
{
	if (moving)
		pthread_join(mover, NULL);
	moving = 0;
}

void podunit_quicken_moves(void)
{
	sigset_t all, before;

	pthread_mutex_lock(&lock);
	await();
	/* Signals are for Go's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	moving = pthread_create(&mover, NULL, move, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_mutex_unlock(&lock);
}

/* Until this returns, who moves us elsewhere may find us moved back. */
void podunit_await_quick_moves(void)
{
	pthread_mutex_lock(&lock);
	await();
	pthread_mutex_unlock(&lock);
}
