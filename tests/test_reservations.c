/* SPDX-License-Identifier: MIT */
/*
 * Filling a file in place: does mfs_reserve() hand out what the header says, and does mfs_commit()
 * make that and nothing else part of the file?
 */
#include "support.h"

#include <sys/wait.h>

/* What a workspace charges for each chunk unless told otherwise. */
#define OVERHEAD 64

static unsigned char *random_bytes(size_t size, uint64_t seed)
{
	unsigned char *bytes = allocate(size);
	struct rng rng = {seed};

	rng_fill(&rng, bytes, size);
	return bytes;
}

/* What lies together from `offset` on, where a file may go on without end. */
static size_t room_at(size_t offset)
{
	size_t end = 4 * KIB;

	while (end <= offset && end < 2 * MIB)
		end *= 2;
	return (end > offset ? end : (offset / (2 * MIB) + 1) * 2 * MIB) - offset;
}

/* Reserve at least a byte, and fill all of it with the bytes that belong there. */
static size_t reserve_and_fill(mfs_file *file, size_t size, const unsigned char *bytes, size_t at)
{
	size_t room = room_at(at);
	void *data = NULL;
	int64_t got = mfs_reserve(file, size, &data);

	assert_code(got, size < room ? size : room);
	assert_non_null(data);
	memcpy(data, bytes + at, (size_t)got);
	return (size_t)got;
}

static void expect_no_reservation(mfs *fs, mfs_file *file)
{
	assert_refused(fs, mfs_commit(file, 0), MFS_EINVAL);
	assert_refused(fs, mfs_commit(file, 1), MFS_EINVAL);
}

/*
 * Writing with it
 */

static void write_in_pieces(mfs *fs, const char *mode, size_t piece, const unsigned char *bytes,
							size_t size)
{
	if (mode[0] == 'r')
		make_text(fs, "/f", "");
	mfs_file *file = open_file(fs, "/f", mode);
	size_t at = 0;

	while (at < size) {
		size_t wanted = piece < size - at ? piece : size - at;
		size_t got = reserve_and_fill(file, wanted, bytes, at);
		assert_code(mfs_get_size(fs, "/f"), at);
		assert_code(mfs_commit(file, got), 0);
		at += got;
		assert_code(mfs_get_size(fs, "/f"), at);
		assert_code(mfs_tell(file), at);
	}
	close_file(file);
	assert_file_holds(fs, "/f", bytes, size);
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_int_equal(used_bytes(fs), 0);
}

static void file_is_written_in_place(void **state)
{
	mfs *fs = *state;
	static const char *const modes[] = {"wb", "xb", "ab", "r+b"};
	const size_t size = 4 * MIB + 4321;
	unsigned char *bytes = random_bytes(size, 1);

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		write_in_pieces(fs, modes[i], size, bytes, size);
		write_in_pieces(fs, modes[i], 4096, bytes, 100000);
		write_in_pieces(fs, modes[i], 1000, bytes, 50000);
		write_in_pieces(fs, modes[i], 1, bytes, 300);
	}
	free(bytes);
}

static void reservations_end_where_a_chunk_ends(void **state)
{
	mfs *fs = *state;
	static const size_t offsets[] = {0,     1,       4095, 4096,    8191,    8192,
									 10000, MIB - 1, MIB,  2 * MIB, 5 * MIB, 6 * MIB - 1};
	mfs_file *file = open_file(fs, "/f", "wb");
	void *data;

	for (size_t i = 0; i < COUNT_OF(offsets); i++) {
		assert_code(mfs_seek(file, (int64_t)offsets[i], SEEK_SET), offsets[i]);
		assert_code(mfs_reserve(file, SIZE_MAX, &data), room_at(offsets[i]));
		assert_code(mfs_reserve(file, room_at(offsets[i]), &data), room_at(offsets[i]));
		assert_code(mfs_reserve(file, 1, &data), 1);
		assert_code(mfs_commit(file, 0), 0);
		assert_code(mfs_get_size(fs, "/f"), 0);
	}
	close_file(file);
	assert_int_equal(used_bytes(fs), 0);
}

