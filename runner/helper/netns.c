/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The main process of podunit-netns.service: it holds the network namespace of a user's named
 * networks, and runs the name server there.
 *
 * When the network that connects the namespace to the outside has ended, it ends with status 1: the
 * unit fails, and the manager makes all again. It ends with status 0 on SIGTERM, SIGINT and SIGQUIT;
 * other signals it ignores.
 *
 * The name server, aardvark-dns, goes to the background by itself, and ends when there are no names
 * any more. Whoever has added the first names connects to a socket, and gets the byte 0 once the
 * server answers, else the status of its start. A server that has ended is started again, after a
 * pause, if there are names: somebody may have added them while it was ending for want of any.
 *
 * It keeps its privileges, which the server needs. A container may share its PID namespace (--pid host),
 * but reaches nothing through it: it is not dumpable.
 *
 * usage: podunit-netns PROGRAM DIRECTORY
 * PROGRAM is aardvark-dns, DIRECTORY where its names are.
 * File descriptors: 3 is closed once all is set; 4 is a socket that brings "w" with a pidfd of
 * the process of the network; 5 is the socket that listens, of type SOCK_SEQPACKET.
 */
#define _GNU_SOURCE
#include "helper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONTROL = 4, ASKED = 5 };

/* Milliseconds. A server that has served so long has had no fault that would be there at once again. */
enum { FIRST_PAUSE = 100, LONGEST_PAUSE = 10000, SERVED_LONG = 10000 };

/* Milliseconds: how long a server in the background may take to note its process ID, which is less
 * than the asker waits, and how often we look. */
enum { NOTE_LIMIT = 20000, LOOK = 10 };

/* Milliseconds after which a server that has not gone to the background is killed. The asker has given
 * up by then. */
enum { START_LIMIT = 30000 };

static const char pid_file[] = "aardvark.pid";

