/* SPDX-License-Identifier: MIT */
/*
 * A limit that holds exactly, and scales: bytes of data, or nodes.
 *
 * What is free of the limit lies in several places: in `room`, where anyone may take it; in the
 * credits of the stripes, where their threads may; and, with a memory guard, in `withheld`, until
 * the guard lets it go to `room`. So, always:
 *
 *     limit = reserved + room + withheld + sum of credits + what is on its way between these
 *
 *   Q1  Never more is reserved than the limit: what is reserved was taken out of one of the words,
 *       by a compare-and-swap that leaves no less than nothing, and each byte is in one place.
 *   Q2  A request that fits is not refused. It is refused at an instant at which all that is
 *       free is in `room` and `withheld`, and nothing on its way: with the credits closed, and
 *       either under the mutex, under which alone free bytes go from place to place, or with `seq`
 *       even and the same before and after.
 *
 * Open, threads reserve and release on the credit of their stripe, and share no line of the cache
 * that is written: that goes to `room` once for many calls. Closed, all work on `room`. A quota is
 * closed at first, opens when it notices that threads take turns, and closes when little is left,
 * when somebody is about to be refused, and while somebody waits for space (limit/space.h).
 *
 * What is reserved counts as used. Reserve before allocating, release after freeing. docs/quota.md
 * has the proof; tests/models has a model of it for a model checker.
 */
#ifndef MFS_LIMIT_QUOTA_H
#define MFS_LIMIT_QUOTA_H

#include "base/compiler.h"
#include "base/stripe.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/** The free bytes of a stripe while the quota is open; less than 0 while it is closed. */
struct mfs__credit {
	/* Atomic, any thread; opened and closed under the quota's mutex. */
	_Alignas(2 * MFS__CACHE_LINE) _Atomic int64_t bytes;
};

struct mfs__guard_member;
struct mfs__space_waiter;

struct mfs__quota {
	/* Constant after creation. */
	uint64_t limit;
	uint64_t batch;                  /* what goes to a stripe's credit at a time; 0: never opens */
	struct mfs__guard_member *guard; /* asked before more goes from `withheld` to `room`, or NULL */
	/* Atomic, changed under mutex: the credits while they are open, NULL while they are closed. */
	_Atomic(struct mfs__credit *) open;
	/* Atomic, changed under mutex: odd while free bytes are on their way, but for single batches.
	 */
	_Atomic uint32_t seq;
	/* Atomic, changed under mutex. */
	_Atomic uint64_t withheld;
	/* Atomic, any thread. */
	_Alignas(2 * MFS__CACHE_LINE) _Atomic uint64_t room;
	_Atomic uint64_t peak;
	/* Atomic, changed under mutex: waiters in the queue. */
	_Atomic uint32_t waiters;
	/* Atomic, any thread: who worked on `room` last, and how often that changed. May miss some. */
	_Atomic uint32_t last_stripe;
	_Atomic uint32_t turns;

	_Alignas(2 * MFS__CACHE_LINE) pthread_mutex_t mutex;
	struct mfs__credit *credits;     /* under mutex: one for each stripe, once they were needed */
	struct mfs__space_waiter *first; /* under mutex: the queue of limit/space.h */
	struct mfs__space_waiter **end;
};

/**
 * Make a quota. `batch`: the most that a stripe's credit gets at a time, lowered for a small limit;
 * 0: no credits. `guard`: see limit/guard.h, or NULL.
 */
void mfs__quota_init(struct mfs__quota *quota, uint64_t limit, uint64_t batch,
					 struct mfs__guard_member *guard);

void mfs__quota_destroy(struct mfs__quota *quota);

/**
 * Add `amount` if it fits. About 6 ns. Lock-free but where little is left or the guard has to be
 * asked.
 *
 * Returns 0, or with nothing changed MFS_EQUOTA, or MFS_EMEMGUARD where it fits but the guard
 * refuses. Not noted.
 */
int mfs__quota_reserve(struct mfs__quota *quota, uint64_t amount);

/** Take back `amount` that was reserved. Wakes who waits for it. About 6 ns. */
void mfs__quota_release(struct mfs__quota *quota, uint64_t amount);

/** What is reserved: exact while nobody changes it, else to within what is changed meanwhile. */
uint64_t mfs__quota_used(struct mfs__quota *quota);

/** The most that was ever reserved, credits that were open then counted in. */
uint64_t mfs__quota_peak(struct mfs__quota *quota);

/** For the guard: withhold all that is free. Returns how much that was, of what was not withheld.
 */
uint64_t mfs__quota_revoke(struct mfs__quota *quota);

/** For limit/space.c, under the mutex: let all that is free be in `room` and `withheld`. */
void mfs__quota_close(struct mfs__quota *quota);

/** For limit/space.c, under the mutex and closed: mfs__quota_reserve(). */
int mfs__quota_reserve_closed(struct mfs__quota *quota, uint64_t amount);

/** For limit/space.c, under the mutex and closed: what is free. */
static inline uint64_t mfs__quota_free_closed(const struct mfs__quota *quota)
{
	return atomic_load_explicit(&quota->room, memory_order_relaxed) +
		   atomic_load_explicit(&quota->withheld, memory_order_relaxed);
}

#endif