static void gap_before_a_reservation_reads_as_zeros(void **state)
{
	mfs *fs = *state;
	static const size_t sizes[] = {0, 1, 100, 4095, 4096, 4097, 70000};
	static const size_t gaps[] = {1, 3995, 4096, 8192, 200000, 3 * MIB};
	unsigned char *bytes = random_bytes(80000, 2);
	unsigned char *copy = allocate(4 * MIB);

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		for (size_t j = 0; j < COUNT_OF(gaps); j++) {
			size_t at = sizes[i] + gaps[j];
			void *data;
			/* What was there before must not come through. */
			make_file(fs, "/f", bytes, 80000);
			mfs_file *file = open_file(fs, "/f", "r+b");
			assert_code(mfs_truncate(file, (int64_t)sizes[i]), 0);
			assert_code(mfs_seek(file, (int64_t)at, SEEK_SET), at);
			int64_t got = mfs_reserve(file, 500, &data);
			assert_in_range(got, 1, 500);
			memset(data, 'x', (size_t)got);
			assert_code(mfs_get_size(fs, "/f"), sizes[i]);
			assert_code(mfs_commit(file, (size_t)got), 0);
			size_t size = at + (size_t)got;
			assert_code(mfs_pread(file, copy, 4 * MIB, 0), size);
			assert_int_equal(memcmp(copy, bytes, sizes[i]), 0);
			assert_zeros(copy + sizes[i], gaps[j]);
			for (size_t k = at; k < size; k++)
				assert_int_equal(copy[k], 'x');
			close_file(file);
		}
	}
	free(bytes);
	free(copy);
}

static void part_of_a_reservation_is_committed(void **state)
{
	mfs *fs = *state;
	static unsigned char expected[300];
	mfs_file *file = open_file(fs, "/f", "wb");
	void *data;

	assert_code(mfs_reserve(file, 4096, &data), 4096);
	memset(data, 'a', 4096);
	assert_code(mfs_commit(file, 100), 0);
	assert_code(mfs_tell(file), 100);
	assert_code(mfs_get_size(fs, "/f"), 100);
	expect_no_reservation(fs, file);
	/* What was filled and not committed is not the file's: a gap shows none of it. */
	assert_code(mfs_pwrite(file, "b", 1, 299), 1);
	close_file(file);
	memset(expected, 'a', 100);
	expected[299] = 'b';
	assert_file_holds(fs, "/f", expected, 300);
}

static void what_is_not_committed_does_not_show_in_a_longer_file(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = allocate(100000);
	mfs_file *file = open_file(fs, "/f", "wb");
	void *data;

	assert_code(mfs_seek(file, 50000, SEEK_SET), 50000);
	assert_code(mfs_reserve(file, 10000, &data), 10000);
	memset(data, 'a', 10000);
	assert_code(mfs_truncate(file, 100000), 0);
	close_file(file);
	assert_file_holds(fs, "/f", bytes, 100000);
	free(bytes);
}

static void commit_of_nothing_drops_the_reservation(void **state)
{
	mfs *fs = *state;
	void *data;

	make_text(fs, "/f", "text");
	mfs_file *file = open_file(fs, "/f", "r+b");
	uint64_t generation = info_of(fs, "/f").generation;
	assert_code(mfs_seek(file, 10, SEEK_SET), 10);
	assert_code(mfs_reserve(file, 100, &data), 100);
	assert_code(mfs_commit(file, 0), 0);
	assert_code(mfs_tell(file), 10);
	assert_int_equal(info_of(fs, "/f").generation, generation);
	expect_no_reservation(fs, file);
	close_file(file);
	assert_text(fs, "/f", "text");
	assert_int_equal(used_bytes(fs), 4 + OVERHEAD);
}

static void too_large_a_commit_keeps_the_reservation(void **state)
{
	mfs *fs = *state;
	mfs_file *file = open_file(fs, "/f", "wb");
	void *data;

	expect_no_reservation(fs, file);
	assert_code(mfs_reserve(file, 5, &data), 5);
	memcpy(data, "text!", 5);
	assert_refused(fs, mfs_commit(file, 6), MFS_EINVAL);
	assert_refused(fs, mfs_commit(file, SIZE_MAX), MFS_EINVAL);
	assert_code(mfs_get_size(fs, "/f"), 0);
	assert_code(mfs_commit(file, 4), 0);
	expect_no_reservation(fs, file);
	close_file(file);
	assert_text(fs, "/f", "text");
}

