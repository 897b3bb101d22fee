/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The process beside a container that runs on its own. Its first task gives it its name: what
 * the container writes to its stdout and stderr goes to the journal, a line an entry, stdout
 * at priority info and stderr at err. A stream that the unit leads elsewhere (StandardOutput=
 * append:FILE) gets it as it is instead. The container has a pipe then, too: the runtime would make
 * the container's user the owner of the unit's file, and the container could open and empty it.
 *
 * Why pipes and a copier at all: with the journal's socket as stdout a container
 * cannot open /dev/stdout (ENXIO), which the official nginx image does. Why C: a
 * container's unit shall hold nothing heavier than cat(1) beside the container.
 *
 * As it is there anyway, it is also
 * - the gate of the container (gate.c),
 * - the way from the container to the service manager (relay.c), and
 * - who notices that the container's network has ended: the container is then killed, so that
 *   its unit fails and Restart= does what it says. It would run on without a network for ever.
 *   When the container has ended, it ends the network, and what else runs in the container's
 *   cgroup: with the host's process IDs, the kernel leaves that alone.
 *
 * Its own death is noticed by its guard: a second process with the same memory and the same
 * descriptors, which goes on where it was. So no line is lost.
 *
 * usage: podunit-log ROOTFS FIFO MANAGER START STOP NAME SIZE FILES FIELD=VALUE...
 * ROOTFS is unmounted in our mount namespace. MANAGER, START and STOP are those of struct
 * podunit_relay. NAME, SIZE and FILES are those of podunit_log_file. The fields are added to every entry.
 * File descriptors, each of which may be closed:
 * 3 and 4  read as stdout and stderr; 3 may be the near end of a terminal
 * 5        the latch of the gate at FIFO, see gate.c; once the gate is open, it gets a byte. When
 *          it ends without a word, the start was killed, and so is the container
 * 6        a socket that brings what to watch: "n" with a pidfd of the network's process, as
 *          soon as there is one; "k" with a file that kills the container's cgroup if it is
 *          written to; "w" with pidfds of the container and of its network's process; "s", the
 *          start goes on when the container has begun, and "r", it is over: when the socket ends
 *          between these two, the start was killed, and so is the container; "e" in place of "r"
 *          ends this process as well, which has no other task, and neither the container nor its network
 * 7        the container's notify socket
 * 8        a file that gets the PID of the process that goes on for one that has died
 * 9        the log file
 * 10       its directory
 * 11 and 12  where stdout and stderr go instead of to the journal
 *
 * It ends when both streams are at their end and, if it was told of it, the container.
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
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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
	int to; /* gets it instead of the journal, or -1 */
	const char *priority;
	char *volatile buf; /* small, or a mapping of LONGEST bytes while a long line lasts */
	/* Volatile, as a guard must find them as they are: up to begun it is handed over, up to used it was
	 * read, and up to next it is about to be. */
	volatile size_t size, used, begun, next;
	int terminal;
	char small[SMALL]; /* last: of a stream with few lines, all that is written to is one page */
};

static struct stream streams[2];
static char fields[FIELDS];
static size_t fields_len;
static volatile int journal = -1;

/* Close a descriptor. Its number is forgotten first: the guard would close what has it by then. */
static void forget(volatile int *fd)
{
	const int old = *fd;

	*fd = -1;
	if (old >= 0)
		close(old);
}

static int connect_journal(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = JOURNAL };

	forget(&journal);
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

/* What a piece of a stream is: a line, the beginning of a long one, or what comes last and has no end. */
enum piece { LINE, CUT, LAST };

/* Write a piece as it is: 0, or -1 if it cannot be written, as on a full disk. */
static int pass_on(int to, const char *text, size_t len, enum piece piece)
{
	struct iovec iov[] = { { (char *)text, len }, { "\n", piece == LINE } };

	while (iov[0].iov_len + iov[1].iov_len > 0) {
		ssize_t n = writev(to, iov, 2);

		if (n < 0 && errno == EAGAIN)
			poll(&(struct pollfd){ .fd = to, .events = POLLOUT }, 1, -1);
		else if (n < 0 && errno != EINTR)
			return -1;
		for (int i = 0; i < 2 && n > 0; i++) {
			const size_t part = (size_t)n < iov[i].iov_len ? (size_t)n : iov[i].iov_len;

			iov[i].iov_base = (char *)iov[i].iov_base + part;
			iov[i].iov_len -= part;
			n -= part;
		}
	}
	return 0;
}

