/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The small programs that live in this binary beside Go; helper.go says what for.
 */
#ifndef PODUNIT_HELPER_H
#define PODUNIT_HELPER_H

#include <stddef.h>
#include <stdint.h>

int podunit_log_main(int argc, char **argv);
int podunit_infra_main(int argc, char **argv);
int podunit_gate_main(int argc, char **argv);
int podunit_clock_main(int argc, char **argv);
int podunit_netns_main(int argc, char **argv);

/* Parts of the gate (gate.c): wait for the word, or for the end of who would say it; let the container
 * begin, 0 if it has. container is a pidfd of it, or -1: nobody waits for one that has ended. */
enum { PODUNIT_NEVER, PODUNIT_OPEN, PODUNIT_GONE };
int podunit_await_latch(int fd);
int podunit_open_gate(const char *fifo, int container);

/* poll(2), and before it give back the memory that was needed to be awake (slim.c): what fails returns
 * the negative error number. pagemap is that of /proc/self, open, or -1: what can be written stays. */
#define PODUNIT_PAGEMAP "/proc/self/pagemap"
struct pollfd;
int podunit_sleep(int pagemap, struct pollfd *polls, unsigned long n, int milliseconds);

/* Survive every signal but SIGKILL; children that end leave nothing to wait for (confine.c). */
void podunit_ignore_signals(void);
void podunit_heed_signals(void); /* again, for a program to be executed */

/* Give up every privilege for good, and let nobody trace us who has none himself: 0, or -1 if the kernel
 * does not let us. What is ours below /proc/self can be opened no more after it (confine.c). */
int podunit_drop_privileges(void);

/* Give up everything that is reached by a path: 0 if the root is an empty directory that
 * cannot be written to. What is mounted at shm, if that is not empty, stays mounted at /shm in
 * the mount namespace, beside that directory (confine.c). */
int podunit_leave_root(const char *shm);

/* A log file beside the journal (logfile.c): fd is open to append, or -1, to what has the name in the
 * directory dir. max is its size in bytes, 0 for no limit, and files how many of that size are kept. */
void podunit_log_file(int fd, int dir, const char *name, long long max, int files);
void podunit_log_line(int is_stderr, const char *line, size_t len, int cut);

/* Receive what Go sends with descriptors: a byte into what and up to max descriptors. How
 * many there are; -1 if the sender has gone without it (receive.c). */
int podunit_receive(int fd, char *what, int *fds, int max);

/* Allow these system calls only; what else is tried fails with EPERM (confine.c). */
int podunit_allow_only(const int *calls, size_t n);

/* What a container says to the service manager (relay.c). */
struct podunit_relay {
	const char *manager; /* the manager's socket: a path, or "@" and an abstract name */
	uint64_t start, stop; /* the unit's time to start and to stop in microseconds; 0: no limit */
	int ready, reloading, stopping; /* what the container has said so far */
};

enum { PODUNIT_MESSAGE = 4096 }; /* the manager reads no longer one */

/* What of a message of size bytes is for the manager: its length in out, which takes
 * 2 * PODUNIT_MESSAGE bytes; 0 for nothing. */
size_t podunit_filter(struct podunit_relay *r, const char *message, size_t size, char *out);

/* Pass on one message that waits at fd. */
void podunit_relay_one(struct podunit_relay *r, int fd);

#endif
