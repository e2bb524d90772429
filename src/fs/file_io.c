/* SPDX-License-Identifier: MIT */
/* Calls on open handles. */
#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "fs/file_data.h"
#include "fs/handle_table.h"

#include <stdio.h>

/* The largest offset: sizes are signed 64-bit numbers in the interface. */
#define OFFSET_MAX INT64_MAX
/* Buffers of one call of mfs_readv or mfs_writev. */
#define VECTOR_MAX 1024

/* A call on a handle, from its begin to its end. */
struct access {
	struct mfs__handle *handle;
	bool exclusive;      /* the handle's lock is held exclusively */
	bool file_locked;    /* this call has the file's lock: a shared handle */
	bool file_exclusive; /* exclusively */
	bool waited;         /* `waiter` is registered */
	struct mfs__rwlock_waiter waiter;
};

static void end_access(struct access *access)
{
	struct mfs__handle *handle = access->handle;

	if (access->file_locked) {
		mfs__rwlock_unlock(&handle->file->lock, access->file_exclusive);
		/* Before the handle's lock goes: a fork then finds either all of the call or nothing. */
		if (access->waited)
			mfs__rwlock_wait_done(&access->waiter);
	}
	mfs__handle_unlock(handle, access->exclusive);
}

/*
 * A shared handle's file is locked by somebody: wait for it without the handle's lock (H2), with
 * the file pinned, then see whether the handle is still open.
 */
static int wait_for_file(struct access *access, mfs_file *file)
{
	struct mfs__handle *handle = access->handle;
	struct mfs__file *data = handle->file;
	int64_t timeout = handle->lock_timeout;

	if (timeout == MFS_NO_WAIT) {
		mfs__handle_unlock(handle, access->exclusive);
		return mfs__fail(MFS_EBUSY, "call on a shared handle");
	}
	mfs__node_pin(&data->node);
	mfs__handle_unlock(handle, access->exclusive);
	int code = 0;
	if (!mfs__rwlock_wait(&data->lock, access->file_exclusive, mfs__deadline(timeout),
						  &access->waiter)) {
		code = mfs__fail(MFS_ETIMEDOUT, "call on a shared handle");
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
		}
	}
	mfs__node_release(&data->node, MFS__REFS_PIN);
	return code;
}

/*
 * Begin a call: the handle's lock, what the mode must allow, and for a shared handle the file's
 * lock. Returns 0, or a noted failure with nothing held.
 */
static int begin_access(struct access *access, mfs_file *file, bool exclusive, unsigned needed)
{
	access->handle = mfs__handle_lock(file, exclusive);
	if (mfs__unlikely(!access->handle))
		return MFS_EBADF;
	struct mfs__handle *handle = access->handle;
	access->exclusive = exclusive;
	access->file_locked = false;
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
	access->file_locked = true;
	access->file_exclusive = (needed & MFS__MODE_WRITE) != 0;
	access->waited = false;
	if (mfs__rwlock_try(&handle->file->lock, access->file_exclusive))
		return 0;
	return wait_for_file(access, file);
}

/* How much of `size` bytes at `offset` the file has. */
static size_t readable_at(struct mfs__file *file, uint64_t offset, size_t size)
{
	uint64_t end = mfs__node_size(&file->node);

	if (offset >= end)
		return 0;
	return size < end - offset ? size : (size_t)(end - offset);
}

static int64_t fail_null_buffer(void)
{
	return mfs__fail(MFS_EINVAL, "buffer is NULL");
}

int64_t mfs_pread(mfs_file *file, void *buffer, size_t size, int64_t offset)
{
	struct access access;

	int code = begin_access(&access, file, false, MFS__MODE_READ);
	if (mfs__unlikely(code))
		return code;
	int64_t result;
	if (mfs__unlikely(offset < 0)) {
		result = mfs__fail(MFS_EINVAL, "mfs_pread: negative offset");
	} else if (mfs__unlikely(!buffer && size)) {
		result = fail_null_buffer();
	} else {
		struct mfs__file *data = access.handle->file;
		size_t length = readable_at(data, (uint64_t)offset, size);
		mfs__chunks_read(&data->chunks, (uint64_t)offset, buffer, length);
		result = (int64_t)length;
	}
	end_access(&access);
	return result;
}

/* Add up a vector. Returns false, noted, if it is not one. */
static bool measure(const struct iovec *vector, int count, size_t *length)
{
	size_t sum = 0;

	*length = 0;
	if (count < 0 || count > VECTOR_MAX || (!vector && count)) {
		(void)mfs__fail(MFS_EINVAL, "vector of buffers");
		return false;
	}
	for (int i = 0; i < count; i++) {
		if (!vector[i].iov_base && vector[i].iov_len) {
			(void)fail_null_buffer();
			return false;
		}
		if (vector[i].iov_len > (size_t)OFFSET_MAX - sum) {
			(void)mfs__fail(MFS_EINVAL, "vector of buffers: the sum of lengths");
			return false;
		}
		sum += vector[i].iov_len;
	}
	*length = sum;
	return true;
}

