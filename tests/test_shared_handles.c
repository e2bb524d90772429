/* SPDX-License-Identifier: MIT */
/*
 * Can several handles, and several threads on one handle, use one file side by side, and does a
 * file live on under them when its name goes?
 */
#include "support.h"

static mfs_file *open_shared_for(mfs *fs, const char *path, const char *mode, int64_t timeout)
{
	mfs_file *file = NULL;

	assert_code(open_with(fs, path, mode, MFS_O_SHARED, timeout, &file), 0);
	return file;
}

static void several_handles_read_and_write_one_file(void **state)
{
	mfs *fs = *state;
	mfs_file *writer = open_shared(fs, "/f", "wb");
	mfs_file *appender = open_shared(fs, "/f", "ab");
	mfs_file *updater = open_shared(fs, "/f", "r+b");
	mfs_file *reader = open_shared(fs, "/f", "rb");
	char buffer[8] = {0};

	assert_code(mfs_write(writer, "0123", 4), 4);
	assert_handle_holds(reader, "0123", 4);
	assert_code(mfs_write(appender, "45", 2), 2);
	assert_handle_holds(updater, "012345", 6);
	assert_code(mfs_write(updater, "abc", 3), 3);
	/* Each handle has a cursor of its own. */
	assert_code(mfs_tell(writer), 4);
	assert_code(mfs_tell(updater), 3);
	assert_code(mfs_tell(reader), 0);
	assert_code(mfs_read(reader, buffer, 8), 6);
	assert_memory_equal(buffer, "abc345", 6);
	assert_code(mfs_write(writer, "x", 1), 1);
	assert_handle_holds(reader, "abc3x5", 6);
	assert_code(mfs_truncate(updater, 2), 0);
	assert_handle_holds(reader, "ab", 2);
	assert_code(mfs_write(appender, "!", 1), 1);
	assert_code(mfs_get_size(fs, "/f"), 3);
	close_file(writer);
	close_file(appender);
	assert_handle_holds(reader, "ab!", 3);
	close_file(updater);
	close_file(reader);
	assert_text(fs, "/f", "ab!");
}

static void a_shared_handle_holds_no_lock_between_calls(void **state)
{
	mfs *fs = *state;
	mfs_file *shared = open_shared(fs, "/f", "wb");

	assert_code(mfs_write(shared, "content", 7), 7);
	assert_code(try_open(fs, "/f", "rb"), 0);
	assert_code(try_open(fs, "/f", "r+b"), 0);
	assert_code(try_open(fs, "/f", "wb"), 0);
	assert_code(mfs_get_size(fs, "/f"), 0);
	close_file(shared);
}

static void an_exclusive_handle_keeps_shared_calls_out(void **state)
{
	static const struct {
		int64_t timeout;
		int code;
	} cases[] = {{MFS_NO_WAIT, MFS_EBUSY}, {20, MFS_ETIMEDOUT}};
	mfs *fs = *state;
	char buffer[4] = "abc";
	struct iovec vector = {buffer, 3};

	make_text(fs, "/f", "content");
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		int code = cases[i].code;
		mfs_file *shared = open_shared_for(fs, "/f", "r+b", cases[i].timeout);
		mfs_file *exclusive = NULL;
		mfs_info before;

		assert_code(mfs_seek(shared, 2, SEEK_SET), 2);
		exclusive = open_file(fs, "/f", "r+b");
		before = info_of(fs, "/f");
		assert_refused(fs, mfs_read(shared, buffer, 3), code);
		assert_refused(fs, mfs_pread(shared, buffer, 3, 0), code);
		assert_refused(fs, mfs_readv(shared, &vector, 1), code);
		assert_refused(fs, mfs_write(shared, buffer, 3), code);
		assert_refused(fs, mfs_pwrite(shared, buffer, 3, 0), code);
		assert_refused(fs, mfs_writev(shared, &vector, 1), code);
		assert_refused(fs, mfs_truncate(shared, 0), code);
		assert_memory_equal(buffer, "abc", 4);
		assert_int_equal(info_of(fs, "/f").generation, before.generation);
		assert_handle_holds(exclusive, "content", 7);
		close_file(exclusive);
		/* The cursor stayed, and the handle is as good as before. */
		assert_code(mfs_tell(shared), 2);
		assert_code(mfs_read(shared, buffer, 3), 3);
		assert_memory_equal(buffer, "nte", 3);
		memcpy(buffer, "abc", 4);
		close_file(shared);
	}
	assert_text(fs, "/f", "content");
}