static void commit_counts_as_one_change(void **state)
{
	mfs *fs = *state;
	void *data;

	make_text(fs, "/f", "text");
	mfs_file *file = open_file(fs, "/f", "ab");
	mfs_info before = info_of(fs, "/f");
	await_clock_tick();
	assert_code(mfs_reserve(file, 100000, &data), 4092);
	mfs_info reserved = info_of(fs, "/f");
	assert_int_equal(reserved.generation, before.generation);
	assert_int_equal(reserved.modified_at, before.modified_at);
	assert_int_equal(reserved.size, 4);
	memset(data, 'x', 1);
	assert_code(mfs_commit(file, 1), 0);
	mfs_info after = info_of(fs, "/f");
	assert_int_equal(after.generation, before.generation + 1);
	assert_true(after.modified_at > before.modified_at);
	assert_int_equal(after.created_at, before.created_at);
	assert_int_equal(after.size, 5);
	close_file(file);
	assert_text(fs, "/f", "textx");
}

/*
 * Over what is there
 */

static void bytes_that_are_there_are_handed_out_and_change_at_once(void **state)
{
	mfs *fs = *state;
	const size_t size = 20000;
	unsigned char *bytes = random_bytes(size, 3);
	void *data;

	make_file(fs, "/f", bytes, size);
	mfs_file *file = open_file(fs, "/f", "r+b");
	assert_code(mfs_seek(file, 8192 + 100, SEEK_SET), 8192 + 100);
	assert_code(mfs_reserve(file, 1000, &data), 1000);
	assert_memory_equal(data, bytes + 8192 + 100, 1000);
	memset(data, 'x', 1000);
	memset(bytes + 8192 + 100, 'x', 1000);
	assert_handle_holds(file, bytes, size);
	assert_code(mfs_commit(file, 10), 0);
	assert_code(mfs_tell(file), 8192 + 110);
	assert_handle_holds(file, bytes, size);
	/* Across the end of the file. */
	assert_code(mfs_seek(file, 19990, SEEK_SET), 19990);
	assert_code(mfs_reserve(file, 1000, &data), 1000);
	assert_memory_equal(data, bytes + 19990, 10);
	memset(data, 'y', 1000);
	memset(bytes + 19990, 'y', 10);
	assert_handle_holds(file, bytes, size);
	assert_code(mfs_commit(file, 5), 0);
	assert_handle_holds(file, bytes, size);
	close_file(file);
	assert_file_holds(fs, "/f", bytes, size);
	free(bytes);
}

static void copy_does_not_change_with_the_original(void **state)
{
	mfs *fs = *state;
	static const size_t offsets[] = {0, 10, 4096, 5000, 8192, 16384, 65536, 99999, 100000};
	const size_t size = 100000;
	unsigned char *bytes = random_bytes(size, 4);

	for (size_t i = 0; i < COUNT_OF(offsets); i++) {
		void *data;
		make_file(fs, "/f", bytes, size);
		assert_code(mfs_copy(fs, "/f", "/copy"), 0);
		uint64_t used = used_bytes(fs);
		mfs_file *file = open_file(fs, "/f", "r+b");
		assert_code(mfs_seek(file, (int64_t)offsets[i], SEEK_SET), offsets[i]);
		int64_t got = mfs_reserve(file, 3000, &data);
		assert_in_range(got, 1, 3000);
		if (offsets[i] < size)
			assert_memory_equal(data, bytes + offsets[i],
								(size_t)got < size - offsets[i] ? (size_t)got : size - offsets[i]);
		memset(data, 'x', (size_t)got);
		assert_file_holds(fs, "/copy", bytes, size);
		assert_code(mfs_commit(file, 1), 0);
		close_file(file);
		assert_file_holds(fs, "/copy", bytes, size);
		/* A byte behind the end takes that byte, and a little room for the next one. */
		assert_in_range(used_bytes(fs), used, used + 8 * KIB);
		assert_code(mfs_remove(fs, "/copy"), 0);
	}
	free(bytes);
}

