/* SPDX-License-Identifier: MIT */
/* Chunks that more than one list holds, and how they come to that: copies and snapshots. */
#include "base/alloc.h"
#include "base/error.h"
#include "file/chunk_memory.h"

#include <dmemfs/dmemfs.h>

#include <inttypes.h>
#include <string.h>

/*
 * Share `count` chunks from number `start` on: the first one goes to *first, the others to `rest`.
 * The lock of the list's file is held, at least shared. Returns false, with nothing done, without
 * memory.
 */
static bool share_chunks(struct mfs__chunk_list *list, uint32_t start, uint32_t count,
						 struct mfs__chunk *first, struct mfs__chunk *rest)
{
	struct mfs__shares fresh = {0, 0, 0};
	uint32_t unmarked = 0;

	for (uint32_t i = 0; i < count; i++)
		unmarked += mfs__chunk_share(mfs__chunk_at(list, start + i)) == 0;
	if (!mfs__shares_take(&fresh, unmarked))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		struct mfs__chunk *chunk = mfs__chunk_at(list, start + i);
		uint32_t share = mfs__share_join(&chunk->share, &fresh);
		*(i == 0 ? first : &rest[i - 1]) =
			(struct mfs__chunk){chunk->bytes, chunk->capacity, share};
	}
	/* Left over where other threads were faster. */
	mfs__shares_give(&fresh);
	return true;
}

int mfs__chunks_clone(struct mfs__chunk_list *from, struct mfs__chunk_list *to,
					  const struct mfs__chunk_account *account, uint64_t size)
{
	struct mfs__chunk_list copy = {0};
	struct mfs__chunk last_copy = {0};

	if (size == 0)
		return 0;
	uint32_t last = mfs__chunk_index(size - 1);
	const struct mfs__chunk *last_of_all = mfs__chunk_at(from, last);
	uint32_t used = (uint32_t)(size - mfs__chunk_start(last));
	bool copies_last = last_of_all->capacity - used > used / MFS__ROOM_KEPT;
	uint64_t exact = mfs__charge_of(last + 1, used, account->overhead);
	uint64_t amount = exact;
	if (!copies_last)
		amount = mfs__charge_of(last + 1, last_of_all->capacity, account->overhead);
	int code = mfs__payer_reserve(account->payer, amount);
	if (code && amount > exact) {
		/* Without the room that the last chunk has it may fit. */
		copies_last = true;
		amount = exact;
		code = mfs__payer_reserve(account->payer, amount);
	}
	if (code)
		return mfs__fail_charge(
			account, code,
			"copy of %" PRIu64 " bytes refused: %" PRIu64 " of %" PRIu64 " bytes free", size);

	/* All that can fail comes before the first chunk is shared. */
	if (last > 0) {
		copy.rest = mfs__arena_alloc(account->arena, (size_t)last * sizeof *copy.rest);
		if (!copy.rest)
			goto fail;
		copy.rest_room = last & ((UINT32_C(1) << 30) - 1);
	}
	if (copies_last) {
		last_copy = (struct mfs__chunk){mfs__bytes_alloc(account->arena, used), used, 0};
		if (!last_copy.bytes)
			goto fail;
		memcpy(last_copy.bytes, last_of_all->bytes, used);
	}
	if (!share_chunks(from, 0, copies_last ? last : last + 1, &copy.first, copy.rest))
		goto fail;
	copy.count = last + 1;
	if (copies_last) {
		*mfs__chunk_at(&copy, last) = last_copy;
	} else {
		/* The same room at the end was left for the same reason. */
		copy.was_trimmed = from->was_trimmed;
		copy.was_regrown = from->was_regrown;
	}
	*to = copy;
	mfs__count_chunks(account, copy.count);
	return 0;

fail:
	if (last_copy.bytes)
		mfs__bytes_free(account->arena, last_copy.bytes, used);
	if (copy.rest)
		mfs__arena_free(account->arena, copy.rest, (size_t)copy.rest_room * sizeof *copy.rest);
	mfs__payer_release(account->payer, amount);
	return mfs__fail(MFS_ENOMEM, "copy of a file");
}

int mfs__chunks_snapshot(struct mfs__chunk_list *list, uint64_t from, uint64_t to,
						 struct mfs__snapshot *out)
{
	out->first = 0;
	out->count = 0;
	out->chunks = out->few;
	if (to <= from)
		return 0;
	uint32_t first = mfs__chunk_index(from);
	uint32_t count = mfs__chunk_index(to - 1) + 1 - first;
	struct mfs__chunk *chunks = out->few;
	if (count > MFS__SNAPSHOT_FEW)
		chunks = mfs__alloc((size_t)count * sizeof *chunks);
	if (!chunks)
		return mfs__fail(MFS_ENOMEM, "snapshot of a file");
	if (!share_chunks(list, first, count, chunks, chunks + 1)) {
		if (chunks != out->few)
			mfs__free(chunks, (size_t)count * sizeof *chunks);
		return mfs__fail(MFS_ENOMEM, "snapshot of a file");
	}
	out->chunks = chunks;
	out->first = first;
	out->count = count;
	return 0;
}

const unsigned char *mfs__snapshot_at(const struct mfs__snapshot *snapshot, uint64_t offset,
									  uint64_t length, size_t *part)
{
	uint32_t index = mfs__chunk_index(offset);
	const struct mfs__chunk *chunk = &snapshot->chunks[index - snapshot->first];
	size_t skip = (size_t)(offset - mfs__chunk_start(index));
	size_t left = chunk->capacity - skip;

	*part = length < left ? (size_t)length : left;
	return chunk->bytes + skip;
}

void mfs__snapshot_drop(struct mfs__snapshot *snapshot, struct mfs__arena *arena)
{
	struct mfs__shares ended = {0, 0, 0};

	for (uint32_t i = 0; i < snapshot->count; i++)
		if (snapshot->chunks[i].bytes)
			mfs__chunk_drop(arena, &snapshot->chunks[i], &ended);
	mfs__shares_give(&ended);
	if (snapshot->chunks != snapshot->few)
		mfs__free(snapshot->chunks, (size_t)snapshot->count * sizeof *snapshot->chunks);
	snapshot->chunks = snapshot->few;
	snapshot->count = 0;
}
