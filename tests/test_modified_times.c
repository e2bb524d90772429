/* SPDX-License-Identifier: MIT */
/* Is a time that was set the time that is told, until the next change? */
#include "support.h"

static void a_time_that_was_set_is_told(void **state)
{
	static const int64_t times[] = {0, 1, -1, 1700000000123456789, INT64_MIN, INT64_MAX};
	mfs *fs = *state;

	make_file(fs, "/file", "abc", 3);
	assert_code(mfs_mkdir(fs, "/dir", 0), 0);
	uint64_t generation = info_of(fs, "/file").generation;
	for (size_t i = 0; i < COUNT_OF(times); i++) {
		assert_code(mfs_set_modified(fs, "/file", times[i]), 0);
		assert_code(mfs_set_modified(fs, "/dir", times[i]), 0);
		assert_true(info_of(fs, "/file").modified_at == times[i]);
		assert_true(info_of(fs, "/dir").modified_at == times[i]);
	}
	assert_true(info_of(fs, "/file").generation == generation);
	assert_code(info_of(fs, "/file").size, 3);
}

static void the_next_change_sets_its_own_time(void **state)
{
	mfs *fs = *state;

	make_file(fs, "/dir-less", "abc", 3);
	assert_code(mfs_mkdir(fs, "/dir", 0), 0);
	int64_t before = info_of(fs, "/dir").created_at;
	assert_code(mfs_set_modified(fs, "/dir-less", 5), 0);
	assert_code(mfs_set_modified(fs, "/dir", 5), 0);
	mfs_file *file = open_file(fs, "/dir-less", "r+b");
	assert_code(mfs_write(file, "x", 1), 1);
	assert_code(mfs_close(file), 0);
	make_file(fs, "/dir/new", "", 0);
	assert_true(info_of(fs, "/dir-less").modified_at >= before);
	assert_true(info_of(fs, "/dir").modified_at >= before);
}

/* Such calls keep times of their own. */
static void writes_of_shared_handles_do_not_bring_older_times_back(void **state)
{
	enum { HANDLES = 2 };
	mfs *fs = *state;
	mfs_file *files[HANDLES];
	mfs_info info;

	make_file(fs, "/file", "0123456789", 10);
	for (int i = 0; i < HANDLES; i++)
		assert_code(open_with(fs, "/file", "r+b", MFS_O_SHARED, 0, &files[i]), 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < HANDLES; i++)
			assert_code(mfs_pwrite(files[i], "x", 1, i), 1);
		assert_code(mfs_set_modified(fs, "/file", -7 - round), 0);
		assert_code(info_of(fs, "/file").modified_at, -7 - round);
		assert_code(mfs_fstat(files[0], &info), 0);
		assert_code(info.modified_at, -7 - round);
	}
	for (int i = 0; i < HANDLES; i++)
		assert_code(mfs_close(files[i]), 0);
	assert_code(info_of(fs, "/file").modified_at, -9);
}

static void a_file_that_is_held_is_waited_for(void **state)
{
	mfs_options options = {.struct_size = sizeof options, .default_lock_timeout = MFS_NO_WAIT};
	mfs *fs = new_workspace(&options);

	(void)state;
	make_file(fs, "/file", "abc", 3);
	mfs_file *reader = open_file(fs, "/file", "rb");
	int64_t before = info_of(fs, "/file").modified_at;
	assert_refused(fs, mfs_set_modified(fs, "/file", 1), MFS_EBUSY);
	assert_true(info_of(fs, "/file").modified_at == before);
	assert_code(mfs_close(reader), 0);
	assert_code(mfs_set_modified(fs, "/file", 1), 0);
	free_workspace(fs);
}

static void bad_paths_are_refused(void **state)
{
	mfs *fs = *state;

	make_file(fs, "/file", "", 0);
	assert_refused(fs, mfs_set_modified(fs, "/missing", 1), MFS_ENOENT);
	assert_refused(fs, mfs_set_modified(fs, "/file/x", 1), MFS_ENOTDIR);
	assert_refused(fs, mfs_set_modified(fs, "/..", 1), MFS_EINVAL);
	assert_refused(fs, mfs_set_modified(fs, NULL, 1), MFS_EINVAL);
	assert_refused(fs, mfs_set_modified(NULL, "/file", 1), MFS_EINVAL);
	assert_code(mfs_set_modified(fs, "/", 77), 0);
	assert_code(info_of(fs, "/").modified_at, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(a_time_that_was_set_is_told),
		WORKSPACE_TEST(the_next_change_sets_its_own_time),
		WORKSPACE_TEST(writes_of_shared_handles_do_not_bring_older_times_back),
		WORKSPACE_TEST(a_file_that_is_held_is_waited_for),
		WORKSPACE_TEST(bad_paths_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
