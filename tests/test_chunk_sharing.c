/* SPDX-License-Identifier: MIT */
/*
 * Do lists that share chunks behave as if each had copied them: same bytes, full charge, no write
 * of one seen by another, whatever is cloned, written, cut and dropped in whatever order, without
 * memory, and by several threads at once? And is nothing left in the end?
 */
#include "support.h"

#include "await.h"
#include "base/alloc.h"
#include "base/fair_rwlock.h"
#include "base/fork.h"
#include "base/test_hook.h"
#include "file/chunk_share.h"
#include "fs/file_data.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define OVERHEAD 64
#define ROOMY    (UINT64_C(1) << 40)
#define LISTS    4

/* Lists that share chunks, where they are charged, and what was there before them. */
struct fixture {
	struct mfs__quota quota;
	struct mfs__payer payer;
	_Atomic int64_t counter;
	struct mfs__chunk_account account;
	struct mfs__chunk_list lists[LISTS];
	long live;
	uint32_t shares;
};

static void begin(struct fixture *f, uint64_t limit)
{
	memset(f, 0, sizeof *f);
	mfs__quota_init(&f->quota, limit, 0, NULL);
	f->payer = (struct mfs__payer){.quota = &f->quota};
	f->account = (struct mfs__chunk_account){&f->payer, OVERHEAD, &f->counter, NULL, false};
	f->live = mfs__alloc_live();
	f->shares = mfs__shares_used();
}

/* Each list is sound, and all are charged for what they have. */
static void check(struct fixture *f)
{
	uint64_t charge = 0;
	int64_t count = 0;

	for (int i = 0; i < LISTS; i++) {
		assert_true(mfs__chunks_validate(&f->lists[i], 0));
		charge += mfs__chunks_capacity(&f->lists[i]) + OVERHEAD * (uint64_t)f->lists[i].count;
		count += f->lists[i].count;
	}
	assert_int_equal(mfs__quota_used(&f->quota), charge);
	assert_int_equal(atomic_load(&f->counter), count);
}

static void drop(struct fixture *f, int list)
{
	mfs__chunks_shrink(&f->lists[list], &f->account, 0);
	assert_int_equal(f->lists[list].count, 0);
	assert_null(f->lists[list].rest);
}

static void end(struct fixture *f)
{
	for (int i = 0; i < LISTS; i++)
		drop(f, i);
	check(f);
	assert_int_equal(mfs__quota_used(&f->quota), 0);
	assert_int_equal(mfs__alloc_live(), f->live);
	assert_int_equal(mfs__shares_used(), f->shares);
}

/* Write as a file does. */
static int write_at(struct fixture *f, int list, uint64_t used, uint64_t offset, const void *bytes,
					size_t length)
{
	int code = 0;

	/* Either way has to do. */
	if (!length ||
		(length % 2 && mfs__chunks_write_at_once(&f->lists[list], offset, bytes, length)))
		return 0;
	if (!mfs__chunks_are_ready(&f->lists[list], offset, offset + length))
		code = mfs__chunks_prepare(&f->lists[list], &f->account, used, offset, offset + length);
	if (!code) {
		assert_true(mfs__chunks_are_ready(&f->lists[list], offset, offset + length));
		mfs__chunks_write(&f->lists[list], offset, bytes, length);
	}
	return code;
}

static int share(struct fixture *f, int from, int to, uint64_t size)
{
	return mfs__chunks_clone(&f->lists[from], &f->lists[to], &f->account, size);
}

static bool is_shared(struct fixture *f, int list, uint32_t index)
{
	return atomic_load(&mfs__chunk_at(&f->lists[list], index)->share) != 0;
}

static const unsigned char *bytes_of(struct fixture *f, int list, uint32_t index)
{
	return mfs__chunk_at(&f->lists[list], index)->bytes;
}

static unsigned char *make_pattern(size_t size, unsigned seed)
{
	unsigned char *pattern = allocate(size);
	struct rng rng = {seed + 1};

	rng_fill(&rng, pattern, size);
	return pattern;
}

static void assert_holds(struct fixture *f, int list, const unsigned char *bytes, size_t size)
{
	unsigned char *copy = allocate(size);

	mfs__chunks_read(&f->lists[list], 0, copy, size);
	assert_int_equal(memcmp(copy, bytes, size), 0);
	free(copy);
}

/* List 0 with `size` bytes of a pattern, as a file that was closed. */
static void make_first(struct fixture *f, const unsigned char *pattern, uint64_t size)
{
	assert_code(write_at(f, 0, 0, 0, pattern, size), 0);
	mfs__chunks_trim(&f->lists[0], &f->account, size);
	assert_int_equal(mfs__chunks_capacity(&f->lists[0]), size);
}

/* Around the ends of chunks. */
static const uint64_t border_sizes[] = {
	1,     100,   4095, 4096,    4097,    8191,        8192,    8193,
	16384, 16385, MIB,  MIB + 1, 2 * MIB, 2 * MIB + 1, 4 * MIB, 4 * MIB + 1,
};
#define LARGEST (4 * MIB + 1)

/*
 * One thread
 */

static void clone_has_the_same_bytes_for_the_same_charge(void **state)
{
	unsigned char *pattern = make_pattern(LARGEST, 1);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(border_sizes); i++) {
		uint64_t size = border_sizes[i];
		struct fixture f;
		begin(&f, ROOMY);
		make_first(&f, pattern, size);
		uint64_t used = mfs__quota_used(&f.quota);
		long live = mfs__alloc_live();
		assert_code(share(&f, 0, 1, size), 0);
		check(&f);
		assert_int_equal(mfs__quota_used(&f.quota), 2 * used);
		assert_int_equal(f.lists[1].count, f.lists[0].count);
		/* Memory for the list itself, and none for bytes. */
		assert_int_equal(mfs__alloc_live(), live + (f.lists[0].count > 1));
		assert_int_equal(mfs__shares_used(), f.shares + f.lists[0].count);
		for (uint32_t c = 0; c < f.lists[0].count; c++) {
			assert_true(is_shared(&f, 0, c));
			assert_true(is_shared(&f, 1, c));
			assert_ptr_equal(bytes_of(&f, 0, c), bytes_of(&f, 1, c));
		}
		/* A clone of a clone needs no further shares. */
		assert_code(share(&f, 1, 2, size), 0);
		assert_int_equal(mfs__shares_used(), f.shares + f.lists[0].count);
		assert_int_equal(mfs__share_holders(atomic_load(&f.lists[0].first.share)), 3);
		for (int list = 0; list < 3; list++)
			assert_holds(&f, list, pattern, size);
		check(&f);
		end(&f);
	}
	free(pattern);
}

static void clone_of_nothing_is_nothing(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, 0);
	assert_code(share(&f, 0, 1, 0), 0);
	assert_int_equal(f.lists[1].count, 0);
	end(&f);
}

