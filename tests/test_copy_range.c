/* SPDX-License-Identifier: MIT */
/*
 * mfs_copy_range(): does the range arrive, is shared what the header says is shared, and do the
 * files keep out of each other's way afterwards, within one file, between workspaces, from several
 * threads, and in the children of forks?
 */
#include "support.h"

#include "await.h"
#include "base/alloc.h"
#include "base/fork.h"
#include "base/reclaim.h"
#include "base/test_hook.h"
#include "file/chunk_share.h"
#include "fs/filesystem.h"

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

static size_t start_of(size_t offset)
{
	return mfs__chunk_start(mfs__chunk_index(offset));
}

static size_t end_of(size_t offset)
{
	return start_of(offset) + mfs__chunk_length(mfs__chunk_index(offset));
}

/* Where the bytes from `offset` on lie. Through a handle that reads. */
static const unsigned char *place_of(mfs_file *file, size_t offset)
{
	const void *data;

	assert_true(mfs_view(file, (int64_t)offset, &data) > 0);
	return data;
}

/* The charge of a file of this size that has no room to spare. */
static uint64_t charge_of(size_t size)
{
	return size ? size + OVERHEAD * (mfs__chunk_index(size - 1) + 1) : 0;
}

/*
 * From one file to another
 */

struct range {
	size_t from_size;
	size_t from;
	size_t to_size;
	size_t to;
	size_t size; /* asked for */
};

static size_t length_of(const struct range *r)
{
	size_t there = r->from < r->from_size ? r->from_size - r->from : 0;

	return there < r->size ? there : r->size;
}

/* Every chunk of the target is shared if and only if the header says so. */
static void check_sharing(mfs *fs, const struct range *r)
{
	mfs_file *from = open_file(fs, "/from", "rb");
	mfs_file *to = open_file(fs, "/to", "rb");
	size_t end = r->to + length_of(r);

	for (size_t start = start_of(r->to); start < end; start = end_of(start)) {
		size_t source = start - r->to + r->from;
		if (start < r->to)
			continue;
		bool fits = start_of(source) == source && end_of(source) - source == end_of(start) - start;
		bool whole =
			end_of(start) <= end || (end >= r->to_size && end - r->to + r->from == r->from_size);
		if (fits && whole)
			assert_ptr_equal(place_of(to, start), place_of(from, source));
		else
			assert_ptr_not_equal(place_of(to, start), place_of(from, source));
	}
	close_file(from);
	close_file(to);
}

/* Writes to either of two files do not show in the other one. */
static void check_independence(mfs *fs, const unsigned char *from, size_t from_size,
							   const unsigned char *to, size_t to_size)
{
	for (int side = 0; side < 2; side++) {
		size_t size = side ? to_size : from_size;
		mfs_file *file = open_file(fs, side ? "/to" : "/from", "r+b");
		for (size_t at = 0; at < size; at = end_of(at))
			assert_code(mfs_pwrite(file, "!", 1, (int64_t)at), 1);
		close_file(file);
		if (side == 0)
			assert_file_holds(fs, "/to", to, to_size);
	}
	unsigned char *changed = allocate(from_size + 1);
	memcpy(changed, from, from_size);
	for (size_t at = 0; at < from_size; at = end_of(at))
		changed[at] = '!';
	assert_file_holds(fs, "/from", changed, from_size);
	free(changed);
}

