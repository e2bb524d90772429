/* SPDX-License-Identifier: MIT */
/*
 * Do export_buffer and the export iterator give each file's bytes, as of one instant, and what do
 * they refuse?
 */
#include "support.h"

#include <errno.h>

/*
 * mfs_export_buffer()
 */

static void a_buffer_holds_the_file(void **state)
{
	mfs *fs = *state;
	const size_t sizes[] = {0, 1, 15, 4096, 4097, 100000, 3 * MIB + 17};
	struct rng rng = {1};

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		unsigned char *bytes = allocate(sizes[i]);
		void *buffer = NULL;

		rng_fill(&rng, bytes, sizes[i]);
		make_file(fs, "/f", bytes, sizes[i]);
		assert_code(mfs_export_buffer(fs, "/f", 0, &buffer), sizes[i]);
		assert_non_null(buffer);
		assert_int_equal((uintptr_t)buffer % 16, 0);
		assert_memory_equal(buffer, bytes, sizes[i]);
		mfs_buffer_free(buffer);
		assert_code(mfs_export_buffer(fs, "/f", sizes[i] ? sizes[i] : 1, &buffer), sizes[i]);
		mfs_buffer_free(buffer);
		free(bytes);
	}
	mfs_buffer_free(NULL);
}

static void a_buffer_is_refused(void **state)
{
	mfs *fs = *state;
	void *buffer = &buffer;

	make_text(fs, "/f", "12345");
	make_dir(fs, "/d");
	assert_refused(fs, mfs_export_buffer(fs, "/f", 4, &buffer), MFS_EFBIG);
	assert_null(buffer);
	assert_non_null(strstr(mfs_last_error(), "export_buffer of /f"));
	assert_refused(fs, mfs_export_buffer(fs, "/none", 0, &buffer), MFS_ENOENT);
	assert_refused(fs, mfs_export_buffer(fs, "/d", 0, &buffer), MFS_EISDIR);
	assert_refused(fs, mfs_export_buffer(fs, "/f/g", 0, &buffer), MFS_ENOTDIR);
	assert_refused(fs, mfs_export_buffer(fs, "/..", 0, &buffer), MFS_EINVAL);
	assert_refused(fs, mfs_export_buffer(NULL, "/f", 0, &buffer), MFS_EINVAL);
	assert_refused(fs, mfs_export_buffer(fs, NULL, 0, &buffer), MFS_EINVAL);
	assert_refused(fs, mfs_export_buffer(fs, "/f", 0, NULL), MFS_EINVAL);
	assert_int_equal(usage_of(fs).open_handles, 0);
}

static mfs *impatient_workspace(int64_t timeout)
{
	mfs_options options = {.struct_size = sizeof(options)};

	options.default_lock_timeout = timeout;
	return new_workspace(&options);
}

static void a_buffer_waits_as_the_default_says(void **state)
{
	const int64_t timeouts[] = {MFS_NO_WAIT, 1};
	const int codes[] = {MFS_EBUSY, MFS_ETIMEDOUT};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
		mfs *fs = impatient_workspace(timeouts[i]);
		mfs_file *writer = open_file(fs, "/f", "wb");
		void *buffer = NULL;

		assert_refused(fs, mfs_export_buffer(fs, "/f", 0, &buffer), codes[i]);
		close_file(writer);
		assert_code(mfs_export_buffer(fs, "/f", 0, &buffer), 0);
		mfs_buffer_free(buffer);
		free_workspace(fs);
	}
}

/*
 * The iterator
 */

/** The iterator's next file has this path and content. */
static void assert_next(mfs_export *export, const char *path, const char *text)
{
	mfs_export_item item = {0};

	assert_code(mfs_export_next(export, &item), 1);
	assert_string_equal(item.path, path);
	assert_non_null(item.data);
	assert_int_equal(item.size, strlen(text));
	assert_memory_equal(item.data, text, item.size);
}

static void assert_end(mfs_export *export)
{
	mfs_export_item item = {0};

	assert_code(mfs_export_next(export, &item), 0);
	assert_code(mfs_export_next(export, &item), 0);
	assert_code(mfs_export_close(export), 0);
}