static void a_reading_handle_keeps_only_shared_writes_out(void **state)
{
	mfs *fs = *state;
	mfs_file *shared = NULL;
	mfs_file *reader = NULL;
	char byte = 0;

	make_text(fs, "/f", "content");
	shared = open_shared_for(fs, "/f", "r+b", MFS_NO_WAIT);
	reader = open_file(fs, "/f", "rb");
	assert_code(mfs_pread(shared, &byte, 1, 0), 1);
	assert_int_equal(byte, 'c');
	assert_refused(fs, mfs_write(shared, "x", 1), MFS_EBUSY);
	assert_refused(fs, mfs_truncate(shared, 0), MFS_EBUSY);
	close_file(reader);
	assert_code(mfs_write(shared, "x", 1), 1);
	close_file(shared);
	assert_text(fs, "/f", "xontent");
}

static void the_default_timeout_holds_for_shared_calls(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	mfs *fs = NULL;
	mfs_file *shared = NULL;
	mfs_file *exclusive = NULL;

	(void)state;
	options.default_lock_timeout = MFS_NO_WAIT;
	fs = new_workspace(&options);
	shared = open_shared(fs, "/f", "wb");
	exclusive = open_file(fs, "/f", "r+b");
	assert_refused(fs, mfs_write(shared, "x", 1), MFS_EBUSY);
	close_file(exclusive);
	assert_code(mfs_write(shared, "x", 1), 1);
	close_file(shared);
	free_workspace(fs);
}

/*
 * Files without a name
 */

static void a_removed_file_lives_until_its_last_handle_is_closed(void **state)
{
	mfs *fs = *state;
	mfs_file *one = open_shared(fs, "/f", "wb");
	mfs_file *two = open_shared(fs, "/f", "r+b");
	mfs_file *other = NULL;
	uint64_t used = 0;
	mfs_info info;

	assert_code(mfs_write(one, "content", 7), 7);
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_false(mfs_exists(fs, "/f"));
	assert_refused(fs, mfs_stat(fs, "/f", &info), MFS_ENOENT);
	assert_refused(fs, mfs_remove(fs, "/f"), MFS_ENOENT);
	assert_int_equal(usage_of(fs).files, 0);
	assert_int_equal(usage_of(fs).open_handles, 2);
	/* Data, writes and the charge go on. */
	assert_handle_holds(two, "content", 7);
	assert_code(mfs_write(one, " and more", 9), 9);
	assert_handle_holds(two, "content and more", 16);
	used = used_bytes(fs);
	assert_in_range(used, 16, UINT64_MAX);
	/* The path is free for a new file, which is another one. */
	assert_refused(fs, mfs_open(fs, "/f", "rb", &other), MFS_ENOENT);
	other = open_file(fs, "/f", "xb");
	assert_code(mfs_write(other, "new", 3), 3);
	close_file(other);
	assert_text(fs, "/f", "new");
	assert_handle_holds(two, "content and more", 16);
	assert_code(mfs_remove(fs, "/f"), 0);
	close_file(one);
	assert_in_range(used_bytes(fs), 16, used);
	assert_handle_holds(two, "content and more", 16);
	close_file(two);
	assert_int_equal(used_bytes(fs), 0);
	assert_int_equal(usage_of(fs).chunks, 0);
}

static void a_directory_whose_files_are_gone_is_empty(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;

	make_dir(fs, "/d");
	file = open_shared(fs, "/d/f", "wb");
	assert_code(mfs_write(file, "content", 7), 7);
	assert_code(mfs_remove(fs, "/d/f"), 0);
	assert_code(mfs_remove(fs, "/d"), 0);
	assert_code(mfs_write(file, "content", 7), 7);
	close_file(file);
	assert_int_equal(used_bytes(fs), 0);
}

static void a_shared_handle_follows_its_file_to_another_name(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;

	make_dir(fs, "/d");
	file = open_shared(fs, "/f", "wb");
	assert_code(mfs_write(file, "con", 3), 3);
	assert_code(mfs_rename(fs, "/f", "/d/g", 0), 0);
	assert_code(mfs_write(file, "tent", 4), 4);
	close_file(file);
	assert_text(fs, "/d/g", "content");
}