static void write_is_seen_by_its_own_list_only(void **state)
{
	unsigned char *pattern = make_pattern(LARGEST, 2);
	unsigned char *changed = allocate(LARGEST);
	unsigned char *other = make_pattern(LARGEST, 3);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(border_sizes); i++) {
		uint64_t size = border_sizes[i];
		for (size_t k = 0; k < COUNT_OF(border_sizes) && border_sizes[k] <= size; k++) {
			/* From around one border to around another, within the file. */
			uint64_t from = size - border_sizes[k];
			uint64_t to = from + border_sizes[(k + i) % COUNT_OF(border_sizes)];
			to = to < size ? to : size;
			for (int writer = 0; writer < 2; writer++) {
				struct fixture f;
				begin(&f, ROOMY);
				make_first(&f, pattern, size);
				assert_code(share(&f, 0, 1, size), 0);
				uint64_t used = mfs__quota_used(&f.quota);
				assert_code(write_at(&f, writer, size, from, other, to - from), 0);
				assert_int_equal(mfs__quota_used(&f.quota), used);
				check(&f);
				memcpy(changed, pattern, size);
				memcpy(changed + from, other, to - from);
				assert_holds(&f, writer, changed, size);
				assert_holds(&f, 1 - writer, pattern, size);
				/* What was not written is shared still. */
				uint32_t first = mfs__chunk_index(from);
				uint32_t last = mfs__chunk_index(to - 1);
				for (uint32_t c = 0; c < f.lists[0].count; c++)
					assert_int_equal(bytes_of(&f, 0, c) == bytes_of(&f, 1, c),
									 c < first || c > last);
				end(&f);
			}
		}
	}
	free(other);
	free(changed);
	free(pattern);
}

static void last_holder_writes_in_place(void **state)
{
	const uint64_t size = 20000;
	unsigned char *pattern = make_pattern(size, 4);
	struct fixture f;

	(void)state;
	for (int writer = 0; writer < 2; writer++) {
		begin(&f, ROOMY);
		make_first(&f, pattern, size);
		assert_code(share(&f, 0, 1, size), 0);
		drop(&f, 1 - writer);
		assert_true(is_shared(&f, writer, 0));
		const unsigned char *place = bytes_of(&f, writer, 0);
		mfs__alloc_fail_after(1);
		assert_code(write_at(&f, writer, size, 1000, "x", 1), 0);
		assert_false(mfs__alloc_failed());
		mfs__alloc_fail_after(0);
		assert_ptr_equal(bytes_of(&f, writer, 0), place);
		assert_false(is_shared(&f, writer, 0));
		assert_int_equal(mfs__shares_used(), f.shares + f.lists[writer].count - 1);
		check(&f);
		end(&f);
	}
	free(pattern);
}

static void appending_to_either_side_is_not_seen_by_the_other(void **state)
{
	unsigned char *pattern = make_pattern(LARGEST + 10000, 5);
	unsigned char *changed = allocate(LARGEST + 10000);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(border_sizes); i++) {
		static const uint64_t pieces[] = {1, 3000, 10000};
		for (size_t k = 0; k < COUNT_OF(pieces) * 2; k++) {
			uint64_t size = border_sizes[i];
			uint64_t more = pieces[k / 2];
			int writer = k % 2 == 1;
			struct fixture f;
			begin(&f, ROOMY);
			make_first(&f, pattern, size);
			assert_code(share(&f, 0, 1, size), 0);
			/* Appended where the last chunk was cut to size, or at the start of a new one. */
			assert_code(write_at(&f, writer, size, size, pattern + 5, more), 0);
			check(&f);
			memcpy(changed, pattern, size);
			memcpy(changed + size, pattern + 5, more);
			assert_holds(&f, writer, changed, size + more);
			assert_holds(&f, 1 - writer, pattern, size);
			assert_int_equal(mfs__chunks_capacity(&f.lists[1 - writer]), size);
			mfs__chunks_trim(&f.lists[writer], &f.account, size + more);
			/* What was cut to size before keeps a part of its last chunk as room. */
			assert_true(mfs__chunks_capacity(&f.lists[writer]) <= size + more + (size + more) / 8);
			check(&f);
			end(&f);
		}
	}
	free(changed);
	free(pattern);
}

static void cut_of_either_side_is_exact(void **state)
{
	unsigned char *pattern = make_pattern(LARGEST, 6);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(border_sizes); i++) {
		for (size_t k = 0; k < i * 2; k++) {
			uint64_t size = border_sizes[i];
			uint64_t rest = border_sizes[k / 2];
			int cutter = k % 2 == 1;
			struct fixture f;
			begin(&f, ROOMY);
			make_first(&f, pattern, size);
			assert_code(share(&f, 0, 1, size), 0);
			mfs__chunks_shrink(&f.lists[cutter], &f.account, rest);
			check(&f);
			assert_int_equal(mfs__chunks_capacity(&f.lists[cutter]), rest);
			assert_int_equal(mfs__chunks_capacity(&f.lists[1 - cutter]), size);
			assert_holds(&f, cutter, pattern, rest);
			assert_holds(&f, 1 - cutter, pattern, size);
			end(&f);
		}
	}
	free(pattern);
}

static void cut_without_memory_keeps_the_shared_chunk_and_its_charge(void **state)
{
	const uint64_t size = 20000;
	unsigned char *pattern = make_pattern(size, 7);
	struct fixture f;

	(void)state;
	begin(&f, ROOMY);
	make_first(&f, pattern, size);
	assert_code(share(&f, 0, 1, size), 0);
	mfs__alloc_fail_after(1);
	mfs__chunks_shrink(&f.lists[1], &f.account, 9000);
	assert_true(mfs__alloc_failed());
	mfs__alloc_fail_after(0);
	check(&f);
	assert_int_equal(f.lists[1].count, 3);
	assert_int_equal(mfs__chunks_capacity(&f.lists[1]), 16 * KIB);
	assert_ptr_equal(bytes_of(&f, 0, 2), bytes_of(&f, 1, 2));
	assert_holds(&f, 1, pattern, 9000);
	assert_holds(&f, 0, pattern, size);
	/* Writing into what stayed is as good as before. */
	assert_code(write_at(&f, 1, 9000, 9000, "abc", 3), 0);
	assert_holds(&f, 0, pattern, size);
	check(&f);
	end(&f);
	free(pattern);
}

static void room_ahead_is_not_cloned(void **state)
{
	unsigned char *pattern = make_pattern(LARGEST, 8);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(border_sizes); i++) {
		uint64_t size = border_sizes[i];
		struct fixture f;
		begin(&f, ROOMY);
		/* Room in the last chunk, and chunks beyond. */
		assert_code(mfs__chunks_grow(&f.lists[0], &f.account, 0, LARGEST + 3 * MIB), 0);
		mfs__chunks_write(&f.lists[0], 0, pattern, size);
		uint64_t used = mfs__quota_used(&f.quota);
		assert_code(share(&f, 0, 1, size), 0);
		check(&f);
		assert_int_equal(f.lists[1].count, mfs__chunk_index(size - 1) + 1);
		uint32_t last = f.lists[1].count - 1;
		uint64_t held = size - mfs__chunk_start(last);
		assert_true(mfs__chunks_capacity(&f.lists[1]) <= size + held / 8);
		/* A last chunk with much room in it is not shared, all others are. */
		assert_int_equal(is_shared(&f, 1, last), mfs__chunk_length(last) - held <= held / 8);
		for (uint32_t c = 0; c < last; c++)
			assert_ptr_equal(bytes_of(&f, 0, c), bytes_of(&f, 1, c));
		assert_holds(&f, 1, pattern, size);
		drop(&f, 1);
		assert_int_equal(mfs__quota_used(&f.quota), used);
		end(&f);
	}
	free(pattern);
}

