/* SPDX-License-Identifier: MIT */
/*
 * Does every wrong argument give an error code and a message, and change nothing?
 *
 * Paths and modes have tests of their own; here are NULL, flags, options, timeouts, buffers and
 * handles that are closed.
 */
#include "support.h"

/** What a refused call must not change. */
struct picture {
	mfs_usage usage;
	mfs_info info;
};

/** A workspace with a directory and a file to do wrong things to. */
static int setup(void **state)
{
	mfs *fs = NULL;
	mfs_file *file = NULL;
	int code = mfs_new(NULL, &fs);

	code = code == 0 ? mfs_mkdir(fs, "/d", 0) : code;
	code = code == 0 ? mfs_open(fs, "/d/f", "wb", &file) : code;
	if (code == 0) {
		code = mfs_write(file, "content", 7) == 7 ? 0 : -1;
		code = mfs_close(file) == 0 ? code : -1;
	}
	*state = fs;
	return code;
}

#define BAD_INPUT_TEST(function)                                                                   \
	cmocka_unit_test_setup_teardown(function, setup, workspace_teardown)

static struct picture take_picture(mfs *fs)
{
	struct picture picture;

	picture.usage = usage_of(fs);
	picture.info = info_of(fs, "/d/f");
	return picture;
}

static void assert_unchanged(mfs *fs, const struct picture *before)
{
	struct picture now = take_picture(fs);

	assert_int_equal(now.usage.used_bytes, before->usage.used_bytes);
	assert_int_equal(now.usage.files, before->usage.files);
	assert_int_equal(now.usage.directories, before->usage.directories);
	assert_int_equal(now.usage.open_handles, before->usage.open_handles);
	assert_int_equal(now.usage.chunks, before->usage.chunks);
	assert_int_equal(now.info.size, before->info.size);
	assert_int_equal(now.info.generation, before->info.generation);
	assert_int_equal(now.info.modified_at, before->info.modified_at);
}

/*
 * NULL
 */

