/* SPDX-License-Identifier: MIT */
/*
 * What is a file charged, is the limit exact, and does everything charged come back?
 *
 * Most tests charge nothing for a chunk besides its memory, so that bytes charged and bytes written
 * can be compared.
 */
#include "support.h"

/** Content that differs from place to place. To be freed. */
static unsigned char *some_bytes(size_t size)
{
	unsigned char *bytes = allocate(size);
	struct rng rng = {99};

	rng_fill(&rng, bytes, size);
	return bytes;
}

/** The quota is used up to the last byte: one more is refused, by each call that grows a file. */
static void assert_full(mfs *fs, const char *path, mfs_file *file, uint64_t quota)
{
	struct iovec vector = {"x", 1};
	mfs_info before = info_of(fs, path);
	int64_t cursor = mfs_tell(file);

	assert_int_equal(used_bytes(fs), quota);
	assert_int_equal(usage_of(fs).free_bytes, 0);
	assert_refused(fs, mfs_pwrite(file, "x", 1, before.size), MFS_EQUOTA);
	assert_refused(fs, mfs_truncate(file, before.size + 1), MFS_EQUOTA);
	assert_code(mfs_seek(file, 0, SEEK_END), before.size);
	assert_refused(fs, mfs_write(file, "x", 1), MFS_EQUOTA);
	assert_refused(fs, mfs_writev(file, &vector, 1), MFS_EQUOTA);
	assert_code(mfs_tell(file), before.size);
	assert_code(mfs_seek(file, cursor, SEEK_SET), cursor);
	assert_int_equal(info_of(fs, path).size, before.size);
	assert_int_equal(info_of(fs, path).generation, before.generation);
	assert_int_equal(used_bytes(fs), quota);
	assert_int_equal(usage_of(fs).peak_bytes, quota);
	assert_true(mfs_is_quota_error(MFS_EQUOTA));
}

/** Fills a workspace by appends of one size to one file. */
static void fill_by(size_t quota, size_t step)
{
	mfs *fs = new_plain_workspace(quota);
	unsigned char *bytes = some_bytes(quota);
	mfs_file *file = open_file(fs, "/f", "wb");
	size_t written = 0;

	while (written < quota) {
		size_t size = quota - written < step ? quota - written : step;

		assert_code(mfs_write(file, bytes + written, size), size);
		written += size;
	}
	assert_full(fs, "/f", file, quota);
	close_file(file);
	assert_int_equal(used_bytes(fs), quota);
	assert_file_holds(fs, "/f", bytes, quota);
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_int_equal(used_bytes(fs), 0);
	assert_int_equal(usage_of(fs).peak_bytes, quota);
	free(bytes);
	free_workspace(fs);
}

static void one_file_takes_the_quota_to_the_last_byte(void **state)
{
	static const size_t steps[] = {100, 1000, 4096, 5000, 65536, 65537, 1000000, 3000017};

	(void)state;
	fill_by(300007, 1);
	fill_by(300007, 7);
	for (size_t i = 0; i < COUNT_OF(steps); i++) {
		fill_by(3000017, steps[i]);
	}
	/* Tiny quotas, around the sizes of first chunks. */
	for (size_t quota = 1; quota < 130; quota++) {
		fill_by(quota, 1);
	}
	for (size_t quota = 255; quota <= 66000; quota = quota * 2 + 1) {
		fill_by(quota, 13);
		fill_by(quota + 1, 13);
		fill_by(quota + 2, 13);
	}
}

static void truncate_and_a_gap_take_the_quota_to_the_last_byte(void **state)
{
	static const size_t quotas[] = {1, 100, 4097, 100000, 3000017};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(quotas); i++) {
		int64_t quota = (int64_t)quotas[i];
		mfs *fs = new_plain_workspace(quotas[i]);
		mfs_file *file = open_file(fs, "/f", "wb");

		assert_refused(fs, mfs_truncate(file, quota + 1), MFS_EQUOTA);
		assert_code(mfs_get_size(fs, "/f"), 0);
		assert_int_equal(used_bytes(fs), 0);
		assert_code(mfs_truncate(file, quota), 0);
		assert_full(fs, "/f", file, quotas[i]);
		assert_code(mfs_truncate(file, 0), 0);
		assert_int_equal(used_bytes(fs), 0);

		assert_refused(fs, mfs_pwrite(file, "x", 1, quota), MFS_EQUOTA);
		assert_code(mfs_get_size(fs, "/f"), 0);
		assert_int_equal(used_bytes(fs), 0);
		assert_code(mfs_pwrite(file, "x", 1, quota - 1), 1);
		assert_full(fs, "/f", file, quotas[i]);
		close_file(file);
		free_workspace(fs);
	}
}

