/* SPDX-License-Identifier: MIT */
#include "file/chunk_list.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/huge_block.h"
#include "base/page_pool.h"
#include "file/chunk_share.h"

#include <dmemfs/dmemfs.h>

#include <inttypes.h>
#include <string.h>

/*
 * The part of what its last chunk holds that a file keeps as room when it is appended to by one
 * open after another, and that is not worth a copy of a shared one.
 */
#define ROOM_KEPT 8
/* Below this, a first chunk that grows is not worth an allocation of its own. */
#define SMALLEST_GROWTH 64
/* Copies of shared chunks that one write makes without memory to list them in. */
#define FEW_COPIES 16

_Static_assert(MFS__HUGE_SIZE == (size_t)1 << MFS__CHUNK_LAST_SHIFT,
			   "the largest chunk is a block");

/* What a list is to become. */
struct growth {
	uint32_t count;         /* chunks */
	uint32_t last_capacity; /* of the last of them */
};

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t mfs__chunks_capacity(struct mfs__chunk_list *list)
{
	if (list->count == 0)
		return 0;
	uint32_t last = list->count - 1;
	return mfs__chunk_start(last) + mfs__chunk_at(list, last)->capacity;
}

uint64_t mfs__chunks_charge(struct mfs__chunk_list *list, uint64_t overhead)
{
	return mfs__chunks_capacity(list) + overhead * list->count;
}

static uint64_t charge_of(struct growth growth, uint64_t overhead)
{
	return mfs__chunk_start(growth.count - 1) + growth.last_capacity + overhead * growth.count;
}

static void count_chunks(const struct mfs__chunk_account *account, int64_t change)
{
	if (change)
		atomic_fetch_add_explicit(account->counter, change, memory_order_relaxed);
}

/* Just enough for `size` bytes. */
static struct growth exact_growth(uint64_t size)
{
	uint32_t last = mfs__chunk_index(size - 1);

	return (struct growth){last + 1, (uint32_t)(size - mfs__chunk_start(last))};
}

/* The same with room ahead: the last chunk whole, or the first one twice as large as it was. */
static struct growth growth_ahead(struct mfs__chunk_list *list, struct growth exact)
{
	uint32_t last = exact.count - 1;
	struct growth ahead = {exact.count, mfs__chunk_length(last)};

	if (last == 0) {
		uint32_t doubled = 2 * list->first.capacity;
		if (doubled && doubled < SMALLEST_GROWTH)
			doubled = SMALLEST_GROWTH;
		if (doubled < exact.last_capacity)
			doubled = exact.last_capacity;
		ahead.last_capacity = min_u32(doubled, ahead.last_capacity);
	}
	return ahead;
}

static bool make_rest_room(struct mfs__chunk_list *list, uint32_t count)
{
	if (count <= 1 || count - 1 <= list->rest_room)
		return true;
	uint32_t room = list->rest_room ? list->rest_room : 4;
	while (room < count - 1)
		room = room > MFS__CHUNKS_MAX / 2 ? MFS__CHUNKS_MAX : 2 * room;
	size_t size = (size_t)room * sizeof *list->rest;
	struct mfs__chunk *rest =
		list->rest ? mfs__realloc(list->rest, (size_t)list->rest_room * sizeof *rest, size)
				   : mfs__alloc(size);
	if (!rest)
		return false;
	list->rest = rest;
	list->rest_room = room & ((UINT32_C(1) << 30) - 1);
	return true;
}

/* Does memory of this size come from the page pool or the huge blocks, not from the allocator? */
static bool is_pooled(uint32_t capacity)
{
	return capacity == MFS__PAGE_SIZE || capacity == MFS__HUGE_SIZE;
}

static unsigned char *bytes_alloc(uint32_t capacity)
{
	if (capacity == MFS__PAGE_SIZE)
		return mfs__page_alloc();
	return capacity == MFS__HUGE_SIZE ? mfs__huge_alloc() : mfs__alloc(capacity);
}

static void bytes_free(unsigned char *bytes, uint32_t capacity)
{
	if (capacity == MFS__PAGE_SIZE)
		mfs__page_free(bytes);
	else if (capacity == MFS__HUGE_SIZE)
		mfs__huge_free(bytes);
	else
		mfs__free(bytes, capacity);
}

static uint32_t share_of(const struct mfs__chunk *chunk)
{
	return atomic_load_explicit(&chunk->share, memory_order_relaxed);
}