static void check_copy(mfs *fs, const struct range *r)
{
	unsigned char *from = random_bytes(r->from_size, 1);
	unsigned char *to = random_bytes(r->to_size, 2);
	size_t length = length_of(r);
	size_t size = length && r->to + length > r->to_size ? r->to + length : r->to_size;
	unsigned char *expected = allocate(size);

	memcpy(expected, to, r->to_size);
	memcpy(expected + (length ? r->to : 0), from + (length ? r->from : 0), length);
	make_file(fs, "/from", from, r->from_size);
	make_file(fs, "/to", to, r->to_size);
	mfs_info before = info_of(fs, "/to");
	mfs_info source = info_of(fs, "/from");
	mfs_file *reader = open_file(fs, "/from", "rb");
	mfs_file *writer = open_file(fs, "/to", "r+b");
	assert_code(mfs_seek(reader, 3, SEEK_SET), 3);
	assert_code(mfs_seek(writer, 5, SEEK_SET), 5);
	assert_code(mfs_copy_range(reader, (int64_t)r->from, writer, (int64_t)r->to, (int64_t)r->size),
				length);
	assert_code(mfs_tell(reader), 3);
	assert_code(mfs_tell(writer), 5);
	assert_handle_holds(writer, expected, size);
	close_file(reader);
	close_file(writer);
	assert_file_holds(fs, "/to", expected, size);
	assert_file_holds(fs, "/from", from, r->from_size);
	assert_int_equal(info_of(fs, "/to").generation, before.generation + (length > 0));
	assert_int_equal(info_of(fs, "/from").generation, source.generation);
	assert_int_equal(info_of(fs, "/from").modified_at, source.modified_at);
	assert_true(mfs__validate(fs));
	check_sharing(fs, r);
	check_independence(fs, from, r->from_size, expected, size);
	assert_true(mfs__validate(fs));
	assert_code(mfs_remove(fs, "/from"), 0);
	assert_code(mfs_remove(fs, "/to"), 0);
	assert_int_equal(used_bytes(fs), 0);
	assert_int_equal(usage_of(fs).chunks, 0);
	assert_int_equal(mfs__shares_used(), 0);
	free(from);
	free(to);
	free(expected);
}

static void whole_files_are_shared(void **state)
{
	static const size_t sizes[] = {0,    1,     100,   4095,    4096,        4097,
								   8192, 20000, 65536, MIB + 1, 2 * MIB + 1, 5 * MIB};

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		for (size_t j = 0; j < COUNT_OF(sizes); j++) {
			check_copy(*state, &(struct range){sizes[i], 0, sizes[j], 0, (size_t)INT64_MAX});
			check_copy(*state, &(struct range){sizes[i], 0, sizes[j], 0, sizes[i] / 2});
		}
	}
}

static void ranges_arrive_whatever_their_alignment(void **state)
{
	static const size_t offsets[] = {0, 1, 4095, 4096, 4097, 8192, 12288, 16384, 20000};
	static const size_t sizes[] = {1, 4096, 8193, 16384, 40000};
	static const size_t to_sizes[] = {0, 8192, 30000};

	for (size_t i = 0; i < COUNT_OF(offsets); i++)
		for (size_t j = 0; j < COUNT_OF(offsets); j++)
			for (size_t k = 0; k < COUNT_OF(sizes); k++)
				for (size_t l = 0; l < COUNT_OF(to_sizes); l++)
					check_copy(*state, &(struct range){36000, offsets[i], to_sizes[l], offsets[j],
													   sizes[k]});
}

static void large_chunks_are_shared_at_any_distance_of_2_mib(void **state)
{
	check_copy(*state, &(struct range){9 * MIB, 2 * MIB, 3 * MIB, 4 * MIB, 4 * MIB});
	check_copy(*state, &(struct range){9 * MIB, 4 * MIB, 0, 2 * MIB, (size_t)INT64_MAX});
	check_copy(*state, &(struct range){9 * MIB, 4 * MIB, 8 * MIB, 2 * MIB, (size_t)INT64_MAX});
	check_copy(*state, &(struct range){9 * MIB, 2 * MIB + 1, 0, 4 * MIB + 1, 5 * MIB});
	check_copy(*state, &(struct range){9 * MIB, MIB, 0, 3 * MIB, 6 * MIB});
	check_copy(*state, &(struct range){9 * MIB, 0, 0, 2 * MIB, (size_t)INT64_MAX});
}

static void nothing_comes_from_past_the_end(void **state)
{
	check_copy(*state, &(struct range){5000, 5000, 100, 0, 10});
	check_copy(*state, &(struct range){5000, 5001, 100, 5000, 10});
	check_copy(*state, &(struct range){5000, (size_t)INT64_MAX, 100, 0, (size_t)INT64_MAX});
	check_copy(*state, &(struct range){5000, 4999, 100, 200, (size_t)INT64_MAX});
	check_copy(*state, &(struct range){5000, 10, 100, 200, 0});
	check_copy(*state, &(struct range){0, 0, 0, 0, 10});
}

