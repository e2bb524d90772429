/* SPDX-License-Identifier: MIT */
/*
 * A fair reader-writer lock without an owner, 24 bytes.
 *
 * Why not pthread_rwlock_t: a file's lock is held from open to close, and another thread may close.
 * glibc's exclusive lock, unlocked by another thread, is corrupted for good (POSIX: undefined). Its
 * default kind starves writers and its other kind starves readers. It is 56 bytes, and its timed
 * calls on the monotonic clock are not followed by the race detector.
 *
 *   L1  Any thread may unlock what any thread has locked.
 *   L2  Who has to wait is served in the order of arrival; readers next to each other in the queue
 *       get in together. Nobody gets in past the queue, except by L3.
 *   L3  A reader that waits behind a waiting writer while other readers are inside gets in past the
 *       writer after a while, so that a thread that reads a file and opens it once more cannot lock
 *       itself out. It waits 10 ms, twice as long with each reader that has passed the same writer,
 *       up to 1.28 s. So readers that hold the lock for less than that cannot starve a writer.
 *   L4  Deadlines are on the monotonic clock.
 *   L5  Unlocking still touches the lock after the next owner has it. Whoever frees the memory
 *       around a lock must know by other means (a reference count) that unlocking is over.
 *   L6  A fork in the middle of waiting is mended in the child, see mfs__rwlock_fork_child().
 *
 * Locking without contention is one atomic read-modify-write, unlocking another one. The ticket of
 * a waiting thread is on its stack; the lock keeps the queue's two ends.
 */
#ifndef MFS_BASE_FAIR_RWLOCK_H
#define MFS_BASE_FAIR_RWLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mfs__rwlock_waiter;

/** All zeros: unlocked. */
struct mfs__rwlock {
	/* Atomic, any thread: WRITER, QUEUED, number of readers. */
	_Atomic uint32_t state;
	/* Atomic: a futex mutex that guards the queue. 0 free, 1 held, 2 held and waited for. */
	_Atomic uint32_t queue_lock;
	/* Under queue_lock. */
	struct mfs__rwlock_waiter *head;
	struct mfs__rwlock_waiter *tail;
};

#define MFS__RWLOCK_WRITER  0x80000000u /* held exclusively */
#define MFS__RWLOCK_QUEUED  0x40000000u /* somebody waits: newcomers queue up */
#define MFS__RWLOCK_READERS 0x3fffffffu /* held shared this many times */

/** A waiting thread's place in the queue, on its stack. */
struct mfs__rwlock_waiter {
	/* Under the lock's queue_lock. */
	struct mfs__rwlock_waiter *next;
	uint32_t passed; /* by how many readers this writer was passed, L3 */
	/* Atomic: 1 once the lock was handed over. */
	_Atomic uint32_t granted;
	/* Constant while waiting. */
	bool writer;
	struct mfs__rwlock *lock;
	/* Under the mutex of the list of waiting threads, for the sake of fork. */
	struct mfs__rwlock_waiter *list_next;
	struct mfs__rwlock_waiter **list_link;
	unsigned list;
};

/** Take the lock shared if that can be done at once. */
static inline bool mfs__rwlock_try_read(struct mfs__rwlock *lock)
{
	uint32_t state = atomic_load_explicit(&lock->state, memory_order_relaxed);

	while (!(state & (MFS__RWLOCK_WRITER | MFS__RWLOCK_QUEUED))) {
		/* pairs with mfs__rwlock_unlock_write, mfs__rwlock_unlock_read */
		if (atomic_compare_exchange_weak_explicit(&lock->state, &state, state + 1,
												  memory_order_acquire, memory_order_relaxed))
			return true;
	}
	return false;
}

/** Take the lock exclusively if that can be done at once. */
static inline bool mfs__rwlock_try_write(struct mfs__rwlock *lock)
{
	uint32_t state = 0;

	/* pairs with mfs__rwlock_unlock_write, mfs__rwlock_unlock_read */
	return atomic_compare_exchange_strong_explicit(&lock->state, &state, MFS__RWLOCK_WRITER,
												   memory_order_acquire, memory_order_relaxed);
}

/**
 * Queue up for the lock and wait until `deadline` (base/clock.h; mfs__AT_ONCE does not wait).
 *
 * Returns true with the lock held and *waiter still registered: mfs__rwlock_wait_done() must follow
 * once a fork can see by other means that the lock is held. Returns false when the time is up.
 */
bool mfs__rwlock_wait(struct mfs__rwlock *lock, bool writer, int64_t deadline,
					  struct mfs__rwlock_waiter *waiter);

/** End the registration that mfs__rwlock_wait() left. */
void mfs__rwlock_wait_done(struct mfs__rwlock_waiter *waiter);

/** Take the lock shared or exclusively, waiting until `deadline`. Returns false if time is up. */
bool mfs__rwlock_lock_until(struct mfs__rwlock *lock, bool writer, int64_t deadline);

/** Take the lock shared, however long that takes. */
void mfs__rwlock_lock_read(struct mfs__rwlock *lock);

/** Take the lock exclusively, however long that takes. */
void mfs__rwlock_lock_write(struct mfs__rwlock *lock);

/** The slow half of unlocking: hand the lock to whoever waits. */
void mfs__rwlock_wake(struct mfs__rwlock *lock);

/** Give a shared lock back. */
static inline void mfs__rwlock_unlock_read(struct mfs__rwlock *lock)
{
	/* pairs with mfs__rwlock_try_write and the hand-over in grant() */
	uint32_t state = atomic_fetch_sub_explicit(&lock->state, 1, memory_order_release) - 1;

	if (__builtin_expect((state & MFS__RWLOCK_QUEUED) && !(state & MFS__RWLOCK_READERS), 0))
		mfs__rwlock_wake(lock);
}

/** Give an exclusive lock back. */
static inline void mfs__rwlock_unlock_write(struct mfs__rwlock *lock)
{
	/* pairs with mfs__rwlock_try_read, mfs__rwlock_try_write and the hand-over in grant() */
	uint32_t state =
		atomic_fetch_and_explicit(&lock->state, ~MFS__RWLOCK_WRITER, memory_order_release);

	if (__builtin_expect(state & MFS__RWLOCK_QUEUED, 0))
		mfs__rwlock_wake(lock);
}

/** Give back a lock that was taken as `writer` says. */
static inline void mfs__rwlock_unlock(struct mfs__rwlock *lock, bool writer)
{
	if (writer)
		mfs__rwlock_unlock_write(lock);
	else
		mfs__rwlock_unlock_read(lock);
}

/** Take the lock as `writer` says if that can be done at once. */
static inline bool mfs__rwlock_try(struct mfs__rwlock *lock, bool writer)
{
	return writer ? mfs__rwlock_try_write(lock) : mfs__rwlock_try_read(lock);
}

/** How many threads are queued. For tests. */
unsigned mfs__rwlock_waiters(struct mfs__rwlock *lock);

/*
 * Fork. Before it, the caller holds all that keeps locks from being taken and given back; the first
 * function then keeps threads from joining and leaving queues, and waits for a hand-over in
 * progress on a lock that the caller holds exclusively. In the child, locks that threads of the
 * parent were waiting for lose those waiters, and what had been handed to one of them is taken
 * back.
 */
void mfs__rwlock_settle(struct mfs__rwlock *lock);
void mfs__rwlock_fork_prepare(void);
void mfs__rwlock_fork_parent(void);
void mfs__rwlock_fork_child(void);

#endif
