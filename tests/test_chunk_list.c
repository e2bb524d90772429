/* SPDX-License-Identifier: MIT */
/*
 * Does a list of chunks hold a file's bytes, at the places that arithmetic says, for exactly what
 * the quota is charged, and does it stay as it was when it cannot grow?
 */
#include "support.h"

#include "base/alloc.h"
#include "file/chunk_list.h"

#include <inttypes.h>

#define OVERHEAD 64
#define ROOMY    (UINT64_C(1) << 40)

/* A list, where it is charged, and the blocks that were live before it. */
struct fixture {
	struct mfs__quota quota;
	struct mfs__payer payer;
	_Atomic int64_t counter;
	struct mfs__chunk_account account;
	struct mfs__chunk_list list;
	long live;
};

static void begin(struct fixture *f, uint64_t limit)
{
	memset(f, 0, sizeof(*f));
	mfs__quota_init(&f->quota, limit, 0, NULL);
	f->payer = (struct mfs__payer){.quota = &f->quota};
	f->account = (struct mfs__chunk_account){&f->payer, OVERHEAD, &f->counter, NULL, false};
	f->live = mfs__alloc_live();
}

/* The list is sound and charged for what it has. */
static void check(struct fixture *f, uint64_t size)
{
	assert_true(mfs__chunks_validate(&f->list, size));
	assert_int_equal(mfs__quota_used(&f->quota), mfs__chunks_charge(&f->list, OVERHEAD));
	assert_int_equal(mfs__chunks_charge(&f->list, OVERHEAD),
					 mfs__chunks_capacity(&f->list) + OVERHEAD * (uint64_t)f->list.count);
	assert_int_equal(atomic_load(&f->counter), f->list.count);
}

static void end(struct fixture *f)
{
	mfs__chunks_shrink(&f->list, &f->account, 0);
	check(f, 0);
	assert_int_equal(f->list.count, 0);
	assert_null(f->list.first.bytes);
	assert_null(f->list.rest);
	assert_int_equal(mfs__quota_used(&f->quota), 0);
	assert_int_equal(mfs__alloc_live(), f->live);
}

static int grow(struct fixture *f, uint64_t used, uint64_t size)
{
	return mfs__chunks_grow(&f->list, &f->account, used, size);
}

static unsigned char byte_at(uint64_t offset)
{
	return (unsigned char)((offset * 7 + (offset >> 8) * 13 + (offset >> 16) * 31) & 0xff);
}

/* Bytes that differ from place to place, as far as `size`. */
static unsigned char *make_pattern(size_t size)
{
	unsigned char *pattern = allocate(size);

	for (size_t i = 0; i < size; i++)
		pattern[i] = byte_at(i);
	return pattern;
}

static void assert_holds(struct fixture *f, const unsigned char *bytes, size_t size)
{
	unsigned char *copy = allocate(size);

	mfs__chunks_read(&f->list, 0, copy, size);
	assert_int_equal(memcmp(copy, bytes, size), 0);
	free(copy);
}

