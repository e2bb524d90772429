/* SPDX-License-Identifier: MIT */
#include "fs/handle_table.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/stripe.h"

#include <pthread.h>
#include <string.h>

/* Slots come in segments; the table of segments stays where it is. */
#define SEGMENT_SLOTS 64
#define SEGMENTS      ((UINT32_C(1) << 18) - 1)
/* A handle is the number of its slot plus one, and above that the slot's uses. */
#define INDEX_BITS 24

_Static_assert((uint64_t)SEGMENTS *SEGMENT_SLOTS < UINT64_C(1) << INDEX_BITS, "slots fit");
_Static_assert(sizeof(mfs_file *) == 8, "a handle has 64 bits");

/* Published once each, never changed again. Untouched parts of it take no memory. */
static _Atomic(struct mfs__handle *) segments[SEGMENTS];
/* Atomic, any thread: segments taken. */
static _Atomic uint32_t segments_used;

static struct free_slots {
	_Alignas(2 * MFS__CACHE_LINE) pthread_mutex_t mutex;
	struct mfs__handle *first; /* under mutex */
} free_slots[MFS__STRIPES] = {[0 ... MFS__STRIPES - 1] = {.mutex = PTHREAD_MUTEX_INITIALIZER}};

/* Under the stripe's mutex. */
static int add_segment(unsigned stripe)
{
	struct mfs__handle *segment =
		mfs__alloc_immortal(_Alignof(struct mfs__handle), SEGMENT_SLOTS * sizeof *segment);
	if (!segment)
		return MFS_ENOMEM;
	uint32_t number = atomic_fetch_add_explicit(&segments_used, 1, memory_order_relaxed);
	if (number >= SEGMENTS) {
		atomic_fetch_sub_explicit(&segments_used, 1, memory_order_relaxed);
		mfs__free_immortal(segment);
		return MFS_EMFILE;
	}
	memset(segment, 0, SEGMENT_SLOTS * sizeof *segment);
	for (uint32_t i = SEGMENT_SLOTS; i-- > 0;) {
		segment[i].index = number * SEGMENT_SLOTS + i;
		segment[i].stripe = stripe;
		segment[i].next_free = free_slots[stripe].first;
		free_slots[stripe].first = &segment[i];
	}
	/* pairs with find */
	atomic_store_explicit(&segments[number], segment, memory_order_release);
	return 0;
}

int mfs__handle_take(struct mfs__handle **out)
{
	unsigned stripe = mfs__stripe();
	struct free_slots *slots = &free_slots[stripe];
	int code = 0;

	pthread_mutex_lock(&slots->mutex);
	if (mfs__unlikely(!slots->first))
		code = add_segment(stripe);
	if (mfs__likely(!code)) {
		*out = slots->first;
		slots->first = (*out)->next_free;
		(*out)->uses++;
	}
	pthread_mutex_unlock(&slots->mutex);
	return code;
}

void mfs__handle_give(struct mfs__handle *handle)
{
	struct free_slots *slots = &free_slots[handle->stripe];

	pthread_mutex_lock(&slots->mutex);
	handle->next_free = slots->first;
	slots->first = handle;
	pthread_mutex_unlock(&slots->mutex);
}

mfs_file *mfs__handle_open(struct mfs__handle *handle)
{
	uint64_t id = (handle->uses << INDEX_BITS) | (handle->index + 1);

	/* pairs with mfs__handle_lock */
	atomic_store_explicit(&handle->id, id, memory_order_release);
	return (mfs_file *)(uintptr_t)id; /* NOLINT(performance-no-int-to-ptr): a number, by design */
}

static struct mfs__handle *find(uint64_t id)
{
	uint32_t index = (uint32_t)(id & ((UINT32_C(1) << INDEX_BITS) - 1));

	if (index == 0)
		return NULL;
	index--;
	if (index / SEGMENT_SLOTS >= SEGMENTS)
		return NULL;
	/* pairs with add_segment */
	struct mfs__handle *segment =
		atomic_load_explicit(&segments[index / SEGMENT_SLOTS], memory_order_acquire);
	return segment ? &segment[index % SEGMENT_SLOTS] : NULL;
}

struct mfs__handle *mfs__handle_lock(mfs_file *file, bool exclusive)
{
	uint64_t id = (uint64_t)(uintptr_t)file;
	struct mfs__handle *handle = find(id);

	if (mfs__likely(handle != NULL)) {
		if (exclusive)
			mfs__rwlock_lock_write(&handle->lock);
		else
			mfs__rwlock_lock_read(&handle->lock);
		/* pairs with mfs__handle_open */
		if (mfs__likely(atomic_load_explicit(&handle->id, memory_order_acquire) == id))
			return handle;
		mfs__handle_unlock(handle, exclusive);
	}
	(void)mfs__fail(MFS_EBADF, "call on a handle");
	return NULL;
}

static void each_slot(void (*action)(struct mfs__handle *handle))
{
	uint32_t used = atomic_load_explicit(&segments_used, memory_order_relaxed);

	for (uint32_t number = 0; number < used && number < SEGMENTS; number++) {
		/* pairs with add_segment */
		struct mfs__handle *segment = atomic_load_explicit(&segments[number], memory_order_acquire);
		for (uint32_t i = 0; segment && i < SEGMENT_SLOTS; i++)
			action(&segment[i]);
	}
}

static void hold(struct mfs__handle *handle)
{
	mfs__rwlock_lock_write(&handle->lock);
	mfs__rwlock_settle(&handle->lock);
}

static void let_go(struct mfs__handle *handle)
{
	mfs__rwlock_unlock_write(&handle->lock);
}

/*
 * Free slots too: somebody may be looking at one by a handle that was closed. The lists of free
 * slots need no care, as opening and closing are inside the gate.
 */
void mfs__handle_table_fork_prepare(void)
{
	each_slot(hold);
}

void mfs__handle_table_fork_after(void)
{
	each_slot(let_go);
}