/* Are the bytes the list's own, or again so because no other list holds them any more? */
static bool is_own(struct mfs__chunk *chunk)
{
	uint32_t share = share_of(chunk);

	if (!share)
		return true;
	if (!mfs__share_is_mine(share))
		return false;
	struct mfs__shares unused = {0, 0, 0};
	mfs__shares_add(&unused, share);
	mfs__shares_give(&unused);
	atomic_store_explicit(&chunk->share, 0, memory_order_relaxed);
	return true;
}

/* Let go of a chunk's bytes. A share that thereby ends is added to `ended`. */
static void drop_bytes(struct mfs__chunk *chunk, struct mfs__shares *ended)
{
	uint32_t share = share_of(chunk);

	if (share) {
		if (!mfs__share_drop(share))
			return;
		mfs__shares_add(ended, share);
	}
	bytes_free(chunk->bytes, chunk->capacity);
}

/* Let bytes that nobody else holds take the place of a chunk's. */
static void replace_bytes(struct mfs__chunk *chunk, unsigned char *bytes, uint32_t capacity,
						  struct mfs__shares *ended)
{
	drop_bytes(chunk, ended);
	chunk->bytes = bytes;
	chunk->capacity = capacity;
	atomic_store_explicit(&chunk->share, 0, memory_order_relaxed);
}

static void free_chunks(struct mfs__chunk_list *list, uint32_t from, uint32_t to)
{
	struct mfs__shares ended = {0, 0, 0};

	for (uint32_t i = from; i < to; i++)
		replace_bytes(mfs__chunk_at(list, i), NULL, 0, &ended);
	mfs__shares_give(&ended);
}

static void free_rest_if_unused(struct mfs__chunk_list *list)
{
	if (list->count <= 1 && list->rest) {
		mfs__free(list->rest, (size_t)list->rest_room * sizeof *list->rest);
		list->rest = NULL;
		list->rest_room = 0;
	}
}

/*
 * Change a chunk's capacity, keeping the first `keep` bytes; those of a shared chunk stay behind.
 * Returns false if there is no memory for it.
 */
static bool resize_chunk(struct mfs__chunk *chunk, uint32_t capacity, uint32_t keep)
{
	if (chunk->capacity == capacity)
		return true;
	if (!is_pooled(chunk->capacity) && !is_pooled(capacity) && is_own(chunk)) {
		unsigned char *bytes = mfs__realloc(chunk->bytes, chunk->capacity, capacity);
		if (!bytes)
			return false;
		chunk->bytes = bytes;
		chunk->capacity = capacity;
		return true;
	}
	struct mfs__shares ended = {0, 0, 0};
	unsigned char *bytes = bytes_alloc(capacity);
	if (!bytes)
		return false;
	memcpy(bytes, chunk->bytes, keep);
	replace_bytes(chunk, bytes, capacity, &ended);
	mfs__shares_give(&ended);
	return true;
}

/* The capacity that the list's last chunk has after the growth. */
static uint32_t grown_capacity(struct mfs__chunk_list *list, struct growth growth)
{
	return growth.count > list->count ? mfs__chunk_length(list->count - 1) : growth.last_capacity;
}

/*
 * Allocate what the quota has been charged for; bytes from `kept` on need not be kept. Returns
 * false if there is no memory for it.
 */
static bool carry_out(struct mfs__chunk_list *list, struct growth growth, uint64_t kept)
{
	uint32_t old = list->count;
	uint32_t done = old;

	if (!make_rest_room(list, growth.count))
		return false;
	for (; done < growth.count; done++) {
		struct mfs__chunk *chunk = mfs__chunk_at(list, done);
		uint32_t capacity =
			done == growth.count - 1 ? growth.last_capacity : mfs__chunk_length(done);
		unsigned char *bytes = bytes_alloc(capacity);
		if (!bytes)
			goto fail;
		*chunk = (struct mfs__chunk){bytes, capacity, 0};
	}
	/* The former last chunk comes last: extending it is the one step that cannot be taken back. */
	if (old > 0) {
		struct mfs__chunk *last = mfs__chunk_at(list, old - 1);
		uint64_t start = mfs__chunk_start(old - 1);
		uint32_t keep = kept > start ? (uint32_t)min_u64(kept - start, last->capacity) : 0;
		if (!resize_chunk(last, grown_capacity(list, growth), keep))
			goto fail;
	}
	list->count = growth.count;
	if (list->was_trimmed) {
		list->was_trimmed = false;
		list->was_regrown = true;
	}
	return true;

fail:
	free_chunks(list, old, done);
	free_rest_if_unused(list);
	return false;
}