static struct {
	char *program, *names;
	pid_t first;   /* the process that we have started, until the server is in the background; or 0 */
	pid_t server;  /* the server in the background, or 0 */
	int asker;     /* who waits for the start, or -1 */
	int pause;     /* before the next start that nobody asks for */
	long long due; /* the time of that start, 0 for none */
	long long note_until; /* when a server that is in the background must have noted its ID; 0: none is awaited */
	long long began;
} dns = { .asker = -1, .pause = FIRST_PAUSE };

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* Tell the asker how the start of the server went. Nobody has asked for one that is started again. */
static void answer(int status)
{
	const unsigned char byte = status;

	if (dns.asker < 0)
		return;
	(void)!send(dns.asker, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(dns.asker);
	dns.asker = -1;
}

static int has_names(void)
{
	DIR *d = opendir(dns.names);
	struct dirent *e;
	int found = 0;

	while (d && !found && (e = readdir(d)))
		found = e->d_name[0] != '.' && strcmp(e->d_name, pid_file);
	if (d)
		closedir(d);
	return found;
}

/* The number in the server's PID file; 0 for none. */
static pid_t read_pid(void)
{
	int dir = open(dns.names, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = dir < 0 ? -1 : openat(dir, pid_file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char text[16] = "";

	if (fd >= 0) {
		(void)!read(fd, text, sizeof text - 1);
		close(fd);
	}
	if (dir >= 0)
		close(dir);
	return atoi(text) > 0 ? atoi(text) : 0;
}

/* netavark would send SIGHUP to whoever has the number of a server that has ended. */
static void drop_pid(void)
{
	int dir = open(dns.names, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir >= 0) {
		unlinkat(dir, pid_file, 0);
		close(dir);
	}
}

static void start(void)
{
	char *argv[] = { dns.program, "--config", dns.names, "-p", "53", "run", NULL };

	drop_pid();
	dns.due = 0;
	dns.began = now();
	dns.first = vfork();
	if (dns.first == 0) {
		podunit_heed_signals();
		execv(dns.program, argv);
		_exit(127);
	}
	if (dns.first < 0) {
		dns.first = 0;
		answer(126);
	}
}

/* The server has ended, or could not be started. */
static void failed(void)
{
	static const char word[] = "podunit: the name server of the networks has ended and is started again\n";

	dns.server = 0;
	drop_pid();
	if (!has_names())
		return;
	(void)!write(2, word, sizeof word - 1);
	if (now() - dns.began >= SERVED_LONG)
		dns.pause = FIRST_PAUSE;
	dns.due = now() + dns.pause;
	dns.pause = dns.pause * 2 > LONGEST_PAUSE ? LONGEST_PAUSE : dns.pause * 2;
}

/* Whether a process that we have started, or one that it has left to us, lives or is not buried yet. */
static int has_children(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void kill_children(void)
{
	FILE *f = fopen("/proc/thread-self/children", "re");
	int pid;

	while (f && fscanf(f, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	if (f)
		fclose(f);
}

/* The first process has ended with status 0: look for the process ID of the server that it has left in
 * the background. An old server notes it there only, perhaps after its first process has ended. */
static void look(void)
{
	pid_t pid = read_pid();

	/* It may have ended already, and have been buried before. */
	if (pid && kill(pid, 0) == 0) {
		dns.note_until = 0;
		dns.server = pid;
		answer(0);
	} else if (!has_children() || now() >= dns.note_until) {
		/* One that lives on would keep the port from the next. */
		kill_children();
		dns.note_until = 0;
		answer(125);
		failed();
	}
}

static void bury(void)
{
	int status, code;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (pid == dns.first) {
			dns.first = 0;
			if (code == 0) {
				dns.note_until = now() + NOTE_LIMIT;
				continue;
			}
			answer(code);
			failed();
		} else if (pid == dns.server) {
			failed();
		}
	}
	if (dns.note_until)
		look();
}

/* Somebody has added names. */
static void asked(void)
{
	dns.asker = accept4(ASKED, NULL, NULL, SOCK_CLOEXEC);
	if (dns.asker < 0)
		return;
	if (dns.server) {
		kill(dns.server, SIGHUP); /* it may have read the names before */
		answer(0);
		return;
	}
	dns.pause = FIRST_PAUSE;
	start();
}

/* How long nothing may happen until something is due, in milliseconds; -1 for any time. A start that
 * takes too long is killed. */
static int until_due(void)
{
	long long left;

	if (dns.note_until)
		return LOOK;
	if (dns.first) {
		left = dns.began + START_LIMIT - now();
		if (left <= 0)
			kill(dns.first, SIGKILL); /* bury() comes when it has ended */
		return left > 0 ? left : START_LIMIT;
	}
	if (!dns.due)
		return -1;
	left = dns.due - now();
	return left > 0 ? left : 0;
}

/* Nothing has happened for that time. */
static void elapsed(void)
{
	if (dns.note_until)
		bury();
	else if (dns.first)
		; /* until_due() kills it */
	else if (has_names())
		start();
	else
		dns.due = 0;
}

int podunit_netns_main(int argc, char **argv)
{
	enum { SIGNALS, NETWORK, WATCH, ASKERS, ALL };
	static const char word[] = "podunit: the network has ended (pasta was killed), and so does what it was for\n";
	struct pollfd polls[ALL] = {
		[NETWORK] = { .fd = CONTROL, .events = POLLIN }, [WATCH] = { .fd = -1, .events = POLLIN }, [ASKERS] = { .events = POLLIN },
	};
	const int pagemap = open(PODUNIT_PAGEMAP, O_RDONLY | O_CLOEXEC);
	struct signalfd_siginfo got;
	sigset_t set;
	char what;

	if (argc != 3)
		return 2;
	dns.program = argv[1];
	dns.names = argv[2];
	podunit_ignore_signals();
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGCHLD);
	polls[SIGNALS] = (struct pollfd){ .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN };
	if (polls[SIGNALS].fd < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return 1;
	prctl(PR_SET_NAME, "podunit-netns", 0, 0, 0);
	if (fcntl(CONTROL, F_SETFD, FD_CLOEXEC) < 0 || fcntl(ASKED, F_SETFD, FD_CLOEXEC) < 0)
		return 1;
	close(3);
	for (;;) {
		const int wait = until_due();
		int n;

		/* One start at a time: who else asks waits for an answer to the first. */
		polls[ASKERS].fd = dns.first || dns.note_until ? -1 : ASKED;
		n = dns.note_until ? poll(polls, ALL, wait) : podunit_sleep(pagemap, polls, ALL, wait);
		if (n == 0)
			elapsed();
		if (n <= 0)
			continue;
		while (read(polls[SIGNALS].fd, &got, sizeof got) == sizeof got)
			if (got.ssi_signo != SIGCHLD)
				return 0;
		bury();
		if (polls[WATCH].revents) {
			/* Both may have been told to end. */
			if (poll(&polls[SIGNALS], 1, 1000) > 0)
				continue;
			(void)!write(2, word, sizeof word - 1);
			return 1;
		}
		if (polls[NETWORK].revents) {
			if (podunit_receive(CONTROL, &what, &polls[WATCH].fd, 1) != 1)
				polls[WATCH].fd = -1;
			close(CONTROL);
			polls[NETWORK].fd = -1;
		}
		if (polls[ASKERS].revents && !dns.first && !dns.note_until)
			asked();
	}
}
