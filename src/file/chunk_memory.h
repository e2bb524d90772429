/* SPDX-License-Identifier: MIT */
/*
 * Where the bytes of chunks come from and go to. For the files that implement file/chunk_list.h.
 *
 * A chunk's bytes are a page of the pool, a huge block, a block of the workspace's arena, or part
 * of an adopted buffer. Capacity and share tell which.
 */
#ifndef MFS_FILE_CHUNK_MEMORY_H
#define MFS_FILE_CHUNK_MEMORY_H

#include "base/arena.h"
#include "base/huge_block.h"
#include "base/page_pool.h"
#include "file/adopted.h"
#include "file/chunk_list.h"
#include "file/chunk_share.h"

/**
 * The part of what its last chunk holds that a file keeps as room when it is appended to by one
 * open after another, and that is not worth a copy of a shared one.
 */
#define MFS__ROOM_KEPT 8

/** Does memory of this size come from the page pool or the huge blocks, not from an arena? */
static inline bool mfs__bytes_are_pooled(uint32_t capacity)
{
	return capacity == MFS__PAGE_SIZE || capacity == MFS__HUGE_SIZE;
}

static inline unsigned char *mfs__bytes_alloc(struct mfs__arena *arena, uint32_t capacity)
{
	if (capacity == MFS__PAGE_SIZE)
		return mfs__page_alloc();
	return capacity == MFS__HUGE_SIZE ? mfs__huge_alloc() : mfs__arena_alloc(arena, capacity);
}

static inline void mfs__bytes_free(struct mfs__arena *arena, unsigned char *bytes,
								   uint32_t capacity)
{
	if (capacity == MFS__PAGE_SIZE)
		mfs__page_free(bytes);
	else if (capacity == MFS__HUGE_SIZE)
		mfs__huge_free(bytes);
	else
		mfs__arena_free(arena, bytes, capacity);
}

static inline uint32_t mfs__chunk_share(const struct mfs__chunk *chunk)
{
	return atomic_load_explicit(&chunk->share, memory_order_relaxed);
}

/** Let go of a chunk's bytes. A share that thereby ends is added to `ended`. */
static inline void mfs__chunk_drop(struct mfs__arena *arena, struct mfs__chunk *chunk,
								   struct mfs__shares *ended)
{
	uint32_t share = mfs__chunk_share(chunk);

	if (share) {
		if (!mfs__share_drop(share))
			return;
		if (share & MFS__SHARE_ADOPTED) {
			mfs__adopted_share_ended(share);
			mfs__shares_add(ended, share);
			return;
		}
		mfs__shares_add(ended, share);
	}
	mfs__bytes_free(arena, chunk->bytes, chunk->capacity);
}

/** Put a chunk in the place of another one, whose bytes are dropped. */
static inline void mfs__chunk_replace(struct mfs__arena *arena, struct mfs__chunk *chunk,
									  const struct mfs__chunk *by, struct mfs__shares *ended)
{
	mfs__chunk_drop(arena, chunk, ended);
	chunk->bytes = by->bytes;
	chunk->capacity = by->capacity;
	atomic_store_explicit(&chunk->share, mfs__chunk_share(by), memory_order_relaxed);
}

/** Charge of a list of `count` > 0 chunks, the last of which has this capacity. */
static inline uint64_t mfs__charge_of(uint32_t count, uint32_t last_capacity, uint64_t overhead)
{
	return mfs__chunk_start(count - 1) + last_capacity + overhead * count;
}

static inline void mfs__count_chunks(const struct mfs__chunk_account *account, int64_t change)
{
	if (change)
		atomic_fetch_add_explicit(account->counter, change, memory_order_relaxed);
}

#endif
