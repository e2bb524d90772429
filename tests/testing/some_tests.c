/* SPDX-License-Identifier: MIT */
/*
 * Not a test of the library but a program of tests, some of which pass: what the tests of the
 * component run, each by its name.
 */
#include "support.h"

#include <dlfcn.h>
#include <signal.h>

#include "dmemfs/testing.h"

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
const char *__tsan_default_options(void);

/** For the race detector, if this is built with it: cmocka takes memory when a test crashes. */
const char *__tsan_default_options(void)
{
	return "report_signal_unsafe=0:atexit_sleep_ms=0";
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

/** The component sees more bytes in use than there are. */
static bool stats_lie;

/* In the place of the library's. */
int mfs_stats(mfs *fs, mfs_usage *out)
{
	int (*real)(mfs *, mfs_usage *) = NULL;
	int code = 0;

	*(void **)&real = dlsym(RTLD_NEXT, "mfs_stats");
	assert_non_null(real);
	code = real(fs, out);
	if (code == 0 && stats_lie) {
		out->used_bytes += 64;
	}
	return code;
}

/*
 * That pass
 */

static void passes_and_leaves_files(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/a/b/c");
	make_text(fs, "/a/b/f", "text");
	make_text(fs, "/g", "text");
}

static void has_a_quota_of_1_mib(void **state)
{
	assert_int_equal(usage_of(*state).quota_bytes, MIB);
}

static const mfs_options small = {
	.struct_size = sizeof(small), .max_quota = 10000, .charge_metadata = 1};

static void has_the_quota_of_its_options(void **state)
{
	assert_int_equal(usage_of(*state).quota_bytes, 10000);
	make_dir(*state, "/a/b/c");
	make_text(*state, "/a/f", "text");
}

static const mfs_options impossible = {.struct_size = sizeof(impossible), .max_quota = UINT64_MAX};

static void never_runs(void **state)
{
	(void)state;
	print_error("it ran\n");
}

static void skips_after_writing(void **state)
{
	make_text(*state, "/f", "text");
	skip();
}

static void skips_with_an_open_handle(void **state)
{
	(void)open_file(*state, "/f", "wb");
	skip();
}

/*
 * That fail
 */

static void fails_with_a_tree(void **state)
{
	mfs *fs = *state;
	char *big = allocate(300 * KIB);

	make_dir(fs, "/directory/below");
	make_dir(fs, "/empty");
	make_dir(fs, "/empty too");
	make_text(fs, "/file", "at the top");
	make_text(fs, "/directory/file", "in a directory");
	make_text(fs, "/directory/below/nothing", "");
	make_text(fs, "/directory/a \xff name: *", "odd");
	memset(big, 'x', 300 * KIB);
	make_file(fs, "/big", big, 300 * KIB);
	free(big);
	fail();
}

static void fails_with_a_file_of_that_name(void **state)
{
	make_text(*state, getenv("SOME_NAME"), "text");
	fail();
}

static void fails_with_handles_open(void **state)
{
	mfs *fs = *state;

	assert_code(mfs_write(open_file(fs, "/held", "wb"), "text", 4), 4);
	make_text(fs, "/read", "read");
	(void)open_file(fs, "/read", "rb");
	assert_code(mfs_write(open_shared(fs, "/shared", "wb"), "shared", 6), 6);
	make_text(fs, "/closed", "closed");
	fail();
}

static void *write_for_ever(void *argument)
{
	mfs *fs = argument;
	char path[32];

	for (unsigned i = 0;; i++) {
		mfs_file *file = NULL;

		(void)snprintf(path, sizeof(path), "/thread/%u", i % 50);
		if (mfs_open(fs, path, "wb", &file) == 0) {
			(void)mfs_write(file, path, sizeof(path));
			(void)mfs_close(file);
		}
		(void)mfs_remove(fs, path);
	}
	return NULL;
}

static void fails_while_threads_go_on(void **state)
{
	make_text(*state, "/closed", "closed");
	make_dir(*state, "/thread");
	for (int i = 0; i < 3; i++) {
		(void)start_thread(write_for_ever, *state);
	}
	while (!mfs_exists(*state, "/thread/20")) {
		sched_yield();
	}
	fail();
}

/** More levels than a path of the host has room for. */
static void fails_with_a_deep_tree(void **state)
{
	char path[600 * 10 + 16];
	size_t length = 0;

	for (int i = 0; i < 600; i++) {
		length += (size_t)snprintf(path + length, sizeof(path) - length, "/directory");
		if (length + 16 > sizeof(path)) {
			break;
		}
	}
	make_dir(*state, path);
	(void)snprintf(path + length, sizeof(path) - length, "/f");
	make_text(*state, path, "bottom");
	fail();
}

static void fails_with_a_file(void **state)
{
	make_text(*state, "/f", "text");
	fail();
}

static void crashes(void **state)
{
	make_text(*state, "/f", "text");
	assert_int_equal(raise(SIGSEGV), 0);
}

/*
 * That leave something
 */

static void leaves_a_handle(void **state)
{
	make_text(*state, "/f", "text");
	(void)open_file(*state, "/f", "rb");
}

static void leaves_a_handle_on_a_removed_file(void **state)
{
	(void)open_shared(*state, "/f", "wb");
	assert_code(mfs_remove(*state, "/f"), 0);
}

static void leaves_an_iterator(void **state)
{
	mfs_walk *walk = NULL;

	assert_code(mfs_walk_open(*state, "/", &walk), 0);
}

static void leaves_an_import(void **state)
{
	mfs_import *import = NULL;

	assert_code(mfs_import_begin(*state, &import), 0);
}

static void leaves_a_reservation(void **state)
{
	mfs_reservation *reservation = NULL;

	assert_code(mfs_reservation_new(*state, 1000, &reservation), 0);
}

static void leaves_a_reservation_that_is_used_up(void **state)
{
	mfs_open_options options = {.struct_size = sizeof(options)};
	mfs_file *file = NULL;

	assert_code(mfs_reservation_new(*state, 1, &options.reservation), 0);
	assert_code(mfs_open_ex(*state, "/f", "wb", &options, &file), 0);
	assert_code(mfs_write(file, "text", 4), 4);
	close_file(file);
	assert_code(mfs_reservation_left(options.reservation), 0);
}

static void loses_quota(void **state)
{
	make_text(*state, "/f", "text");
	stats_lie = true;
}

/* Runs the test whose name is the program's argument. Returns how many failed. */
int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		mfs_unit_test(passes_and_leaves_files),
		mfs_unit_test(has_a_quota_of_1_mib),
		mfs_unit_test_with(has_the_quota_of_its_options, &small),
		mfs_unit_test_with(never_runs, &impossible),
		mfs_unit_test(skips_after_writing),
		mfs_unit_test(skips_with_an_open_handle),
		mfs_unit_test(fails_with_a_tree),
		mfs_unit_test(fails_with_a_file_of_that_name),
		mfs_unit_test(fails_with_handles_open),
		mfs_unit_test(fails_while_threads_go_on),
		mfs_unit_test(fails_with_a_deep_tree),
		mfs_unit_test(fails_with_a_file),
		mfs_unit_test(crashes),
		mfs_unit_test(leaves_a_handle),
		mfs_unit_test(leaves_a_handle_on_a_removed_file),
		mfs_unit_test(leaves_an_iterator),
		mfs_unit_test(leaves_an_import),
		mfs_unit_test(leaves_a_reservation),
		mfs_unit_test(leaves_a_reservation_that_is_used_up),
		mfs_unit_test(loses_quota),
	};

	if (count != 2) {
		return 100;
	}
	cmocka_set_test_filter(arguments[1]);
	return cmocka_run_group_tests_name("some", tests, NULL, NULL);
}
