/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The log copier: what a container writes to its stdout and stderr goes to the
 * journal, a line an entry, stdout at priority info and stderr at err.
 *
 * Why pipes and a copier at all: with the journal's socket as stdout a container
 * cannot open /dev/stdout (ENXIO), which the official nginx image does. Why C: a
 * container's unit shall hold nothing heavier than cat(1) beside the container.
 *
 * usage: podunit-log ROOTFS FIFO FIELD=VALUE...
 * File descriptor 3 is read as stdout, 4 as stderr; 3 may be the near end of a
 * terminal. The fields are added to every entry. It ends when both are at their end.
 * With a FIFO it is also the gate of the container (gate.c), and file descriptor 5 the
 * latch: once the gate is open, it writes a byte there.
 *
 * Protocol: systemd.io/JOURNAL_NATIVE_PROTOCOL, a datagram an entry; entries too
 * long for a datagram go in a sealed memfd.
 */
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define JOURNAL "/run/systemd/journal/socket"

enum {
	SMALL = 16 * 1024,      /* what a stream needs while lines are ordinary */
	LONGEST = 1024 * 1024,  /* a longer line is cut, and marked as cut */
	FIELDS = 4096,
	QUIET = 500,            /* milliseconds without output, after which it makes itself small */
};

struct stream {
	int fd;
	const char *priority;
	char small[SMALL];
	char *buf; /* small, or a mapping of LONGEST bytes while a long line lasts */
	size_t size, used;
	int terminal;
};

static struct stream streams[2];
static char fields[FIELDS];
static size_t fields_len;
static int journal = -1;

static int connect_journal(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = JOURNAL };

	if (journal >= 0)
		close(journal);
	journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (journal < 0)
		return -1;
	return connect(journal, (struct sockaddr *)&addr, sizeof addr);
}

static int send_memfd(const struct iovec *iov, int n)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct msghdr msg = { .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int fd = memfd_create("journal-entry", MFD_CLOEXEC | MFD_ALLOW_SEALING), r = -1;
	size_t total = 0;

	if (fd < 0)
		return -1;
	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	if (writev(fd, iov, n) == (ssize_t)total &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0) {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
		r = sendmsg(journal, &msg, MSG_NOSIGNAL) < 0 ? -1 : 0;
	}
	close(fd);
	return r;
}

static void emit(const struct stream *s, const char *line, size_t len, int cut)
{
	static const char mark[] = "CONTAINER_PARTIAL_MESSAGE=true\n";
	struct iovec iov[] = {
		{ fields, fields_len },
		{ (char *)s->priority, strlen(s->priority) },
		{ (char *)mark, cut ? sizeof mark - 1 : 0 },
		{ "MESSAGE=", 8 },
		{ (char *)line, len },
		{ "\n", 1 },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = sizeof iov / sizeof *iov };

	/* journald may be restarting: its socket stays, but give it ten seconds. */
	for (int tries = 0; tries < 200; tries++) {
		if (journal >= 0 && sendmsg(journal, &msg, MSG_NOSIGNAL) >= 0)
			return;
		if (errno == EINTR)
			continue;
		if (errno == EMSGSIZE || errno == ENOBUFS) {
			if (send_memfd(iov, sizeof iov / sizeof *iov) == 0)
				return;
		}
		if (connect_journal() < 0 || tries > 1)
			nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000 * 1000 }, NULL);
	}
	/* No journal: better on our own stderr than nowhere. */
	if (writev(2, iov + 4, 2) < 0)
		return;
}

static void shrink(struct stream *s)
{
	if (s->buf == s->small || s->used > SMALL / 2)
		return;
	memcpy(s->small, s->buf, s->used);
	munmap(s->buf, LONGEST);
	s->buf = s->small;
	s->size = SMALL;
}

/* Read once; 0 at the end of the stream. */
static int copy(struct stream *s)
{
	ssize_t n;
	char *start, *end, *newline;

	if (s->used == s->size) {
		char *more = s->buf == s->small ? mmap(NULL, LONGEST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;

		if (more == MAP_FAILED) {
			emit(s, s->buf, s->used, 1);
			s->used = 0;
		} else {
			memcpy(more, s->buf, s->used);
			s->buf = more;
			s->size = LONGEST;
		}
	}
	n = read(s->fd, s->buf + s->used, s->size - s->used);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 1;
	if (n <= 0) { /* a terminal ends with EIO */
		if (s->used)
			emit(s, s->buf, s->used, 0);
		return 0;
	}
	start = s->buf;
	end = s->buf + s->used + n;
	while ((newline = memchr(start, '\n', end - start))) {
		size_t len = newline - start;

		/* A terminal ends lines with two characters. */
		if (s->terminal && len > 0 && start[len - 1] == '\r')
			len--;
		emit(s, start, len, 0);
		start = newline + 1;
	}
	s->used = end - start;
	memmove(s->buf, start, s->used);
	shrink(s);
	return 1;
}

int podunit_log_main(int argc, char **argv)
{
	struct pollfd polls[3] = { { 0 }, { 0 }, { .fd = -1 } };
	int open_streams = 2, idle = 0;

	/* It ends with the pipes, not before: last words matter most. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NAME, "podunit-log", 0, 0, 0);
	/* The container's root must be free as soon as the container is gone. It came along
	 * into this copy of the runner's mounts. */
	if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0 && argc > 1)
		umount2(argv[1], MNT_DETACH);

	if (argc > 2 && argv[2][0])
		polls[2] = (struct pollfd){ .fd = 5, .events = POLLIN };
	for (int i = 3; i < argc; i++) {
		size_t n = strlen(argv[i]);

		if (fields_len + n + 1 > sizeof fields || memchr(argv[i], '\n', n))
			continue;
		memcpy(fields + fields_len, argv[i], n);
		fields_len += n;
		fields[fields_len++] = '\n';
	}
	for (int i = 0; i < 2; i++) {
		streams[i].fd = 3 + i;
		streams[i].terminal = isatty(3 + i);
		streams[i].priority = i ? "PRIORITY=3\n" : "PRIORITY=6\n";
		streams[i].buf = streams[i].small;
		streams[i].size = SMALL;
		polls[i] = (struct pollfd){ .fd = 3 + i, .events = POLLIN };
	}
	connect_journal();
	podunit_slim();
	while (open_streams > 0) {
		int n = poll(polls, 3, idle ? -1 : QUIET);

		if (n < 0 && errno != EINTR)
			return 1;
		idle = n == 0;
		if (idle)
			podunit_slim();
		if (n > 0 && polls[2].fd >= 0 && polls[2].revents) {
			/* Nobody may be there any more to hear it. */
			if (podunit_await_latch(5) == 0 && podunit_open_gate(argv[2]) == 0)
				(void)!write(5, "", 1);
			close(5);
			polls[2].fd = -1;
		}
		for (int i = 0; i < 2; i++) {
			if (polls[i].fd < 0 || !(polls[i].revents & (POLLIN | POLLHUP | POLLERR)))
				continue;
			if (!copy(&streams[i])) {
				close(polls[i].fd);
				polls[i].fd = -1;
				open_streams--;
			}
		}
	}
	return 0;
}
