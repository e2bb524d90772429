/* SPDX-License-Identifier: MIT */
/*
 * Buffers that are handed over: does the file have their bytes without a copy where the header says
 * so, does nobody write to them, and is the owner told once, and when the last chunk is gone?
 */
#include "support.h"

#include "await.h"
#include "base/fork.h"
#include "base/test_hook.h"
#include "fs/filesystem.h"

#include <sys/mman.h>
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

/* Where the chunk ends that the offset is in, as the header has it. */
static size_t chunk_end(size_t offset)
{
	size_t end = 4 * KIB;

	while (end <= offset && end < 2 * MIB)
		end *= 2;
	return end > offset ? end : (offset / (2 * MIB) + 1) * 2 * MIB;
}

/* The charge of a file of this size that has no room to spare. */
static uint64_t charge_of(size_t size)
{
	uint64_t charge = size;

	for (size_t at = 0; at < size; at = chunk_end(at))
		charge += OVERHEAD;
	return charge;
}

/* A buffer, what it holds, and how often its owner was told. */
struct buffer {
	unsigned char *bytes;
	unsigned char *copy;
	size_t length;
	atomic_int released;
	pthread_t by;
};

static void note_release(void *user, void *bytes, size_t length)
{
	struct buffer *buffer = user;

	/* What is wrong here shows as a number of releases that nobody expects. */
	bool right = bytes == buffer->bytes && length == buffer->length;
	buffer->by = pthread_self();
	atomic_fetch_add(&buffer->released, right ? 1 : 1000);
}

static struct buffer *new_buffer(size_t length, uint64_t seed)
{
	struct buffer *buffer = allocate(sizeof(*buffer));

	buffer->bytes = random_bytes(length, seed);
	buffer->copy = allocate(length);
	memcpy(buffer->copy, buffer->bytes, length);
	buffer->length = length;
	return buffer;
}

static void assert_kept(struct buffer *buffer)
{
	assert_int_equal(atomic_load(&buffer->released), 0);
	assert_int_equal(memcmp(buffer->bytes, buffer->copy, buffer->length), 0);
}

/* The owner was told once, and has the buffer as it was. */
static void assert_released(struct buffer *buffer)
{
	assert_int_equal(atomic_load(&buffer->released), 1);
	assert_true(pthread_equal(buffer->by, pthread_self()));
	assert_int_equal(memcmp(buffer->bytes, buffer->copy, buffer->length), 0);
}

static void free_buffer(struct buffer *buffer)
{
	free(buffer->bytes);
	free(buffer->copy);
	free(buffer);
}

static int64_t adopt(mfs_file *file, struct buffer *buffer)
{
	return mfs_write_adopt(file, buffer->bytes, buffer->length, note_release, buffer);
}

/* A file that is a buffer from its start. */
static struct buffer *make_adopted(mfs *fs, const char *path, size_t length, uint64_t seed)
{
	struct buffer *buffer = new_buffer(length, seed);
	mfs_file *file = open_file(fs, path, "wb");

	assert_code(adopt(file, buffer), length);
	assert_code(mfs_tell(file), length);
	close_file(file);
	assert_kept(buffer);
	return buffer;
}

/* Where the byte at `offset` lies. */
static const unsigned char *place_of(mfs *fs, const char *path, size_t offset)
{
	mfs_file *file = open_file(fs, path, "rb");
	const void *data;

	assert_true(mfs_view(file, (int64_t)offset, &data) > 0);
	close_file(file);
	return data;
}

/*
 * What is copied
 */

static void buffer_written_to_an_empty_file_is_not_copied(void **state)
{
	mfs *fs = *state;
	static const size_t lengths[] = {1,           100,     4095,        4096,    4097, 8192,
									 8193,        65536,   100000,      MIB - 1, MIB,  2 * MIB,
									 2 * MIB + 1, 4 * MIB, 8 * MIB + 1, 64 * MIB};

	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		struct buffer *buffer = make_adopted(fs, "/f", lengths[i], i + 1);
		assert_int_equal(used_bytes(fs), charge_of(lengths[i]));
		for (size_t at = 0; at < lengths[i]; at = chunk_end(at))
			assert_ptr_equal(place_of(fs, "/f", at), buffer->bytes + at);
		assert_file_holds(fs, "/f", buffer->copy, lengths[i]);
		assert_kept(buffer);
		assert_code(mfs_remove(fs, "/f"), 0);
		assert_released(buffer);
		assert_int_equal(used_bytes(fs), 0);
		free_buffer(buffer);
	}
}

/* Hand over `length` bytes at `at` to a file of `size`, and look where they come to lie. */
static void check_adoption(mfs *fs, size_t size, size_t at, size_t length)
{
	unsigned char *expected = allocate(size + at + length);
	unsigned char *old = random_bytes(size, 50);
	struct buffer *buffer = new_buffer(length, 51);
	size_t end = at + length;
	bool any = false;

	memcpy(expected, old, size);
	memcpy(expected + at, buffer->bytes, length);
	make_file(fs, "/f", old, size);
	mfs_file *file = open_file(fs, "/f", "r+b");
	uint64_t generation = info_of(fs, "/f").generation;
	assert_code(mfs_seek(file, (int64_t)at, SEEK_SET), at);
	assert_code(adopt(file, buffer), length);
	assert_code(mfs_tell(file), end);
	assert_int_equal(info_of(fs, "/f").generation, generation + 1);
	assert_handle_holds(file, expected, end > size ? end : size);
	for (size_t start = 0; start < end; start = chunk_end(start)) {
		const void *data;
		bool adopted = start >= at && (chunk_end(start) <= end || end >= size);
		assert_true(mfs_view(file, (int64_t)start, &data) > 0);
		if (adopted)
			assert_ptr_equal(data, buffer->bytes + (start - at));
		else
			assert_false((const unsigned char *)data >= buffer->bytes &&
						 (const unsigned char *)data < buffer->bytes + length);
		any = any || adopted;
	}
	close_file(file);
	assert_file_holds(fs, "/f", expected, end > size ? end : size);
	if (any)
		assert_kept(buffer);
	else
		assert_released(buffer);
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_released(buffer);
	assert_int_equal(used_bytes(fs), 0);
	free_buffer(buffer);
	free(expected);
	free(old);
}

