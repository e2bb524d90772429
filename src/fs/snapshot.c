/* SPDX-License-Identifier: MIT */
#include "fs/snapshot.h"

#include "base/fork.h"
#include "file/adopted.h"
#include "fs/access.h"
#include "fs/filesystem.h"

static void drop_in_child(struct mfs__fork_guard *guard)
{
	struct mfs__held_snapshot *held = mfs__container_of(guard, struct mfs__held_snapshot, guard);

	if (held->snapshot.count)
		mfs__snapshot_drop(&held->snapshot, held->fs->arena);
}

int64_t mfs__snapshot_hold(struct mfs__held_snapshot *held, mfs_file *file, uint64_t offset,
						   uint64_t size)
{
	struct mfs__access access;

	held->guard = (struct mfs__fork_guard){.child = drop_in_child};
	held->snapshot.count = 0;
	mfs__fork_guard_enter(&held->guard);
	int64_t result = mfs__access_begin(&access, file, true, MFS__MODE_READ, MFS__ACCESS_SHARE);
	if (!result) {
		/* What it handed out is shared now, and must not change any more. */
		access.handle->reserved = 0;
		held->fs = access.handle->fs;
		uint64_t length = mfs__access_readable(&access, offset, (size_t)size);
		result = mfs__chunks_snapshot(&access.handle->file->chunks, offset, offset + length,
									  &held->snapshot);
		if (!result)
			result = (int64_t)length;
		mfs__access_end(&access);
	}
	if (result < 0)
		mfs__fork_guard_leave(&held->guard);
	return result;
}

void mfs__snapshot_release(struct mfs__held_snapshot *held)
{
	if (held->snapshot.count) {
		unsigned gate = mfs__gate_enter();
		mfs__snapshot_drop(&held->snapshot, held->fs->arena);
		mfs__gate_leave(gate);
	}
	mfs__fork_guard_leave(&held->guard);
	mfs__adopted_release();
}
