/* SPDX-License-Identifier: MIT */
/*
 * Do the calls that adopt, share and hand out memory leave everything as it was when they run out
 * of it?
 *
 * Each call is made again and again on files that are made anew, the n-th allocation failing, for
 * every n until none fails. After a failure contents, sizes, generations, charge and cursors must
 * be as before, no buffer may have been given back, and in the end every block must be freed and
 * every buffer given back once.
 */
#include "support.h"

#include "base/alloc.h"
#include "file/chunk_share.h"
#include "fs/filesystem.h"

/* More than any call here allocates. */
enum { MOST_ALLOCATIONS = 200 };

enum { FILES = 5 };
static const char *const paths[FILES] = {"/small", "/copied", "/copy", "/adopted", "/large"};

#define ADOPTED (70 * KIB)
#define LARGE   (22 * MIB)

struct fixture {
	mfs *fs;
	mfs *other;
	mfs_file *files[FILES]; /* r+b, all of them */
	mfs_file *empty;        /* "wb", in `other` */
	unsigned char *adopted;
	/* To be handed over by the call. */
	unsigned char *buffer;
	int adopted_released;
	int buffer_released;
};

/* More than a call lists on its stack. */
static unsigned char large[LARGE];

static void count_release(void *user, void *buffer, size_t length)
{
	int *count = user;

	(void)buffer;
	(void)length;
	(*count)++;
}

static void set_up(struct fixture *f)
{
	struct rng rng = {1};

	*f = (struct fixture){.fs = new_workspace(NULL), .other = new_workspace(NULL)};
	f->adopted = allocate(ADOPTED);
	f->buffer = large;
	rng_fill(&rng, f->adopted, ADOPTED);
	make_file(f->fs, "/small", f->adopted, 100);
	make_file(f->fs, "/copied", f->adopted, 50000);
	assert_code(mfs_copy(f->fs, "/copied", "/copy"), 0);
	mfs_file *file = open_file(f->fs, "/adopted", "wb");
	assert_code(mfs_write_adopt(file, f->adopted, ADOPTED, count_release, &f->adopted_released),
				ADOPTED);
	close_file(file);
	file = open_file(f->fs, "/large", "wb");
	assert_code(mfs_write_adopt(file, large, LARGE, NULL, NULL), LARGE);
	close_file(file);
	for (int i = 0; i < FILES; i++) {
		f->files[i] = open_file(f->fs, paths[i], "r+b");
		assert_code(mfs_seek(f->files[i], 5000, SEEK_SET), 5000);
	}
	f->empty = open_file(f->other, "/empty", "wb");
}

/* With whatever the call has made of it. */
static void tear_down(struct fixture *f)
{
	for (int i = 0; i < FILES; i++)
		close_file(f->files[i]);
	close_file(f->empty);
	assert_true(mfs__validate(f->fs));
	assert_true(mfs__validate(f->other));
	free_workspace(f->fs);
	free_workspace(f->other);
	assert_int_equal(f->adopted_released, 1);
	free(f->adopted);
}

/* Of large runs the ends will do: chunks come and go as a whole. */
static uint64_t hash_of(mfs_file *file, uint64_t hash)
{
	struct iovec run;
	int64_t at = 0;

	while (mfs_view_runs(file, &at, INT64_MAX, &run, 1) > 0) {
		const unsigned char *bytes = run.iov_base;
		for (size_t i = 0; i < run.iov_len; i++) {
			if (i == 8 * KIB && run.iov_len > 64 * KIB)
				i = run.iov_len - 8 * KIB;
			hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
		}
	}
	return hash;
}

/* All that can be seen; of the content a digest. */
static void describe(struct fixture *f, char *out, size_t size)
{
	mfs *workspaces[] = {f->fs, f->other};
	size_t used = 0;

	for (size_t i = 0; i < 2; i++) {
		mfs_usage usage = usage_of(workspaces[i]);
		assert_true(mfs__validate(workspaces[i]));
		used +=
			(size_t)snprintf(out + used, size - used, "used %llu chunks %llu handles %llu\n",
							 (unsigned long long)usage.used_bytes, (unsigned long long)usage.chunks,
							 (unsigned long long)usage.open_handles);
	}
	for (int i = 0; i < FILES; i++) {
		mfs_info info = info_of(f->fs, paths[i]);
		used += (size_t)snprintf(
			out + used, size - used, "%s %lld bytes %llu at %lld, %llu\n", paths[i],
			(long long)info.size, (unsigned long long)info.generation,
			(long long)mfs_tell(f->files[i]), (unsigned long long)hash_of(f->files[i], 1));
	}
	used += (size_t)snprintf(out + used, size - used, "empty %lld at %lld\n",
							 (long long)mfs_get_size(f->other, "/empty"),
							 (long long)mfs_tell(f->empty));
	(void)snprintf(out + used, size - used, "released %d %d\n", f->adopted_released,
				   f->buffer_released);
}