static void a_small_file_is_charged_its_size_once_closed(void **state)
{
	static const size_t sizes[] = {1, 2, 15, 16, 17, 100, 1000, 1023, 1024, 1025, 4095, 4096};
	mfs *fs = new_plain_workspace(MIB);
	unsigned char *bytes = some_bytes(4096);

	(void)state;
	close_file(open_file(fs, "/f", "wb"));
	assert_int_equal(used_bytes(fs), 0);
	assert_int_equal(usage_of(fs).chunks, 0);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		mfs_file *file = NULL;

		/* In one piece. */
		make_file(fs, "/f", bytes, sizes[i]);
		assert_int_equal(used_bytes(fs), sizes[i]);
		/* Byte by byte. */
		file = open_file(fs, "/f", "wb");
		assert_int_equal(used_bytes(fs), 0);
		for (size_t at = 0; at < sizes[i]; at++) {
			assert_code(mfs_write(file, bytes + at, 1), 1);
		}
		close_file(file);
		assert_int_equal(used_bytes(fs), sizes[i]);
		/* In two sessions: some room may stay for the next one. */
		file = open_file(fs, "/f", "ab");
		assert_code(mfs_write(file, bytes, 10), 10);
		close_file(file);
		assert_in_range(used_bytes(fs), sizes[i] + 10, sizes[i] + 10 + (sizes[i] + 10) / 8);
		assert_code(mfs_remove(fs, "/f"), 0);
		assert_int_equal(used_bytes(fs), 0);
	}
	free(bytes);
	free_workspace(fs);
}

static void a_file_is_charged_little_more_than_its_size(void **state)
{
	static const size_t sizes[] = {1, 100, 5000, 100000, 1000000, 3000001, 20000000};
	mfs *fs = *state;
	unsigned char *bytes = some_bytes(20000000);

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		size_t size = sizes[i];
		mfs_file *file = NULL;

		make_file(fs, "/f", bytes, size);
		assert_in_range(used_bytes(fs), size, size + size / 8 + 4096);
		/* By many appends, too. */
		file = open_file(fs, "/f", "wb");
		assert_int_equal(used_bytes(fs), 0);
		for (size_t at = 0; at < size; at += 5000) {
			size_t part = size - at < 5000 ? size - at : 5000;

			assert_code(mfs_write(file, bytes + at, part), part);
		}
		close_file(file);
		assert_in_range(used_bytes(fs), size, size + size / 8 + 4096);
		assert_file_holds(fs, "/f", bytes, size);
		assert_code(mfs_remove(fs, "/f"), 0);
		assert_int_equal(used_bytes(fs), 0);
		assert_int_equal(usage_of(fs).chunks, 0);
	}
	free(bytes);
}

static void each_chunk_is_charged_the_overhead(void **state)
{
	static const size_t sizes[] = {1, 100, 5000, 100000, 1000000};
	mfs_options options = {.struct_size = sizeof(options)};
	mfs *plain = new_plain_workspace(256 * MIB);
	mfs *costly = NULL;
	mfs *usual = NULL;
	unsigned char *bytes = some_bytes(1000000);

	(void)state;
	options.chunk_overhead = 1000;
	costly = new_workspace(&options);
	usual = new_workspace(NULL);
	assert_int_equal(usage_of(plain).chunk_overhead, 0);
	assert_int_equal(usage_of(costly).chunk_overhead, 1000);
	assert_int_equal(usage_of(usual).chunk_overhead, 64);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		uint64_t chunks = 0;

		make_file(plain, "/f", bytes, sizes[i]);
		make_file(costly, "/f", bytes, sizes[i]);
		make_file(usual, "/f", bytes, sizes[i]);
		chunks = usage_of(plain).chunks;
		assert_int_not_equal(chunks, 0);
		assert_int_equal(usage_of(costly).chunks, chunks);
		assert_int_equal(usage_of(usual).chunks, chunks);
		assert_int_equal(used_bytes(costly), used_bytes(plain) + chunks * 1000);
		assert_int_equal(used_bytes(usual), used_bytes(plain) + chunks * 64);
	}
	free(bytes);
	free_workspace(plain);
	free_workspace(costly);
	free_workspace(usual);
}

