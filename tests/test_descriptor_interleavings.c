/* SPDX-License-Identifier: MIT */
/*
 * Calls that read from a descriptor hold no lock while they do. Does what they have read find its
 * place, whatever has become of the file, the handle, the quota or the process meanwhile?
 *
 * What is to come in between is done by the thread itself, at a point of the call where it holds no
 * lock; and each call is made to fail at each of its allocations.
 */
#include "support.h"

#include "base/alloc.h"
#include "base/test_hook.h"
#include "file/chunk_list.h"
#include "fs/filesystem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* More than any call here allocates. */
enum { MOST_ALLOCATIONS = 200 };

/*
 * Doing something at a point of the library
 */

static const char *awaited;
static void (*action)(void);
static int turns; /* how many times the point is still to be come to */

static void hook(const char *point)
{
	if (turns == 0 || strcmp(point, awaited) != 0)
		return;
	if (--turns == 0)
		action();
}

/* When the point is come to for the n-th time. */
static void act_at(const char *point, int n, void (*what)(void))
{
	awaited = point;
	action = what;
	turns = n;
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, hook, memory_order_release);
}

/* The action must have taken place. */
static void acted(void)
{
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
	assert_int_equal(turns, 0);
}

/*
 * Input, and bytes to compare with
 */

static mfs *fs;

static int set_up(void **state)
{
	(void)state;
	return mfs_new(NULL, &fs);
}

static int tear_down(void **state)
{
	(void)state;
	return !mfs__validate(fs) || mfs_free(fs);
}

/* A descriptor from which these bytes can be read. */
static int input_of(const void *bytes, size_t size)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void close_fd(int fd)
{
	assert_int_equal(close(fd), 0);
}

enum { ROOM = 64 * 1024 };

static unsigned char noise[ROOM]; /* not the same as what follows it anywhere */
static unsigned char input[ROOM];

static int fill_patterns(void **state)
{
	struct rng rng = {1};

	(void)state;
	rng_fill(&rng, noise, sizeof noise);
	rng_fill(&rng, input, sizeof input);
	return 0;
}

/* What the file should hold. */
static struct {
	unsigned char bytes[ROOM];
	size_t size;
} model;

static void model_resize(size_t size)
{
	if (size > model.size)
		memset(model.bytes + model.size, 0, size - model.size);
	model.size = size;
}

static void model_write(size_t offset, const void *bytes, size_t size)
{
	assert_true(offset + size <= ROOM);
	if (offset > model.size)
		model_resize(offset);
	memcpy(model.bytes + offset, bytes, size);
	if (offset + size > model.size)
		model.size = offset + size;
}

/*
 * What others do to the file when a piece has been read, and not landed yet
 */

static mfs_file *other; /* "r+b", shared */
static bool is_removed;

static void do_nothing(void)
{
}

static void empty(void)
{
	assert_code(mfs_truncate(other, 0), 0);
	model_resize(0);
}

static void shorten(void)
{
	size_t size = model.size < 3000 ? model.size : 3000;

	assert_code(mfs_truncate(other, (int64_t)size), 0);
	model_resize(size);
}

static void extend(void)
{
	size_t size = model.size < 20000 ? 20000 : model.size;

	assert_code(mfs_truncate(other, (int64_t)size), 0);
	model_resize(size);
}

static void append_a_little(void)
{
	assert_code(mfs_pwrite(other, "0123456789", 10, (int64_t)model.size), 10);
	model_write(model.size, "0123456789", 10);
}

static void append_to_the_end_of_a_chunk(void)
{
	size_t end = 4096;

	while (end <= model.size)
		end *= 2;
	assert_code(mfs_pwrite(other, noise, end - model.size, (int64_t)model.size), end - model.size);
	model_write(model.size, noise, end - model.size);
}

static void write_at_the_start(void)
{
	assert_code(mfs_pwrite(other, noise + 1, 5000, 0), 5000);
	model_write(0, noise + 1, 5000);
}

