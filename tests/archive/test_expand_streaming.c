/* SPDX-License-Identifier: MIT */
/*
 * Does each file of an archive appear, whole, as soon as it has been read, and does a call that
 * fails leave exactly those?
 */
#include "expanding.h"

static int64_t expand(mfs *fs, const char *to, const struct bytes *bytes,
					  const mfs_archive_options *options)
{
	return expand_bytes(mfs_expand_archive_streaming, fs, to, bytes, options);
}

/*
 * As soon as it has been read
 */

static void it_comes_as_it_is(void **state)
{
	mfs *fs = *state;
	struct bytes tar = small_tar();
	mfs_archive_progress result;
	mfs_archive_options options = {.struct_size = sizeof(options), .result = &result};

	assert_code(expand(fs, "/new/place", &tar, &options), 2);
	assert_small_tar(fs, "/new/place");
	assert_int_equal(info_of(fs, "/new/place/b").generation, 0);
	assert_int_equal(result.entries, 3);
	assert_int_equal(result.files, 2);
	assert_int_equal(result.directories, 1);
	assert_int_equal(result.bytes, 5);
	bytes_free(&tar);
}

/* What is there when an entry is reported: all before it, and nothing of it. */
struct witness {
	mfs *fs;
	unsigned reports;
	unsigned wrong;
	unsigned stop_at;
};

static bool witness_report(void *user, const mfs_archive_progress *progress)
{
	struct witness *witness = user;
	static const char *const paths[] = {"/to/dir", "/to/dir/a", "/to/b"};

	for (unsigned i = 0; i < COUNT_OF(paths); i++) {
		witness->wrong += mfs_exists(witness->fs, paths[i]) != (i < witness->reports);
	}
	witness->reports++;
	witness->wrong += (progress->path == NULL) != (witness->reports == 4);
	return witness->reports != witness->stop_at;
}

static void each_file_is_there_before_the_next_entry(void **state)
{
	mfs *fs = *state;
	struct bytes tar = small_tar();
	struct witness witness = {.fs = fs};
	mfs_archive_options options = {
		.struct_size = sizeof(options), .on_progress = witness_report, .user = &witness};

	assert_code(expand(fs, "/to", &tar, &options), 2);
	assert_int_equal(witness.reports, 4);
	assert_int_equal(witness.wrong, 0);
	bytes_free(&tar);
}

static void a_call_that_is_canceled_leaves_what_has_come(void **state)
{
	struct bytes tar = small_tar();

	(void)state;
	for (unsigned stop_at = 1; stop_at <= 4; stop_at++) {
		mfs *fs = new_workspace(NULL);
		struct witness witness = {.fs = fs, .stop_at = stop_at};
		mfs_archive_progress result;
		mfs_archive_options options = {.struct_size = sizeof(options),
									   .on_progress = witness_report,
									   .user = &witness,
									   .result = &result};

		assert_refused(fs, expand(fs, "/to", &tar, &options), MFS_ECANCELED);
		assert_int_equal(witness.wrong, 0);
		assert_int_equal(result.files, stop_at <= 2 ? 0 : stop_at - 2);
		assert_int_equal(usage_of(fs).files, result.files);
		free_workspace(fs);
	}
	bytes_free(&tar);
}

/* Writes an entry to a pipe, and the rest when it is in the workspace. */
struct careful_writer {
	mfs *fs;
	int fd;
	const struct bytes *first;
	const struct bytes *rest;
	bool has_seen;
	bool has_written;
};

/* Writes a part. A thread other than the main one may not assert. */
static bool write_part(const struct careful_writer *writer, const struct bytes *part)
{
	return write(writer->fd, part->data, part->size) == (ssize_t)part->size;
}

static void *write_carefully(void *argument)
{
	struct careful_writer *writer = argument;
	time_t deadline = time(NULL) + 20;

	writer->has_written = write_part(writer, writer->first);
	while (writer->has_written && !writer->has_seen && time(NULL) < deadline) {
		writer->has_seen = mfs_is_file(writer->fs, "/first");
		sched_yield();
	}
	writer->has_written &= write_part(writer, writer->rest);
	(void)close(writer->fd);
	return NULL;
}

static void a_file_from_a_pipe_does_not_wait_for_what_comes_later(void **state)
{
	mfs *fs = *state;
	struct bytes first = {0};
	struct bytes rest = {0};
	int fds[2];

	tar_file(&first, "first", "1");
	tar_file(&rest, "second", "2");
	tar_end(&rest);
	assert_int_equal(pipe(fds), 0);
	struct careful_writer writer = {.fs = fs, .fd = fds[1], .first = &first, .rest = &rest};
	pthread_t thread = start_thread(write_carefully, &writer);
	mfs_archive_source source = mfs_archive_from_fd(fds[0]);

	assert_code(mfs_expand_archive_streaming(fs, "/", &source, NULL), 2);
	join_thread(thread);
	assert_true(writer.has_written);
	assert_true(writer.has_seen);
	assert_text(fs, "/first", "1");
	assert_text(fs, "/second", "2");
	assert_int_equal(close(fds[0]), 0);
	bytes_free(&first);
	bytes_free(&rest);
}