static void places_follow_from_numbers(void **state)
{
	(void)state;
	assert_int_equal(mfs__chunk_start(0), 0);
	for (uint32_t i = 0; i < 5000; i++) {
		uint64_t start = mfs__chunk_start(i);
		uint32_t length = mfs__chunk_length(i);

		assert_int_equal(start + length, mfs__chunk_start(i + 1));
		assert_int_equal(mfs__chunk_index(start), i);
		assert_int_equal(mfs__chunk_index(start + 1), i);
		assert_int_equal(mfs__chunk_index(start + length - 1), i);
		assert_int_equal(mfs__chunk_index(start + length), i + 1);
		/* A power of two, at a multiple of itself: aligned pieces lie in one chunk. */
		assert_int_equal(length & (length - 1), 0);
		assert_int_equal(start % length, 0);
		assert_true(length >= 4 * KIB && length <= 2 * MIB);
	}
	/* What the header's table says. */
	assert_int_equal(mfs__chunk_index(4095), 0);
	assert_int_equal(mfs__chunk_index(4096), 1);
	assert_int_equal(mfs__chunk_start(3), 16 * KIB);
	assert_int_equal(mfs__chunk_length(3), 16 * KIB);
	assert_int_equal(mfs__chunk_start(8), 512 * KIB);
	assert_int_equal(mfs__chunk_length(8), 512 * KIB);
	assert_int_equal(mfs__chunk_start(9), MIB);
	assert_int_equal(mfs__chunk_length(9), MIB);
	assert_int_equal(mfs__chunk_start(10), 2 * MIB);
	assert_int_equal(mfs__chunk_length(10), 2 * MIB);
	assert_int_equal(mfs__chunk_start(11), 4 * MIB);
	assert_int_equal(mfs__chunk_length(11), 2 * MIB);
}

static void places_hold_up_to_the_longest_file(void **state)
{
	uint32_t last = mfs__chunk_index(MFS__FILE_SIZE_MAX - 1);

	(void)state;
	assert_true(last < UINT32_MAX); /* the count is one more */
	assert_int_equal(mfs__chunk_start(last) + mfs__chunk_length(last), MFS__FILE_SIZE_MAX);
	for (uint64_t offset = 1; offset < MFS__FILE_SIZE_MAX / 2; offset *= 2) {
		for (uint64_t near = offset - 1; near <= offset + 1; near++) {
			uint32_t index = mfs__chunk_index(near);
			assert_true(mfs__chunk_start(index) <= near);
			assert_true(near - mfs__chunk_start(index) < mfs__chunk_length(index));
		}
	}
}

static void small_file_takes_exactly_its_bytes(void **state)
{
	static const uint64_t sizes[] = {1, 2, 31, 63, 64, 65, 100, 1000, 2049, 4095, 4096};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct fixture f;
		begin(&f, ROOMY);
		assert_code(grow(&f, 0, 0), 0);
		assert_int_equal(f.list.count, 0);
		assert_code(grow(&f, 0, sizes[i]), 0);
		check(&f, sizes[i]);
		assert_int_equal(f.list.count, 1);
		assert_int_equal(mfs__chunks_capacity(&f.list), sizes[i]);
		assert_int_equal(mfs__quota_used(&f.quota), sizes[i] + OVERHEAD);
		end(&f);
	}
}

static void growing_takes_room_ahead(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, ROOMY);
	assert_code(grow(&f, 0, 100), 0);
	assert_code(grow(&f, 100, 101), 0);
	assert_int_equal(mfs__chunks_capacity(&f.list), 200);
	/* What fits already takes nothing. */
	assert_code(grow(&f, 101, 200), 0);
	assert_int_equal(mfs__chunks_capacity(&f.list), 200);
	assert_code(grow(&f, 200, 3000), 0);
	assert_int_equal(mfs__chunks_capacity(&f.list), 3000);
	assert_code(grow(&f, 3000, 3001), 0);
	assert_int_equal(mfs__chunks_capacity(&f.list), 4096);
	/* From the second chunk on, chunks are taken whole. */
	assert_code(grow(&f, 4096, 4097), 0);
	assert_int_equal(mfs__chunks_capacity(&f.list), 8192);
	assert_code(grow(&f, 8192, 100 * KIB), 0);
	assert_int_equal(mfs__chunks_capacity(&f.list), 128 * KIB);
	check(&f, 100 * KIB);
	end(&f);
}