static void append_takes_the_range_at_the_end(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = random_bytes(30000, 3);

	for (int shared = 0; shared < 2; shared++) {
		make_file(fs, "/from", bytes, 30000);
		make_file(fs, "/to", bytes, 4096);
		mfs_file *from = open_file(fs, "/from", "rb");
		mfs_file *to = shared ? open_shared(fs, "/to", "ab") : open_file(fs, "/to", "ab");
		assert_code(mfs_copy_range(from, 4096, to, 0, 100), 100);
		assert_code(mfs_copy_range(from, 4196, to, 999999, 9904), 9904);
		assert_code(mfs_copy_range(from, 14100, to, INT64_MAX, INT64_MAX), 15900);
		close_file(to);
		close_file(from);
		assert_file_holds(fs, "/to", bytes, 30000);
	}
	free(bytes);
}

static void open_source_is_copied_as_it_is(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = random_bytes(100000, 4);

	make_text(fs, "/from", "");
	mfs_file *from = open_file(fs, "/from", "r+b");
	mfs_file *to = open_file(fs, "/to", "wb");
	for (size_t size = 0; size < 90000;) {
		size_t part = 1 + size / 2;
		if (part > 90000 - size)
			part = 90000 - size;
		assert_code(mfs_write(from, bytes + size, part), part);
		size += part;
		assert_code(mfs_truncate(to, 0), 0);
		assert_code(mfs_copy_range(from, 0, to, 0, INT64_MAX), size);
		assert_code(mfs_get_size(fs, "/to"), size);
		/* Both go on being written, and neither shows in the other. */
		assert_code(mfs_pwrite(to, "to", 2, (int64_t)size), 2);
		assert_handle_holds(from, bytes, size);
		assert_true(mfs__validate(fs));
	}
	close_file(from);
	assert_code(mfs_truncate(to, 90000), 0);
	close_file(to);
	assert_file_holds(fs, "/from", bytes, 90000);
	assert_file_holds(fs, "/to", bytes, 90000);
	free(bytes);
}

/*
 * Within one file
 */

static void check_within(mfs *fs, size_t size, size_t from, size_t to, size_t length, int handles)
{
	unsigned char *bytes = random_bytes(size, 5);
	unsigned char *expected = allocate(size + to + length);
	mfs_file *one;
	mfs_file *other;

	if (from + length > size)
		length = size - from;
	memcpy(expected, bytes, size);
	memmove(expected + to, bytes + from, length);
	make_file(fs, "/f", bytes, size);
	if (handles == 1) {
		one = other = open_file(fs, "/f", "r+b");
	} else {
		one = open_shared(fs, "/f", "rb");
		other = open_shared(fs, "/f", "r+b");
	}
	uint64_t generation = info_of(fs, "/f").generation;
	assert_code(mfs_copy_range(one, (int64_t)from, other, (int64_t)to, (int64_t)length), length);
	assert_int_equal(info_of(fs, "/f").generation, generation + 1);
	assert_handle_holds(one, expected, to + length > size ? to + length : size);
	assert_true(mfs__validate(fs));
	/* Chunks that the file now has twice are still its two. */
	assert_code(mfs_pwrite(other, "!", 1, (int64_t)from), 1);
	expected[from] = '!';
	assert_handle_holds(one, expected, to + length > size ? to + length : size);
	close_file(one);
	if (handles == 2)
		close_file(other);
	assert_file_holds(fs, "/f", expected, to + length > size ? to + length : size);
	assert_true(mfs__validate(fs));
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_int_equal(used_bytes(fs), 0);
	assert_int_equal(mfs__shares_used(), 0);
	free(bytes);
	free(expected);
}

static void ranges_of_one_file_may_overlap(void **state)
{
	static const size_t offsets[] = {0, 1, 4096, 5000, 8192, 12288, 16384, 32768};
	static const size_t lengths[] = {1, 4096, 10000, 40000};

	for (int handles = 1; handles <= 2; handles++) {
		for (size_t i = 0; i < COUNT_OF(offsets); i++)
			for (size_t j = 0; j < COUNT_OF(offsets); j++)
				for (size_t k = 0; k < COUNT_OF(lengths); k++)
					check_within(*state, 40000, offsets[i], offsets[j], lengths[k], handles);
		check_within(*state, 9 * MIB, 2 * MIB, 4 * MIB, 5 * MIB, handles);
		check_within(*state, 9 * MIB, 4 * MIB, 2 * MIB, 5 * MIB, handles);
		check_within(*state, 9 * MIB, 2 * MIB + 1, 4 * MIB, 5 * MIB, handles);
		check_within(*state, 9 * MIB, 0, 9 * MIB, 9 * MIB, handles);
	}
}

