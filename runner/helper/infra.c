/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The infra process of a pod: it holds namespaces open and does nothing else. It
 * ends with status 0 on SIGTERM, SIGINT and SIGQUIT, so that a stopped pod is not a
 * failed one; other signals it ignores. As PID 1 of a shared PID namespace it also buries
 * orphans.
 *
 * There it is also what a container of the pod finds as PID 1, and a container that may trace
 * it, or enter its namespaces, is as far as it has come. So it gives up its root, every
 * privilege, and all system calls but the few that it makes.
 *
 * When the pod's network has ended, it ends with status 1: the pod's unit fails, takes the
 * units of the containers along, and Restart= does what it says.
 *
 * usage: podunit-infra HOSTNAME SHM
 * An empty HOSTNAME leaves the name alone. SHM is a mount that it holds for the containers
 * (podunit_leave_root).
 * File descriptors: 3 is closed once all is set; 4 is a socket that brings "w" with a pidfd of
 * the process of the network, if there is one.
 */
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What is called from here on. */
static const int calls[] = {
#ifdef SYS_poll
	SYS_poll,
#endif
	SYS_ppoll, SYS_read, SYS_recvmsg, SYS_write, SYS_close, SYS_restart_syscall, SYS_exit_group,
	SYS_madvise, SYS_pread64, /* podunit_sleep */
};

int podunit_infra_main(int argc, char **argv)
{
	static const char word[] = "podunit: the network has ended (pasta was killed), and so does what it was for\n";
	struct pollfd polls[] = { { .events = POLLIN }, { .fd = 4, .events = POLLIN }, { .fd = -1, .events = POLLIN } };
	const int pagemap = open(PODUNIT_PAGEMAP, O_RDONLY | O_CLOEXEC);
	sigset_t set;
	char what;

	if (argc != 3)
		return 2;
	podunit_ignore_signals();
	if (argv[1][0] && sethostname(argv[1], strlen(argv[1])) < 0)
		return 1;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	polls[0].fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (polls[0].fd < 0 || podunit_leave_root(argv[2]) < 0 || podunit_drop_privileges() < 0)
		return 1;
	prctl(PR_SET_NAME, "podunit-infra", 0, 0, 0);
	close(0);
	close(1);
	if (podunit_allow_only(calls, sizeof calls / sizeof *calls) < 0)
		return 1;
	close(3);
	podunit_sleep(pagemap, polls, 0, 0); /* for no time: it is to give back memory while pagemap is open */
	close(pagemap);
	for (;;) {
		if (podunit_sleep(-1, polls, 3, -1) <= 0)
			continue;
		if (polls[0].revents)
			return 0;
		if (polls[2].revents) {
			/* Both may have been told to end. */
			if (poll(polls, 1, 1000) > 0)
				return 0;
			(void)!write(2, word, sizeof word - 1);
			return 1;
		}
		if (polls[1].revents) {
			if (podunit_receive(4, &what, &polls[2].fd, 1) != 1)
				polls[2].fd = -1;
			close(4);
			polls[1].fd = -1;
		}
	}
}
