/* SPDX-License-Identifier: MIT */
#include "fs/spender.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "base/test_hook.h"
#include "fs/filesystem.h"
#include "fs/handle_table.h"

void mfs__spender_init(struct mfs__spender *spender, struct mfs *fs)
{
	spender->fs = fs;
	spender->payer = (struct mfs__payer){.quota = &fs->quota};
	spender->timeout = MFS_NO_WAIT;
	spender->waited = false;
}

void mfs__spender_of_handle(struct mfs__spender *spender, const struct mfs__handle *handle)
{
	if (mfs__unlikely(spender->waited))
		return;
	mfs__spender_init(spender, handle->fs);
	spender->payer.reservation = handle->reservation;
	spender->timeout = handle->space_timeout;
}

int mfs__space_wait(struct mfs__space_wait *wait, struct mfs__quota *quota, uint64_t bytes,
					bool takes, int64_t deadline, unsigned *gate)
{
	int code = MFS__SPACE_LATER;

	wait->quota = quota;
	*gate = mfs__gate_enter();
	if (mfs__space_begin(quota, &wait->waiter, bytes, takes))
		return wait->waiter.code;
	wait->in_line = true;
	while (code == MFS__SPACE_LATER) {
		mfs__gate_leave(*gate);
		mfs__yield("space: about to sleep");
		bool in_time = mfs__space_sleep(&wait->waiter, deadline);
		mfs__yield("space: awake");
		*gate = mfs__gate_enter();
		code = mfs__space_end(quota, &wait->waiter, !in_time);
	}
	wait->in_line = false;
	return code;
}

void mfs__space_wait_abandon(struct mfs__space_wait *wait)
{
	if (wait->in_line)
		mfs__space_abandon(wait->quota, &wait->waiter);
}

static void drop_in_child(struct mfs__fork_guard *guard)
{
	struct mfs__spender *spender = mfs__container_of(guard, struct mfs__spender, guard);

	mfs__space_wait_abandon(&spender->wait);
	if (spender->payer.granted)
		mfs__quota_release(spender->payer.quota, spender->payer.granted);
}

bool mfs__spender_again(struct mfs__spender *spender, int64_t code)
{
	if (mfs__likely(code != MFS_EQUOTA) || spender->timeout == MFS_NO_WAIT ||
		!spender->payer.missing || spender->payer.missing > spender->payer.quota->limit)
		return false;
	if (!spender->waited) {
		spender->waited = true;
		spender->wait.in_line = false;
		spender->has_deadline = false;
		spender->guard = (struct mfs__fork_guard){.child = drop_in_child};
		mfs__fork_guard_enter(&spender->guard);
	}
	if (!spender->has_deadline) {
		spender->has_deadline = true;
		spender->deadline = mfs__deadline(spender->timeout);
	}
	unsigned gate;
	uint64_t missing = spender->payer.missing;
	int waited = mfs__space_wait(&spender->wait, spender->payer.quota, missing, true,
								 spender->deadline, &gate);
	if (!waited)
		spender->payer.granted += missing;
	mfs__gate_leave(gate);
	/* Where the guard refuses, the call shall say so. */
	return !waited || (waited == MFS_EMEMGUARD && mfs__now() < spender->deadline);
}

void mfs__spender_end(struct mfs__spender *spender)
{
	if (mfs__likely(!spender->waited))
		return;
	unsigned gate = mfs__gate_enter();
	if (spender->payer.granted)
		mfs__quota_release(spender->payer.quota, spender->payer.granted);
	spender->payer.granted = 0;
	mfs__gate_leave(gate);
	mfs__fork_guard_leave(&spender->guard);
	mfs__guard_notice();
}
