/* SPDX-License-Identifier: MIT */
/*
 * What connections to one database in WAL mode share: the index of the WAL, in regions of memory
 * that SQLite lays out as it likes, and SQLITE_SHM_NLOCK locks, each of which is free, held by some
 * connections (shared), or by one (exclusive).
 *
 *   S1  Regions stay where they are until no connection has the index mapped. Then they are freed,
 *       and the next connection begins with none.
 *   S2  A lock is taken and given back in one step, by changing its word. Who wants several locks
 *       claims one after the other, with the mutex. Who finds a lock that is claimed waits for the
 *       mutex, and looks again. So several are had at one instant, or not at all, and nobody is
 *       refused in between for a lock that was only claimed.
 */
#ifndef MFS_SQLITE_WAL_INDEX_H
#define MFS_SQLITE_WAL_INDEX_H

#include "sqlite_api.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs__sqlite_wal_index {
	/* Held while the fields below change, and while locks are claimed. */
	pthread_mutex_t mutex;
	/* Under the mutex: files that have the index mapped. */
	unsigned users;
	/* Under the mutex: the regions, zeroed when they were made. */
	int count;
	int capacity;
	int region_size;
	void **regions;
	/* Atomic: changed by each barrier. */
	_Atomic uint32_t barrier;
	/* Atomic: how many hold it shared, or one of the values of wal_index.c. See S2. */
	_Atomic uint32_t locks[SQLITE_SHM_NLOCK];
};

/** What one file has of an index. Used by one thread at a time. */
struct mfs__sqlite_wal_share {
	bool is_mapped;
	/* Bits: the locks that it holds. */
	uint8_t shared;
	uint8_t exclusive;
};

void mfs__sqlite_wal_index_init(struct mfs__sqlite_wal_index *index);
/** Nobody has it mapped. */
void mfs__sqlite_wal_index_destroy(struct mfs__sqlite_wal_index *index);

/** These are the calls of sqlite3_io_methods, and give codes of SQLite. */
int mfs__sqlite_wal_index_map(struct mfs__sqlite_wal_index *index,
							  struct mfs__sqlite_wal_share *share, int region, int size,
							  bool extend, void volatile **out);
int mfs__sqlite_wal_index_lock(struct mfs__sqlite_wal_index *index,
							   struct mfs__sqlite_wal_share *share, int first, int count,
							   int flags);
void mfs__sqlite_wal_index_unmap(struct mfs__sqlite_wal_index *index,
								 struct mfs__sqlite_wal_share *share);

/** What this thread did to the regions before is seen by those who do this later. */
static inline void mfs__sqlite_wal_index_barrier(struct mfs__sqlite_wal_index *index)
{
	/* pairs with itself in other threads: all of these are in one order, and each sees what was
	 * before the ones that precede it. What follows it is not seen by what precedes a later one. */
	(void)atomic_fetch_add_explicit(&index->barrier, 1, memory_order_acq_rel);
}

#endif
