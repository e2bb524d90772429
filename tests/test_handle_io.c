/* SPDX-License-Identifier: MIT */
/*
 * Does a handle read back what was written, for every way to read, write, move and cut?
 */
#include "support.h"

static void reading_moves_the_cursor_and_stops_at_the_end(void **state)
{
	mfs *fs = *state;
	char buffer[16] = {0};
	mfs_file *file = NULL;

	make_text(fs, "/f", "0123456789");
	file = open_file(fs, "/f", "rb");
	assert_code(mfs_tell(file), 0);
	assert_code(mfs_read(file, buffer, 4), 4);
	assert_memory_equal(buffer, "0123", 4);
	assert_code(mfs_tell(file), 4);
	assert_code(mfs_read(file, buffer, sizeof(buffer)), 6);
	assert_memory_equal(buffer, "456789", 6);
	assert_code(mfs_tell(file), 10);
	assert_code(mfs_read(file, buffer, sizeof(buffer)), 0);
	assert_code(mfs_tell(file), 10);
	assert_code(mfs_seek(file, 1000, SEEK_SET), 1000);
	assert_code(mfs_read(file, buffer, sizeof(buffer)), 0);
	assert_code(mfs_tell(file), 1000);
	close_file(file);
}

static void positioned_calls_leave_the_cursor(void **state)
{
	mfs *fs = *state;
	char buffer[16] = {0};
	mfs_file *file = NULL;

	make_text(fs, "/f", "0123456789");
	file = open_file(fs, "/f", "r+b");
	assert_code(mfs_seek(file, 3, SEEK_SET), 3);
	assert_code(mfs_pread(file, buffer, 4, 6), 4);
	assert_memory_equal(buffer, "6789", 4);
	assert_code(mfs_pread(file, buffer, 4, 8), 2);
	assert_memory_equal(buffer, "89", 2);
	assert_code(mfs_pread(file, buffer, 4, 10), 0);
	assert_code(mfs_pread(file, buffer, 4, 11), 0);
	assert_code(mfs_pread(file, buffer, 4, INT64_MAX), 0);
	assert_code(mfs_pwrite(file, "xy", 2, 9), 2);
	assert_code(mfs_tell(file), 3);
	close_file(file);
	assert_text(fs, "/f", "012345678xy");
}

static void seek_moves_from_start_cursor_and_end(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;

	make_text(fs, "/f", "0123456789");
	file = open_file(fs, "/f", "rb");
	assert_code(mfs_seek(file, 4, SEEK_SET), 4);
	assert_code(mfs_seek(file, 3, SEEK_CUR), 7);
	assert_code(mfs_seek(file, -5, SEEK_CUR), 2);
	assert_code(mfs_seek(file, 0, SEEK_CUR), 2);
	assert_code(mfs_seek(file, 0, SEEK_END), 10);
	assert_code(mfs_seek(file, -10, SEEK_END), 0);
	assert_code(mfs_seek(file, 12, SEEK_SET), 12);
	assert_code(mfs_seek(file, 5, SEEK_CUR), 17);
	assert_code(mfs_tell(file), 17);
	close_file(file);
}

static void seek_refuses_what_is_no_position(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;

	make_text(fs, "/f", "0123456789");
	file = open_file(fs, "/f", "r+b");
	assert_code(mfs_seek(file, 3, SEEK_SET), 3);
	assert_refused(fs, mfs_seek(file, -1, SEEK_SET), MFS_EINVAL);
	assert_refused(fs, mfs_seek(file, INT64_MIN, SEEK_SET), MFS_EINVAL);
	assert_refused(fs, mfs_seek(file, -4, SEEK_CUR), MFS_EINVAL);
	assert_refused(fs, mfs_seek(file, INT64_MIN, SEEK_CUR), MFS_EINVAL);
	assert_refused(fs, mfs_seek(file, INT64_MAX, SEEK_CUR), MFS_EINVAL);
	assert_refused(fs, mfs_seek(file, INT64_MAX - 2, SEEK_CUR), MFS_EINVAL);
	assert_refused(fs, mfs_seek(file, 1, SEEK_END), MFS_EINVAL);
	assert_refused(fs, mfs_seek(file, INT64_MAX, SEEK_END), MFS_EINVAL);
	assert_refused(fs, mfs_seek(file, -11, SEEK_END), MFS_EINVAL);
	assert_refused(fs, mfs_seek(file, INT64_MIN, SEEK_END), MFS_EINVAL);
	assert_refused(fs, mfs_seek(file, 0, 3), MFS_EINVAL);
	assert_refused(fs, mfs_seek(file, 0, -1), MFS_EINVAL);
	assert_refused(fs, mfs_seek(file, 0, INT32_MAX), MFS_EINVAL);
	assert_code(mfs_tell(file), 3);
	close_file(file);
}

