/* SPDX-License-Identifier: MIT */
/*
 * Views: are the bytes that mfs_view() and mfs_view_runs() point to the file's, as many together as
 * the header says, and do they stay for as long as it says?
 */
#include "support.h"

#include <limits.h>
#include <sys/mman.h>

/* Around the ends of chunks. */
static const size_t border_sizes[] = {
	1,     100,     4095, 4096,    4097,    8191,        8192,        8193,    16384,
	16385, MIB - 1, MIB,  MIB + 1, 2 * MIB, 2 * MIB + 1, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1,
};

#define LARGEST (4 * MIB + 1)

/* Where the chunk ends that the offset is in, as the header has it. */
static size_t chunk_end(size_t offset)
{
	size_t end = 4 * KIB;

	while (end <= offset && end < 2 * MIB)
		end *= 2;
	return end > offset ? end : (offset / (2 * MIB) + 1) * 2 * MIB;
}

static size_t run_length(size_t offset, size_t size)
{
	size_t end = chunk_end(offset);

	return (end < size ? end : size) - offset;
}

static unsigned char *random_bytes(size_t size, uint64_t seed)
{
	unsigned char *bytes = allocate(size);
	struct rng rng = {seed};

	rng_fill(&rng, bytes, size);
	return bytes;
}

/* A view at this offset of a file of this size gives what it should. */
static void check_view(mfs_file *file, size_t offset, const unsigned char *bytes, size_t size)
{
	const void *data = bytes;

	if (offset >= size) {
		assert_code(mfs_view(file, (int64_t)offset, &data), 0);
		assert_null(data);
		return;
	}
	size_t length = run_length(offset, size);
	assert_code(mfs_view(file, (int64_t)offset, &data), length);
	assert_non_null(data);
	assert_int_equal(memcmp(data, bytes + offset, length), 0);
}

static void check_views(mfs *fs, const char *mode, const unsigned char *bytes, size_t size)
{
	mfs_file *file = open_file(fs, "/f", mode);

	check_view(file, 0, bytes, size);
	check_view(file, 1, bytes, size);
	check_view(file, size - 1, bytes, size);
	check_view(file, size, bytes, size);
	check_view(file, size + 1, bytes, size);
	check_view(file, (size_t)INT64_MAX, bytes, size);
	for (size_t end = 4096; end <= size; end = chunk_end(end)) {
		check_view(file, end - 1, bytes, size);
		check_view(file, end, bytes, size);
		check_view(file, end + 1, bytes, size);
	}
	/* Looking moves nothing. */
	assert_code(mfs_tell(file), 0);
	close_file(file);
}

static void view_is_the_rest_of_a_chunk_or_of_the_file(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = random_bytes(LARGEST, 1);

	for (size_t i = 0; i < COUNT_OF(border_sizes); i++) {
		make_file(fs, "/f", bytes, border_sizes[i]);
		uint64_t generation = info_of(fs, "/f").generation;
		check_views(fs, "rb", bytes, border_sizes[i]);
		check_views(fs, "r+b", bytes, border_sizes[i]);
		assert_int_equal(info_of(fs, "/f").generation, generation);
	}
	free(bytes);
}

static void views_follow_what_the_handle_writes(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = random_bytes(LARGEST, 2);

	make_file(fs, "/f", "", 0);
	mfs_file *file = open_file(fs, "/f", "r+b");
	check_view(file, 0, bytes, 0);
	for (size_t size = 0; size < 300 * KIB;) {
		size_t part = 1 + size / 3;
		assert_code(mfs_write(file, bytes + size, part), part);
		size += part;
		check_view(file, 0, bytes, size);
		check_view(file, size / 2, bytes, size);
		check_view(file, size - 1, bytes, size);
		check_view(file, size, bytes, size);
	}
	assert_code(mfs_truncate(file, 5000), 0);
	check_view(file, 4096, bytes, 5000);
	check_view(file, 5000, bytes, 5000);
	close_file(file);
	free(bytes);
}

