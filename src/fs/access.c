/* SPDX-License-Identifier: MIT */
#include "fs/access.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "base/test_hook.h"
#include "file/adopted.h"
#include "limit/guard.h"

/* Give the file's lock back. */
static void unlock_file(struct mfs__access *access, struct mfs__file *file)
{
	if (access->beside)
		mfs__rwlock_unlock_read(&file->lock);
	else
		mfs__file_unlock(file, access->file_exclusive);
	/* Before the handle's lock goes: a fork then finds either all of the call or nothing. */
	if (access->waited)
		mfs__rwlock_wait_done(&access->waiter);
	access->file_locked = false;
}

void mfs__access_end(struct mfs__access *access)
{
	struct mfs__handle *handle = access->handle;

	if (mfs__unlikely(!handle))
		return;
	if (access->parallel)
		mfs__parallel_leave(access->parallel, access->stripe, access->changed);
	else if (access->file_locked)
		unlock_file(access, handle->file);
	mfs__handle_unlock(handle, access->exclusive);
}

void mfs__access_end_change(struct mfs__access *access)
{
	mfs__access_end(access);
	mfs__adopted_release();
	mfs__guard_notice();
}

/*
 * A shared handle's file is locked by somebody: wait for it without the handle's lock (H2), with
 * the file pinned, then see whether the handle is still open.
 */
static int wait_for_file(struct mfs__access *access, mfs_file *file)
{
	struct mfs__handle *handle = access->handle;
	struct mfs__file *data = handle->file;
	int64_t timeout = handle->lock_timeout;

	access->handle = NULL;
	if (timeout == MFS_NO_WAIT) {
		mfs__handle_unlock(handle, access->exclusive);
		(void)mfs__fail(MFS_EBUSY, "call on a shared handle");
		return MFS_EBUSY;
	}
	mfs__node_pin(&data->node);
	mfs__handle_unlock(handle, access->exclusive);
	int code = 0;
	if (!mfs__rwlock_wait(&data->lock, access->file_exclusive, mfs__deadline(timeout),
						  &access->waiter)) {
		(void)mfs__fail(MFS_ETIMEDOUT, "call on a shared handle");
		code = MFS_ETIMEDOUT;
	} else {
		access->waited = true;
		if (!mfs__handle_lock(file, access->exclusive)) {
			code = MFS_EBADF;
			/* Closed meanwhile. Inside the gate a fork finds the lock and the waiter, or neither.
			 */
			unsigned gate = mfs__gate_enter();
			mfs__rwlock_unlock(&data->lock, access->file_exclusive);
			mfs__rwlock_wait_done(&access->waiter);
			mfs__gate_leave(gate);
		} else {
			access->handle = handle;
			if (!access->beside)
				mfs__file_locked(data);
		}
	}
	mfs__node_release(&data->node, MFS__REFS_PIN);
	return code;
}

/* Take the file's lock: exclusively, shared, or `beside`. With the handle's lock; if it fails, that
 * is given back, and the call has ended. */
static int lock_file(struct mfs__access *access, mfs_file *file, bool exclusive, bool beside)
{
	struct mfs__file *data = access->handle->file;

	access->file_locked = true;
	access->file_exclusive = exclusive;
	access->beside = beside;
	access->waited = false;
	if (beside ? mfs__rwlock_try_read(&data->lock) : mfs__file_try(data, exclusive))
		return 0;
	return wait_for_file(access, file);
}

/*
 * Become a parallel call. Where somebody keeps these out, wait for him in the lock's queue and try
 * again with the lock held, beside other such calls: if everybody took the lock alone, each would
 * keep the next one out, and nobody would ever work in parallel again.
 */
static int enter_file(struct mfs__access *access, mfs_file *file, bool overwrites)
{
	struct mfs__file *data = access->handle->file;

	access->parallel = mfs__file_enter(data, &access->stripe);
	if (access->parallel)
		return 0;
	if (overwrites && !atomic_load_explicit(&data->parallel, memory_order_relaxed))
		return lock_file(access, file, true, false);
	int code = lock_file(access, file, false, true);
	if (code)
		return code;
	access->parallel = mfs__file_enter(data, &access->stripe);
	if (!access->parallel && !overwrites)
		return 0;
	unlock_file(access, data);
	/* Handles that keep the lock shared are in the way. */
	return access->parallel ? 0 : lock_file(access, file, true, false);
}

int mfs__access_begin(struct mfs__access *access, mfs_file *file, bool exclusive, unsigned needed,
					  enum mfs__access_kind kind)
{
	access->handle = mfs__handle_lock(file, exclusive);
	if (mfs__unlikely(!access->handle))
		return MFS_EBADF;
	struct mfs__handle *handle = access->handle;
	access->exclusive = exclusive;
	access->file_locked = false;
	access->parallel = NULL;
	access->changed = false;
	if (mfs__unlikely((handle->mode & needed) != needed)) {
		mfs__handle_unlock(handle, exclusive);
		return mfs__fail(MFS_EBADF, needed & MFS__MODE_READ ? "handle is not open for reading"
															: "handle is not open for writing");
	}
	if (!(handle->mode & MFS__MODE_SHARED))
		return 0;
#ifdef MFS_PLANT_UNLOCKED_CHUNK
	/* A planted bug, for the test that the race detector notices it. */
	return 0;
#endif
	if (kind == MFS__ACCESS_KEPT) {
		mfs__handle_unlock(handle, exclusive);
		return mfs__fail(MFS_ENOTSUP, "call on a shared handle");
	}
	if (kind == MFS__ACCESS_READ || kind == MFS__ACCESS_OVERWRITE)
		return enter_file(access, file, kind == MFS__ACCESS_OVERWRITE);
	return lock_file(access, file, kind == MFS__ACCESS_CHANGE, false);
}

int mfs__access_change(struct mfs__access *access, mfs_file *file)
{
	mfs__parallel_leave(access->parallel, access->stripe, false);
	access->parallel = NULL;
	mfs__yield("access: about to lock alone");
	return lock_file(access, file, true, false);
}

void mfs__access_read(struct mfs__access *access, uint64_t offset, void *target, size_t length)
{
	struct mfs__file *file = access->handle->file;
	struct mfs__parallel *parallel = access->parallel;

	if (access->file_locked && access->beside)
		parallel = atomic_load_explicit(&file->parallel, memory_order_relaxed);
	if (mfs__likely(!parallel))
		mfs__chunks_read(&file->chunks, offset, target, length);
	else
		mfs__parallel_read(parallel, &file->chunks, offset, target, length);
}