static void last_byte_of_the_quota_can_be_used(void **state)
{
	static const struct {
		uint64_t limit;
		uint64_t size; /* that fits */
	} cases[] = {
		{OVERHEAD + 1, 1},
		{OVERHEAD + 150, 150}, /* in the first chunk: doubling does not fit */
		{OVERHEAD + 4096, 4096},
		{OVERHEAD + 4096 + OVERHEAD, 4096}, /* nothing left for the second chunk's bytes */
		{OVERHEAD + 4096 + OVERHEAD + 1000, 5096},
		{4 * OVERHEAD + 16 * 1024 + 200, 16 * 1024 + 200}, /* in the fourth chunk */
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct fixture f;
		begin(&f, cases[i].limit);
		for (uint64_t size = 1; size <= cases[i].size; size++) {
			assert_code(grow(&f, size - 1, size), 0);
			check(&f, size);
		}
		assert_int_equal(mfs__chunks_capacity(&f.list), cases[i].size);
		struct mfs__chunk_list before = f.list;
		assert_code(grow(&f, cases[i].size, cases[i].size + 1), MFS_EQUOTA);
		assert_memory_equal(&f.list, &before, sizeof(before));
		check(&f, cases[i].size);
		end(&f);
	}
}

static void growth_that_the_quota_refuses_changes_nothing(void **state)
{
	struct fixture f;
	unsigned char *pattern = make_pattern(5000);

	(void)state;
	begin(&f, 20000);
	assert_code(grow(&f, 0, 5000), 0);
	mfs__chunks_write(&f.list, 0, pattern, 5000);
	struct mfs__chunk_list before = f.list;
	uint64_t used = mfs__quota_used(&f.quota);
	static const uint64_t sizes[] = {20000, 19999, MIB, ROOMY, MFS__FILE_SIZE_MAX};
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		assert_code(grow(&f, 5000, sizes[i]), MFS_EQUOTA);
		assert_memory_equal(&f.list, &before, sizeof(before));
		assert_int_equal(mfs__quota_used(&f.quota), used);
		check(&f, 5000);
	}
	static const uint64_t too_long[] = {MFS__FILE_SIZE_MAX + 1, INT64_MAX, UINT64_MAX};
	for (size_t i = 0; i < COUNT_OF(too_long); i++) {
		assert_code(grow(&f, 5000, too_long[i]), MFS_EFBIG);
		assert_memory_equal(&f.list, &before, sizeof(before));
		assert_int_equal(mfs__quota_used(&f.quota), used);
	}
	assert_holds(&f, pattern, 5000);
	end(&f);
	free(pattern);
}

/* From a list of `from` bytes, trimmed, grow to `to` with the n-th allocation failing. Returns
 * false when there was no n-th one. */
static bool grow_without_memory(uint64_t from, uint64_t to, long n, const unsigned char *pattern)
{
	struct fixture f;
	struct mfs__chunk before[16];

	begin(&f, ROOMY);
	if (from) {
		assert_code(grow(&f, 0, from), 0);
		mfs__chunks_write(&f.list, 0, pattern, from);
		mfs__chunks_trim(&f.list, &f.account, from);
	}
	uint32_t count = f.list.count;
	assert_true(count <= COUNT_OF(before));
	for (uint32_t i = 0; i < count; i++)
		before[i] = *mfs__chunk_at(&f.list, i);
	uint64_t used = mfs__quota_used(&f.quota);
	long live = mfs__alloc_live();

	mfs__alloc_fail_after(n);
	int code = grow(&f, from, to);
	mfs__alloc_fail_after(0);
	bool failed = code != 0;
	if (failed) {
		assert_code(code, MFS_ENOMEM);
		assert_int_equal(f.list.count, count);
		for (uint32_t i = 0; i < count; i++) {
			assert_ptr_equal(mfs__chunk_at(&f.list, i)->bytes, before[i].bytes);
			assert_int_equal(mfs__chunk_at(&f.list, i)->capacity, before[i].capacity);
		}
		assert_int_equal(mfs__quota_used(&f.quota), used);
		assert_int_equal(mfs__alloc_live(), live);
		check(&f, from);
		/* With memory, the same goes through. */
		assert_code(grow(&f, from, to), 0);
	}
	check(&f, to);
	assert_holds(&f, pattern, from);
	end(&f);
	return failed;
}

