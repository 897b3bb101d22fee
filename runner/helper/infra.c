/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The infra process of a pod: it holds namespaces open and does nothing else. It
 * ends with status 0 on SIGTERM, SIGINT and SIGQUIT, so that a stopped pod is not a
 * failed one. As PID 1 of a shared PID namespace it also buries orphans.
 *
 * usage: podunit-infra HOSTNAME
 * An empty HOSTNAME leaves the name alone. File descriptor 3 is closed once all is set.
 */
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int podunit_infra_main(int argc, char **argv)
{
	sigset_t set;
	int sig;

	if (argc > 1 && argv[1][0] && sethostname(argv[1], strlen(argv[1])) < 0)
		return 1;
	/* Let go of the runner's mounts. */
	if (unshare(CLONE_NEWNS) == 0)
		mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	prctl(PR_SET_NAME, "podunit-infra", 0, 0, 0);
	close(3);
	podunit_slim();
	for (;;) {
		if (sigwait(&set, &sig) != 0)
			continue;
		if (sig != SIGCHLD)
			return 0;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
