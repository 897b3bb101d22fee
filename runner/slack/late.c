/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Wake a process late that stops a container or a pod, and all that it executes.
 *
 * The constructor in runner/rootless/enter.c calls this, if it is linked in, while the process has
 * one thread: those that Go makes inherit the slack, its monitor thread first of all. Only what a
 * service executes at its end gets it. It starts nothing that stays: the runtime's delete, netavark
 * and nft end before it does. Source: systemd.exec(5), $SERVICE_RESULT; PR_SET_TIMERSLACK(2const).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

void podunit_wake_late(int argc, char **argv);

/* The rm of a container, and the stop and the rm of a pod. */
static int only_stops(int argc, char **argv)
{
	int i = 1;

	while (i < argc && !strncmp(argv[i], "--", 2) && strchr(argv[i], '='))
		i++; /* --module=... */
	if (i < argc && !strcmp(argv[i], "rm"))
		return 1;
	return i + 1 < argc && !strcmp(argv[i], "pod") && (!strcmp(argv[i + 1], "stop") || !strcmp(argv[i + 1], "rm"));
}

void podunit_wake_late(int argc, char **argv)
{
	if (getenv("SERVICE_RESULT") && only_stops(argc, argv))
		prctl(PR_SET_TIMERSLACK, 10000000UL, 0, 0, 0); /* nanoseconds, as Late in slack.go */
}