static void a_replaced_file_lives_until_its_last_handle_is_closed(void **state)
{
	mfs *fs = *state;
	mfs_file *old = NULL;
	uint64_t used = 0;

	make_text(fs, "/new", "the new content");
	used = used_bytes(fs);
	make_text(fs, "/f", "the old content");
	old = open_shared(fs, "/f", "r+b");
	assert_code(mfs_rename(fs, "/new", "/f", MFS_RENAME_REPLACE), 0);
	assert_text(fs, "/f", "the new content");
	assert_handle_holds(old, "the old content", 15);
	assert_code(mfs_write(old, "an", 2), 2);
	assert_handle_holds(old, "ane old content", 15);
	assert_text(fs, "/f", "the new content");
	assert_int_equal(usage_of(fs).files, 1);
	assert_true(used_bytes(fs) > used);
	close_file(old);
	assert_int_equal(used_bytes(fs), used);
}

struct hammer {
	mfs *fs;
	pthread_barrier_t *start;
	atomic_bool *stop;
	int64_t calls;
	int failures;
	pthread_t thread;
};

/** Uses a shared handle of "/f" without a pause. */
static void *hammer_shared(void *argument)
{
	struct hammer *hammer = argument;
	mfs_file *file = NULL;
	char buffer[64] = {0};

	if (open_with(hammer->fs, "/f", "r+b", MFS_O_SHARED, MFS_WAIT_FOREVER, &file) != 0) {
		hammer->failures++;
	}
	pthread_barrier_wait(hammer->start);
	while (!atomic_load(hammer->stop)) {
		hammer->failures += mfs_pwrite(file, buffer, sizeof(buffer), 0) != sizeof(buffer);
		hammer->failures += mfs_pread(file, buffer, sizeof(buffer), 0) != sizeof(buffer);
		hammer->calls++;
	}
	hammer->failures += mfs_close(file) != 0;
	return NULL;
}

static void shared_calls_never_stand_in_the_way_of_remove_and_rename(void **state)
{
	enum { THREADS = 3, ROUNDS = 20 };
	mfs *fs = *state;

	for (int round = 0; round < ROUNDS; round++) {
		struct hammer hammers[THREADS];
		atomic_bool stop = false;
		pthread_barrier_t start;
		int renamed = 0;
		int replaced = 0;
		int removed = 0;

		memset(hammers, 0, sizeof(hammers));
		assert_int_equal(pthread_barrier_init(&start, NULL, THREADS + 1), 0);
		make_text(fs, "/f", "content");
		make_text(fs, "/g", "content");
		for (int i = 0; i < THREADS; i++) {
			hammers[i].fs = fs;
			hammers[i].start = &start;
			hammers[i].stop = &stop;
			hammers[i].thread = start_thread(hammer_shared, &hammers[i]);
		}
		pthread_barrier_wait(&start);
		for (int i = 0; i < 20; i++) {
			renamed += mfs_rename(fs, "/f", "/h", 0) == 0;
			renamed += mfs_rename(fs, "/h", "/f", 0) == 0;
		}
		if (round % 2 == 0) {
			replaced = mfs_rename(fs, "/g", "/f", MFS_RENAME_REPLACE) == 0;
			removed = mfs_remove(fs, "/f") == 0;
		} else {
			replaced = mfs_rename(fs, "/f", "/g", MFS_RENAME_REPLACE) == 0;
			removed = mfs_remove(fs, "/g") == 0;
		}
		atomic_store(&stop, true);
		for (int i = 0; i < THREADS; i++) {
			join_thread(hammers[i].thread);
			assert_int_equal(hammers[i].failures, 0);
		}
		pthread_barrier_destroy(&start);
		assert_int_equal(renamed, 40);
		assert_int_equal(replaced, 1);
		assert_int_equal(removed, 1);
		assert_int_equal(usage_of(fs).files, 0);
		assert_int_equal(used_bytes(fs), 0);
	}
}

/*
 * Many threads
 */

enum { WORKERS = 8, REGION = 4096 };