static void a_million_appends_of_a_byte_cost_less_than_twice_the_bytes(void **state)
{
	enum { COUNT = 1000000 };
	mfs *fs = *state;
	unsigned char *bytes = some_bytes(COUNT);
	mfs_file *file = open_file(fs, "/f", "ab");
	int failures = 0;

	for (size_t i = 0; i < COUNT; i++) {
		failures += mfs_write(file, bytes + i, 1) != 1;
	}
	assert_int_equal(failures, 0);
	assert_in_range(used_bytes(fs), COUNT, 2 * COUNT - 1);
	close_file(file);
	assert_in_range(used_bytes(fs), COUNT, COUNT + COUNT / 8);
	assert_in_range(usage_of(fs).peak_bytes, COUNT, 2 * COUNT - 1);
	assert_file_holds(fs, "/f", bytes, COUNT);
	free(bytes);
}

static void closing_gives_back_what_was_taken_ahead(void **state)
{
	mfs *fs = new_plain_workspace(MIB);
	unsigned char *bytes = some_bytes(1000);
	mfs_file *file = open_file(fs, "/f", "wb");
	uint64_t open_used = 0;

	(void)state;
	for (int i = 0; i < 300; i++) {
		assert_code(mfs_write(file, bytes, 1000), 1000);
	}
	open_used = used_bytes(fs);
	close_file(file);
	assert_in_range(used_bytes(fs), 300000, open_used);
	/* All that was given back can be had by others. */
	file = open_file(fs, "/g", "wb");
	assert_code(mfs_truncate(file, (int64_t)(MIB - used_bytes(fs))), 0);
	assert_int_equal(used_bytes(fs), MIB);
	close_file(file);
	free(bytes);
	free_workspace(fs);
}

static void closing_a_shared_handle_gives_back_what_was_taken_ahead(void **state)
{
	static const char *const others[] = {NULL, "rb", "r+b"};
	mfs *fs = new_plain_workspace(MIB);
	unsigned char *bytes = some_bytes(5000);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(others); i++) {
		mfs_file *shared = open_shared(fs, "/f", "wb");
		mfs_file *other = NULL;

		for (size_t at = 0; at < 5000; at += 100) {
			assert_code(mfs_write(shared, bytes + at, 100), 100);
		}
		/* A handle that holds the file's lock meanwhile puts it off, at most. */
		if (others[i] != NULL) {
			other = open_file(fs, "/f", others[i]);
		}
		close_file(shared);
		assert_code(mfs_close(other), 0);
		assert_int_equal(used_bytes(fs), 5000);
		assert_file_holds(fs, "/f", bytes, 5000);
		assert_code(mfs_remove(fs, "/f"), 0);
	}
	free(bytes);
	free_workspace(fs);
}

static void everything_comes_back(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = some_bytes(3000000);
	mfs_file *file = NULL;
	uint64_t used = 0;

	/* Remove. */
	make_file(fs, "/f", bytes, 3000000);
	make_file(fs, "/g", bytes, 100);
	used = used_bytes(fs);
	assert_code(mfs_remove(fs, "/g"), 0);
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_int_equal(used_bytes(fs), 0);
	assert_int_equal(usage_of(fs).chunks, 0);
	assert_true(usage_of(fs).peak_bytes >= used);
	/* Emptying, while the file is still open. */
	make_file(fs, "/f", bytes, 3000000);
	file = open_file(fs, "/f", "wb");
	assert_int_equal(used_bytes(fs), 0);
	close_file(file);
	/* Truncating, while the file is still open. */
	make_file(fs, "/f", bytes, 3000000);
	file = open_file(fs, "/f", "r+b");
	assert_code(mfs_truncate(file, 1000000), 0);
	assert_in_range(used_bytes(fs), 1000000, 2000000);
	assert_code(mfs_truncate(file, 1000), 0);
	assert_in_range(used_bytes(fs), 1000, 100000);
	assert_code(mfs_truncate(file, 0), 0);
	assert_int_equal(used_bytes(fs), 0);
	assert_int_equal(usage_of(fs).chunks, 0);
	close_file(file);
	/* Replacing. */
	make_file(fs, "/small", bytes, 100);
	used = used_bytes(fs);
	make_file(fs, "/f", bytes, 3000000);
	assert_code(mfs_rename(fs, "/small", "/f", MFS_RENAME_REPLACE), 0);
	assert_int_equal(used_bytes(fs), used);
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_int_equal(used_bytes(fs), 0);
	free(bytes);
}

