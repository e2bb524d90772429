/* SPDX-License-Identifier: MIT */
/* Quota that is set aside for a job, and waiting for quota. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "fs/filesystem.h"

#include <inttypes.h>
#include <string.h>

uint64_t mfs__reservations_left(struct mfs *fs)
{
	uint64_t sum = 0;

	/* A reservation that is being made may be missed. */
	if (!atomic_load_explicit(&fs->reservation_count, memory_order_relaxed))
		return 0;
	pthread_mutex_lock(&fs->reservations_mutex);
	for (struct mfs_reservation *at = fs->reservations; at; at = at->next)
		sum += atomic_load_explicit(&at->left, memory_order_relaxed);
	pthread_mutex_unlock(&fs->reservations_mutex);
	return sum;
}

/* Put it in the workspace's list. */
static void enlist(struct mfs_reservation *reservation)
{
	struct mfs *fs = reservation->fs;

	pthread_mutex_lock(&fs->reservations_mutex);
	reservation->next = fs->reservations;
	reservation->link = &fs->reservations;
	if (reservation->next)
		reservation->next->link = &reservation->next;
	fs->reservations = reservation;
	atomic_fetch_add_explicit(&fs->reservation_count, 1, memory_order_relaxed);
	pthread_mutex_unlock(&fs->reservations_mutex);
}

/* Reserve the bytes, and be found by who counts them. Inside the gate. */
static int fill(struct mfs_reservation *reservation, struct mfs__spender *by)
{
	int code = mfs__payer_reserve(&by->payer, reservation->bytes);

	if (code) {
		struct mfs__chunk_account account = mfs__account(by);
		return mfs__fail_charge(&account, code,
								"reservation of %" PRIu64 " bytes refused: %" PRIu64 " of %" PRIu64
								" bytes free",
								reservation->bytes);
	}
	enlist(reservation);
	return 0;
}

int mfs_reservation_new(mfs *fs, uint64_t bytes, mfs_reservation **out)
{
	struct mfs__spender by;
	int code;

	if (out)
		*out = NULL;
	if (!fs || !out)
		return mfs__fail(MFS_EINVAL, "mfs_reservation_new: NULL");
	if (bytes == 0 || bytes > INT64_MAX)
		return mfs__fail(MFS_EINVAL, "mfs_reservation_new: bytes");
	struct mfs_reservation *reservation =
		mfs__alloc_aligned(_Alignof(struct mfs_reservation), sizeof *reservation);
	if (!reservation)
		return mfs__fail(MFS_ENOMEM, "mfs_reservation_new");
	memset(reservation, 0, sizeof *reservation);
	reservation->fs = fs;
	reservation->bytes = bytes;
	atomic_init(&reservation->left, bytes);
	(void)pthread_mutex_init(&reservation->mutex, NULL);
	mfs__spender_init(&by, fs);
	by.timeout = fs->space_timeout;
	do {
		unsigned gate = mfs__gate_enter();
		code = fill(reservation, &by);
		mfs__gate_leave(gate);
	} while (mfs__spender_again(&by, code));
	mfs__spender_end(&by);
	mfs__guard_notice();
	if (code) {
		(void)pthread_mutex_destroy(&reservation->mutex);
		mfs__free_aligned(reservation);
		return code;
	}
	*out = reservation;
	return 0;
}

int64_t mfs_reservation_left(mfs_reservation *reservation)
{
	if (!reservation)
		return mfs__fail(MFS_EINVAL, "mfs_reservation_left: NULL");
	return (int64_t)atomic_load_explicit(&reservation->left, memory_order_relaxed);
}

int mfs_reservation_free(mfs_reservation *reservation)
{
	if (!reservation)
		return 0;
	struct mfs *fs = reservation->fs;
	/* pairs with mfs_close */
	uint64_t handles = atomic_load_explicit(&reservation->handles, memory_order_acquire);
	if (handles)
		return mfs__fail_numbers(
			MFS_EBUSY, "mfs_reservation_free refused: %" PRIu64 " handles are open", handles, 0, 0);
	unsigned gate = mfs__gate_enter();
	pthread_mutex_lock(&fs->reservations_mutex);
	*reservation->link = reservation->next;
	if (reservation->next)
		reservation->next->link = reservation->link;
	atomic_fetch_sub_explicit(&fs->reservation_count, 1, memory_order_relaxed);
	pthread_mutex_unlock(&fs->reservations_mutex);
	uint64_t left = atomic_load_explicit(&reservation->left, memory_order_relaxed);
	if (left)
		mfs__quota_release(&fs->quota, left);
	mfs__gate_leave(gate);
	mfs__guard_notice();
	(void)pthread_mutex_destroy(&reservation->mutex);
	mfs__free_aligned(reservation);
	return 0;
}

/* A call that waits for space. */
struct waiting {
	struct mfs__fork_guard guard; /* in a child, nobody waits */
	struct mfs__space_wait wait;
};

static void leave_in_child(struct mfs__fork_guard *guard)
{
	mfs__space_wait_abandon(&mfs__container_of(guard, struct waiting, guard)->wait);
}

int mfs_wait_for_space(mfs *fs, uint64_t bytes, int64_t timeout)
{
	struct waiting waiting = {.guard = {.child = leave_in_child}};

	if (!fs)
		return mfs__fail(MFS_EINVAL, "mfs_wait_for_space: NULL");
	if (!mfs__timeout_is_valid(timeout))
		return mfs__fail(MFS_EINVAL, "mfs_wait_for_space: timeout");
	if (bytes > fs->quota.limit)
		return mfs__fail_numbers(MFS_EQUOTA,
								 "%" PRIu64 " bytes will never be free: the quota is %" PRIu64,
								 bytes, fs->quota.limit, 0);
	/* What is asked for often is free, and seen so without getting in line. */
	if (mfs__quota_used(&fs->quota) <= fs->quota.limit - bytes)
		return 0;
	mfs__fork_guard_enter(&waiting.guard);
	unsigned gate;
	int code =
		mfs__space_wait(&waiting.wait, &fs->quota, bytes, false, mfs__deadline(timeout), &gate);
	mfs__gate_leave(gate);
	mfs__fork_guard_leave(&waiting.guard);
	mfs__guard_notice();
	if (!code)
		return 0;
	return mfs__fail(timeout == MFS_NO_WAIT ? MFS_EBUSY : MFS_ETIMEDOUT, "mfs_wait_for_space");
}
