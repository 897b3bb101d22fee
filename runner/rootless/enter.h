/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the constructor in enter.c leaves for Go to read: which user runs the
 * command, where its runtime directory is, and what went wrong, if anything.
 */
#ifndef PODUNIT_ENTER_H
#define PODUNIT_ENTER_H

#define PODUNIT_PATH 256
#define PODUNIT_DETAIL 1024
#define PODUNIT_HANDED "PODUNIT_HANDED" /* UID GID USERNS RUNDIR, see enter.c */

enum podunit_problem {
	PODUNIT_OK = 0,
	PODUNIT_NO_RUN_DIR,     /* no directory for runtime state */
	PODUNIT_NO_SUBID,       /* no range in subuid(5) or subgid(5) */
	PODUNIT_NO_NEWIDMAP,    /* newuidmap(1) or newgidmap(1) is not installed */
	PODUNIT_IDMAP_REFUSED,  /* newuidmap(1) or newgidmap(1) said no */
	PODUNIT_USERNS_REFUSED, /* the kernel refuses a user namespace */
	PODUNIT_MOUNTNS_REFUSED /* the kernel refuses a mount namespace */
};

struct podunit_identity {
	int entered; /* 1: in namespaces of our own, 0: the verb needs none */
	unsigned uid, gid; /* effective ids before anything was joined */
	unsigned long userns; /* inode of the user namespace that was joined or made */
	char run_dir[PODUNIT_PATH]; /* parent of podunit's runtime directory */
	enum podunit_problem problem;
	char detail[PODUNIT_DETAIL]; /* who said what, for the message */
};

extern struct podunit_identity podunit_identity;

/* Small programs that live in the same file; they never start the Go runtime. */
int podunit_log_main(int argc, char **argv);
int podunit_infra_main(int argc, char **argv);
int podunit_gate_main(int argc, char **argv);
int podunit_clock_main(int argc, char **argv);

/* Parts of the gate (gate.c): wait for the word, 0 to open it; let the container begin. */
int podunit_await_latch(int fd);
int podunit_open_gate(const char *fifo);

/* Wait for what the constructor has begun; identity holds from then on. To be called once, first. */
void podunit_finish(void);

/* A sealed file to execute runc from (seal.c), with a loader if there is one and load is set;
 * or -1: it is to be executed as it is. */
int podunit_seal(const char *path, int load);
extern const int podunit_has_loader;

/* Make moves between cgroups quick (moves.c). */
void podunit_expect_moves(void);
void podunit_await_moves(void);

/* Give back the memory that a small program needed to start (slim.c). */
void podunit_slim(void);

#endif