static void copy_the_file(void)
{
	assert_code(mfs_copy(fs, "/f", "/copy"), 0);
	assert_file_holds(fs, "/copy", model.bytes, model.size);
}

static void remove_the_file(void)
{
	assert_code(mfs_remove(fs, "/f"), 0);
	is_removed = true;
}

static void check_landing(const char *mode, size_t size, size_t offset, size_t length,
						  bool length_known, void (*what)(void))
{
	bool appends = strcmp(mode, "ab") == 0;
	int fd = input_of(input, length);
	mfs_file *file;

	make_file(fs, "/f", noise, size);
	memcpy(model.bytes, noise, size);
	model.size = size;
	is_removed = false;
	file = open_shared(fs, "/f", mode);
	other = open_shared(fs, "/f", "r+b");
	act_at("descriptor: piece read", 1, what);
	int64_t result =
		mfs_write_from_fd(file, (int64_t)offset, length_known ? (int64_t)length : INT64_MAX, fd);
	acted();
	assert_code(result, length);
	model_write(appends ? model.size : offset, input, length);
	assert_handle_holds(other, model.bytes, model.size);
	if (!is_removed)
		assert_true(mfs__validate(fs));
	assert_code(mfs_close(file), 0);
	assert_handle_holds(other, model.bytes, model.size);
	assert_code(mfs_close(other), 0);
	if (!is_removed)
		assert_file_holds(fs, "/f", model.bytes, model.size);
	if (what == copy_the_file)
		assert_code(mfs_remove(fs, "/copy"), 0);
	assert_true(mfs__validate(fs));
	if (!is_removed)
		assert_code(mfs_remove(fs, "/f"), 0);
	assert_int_equal(used_bytes(fs), 0);
	close_fd(fd);
}

static void pieces_land_whatever_has_become_of_the_file(void **state)
{
	static void (*const actions[])(void) = {
		do_nothing,         empty,         shorten,         extend, append_a_little,
		write_at_the_start, copy_the_file, remove_the_file,
	};
	static const size_t sizes[] = {0, 100, 4096, 5000, 9000};
	static const size_t offsets[] = {0, 50, 4096, 8192};
	static const size_t lengths[] = {1, 100, 4096, 8192, 12000};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(actions); i++)
		for (size_t j = 0; j < COUNT_OF(sizes); j++)
			for (size_t k = 0; k < COUNT_OF(offsets); k++)
				for (size_t l = 0; l < COUNT_OF(lengths) * 2; l++)
					check_landing("r+b", sizes[j], offsets[k], lengths[l / 2], l % 2, actions[i]);
}

static void pieces_land_where_the_end_is_then(void **state)
{
	static void (*const actions[])(void) = {
		do_nothing,    empty,           shorten,
		extend,        append_a_little, append_to_the_end_of_a_chunk,
		copy_the_file, remove_the_file,
	};
	static const size_t sizes[] = {0, 100, 4096, 5000, 8192};
	static const size_t lengths[] = {1, 4096, 8192, 12000};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(actions); i++)
		for (size_t j = 0; j < COUNT_OF(sizes); j++)
			for (size_t k = 0; k < COUNT_OF(lengths) * 2; k++)
				check_landing("ab", sizes[j], 0, lengths[k / 2], k % 2, actions[i]);
}

/* Room far behind the end: a short piece must not become the chunk of a list that goes on. */
static void reserve_far_away(void)
{
	void *data;

	assert_code(mfs_seek(other, 1 << 20, SEEK_SET), 1 << 20);
	assert_true(mfs_reserve(other, 4096, &data) > 0);
}

