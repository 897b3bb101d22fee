/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The infra process of a pod: it holds namespaces open and does nothing else. It
 * ends with status 0 on SIGTERM, SIGINT and SIGQUIT, so that a stopped pod is not a
 * failed one. As PID 1 of a shared PID namespace it also buries orphans.
 */
#define _GNU_SOURCE
#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int podunit_infra_main(int argc, char **argv)
{
	sigset_t set;
	int sig;

	(void)argc;
	(void)argv;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	prctl(PR_SET_NAME, "podunit-infra", 0, 0, 0);
	for (;;) {
		if (sigwait(&set, &sig) != 0)
			continue;
		if (sig != SIGCHLD)
			return 0;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