/* Takes files away as they come, so that the next ones have room. */
struct consumer {
	mfs *fs;
	unsigned files;
	size_t size;
	int code;       /* the first that was not expected */
	unsigned wrong; /* files that were not whole when they appeared */
};

static void *consume(void *argument)
{
	struct consumer *consumer = argument;

	for (unsigned i = 0; i < consumer->files && consumer->code == 0;) {
		char path[32];

		snprintf(path, sizeof(path), "/to/%u", i);
		int64_t size = mfs_get_size(consumer->fs, path);

		if (size == MFS_ENOENT) {
			sched_yield();
			continue;
		}
		consumer->wrong += size != (int64_t)consumer->size;
		consumer->code = mfs_remove(consumer->fs, path);
		i++;
	}
	return NULL;
}

static void an_archive_larger_than_the_quota_flows_through(void **state)
{
	mfs_options options = {
		.struct_size = sizeof(options), .max_quota = 2 * MIB, .space_timeout = MFS_WAIT_FOREVER};
	mfs *fs = new_workspace(&options);
	struct bytes tar = {0};
	struct bytes block = {0};
	struct consumer consumer = {.fs = fs, .files = 20, .size = 500 * KIB};

	(void)state;
	bytes_extend(&block, consumer.size);
	for (unsigned i = 0; i < consumer.files; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		tar_entry(&tar, name, TAR_FILE, block.data, block.size);
	}
	tar_end(&tar);
	pthread_t thread = start_thread(consume, &consumer);

	assert_code(expand(fs, "/to", &tar, NULL), consumer.files);
	join_thread(thread);
	assert_code(consumer.code, 0);
	assert_int_equal(consumer.wrong, 0);
	assert_int_equal(usage_of(fs).files, 0);
	bytes_free(&block);
	bytes_free(&tar);
	free_workspace(fs);
}

/*
 * Failures
 */

static void a_file_that_does_not_fit_leaves_those_before_it(void **state)
{
	mfs *fs = new_plain_workspace(MIB);
	struct bytes tar = small_tar();
	struct bytes large = large_tar(MIB + 1);
	mfs_archive_progress result;
	mfs_archive_options options = {.struct_size = sizeof(options), .result = &result};

	(void)state;
	tar.size -= 1024;
	bytes_append(&tar, large.data, large.size);
	assert_refused(fs, expand(fs, "/to", &tar, &options), MFS_EQUOTA);
	assert_int_equal(result.files, 2);
	assert_small_tar(fs, "/to");
	assert_int_equal(usage_of(fs).files, 2);
	assert_false(mfs_exists(fs, "/to/large"));
	bytes_free(&large);
	bytes_free(&tar);
	free_workspace(fs);
}

static void an_archive_that_is_cut_short_leaves_no_part_of_a_file(void **state)
{
	mfs *fs = *state;
	struct bytes tar = small_tar();
	struct bytes large = large_tar(3 * MIB);

	tar.size -= 1024;
	bytes_append(&tar, large.data, large.size);
	tar.size -= 2 * MIB;
	assert_refused(fs, expand(fs, "/to", &tar, NULL), MFS_EFORMAT);
	assert_small_tar(fs, "/to");
	assert_int_equal(usage_of(fs).files, 2);
	assert_true(usage_of(fs).used_bytes < 64 * KIB);
	bytes_free(&large);
	bytes_free(&tar);
}

/*
 * Conflicts
 */

static int64_t expand_onto(mfs *fs, const struct bytes *tar, int on_conflict,
						   mfs_archive_progress *result)
{
	mfs_archive_options options = {
		.struct_size = sizeof(options), .on_conflict = on_conflict, .result = result};

	return expand(fs, "/to", tar, &options);
}

/* A tar with "before", an entry and "after". */
static struct bytes tar_around(const char *path, char type, const char *text)
{
	struct bytes tar = {0};

	tar_file(&tar, "before", "before");
	tar_entry(&tar, path, type, text, strlen(text));
	tar_file(&tar, "after", "after");
	tar_end(&tar);
	return tar;
}