static void growth_without_memory_changes_nothing(void **state)
{
	static const struct {
		uint64_t from;
		uint64_t to;
		long allocations;
	} cases[] = {
		{0, 10, 1},         {0, 4096, 1},        {0, 5000, 3},          {0, 300 * 1024, 9},
		{10, 11, 1},        {10, 4096, 1},       {10, 4097, 3},         {4096, 4097, 2},
		{5000, 6000, 1},    {5000, 9000, 2},     {5000, 100 * 1024, 6}, {8192, 8193, 1},
		{50000, 300000, 5}, {300000, 600000, 2}, {600000, 3 << 20, 4},  {4000, 1 << 20, 10},
	};
	unsigned char *pattern = make_pattern(4 * MIB);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		long n = 1;
		while (grow_without_memory(cases[i].from, cases[i].to, n, pattern))
			n++;
		/* As many as it takes: chunks, the list's own memory, extending the last chunk. */
		assert_in_range(n - 1, cases[i].allocations, cases[i].allocations + 1);
	}
	free(pattern);
}

static void shrinking_without_memory_keeps_the_chunk_and_its_charge(void **state)
{
	struct fixture f;
	unsigned char *pattern = make_pattern(20000);

	(void)state;
	begin(&f, ROOMY);
	assert_code(grow(&f, 0, 20000), 0);
	mfs__chunks_write(&f.list, 0, pattern, 20000);
	uint64_t capacity = mfs__chunks_capacity(&f.list);
	assert_int_equal(capacity, 32 * KIB);
	mfs__alloc_fail_after(1);
	mfs__chunks_trim(&f.list, &f.account, 20000);
	assert_true(mfs__alloc_failed());
	mfs__alloc_fail_after(0);
	assert_int_equal(mfs__chunks_capacity(&f.list), capacity);
	check(&f, 20000);
	assert_holds(&f, pattern, 20000);

	mfs__alloc_fail_after(1);
	mfs__chunks_shrink(&f.list, &f.account, 9000);
	assert_true(mfs__alloc_failed());
	mfs__alloc_fail_after(0);
	assert_int_equal(f.list.count, 3); /* what lies behind goes all the same */
	assert_int_equal(mfs__chunks_capacity(&f.list), 16 * KIB);
	check(&f, 9000);
	assert_holds(&f, pattern, 9000);
	end(&f);
	free(pattern);
}

static void million_single_bytes_cost_less_than_twice_their_size(void **state)
{
	const uint64_t total = 1000000;
	struct fixture f;

	(void)state;
	begin(&f, ROOMY);
	for (uint64_t size = 1; size <= total; size++) {
		unsigned char byte = byte_at(size - 1);
		if (grow(&f, size - 1, size))
			fail_msg("growth to %" PRIu64, size);
		mfs__chunks_write(&f.list, size - 1, &byte, 1);
		/* On the way, too: up to 32 bytes, 64 are taken. */
		if (size > 32 && mfs__chunks_capacity(&f.list) >= 2 * size)
			fail_msg("%" PRIu64 " bytes for %" PRIu64, mfs__chunks_capacity(&f.list), size);
	}
	check(&f, total);
	assert_true(mfs__quota_used(&f.quota) < 2 * total);
	assert_true(mfs__quota_peak(&f.quota) < 2 * total);
	for (uint64_t offset = 0; offset < total; offset += 1 + offset % 97) {
		unsigned char byte;
		mfs__chunks_read(&f.list, offset, &byte, 1);
		assert_int_equal(byte, byte_at(offset));
	}
	mfs__chunks_trim(&f.list, &f.account, total);
	assert_int_equal(mfs__chunks_capacity(&f.list), total);
	check(&f, total);
	end(&f);
}