static void only_parts_of_chunks_are_copied(void **state)
{
	mfs *fs = *state;
	static const size_t sizes[] = {0, 1, 100, 4096, 5000, 8192, 70000};
	static const size_t offsets[] = {0,    1,     100,   4095,  4096,  4097,
									 8192, 10000, 65536, 70000, 100000};
	static const size_t lengths[] = {1, 50, 4095, 4096, 4097, 8192, 12288, 61440, 100000};

	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		for (size_t j = 0; j < COUNT_OF(offsets); j++)
			for (size_t k = 0; k < COUNT_OF(lengths); k++)
				check_adoption(fs, sizes[i], offsets[j], lengths[k]);
	check_adoption(fs, 5 * MIB, 2 * MIB, 2 * MIB);
	check_adoption(fs, 5 * MIB, 2 * MIB - 1, 2 * MIB + 2);
	check_adoption(fs, 5 * MIB, 2 * MIB, 3 * MIB);
	check_adoption(fs, 5 * MIB, 4 * MIB, 50 * MIB);
}

static void buffers_are_appended_one_after_another(void **state)
{
	mfs *fs = *state;
	struct buffer *buffers[40];
	unsigned char *expected = allocate(40 * 5000);
	mfs_file *file = open_file(fs, "/f", "ab");
	size_t size = 0;

	for (size_t i = 0; i < COUNT_OF(buffers); i++) {
		buffers[i] = new_buffer(1 + i * 124, i + 1);
		assert_code(adopt(file, buffers[i]), buffers[i]->length);
		memcpy(expected + size, buffers[i]->copy, buffers[i]->length);
		size += buffers[i]->length;
		assert_code(mfs_get_size(fs, "/f"), size);
	}
	close_file(file);
	assert_file_holds(fs, "/f", expected, size);
	assert_code(mfs_remove(fs, "/f"), 0);
	for (size_t i = 0; i < COUNT_OF(buffers); i++) {
		assert_released(buffers[i]);
		free_buffer(buffers[i]);
	}
	free(expected);
}

static void many_large_buffers_make_one_file(void **state)
{
	mfs *fs = *state;
	enum { COUNT = 20 };
	struct buffer *buffers[COUNT];
	mfs_file *file = open_file(fs, "/f", "wb");

	for (size_t i = 0; i < COUNT; i++) {
		buffers[i] = new_buffer(2 * MIB, i + 1);
		assert_code(adopt(file, buffers[i]), 2 * MIB);
	}
	/* The chunks are in the buffers; those of the first one have 11 in it. */
	assert_int_equal(usage_of(fs).chunks, 10 + COUNT - 1);
	close_file(file);
	for (size_t i = 0; i < COUNT; i++) {
		assert_ptr_equal(place_of(fs, "/f", i * 2 * MIB), buffers[i]->bytes);
		assert_kept(buffers[i]);
	}
	/* From the end: each goes with its last byte. */
	file = open_file(fs, "/f", "r+b");
	for (size_t i = COUNT; i-- > 0;) {
		assert_code(mfs_truncate(file, (int64_t)(i * 2 * MIB)), 0);
		assert_released(buffers[i]);
		if (i > 0)
			assert_kept(buffers[i - 1]);
	}
	close_file(file);
	for (size_t i = 0; i < COUNT; i++)
		free_buffer(buffers[i]);
}

/*
 * When the owner is told
 */

enum ending {
	BY_REMOVE,
	BY_TRUNCATE,
	BY_EMPTYING,
	BY_WRITE,
	BY_ADOPTION,
	BY_COPY_RANGE,
	BY_REPLACING,
	BY_MOVING,
	BY_RMTREE,
	BY_IMPORT,
	ENDINGS
};

static void end_by(mfs *fs, enum ending how, size_t length)
{
	unsigned char *other = random_bytes(length, 60);
	const mfs_import_item item = {.path = "/d/f", .data = "new", .size = 3};
	mfs_file *file = NULL;
	mfs_file *source = NULL;

	make_file(fs, "/other", other, length);
	if (how == BY_TRUNCATE || how == BY_WRITE || how == BY_ADOPTION || how == BY_COPY_RANGE)
		file = open_file(fs, "/d/f", "r+b");
	switch (how) {
	case BY_REMOVE:
		assert_code(mfs_remove(fs, "/d/f"), 0);
		break;
	case BY_TRUNCATE:
		assert_code(mfs_truncate(file, 0), 0);
		break;
	case BY_EMPTYING:
		file = open_file(fs, "/d/f", "wb");
		break;
	case BY_WRITE:
		assert_code(mfs_write(file, other, length), length);
		break;
	case BY_ADOPTION:
		assert_code(mfs_write_adopt(file, other, length, NULL, NULL), length);
		break;
	case BY_COPY_RANGE:
		source = open_file(fs, "/other", "rb");
		assert_code(mfs_copy_range(source, 0, file, 0, INT64_MAX), length);
		close_file(source);
		break;
	case BY_REPLACING:
		assert_code(mfs_rename(fs, "/other", "/d/f", MFS_RENAME_REPLACE), 0);
		break;
	case BY_MOVING:
		assert_code(mfs_move(fs, "/other", "/d/f", MFS_RENAME_REPLACE), 0);
		break;
	case BY_RMTREE:
		assert_code(mfs_rmtree(fs, "/d"), 0);
		break;
	default:
		assert_code(mfs_import_tree(fs, &item, 1), 0);
		break;
	}
	/* In the call, not later. */
	if (file)
		assert_in_range(usage_of(fs).open_handles, 1, 1);
	if (how == BY_ADOPTION) {
		close_file(file);
		assert_code(mfs_remove(fs, "/d/f"), 0);
	} else {
		(void)mfs_close(file);
	}
	free(other);
}