static void trimming_copies_a_shared_chunk_only_for_much_room(void **state)
{
	const uint64_t size = 15000; /* in the third chunk, which has 8 KiB */
	unsigned char *pattern = make_pattern(size, 9);
	struct fixture f;

	(void)state;
	begin(&f, ROOMY);
	assert_code(write_at(&f, 0, 0, 0, pattern, size), 0);
	assert_int_equal(mfs__chunks_capacity(&f.lists[0]), 16 * KIB);
	/* All of it is used when it is cloned, and more or less of it later. */
	assert_code(share(&f, 0, 1, 16 * KIB), 0);
	assert_code(share(&f, 0, 2, 16 * KIB), 0);
	mfs__chunks_trim(&f.lists[1], &f.account, 16 * KIB - 500);
	assert_int_equal(mfs__chunks_capacity(&f.lists[1]), 16 * KIB);
	assert_true(is_shared(&f, 1, 2));
	mfs__chunks_trim(&f.lists[1], &f.account, 10000);
	check(&f);
	assert_true(mfs__chunks_capacity(&f.lists[1]) <= 10000 + 1808 / 8);
	assert_false(is_shared(&f, 1, 2));
	assert_holds(&f, 1, pattern, 10000);
	/* The last holder's is cut exactly. */
	drop(&f, 1);
	drop(&f, 2);
	mfs__chunks_trim(&f.lists[0], &f.account, size);
	assert_int_equal(mfs__chunks_capacity(&f.lists[0]), size);
	assert_holds(&f, 0, pattern, size);
	check(&f);
	end(&f);
	free(pattern);
}

static void clone_beyond_the_quota_is_refused_with_numbers(void **state)
{
	const uint64_t size = 10000;
	const uint64_t charge = size + 3 * OVERHEAD;
	unsigned char *pattern = make_pattern(size, 10);
	struct fixture f;

	(void)state;
	/* Built without room ahead, to use every byte of the quota. */
	begin(&f, 2 * charge - 1);
	make_first(&f, pattern, size);
	long live = mfs__alloc_live();
	assert_code(share(&f, 0, 1, size), MFS_EQUOTA);
	assert_non_null(strstr(mfs_last_error(), "copy of 10000 bytes refused: 10191 of 20383"));
	assert_int_equal(f.lists[1].count, 0);
	assert_int_equal(mfs__alloc_live(), live);
	assert_int_equal(mfs__shares_used(), f.shares);
	check(&f);
	end(&f);

	begin(&f, 2 * charge);
	make_first(&f, pattern, size);
	assert_code(share(&f, 0, 1, size), 0);
	assert_int_equal(mfs__quota_used(&f.quota), f.quota.limit);
	/* With the quota used up, every byte of both sides can still be written. */
	assert_code(write_at(&f, 0, size, 0, pattern, size), 0);
	assert_code(write_at(&f, 1, size, 0, pattern, size), 0);
	check(&f);
	end(&f);
	free(pattern);
}

static void whole_chunks_that_are_overwritten_are_not_read(void **state)
{
	const uint64_t size = 8 * MIB;
	const uint32_t huge = mfs__chunk_index(4 * MIB);
	unsigned char *pattern = make_pattern(size, 11);
	unsigned char *other = make_pattern(size, 12);
	struct fixture f;

	(void)state;
	for (int round = 0; round < 2; round++) {
		begin(&f, ROOMY);
		make_first(&f, pattern, size);
		assert_code(share(&f, 0, 1, size), 0);
		void *block = mfs__chunk_at(&f.lists[0], huge)->bytes;
		assert_int_equal((uintptr_t)block % (2 * MIB), 0);
		assert_int_equal(mprotect(block, 2 * MIB, PROT_NONE), 0);
		if (round == 0) {
			assert_code(write_at(&f, 1, size, 4 * MIB, other, 2 * MIB), 0);
		} else {
			/* As a file is emptied and preallocated: what lies behind is not kept, either. */
			assert_code(mfs__chunks_prepare(&f.lists[1], &f.account, 5 * MIB, 0, 5 * MIB), 0);
			mfs__chunks_clear(&f.lists[1], 0, 5 * MIB);
			mfs__chunks_shrink(&f.lists[1], &f.account, 5 * MIB);
		}
		assert_int_equal(mprotect(block, 2 * MIB, PROT_READ | PROT_WRITE), 0);
		check(&f);
		assert_ptr_not_equal(bytes_of(&f, 1, huge), block);
		assert_holds(&f, 0, pattern, size);
		end(&f);
	}
	free(other);
	free(pattern);
}

static void shares_are_used_again(void **state)
{
	enum { MANY = 5000 }; /* several segments of the table */
	struct fixture f;
	struct mfs__chunk_list *sources = allocate(MANY * sizeof *sources);
	struct mfs__chunk_list *clones = allocate(MANY * sizeof *clones);
	uint32_t largest[2] = {0, 0};

	(void)state;
	begin(&f, ROOMY);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MANY; i++) {
			assert_code(mfs__chunks_grow(&sources[i], &f.account, 0, 1), 0);
			mfs__chunks_clear(&sources[i], 0, 1);
			assert_code(mfs__chunks_clone(&sources[i], &clones[i], &f.account, 1), 0);
			uint32_t share = atomic_load(&sources[i].first.share);
			assert_int_equal(mfs__share_holders(share), 2);
			largest[round] = share > largest[round] ? share : largest[round];
		}
		assert_int_equal(mfs__shares_used(), f.shares + MANY);
		for (int i = 0; i < MANY; i++) {
			mfs__chunks_shrink(&sources[(i * 7) % MANY], &f.account, 0);
			mfs__chunks_shrink(&clones[i], &f.account, 0);
		}
		assert_int_equal(mfs__shares_used(), f.shares);
	}
	assert_int_equal(largest[0], largest[1]);
	end(&f);
	free(clones);
	free(sources);
}

/*
 * Every order of a few steps, against flat arrays
 */

enum { STEPS = 4, SLOTS = 3, MODEL_SIZE = 5000 };

struct model {
	struct fixture f;
	unsigned char bytes[SLOTS][MODEL_SIZE];
	uint64_t size[SLOTS];
	unsigned char next; /* value to be written */
};

static void model_write(struct model *m, int slot, uint64_t offset, uint64_t length)
{
	unsigned char buffer[MODEL_SIZE];

	memset(buffer, m->next++, sizeof buffer);
	assert_code(write_at(&m->f, slot, m->size[slot], offset, buffer, length), 0);
	memcpy(m->bytes[slot] + offset, buffer, length);
	if (offset + length > m->size[slot])
		m->size[slot] = offset + length;
}

static void model_clone(struct model *m, int from, int to)
{
	if (m->size[to]) {
		drop(&m->f, to);
		m->size[to] = 0;
	}
	assert_code(share(&m->f, from, to, m->size[from]), 0);
	memcpy(m->bytes[to], m->bytes[from], m->size[from]);
	m->size[to] = m->size[from];
}

/* Step number `step` of MODEL_STEPS. */
enum { MODEL_STEPS = 15 };

static void model_step(struct model *m, int step)
{
	int slot = step % SLOTS;

	switch (step / SLOTS) {
	case 0: /* the middle of the first chunk, if there is one */
		if (m->size[slot])
			model_write(m, slot, m->size[slot] / 2, (m->size[slot] + 1) / 2);
		break;
	case 1: /* all, and a little more */
		model_write(m, slot, 0, m->size[slot] + 1 < MODEL_SIZE ? m->size[slot] + 1 : MODEL_SIZE);
		break;
	case 2:
		drop(&m->f, slot);
		m->size[slot] = 0;
		break;
	case 3:
		model_clone(m, slot, (slot + 1) % SLOTS);
		break;
	default:
		model_clone(m, slot, (slot + 2) % SLOTS);
		break;
	}
}

