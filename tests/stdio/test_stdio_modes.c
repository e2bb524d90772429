/* SPDX-License-Identifier: MIT */
/*
 * Which modes open what, and what does a refused open say and leave behind?
 */
#include "support.h"

#include <errno.h>

#include "dmemfs/stdio.h"

/** The open fails with this errno, and says why. */
static void assert_open_fails(mfs *fs, const char *path, const char *mode, int error)
{
	FILE *f = NULL;

	support__mark_last_error(fs);
	errno = 0;
	f = mfs_fopen(fs, path, mode);
	if (f != NULL || errno != error) {
		print_error("open of %s in \"%s\": %s\n", path, mode,
					f != NULL ? "works" : strerror(errno));
		fail();
	}
	support__check_message("mfs_fopen", __FILE__, __LINE__);
	assert_int_equal(usage_of(fs).open_handles, 0);
}

static void modes_that_are_none_are_refused(void **state)
{
	static const char *const refused[] = {
		"",   " r",  "b",   "+r",  "br",  "x",  "xb",  "R",   "rt",          "wt", "rw", "ra",
		"r ", "r++", "rbb", "wxx", "wee", "rx", "rbx", "r+x", "w,ccs=UTF-8", "rc", "rm", "r\n",
	};
	mfs *fs = *state;

	make_text(fs, "/there", "text");
	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		assert_open_fails(fs, "/there", refused[i], EINVAL);
		assert_open_fails(fs, "/missing", refused[i], EINVAL);
		assert_non_null(strstr(mfs_last_error(), "/missing"));
	}
	assert_text(fs, "/there", "text");
	assert_false(mfs_exists(fs, "/missing"));
}

static void modifiers_come_in_any_order(void **state)
{
	static const char *const updating[] = {"r+",   "r+b",  "rb+",  "r+e",  "re+", "r+be", "r+eb",
										   "rb+e", "rbe+", "re+b", "reb+", "w+",  "wb+",  "w+b"};
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(updating); i++) {
		FILE *f = NULL;

		make_text(fs, "/f", "12");
		f = mfs_fopen(fs, "/f", updating[i]);
		assert_non_null(f);
		assert_int_equal(fputc('x', f), 'x');
		rewind(f);
		assert_int_equal(fgetc(f), 'x');
		assert_int_equal(fclose(f), 0);
	}
}

static void x_makes_the_file_or_fails(void **state)
{
	static const char *const exclusive[] = {"wx", "wbx", "w+x", "wx+", "wxe", "ax", "a+x", "abx+"};
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(exclusive); i++) {
		FILE *f = mfs_fopen(fs, "/f", exclusive[i]);

		assert_non_null(f);
		assert_true(fputs("one", f) >= 0);
		assert_int_equal(fclose(f), 0);
		assert_open_fails(fs, "/f", exclusive[i], EEXIST);
		assert_text(fs, "/f", "one");
		assert_code(mfs_remove(fs, "/f"), 0);
		assert_open_fails(fs, "/missing/f", exclusive[i], ENOENT);
	}
}

/* That a file is new does not make its appending less. */
static void a_new_file_that_is_appended_to_appends(void **state)
{
	mfs *fs = *state;
	FILE *first = mfs_fopen(fs, "/f", "ax");
	FILE *second = mfs_fopen(fs, "/f", "a");

	assert_non_null(first);
	assert_non_null(second);
	assert_true(fputs("one", first) >= 0);
	assert_true(fputs("two", second) >= 0);
	assert_int_equal(fclose(second), 0);
	assert_int_equal(fclose(first), 0);
	assert_text(fs, "/f", "twoone");
}

static void paths_that_lead_nowhere_are_refused(void **state)
{
	static const char *const modes[] = {"r", "w", "a", "r+", "w+", "a+", "wx", "ax"};
	char long_name[MFS_NAME_MAX + 3] = "/";
	mfs *fs = *state;

	memset(long_name + 1, 'n', MFS_NAME_MAX + 1);
	make_dir(fs, "/dir");
	make_text(fs, "/file", "text");
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		bool exclusive = strchr(modes[i], 'x') != NULL;

		assert_open_fails(fs, "/dir", modes[i], exclusive ? EEXIST : EISDIR);
		assert_open_fails(fs, "/file/below", modes[i], ENOTDIR);
		assert_open_fails(fs, "/missing/below", modes[i], ENOENT);
		assert_open_fails(fs, "/../file", modes[i], EINVAL);
		assert_open_fails(fs, long_name, modes[i], ENAMETOOLONG);
	}
	assert_open_fails(fs, "/missing", "r", ENOENT);
	assert_open_fails(fs, "/missing", "r+", ENOENT);
	assert_text(fs, "/file", "text");
	assert_code(usage_of(fs).files, 1);
}