/*
 * Between workspaces
 */

static void ranges_go_from_one_workspace_to_another(void **state)
{
	mfs *fs = *state;
	mfs *other = new_workspace(NULL);
	unsigned char *bytes = random_bytes(5 * MIB, 6);

	make_file(fs, "/from", bytes, 5 * MIB);
	mfs_file *from = open_file(fs, "/from", "rb");
	mfs_file *to = open_file(other, "/to", "wb");
	assert_code(mfs_copy_range(from, 0, to, 0, INT64_MAX), 5 * MIB);
	close_file(to);
	to = open_file(other, "/to", "r+b");
	for (size_t at = 0; at < 5 * MIB; at = end_of(at))
		assert_ptr_not_equal(place_of(to, at), place_of(from, at));
	assert_int_equal(used_bytes(other), used_bytes(fs));
	/* And back, into a part. */
	close_file(from);
	from = open_file(fs, "/from", "r+b");
	assert_code(mfs_copy_range(to, 3000, from, 0, MIB), MIB);
	memmove(bytes, bytes + 3000, MIB);
	close_file(from);
	close_file(to);
	assert_file_holds(fs, "/from", bytes, 5 * MIB);
	assert_true(mfs__validate(fs));
	assert_true(mfs__validate(other));
	free_workspace(other);
	assert_code(mfs_remove(fs, "/from"), 0);
	assert_int_equal(mfs__shares_used(), 0);
	free(bytes);
}

/*
 * Quota
 */

static void shared_chunks_are_charged_in_full(void **state)
{
	static const size_t sizes[] = {1, 4096, 5000, 100000, 3 * MIB};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		for (size_t missing = 0; missing < 2; missing++) {
			unsigned char *bytes = random_bytes(sizes[i], 7);
			mfs_options options = {.struct_size = sizeof(options)};
			options.max_quota = 2 * charge_of(sizes[i]) - missing;
			mfs *fs = new_workspace(&options);
			make_file(fs, "/from", bytes, sizes[i]);
			mfs_file *from = open_file(fs, "/from", "rb");
			mfs_file *to = open_file(fs, "/to", "wb");
			if (missing) {
				assert_refused(fs, mfs_copy_range(from, 0, to, 0, INT64_MAX), MFS_EQUOTA);
				assert_code(mfs_get_size(fs, "/to"), 0);
				assert_int_equal(info_of(fs, "/to").generation, 0);
				assert_int_equal(used_bytes(fs), charge_of(sizes[i]));
			} else {
				assert_code(mfs_copy_range(from, 0, to, 0, INT64_MAX), sizes[i]);
				assert_int_equal(usage_of(fs).free_bytes, 0);
			}
			close_file(to);
			/* What is shared needs memory to be written to, and no quota. */
			to = open_file(fs, "/to", "r+b");
			if (!missing)
				assert_code(mfs_pwrite(to, bytes, sizes[i], 0), sizes[i]);
			close_file(to);
			close_file(from);
			assert_file_holds(fs, "/from", bytes, sizes[i]);
			assert_true(mfs__validate(fs));
			free_workspace(fs);
			free(bytes);
		}
	}
}

/* Room that the source keeps at its end for itself is no reason to refuse a copy that fits. */
static void copy_that_fits_is_not_refused(void **state)
{
	mfs *fs = new_plain_workspace(20000);
	unsigned char *bytes = random_bytes(20000, 8);
	mfs_file *from = open_file(fs, "/from", "wb");

	(void)state;
	/* Opened and appended to again, it has some. */
	for (size_t at = 0; at < 9000; at += 1000) {
		assert_code(mfs_write(from, bytes + at, 1000), 1000);
		close_file(from);
		from = open_file(fs, "/from", "ab");
	}
	close_file(from);
	assert_code(mfs_get_size(fs, "/from"), 9000);
	assert_true(used_bytes(fs) > 9000);
	make_file(fs, "/fills", bytes, usage_of(fs).free_bytes - 9000);
	from = open_file(fs, "/from", "rb");
	mfs_file *to = open_file(fs, "/to", "wb");
	assert_int_equal(usage_of(fs).free_bytes, 9000);
	assert_code(mfs_copy_range(from, 0, to, 0, INT64_MAX), 9000);
	close_file(from);
	close_file(to);
	assert_file_holds(fs, "/to", bytes, 9000);
	free_workspace(fs);
	free(bytes);
}

