/* SPDX-License-Identifier: MIT */
/*
 * The lock of a database, as SQLite's file locking has it: any number of connections hold SHARED,
 * and one of these may go on to RESERVED, PENDING and EXCLUSIVE. A connection is at one of the
 * levels SQLITE_LOCK_NONE to SQLITE_LOCK_EXCLUSIVE, which it keeps itself.
 *
 *   K1  Who is above SHARED is counted as SHARED, too.
 *   K2  The level of the word is NONE, or that of the one connection above SHARED.
 *   K3  PENDING and EXCLUSIVE let no other connection come to SHARED: so a writer that waits for
 *       readers gets its turn. EXCLUSIVE is given when nobody else is counted.
 */
#ifndef MFS_SQLITE_LOCK_H
#define MFS_SQLITE_LOCK_H

#include "sqlite_api.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* How many hold SHARED, and above it the level that K2 tells of. */
#define MFS__SQLITE_LEVEL_SHIFT 28
#define MFS__SQLITE_SHARED_MASK ((UINT32_C(1) << MFS__SQLITE_LEVEL_SHIFT) - 1)

struct mfs__sqlite_lock {
	/* Atomic: changed by connections as K1 to K3 say. */
	_Atomic uint32_t word;
};

static inline uint32_t mfs__sqlite_level_bits(int level)
{
	return level > SQLITE_LOCK_SHARED ? (uint32_t)level << MFS__SQLITE_LEVEL_SHIFT : 0;
}

/** Does some connection hold RESERVED or more? */
static inline bool mfs__sqlite_lock_is_reserved(struct mfs__sqlite_lock *lock)
{
	return atomic_load_explicit(&lock->word, memory_order_relaxed) > MFS__SQLITE_SHARED_MASK;
}

/** Go from `from` down to SHARED or NONE. */
static inline void mfs__sqlite_lock_lower(struct mfs__sqlite_lock *lock, int from, int to)
{
	uint32_t less = mfs__sqlite_level_bits(from);

	if (to == SQLITE_LOCK_NONE && from > SQLITE_LOCK_NONE)
		less++;
	/* pairs with mfs__sqlite_lock_raise */
	if (less)
		(void)atomic_fetch_sub_explicit(&lock->word, less, memory_order_release);
}

/**
 * Go from `from` up to SHARED, RESERVED or EXCLUSIVE, without waiting.
 *
 * Returns the level that the connection has now: `to`, or else it has to try again. Then it is what
 * it was, or PENDING on the way to EXCLUSIVE.
 */
static inline int mfs__sqlite_lock_raise(struct mfs__sqlite_lock *lock, int from, int to)
{
	uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
	uint32_t next;
	int reached;

	do {
		int highest = (int)(word >> MFS__SQLITE_LEVEL_SHIFT);
		bool is_mine = from > SQLITE_LOCK_SHARED;
		reached = to;
		if (to == SQLITE_LOCK_SHARED) {
			if (highest >= SQLITE_LOCK_PENDING)
				return from;
			next = word + 1;
		} else {
			if (highest != SQLITE_LOCK_NONE && !is_mine)
				return from;
			if (to == SQLITE_LOCK_EXCLUSIVE && (word & MFS__SQLITE_SHARED_MASK) > 1)
				reached = SQLITE_LOCK_PENDING;
			if (reached == from)
				return from;
			next = (word & MFS__SQLITE_SHARED_MASK) | mfs__sqlite_level_bits(reached);
		}
		/* pairs with mfs__sqlite_lock_lower */
	} while (!atomic_compare_exchange_weak_explicit(&lock->word, &word, next, memory_order_acquire,
													memory_order_relaxed));
	return reached;
}

#endif
