/* SPDX-License-Identifier: MIT */
/* Are the bytes that are handed out in place those of one instant, and nobody's to wait for? */
#include "support.h"

/* What a call of `take` saw, and does. */
struct taken {
	mfs *fs;
	mfs_file *file;
	int calls;
	int runs;
	size_t length;
	unsigned char *bytes; /* room for what is expected */
	int (*meanwhile)(struct taken *taken);
	int met; /* what that returned */
	int64_t result;
};

static int64_t take(void *user, const struct iovec *runs, int count)
{
	struct taken *taken = user;

	taken->calls++;
	taken->runs = count;
	if (taken->meanwhile)
		taken->met = taken->meanwhile(taken);
	for (int i = 0; i < count; i++) {
		memcpy(taken->bytes + taken->length, runs[i].iov_base, runs[i].iov_len);
		taken->length += runs[i].iov_len;
	}
	return taken->result;
}

static unsigned char *pattern(size_t size)
{
	struct rng rng = {size};
	unsigned char *bytes = allocate(size);

	rng_fill(&rng, bytes, size);
	return bytes;
}

static void any_part_of_a_file_is_handed_out(void **state)
{
	enum { SIZE = 5 * 1024 * 1024 + 17 };
	static const struct {
		int64_t offset, size, length;
	} parts[] = {
		{0, INT64_MAX, SIZE},        {0, 1, 1},     {4095, 2, 2},      {100, 3000000, 3000000},
		{SIZE - 1, 10, 1},           {SIZE, 10, 0}, {INT64_MAX, 1, 0}, {2097152, 2097152, 2097152},
		{2097151, 2097153, 2097153}, {7, 0, 0},
	};
	mfs *fs = *state;
	unsigned char *bytes = pattern(SIZE);
	struct taken taken = {.fs = fs, .bytes = allocate(SIZE)};

	make_file(fs, "/file", bytes, SIZE);
	for (int shared = 0; shared < 2; shared++) {
		mfs_file *file = NULL;
		assert_code(open_with(fs, "/file", "rb", shared ? MFS_O_SHARED : 0, 0, &file), 0);
		for (size_t i = 0; i < COUNT_OF(parts); i++) {
			taken.calls = 0;
			taken.length = 0;
			taken.result = (int64_t)i - 3;
			assert_code(mfs_read_in_place(file, parts[i].offset, parts[i].size, take, &taken),
						taken.result);
			assert_code(taken.calls, 1);
			assert_code(taken.length, parts[i].length);
			assert_true((taken.runs == 0) == (taken.length == 0));
			if (taken.length)
				assert_memory_equal(taken.bytes, bytes + parts[i].offset, taken.length);
		}
		assert_code(mfs_tell(file), 0);
		assert_code(mfs_close(file), 0);
	}
	free(taken.bytes);
	free(bytes);
}

/* More runs than need no memory to list them. */
static void a_long_file_is_handed_out_at_once(void **state)
{
	const size_t size = 40 * MIB;
	mfs *fs = *state;
	unsigned char *bytes = pattern(size);
	struct taken taken = {.fs = fs, .bytes = allocate(size)};

	make_file(fs, "/file", bytes, size);
	mfs_file *file = open_file(fs, "/file", "rb");
	assert_code(mfs_read_in_place(file, 0, INT64_MAX, take, &taken), 0);
	assert_code(taken.calls, 1);
	assert_true(taken.runs > 20);
	assert_code(taken.length, size);
	assert_memory_equal(taken.bytes, bytes, size);
	assert_code(mfs_close(file), 0);
	free(taken.bytes);
	free(bytes);
}

static int overwrite(struct taken *taken)
{
	mfs_file *writer = NULL;
	int code = open_with(taken->fs, "/file", "r+b", MFS_O_SHARED, MFS_NO_WAIT, &writer);

	if (code)
		return code;
	int64_t written = mfs_pwrite(writer, "XXXX", 4, 0);
	int truncated = mfs_truncate(writer, 2);
	(void)mfs_close(writer);
	if (written != 4 || truncated)
		return written < 0 ? (int)written : truncated;
	code = mfs_rename(taken->fs, "/file", "/other", 0);
	return code ? code : mfs_remove(taken->fs, "/other");
}

static void writers_do_not_wait_and_do_not_change_what_is_taken(void **state)
{
	mfs *fs = *state;
	unsigned char seen[16];
	struct taken taken = {.fs = fs, .bytes = seen, .meanwhile = overwrite};

	make_file(fs, "/file", "0123456789", 10);
	mfs_file *file = NULL;
	assert_code(open_with(fs, "/file", "rb", MFS_O_SHARED, 0, &file), 0);
	assert_code(mfs_read_in_place(file, 0, INT64_MAX, take, &taken), 0);
	assert_code(taken.met, 0);
	assert_code(taken.length, 10);
	assert_memory_equal(seen, "0123456789", 10);
	char bytes[4];
	assert_code(mfs_pread(file, bytes, sizeof bytes, 0), 2);
	assert_memory_equal(bytes, "XX", 2);
	assert_code(mfs_close(file), 0);
	assert_code(used_bytes(fs), 0);
}

static int close_it(struct taken *taken)
{
	return mfs_close(taken->file);
}

static void the_handle_may_be_closed_meanwhile(void **state)
{
	mfs *fs = *state;
	unsigned char seen[16];
	struct taken taken = {.fs = fs, .bytes = seen, .meanwhile = close_it};

	make_file(fs, "/file", "abc", 3);
	taken.file = open_file(fs, "/file", "rb");
	assert_code(mfs_read_in_place(taken.file, 1, 2, take, &taken), 0);
	assert_code(taken.met, 0);
	assert_memory_equal(seen, "bc", 2);
	assert_refused(fs, mfs_read_in_place(taken.file, 0, 1, take, &taken), MFS_EBADF);
	assert_code(taken.calls, 1);
}

static void bad_arguments_are_refused(void **state)
{
	mfs *fs = *state;
	struct taken taken = {.fs = fs};

	make_file(fs, "/file", "abc", 3);
	mfs_file *file = open_file(fs, "/file", "r+b");
	assert_refused(fs, mfs_read_in_place(file, -1, 1, take, &taken), MFS_EINVAL);
	assert_refused(fs, mfs_read_in_place(file, 0, -1, take, &taken), MFS_EINVAL);
	assert_refused(fs, mfs_read_in_place(file, 0, 1, NULL, &taken), MFS_EINVAL);
	assert_refused(fs, mfs_read_in_place(NULL, 0, 1, take, &taken), MFS_EBADF);
	assert_code(mfs_close(file), 0);
	file = open_file(fs, "/file", "ab");
	assert_refused(fs, mfs_read_in_place(file, 0, 1, take, &taken), MFS_EBADF);
	assert_code(mfs_close(file), 0);
	assert_code(taken.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(any_part_of_a_file_is_handed_out),
		WORKSPACE_TEST(a_long_file_is_handed_out_at_once),
		WORKSPACE_TEST(writers_do_not_wait_and_do_not_change_what_is_taken),
		WORKSPACE_TEST(the_handle_may_be_closed_meanwhile),
		WORKSPACE_TEST(bad_arguments_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
