/* SPDX-License-Identifier: MIT */
/* Waiting for a file's lock, from inside the gate, with one deadline for all waits of a call. */
#ifndef MFS_FS_LOCK_WAIT_H
#define MFS_FS_LOCK_WAIT_H

#include "tree/node.h"

struct mfs__lock_wait {
	int64_t timeout;  /* of the public interface, never 0 */
	int64_t deadline; /* set when the call first waits */
	bool has_deadline;
};

/**
 * Wait for the lock of a pinned file. Leaves the gate meanwhile; the caller holds nothing.
 *
 * Errors: MFS_EBUSY (MFS_NO_WAIT), MFS_ETIMEDOUT. Returns 0 with the lock.
 */
int mfs__lock_wait(struct mfs__lock_wait *wait, struct mfs__file *file, bool exclusive,
				   unsigned *gate);

#endif