static void null_is_invalid_where_it_is_not_allowed(void **state)
{
	mfs *fs = *state;
	struct picture before = take_picture(fs);
	mfs_file *file = NULL;
	mfs_usage usage;
	mfs_info info;
	char **names = NULL;

	assert_refused(fs, mfs_new(NULL, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_stats(NULL, &usage), MFS_EINVAL);
	assert_refused(fs, mfs_stats(fs, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_open(NULL, "/d/f", "rb", &file), MFS_EINVAL);
	assert_refused(fs, mfs_open(fs, NULL, "rb", &file), MFS_EINVAL);
	assert_refused(fs, mfs_open(fs, "/d/f", NULL, &file), MFS_EINVAL);
	assert_refused(fs, mfs_open(fs, "/d/f", "wb", NULL), MFS_EINVAL);
	assert_refused(fs, mfs_open(fs, "/new", "wb", NULL), MFS_EINVAL);
	assert_refused(fs, mfs_open_ex(NULL, "/d/f", "rb", NULL, &file), MFS_EINVAL);
	assert_refused(fs, mfs_open_ex(fs, NULL, "rb", NULL, &file), MFS_EINVAL);
	assert_refused(fs, mfs_open_ex(fs, "/d/f", NULL, NULL, &file), MFS_EINVAL);
	assert_refused(fs, mfs_open_ex(fs, "/d/f", "wb", NULL, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_mkdir(NULL, "/new", 0), MFS_EINVAL);
	assert_refused(fs, mfs_mkdir(fs, NULL, 0), MFS_EINVAL);
	assert_refused(fs, mfs_remove(NULL, "/d/f"), MFS_EINVAL);
	assert_refused(fs, mfs_remove(fs, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_rename(NULL, "/d/f", "/g", 0), MFS_EINVAL);
	assert_refused(fs, mfs_rename(fs, NULL, "/g", 0), MFS_EINVAL);
	assert_refused(fs, mfs_rename(fs, "/d/f", NULL, 0), MFS_EINVAL);
	assert_refused(fs, mfs_rename(fs, NULL, NULL, 0), MFS_EINVAL);
	assert_refused(fs, mfs_listdir(NULL, "/", &names), MFS_EINVAL);
	assert_refused(fs, mfs_listdir(fs, NULL, &names), MFS_EINVAL);
	assert_refused(fs, mfs_listdir(fs, "/", NULL), MFS_EINVAL);
	assert_refused(fs, mfs_stat(NULL, "/d/f", &info), MFS_EINVAL);
	assert_refused(fs, mfs_stat(fs, NULL, &info), MFS_EINVAL);
	assert_refused(fs, mfs_stat(fs, "/d/f", NULL), MFS_EINVAL);
	assert_refused(fs, mfs_get_size(NULL, "/d/f"), MFS_EINVAL);
	assert_refused(fs, mfs_get_size(fs, NULL), MFS_EINVAL);
	assert_false(mfs_exists(NULL, "/d/f") || mfs_exists(fs, NULL));
	assert_false(mfs_is_dir(NULL, "/d") || mfs_is_dir(fs, NULL));
	assert_false(mfs_is_file(NULL, "/d/f") || mfs_is_file(fs, NULL));
	assert_unchanged(fs, &before);
	assert_text(fs, "/d/f", "content");
}

static void null_is_nothing_to_free(void **state)
{
	mfs *fs = *state;
	struct picture before = take_picture(fs);

	assert_code(mfs_free(NULL), 0);
	assert_code(mfs_close(NULL), 0);
	assert_code(mfs_import_abort(NULL), 0);
	mfs_names_free(NULL);
	assert_unchanged(fs, &before);
}

/** Every call on this handle but close gives EBADF. */
static void assert_bad_handle(mfs *fs, mfs_file *file)
{
	char buffer[4] = "abc";
	struct iovec vector = {buffer, 3};

	assert_refused(fs, mfs_read(file, buffer, 3), MFS_EBADF);
	assert_refused(fs, mfs_pread(file, buffer, 3, 0), MFS_EBADF);
	assert_refused(fs, mfs_readv(file, &vector, 1), MFS_EBADF);
	assert_refused(fs, mfs_write(file, buffer, 3), MFS_EBADF);
	assert_refused(fs, mfs_pwrite(file, buffer, 3, 0), MFS_EBADF);
	assert_refused(fs, mfs_writev(file, &vector, 1), MFS_EBADF);
	assert_refused(fs, mfs_seek(file, 0, SEEK_SET), MFS_EBADF);
	assert_refused(fs, mfs_seek(file, 0, SEEK_END), MFS_EBADF);
	assert_refused(fs, mfs_tell(file), MFS_EBADF);
	assert_refused(fs, mfs_truncate(file, 0), MFS_EBADF);
	assert_refused(fs, mfs_flush(file), MFS_EBADF);
	assert_refused(fs, mfs_readable(file), MFS_EBADF);
	assert_refused(fs, mfs_writable(file), MFS_EBADF);
	assert_refused(fs, mfs_seekable(file), MFS_EBADF);
	assert_refused(fs, mfs_may_wait(file), MFS_EBADF);
	assert_memory_equal(buffer, "abc", 4);
}

static void a_null_handle_is_bad(void **state)
{
	assert_bad_handle(*state, NULL);
}

/*
 * Closed handles
 */

static void a_closed_handle_is_bad(void **state)
{
	static const char *const modes[] = {"rb", "wb", "ab", "r+b", "w+b", "a+b"};
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		for (unsigned flags = 0; flags <= MFS_O_SHARED; flags += MFS_O_SHARED) {
			mfs_file *file = NULL;
			struct picture before;

			assert_code(open_with(fs, "/d/f", modes[i], flags, 0, &file), 0);
			close_file(file);
			before = take_picture(fs);
			assert_bad_handle(fs, file);
			assert_refused(fs, mfs_close(file), MFS_EBADF);
			assert_refused(fs, mfs_close(file), MFS_EBADF);
			assert_unchanged(fs, &before);
			/* The second close did not give back a lock of somebody else. */
			assert_code(try_open(fs, "/d/f", "r+b"), 0);
		}
	}
}

static void a_closed_handle_stays_bad_when_others_are_opened(void **state)
{
	enum { OTHERS = 100 };
	mfs *fs = *state;
	mfs_file *closed[20];
	mfs_file *others[OTHERS];
	char byte = 0;

	for (size_t i = 0; i < COUNT_OF(closed); i++) {
		closed[i] = open_file(fs, "/d/f", "rb");
		close_file(closed[i]);
	}
	for (size_t i = 0; i < OTHERS; i++) {
		others[i] = open_file(fs, "/d/f", "rb");
	}
	for (size_t i = 0; i < COUNT_OF(closed); i++) {
		assert_bad_handle(fs, closed[i]);
		assert_refused(fs, mfs_close(closed[i]), MFS_EBADF);
	}
	for (size_t i = 0; i < OTHERS; i++) {
		assert_code(mfs_read(others[i], &byte, 1), 1);
		assert_int_equal(byte, 'c');
		close_file(others[i]);
	}
	/* Many generations later, too: one handle opened and closed again and again. */
	for (int i = 0; i < 10000; i++) {
		mfs_file *file = open_file(fs, "/d/f", "rb");

		assert_ptr_not_equal(file, closed[0]);
		close_file(file);
	}
	assert_bad_handle(fs, closed[0]);
}

static void a_closed_handle_stays_bad_without_its_workspace(void **state)
{
	mfs *fs = *state;
	mfs *gone = new_workspace(NULL);
	mfs *next = NULL;
	mfs_file *closed = NULL;
	mfs_file *file = NULL;

	make_text(gone, "/f", "content");
	closed = open_file(gone, "/f", "rb");
	close_file(closed);
	free_workspace(gone);
	assert_bad_handle(fs, closed);
	assert_refused(fs, mfs_close(closed), MFS_EBADF);
	next = new_workspace(NULL);
	make_text(next, "/f", "content");
	file = open_file(next, "/f", "rb");
	assert_bad_handle(fs, closed);
	assert_refused(fs, mfs_close(closed), MFS_EBADF);
	assert_handle_holds(file, "content", 7);
	close_file(file);
	free_workspace(next);
}

static void a_workspace_with_open_handles_is_not_freed(void **state)
{
	mfs *fs = *state;
	mfs_file *one = open_file(fs, "/d/f", "rb");
	mfs_file *two = open_shared(fs, "/new", "wb");

	assert_refused(fs, mfs_free(fs), MFS_EBUSY);
	assert_handle_holds(one, "content", 7);
	close_file(one);
	assert_refused(fs, mfs_free(fs), MFS_EBUSY);
	assert_code(mfs_write(two, "x", 1), 1);
	/* Also of a file that is no longer in the tree. */
	assert_code(mfs_remove(fs, "/new"), 0);
	assert_refused(fs, mfs_free(fs), MFS_EBUSY);
	assert_text(fs, "/d/f", "content");
	close_file(two);
}

/*
 * Flags, options, timeouts
 */

static void unknown_flags_are_invalid(void **state)
{
	mfs *fs = *state;
	struct picture before = take_picture(fs);
	mfs_file *file = NULL;

	/* No call has a flag but bit 0, and rename bit 1, which excludes the other. */
	for (unsigned bit = 1; bit < 32; bit++) {
		unsigned flags = 1u << bit;

		assert_refused(fs, open_with(fs, "/d/f", "wb", flags, 0, &file), MFS_EINVAL);
		assert_refused(fs, open_with(fs, "/new", "wb", flags | 1u, 0, &file), MFS_EINVAL);
		assert_refused(fs, mfs_mkdir(fs, "/new", flags), MFS_EINVAL);
		assert_refused(fs, mfs_mkdir(fs, "/new", flags | 1u), MFS_EINVAL);
		if (bit > 1)
			assert_refused(fs, mfs_rename(fs, "/d/f", "/new", flags), MFS_EINVAL);
		assert_refused(fs, mfs_move(fs, "/d/f", "/new", flags), MFS_EINVAL);
		assert_refused(fs, mfs_rename(fs, "/d/f", "/new", flags | 1u), MFS_EINVAL);
	}
	assert_refused(fs, mfs_mkdir(fs, "/new", UINT32_MAX), MFS_EINVAL);
	assert_unchanged(fs, &before);
}

static void timeouts_out_of_range_are_invalid(void **state)
{
	static const int64_t bad[] = {-3, -30000, INT64_MIN};
	static const int64_t good[] = {0, 1, INT64_MAX, MFS_WAIT_FOREVER, MFS_NO_WAIT};
	mfs *fs = *state;
	struct picture before = take_picture(fs);
	mfs_file *file = NULL;

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		mfs_options options = {.struct_size = sizeof(options)};
		mfs *other = NULL;

		assert_refused(fs, open_with(fs, "/d/f", "rb", 0, bad[i], &file), MFS_EINVAL);
		assert_refused(fs, open_with(fs, "/new", "wb", MFS_O_SHARED, bad[i], &file), MFS_EINVAL);
		options.default_lock_timeout = bad[i];
		assert_refused(fs, mfs_new(&options, &other), MFS_EINVAL);
	}
	assert_unchanged(fs, &before);
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		mfs_options options = {.struct_size = sizeof(options)};

		assert_code(open_with(fs, "/d/f", "rb", 0, good[i], &file), 0);
		close_file(file);
		options.default_lock_timeout = good[i];
		free_workspace(new_workspace(&options));
	}
}

/** The options with one field out of range give this code. */
static void assert_bad_options(mfs *fs, const mfs_options *options, int code)
{
	mfs *other = NULL;

	assert_refused(fs, mfs_new(options, &other), code);
}

static void options_out_of_range_are_invalid(void **state)
{
	const mfs_options fine = {.struct_size = sizeof(fine)};
	mfs *fs = *state;
	mfs_options options = fine;

	options.max_quota = (uint64_t)INT64_MAX + 1;
	assert_bad_options(fs, &options, MFS_EINVAL);
	options.max_quota = UINT64_MAX;
	assert_bad_options(fs, &options, MFS_EINVAL);
	options = fine;
	options.default_storage = 3;
	assert_bad_options(fs, &options, MFS_EINVAL);
	options.default_storage = 7;
	assert_bad_options(fs, &options, MFS_EINVAL);
	options.default_storage = -1;
	assert_bad_options(fs, &options, MFS_EINVAL);
	options = fine;
	options.memory_guard = 9;
	assert_bad_options(fs, &options, MFS_EINVAL);
	options.memory_guard = -1;
	assert_bad_options(fs, &options, MFS_EINVAL);
	options = fine;
	options.memory_guard_action = 2;
	assert_bad_options(fs, &options, MFS_EINVAL);
	options.memory_guard_action = -1;
	assert_bad_options(fs, &options, MFS_EINVAL);
	options = fine;
	options.memory_guard_interval = -1;
	assert_bad_options(fs, &options, MFS_EINVAL);
	options.memory_guard_interval = INT64_MIN;
	assert_bad_options(fs, &options, MFS_EINVAL);
	options = fine;
	options.charge_metadata = 2;
	assert_bad_options(fs, &options, MFS_EINVAL);
	options.charge_metadata = -1;
	assert_bad_options(fs, &options, MFS_EINVAL);
	options = fine;
	options.space_timeout = -3;
	assert_bad_options(fs, &options, MFS_EINVAL);
	options = fine;
	options.chunk_overhead = -2;
	assert_bad_options(fs, &options, MFS_EINVAL);
	options.chunk_overhead = INT64_MIN;
	assert_bad_options(fs, &options, MFS_EINVAL);
}

static void the_size_of_a_struct_says_which_fields_are_there(void **state)
{
	/* Longer than any struct of options: those of a later version, with a field behind. */
	union {
		mfs_options workspace;
		mfs_open_options opening;
		unsigned char bytes[sizeof(mfs_options) + 64];
	} options;
	static const size_t wrong[] = {1, 4, 7, 8, SIZE_MAX, SIZE_MAX / 2};
	mfs *fs = *state;
	struct picture before = take_picture(fs);
	mfs_file *file = NULL;
	mfs *other = NULL;

	memset(&options, 0, sizeof(options));
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		options.workspace.struct_size = wrong[i];
		assert_bad_options(fs, &options.workspace, MFS_EINVAL);
		options.opening.struct_size = wrong[i];
		assert_refused(fs, mfs_open_ex(fs, "/d/f", "rb", &options.opening, &file), MFS_EINVAL);
	}
	options.workspace.struct_size = sizeof(mfs_options) - 1;
	assert_bad_options(fs, &options.workspace, MFS_EINVAL);
	options.opening.struct_size = sizeof(mfs_open_options) - 1;
	assert_refused(fs, mfs_open_ex(fs, "/d/f", "rb", &options.opening, &file), MFS_EINVAL);
	/* A later version's field that asks for something cannot be honoured. */
	memset(&options, 0, sizeof(options));
	options.workspace.struct_size = sizeof(mfs_options) + 8;
	options.bytes[sizeof(mfs_options)] = 1;
	assert_bad_options(fs, &options.workspace, MFS_EINVAL);
	memset(&options, 0, sizeof(options));
	options.opening.struct_size = sizeof(mfs_open_options) + 8;
	options.bytes[sizeof(mfs_open_options) + 7] = 1;
	assert_refused(fs, mfs_open_ex(fs, "/d/f", "rb", &options.opening, &file), MFS_EINVAL);
	assert_unchanged(fs, &before);
	/* 0 stands for the first version's. */
	memset(&options, 0, sizeof(options));
	options.workspace.max_quota = 777;
	other = new_workspace(&options.workspace);
	assert_int_equal(usage_of(other).quota_bytes, 777);
	free_workspace(other);
	memset(&options, 0, sizeof(options));
	options.opening.preallocate = 50;
	assert_code(mfs_open_ex(fs, "/d/f", "r+b", &options.opening, &file), 0);
	close_file(file);
	assert_code(mfs_get_size(fs, "/d/f"), 50);
}