bool mfs__chunks_are_ready(struct mfs__chunk_list *list, uint64_t from, uint64_t to)
{
	uint32_t last = mfs__chunk_index(to - 1);

	if (last >= list->count)
		return false;
	for (uint32_t i = mfs__chunk_index(from); i < last; i++)
		if (share_of(mfs__chunk_at(list, i)))
			return false;
	const struct mfs__chunk *chunk = mfs__chunk_at(list, last);
	return !share_of(chunk) && to - mfs__chunk_start(last) <= chunk->capacity;
}

/* Note that the quota refuses: the format has conversions for the size and two numbers more. */
static int fail_quota(const struct mfs__chunk_account *account, const char *format, uint64_t size)
{
	uint64_t limit = account->quota->limit;

	return mfs__fail_numbers(MFS_EQUOTA, format, size, limit - mfs__quota_used(account->quota),
							 limit);
}

/* Chunks of the list's own that are to take the place of shared ones. */
struct copies {
	uint32_t first;         /* the first chunk that may get one */
	uint32_t end;           /* behind the last one */
	unsigned char **blocks; /* one for each of these; NULL: the chunk stays */
	unsigned char *few[FEW_COPIES];
};

static size_t size_of_blocks(const struct copies *copies)
{
	return (size_t)(copies->end - copies->first) * sizeof *copies->blocks;
}

static void forget_copies(struct copies *copies)
{
	if (copies->blocks && copies->blocks != copies->few)
		mfs__free(copies->blocks, size_of_blocks(copies));
}

static void abandon_copies(struct mfs__chunk_list *list, struct copies *copies)
{
	for (uint32_t i = copies->first; i < copies->end; i++)
		if (copies->blocks[i - copies->first])
			bytes_free(copies->blocks[i - copies->first], mfs__chunk_at(list, i)->capacity);
	forget_copies(copies);
}

static void install_copies(struct mfs__chunk_list *list, struct copies *copies)
{
	struct mfs__shares ended = {0, 0, 0};

	for (uint32_t i = copies->first; i < copies->end; i++) {
		struct mfs__chunk *chunk = mfs__chunk_at(list, i);
		if (copies->blocks[i - copies->first])
			replace_bytes(chunk, copies->blocks[i - copies->first], chunk->capacity, &ended);
	}
	mfs__shares_give(&ended);
	forget_copies(copies);
}

/* Copy what chunk `index` has before `from`, and between `to` and `used`. */
static void copy_outside(struct mfs__chunk_list *list, uint32_t index, unsigned char *target,
						 uint64_t used, uint64_t from, uint64_t to)
{
	const struct mfs__chunk *chunk = mfs__chunk_at(list, index);
	uint64_t start = mfs__chunk_start(index);
	uint64_t end = min_u64(start + chunk->capacity, used);

	if (from > start)
		memcpy(target, chunk->bytes, (size_t)(from - start));
	if (to < end)
		memcpy(target + (to - start), chunk->bytes + (to - start), (size_t)(end - to));
}

/*
 * Get memory for copies of the shared chunks from `first` on, before `end`, with all that is to be
 * kept of them. Returns false, with nothing done, if there is none.
 */
static bool make_copies(struct mfs__chunk_list *list, struct copies *copies, uint64_t used,
						uint64_t from, uint64_t to)
{
	/* Nothing, for a file that shares nothing. */
	while (copies->first < copies->end && is_own(mfs__chunk_at(list, copies->first)))
		copies->first++;
	if (copies->first >= copies->end)
		return true;
	copies->blocks = copies->few;
	if (copies->end - copies->first > FEW_COPIES) {
		copies->blocks = mfs__alloc(size_of_blocks(copies));
		if (!copies->blocks)
			return false;
	}
	memset(copies->blocks, 0, size_of_blocks(copies));
	for (uint32_t i = copies->first; i < copies->end; i++) {
		struct mfs__chunk *chunk = mfs__chunk_at(list, i);
		if (is_own(chunk))
			continue;
		unsigned char *block = bytes_alloc(chunk->capacity);
		if (!block) {
			abandon_copies(list, copies);
			return false;
		}
		copy_outside(list, i, block, used, from, to);
		copies->blocks[i - copies->first] = block;
	}
	return true;
}

