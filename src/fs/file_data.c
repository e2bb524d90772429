/* SPDX-License-Identifier: MIT */
#include "fs/file_data.h"

#include "base/error.h"

/*
 * Make the bytes from `from` to `to` ready to be written, all of them. Growing may take memory
 * ahead; closing looks whether there is any to give back.
 */
static int prepare(mfs *fs, struct mfs__file *file, uint64_t used, uint64_t from, uint64_t to)
{
	struct mfs__chunk_account account = mfs__account(fs);
	int code = mfs__chunks_prepare(&file->chunks, &account, used, from, to);

	if (!code)
		atomic_store_explicit(&file->node.has_slack, true, memory_order_relaxed);
	return code;
}

int mfs__file_extend(mfs *fs, struct mfs__file *file, uint64_t size)
{
	uint64_t old = mfs__node_size(&file->node);
	int code = prepare(fs, file, old, old, size);

	if (code)
		return code;
	mfs__chunks_clear(&file->chunks, old, size - old);
	mfs__node_modify(&file->node, size, 1);
	return 0;
}

void mfs__file_shorten(mfs *fs, struct mfs__file *file, uint64_t size)
{
	struct mfs__chunk_account account = mfs__account(fs);

	mfs__chunks_shrink(&file->chunks, &account, size);
	mfs__node_modify(&file->node, size, 1);
}

int mfs__file_replace_by_zeros(mfs *fs, struct mfs__file *file, uint64_t size)
{
	uint64_t old = mfs__node_size(&file->node);
	struct mfs__chunk_account account = mfs__account(fs);
	/* What lies behind is not needed any more. */
	int code = prepare(fs, file, size < old ? size : old, 0, size);

	if (code)
		return code;
	mfs__chunks_clear(&file->chunks, 0, size);
	if (size < old)
		mfs__chunks_shrink(&file->chunks, &account, size);
	mfs__node_modify(&file->node, size, 1);
	return 0;
}

/* May the file be written somewhere else than at its end? Returns 0, or MFS_ENOTSUP, noted. */
static int check_promotion(mfs *fs, struct mfs__file *file, uint64_t size)
{
	if (file->node.storage == MFS_STORAGE_SEQUENTIAL)
		return mfs__fail(MFS_ENOTSUP, "write not at the end of a sequential file");
	if (size > fs->promotion_hard_limit)
		return mfs__fail(MFS_ENOTSUP, "write not at the end of a file past promotion_hard_limit");
	return 0;
}

int mfs__file_write(mfs *fs, struct mfs__file *file, uint64_t offset, const struct iovec *vector,
					int count, size_t length)
{
	uint64_t old = mfs__node_size(&file->node);
	uint64_t end = offset + length;
	uint64_t size = end > old ? end : old;

	bool promotes = offset != old && file->node.storage != MFS_STORAGE_RANDOM_ACCESS;
	int code = promotes ? check_promotion(fs, file, old) : 0;
	if (code)
		return code;
	if (count != 1 || offset > old ||
		!mfs__chunks_write_at_once(&file->chunks, offset, vector->iov_base, length)) {
		uint64_t from = offset < old ? offset : old; /* a gap is filled, too */
		if (!mfs__chunks_are_ready(&file->chunks, from, end))
			code = prepare(fs, file, old, from, end);
		if (code)
			return code;
		if (offset > old)
			mfs__chunks_clear(&file->chunks, old, offset - old);
		for (int i = 0; i < count; i++) {
			mfs__chunks_write(&file->chunks, offset, vector[i].iov_base, vector[i].iov_len);
			offset += vector[i].iov_len;
		}
	}
	if (promotes)
		file->node.storage = MFS_STORAGE_RANDOM_ACCESS;
	mfs__node_modify(&file->node, size, 1);
	return 0;
}

void mfs__file_trim(mfs *fs, struct mfs__file *file)
{
	if (!atomic_load_explicit(&file->node.has_slack, memory_order_relaxed))
		return;
	struct mfs__chunk_account account = mfs__account(fs);
	mfs__chunks_trim(&file->chunks, &account, mfs__node_size(&file->node));
	atomic_store_explicit(&file->node.has_slack, false, memory_order_relaxed);
}

int mfs__file_clone(mfs *fs, struct mfs__file *from, struct mfs__file *to, unsigned generation)
{
	struct mfs__chunk_account account = mfs__account(fs);
	uint64_t size = mfs__node_size(&from->node);
	int code = mfs__chunks_clone(&from->chunks, &to->chunks, &account, size);

	if (code)
		return code;
	to->node.storage = from->node.storage;
	mfs__node_modify(&to->node, size, generation);
	return 0;
}