static void owner_is_told_when_the_file_lets_go(void **state)
{
	mfs *fs = *state;
	static const size_t lengths[] = {1, 4096, 5000, 100000, 3 * MIB};

	for (enum ending how = 0; how < ENDINGS; how++) {
		for (size_t i = 0; i < COUNT_OF(lengths); i++) {
			make_dir(fs, "/d");
			struct buffer *buffer = make_adopted(fs, "/d/f", lengths[i], i + 1);
			end_by(fs, how, lengths[i]);
			assert_released(buffer);
			free_buffer(buffer);
			(void)mfs_rmtree(fs, "/d");
			(void)mfs_remove(fs, "/other");
			assert_int_equal(used_bytes(fs), 0);
		}
	}
}

static void owner_is_told_within_the_call(void **state)
{
	mfs *fs = *state;
	struct buffer *buffer = make_adopted(fs, "/f", 10000, 1);
	mfs_file *file = open_file(fs, "/f", "r+b");

	/* One chunk after the other: with the last one the buffer goes. */
	assert_code(mfs_pwrite(file, "x", 1, 9000), 1);
	assert_kept(buffer);
	assert_code(mfs_pwrite(file, "x", 1, 4096), 1);
	assert_kept(buffer);
	assert_code(mfs_pwrite(file, "x", 1, 4097), 1);
	assert_kept(buffer);
	assert_code(mfs_pwrite(file, "x", 1, 0), 1);
	assert_released(buffer);
	close_file(file);
	assert_released(buffer);
	free_buffer(buffer);
}

static void reservation_takes_the_place_of_an_adopted_chunk(void **state)
{
	mfs *fs = *state;
	struct buffer *buffer = make_adopted(fs, "/f", 4096, 1);
	mfs_file *file = open_file(fs, "/f", "r+b");
	void *data;

	assert_code(mfs_seek(file, 100, SEEK_SET), 100);
	assert_code(mfs_reserve(file, 10, &data), 10);
	assert_released(buffer);
	assert_memory_equal(data, buffer->copy + 100, 10);
	memset(data, 'x', 10);
	memset(buffer->copy + 100, 'x', 10);
	assert_code(mfs_commit(file, 10), 0);
	close_file(file);
	assert_file_holds(fs, "/f", buffer->copy, 4096);
	free_buffer(buffer);
}

static void shorter_file_keeps_what_it_still_has(void **state)
{
	mfs *fs = *state;
	struct buffer *buffer = make_adopted(fs, "/f", 100000, 1);
	mfs_file *file = open_file(fs, "/f", "r+b");

	assert_code(mfs_truncate(file, 50000), 0);
	assert_kept(buffer);
	assert_int_equal(used_bytes(fs), charge_of(50000));
	assert_code(mfs_truncate(file, 4097), 0);
	assert_kept(buffer);
	assert_handle_holds(file, buffer->copy, 4097);
	/* The one chunk that is left is cut, and so copied. */
	assert_code(mfs_truncate(file, 4095), 0);
	assert_released(buffer);
	assert_handle_holds(file, buffer->copy, 4095);
	close_file(file);
	free_buffer(buffer);
}

static void owner_is_told_when_a_removed_file_is_closed(void **state)
{
	mfs *fs = *state;
	struct buffer *buffer = make_adopted(fs, "/f", 10000, 1);
	mfs_file *one = open_shared(fs, "/f", "rb");
	mfs_file *other = open_shared(fs, "/f", "r+b");

	assert_code(mfs_remove(fs, "/f"), 0);
	assert_kept(buffer);
	assert_handle_holds(one, buffer->copy, 10000);
	close_file(one);
	assert_kept(buffer);
	close_file(other);
	assert_released(buffer);
	free_buffer(buffer);
}

static void owner_is_told_when_the_workspace_goes(void **state)
{
	mfs *fs = new_workspace(NULL);
	struct buffer *buffers[50];
	char path[32];

	(void)state;
	make_dir(fs, "/a/b");
	for (size_t i = 0; i < COUNT_OF(buffers); i++) {
		(void)snprintf(path, sizeof(path), "/a/%s%zu", i % 2 ? "b/" : "", i);
		buffers[i] = make_adopted(fs, path, 100 + 1000 * i, i + 1);
	}
	mfs_file *file = open_file(fs, "/a/0", "rb");
	assert_code(mfs_free(fs), MFS_EBUSY);
	for (size_t i = 0; i < COUNT_OF(buffers); i++)
		assert_kept(buffers[i]);
	close_file(file);
	free_workspace(fs);
	for (size_t i = 0; i < COUNT_OF(buffers); i++) {
		assert_released(buffers[i]);
		free_buffer(buffers[i]);
	}
}