static void a_byte_less_fits(void **state)
{
	static const size_t sizes[] = {2, 4096, 5000, 100000, 3 * MIB};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		unsigned char *bytes = random_bytes(sizes[i], 7);
		mfs_options options = {.struct_size = sizeof(options)};
		options.max_quota = 2 * charge_of(sizes[i]) - 1;
		mfs *fs = new_workspace(&options);
		make_file(fs, "/from", bytes, sizes[i]);
		mfs_file *from = open_file(fs, "/from", "rb");
		mfs_file *to = open_file(fs, "/to", "wb");
		assert_code(mfs_copy_range(from, 0, to, 0, (int64_t)sizes[i] - 1), sizes[i] - 1);
		close_file(to);
		close_file(from);
		assert_file_holds(fs, "/to", bytes, sizes[i] - 1);
		assert_true(mfs__validate(fs));
		free_workspace(fs);
		free(bytes);
	}
}

static void refused_copy_leaves_the_target_as_it_was(void **state)
{
	static const size_t offsets[] = {0, 100, 4096, 5000, 6000, 9000};
	unsigned char *bytes = random_bytes(20000, 9);
	unsigned char *old = random_bytes(6000, 10);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(offsets); i++) {
		mfs_options options = {.struct_size = sizeof(options)};
		options.max_quota = charge_of(20000) + 2 * charge_of(6000);
		mfs *fs = new_workspace(&options);
		make_file(fs, "/from", bytes, 20000);
		make_file(fs, "/to", old, 6000);
		assert_code(mfs_copy(fs, "/to", "/copy"), 0);
		mfs_file *from = open_file(fs, "/from", "rb");
		mfs_file *to = open_file(fs, "/to", "r+b");
		assert_refused(fs, mfs_copy_range(from, 0, to, (int64_t)offsets[i], INT64_MAX), MFS_EQUOTA);
		assert_handle_holds(to, old, 6000);
		close_file(from);
		close_file(to);
		assert_int_equal(usage_of(fs).free_bytes, 0);
		assert_int_equal(info_of(fs, "/to").generation, 1);
		assert_file_holds(fs, "/copy", old, 6000);
		assert_true(mfs__validate(fs));
		free_workspace(fs);
	}
	free(bytes);
	free(old);
}

/*
 * What is refused
 */

static void sequential_target_takes_a_range_at_its_end_only(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};

	(void)state;
	options.default_storage = MFS_STORAGE_SEQUENTIAL;
	mfs *fs = new_workspace(&options);
	make_text(fs, "/from", "more");
	make_text(fs, "/to", "text");
	mfs_file *from = open_file(fs, "/from", "rb");
	mfs_file *to = open_file(fs, "/to", "r+b");
	assert_refused(fs, mfs_copy_range(from, 0, to, 0, INT64_MAX), MFS_ENOTSUP);
	assert_refused(fs, mfs_copy_range(from, 0, to, 5, INT64_MAX), MFS_ENOTSUP);
	assert_code(mfs_copy_range(from, 0, to, 4, INT64_MAX), 4);
	assert_code(mfs_copy_range(to, 2, to, 8, 3), 3);
	close_file(from);
	close_file(to);
	assert_text(fs, "/to", "textmorextm");
	free_workspace(fs);
}

