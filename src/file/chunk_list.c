/* SPDX-License-Identifier: MIT */
#include "file/chunk_list.h"

#include "base/alloc.h"
#include "base/error.h"
#include "file/chunk_memory.h"
#include "limit/guard.h"

#include <dmemfs/dmemfs.h>

#include <inttypes.h>
#include <string.h>

/* Below this, a first chunk that grows is not worth an allocation of its own. */
#define SMALLEST_GROWTH 64
/* Copies of shared chunks that one write makes without memory to list them in. */
#define FEW_COPIES 16

_Static_assert(MFS__HUGE_SIZE == (size_t)1 << MFS__CHUNK_LAST_SHIFT,
			   "the largest chunk is a block");

/* What a list is to become. */
struct growth {
	uint32_t count;         /* chunks */
	uint32_t last_capacity; /* of the last of them; 0 without any */
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
	return mfs__charge_of(growth.count, growth.last_capacity, overhead);
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

static bool make_rest_room(struct mfs__chunk_list *list, struct mfs__arena *arena, uint32_t count)
{
	if (count <= 1 || count - 1 <= list->rest_room)
		return true;
	uint32_t room = list->rest_room ? list->rest_room : 1;
	while (room < count - 1)
		room = room > MFS__CHUNKS_MAX / 2 ? MFS__CHUNKS_MAX : 2 * room;
	size_t size = (size_t)room * sizeof *list->rest;
	struct mfs__chunk *rest =
		list->rest
			? mfs__arena_realloc(arena, list->rest, (size_t)list->rest_room * sizeof *rest, size)
			: mfs__arena_alloc(arena, size);
	if (!rest)
		return false;
	list->rest = rest;
	list->rest_room = room & ((UINT32_C(1) << 30) - 1);
	return true;
}

/* The chunk that a splice has for this place, or NULL. */
static struct mfs__chunk *given(const struct mfs__splice *splice, uint32_t index)
{
	return mfs__splice_has(splice, index) ? &splice->chunks[index - splice->first] : NULL;
}

/* Are the bytes the list's own, or again so because no other list holds them any more? */
static bool is_own(struct mfs__chunk *chunk)
{
	uint32_t share = mfs__chunk_share(chunk);

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

/* Free the chunks that the list has made, and forget those that it was given. */
static void free_chunks(struct mfs__chunk_list *list, struct mfs__arena *arena, uint32_t from,
						uint32_t to, const struct mfs__splice *splice)
{
	static const struct mfs__chunk nothing;
	struct mfs__shares ended = {0, 0, 0};

	for (uint32_t i = from; i < to; i++) {
		struct mfs__chunk *chunk = mfs__chunk_at(list, i);
		if (given(splice, i))
			*chunk = nothing;
		else
			mfs__chunk_replace(arena, chunk, &nothing, &ended);
	}
	mfs__shares_give(&ended);
}

static void free_rest_if_unused(struct mfs__chunk_list *list, struct mfs__arena *arena)
{
	if (list->count <= 1 && list->rest) {
		mfs__arena_free(arena, list->rest, (size_t)list->rest_room * sizeof *list->rest);
		list->rest = NULL;
		list->rest_room = 0;
	}
}

/*
 * Change a chunk's capacity, keeping the first `keep` bytes; those of a shared chunk stay behind.
 * Returns false if there is no memory for it.
 */
static bool resize_chunk(struct mfs__chunk *chunk, struct mfs__arena *arena, uint32_t capacity,
						 uint32_t keep)
{
	if (chunk->capacity == capacity)
		return true;
	if (!mfs__bytes_are_pooled(chunk->capacity) && !mfs__bytes_are_pooled(capacity) &&
		is_own(chunk)) {
		unsigned char *bytes = mfs__arena_realloc(arena, chunk->bytes, chunk->capacity, capacity);
		if (!bytes)
			return false;
		chunk->bytes = bytes;
		chunk->capacity = capacity;
		return true;
	}
	struct mfs__shares ended = {0, 0, 0};
	struct mfs__chunk resized = {mfs__bytes_alloc(arena, capacity), capacity, 0};
	if (!resized.bytes)
		return false;
	memcpy(resized.bytes, chunk->bytes, keep);
	mfs__chunk_replace(arena, chunk, &resized, &ended);
	mfs__shares_give(&ended);
	return true;
}

/* The capacity that the list's last chunk has after the growth. */
static uint32_t grown_capacity(struct mfs__chunk_list *list, struct growth growth)
{
	return growth.count > list->count ? mfs__chunk_length(list->count - 1) : growth.last_capacity;
}

/*
 * Allocate what the quota has been charged for and what is not given; bytes from `kept` on need not
 * be kept. Returns false if there is no memory for it.
 */
static bool carry_out(struct mfs__chunk_list *list, struct mfs__arena *arena, struct growth growth,
					  uint64_t kept, const struct mfs__splice *splice)
{
	uint32_t old = list->count;
	uint32_t done = old;

	if (!make_rest_room(list, arena, growth.count))
		return false;
	for (; done < growth.count; done++) {
		struct mfs__chunk *chunk = mfs__chunk_at(list, done);
		const struct mfs__chunk *gift = given(splice, done);
		if (gift) {
			*chunk = *gift;
			continue;
		}
		uint32_t capacity =
			done == growth.count - 1 ? growth.last_capacity : mfs__chunk_length(done);
		unsigned char *bytes = mfs__bytes_alloc(arena, capacity);
		if (!bytes)
			goto fail;
		*chunk = (struct mfs__chunk){bytes, capacity, 0};
	}
	/* The former last chunk comes last: extending it is the one step that cannot be taken back. */
	if (old > 0 && !given(splice, old - 1)) {
		struct mfs__chunk *last = mfs__chunk_at(list, old - 1);
		uint64_t start = mfs__chunk_start(old - 1);
		uint32_t keep = kept > start ? (uint32_t)min_u64(kept - start, last->capacity) : 0;
		if (!resize_chunk(last, arena, grown_capacity(list, growth), keep))
			goto fail;
	}
	list->count = growth.count;
	if (list->was_trimmed) {
		list->was_trimmed = false;
		list->was_regrown = true;
	}
	return true;

fail:
	free_chunks(list, arena, old, done, splice);
	free_rest_if_unused(list, arena);
	return false;
}

bool mfs__chunks_are_ready(struct mfs__chunk_list *list, uint64_t from, uint64_t to)
{
	uint32_t last = mfs__chunk_index(to - 1);

	if (last >= list->count)
		return false;
	for (uint32_t i = mfs__chunk_index(from); i < last; i++)
		if (mfs__chunk_share(mfs__chunk_at(list, i)))
			return false;
	const struct mfs__chunk *chunk = mfs__chunk_at(list, last);
	return !mfs__chunk_share(chunk) && to - mfs__chunk_start(last) <= chunk->capacity;
}

int mfs__fail_charge(const struct mfs__chunk_account *account, int code, const char *format,
					 uint64_t size)
{
	struct mfs__quota *quota = account->payer->quota;

	if (code == MFS_EMEMGUARD)
		return mfs__guard_fail(quota->guard, account->payer->missing);
	return mfs__fail_numbers(code, format, size, quota->limit - mfs__quota_used(quota),
							 quota->limit);
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

static void abandon_copies(struct mfs__chunk_list *list, struct mfs__arena *arena,
						   struct copies *copies)
{
	for (uint32_t i = copies->first; i < copies->end; i++)
		if (copies->blocks[i - copies->first])
			mfs__bytes_free(arena, copies->blocks[i - copies->first],
							mfs__chunk_at(list, i)->capacity);
	forget_copies(copies);
}

static void install_copies(struct mfs__chunk_list *list, struct mfs__arena *arena,
						   struct copies *copies)
{
	struct mfs__shares ended = {0, 0, 0};

	for (uint32_t i = copies->first; i < copies->end; i++) {
		struct mfs__chunk *chunk = mfs__chunk_at(list, i);
		struct mfs__chunk copy = {copies->blocks[i - copies->first], chunk->capacity, 0};
		if (copy.bytes)
			mfs__chunk_replace(arena, chunk, &copy, &ended);
	}
	mfs__shares_give(&ended);
	forget_copies(copies);
}

/* Let the chunks that are given for places that the list had before take these. */
static void install_given(struct mfs__chunk_list *list, struct mfs__arena *arena, uint32_t old,
						  const struct mfs__splice *splice)
{
	struct mfs__shares ended = {0, 0, 0};

	for (uint32_t i = splice->first; i < splice->end && i < old; i++)
		if (given(splice, i))
			mfs__chunk_replace(arena, mfs__chunk_at(list, i), given(splice, i), &ended);
	mfs__shares_give(&ended);
	uint32_t last = list->count - 1;
	if (given(splice, last))
		list->was_trimmed = mfs__chunk_at(list, last)->capacity < mfs__chunk_length(last);
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
static bool make_copies(struct mfs__chunk_list *list, struct mfs__arena *arena,
						struct copies *copies, const struct mfs__splice *splice, uint64_t used,
						uint64_t from, uint64_t to)
{
	/* Nothing, for a file that shares nothing. */
	while (copies->first < copies->end &&
		   (given(splice, copies->first) || is_own(mfs__chunk_at(list, copies->first))))
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
		if (given(splice, i) || is_own(chunk))
			continue;
		unsigned char *block = mfs__bytes_alloc(arena, chunk->capacity);
		if (!block) {
			abandon_copies(list, arena, copies);
			return false;
		}
		if (splice && splice->keeps)
			copy_outside(list, i, block, used, mfs__chunk_start(i), mfs__chunk_start(i));
		else
			copy_outside(list, i, block, used, from, to);
		copies->blocks[i - copies->first] = block;
	}
	return true;
}

/* Bytes of copies that make_copies() is going to make. */
static uint64_t size_of_copies(struct mfs__chunk_list *list, const struct copies *copies,
							   const struct mfs__splice *splice)
{
	uint64_t sum = 0;

	for (uint32_t i = copies->first; i < copies->end; i++)
		if (!given(splice, i) && !is_own(mfs__chunk_at(list, i)))
			sum += mfs__chunk_at(list, i)->capacity;
	return sum;
}

/*
 * Copies of shared chunks take no quota, which was charged when they were shared, but memory: ask
 * the guard, if there is one. Returns 0 or MFS_EMEMGUARD, noted.
 */
static int ask_guard(struct mfs__chunk_list *list, const struct mfs__chunk_account *account,
					 const struct copies *copies, const struct mfs__splice *splice)
{
	struct mfs__guard_member *guard = account->payer->quota->guard;

	if (mfs__likely(!guard))
		return 0;
	uint64_t bytes = size_of_copies(list, copies, splice);
	if (!bytes || mfs__guard_take(guard, bytes, bytes))
		return 0;
	return mfs__guard_fail(guard, bytes);
}

/* What the list becomes when `to` is to fit: with room ahead, or just so. */
static struct growth growth_for(struct mfs__chunk_list *list, uint64_t to,
								const struct mfs__splice *splice, bool ahead)
{
	struct growth growth = {list->count, 0};

	if (list->count)
		growth.last_capacity = mfs__chunk_at(list, list->count - 1)->capacity;
	if (to > mfs__chunks_capacity(list)) {
		growth = exact_growth(to);
		if (ahead)
			growth = growth_ahead(list, growth);
	}
	const struct mfs__chunk *gift = given(splice, growth.count - 1);
	if (gift)
		growth.last_capacity = gift->capacity;
	return growth;
}

/* Reserve what the growth costs more than what is paid already. *taken: so much was reserved. */
static int reserve_growth(const struct mfs__chunk_account *account, struct growth growth,
						  uint64_t paid, uint64_t *taken)
{
	uint64_t price = charge_of(growth, account->overhead);

	*taken = price > paid ? price - paid : 0;
	return *taken ? mfs__payer_reserve(account->payer, *taken) : 0;
}

int mfs__chunks_splice(struct mfs__chunk_list *list, const struct mfs__chunk_account *account,
					   uint64_t used, uint64_t from, uint64_t to, const struct mfs__splice *splice)
{
	struct mfs__arena *arena = account->arena;
	struct copies copies = {0};
	uint32_t old = list->count;
	uint64_t taken = 0;

	if (to <= from)
		return 0;
	if (to > MFS__FILE_SIZE_MAX)
		return mfs__fail(MFS_EFBIG, NULL);
	uint64_t paid = mfs__chunks_charge(list, account->overhead) + (splice ? splice->prepaid : 0);
	uint32_t last_capacity = old ? mfs__chunk_at(list, old - 1)->capacity : 0;
	struct growth growth = growth_for(list, to, splice, !account->exact);
	int code = reserve_growth(account, growth, paid, &taken);
	if (code && !account->exact) {
		growth = growth_for(list, to, splice, false);
		code = reserve_growth(account, growth, paid, &taken);
	}
	if (code)
		return mfs__fail_charge(account, code,
								"growth to hold %" PRIu64 " more bytes refused: %" PRIu64
								" of %" PRIu64 " bytes free",
								to - used);
	bool grows = growth.count != old || growth.last_capacity != last_capacity;

	copies.first = mfs__chunk_index(from);
	copies.end = min_u32(mfs__chunk_index(to - 1) + 1, old);
	/* A last chunk that grows is copied by that. */
	if (grows && old && grown_capacity(list, growth) != last_capacity)
		copies.end = min_u32(copies.end, old - 1);
	code = ask_guard(list, account, &copies, splice);
	if (code) {
		if (taken)
			mfs__payer_release(account->payer, taken);
		return code;
	}
	bool done = make_copies(list, arena, &copies, splice, used, from, to);
	uint64_t kept = splice && splice->keeps ? used : from;
	if (done && grows && !carry_out(list, arena, growth, kept, splice)) {
		abandon_copies(list, arena, &copies);
		done = false;
	}
	if (!done) {
		if (taken)
			mfs__payer_release(account->payer, taken);
		return mfs__fail(MFS_ENOMEM, grows ? "growth of a file" : "write to a copied file");
	}
	install_copies(list, arena, &copies);
	if (splice)
		install_given(list, arena, old, splice);
	uint64_t surplus = paid + taken - charge_of(growth, account->overhead);
	if (surplus)
		mfs__payer_release(account->payer, surplus);
	mfs__count_chunks(account, (int64_t)list->count - (int64_t)old);
	return 0;
}

int mfs__chunks_prepare(struct mfs__chunk_list *list, const struct mfs__chunk_account *account,
						uint64_t used, uint64_t from, uint64_t to)
{
	return mfs__chunks_splice(list, account, used, from, to, NULL);
}

uint64_t mfs__chunks_price(struct mfs__chunk_list *list, uint64_t overhead, uint64_t to)
{
	if (to <= mfs__chunks_capacity(list))
		return 0;
	return charge_of(exact_growth(to), overhead) - mfs__chunks_charge(list, overhead);
}

/* Keep `size` bytes and, in the last chunk, room for `slack` more. */
static void cut(struct mfs__chunk_list *list, const struct mfs__chunk_account *account,
				uint64_t size, uint32_t slack)
{
	uint64_t charged = mfs__chunks_charge(list, account->overhead);
	uint32_t old = list->count;
	uint32_t count = size ? mfs__chunk_index(size - 1) + 1 : 0;

	free_chunks(list, account->arena, count, old, NULL);
	list->count = count;
	if (count > 0) {
		struct mfs__chunk *last = mfs__chunk_at(list, count - 1);
		uint32_t used = (uint32_t)(size - mfs__chunk_start(count - 1));
		uint32_t wanted = used > UINT32_MAX - slack ? UINT32_MAX : used + slack;
		if (wanted < last->capacity) {
			/* Without memory for a smaller block the chunk stays as it is, and charged. */
			if (resize_chunk(last, account->arena, wanted, used))
				list->was_trimmed = true;
		}
	} else {
		list->was_trimmed = false;
		list->was_regrown = false;
	}
	free_rest_if_unused(list, account->arena);
	uint64_t now = mfs__chunks_charge(list, account->overhead);
	if (now < charged)
		mfs__payer_release(account->payer, charged - now);
	mfs__count_chunks(account, (int64_t)count - (int64_t)old);
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
		slack = (uint32_t)(size - mfs__chunk_start(last)) / MFS__ROOM_KEPT;
	cut(list, account, size, slack);
}

void mfs__chunks_read(struct mfs__chunk_list *list, uint64_t offset, void *target, size_t length)
{
	unsigned char *to = target;
	size_t part;

	for (; length; offset += part, to += part, length -= part) {
		const unsigned char *from = mfs__chunks_part(list, offset, length, &part);
		memcpy(to, from, part);
	}
}

void mfs__chunks_write(struct mfs__chunk_list *list, uint64_t offset, const void *source,
					   size_t length)
{
	const unsigned char *from = source;
	size_t part;

	for (; length; offset += part, from += part, length -= part) {
		unsigned char *to = mfs__chunks_part(list, offset, length, &part);
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
	if (skip + length > chunk->capacity || mfs__chunk_share(chunk))
		return false;
	memcpy(chunk->bytes + skip, source, length);
	return true;
}

void mfs__chunks_clear(struct mfs__chunk_list *list, uint64_t offset, uint64_t length)
{
	size_t part;

	for (; length; offset += part, length -= part) {
		unsigned char *to = mfs__chunks_part(list, offset, length, &part);
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
		uint32_t share = mfs__chunk_share(chunk);
		if (share && mfs__share_holders(share) == 0)
			return false;
		if (!chunk->bytes || chunk->capacity == 0 || chunk->capacity > length ||
			(!last && chunk->capacity != length))
			return false;
	}
	return size <= mfs__chunks_capacity(list);
}
