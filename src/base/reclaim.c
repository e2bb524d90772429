/* SPDX-License-Identifier: MIT */
/*
 * Each stripe has a stack of retired objects and a count of their bytes. The reclaimer takes all
 * stacks, waits for a grace period, gives them back as ready to be freed, and naps for a moment, so
 * that it works on many objects at a time; a stripe that has gathered FLUSH_BYTES wakes it early.
 *
 * Whoever ends a call on the stripe next frees what is ready there. So the memory is freed, and
 * soon allocated again, by the processor that has it in its cache, and the reclaimer does not even
 * look at it. What nobody has freed by the next round, the reclaimer frees.
 *
 * Locks: users_mutex, then round_mutex. Under these come only the locks of the allocators: of
 * arenas, pages and huge blocks.
 */
#include "base/reclaim.h"

#include "base/arena.h"
#include "base/compiler.h"
#include "base/futex.h"
#include "base/huge_block.h"
#include "base/memory.h"
#include "base/page_pool.h"
#include "base/rcu.h"
#include "base/stripe.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdbool.h>

/* Retired bytes of one stripe at which they are added to the common count. */
#define FLUSH_BYTES (64 << 10)
/*
 * Retired bytes at which the reclaimer does not finish its nap. A grace period interrupts every
 * processor that runs a thread of the process: with one for each 64 KiB, one lookup in a thousand
 * beside a busy writer took 5 us.
 */
#define EARLY_BYTES (1 << 20)
/* How long the reclaimer lets objects gather. */
#define NAP_NS (1 * MFS__NS_PER_MS)
/* How often idle memory is looked after: as often as it may have become old, within bounds. */
#define TRIM_NS_MIN (10 * MFS__NS_PER_MS)
#define TRIM_NS_MAX MFS__NS_PER_S

/*
 * Pushing and then looking whether the reclaimer sleeps must not be reordered, nor going to sleep
 * and then looking for objects: both sides are sequentially consistent. The race detector would
 * take that for an order between all writers and see less; under it a read-modify-write on x86, a
 * full barrier by itself, is called a release.
 */
#if MFS__TSAN
/* pairs with run_round */
#define ORDER_PUSH memory_order_release
#define ORDER_LOOK memory_order_relaxed
#else
/* pairs with run_round, and with rest */
#define ORDER_PUSH memory_order_seq_cst
#define ORDER_LOOK memory_order_seq_cst
#endif

enum { AWAKE, NAPPING, SLEEPING };

static struct stripe {
	/* Atomic, any thread pushes, whoever runs a round takes all. */
	_Alignas(2 * MFS__CACHE_LINE) _Atomic(struct mfs__retired *) top;
	/* Atomic: objects that may be freed. Set by whoever runs a round, taken by any thread. */
	_Atomic(struct mfs__retired *) ready;
	/* Atomic, any thread: bytes pushed here and not yet added to `flushed`. */
	_Atomic int64_t bytes;
} stripes[MFS__STRIPES];

/* Atomic, any thread: bytes that stripes have handed over, less bytes freed. */
static _Alignas(2 * MFS__CACHE_LINE) _Atomic int64_t flushed;

/* Atomic: AWAKE, NAPPING or SLEEPING. Set by the reclaimer, set to AWAKE by who wakes it. */
static _Alignas(2 * MFS__CACHE_LINE) _Atomic uint32_t reclaimer_state;
/* Atomic: changes with each round; throttled threads sleep on it. */
static _Atomic uint32_t rounds;
/* Atomic: threads that sleep on `rounds`. */
static _Atomic uint32_t throttled;
/* Atomic: the thread runs. Changed under users_mutex. */
static atomic_bool running;
/* Atomic: the thread shall end once nothing is retired. Set under users_mutex. */
static atomic_bool stopping;

static pthread_mutex_t users_mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;   /* under users_mutex */
static pthread_t thread; /* under users_mutex, while running */

/* Held during a round, so that a fork finds no objects between the stacks and the allocator. */
static pthread_mutex_t round_mutex = PTHREAD_MUTEX_INITIALIZER;

static void wake_reclaimer(void)
{
	/* pairs with the stores in reclaimer() */
	if (atomic_exchange_explicit(&reclaimer_state, AWAKE, memory_order_release) != AWAKE)
		mfs__futex_wake(&reclaimer_state, 1);
}