static mfs_export *open_export(mfs *fs, const char *path, unsigned flags)
{
	mfs_export *export = NULL;

	assert_code(mfs_export_open(fs, path, flags, &export), 0);
	assert_non_null(export);
	return export;
}

static void make_tree(mfs *fs)
{
	make_dir(fs, "/a/b");
	make_dir(fs, "/empty");
	make_text(fs, "/z", "last of the root");
	make_text(fs, "/a/2", "two");
	make_text(fs, "/a/1", "one");
	make_text(fs, "/a/b/3", "");
	make_text(fs, "/y", "y");
}

static void files_come_in_the_order_of_a_walk(void **state)
{
	mfs *fs = *state;

	make_tree(fs);
	mfs_export *export = open_export(fs, "/", 0);
	assert_next(export, "/y", "y");
	assert_next(export, "/z", "last of the root");
	assert_next(export, "/a/1", "one");
	assert_next(export, "/a/2", "two");
	assert_next(export, "/a/b/3", "");
	assert_end(export);
	export = open_export(fs, "a//./x/../b/..", 0);
	assert_next(export, "/a/1", "one");
	assert_next(export, "/a/2", "two");
	assert_next(export, "/a/b/3", "");
	assert_end(export);
	assert_end(open_export(fs, "/empty", 0));
}

static void a_single_file_can_be_exported(void **state)
{
	mfs *fs = *state;

	make_tree(fs);
	mfs_export *export = open_export(fs, "x/..\\a//./1/", 0);
	assert_int_equal(usage_of(fs).open_handles, 1);
	assert_code(mfs_free(fs), MFS_EBUSY);
	assert_next(export, "/a/1", "one");
	assert_end(export);
	assert_int_equal(usage_of(fs).open_handles, 0);
	export = open_export(fs, "/a/1", 0);
	assert_code(mfs_remove(fs, "/a/1"), 0);
	assert_end(export);
}

static void an_item_has_the_figures_of_its_instant(void **state)
{
	mfs *fs = *state;
	mfs_export_item item;

	make_text(fs, "/f", "1");
	make_text(fs, "/f", "22");
	mfs_info info = info_of(fs, "/f");
	mfs_export *export = open_export(fs, "/", 0);
	assert_code(mfs_export_next(export, &item), 1);
	assert_int_equal(item.generation, info.generation);
	assert_int_equal(item.modified_at, info.modified_at);
	assert_end(export);
}

static void only_dirty_files_have_been_written_to(void **state)
{
	mfs *fs = *state;
	const mfs_import_item items[] = {
		{.path = "/clean", .data = "c", .size = 1},
		{.path = "/d/clean", .data = "c", .size = 1},
		{.path = "/d/touched", .data = "t", .size = 1},
		{.path = "/held", .data = "h", .size = 1},
	};

	assert_code(mfs_import_tree(fs, items, COUNT_OF(items)), 0);
	assert_end(open_export(fs, "/", MFS_ONLY_DIRTY));
	assert_end(open_export(fs, "/clean", MFS_ONLY_DIRTY));
	make_text(fs, "/d/touched", "again");
	make_text(fs, "/new", "n");
	/* A clean file is passed without waiting for its lock. */
	mfs_file *held = open_file(fs, "/held", "r+b");
	mfs_export *export = open_export(fs, "/", MFS_ONLY_DIRTY);
	assert_next(export, "/new", "n");
	assert_next(export, "/d/touched", "again");
	assert_end(export);
	close_file(held);
}

static void what_is_removed_meanwhile_is_left_out(void **state)
{
	mfs *fs = *state;

	make_tree(fs);
	mfs_export *export = open_export(fs, "/", 0);
	assert_next(export, "/y", "y");
	assert_code(mfs_remove(fs, "/z"), 0);
	assert_next(export, "/a/1", "one");
	assert_code(mfs_remove(fs, "/a/2"), 0);
	make_dir(fs, "/a/2");
	assert_next(export, "/a/b/3", "");
	assert_end(export);
}