/* A copy that is made through the handle that has the reservation drops that. */
static void copied_range_does_not_change_with_a_reservation(void **state)
{
	mfs *fs = *state;
	static const size_t offsets[] = {0, 4096, 8192, 9000, 19000, 20000};
	const size_t size = 20000;
	unsigned char *bytes = random_bytes(size, 5);

	for (size_t i = 0; i < COUNT_OF(offsets); i++) {
		void *data;
		make_file(fs, "/f", bytes, size);
		mfs_file *file = open_file(fs, "/f", "r+b");
		mfs_file *to = open_file(fs, "/to", "wb");
		assert_code(mfs_seek(file, (int64_t)offsets[i], SEEK_SET), offsets[i]);
		int64_t got = mfs_reserve(file, 4096, &data);
		assert_in_range(got, 1, 4096);
		assert_code(mfs_copy_range(file, 0, to, 0, INT64_MAX), size);
		close_file(to);
		/* Nobody may write where it was any more. */
		expect_no_reservation(fs, file);
		assert_code(mfs_reserve(file, 4096, &data), got);
		memset(data, 'x', (size_t)got);
		assert_file_holds(fs, "/to", bytes, size);
		assert_code(mfs_commit(file, (size_t)got), 0);
		close_file(file);
		assert_file_holds(fs, "/to", bytes, size);
	}
	free(bytes);
}

/*
 * What drops a reservation
 */

enum dropping {
	BY_WRITE,
	BY_PWRITE,
	BY_WRITEV,
	BY_TRUNCATE,
	BY_SEEK,
	BY_RESERVE,
	BY_ADOPT,
	BY_COPY_TO,
	BY_COPY_FROM,
	DROPPINGS
};

static void drop_by(mfs_file *file, mfs_file *other, enum dropping how)
{
	static char static_bytes[10] = "adopted 10";
	struct iovec vector = {static_bytes, 10};
	void *data;

	switch (how) {
	case BY_WRITE:
		assert_code(mfs_write(file, "w", 1), 1);
		break;
	case BY_PWRITE:
		assert_code(mfs_pwrite(file, "w", 1, 0), 1);
		break;
	case BY_WRITEV:
		assert_code(mfs_writev(file, &vector, 1), 10);
		break;
	case BY_TRUNCATE:
		assert_code(mfs_truncate(file, 0), 0);
		break;
	case BY_SEEK:
		assert_code(mfs_seek(file, 0, SEEK_CUR), 4);
		break;
	case BY_RESERVE:
		/* The new one takes the place of the old one. */
		assert_code(mfs_reserve(file, 1, &data), 1);
		assert_code(mfs_commit(file, 2), MFS_EINVAL);
		assert_code(mfs_commit(file, 0), 0);
		break;
	case BY_ADOPT:
		assert_code(mfs_write_adopt(file, static_bytes, 10, NULL, NULL), 10);
		break;
	case BY_COPY_TO:
		assert_code(mfs_copy_range(other, 0, file, 0, 1), 1);
		break;
	default:
		assert_code(mfs_copy_range(file, 0, other, 0, 1), 1);
		break;
	}
}

static void other_calls_drop_a_reservation(void **state)
{
	mfs *fs = *state;
	void *data;

	mfs *other_fs = new_workspace(NULL);
	make_text(other_fs, "/other", "o");
	mfs_file *other = open_file(other_fs, "/other", "r+b");
	for (enum dropping how = 0; how < DROPPINGS; how++) {
		make_text(fs, "/f", "text");
		mfs_file *file = open_file(fs, "/f", "r+b");
		assert_code(mfs_seek(file, 4, SEEK_SET), 4);
		assert_code(mfs_reserve(file, 3000, &data), 3000);
		memset(data, 'x', 3000);
		drop_by(file, other, how);
		expect_no_reservation(fs, file);
		close_file(file);
		/* And nothing of it is left in file or charge. */
		mfs_info info = info_of(fs, "/f");
		assert_in_range(info.size, 0, 14);
		assert_int_equal(used_bytes(fs),
						 info.size ? (uint64_t)info.size + OVERHEAD : (uint64_t)info.size);
	}
	close_file(other);
	free_workspace(other_fs);
}

static void calls_that_look_keep_a_reservation(void **state)
{
	mfs *fs = *state;
	char text[8];
	const void *view;
	void *data;

	make_text(fs, "/f", "text");
	mfs_file *file = open_file(fs, "/f", "r+b");
	assert_code(mfs_seek(file, 4, SEEK_SET), 4);
	assert_code(mfs_reserve(file, 4, &data), 4);
	assert_code(mfs_pread(file, text, 8, 0), 4);
	assert_code(mfs_seek(NULL, 0, SEEK_SET), MFS_EBADF);
	assert_code(mfs_tell(file), 4);
	assert_code(mfs_view(file, 0, &view), 4);
	assert_code(mfs_flush(file), 0);
	assert_code(mfs_writable(file), 1);
	memcpy(data, "more", 4);
	assert_code(mfs_commit(file, 4), 0);
	close_file(file);
	assert_text(fs, "/f", "textmore");
}

