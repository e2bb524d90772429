/* SPDX-License-Identifier: MIT */
#include "file/parallel.h"

#include "base/clock.h"
#include "base/futex.h"
#include "base/stripe.h"
#include "base/test_hook.h"

#include <string.h>

/* Looks at a stripe before going to sleep: a call inside copies bytes, and is over soon. */
#define SPINS 200
/* Times that stat reads all stripes to find them all as of one instant. */
#define TRIES 3

#define ALIGNMENT ((size_t)2 * MFS__CACHE_LINE)
/* The block begins with what retiring needs. */
#define BLOCK_SIZE (sizeof(struct mfs__retired) + ALIGNMENT + sizeof(struct mfs__parallel))

struct mfs__parallel *mfs__parallel_new(void)
{
	struct mfs__retired *block = mfs__retirable_new(NULL, BLOCK_SIZE);

	if (!block)
		return NULL;
	char *at = (char *)(block + 1);
	at += -(uintptr_t)at & (ALIGNMENT - 1);
	struct mfs__parallel *parallel = (struct mfs__parallel *)(void *)at;
	memset(parallel, 0, sizeof *parallel);
	parallel->block = block;
	for (unsigned i = 0; i < MFS__PARALLEL_STRIPES; i++)
		atomic_init(&parallel->stripes[i].modified_at, MFS__PARALLEL_NEVER);
	atomic_init(&parallel->closed, 1);
	return parallel;
}

void mfs__parallel_retire(struct mfs__parallel *parallel)
{
	mfs__retire(parallel->block);
}

bool mfs__parallel_enter(struct mfs__parallel *parallel, unsigned *stripe)
{
	*stripe = mfs__stripe() % MFS__PARALLEL_STRIPES;
	/* pairs with mfs__parallel_close: either the closer finds this call inside, or it finds the
	 * way closed */
	atomic_fetch_add_explicit(&parallel->stripes[*stripe].word, 1, memory_order_seq_cst);
	mfs__yield("parallel: counted in");
	/* pairs with mfs__parallel_close, and with mfs__parallel_open: what the closer did is seen */
	if (mfs__likely(!atomic_load_explicit(&parallel->closed, memory_order_seq_cst)))
		return true;
	mfs__parallel_leave(parallel, *stripe, false);
	return false;
}

void mfs__parallel_leave(struct mfs__parallel *parallel, unsigned stripe, bool changed)
{
	struct mfs__parallel_stripe *mine = &parallel->stripes[stripe];

	if (changed)
		atomic_store_explicit(&mine->modified_at, mfs__timestamp(), memory_order_relaxed);
	/* pairs with the load in is_empty: what this call did is seen */
	atomic_fetch_add_explicit(&mine->word, changed ? MFS__PARALLEL_CHANGE - 1 : UINT64_MAX,
							  memory_order_seq_cst);
	/* pairs with mfs__parallel_close: a closer that may sleep has closed before */
	if (mfs__unlikely(atomic_load_explicit(&parallel->closed, memory_order_seq_cst))) {
		/* pairs with mfs__parallel_close: who sees the new number sees the call gone */
		atomic_fetch_add_explicit(&parallel->departures, 1, memory_order_release);
		mfs__futex_wake(&parallel->departures, INT32_MAX);
	}
}

static bool is_empty(struct mfs__parallel_stripe *stripe)
{
	/* pairs with mfs__parallel_enter and mfs__parallel_leave */
	uint64_t word = atomic_load_explicit(&stripe->word, memory_order_seq_cst);

	return (word & MFS__PARALLEL_INSIDE) == 0;
}