int mfs__chunks_prepare(struct mfs__chunk_list *list, const struct mfs__chunk_account *account,
						uint64_t used, uint64_t from, uint64_t to)
{
	struct copies copies = {0};
	struct growth growth = {0};
	uint64_t amount = 0;
	uint32_t old = list->count;

	if (to <= from)
		return 0;
	bool grows = to > mfs__chunks_capacity(list);
	if (grows) {
		if (to > MFS__FILE_SIZE_MAX)
			return mfs__fail(MFS_EFBIG, NULL);
		uint64_t charged = mfs__chunks_charge(list, account->overhead);
		struct growth exact = exact_growth(to);
		growth = growth_ahead(list, exact);
		amount = charge_of(growth, account->overhead) - charged;
		if (!mfs__quota_reserve(account->quota, amount)) {
			growth = exact;
			amount = charge_of(growth, account->overhead) - charged;
			if (!mfs__quota_reserve(account->quota, amount))
				return fail_quota(account,
								  "growth to hold %" PRIu64 " more bytes refused: %" PRIu64
								  " of %" PRIu64 " bytes free",
								  to - used);
		}
	}

	copies.first = mfs__chunk_index(from);
	copies.end = min_u32(mfs__chunk_index(to - 1) + 1, old);
	/* A last chunk that grows is copied by that. */
	if (grows && old && grown_capacity(list, growth) != mfs__chunk_at(list, old - 1)->capacity)
		copies.end = old - 1;
	bool done = make_copies(list, &copies, used, from, to);
	if (done && grows && !carry_out(list, growth, from)) {
		abandon_copies(list, &copies);
		done = false;
	}
	if (!done) {
		mfs__quota_release(account->quota, amount);
		return mfs__fail(MFS_ENOMEM, grows ? "growth of a file" : "write to a copied file");
	}
	install_copies(list, &copies);
	count_chunks(account, (int64_t)list->count - (int64_t)old);
	return 0;
}

int mfs__chunks_clone(struct mfs__chunk_list *from, struct mfs__chunk_list *to,
					  const struct mfs__chunk_account *account, uint64_t size)
{
	struct mfs__shares fresh = {0, 0, 0};
	struct mfs__chunk_list copy = {0};
	uint32_t unmarked = 0;

	if (size == 0)
		return 0;
	struct growth wanted = exact_growth(size);
	uint32_t last = wanted.count - 1;
	const struct mfs__chunk *last_of_all = mfs__chunk_at(from, last);
	uint32_t used = wanted.last_capacity;
	bool copies_last = last_of_all->capacity - used > used / ROOM_KEPT;
	if (!copies_last)
		wanted.last_capacity = last_of_all->capacity;
	uint64_t amount = charge_of(wanted, account->overhead);
	if (!mfs__quota_reserve(account->quota, amount))
		return fail_quota(
			account, "copy of %" PRIu64 " bytes refused: %" PRIu64 " of %" PRIu64 " bytes free",
			size);

	/* All that can fail comes before the first chunk is shared. */
	uint32_t shared = copies_last ? last : last + 1;
	if (last > 0) {
		copy.rest = mfs__alloc((size_t)last * sizeof *copy.rest);
		if (!copy.rest)
			goto fail;
		copy.rest_room = last & ((UINT32_C(1) << 30) - 1);
	}
	if (copies_last) {
		unsigned char *bytes = bytes_alloc(used);
		if (!bytes)
			goto fail;
		memcpy(bytes, last_of_all->bytes, used);
		*mfs__chunk_at(&copy, last) = (struct mfs__chunk){bytes, used, 0};
	}
	for (uint32_t i = 0; i < shared; i++)
		unmarked += share_of(mfs__chunk_at(from, i)) == 0;
	if (!mfs__shares_take(&fresh, unmarked)) {
		if (copies_last)
			bytes_free(mfs__chunk_at(&copy, last)->bytes, used);
		goto fail;
	}
	for (uint32_t i = 0; i < shared; i++) {
		struct mfs__chunk *chunk = mfs__chunk_at(from, i);
		uint32_t share = mfs__share_join(&chunk->share, &fresh);
		*mfs__chunk_at(&copy, i) = (struct mfs__chunk){chunk->bytes, chunk->capacity, share};
	}
	/* Left over where other threads were faster. */
	mfs__shares_give(&fresh);
	copy.count = wanted.count;
	/* The same room at the end was left for the same reason. */
	if (!copies_last) {
		copy.was_trimmed = from->was_trimmed;
		copy.was_regrown = from->was_regrown;
	}
	*to = copy;
	count_chunks(account, copy.count);
	return 0;

fail:
	if (copy.rest)
		mfs__free(copy.rest, (size_t)copy.rest_room * sizeof *copy.rest);
	mfs__quota_release(account->quota, amount);
	return mfs__fail(MFS_ENOMEM, "copy of a file");
}