static void appending_never_moves_a_full_chunk(void **state)
{
	const uint64_t total = 5 * MIB;
	struct fixture f;
	unsigned char *pattern = make_pattern(total);
	unsigned char *places[32] = {NULL};
	uint64_t size = 0;

	(void)state;
	begin(&f, ROOMY);
	while (size < total) {
		uint64_t more = 1 + size / 7 % 60000;
		if (more > total - size)
			more = total - size;
		assert_code(grow(&f, size, size + more), 0);
		mfs__chunks_write(&f.list, size, pattern + size, more);
		size += more;
		check(&f, size);
		for (uint32_t i = 0; i < f.list.count; i++) {
			struct mfs__chunk *chunk = mfs__chunk_at(&f.list, i);
			if (chunk->capacity < mfs__chunk_length(i))
				continue;
			assert_true(i < COUNT_OF(places));
			if (!places[i])
				places[i] = chunk->bytes;
			assert_ptr_equal(chunk->bytes, places[i]);
		}
	}
	assert_non_null(places[10]);
	assert_holds(&f, pattern, total);
	end(&f);
	free(pattern);
}

static void file_closed_after_each_append_stays_small_and_is_seldom_copied(void **state)
{
	const uint64_t piece = 1000;
	const unsigned rounds = 1000;
	struct fixture f;
	unsigned char *pattern = make_pattern(piece * rounds);
	uint64_t size = 0;
	uint64_t copied = 0;

	(void)state;
	begin(&f, ROOMY);
	for (unsigned round = 0; round < rounds; round++) {
		uint64_t capacity = mfs__chunks_capacity(&f.list);
		if (capacity < size + piece && f.list.count > 0) {
			/* The last chunk is extended, and may be copied for that, unless it is full. */
			uint32_t last = f.list.count - 1;
			if (mfs__chunk_at(&f.list, last)->capacity < mfs__chunk_length(last))
				copied += mfs__chunk_at(&f.list, last)->capacity;
		}
		assert_code(grow(&f, size, size + piece), 0);
		mfs__chunks_write(&f.list, size, pattern + size, piece);
		size += piece;
		mfs__chunks_trim(&f.list, &f.account, size);
		check(&f, size);
		assert_true(mfs__chunks_capacity(&f.list) <= size + size / 8);
		assert_true(mfs__quota_used(&f.quota) <=
					size + size / 8 + OVERHEAD * (uint64_t)f.list.count);
	}
	assert_holds(&f, pattern, size);
	/* Each byte about nine times (1 + 8/9 + ...). Without room to grow it would be hundreds. */
	assert_true(copied < 12 * size);
	end(&f);
	free(pattern);
}

static void file_written_once_keeps_nothing_it_does_not_use(void **state)
{
	struct fixture f;

	(void)state;
	for (uint64_t size = 1; size < 3 * MIB; size = size * 3 + 1) {
		begin(&f, ROOMY);
		for (uint64_t part = 0; part < size; part += size / 5 + 1) {
			uint64_t to = part + size / 5 + 1 < size ? part + size / 5 + 1 : size;
			assert_code(grow(&f, part, to), 0);
		}
		mfs__chunks_trim(&f.list, &f.account, size);
		assert_int_equal(mfs__chunks_capacity(&f.list), size);
		check(&f, size);
		mfs__chunks_trim(&f.list, &f.account, size);
		assert_int_equal(mfs__chunks_capacity(&f.list), size);
		end(&f);
	}
}