static void offsets_at_the_edge_of_int64_are_refused(void **state)
{
	mfs *fs = *state;
	char buffer[4] = {0};
	mfs_file *file = NULL;
	mfs_usage before;
	mfs_info info;

	make_text(fs, "/f", "0123456789");
	info = info_of(fs, "/f");
	file = open_file(fs, "/f", "r+b");
	before = usage_of(fs);
	assert_refused(fs, mfs_pread(file, buffer, 1, -1), MFS_EINVAL);
	assert_refused(fs, mfs_pread(file, buffer, 1, INT64_MIN), MFS_EINVAL);
	assert_refused(fs, mfs_pwrite(file, "x", 1, -1), MFS_EINVAL);
	assert_refused(fs, mfs_pwrite(file, "x", 1, INT64_MIN), MFS_EINVAL);
	assert_refused(fs, mfs_pwrite(file, "x", 1, INT64_MAX), MFS_EFBIG);
	assert_refused(fs, mfs_pwrite(file, "xy", 2, INT64_MAX - 1), MFS_EFBIG);
	assert_refused_either(fs, mfs_pwrite(file, "x", 1, INT64_MAX - 1), MFS_EFBIG, MFS_EQUOTA);
	assert_refused_either(fs, mfs_pwrite(file, "x", 1, INT64_C(1) << 62), MFS_EFBIG, MFS_EQUOTA);
	assert_refused(fs, mfs_pwrite(file, "x", 1, INT64_C(1) << 40), MFS_EQUOTA);
	assert_refused(fs, mfs_truncate(file, -1), MFS_EINVAL);
	assert_refused(fs, mfs_truncate(file, INT64_MIN), MFS_EINVAL);
	assert_refused(fs, mfs_truncate(file, INT64_C(1) << 40), MFS_EQUOTA);
	assert_refused_either(fs, mfs_truncate(file, INT64_MAX), MFS_EQUOTA, MFS_EFBIG);

	/* Sizes that no count can tell: refused before a byte of the buffer is looked at. */
	assert_refused_either(fs, mfs_write(file, buffer, SIZE_MAX), MFS_EFBIG, MFS_EINVAL);
	assert_refused_either(fs, mfs_pwrite(file, buffer, SIZE_MAX, 1), MFS_EFBIG, MFS_EINVAL);
	assert_refused_either(fs, mfs_pwrite(file, buffer, (size_t)INT64_MAX, 1), MFS_EFBIG,
						  MFS_EINVAL);
	assert_refused_either(fs, mfs_write(file, buffer, (size_t)1 << 50), MFS_EFBIG, MFS_EQUOTA);
	assert_handle_holds(file, "0123456789", 10);
	assert_int_equal(usage_of(fs).used_bytes, before.used_bytes);
	assert_int_equal(info_of(fs, "/f").generation, info.generation);
	close_file(file);
}

static void the_cursor_may_stand_far_out(void **state)
{
	mfs *fs = *state;
	char buffer[4] = {0};
	mfs_file *file = NULL;
	int64_t far = INT64_C(1) << 40;

	make_text(fs, "/f", "0123456789");
	file = open_file(fs, "/f", "r+b");
	assert_code(mfs_seek(file, far, SEEK_SET), far);
	assert_code(mfs_read(file, buffer, 4), 0);
	assert_refused(fs, mfs_write(file, "x", 1), MFS_EQUOTA);
	assert_code(mfs_tell(file), far);
	/* Whether the last position of all can be sought is open, not what happens there. */
	if (mfs_seek(file, INT64_MAX, SEEK_SET) == INT64_MAX) {
		assert_code(mfs_read(file, buffer, 4), 0);
		assert_refused(fs, mfs_write(file, "x", 1), MFS_EFBIG);
		assert_refused(fs, mfs_seek(file, 1, SEEK_CUR), MFS_EINVAL);
		assert_code(mfs_tell(file), INT64_MAX);
	}
	close_file(file);
	assert_text(fs, "/f", "0123456789");
}