static void bad_arguments_are_refused(void **state)
{
	mfs *fs = *state;

	make_text(fs, "/from", "from");
	make_text(fs, "/to", "to");
	mfs_file *from = open_file(fs, "/from", "rb");
	mfs_file *to = open_file(fs, "/to", "ab");
	assert_refused(fs, mfs_copy_range(from, -1, to, 0, 1), MFS_EINVAL);
	assert_refused(fs, mfs_copy_range(from, 0, to, -1, 1), MFS_EINVAL);
	assert_refused(fs, mfs_copy_range(from, 0, to, 0, -1), MFS_EINVAL);
	assert_refused(fs, mfs_copy_range(from, INT64_MIN, to, INT64_MIN, INT64_MIN), MFS_EINVAL);
	assert_refused(fs, mfs_copy_range(NULL, 0, to, 0, 1), MFS_EBADF);
	assert_refused(fs, mfs_copy_range(from, 0, NULL, 0, 1), MFS_EBADF);
	assert_refused(fs, mfs_copy_range(to, 0, to, 0, 1), MFS_EBADF);
	assert_refused(fs, mfs_copy_range(from, 0, from, 0, 1), MFS_EBADF);
	close_file(to);
	assert_refused(fs, mfs_copy_range(from, 0, to, 0, 1), MFS_EBADF);
	to = open_file(fs, "/to", "r+b");
	assert_refused(fs, mfs_copy_range(from, 0, to, INT64_MAX, 1), MFS_EFBIG);
	assert_refused(fs, mfs_copy_range(from, 0, to, INT64_MAX - 4, 4), MFS_EFBIG);
	assert_refused(fs, mfs_copy_range(from, 0, to, (INT64_C(1) << 53) - 2, 4), MFS_EFBIG);
	close_file(from);
	assert_refused(fs, mfs_copy_range(from, 0, to, 0, 1), MFS_EBADF);
	close_file(to);
	assert_text(fs, "/to", "to");
	assert_text(fs, "/from", "from");
	assert_code(mfs_remove(fs, "/from"), 0);
	assert_int_equal(mfs__shares_used(), 0);
}

static void shared_handles_wait_for_neither_file_without_being_told_to(void **state)
{
	mfs *fs = *state;
	mfs_file *from = NULL;
	mfs_file *to = NULL;

	make_text(fs, "/from", "from");
	make_text(fs, "/to", "to");
	assert_code(open_with(fs, "/from", "rb", MFS_O_SHARED, MFS_NO_WAIT, &from), 0);
	assert_code(open_with(fs, "/to", "r+b", MFS_O_SHARED, MFS_NO_WAIT, &to), 0);
	mfs_file *holder = open_file(fs, "/from", "r+b");
	assert_refused(fs, mfs_copy_range(from, 0, to, 0, 4), MFS_EBUSY);
	close_file(holder);
	holder = open_file(fs, "/to", "rb");
	assert_refused(fs, mfs_copy_range(from, 0, to, 0, 4), MFS_EBUSY);
	close_file(holder);
	/* Readers do not keep the source from being read. */
	holder = open_file(fs, "/from", "rb");
	assert_code(mfs_copy_range(from, 0, to, 0, 4), 4);
	close_file(holder);
	close_file(from);
	close_file(to);
	assert_text(fs, "/to", "from");
}

/*
 * Threads
 */

enum { TURNS = 400, HALF = 20000 };

struct copier {
	mfs_file *from;
	mfs_file *to;
	long wrong;
	pthread_t thread;
};

static void *copy_over_and_over(void *argument)
{
	struct copier *copier = argument;

	for (int i = 0; i < TURNS; i++)
		copier->wrong += mfs_copy_range(copier->from, 0, copier->to, 0, INT64_MAX) != HALF;
	return NULL;
}

static void *overwrite_over_and_over(void *argument)
{
	struct copier *copier = argument;
	unsigned char bytes[HALF];

	for (int i = 0; i < TURNS; i++) {
		memset(bytes, 'a' + i % 26, sizeof(bytes));
		copier->wrong += mfs_pwrite(copier->to, bytes, HALF, 0) != HALF;
	}
	return NULL;
}

/* All bytes are the same, for all writes and copies are of whole files. */
static void *look_over_and_over(void *argument)
{
	struct copier *copier = argument;
	unsigned char bytes[HALF];

	for (int i = 0; i < TURNS; i++) {
		copier->wrong += mfs_pread(copier->from, bytes, HALF, 0) != HALF;
		for (size_t at = 1; at < HALF; at++)
			copier->wrong += bytes[at] != bytes[0];
	}
	return NULL;
}

