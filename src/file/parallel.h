/* SPDX-License-Identifier: MIT */
/*
 * What lets several MFS_O_SHARED handles read and overwrite one file at the same time.
 *
 * A file gets this when such handles get into each other's way, and then has two ways in: its lock
 * (tree/file_lock.h), and the parallel calls, which take no common lock and write no common cache
 * line. They find the list of chunks as it is, and change neither list nor size.
 *
 *   W1  Parallel calls count themselves in and out, each in its stripe. Whoever holds the file's
 *       lock has closed the way before, and waited until nobody was inside.
 *   W2  A chunk's bytes are read and written by parallel calls under the lock of that chunk. So
 *       what one call writes within a chunk is seen whole or not at all.
 *   W3  What parallel calls add to the generation, and when they last wrote, is kept by stripe. The
 *       file's own figures and these together are what stat tells.
 *   W4  A call that looks for the way in does so inside a read-side section, and one that is inside
 *       has a handle: what is retired here is freed after both.
 */
#ifndef MFS_FILE_PARALLEL_H
#define MFS_FILE_PARALLEL_H

#include "base/compiler.h"
#include "base/fair_rwlock.h"
#include "base/reclaim.h"
#include "file/chunk_list.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MFS__PARALLEL_STRIPES 16
/** Locks of chunks. Chunks whose numbers differ by a multiple of this share one. */
#define MFS__PARALLEL_CHUNKS 32

/*
 * The word of a stripe: below MFS__PARALLEL_CHANGE, how many calls of its threads are inside, of
 * which a million in all stripes would be too many; above, how many calls have changed the data.
 * One addition counts a call out and its change in. 2^48 changes take a year.
 */
#define MFS__PARALLEL_CHANGE (UINT64_C(1) << 16)
#define MFS__PARALLEL_INSIDE (MFS__PARALLEL_CHANGE - 1)

#define MFS__PARALLEL_NEVER INT64_MIN

struct mfs__parallel_stripe {
	/* Atomic: the stripe's threads add, others read. */
	_Alignas(2 * MFS__CACHE_LINE) _Atomic uint64_t word;
	/* Atomic: when one of them last changed the data; MFS__PARALLEL_NEVER: not since then. */
	_Atomic int64_t modified_at;
};

struct mfs__parallel_chunk {
	_Alignas(2 * MFS__CACHE_LINE) struct mfs__rwlock lock;
};

struct mfs__parallel {
	struct mfs__parallel_stripe stripes[MFS__PARALLEL_STRIPES];
	struct mfs__parallel_chunk chunks[MFS__PARALLEL_CHUNKS];
	/* Atomic: holders of the file's lock that keep parallel calls out. */
	_Alignas(2 * MFS__CACHE_LINE) _Atomic uint32_t closed;
	/* Atomic: changes when a call goes out while it is closed. Who waits for that sleeps on it. */
	_Atomic uint32_t departures;
	/* Constant: the block of memory that this is in. */
	struct mfs__retired *block;
};

/** Make one that is closed, once. Returns NULL when there is no memory. */
struct mfs__parallel *mfs__parallel_new(void);

/** Free it after a grace period. It is closed, and the file does not have it any more. */
void mfs__parallel_retire(struct mfs__parallel *parallel);

/** Enter. Inside a read-side section. Returns false if it is closed. */
bool mfs__parallel_enter(struct mfs__parallel *parallel, unsigned *stripe);
/** Leave, after a read or after a change of the data. */
void mfs__parallel_leave(struct mfs__parallel *parallel, unsigned stripe, bool changed);

/** Keep parallel calls out, and wait for those that are inside: for copies of chunks, at most. */
void mfs__parallel_close(struct mfs__parallel *parallel);
/** The same if nobody is inside. */
bool mfs__parallel_try_close(struct mfs__parallel *parallel);
/** Take one closing back. */
void mfs__parallel_open(struct mfs__parallel *parallel);

/** mfs__chunks_read() and mfs__chunks_write(), under the chunks' locks. */
void mfs__parallel_read(struct mfs__parallel *parallel, struct mfs__chunk_list *list,
						uint64_t offset, void *target, size_t length);
void mfs__parallel_write(struct mfs__parallel *parallel, struct mfs__chunk_list *list,
						 uint64_t offset, const void *source, size_t length);

/** Add to *generation what parallel calls did, and move *modified_at on to when. */
void mfs__parallel_add(struct mfs__parallel *parallel, uint64_t *generation, int64_t *modified_at);

/** Forget when. The file's lock is held exclusively, and its attributes are being changed. */
void mfs__parallel_forget_times(struct mfs__parallel *parallel);

#endif
