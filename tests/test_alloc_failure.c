/* SPDX-License-Identifier: MIT */
/*
 * Does a call that runs out of memory leave everything as it was?
 *
 * Each call is made again and again on a workspace that is built anew, the n-th allocation failing,
 * for every n until none fails. After a failure the tree, the data, the charge, the counters and
 * the locks must be as before, and in the end every block must be freed.
 */
#include "support.h"

#include "base/alloc.h"
#include "fs/filesystem.h"

/* More than any call here allocates. */
enum { MOST_ALLOCATIONS = 200 };

/* What the calls work on, besides the tree that set_up() makes. */
struct fixture {
	mfs *fs;
	mfs_file *small; /* "/d/small", open r+b */
};

static void write_file(mfs *fs, const char *path, size_t size)
{
	unsigned char *data = malloc(size + 1);
	mfs_file *file;

	assert_non_null(data);
	memset(data, 'x', size + 1);
	assert_code(mfs_open(fs, path, "wb", &file), 0);
	assert_code(mfs_write(file, data, size), (int64_t)size);
	assert_code(mfs_close(file), 0);
	free(data);
}

static void set_up(struct fixture *f)
{
	assert_code(mfs_new(NULL, &f->fs), 0);
	assert_code(mfs_mkdir(f->fs, "/d/e", 0), 0);
	write_file(f->fs, "/d/small", 100);
	write_file(f->fs, "/d/large", 3 * MIB + 17);
	write_file(f->fs, "/d/other", 5000);
	/* As many names as fit before the table grows with the next one. */
	for (int i = 0; i < 3; i++) {
		char path[32];
		(void)snprintf(path, sizeof path, "/d/f%d", i);
		write_file(f->fs, path, 0);
	}
	assert_code(mfs_open(f->fs, "/d/small", "r+b", &f->small), 0);
}

static void tear_down(struct fixture *f)
{
	assert_code(mfs_close(f->small), 0);
	assert_true(mfs__validate(f->fs));
	assert_code(mfs_free(f->fs), 0);
}

/* All that can be seen of a directory's tree, as text. */
static void describe(mfs *fs, const char *path, char *out, size_t size)
{
	char **names;
	int64_t count = mfs_listdir(fs, path, &names);

	assert_true(count >= 0);
	for (int64_t i = 0; i < count; i++) {
		char child[256];
		mfs_info info;
		size_t used = strlen(out);
		(void)snprintf(child, sizeof child, "%s/%s", path, names[i]);
		assert_code(mfs_stat(fs, child, &info), 0);
		(void)snprintf(out + used, size - used, "%s %lld %llu %lld\n", child, (long long)info.size,
					   (unsigned long long)info.generation, (long long)info.modified_at);
		if (info.is_dir)
			describe(fs, child, out, size);
	}
	mfs_names_free(names);
}

static void describe_all(struct fixture *f, char *out, size_t size)
{
	mfs_usage usage;

	assert_code(mfs_stats(f->fs, &usage), 0);
	(void)snprintf(out, size, "used %llu files %llu directories %llu chunks %llu handles %llu\n",
				   (unsigned long long)usage.used_bytes, (unsigned long long)usage.files,
				   (unsigned long long)usage.directories, (unsigned long long)usage.chunks,
				   (unsigned long long)usage.open_handles);
	describe(f->fs, "", out, size);
	assert_true(mfs__validate(f->fs));
}

/* Make a call fail at every allocation it makes. */
static void fail_everywhere(int64_t (*call)(struct fixture *f))
{
	static char before[8192];
	static char after[8192];
	long live = mfs__alloc_live();
	int failures = 0;

	for (long n = 1;; n++) {
		struct fixture f;
		assert_true(n < MOST_ALLOCATIONS);
		set_up(&f);
		describe_all(&f, before, sizeof before);
		mfs__alloc_fail_after(n);
		int64_t result = call(&f);
		bool failed = mfs__alloc_failed();
		mfs__alloc_fail_after(0);
		if (result < 0) {
			assert_true(failed);
			assert_code(result, MFS_ENOMEM);
			describe_all(&f, after, sizeof after);
			assert_string_equal(before, after);
			/* No lock is left behind: everything can be done. */
			assert_true(call(&f) >= 0);
			failures++;
		}
		tear_down(&f);
		if (!failed)
			break;
	}
	assert_true(failures > 0);
	assert_int_equal(mfs__alloc_live(), live);
}

static int64_t close_after(int code, mfs_file **file)
{
	if (code)
		return code;
	/* Out of memory for a smaller block, closing keeps the larger one. */
	assert_code(mfs_close(*file), 0);
	return 0;
}

static int64_t call_new(struct fixture *f)
{
	mfs *fs;

	(void)f;
	int code = mfs_new(NULL, &fs);
	return code ? code : mfs_free(fs);
}

static int64_t call_mkdir(struct fixture *f)
{
	return mfs_mkdir(f->fs, "/d/new/one/in/another", 0);
}

static int64_t call_create(struct fixture *f)
{
	mfs_file *file;

	return close_after(mfs_open(f->fs, "/d/a", "wb", &file), &file);
}

static int64_t call_create_in_empty(struct fixture *f)
{
	mfs_file *file;

	return close_after(mfs_open(f->fs, "/d/e/a", "xb", &file), &file);
}