static int64_t read_at_cursor(mfs_file *file, const struct iovec *vector, int count)
{
	struct access access;
	size_t length;

	int code = begin_access(&access, file, true, MFS__MODE_READ);
	if (mfs__unlikely(code))
		return code;
	int64_t result = MFS_EINVAL;
	if (mfs__likely(measure(vector, count, &length))) {
		struct mfs__handle *handle = access.handle;
		size_t left = readable_at(handle->file, handle->position, length);
		result = (int64_t)left;
		for (int i = 0; i < count && left; i++) {
			size_t part = vector[i].iov_len < left ? vector[i].iov_len : left;
			mfs__chunks_read(&handle->file->chunks, handle->position, vector[i].iov_base, part);
			handle->position += part;
			left -= part;
		}
	}
	end_access(&access);
	return result;
}

int64_t mfs_read(mfs_file *file, void *buffer, size_t size)
{
	struct iovec vector = {buffer, size};

	return read_at_cursor(file, &vector, 1);
}

int64_t mfs_readv(mfs_file *file, const struct iovec *vector, int count)
{
	return read_at_cursor(file, vector, count);
}

/* Write at the cursor, or at `offset` if that is not NULL. */
static int64_t write_vector(mfs_file *file, const struct iovec *vector, int count,
							const int64_t *offset)
{
	struct access access;
	size_t length;

	int code = begin_access(&access, file, true, MFS__MODE_WRITE);
	if (mfs__unlikely(code))
		return code;
	int64_t result;
	struct mfs__handle *handle = access.handle;
	uint64_t at = offset ? (uint64_t)*offset : handle->position;
	if (handle->mode & MFS__MODE_APPEND)
		at = mfs__node_size(&handle->file->node);
	if (mfs__unlikely(!measure(vector, count, &length))) {
		result = MFS_EINVAL;
	} else if (mfs__unlikely(offset && *offset < 0)) {
		result = mfs__fail(MFS_EINVAL, "mfs_pwrite: negative offset");
	} else if (mfs__unlikely(length > (uint64_t)OFFSET_MAX - at)) {
		result = mfs__fail(MFS_EFBIG, "write");
	} else {
		result = length ? mfs__file_write(handle->fs, handle->file, at, vector, count, length) : 0;
		if (!result) {
			result = (int64_t)length;
			if (!offset)
				handle->position = at + length;
		}
	}
	end_access(&access);
	return result;
}

int64_t mfs_write(mfs_file *file, const void *buffer, size_t size)
{
	/* An iovec has no const; the buffer is only read from. */
	struct iovec vector = {(void *)(uintptr_t)buffer, size};

	return write_vector(file, &vector, 1, NULL);
}

int64_t mfs_pwrite(mfs_file *file, const void *buffer, size_t size, int64_t offset)
{
	struct iovec vector = {(void *)(uintptr_t)buffer, size};

	return write_vector(file, &vector, 1, &offset);
}

int64_t mfs_writev(mfs_file *file, const struct iovec *vector, int count)
{
	return write_vector(file, vector, count, NULL);
}

int64_t mfs_seek(mfs_file *file, int64_t offset, int whence)
{
	struct mfs__handle *handle = mfs__handle_lock(file, true);
	uint64_t base = 0;
	bool valid = true;

	if (!handle)
		return MFS_EBADF;
	switch (whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		base = handle->position;
		break;
	case SEEK_END:
		base = mfs__node_size(&handle->file->node);
		valid = offset <= 0;
		break;
	default:
		valid = false;
		break;
	}
	int64_t result;
	if (!valid || (offset < 0 && (uint64_t) - (offset + 1) >= base) ||
		(offset > 0 && (uint64_t)offset > (uint64_t)OFFSET_MAX - base)) {
		result = mfs__fail(MFS_EINVAL, "mfs_seek");
	} else {
		handle->position = base + (uint64_t)offset;
		result = (int64_t)handle->position;
	}
	mfs__handle_unlock(handle, true);
	return result;
}

int64_t mfs_tell(mfs_file *file)
{
	struct mfs__handle *handle = mfs__handle_lock(file, false);

	if (!handle)
		return MFS_EBADF;
	int64_t position = (int64_t)handle->position;
	mfs__handle_unlock(handle, false);
	return position;
}

int mfs_truncate(mfs_file *file, int64_t size)
{
	struct access access;

	int code = begin_access(&access, file, true, MFS__MODE_WRITE);
	if (code)
		return code;
	struct mfs__handle *handle = access.handle;
	if (size < 0) {
		code = mfs__fail(MFS_EINVAL, "mfs_truncate: negative size");
	} else {
		uint64_t wanted = (uint64_t)size;
		uint64_t old = mfs__node_size(&handle->file->node);
		if (wanted > old)
			code = mfs__file_extend(handle->fs, handle->file, wanted);
		else if (wanted < old)
			mfs__file_shorten(handle->fs, handle->file, wanted);
		if (wanted < old && handle->position > wanted)
			handle->position = wanted;
	}
	end_access(&access);
	return code;
}

/* What the handle's mode has of `wanted`, as 1 or 0, or MFS_EBADF. */
static int capability(mfs_file *file, unsigned wanted)
{
	struct mfs__handle *handle = mfs__handle_lock(file, false);

	if (!handle)
		return MFS_EBADF;
	int result = (handle->mode & wanted) == wanted;
	mfs__handle_unlock(handle, false);
	return result;
}

int mfs_flush(mfs_file *file)
{
	int open = capability(file, 0);

	return open < 0 ? open : 0;
}

int mfs_readable(mfs_file *file)
{
	return capability(file, MFS__MODE_READ);
}

int mfs_writable(mfs_file *file)
{
	return capability(file, MFS__MODE_WRITE);
}

int mfs_seekable(mfs_file *file)
{
	return capability(file, 0);
}
