/* SPDX-License-Identifier: MIT */
#include "host/held_file.h"

#include "base/compiler.h"
#include "fs/filesystem.h"
#include "fs/handle_table.h"
#include "host/chunk_parts.h"

static void close_in_child(struct mfs__fork_guard *guard)
{
	mfs__held_close(mfs__container_of(guard, struct mfs__held_file, guard));
}

void mfs__held_begin(struct mfs__held_file *held)
{
	*held = (struct mfs__held_file){.guard = {.child = close_in_child}};
	mfs__fork_guard_enter(&held->guard);
}

void mfs__held_end(struct mfs__held_file *held)
{
	mfs__fork_guard_leave(&held->guard);
}

int mfs__held_open(struct mfs__held_file *held, mfs *fs, const char *path, int64_t timeout)
{
	mfs_open_options options = {.struct_size = sizeof options, .lock_timeout = timeout};
	int code = mfs_open_ex(fs, path, "rb", &options, &held->file);

	if (code)
		return code;
	/* A file that is held is not renamed, nor is a directory above it: the path is still its own.
	 */
	code = mfs_stat(fs, path, &held->info);
	if (code)
		mfs__held_close(held);
	return code;
}

int mfs__held_parts(struct mfs__held_file *held, uint64_t offset, size_t size, struct iovec *parts)
{
	struct mfs__handle *handle = mfs__handle_lock(held->file, false);

	if (!handle)
		return 0;
	int count = mfs__chunk_parts(&handle->file->chunks, offset, size, parts);
	/* The handle has the file's lock; its own is not needed for the bytes. */
	mfs__handle_unlock(handle, false);
	return count;
}

void mfs__held_close(struct mfs__held_file *held)
{
	/* MFS_EBADF: it was closed already. */
	(void)mfs_close(held->file);
}