/* Keep `size` bytes and, in the last chunk, room for `slack` more. */
static void cut(struct mfs__chunk_list *list, const struct mfs__chunk_account *account,
				uint64_t size, uint32_t slack)
{
	uint64_t charged = mfs__chunks_charge(list, account->overhead);
	uint32_t old = list->count;
	uint32_t count = size ? mfs__chunk_index(size - 1) + 1 : 0;

	free_chunks(list, count, old);
	list->count = count;
	if (count > 0) {
		struct mfs__chunk *last = mfs__chunk_at(list, count - 1);
		uint32_t used = (uint32_t)(size - mfs__chunk_start(count - 1));
		uint32_t wanted = used > UINT32_MAX - slack ? UINT32_MAX : used + slack;
		if (wanted < last->capacity) {
			/* Without memory for a smaller block the chunk stays as it is, and charged. */
			if (resize_chunk(last, wanted, used))
				list->was_trimmed = true;
		}
	} else {
		list->was_trimmed = false;
		list->was_regrown = false;
	}
	free_rest_if_unused(list);
	uint64_t now = mfs__chunks_charge(list, account->overhead);
	if (now < charged)
		mfs__quota_release(account->quota, charged - now);
	count_chunks(account, (int64_t)count - (int64_t)old);
}

void mfs__chunks_shrink(struct mfs__chunk_list *list, const struct mfs__chunk_account *account,
						uint64_t size)
{
	if (size < mfs__chunks_capacity(list))
		cut(list, account, size, 0);
}

void mfs__chunks_trim(struct mfs__chunk_list *list, const struct mfs__chunk_account *account,
					  uint64_t size)
{
	if (size >= mfs__chunks_capacity(list))
		return;
	uint32_t slack = 0;
	uint32_t last = size ? mfs__chunk_index(size - 1) : 0;
	if (size && (list->was_regrown || !is_own(mfs__chunk_at(list, last))))
		slack = (uint32_t)(size - mfs__chunk_start(last)) / ROOM_KEPT;
	cut(list, account, size, slack);
}

/* Where `offset` is, and how many of the `length` bytes from there lie together. */
static unsigned char *part_at(struct mfs__chunk_list *list, uint64_t offset, uint64_t length,
							  size_t *part)
{
	uint32_t index = mfs__chunk_index(offset);
	size_t skip = (size_t)(offset - mfs__chunk_start(index));
	const struct mfs__chunk *chunk = mfs__chunk_at(list, index);
	size_t left = chunk->capacity - skip;

	*part = length < left ? (size_t)length : left;
	return chunk->bytes + skip;
}

void mfs__chunks_read(struct mfs__chunk_list *list, uint64_t offset, void *target, size_t length)
{
	unsigned char *to = target;
	size_t part;

	for (; length; offset += part, to += part, length -= part) {
		const unsigned char *from = part_at(list, offset, length, &part);
		memcpy(to, from, part);
	}
}

void mfs__chunks_write(struct mfs__chunk_list *list, uint64_t offset, const void *source,
					   size_t length)
{
	const unsigned char *from = source;
	size_t part;

	for (; length; offset += part, from += part, length -= part) {
		unsigned char *to = part_at(list, offset, length, &part);
		memcpy(to, from, part);
	}
}

bool mfs__chunks_write_at_once(struct mfs__chunk_list *list, uint64_t offset, const void *source,
							   size_t length)
{
	uint32_t index = mfs__chunk_index(offset);

	if (index >= list->count)
		return false;
	const struct mfs__chunk *chunk = mfs__chunk_at(list, index);
	size_t skip = (size_t)(offset - mfs__chunk_start(index));
	if (skip + length > chunk->capacity || share_of(chunk))
		return false;
	memcpy(chunk->bytes + skip, source, length);
	return true;
}

void mfs__chunks_clear(struct mfs__chunk_list *list, uint64_t offset, uint64_t length)
{
	size_t part;

	for (; length; offset += part, length -= part) {
		unsigned char *to = part_at(list, offset, length, &part);
		memset(to, 0, part);
	}
}

bool mfs__chunks_validate(struct mfs__chunk_list *list, uint64_t size)
{
	if (list->count > 1 && (!list->rest || list->rest_room < list->count - 1))
		return false;
	for (uint32_t i = 0; i < list->count; i++) {
		const struct mfs__chunk *chunk = mfs__chunk_at(list, i);
		uint32_t length = mfs__chunk_length(i);
		bool last = i == list->count - 1;
		uint32_t share = share_of(chunk);
		if (share && mfs__share_holders(share) == 0)
			return false;
		if (!chunk->bytes || chunk->capacity == 0 || chunk->capacity > length ||
			(!last && chunk->capacity != length))
			return false;
	}
	return size <= mfs__chunks_capacity(list);
}
