/* SPDX-License-Identifier: Apache-2.0 */

/* Receive descriptors from Go; see send in helper.go. */
#define _GNU_SOURCE
#include "helper.h"

#include <string.h>
#include <sys/socket.h>

int podunit_receive(int fd, char *what, int *fds, int max)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = { what, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(max * sizeof(int)) };
	struct cmsghdr *c;
	int n;

	if (max > 4 || recvmsg(fd, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return 0;
	n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	if (n > max)
		n = max;
	memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	return n;
}
