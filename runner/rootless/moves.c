/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Make the moves of processes between cgroups quick for the next few milliseconds.
 *
 * The first of several moves waits until every processor has seen that moves begin
 * (an RCU grace period, 5 to 20 ms); those that follow within another such time do
 * not wait, and keep it so. A start moves two or three times: the manager when it
 * executes us, we when we divide the unit's cgroup, the runtime with the container.
 * And whoever makes a cgroup meanwhile waits for who moves. So, as soon as we run and
 * the manager's move still counts, we ask for one that changes nothing; should it
 * have to wait after all, it does so while Go starts. A system that mounts cgroup2
 * with favordynmods never waits.
 * Source: Documentation/admin-guide/cgroup-v2.rst, favordynmods; kernel/rcu/sync.c.
 */
#define _GNU_SOURCE
#include "enter.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static pthread_t mover;
static int moving;

static void *move(void *unused)
{
	char line[4096], path[sizeof line + 64];
	FILE *f = fopen("/proc/self/cgroup", "re");
	int fd = -1;

	while (f && fd < 0 && fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = 0;
		if (strncmp(line, "0::/", 4))
			continue;
		snprintf(path, sizeof path, "/sys/fs/cgroup%s/cgroup.procs", line + 3);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			break; /* not ours to move anything in */
	}
	if (f)
		fclose(f);
	if (fd >= 0) {
		if (write(fd, "0", 1) < 0) {
			/* It was worth a try. */
		}
		close(fd);
	}
	return NULL;
}

void podunit_expect_moves(void)
{
	sigset_t all, before;

	/* Signals are for Go's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	moving = pthread_create(&mover, NULL, move, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void podunit_await_moves(void)
{
	if (moving)
		pthread_join(mover, NULL);
	moving = 0;
}