static void nothing_is_done_for_size_0(void **state)
{
	mfs *fs = *state;
	char byte = 'x';
	struct iovec empty[3] = {{NULL, 0}, {&byte, 0}, {NULL, 0}};
	mfs_file *file = NULL;
	mfs_info before;
	mfs_info after;

	make_text(fs, "/f", "0123456789");
	before = info_of(fs, "/f");
	await_clock_tick();
	file = open_file(fs, "/f", "r+b");
	assert_code(mfs_seek(file, 5, SEEK_SET), 5);
	assert_code(mfs_read(file, &byte, 0), 0);
	assert_code(mfs_read(file, NULL, 0), 0);
	assert_code(mfs_pread(file, NULL, 0, 5), 0);
	assert_code(mfs_write(file, &byte, 0), 0);
	assert_code(mfs_write(file, NULL, 0), 0);
	assert_code(mfs_pwrite(file, NULL, 0, 5), 0);
	assert_code(mfs_readv(file, empty, 3), 0);
	assert_code(mfs_writev(file, empty, 3), 0);
	assert_code(mfs_readv(file, empty, 0), 0);
	assert_code(mfs_writev(file, empty, 0), 0);
	assert_int_equal(byte, 'x');
	assert_code(mfs_tell(file), 5);
	close_file(file);
	after = info_of(fs, "/f");
	assert_int_equal(after.size, before.size);
	assert_int_equal(after.generation, before.generation);
	assert_int_equal(after.modified_at, before.modified_at);
}

static void several_buffers_are_one_call(void **state)
{
	mfs *fs = *state;
	char parts[4][4] = {"abc", "", "de", "fghi"};
	struct iovec out[4] = {{parts[0], 3}, {NULL, 0}, {parts[2], 2}, {parts[3], 4}};
	char first[2];
	char second[3];
	char third[100];
	struct iovec in[4] = {{first, 2}, {NULL, 0}, {second, 3}, {third, 100}};
	mfs_file *file = open_file(fs, "/f", "wb");

	assert_code(mfs_writev(file, out, 4), 9);
	assert_code(mfs_tell(file), 9);
	assert_int_equal(info_of(fs, "/f").generation, 1);
	close_file(file);
	file = open_file(fs, "/f", "rb");
	assert_code(mfs_readv(file, in, 4), 9);
	assert_code(mfs_tell(file), 9);
	assert_memory_equal(first, "ab", 2);
	assert_memory_equal(second, "cde", 3);
	assert_memory_equal(third, "fghi", 4);
	assert_code(mfs_readv(file, in, 4), 0);
	close_file(file);
}

static void up_to_1024_buffers_are_taken(void **state)
{
	mfs *fs = *state;
	struct iovec *vector = allocate(1025 * sizeof(*vector));
	unsigned char *bytes = allocate(1025 * 3);
	unsigned char *expected = allocate(1024 * 3);
	struct rng rng = {11};
	mfs_file *file = open_file(fs, "/f", "wb");

	rng_fill(&rng, bytes, 1025 * 3);
	memcpy(expected, bytes, 1024 * 3);
	for (size_t i = 0; i < 1025; i++) {
		vector[i].iov_base = bytes + i * 3;
		vector[i].iov_len = 3;
	}
	assert_refused(fs, mfs_writev(file, vector, 1025), MFS_EINVAL);
	assert_refused(fs, mfs_writev(file, vector, INT32_MAX), MFS_EINVAL);
	assert_refused(fs, mfs_writev(file, vector, -1), MFS_EINVAL);
	assert_refused(fs, mfs_writev(file, vector, INT32_MIN), MFS_EINVAL);
	assert_code(mfs_get_size(fs, "/f"), 0);
	assert_code(mfs_writev(file, vector, 1024), 1024 * 3);
	close_file(file);
	assert_file_holds(fs, "/f", expected, 1024 * 3);

	memset(bytes, 0, 1025 * 3);
	file = open_file(fs, "/f", "rb");
	assert_refused(fs, mfs_readv(file, vector, 1025), MFS_EINVAL);
	assert_refused(fs, mfs_readv(file, vector, -1), MFS_EINVAL);
	assert_refused(fs, mfs_readv(file, vector, INT32_MIN), MFS_EINVAL);
	assert_zeros(bytes, 1025 * 3);
	assert_code(mfs_tell(file), 0);
	assert_code(mfs_readv(file, vector, 1024), 1024 * 3);
	assert_memory_equal(bytes, expected, 1024 * 3);
	close_file(file);
	free(vector);
	free(bytes);
	free(expected);
}

static void buffers_whose_sum_is_no_size_are_refused(void **state)
{
	mfs *fs = *state;
	char bytes[4] = "abc";
	/* Added up blindly, the first three sums are 1, 0 and 2. */
	struct iovec vectors[4][2] = {
		{{bytes, SIZE_MAX}, {bytes, 2}},
		{{bytes, SIZE_MAX / 2 + 1}, {bytes, SIZE_MAX / 2 + 1}},
		{{bytes, 3}, {bytes, SIZE_MAX}},
		{{bytes, (size_t)INT64_MAX}, {bytes, 1}},
	};
	mfs_file *file = NULL;

	make_text(fs, "/f", "0123456789");
	file = open_file(fs, "/f", "r+b");
	for (size_t i = 0; i < COUNT_OF(vectors); i++) {
		assert_refused_either(fs, mfs_writev(file, vectors[i], 2), MFS_EINVAL, MFS_EFBIG);
	}
	assert_code(mfs_tell(file), 0);
	close_file(file);
	assert_text(fs, "/f", "0123456789");
}

