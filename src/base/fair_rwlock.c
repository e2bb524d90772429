/* SPDX-License-Identifier: MIT */
/*
 * Locks of this file, innermost last: the mutex of a list of waiting threads, then a lock's
 * queue_lock. Nothing else is taken under either, and neither is held while sleeping.
 */
#include "base/fair_rwlock.h"

#include "base/clock.h"
#include "base/compiler.h"
#include "base/futex.h"
#include "base/stripe.h"

#include <pthread.h>
#include <stddef.h>

/* L3: how long a reader waits before it passes a writer, at first and at most. */
#define PASS_AFTER_NS      (10 * MFS__NS_PER_MS)
#define PASS_DOUBLINGS     7
#define PASS_AFTER_MOST_NS (PASS_AFTER_NS << PASS_DOUBLINGS)

/* A hand-over takes less than this many looks when the owner is about to leave. */
#define SPINS 100

/* Lists of waiting threads. A fork holds all their mutexes, and the race detector takes no more
 * than 64 in one thread. */
#define WAITING_LISTS 16

/* Every waiting thread, so that a forked child can clear the queues of threads it does not have. */
static struct waiting {
	_Alignas(2 * MFS__CACHE_LINE) pthread_mutex_t mutex;
	struct mfs__rwlock_waiter *first; /* under mutex */
} waiting[WAITING_LISTS] = {[0 ... WAITING_LISTS - 1] = {.mutex = PTHREAD_MUTEX_INITIALIZER}};

static void queue_lock(struct mfs__rwlock *lock)
{
	uint32_t free = 0;

	/* pairs with queue_unlock */
	if (atomic_compare_exchange_strong_explicit(&lock->queue_lock, &free, 1, memory_order_acquire,
												memory_order_relaxed))
		return;
	/* pairs with queue_unlock */
	while (atomic_exchange_explicit(&lock->queue_lock, 2, memory_order_acquire))
		(void)mfs__futex_wait(&lock->queue_lock, 2, MFS__NEVER);
}

static void queue_unlock(struct mfs__rwlock *lock)
{
	/* pairs with queue_lock */
	if (atomic_exchange_explicit(&lock->queue_lock, 0, memory_order_release) == 2)
		mfs__futex_wake(&lock->queue_lock, 1);
}

/* Under queue_lock: hand the lock to the head of the queue, as far as it goes. */
static void grant(struct mfs__rwlock *lock)
{
	struct mfs__rwlock_waiter *waiter;

	while ((waiter = lock->head)) {
		uint32_t state = atomic_load_explicit(&lock->state, memory_order_relaxed);
		uint32_t wanted;
		do {
			if (state & MFS__RWLOCK_WRITER)
				return;
			if (waiter->writer && (state & MFS__RWLOCK_READERS))
				return;
			wanted = waiter->writer ? state | MFS__RWLOCK_WRITER : state + 1;
			if (!waiter->next)
				wanted &= ~MFS__RWLOCK_QUEUED;
			/* pairs with mfs__rwlock_unlock_read, mfs__rwlock_unlock_write: what the last owner
			 * did is passed on to the waiter through `granted` */
		} while (!atomic_compare_exchange_weak_explicit(
			&lock->state, &state, wanted, memory_order_acquire, memory_order_relaxed));
		lock->head = waiter->next;
		if (!lock->head)
			lock->tail = NULL;
		/* The waiter may be gone as soon as it sees this; waking a word that is no more is
		 * harmless. */
		_Atomic uint32_t *granted = &waiter->granted;
		/* pairs with is_granted */
		atomic_store_explicit(granted, 1, memory_order_release);
		mfs__futex_wake(granted, 1);
	}
}

static bool is_granted(struct mfs__rwlock_waiter *waiter)
{
	/* pairs with grant */
	return atomic_load_explicit(&waiter->granted, memory_order_acquire) != 0;
}