/*
 * Imports in steps
 */

static mfs_import *begin_import(mfs *fs)
{
	mfs_import *import = NULL;

	assert_code(mfs_import_begin(fs, &import), 0);
	assert_non_null(import);
	return import;
}

/** The import has nothing but what was staged before: a file, and no parents of others. */
static void end_import(mfs *fs, mfs_import *import)
{
	mfs_file *file = NULL;

	assert_code(mfs_import_open(import, "/staged", "xb", NULL, &file), 0);
	assert_refused(fs, mfs_import_commit(import, 0), MFS_EBUSY);
	close_file(file);
	assert_code(mfs_import_commit(import, MFS_IMPORT_NEW), 1);
	assert_text(fs, "/staged", "");
	assert_code(mfs_remove(fs, "/staged"), 0);
}

static void null_is_invalid_for_imports(void **state)
{
	mfs *fs = *state;
	struct picture before = take_picture(fs);
	mfs_import *import = (mfs_import *)fs;
	mfs_file *file = (mfs_file *)fs;

	assert_refused(fs, mfs_import_begin(fs, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_import_begin(NULL, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_import_begin(NULL, &import), MFS_EINVAL);
	assert_null(import);
	assert_refused(fs, mfs_import_mkdir(NULL, "/new"), MFS_EINVAL);
	assert_refused(fs, mfs_import_open(NULL, "/new/f", "wb", NULL, &file), MFS_EINVAL);
	assert_null(file);
	assert_refused(fs, mfs_import_commit(NULL, 0), MFS_EINVAL);
	import = begin_import(fs);
	assert_refused(fs, mfs_import_mkdir(import, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_import_open(import, NULL, "wb", NULL, &file), MFS_EINVAL);
	assert_refused(fs, mfs_import_open(import, "/new/f", NULL, NULL, &file), MFS_EINVAL);
	assert_refused(fs, mfs_import_open(import, "/new/f", "wb", NULL, NULL), MFS_EINVAL);
	end_import(fs, import);
	assert_unchanged(fs, &before);
}

static void unknown_flags_are_invalid_for_imports(void **state)
{
	mfs *fs = *state;
	struct picture before = take_picture(fs);
	mfs_import *import = begin_import(fs);
	mfs_open_options options = {.struct_size = sizeof(options)};
	mfs_file *file = NULL;

	assert_refused(fs, mfs_import_commit(import, MFS_IMPORT_NEW | MFS_IMPORT_KEEP), MFS_EINVAL);
	for (unsigned bit = 2; bit < 32; bit++) {
		assert_refused(fs, mfs_import_commit(import, 1u << bit), MFS_EINVAL);
		assert_refused(fs, mfs_import_commit(import, 1u << bit | MFS_IMPORT_KEEP), MFS_EINVAL);
	}
	/* The file's lock is the import's, so that shared handles have nothing to share. */
	for (unsigned bit = 0; bit < 32; bit++) {
		options.flags = 1u << bit;
		assert_refused(fs, mfs_import_open(import, "/new/f", "wb", &options, &file), MFS_EINVAL);
	}
	assert_null(file);
	end_import(fs, import);
	assert_unchanged(fs, &before);
}

/** Opens a file of an import with options that are refused. */
static void assert_bad_opening(mfs *fs, const char *mode, const mfs_open_options *options)
{
	mfs_import *import = begin_import(fs);
	mfs_file *file = NULL;

	assert_refused(fs, mfs_import_open(import, "/new/f", mode, options, &file), MFS_EINVAL);
	assert_null(file);
	end_import(fs, import);
}

static void options_out_of_range_are_invalid_for_imports(void **state)
{
	static const char *const modes[] = {"", "r", "w", "w+", "rw", "wx", "x", "wbx"};
	const mfs_open_options fine = {.struct_size = sizeof(fine)};
	mfs *fs = *state;
	struct picture before = take_picture(fs);
	mfs *other = new_workspace(NULL);
	mfs_open_options options = fine;

	for (size_t i = 0; i < COUNT_OF(modes); i++)
		assert_bad_opening(fs, modes[i], NULL);
	options.preallocate = -1;
	assert_bad_opening(fs, "wb", &options);
	options.preallocate = 1;
	assert_bad_opening(fs, "rb", &options);
	options = fine;
	options.lock_timeout = -3;
	assert_bad_opening(fs, "wb", &options);
	options = fine;
	options.space_timeout = -3;
	assert_bad_opening(fs, "wb", &options);
	options = fine;
	options.reserved = 1;
	assert_bad_opening(fs, "wb", &options);
	options = fine;
	options.struct_size = sizeof(options) - 1;
	assert_bad_opening(fs, "wb", &options);
	options = fine;
	assert_code(mfs_reservation_new(other, 100, &options.reservation), 0);
	assert_bad_opening(fs, "wb", &options);
	assert_code(mfs_reservation_free(options.reservation), 0);
	free_workspace(other);
	assert_unchanged(fs, &before);
}

/*
 * Buffers
 */

static void a_null_buffer_is_invalid_unless_nothing_is_asked_for(void **state)
{
	mfs *fs = *state;
	char bytes[4] = "abc";
	struct iovec hole[3] = {{bytes, 3}, {NULL, 1}, {bytes, 3}};
	mfs_file *file = open_file(fs, "/d/f", "r+b");
	struct picture before = take_picture(fs);

	assert_refused(fs, mfs_read(file, NULL, 1), MFS_EINVAL);
	assert_refused(fs, mfs_pread(file, NULL, 1, 0), MFS_EINVAL);
	assert_refused(fs, mfs_write(file, NULL, 1), MFS_EINVAL);
	assert_refused(fs, mfs_pwrite(file, NULL, 1, 0), MFS_EINVAL);
	assert_refused(fs, mfs_write(file, NULL, SIZE_MAX), MFS_EINVAL);
	assert_refused(fs, mfs_readv(file, NULL, 1), MFS_EINVAL);
	assert_refused(fs, mfs_writev(file, NULL, 1), MFS_EINVAL);
	assert_refused(fs, mfs_readv(file, hole, 3), MFS_EINVAL);
	assert_refused(fs, mfs_writev(file, hole, 3), MFS_EINVAL);
	assert_memory_equal(bytes, "abc", 4);
	assert_code(mfs_tell(file), 0);
	assert_unchanged(fs, &before);
	assert_code(mfs_read(file, NULL, 0), 0);
	assert_code(mfs_pread(file, NULL, 0, 3), 0);
	assert_code(mfs_write(file, NULL, 0), 0);
	assert_code(mfs_pwrite(file, NULL, 0, 3), 0);
	assert_unchanged(fs, &before);
	assert_handle_holds(file, "content", 7);
	close_file(file);
}

/*
 * What explains an error
 */

static void every_code_has_a_name_and_a_message(void **state)
{
	static const struct {
		int code;
		const char *name;
		const char *message;
	} codes[] = {
#define CODE(name, value, message) {name, #name, message},
		MFS_ERROR_MAP(CODE)
#undef CODE
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(codes); i++) {
		assert_true(codes[i].code < 0);
		assert_string_equal(mfs_error_name(codes[i].code), codes[i].name);
		assert_string_equal(mfs_strerror(codes[i].code), codes[i].message);
		assert_int_equal(mfs_is_quota_error(codes[i].code),
						 codes[i].code == MFS_EQUOTA || codes[i].code == MFS_ENODES);
		for (size_t j = 0; j < i; j++) {
			assert_int_not_equal(codes[i].code, codes[j].code);
		}
	}
}

static void what_is_no_code_is_explained_all_the_same(void **state)
{
	static const int unknown[] = {INT32_MIN, INT32_MIN + 1, -99999, -1003, -999};
	static const int fine[] = {0, 1, 1000, INT32_MAX};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(unknown); i++) {
		assert_string_equal(mfs_strerror(unknown[i]), "unknown error");
		assert_string_equal(mfs_error_name(unknown[i]), "unknown");
		assert_false(mfs_is_quota_error(unknown[i]));
	}
	for (size_t i = 0; i < COUNT_OF(fine); i++) {
		assert_string_equal(mfs_strerror(fine[i]), "success");
		assert_false(mfs_is_quota_error(fine[i]));
	}
	assert_string_equal(mfs_error_name(0), "0");
}

static void the_version_is_that_of_the_header(void **state)
{
	char version[32];

	(void)state;
	snprintf(version, sizeof(version), "%d.%d.%d", MFS_VERSION_MAJOR, MFS_VERSION_MINOR,
			 MFS_VERSION_PATCH);
	assert_string_equal(mfs_version(), version);
}

struct stranger {
	mfs *fs;
	bool empty_at_first;
	bool own_at_last;
};

static void *fail_in_a_thread(void *argument)
{
	struct stranger *stranger = argument;
	mfs_info info;

	stranger->empty_at_first = mfs_last_error()[0] == '\0';
	stranger->own_at_last = mfs_stat(stranger->fs, "/of the thread", &info) == MFS_ENOENT &&
							strstr(mfs_last_error(), "/of the thread") != NULL;
	return NULL;
}

static void the_last_error_is_that_of_the_thread(void **state)
{
	struct stranger stranger = {.fs = *state};
	mfs_info info;

	assert_code(mfs_stat(*state, "/of the main thread", &info), MFS_ENOENT);
	join_thread(start_thread(fail_in_a_thread, &stranger));
	assert_true(stranger.empty_at_first);
	assert_true(stranger.own_at_last);
	assert_non_null(strstr(mfs_last_error(), "/of the main thread"));
}

/*
 * Failures that other libraries note
 */

static void another_library_may_note_a_failure(void **state)
{
	mfs *fs = *state;
	mfs_info info;

	assert_code(mfs_set_last_error(MFS_EFORMAT, "line %d of %s: no number", 17, "/f"), MFS_EFORMAT);
	assert_string_equal(mfs_last_error(), "line 17 of /f: no number");
	/* Any code, also one that no call of this library gives; nothing but the text is kept. */
	assert_code(mfs_set_last_error(-77777, "%s", "100%"), -77777);
	assert_string_equal(mfs_last_error(), "100%");
	/* What was noted before may be part of it. */
	assert_code(mfs_stat(fs, "/nowhere", &info), MFS_ENOENT);
	assert_code(mfs_set_last_error(MFS_ENOENT, "job 3: %s", mfs_last_error()), MFS_ENOENT);
	assert_non_null(strstr(mfs_last_error(), "/nowhere"));
	assert_memory_equal(mfs_last_error(), "job 3: ", 7);
	assert_code(mfs_set_last_error(MFS_EINVAL, "%s, again", mfs_last_error()), MFS_EINVAL);
	assert_memory_equal(mfs_last_error(), "job 3: ", 7);
	assert_non_null(strstr(mfs_last_error(), ", again"));
	/* The next failure takes its place. */
	assert_code(mfs_stat(fs, "/nor here", &info), MFS_ENOENT);
	assert_null(strstr(mfs_last_error(), "job 3"));
}

static void a_success_is_not_noted(void **state)
{
	(void)state;
	assert_code(mfs_set_last_error(MFS_EINVAL, "a failure"), MFS_EINVAL);
	assert_code(mfs_set_last_error(0, "no failure"), 0);
	assert_code(mfs_set_last_error(5, "%s", "five bytes"), 5);
	assert_string_equal(mfs_last_error(), "a failure");
}

static void a_note_that_is_too_long_is_cut(void **state)
{
	enum { KEPT = 511 };
	char text[2 * KEPT];

	(void)state;
	for (size_t length = KEPT - 2; length < sizeof(text); length += length == KEPT + 2 ? 300 : 1) {
		memset(text, 'x', length);
		text[length] = '\0';
		assert_code(mfs_set_last_error(MFS_EINVAL, "%s", text), MFS_EINVAL);
		assert_int_equal(strlen(mfs_last_error()), length < KEPT ? length : KEPT);
		assert_int_equal(strspn(mfs_last_error(), "x"), length < KEPT ? length : KEPT);
	}
}

static void *note_in_a_thread(void *unused)
{
	(void)unused;
	(void)mfs_set_last_error(MFS_EINVAL, "of the thread");
	return NULL;
}

static void a_note_is_the_threads_own(void **state)
{
	(void)state;
	assert_code(mfs_set_last_error(MFS_EINVAL, "of the main thread"), MFS_EINVAL);
	join_thread(start_thread(note_in_a_thread, NULL));
	assert_string_equal(mfs_last_error(), "of the main thread");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BAD_INPUT_TEST(null_is_invalid_where_it_is_not_allowed),
		BAD_INPUT_TEST(null_is_nothing_to_free),
		BAD_INPUT_TEST(a_null_handle_is_bad),
		BAD_INPUT_TEST(a_closed_handle_is_bad),
		BAD_INPUT_TEST(a_closed_handle_stays_bad_when_others_are_opened),
		BAD_INPUT_TEST(a_closed_handle_stays_bad_without_its_workspace),
		BAD_INPUT_TEST(a_workspace_with_open_handles_is_not_freed),
		BAD_INPUT_TEST(unknown_flags_are_invalid),
		BAD_INPUT_TEST(timeouts_out_of_range_are_invalid),
		BAD_INPUT_TEST(options_out_of_range_are_invalid),
		BAD_INPUT_TEST(the_size_of_a_struct_says_which_fields_are_there),
		BAD_INPUT_TEST(null_is_invalid_for_imports),
		BAD_INPUT_TEST(unknown_flags_are_invalid_for_imports),
		BAD_INPUT_TEST(options_out_of_range_are_invalid_for_imports),
		BAD_INPUT_TEST(a_null_buffer_is_invalid_unless_nothing_is_asked_for),
		cmocka_unit_test(every_code_has_a_name_and_a_message),
		cmocka_unit_test(what_is_no_code_is_explained_all_the_same),
		cmocka_unit_test(the_version_is_that_of_the_header),
		BAD_INPUT_TEST(the_last_error_is_that_of_the_thread),
		BAD_INPUT_TEST(another_library_may_note_a_failure),
		cmocka_unit_test(a_success_is_not_noted),
		cmocka_unit_test(a_note_that_is_too_long_is_cut),
		cmocka_unit_test(a_note_is_the_threads_own),
	};

	return cmocka_run_group_tests_name("bad input", tests, NULL, NULL);
}