static void a_gap_is_filled_with_zeros(void **state)
{
	static const int64_t offsets[] = {11, 100, 4095, 4096, 70000, 1000000, 10485760};
	mfs *fs = *state;
	unsigned char *expected = allocate(10485760 + 3);

	for (size_t i = 0; i < COUNT_OF(offsets); i++) {
		size_t offset = (size_t)offsets[i];
		mfs_file *file = NULL;

		/* What the file's memory held before must not shine through. */
		memset(expected, 0xff, offset + 3);
		make_file(fs, "/f", expected, offset + 3);
		memset(expected, 0, offset);
		memcpy(expected, "0123456789", 10);
		memcpy(expected + offset, "end", 3);
		file = open_file(fs, "/f", "r+b");
		assert_code(mfs_write(file, "0123456789", 10), 10);
		assert_code(mfs_truncate(file, 10), 0);
		assert_code(mfs_seek(file, offsets[i], SEEK_SET), offsets[i]);
		assert_code(mfs_get_size(fs, "/f"), 10);
		assert_code(mfs_write(file, "end", 3), 3);
		assert_code(mfs_tell(file), offsets[i] + 3);
		assert_handle_holds(file, expected, offset + 3);
		close_file(file);
		assert_file_holds(fs, "/f", expected, offset + 3);
		/* The same by a positioned write into an empty file. */
		memset(expected, 0, 10);
		file = open_file(fs, "/f", "wb");
		assert_code(mfs_pwrite(file, "end", 3, offsets[i]), 3);
		assert_code(mfs_tell(file), 0);
		close_file(file);
		assert_file_holds(fs, "/f", expected, offset + 3);
		assert_in_range(used_bytes(fs), offset + 3, UINT64_MAX);
	}
	free(expected);
}

static void truncate_shortens_and_extends_with_zeros(void **state)
{
	static const int64_t sizes[] = {10, 3000000, 5, 5000, 4999, 5000, 0, 1, 65537, 1, 300000, 0};
	mfs *fs = *state;
	unsigned char *expected = allocate(3000000);
	size_t size = 0;
	mfs_file *file = open_file(fs, "/f", "wb");

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		size_t next = (size_t)sizes[i];

		if (next > size) {
			memset(expected + size, 0, next - size);
		}
		assert_code(mfs_truncate(file, sizes[i]), 0);
		size = next;
		close_file(file);
		assert_file_holds(fs, "/f", expected, size);
		file = open_file(fs, "/f", "r+b");
		/* Leave no zeros behind that a later extension could find. */
		memset(expected, 0xee, size);
		assert_code(mfs_write(file, expected, size), size);
		assert_handle_holds(file, expected, size);
	}
	close_file(file);
	free(expected);
}

static void truncate_moves_a_cursor_that_stands_beyond(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;

	make_text(fs, "/f", "0123456789");
	file = open_file(fs, "/f", "r+b");
	assert_code(mfs_seek(file, 8, SEEK_SET), 8);
	assert_code(mfs_truncate(file, 8), 0);
	assert_code(mfs_tell(file), 8);
	assert_code(mfs_truncate(file, 5), 0);
	assert_code(mfs_tell(file), 5);
	assert_code(mfs_truncate(file, 20), 0);
	assert_code(mfs_tell(file), 5);
	assert_code(mfs_seek(file, 100, SEEK_SET), 100);
	assert_code(mfs_truncate(file, 4), 0);
	assert_code(mfs_tell(file), 4);
	assert_code(mfs_write(file, "x", 1), 1);
	close_file(file);
	assert_text(fs, "/f", "0123x");
}

static void truncate_to_a_longer_file_leaves_the_cursor(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;

	make_text(fs, "/f", "0123456789");
	file = open_file(fs, "/f", "r+b");
	assert_code(mfs_seek(file, 4, SEEK_SET), 4);
	assert_code(mfs_truncate(file, 20), 0);
	assert_code(mfs_tell(file), 4);
	assert_code(mfs_seek(file, 100, SEEK_SET), 100);
	assert_code(mfs_truncate(file, 20), 0);
	assert_code(mfs_tell(file), 100);
	assert_code(mfs_truncate(file, 30), 0);
	assert_code(mfs_tell(file), 100);
	close_file(file);
}

