/* SPDX-License-Identifier: MIT */
/* Reading and writing a file's bytes where they are. */
#include "base/error.h"
#include "fs/access.h"
#include "fs/file_data.h"

/* A run from `offset`, before `end`: at least a byte is there. */
static struct iovec run_at(struct mfs__file *file, uint64_t offset, uint64_t end)
{
	struct iovec run;

	run.iov_base = mfs__chunks_part(&file->chunks, offset, end - offset, &run.iov_len);
	return run;
}

int64_t mfs_view(mfs_file *file, int64_t offset, const void **data)
{
	struct mfs__access access;
	struct iovec run = {NULL, 0};

	if (!data)
		return mfs__fail(MFS_EINVAL, "mfs_view: NULL");
	*data = NULL;
	if (offset < 0)
		return mfs__fail(MFS_EINVAL, "mfs_view: negative offset");
	int code = mfs__access_begin(&access, file, false, MFS__MODE_READ, MFS__ACCESS_KEPT);
	if (code)
		return code;
	struct mfs__file *viewed = access.handle->file;
	uint64_t size = mfs__node_size(&viewed->node);
	if ((uint64_t)offset < size)
		run = run_at(viewed, (uint64_t)offset, size);
	mfs__access_end(&access);
	*data = run.iov_base;
	return (int64_t)run.iov_len;
}

int mfs_view_runs(mfs_file *file, int64_t *offset, int64_t end, struct iovec *runs, int count)
{
	struct mfs__access access;
	int filled = 0;

	if (!offset || !runs)
		return mfs__fail(MFS_EINVAL, "mfs_view_runs: NULL");
	if (*offset < 0 || end < 0 || count < 1)
		return mfs__fail(MFS_EINVAL, "mfs_view_runs");
	int code = mfs__access_begin(&access, file, false, MFS__MODE_READ, MFS__ACCESS_KEPT);
	if (code)
		return code;
	struct mfs__file *viewed = access.handle->file;
	uint64_t stop = mfs__node_size(&viewed->node);
	if ((uint64_t)end < stop)
		stop = (uint64_t)end;
	uint64_t at = (uint64_t)*offset;
	for (; filled < count && at < stop; at += runs[filled++].iov_len)
		runs[filled] = run_at(viewed, at, stop);
	mfs__access_end(&access);
	*offset = (int64_t)at;
	return filled;
}

/* Find room for the reservation. Returns its length, or a noted failure. */
static int64_t reserve(struct mfs__handle *handle, struct mfs__spender *by, size_t size)
{
	struct mfs__file *file = handle->file;
	uint64_t at = mfs__handle_target(handle, handle->position);

	if (at >= (uint64_t)MFS__OFFSET_MAX || at >= MFS__FILE_SIZE_MAX)
		return mfs__fail(MFS_EFBIG, "mfs_reserve");
	int code = mfs__file_admit(handle->fs, file, at);
	if (code)
		return code;
	uint32_t index = mfs__chunk_index(at);
	uint64_t left = mfs__chunk_start(index) + mfs__chunk_length(index) - at;
	uint64_t length = size < left ? size : left;
	code = mfs__file_open_up(by, file, at, at + length);
	if (code)
		return code;
	handle->reserved_at = at;
	handle->reserved = length;
	return (int64_t)length;
}

int64_t mfs_reserve(mfs_file *file, size_t size, void **data)
{
	struct mfs__access access;
	struct mfs__spender by = {.waited = false};
	int64_t result;

	if (!data)
		return mfs__fail(MFS_EINVAL, "mfs_reserve: NULL");
	*data = NULL;
	if (size == 0)
		return mfs__fail(MFS_EINVAL, "mfs_reserve: size 0");
	do {
		result = mfs__access_begin(&access, file, true, MFS__MODE_WRITE, MFS__ACCESS_KEPT);
		if (result)
			break;
		struct mfs__handle *handle = access.handle;
		handle->reserved = 0;
		mfs__spender_of_handle(&by, handle);
		result = reserve(handle, &by, size);
		if (result > 0)
			*data =
				run_at(handle->file, handle->reserved_at, handle->reserved_at + handle->reserved)
					.iov_base;
		mfs__access_end_change(&access);
	} while (mfs__spender_again(&by, result));
	mfs__spender_end(&by);
	return result;
}

int mfs_commit(mfs_file *file, size_t size)
{
	struct mfs__access access;

	int code = mfs__access_begin(&access, file, true, MFS__MODE_WRITE, MFS__ACCESS_KEPT);
	if (code)
		return code;
	struct mfs__handle *handle = access.handle;
	if (handle->reserved == 0 || size > handle->reserved) {
		code = mfs__fail(MFS_EINVAL, handle->reserved ? "mfs_commit of more than was reserved"
													  : "mfs_commit without a reservation");
	} else {
		struct mfs__file *data = handle->file;
		uint64_t at = handle->reserved_at;
		uint64_t old = mfs__node_size(&data->node);
		handle->reserved = 0;
		if (size) {
			if (at > old)
				mfs__chunks_clear(&data->chunks, old, at - old);
			mfs__file_written(data, at, at + size);
			handle->position = at + size;
		}
	}
	mfs__access_end(&access);
	return code;
}
