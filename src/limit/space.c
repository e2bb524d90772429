/* SPDX-License-Identifier: MIT */
#include "limit/space.h"

#include "base/futex.h"
#include "base/test_hook.h"

/* States of a waiter. */
enum { WAITING, TOLD, LOOK_AGAIN };

/* So long after others were told does who was passed over look whether they took what they were
 * told of. */
#define LOOK_AGAIN_NS (10 * MFS__NS_PER_MS)

static void leave_queue(struct mfs__quota *quota, struct mfs__space_waiter *waiter)
{
	*waiter->link = waiter->next;
	if (waiter->next)
		waiter->next->link = waiter->link;
	else
		quota->end = waiter->link;
	atomic_fetch_sub_explicit(&quota->waiters, 1, memory_order_relaxed);
}

static void set_state(struct mfs__space_waiter *waiter, uint32_t state)
{
	/* pairs with mfs__space_sleep: the waiter sees its code; it may be gone once it is told */
	atomic_store_explicit(&waiter->state, state, memory_order_release);
	mfs__futex_wake(&waiter->state, 1);
}

static void tell(struct mfs__quota *quota, struct mfs__space_waiter *waiter, int code)
{
	leave_queue(quota, waiter);
	waiter->code = code;
	set_state(waiter, TOLD);
}

/* Is there enough for it, beside what others are told of? Then it has its code. Under the mutex. */
static bool try(struct mfs__quota *quota, struct mfs__space_waiter *waiter, uint64_t promised)
{
	uint64_t free_bytes = mfs__quota_free_closed(quota);

	if (free_bytes < promised || free_bytes - promised < waiter->bytes)
		return false;
	waiter->code = waiter->takes ? mfs__quota_reserve_closed(quota, waiter->bytes) : 0;
	/* Somebody may have been faster. */
	return waiter->code != MFS_EQUOTA;
}

/* Wake those for whom there is enough, beside what was promised to others. Under the mutex. */
static void serve(struct mfs__quota *quota, uint64_t promised)
{
	struct mfs__space_waiter *passed_over = NULL;
	struct mfs__space_waiter *next;

	for (struct mfs__space_waiter *waiter = quota->first; waiter; waiter = next) {
		next = waiter->next;
		if (try(quota, waiter, promised)) {
			if (!waiter->takes)
				promised += waiter->bytes;
			tell(quota, waiter, waiter->code);
		} else if (!passed_over && promised && waiter->bytes <= mfs__quota_free_closed(quota)) {
			passed_over = waiter;
		}
	}
	if (passed_over && atomic_load_explicit(&passed_over->state, memory_order_relaxed) == WAITING)
		set_state(passed_over, LOOK_AGAIN);
}

void mfs__space_serve(struct mfs__quota *quota)
{
	pthread_mutex_lock(&quota->mutex);
	serve(quota, 0);
	pthread_mutex_unlock(&quota->mutex);
}

bool mfs__space_begin(struct mfs__quota *quota, struct mfs__space_waiter *waiter, uint64_t bytes,
					  bool takes)
{
	*waiter = (struct mfs__space_waiter){.bytes = bytes, .takes = takes};
	atomic_init(&waiter->state, WAITING);
	pthread_mutex_lock(&quota->mutex);
	waiter->link = quota->end;
	*quota->end = waiter;
	quota->end = &waiter->next;
	/* pairs with mfs__quota_release: either it sees the waiter, or this sees what it releases */
	atomic_fetch_add_explicit(&quota->waiters, 1, memory_order_seq_cst);
	mfs__quota_close(quota);
	mfs__yield("space: in line");
	/* pairs with mfs__quota_release */
	(void)atomic_load_explicit(&quota->room, memory_order_seq_cst);
	bool enough = try(quota, waiter, 0);
	if (enough) {
		leave_queue(quota, waiter);
		atomic_store_explicit(&waiter->state, TOLD, memory_order_relaxed);
	}
	pthread_mutex_unlock(&quota->mutex);
	return enough;
}

bool mfs__space_sleep(struct mfs__space_waiter *waiter, int64_t deadline)
{
	int64_t until = deadline;
	bool in_time = true;

	do {
		/* pairs with set_state */
		uint32_t state = atomic_load_explicit(&waiter->state, memory_order_acquire);
		if (state == TOLD)
			return true;
		if (state == LOOK_AGAIN && until == deadline) {
			int64_t soon = mfs__now() + LOOK_AGAIN_NS;
			until = soon < deadline ? soon : deadline;
		}
		in_time = mfs__now() < until && mfs__futex_wait(&waiter->state, state, until);
	} while (in_time);
	return until < deadline;
}

int mfs__space_end(struct mfs__quota *quota, struct mfs__space_waiter *waiter, bool gives_up)
{
	pthread_mutex_lock(&quota->mutex);
	int code = waiter->code;
	if (atomic_load_explicit(&waiter->state, memory_order_relaxed) != TOLD) {
		bool enough = try(quota, waiter, 0);
		if (enough || gives_up) {
			code = enough ? waiter->code : MFS_EQUOTA;
			leave_queue(quota, waiter);
		} else {
			code = MFS__SPACE_LATER;
			atomic_store_explicit(&waiter->state, WAITING, memory_order_relaxed);
		}
		/* The next one that was passed over, or that waited behind this one's look. */
		serve(quota, enough && !waiter->takes ? waiter->bytes : 0);
	}
	pthread_mutex_unlock(&quota->mutex);
	return code;
}

void mfs__space_abandon(struct mfs__quota *quota, struct mfs__space_waiter *waiter)
{
	if (atomic_load_explicit(&waiter->state, memory_order_relaxed) != TOLD)
		leave_queue(quota, waiter);
	else if (waiter->takes && waiter->code == 0)
		mfs__quota_release(quota, waiter->bytes);
}