static void empty_file_has_no_view(void **state)
{
	mfs *fs = *state;
	struct iovec run;
	int64_t at = 0;

	make_file(fs, "/f", "", 0);
	mfs_file *file = open_file(fs, "/f", "rb");
	check_view(file, 0, NULL, 0);
	assert_code(mfs_view_runs(file, &at, INT64_MAX, &run, 1), 0);
	assert_int_equal(at, 0);
	close_file(file);
}

/*
 * Runs
 */

static void runs_of_a_large_file_are_its_bytes(void **state)
{
	mfs *fs = *state;
	const size_t size = 10 * MIB + 12345;
	unsigned char *bytes = random_bytes(size, 3);
	unsigned char *copy = allocate(size);
	struct iovec runs[3];
	int64_t at = 0;
	size_t done = 0;
	size_t count = 0;
	int n;

	make_file(fs, "/f", bytes, size);
	mfs_file *file = open_file(fs, "/f", "rb");
	assert_code(mfs_pread(file, copy, size, 0), size);
	while ((n = mfs_view_runs(file, &at, INT64_MAX, runs, 3)) > 0) {
		for (int i = 0; i < n; i++) {
			assert_int_equal(runs[i].iov_len, run_length(done, size));
			assert_int_equal(memcmp(runs[i].iov_base, copy + done, runs[i].iov_len), 0);
			done += runs[i].iov_len;
			count++;
		}
		assert_int_equal(at, done);
	}
	assert_code(n, 0);
	assert_int_equal(done, size);
	/* 4 KiB twice, then doubling to 1 MiB, then 2 MiB each. */
	assert_int_equal(count, 15);
	assert_code(mfs_view_runs(file, &at, INT64_MAX, runs, 3), 0);
	assert_int_equal(at, size);
	close_file(file);
	free(bytes);
	free(copy);
}

/* The runs from one offset to another one, taken `count` at a time. */
static void check_runs(mfs_file *file, size_t from, size_t end, int count,
					   const unsigned char *bytes, size_t size)
{
	struct iovec runs[32];
	size_t stop = end < size ? end : size;
	size_t done = from;
	int64_t at = (int64_t)from;
	int n = count;

	while (n == count) {
		n = mfs_view_runs(file, &at, (int64_t)end, runs, count);
		assert_in_range(n, 0, count);
		for (int i = 0; i < n; i++) {
			assert_true(done < stop);
			assert_int_equal(runs[i].iov_len, run_length(done, stop));
			assert_int_equal(memcmp(runs[i].iov_base, bytes + done, runs[i].iov_len), 0);
			done += runs[i].iov_len;
		}
		assert_int_equal(at, done);
	}
	assert_int_equal(done, from > stop ? from : stop);
}

static void runs_begin_and_end_where_they_are_told(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = random_bytes(LARGEST, 4);
	static const size_t points[] = {0,     1,     4095,    4096,    4097,    8192,
									20000, 65536, MIB - 1, 2 * MIB, 3 * MIB, 4 * MIB};

	make_file(fs, "/f", bytes, LARGEST);
	mfs_file *file = open_file(fs, "/f", "r+b");
	for (size_t i = 0; i < COUNT_OF(points); i++) {
		for (size_t j = 0; j < COUNT_OF(points); j++) {
			check_runs(file, points[i], points[j], 1, bytes, LARGEST);
			check_runs(file, points[i], points[j], 4, bytes, LARGEST);
			check_runs(file, points[i], points[j], 32, bytes, LARGEST);
		}
		check_runs(file, points[i], LARGEST, 2, bytes, LARGEST);
		check_runs(file, points[i], LARGEST + 1, 2, bytes, LARGEST);
		check_runs(file, points[i], (size_t)INT64_MAX, 2, bytes, LARGEST);
	}
	check_runs(file, LARGEST, (size_t)INT64_MAX, 1, bytes, LARGEST);
	check_runs(file, (size_t)INT64_MAX, (size_t)INT64_MAX, 1, bytes, LARGEST);
	close_file(file);
	free(bytes);
}