static void owners_are_told_once_when_a_large_tree_goes(void **state)
{
	mfs *fs = *state;
	enum { COUNT = 3000 };
	static struct buffer *buffers[COUNT];
	char path[32];

	make_dir(fs, "/d/e");
	for (size_t i = 0; i < COUNT; i++) {
		(void)snprintf(path, sizeof(path), "/d/%s%zu", i % 2 ? "e/" : "", i);
		buffers[i] = make_adopted(fs, path, 1 + i % 50, i + 1);
	}
	assert_code(mfs_rename(fs, "/d", "/moved", 0), 0);
	assert_code(mfs_rmtree(fs, "/moved"), 0);
	for (size_t i = 0; i < COUNT; i++) {
		assert_released(buffers[i]);
		free_buffer(buffers[i]);
	}
}

static void import_from_the_host_replaces_an_adopted_file(void **state)
{
	mfs *fs = *state;
	char host[] = "/tmp/dmemfs-adopted-XXXXXX";
	char path[64];
	struct buffer *buffer = make_adopted(fs, "/f", 10000, 1);

	assert_non_null(mkdtemp(host));
	(void)snprintf(path, sizeof(path), "%s/f", host);
	FILE *out = fopen(path, "we");
	assert_non_null(out);
	assert_int_equal(fputs("host", out) >= 0, true);
	assert_int_equal(fclose(out), 0);
	int code = mfs_import_from_dir(fs, host, "/", NULL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(host), 0);
	assert_code(code, 0);
	assert_released(buffer);
	assert_text(fs, "/f", "host");
	free_buffer(buffer);
}

/*
 * Copies
 */

static void copies_keep_the_buffer(void **state)
{
	mfs *fs = *state;
	static const size_t lengths[] = {1, 4096, 5000, 100000, 3 * MIB};

	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		make_dir(fs, "/d");
		struct buffer *buffer = make_adopted(fs, "/d/f", lengths[i], i + 1);
		assert_code(mfs_copy(fs, "/d/f", "/d/copy"), 0);
		assert_code(mfs_copy_tree(fs, "/d", "/tree"), 0);
		mfs_file *from = open_file(fs, "/d/f", "rb");
		mfs_file *to = open_file(fs, "/range", "wb");
		assert_code(mfs_copy_range(from, 0, to, 0, INT64_MAX), lengths[i]);
		close_file(to);
		close_file(from);
		assert_ptr_equal(place_of(fs, "/d/copy", 0), buffer->bytes);
		assert_ptr_equal(place_of(fs, "/tree/f", 0), buffer->bytes);
		assert_ptr_equal(place_of(fs, "/range", 0), buffer->bytes);
		assert_int_equal(used_bytes(fs), 5 * charge_of(lengths[i]));
		/* Who writes takes a copy. */
		assert_code(mfs_rmtree(fs, "/d"), 0);
		assert_kept(buffer);
		to = open_file(fs, "/range", "r+b");
		assert_code(mfs_write(to, "x", 1), 1);
		close_file(to);
		assert_kept(buffer);
		assert_file_holds(fs, "/tree/f", buffer->copy, lengths[i]);
		assert_code(mfs_remove(fs, "/range"), 0);
		assert_kept(buffer);
		assert_code(mfs_remove(fs, "/tree/f"), 0);
		assert_kept(buffer);
		assert_file_holds(fs, "/tree/copy", buffer->copy, lengths[i]);
		assert_code(mfs_rmtree(fs, "/tree"), 0);
		assert_released(buffer);
		free_buffer(buffer);
	}
}

static void one_chunk_of_a_copy_keeps_the_buffer(void **state)
{
	mfs *fs = *state;
	struct buffer *buffer = make_adopted(fs, "/f", 20000, 1);
	mfs_file *from = open_file(fs, "/f", "rb");
	mfs_file *to = open_file(fs, "/g", "wb");

	assert_code(mfs_copy_range(from, 8192, to, 8192, 8192), 8192);
	close_file(to);
	close_file(from);
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_kept(buffer);
	assert_ptr_equal(place_of(fs, "/g", 8192), buffer->bytes + 8192);
	assert_code(mfs_remove(fs, "/g"), 0);
	assert_released(buffer);
	free_buffer(buffer);
}

static void another_workspace_takes_a_copy(void **state)
{
	mfs *fs = *state;
	mfs *other = new_workspace(NULL);
	struct buffer *buffer = make_adopted(fs, "/f", 20000, 1);
	mfs_file *from = open_file(fs, "/f", "rb");
	mfs_file *to = open_file(other, "/g", "wb");

	assert_code(mfs_copy_range(from, 0, to, 0, INT64_MAX), 20000);
	close_file(to);
	close_file(from);
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_released(buffer);
	assert_file_holds(other, "/g", buffer->copy, 20000);
	free_buffer(buffer);
	free_workspace(other);
}

/*
 * Memory that is not the library's
 */

static void memory_that_cannot_be_written_serves(void **state)
{
	mfs *fs = *state;
	const size_t length = 3 * MIB;
	unsigned char *expected = random_bytes(length, 1);
	void *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(map, MAP_FAILED);
	memcpy(map, expected, length);
	assert_int_equal(mprotect(map, length, PROT_READ), 0);
	mfs_file *file = open_file(fs, "/f", "wb");
	/* Without a function: the memory stays. */
	assert_code(mfs_write_adopt(file, map, length, NULL, NULL), length);
	close_file(file);
	assert_ptr_equal(place_of(fs, "/f", 0), map);
	assert_code(mfs_copy(fs, "/f", "/copy"), 0);
	file = open_file(fs, "/f", "r+b");
	for (size_t at = 0; at < length; at += 50000) {
		assert_code(mfs_pwrite(file, "changed", 7, (int64_t)at), 7);
		memcpy(expected + at, "changed", length - at < 7 ? length - at : 7);
	}
	assert_code(mfs_truncate(file, (int64_t)length - 100), 0);
	close_file(file);
	assert_file_holds(fs, "/f", expected, length - 100);
	assert_file_holds(fs, "/copy", map, length);
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_code(mfs_remove(fs, "/copy"), 0);
	assert_int_equal(used_bytes(fs), 0);
	assert_int_equal(munmap(map, length), 0);
	free(expected);
}

