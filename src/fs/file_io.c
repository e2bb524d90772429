/* SPDX-License-Identifier: MIT */
/* Calls on open handles. */
#include "base/error.h"
#include "fs/access.h"
#include "fs/file_data.h"

#include <stdio.h>

/* Buffers of one call of mfs_readv or mfs_writev. */
#define VECTOR_MAX 1024

static int64_t fail_null_buffer(void)
{
	return mfs__fail(MFS_EINVAL, "buffer is NULL");
}

int64_t mfs_pread(mfs_file *file, void *buffer, size_t size, int64_t offset)
{
	struct mfs__access access;

	int code = mfs__access_begin(&access, file, false, MFS__MODE_READ, MFS__ACCESS_READ);
	if (mfs__unlikely(code))
		return code;
	int64_t result;
	if (mfs__unlikely(offset < 0)) {
		result = mfs__fail(MFS_EINVAL, "mfs_pread: negative offset");
	} else if (mfs__unlikely(!buffer && size)) {
		result = fail_null_buffer();
	} else {
		size_t length = mfs__access_readable(&access, (uint64_t)offset, size);
		mfs__access_read(&access, (uint64_t)offset, buffer, length);
		result = (int64_t)length;
	}
	mfs__access_end(&access);
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
		if (vector[i].iov_len > (size_t)MFS__OFFSET_MAX - sum) {
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
	struct mfs__access access;
	size_t length;

	int code = mfs__access_begin(&access, file, true, MFS__MODE_READ, MFS__ACCESS_READ);
	if (mfs__unlikely(code))
		return code;
	int64_t result = MFS_EINVAL;
	if (mfs__likely(measure(vector, count, &length))) {
		struct mfs__handle *handle = access.handle;
		size_t left = mfs__access_readable(&access, handle->position, length);
		result = (int64_t)left;
		for (int i = 0; i < count && left; i++) {
			size_t part = vector[i].iov_len < left ? vector[i].iov_len : left;
			mfs__access_read(&access, handle->position, vector[i].iov_base, part);
			handle->position += part;
			left -= part;
		}
	}
	mfs__access_end(&access);
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

/* Where and what a write writes, and who pays. */
struct writing {
	struct mfs__spender by;
	const struct iovec *vector;
	int count;
	size_t length;
	uint64_t at;
};

/* Write, with access to the file, which may turn out not to be enough, and be changed. */
static int write_out(struct mfs__access *access, mfs_file *file, struct writing *w)
{
	struct mfs__handle *handle = access->handle;
	bool contended = access->file_locked && access->waited;
	bool overwrites = (access->parallel || contended) && !(handle->mode & MFS__MODE_APPEND) &&
					  mfs__file_can_overwrite(handle->file, w->at, w->length);

	if (access->parallel && overwrites) {
		mfs__file_overwrite(handle->file, access->parallel, w->at, w->vector, w->count);
		access->changed = true;
		return 0;
	}
	if (access->parallel) {
		int code = mfs__access_change(access, file);
		if (code)
			return code;
	} else if (overwrites) {
		/* Two handles get into each other's way, with writes that could go beside each other. */
		mfs__file_begin_parallel(handle->file);
	}
	w->at = mfs__handle_target(handle, w->at);
	if (w->length > (uint64_t)MFS__OFFSET_MAX - w->at)
		return mfs__fail(MFS_EFBIG, "write");
	return mfs__file_write(&w->by, handle->file, w->at, w->vector, w->count, w->length);
}

/* Write at the cursor, or at `offset` if that is not NULL. */
static int64_t write_vector(mfs_file *file, const struct iovec *vector, int count,
							const int64_t *offset)
{
	struct mfs__access access;
	struct writing w;
	int code;

	w.by.waited = false;
	w.vector = vector;
	w.count = count;
	w.length = 0;
	do {
		code = mfs__access_begin(&access, file, true, MFS__MODE_WRITE, MFS__ACCESS_OVERWRITE);
		if (mfs__unlikely(code))
			break;
		struct mfs__handle *handle = access.handle;
		handle->reserved = 0;
		mfs__spender_of_handle(&w.by, handle);
		w.at = offset ? (uint64_t)*offset : handle->position;
		if (mfs__unlikely(!measure(vector, count, &w.length))) {
			code = MFS_EINVAL;
		} else if (mfs__unlikely(offset && *offset < 0)) {
			code = mfs__fail(MFS_EINVAL, "mfs_pwrite: negative offset");
		} else {
			code = w.length ? write_out(&access, file, &w) : 0;
			if (!code && !offset)
				handle->position = w.at + w.length;
		}
		mfs__access_end_change(&access);
	} while (mfs__spender_again(&w.by, code));
	mfs__spender_end(&w.by);
	return code ? code : (int64_t)w.length;
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
	handle->reserved = 0;
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
		(offset > 0 && (uint64_t)offset > (uint64_t)MFS__OFFSET_MAX - base)) {
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

/* Truncate, with access to the file. */
static int truncate_to(struct mfs__handle *handle, struct mfs__spender *by, uint64_t size)
{
	uint64_t old = mfs__node_size(&handle->file->node);

	if (size > old)
		return mfs__file_extend(by, handle->file, size);
	if (size < old) {
		mfs__file_shorten(by, handle->file, size);
		if (handle->position > size)
			handle->position = size;
	}
	return 0;
}

int mfs_truncate(mfs_file *file, int64_t size)
{
	struct mfs__access access;
	struct mfs__spender by = {.waited = false};
	int code;

	do {
		code = mfs__access_begin(&access, file, true, MFS__MODE_WRITE, MFS__ACCESS_CHANGE);
		if (code)
			break;
		access.handle->reserved = 0;
		mfs__spender_of_handle(&by, access.handle);
		if (size < 0)
			code = mfs__fail(MFS_EINVAL, "mfs_truncate: negative size");
		else
			code = truncate_to(access.handle, &by, (uint64_t)size);
		mfs__access_end_change(&access);
	} while (mfs__spender_again(&by, code));
	mfs__spender_end(&by);
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

int mfs_may_wait(mfs_file *file)
{
	struct mfs__handle *handle = mfs__handle_lock(file, false);

	if (!handle)
		return MFS_EBADF;
	int result = ((handle->mode & MFS__MODE_SHARED) && handle->lock_timeout != MFS_NO_WAIT) ||
				 ((handle->mode & MFS__MODE_WRITE) && handle->space_timeout != MFS_NO_WAIT);
	mfs__handle_unlock(handle, false);
	return result;
}
