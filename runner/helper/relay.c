/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a container says to the service manager: it is given a socket of ours, and this passes
 * on what concerns nobody but its own unit.
 *
 * The manager does what a message says to whom the sender belongs to. A container that reached
 * the manager could name any process as its main one (MAINPID=), which the manager then kills,
 * or leave files with it (FDSTORE=1); and the manager does not find out whose a message was
 * whose sender has ended. What is passed on is ours, and we are there as long as the container.
 *
 * Files that come with a message are closed by the kernel, as none are asked for. That is what
 * the sender of BARRIER=1 waits for, and by then the manager has what came before.
 *
 * Source: sd_notify(3).
 */
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { STATUS = 512 }; /* bytes of a line of status that are passed on */

static int is(const char *line, size_t n, const char *word)
{
	return n == strlen(word) && !memcmp(line, word, n);
}

/* The value of an assignment to name, or NULL. */
static const char *value_of(const char *line, size_t n, const char *name)
{
	const size_t len = strlen(name);

	return n > len && !memcmp(line, name, len) && line[len] == '=' ? line + len + 1 : NULL;
}

/* A number of digits only, or 0. */
static uint64_t number(const char *s, size_t n)
{
	uint64_t v = 0;

	if (n == 0 || n > 18)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return 0;
		v = v * 10 + (s[i] - '0');
	}
	return v;
}

/* How many bytes the character at s has, 0 if it is none of UTF-8 or controls a terminal. */
static size_t character(const unsigned char *s, size_t left)
{
	const size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if (n == 1)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if ((n == 2 && s[0] == 0xc2 && s[1] < 0xa0) || /* the C1 controls */
	    (n == 3 && s[0] == 0xe0 && s[1] < 0xa0) || (n == 3 && s[0] == 0xed && s[1] >= 0xa0) ||
	    (n == 4 && s[0] == 0xf0 && s[1] < 0x90) || (n == 4 && s[0] == 0xf4 && s[1] >= 0x90))
		return 0;
	return n;
}

/* Append a text without what a terminal would obey. */
static size_t clean(char *out, const char *text, size_t n)
{
	size_t used = 0;

	for (size_t i = 0, c; i < n; i += c ? c : 1) {
		c = character((const unsigned char *)text + i, n - i);
		if (used + (c ? c : 1) > STATUS)
			break;
		if (c)
			memcpy(out + used, text + i, c);
		else
			out[used] = '?';
		used += c ? c : 1;
	}
	return used;
}

/* How much more time a container may ask for: what its unit has for what it is at. The
 * manager would let a container that runs exceed RuntimeMaxSec=. */
static uint64_t extension(const struct podunit_relay *r, uint64_t asked)
{
	const uint64_t limit = r->stopping ? r->stop : r->start;

	if (!r->stopping && !r->reloading && r->ready)
		return 0;
	return limit && asked > limit ? limit : asked;
}

/* Whether one of the lines is word. */
static int has(const char *message, const char *end, const char *word)
{
	for (const char *line = message, *next; line < end; line = next + 1) {
		next = memchr(line, '\n', end - line);
		if (!next)
			next = end;
		if (is(line, next - line, word))
			return 1;
	}
	return 0;
}

size_t podunit_filter(struct podunit_relay *r, const char *message, size_t size, char *out)
{
	const char *end = message + size;
	struct podunit_relay before = *r;
	size_t used = 0;

	/* The manager heeds this first, and what else the message asks for when the unit runs: said again
	 * and again, after RELOADING=1, it would put RuntimeMaxSec= off for ever. */
	if (has(message, end, "READY=1"))
		before.ready = 1, before.reloading = 0;

	for (const char *line = message, *next; line < end; line = next + 1) {
		size_t n;
		const char *v;

		next = memchr(line, '\n', end - line);
		if (!next)
			next = end;
		n = next - line;
		if (is(line, n, "READY=1")) {
			r->ready = 1;
			r->reloading = 0;
		} else if (is(line, n, "RELOADING=1")) {
			r->reloading = 1;
		} else if (is(line, n, "STOPPING=1")) {
			r->stopping = 1;
		} else if ((v = value_of(line, n, "MONOTONIC_USEC"))) { /* goes with RELOADING=1 */
			if (!number(v, next - v))
				continue;
		} else if ((v = value_of(line, n, "EXTEND_TIMEOUT_USEC"))) {
			const uint64_t more = extension(&before, number(v, next - v));

			if (more)
				used += sprintf(out + used, "EXTEND_TIMEOUT_USEC=%llu\n", (unsigned long long)more);
			continue;
		} else if (n >= 7 && !memcmp(line, "STATUS=", 7)) {
			memcpy(out + used, line, 7);
			used += 7;
			used += clean(out + used, line + 7, n - 7);
			out[used++] = '\n';
			continue;
		} else if (!is(line, n, "WATCHDOG=1")) {
			continue;
		}
		memcpy(out + used, line, n);
		used += n;
		out[used++] = '\n';
	}
	return used;
}

static void tell_manager(const char *name, const char *message, size_t n)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const size_t len = strlen(name);
	int fd;

	if (len == 0 || len >= sizeof addr.sun_path)
		return;
	memcpy(addr.sun_path, name, len);
	if (name[0] == '@')
		addr.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* A manager that executes itself again is back in a moment. */
	for (int tries = 0; fd >= 0 && tries < 200; tries++) {
		if (sendto(fd, message, n, MSG_NOSIGNAL, (struct sockaddr *)&addr, offsetof(struct sockaddr_un, sun_path) + len + (name[0] != '@')) >= 0)
			break;
		if (errno != EINTR)
			nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000 * 1000 }, NULL);
	}
	if (fd >= 0)
		close(fd);
}

void podunit_relay_one(struct podunit_relay *r, int fd)
{
	static char message[PODUNIT_MESSAGE + 1], out[2 * PODUNIT_MESSAGE]; /* a guard has a small stack */
	const ssize_t n = recv(fd, message, sizeof message, MSG_DONTWAIT);

	if (n <= 0 || n > PODUNIT_MESSAGE)
		return;
	const size_t used = podunit_filter(r, message, n, out);
	if (used)
		tell_manager(r->manager, out, used);
}