void mfs__parallel_close(struct mfs__parallel *parallel)
{
	unsigned spins = 0;

	/* pairs with mfs__parallel_enter and mfs__parallel_leave */
	atomic_fetch_add_explicit(&parallel->closed, 1, memory_order_seq_cst);
	mfs__yield("parallel: closed");
	for (unsigned i = 0; i < MFS__PARALLEL_STRIPES; spins++) {
		/* pairs with mfs__parallel_leave */
		uint32_t seen = atomic_load_explicit(&parallel->departures, memory_order_acquire);
		if (is_empty(&parallel->stripes[i]))
			i++;
		else if (spins < SPINS)
			mfs__cpu_relax();
		else
			(void)mfs__futex_wait(&parallel->departures, seen, MFS__NEVER);
	}
}

bool mfs__parallel_try_close(struct mfs__parallel *parallel)
{
	/* pairs with mfs__parallel_enter */
	atomic_fetch_add_explicit(&parallel->closed, 1, memory_order_seq_cst);
	for (unsigned i = 0; i < MFS__PARALLEL_STRIPES; i++) {
		if (!is_empty(&parallel->stripes[i])) {
			mfs__parallel_open(parallel);
			return false;
		}
	}
	return true;
}

void mfs__parallel_open(struct mfs__parallel *parallel)
{
	/* pairs with mfs__parallel_enter */
	atomic_fetch_sub_explicit(&parallel->closed, 1, memory_order_release);
}

static struct mfs__rwlock *lock_at(struct mfs__parallel *parallel, uint64_t offset)
{
	return &parallel->chunks[mfs__chunk_index(offset) % MFS__PARALLEL_CHUNKS].lock;
}

void mfs__parallel_read(struct mfs__parallel *parallel, struct mfs__chunk_list *list,
						uint64_t offset, void *target, size_t length)
{
	unsigned char *to = target;
	size_t part;

	for (; length; offset += part, to += part, length -= part) {
		const unsigned char *from = mfs__chunks_part(list, offset, length, &part);
		struct mfs__rwlock *lock = lock_at(parallel, offset);
		if (!mfs__rwlock_try_read(lock))
			mfs__rwlock_lock_read(lock);
		memcpy(to, from, part);
		mfs__rwlock_unlock_read(lock);
	}
}

void mfs__parallel_write(struct mfs__parallel *parallel, struct mfs__chunk_list *list,
						 uint64_t offset, const void *source, size_t length)
{
	const unsigned char *from = source;
	size_t part;

	for (; length; offset += part, from += part, length -= part) {
		unsigned char *to = mfs__chunks_part(list, offset, length, &part);
		struct mfs__rwlock *lock = lock_at(parallel, offset);
		if (!mfs__rwlock_try_write(lock))
			mfs__rwlock_lock_write(lock);
		mfs__yield("parallel: about to write");
		memcpy(to, from, part);
		mfs__rwlock_unlock_write(lock);
	}
}

void mfs__parallel_add(struct mfs__parallel *parallel, uint64_t *generation, int64_t *modified_at)
{
	uint64_t before = UINT64_MAX;
	uint64_t sum = 0;

	/* Twice the same sum, of what only grows: there was an instant when it was that. While calls
	 * come faster than that, it is a sum of figures that were right one after the other. */
	for (unsigned tries = 0; tries < TRIES && sum != before; tries++) {
		before = sum;
		sum = 0;
		for (unsigned i = 0; i < MFS__PARALLEL_STRIPES; i++) {
			uint64_t word = atomic_load_explicit(&parallel->stripes[i].word, memory_order_relaxed);
			sum += word / MFS__PARALLEL_CHANGE;
			/* pairs with mfs__parallel_forget_times: who sees that it is forgotten sees that the
			 * file's attributes are changing */
			int64_t at =
				atomic_load_explicit(&parallel->stripes[i].modified_at, memory_order_acquire);
			if (at > *modified_at)
				*modified_at = at;
		}
	}
	*generation += sum;
}

void mfs__parallel_forget_times(struct mfs__parallel *parallel)
{
	/* pairs with mfs__parallel_add */
	for (unsigned i = 0; i < MFS__PARALLEL_STRIPES; i++)
		atomic_store_explicit(&parallel->stripes[i].modified_at, MFS__PARALLEL_NEVER,
							  memory_order_release);
}
