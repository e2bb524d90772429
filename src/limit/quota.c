/* SPDX-License-Identifier: MIT */
#include "limit/quota.h"

#include "base/alloc.h"
#include "base/test_hook.h"
#include "limit/guard.h"
#include "limit/space.h"

#include <string.h>

/* A closed credit. */
#define CLOSED INT64_MIN
/* A batch is at most this part of the limit, and not worth while if it has fewer parts. */
#define BATCHES   1024
#define BATCH_MIN 8
/* Credits open if so many batches are free, and close when as few are left. */
#define OPENING_BATCHES 128
#define CLOSING_BATCHES 32
/* So often do threads take turns at `room` before credits open. */
#define TURNS 32
/* What the guard is asked for beyond what is needed: a part of the limit, at most so much. */
#define GUARD_PART 32
#define GUARD_MOST (UINT64_C(8) << 20)
/* So often is the sum taken again while free bytes are on their way. */
#define READS 16

void mfs__quota_init(struct mfs__quota *quota, uint64_t limit, uint64_t batch,
					 struct mfs__guard_member *guard)
{
	if (batch > limit / BATCHES)
		batch = limit / BATCHES;
	if (batch < BATCH_MIN)
		batch = 0;
	memset(quota, 0, sizeof *quota);
	quota->limit = limit;
	quota->batch = batch;
	quota->guard = guard;
	atomic_init(&quota->withheld, guard ? limit : 0);
	atomic_init(&quota->room, guard ? 0 : limit);
	(void)pthread_mutex_init(&quota->mutex, NULL);
	quota->end = &quota->first;
}

void mfs__quota_destroy(struct mfs__quota *quota)
{
	if (quota->credits)
		mfs__free_aligned(quota->credits);
	(void)pthread_mutex_destroy(&quota->mutex);
}

static uint64_t get_withheld(const struct mfs__quota *quota)
{
	/* pairs with set_withheld */
	return atomic_load_explicit(&quota->withheld, memory_order_acquire);
}

static void raise_peak(struct mfs__quota *quota, uint64_t reserved)
{
	uint64_t peak = atomic_load_explicit(&quota->peak, memory_order_relaxed);

	while (reserved > peak)
		if (atomic_compare_exchange_weak_explicit(&quota->peak, &peak, reserved,
												  memory_order_relaxed, memory_order_relaxed))
			break;
}

/*
 * The peak, after `room` has become this. What is in the credits counts as reserved. Where free
 * bytes went to and fro meanwhile, `room` says nothing, and who moved them looks (end_moving).
 */
static void note_peak(struct mfs__quota *quota, uint64_t room, uint32_t seq)
{
	uint64_t reserved = quota->limit - get_withheld(quota) - room;

	if (mfs__likely(reserved <= atomic_load_explicit(&quota->peak, memory_order_relaxed)))
		return;
	/* pairs with end_moving: whose bytes were seen, his number is seen here */
	if (quota->guard &&
		((seq & 1) || seq != atomic_load_explicit(&quota->seq, memory_order_acquire)))
		return;
	raise_peak(quota, reserved);
}

/* Take it out of `room`, if there is as much. */
static bool take_room(struct mfs__quota *quota, uint64_t amount)
{
	/* pairs with end_moving */
	uint32_t seq = atomic_load_explicit(&quota->seq, memory_order_acquire);
	uint64_t room = atomic_load_explicit(&quota->room, memory_order_relaxed);

	do {
		if (room < amount)
			return false;
		mfs__yield("quota: room seen");
		/* pairs with itself: bytes that go from place to place bring their `seq` along */
	} while (!atomic_compare_exchange_weak_explicit(&quota->room, &room, room - amount,
													memory_order_acq_rel, memory_order_relaxed));
	note_peak(quota, room - amount, seq);
	return true;
}

/* Between these two, free bytes are on their way. Under the mutex. */
static void begin_moving(struct mfs__quota *quota)
{
	uint32_t seq = atomic_load_explicit(&quota->seq, memory_order_relaxed);

	atomic_store_explicit(&quota->seq, seq + 1, memory_order_relaxed);
}

static void end_moving(struct mfs__quota *quota)
{
	uint32_t seq = atomic_load_explicit(&quota->seq, memory_order_relaxed) + 1;

	/* pairs with is_refused and mfs__quota_used */
	atomic_store_explicit(&quota->seq, seq, memory_order_release);
	if (quota->guard)
		note_peak(quota, atomic_load_explicit(&quota->room, memory_order_relaxed), seq);
}