static void a_file_that_is_there_is_a_conflict(void **state)
{
	mfs *fs = *state;
	struct bytes tar = tar_around("old", TAR_FILE, "from the archive");
	mfs_archive_progress result;

	make_dir(fs, "/to");
	make_text(fs, "/to/old", "old");
	assert_refused(fs, expand_onto(fs, &tar, MFS_ARCHIVE_ERROR, &result), MFS_EEXIST);
	assert_non_null(strstr(mfs_last_error(), "old"));
	assert_int_equal(result.files, 1);
	assert_text(fs, "/to/old", "old");
	assert_text(fs, "/to/before", "before");
	assert_false(mfs_exists(fs, "/to/after"));

	assert_code(expand_onto(fs, &tar, MFS_ARCHIVE_SKIP, &result), 1);
	assert_int_equal(result.conflicts, 2);
	assert_text(fs, "/to/old", "old");
	assert_text(fs, "/to/after", "after");

	assert_code(expand_onto(fs, &tar, MFS_ARCHIVE_OVERWRITE, &result), 3);
	assert_int_equal(result.conflicts, 0);
	assert_text(fs, "/to/old", "from the archive");
	bytes_free(&tar);
}

static void a_file_that_is_there_needs_no_room_to_be_skipped(void **state)
{
	mfs *fs = new_plain_workspace(MIB);
	struct bytes tar = large_tar(2 * MIB);
	mfs_archive_progress result;

	(void)state;
	make_dir(fs, "/to");
	make_text(fs, "/to/large", "small");
	assert_code(expand_onto(fs, &tar, MFS_ARCHIVE_SKIP, &result), 0);
	assert_int_equal(result.conflicts, 1);
	assert_text(fs, "/to/large", "small");
	bytes_free(&tar);
	free_workspace(fs);
}

static void a_file_where_a_directory_is_is_a_conflict(void **state)
{
	mfs *fs = *state;
	struct bytes tar = tar_around("place", TAR_FILE, "file");
	mfs_archive_progress result;

	assert_code(mfs_mkdir(fs, "/to/place", 0), 0);
	make_text(fs, "/to/place/in", "in");
	assert_refused(fs, expand_onto(fs, &tar, MFS_ARCHIVE_ERROR, NULL), MFS_EISDIR);
	assert_code(mfs_remove(fs, "/to/before"), 0);
	assert_refused(fs, expand_onto(fs, &tar, MFS_ARCHIVE_OVERWRITE, NULL), MFS_EISDIR);
	assert_code(mfs_remove(fs, "/to/before"), 0);
	assert_code(expand_onto(fs, &tar, MFS_ARCHIVE_SKIP, &result), 2);
	assert_int_equal(result.conflicts, 1);
	assert_text(fs, "/to/place/in", "in");
	assert_text(fs, "/to/after", "after");
	bytes_free(&tar);
}

static void a_directory_where_a_file_is_is_a_conflict(void **state)
{
	mfs *fs = *state;
	struct bytes tar = tar_around("place/", TAR_DIRECTORY, "");
	struct bytes below = tar_around("place/below/file", TAR_FILE, "file");
	mfs_archive_progress result;

	make_dir(fs, "/to");
	make_text(fs, "/to/place", "a file");
	assert_refused(fs, expand_onto(fs, &tar, MFS_ARCHIVE_OVERWRITE, NULL), MFS_ENOTDIR);
	assert_refused(fs, expand_onto(fs, &below, MFS_ARCHIVE_OVERWRITE, NULL), MFS_ENOTDIR);
	assert_code(mfs_remove(fs, "/to/before"), 0);
	assert_refused(fs, expand_onto(fs, &tar, MFS_ARCHIVE_ERROR, NULL), MFS_ENOTDIR);
	assert_code(mfs_remove(fs, "/to/before"), 0);
	assert_refused(fs, expand_onto(fs, &below, MFS_ARCHIVE_ERROR, NULL), MFS_ENOTDIR);
	assert_code(mfs_remove(fs, "/to/before"), 0);

	support__mark_last_error(fs);
	assert_code(expand_onto(fs, &tar, MFS_ARCHIVE_SKIP, &result), 2);
	assert_int_equal(result.conflicts, 0);
	assert_code(expand_onto(fs, &below, MFS_ARCHIVE_SKIP, &result), 0);
	assert_int_equal(result.conflicts, 3);
	assert_non_null(strstr(mfs_last_error(), "/the marker"));
	assert_text(fs, "/to/place", "a file");
	bytes_free(&below);
	bytes_free(&tar);
}

static void a_file_is_no_place_to_expand_to(void **state)
{
	mfs *fs = *state;
	struct bytes tar = small_tar();

	make_text(fs, "/file", "file");
	for (int on_conflict = MFS_ARCHIVE_ERROR; on_conflict <= MFS_ARCHIVE_OVERWRITE; on_conflict++) {
		mfs_archive_options options = {.struct_size = sizeof(options), .on_conflict = on_conflict};

		assert_refused(fs, expand(fs, "/file", &tar, &options), MFS_ENOTDIR);
		assert_refused(fs, expand(fs, "/file/below", &tar, &options), MFS_ENOTDIR);
		assert_text(fs, "/file", "file");
	}
	bytes_free(&tar);
}