static void close_drops_a_reservation_and_gives_its_memory_back(void **state)
{
	mfs *fs = *state;
	static const size_t offsets[] = {4, 5000, 100000, 5 * MIB};
	void *data;

	for (size_t i = 0; i < COUNT_OF(offsets); i++) {
		make_text(fs, "/f", "text");
		uint64_t generation = info_of(fs, "/f").generation;
		mfs_file *file = open_file(fs, "/f", "r+b");
		assert_code(mfs_seek(file, (int64_t)offsets[i], SEEK_SET), offsets[i]);
		assert_true(mfs_reserve(file, 2 * MIB, &data) > 0);
		memset(data, 'x', 1);
		assert_true(used_bytes(fs) > offsets[i]);
		close_file(file);
		/* Room for what was appended may be kept: an eighth of what is there. */
		assert_in_range(used_bytes(fs), 4 + OVERHEAD, 5 + OVERHEAD);
		assert_int_equal(usage_of(fs).chunks, 1);
		assert_int_equal(info_of(fs, "/f").generation, generation);
		assert_text(fs, "/f", "text");
		/* A handle that is opened next has none. */
		file = open_file(fs, "/f", "r+b");
		expect_no_reservation(fs, file);
		close_file(file);
	}
}

/* What a dropped reservation took lies behind the end of the file: it serves, and is not in the way
 * of buffers and chunks that become the file's. */
static void chunks_of_a_dropped_reservation_serve_later_writes(void **state)
{
	mfs *fs = *state;
	static const size_t sizes[] = {1, 4095, 4096, 4097, 6000, 7000, 8192, 20000, 65536, 90000};
	unsigned char *bytes = random_bytes(200000, 6);
	unsigned char *expected = allocate(200000);

	for (size_t i = 0; i < 3 * COUNT_OF(sizes); i++) {
		size_t size = sizes[i / 3];
		void *data;
		make_file(fs, "/source", bytes, size);
		mfs_file *source = open_file(fs, "/source", "rb");
		mfs_file *file = open_file(fs, "/f", "wb");
		assert_code(mfs_write(file, "a few", 5), 5);
		assert_code(mfs_seek(file, 100000, SEEK_SET), 100000);
		assert_code(mfs_reserve(file, 10, &data), 10);
		memset(data, 'x', 10);
		assert_code(mfs_seek(file, 0, SEEK_SET), 0);
		if (i % 3 == 0)
			assert_code(mfs_write(file, bytes, size), size);
		else if (i % 3 == 1)
			assert_code(mfs_write_adopt(file, bytes, size, NULL, NULL), size);
		else
			assert_code(mfs_copy_range(source, 0, file, 0, INT64_MAX), size);
		size_t end = size < 5 ? 5 : size;
		assert_code(mfs_get_size(fs, "/f"), end);
		assert_code(mfs_pwrite(file, "end", 3, (int64_t)end + 700), 3);
		memset(expected, 0, 200000);
		memcpy(expected, "a few", 5);
		memcpy(expected, bytes, size);
		memcpy(expected + end + 700, "end", 3);
		close_file(file);
		close_file(source);
		assert_file_holds(fs, "/f", expected, end + 703);
	}
	free(expected);
	assert_code(mfs_remove(fs, "/f"), 0);
	free(bytes);
}

/*
 * Storage modes
 */

static void sequential_file_reserves_at_its_end_only(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	void *data;

	(void)state;
	options.default_storage = MFS_STORAGE_SEQUENTIAL;
	mfs *fs = new_workspace(&options);
	make_text(fs, "/f", "text");
	mfs_file *file = open_file(fs, "/f", "r+b");
	assert_refused(fs, mfs_reserve(file, 10, &data), MFS_ENOTSUP);
	assert_null(data);
	assert_code(mfs_seek(file, 5, SEEK_SET), 5);
	assert_refused(fs, mfs_reserve(file, 10, &data), MFS_ENOTSUP);
	expect_no_reservation(fs, file);
	assert_code(mfs_seek(file, 4, SEEK_SET), 4);
	assert_code(mfs_reserve(file, 4, &data), 4);
	memcpy(data, "more", 4);
	assert_code(mfs_commit(file, 4), 0);
	assert_code(mfs_reserve(file, 4, &data), 4);
	assert_code(mfs_commit(file, 0), 0);
	close_file(file);
	assert_text(fs, "/f", "textmore");
	free_workspace(fs);
}