static void fail_everywhere(int64_t (*call)(struct fixture *f))
{
	static char before[4096];
	static char after[4096];
	long live = mfs__alloc_live();
	uint32_t shares = mfs__shares_used();
	int failures = 0;
	bool failed = true;

	for (long n = 1; failed; n++) {
		struct fixture f;
		assert_true(n < MOST_ALLOCATIONS);
		set_up(&f);
		describe(&f, before, sizeof(before));
		long blocks = mfs__alloc_live();
		mfs__alloc_fail_after(n);
		int64_t result = call(&f);
		failed = mfs__alloc_failed();
		mfs__alloc_fail_after(0);
		if (result < 0) {
			assert_true(failed);
			assert_code(result, MFS_ENOMEM);
			describe(&f, after, sizeof(after));
			assert_string_equal(before, after);
			assert_in_range(mfs__alloc_live(), 0, blocks);
			failures++;
			/* No lock is left behind: it can be done. */
			assert_true(call(&f) >= 0);
		}
		tear_down(&f);
	}
	assert_true(failures > 0);
	assert_int_equal(mfs__alloc_live(), live);
	assert_int_equal(mfs__shares_used(), shares);
}

/*
 * The calls
 */

static int64_t reserve(mfs_file *file, int64_t at, size_t size)
{
	void *data = file;

	if (mfs_tell(file) != at)
		assert_code(mfs_seek(file, at, SEEK_SET), at);
	int64_t result = mfs_reserve(file, size, &data);
	if (result > 0) {
		memset(data, 'x', (size_t)result);
		assert_code(mfs_commit(file, (size_t)result), 0);
	} else {
		assert_null(data);
		assert_code(mfs_commit(file, 0), MFS_EINVAL);
		/* Where it was. */
		assert_code(mfs_seek(file, 5000, SEEK_SET), 5000);
	}
	return result;
}

static int64_t call_reserve_behind_the_end(struct fixture *f)
{
	return reserve(f->files[0], 100, 4000);
}

static int64_t call_reserve_behind_a_gap(struct fixture *f)
{
	return reserve(f->files[0], 3 * MIB, 4000);
}

static int64_t call_reserve_in_a_copied_file(struct fixture *f)
{
	return reserve(f->files[1], 20000, 4000);
}

static int64_t call_reserve_at_the_end_of_a_copied_file(struct fixture *f)
{
	return reserve(f->files[1], 60000, 4000);
}

static int64_t call_reserve_in_an_adopted_file(struct fixture *f)
{
	return reserve(f->files[3], 5000, 100);
}

static int64_t adopt(struct fixture *f, mfs_file *file, int64_t at, size_t length)
{
	int64_t before = mfs_tell(file);

	assert_code(mfs_seek(file, at, SEEK_SET), at);
	int64_t result = mfs_write_adopt(file, f->buffer, length, count_release, &f->buffer_released);
	if (result < 0)
		assert_code(mfs_seek(file, before, SEEK_SET), before);
	return result;
}

static int64_t call_adopt_in_an_empty_file(struct fixture *f)
{
	return adopt(f, f->empty, 0, 100000);
}

static int64_t call_adopt_many_chunks(struct fixture *f)
{
	return adopt(f, f->empty, 0, LARGE);
}

static int64_t call_adopt_a_byte(struct fixture *f)
{
	return adopt(f, f->files[1], 20000, 1);
}

static int64_t call_adopt_in_the_middle_of_a_copied_file(struct fixture *f)
{
	return adopt(f, f->files[1], 5000, 30000);
}

static int64_t call_adopt_behind_a_gap(struct fixture *f)
{
	return adopt(f, f->files[0], 50000, 50000);
}

static int64_t call_adopt_over_an_adopted_file(struct fixture *f)
{
	return adopt(f, f->files[3], 1, 100000);
}

static int64_t copy(mfs_file *from, int64_t at, mfs_file *to, int64_t to_offset)
{
	return mfs_copy_range(from, at, to, to_offset, INT64_MAX);
}

static int64_t call_copy_a_range_that_is_shared(struct fixture *f)
{
	return copy(f->files[1], 0, f->files[0], 0);
}

static int64_t call_copy_an_adopted_range(struct fixture *f)
{
	return copy(f->files[3], 4096, f->files[2], 4096);
}

static int64_t call_copy_bytes(struct fixture *f)
{
	return copy(f->files[3], 1, f->files[2], 4097);
}

static int64_t call_copy_within_a_file(struct fixture *f)
{
	return copy(f->files[1], 0, f->files[1], 30000);
}

static int64_t call_copy_to_another_workspace(struct fixture *f)
{
	return copy(f->files[1], 0, f->empty, 0);
}

static int64_t call_copy_many_chunks(struct fixture *f)
{
	return copy(f->files[4], 0, f->files[0], 0);
}