static void same_memory_is_handed_over_twice(void **state)
{
	mfs *fs = *state;
	struct buffer *buffer = new_buffer(5000, 1);
	mfs_file *one = open_file(fs, "/one", "wb");
	mfs_file *two = open_file(fs, "/two", "wb");

	/* Each has its own end. */
	assert_code(adopt(one, buffer), 5000);
	assert_code(adopt(two, buffer), 5000);
	close_file(one);
	close_file(two);
	assert_code(mfs_remove(fs, "/one"), 0);
	assert_int_equal(atomic_load(&buffer->released), 1);
	assert_file_holds(fs, "/two", buffer->copy, 5000);
	assert_code(mfs_remove(fs, "/two"), 0);
	assert_int_equal(atomic_load(&buffer->released), 2);
	free_buffer(buffer);
}

/*
 * Quota
 */

static void adoption_is_charged_like_a_write(void **state)
{
	static const size_t lengths[] = {1, 100, 4096, 4097, 20000, 100000, 3 * MIB};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		for (size_t missing = 0; missing < 2; missing++) {
			struct buffer *buffer = new_buffer(lengths[i], i + 1);
			mfs_options options = {.struct_size = sizeof(options)};
			options.max_quota = charge_of(lengths[i]) - missing;
			mfs *fs = new_workspace(&options);
			mfs_file *file = open_file(fs, "/f", "wb");
			if (missing) {
				assert_refused(fs, adopt(file, buffer), MFS_EQUOTA);
				assert_code(mfs_tell(file), 0);
				assert_int_equal(used_bytes(fs), 0);
				assert_int_equal(info_of(fs, "/f").generation, 0);
			} else {
				assert_code(adopt(file, buffer), lengths[i]);
				assert_int_equal(used_bytes(fs), options.max_quota);
			}
			close_file(file);
			assert_kept(buffer);
			assert_int_equal(usage_of(fs).peak_bytes, missing ? 0 : options.max_quota);
			free_workspace(fs);
			/* What was refused is the caller's still. */
			if (missing)
				assert_kept(buffer);
			else
				assert_released(buffer);
			free_buffer(buffer);
		}
	}
}

static void refused_adoption_leaves_the_file_as_it_was(void **state)
{
	static const size_t offsets[] = {0, 100, 4096, 5000, 6000, 9000};
	unsigned char *bytes = random_bytes(6000, 70);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(offsets); i++) {
		struct buffer *buffer = new_buffer(20000, i + 1);
		mfs_options options = {.struct_size = sizeof(options)};
		options.max_quota = 2 * charge_of(6000);
		mfs *fs = new_workspace(&options);
		make_file(fs, "/f", bytes, 6000);
		assert_code(mfs_copy(fs, "/f", "/copy"), 0);
		mfs_info before = info_of(fs, "/f");
		mfs_file *file = open_file(fs, "/f", "r+b");
		assert_code(mfs_seek(file, (int64_t)offsets[i], SEEK_SET), offsets[i]);
		assert_refused(fs, adopt(file, buffer), MFS_EQUOTA);
		assert_code(mfs_tell(file), offsets[i]);
		assert_int_equal(used_bytes(fs), options.max_quota);
		close_file(file);
		assert_file_holds(fs, "/f", bytes, 6000);
		assert_file_holds(fs, "/copy", bytes, 6000);
		assert_int_equal(info_of(fs, "/f").generation, before.generation);
		assert_kept(buffer);
		free_workspace(fs);
		assert_kept(buffer);
		free_buffer(buffer);
	}
	free(bytes);
}

/* A shared chunk that is written to needs memory, but no quota. */
static void overwriting_an_adopted_file_needs_no_quota(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};

	(void)state;
	options.max_quota = charge_of(100000);
	mfs *fs = new_workspace(&options);
	struct buffer *buffer = make_adopted(fs, "/f", 100000, 1);
	mfs_file *file = open_file(fs, "/f", "r+b");
	assert_int_equal(usage_of(fs).free_bytes, 0);
	assert_code(mfs_write(file, buffer->copy, 100000), 100000);
	assert_released(buffer);
	assert_refused(fs, mfs_write(file, "x", 1), MFS_EQUOTA);
	close_file(file);
	free_buffer(buffer);
	free_workspace(fs);
}

/*
 * What is refused
 */

static void check_refused(mfs *fs, mfs_file *file, struct buffer *buffer, int code)
{
	assert_refused(fs, adopt(file, buffer), code);
	assert_kept(buffer);
}

static void refused_buffer_stays_the_callers(void **state)
{
	mfs *fs = *state;
	struct buffer *buffer = new_buffer(5000, 1);

	make_text(fs, "/f", "text");
	mfs_file *file = open_file(fs, "/f", "rb");
	check_refused(fs, file, buffer, MFS_EBADF);
	mfs_file *shared = NULL;
	assert_code(open_with(fs, "/f", "r+b", MFS_O_SHARED, MFS_NO_WAIT, &shared), 0);
	check_refused(fs, shared, buffer, MFS_EBUSY);
	close_file(file);
	check_refused(fs, file, buffer, MFS_EBADF);
	check_refused(fs, NULL, buffer, MFS_EBADF);
	assert_refused(fs, mfs_write_adopt(shared, NULL, 5, note_release, buffer), MFS_EINVAL);
	assert_refused(fs, mfs_write_adopt(shared, buffer->bytes, 0, note_release, buffer), MFS_EINVAL);
	assert_kept(buffer);
	close_file(shared);
	assert_text(fs, "/f", "text");
	assert_int_equal(used_bytes(fs), charge_of(4));
	free_buffer(buffer);
}