static void shrinking_keeps_exactly_the_rest(void **state)
{
	const uint64_t full = 2 * MIB + MIB / 2;
	unsigned char *pattern = make_pattern(full);

	(void)state;
	for (uint32_t i = 0; i <= mfs__chunk_index(full - 1); i++) {
		for (int off = -1; off <= 1; off++) {
			if (i == 0 && off < 0)
				continue;
			uint64_t size = mfs__chunk_start(i) + (uint64_t)(int64_t)off;
			struct fixture f;

			begin(&f, ROOMY);
			assert_code(grow(&f, 0, full), 0);
			mfs__chunks_write(&f.list, 0, pattern, full);
			uint64_t capacity = mfs__chunks_capacity(&f.list);
			mfs__chunks_shrink(&f.list, &f.account, capacity);
			mfs__chunks_shrink(&f.list, &f.account, capacity + 1);
			assert_int_equal(mfs__chunks_capacity(&f.list), capacity);
			mfs__chunks_shrink(&f.list, &f.account, size);
			check(&f, size);
			assert_false(mfs__chunks_validate(&f.list, size + 1));
			assert_int_equal(mfs__chunks_capacity(&f.list), size);
			assert_int_equal(f.list.count, size ? mfs__chunk_index(size - 1) + 1 : 0);
			assert_holds(&f, pattern, size);
			/* And it grows again from there. */
			assert_code(grow(&f, size, size + 10000), 0);
			mfs__chunks_write(&f.list, size, pattern, 10000);
			check(&f, size + 10000);
			assert_holds(&f, pattern, size);
			end(&f);
		}
	}
	free(pattern);
}

static void planted_damage_is_noticed(void **state)
{
	const uint64_t size = 20000; /* four chunks, the last one not full */
	struct fixture f;

	(void)state;
	begin(&f, ROOMY);
	assert_code(grow(&f, 0, size), 0);
	mfs__chunks_trim(&f.list, &f.account, size);
	assert_int_equal(f.list.count, 4);
	assert_true(mfs__chunks_validate(&f.list, size));

	struct mfs__chunk_list good = f.list;
	assert_false(mfs__chunks_validate(&f.list, size + 1));
	for (uint32_t i = 0; i < 4; i++) {
		struct mfs__chunk *chunk = mfs__chunk_at(&f.list, i);
		struct mfs__chunk sound = *chunk;
		chunk->bytes = NULL;
		assert_false(mfs__chunks_validate(&f.list, size));
		*chunk = sound;
		chunk->capacity = 0;
		assert_false(mfs__chunks_validate(&f.list, 0));
		chunk->capacity = mfs__chunk_length(i) + 1;
		assert_false(mfs__chunks_validate(&f.list, 0));
		chunk->capacity = mfs__chunk_length(i) - 1;
		/* The last chunk may be short of its length, the others may not. */
		assert_int_equal(mfs__chunks_validate(&f.list, 0), i == 3);
		*chunk = sound;
	}
	f.list.rest_room = 2;
	assert_false(mfs__chunks_validate(&f.list, size));
	f.list = good;
	f.list.rest = NULL;
	assert_false(mfs__chunks_validate(&f.list, size));
	f.list = good;
	f.list.count = 3;
	assert_false(mfs__chunks_validate(&f.list, size));
	f.list = good;
	assert_true(mfs__chunks_validate(&f.list, size));
	end(&f);
}

static void write_at_once_stays_within_one_chunk(void **state)
{
	static const struct {
		uint64_t offset;
		size_t length;
		bool fits;
	} cases[] = {
		{0, 1, true},      {0, 4096, true},     {0, 4097, false},    {4095, 1, true},
		{4095, 2, false},  {4096, 4096, true},  {8191, 2, false},    {8192, 1808, true},
		{9999, 1, true},   {8192, 1809, false}, {9999, 2, false},    {10000, 1, false},
		{16383, 1, false}, {16384, 1, false},   {5 * MIB, 1, false},
	};
	unsigned char *pattern = make_pattern(10000);
	unsigned char *other = allocate(10000);
	struct fixture f;

	(void)state;
	begin(&f, ROOMY);
	assert_false(mfs__chunks_write_at_once(&f.list, 0, pattern, 1));
	assert_code(grow(&f, 0, 10000), 0);
	mfs__chunks_trim(&f.list, &f.account, 10000);
	memset(other, 0xee, 10000);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		mfs__chunks_write(&f.list, 0, pattern, 10000);
		bool written = mfs__chunks_write_at_once(&f.list, cases[i].offset, other, cases[i].length);
		assert_int_equal(written, cases[i].fits);
		unsigned char *expected = make_pattern(10000);
		if (written)
			memcpy(expected + cases[i].offset, other, cases[i].length);
		assert_holds(&f, expected, 10000);
		free(expected);
		check(&f, 10000);
	}
	end(&f);
	free(other);
	free(pattern);
}