static int64_t call_copy_over_many_chunks(struct fixture *f)
{
	return copy(f->files[4], 2 * MIB, f->files[4], 0);
}

#define FAILURE_TEST(name)                                                                         \
	static void name##_fails_without_a_trace(void **state)                                         \
	{                                                                                              \
		(void)state;                                                                               \
		fail_everywhere(call_##name);                                                              \
	}

FAILURE_TEST(reserve_behind_the_end)
FAILURE_TEST(reserve_behind_a_gap)
FAILURE_TEST(reserve_in_a_copied_file)
FAILURE_TEST(reserve_at_the_end_of_a_copied_file)
FAILURE_TEST(reserve_in_an_adopted_file)
FAILURE_TEST(adopt_in_an_empty_file)
FAILURE_TEST(adopt_many_chunks)
FAILURE_TEST(adopt_a_byte)
FAILURE_TEST(adopt_in_the_middle_of_a_copied_file)
FAILURE_TEST(adopt_behind_a_gap)
FAILURE_TEST(adopt_over_an_adopted_file)
FAILURE_TEST(copy_a_range_that_is_shared)
FAILURE_TEST(copy_an_adopted_range)
FAILURE_TEST(copy_bytes)
FAILURE_TEST(copy_within_a_file)
FAILURE_TEST(copy_to_another_workspace)
FAILURE_TEST(copy_many_chunks)
FAILURE_TEST(copy_over_many_chunks)

/*
 * Calls that cannot fail for want of memory
 */

static void an_adopted_chunk_that_cannot_be_cut_stays(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	uint64_t used = used_bytes(f.fs);
	mfs__alloc_fail_after(1);
	assert_code(mfs_truncate(f.files[3], 4095), 0);
	assert_true(mfs__alloc_failed());
	mfs__alloc_fail_after(0);
	assert_code(mfs_get_size(f.fs, "/adopted"), 4095);
	assert_true(used_bytes(f.fs) < used);
	assert_int_equal(f.adopted_released, 0);
	assert_handle_holds(f.files[3], f.adopted, 4095);
	assert_true(mfs__validate(f.fs));
	assert_code(mfs_truncate(f.files[3], 0), 0);
	assert_int_equal(f.adopted_released, 1);
	tear_down(&f);
}

static void looking_and_committing_need_no_memory(void **state)
{
	struct fixture f;
	struct iovec runs[40];
	const void *data;
	void *reserved;
	int64_t at = 0;

	(void)state;
	set_up(&f);
	assert_code(mfs_seek(f.files[0], 20000, SEEK_SET), 20000);
	assert_code(mfs_reserve(f.files[0], 10, &reserved), 10);
	memset(reserved, 'x', 10);
	mfs__alloc_fail_after(1);
	assert_code(mfs_view(f.files[4], 2 * MIB, &data), 2 * MIB);
	assert_code(mfs_view_runs(f.files[4], &at, INT64_MAX, runs, 40), 20);
	assert_code(mfs_commit(f.files[0], 10), 0);
	assert_false(mfs__alloc_failed());
	mfs__alloc_fail_after(0);
	assert_code(mfs_get_size(f.fs, "/small"), 20010);
	tear_down(&f);
}

int main(void)
{
	struct rng rng = {2};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reserve_behind_the_end_fails_without_a_trace),
		cmocka_unit_test(reserve_behind_a_gap_fails_without_a_trace),
		cmocka_unit_test(reserve_in_a_copied_file_fails_without_a_trace),
		cmocka_unit_test(reserve_at_the_end_of_a_copied_file_fails_without_a_trace),
		cmocka_unit_test(reserve_in_an_adopted_file_fails_without_a_trace),
		cmocka_unit_test(adopt_in_an_empty_file_fails_without_a_trace),
		cmocka_unit_test(adopt_many_chunks_fails_without_a_trace),
		cmocka_unit_test(adopt_a_byte_fails_without_a_trace),
		cmocka_unit_test(adopt_in_the_middle_of_a_copied_file_fails_without_a_trace),
		cmocka_unit_test(adopt_behind_a_gap_fails_without_a_trace),
		cmocka_unit_test(adopt_over_an_adopted_file_fails_without_a_trace),
		cmocka_unit_test(copy_a_range_that_is_shared_fails_without_a_trace),
		cmocka_unit_test(copy_an_adopted_range_fails_without_a_trace),
		cmocka_unit_test(copy_bytes_fails_without_a_trace),
		cmocka_unit_test(copy_within_a_file_fails_without_a_trace),
		cmocka_unit_test(copy_to_another_workspace_fails_without_a_trace),
		cmocka_unit_test(copy_many_chunks_fails_without_a_trace),
		cmocka_unit_test(copy_over_many_chunks_fails_without_a_trace),
		cmocka_unit_test(an_adopted_chunk_that_cannot_be_cut_stays),
		cmocka_unit_test(looking_and_committing_need_no_memory),
	};

	rng_fill(&rng, large, LARGE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