static void file_past_the_limit_of_promotion_reserves_at_its_end_only(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	unsigned char *bytes = random_bytes(5000, 7);
	void *data;

	(void)state;
	options.promotion_hard_limit = 4999;
	mfs *fs = new_workspace(&options);
	make_file(fs, "/f", bytes, 5000);
	make_file(fs, "/small", bytes, 4999);
	mfs_file *file = open_file(fs, "/f", "r+b");
	assert_refused(fs, mfs_reserve(file, 10, &data), MFS_ENOTSUP);
	assert_code(mfs_seek(file, 0, SEEK_END), 5000);
	assert_code(mfs_reserve(file, 10, &data), 10);
	memset(data, 'x', 10);
	assert_code(mfs_commit(file, 10), 0);
	close_file(file);
	/* One that may still become a file of random access does, and stays one. */
	file = open_file(fs, "/small", "r+b");
	assert_code(mfs_reserve(file, 10, &data), 10);
	memset(data, 'x', 10);
	assert_code(mfs_commit(file, 10), 0);
	assert_code(mfs_seek(file, 0, SEEK_END), 4999);
	assert_code(mfs_write(file, bytes, 5000), 5000);
	assert_code(mfs_pwrite(file, "y", 1, 0), 1);
	close_file(file);
	free_workspace(fs);
	free(bytes);
}

/*
 * Quota
 */

static void quota_refuses_a_byte_too_many(void **state)
{
	static const size_t sizes[] = {1, 63, 64, 100, 4095, 4096, 5000, 8192, 20000};
	void *data;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		size_t start = sizes[i] < 4096 ? 0 : 4096;
		while (start * 2 < sizes[i] && start)
			start *= 2;
		/* Just enough for all chunks up to there. */
		size_t chunks = 1;
		for (size_t end = 4096; end < sizes[i]; end *= 2)
			chunks++;
		for (size_t missing = 0; missing < 2; missing++) {
			mfs_options options = {.struct_size = sizeof(options)};
			options.max_quota = sizes[i] + chunks * OVERHEAD - missing;
			mfs *fs = new_workspace(&options);
			mfs_file *file = open_file(fs, "/f", "wb");
			assert_code(mfs_seek(file, (int64_t)sizes[i] - 1, SEEK_SET), sizes[i] - 1);
			if (missing) {
				assert_refused(fs, mfs_reserve(file, 1, &data), MFS_EQUOTA);
				assert_null(data);
				expect_no_reservation(fs, file);
				assert_int_equal(used_bytes(fs), 0);
			} else {
				assert_code(mfs_reserve(file, 1, &data), 1);
				*(char *)data = 'x';
				assert_int_equal(used_bytes(fs), options.max_quota);
				assert_code(mfs_commit(file, 1), 0);
			}
			close_file(file);
			assert_int_equal(used_bytes(fs), missing ? 0 : options.max_quota);
			assert_in_range(usage_of(fs).peak_bytes, 0, options.max_quota);
			free_workspace(fs);
		}
	}
}

static void commit_needs_no_quota(void **state)
{
	mfs *fs = new_plain_workspace(10000);
	void *data;

	(void)state;
	mfs_file *file = open_file(fs, "/f", "wb");
	assert_code(mfs_seek(file, 5000, SEEK_SET), 5000);
	assert_code(mfs_reserve(file, 1000, &data), 1000);
	memset(data, 'x', 1000);
	mfs_file *other = open_file(fs, "/other", "wb");
	uint64_t left = usage_of(fs).free_bytes;
	for (; left; left = usage_of(fs).free_bytes)
		assert_code(mfs_write(other, "xxxxxxxxxxxxxxxx", left < 16 ? left : 16),
					left < 16 ? left : 16);
	assert_code(mfs_commit(file, 1000), 0);
	close_file(other);
	close_file(file);
	assert_code(mfs_get_size(fs, "/f"), 6000);
	free_workspace(fs);
}

/*
 * What is refused
 */

static void check_refused(mfs *fs, mfs_file *file, int code)
{
	void *data = fs;

	assert_refused(fs, mfs_reserve(file, 10, &data), code);
	assert_null(data);
	assert_refused(fs, mfs_commit(file, 0), code);
	assert_refused(fs, mfs_commit(file, 10), code);
}

