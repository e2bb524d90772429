/* SPDX-License-Identifier: MIT */
/*
 * Copying between open files.
 *
 * The source's chunks are held by a snapshot; then the source is let go, and the other file is
 * written. So no call has the locks of two handles or two files, and the order in which others take
 * them does not matter.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "fs/access.h"
#include "fs/file_data.h"
#include "fs/snapshot.h"

struct range_copy {
	struct mfs__held_snapshot held;
	uint64_t from; /* where in the source the range begins */
};

static const unsigned char *source_at(void *user, uint64_t at, uint64_t length, size_t *part)
{
	const struct range_copy *copy = user;

	return mfs__snapshot_at(&copy->held.snapshot, copy->from + at, length, part);
}

/* Chunks that are taken over without memory to list them in. */
#define FEW 16

/* The chunk of the snapshot that begins where chunk `index` of the other file does, or NULL. */
static struct mfs__chunk *chunk_for(struct range_copy *copy, uint32_t index, uint64_t to)
{
	struct mfs__snapshot *snapshot = &copy->held.snapshot;
	uint64_t start = mfs__chunk_start(index);

	if (start < to)
		return NULL;
	uint64_t from = start - to + copy->from;
	uint32_t source = mfs__chunk_index(from);
	return mfs__chunk_start(source) == from ? &snapshot->chunks[source - snapshot->first] : NULL;
}

/* Can it take that chunk's place when `length` bytes are written at `to`? */
static bool fits(const struct range_copy *copy, const struct mfs__chunk *chunk,
				 struct mfs__file *file, uint32_t index, uint64_t to, uint64_t length)
{
	const struct mfs__snapshot *snapshot = &copy->held.snapshot;
	uint32_t source = snapshot->first + (uint32_t)(chunk - snapshot->chunks);
	uint64_t end = to + length;
	uint64_t used = end - mfs__chunk_start(index);

	if (mfs__chunk_length(source) != mfs__chunk_length(index))
		return false;
	if (used >= mfs__chunk_length(index))
		return true;
	/* The last one: if the file does not go on behind it, and is not charged for more by it. */
	return mfs__file_ends_with(file, index, end) && chunk->capacity == used;
}

static int write_range(struct range_copy *copy, struct mfs__handle *handle, struct mfs__spender *by,
					   uint64_t to, uint64_t length)
{
	struct mfs__chunk few[FEW];
	struct mfs__file *file = handle->file;
	uint32_t first = mfs__chunk_index(to);
	uint32_t count = mfs__chunk_index(to + length - 1) + 1 - first;
	struct mfs__splice splice = {.chunks = few, .first = first};

	/* Chunks do not leave the memory of their workspace. Without memory for the list, bytes are
	 * copied. */
	if (handle->fs == copy->held.fs) {
		if (count > FEW)
			splice.chunks = mfs__alloc((size_t)count * sizeof *splice.chunks);
		if (splice.chunks)
			splice.end = first + count;
	}
	for (uint32_t i = first; i < splice.end; i++) {
		const struct mfs__chunk *chunk = chunk_for(copy, i, to);
		splice.chunks[i - first] = chunk && fits(copy, chunk, file, i, to, length)
									   ? *chunk
									   : (struct mfs__chunk){NULL, 0, 0};
	}
	int code = mfs__file_splice(by, file, to, length, &splice, source_at, copy);
	/* The file holds them now. */
	for (uint32_t i = first; !code && i < splice.end; i++)
		if (splice.chunks[i - first].bytes)
			chunk_for(copy, i, to)->bytes = NULL;
	if (splice.chunks != few)
		mfs__free(splice.chunks, (size_t)count * sizeof *splice.chunks);
	return code;
}

int64_t mfs_copy_range(mfs_file *from, int64_t from_offset, mfs_file *to, int64_t to_offset,
					   int64_t size)
{
	struct mfs__access access;
	struct mfs__spender by = {.waited = false};
	struct range_copy copy;
	int code;

	if (from_offset < 0 || to_offset < 0 || size < 0)
		return mfs__fail(MFS_EINVAL, "mfs_copy_range: negative offset or size");
	copy.from = (uint64_t)from_offset;
	int64_t length = mfs__snapshot_hold(&copy.held, from, copy.from, (uint64_t)size);
	if (length < 0)
		return length;
	do {
		code = mfs__access_begin(&access, to, true, MFS__MODE_WRITE, MFS__ACCESS_CHANGE);
		if (code)
			break;
		struct mfs__handle *handle = access.handle;
		uint64_t at = mfs__handle_target(handle, (uint64_t)to_offset);
		handle->reserved = 0;
		mfs__spender_of_handle(&by, handle);
		if ((uint64_t)length > (uint64_t)MFS__OFFSET_MAX - at)
			code = mfs__fail(MFS_EFBIG, "mfs_copy_range");
		else if (length)
			code = write_range(&copy, handle, &by, at, (uint64_t)length);
		mfs__access_end(&access);
	} while (mfs__spender_again(&by, code));
	mfs__spender_end(&by);
	mfs__snapshot_release(&copy.held);
	mfs__guard_notice();
	return code ? code : length;
}
