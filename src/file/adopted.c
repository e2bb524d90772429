/* SPDX-License-Identifier: MIT */
/* Locks: one mutex, after which comes only the allocator. */
#include "file/adopted.h"

#include "base/alloc.h"
#include "base/compiler.h"
#include "base/test_hook.h"
#include "file/chunk_share.h"

#include <pthread.h>
#include <stdatomic.h>

struct mfs__adopted {
	/* Constant after creation. */
	void *buffer;
	size_t length;
	mfs__adopted_function *release;
	void *user;
	/* Atomic: shares that have not ended, and the call that hands the buffer over. */
	_Atomic uint32_t uses;
	/* The thread's that has it in its list. */
	struct mfs__adopted *next;
};

/* Owners of shares, in segments of 1,024, 2,048, 4,096, ... as chunk_share.c has its counts. */
#define FIRST_SHIFT 10
#define FIRST       (UINT32_C(1) << FIRST_SHIFT)
#define SEGMENTS    (31 - FIRST_SHIFT)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/*
 * Set under mutex, constant from then on. An owner is set before the first chunk has its share, and
 * read by who drops the last one: the share's count orders the two.
 */
static struct mfs__adopted **segments[SEGMENTS];

_Thread_local struct mfs__adopted *mfs__adopted_ended;

static unsigned segment_of(uint32_t number)
{
	return 31 - FIRST_SHIFT - (unsigned)__builtin_clz(number + FIRST);
}

static struct mfs__adopted **owner_of(uint32_t share)
{
	uint32_t number = share & ~MFS__SHARE_ADOPTED;
	unsigned segment = segment_of(number);

	return &segments[segment][number + FIRST - (FIRST << segment)];
}

bool mfs__adopted_room(uint32_t share)
{
	unsigned segment = segment_of(share & ~MFS__SHARE_ADOPTED);

	pthread_mutex_lock(&mutex);
	mfs__yield("adopted: making room");
	if (!segments[segment])
		segments[segment] =
			mfs__alloc_immortal(MFS__CACHE_LINE, ((size_t)FIRST << segment) * sizeof(void *));
	bool there = segments[segment] != NULL;
	pthread_mutex_unlock(&mutex);
	return there;
}

struct mfs__adopted *mfs__adopted_new(void *buffer, size_t length, mfs__adopted_function *release,
									  void *user)
{
	struct mfs__adopted *adopted = mfs__alloc(sizeof *adopted);

	if (!adopted)
		return NULL;
	*adopted = (struct mfs__adopted){buffer, length, release, user, 1, NULL};
	return adopted;
}

void mfs__adopted_forget(struct mfs__adopted *adopted)
{
	mfs__free(adopted, sizeof *adopted);
}

void mfs__adopted_use(struct mfs__adopted *adopted, uint32_t share)
{
	atomic_fetch_add_explicit(&adopted->uses, 1, memory_order_relaxed);
	*owner_of(share) = adopted;
}

void mfs__adopted_share_ended(uint32_t share)
{
	mfs__adopted_drop(*owner_of(share));
}

void mfs__adopted_drop(struct mfs__adopted *adopted)
{
	/* pairs with itself: the owner is told after all reads by all former holders */
	if (atomic_fetch_sub_explicit(&adopted->uses, 1, memory_order_acq_rel) != 1)
		return;
	adopted->next = mfs__adopted_ended;
	mfs__adopted_ended = adopted;
}

void mfs__adopted_release_all(void)
{
	/* One at a time: the owner's function may make calls that come here. */
	while (mfs__adopted_ended) {
		struct mfs__adopted *adopted = mfs__adopted_ended;
		struct mfs__adopted told = *adopted;
		mfs__adopted_ended = adopted->next;
		mfs__free(adopted, sizeof *adopted);
		if (told.release)
			told.release(told.user, told.buffer, told.length);
	}
}