static void a_held_file_is_named_and_passed(void **state)
{
	mfs *fs = impatient_workspace(MFS_NO_WAIT);
	mfs_export_item item;

	(void)state;
	make_tree(fs);
	mfs_file *writer = open_file(fs, "/a/1", "r+b");
	mfs_export *export = open_export(fs, "/a", 0);
	assert_refused(fs, mfs_export_next(export, &item), MFS_EBUSY);
	assert_non_null(strstr(mfs_last_error(), "export_next of /a/1"));
	assert_next(export, "/a/2", "two");
	assert_next(export, "/a/b/3", "");
	assert_end(export);
	close_file(writer);
	free_workspace(fs);
}

static void an_export_is_refused(void **state)
{
	mfs *fs = *state;
	mfs_export *export = (mfs_export *)&export;
	mfs_export_item item;

	make_tree(fs);
	assert_refused(fs, mfs_export_open(fs, "/none", 0, &export), MFS_ENOENT);
	assert_null(export);
	assert_refused(fs, mfs_export_open(fs, "/y/x", 0, &export), MFS_ENOTDIR);
	assert_refused(fs, mfs_export_open(fs, "/..", 0, &export), MFS_EINVAL);
	assert_refused(fs, mfs_export_open(fs, "/", 2, &export), MFS_EINVAL);
	assert_refused(fs, mfs_export_open(NULL, "/", 0, &export), MFS_EINVAL);
	assert_refused(fs, mfs_export_open(fs, NULL, 0, &export), MFS_EINVAL);
	assert_refused(fs, mfs_export_open(fs, "/", 0, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_export_next(NULL, &item), MFS_EINVAL);
	export = open_export(fs, "/", 0);
	assert_refused(fs, mfs_export_next(export, NULL), MFS_EINVAL);
	assert_code(mfs_export_close(export), 0);
	assert_code(mfs_export_close(NULL), 0);
}

/*
 * One instant
 */

struct writer {
	mfs *fs;
	_Atomic bool stop;
	bool failed;
};

/** Fills the file with one letter, then with the next one, in several writes. */
static void *write_letters(void *argument)
{
	struct writer *writer = argument;
	char letters[10000];

	for (unsigned round = 0; !atomic_load(&writer->stop); round++) {
		mfs_file *file = NULL;

		memset(letters, 'a' + (int)(round % 26), sizeof(letters));
		if (mfs_open(writer->fs, "/f", "wb", &file) != 0) {
			writer->failed = true;
			break;
		}
		for (size_t done = 0; done < sizeof(letters); done += 1000) {
			writer->failed = writer->failed || mfs_write(file, letters + done, 1000) != 1000;
		}
		writer->failed = writer->failed || mfs_close(file) != 0;
	}
	return NULL;
}

static void assert_letters(const char *bytes, size_t size)
{
	assert_true(size == 0 || size == 10000);
	for (size_t i = 0; i < size; i++) {
		assert_int_equal(bytes[i], bytes[0]);
	}
}

static void no_export_sees_half_a_write(void **state)
{
	mfs *fs = *state;
	struct writer writer = {.fs = fs};

	make_text(fs, "/f", "");
	pthread_t thread = start_thread(write_letters, &writer);
	for (int i = 0; i < 300; i++) {
		mfs_export_item item;
		void *buffer = NULL;
		int64_t size = mfs_export_buffer(fs, "/f", 0, &buffer);

		assert_true(size >= 0);
		assert_letters(buffer, (size_t)size);
		mfs_buffer_free(buffer);
		mfs_export *export = open_export(fs, "/", 0);
		assert_code(mfs_export_next(export, &item), 1);
		assert_letters(item.data, item.size);
		assert_end(export);
	}
	atomic_store(&writer.stop, true);
	join_thread(thread);
	assert_false(writer.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(a_buffer_holds_the_file),
		WORKSPACE_TEST(a_buffer_is_refused),
		cmocka_unit_test(a_buffer_waits_as_the_default_says),
		WORKSPACE_TEST(files_come_in_the_order_of_a_walk),
		WORKSPACE_TEST(a_single_file_can_be_exported),
		WORKSPACE_TEST(an_item_has_the_figures_of_its_instant),
		WORKSPACE_TEST(only_dirty_files_have_been_written_to),
		WORKSPACE_TEST(what_is_removed_meanwhile_is_left_out),
		cmocka_unit_test(a_held_file_is_named_and_passed),
		WORKSPACE_TEST(an_export_is_refused),
		WORKSPACE_TEST(no_export_sees_half_a_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