static void handles_that_cannot_write_or_do_not_keep_the_lock_reserve_nothing(void **state)
{
	mfs *fs = *state;
	static const char *const modes[] = {"r+b", "ab", "wb"};

	make_text(fs, "/f", "text");
	mfs_file *reader = open_file(fs, "/f", "rb");
	check_refused(fs, reader, MFS_EBADF);
	close_file(reader);
	check_refused(fs, reader, MFS_EBADF);
	check_refused(fs, NULL, MFS_EBADF);
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		mfs_file *shared = open_shared(fs, "/f", modes[i]);
		check_refused(fs, shared, MFS_ENOTSUP);
		close_file(shared);
	}
}

static void bad_arguments_are_refused(void **state)
{
	mfs *fs = *state;
	mfs_file *file = open_file(fs, "/f", "wb");
	void *data = fs;

	assert_code(mfs_reserve(file, 4, &data), 4);
	/* These two say nothing about the file, and leave the reservation. */
	assert_refused(fs, mfs_reserve(file, 10, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_reserve(file, 0, &(void *){NULL}), MFS_EINVAL);
	memcpy(data, "text", 4);
	assert_code(mfs_commit(file, 4), 0);
	assert_code(mfs_seek(file, INT64_MAX, SEEK_SET), INT64_MAX);
	assert_refused(fs, mfs_reserve(file, 1, &data), MFS_EFBIG);
	assert_null(data);
	assert_code(mfs_seek(file, INT64_MAX - 1, SEEK_SET), INT64_MAX - 1);
	assert_refused(fs, mfs_reserve(file, 1, &data), MFS_EFBIG);
	close_file(file);
	assert_text(fs, "/f", "text");
}

/*
 * Fork
 */

static int commit_in_child(mfs *fs, mfs_file *file, char *data)
{
	char text[16] = "";

	memcpy(data, "child", 5);
	if (mfs_commit(file, 5) || mfs_close(file))
		return 1;
	if (mfs_open(fs, "/f", "rb", &file) || mfs_read(file, text, 16) != 9 || mfs_close(file))
		return 2;
	return memcmp(text, "textchild", 9) ? 3 : mfs_free(fs) ? 4 : 0;
}

static void child_of_a_fork_has_the_reservation_too(void **state)
{
	mfs *fs = *state;
	void *data;
	int status = 0;

	make_text(fs, "/f", "text");
	mfs_file *file = open_file(fs, "/f", "ab");
	assert_code(mfs_reserve(file, 10, &data), 10);
	memcpy(data, "parent", 6);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(commit_in_child(fs, file, data));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_code(mfs_commit(file, 6), 0);
	close_file(file);
	assert_text(fs, "/f", "textparent");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(file_is_written_in_place),
		WORKSPACE_TEST(reservations_end_where_a_chunk_ends),
		WORKSPACE_TEST(gap_before_a_reservation_reads_as_zeros),
		WORKSPACE_TEST(part_of_a_reservation_is_committed),
		WORKSPACE_TEST(what_is_not_committed_does_not_show_in_a_longer_file),
		WORKSPACE_TEST(commit_of_nothing_drops_the_reservation),
		WORKSPACE_TEST(too_large_a_commit_keeps_the_reservation),
		WORKSPACE_TEST(commit_counts_as_one_change),
		WORKSPACE_TEST(bytes_that_are_there_are_handed_out_and_change_at_once),
		WORKSPACE_TEST(copy_does_not_change_with_the_original),
		WORKSPACE_TEST(copied_range_does_not_change_with_a_reservation),
		WORKSPACE_TEST(other_calls_drop_a_reservation),
		WORKSPACE_TEST(calls_that_look_keep_a_reservation),
		WORKSPACE_TEST(close_drops_a_reservation_and_gives_its_memory_back),
		WORKSPACE_TEST(chunks_of_a_dropped_reservation_serve_later_writes),
		cmocka_unit_test(sequential_file_reserves_at_its_end_only),
		cmocka_unit_test(file_past_the_limit_of_promotion_reserves_at_its_end_only),
		cmocka_unit_test(quota_refuses_a_byte_too_many),
		cmocka_unit_test(commit_needs_no_quota),
		WORKSPACE_TEST(handles_that_cannot_write_or_do_not_keep_the_lock_reserve_nothing),
		WORKSPACE_TEST(bad_arguments_are_refused),
		WORKSPACE_TEST(child_of_a_fork_has_the_reservation_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