struct worker {
	mfs *fs;
	mfs_file *file; /* the handle, where one is for all */
	int number;
	int failures;
	unsigned char last; /* the byte that the worker's region holds in the end */
	pthread_t thread;
};

static void run_workers(mfs *fs, mfs_file *file, void *(*run)(void *), struct worker *workers,
						int count)
{
	memset(workers, 0, sizeof(*workers) * (size_t)count);
	for (int i = 0; i < count; i++) {
		workers[i].fs = fs;
		workers[i].file = file;
		workers[i].number = i;
		workers[i].thread = start_thread(run, &workers[i]);
	}
	for (int i = 0; i < count; i++) {
		join_thread(workers[i].thread);
	}
	for (int i = 0; i < count; i++) {
		assert_int_equal(workers[i].failures, 0);
	}
}

/** Fills its own region with one byte again and again, and finds every region uniform. */
static void *write_regions(void *argument)
{
	struct worker *worker = argument;
	struct rng rng = {(uint64_t)worker->number + 1};
	unsigned char bytes[REGION];
	mfs_file *file = NULL;

	if (open_with(worker->fs, "/f", "r+b", MFS_O_SHARED, 0, &file) != 0) {
		worker->failures++;
		return NULL;
	}
	for (int round = 0; round < 200; round++) {
		size_t other = rng_below(&rng, WORKERS);

		worker->last = (unsigned char)rng_next(&rng);
		memset(bytes, worker->last, sizeof(bytes));
		worker->failures +=
			mfs_pwrite(file, bytes, REGION, (int64_t)REGION * worker->number) != REGION;
		worker->failures += mfs_pread(file, bytes, REGION, REGION * (int64_t)other) != REGION;
		for (size_t i = 1; i < REGION; i++) {
			worker->failures += bytes[i] != bytes[0];
		}
		if (other == (size_t)worker->number) {
			worker->failures += bytes[0] != worker->last;
		}
	}
	worker->failures += mfs_close(file) != 0;
	return NULL;
}

static void eight_threads_write_and_read_one_file(void **state)
{
	mfs *fs = *state;
	struct worker workers[WORKERS];
	unsigned char *expected = allocate(WORKERS * REGION);
	mfs_file *file = open_file(fs, "/f", "wb");

	assert_code(mfs_truncate(file, WORKERS * REGION), 0);
	close_file(file);
	run_workers(fs, NULL, write_regions, workers, WORKERS);
	for (int i = 0; i < WORKERS; i++) {
		memset(expected + (ptrdiff_t)REGION * i, workers[i].last, REGION);
	}
	assert_file_holds(fs, "/f", expected, WORKERS * REGION);
	assert_int_equal(info_of(fs, "/f").generation, 1 + WORKERS * 200);
	free(expected);
}

enum { RECORDS = 300, RECORD_MAX = 250 };

/** Appends records "length, worker, number low, number high, filling" in one call each. */
static void append_records(struct worker *worker, mfs_file *file)
{
	struct rng rng = {(uint64_t)worker->number + 1};
	unsigned char record[RECORD_MAX];

	for (int number = 0; number < RECORDS; number++) {
		size_t size = 4 + rng_below(&rng, RECORD_MAX - 4);
		int64_t result = 0;

		memset(record, worker->number, sizeof(record));
		record[0] = (unsigned char)size;
		record[2] = (unsigned char)(number & 0xff);
		record[3] = (unsigned char)(number >> 8);
		if (number % 2 == 0) {
			result = mfs_write(file, record, size);
		} else {
			struct iovec vector[3] = {{record, 1}, {record + 1, 3}, {record + 4, size - 4}};

			result = mfs_writev(file, vector, 3);
		}
		worker->failures += result != (int64_t)size;
	}
}

static void *append_on_own_handle(void *argument)
{
	struct worker *worker = argument;
	mfs_file *file = NULL;

	if (open_with(worker->fs, "/f", "ab", MFS_O_SHARED, 0, &file) != 0) {
		worker->failures++;
		return NULL;
	}
	append_records(worker, file);
	worker->failures += mfs_close(file) != 0;
	return NULL;
}

static void *append_on_common_handle(void *argument)
{
	struct worker *worker = argument;

	append_records(worker, worker->file);
	return NULL;
}