#define MODEL_SIZE (3 * MIB)

static void random_changes_agree_with_a_flat_array(void **state)
{
	struct fixture f;
	struct rng rng = {20240607};
	unsigned char *model = allocate(MODEL_SIZE);
	unsigned char *buffer = allocate(MODEL_SIZE);
	size_t size = 0;

	(void)state;
	begin(&f, ROOMY);
	for (int round = 0; round < 3000; round++) {
		/* Mostly small pieces and places near boundaries, sometimes anything. */
		size_t offset = rng_below(&rng, size + 1);
		if (rng_below(&rng, 2) == 0) {
			uint64_t boundary = mfs__chunk_start(mfs__chunk_index(offset));
			size_t near = (size_t)boundary + rng_below(&rng, 7);
			offset = near >= 3 && near - 3 <= size ? near - 3 : offset;
		}
		size_t length = rng_below(&rng, rng_below(&rng, 16) == 0 ? 300000 : 5000);
		switch (rng_below(&rng, 8)) {
		case 0:
			mfs__chunks_shrink(&f.list, &f.account, offset);
			size = offset < size ? offset : size;
			break;
		case 1:
			mfs__chunks_trim(&f.list, &f.account, size);
			break;
		case 2:
			length = length < size - offset ? length : size - offset;
			mfs__chunks_clear(&f.list, offset, length);
			memset(model + offset, 0, length);
			break;
		case 3:
		case 4:
			length = length < size - offset ? length : size - offset;
			memset(buffer, 0xee, length);
			mfs__chunks_read(&f.list, offset, buffer, length);
			assert_int_equal(memcmp(buffer, model + offset, length), 0);
			break;
		default:
			length = length < MODEL_SIZE - offset ? length : MODEL_SIZE - offset;
			if (offset + length > size) {
				assert_code(grow(&f, size, offset + length), 0);
				size = offset + length;
			}
			rng_fill(&rng, buffer, length);
			mfs__chunks_write(&f.list, offset, buffer, length);
			memcpy(model + offset, buffer, length);
			break;
		}
		check(&f, size);
		if (round % 64 == 0)
			assert_holds(&f, model, size);
	}
	assert_holds(&f, model, size);
	end(&f);
	free(buffer);
	free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_follow_from_numbers),
		cmocka_unit_test(places_hold_up_to_the_longest_file),
		cmocka_unit_test(small_file_takes_exactly_its_bytes),
		cmocka_unit_test(growing_takes_room_ahead),
		cmocka_unit_test(last_byte_of_the_quota_can_be_used),
		cmocka_unit_test(growth_that_the_quota_refuses_changes_nothing),
		cmocka_unit_test(growth_without_memory_changes_nothing),
		cmocka_unit_test(shrinking_without_memory_keeps_the_chunk_and_its_charge),
		cmocka_unit_test(million_single_bytes_cost_less_than_twice_their_size),
		cmocka_unit_test(appending_never_moves_a_full_chunk),
		cmocka_unit_test(file_closed_after_each_append_stays_small_and_is_seldom_copied),
		cmocka_unit_test(file_written_once_keeps_nothing_it_does_not_use),
		cmocka_unit_test(shrinking_keeps_exactly_the_rest),
		cmocka_unit_test(planted_damage_is_noticed),
		cmocka_unit_test(write_at_once_stays_within_one_chunk),
		cmocka_unit_test(random_changes_agree_with_a_flat_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