/* Under queue_lock: take a waiter that was not granted out of the queue. */
static void leave_queue(struct mfs__rwlock *lock, struct mfs__rwlock_waiter *waiter)
{
	struct mfs__rwlock_waiter *previous = NULL;
	struct mfs__rwlock_waiter **link = &lock->head;

	while (*link != waiter) {
		previous = *link;
		link = &previous->next;
	}
	*link = waiter->next;
	if (lock->tail == waiter)
		lock->tail = previous;
	if (!lock->head)
		atomic_fetch_and_explicit(&lock->state, ~MFS__RWLOCK_QUEUED, memory_order_relaxed);
}

/*
 * A waiting thread changes a lock only under the mutex of its list, which a fork takes: so the
 * child never finds a hand-over half done.
 */
static void list_lock(struct mfs__rwlock_waiter *waiter)
{
	pthread_mutex_lock(&waiting[waiter->list].mutex);
	queue_lock(waiter->lock);
}

static void list_unlock(struct mfs__rwlock_waiter *waiter)
{
	queue_unlock(waiter->lock);
	pthread_mutex_unlock(&waiting[waiter->list].mutex);
}

/* Under the list's mutex. */
static void list_insert(struct mfs__rwlock_waiter *waiter)
{
	struct waiting *list = &waiting[waiter->list];

	waiter->list_next = list->first;
	waiter->list_link = &list->first;
	if (list->first)
		list->first->list_link = &waiter->list_next;
	list->first = waiter;
}

/* Under the list's mutex. */
static void list_remove(struct mfs__rwlock_waiter *waiter)
{
	*waiter->list_link = waiter->list_next;
	if (waiter->list_next)
		waiter->list_next->list_link = waiter->list_link;
}

void mfs__rwlock_wait_done(struct mfs__rwlock_waiter *waiter)
{
	pthread_mutex_lock(&waiting[waiter->list].mutex);
	list_remove(waiter);
	pthread_mutex_unlock(&waiting[waiter->list].mutex);
}

static void join_queue(struct mfs__rwlock_waiter *waiter)
{
	struct mfs__rwlock *lock = waiter->lock;

	list_lock(waiter);
	list_insert(waiter);
	if (lock->tail)
		lock->tail->next = waiter;
	else
		lock->head = waiter;
	lock->tail = waiter;
	atomic_fetch_or_explicit(&lock->state, MFS__RWLOCK_QUEUED, memory_order_relaxed);
	grant(lock); /* the lock may have become free since the caller looked */
	list_unlock(waiter);
}

/* Time is up. Returns true if the lock was handed over at the last moment all the same. */
static bool give_up(struct mfs__rwlock_waiter *waiter)
{
	list_lock(waiter);
	bool granted = is_granted(waiter);
	if (!granted) {
		leave_queue(waiter->lock, waiter);
		list_remove(waiter);
		grant(waiter->lock); /* this waiter may have been what held the others up */
	}
	list_unlock(waiter);
	return granted;
}

/*
 * Under queue_lock, L3: let a queued reader in past a waiting writer, if readers are inside and it
 * has waited long enough. Returns 0 if it is inside, or when to try again.
 */
static int64_t pass_writer(struct mfs__rwlock_waiter *reader, int64_t began, int64_t now)
{
	struct mfs__rwlock *lock = reader->lock;
	int64_t waited = now - began;
	uint32_t state = atomic_load_explicit(&lock->state, memory_order_relaxed);

	do {
		/* A writer is inside, or about to be. Look again when twice as long has been waited. */
		if ((state & MFS__RWLOCK_WRITER) || !(state & MFS__RWLOCK_READERS))
			return now + (waited < PASS_AFTER_MOST_NS ? waited : PASS_AFTER_MOST_NS);
		/* With readers inside, the head of the queue is a writer: a reader would have got in. */
		uint32_t passed = lock->head->passed;
		int64_t needed = passed < PASS_DOUBLINGS ? PASS_AFTER_NS << passed : PASS_AFTER_MOST_NS;
		if (waited < needed)
			return began + needed;
		/* pairs with mfs__rwlock_unlock_write */
	} while (!atomic_compare_exchange_weak_explicit(&lock->state, &state, state + 1,
													memory_order_acquire, memory_order_relaxed));
	lock->head->passed++;
	leave_queue(lock, reader);
	return 0;
}