static void every_change_of_the_data_counts(void **state)
{
	mfs *fs = *state;
	struct iovec vector = {"ab", 2};
	mfs_file *file = open_file(fs, "/f", "wb");
	mfs_info info = info_of(fs, "/f");
	char byte = 0;

	assert_int_equal(info.generation, 0);
	assert_code(mfs_write(file, "0123456789", 10), 10);
	assert_int_equal(info_of(fs, "/f").generation, 1);
	assert_code(mfs_pwrite(file, "x", 1, 0), 1);
	assert_int_equal(info_of(fs, "/f").generation, 2);
	assert_code(mfs_writev(file, &vector, 1), 2);
	assert_int_equal(info_of(fs, "/f").generation, 3);
	assert_code(mfs_truncate(file, 3), 0);
	assert_int_equal(info_of(fs, "/f").generation, 4);
	assert_code(mfs_truncate(file, 30), 0);
	assert_int_equal(info_of(fs, "/f").generation, 5);
	/* What is no change of the data does not count. */
	assert_code(mfs_seek(file, 0, SEEK_SET), 0);
	assert_code(mfs_flush(file), 0);
	assert_refused(fs, mfs_pwrite(file, "x", 1, -1), MFS_EINVAL);
	close_file(file);
	file = open_file(fs, "/f", "rb");
	assert_code(mfs_read(file, &byte, 1), 1);
	close_file(file);
	assert_code(mfs_rename(fs, "/f", "/g", 0), 0);
	assert_int_equal(info_of(fs, "/g").generation, 5);
}

static void times_tell_creation_and_last_change(void **state)
{
	mfs *fs = *state;
	int64_t before = clock_ns(CLOCK_REALTIME) - 10000000;
	mfs_file *file = open_file(fs, "/f", "wb");
	mfs_info made = info_of(fs, "/f");
	mfs_info written;
	mfs_info later;

	/* To the clock tick: an instant before now, at most 10 ms. */
	assert_in_range(made.created_at, before, clock_ns(CLOCK_REALTIME));
	assert_in_range(made.modified_at, before, clock_ns(CLOCK_REALTIME));
	await_clock_tick();
	assert_code(mfs_write(file, "0123456789", 10), 10);
	written = info_of(fs, "/f");
	assert_int_equal(written.created_at, made.created_at);
	assert_true(written.modified_at > made.modified_at);
	await_clock_tick();
	close_file(file);
	assert_text(fs, "/f", "0123456789");
	later = info_of(fs, "/f");
	assert_int_equal(later.created_at, made.created_at);
	assert_int_equal(later.modified_at, written.modified_at);
	file = open_file(fs, "/f", "r+b");
	assert_code(mfs_truncate(file, 4), 0);
	close_file(file);
	later = info_of(fs, "/f");
	assert_int_equal(later.created_at, made.created_at);
	assert_true(later.modified_at > written.modified_at);
}

/*
 * Storage modes
 */

static mfs *workspace_of_storage(int storage, uint64_t promotion_limit)
{
	mfs_options options = {.struct_size = sizeof(options)};

	options.default_storage = storage;
	options.promotion_hard_limit = promotion_limit;
	return new_workspace(&options);
}

static void a_sequential_file_takes_writes_at_its_end_only(void **state)
{
	mfs *fs = workspace_of_storage(MFS_STORAGE_SEQUENTIAL, 0);
	struct iovec vector = {"xy", 2};
	char byte = 0;
	mfs_file *file = NULL;

	(void)state;
	make_text(fs, "/f", "0123456789");
	file = open_file(fs, "/f", "r+b");
	assert_refused(fs, mfs_write(file, "x", 1), MFS_ENOTSUP);
	assert_refused(fs, mfs_pwrite(file, "x", 1, 9), MFS_ENOTSUP);
	assert_refused(fs, mfs_pwrite(file, "x", 1, 11), MFS_ENOTSUP);
	assert_refused(fs, mfs_writev(file, &vector, 1), MFS_ENOTSUP);
	assert_code(mfs_tell(file), 0);
	assert_handle_holds(file, "0123456789", 10);
	assert_code(mfs_pwrite(file, "a", 1, 10), 1);
	assert_code(mfs_seek(file, 0, SEEK_END), 11);
	assert_code(mfs_write(file, "b", 1), 1);
	assert_code(mfs_writev(file, &vector, 1), 2);
	/* Reading is free. */
	assert_code(mfs_pread(file, &byte, 1, 3), 1);
	assert_int_equal(byte, '3');
	assert_code(mfs_truncate(file, 3), 0);
	assert_code(mfs_seek(file, 0, SEEK_END), 3);
	assert_code(mfs_write(file, "c", 1), 1);
	assert_refused(fs, mfs_pwrite(file, "x", 1, 0), MFS_ENOTSUP);
	close_file(file);
	assert_text(fs, "/f", "012c");
	free_workspace(fs);
}