static void null_is_refused(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;

	errno = 0;
	assert_null(mfs_fopen(NULL, "/f", "w"));
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_null(mfs_fopen(fs, NULL, "w"));
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_null(mfs_fopen(fs, "/f", NULL));
	assert_int_equal(errno, EINVAL);
	assert_false(mfs_exists(fs, "/f"));

	file = open_file(fs, "/f", "wb");
	errno = 0;
	assert_null(mfs_fdopen(file, NULL));
	assert_int_equal(errno, EINVAL);
	close_file(file);
	errno = 0;
	assert_null(mfs_fdopen(NULL, "w"));
	assert_int_equal(errno, EBADF);
}

static void the_limit_of_files_is_enospc(void **state)
{
	mfs_options options = {.struct_size = sizeof(options), .max_nodes = 1};
	mfs *fs = new_workspace(&options);

	(void)state;
	make_text(fs, "/one", "");
	assert_open_fails(fs, "/two", "w", ENOSPC);
	assert_open_fails(fs, "/two", "ax", ENOSPC);
	free_workspace(fs);
}

static void the_quota_is_edquot(void **state)
{
	mfs_options options = {.struct_size = sizeof(options), .max_quota = 10, .charge_metadata = 1};
	mfs *fs = new_workspace(&options);

	(void)state;
	assert_open_fails(fs, "/f", "w", EDQUOT);
	free_workspace(fs);
}

static void a_file_that_is_held_is_not_emptied(void **state)
{
	static const struct {
		int64_t timeout;
		int error;
	} cases[] = {{MFS_NO_WAIT, EBUSY}, {1, ETIMEDOUT}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		mfs_options options = {.struct_size = sizeof(options)};
		mfs_file *held = NULL;
		mfs *fs = NULL;

		options.default_lock_timeout = cases[i].timeout;
		fs = new_workspace(&options);
		make_text(fs, "/f", "text");
		held = open_file(fs, "/f", "rb");
		errno = 0;
		assert_null(mfs_fopen(fs, "/f", "w"));
		assert_int_equal(errno, cases[i].error);
		close_file(held);
		assert_text(fs, "/f", "text");
		free_workspace(fs);
	}
}

/*
 * On handles
 */

static void a_stream_begins_where_its_handle_is(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;
	FILE *f = NULL;

	make_text(fs, "/f", "0123456789");
	file = open_file(fs, "/f", "rb");
	assert_code(mfs_seek(file, 4, SEEK_SET), 4);
	f = mfs_fdopen(file, "r");
	assert_non_null(f);
	assert_int_equal(ftell(f), 4);
	assert_int_equal(fgetc(f), '4');
	assert_int_equal(fclose(f), 0);
	assert_code(mfs_tell(file), MFS_EBADF);
}

static void a_stream_on_a_handle_empties_nothing(void **state)
{
	mfs *fs = *state;
	FILE *f = NULL;

	make_text(fs, "/f", "0123456789");
	f = mfs_fdopen(open_file(fs, "/f", "r+b"), "w");
	assert_non_null(f);
	assert_true(fputs("ab", f) >= 0);
	assert_int_equal(fgetc(f), EOF);
	assert_int_equal(fclose(f), 0);
	assert_text(fs, "/f", "ab23456789");
}

static void a_stream_on_a_handle_appends_whatever_the_handle_does(void **state)
{
	static const char *const modes[] = {"a", "a+"};
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		FILE *f = NULL;

		make_text(fs, "/f", "0123");
		f = mfs_fdopen(open_file(fs, "/f", "r+b"), modes[i]);
		assert_non_null(f);
		assert_int_equal(ftell(f), i == 0 ? 4 : 0);
		rewind(f);
		assert_true(fputs("ab", f) >= 0);
		assert_int_equal(fseek(f, 1, SEEK_SET), 0);
		assert_true(fputs("cd", f) >= 0);
		assert_int_equal(fclose(f), 0);
		assert_text(fs, "/f", "0123abcd");
	}
}

