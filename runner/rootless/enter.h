/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the constructor in enter.c leaves for Go to read: which user runs the
 * command, where its runtime directory is, and what went wrong, if anything.
 */
#ifndef PODUNIT_ENTER_H
#define PODUNIT_ENTER_H

#define PODUNIT_PATH 256
#define PODUNIT_DETAIL 1024
#define PODUNIT_UNITS_DIR "/run/podunit-user" /* where system units with User= have a directory for each user */
#define PODUNIT_HANDED "PODUNIT_HANDED" /* UID GID USERNS RUNDIR, see enter.c */

enum podunit_problem {
	PODUNIT_OK = 0,
	PODUNIT_NO_RUN_DIR,     /* no directory for runtime state */
	PODUNIT_NO_SUBID,       /* no range in subuid(5) or subgid(5) */
	PODUNIT_NO_NEWIDMAP,    /* newuidmap(1) or newgidmap(1) is not installed */
	PODUNIT_IDMAP_REFUSED,  /* newuidmap(1) or newgidmap(1) said no */
	PODUNIT_USERNS_REFUSED, /* the kernel refuses a user namespace */
	PODUNIT_MOUNTNS_REFUSED, /* the kernel refuses a mount namespace */
	PODUNIT_FILTERED        /* a filter of system calls would kill us */
};

struct podunit_identity {
	int entered; /* 1: in namespaces of our own, 0: the verb needs none */
	unsigned uid, gid; /* effective ids before anything was joined */
	unsigned long userns; /* inode of the user namespace that was joined or made */
	char run_dir[PODUNIT_PATH]; /* parent of podunit's runtime directory */
	enum podunit_problem problem;
	char detail[PODUNIT_DETAIL]; /* who said what, for the message */
	char outer_map[256]; /* /proc/self/uid_map before a namespace was made; empty if none was */
};

extern struct podunit_identity podunit_identity;

/* Wait for what the constructor has begun; identity holds from then on. To be called once, first. */
void podunit_finish(void);

/* Make moves between cgroups quick (runner/cgroup/moves.c), where that is linked in. */
void podunit_quicken_moves(void) __attribute__((weak));

#endif