static void a_random_access_file_takes_writes_anywhere(void **state)
{
	mfs *fs = workspace_of_storage(MFS_STORAGE_RANDOM_ACCESS, 1);
	mfs_file *file = NULL;

	(void)state;
	make_text(fs, "/f", "0123456789");
	file = open_file(fs, "/f", "r+b");
	assert_code(mfs_write(file, "abc", 3), 3);
	assert_code(mfs_pwrite(file, "x", 1, 9), 1);
	assert_code(mfs_pwrite(file, "y", 1, 11), 1);
	close_file(file);
	assert_file_holds(fs, "/f", "abc345678x\0y", 12);
	free_workspace(fs);
}

static void an_auto_file_becomes_random_access_up_to_the_limit(void **state)
{
	mfs *fs = workspace_of_storage(MFS_STORAGE_AUTO, 1000);
	unsigned char bytes[2000];
	mfs_file *file = NULL;
	mfs_info before;

	(void)state;
	memset(bytes, 'a', sizeof(bytes));
	make_file(fs, "/up to", bytes, 1000);
	make_file(fs, "/past", bytes, 1001);
	file = open_file(fs, "/up to", "r+b");
	assert_code(mfs_pwrite(file, "b", 1, 0), 1);
	/* Once it is one of random access, it stays so, however large it grows. */
	assert_code(mfs_pwrite(file, bytes, 1000, 1000), 1000);
	assert_code(mfs_pwrite(file, "b", 1, 1500), 1);
	close_file(file);
	bytes[0] = 'b';
	bytes[1500] = 'b';
	assert_file_holds(fs, "/up to", bytes, 2000);

	memset(bytes, 'a', sizeof(bytes));
	before = info_of(fs, "/past");
	file = open_file(fs, "/past", "r+b");
	assert_refused(fs, mfs_pwrite(file, "b", 1, 0), MFS_ENOTSUP);
	assert_refused(fs, mfs_write(file, "b", 1), MFS_ENOTSUP);
	assert_handle_holds(file, bytes, 1001);
	assert_int_equal(info_of(fs, "/past").generation, before.generation);
	/* Appending goes on, and a file that was cut to the limit is let in. */
	assert_code(mfs_pwrite(file, "a", 1, 1001), 1);
	assert_code(mfs_truncate(file, 1000), 0);
	assert_code(mfs_pwrite(file, "b", 1, 0), 1);
	close_file(file);
	free_workspace(fs);
}

static void becoming_random_access_needs_no_second_copy(void **state)
{
	enum { QUOTA = 1000000, SIZE = 900000 };
	mfs *fs = new_plain_workspace(QUOTA);
	unsigned char *bytes = allocate(SIZE);
	struct rng rng = {5};
	mfs_file *file = NULL;

	(void)state;
	rng_fill(&rng, bytes, SIZE);
	make_file(fs, "/f", bytes, SIZE);
	file = open_file(fs, "/f", "r+b");
	bytes[7] ^= 1;
	assert_code(mfs_pwrite(file, bytes + 7, 1, 7), 1);
	close_file(file);
	assert_file_holds(fs, "/f", bytes, SIZE);
	assert_int_equal(used_bytes(fs) <= QUOTA, 1);
	free(bytes);
	free_workspace(fs);
}

/*
 * A file against a byte array
 */

struct model {
	mfs *fs;
	mfs_file *file;
	struct rng rng;
	int64_t limit;         /* the longest that the file gets */
	bool quota_may_refuse; /* the quota is smaller than the limit; nothing is charged per chunk */
	unsigned char *bytes;
	int64_t size;
	int64_t cursor;
	uint64_t generation;
	unsigned char *buffer; /* `limit` bytes */
};

/** A size: mostly a few bytes, sometimes pages, seldom a large part of the file. */
static int64_t some_size(struct model *model)
{
	switch (rng_below(&model->rng, 16)) {
	case 0:
		return (int64_t)rng_below(&model->rng, (size_t)model->limit / 8 + 1);
	case 1:
	case 2:
	case 3:
		return (int64_t)rng_below(&model->rng, (size_t)model->limit / 128 + 1);
	default:
		return (int64_t)rng_below(&model->rng, 200);
	}
}

/** A position: within the file, at its end, or behind it. */
static int64_t some_offset(struct model *model)
{
	int64_t offset = model->size;

	switch (rng_below(&model->rng, 8)) {
	case 0:
		break;
	case 1:
		offset += some_size(model);
		break;
	default:
		offset = (int64_t)rng_below(&model->rng, (size_t)model->size + 1);
		break;
	}
	return offset < model->limit ? offset : model->limit;
}