static void flush(struct stripe *stripe)
{
	int64_t bytes = atomic_load_explicit(&stripe->bytes, memory_order_relaxed);

	/* In this order: for a moment there is too much in the sum, and not too little. */
	atomic_fetch_add_explicit(&flushed, bytes, memory_order_relaxed);
	atomic_fetch_sub_explicit(&stripe->bytes, bytes, memory_order_relaxed);
}

struct mfs__retired *mfs__retirable_new(struct mfs__arena *arena, size_t size)
{
	uint32_t slot;

	if (size > UINT32_MAX)
		return NULL;
	struct mfs__retired *block = mfs__arena_alloc_numbered(arena, size, &slot);
	if (block)
		*block = (struct mfs__retired){.size = (uint32_t)size, .slot = slot};
	return block;
}

void mfs__retirable_free(struct mfs__retired *retired)
{
	mfs__arena_free_numbered(retired->slot, retired, retired->size);
}

void mfs__retire(struct mfs__retired *retired)
{
#ifdef MFS_PLANT_NO_GRACE_PERIOD
	/* A planted bug, for the test that the race detector notices it. */
	mfs__retirable_free(retired);
	return;
#endif
	struct stripe *stripe = &stripes[mfs__stripe()];
	int64_t size = retired->size;
	int64_t bytes = atomic_fetch_add_explicit(&stripe->bytes, size, memory_order_relaxed);

	struct mfs__retired *top = atomic_load_explicit(&stripe->top, memory_order_relaxed);
	do {
		retired->next = top;
		/* pairs with run_round and rest */
	} while (!atomic_compare_exchange_weak_explicit(&stripe->top, &top, retired, ORDER_PUSH,
													memory_order_relaxed));
	bool full = bytes + size >= FLUSH_BYTES;
	if (full)
		flush(stripe);
	if (full || !top) {
		/* pairs with rest */
		uint32_t state = atomic_load_explicit(&reclaimer_state, ORDER_LOOK);
		if (state == SLEEPING ||
			(full && state == NAPPING &&
			 atomic_load_explicit(&flushed, memory_order_relaxed) >= EARLY_BYTES))
			wake_reclaimer();
	}
}

static void free_list(struct mfs__retired *list)
{
	struct mfs__arena_batch batch = {0};
	int64_t bytes = 0;

	if (!list)
		return;
	while (list) {
		struct mfs__retired *next = list->next;
		bytes += list->size;
		mfs__arena_batch_free(&batch, list->slot, list, list->size);
		list = next;
	}
	mfs__arena_batch_end(&batch);
	atomic_fetch_sub_explicit(&flushed, bytes, memory_order_relaxed);
}

/* Free what is ready in a stripe. Returns false if there was nothing. */
static bool free_ready(struct stripe *stripe)
{
	/* pairs with give_back */
	struct mfs__retired *list =
		atomic_exchange_explicit(&stripe->ready, NULL, memory_order_acquire);

	free_list(list);
	return list != NULL;
}

/* A list whose grace period is over: leave it to the threads of the stripe, or free it. */
static void give_back(struct stripe *stripe, struct mfs__retired *list)
{
	/*
	 * The race detector would take all that readers did for ordered before what the freeing thread
	 * does next, and see less. And threads that wait for room do not end calls.
	 */
	if (MFS__TSAN || atomic_load_explicit(&throttled, memory_order_relaxed)) {
		free_list(list);
		return;
	}
	/* pairs with free_ready */
	free_list(atomic_exchange_explicit(&stripe->ready, list, memory_order_acq_rel));
}

/*
 * Take what is retired, wait for a grace period and see to its being freed; if nothing is retired,
 * free what is ready. Returns false if there was nothing at all. Under round_mutex.
 */
