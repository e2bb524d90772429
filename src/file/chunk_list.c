/* SPDX-License-Identifier: MIT */
#include "file/chunk_list.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/huge_block.h"
#include "base/page_pool.h"

#include <dmemfs/dmemfs.h>

#include <inttypes.h>
#include <string.h>

/* The share of its last chunk that a file keeps when it is appended to by one open after another.
 */
#define REGROWN_SHARE 8
/* Below this, a first chunk that grows is not worth an allocation of its own. */
#define SMALLEST_GROWTH 64

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

static void free_chunks(struct mfs__chunk_list *list, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		struct mfs__chunk *chunk = mfs__chunk_at(list, i);
		bytes_free(chunk->bytes, chunk->capacity);
		*chunk = (struct mfs__chunk){NULL, 0};
	}
}

static void free_rest_if_unused(struct mfs__chunk_list *list)
{
	if (list->count <= 1 && list->rest) {
		mfs__free(list->rest, (size_t)list->rest_room * sizeof *list->rest);
		list->rest = NULL;
		list->rest_room = 0;
	}
}

/* Change a chunk's capacity, keeping its bytes. Returns false if there is no memory for it. */
static bool resize_chunk(struct mfs__chunk *chunk, uint32_t capacity)
{
	if (chunk->capacity == capacity)
		return true;
	unsigned char *bytes;
	if (!is_pooled(chunk->capacity) && !is_pooled(capacity)) {
		bytes = mfs__realloc(chunk->bytes, chunk->capacity, capacity);
		if (!bytes)
			return false;
	} else {
		bytes = bytes_alloc(capacity);
		if (!bytes)
			return false;
		memcpy(bytes, chunk->bytes, min_u32(chunk->capacity, capacity));
		bytes_free(chunk->bytes, chunk->capacity);
	}
	chunk->bytes = bytes;
	chunk->capacity = capacity;
	return true;
}

/* Allocate what the quota has been charged for. Returns false if there is no memory for it. */
static bool carry_out(struct mfs__chunk_list *list, struct growth growth)
{
	uint32_t old = list->count;
	uint32_t done = old;

	if (!make_rest_room(list, growth.count))
		return false;
	for (; done < growth.count; done++) {
		struct mfs__chunk *chunk = mfs__chunk_at(list, done);
		uint32_t capacity =
			done == growth.count - 1 ? growth.last_capacity : mfs__chunk_length(done);
		chunk->bytes = bytes_alloc(capacity);
		if (!chunk->bytes)
			goto fail;
		chunk->capacity = capacity;
	}
	/* The former last chunk comes last: extending it is the one step that cannot be taken back. */
	if (old > 0) {
		uint32_t capacity = growth.count > old ? mfs__chunk_length(old - 1) : growth.last_capacity;
		if (!resize_chunk(mfs__chunk_at(list, old - 1), capacity))
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

int mfs__chunks_grow(struct mfs__chunk_list *list, const struct mfs__chunk_account *account,
					 uint64_t used, uint64_t size)
{
	if (size <= mfs__chunks_capacity(list))
		return 0;
	if (size > MFS__FILE_SIZE_MAX)
		return mfs__fail(MFS_EFBIG, NULL);

	uint64_t charged = mfs__chunks_charge(list, account->overhead);
	struct growth exact = exact_growth(size);
	struct growth growth = growth_ahead(list, exact);
	uint64_t amount = charge_of(growth, account->overhead) - charged;
	if (!mfs__quota_reserve(account->quota, amount)) {
		growth = exact;
		amount = charge_of(growth, account->overhead) - charged;
		if (!mfs__quota_reserve(account->quota, amount)) {
			uint64_t limit = account->quota->limit;
			return mfs__fail_numbers(MFS_EQUOTA,
									 "growth to hold %" PRIu64 " more bytes refused: %" PRIu64
									 " of %" PRIu64 " bytes free",
									 size - used, limit - mfs__quota_used(account->quota), limit);
		}
	}
	uint32_t old = list->count;
	if (!carry_out(list, growth)) {
		mfs__quota_release(account->quota, amount);
		return mfs__fail(MFS_ENOMEM, "growth of a file");
	}
	count_chunks(account, (int64_t)list->count - (int64_t)old);
	return 0;
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
			if (resize_chunk(last, wanted))
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
	if (list->was_regrown && size)
		slack = (uint32_t)(size - mfs__chunk_start(mfs__chunk_index(size - 1))) / REGROWN_SHARE;
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
		if (!chunk->bytes || chunk->capacity == 0 || chunk->capacity > length ||
			(!last && chunk->capacity != length))
			return false;
	}
	return size <= mfs__chunks_capacity(list);
}