static void a_piece_lands_before_room_that_was_reserved(void **state)
{
	unsigned char *want = calloc(1, 200000);

	(void)state;
	assert_non_null(want);
	for (int i = 0; i < 2; i++) {
		int fd = input_of(input, 200);
		make_file(fs, "/f", noise, 100);
		other = open_file(fs, "/f", "r+b");
		act_at(i ? "descriptor: piece read" : "descriptor: about to read", 1, reserve_far_away);
		int64_t result = mfs_write_from_fd(other, 0, 200, fd);
		acted();
		assert_code(result, 200);
		assert_true(mfs__validate(fs));
		assert_handle_holds(other, input, 200);
		assert_code(mfs_pwrite(other, noise, 1000, 100000), 1000);
		memset(want, 0, 200000);
		memcpy(want, input, 200);
		memcpy(want + 100000, noise, 1000);
		assert_handle_holds(other, want, 101000);
		assert_code(mfs_close(other), 0);
		close_fd(fd);
	}
	free(want);
}

/*
 * Landing that is refused
 */

static mfs_file *subject;

static void close_the_handle(void)
{
	assert_code(mfs_close(subject), 0);
}

static void a_piece_of_a_closed_handle_leaves_nothing_behind(void **state)
{
	(void)state;
	make_file(fs, "/f", noise, 5000);
	uint64_t used = used_bytes(fs);
	long live = mfs__alloc_live();
	for (int n = 1; n <= 3; n++) {
		/* Pieces of 4096, 4096 and 8192 bytes. */
		static const int64_t results[] = {MFS_EBADF, 4096, 8192};
		int fd = input_of(input, ROOM);
		subject = open_file(fs, "/f", "r+b");
		act_at("descriptor: piece read", n, close_the_handle);
		int64_t result = mfs_write_from_fd(subject, 0, INT64_MAX, fd);
		acted();
		assert_code(result, results[n - 1]);
		assert_true(mfs__validate(fs));
		if (n == 1) {
			assert_file_holds(fs, "/f", noise, 5000);
			assert_int_equal(used_bytes(fs), used);
			assert_int_equal(mfs__alloc_live(), live);
		} else {
			memcpy(model.bytes, noise, 5000);
			model.size = 5000;
			model_write(0, input, (size_t)results[n - 1]);
			assert_file_holds(fs, "/f", model.bytes, model.size);
		}
		close_fd(fd);
	}
}

static void hold_the_file(void)
{
	assert_code(mfs_open(fs, "/f", "rb", &other), 0);
}

static void a_piece_that_may_not_wait_for_the_file_is_refused(void **state)
{
	(void)state;
	make_file(fs, "/f", noise, 5000);
	uint64_t used = used_bytes(fs);
	for (int n = 1; n <= 2; n++) {
		int fd = input_of(input, 3 * 4096);
		assert_code(open_with(fs, "/f", "r+b", MFS_O_SHARED, MFS_NO_WAIT, &subject), 0);
		act_at("descriptor: piece read", n, hold_the_file);
		int64_t result = mfs_write_from_fd(subject, 4096, INT64_MAX, fd);
		acted();
		assert_code(result, n == 1 ? MFS_EBUSY : 4096);
		assert_true(mfs__validate(fs));
		assert_code(mfs_close(other), 0);
		assert_code(mfs_close(subject), 0);
		if (n == 1) {
			assert_file_holds(fs, "/f", noise, 5000);
			assert_int_equal(used_bytes(fs), used);
		}
		close_fd(fd);
	}
	memcpy(model.bytes, noise, 4096);
	memcpy(model.bytes + 4096, input, 4096);
	assert_file_holds(fs, "/f", model.bytes, 8192);
}

/*
 * The quota
 */

static void take_9000(void)
{
	make_file(fs, "/hog", noise, 9000);
}

static void room_that_others_take_makes_a_piece_shorter(void **state)
{
	(void)state;
	fs = new_plain_workspace(10000);
	int fd = input_of(input, 5000);
	subject = open_file(fs, "/f", "xb");
	/* Between the look at the quota and the reservation. */
	act_at("quota: room seen", 1, take_9000);
	int64_t result = mfs_write_from_fd(subject, 0, INT64_MAX, fd);
	acted();
	assert_code(result, 1000);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 1000);
	assert_int_equal(used_bytes(fs), 10000);
	assert_true(mfs__validate(fs));
	assert_code(mfs_close(subject), 0);
	assert_file_holds(fs, "/f", input, 1000);
	close_fd(fd);
	assert_code(mfs_free(fs), 0);
}

