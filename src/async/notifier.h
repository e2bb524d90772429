/* SPDX-License-Identifier: MIT */
/* A descriptor that is readable while it is raised. */
#ifndef DMEMFS_ASYNC_NOTIFIER_H
#define DMEMFS_ASYNC_NOTIFIER_H

#include <stdbool.h>

/** Guarded by the context's mutex, so that it is raised and lowered in turn. */
struct mfs__async_notifier {
	int readable; /* -1: not open */
	int writable; /* the same one where there is eventfd */
};

/** Returns false, with errno, if the system refuses. */
bool mfs__async_notifier_open(struct mfs__async_notifier *notifier);

void mfs__async_notifier_close(struct mfs__async_notifier *notifier);

void mfs__async_notifier_raise(struct mfs__async_notifier *notifier);

void mfs__async_notifier_lower(struct mfs__async_notifier *notifier);

#endif
