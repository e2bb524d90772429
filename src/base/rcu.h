/* SPDX-License-Identifier: MIT */
/*
 * Read-copy-update over liburcu-bp.
 *
 *   R1  A thread inside a read-side section may follow published pointers. What it reaches stays
 *       allocated, and, where the object is called immutable, unchanged, until it leaves.
 *   R2  An object that was made unreachable and then given to mfs__retire() (base/reclaim.h) is
 *       freed only after every section that was open at that time has ended.
 *   R3  Inside a section nothing blocks, nothing calls user code, and no grace period is waited
 * for. Sections nest.
 *
 * Pointers are published through C11 atomics, not through liburcu's macros, whose assembly the race
 * detector cannot see. The one order that remains invisible to it, "a section ended before the
 * grace period did", is told to it at the end of each section and of each grace period. Nothing
 * else is told, on purpose: a missing release, a missing section or a missing grace period stay
 * visible. Only the reclaimer thread waits for grace periods, because the detector then takes
 * everything that readers did for ordered before what that thread does next.
 */
#ifndef MFS_BASE_RCU_H
#define MFS_BASE_RCU_H

#include "base/compiler.h"

#include <stdatomic.h>
#include <urcu/urcu-bp.h>

#if MFS__TSAN
#include <sanitizer/tsan_interface.h>
/* Not data: an address that ends of sections and ends of grace periods have in common. */
extern char mfs__rcu_period;
#endif

/*
 * liburcu's inline read side costs 1 ns instead of 8. Sanitizers would instrument it, and object to
 * the alignment that it claims for the reader's record; the static analyzer cannot know that
 * registering a thread sets that record.
 */
#if !MFS__SANITIZED && !defined(__clang_analyzer__)
#include <urcu/static/urcu-bp.h>
#define mfs__rcu_lock_()   _urcu_bp_read_lock()
#define mfs__rcu_unlock_() _urcu_bp_read_unlock()
#else
#define mfs__rcu_lock_()   urcu_bp_read_lock()
#define mfs__rcu_unlock_() urcu_bp_read_unlock()
#endif

/** A pointer that readers follow while a writer replaces it. */
#define MFS__RCU(type) _Atomic(type *)

/** Follow a published pointer, inside a section. */
/* pairs with mfs__rcu_publish */
#define mfs__rcu_read(pointer) atomic_load_explicit((pointer), memory_order_acquire)

/** Read a published pointer under the lock under which it is replaced. */
#define mfs__rcu_read_locked(pointer) atomic_load_explicit((pointer), memory_order_relaxed)

/** Set a pointer in an object that is not published yet. */
#define mfs__rcu_init(pointer, value)                                                              \
	atomic_store_explicit((pointer), (value), memory_order_relaxed)

/** Replace a published pointer: what was written before becomes visible with it. */
#ifdef MFS_PLANT_PLAIN_PUBLICATION
/* A planted bug, for the test that the race detector notices it. */
#define mfs__rcu_publish(pointer, value) (*(void **)(void *)(pointer) = (value))
#else
/* pairs with mfs__rcu_read */
#define mfs__rcu_publish(pointer, value)                                                           \
	atomic_store_explicit((pointer), (value), memory_order_release)
#endif

/** Enter a read-side section. Wait-free. */
static inline void mfs__rcu_lock(void)
{
	mfs__rcu_lock_();
}

/** Leave a read-side section. Wait-free. */
static inline void mfs__rcu_unlock(void)
{
#if MFS__TSAN
	/* Before the section really ends: right after, the grace period may be over. */
	__tsan_release(&mfs__rcu_period);
#endif
	mfs__rcu_unlock_();
}

/** Wait for a grace period. Only for the reclaimer; outside sections, with no directory lock. */
void mfs__rcu_synchronize(void);

/** To be called before fork() and after it, in parent and child. */
void mfs__rcu_before_fork(void);
void mfs__rcu_after_fork_parent(void);
void mfs__rcu_after_fork_child(void);

#endif