static void emit(const struct stream *s, const char *line, size_t len, enum piece piece)
{
	static const char mark[] = "CONTAINER_PARTIAL_MESSAGE=true\n";
	struct iovec iov[] = {
		{ fields, fields_len },
		{ (char *)s->priority, strlen(s->priority) },
		{ (char *)mark, piece == CUT ? sizeof mark - 1 : 0 },
		{ "MESSAGE=", 8 },
		{ (char *)line, len },
		{ "\n", 1 },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = sizeof iov / sizeof *iov };

	if (s->to >= 0 && pass_on(s->to, line, len, piece) == 0)
		return;
	podunit_log_line(s == &streams[1], line, len, piece == CUT);
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
		const int r = connect_journal();

		if (r < 0 && errno == ENOENT)
			break; /* there is none */
		if (r < 0 || tries > 1)
			nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000 * 1000 }, NULL);
	}
	/* No journal: better on our own stderr than nowhere. */
	if (writev(2, iov + 4, 2) < 0)
		return;
}

/* Hand over the lines that are complete. The guard may go on anywhere in here: what was read counts
 * at once as read, and a line as handed over when it is, so that it is not lost, and twice there
 * at the worst. */
static void hand_over(struct stream *s)
{
	char *newline;

	while (s->begun < s->used && (newline = memchr(s->buf + s->begun, '\n', s->used - s->begun))) {
		char *line = s->buf + s->begun;
		size_t len = newline - line;

		/* A terminal ends lines with two characters. */
		if (s->terminal && len > 0 && line[len - 1] == '\r')
			len--;
		emit(s, line, len, LINE);
		s->begun = newline + 1 - s->buf;
	}
	if (s->begun >= s->used) {
		s->used = 0; /* in this order: there is nothing that could be handed over twice */
		s->begun = 0;
	}
}