/* Of what moves free bytes. pairs with the acquire loads of who checks `seq` after them: who sees
 * one of these stores sees the odd number of begin_moving(), or a later one. */
#define MOVE memory_order_acq_rel

static void set_withheld(struct mfs__quota *quota, uint64_t bytes)
{
	/* pairs with get_withheld */
	atomic_store_explicit(&quota->withheld, bytes, memory_order_release);
}

static void open_credits(struct mfs__quota *quota)
{
	uint64_t free_bytes = mfs__quota_free_closed(quota);

	if (atomic_load_explicit(&quota->waiters, memory_order_relaxed) ||
		free_bytes / quota->batch < OPENING_BATCHES)
		return;
	if (!quota->credits) {
		quota->credits =
			mfs__alloc_aligned(_Alignof(struct mfs__credit), MFS__STRIPES * sizeof *quota->credits);
		if (!quota->credits)
			return;
	}
	begin_moving(quota);
	for (unsigned i = 0; i < MFS__STRIPES; i++)
		atomic_store_explicit(&quota->credits[i].bytes, 0, memory_order_relaxed);
	/* pairs with the loads in mfs__quota_reserve and mfs__quota_release */
	atomic_store_explicit(&quota->open, quota->credits, memory_order_release);
	end_moving(quota);
}

/* A thread has worked on `room`. Do threads take turns there? */
static inline void note_turn(struct mfs__quota *quota)
{
	uint32_t stripe = mfs__stripe();

	if (mfs__likely(atomic_load_explicit(&quota->last_stripe, memory_order_relaxed) == stripe))
		return;
	atomic_store_explicit(&quota->last_stripe, stripe, memory_order_relaxed);
	uint32_t turns = atomic_load_explicit(&quota->turns, memory_order_relaxed) + 1;
	atomic_store_explicit(&quota->turns, turns, memory_order_relaxed);
	if (turns < TURNS || !quota->batch || pthread_mutex_trylock(&quota->mutex))
		return;
	atomic_store_explicit(&quota->turns, 0, memory_order_relaxed);
	if (!atomic_load_explicit(&quota->open, memory_order_relaxed))
		open_credits(quota);
	pthread_mutex_unlock(&quota->mutex);
}

/* Take what is in the credits, and leave `left` there. Under the mutex, on the way, and open. */
static uint64_t collect(struct mfs__quota *quota, int64_t left)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < MFS__STRIPES; i++) {
		int64_t credit = atomic_exchange_explicit(&quota->credits[i].bytes, left, MOVE);
		mfs__yield("quota: credit collected");
		sum += (uint64_t)credit;
	}
	return sum;
}

void mfs__quota_close(struct mfs__quota *quota)
{
	if (!atomic_load_explicit(&quota->open, memory_order_relaxed))
		return;
	begin_moving(quota);
	/* pairs with is_refused and free_now: who sees it closed sees the odd number */
	atomic_store_explicit(&quota->open, NULL, memory_order_release);
	atomic_fetch_add_explicit(&quota->room, collect(quota, CLOSED), MOVE);
	end_moving(quota);
	atomic_store_explicit(&quota->turns, 0, memory_order_relaxed);
}

uint64_t mfs__quota_revoke(struct mfs__quota *quota)
{
	uint64_t sum = 0;

	pthread_mutex_lock(&quota->mutex);
	begin_moving(quota);
	if (atomic_load_explicit(&quota->open, memory_order_relaxed))
		sum = collect(quota, 0);
	sum += atomic_exchange_explicit(&quota->room, 0, MOVE);
	set_withheld(quota, get_withheld(quota) + sum);
	end_moving(quota);
	pthread_mutex_unlock(&quota->mutex);
	return sum;
}

/* Ask the guard for `need` bytes, at most what is withheld, and for some more. Under the mutex.
 * Returns false if it refuses. */
static bool approve(struct mfs__quota *quota, uint64_t need)
{
	uint64_t withheld = get_withheld(quota);
	uint64_t more = quota->limit / GUARD_PART;
	uint64_t want = need + (more < GUARD_MOST ? more : GUARD_MOST);

	uint64_t got = mfs__guard_take(quota->guard, need, want < withheld ? want : withheld);
	if (!got)
		return false;
	begin_moving(quota);
	set_withheld(quota, withheld - got);
	atomic_fetch_add_explicit(&quota->room, got, MOVE);
	end_moving(quota);
	return true;
}