static void every_order_of_steps_agrees_with_copies(void **state)
{
	static struct model m;
	int orders = 1;

	(void)state;
	for (int i = 0; i < STEPS; i++)
		orders *= MODEL_STEPS;
	for (int order = 0; order < orders; order++) {
		begin(&m.f, ROOMY);
		memset(m.size, 0, sizeof m.size);
		m.next = 1;
		model_write(&m, 0, 0, MODEL_SIZE - 20);
		model_clone(&m, 0, 1);
		for (int i = 0, rest = order; i < STEPS; i++, rest /= MODEL_STEPS)
			model_step(&m, rest % MODEL_STEPS);
		for (int slot = 0; slot < SLOTS; slot++) {
			unsigned char got[MODEL_SIZE];
			mfs__chunks_read(&m.f.lists[slot], 0, got, m.size[slot]);
			if (memcmp(got, m.bytes[slot], m.size[slot]) != 0)
				fail_msg("order %d, slot %d", order, slot);
		}
		check(&m.f);
		end(&m.f);
	}
}

#define FLAT_SIZE (3 * MIB)

static void random_changes_agree_with_flat_arrays(void **state)
{
	struct fixture f;
	struct rng rng = {20250318};
	unsigned char *flat[LISTS];
	size_t size[LISTS] = {0};
	unsigned char *buffer = allocate(FLAT_SIZE);

	(void)state;
	begin(&f, ROOMY);
	for (int i = 0; i < LISTS; i++)
		flat[i] = allocate(FLAT_SIZE);
	for (int round = 0; round < 3000; round++) {
		int i = (int)rng_below(&rng, LISTS);
		int k = (int)rng_below(&rng, LISTS);
		size_t offset = rng_below(&rng, size[i] + 1);
		if (rng_below(&rng, 2) == 0) {
			uint64_t near = mfs__chunk_start(mfs__chunk_index(offset)) + rng_below(&rng, 7);
			offset = near >= 3 && near - 3 <= size[i] ? near - 3 : offset;
		}
		size_t length = rng_below(&rng, rng_below(&rng, 8) == 0 ? 700000 : 5000);
		length = length < FLAT_SIZE - offset ? length : FLAT_SIZE - offset;
		switch (rng_below(&rng, 8)) {
		case 0:
			mfs__chunks_shrink(&f.lists[i], &f.account, offset);
			size[i] = offset < size[i] ? offset : size[i];
			break;
		case 1:
			mfs__chunks_trim(&f.lists[i], &f.account, size[i]);
			break;
		case 2:
		case 3:
			if (i == k)
				break;
			drop(&f, k);
			assert_code(share(&f, i, k, size[i]), 0);
			memcpy(flat[k], flat[i], size[i]);
			size[k] = size[i];
			break;
		case 4:
			mfs__chunks_read(&f.lists[i], 0, buffer, size[i]);
			assert_int_equal(memcmp(buffer, flat[i], size[i]), 0);
			break;
		default:
			rng_fill(&rng, buffer, length);
			assert_code(write_at(&f, i, size[i], offset, buffer, length), 0);
			memcpy(flat[i] + offset, buffer, length);
			size[i] = offset + length > size[i] ? offset + length : size[i];
			break;
		}
		check(&f);
		assert_true(mfs__chunks_validate(&f.lists[i], size[i]));
	}
	for (int i = 0; i < LISTS; i++) {
		assert_holds(&f, i, flat[i], size[i]);
		free(flat[i]);
	}
	end(&f);
	free(buffer);
}

/*
 * Without memory
 */

/* What is tried, on list 0 of `size` bytes and its clone, list 1. */
struct attempt {
	uint64_t size;
	uint64_t from; /* written from here */
	uint64_t to;   /* to here; 0: cloned to list 2 instead */
	int allocations;
};

static int try(struct fixture *f, const struct attempt *attempt, const unsigned char *bytes)
{
	if (attempt->to)
		return write_at(f, 1, attempt->size, attempt->from, bytes, attempt->to - attempt->from);
	return share(f, 1, 2, attempt->size);
}

/* With the n-th allocation failing. Returns false when there was no n-th one. */
static bool try_without_memory(const struct attempt *attempt, long n, const unsigned char *pattern,
							   const unsigned char *other)
{
	struct fixture f;
	struct mfs__chunk before[LISTS * 32];

	begin(&f, ROOMY);
	make_first(&f, pattern, attempt->size);
	if (attempt->to)
		assert_code(share(&f, 0, 1, attempt->size), 0);
	else
		assert_code(write_at(&f, 1, 0, 0, pattern, attempt->size), 0);
	uint32_t count = f.lists[1].count;
	assert_in_range(count, 1, COUNT_OF(before));
	for (uint32_t i = 0; i < count; i++)
		before[i] = *mfs__chunk_at(&f.lists[1], i);
	uint64_t used = mfs__quota_used(&f.quota);
	uint32_t shares = mfs__shares_used();
	long live = mfs__alloc_live();

	mfs__alloc_fail_after(n);
	int code = try(&f, attempt, other);
	bool failed = mfs__alloc_failed();
	mfs__alloc_fail_after(0);
	assert_int_equal(failed, code != 0);
	if (failed) {
		assert_code(code, MFS_ENOMEM);
		assert_int_equal(f.lists[1].count, count);
		assert_int_equal(f.lists[2].count, 0);
		for (uint32_t i = 0; i < count; i++) {
			struct mfs__chunk *chunk = mfs__chunk_at(&f.lists[1], i);
			assert_ptr_equal(chunk->bytes, before[i].bytes);
			assert_int_equal(chunk->capacity, before[i].capacity);
			assert_int_equal(chunk->share, before[i].share);
		}
		assert_int_equal(mfs__quota_used(&f.quota), used);
		assert_int_equal(mfs__shares_used(), shares);
		assert_int_equal(mfs__alloc_live(), live);
		assert_holds(&f, 1, pattern, attempt->size);
		check(&f);
		/* With memory, the same goes through. */
		assert_code(try(&f, attempt, other), 0);
	}
	assert_holds(&f, 0, pattern, attempt->size);
	check(&f);
	end(&f);
	return failed;
}

static void failing_allocations_change_nothing(void **state)
{
	static const struct attempt attempts[] = {
		{100, 0, 0, 0},                      /* a clone of one chunk */
		{20000, 0, 0, 2},                    /* of several, the last one copied */
		{100, 10, 20, 1},                    /* a copy for a write inside */
		{100, 0, 100, 1},                    /* over all of it */
		{100, 100, 200, 1},                  /* a copy that is longer, to append */
		{4096, 4096, 5000, 2},               /* a new chunk behind a full one */
		{20000, 0, 20000, 4},                /* all chunks */
		{20000, 3000, 9000, 3},              /* parts of the first and the last */
		{20000, 5000, 50000, 5},             /* copies, one of them longer, and new chunks */
		{16384, 16000, 17000, 3},            /* a copy and a new chunk */
		{18 * MIB, 1, 18 * MIB - 1, 1 + 18}, /* more than are listed without memory */
	};
	unsigned char *pattern = make_pattern(18 * MIB, 13);
	unsigned char *other = make_pattern(18 * MIB, 14);
	struct mfs__shares some = {0, 0, 0};

	(void)state;
	/* The table of shares has room for all that follows. */
	assert_true(mfs__shares_take(&some, 1000));
	mfs__shares_give(&some);
	for (size_t i = 0; i < COUNT_OF(attempts); i++) {
		long n = 1;
		/* Each of many chunks fails like the others. */
		while (try_without_memory(&attempts[i], n, pattern, other))
			n += attempts[i].allocations > 10 && n > 2 ? 13 : 1;
		if (attempts[i].allocations <= 10)
			assert_int_equal(n - 1, attempts[i].allocations);
	}
	free(other);
	free(pattern);
}