static bool run_round_locked(void)
{
	struct mfs__retired *lists[MFS__STRIPES];
	bool any = false;

	for (unsigned i = 0; i < MFS__STRIPES; i++) {
		struct stripe *stripe = &stripes[i];
		lists[i] = NULL;
		/* pairs with the push in mfs__retire */
		if (!atomic_load_explicit(&stripe->top, ORDER_LOOK))
			continue;
		/* pairs with the push in mfs__retire */
		lists[i] = atomic_exchange_explicit(&stripe->top, NULL, memory_order_acquire);
		flush(stripe);
		any = true;
	}
	if (any)
		mfs__rcu_synchronize();
	for (unsigned i = 0; any && i < MFS__STRIPES; i++)
		if (lists[i])
			give_back(&stripes[i], lists[i]);
	/* Nothing else to do, or threads wait for room that idle stripes may have. */
	if (!any || atomic_load_explicit(&throttled, memory_order_relaxed))
		for (unsigned i = 0; i < MFS__STRIPES; i++)
			any |= free_ready(&stripes[i]);
	return any;
}

/* The end of a round: unlock, and let those go on who waited for it. */
static void end_round(void)
{
	pthread_mutex_unlock(&round_mutex);
	/* pairs with mfs__reclaim_throttle: a thread that counted itself in after this load sees the
	 * new round number and does not sleep on the old one */
	atomic_fetch_add_explicit(&rounds, 1, memory_order_seq_cst);
	/* pairs with mfs__reclaim_throttle */
	if (atomic_load_explicit(&throttled, memory_order_seq_cst))
		mfs__futex_wake(&rounds, INT32_MAX);
}

static bool run_round(void)
{
	pthread_mutex_lock(&round_mutex);
	bool any = run_round_locked();
	end_round();
	return any;
}

static bool nothing_retired(void)
{
	for (unsigned i = 0; i < MFS__STRIPES; i++) {
		/* pairs with the push in mfs__retire */
		if (atomic_load_explicit(&stripes[i].top, memory_order_seq_cst))
			return false;
	}
	return true;
}

static int64_t trim_interval(void)
{
	int64_t interval = atomic_load_explicit(&mfs__memory.idle_ns, memory_order_relaxed);

	if (interval > TRIM_NS_MAX)
		return TRIM_NS_MAX;
	return interval < TRIM_NS_MIN ? TRIM_NS_MIN : interval;
}

/* Let objects gather, or sleep until there is one, or until idle blocks are to be given back. */
static void rest(uint32_t state)
{
	int64_t until = MFS__NEVER;

	if (state == NAPPING)
		until = mfs__now() + NAP_NS;
	else if (mfs__huge_has_idle() || mfs__page_has_idle() || mfs__arena_has_idle())
		until = mfs__now() + trim_interval();

	/* pairs with the look at the state in mfs__retire */
	atomic_store_explicit(&reclaimer_state, state, memory_order_seq_cst);
	/* pairs with mfs__reclaim_end */
	if (atomic_load_explicit(&stopping, memory_order_seq_cst) ||
		(state == SLEEPING && !nothing_retired()))
		atomic_store_explicit(&reclaimer_state, AWAKE, memory_order_relaxed);
	while (atomic_load_explicit(&reclaimer_state, memory_order_relaxed) == state)
		if (!mfs__futex_wait(&reclaimer_state, state, until))
			break;
	atomic_store_explicit(&reclaimer_state, AWAKE, memory_order_relaxed);
}

/* Free all that was retired before the call, and what comes meanwhile. */
static void drain(void)
{
	while (run_round())
		continue;
}

void mfs__reclaim_trim(void)
{
	/* Like a round, it keeps a fork out. */
	pthread_mutex_lock(&round_mutex);
	mfs__arena_trim(false);
	mfs__page_trim(false);
	mfs__huge_trim(false);
	pthread_mutex_unlock(&round_mutex);
}

void mfs__reclaim_give_back(void)
{
	pthread_mutex_lock(&round_mutex);
	mfs__page_trim(true);
	mfs__huge_trim(true);
	pthread_mutex_unlock(&round_mutex);
}

static void *reclaimer(void *unused)
{
	(void)unused;
	for (;;) {
		if (run_round()) {
			rest(NAPPING);
			/* pairs with mfs__reclaim_end */
		} else if (atomic_load_explicit(&stopping, memory_order_acquire)) {
			/* What was retired before the end was announced may have come after the round. */
			drain();
			return NULL;
		} else {
			mfs__reclaim_trim();
			rest(SLEEPING);
		}
	}
}

/* Under users_mutex. */
static void start_thread(void)
{
	atomic_store_explicit(&stopping, false, memory_order_relaxed);
	bool started = mfs__thread_start(&thread, "mfs-reclaim", reclaimer);
	atomic_store_explicit(&running, started, memory_order_relaxed);
}