static void a_refused_write_changes_nothing(void **state)
{
	enum { QUOTA = 100000 };
	mfs *fs = new_plain_workspace(QUOTA);
	unsigned char *bytes = some_bytes(2 * QUOTA);
	struct iovec vector[2] = {{bytes, 60000}, {bytes, 60000}};
	mfs_file *file = NULL;
	mfs_usage before;
	mfs_usage after;
	mfs_info info;

	(void)state;
	make_file(fs, "/other", bytes, 30000);
	make_file(fs, "/f", bytes, 20000);
	file = open_file(fs, "/f", "r+b");
	info = info_of(fs, "/f");
	before = usage_of(fs);
	assert_code(mfs_seek(file, 15000, SEEK_SET), 15000);
	/* Each would overwrite some bytes first, or fill a gap first, and then not fit. */
	assert_refused(fs, mfs_write(file, bytes, 60000), MFS_EQUOTA);
	assert_refused(fs, mfs_writev(file, vector, 2), MFS_EQUOTA);
	assert_refused(fs, mfs_pwrite(file, bytes, 2 * QUOTA, 0), MFS_EQUOTA);
	assert_refused(fs, mfs_pwrite(file, bytes, 1, QUOTA), MFS_EQUOTA);
	assert_refused(fs, mfs_pwrite(file, bytes, 50001, 20000), MFS_EQUOTA);
	assert_refused(fs, mfs_truncate(file, 70001), MFS_EQUOTA);
	assert_code(mfs_tell(file), 15000);
	after = usage_of(fs);
	assert_int_equal(after.used_bytes, before.used_bytes);
	assert_int_equal(after.chunks, before.chunks);
	assert_int_equal(info_of(fs, "/f").generation, info.generation);
	assert_int_equal(info_of(fs, "/f").modified_at, info.modified_at);
	assert_handle_holds(file, bytes, 20000);
	/* What fits is let in, to the byte. */
	assert_code(mfs_pwrite(file, bytes + 20000, 50000, 20000), 50000);
	assert_int_equal(used_bytes(fs), QUOTA);
	assert_handle_holds(file, bytes, 70000);
	close_file(file);
	assert_file_holds(fs, "/other", bytes, 30000);
	free(bytes);
	free_workspace(fs);
}

static void a_write_that_fits_is_not_refused_for_growth_ahead(void **state)
{
	enum { FILES = 20, QUOTA = 500000 };
	mfs *fs = new_plain_workspace(QUOTA);
	unsigned char *bytes = some_bytes(2000);
	mfs_file *files[FILES];
	uint64_t written[FILES] = {0};
	struct rng rng = {13};
	int refused = 0;
	uint64_t total = 0;

	(void)state;
	for (size_t i = 0; i < FILES; i++) {
		char path[16];

		snprintf(path, sizeof(path), "/f%zu", i);
		files[i] = open_file(fs, path, "wb");
	}
	while (refused < 300) {
		size_t i = rng_below(&rng, FILES);
		size_t size = 1 + rng_below(&rng, refused < 100 ? 2000 : 20);
		int64_t result = mfs_write(files[i], bytes, size);

		if (result < 0) {
			assert_code(result, MFS_EQUOTA);
			assert_true(usage_of(fs).free_bytes < size);
			refused++;
		} else {
			assert_code(result, size);
			written[i] += size;
			total += size;
		}
		assert_true(used_bytes(fs) >= total && used_bytes(fs) <= QUOTA);
	}
	for (size_t i = 0; i < FILES; i++) {
		char path[16];

		snprintf(path, sizeof(path), "/f%zu", i);
		close_file(files[i]);
		assert_code(mfs_get_size(fs, path), written[i]);
	}
	assert_in_range(used_bytes(fs), total, total + total / 8);
	free(bytes);
	free_workspace(fs);
}