/* Make room behind what was read. */
static void make_room(struct stream *s)
{
	if (s->begun > 0) {
		memmove(s->buf, s->buf + s->begun, s->used - s->begun);
		s->used -= s->begun;
		s->begun = 0;
	}
	if (s->used < s->size)
		return;
	char *more = s->buf == s->small ? mmap(NULL, LONGEST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;

	if (more == MAP_FAILED) {
		emit(s, s->buf, s->used, CUT);
		s->used = 0;
	} else {
		memcpy(more, s->buf, s->used);
		s->buf = more;
		s->size = LONGEST;
	}
}

static void shrink(struct stream *s)
{
	if (s->buf == s->small || s->used - s->begun > SMALL / 2)
		return;
	memcpy(s->small, s->buf + s->begun, s->used - s->begun);
	munmap(s->buf, LONGEST);
	s->buf = s->small;
	s->size = SMALL;
	s->used -= s->begun;
	s->begun = 0;
}

static int pagemap = -1; /* opened while it still may be: see podunit_drop_privileges */

/* Who is killed while it reads has what it read and cannot say so. So no more is asked for than is
 * there, in a place that shows whether anything has come. */
enum { NOTHING = 0xff }; /* no text has it, in UTF-8 least of all */

static size_t expect(struct stream *s)
{
	size_t n = s->size - s->used;
	int there = 0;

	if (s->terminal || ioctl(s->fd, FIONREAD, &there) < 0 || there <= 0)
		return n; /* the end, or a terminal, which gives what it likes */
	if (n > (size_t)there)
		n = there;
	memset(s->buf + s->used, NOTHING, n);
	s->next = s->used + n;
	return n;
}

/* Count what somebody has read who was killed before it could. */
static void recover(struct stream *s)
{
	for (size_t i = s->used; i < s->next; i++) {
		if ((unsigned char)s->buf[i] != NOTHING) {
			s->used = s->next;
			break;
		}
	}
	s->next = 0;
}

/* Read once; 0 at the end of the stream. */
static int copy(struct stream *s)
{
	ssize_t n;

	if (s->used == s->size)
		make_room(s);
	n = read(s->fd, s->buf + s->used, expect(s));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 1;
	if (n <= 0) { /* a terminal ends with EIO */
		if (s->used > s->begun)
			emit(s, s->buf + s->begun, s->used - s->begun, LAST);
		return 0;
	}
	s->used += n;
	s->next = 0;
	hand_over(s);
	shrink(s);
	return 1;
}

/* What poll(2) looks at, and others. Up to TO_STDERR they are descriptors that we are executed with. */
enum { STDOUT, STDERR, LATCH, CONTROL, NOTIFY, PIDFILE, LOGFILE, LOGDIR, TO_STDOUT, TO_STDERR, CONTAINER, NETWORK, KILL, GUARD, DESCRIPTORS };
enum { FIRST = 3 };

/* All that the process knows: its guard has it, too. */
static volatile int fds[DESCRIPTORS];
static const char *fifo;
static struct podunit_relay relay;
static volatile int over; /* nothing is left to be done, also for the guard */
static volatile int starting; /* the container's start goes on, although it has begun */

/* Messages of a container that are passed on in a second, so that one that does nothing else keeps
 * neither us nor the manager busy. */
enum { MESSAGES = 50 };
static struct { time_t second; int messages; } now;

static void drop(int which)
{
	forget(&fds[which]);
}

static int ready(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return fd >= 0 && poll(&p, 1, 0) > 0 && p.revents;
}

/* The guard: it sleeps until the process that it guards has ended. */
struct guard {
	char stack[16 * 1024] __attribute__((aligned(16)));
};
static struct guard guards[2]; /* one may have become the process itself */
static volatile int guarded_by = 1, guarded; /* an index; a pidfd of the process that is guarded */

static int work(void);
static void start_guard(void);

static int guard(void *unused)
{
	struct pollfd p = { .fd = guarded, .events = POLLIN };
	char text[16];

	prctl(PR_SET_NAME, "podunit-guard", 0, 0, 0);
	while (poll(&p, 1, -1) <= 0)
		;
	if (over)
		_exit(0);
	forget(&guarded);
	drop(GUARD); /* it is our own */
	prctl(PR_SET_NAME, "podunit-log", 0, 0, 0);
	if (fds[PIDFILE] >= 0) {
		const int n = snprintf(text, sizeof text, "%7d\n", (int)getpid());

		(void)!pwrite(fds[PIDFILE], text, n, 0);
	}
	start_guard();
	for (int i = STDOUT; i <= STDERR; i++) {
		recover(&streams[i]);
		hand_over(&streams[i]);
	}
	_exit(work());
}

/* Without a guard it works as well. */
static void start_guard(void)
{
	int fd = -1;

	guarded_by = !guarded_by;
	guarded = syscall(SYS_pidfd_open, getpid(), 0);
	if (guarded < 0)
		return;
	/* The same memory and descriptors, and yet not a thread: what kills one leaves the other. */
	if (clone(guard, guards[guarded_by].stack + sizeof guards->stack,
		  CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_PIDFD | SIGCHLD, NULL, &fd) < 0) {
		forget(&guarded);
		return;
	}
	fds[GUARD] = fd;
}

/* From here on it has nothing that it does not need. */
static void settle(void)
{
	podunit_drop_privileges();
	start_guard();
}

/* End the process of the network. It hears no other signal, and has nothing to lose. */
static void end_network(void)
{
	if (fds[NETWORK] >= 0)
		syscall(SYS_pidfd_send_signal, fds[NETWORK], SIGKILL, NULL, 0);
	drop(NETWORK);
}

static void kill_container(void);

/* Learn what to watch. */
static void learn(void)
{
	int got[2];
	char what;
	const int n = podunit_receive(fds[CONTROL], &what, got, 2);

	if (n < 0) {
		drop(CONTROL); /* there is no more */
		if (fds[CONTAINER] < 0)
			end_network(); /* the start is given up, or was killed */
		else if (starting)
			kill_container(); /* the manager would wait until the start's time is over */
		return;
	}
	if (what == 'n') {
		fds[NETWORK] = n > 0 ? got[0] : -1;
	} else if (what == 'w') {
		drop(NETWORK); /* we may know it already */
		fds[CONTAINER] = n > 0 ? got[0] : -1;
		fds[NETWORK] = n > 1 ? got[1] : -1;
	} else if (what == 's' || what == 'r' || what == 'e') {
		starting = what == 's';
		if (what == 'e') {
			drop(NETWORK); /* first: without a container to watch, the end of the socket ends it */
			drop(CONTAINER);
		}
	} else if (n > 0) {
		fds[KILL] = got[0];
	}
}

/* Kill the container with all that runs in its cgroup. */
static void kill_container(void)
{
	if (fds[KILL] < 0 || write(fds[KILL], "1", 1) < 0)
		syscall(SYS_pidfd_send_signal, fds[CONTAINER], SIGKILL, NULL, 0);
}

static void open_gate(void)
{
	const int word = podunit_await_latch(fds[LATCH]);

	while (word == PODUNIT_OPEN && fds[CONTROL] >= 0 && ready(fds[CONTROL]))
		learn(); /* of the container, before it is waited for */
	if (word == PODUNIT_OPEN && podunit_open_gate(fifo, fds[CONTAINER]) == 0) {
		(void)!write(fds[LATCH], "", 1); /* nobody may be there any more to hear it */
	} else if (word == PODUNIT_GONE) {
		/* The start was killed. Its container shall not begin: with SIGTERM alone, the manager might
		 * not end it. Who is not told of it yet is told no more, and what waits in the runtime hears
		 * SIGTERM. */
		while (fds[CONTROL] >= 0)
			learn();
		if (fds[CONTAINER] >= 0)
			kill_container();
	}
	if (word != PODUNIT_OPEN) {
		/* There will be no container. What was written is the runtime's: it says in its own log
		 * why, and the runner says it from there. */
		drop(STDOUT);
		drop(STDERR);
	}
	drop(LATCH);
	settle();
}

/* Seconds that a container without its network may take to end by itself. When the whole unit was told
 * to end, by systemctl kill or by a stop whose ExecStop= has failed, pasta ends at once, and the
 * container may have data to write: it gets what systemd gives a service to stop. */
enum { GRACE = 3, STOPPING = 90 };
static time_t lost; /* when the network ended, or 0 */

/* Were we told to end, too? We block all signals, so that one that came stays pending. */
static int told_to_end(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && sigismember(&pending, SIGTERM) == 1;
}

static time_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* The network ended before the container, which did not follow. */
static void end_container(void)
{
	static const char word[] = "podunit: the network of the container has ended (pasta was killed), and so the container is killed";

	lost = 0;
	if (fds[CONTAINER] < 0 || ready(fds[CONTAINER]))
		return; /* before the container begins, the start sees it */
	kill_container();
	emit(&streams[1], word, sizeof word - 1, LINE);
}

/* What the container has to say is passed on while it may. */
static int may_speak(void)
{
	const time_t t = seconds();

	if (t != now.second) {
		now.second = t;
		now.messages = 0;
	}
	return now.messages < MESSAGES;
}

/* The container has ended; its last words are passed on. Its network, which has nothing to do any
 * more, ends: else systemd kills it, and says so. So do processes that the container has left, for
 * which systemd would wait as long as the unit may take to stop. */
static void part(void)
{
	end_network();
	if (fds[KILL] >= 0)
		(void)!write(fds[KILL], "1", 1);
	for (int i = 0; i < MESSAGES && ready(fds[NOTIFY]); i++)
		podunit_relay_one(&relay, fds[NOTIFY]);
	drop(NOTIFY);
	drop(CONTAINER);
	lost = 0;
}

static int is_over(void)
{
	if (fds[STDOUT] >= 0 || fds[STDERR] >= 0)
		return 0;
	/* Until it is told what to watch, there is no container yet. */
	return fds[CONTROL] < 0 && fds[CONTAINER] < 0;
}

/* Wait for a while for what there is to do. */
static int awake(struct pollfd *polls)
{
	const int n = poll(polls, DESCRIPTORS, QUIET);

	return n < 0 ? -errno : n;
}

static int work(void)
{
	struct pollfd polls[DESCRIPTORS];
	int idle = 1; /* to be slim before the container begins */

	while (!is_over()) {
		int n, silent = fds[NOTIFY] >= 0 && !may_speak();

		for (int i = 0; i < DESCRIPTORS; i++)
			polls[i] = (struct pollfd){ .fd = (i >= PIDFILE && i <= TO_STDERR) || i == KILL || (i == NOTIFY && silent) ? -1 : fds[i], .events = POLLIN };
		if (fds[LATCH] >= 0) /* before the container begins, nobody has anything to say but the runtime */
			polls[STDOUT].fd = polls[STDERR].fd = -1;
		n = idle ? podunit_sleep(pagemap, polls, DESCRIPTORS, silent || lost ? QUIET : -1) : awake(polls);
		if (n < 0 && n != -EINTR)
			return 1;
		idle = n == 0 && !silent;
		if (lost && seconds() > lost + (told_to_end() ? STOPPING : GRACE))
			end_container();
		if (n <= 0)
			continue;
		if (polls[CONTROL].revents)
			learn();
		if (polls[LATCH].revents)
			open_gate();
		for (int i = STDOUT; i <= STDERR; i++)
			if (polls[i].revents && !copy(&streams[i]))
				drop(i);
		if (polls[NOTIFY].revents) {
			now.messages++;
			podunit_relay_one(&relay, fds[NOTIFY]);
		}
		if (polls[NETWORK].revents) {
			drop(NETWORK);
			lost = seconds();
		}
		if (polls[CONTAINER].revents)
			part();
		if (polls[GUARD].revents) {
			drop(GUARD);
			forget(&guarded);
			guarded_by = !guarded_by; /* its stack is free */
			start_guard();
		}
	}
	over = 1;
	if (fds[GUARD] >= 0)
		syscall(SYS_pidfd_send_signal, fds[GUARD], SIGKILL, NULL, 0);
	return 0;
}

int podunit_log_main(int argc, char **argv)
{
	/* It ends with the container, not before: last words matter most. */
	podunit_ignore_signals();
	prctl(PR_SET_NAME, "podunit-log", 0, 0, 0);
	if (argc < 9)
		return 2;
	/* The container's root must be free as soon as the container is gone. It came along
	 * into this copy of the runner's mounts. */
	if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0)
		umount2(argv[1], MNT_DETACH);

	fifo = argv[2];
	relay = (struct podunit_relay){ .manager = argv[3], .start = strtoull(argv[4], NULL, 10), .stop = strtoull(argv[5], NULL, 10) };
	for (int i = 9; i < argc; i++) {
		size_t n = strlen(argv[i]);

		if (fields_len + n + 1 > sizeof fields || memchr(argv[i], '\n', n))
			continue;
		memcpy(fields + fields_len, argv[i], n);
		fields_len += n;
		fields[fields_len++] = '\n';
	}
	/* What a shell has left open for a verb that starts us, such as a lock, is not ours to hold. */
	syscall(SYS_close_range, FIRST + TO_STDERR + 1, ~0U, 0);
	for (int i = 0; i < DESCRIPTORS; i++)
		fds[i] = i <= TO_STDERR && fcntl(FIRST + i, F_GETFD) >= 0 ? FIRST + i : -1;
	for (int i = 0; i < 2; i++) {
		streams[i].fd = fds[i];
		streams[i].to = fds[TO_STDOUT + i];
		streams[i].terminal = isatty(fds[i]);
		streams[i].priority = i ? "PRIORITY=3\n" : "PRIORITY=6\n";
		streams[i].buf = streams[i].small;
		streams[i].size = SMALL;
	}
	podunit_log_file(fds[LOGFILE], fds[LOGDIR], argv[6], strtoll(argv[7], NULL, 10), atoi(argv[8]));
	connect_journal();
	pagemap = open(PODUNIT_PAGEMAP, O_RDONLY | O_CLOEXEC);
	if (fds[LATCH] < 0)
		settle();
	return work();
}