/* A reader has waited for a while. Returns 0 if it has the lock now, or when to try again. */
static int64_t try_to_pass(struct mfs__rwlock_waiter *waiter, int64_t began, int64_t now)
{
	int64_t again = 0;

	list_lock(waiter);
	if (!is_granted(waiter)) {
		again = pass_writer(waiter, began, now);
		if (!again)
			atomic_store_explicit(&waiter->granted, 1, memory_order_relaxed); /* for a fork */
	}
	list_unlock(waiter);
	return again;
}

bool mfs__rwlock_wait(struct mfs__rwlock *lock, bool writer, int64_t deadline,
					  struct mfs__rwlock_waiter *waiter)
{
	if (deadline == MFS__AT_ONCE)
		return false;
	*waiter = (struct mfs__rwlock_waiter){
		.writer = writer, .lock = lock, .list = mfs__stripe() % WAITING_LISTS};
	join_queue(waiter);
	for (int i = 0; i < SPINS && !is_granted(waiter); i++)
		mfs__cpu_relax();
	if (is_granted(waiter))
		return true;

	int64_t began = mfs__now();
	int64_t pass_at = writer ? MFS__NEVER : began + PASS_AFTER_NS;
	while (!is_granted(waiter)) {
		if (mfs__futex_wait(&waiter->granted, 0, deadline < pass_at ? deadline : pass_at))
			continue;
		int64_t now = mfs__now();
		if (now >= deadline)
			return give_up(waiter);
		if (now >= pass_at) {
			pass_at = try_to_pass(waiter, began, now);
			if (!pass_at)
				return true;
		}
	}
	return true;
}

bool mfs__rwlock_lock_until(struct mfs__rwlock *lock, bool writer, int64_t deadline)
{
	struct mfs__rwlock_waiter waiter;

	if (mfs__rwlock_try(lock, writer))
		return true;
	if (!mfs__rwlock_wait(lock, writer, deadline, &waiter))
		return false;
	mfs__rwlock_wait_done(&waiter);
	return true;
}

void mfs__rwlock_lock_read(struct mfs__rwlock *lock)
{
	(void)mfs__rwlock_lock_until(lock, false, MFS__NEVER);
}

void mfs__rwlock_lock_write(struct mfs__rwlock *lock)
{
	(void)mfs__rwlock_lock_until(lock, true, MFS__NEVER);
}

void mfs__rwlock_wake(struct mfs__rwlock *lock)
{
	queue_lock(lock);
	grant(lock);
	queue_unlock(lock);
}

unsigned mfs__rwlock_waiters(struct mfs__rwlock *lock)
{
	unsigned count = 0;

	queue_lock(lock);
	for (struct mfs__rwlock_waiter *waiter = lock->head; waiter; waiter = waiter->next)
		count++;
	queue_unlock(lock);
	return count;
}

void mfs__rwlock_settle(struct mfs__rwlock *lock)
{
	queue_lock(lock);
	queue_unlock(lock);
}

void mfs__rwlock_fork_prepare(void)
{
	for (unsigned i = 0; i < WAITING_LISTS; i++)
		pthread_mutex_lock(&waiting[i].mutex);
}

void mfs__rwlock_fork_parent(void)
{
	for (unsigned i = 0; i < WAITING_LISTS; i++)
		pthread_mutex_unlock(&waiting[i].mutex);
}

void mfs__rwlock_fork_child(void)
{
	for (unsigned i = 0; i < WAITING_LISTS; i++) {
		for (struct mfs__rwlock_waiter *waiter = waiting[i].first; waiter;
			 waiter = waiter->list_next) {
			struct mfs__rwlock *lock = waiter->lock;
			uint32_t state = atomic_load_explicit(&lock->state, memory_order_relaxed);
			if (is_granted(waiter))
				state = waiter->writer ? state & ~MFS__RWLOCK_WRITER : state - 1;
			atomic_store_explicit(&lock->state, state & ~MFS__RWLOCK_QUEUED, memory_order_relaxed);
			atomic_store_explicit(&lock->queue_lock, 0, memory_order_relaxed);
			lock->head = NULL;
			lock->tail = NULL;
		}
		waiting[i].first = NULL;
		pthread_mutex_unlock(&waiting[i].mutex);
	}
}