static void many_closed_files_take_the_quota_to_the_last_byte(void **state)
{
	enum { QUOTA = 1000000 };
	mfs *fs = new_plain_workspace(QUOTA);
	unsigned char *bytes = some_bytes(4096);
	struct rng rng = {17};
	size_t left = QUOTA;
	uint64_t files = 0;
	mfs_file *file = NULL;

	(void)state;
	while (left > 0) {
		size_t size = 1 + rng_below(&rng, 4096);
		char path[16];

		size = size < left ? size : left;
		snprintf(path, sizeof(path), "/f%llu", (unsigned long long)files);
		make_file(fs, path, bytes, size);
		left -= size;
		files++;
		assert_int_equal(used_bytes(fs), QUOTA - left);
	}
	/* Empty files cost nothing. */
	file = open_file(fs, "/last", "wb");
	assert_refused(fs, mfs_write(file, "x", 1), MFS_EQUOTA);
	close_file(file);
	assert_int_equal(usage_of(fs).files, files + 1);
	free(bytes);
	free_workspace(fs);
}

static void the_message_of_a_refusal_names_the_numbers(void **state)
{
	mfs *fs = new_plain_workspace(10007);
	unsigned char *bytes = some_bytes(12345);
	mfs_file *file = open_file(fs, "/f", "wb");

	(void)state;
	assert_refused(fs, mfs_write(file, bytes, 12345), MFS_EQUOTA);
	assert_non_null(strstr(mfs_last_error(), "12345"));
	assert_non_null(strstr(mfs_last_error(), "10007"));
	close_file(file);
	free(bytes);
	free_workspace(fs);
}

static void the_limit_of_the_workspace_is_the_one_that_was_asked_for(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	mfs_usage usage;
	mfs *fs = NULL;

	(void)state;
	options.max_quota = 12345;
	fs = new_workspace(&options);
	usage = usage_of(fs);
	assert_int_equal(usage.quota_bytes, 12345);
	assert_int_equal(usage.used_bytes, 0);
	assert_int_equal(usage.free_bytes, 12345);
	assert_int_equal(usage.peak_bytes, 0);
	free_workspace(fs);
	options.max_quota = INT64_MAX;
	fs = new_workspace(&options);
	assert_int_equal(usage_of(fs).quota_bytes, INT64_MAX);
	make_text(fs, "/f", "content");
	assert_text(fs, "/f", "content");
	free_workspace(fs);
}

/*
 * Many threads at the limit
 */

enum { FILLERS = 4 };

struct race {
	mfs *fs;
	pthread_barrier_t start;
	atomic_int running;
};

struct filler {
	struct race *race;
	int number;
	int64_t accepted;
	int failures;
	pthread_t thread;
};

/** Appends bytes to a file of its own until the quota refuses one. */
static void *fill(void *argument)
{
	struct filler *filler = argument;
	mfs_file *file = NULL;
	char path[16];
	int64_t result = 0;

	snprintf(path, sizeof(path), "/f%d", filler->number);
	if (mfs_open(filler->race->fs, path, "wb", &file) != 0) {
		filler->failures++;
	}
	pthread_barrier_wait(&filler->race->start);
	while ((result = mfs_write(file, "x", 1)) == 1) {
		filler->accepted++;
	}
	filler->failures += result != MFS_EQUOTA;
	/* Nobody closes, and so gives back, before all are refused. */
	pthread_barrier_wait(&filler->race->start);
	filler->failures += mfs_close(file) != 0;
	atomic_fetch_sub(&filler->race->running, 1);
	return NULL;
}

/** Writes, cuts and removes, as much as it can get. */
static void *churn(void *argument)
{
	struct filler *filler = argument;
	mfs *fs = filler->race->fs;
	struct rng rng = {(uint64_t)filler->number + 1};
	unsigned char bytes[5000] = {0};
	char path[16];

	snprintf(path, sizeof(path), "/f%d", filler->number);
	pthread_barrier_wait(&filler->race->start);
	for (int round = 0; round < 300; round++) {
		mfs_file *file = NULL;
		int64_t size = 0;

		if (mfs_open(fs, path, "wb", &file) != 0) {
			filler->failures++;
			break;
		}
		for (int i = 0; i < 10; i++) {
			size_t part = rng_below(&rng, sizeof(bytes)) + 1;
			int64_t result = mfs_write(file, bytes, part);

			if (result == (int64_t)part) {
				size += result;
			} else {
				filler->failures += result != MFS_EQUOTA;
			}
		}
		if (round % 3 == 0) {
			size /= 2;
			filler->failures += mfs_truncate(file, size) != 0;
		}
		filler->failures += mfs_close(file) != 0;
		filler->failures += mfs_get_size(fs, path) != size;
		if (round % 2 == 0) {
			filler->failures += mfs_remove(fs, path) != 0;
		}
	}
	if (mfs_exists(fs, path)) {
		filler->failures += mfs_remove(fs, path) != 0;
	}
	atomic_fetch_sub(&filler->race->running, 1);
	return NULL;
}

