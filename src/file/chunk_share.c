/* SPDX-License-Identifier: MIT */
/* Locks: one mutex, after which comes only the allocator. */
#include "file/chunk_share.h"

#include "base/alloc.h"
#include "base/compiler.h"
#include "base/test_hook.h"

#include <pthread.h>

/* Shares of the first segment. */
#define FIRST_SHIFT 10
#define FIRST       (UINT32_C(1) << FIRST_SHIFT)
/* As many as numbers of 31 bits need. */
#define SEGMENTS (31 - FIRST_SHIFT)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/*
 * The counts; of a share in a chain or free, the next one's number. Atomic, by S1 to S4. A segment
 * is set under mutex before the first of its shares is handed out, and constant from then on: who
 * knows a share finds the segment there.
 */
static _Atomic uint32_t *segments[SEGMENTS];
/* Under mutex. */
static uint32_t made = 1; /* shares that were ever made, and the one that is no share */
static uint32_t first_free;
static uint32_t free_count;

static unsigned segment_of(uint32_t share)
{
	return 31 - FIRST_SHIFT - (unsigned)__builtin_clz(share + FIRST);
}

static _Atomic uint32_t *word_of(uint32_t share)
{
	share &= ~MFS__SHARE_ADOPTED;
	unsigned segment = segment_of(share);

	return &segments[segment][share + FIRST - (FIRST << segment)];
}

static uint32_t next_of(uint32_t share)
{
	return atomic_load_explicit(word_of(share), memory_order_relaxed);
}

static void set_next(uint32_t share, uint32_t next)
{
	atomic_store_explicit(word_of(share), next, memory_order_relaxed);
}

void mfs__shares_add(struct mfs__shares *shares, uint32_t share)
{
	share &= ~MFS__SHARE_ADOPTED;
	set_next(share, shares->first);
	shares->first = share;
	if (shares->count++ == 0)
		shares->last = share;
}

/* The chain is not empty. */
static uint32_t take_first(struct mfs__shares *shares)
{
	uint32_t share = shares->first;

	shares->first = next_of(share);
	shares->count--;
	return share;
}

/* Under mutex. Returns 0 when there is no memory. */
static uint32_t make_share(void)
{
	if (made > MFS__SHARE_ADOPTED - FIRST)
		return 0;
	unsigned segment = segment_of(made);
	if (!segments[segment]) {
		size_t size = ((size_t)FIRST << segment) * sizeof *segments[segment];
		segments[segment] = mfs__alloc_immortal(MFS__CACHE_LINE, size);
		if (!segments[segment])
			return 0;
	}
	return made++;
}

bool mfs__shares_take(struct mfs__shares *shares, uint32_t count)
{
	struct mfs__shares taken = *shares;
	bool enough = true;

	if (count == 0)
		return true;
	pthread_mutex_lock(&mutex);
	mfs__yield("share: taking");
	for (; count > 0; count--) {
		uint32_t share = first_free;
		if (share) {
			first_free = next_of(share);
			free_count--;
		} else {
			share = make_share();
			if (!share) {
				enough = false;
				break;
			}
		}
		mfs__shares_add(&taken, share);
	}
	pthread_mutex_unlock(&mutex);
	*shares = taken;
	if (!enough)
		mfs__shares_give(shares);
	return enough;
}

void mfs__shares_give(struct mfs__shares *shares)
{
	if (shares->count == 0)
		return;
	pthread_mutex_lock(&mutex);
	mfs__yield("share: giving");
	set_next(shares->last, first_free);
	first_free = shares->first;
	free_count += shares->count;
	pthread_mutex_unlock(&mutex);
	*shares = (struct mfs__shares){0, 0, 0};
}

uint32_t mfs__share_join(_Atomic uint32_t *chunk_share, struct mfs__shares *fresh)
{
	/* pairs with the compare-and-swap below: the count is there */
	uint32_t share = atomic_load_explicit(chunk_share, memory_order_acquire);

	if (!share) {
		uint32_t mine = take_first(fresh);
		atomic_store_explicit(word_of(mine), 2, memory_order_relaxed);
		mfs__yield("share: about to mark");
		/* pairs with itself and the load above, in threads that copy the same file */
		if (atomic_compare_exchange_strong_explicit(chunk_share, &share, mine, memory_order_release,
													memory_order_acquire))
			return mine;
		mfs__shares_add(fresh, mine);
	}
	mfs__share_add(share);
	return share;
}

uint32_t mfs__share_begin(struct mfs__shares *fresh)
{
	uint32_t share = take_first(fresh);

	atomic_store_explicit(word_of(share), 1, memory_order_relaxed);
	return share;
}

void mfs__share_add(uint32_t share)
{
	/* Nothing to order: the count cannot end, and the file's lock has ordered the bytes. */
	atomic_fetch_add_explicit(word_of(share), 1, memory_order_relaxed);
}

bool mfs__share_is_mine(uint32_t share)
{
	if (share & MFS__SHARE_ADOPTED)
		return false;
	/* pairs with mfs__share_drop: the caller's writes come after the reads of former holders */
	bool mine = atomic_load_explicit(word_of(share), memory_order_acquire) == 1;

	mfs__yield(mine ? "share: is mine" : "share: is not mine");
	return mine;
}

bool mfs__share_drop(uint32_t share)
{
	mfs__yield("share: about to drop");
	/* pairs with itself, by S4, and with mfs__share_is_mine */
	return atomic_fetch_sub_explicit(word_of(share), 1, memory_order_acq_rel) == 1;
}

uint32_t mfs__share_holders(uint32_t share)
{
	return atomic_load_explicit(word_of(share), memory_order_relaxed);
}

uint32_t mfs__shares_used(void)
{
	pthread_mutex_lock(&mutex);
	uint32_t used = made - 1 - free_count;
	pthread_mutex_unlock(&mutex);
	return used;
}