/* The file is cut, and others take what is free then. */
static void cut_and_take_the_rest(void)
{
	mfs_usage usage;

	assert_code(mfs_truncate(other, 4096), 0);
	assert_code(mfs_stats(fs, &usage), 0);
	make_file(fs, "/hog", noise, usage.free_bytes);
	assert_code(mfs_stats(fs, &usage), 0);
	assert_int_equal(usage.free_bytes, 0);
}

static void bytes_that_fit_land_though_the_room_behind_them_does_not(void **state)
{
	(void)state;
	fs = new_plain_workspace(20000);
	int fd = input_of(input, 100);
	make_file(fs, "/f", noise, 8192);
	subject = open_shared(fs, "/f", "r+b");
	other = open_shared(fs, "/f", "r+b");
	/* The piece is a chunk of 8 KiB. */
	act_at("descriptor: piece read", 1, cut_and_take_the_rest);
	int64_t result = mfs_write_from_fd(subject, 8192, INT64_MAX, fd);
	acted();
	assert_code(result, 100);
	assert_true(mfs__validate(fs));
	/* Others have 20000 - 4096 - 8192 bytes, and the file has what it needs. */
	assert_int_equal(used_bytes(fs), 20000 - 4096 - 8192 + 8292);
	assert_code(mfs_close(other), 0);
	assert_code(mfs_close(subject), 0);
	memset(model.bytes, 0, sizeof model.bytes);
	memcpy(model.bytes, noise, 4096);
	memcpy(model.bytes + 8192, input, 100);
	assert_file_holds(fs, "/f", model.bytes, 8292);
	close_fd(fd);
	assert_true(mfs__validate(fs));
	assert_code(mfs_free(fs), 0);
}

/* The file is emptied, and nothing is left: not even what the gap before the piece would take. */
static void empty_and_take_the_rest(void)
{
	mfs_usage usage;

	assert_code(mfs_truncate(other, 0), 0);
	assert_code(mfs_stats(fs, &usage), 0);
	make_file(fs, "/hog", noise, usage.free_bytes);
}

static void a_piece_that_does_not_fit_any_more_changes_nothing(void **state)
{
	(void)state;
	fs = new_plain_workspace(20000);
	int fd = input_of(input, 8192);
	make_file(fs, "/f", noise, 8192);
	subject = open_shared(fs, "/f", "r+b");
	other = open_shared(fs, "/f", "r+b");
	act_at("descriptor: piece read", 1, empty_and_take_the_rest);
	int64_t result = mfs_write_from_fd(subject, 8192, INT64_MAX, fd);
	acted();
	assert_code(result, MFS_EQUOTA);
	assert_true(mfs__validate(fs));
	assert_code(mfs_get_size(fs, "/f"), 0);
	/* What had been set aside. */
	assert_int_equal(used_bytes(fs), 20000 - 8192);
	assert_code(mfs_close(other), 0);
	assert_code(mfs_close(subject), 0);
	close_fd(fd);
	assert_code(mfs_free(fs), 0);
}

/*
 * Forks
 */

static long live_before;
static uint64_t used_before;

/* In the child: everything that the call had in hand is gone. Returns 0, or a line. */
static int nothing_is_left(void)
{
	mfs_usage usage;

	if (mfs__alloc_live() != live_before)
		return __LINE__ % 256;
	if (mfs_stats(fs, &usage) || usage.used_bytes != used_before || !mfs__validate(fs))
		return __LINE__ % 256;
	if (mfs_pwrite(subject, "child", 5, 0) != 5 || mfs_close(subject))
		return __LINE__ % 256;
	if (!mfs__validate(fs) || mfs_remove(fs, "/f"))
		return __LINE__ % 256;
	return mfs_free(fs) ? __LINE__ % 256 : 0;
}