/* As POSIX has it: it is the descriptor that appends. */
static void a_handle_that_appends_does_so_under_every_stream(void **state)
{
	mfs *fs = *state;
	FILE *f = NULL;

	make_text(fs, "/f", "0123");
	f = mfs_fdopen(open_file(fs, "/f", "a+b"), "r+");
	assert_non_null(f);
	assert_int_equal(fgetc(f), '0');
	assert_int_equal(fseek(f, 2, SEEK_SET), 0);
	assert_true(fputs("ab", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_text(fs, "/f", "0123ab");
}

static void a_handle_keeps_its_lock_under_a_stream(void **state)
{
	mfs *fs = *state;
	FILE *f = mfs_fdopen(open_file(fs, "/f", "wb"), "w");

	assert_non_null(f);
	assert_code(try_open(fs, "/f", "rb"), MFS_EBUSY);
	assert_code(mfs_remove(fs, "/f"), MFS_EBUSY);
	assert_int_equal(fclose(f), 0);
	assert_code(try_open(fs, "/f", "rb"), 0);
}

static void a_handle_that_is_not_open_for_the_mode_stays_the_callers(void **state)
{
	static const struct {
		const char *handle;
		const char *stream;
		bool works;
	} cases[] = {
		{"rb", "r", true},   {"rb", "rbe", true}, {"rb", "w", false},   {"rb", "a", false},
		{"rb", "r+", false}, {"wb", "w", true},   {"wb", "r", false},   {"wb", "r+", false},
		{"wb", "w+", false}, {"wb", "a+", false}, {"ab", "a", true},    {"ab", "w", true},
		{"ab", "r", false},  {"r+b", "w+", true}, {"r+b", "r", true},   {"a+b", "a+", true},
		{"w+b", "r+", true}, {"w+b", "wx", true}, {"r+b", "rt", false}, {"r+b", "", false},
	};
	mfs *fs = *state;

	make_text(fs, "/f", "text");
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		mfs_file *file = open_file(fs, "/f", cases[i].handle);
		FILE *f = NULL;

		support__mark_last_error(fs);
		errno = 0;
		f = mfs_fdopen(file, cases[i].stream);
		if ((f != NULL) != cases[i].works || (f == NULL && errno != EINVAL)) {
			print_error("\"%s\" on \"%s\": %s\n", cases[i].stream, cases[i].handle,
						f != NULL ? "works" : strerror(errno));
			fail();
		}
		if (f != NULL) {
			assert_int_equal(fclose(f), 0);
			assert_code(mfs_close(file), MFS_EBADF);
		} else {
			support__check_message("mfs_fdopen", __FILE__, __LINE__);
			assert_code(mfs_tell(file), 0);
			close_file(file);
		}
	}
}

static void a_closed_handle_is_ebadf(void **state)
{
	mfs *fs = *state;
	mfs_file *file = open_file(fs, "/f", "wb");

	close_file(file);
	support__mark_last_error(fs);
	errno = 0;
	assert_null(mfs_fdopen(file, "w"));
	assert_int_equal(errno, EBADF);
	support__check_message("mfs_fdopen", __FILE__, __LINE__);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(modes_that_are_none_are_refused),
		WORKSPACE_TEST(modifiers_come_in_any_order),
		WORKSPACE_TEST(x_makes_the_file_or_fails),
		WORKSPACE_TEST(a_new_file_that_is_appended_to_appends),
		WORKSPACE_TEST(paths_that_lead_nowhere_are_refused),
		WORKSPACE_TEST(null_is_refused),
		cmocka_unit_test(the_limit_of_files_is_enospc),
		cmocka_unit_test(the_quota_is_edquot),
		cmocka_unit_test(a_file_that_is_held_is_not_emptied),
		WORKSPACE_TEST(a_stream_begins_where_its_handle_is),
		WORKSPACE_TEST(a_stream_on_a_handle_empties_nothing),
		WORKSPACE_TEST(a_stream_on_a_handle_appends_whatever_the_handle_does),
		WORKSPACE_TEST(a_handle_that_appends_does_so_under_every_stream),
		WORKSPACE_TEST(a_handle_keeps_its_lock_under_a_stream),
		WORKSPACE_TEST(a_handle_that_is_not_open_for_the_mode_stays_the_callers),
		WORKSPACE_TEST(a_closed_handle_is_ebadf),
	};

	return cmocka_run_group_tests_name("stdio modes", tests, NULL, NULL);
}