static void runs_are_what_writev_takes(void **state)
{
	mfs *fs = *state;
	const size_t size = 100000;
	unsigned char *bytes = random_bytes(size, 5);
	unsigned char *copy = allocate(size);
	struct iovec runs[16];
	int64_t at = 0;
	int fd = memfd_create("runs", MFD_CLOEXEC);

	assert_true(fd >= 0);
	make_file(fs, "/f", bytes, size);
	mfs_file *file = open_file(fs, "/f", "rb");
	int n = mfs_view_runs(file, &at, INT64_MAX, runs, 16);
	assert_in_range(n, 1, 16);
	assert_int_equal(writev(fd, runs, n), size);
	close_file(file);
	assert_int_equal(pread(fd, copy, size, 0), size);
	assert_int_equal(memcmp(copy, bytes, size), 0);
	assert_int_equal(close(fd), 0);
	free(bytes);
	free(copy);
}

/*
 * How long they stay
 */

static void view_stays_while_others_ask_for_the_file(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = random_bytes(LARGEST, 6);
	const void *data;

	make_file(fs, "/f", bytes, LARGEST);
	make_dir(fs, "/d");
	make_text(fs, "/d/g", "other");
	mfs_file *file = open_file(fs, "/f", "rb");
	assert_code(mfs_view(file, 2 * MIB, &data), 2 * MIB);
	assert_code(mfs_remove(fs, "/f"), MFS_EBUSY);
	assert_code(mfs_rename(fs, "/f", "/g", 0), MFS_EBUSY);
	assert_code(mfs_rename(fs, "/d/g", "/f", MFS_RENAME_REPLACE), MFS_EBUSY);
	assert_code(mfs_rename(fs, "/d/g", "/f", MFS_RENAME_EXCHANGE), MFS_EBUSY);
	const mfs_import_item item = {.path = "/f", .data = "new", .size = 3};
	assert_code(mfs_import_tree(fs, &item, 1), MFS_EBUSY);
	assert_code(try_open(fs, "/f", "wb"), MFS_EBUSY);
	assert_code(try_open(fs, "/f", "r+b"), MFS_EBUSY);
	/* Other readers come and go, and so do copies that share the bytes. */
	mfs_file *reader = open_file(fs, "/f", "rb");
	const void *same;
	assert_code(mfs_view(reader, 2 * MIB, &same), 2 * MIB);
	assert_ptr_equal(data, same);
	close_file(reader);
	assert_code(mfs_copy(fs, "/f", "/copy"), 0);
	mfs_file *copy = open_file(fs, "/copy", "r+b");
	assert_code(mfs_pwrite(copy, "changed", 7, 2 * MIB), 7);
	close_file(copy);
	assert_code(mfs_copy(fs, "/copy", "/again"), 0);
	assert_code(mfs_remove(fs, "/copy"), 0);
	assert_code(mfs_remove(fs, "/again"), 0);
	assert_int_equal(memcmp(data, bytes + 2 * MIB, 2 * MIB), 0);
	assert_code(mfs_view(file, 2 * MIB, &same), 2 * MIB);
	assert_ptr_equal(data, same);
	close_file(file);
	free(bytes);
}