static void threads_copy_between_two_files_in_both_directions(void **state)
{
	mfs *fs = *state;
	unsigned char bytes[HALF];
	mfs_file *one[3];
	mfs_file *two[3];

	memset(bytes, '1', HALF);
	make_file(fs, "/one", bytes, HALF);
	memset(bytes, '2', HALF);
	make_file(fs, "/two", bytes, HALF);
	for (size_t i = 0; i < COUNT_OF(one); i++) {
		one[i] = open_shared(fs, "/one", "r+b");
		two[i] = open_shared(fs, "/two", "r+b");
	}
	struct copier copiers[] = {
		{.from = one[0], .to = two[0]},
		{.from = two[1], .to = one[1]},
		/* And through the same handles. */
		{.from = one[0], .to = two[0]},
		{.from = two[0], .to = one[0]},
		{.from = one[2], .to = one[2]},
		{.from = two[2], .to = two[2]},
	};
	static void *(*const runs[])(void *) = {copy_over_and_over,      copy_over_and_over,
											copy_over_and_over,      copy_over_and_over,
											overwrite_over_and_over, look_over_and_over};
	for (size_t i = 0; i < COUNT_OF(copiers); i++)
		copiers[i].thread = start_thread(runs[i], &copiers[i]);
	for (size_t i = 0; i < COUNT_OF(copiers); i++)
		join_thread(copiers[i].thread);
	for (size_t i = 0; i < COUNT_OF(copiers); i++)
		assert_int_equal(copiers[i].wrong, 0);
	for (size_t i = 0; i < COUNT_OF(one); i++) {
		close_file(one[i]);
		close_file(two[i]);
	}
	assert_true(mfs__validate(fs));
	assert_code(mfs_remove(fs, "/one"), 0);
	assert_code(mfs_remove(fs, "/two"), 0);
	assert_int_equal(used_bytes(fs), 0);
	assert_int_equal(mfs__shares_used(), 0);
}

/*
 * Forks. The copying thread is in the middle of its call, with the source's chunks in its hands.
 */

static atomic_int told;

static void count_release(void *user, void *buffer, size_t length)
{
	(void)user;
	(void)buffer;
	(void)length;
	atomic_fetch_add(&told, 1);
}

/* A thread that copies "/from" to "/to", through shared handles. */
struct call {
	struct opener opener; /* not used to open: for its tid */
	mfs_file *from;
	mfs_file *to;
	int64_t result;
	pthread_t thread;
};

static void *run_call(void *argument)
{
	struct call *call = argument;

	atomic_store(&call->opener.tid, gettid());
	call->result = mfs_copy_range(call->from, 0, call->to, 0, INT64_MAX);
	atomic_store(&call->opener.returned, true);
	return NULL;
}

static unsigned char adopted_bytes[20000];
/* What "/from" holds: one chunk of it is its own. */
static unsigned char held_bytes[20000];

static void begin_call(mfs *fs, struct call *call)
{
	mfs_file *file = open_file(fs, "/from", "wb");

	memset(call, 0, sizeof(*call));
	memset(adopted_bytes, 'a', sizeof(adopted_bytes));
	memset(held_bytes, 'a', sizeof(held_bytes));
	held_bytes[5000] = 'b';
	atomic_store(&told, 0);
	assert_code(mfs_write_adopt(file, adopted_bytes, sizeof(adopted_bytes), count_release, NULL),
				sizeof(adopted_bytes));
	assert_code(mfs_pwrite(file, "b", 1, 5000), 1);
	close_file(file);
	make_text(fs, "/to", "text");
	call->from = open_shared(fs, "/from", "rb");
	call->to = open_shared(fs, "/to", "r+b");
}

/* In the child: nothing is held by the thread that is not there. Returns 0, or where it failed. */
static int let_go_of_everything(mfs *fs, struct call *call, mfs_file *holder)
{
	if (holder && mfs_close(holder))
		return 1;
	if (mfs_close(call->from) || mfs_close(call->to))
		return 2;
	if (!mfs__validate(fs) || atomic_load(&told) != 0)
		return 3;
	int64_t size = mfs_get_size(fs, "/to");
	if (size != 4 && size != (int64_t)sizeof(adopted_bytes))
		return 4;
	if (mfs_remove(fs, "/from") || mfs_remove(fs, "/to"))
		return 5;
	if (atomic_load(&told) != 1)
		return 6;
	if (mfs__shares_used() != 0)
		return 7;
	return mfs_free(fs) ? 8 : 0;
}