int mfs__quota_reserve_closed(struct mfs__quota *quota, uint64_t amount)
{
	while (!take_room(quota, amount)) {
		uint64_t room = atomic_load_explicit(&quota->room, memory_order_relaxed);
		if (room >= amount)
			continue;
		if (amount - room > get_withheld(quota))
			return MFS_EQUOTA;
		if (!approve(quota, amount - room))
			return MFS_EMEMGUARD;
	}
	return 0;
}

/* Is all that is free in `room`, and less than that? Without the mutex: false may mean nothing. */
static bool is_refused(struct mfs__quota *quota, uint64_t amount)
{
	/* pairs with end_moving */
	uint32_t seq = atomic_load_explicit(&quota->seq, memory_order_acquire);

	/* pairs with mfs__quota_close */
	if ((seq & 1) || atomic_load_explicit(&quota->open, memory_order_acquire) ||
		get_withheld(quota))
		return false;
	/* pairs with MOVE, and with take_room for batches, which move only while it is open */
	uint64_t room = atomic_load_explicit(&quota->room, memory_order_acquire);
	return room < amount && seq == atomic_load_explicit(&quota->seq, memory_order_relaxed);
}

/* What is in `room` and in the stripe's credit is not enough. */
static int reserve_slowly(struct mfs__quota *quota, uint64_t amount)
{
	if (amount > quota->limit || is_refused(quota, amount))
		return MFS_EQUOTA;
	pthread_mutex_lock(&quota->mutex);
	mfs__quota_close(quota);
	int code = mfs__quota_reserve_closed(quota, amount);
	pthread_mutex_unlock(&quota->mutex);
	return code;
}

static bool take_credit(struct mfs__credit *credit, uint64_t amount)
{
	int64_t bytes = atomic_load_explicit(&credit->bytes, memory_order_relaxed);

	while (bytes >= 0 && (uint64_t)bytes >= amount) {
		mfs__yield("quota: credit seen");
		if (atomic_compare_exchange_weak_explicit(&credit->bytes, &bytes, bytes - (int64_t)amount,
												  memory_order_relaxed, memory_order_relaxed))
			return true;
	}
	return false;
}

/*
 * Move a batch from `room` to the stripe's credit, and take `amount` with it; or close, when it
 * becomes scarce. The mutex keeps who would refuse from looking meanwhile. Returns false, with
 * nothing taken, if that is not to be.
 */
static bool refill(struct mfs__quota *quota, uint64_t amount)
{
	bool done = false;

	if (amount > quota->batch || pthread_mutex_trylock(&quota->mutex))
		return false;
	struct mfs__credit *credits = atomic_load_explicit(&quota->open, memory_order_relaxed);
	if (credits) {
		uint64_t room = atomic_load_explicit(&quota->room, memory_order_relaxed);
		if (room / quota->batch < CLOSING_BATCHES && get_withheld(quota) && approve(quota, 0))
			room = atomic_load_explicit(&quota->room, memory_order_relaxed);
		if (room / quota->batch < CLOSING_BATCHES)
			mfs__quota_close(quota);
		else
			done = take_room(quota, amount + quota->batch);
	}
	if (done) {
		mfs__yield("quota: batch on its way");
		atomic_fetch_add_explicit(&credits[mfs__stripe()].bytes, (int64_t)quota->batch,
								  memory_order_relaxed);
	}
	pthread_mutex_unlock(&quota->mutex);
	return done;
}

/* The stripe's credit, if it is open, was not enough. */
static mfs__noinline int reserve_room(struct mfs__quota *quota, uint64_t amount, bool open)
{
	if (open && refill(quota, amount))
		return 0;
	if (mfs__likely(take_room(quota, amount))) {
		if (!open)
			note_turn(quota);
		return 0;
	}
	return reserve_slowly(quota, amount);
}

int mfs__quota_reserve(struct mfs__quota *quota, uint64_t amount)
{
	/* pairs with open_credits */
	struct mfs__credit *credits = atomic_load_explicit(&quota->open, memory_order_acquire);

	if (credits && mfs__likely(take_credit(&credits[mfs__stripe()], amount)))
		return 0;
	return reserve_room(quota, amount, credits != NULL);
}

