/* SPDX-License-Identifier: MIT */
#include "fs/file_data.h"

#include "base/error.h"

/* So much is worth telling the guard that it is on its way. */
#define PENDING_MIN (UINT64_C(1) << 20)

/*
 * `bytes` are about to be reserved and then written: until they are, a sample of the guard does not
 * see them. Returns what end_pending() wants, once they are written, or not.
 */
static int64_t begin_pending(struct mfs__spender *by, uint64_t bytes)
{
	if (mfs__likely(!by->fs->is_guarded || bytes < PENDING_MIN))
		return 0;
	mfs__count(&by->fs->counters[mfs__stripe()].pending, (int64_t)bytes);
	return (int64_t)bytes;
}

static void end_pending(struct mfs__spender *by, int64_t pending)
{
	if (mfs__unlikely(pending))
		mfs__count(&by->fs->counters[mfs__stripe()].pending, -pending);
}

/*
 * Make the bytes from `from` to `to` ready to be written, all of them. Growing may take memory
 * ahead; closing looks whether there is any to give back.
 */
static int prepare(struct mfs__spender *by, struct mfs__file *file, uint64_t used, uint64_t from,
				   uint64_t to)
{
	struct mfs__chunk_account account = mfs__account(by);
	int code = mfs__chunks_prepare(&file->chunks, &account, used, from, to);

	if (!code)
		atomic_store_explicit(&file->node.has_slack, true, memory_order_relaxed);
	return code;
}

int mfs__file_extend(struct mfs__spender *by, struct mfs__file *file, uint64_t size)
{
	uint64_t old = mfs__node_size(&file->node);
	int64_t pending = begin_pending(by, size - old);
	int code = prepare(by, file, old, old, size);

	if (!code) {
		mfs__chunks_clear(&file->chunks, old, size - old);
		mfs__node_modify(&file->node, size, 1);
	}
	end_pending(by, pending);
	return code;
}

void mfs__file_shorten(struct mfs__spender *by, struct mfs__file *file, uint64_t size)
{
	struct mfs__chunk_account account = mfs__account(by);

	mfs__chunks_shrink(&file->chunks, &account, size);
	mfs__node_modify(&file->node, size, 1);
}

int mfs__file_replace_by_zeros(struct mfs__spender *by, struct mfs__file *file, uint64_t size)
{
	uint64_t old = mfs__node_size(&file->node);
	struct mfs__chunk_account account = mfs__account(by);
	int64_t pending = begin_pending(by, size);
	/* What lies behind is not needed any more. */
	int code = prepare(by, file, size < old ? size : old, 0, size);

	if (!code) {
		mfs__chunks_clear(&file->chunks, 0, size);
		if (size < old)
			mfs__chunks_shrink(&file->chunks, &account, size);
		mfs__node_modify(&file->node, size, 1);
	}
	end_pending(by, pending);
	return code;
}

int mfs__file_admit(mfs *fs, struct mfs__file *file, uint64_t offset)
{
	uint64_t size = mfs__node_size(&file->node);

	if (mfs__likely(offset == size || file->node.storage == MFS_STORAGE_RANDOM_ACCESS))
		return 0;
	if (file->node.storage == MFS_STORAGE_SEQUENTIAL)
		return mfs__fail(MFS_ENOTSUP, "write not at the end of a sequential file");
	if (size > fs->promotion_hard_limit)
		return mfs__fail(MFS_ENOTSUP, "write not at the end of a file past promotion_hard_limit");
	return 0;
}

void mfs__file_written(struct mfs__file *file, uint64_t offset, uint64_t end)
{
	uint64_t size = mfs__node_size(&file->node);

	/* A change of the mode and nothing else: the chunks serve both. */
	if (offset != size)
		file->node.storage = MFS_STORAGE_RANDOM_ACCESS;
	mfs__node_modify(&file->node, end > size ? end : size, 1);
}

/* Write what does not fit as it is, or not into one chunk. */
static int write_at_length(struct mfs__spender *by, struct mfs__file *file, uint64_t offset,
						   const struct iovec *vector, int count, size_t length)
{
	uint64_t old = mfs__node_size(&file->node);
	uint64_t end = offset + length;
	uint64_t from = offset < old ? offset : old; /* a gap is filled, too */
	int64_t pending = 0;
	int code = 0;

	if (!mfs__chunks_are_ready(&file->chunks, from, end)) {
		pending = begin_pending(by, end - from);
		code = prepare(by, file, old, from, end);
	}
	if (!code) {
		if (offset > old)
			mfs__chunks_clear(&file->chunks, old, offset - old);
		for (int i = 0; i < count; i++) {
			mfs__chunks_write(&file->chunks, offset, vector[i].iov_base, vector[i].iov_len);
			offset += vector[i].iov_len;
		}
	}
	end_pending(by, pending);
	return code;
}