static void check_child(mfs *fs, struct call *call, mfs_file *holder)
{
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_relaxed);
		_exit(let_go_of_everything(fs, call, holder));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void end_call(mfs *fs, struct call *call)
{
	join_thread(call->thread);
	assert_code(call->result, sizeof(adopted_bytes));
	close_file(call->from);
	close_file(call->to);
	assert_file_holds(fs, "/to", held_bytes, sizeof(held_bytes));
	assert_code(mfs_remove(fs, "/from"), 0);
	assert_int_equal(atomic_load(&told), 0);
	assert_code(mfs_remove(fs, "/to"), 0);
	assert_int_equal(atomic_load(&told), 1);
	assert_int_equal(mfs__shares_used(), 0);
}

static void child_drops_what_a_waiting_copy_holds(void **state)
{
	mfs *fs = *state;
	struct call call;

	begin_call(fs, &call);
	mfs_file *holder = open_file(fs, "/to", "rb");
	call.thread = start_thread(run_call, &call);
	opener_await_asleep(&call.opener);
	assert_false(atomic_load(&call.opener.returned));
	check_child(fs, &call, holder);
	close_file(holder);
	end_call(fs, &call);
}

/* Where the copying thread waits until the fork has begun, and how often it comes there first. */
static const char *held_point;
static atomic_int comes_before;
static atomic_bool is_held;
static _Thread_local bool is_copier;

static void hold_until_fork(const char *point)
{
	if (!is_copier || strcmp(point, held_point) != 0 || atomic_fetch_sub(&comes_before, 1) != 0)
		return;
	atomic_store(&is_held, true);
	AWAIT(atomic_load_explicit(&mfs__gate_shut, memory_order_relaxed));
}

static void *run_held_call(void *argument)
{
	is_copier = true;
	return run_call(argument);
}

static void fork_finds_a_copy_before_or_after(void **state)
{
	mfs *fs = *state;
	static const struct {
		const char *point;
		int before; /* how often the thread passes there first */
	} points[] = {
		/* The source's chunks are being shared. */
		{"share: taking", 0},
		{"share: about to mark", 0},
		/* The target's old chunk goes. */
		{"share: about to drop", 0},
	};

	for (size_t i = 0; i < COUNT_OF(points); i++) {
		struct call call;
		begin_call(fs, &call);
		/* Shared, so that it drops a share when it is overwritten. */
		assert_code(mfs_copy(fs, "/to", "/keeps"), 0);
		held_point = points[i].point;
		atomic_store(&comes_before, points[i].before);
		atomic_store(&is_held, false);
		/* pairs with mfs__yield */
		atomic_store_explicit(&mfs__yield_hook, hold_until_fork, memory_order_release);
		call.thread = start_thread(run_held_call, &call);
		AWAIT(atomic_load(&is_held) || atomic_load(&call.opener.returned));
		assert_true(atomic_load(&is_held));
		int status = 0;
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_relaxed);
			_exit(mfs_remove(fs, "/keeps") ? 9 : let_go_of_everything(fs, &call, NULL));
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
		join_thread(call.thread);
		call.thread = start_thread(run_call, &call);
		assert_code(mfs_remove(fs, "/keeps"), 0);
		end_call(fs, &call);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(whole_files_are_shared),
		WORKSPACE_TEST(ranges_arrive_whatever_their_alignment),
		WORKSPACE_TEST(large_chunks_are_shared_at_any_distance_of_2_mib),
		WORKSPACE_TEST(nothing_comes_from_past_the_end),
		WORKSPACE_TEST(append_takes_the_range_at_the_end),
		WORKSPACE_TEST(open_source_is_copied_as_it_is),
		WORKSPACE_TEST(ranges_of_one_file_may_overlap),
		WORKSPACE_TEST(ranges_go_from_one_workspace_to_another),
		cmocka_unit_test(shared_chunks_are_charged_in_full),
		cmocka_unit_test(refused_copy_leaves_the_target_as_it_was),
		cmocka_unit_test(sequential_target_takes_a_range_at_its_end_only),
		WORKSPACE_TEST(bad_arguments_are_refused),
		WORKSPACE_TEST(shared_handles_wait_for_neither_file_without_being_told_to),
		WORKSPACE_TEST(threads_copy_between_two_files_in_both_directions),
		WORKSPACE_TEST(child_drops_what_a_waiting_copy_holds),
		WORKSPACE_TEST(fork_finds_a_copy_before_or_after),
		cmocka_unit_test(a_byte_less_fits),
		cmocka_unit_test(copy_that_fits_is_not_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
