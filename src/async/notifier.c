/* SPDX-License-Identifier: MIT */
#include "notifier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/eventfd.h>

bool mfs__async_notifier_open(struct mfs__async_notifier *notifier)
{
	notifier->readable = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	notifier->writable = notifier->readable;
	return notifier->readable >= 0;
}

#else

static bool prepare(int fd)
{
	return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

bool mfs__async_notifier_open(struct mfs__async_notifier *notifier)
{
	int ends[2];

	if (pipe(ends))
		return false;
	notifier->readable = ends[0];
	notifier->writable = ends[1];
	if (prepare(ends[0]) && prepare(ends[1]))
		return true;
	int error = errno;
	mfs__async_notifier_close(notifier);
	errno = error;
	return false;
}

#endif

void mfs__async_notifier_close(struct mfs__async_notifier *notifier)
{
	if (notifier->readable < 0)
		return;
	if (notifier->writable != notifier->readable)
		(void)close(notifier->writable);
	(void)close(notifier->readable);
	notifier->readable = -1;
}

/* Eight bytes are what an eventfd wants. Neither is ever full or empty, as calls alternate. */

void mfs__async_notifier_raise(struct mfs__async_notifier *notifier)
{
	const uint64_t one = 1;

	while (write(notifier->writable, &one, sizeof one) < 0 && errno == EINTR) {
	}
}

void mfs__async_notifier_lower(struct mfs__async_notifier *notifier)
{
	uint64_t count;

	while (read(notifier->readable, &count, sizeof count) < 0 && errno == EINTR) {
	}
}