static void fork_here(void)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		turns = 0;
		_exit(nothing_is_left());
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* The child is made by the very thread that makes the call, so that the call goes on in the parent
 * and never in the child. */
static void a_child_has_nothing_of_a_call_at_any_point(void **state)
{
	static const char *const points[] = {"descriptor: about to read", "descriptor: piece read"};
	static const size_t sizes[] = {0, 100, 5000};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(points) * COUNT_OF(sizes); i++) {
		size_t size = sizes[i / 2];
		int fd = input_of(input, 5000);
		make_file(fs, "/f", noise, size);
		subject = open_file(fs, "/f", "r+b");
		live_before = mfs__alloc_live();
		used_before = used_bytes(fs);
		act_at(points[i % 2], 1, fork_here);
		int64_t result = mfs_write_from_fd(subject, (int64_t)size, INT64_MAX, fd);
		acted();
		assert_code(result, 5000);
		assert_code(mfs_close(subject), 0);
		assert_true(mfs__validate(fs));
		close_fd(fd);
	}
}

static void a_child_has_nothing_of_a_call_that_writes(void **state)
{
	int out = memfd_create("output", MFD_CLOEXEC);

	(void)state;
	assert_true(out >= 0);
	make_file(fs, "/f", noise, ROOM);
	subject = open_file(fs, "/f", "r+b");
	live_before = mfs__alloc_live();
	used_before = used_bytes(fs);
	act_at("descriptor: about to write", 1, fork_here);
	int64_t result = mfs_read_to_fd(subject, 0, INT64_MAX, out);
	acted();
	assert_code(result, ROOM);
	assert_code(mfs_close(subject), 0);
	close_fd(out);
}

static void close_all_in_child(void)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		turns = 0;
		_exit(mfs__alloc_live() != live_before || !mfs__validate(fs) || mfs_remove(fs, "/f") ||
			  mfs_free(fs));
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void a_child_has_nothing_of_an_export(void **state)
{
	(void)state;
	make_file(fs, "/f", noise, ROOM);
	live_before = mfs__alloc_live();
	act_at("descriptor: about to write", 1, close_all_in_child);
	int fd = mfs_export_fd(fs, "/f");
	acted();
	assert_true(fd >= 0);
	close_fd(fd);
}

/*
 * Without memory
 */

enum { LONG = 40 << 20 }; /* more chunks than a snapshot has room for */

/* Make a call fail at each of its allocations: the file is as before, or has a first part. */
static void fail_everywhere(const char *mode, size_t offset, size_t length, bool is_copied)
{
	long live = mfs__alloc_live();
	int failures = 0;

	for (long n = 1;; n++) {
		int fd = input_of(input, length);
		assert_true(n < MOST_ALLOCATIONS);
		assert_code(mfs_new(NULL, &fs), 0);
		make_file(fs, "/f", noise, 5000);
		if (is_copied)
			assert_code(mfs_copy(fs, "/f", "/copy"), 0);
		subject = open_file(fs, "/f", mode);
		uint64_t used = used_bytes(fs);
		memcpy(model.bytes, noise, 5000);
		model.size = strcmp(mode, "wb") == 0 ? 0 : 5000;
		mfs__alloc_fail_after(n);
		int64_t result = mfs_write_from_fd(subject, (int64_t)offset, INT64_MAX, fd);
		bool failed = mfs__alloc_failed();
		mfs__alloc_fail_after(0);
		assert_true(mfs__validate(fs));
		if (result < 0) {
			assert_true(failed);
			assert_code(result, MFS_ENOMEM);
			assert_int_equal(used_bytes(fs), used);
		} else {
			assert_true(failed ? (size_t)result <= length : (size_t)result == length);
			model_write(strcmp(mode, "ab") == 0 ? 5000 : offset, input, (size_t)result);
		}
		failures += failed;
		assert_code(mfs_close(subject), 0);
		assert_file_holds(fs, "/f", model.bytes, model.size);
		if (is_copied)
			assert_file_holds(fs, "/copy", noise, 5000);
		assert_true(mfs__validate(fs));
		assert_code(mfs_free(fs), 0);
		close_fd(fd);
		if (!failed)
			break;
	}
	assert_true(failures > 0);
	assert_int_equal(mfs__alloc_live(), live);
}