static void view_of_a_writer_stays_until_it_writes(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = random_bytes(20000, 7);
	unsigned char buffer[100];
	const void *data;
	const void *same;

	make_file(fs, "/f", bytes, 20000);
	assert_code(mfs_copy(fs, "/f", "/copy"), 0);
	mfs_file *file = open_file(fs, "/f", "r+b");
	mfs_file *other = open_file(fs, "/other", "wb");
	assert_code(mfs_view(file, 8192, &data), 8192);
	assert_code(mfs_read(file, buffer, sizeof(buffer)), sizeof(buffer));
	assert_code(mfs_seek(file, 8192, SEEK_SET), 8192);
	assert_code(mfs_copy_range(file, 0, other, 0, INT64_MAX), 20000);
	assert_code(mfs_remove(fs, "/copy"), 0);
	assert_int_equal(memcmp(data, bytes + 8192, 8192), 0);
	assert_code(mfs_view(file, 8192, &same), 8192);
	assert_ptr_equal(data, same);
	/* Now its own memory, which it may write to; the copy keeps the old bytes. */
	assert_code(mfs_pwrite(file, "new", 3, 8192), 3);
	assert_code(mfs_view(file, 8192, &data), 8192);
	assert_memory_equal(data, "new", 3);
	assert_memory_equal((const unsigned char *)data + 3, bytes + 8192 + 3, 8192 - 3);
	close_file(file);
	close_file(other);
	assert_file_holds(fs, "/other", bytes, 20000);
	free(bytes);
}

static void copies_are_viewed_where_the_original_is(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = random_bytes(LARGEST, 8);

	for (size_t i = 0; i < COUNT_OF(border_sizes); i++) {
		make_file(fs, "/f", bytes, border_sizes[i]);
		assert_code(mfs_copy(fs, "/f", "/g"), 0);
		mfs_file *one = open_file(fs, "/f", "rb");
		mfs_file *other = open_file(fs, "/g", "rb");
		for (size_t at = 0; at < border_sizes[i]; at = chunk_end(at)) {
			const void *data;
			const void *same;
			assert_true(mfs_view(one, (int64_t)at, &data) > 0);
			assert_code(mfs_view(other, (int64_t)at, &same), run_length(at, border_sizes[i]));
			assert_ptr_equal(data, same);
		}
		close_file(one);
		close_file(other);
		assert_code(mfs_remove(fs, "/g"), 0);
	}
	free(bytes);
}

/*
 * What is refused
 */

static void check_refused(mfs *fs, mfs_file *file, int code)
{
	const void *data = fs;
	struct iovec run = {fs, 7};
	int64_t at = 0;

	assert_refused(fs, mfs_view(file, 0, &data), code);
	assert_null(data);
	assert_refused(fs, mfs_view_runs(file, &at, INT64_MAX, &run, 1), code);
	assert_int_equal(at, 0);
	assert_ptr_equal(run.iov_base, fs);
	assert_int_equal(run.iov_len, 7);
}

static void handles_that_cannot_read_or_do_not_keep_the_lock_have_no_views(void **state)
{
	mfs *fs = *state;

	make_text(fs, "/f", "text");
	for (size_t i = 0; i < 2; i++) {
		mfs_file *shared = open_shared(fs, "/f", i ? "r+b" : "rb");
		check_refused(fs, shared, MFS_ENOTSUP);
		close_file(shared);
	}
	static const char *const modes[] = {"ab", "wb"};
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		mfs_file *writer = open_file(fs, "/f", modes[i]);
		check_refused(fs, writer, MFS_EBADF);
		close_file(writer);
		check_refused(fs, writer, MFS_EBADF);
	}
	mfs_file *shared = open_shared(fs, "/f", "ab");
	assert_code(mfs_view(shared, 0, &(const void *){NULL}), MFS_EBADF);
	close_file(shared);
	check_refused(fs, NULL, MFS_EBADF);
}