static void model_write(struct model *model, int64_t offset, int64_t size, int64_t result)
{
	int64_t end = offset + size;

	if (result < 0) {
		/* Only a quota refuses, and only growth for which it has no room. */
		assert_code(result, MFS_EQUOTA);
		assert_true(model->quota_may_refuse);
		assert_true(end > model->size);
		assert_true(usage_of(model->fs).free_bytes < (uint64_t)(end - model->size));
		assert_int_equal(info_of(model->fs, "/model").generation, model->generation);
		return;
	}
	assert_code(result, size);
	if (size == 0) {
		return;
	}
	if (offset > model->size) {
		memset(model->bytes + model->size, 0, (size_t)(offset - model->size));
	}
	memcpy(model->bytes + offset, model->buffer, (size_t)size);
	model->size = end > model->size ? end : model->size;
	model->generation++;
}

static void model_read(struct model *model, int64_t offset, int64_t size, int64_t result)
{
	int64_t expected = model->size - offset;

	expected = expected < 0 ? 0 : expected;
	expected = expected < size ? expected : size;
	assert_code(result, expected);
	assert_int_equal(memcmp(model->buffer, model->bytes + offset, (size_t)expected), 0);
}

/** Splits the buffer's first `size` bytes at random. Returns the count. */
static int split(struct model *model, struct iovec vector[8], int64_t size)
{
	int count = 1 + (int)rng_below(&model->rng, 8);
	int64_t at = 0;

	for (int i = 0; i < count; i++) {
		int64_t part = size - at;

		if (i < count - 1) {
			part = (int64_t)rng_below(&model->rng, (size_t)part + 1);
		}
		vector[i].iov_base = model->buffer + at;
		vector[i].iov_len = (size_t)part;
		at += part;
	}
	return count;
}

static void model_step_write(struct model *model, int kind)
{
	struct iovec vector[8];
	int64_t offset = kind == 0 ? some_offset(model) : model->cursor;
	int64_t size = some_size(model);
	int64_t result = 0;

	offset = offset < model->limit ? offset : model->limit;
	if (size > model->limit - offset) {
		size = model->limit - offset;
	}
	/* An empty write past the end is nobody's business. */
	if (size == 0 && offset > model->size) {
		return;
	}
	rng_fill(&model->rng, model->buffer, (size_t)size);
	if (kind == 0) {
		result = mfs_pwrite(model->file, model->buffer, (size_t)size, offset);
	} else if (kind == 1) {
		result = mfs_write(model->file, model->buffer, (size_t)size);
	} else {
		result = mfs_writev(model->file, vector, split(model, vector, size));
	}
	model_write(model, offset, size, result);
	if (kind != 0 && result > 0) {
		model->cursor += size;
	}
}

static void model_step_read(struct model *model, int kind)
{
	struct iovec vector[8];
	int64_t offset = kind == 0 ? some_offset(model) : model->cursor;
	int64_t size = some_size(model);
	int64_t result = 0;

	if (kind == 0) {
		result = mfs_pread(model->file, model->buffer, (size_t)size, offset);
	} else if (kind == 1) {
		result = mfs_read(model->file, model->buffer, (size_t)size);
	} else {
		result = mfs_readv(model->file, vector, split(model, vector, size));
	}
	model_read(model, offset, size, result);
	if (kind != 0) {
		model->cursor += result;
	}
}

static void model_step_seek(struct model *model)
{
	int64_t target = some_offset(model);

	switch (rng_below(&model->rng, 3)) {
	case 0:
		assert_code(mfs_seek(model->file, target, SEEK_SET), target);
		break;
	case 1:
		assert_code(mfs_seek(model->file, target - model->cursor, SEEK_CUR), target);
		break;
	default:
		target = target < model->size ? target : model->size;
		assert_code(mfs_seek(model->file, target - model->size, SEEK_END), target);
		break;
	}
	model->cursor = target;
}

static void model_step_truncate(struct model *model)
{
	int64_t size = some_offset(model);
	int result = mfs_truncate(model->file, size);

	if (result < 0) {
		assert_code(result, MFS_EQUOTA);
		assert_true(model->quota_may_refuse);
		assert_true(size > model->size);
		assert_true(usage_of(model->fs).free_bytes < (uint64_t)(size - model->size));
		return;
	}
	if (size > model->size) {
		memset(model->bytes + model->size, 0, (size_t)(size - model->size));
	}
	/* Whether a cut to the same length is a change is open. */
	model->generation = info_of(model->fs, "/model").generation;
	model->size = size;
	if (model->cursor > size) {
		/* What becomes of the cursor has tests of its own. */
		model->cursor = size;
		assert_code(mfs_seek(model->file, size, SEEK_SET), size);
	}
}

