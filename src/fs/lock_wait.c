/* SPDX-License-Identifier: MIT */
#include "fs/lock_wait.h"

#include "base/clock.h"
#include "base/fork.h"
#include "tree/file_lock.h"

int mfs__lock_wait(struct mfs__lock_wait *wait, struct mfs__file *file, bool exclusive,
				   unsigned *gate)
{
	struct mfs__rwlock_waiter waiter;

	if (wait->timeout == MFS_NO_WAIT)
		return MFS_EBUSY;
	if (!wait->has_deadline) {
		wait->deadline = mfs__deadline(wait->timeout);
		wait->has_deadline = true;
	}
	mfs__gate_leave(*gate);
	bool locked = mfs__rwlock_wait(&file->lock, exclusive, wait->deadline, &waiter);
	*gate = mfs__gate_enter();
	if (!locked)
		return MFS_ETIMEDOUT;
	/* Inside the gate a fork cannot come between this and what the caller does with the lock. */
	mfs__rwlock_wait_done(&waiter);
	mfs__file_locked(file);
	return 0;
}
