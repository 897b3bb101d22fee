/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A log file beside the journal, for who asks for one: a line of the container is
 *
 *	2026-01-02T15:04:05.123456789+00:00 stdout F line
 *
 * with P instead of F where the line goes on in the next one. It is the format of the
 * Kubernetes node agents (CRI logging). When the file would grow beyond its size, it becomes
 * FILE.1, what was FILE.1 becomes FILE.2, and so on; with one file only, it begins anew.
 *
 * A container may be able to write where its file lies, and could put a link in the place of a
 * directory. So the directory is opened once, by who starts us, and all names are below it.
 *
 * All of it is static: the guard of podunit-log goes on with it.
 */
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static struct {
	volatile int fd;
	int dir; /* where name is */
	const char *name;
	long long max; /* bytes; 0: no limit */
	int files;     /* that there may be, the one that is written included */
	volatile long long size;
} file = { .fd = -1 };

void podunit_log_file(int fd, int dir, const char *name, long long max, int files)
{
	struct stat st;

	file.fd = fd;
	file.dir = dir;
	file.name = name;
	file.max = max;
	file.files = files;
	file.size = fd >= 0 && fstat(fd, &st) == 0 ? st.st_size : 0;
}

/* The time in UTC. The C library would read the files of the time zone for it, and keep them. Source of the
 * calculation: the Gregorian calendar repeats itself every 400 years, which have 146097 days. */
static int stamp(char *out, size_t size)
{
	struct timespec t;
	long days, era, day_of_era, year, day_of_year, month;

	clock_gettime(CLOCK_REALTIME, &t);
	days = t.tv_sec / 86400 + 719468; /* since 0000-03-01 */
	era = days / 146097;
	day_of_era = days % 146097;
	year = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
	month = (5 * day_of_year + 2) / 153; /* from March on */
	return snprintf(out, size, "%04ld-%02ld-%02ldT%02ld:%02ld:%02ld.%09ld+00:00", year + era * 400 + (month >= 10),
			month < 10 ? month + 3 : month - 9, day_of_year - (153 * month + 2) / 5 + 1, (long)t.tv_sec % 86400 / 3600,
			(long)t.tv_sec % 3600 / 60, (long)t.tv_sec % 60, t.tv_nsec);
}

/* Make room for a line: 0 if there is some. The new file is made aside, before an old one is touched: where
 * the disk has no place for it, those that are there stay as they are. */
static int rotate(void)
{
	char from[NAME_MAX + 16], to[sizeof from], aside[sizeof from];
	int fd;

	if (file.files > 1) {
		snprintf(aside, sizeof aside, "%s.new", file.name);
		unlinkat(file.dir, aside, 0); /* of one who was killed here */
		fd = openat(file.dir, aside, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
		if (fd < 0 && (errno == ENOSPC || errno == EDQUOT))
			return -1;
		if (fd >= 0) {
			for (int i = file.files - 1; i > 0; i--) {
				snprintf(from, sizeof from, i == 1 ? "%s" : "%s.%d", file.name, i - 1);
				snprintf(to, sizeof to, "%s.%d", file.name, i);
				renameat(file.dir, from, file.dir, to); /* the older ones may not be there yet */
			}
			if (renameat(file.dir, aside, file.dir, file.name) == 0 && dup3(fd, file.fd, O_CLOEXEC) >= 0) {
				close(fd);
				file.size = 0;
				return 0;
			}
			close(fd);
			return -1; /* what we write to has another name now, and stays */
		}
	}
	if (ftruncate(file.fd, 0) < 0)
		return -1;
	file.size = 0;
	return 0;
}

void podunit_log_line(int is_stderr, const char *line, size_t len, int cut)
{
	char begin[80];
	int n;

	if (file.fd < 0)
		return;
	n = stamp(begin, sizeof begin - 16);
	n += snprintf(begin + n, sizeof begin - n, " %s %c ", is_stderr ? "stderr" : "stdout", cut ? 'P' : 'F');
	if (file.max > 0 && file.size > 0 && file.size + n + (long long)len + 1 > file.max && rotate() < 0)
		return; /* the line is in the journal only */

	struct iovec iov[] = { { begin, n }, { (char *)line, len }, { "\n", 1 } };
	const ssize_t done = writev(file.fd, iov, 3);

	if (done == n + (ssize_t)len + 1)
		file.size += done;
	else if (done > 0) /* the disk is full: the line is in the journal only, and no half of it here */
		(void)!ftruncate(file.fd, lseek(file.fd, 0, SEEK_CUR) - done);
}