/** The file is made of whole records, those of each worker in order and complete. */
static void assert_records(mfs *fs, int workers)
{
	int next[WORKERS] = {0};
	int64_t size = mfs_get_size(fs, "/f");
	unsigned char *bytes = allocate((size_t)size);
	mfs_file *file = open_file(fs, "/f", "rb");
	int64_t at = 0;

	assert_code(mfs_read(file, bytes, (size_t)size), size);
	close_file(file);
	while (at < size) {
		int length = bytes[at];

		assert_in_range(length, 4, size - at);
		assert_in_range(bytes[at + 1], 0, workers - 1);
		assert_int_equal(bytes[at + 2] | bytes[at + 3] << 8, next[bytes[at + 1]]);
		next[bytes[at + 1]]++;
		for (int i = 4; i < length; i++) {
			assert_int_equal(bytes[at + i], bytes[at + 1]);
		}
		at += length;
	}
	for (int i = 0; i < workers; i++) {
		assert_int_equal(next[i], RECORDS);
	}
	free(bytes);
}

static void records_appended_on_handles_of_many_threads_are_whole(void **state)
{
	mfs *fs = *state;
	struct worker workers[4];

	make_text(fs, "/f", "");
	run_workers(fs, NULL, append_on_own_handle, workers, 4);
	assert_records(fs, 4);
	assert_int_equal(info_of(fs, "/f").generation, 4 * RECORDS);
}

static void records_appended_on_one_handle_by_many_threads_are_whole(void **state)
{
	static const char *const modes[] = {"wb", "ab"};
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		for (unsigned flags = 0; flags <= MFS_O_SHARED; flags += MFS_O_SHARED) {
			struct worker workers[4];
			mfs_file *file = NULL;

			assert_code(open_with(fs, "/f", modes[i], flags, 0, &file), 0);
			run_workers(fs, file, append_on_common_handle, workers, 4);
			assert_code(mfs_tell(file), mfs_get_size(fs, "/f"));
			close_file(file);
			assert_records(fs, 4);
			assert_code(mfs_remove(fs, "/f"), 0);
		}
	}
}

enum { NUMBERS = 20000 };

struct share {
	mfs_file *file;
	unsigned char *seen; /* one for each number */
	int failures;
	pthread_t thread;
};

/** Takes numbers from the common cursor until the end. */
static void *take_numbers(void *argument)
{
	struct share *share = argument;
	uint32_t number = 0;
	int64_t result = 0;

	while ((result = mfs_read(share->file, &number, sizeof(number))) == sizeof(number)) {
		if (number < NUMBERS) {
			share->seen[number]++;
		} else {
			share->failures++;
		}
	}
	share->failures += result != 0;
	return NULL;
}

