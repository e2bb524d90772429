/* SPDX-License-Identifier: MIT */
/*
 * The lock of a file, as all but MFS_O_SHARED handles' reads take it: with parallel calls
 * (file/parallel.h) kept out for as long as it is held.
 */
#ifndef MFS_TREE_FILE_LOCK_H
#define MFS_TREE_FILE_LOCK_H

#include "tree/node.h"

/** Take the lock if that can be done at once, and no parallel call is inside. */
static inline bool mfs__file_try(struct mfs__file *file, bool exclusive)
{
	if (!mfs__rwlock_try(&file->lock, exclusive))
		return false;
	/* Changes only with the lock held exclusively. */
	struct mfs__parallel *parallel = atomic_load_explicit(&file->parallel, memory_order_relaxed);
	if (mfs__likely(!parallel) || mfs__parallel_try_close(parallel))
		return true;
	mfs__rwlock_unlock(&file->lock, exclusive);
	return false;
}

/** The lock was waited for: keep parallel calls out. May wait for copies of chunks. */
static inline void mfs__file_locked(struct mfs__file *file)
{
	struct mfs__parallel *parallel = atomic_load_explicit(&file->parallel, memory_order_relaxed);

	if (mfs__unlikely(parallel != NULL))
		mfs__parallel_close(parallel);
}

/** Give the lock back. */
static inline void mfs__file_unlock(struct mfs__file *file, bool exclusive)
{
	struct mfs__parallel *parallel = atomic_load_explicit(&file->parallel, memory_order_relaxed);

	if (mfs__unlikely(parallel != NULL))
		mfs__parallel_open(parallel);
	mfs__rwlock_unlock(&file->lock, exclusive);
}

/** Let calls of MFS_O_SHARED handles work in parallel from now on, memory permitting. The lock is
 * held exclusively, and stays so. */
static inline void mfs__file_begin_parallel(struct mfs__file *file)
{
	/* It is closed once: by the caller, whose unlocking opens it. pairs with
	 * mfs__node_attributes and mfs__file_enter */
	if (!atomic_load_explicit(&file->parallel, memory_order_relaxed))
		atomic_store_explicit(&file->parallel, mfs__parallel_new(), memory_order_release);
}

/** Begin a parallel call, if the file has such and nobody keeps them out. Returns what it enters,
 * or NULL. */
static inline struct mfs__parallel *mfs__file_enter(struct mfs__file *file, unsigned *stripe)
{
	if (mfs__likely(!atomic_load_explicit(&file->parallel, memory_order_relaxed)))
		return NULL;
	mfs__rcu_lock();
	/* pairs with mfs__file_begin_parallel */
	struct mfs__parallel *parallel = atomic_load_explicit(&file->parallel, memory_order_acquire);
	if (parallel && !mfs__parallel_enter(parallel, stripe))
		parallel = NULL;
	mfs__rcu_unlock();
	return parallel;
}

#endif