/* The thread is missing: after a fork, or because it could not be started. */
static void make_up_for_thread(void)
{
	pthread_mutex_lock(&users_mutex);
	if (users && !atomic_load_explicit(&running, memory_order_relaxed))
		start_thread();
	bool none = !atomic_load_explicit(&running, memory_order_relaxed);
	pthread_mutex_unlock(&users_mutex);
	if (none)
		(void)run_round();
}

void mfs__reclaim_nudge(void)
{
	if (atomic_load_explicit(&reclaimer_state, memory_order_relaxed) == SLEEPING)
		wake_reclaimer();
}

/* May no more be retired before something is freed? */
static bool is_past_bound(void)
{
	return atomic_load_explicit(&flushed, memory_order_relaxed) >
		   (int64_t)atomic_load_explicit(&mfs__memory.retired_bytes, memory_order_relaxed);
}

void mfs__reclaim_throttle(void)
{
	struct stripe *stripe = &stripes[mfs__stripe()];

	if (mfs__unlikely(atomic_load_explicit(&stripe->ready, memory_order_relaxed) != NULL))
		(void)free_ready(stripe);
	if (mfs__unlikely(!atomic_load_explicit(&running, memory_order_relaxed)) &&
		mfs__reclaim_pending() >= FLUSH_BYTES)
		make_up_for_thread();
	while (mfs__unlikely(is_past_bound())) {
		uint32_t round = atomic_load_explicit(&rounds, memory_order_relaxed);
		/* pairs with end_round */
		atomic_fetch_add_explicit(&throttled, 1, memory_order_seq_cst);
		/* Help; or, if a round is under way, wait for its end. */
		if (pthread_mutex_trylock(&round_mutex) == 0) {
			(void)run_round_locked();
			end_round();
		} else if (is_past_bound()) {
			/* A deadline, as who has the mutex may do something else. */
			(void)mfs__futex_wait(&rounds, round, mfs__now() + MFS__NS_PER_MS);
		}
		atomic_fetch_sub_explicit(&throttled, 1, memory_order_relaxed);
	}
}

void mfs__reclaim_begin(void)
{
	pthread_mutex_lock(&users_mutex);
	if (users++ == 0 && !atomic_load_explicit(&running, memory_order_relaxed))
		start_thread();
	pthread_mutex_unlock(&users_mutex);
}

void mfs__reclaim_end(void)
{
	pthread_mutex_lock(&users_mutex);
	if (--users == 0) {
		if (atomic_load_explicit(&running, memory_order_relaxed)) {
			/* pairs with reclaimer() and rest() */
			atomic_store_explicit(&stopping, true, memory_order_seq_cst);
			wake_reclaimer();
			(void)pthread_join(thread, NULL);
			atomic_store_explicit(&running, false, memory_order_relaxed);
		} else {
			drain();
		}
		mfs__arena_trim(true);
		mfs__page_trim(true);
		mfs__huge_trim(true);
	}
	pthread_mutex_unlock(&users_mutex);
}

uint64_t mfs__reclaim_pending(void)
{
	int64_t bytes = atomic_load_explicit(&flushed, memory_order_relaxed);

	for (unsigned i = 0; i < MFS__STRIPES; i++)
		bytes += atomic_load_explicit(&stripes[i].bytes, memory_order_relaxed);
	return bytes > 0 ? (uint64_t)bytes : 0;
}

void mfs__reclaim_fork_prepare(void)
{
	pthread_mutex_lock(&users_mutex);
	pthread_mutex_lock(&round_mutex);
	mfs__arena_fork_prepare();
}

static void unlock_after_fork(void)
{
	pthread_mutex_unlock(&round_mutex);
	pthread_mutex_unlock(&users_mutex);
}

void mfs__reclaim_fork_parent(void)
{
	mfs__arena_fork_parent();
	unlock_after_fork();
}

void mfs__reclaim_fork_child(void)
{
	atomic_store_explicit(&running, false, memory_order_relaxed);
	atomic_store_explicit(&reclaimer_state, AWAKE, memory_order_relaxed);
	atomic_store_explicit(&throttled, 0, memory_order_relaxed);
	mfs__arena_fork_child();
	unlock_after_fork();
}