static void a_write_without_memory_is_refused_or_partial(void **state)
{
	(void)state;
	fail_everywhere("wb", 0, 30000, false);
	fail_everywhere("wb", 10000, 100, false);
	fail_everywhere("r+b", 0, 30000, false);
	fail_everywhere("r+b", 0, 30000, true);
	fail_everywhere("r+b", 100, 100, true);
	fail_everywhere("r+b", 4500, 5000, true);
	fail_everywhere("ab", 0, 5000, false);
}

/* The descriptor's number, or a code; and then whether it holds the file. */
static int64_t call_export(void)
{
	int fd = mfs_export_fd(fs, "/d/../f");

	if (fd < 0)
		return fd;
	assert_int_equal(lseek(fd, 0, SEEK_END), LONG);
	close_fd(fd);
	return 0;
}

static int64_t call_read(void)
{
	int fd = memfd_create("output", MFD_CLOEXEC);
	mfs_file *file = NULL;

	assert_true(fd >= 0);
	int64_t result = mfs_open(fs, "/f", "rb", &file);
	if (!result) {
		result = mfs_read_to_fd(file, 0, INT64_MAX, fd);
		assert_code(mfs_close(file), 0);
	}
	if (result >= 0) {
		assert_code(result, LONG);
		result = 0;
	}
	close_fd(fd);
	return result;
}

static void reads_without_memory_are_refused(void **state)
{
	static int64_t (*const calls[])(void) = {call_read, call_export};

	(void)state;
	make_dir(fs, "/d");
	subject = open_file(fs, "/f", "xb");
	assert_code(mfs_truncate(subject, LONG), 0);
	assert_code(mfs_close(subject), 0);
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		/* What is made once and stays. */
		assert_code(calls[i](), 0);
		long live = mfs__alloc_live();
		int failures = 0;
		for (long n = 1;; n++) {
			assert_true(n < MOST_ALLOCATIONS);
			mfs__alloc_fail_after(n);
			int64_t result = calls[i]();
			bool failed = mfs__alloc_failed();
			mfs__alloc_fail_after(0);
			assert_int_equal(mfs__alloc_live(), live);
			assert_true(mfs__validate(fs));
			assert_int_equal(usage_of(fs).open_handles, 0);
			if (!failed) {
				assert_code(result, 0);
				break;
			}
			assert_code(result, MFS_ENOMEM);
			failures++;
		}
		assert_true(failures > 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pieces_land_whatever_has_become_of_the_file),
		TEST(pieces_land_where_the_end_is_then),
		TEST(a_piece_lands_before_room_that_was_reserved),
		TEST(a_piece_of_a_closed_handle_leaves_nothing_behind),
		TEST(a_piece_that_may_not_wait_for_the_file_is_refused),
		cmocka_unit_test(room_that_others_take_makes_a_piece_shorter),
		cmocka_unit_test(bytes_that_fit_land_though_the_room_behind_them_does_not),
		cmocka_unit_test(a_piece_that_does_not_fit_any_more_changes_nothing),
		TEST(a_child_has_nothing_of_a_call_at_any_point),
		TEST(a_child_has_nothing_of_a_call_that_writes),
		TEST(a_child_has_nothing_of_an_export),
		cmocka_unit_test(a_write_without_memory_is_refused_or_partial),
		TEST(reads_without_memory_are_refused),
	};

	return cmocka_run_group_tests(tests, fill_patterns, NULL);
}