/* Take all shares for which there is memory, but for `left`. */
static void take_all_but(struct mfs__shares *all, int left)
{
	struct mfs__shares some = {0, 0, 0};
	bool taken = true;

	mfs__alloc_fail_after(1);
	while (taken) {
		struct mfs__shares one = {0, 0, 0};
		taken = mfs__shares_take(&one, 1);
		if (taken)
			mfs__shares_add(all, one.first);
	}
	assert_true(mfs__alloc_failed());
	for (; left > 0; left--) {
		uint32_t number = all->first;
		all->first = mfs__share_holders(number); /* the next one's number, in a chain */
		all->count--;
		mfs__shares_add(&some, number);
	}
	mfs__shares_give(&some);
}

static void clone_without_memory_for_shares_changes_nothing(void **state)
{
	const uint64_t size = 20000;
	unsigned char *pattern = make_pattern(size, 19);

	(void)state;
	/* With the last chunk shared, and copied. */
	for (int copied = 0; copied < 2; copied++) {
		struct mfs__shares all = {0, 0, 0};
		struct fixture f;
		begin(&f, ROOMY);
		assert_code(write_at(&f, 0, 0, 0, pattern, size), 0);
		if (!copied)
			mfs__chunks_trim(&f.lists[0], &f.account, size);
		uint64_t used = mfs__quota_used(&f.quota);
		long live = mfs__alloc_live();
		take_all_but(&all, 2);
		uint32_t shares = mfs__shares_used();

		/* First comes memory for the list, then for the copy. */
		mfs__alloc_fail_after(2 + copied);
		assert_code(share(&f, 0, 1, size), MFS_ENOMEM);
		assert_true(mfs__alloc_failed());
		mfs__alloc_fail_after(0);
		assert_int_equal(f.lists[1].count, 0);
		assert_int_equal(mfs__quota_used(&f.quota), used);
		assert_int_equal(mfs__shares_used(), shares);
		assert_int_equal(mfs__alloc_live(), live);
		check(&f);
		assert_code(share(&f, 0, 1, size), 0);
		assert_holds(&f, 1, pattern, size);
		mfs__shares_give(&all);
		end(&f);
	}
	free(pattern);
}

/*
 * Forced interleavings: at a point inside the library, the one thread does what another one might
 * do there, with another list.
 */

static struct fixture forced;
static const char *awaited;
static void (*action)(void);
static int actions_left;
static const unsigned char *forced_pattern;

enum { FORCED_SIZE = 100 };

static void hook(const char *point)
{
	if (actions_left == 0 || strcmp(point, awaited) != 0)
		return;
	actions_left--;
	action();
}

static void act_at(const char *point, void (*what)(void))
{
	awaited = point;
	action = what;
	actions_left = 1;
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, hook, memory_order_release);
}

static void acted(void)
{
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_relaxed);
	assert_int_equal(actions_left, 0);
}

static int forced_set_up(void **state)
{
	(void)state;
	begin(&forced, ROOMY);
	forced_pattern = make_pattern(FORCED_SIZE, 15);
	make_first(&forced, forced_pattern, FORCED_SIZE);
	return 0;
}

static int forced_tear_down(void **state)
{
	(void)state;
	check(&forced);
	end(&forced);
	free((void *)(uintptr_t)forced_pattern);
	return 0;
}

static void clone_0_to_2(void)
{
	assert_code(share(&forced, 0, 2, FORCED_SIZE), 0);
}

static void clone_0_to_2_and_drop_it(void)
{
	clone_0_to_2();
	drop(&forced, 2);
}

static void write_to_0(void)
{
	assert_code(write_at(&forced, 0, FORCED_SIZE, 0, "zero", 4), 0);
}

static void drop_0(void)
{
	drop(&forced, 0);
}

static uint32_t holders_of_0(void)
{
	uint32_t share = atomic_load(&forced.lists[0].first.share);

	return share ? mfs__share_holders(share) : 0;
}

static void cloner_that_is_overtaken_joins_the_other(void **state)
{
	(void)state;
	act_at("share: about to mark", clone_0_to_2);
	int code = share(&forced, 0, 1, FORCED_SIZE);
	acted();
	assert_code(code, 0);
	assert_int_equal(holders_of_0(), 3);
	assert_int_equal(mfs__shares_used(), forced.shares + 1);
	for (int list = 0; list < 3; list++)
		assert_holds(&forced, list, forced_pattern, FORCED_SIZE);
}

static void cloner_is_overtaken_by_a_clone_that_is_gone_again(void **state)
{
	(void)state;
	act_at("share: about to mark", clone_0_to_2_and_drop_it);
	int code = share(&forced, 0, 1, FORCED_SIZE);
	acted();
	assert_code(code, 0);
	assert_int_equal(holders_of_0(), 2);
	assert_int_equal(mfs__shares_used(), forced.shares + 1);
}

/* List 1 is written; meanwhile, at a point, something happens to list 0. */
static void write_to_1_with(const char *point, void (*what)(void))
{
	unsigned char expected[FORCED_SIZE];

	assert_code(share(&forced, 0, 1, FORCED_SIZE), 0);
	act_at(point, what);
	int code = write_at(&forced, 1, FORCED_SIZE, 50, "one", 3);
	acted();
	assert_code(code, 0);
	memcpy(expected, forced_pattern, FORCED_SIZE);
	memcpy(expected + 50, "one", 3);
	assert_holds(&forced, 1, expected, FORCED_SIZE);
	assert_false(is_shared(&forced, 1, 0));
}

static void holder_goes_after_it_was_counted(void **state)
{
	(void)state;
	write_to_1_with("share: is not mine", drop_0);
	assert_int_equal(mfs__shares_used(), forced.shares);
}

static void holder_goes_before_it_would_have_been_left(void **state)
{
	(void)state;
	write_to_1_with("share: about to drop", drop_0);
	assert_int_equal(mfs__shares_used(), forced.shares);
}

static void both_holders_write_after_they_counted_each_other(void **state)
{
	unsigned char expected[FORCED_SIZE];

	(void)state;
	write_to_1_with("share: is not mine", write_to_0);
	memcpy(expected, forced_pattern, FORCED_SIZE);
	memcpy(expected, "zero", 4);
	assert_holds(&forced, 0, expected, FORCED_SIZE);
	assert_false(is_shared(&forced, 0, 0));
	assert_int_equal(mfs__shares_used(), forced.shares);
}

static void other_holder_writes_before_it_would_have_been_left(void **state)
{
	unsigned char expected[FORCED_SIZE];

	(void)state;
	write_to_1_with("share: about to drop", write_to_0);
	memcpy(expected, forced_pattern, FORCED_SIZE);
	memcpy(expected, "zero", 4);
	assert_holds(&forced, 0, expected, FORCED_SIZE);
	assert_int_equal(mfs__shares_used(), forced.shares);
}

static void other_holder_is_cloned_before_it_is_left(void **state)
{
	(void)state;
	write_to_1_with("share: is not mine", clone_0_to_2);
	assert_int_equal(holders_of_0(), 2);
	assert_holds(&forced, 0, forced_pattern, FORCED_SIZE);
	assert_holds(&forced, 2, forced_pattern, FORCED_SIZE);
}

/*
 * Threads
 */

/* Threads that do something to shared lists at the same moment, again and again. */
struct team {
	struct fixture f;
	pthread_barrier_t barrier;
	unsigned rounds;
	uint64_t size;
	atomic_uint failures;
};

struct member {
	struct team *team;
	int number;
};

static void meet(struct team *team)
{
	(void)pthread_barrier_wait(&team->barrier);
}

