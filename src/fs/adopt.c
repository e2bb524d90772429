/* SPDX-License-Identifier: MIT */
/* Writing a buffer by taking it over. */
#include "base/alloc.h"
#include "base/error.h"
#include "file/adopted.h"
#include "file/chunk_share.h"
#include "fs/access.h"
#include "fs/file_data.h"

/* Chunks of a buffer without memory to list them in. */
#define FEW 16

struct adoption {
	unsigned char *buffer;
	size_t length;
	struct mfs__adopted *adopted;
	struct mfs__splice splice;
	struct mfs__chunk few[FEW];
};

static const unsigned char *buffer_at(void *user, uint64_t at, uint64_t length, size_t *part)
{
	const struct adoption *a = user;

	*part = (size_t)length;
	return a->buffer + at;
}

static uint32_t count_of(const struct adoption *a)
{
	return a->splice.end - a->splice.first;
}

static void forget_chunks(struct adoption *a)
{
	if (a->splice.chunks != a->few)
		mfs__free(a->splice.chunks, (size_t)count_of(a) * sizeof *a->splice.chunks);
}

/* Which chunks of the file lie in the buffer, when it is written at `at`. */
static void find_chunks(struct adoption *a, struct mfs__file *file, uint64_t at)
{
	uint64_t end = at + a->length;
	uint32_t first = mfs__chunk_index(at);

	if (mfs__chunk_start(first) < at)
		first++;
	uint32_t stop = mfs__chunk_index(end - 1) + 1;
	/* The last one may only be shorter than a chunk if nothing comes behind it. */
	if (mfs__chunk_start(stop - 1) + mfs__chunk_length(stop - 1) > end &&
		!mfs__file_ends_with(file, stop - 1, end))
		stop--;
	a->splice.first = first;
	a->splice.end = stop > first ? stop : first;
}

/* Make chunks of the buffer. Returns false, with nothing done, when there is no memory. */
static bool make_chunks(struct adoption *a, uint64_t at)
{
	struct mfs__shares fresh = {0, 0, 0};
	uint32_t count = count_of(a);
	uint64_t end = at + a->length;
	uint32_t made = 0;

	a->splice.chunks = a->few;
	if (count > FEW)
		a->splice.chunks = mfs__alloc((size_t)count * sizeof *a->splice.chunks);
	if (!a->splice.chunks)
		return false;
	if (!mfs__shares_take(&fresh, count)) {
		forget_chunks(a);
		return false;
	}
	for (; made < count && mfs__adopted_room(fresh.first); made++) {
		uint32_t index = a->splice.first + made;
		uint64_t start = mfs__chunk_start(index);
		uint32_t length = mfs__chunk_length(index);
		uint32_t share = mfs__share_begin(&fresh) | MFS__SHARE_ADOPTED;
		mfs__adopted_use(a->adopted, share);
		a->splice.chunks[made] =
			(struct mfs__chunk){a->buffer + (start - at),
								end - start < length ? (uint32_t)(end - start) : length, share};
	}
	if (made == count)
		return true;
	for (uint32_t i = 0; i < made; i++)
		mfs__shares_add(&fresh, a->splice.chunks[i].share);
	mfs__shares_give(&fresh);
	forget_chunks(a);
	return false;
}

/* The file did not take the chunks. */
static void give_up_chunks(struct adoption *a)
{
	struct mfs__shares unused = {0, 0, 0};

	for (uint32_t i = 0; i < count_of(a); i++)
		mfs__shares_add(&unused, a->splice.chunks[i].share);
	mfs__shares_give(&unused);
	forget_chunks(a);
}

static int adopt(struct mfs__handle *handle, struct mfs__spender *by, struct adoption *a,
				 uint64_t at)
{
	find_chunks(a, handle->file, at);
	if (!make_chunks(a, at))
		return mfs__fail(MFS_ENOMEM, "mfs_write_adopt");
	int code = mfs__file_splice(by, handle->file, at, a->length, &a->splice, buffer_at, a);
	if (code)
		give_up_chunks(a);
	else
		forget_chunks(a);
	return code;
}

/* Write the buffer at the cursor, with access to the file. */
static int write_adopted(struct mfs__handle *handle, struct mfs__spender *by, struct adoption *a,
						 mfs_release *release, void *user)
{
	uint64_t at = mfs__handle_target(handle, handle->position);

	if (a->length > (uint64_t)MFS__OFFSET_MAX - at)
		return mfs__fail(MFS_EFBIG, "mfs_write_adopt");
	a->adopted = mfs__adopted_new(a->buffer, a->length, release, user);
	if (!a->adopted)
		return mfs__fail(MFS_ENOMEM, "mfs_write_adopt");
	int code = adopt(handle, by, a, at);
	if (code) {
		mfs__adopted_forget(a->adopted);
		return code;
	}
	handle->position = at + a->length;
	mfs__adopted_drop(a->adopted);
	return 0;
}

int64_t mfs_write_adopt(mfs_file *file, void *buffer, size_t length, mfs_release *release,
						void *user)
{
	struct mfs__access access;
	struct mfs__spender by = {.waited = false};
	struct adoption a = {.buffer = buffer, .length = length};
	int code;

	if (!buffer || length == 0)
		return mfs__fail(MFS_EINVAL, "mfs_write_adopt");
	do {
		code = mfs__access_begin(&access, file, true, MFS__MODE_WRITE, MFS__ACCESS_CHANGE);
		if (code)
			break;
		struct mfs__handle *handle = access.handle;
		handle->reserved = 0;
		mfs__spender_of_handle(&by, handle);
		code = write_adopted(handle, &by, &a, release, user);
		mfs__access_end_change(&access);
	} while (mfs__spender_again(&by, code));
	mfs__spender_end(&by);
	return code ? code : (int64_t)length;
}