static void model_step(struct model *model)
{
	size_t kind = rng_below(&model->rng, 100);

	if (kind < 25) {
		model_step_write(model, 0);
	} else if (kind < 42) {
		model_step_write(model, 1);
	} else if (kind < 50) {
		model_step_write(model, 2);
	} else if (kind < 62) {
		model_step_read(model, 0);
	} else if (kind < 72) {
		model_step_read(model, 1);
	} else if (kind < 80) {
		model_step_read(model, 2);
	} else if (kind < 92) {
		model_step_seek(model);
	} else if (kind < 98) {
		model_step_truncate(model);
	} else {
		close_file(model->file);
		model->file = open_file(model->fs, "/model", "r+b");
		model->cursor = 0;
	}
}

/** Cursor, size and some bytes after each step, every byte after some of them. */
static void model_compare(struct model *model, bool whole)
{
	int64_t offset = (int64_t)rng_below(&model->rng, (size_t)model->size + 1);

	assert_code(mfs_tell(model->file), model->cursor);
	assert_code(mfs_get_size(model->fs, "/model"), model->size);
	model_read(model, offset, 256, mfs_pread(model->file, model->buffer, 256, offset));
	if (whole) {
		model_read(model, 0, model->limit + 256,
				   mfs_pread(model->file, model->buffer, (size_t)model->limit + 256, 0));
		assert_int_equal(info_of(model->fs, "/model").generation, model->generation);
	}
}

static void run_model(mfs *fs, int64_t limit, bool quota_may_refuse, uint64_t seed, int steps)
{
	struct model model = {
		.fs = fs, .rng = {seed}, .limit = limit, .quota_may_refuse = quota_may_refuse};

	model.bytes = allocate((size_t)limit);
	model.buffer = allocate((size_t)limit + 256);
	close_file(open_file(fs, "/model", "wb"));
	model.file = open_file(fs, "/model", "r+b");
	for (int step = 0; step < steps; step++) {
		model_step(&model);
		model_compare(&model, step % 200 == 0 || step == steps - 1);
	}
	close_file(model.file);
	assert_file_holds(fs, "/model", model.bytes, (size_t)model.size);
	assert_code(mfs_remove(fs, "/model"), 0);
	assert_int_equal(used_bytes(fs), 0);
	free(model.bytes);
	free(model.buffer);
}

static void random_calls_match_a_byte_array(void **state)
{
	run_model(*state, (int64_t)(3 * MIB), false, 1, 20000);
}

static void random_calls_on_a_small_file_match_a_byte_array(void **state)
{
	run_model(*state, 6000, false, 2, 20000);
}

static void random_calls_in_random_access_storage_match_a_byte_array(void **state)
{
	mfs *fs = workspace_of_storage(MFS_STORAGE_RANDOM_ACCESS, 0);

	(void)state;
	run_model(fs, 200000, false, 3, 20000);
	free_workspace(fs);
}

static void random_calls_against_the_quota_match_a_byte_array(void **state)
{
	mfs *fs = new_plain_workspace(250000);

	(void)state;
	run_model(fs, 300000, true, 4, 20000);
	free_workspace(fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(reading_moves_the_cursor_and_stops_at_the_end),
		WORKSPACE_TEST(positioned_calls_leave_the_cursor),
		WORKSPACE_TEST(seek_moves_from_start_cursor_and_end),
		WORKSPACE_TEST(seek_refuses_what_is_no_position),
		WORKSPACE_TEST(offsets_at_the_edge_of_int64_are_refused),
		WORKSPACE_TEST(the_cursor_may_stand_far_out),
		WORKSPACE_TEST(nothing_is_done_for_size_0),
		WORKSPACE_TEST(several_buffers_are_one_call),
		WORKSPACE_TEST(up_to_1024_buffers_are_taken),
		WORKSPACE_TEST(buffers_whose_sum_is_no_size_are_refused),
		WORKSPACE_TEST(a_gap_is_filled_with_zeros),
		WORKSPACE_TEST(truncate_shortens_and_extends_with_zeros),
		WORKSPACE_TEST(truncate_moves_a_cursor_that_stands_beyond),
		WORKSPACE_TEST(truncate_to_a_longer_file_leaves_the_cursor),
		WORKSPACE_TEST(every_change_of_the_data_counts),
		WORKSPACE_TEST(times_tell_creation_and_last_change),
		cmocka_unit_test(a_sequential_file_takes_writes_at_its_end_only),
		cmocka_unit_test(a_random_access_file_takes_writes_anywhere),
		cmocka_unit_test(an_auto_file_becomes_random_access_up_to_the_limit),
		cmocka_unit_test(becoming_random_access_needs_no_second_copy),
		WORKSPACE_TEST(random_calls_match_a_byte_array),
		WORKSPACE_TEST(random_calls_on_a_small_file_match_a_byte_array),
		cmocka_unit_test(random_calls_in_random_access_storage_match_a_byte_array),
		cmocka_unit_test(random_calls_against_the_quota_match_a_byte_array),
	};

	return cmocka_run_group_tests_name("handle io", tests, NULL, NULL);
}