/* Add to the stripe's credit. Returns false, with nothing done, if it is closed or would have more
 * than two batches. */
static bool give_credit(struct mfs__quota *quota, struct mfs__credit *credit, uint64_t amount)
{
	int64_t bytes = atomic_load_explicit(&credit->bytes, memory_order_relaxed);

	while (bytes >= 0 && amount <= quota->batch && (uint64_t)bytes <= 2 * quota->batch - amount) {
		mfs__yield("quota: credit seen");
		if (atomic_compare_exchange_weak_explicit(&credit->bytes, &bytes, bytes + (int64_t)amount,
												  memory_order_relaxed, memory_order_relaxed))
			return true;
	}
	return false;
}

/* Move a batch from the stripe's credit to `room`, to give `amount` there; the reverse of
 * refill(). */
static bool hand_back(struct mfs__quota *quota, struct mfs__credit *credit, uint64_t amount)
{
	int64_t batch = (int64_t)quota->batch;

	if (amount > quota->batch || pthread_mutex_trylock(&quota->mutex))
		return false;
	int64_t bytes = atomic_load_explicit(&credit->bytes, memory_order_relaxed);
	bool done = false;
	while (!done && bytes >= batch)
		done = atomic_compare_exchange_weak_explicit(&credit->bytes, &bytes, bytes - batch,
													 memory_order_relaxed, memory_order_relaxed);
	if (done) {
		mfs__yield("quota: batch on its way");
		atomic_fetch_add_explicit(&quota->room, quota->batch + amount, memory_order_relaxed);
	}
	pthread_mutex_unlock(&quota->mutex);
	return done;
}

/* The stripe's credit, if it is open, has enough. */
static mfs__noinline void release_room(struct mfs__quota *quota, uint64_t amount,
									   struct mfs__credit *credit)
{
	if (credit && hand_back(quota, credit, amount))
		return;
	/* pairs with mfs__space_begin, which counts itself in and then looks at `room` */
	atomic_fetch_add_explicit(&quota->room, amount, memory_order_seq_cst);
	if (!credit)
		note_turn(quota);
	/* pairs with mfs__space_begin */
	if (mfs__unlikely(atomic_load_explicit(&quota->waiters, memory_order_seq_cst)))
		mfs__space_serve(quota);
}

void mfs__quota_release(struct mfs__quota *quota, uint64_t amount)
{
	/* pairs with open_credits */
	struct mfs__credit *credits = atomic_load_explicit(&quota->open, memory_order_acquire);
	struct mfs__credit *credit = credits ? &credits[mfs__stripe()] : NULL;

	if (!credit || mfs__unlikely(!give_credit(quota, credit, amount)))
		release_room(quota, amount, credit);
}

static uint64_t sum_of_credits(struct mfs__credit *credits)
{
	uint64_t sum = 0;

	for (unsigned i = 0; credits && i < MFS__STRIPES; i++) {
		/* pairs with MOVE */
		int64_t bytes = atomic_load_explicit(&credits[i].bytes, memory_order_acquire);
		if (bytes > 0)
			sum += (uint64_t)bytes;
	}
	return sum;
}

/* Add up what is free; each word at its own instant. */
static uint64_t free_now(struct mfs__quota *quota)
{
	/* pairs with open_credits */
	struct mfs__credit *credits = atomic_load_explicit(&quota->open, memory_order_acquire);
	uint64_t sum = sum_of_credits(credits);

	sum += get_withheld(quota);
	/* pairs with MOVE */
	return sum + atomic_load_explicit(&quota->room, memory_order_acquire);
}

uint64_t mfs__quota_used(struct mfs__quota *quota)
{
	uint64_t free_bytes = 0;
	bool known = false;

	for (unsigned i = 0; i < READS && !known; i++) {
		/* pairs with end_moving */
		uint32_t seq = atomic_load_explicit(&quota->seq, memory_order_acquire);
		free_bytes = free_now(quota);
		known = !(seq & 1) && seq == atomic_load_explicit(&quota->seq, memory_order_relaxed);
	}
	return free_bytes < quota->limit ? quota->limit - free_bytes : 0;
}

uint64_t mfs__quota_peak(struct mfs__quota *quota)
{
	raise_peak(quota, mfs__quota_used(quota));
	return atomic_load_explicit(&quota->peak, memory_order_relaxed);
}