static void run_team(struct team *team, void *(*run)(void *), int count)
{
	pthread_t threads[LISTS];
	struct member members[LISTS];

	assert_int_equal(pthread_barrier_init(&team->barrier, NULL, (unsigned)count), 0);
	for (int i = 0; i < count; i++) {
		members[i] = (struct member){team, i};
		threads[i] = start_thread(run, &members[i]);
	}
	for (int i = 0; i < count; i++)
		join_thread(threads[i]);
	assert_int_equal(pthread_barrier_destroy(&team->barrier), 0);
	assert_int_equal(atomic_load(&team->failures), 0);
}

static void expect(struct team *team, bool condition)
{
	if (!condition)
		atomic_fetch_add(&team->failures, 1);
}

static bool holds_only(struct mfs__chunk_list *list, uint64_t size, unsigned char value)
{
	unsigned char part[4096];

	for (uint64_t at = 0; at < size; at += sizeof part) {
		size_t length = size - at < sizeof part ? (size_t)(size - at) : sizeof part;
		mfs__chunks_read(list, at, part, length);
		for (size_t i = 0; i < length; i++)
			if (part[i] != value)
				return false;
	}
	return true;
}

static bool fill(struct fixture *f, struct mfs__chunk_list *list, uint64_t size,
				 unsigned char value, uint64_t step)
{
	unsigned char part[4096];

	memset(part, value, sizeof part);
	for (uint64_t at = 0; at < size; at += step) {
		uint64_t length = size - at < step ? size - at : step;
		if (!mfs__chunks_are_ready(list, at, at + length) &&
			mfs__chunks_prepare(list, &f->account, size, at, at + length))
			return false;
		mfs__chunks_write(list, at, part, (size_t)length);
	}
	return true;
}

/* Member 0 has cloned the list for the others; now all write, each its own. */
static void *write_one_side(void *argument)
{
	struct member *member = argument;
	struct team *team = member->team;
	struct mfs__chunk_list *mine = &team->f.lists[member->number];

	for (unsigned round = 0; round < team->rounds; round++) {
		unsigned char value = (unsigned char)(round * 4 + (unsigned)member->number);
		if (member->number == 0) {
			for (int i = 1; i < LISTS; i++) {
				mfs__chunks_shrink(&team->f.lists[i], &team->f.account, 0);
				expect(team, share(&team->f, 0, i, team->size) == 0);
			}
		}
		meet(team);
		expect(team, fill(&team->f, mine, team->size, value, round % 2 ? 64 : 4096));
		expect(team, holds_only(mine, team->size, value));
		for (uint32_t i = 0; i < mine->count; i++)
			expect(team,
				   atomic_load_explicit(&mfs__chunk_at(mine, i)->share, memory_order_relaxed) == 0);
		meet(team);
	}
	return NULL;
}

static void holders_that_write_at_once_all_get_bytes_of_their_own(void **state)
{
	static const struct {
		uint64_t size;
		unsigned rounds;
	} cases[] = {{100, 1000}, {4096, 1000}, {12000, 300}, {4 * MIB, 3}};
	static struct team team;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		begin(&team.f, ROOMY);
		team.size = cases[i].size;
		team.rounds = cases[i].rounds;
		assert_true(mfs__chunks_grow(&team.f.lists[0], &team.f.account, 0, team.size) == 0);
		assert_true(fill(&team.f, &team.f.lists[0], team.size, 0, 4096));
		run_team(&team, write_one_side, LISTS);
		check(&team.f);
		assert_int_equal(mfs__shares_used(), team.f.shares);
		end(&team.f);
	}
}

/* Member 0 writes to a list that nobody shares; then all others clone it at once. */
static void *clone_one_list(void *argument)
{
	struct member *member = argument;
	struct team *team = member->team;
	struct mfs__chunk_list *mine = &team->f.lists[member->number];

	for (unsigned round = 0; round < team->rounds; round++) {
		unsigned char value = (unsigned char)round;
		if (member->number == 0)
			expect(team, fill(&team->f, mine, team->size, value, 4096));
		meet(team);
		if (member->number != 0)
			expect(team, share(&team->f, 0, member->number, team->size) == 0);
		meet(team);
		if (member->number == 0)
			for (uint32_t i = 0; i < mine->count; i++)
				expect(team,
					   mfs__share_holders(atomic_load(&mfs__chunk_at(mine, i)->share)) == LISTS);
		expect(team, holds_only(mine, team->size, value));
		meet(team);
		if (member->number != 0)
			mfs__chunks_shrink(mine, &team->f.account, 0);
		/* The next round's writing begins while the others are still dropping. */
	}
	return NULL;
}

static void cloners_of_one_list_agree_on_its_shares(void **state)
{
	static struct team team;

	(void)state;
	begin(&team.f, ROOMY);
	team.size = 12000;
	team.rounds = 1000;
	assert_true(mfs__chunks_grow(&team.f.lists[0], &team.f.account, 0, team.size) == 0);
	mfs__chunks_trim(&team.f.lists[0], &team.f.account, team.size);
	run_team(&team, clone_one_list, LISTS);
	check(&team.f);
	end(&team.f);
}

/* Member 1 clones once it sees that member 0 does, and learns of that in no other way. */
static void *clone_after_the_other(void *argument)
{
	struct member *member = argument;
	struct team *team = member->team;
	_Atomic uint32_t *first = &team->f.lists[0].first.share;

	if (member->number == 1)
		AWAIT(atomic_load_explicit(first, memory_order_relaxed));
	expect(team, share(&team->f, 0, member->number + 1, team->size) == 0);
	return NULL;
}

static void cloner_that_finds_a_share_finds_its_count(void **state)
{
	static struct team team;

	(void)state;
	for (int round = 0; round < 3; round++) {
		struct mfs__shares all = {0, 0, 0};
		begin(&team.f, ROOMY);
		team.size = 100;
		assert_code(mfs__chunks_grow(&team.f.lists[0], &team.f.account, 0, team.size), 0);
		assert_true(fill(&team.f, &team.f.lists[0], team.size, 1, 4096));
		/* The share comes from memory that member 0 gets meanwhile. */
		take_all_but(&all, 0);
		mfs__alloc_fail_after(0);
		run_team(&team, clone_after_the_other, 2);
		assert_int_equal(mfs__share_holders(atomic_load(&team.f.lists[0].first.share)), 3);
		check(&team.f);
		mfs__shares_give(&all);
		end(&team.f);
	}
}

/* Files with locks, as in a tree; each holds one value all over whenever it is not locked. */
enum { TURMOIL_SIZE = 9000 };

static struct mfs__rwlock turmoil_locks[LISTS];