static void file_cannot_grow_past_the_largest_offset(void **state)
{
	mfs *fs = *state;
	static const int64_t offsets[] = {INT64_MAX,        INT64_MAX - 1,
									  INT64_MAX - 4999, INT64_MAX - 5000,
									  INT64_MAX - 5001, INT64_MAX - 8 * (int64_t)MIB,
									  INT64_MAX / 2,    INT64_C(1) << 52,
									  INT64_C(1) << 53, (INT64_C(1) << 53) - 4096};
	struct buffer *buffer = new_buffer(5000, 1);
	struct buffer *large = new_buffer(5 * MIB, 2);

	mfs_file *file = open_file(fs, "/f", "wb");
	for (size_t i = 0; i < COUNT_OF(offsets); i++) {
		assert_code(mfs_seek(file, offsets[i], SEEK_SET), offsets[i]);
		check_refused(fs, file, buffer, MFS_EFBIG);
		check_refused(fs, file, large, MFS_EFBIG);
		assert_code(mfs_tell(file), offsets[i]);
	}
	close_file(file);
	assert_int_equal(used_bytes(fs), 0);
	free_buffer(buffer);
	free_buffer(large);
}

static void sequential_file_adopts_at_its_end_only(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	struct buffer *buffer = new_buffer(5000, 1);

	(void)state;
	options.default_storage = MFS_STORAGE_SEQUENTIAL;
	mfs *fs = new_workspace(&options);
	make_text(fs, "/f", "text");
	mfs_file *file = open_file(fs, "/f", "r+b");
	check_refused(fs, file, buffer, MFS_ENOTSUP);
	assert_code(mfs_seek(file, 5, SEEK_SET), 5);
	check_refused(fs, file, buffer, MFS_ENOTSUP);
	assert_code(mfs_seek(file, 0, SEEK_END), 4);
	assert_code(adopt(file, buffer), 5000);
	close_file(file);
	assert_code(mfs_get_size(fs, "/f"), 5004);
	free_workspace(fs);
	assert_released(buffer);
	free_buffer(buffer);
}

/*
 * Owners that call the library
 */

struct caller {
	mfs *fs;
	struct buffer *again; /* is adopted by the file "/again" */
	int calls;
	int failures;
};

static void count_failure(struct caller *caller, bool right)
{
	caller->failures += !right;
}

static void call_the_library(void *user, void *bytes, size_t length)
{
	struct caller *caller = user;
	mfs *fs = caller->fs;
	mfs_file *file = NULL;
	mfs_info info;

	(void)bytes;
	caller->calls++;
	count_failure(caller, length == 20000);
	count_failure(caller, mfs_stat(fs, "/stays", &info) == 0 && info.size == 4);
	count_failure(caller, mfs_open(fs, "/made", "wb", &file) == 0);
	count_failure(caller, mfs_write(file, "text", 4) == 4);
	count_failure(caller, mfs_close(file) == 0);
	count_failure(caller, mfs_copy(fs, "/made", "/made too") == 0);
	count_failure(caller, mfs_remove(fs, "/made") == 0);
	count_failure(caller, mfs_rename(fs, "/made too", "/made", 0) == 0);
	count_failure(caller, mfs_mkdir(fs, "/directory", 0) == 0);
	count_failure(caller, mfs_rmtree(fs, "/directory") == 0);
	/* One that comes and goes here, so that its owner is told meanwhile, and one that stays. */
	count_failure(caller, mfs_open(fs, "/again", "wb", &file) == 0);
	count_failure(caller, adopt(file, caller->again) == 5000);
	count_failure(caller, mfs_truncate(file, 0) == 0);
	count_failure(caller, atomic_load(&caller->again->released) == 1);
	atomic_store(&caller->again->released, 0);
	count_failure(caller, adopt(file, caller->again) == 5000);
	count_failure(caller, mfs_close(file) == 0);
}

static void owner_may_call_the_library(void **state)
{
	mfs *fs = *state;

	for (int how = 0; how < 4; how++) {
		struct caller caller = {.fs = fs, .again = new_buffer(5000, 1)};
		unsigned char *bytes = random_bytes(20000, 2);
		make_text(fs, "/stays", "text");
		mfs_file *file = open_file(fs, "/f", "wb");
		assert_code(mfs_write_adopt(file, bytes, 20000, call_the_library, &caller), 20000);
		if (how == 0)
			assert_code(mfs_truncate(file, 0), 0);
		if (how == 1)
			assert_code(mfs_pwrite(file, bytes, 20000, 0), 20000);
		close_file(file);
		if (how == 2)
			assert_code(mfs_remove(fs, "/f"), 0);
		if (how == 3)
			assert_code(mfs_rename(fs, "/stays", "/f", MFS_RENAME_EXCHANGE), 0);
		if (how == 3) {
			/* The one that is to go is under the other name now. */
			assert_int_equal(caller.calls, 0);
			assert_code(mfs_rename(fs, "/f", "/stays", MFS_RENAME_REPLACE), 0);
		}
		assert_int_equal(caller.calls, 1);
		assert_int_equal(caller.failures, 0);
		assert_text(fs, "/made", "text");
		assert_file_holds(fs, "/again", caller.again->copy, 5000);
		assert_kept(caller.again);
		assert_code(mfs_remove(fs, "/again"), 0);
		assert_released(caller.again);
		assert_code(mfs_remove(fs, "/made"), 0);
		(void)mfs_remove(fs, "/f");
		free_buffer(caller.again);
		free(bytes);
	}
}

/* Each removes the next one. */
struct link {
	mfs *fs;
	int number;
	int *told;
};

enum { LINKS = 200 };