static int64_t call_create_preallocated(struct fixture *f)
{
	mfs_open_options options = {.preallocate = 2 * MIB};
	mfs_file *file;

	return close_after(mfs_open_ex(f->fs, "/d/a", "wb", &options, &file), &file);
}

static int64_t call_empty_preallocated(struct fixture *f)
{
	mfs_open_options options = {.preallocate = 6 * MIB};
	mfs_file *file;

	return close_after(mfs_open_ex(f->fs, "/d/large", "wb", &options, &file), &file);
}

static int64_t call_open_folded(struct fixture *f)
{
	mfs_file *file;

	return close_after(mfs_open(f->fs, "/d/../d/other", "rb", &file), &file);
}

static int64_t call_append(struct fixture *f)
{
	static char byte = 'y';
	mfs_file *file;

	int code = mfs_open(f->fs, "/d/large", "ab", &file);
	if (code)
		return code;
	int64_t written = mfs_write(file, &byte, 1);
	assert_code(mfs_close(file), 0);
	return written;
}

static int64_t call_write(struct fixture *f)
{
	static char data[300000];

	return mfs_pwrite(f->small, data, sizeof data, 0);
}

static int64_t call_write_behind_gap(struct fixture *f)
{
	return mfs_pwrite(f->small, "end", 3, 2 * MIB);
}

static int64_t call_extend(struct fixture *f)
{
	return mfs_truncate(f->small, 70000);
}

static int64_t call_remove(struct fixture *f)
{
	return mfs_remove(f->fs, "/d/other") == MFS_ENOMEM ? MFS_ENOMEM : 0;
}

static int64_t call_rename(struct fixture *f)
{
	int code = mfs_rename(f->fs, "/d/other", "/d/renamed", 0);

	return code == MFS_ENOENT ? 0 : code;
}

static int64_t call_rename_across(struct fixture *f)
{
	int code = mfs_rename(f->fs, "/d/other", "/d/e/other", 0);

	return code == MFS_ENOENT ? 0 : code;
}

static int64_t call_replace(struct fixture *f)
{
	int code = mfs_rename(f->fs, "/d/other", "/d/large", MFS_RENAME_REPLACE);

	return code == MFS_ENOENT ? 0 : code;
}

static int64_t call_listdir(struct fixture *f)
{
	char **names;
	int64_t count = mfs_listdir(f->fs, "/d", &names);

	if (count >= 0)
		mfs_names_free(names);
	else
		assert_null(names);
	return count;
}

static int64_t call_stat_folded(struct fixture *f)
{
	mfs_info info;

	return mfs_stat(f->fs, "/d/e/../other", &info);
}

#define FAILURE_TEST(name)                                                                         \
	static void name##_fails_without_a_trace(void **state)                                         \
	{                                                                                              \
		(void)state;                                                                               \
		fail_everywhere(call_##name);                                                              \
	}

FAILURE_TEST(new)
FAILURE_TEST(mkdir)
FAILURE_TEST(create)
FAILURE_TEST(create_in_empty)
FAILURE_TEST(create_preallocated)
FAILURE_TEST(empty_preallocated)
FAILURE_TEST(open_folded)
FAILURE_TEST(append)
FAILURE_TEST(write)
FAILURE_TEST(write_behind_gap)
FAILURE_TEST(extend)
FAILURE_TEST(remove)
FAILURE_TEST(rename)
FAILURE_TEST(rename_across)
FAILURE_TEST(replace)
FAILURE_TEST(listdir)
FAILURE_TEST(stat_folded)

static void close_without_memory_keeps_the_data(void **state)
{
	struct fixture f;
	mfs_file *file;
	char data[5];

	(void)state;
	set_up(&f);
	assert_code(mfs_open(f.fs, "/d/a", "wb", &file), 0);
	assert_code(mfs_write(file, "abcde", 5), 5);
	assert_code(mfs_write(file, "fghij", 5), 5);
	mfs__alloc_fail_after(1);
	assert_code(mfs_close(file), 0);
	assert_true(mfs__alloc_failed());
	mfs__alloc_fail_after(0);
	assert_code(mfs_open(f.fs, "/d/a", "rb", &file), 0);
	assert_code(mfs_pread(file, data, 5, 5), 5);
	assert_memory_equal(data, "fghij", 5);
	assert_code(mfs_close(file), 0);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_fails_without_a_trace),
		cmocka_unit_test(mkdir_fails_without_a_trace),
		cmocka_unit_test(create_fails_without_a_trace),
		cmocka_unit_test(create_in_empty_fails_without_a_trace),
		cmocka_unit_test(create_preallocated_fails_without_a_trace),
		cmocka_unit_test(empty_preallocated_fails_without_a_trace),
		cmocka_unit_test(open_folded_fails_without_a_trace),
		cmocka_unit_test(append_fails_without_a_trace),
		cmocka_unit_test(write_fails_without_a_trace),
		cmocka_unit_test(write_behind_gap_fails_without_a_trace),
		cmocka_unit_test(extend_fails_without_a_trace),
		cmocka_unit_test(remove_fails_without_a_trace),
		cmocka_unit_test(rename_fails_without_a_trace),
		cmocka_unit_test(rename_across_fails_without_a_trace),
		cmocka_unit_test(replace_fails_without_a_trace),
		cmocka_unit_test(listdir_fails_without_a_trace),
		cmocka_unit_test(stat_folded_fails_without_a_trace),
		cmocka_unit_test(close_without_memory_keeps_the_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