static void *do_anything(void *argument)
{
	struct member *member = argument;
	struct team *team = member->team;
	struct fixture *f = &team->f;
	struct rng rng = {(uint64_t)member->number + 77};
	unsigned char first;

	for (unsigned round = 0; round < team->rounds; round++) {
		size_t i = rng_below(&rng, LISTS);
		size_t k = rng_below(&rng, LISTS);
		struct mfs__chunk_list copy = {0};
		switch (rng_below(&rng, 4)) {
		case 0: /* write */
			mfs__rwlock_lock_write(&turmoil_locks[i]);
			expect(team, fill(f, &f->lists[i], TURMOIL_SIZE, (unsigned char)round, 4096));
			mfs__rwlock_unlock_write(&turmoil_locks[i]);
			break;
		case 1: /* copy, look, write to the copy, drop it */
		case 2: /* copy, and let the copy take a file's place */
			mfs__rwlock_lock_read(&turmoil_locks[i]);
			expect(team, mfs__chunks_clone(&f->lists[i], &copy, &f->account, TURMOIL_SIZE) == 0);
			mfs__rwlock_unlock_read(&turmoil_locks[i]);
			mfs__chunks_read(&copy, 0, &first, 1);
			expect(team, holds_only(&copy, TURMOIL_SIZE, first));
			if (round % 2) {
				mfs__rwlock_lock_write(&turmoil_locks[k]);
				struct mfs__chunk_list old = f->lists[k];
				f->lists[k] = copy;
				mfs__rwlock_unlock_write(&turmoil_locks[k]);
				copy = old;
			} else {
				expect(team, fill(f, &copy, TURMOIL_SIZE, (unsigned char)round, 4096));
			}
			mfs__chunks_shrink(&copy, &f->account, 0);
			break;
		default: /* read */
			mfs__rwlock_lock_read(&turmoil_locks[i]);
			mfs__chunks_read(&f->lists[i], 0, &first, 1);
			expect(team, holds_only(&f->lists[i], TURMOIL_SIZE, first));
			mfs__rwlock_unlock_read(&turmoil_locks[i]);
			break;
		}
	}
	return NULL;
}

static void cloners_writers_and_droppers_at_once_stay_apart(void **state)
{
	static struct team team;

	(void)state;
	begin(&team.f, ROOMY);
	team.rounds = 3000;
	for (int i = 0; i < LISTS; i++) {
		assert_code(mfs__chunks_grow(&team.f.lists[i], &team.f.account, 0, TURMOIL_SIZE), 0);
		mfs__chunks_trim(&team.f.lists[i], &team.f.account, TURMOIL_SIZE);
		assert_true(fill(&team.f, &team.f.lists[i], TURMOIL_SIZE, 0, 4096));
	}
	run_team(&team, do_anything, 3);
	check(&team.f);
	end(&team.f);
}

/*
 * Files
 */

/* The file at a path. */
static struct mfs__file *file_at(mfs *fs, const char *name)
{
	struct mfs__path path;
	struct mfs__lookup found;

	assert_code(mfs__path_begin(&path, name), 0);
	mfs__rcu_lock();
	int code = mfs__lookup(&fs->tree, &path, &found, MFS__LOOKUP_UNGATED);
	mfs__rcu_unlock();
	mfs__path_end(&path);
	assert_code(code, 0);
	assert_non_null(found.node);
	return mfs__file_of(found.node);
}

static struct mfs__file *new_file(void)
{
	struct mfs__name name = {"copy", 4, 0};
	struct mfs__file *file = mfs__file_new(NULL, &name, MFS_STORAGE_AUTO, 0);

	assert_non_null(file);
	return file;
}

static void free_file(mfs *fs, struct mfs__file *file)
{
	mfs__file_drop_data(fs, file);
	mfs__file_free(file);
}

static void cloned_file_has_data_size_storage_and_generation(void **state)
{
	mfs *fs = *state;
	unsigned char *pattern = make_pattern(100000, 16);
	uint32_t shares = mfs__shares_used();
	mfs_file *handle;

	make_file(fs, "/a", pattern, 100000);
	handle = open_file(fs, "/a", "r+b");
	assert_code(mfs_pwrite(handle, "x", 1, 5), 1); /* from now on for random access */
	pattern[5] = 'x';
	close_file(handle);
	mfs_info before = info_of(fs, "/a");
	uint64_t used = used_bytes(fs);
	struct mfs__file *from = file_at(fs, "/a");
	assert_int_equal(from->node.storage, MFS_STORAGE_RANDOM_ACCESS);

	for (unsigned generation = 0; generation < 2; generation++) {
		struct mfs__file *to = new_file();
		assert_code(mfs__file_clone(fs, from, to, generation), 0);
		struct mfs__attributes attributes = mfs__node_attributes(&to->node);
		assert_int_equal(attributes.size, 100000);
		assert_int_equal(attributes.generation, generation);
		assert_true(attributes.modified_at >= before.modified_at);
		assert_int_equal(to->node.storage, MFS_STORAGE_RANDOM_ACCESS);
		assert_int_equal(used_bytes(fs), 2 * used);
		assert_true(mfs__chunks_validate(&to->chunks, 100000));
		/* Written to through a handle, the file leaves its copy as it was. */
		handle = open_file(fs, "/a", "r+b");
		assert_code(mfs_pwrite(handle, "yyy", 3, 50000), 3);
		assert_code(mfs_truncate(handle, 70001), 0);
		close_file(handle);
		unsigned char *got = allocate(100000);
		mfs__chunks_read(&to->chunks, 0, got, 100000);
		assert_int_equal(memcmp(got, pattern, 100000), 0);
		free(got);
		free_file(fs, to);
		assert_true(mfs__validate(fs));
		make_file(fs, "/a", pattern, 100000);
		from = file_at(fs, "/a");
	}
	assert_int_equal(mfs__shares_used(), shares);
	free(pattern);
}

static void emptied_and_preallocated_file_leaves_its_copy_alone(void **state)
{
	static const int64_t sizes[] = {0, 1, 50000, 100000, 150000};
	mfs *fs = *state;
	unsigned char *pattern = make_pattern(100000, 17);

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		make_file(fs, "/a", pattern, 100000);
		struct mfs__file *to = new_file();
		assert_code(mfs__file_clone(fs, file_at(fs, "/a"), to, 1), 0);
		mfs_open_options options = {.struct_size = sizeof options, .preallocate = sizes[i]};
		mfs_file *handle;
		assert_code(mfs_open_ex(fs, "/a", "wb", &options, &handle), 0);
		close_file(handle);
		unsigned char *zeros = allocate((size_t)sizes[i]);
		assert_file_holds(fs, "/a", zeros, (size_t)sizes[i]);
		free(zeros);
		unsigned char *got = allocate(100000);
		mfs__chunks_read(&to->chunks, 0, got, 100000);
		assert_int_equal(memcmp(got, pattern, 100000), 0);
		free(got);
		free_file(fs, to);
		assert_true(mfs__validate(fs));
	}
	free(pattern);
}

static void replacing_by_zeros_reads_nothing_that_is_shared(void **state)
{
	const size_t size = 8 * MIB;
	mfs *fs = *state;
	unsigned char *pattern = make_pattern(size, 20);
	mfs_open_options options = {.struct_size = sizeof options, .preallocate = 5 * (int64_t)MIB};
	mfs_file *handle;

	make_file(fs, "/a", pattern, size);
	struct mfs__file *to = new_file();
	assert_code(mfs__file_clone(fs, file_at(fs, "/a"), to, 1), 0);
	void *block = mfs__chunk_at(&to->chunks, mfs__chunk_index(4 * MIB))->bytes;
	assert_int_equal(mprotect(block, 2 * MIB, PROT_NONE), 0);
	int code = mfs_open_ex(fs, "/a", "wb", &options, &handle);
	assert_int_equal(mprotect(block, 2 * MIB, PROT_READ | PROT_WRITE), 0);
	assert_code(code, 0);
	close_file(handle);
	assert_code(mfs_get_size(fs, "/a"), options.preallocate);
	unsigned char *got = allocate(size);
	mfs__chunks_read(&to->chunks, 0, got, size);
	assert_int_equal(memcmp(got, pattern, size), 0);
	free(got);
	free_file(fs, to);
	assert_true(mfs__validate(fs));
	free(pattern);
}