static void remove_the_next(void *user, void *bytes, size_t length)
{
	struct link *link = user;
	char path[32];

	(void)length;
	free(bytes);
	(*link->told)++;
	(void)snprintf(path, sizeof(path), "/%d", link->number + 1);
	(void)mfs_remove(link->fs, path);
}

static void owners_may_let_go_of_other_buffers(void **state)
{
	mfs *fs = *state;
	struct link links[LINKS];
	int told = 0;

	for (int i = 0; i < LINKS; i++) {
		char path[32];
		links[i] = (struct link){fs, i, &told};
		(void)snprintf(path, sizeof(path), "/%d", i);
		mfs_file *file = open_file(fs, path, "wb");
		assert_code(mfs_write_adopt(file, random_bytes(5000, 1), 5000, remove_the_next, &links[i]),
					5000);
		close_file(file);
	}
	assert_code(mfs_remove(fs, "/0"), 0);
	assert_int_equal(told, LINKS);
	assert_int_equal(used_bytes(fs), 0);
}

/*
 * Fork
 */

static int end_in_child(mfs *fs, struct buffer *buffer)
{
	if (mfs_remove(fs, "/f") || atomic_load(&buffer->released) != 0)
		return 1;
	if (mfs_remove(fs, "/copy") || atomic_load(&buffer->released) != 1)
		return 2;
	return mfs_free(fs) ? 3 : 0;
}

static void child_of_a_fork_is_told_of_its_own_copy(void **state)
{
	mfs *fs = *state;
	struct buffer *buffer = make_adopted(fs, "/f", 20000, 1);
	int status = 0;

	assert_code(mfs_copy(fs, "/f", "/copy"), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(end_in_child(fs, buffer));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_kept(buffer);
	assert_file_holds(fs, "/f", buffer->copy, 20000);
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_code(mfs_remove(fs, "/copy"), 0);
	assert_released(buffer);
	free_buffer(buffer);
}

static atomic_bool is_held;
static _Thread_local bool is_adopter;

static void hold_until_fork(const char *point)
{
	if (!is_adopter || strcmp(point, "adopted: making room") != 0 ||
		atomic_exchange(&is_held, true))
		return;
	AWAIT(atomic_load_explicit(&mfs__gate_shut, memory_order_relaxed));
}

struct adopter {
	mfs_file *file;
	struct buffer *buffer;
	int64_t result;
};

static void *adopt_and_be_held(void *argument)
{
	struct adopter *adopter = argument;

	is_adopter = true;
	adopter->result = adopt(adopter->file, adopter->buffer);
	return NULL;
}

/* The adoption has happened, or not; and adopting works. Returns 0, or where it failed. */
static int adopt_in_child(mfs *fs, struct adopter *adopter)
{
	int64_t size = mfs_get_size(fs, "/f");

	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_relaxed);
	if (!mfs__validate(fs) || (size != 0 && size != 20000))
		return 1;
	if (mfs_truncate(adopter->file, 0) ||
		atomic_load(&adopter->buffer->released) != (size == 20000))
		return 2;
	atomic_store(&adopter->buffer->released, 0);
	if (mfs_seek(adopter->file, 0, SEEK_SET) || adopt(adopter->file, adopter->buffer) != 20000)
		return 3;
	if (mfs_close(adopter->file) || mfs_free(fs))
		return 4;
	return atomic_load(&adopter->buffer->released) == 1 ? 0 : 5;
}

static void fork_waits_for_an_adoption_under_way(void **state)
{
	mfs *fs = *state;
	struct adopter adopter = {open_file(fs, "/f", "wb"), new_buffer(20000, 1), 0};
	int status = 0;

	atomic_store(&is_held, false);
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, hold_until_fork, memory_order_release);
	pthread_t thread = start_thread(adopt_and_be_held, &adopter);
	AWAIT(atomic_load(&is_held));
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(adopt_in_child(fs, &adopter));
	assert_int_equal(waitpid(child, &status, 0), child);
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
	join_thread(thread);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_code(adopter.result, 20000);
	close_file(adopter.file);
	assert_kept(adopter.buffer);
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_released(adopter.buffer);
	free_buffer(adopter.buffer);
}

/*
 * Threads
 */

enum { WORKERS = 4, ROUNDS = 1500, PLACES = 6 };

struct worker {
	mfs *fs;
	uint64_t seed;
	long adopted;
	long wrong;
	pthread_t thread;
};

static atomic_long buffers_released;

/* The bytes of a buffer are all the same. */
static void free_bytes(void *user, void *bytes, size_t length)
{
	const unsigned char *at = bytes;

	(void)user;
	for (size_t i = 1; i < length; i += 500)
		if (at[i] != at[0])
			atomic_fetch_add(&buffers_released, 1000000);
	memset(bytes, 0xdd, length);
	free(bytes);
	atomic_fetch_add(&buffers_released, 1);
}

static void place_path(struct rng *rng, char *path, size_t size)
{
	(void)snprintf(path, size, "/%zu", rng_below(rng, PLACES));
}

static void adopt_one(struct worker *worker, struct rng *rng)
{
	char path[16];
	mfs_file *file = NULL;
	size_t length = 1 + rng_below(rng, 30000);
	bool shared = rng_below(rng, 2);

	place_path(rng, path, sizeof(path));
	if (open_with(worker->fs, path, rng_below(rng, 2) ? "ab" : "wb", shared ? MFS_O_SHARED : 0,
				  MFS_NO_WAIT, &file) != 0)
		return;
	unsigned char *bytes = malloc(length);
	memset(bytes, (int)rng_below(rng, 256), length);
	if (mfs_write_adopt(file, bytes, length, free_bytes, NULL) == (int64_t)length)
		worker->adopted++;
	else
		free(bytes);
	worker->wrong += mfs_close(file) != 0;
}