int mfs__file_write(struct mfs__spender *by, struct mfs__file *file, uint64_t offset,
					const struct iovec *vector, int count, size_t length)
{
	int code = mfs__file_admit(by->fs, file, offset);

	if (mfs__unlikely(code))
		return code;
	if (count != 1 || offset > mfs__node_size(&file->node) ||
		!mfs__chunks_write_at_once(&file->chunks, offset, vector->iov_base, length)) {
		code = write_at_length(by, file, offset, vector, count, length);
		if (code)
			return code;
	}
	mfs__file_written(file, offset, offset + length);
	return 0;
}

bool mfs__file_ends_with(struct mfs__file *file, uint32_t index, uint64_t end)
{
	return index + 1 >= file->chunks.count && end >= mfs__node_size(&file->node);
}

/* Copy what the splice does not bring. */
static void copy_from_source(struct mfs__file *file, uint64_t offset, uint64_t end,
							 const struct mfs__splice *splice, mfs__source *source, void *user)
{
	for (uint64_t at = offset; at < end;) {
		uint32_t index = mfs__chunk_index(at);
		uint64_t stop = mfs__chunk_start(index) + mfs__chunk_length(index);
		if (stop > end)
			stop = end;
		size_t part;
		for (; !mfs__splice_has(splice, index) && at < stop; at += part) {
			const unsigned char *from = source(user, at - offset, stop - at, &part);
			mfs__chunks_write(&file->chunks, at, from, part);
		}
		at = stop;
	}
}

int mfs__file_splice(struct mfs__spender *by, struct mfs__file *file, uint64_t offset,
					 uint64_t length, const struct mfs__splice *splice, mfs__source *source,
					 void *user)
{
	struct mfs__chunk_account account = mfs__account(by);
	uint64_t old = mfs__node_size(&file->node);
	uint64_t end = offset + length;

	int code = mfs__file_admit(by->fs, file, offset);
	if (code)
		return code;
	int64_t pending = begin_pending(by, length);
	code =
		mfs__chunks_splice(&file->chunks, &account, old, offset < old ? offset : old, end, splice);
	if (!code) {
		atomic_store_explicit(&file->node.has_slack, true, memory_order_relaxed);
		if (offset > old)
			mfs__chunks_clear(&file->chunks, old, offset - old);
		copy_from_source(file, offset, end, splice, source, user);
		mfs__file_written(file, offset, end);
	}
	end_pending(by, pending);
	return code;
}

int mfs__file_open_up(struct mfs__spender *by, struct mfs__file *file, uint64_t offset,
					  uint64_t end)
{
	static const struct mfs__splice in_place = {.keeps = true};
	struct mfs__chunk_account account = mfs__account(by);
	uint64_t old = mfs__node_size(&file->node);
	uint64_t from = offset < old ? offset : old;

	if (mfs__chunks_are_ready(&file->chunks, from, end))
		return 0;
	int code = mfs__chunks_splice(&file->chunks, &account, old, from, end, &in_place);
	if (!code)
		atomic_store_explicit(&file->node.has_slack, true, memory_order_relaxed);
	return code;
}

bool mfs__file_can_overwrite(struct mfs__file *file, uint64_t offset, size_t length)
{
	uint64_t size = mfs__node_size(&file->node);

	return file->node.storage == MFS_STORAGE_RANDOM_ACCESS && offset < size &&
		   length <= size - offset && mfs__chunks_are_ready(&file->chunks, offset, offset + length);
}

void mfs__file_overwrite(struct mfs__file *file, struct mfs__parallel *parallel, uint64_t offset,
						 const struct iovec *vector, int count)
{
	for (int i = 0; i < count; i++) {
		mfs__parallel_write(parallel, &file->chunks, offset, vector[i].iov_base, vector[i].iov_len);
		offset += vector[i].iov_len;
	}
}

void mfs__file_trim(struct mfs__spender *by, struct mfs__file *file)
{
	if (!atomic_load_explicit(&file->node.has_slack, memory_order_relaxed))
		return;
	struct mfs__chunk_account account = mfs__account(by);
	mfs__chunks_trim(&file->chunks, &account, mfs__node_size(&file->node));
	atomic_store_explicit(&file->node.has_slack, false, memory_order_relaxed);
}

int mfs__file_clone(mfs *fs, struct mfs__file *from, struct mfs__file *to, unsigned generation)
{
	struct mfs__spender by;
	uint64_t size = mfs__node_size(&from->node);

	mfs__spender_init(&by, fs);
	struct mfs__chunk_account account = mfs__account(&by);
	int code = mfs__chunks_clone(&from->chunks, &to->chunks, &account, size);

	if (code)
		return code;
	to->node.storage = from->node.storage;
	mfs__node_modify(&to->node, size, generation);
	return 0;
}