static void threads_that_read_on_one_handle_share_its_cursor(void **state)
{
	enum { THREADS = 4 };
	mfs *fs = *state;
	uint32_t *numbers = allocate(NUMBERS * sizeof(*numbers));
	struct share shares[THREADS];
	mfs_file *file = NULL;

	for (uint32_t i = 0; i < NUMBERS; i++) {
		numbers[i] = i;
	}
	make_file(fs, "/f", numbers, NUMBERS * sizeof(*numbers));
	file = open_file(fs, "/f", "rb");
	memset(shares, 0, sizeof(shares));
	for (int i = 0; i < THREADS; i++) {
		shares[i].file = file;
		shares[i].seen = allocate(NUMBERS);
		shares[i].thread = start_thread(take_numbers, &shares[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		join_thread(shares[i].thread);
		assert_int_equal(shares[i].failures, 0);
	}
	for (size_t i = 0; i < NUMBERS; i++) {
		int seen = 0;

		for (int j = 0; j < THREADS; j++) {
			seen += shares[j].seen[i];
		}
		assert_int_equal(seen, 1);
	}
	for (int i = 0; i < THREADS; i++) {
		free(shares[i].seen);
	}
	free(numbers);
	close_file(file);
}

struct closer {
	mfs_file *file;
	pthread_barrier_t *start;
	int code;
	int64_t reads;
	int failures;
	pthread_t thread;
};

static void *close_at_once(void *argument)
{
	struct closer *closer = argument;

	pthread_barrier_wait(closer->start);
	closer->code = mfs_close(closer->file);
	return NULL;
}

static void one_of_many_closes_succeeds(void **state)
{
	enum { THREADS = 4, ROUNDS = 100 };
	mfs *fs = *state;

	make_text(fs, "/f", "content");
	for (int round = 0; round < ROUNDS; round++) {
		struct closer closers[THREADS];
		pthread_barrier_t start;
		mfs_file *file = open_file(fs, "/f", round % 2 == 0 ? "rb" : "r+b");
		int closed = 0;

		memset(closers, 0, sizeof(closers));
		assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
		for (int i = 0; i < THREADS; i++) {
			closers[i].file = file;
			closers[i].start = &start;
			closers[i].thread = start_thread(close_at_once, &closers[i]);
		}
		for (int i = 0; i < THREADS; i++) {
			join_thread(closers[i].thread);
			if (closers[i].code == 0) {
				closed++;
			} else {
				assert_code(closers[i].code, MFS_EBADF);
			}
		}
		pthread_barrier_destroy(&start);
		assert_int_equal(closed, 1);
		assert_int_equal(usage_of(fs).open_handles, 0);
		assert_code(try_open(fs, "/f", "r+b"), 0);
	}
}

/** Reads until the handle is closed under it. */
static void *read_until_closed(void *argument)
{
	struct closer *closer = argument;
	char buffer[8];
	int64_t result = 0;

	pthread_barrier_wait(closer->start);
	while ((result = mfs_pread(closer->file, buffer, sizeof(buffer), 0)) == 7) {
		closer->failures += memcmp(buffer, "content", 7) != 0;
		closer->reads++;
	}
	closer->code = (int)result;
	return NULL;
}

static void closing_waits_for_calls_and_ends_them(void **state)
{
	enum { THREADS = 2, ROUNDS = 50 };
	mfs *fs = *state;

	make_text(fs, "/f", "content");
	for (int round = 0; round < ROUNDS; round++) {
		struct closer closers[THREADS];
		pthread_barrier_t start;
		mfs_file *file = NULL;

		assert_code(open_with(fs, "/f", "rb", round % 2 == 0 ? 0 : MFS_O_SHARED, 0, &file), 0);
		memset(closers, 0, sizeof(closers));
		assert_int_equal(pthread_barrier_init(&start, NULL, THREADS + 1), 0);
		for (int i = 0; i < THREADS; i++) {
			closers[i].file = file;
			closers[i].start = &start;
			closers[i].thread = start_thread(read_until_closed, &closers[i]);
		}
		pthread_barrier_wait(&start);
		assert_code(mfs_close(file), 0);
		/* The lock is free at once, whatever the other threads are at. */
		assert_code(try_open(fs, "/f", "r+b"), 0);
		for (int i = 0; i < THREADS; i++) {
			join_thread(closers[i].thread);
			assert_code(closers[i].code, MFS_EBADF);
			assert_int_equal(closers[i].failures, 0);
		}
		pthread_barrier_destroy(&start);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(several_handles_read_and_write_one_file),
		WORKSPACE_TEST(a_shared_handle_holds_no_lock_between_calls),
		WORKSPACE_TEST(an_exclusive_handle_keeps_shared_calls_out),
		WORKSPACE_TEST(a_reading_handle_keeps_only_shared_writes_out),
		cmocka_unit_test(the_default_timeout_holds_for_shared_calls),
		WORKSPACE_TEST(a_removed_file_lives_until_its_last_handle_is_closed),
		WORKSPACE_TEST(a_directory_whose_files_are_gone_is_empty),
		WORKSPACE_TEST(a_shared_handle_follows_its_file_to_another_name),
		WORKSPACE_TEST(a_replaced_file_lives_until_its_last_handle_is_closed),
		WORKSPACE_TEST(shared_calls_never_stand_in_the_way_of_remove_and_rename),
		WORKSPACE_TEST(eight_threads_write_and_read_one_file),
		WORKSPACE_TEST(records_appended_on_handles_of_many_threads_are_whole),
		WORKSPACE_TEST(records_appended_on_one_handle_by_many_threads_are_whole),
		WORKSPACE_TEST(threads_that_read_on_one_handle_share_its_cursor),
		WORKSPACE_TEST(one_of_many_closes_succeeds),
		WORKSPACE_TEST(closing_waits_for_calls_and_ends_them),
	};

	return cmocka_run_group_tests_name("shared handles", tests, NULL, NULL);
}
