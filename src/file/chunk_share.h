/* SPDX-License-Identifier: MIT */
/*
 * How many chunk lists hold the same bytes: reference counts for chunks that are shared.
 *
 * A chunk whose bytes are its list's own has the share 0. To share the bytes it gets a share, the
 * number of a reference count in a table of the process, and each list that holds the bytes has a
 * chunk with that share. Bytes that are shared never change: a list that wants to write takes a
 * copy, unless it is the last one that holds them.
 *
 *   S1  A count is never less than the number of chunks with its share. Who adds one holds the lock
 *       of a file (shared is enough) that has such a chunk, so the count does not end meanwhile.
 *   S2  A chunk's share changes from 0 with the file's lock held shared, by compare-and-swap:
 *       several threads may copy one file at once. All else needs the lock held exclusively.
 *   S3  Who finds the count at 1 is alone, and stays so for as long as it has its file's lock
 *       exclusively: every other chunk that had the share is gone, and so are all reads of it.
 *   S4  The drop that ends a count comes after all reads by all former holders.
 *
 * Shares with MFS__SHARE_ADOPTED stand for bytes that a caller handed over (file/adopted.h). These
 * are never anybody's own, however few hold them, and when the count ends, their owner is told.
 *
 * The table is made of segments that never move, of 4 KiB, 8 KiB, 16 KiB and so on, as many as the
 * most shares that were ever in use at the same time want: 4 bytes for each. Its memory is never
 * given back, but used again.
 *
 * One mutex guards which shares are free. It is taken once for all that a list takes or gives at a
 * time, and nothing but the allocator is called with it. Shares are taken and given inside the gate
 * or under the lock of a handle (base/fork.h), both of which a fork waits for: the child finds the
 * mutex free.
 */
#ifndef MFS_FILE_CHUNK_SHARE_H
#define MFS_FILE_CHUNK_SHARE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/** Set in a chunk's share, not in the numbers of a chain: the bytes belong to an adopted buffer. */
#define MFS__SHARE_ADOPTED (UINT32_C(1) << 31)

/** Shares that the caller has and no chunk has, as a chain through the table. All zeros: none. */
struct mfs__shares {
	uint32_t first;
	uint32_t last;
	uint32_t count;
};

/**
 * Take `count` shares, adding them to the chain. Returns false, with no share in the chain, if
 * there is no memory for them.
 */
bool mfs__shares_take(struct mfs__shares *shares, uint32_t count);

/** Give back all shares of the chain. */
void mfs__shares_give(struct mfs__shares *shares);

/** Add a share that no chunk has any more to the chain. */
void mfs__shares_add(struct mfs__shares *shares, uint32_t share);

/**
 * Count in one more holder of a chunk's bytes. A chunk that has no share yet gets the first one of
 * the chain, unless another thread is faster. The lock of the chunk's file is held, at least
 * shared. Returns the share.
 *
 * The counts cannot overflow: each holder is a file, and 2^32 files take more than a terabyte.
 */
uint32_t mfs__share_join(_Atomic uint32_t *chunk_share, struct mfs__shares *fresh);

/** Is the caller, who holds its file's lock exclusively, the only holder left? */
bool mfs__share_is_mine(uint32_t share);

/** Count out a holder. Returns true if it was the last: bytes and share are the caller's to free.
 */
bool mfs__share_drop(uint32_t share);

/**
 * Take the first share of the chain, which is not empty, for bytes that have one holder.
 */
uint32_t mfs__share_begin(struct mfs__shares *fresh);

/** Count in one more holder of bytes that have a share, under the rule S1. */
void mfs__share_add(uint32_t share);

/** How many hold the bytes. For checks, while no other thread works. */
uint32_t mfs__share_holders(uint32_t share);

/** Shares that are not free. For tests. */
uint32_t mfs__shares_used(void);

#endif