static void bad_arguments_are_refused(void **state)
{
	mfs *fs = *state;
	const void *data = fs;
	struct iovec run;
	int64_t at = 0;
	int64_t negative = -1;

	make_text(fs, "/f", "text");
	mfs_file *file = open_file(fs, "/f", "rb");
	assert_refused(fs, mfs_view(file, -1, &data), MFS_EINVAL);
	assert_null(data);
	assert_refused(fs, mfs_view(file, INT64_MIN, &data), MFS_EINVAL);
	assert_refused(fs, mfs_view(file, 0, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_view_runs(file, NULL, 4, &run, 1), MFS_EINVAL);
	assert_refused(fs, mfs_view_runs(file, &at, 4, NULL, 1), MFS_EINVAL);
	assert_refused(fs, mfs_view_runs(file, &at, 4, &run, 0), MFS_EINVAL);
	assert_refused(fs, mfs_view_runs(file, &at, 4, &run, -1), MFS_EINVAL);
	assert_refused(fs, mfs_view_runs(file, &at, 4, &run, INT_MIN), MFS_EINVAL);
	assert_refused(fs, mfs_view_runs(file, &at, -1, &run, 1), MFS_EINVAL);
	assert_refused(fs, mfs_view_runs(file, &negative, 4, &run, 1), MFS_EINVAL);
	assert_int_equal(at, 0);
	assert_int_equal(negative, -1);
	close_file(file);
}

/*
 * Threads
 */

struct viewer {
	mfs_file *file;
	const unsigned char *bytes;
	size_t size;
	bool right;
	pthread_t thread;
};

static void *view_everything(void *argument)
{
	struct viewer *viewer = argument;
	struct iovec runs[4];

	viewer->right = true;
	for (int i = 0; i < 200; i++) {
		int64_t at = 0;
		size_t done = 0;
		int n;
		while ((n = mfs_view_runs(viewer->file, &at, INT64_MAX, runs, 4)) > 0) {
			for (int r = 0; r < n; done += runs[r++].iov_len)
				if (memcmp(runs[r].iov_base, viewer->bytes + done, runs[r].iov_len) != 0)
					viewer->right = false;
		}
		if (n || done != viewer->size)
			viewer->right = false;
	}
	return NULL;
}

static void threads_look_through_one_handle_while_copies_are_made(void **state)
{
	mfs *fs = *state;
	struct viewer viewers[3];
	unsigned char *bytes = random_bytes(100000, 9);

	make_file(fs, "/f", bytes, 100000);
	mfs_file *file = open_file(fs, "/f", "rb");
	for (size_t i = 0; i < COUNT_OF(viewers); i++) {
		viewers[i] = (struct viewer){.file = file, .bytes = bytes, .size = 100000};
		viewers[i].thread = start_thread(view_everything, &viewers[i]);
	}
	int codes = 0;
	for (int i = 0; i < 50; i++) {
		codes += mfs_copy(fs, "/f", "/copy");
		mfs_file *copy = NULL;
		codes += mfs_open(fs, "/copy", "r+b", &copy);
		codes += mfs_pwrite(copy, "new", 3, 40000) != 3;
		codes += mfs_close(copy);
		codes += mfs_remove(fs, "/copy");
	}
	for (size_t i = 0; i < COUNT_OF(viewers); i++) {
		join_thread(viewers[i].thread);
		assert_true(viewers[i].right);
	}
	assert_int_equal(codes, 0);
	close_file(file);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(view_is_the_rest_of_a_chunk_or_of_the_file),
		WORKSPACE_TEST(views_follow_what_the_handle_writes),
		WORKSPACE_TEST(empty_file_has_no_view),
		WORKSPACE_TEST(runs_of_a_large_file_are_its_bytes),
		WORKSPACE_TEST(runs_begin_and_end_where_they_are_told),
		WORKSPACE_TEST(runs_are_what_writev_takes),
		WORKSPACE_TEST(view_stays_while_others_ask_for_the_file),
		WORKSPACE_TEST(view_of_a_writer_stays_until_it_writes),
		WORKSPACE_TEST(copies_are_viewed_where_the_original_is),
		WORKSPACE_TEST(handles_that_cannot_read_or_do_not_keep_the_lock_have_no_views),
		WORKSPACE_TEST(bad_arguments_are_refused),
		WORKSPACE_TEST(threads_look_through_one_handle_while_copies_are_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