static void change_one(struct worker *worker, struct rng *rng)
{
	char path[16];
	mfs_file *file = NULL;
	bool shared = rng_below(rng, 2);

	place_path(rng, path, sizeof(path));
	if (open_with(worker->fs, path, "r+b", shared ? MFS_O_SHARED : 0, MFS_NO_WAIT, &file) != 0)
		return;
	if (rng_below(rng, 2))
		(void)mfs_pwrite(file, "x", 1, (int64_t)rng_below(rng, 30000));
	else
		(void)mfs_truncate(file, (int64_t)rng_below(rng, 30000));
	worker->wrong += mfs_close(file) != 0;
}

static void copy_one(struct worker *worker, struct rng *rng)
{
	char from[16];
	char to[16];
	mfs_file *source = NULL;
	mfs_file *target = NULL;

	place_path(rng, from, sizeof(from));
	place_path(rng, to, sizeof(to));
	if (rng_below(rng, 2)) {
		(void)mfs_copy(worker->fs, from, to);
		return;
	}
	if (open_with(worker->fs, from, "rb", MFS_O_SHARED, MFS_NO_WAIT, &source) != 0)
		return;
	if (open_with(worker->fs, to, "r+b", MFS_O_SHARED, MFS_NO_WAIT, &target) == 0) {
		int64_t copied = mfs_copy_range(source, 0, target, 0, INT64_MAX);
		worker->wrong += copied < 0 && copied != MFS_EBUSY;
		worker->wrong += mfs_close(target) != 0;
	}
	worker->wrong += mfs_close(source) != 0;
}

static void remove_one(struct worker *worker, struct rng *rng)
{
	char path[16];
	char other[16];

	place_path(rng, path, sizeof(path));
	place_path(rng, other, sizeof(other));
	if (rng_below(rng, 2))
		(void)mfs_remove(worker->fs, path);
	else
		(void)mfs_rename(worker->fs, path, other, MFS_RENAME_REPLACE);
}

static void *work(void *argument)
{
	static void (*const tasks[])(struct worker * worker,
								 struct rng * rng) = {adopt_one, copy_one, remove_one, change_one};
	struct worker *worker = argument;
	struct rng rng = {worker->seed};

	for (int i = 0; i < ROUNDS; i++)
		tasks[rng_below(&rng, COUNT_OF(tasks))](worker, &rng);
	return NULL;
}

static void threads_share_buffers_and_let_go_of_each_once(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	struct worker workers[WORKERS];
	long adopted = 0;

	(void)state;
	options.default_lock_timeout = MFS_NO_WAIT;
	mfs *fs = new_workspace(&options);
	atomic_store(&buffers_released, 0);
	for (size_t i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){.fs = fs, .seed = i + 1};
		workers[i].thread = start_thread(work, &workers[i]);
	}
	for (size_t i = 0; i < WORKERS; i++) {
		join_thread(workers[i].thread);
		adopted += workers[i].adopted;
		assert_int_equal(workers[i].wrong, 0);
	}
	for (size_t i = 0; i < PLACES; i++) {
		char path[16];
		(void)snprintf(path, sizeof(path), "/%zu", i);
		(void)mfs_remove(fs, path);
	}
	assert_true(adopted > ROUNDS / 20);
	assert_int_equal(atomic_load(&buffers_released), adopted);
	assert_int_equal(used_bytes(fs), 0);
	assert_int_equal(usage_of(fs).chunks, 0);
	free_workspace(fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(buffer_written_to_an_empty_file_is_not_copied),
		WORKSPACE_TEST(only_parts_of_chunks_are_copied),
		WORKSPACE_TEST(buffers_are_appended_one_after_another),
		WORKSPACE_TEST(many_large_buffers_make_one_file),
		WORKSPACE_TEST(owner_is_told_when_the_file_lets_go),
		WORKSPACE_TEST(owner_is_told_within_the_call),
		WORKSPACE_TEST(reservation_takes_the_place_of_an_adopted_chunk),
		WORKSPACE_TEST(shorter_file_keeps_what_it_still_has),
		WORKSPACE_TEST(owner_is_told_when_a_removed_file_is_closed),
		cmocka_unit_test(owner_is_told_when_the_workspace_goes),
		WORKSPACE_TEST(owners_are_told_once_when_a_large_tree_goes),
		WORKSPACE_TEST(import_from_the_host_replaces_an_adopted_file),
		WORKSPACE_TEST(copies_keep_the_buffer),
		WORKSPACE_TEST(one_chunk_of_a_copy_keeps_the_buffer),
		WORKSPACE_TEST(another_workspace_takes_a_copy),
		WORKSPACE_TEST(memory_that_cannot_be_written_serves),
		WORKSPACE_TEST(same_memory_is_handed_over_twice),
		cmocka_unit_test(adoption_is_charged_like_a_write),
		cmocka_unit_test(refused_adoption_leaves_the_file_as_it_was),
		cmocka_unit_test(overwriting_an_adopted_file_needs_no_quota),
		WORKSPACE_TEST(refused_buffer_stays_the_callers),
		WORKSPACE_TEST(file_cannot_grow_past_the_largest_offset),
		cmocka_unit_test(sequential_file_adopts_at_its_end_only),
		WORKSPACE_TEST(owner_may_call_the_library),
		WORKSPACE_TEST(owners_may_let_go_of_other_buffers),
		WORKSPACE_TEST(child_of_a_fork_is_told_of_its_own_copy),
		WORKSPACE_TEST(fork_waits_for_an_adoption_under_way),
		cmocka_unit_test(threads_share_buffers_and_let_go_of_each_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