static void a_file_that_a_handle_holds_is_not_replaced(void **state)
{
	mfs *fs = *state;
	struct bytes tar = tar_around("old", TAR_FILE, "from the archive");

	make_dir(fs, "/to");
	make_text(fs, "/to/old", "old");
	mfs_file *reader = open_file(fs, "/to/old", "rb");

	assert_refused(fs, expand_onto(fs, &tar, MFS_ARCHIVE_OVERWRITE, NULL), MFS_EBUSY);
	assert_handle_holds(reader, "old", 3);
	assert_text(fs, "/to/before", "before");
	assert_false(mfs_exists(fs, "/to/after"));
	close_file(reader);
	bytes_free(&tar);
}

static void a_name_that_comes_again_meets_the_first(void **state)
{
	mfs *fs = *state;
	struct bytes tar = {0};
	mfs_archive_progress result;

	tar_file(&tar, "twice", "first");
	tar_file(&tar, "./twice", "second");
	tar_end(&tar);
	assert_refused(fs, expand_onto(fs, &tar, MFS_ARCHIVE_ERROR, NULL), MFS_EEXIST);
	assert_text(fs, "/to/twice", "first");
	assert_code(expand_onto(fs, &tar, MFS_ARCHIVE_OVERWRITE, NULL), 2);
	assert_text(fs, "/to/twice", "second");
	assert_code(mfs_remove(fs, "/to/twice"), 0);
	assert_code(expand_onto(fs, &tar, MFS_ARCHIVE_SKIP, &result), 1);
	assert_int_equal(result.conflicts, 1);
	assert_text(fs, "/to/twice", "first");
	bytes_free(&tar);
}

/* Readers that keep a file open see it whole, old or new. */
struct reader {
	mfs *fs;
	atomic_bool stopping;
	unsigned wrong;
	unsigned seen;
};

static void *read_again_and_again(void *argument)
{
	struct reader *reader = argument;

	while (!atomic_load(&reader->stopping)) {
		mfs_file *file;
		unsigned char first = 0;
		unsigned char last = 1;

		if (mfs_open(reader->fs, "/to/file", "rb", &file) != 0) {
			continue;
		}
		if (mfs_pread(file, &first, 1, 0) != 1 || mfs_pread(file, &last, 1, 40000 - 1) != 1 ||
			first != last) {
			reader->wrong++;
		}
		reader->seen++;
		(void)mfs_close(file);
	}
	return NULL;
}

static void a_file_that_is_replaced_is_seen_whole(void **state)
{
	mfs *fs = *state;
	struct reader reader = {.fs = fs};
	unsigned char *bytes = allocate(40000);
	unsigned expanded = 0;

	atomic_init(&reader.stopping, false);
	pthread_t thread = start_thread(read_again_and_again, &reader);

	while (expanded < 50) {
		struct bytes tar = {0};

		memset(bytes, 'a' + (int)(expanded % 26), 40000);
		tar_entry(&tar, "file", TAR_FILE, bytes, 40000);
		tar_end(&tar);
		int64_t result = expand_onto(fs, &tar, MFS_ARCHIVE_OVERWRITE, NULL);

		bytes_free(&tar);
		/* The reader may just hold it. */
		assert_either(result, 1, MFS_EBUSY);
		expanded += result == 1;
	}
	atomic_store(&reader.stopping, true);
	join_thread(thread);
	assert_int_equal(reader.wrong, 0);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(it_comes_as_it_is),
		WORKSPACE_TEST(each_file_is_there_before_the_next_entry),
		cmocka_unit_test(a_call_that_is_canceled_leaves_what_has_come),
		WORKSPACE_TEST(a_file_from_a_pipe_does_not_wait_for_what_comes_later),
		cmocka_unit_test(an_archive_larger_than_the_quota_flows_through),
		cmocka_unit_test(a_file_that_does_not_fit_leaves_those_before_it),
		WORKSPACE_TEST(an_archive_that_is_cut_short_leaves_no_part_of_a_file),
		WORKSPACE_TEST(a_file_that_is_there_is_a_conflict),
		cmocka_unit_test(a_file_that_is_there_needs_no_room_to_be_skipped),
		WORKSPACE_TEST(a_file_where_a_directory_is_is_a_conflict),
		WORKSPACE_TEST(a_directory_where_a_file_is_is_a_conflict),
		WORKSPACE_TEST(a_file_is_no_place_to_expand_to),
		WORKSPACE_TEST(a_file_that_a_handle_holds_is_not_replaced),
		WORKSPACE_TEST(a_name_that_comes_again_meets_the_first),
		WORKSPACE_TEST(a_file_that_is_replaced_is_seen_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