static void gap_before_a_write_is_not_filled_in_shared_chunks(void **state)
{
	const size_t size = 8000; /* in a chunk of 4 KiB that has 192 bytes more */
	mfs *fs = *state;
	unsigned char *pattern = make_pattern(size, 21);
	mfs_file *handle = open_file(fs, "/a", "wb");

	assert_code(mfs_write(handle, pattern, size), size);
	struct mfs__file *from = file_at(fs, "/a");
	struct mfs__file *to = new_file();
	assert_int_equal(mfs__chunks_capacity(&from->chunks), 8192);
	memset(mfs__chunk_at(&from->chunks, 1)->bytes + size - 4096, 0xee, 8192 - size);
	assert_code(mfs__file_clone(fs, from, to, 1), 0);
	unsigned char *bytes = mfs__chunk_at(&to->chunks, 1)->bytes;
	assert_ptr_equal(bytes, mfs__chunk_at(&from->chunks, 1)->bytes);
	assert_code(mfs_pwrite(handle, "x", 1, 9000), 1);
	assert_ptr_not_equal(bytes, mfs__chunk_at(&from->chunks, 1)->bytes);
	for (size_t i = size - 4096; i < 4096; i++)
		assert_int_equal(bytes[i], 0xee);
	close_file(handle);
	unsigned char *expected = allocate(9001);
	memcpy(expected, pattern, size);
	expected[9000] = 'x';
	assert_file_holds(fs, "/a", expected, 9001);
	free(expected);
	free_file(fs, to);
	assert_true(mfs__validate(fs));
	free(pattern);
}

static void refused_clone_of_a_file_changes_nothing(void **state)
{
	unsigned char *pattern = make_pattern(6000, 18);
	mfs *fs = new_plain_workspace(10000);

	(void)state;
	make_file(fs, "/a", pattern, 6000);
	struct mfs__file *to = new_file();
	assert_code(mfs__file_clone(fs, file_at(fs, "/a"), to, 1), MFS_EQUOTA);
	assert_non_null(
		strstr(mfs_last_error(), "copy of 6000 bytes refused: 4000 of 10000 bytes free"));
	assert_int_equal(mfs__node_attributes(&to->node).size, 0);
	assert_int_equal(mfs__node_attributes(&to->node).generation, 0);
	assert_int_equal(used_bytes(fs), 6000);
	assert_true(mfs__validate(fs));
	free_file(fs, to);
	free_workspace(fs);
	free(pattern);
}

/*
 * Fork, while another thread has the mutex of the shares
 */

static mfs *forked_fs;
static const char *held_point;
static atomic_bool is_held;

static void hold_until_fork(const char *point)
{
	if (strcmp(point, held_point) != 0)
		return;
	atomic_store_explicit(&is_held, true, memory_order_relaxed);
	/* Until the fork has shut the gate. It then waits for this thread. */
	AWAIT(atomic_load_explicit(&mfs__gate_shut, memory_order_relaxed));
}

static void *copy_a(void *unused)
{
	(void)unused;
	return mfs_copy(forked_fs, "/a", "/b") ? &is_held : NULL;
}

/* Its bytes are a file's own again: the other holder is gone. */
static void *write_to_a(void *handle)
{
	return mfs_pwrite(handle, "x", 1, 0) == 1 ? NULL : &is_held;
}

static int share_in_child(void)
{
	mfs_file *handle;
	char byte = 0;

	/* A mutex that nobody gives back is a hang. */
	(void)alarm(60);
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_relaxed);
	if (mfs_copy(forked_fs, "/c", "/child") ||
		open_with(forked_fs, "/child", "r+b", 0, MFS_NO_WAIT, &handle) ||
		mfs_pwrite(handle, "y", 1, 0) != 1 || mfs_close(handle) ||
		open_with(forked_fs, "/c", "rb", 0, MFS_NO_WAIT, &handle) ||
		mfs_pread(handle, &byte, 1, 0) != 1 || mfs_close(handle) || byte != 'c')
		return 1;
	return mfs__validate(forked_fs) ? 0 : 2;
}

static void fork_while(const char *point, void *(*run)(void *), void *argument)
{
	int status = -1;
	void *failed;

	held_point = point;
	atomic_store_explicit(&is_held, false, memory_order_relaxed);
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, hold_until_fork, memory_order_release);
	pthread_t thread = start_thread(run, argument);
	AWAIT(atomic_load_explicit(&is_held, memory_order_relaxed));
	pid_t child = fork();
	if (child == 0)
		_exit(share_in_child());
	assert_int_equal(pthread_join(thread, &failed), 0);
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_relaxed);
	assert_null(failed);
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void child_of_a_fork_can_share(void **state)
{
	forked_fs = *state;
	make_text(forked_fs, "/a", "a");
	make_text(forked_fs, "/c", "c");
	/* Inside the gate. */
	fork_while("share: taking", copy_a, NULL);
	/* Under the lock of a handle. */
	assert_code(mfs_remove(forked_fs, "/b"), 0);
	mfs_file *handle = open_file(forked_fs, "/a", "r+b");
	fork_while("share: giving", write_to_a, handle);
	close_file(handle);
	assert_true(mfs__validate(forked_fs));
}

#define FORCED_TEST(name) cmocka_unit_test_setup_teardown(name, forced_set_up, forced_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clone_has_the_same_bytes_for_the_same_charge),
		cmocka_unit_test(clone_of_nothing_is_nothing),
		cmocka_unit_test(write_is_seen_by_its_own_list_only),
		cmocka_unit_test(last_holder_writes_in_place),
		cmocka_unit_test(appending_to_either_side_is_not_seen_by_the_other),
		cmocka_unit_test(cut_of_either_side_is_exact),
		cmocka_unit_test(cut_without_memory_keeps_the_shared_chunk_and_its_charge),
		cmocka_unit_test(room_ahead_is_not_cloned),
		cmocka_unit_test(trimming_copies_a_shared_chunk_only_for_much_room),
		cmocka_unit_test(clone_beyond_the_quota_is_refused_with_numbers),
		cmocka_unit_test(whole_chunks_that_are_overwritten_are_not_read),
		cmocka_unit_test(shares_are_used_again),
		cmocka_unit_test(every_order_of_steps_agrees_with_copies),
		cmocka_unit_test(random_changes_agree_with_flat_arrays),
		cmocka_unit_test(failing_allocations_change_nothing),
		cmocka_unit_test(clone_without_memory_for_shares_changes_nothing),
		FORCED_TEST(cloner_that_is_overtaken_joins_the_other),
		FORCED_TEST(cloner_is_overtaken_by_a_clone_that_is_gone_again),
		FORCED_TEST(holder_goes_after_it_was_counted),
		FORCED_TEST(holder_goes_before_it_would_have_been_left),
		FORCED_TEST(both_holders_write_after_they_counted_each_other),
		FORCED_TEST(other_holder_writes_before_it_would_have_been_left),
		FORCED_TEST(other_holder_is_cloned_before_it_is_left),
		cmocka_unit_test(holders_that_write_at_once_all_get_bytes_of_their_own),
		cmocka_unit_test(cloners_of_one_list_agree_on_its_shares),
		cmocka_unit_test(cloner_that_finds_a_share_finds_its_count),
		cmocka_unit_test(cloners_writers_and_droppers_at_once_stay_apart),
		WORKSPACE_TEST(cloned_file_has_data_size_storage_and_generation),
		WORKSPACE_TEST(emptied_and_preallocated_file_leaves_its_copy_alone),
		WORKSPACE_TEST(replacing_by_zeros_reads_nothing_that_is_shared),
		WORKSPACE_TEST(gap_before_a_write_is_not_filled_in_shared_chunks),
		cmocka_unit_test(refused_clone_of_a_file_changes_nothing),
		WORKSPACE_TEST(child_of_a_fork_can_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
