/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Become the small program that the name asks for, before the Go runtime starts.
 */
#include "helper.h"

#include <string.h>
#include <unistd.h>

/* The first of all constructors: that of package rootless enters namespaces, which a small
 * program has from whoever executed it. Priorities up to 100 are the compiler's. */
__attribute__((constructor(101))) static void become(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*main)(int, char **);
	} programs[] = {
		{ "podunit-log", podunit_log_main },
		{ "podunit-infra", podunit_infra_main },
		{ "podunit-gate", podunit_gate_main },
		{ "podunit-clock", podunit_clock_main },
		{ "podunit-netns", podunit_netns_main },
	};

	for (size_t i = 0; argc > 0 && i < sizeof programs / sizeof *programs; i++)
		if (!strcmp(argv[0], programs[i].name))
			_exit(programs[i].main(argc, argv));
}