/** Runs fillers and meanwhile watches that the quota holds. Returns the bytes accepted. */
static int64_t run_race(mfs *fs, void *(*run)(void *))
{
	struct race race = {.fs = fs};
	struct filler fillers[FILLERS];
	mfs_usage usage = {.used_bytes = 0};
	int64_t accepted = 0;
	uint64_t samples = 0;
	uint64_t most = 0;

	memset(fillers, 0, sizeof(fillers));
	assert_int_equal(pthread_barrier_init(&race.start, NULL, FILLERS), 0);
	atomic_store(&race.running, FILLERS);
	for (int i = 0; i < FILLERS; i++) {
		fillers[i].race = &race;
		fillers[i].number = i;
		fillers[i].thread = start_thread(run, &fillers[i]);
	}
	do {
		assert_code(mfs_stats(fs, &usage), 0);
		most = usage.used_bytes > most ? usage.used_bytes : most;
		most = usage.peak_bytes > most ? usage.peak_bytes : most;
		samples++;
	} while (atomic_load(&race.running) > 0);
	for (int i = 0; i < FILLERS; i++) {
		join_thread(fillers[i].thread);
		assert_int_equal(fillers[i].failures, 0);
		accepted += fillers[i].accepted;
	}
	pthread_barrier_destroy(&race.start);
	assert_int_not_equal(samples, 0);
	assert_true(most <= usage.quota_bytes);
	return accepted;
}

static void racing_threads_fill_the_quota_to_the_last_byte(void **state)
{
	enum { QUOTA = 100003 };
	mfs *fs = new_plain_workspace(QUOTA);
	int64_t sizes = 0;

	(void)state;
	assert_code(run_race(fs, fill), QUOTA);
	for (int i = 0; i < FILLERS; i++) {
		char path[16];

		snprintf(path, sizeof(path), "/f%d", i);
		sizes += mfs_get_size(fs, path);
	}
	assert_int_equal(sizes, QUOTA);
	assert_int_equal(usage_of(fs).peak_bytes, QUOTA);
	free_workspace(fs);
}

static void racing_threads_give_everything_back(void **state)
{
	enum { QUOTA = 60000 };
	mfs *fs = new_plain_workspace(QUOTA);
	mfs_file *file = NULL;

	(void)state;
	run_race(fs, churn);
	assert_int_equal(used_bytes(fs), 0);
	assert_int_equal(usage_of(fs).chunks, 0);
	/* And the whole can be had again. */
	file = open_file(fs, "/whole", "wb");
	assert_code(mfs_truncate(file, QUOTA), 0);
	close_file(file);
	free_workspace(fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_file_takes_the_quota_to_the_last_byte),
		cmocka_unit_test(truncate_and_a_gap_take_the_quota_to_the_last_byte),
		cmocka_unit_test(a_small_file_is_charged_its_size_once_closed),
		WORKSPACE_TEST(a_file_is_charged_little_more_than_its_size),
		cmocka_unit_test(each_chunk_is_charged_the_overhead),
		WORKSPACE_TEST(a_million_appends_of_a_byte_cost_less_than_twice_the_bytes),
		cmocka_unit_test(closing_gives_back_what_was_taken_ahead),
		cmocka_unit_test(closing_a_shared_handle_gives_back_what_was_taken_ahead),
		WORKSPACE_TEST(everything_comes_back),
		cmocka_unit_test(a_refused_write_changes_nothing),
		cmocka_unit_test(a_write_that_fits_is_not_refused_for_growth_ahead),
		cmocka_unit_test(many_closed_files_take_the_quota_to_the_last_byte),
		cmocka_unit_test(the_message_of_a_refusal_names_the_numbers),
		cmocka_unit_test(the_limit_of_the_workspace_is_the_one_that_was_asked_for),
		cmocka_unit_test(racing_threads_fill_the_quota_to_the_last_byte),
		cmocka_unit_test(racing_threads_give_everything_back),
	};

	return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
