/* SPDX-License-Identifier: MIT */
/*
 * Is the workspace of a test that fails on the host afterwards, whole and where it is said to be,
 * and of no other test?
 */
#include "run_some.h"

#define EXPORT_OF(test) "exports/" PROGRAM "." test

static void a_test_that_fails_leaves_its_tree(void **state)
{
	struct host_fixture *place = *state;
	struct some *some = run_some(place, "fails_with_a_tree");
	char *big = allocate(300 * KIB);

	assert_some(some, some->exit_code == 1);
	assert_some(some, strstr(some->err, at(place, EXPORT_OF("fails_with_a_tree"))) != NULL);
	assert_some(some, strstr(some->err, "files: 5, left out: 0") != NULL);
	assert_host_text(place, EXPORT_OF("fails_with_a_tree/file"), "at the top");
	assert_host_text(place, EXPORT_OF("fails_with_a_tree/directory/file"), "in a directory");
	assert_host_text(place, EXPORT_OF("fails_with_a_tree/directory/a \xff name: *"), "odd");
	assert_host_text(place, EXPORT_OF("fails_with_a_tree/directory/below/nothing"), "");
	assert_int_equal(count_names(place, EXPORT_OF("fails_with_a_tree/empty")), 0);
	assert_int_equal(count_names(place, EXPORT_OF("fails_with_a_tree/empty too")), 0);
	memset(big, 'x', 300 * KIB);
	assert_host_holds(place, EXPORT_OF("fails_with_a_tree/big"), big, 300 * KIB);
	free(big);
	assert_int_equal(count_names(place, EXPORT_OF("fails_with_a_tree")), 5);
	assert_int_equal(count_names(place, "exports"), 1);
}

static void a_test_that_passes_leaves_nothing(void **state)
{
	struct host_fixture *place = *state;
	struct some *some = run_some(place, "passes_and_leaves_files");

	assert_some(some, some->exit_code == 0);
	assert_some(some, strcmp(some->err, "[  PASSED  ] 1 test(s).\n") == 0);
	assert_false(host_exists(place, "exports"));
}

static void a_test_that_is_skipped_leaves_nothing(void **state)
{
	static const char *const tests[] = {"skips_after_writing", "skips_with_an_open_handle"};
	struct host_fixture *place = *state;

	for (size_t i = 0; i < COUNT_OF(tests); i++) {
		struct some *some = run_some(place, tests[i]);

		assert_some(some, some->exit_code == 0);
		assert_some(some, strstr(some->out, "SKIPPED") != NULL);
		assert_some(some, strstr(some->err, "dmemfs:") == NULL);
		assert_false(host_exists(place, "exports"));
	}
}

static void a_test_that_crashes_leaves_its_tree(void **state)
{
	struct host_fixture *place = *state;
	struct some *some = run_some(place, "crashes");

	assert_some(some, some->exit_code == 1);
	assert_host_text(place, EXPORT_OF("crashes/f"), "text");
}

static void without_a_directory_it_is_below_the_working_directory(void **state)
{
	static const char *const unset[] = {NULL, ""};
	struct host_fixture *place = *state;

	for (size_t i = 0; i < COUNT_OF(unset); i++) {
		struct some some = {
			.place = place, .test = "fails_with_a_file_of_that_name", .export_dir = unset[i]};

		some.name = i == 0 ? "/first" : "/second";
		some_start(&some);
		some_wait(&some);
		assert_some(&some, some.exit_code == 1);
		assert_some(&some, strstr(some.err, at(place, "dmemfs-failed/" PROGRAM ".fails")) != NULL);
	}
	assert_host_text(place, "dmemfs-failed/" PROGRAM ".fails_with_a_file_of_that_name/second",
					 "text");
}

static void the_directory_is_made_with_its_parents(void **state)
{
	struct host_fixture *place = *state;
	struct some some = {.place = place, .test = "fails_with_a_file", .export_dir = "./a//b/c/"};

	some_start(&some);
	some_wait(&some);
	assert_some(&some, some.exit_code == 1);
	assert_host_text(place, "a/b/c/" PROGRAM ".fails_with_a_file/f", "text");
}

static void a_failure_replaces_the_one_before(void **state)
{
	struct host_fixture *place = *state;
	struct some some = {
		.place = place, .test = "fails_with_a_file_of_that_name", .export_dir = "exports"};

	some.name = "/first";
	some_start(&some);
	some_wait(&some);
	assert_host_text(place, EXPORT_OF("fails_with_a_file_of_that_name/first"), "text");
	host_dir(place, EXPORT_OF("fails_with_a_file_of_that_name/directory"));
	host_text(place, EXPORT_OF("fails_with_a_file_of_that_name/directory/file"), "text");
	some.name = "/second";
	some_start(&some);
	some_wait(&some);
	assert_host_text(place, EXPORT_OF("fails_with_a_file_of_that_name/second"), "text");
	assert_int_equal(count_names(place, EXPORT_OF("fails_with_a_file_of_that_name")), 1);
	assert_int_equal(count_names(place, "exports"), 1);
}

static void a_link_in_the_place_is_replaced_and_not_followed(void **state)
{
	struct host_fixture *place = *state;
	char target[PATH_MAX];

	host_dir(place, "precious");
	host_text(place, "precious/file", "text");
	(void)snprintf(target, sizeof(target), "%s", at(place, "precious"));
	host_dir(place, "exports");
	assert_int_equal(symlink(target, at(place, EXPORT_OF("fails_with_a_file"))), 0);
	assert_int_equal(run_some(place, "fails_with_a_file")->exit_code, 1);
	assert_host_text(place, EXPORT_OF("fails_with_a_file/f"), "text");
	assert_host_text(place, "precious/file", "text");
	assert_int_equal(count_names(place, "precious"), 1);
}

/* Nobody waits for the file that is held, for which 30 seconds would be the time. */
static void what_is_held_for_writing_is_named_and_left_out(void **state)
{
	struct host_fixture *place = *state;
	struct some *some = run_some(place, "fails_with_handles_open");

	assert_some(some, some->exit_code == 1);
	assert_some(some, strstr(some->err, "/held is left out: it is held for writing") != NULL);
	assert_some(some, strstr(some->err, "files: 3, left out: 1") != NULL);
	assert_host_text(place, EXPORT_OF("fails_with_handles_open/read"), "read");
	assert_host_text(place, EXPORT_OF("fails_with_handles_open/shared"), "shared");
	assert_host_text(place, EXPORT_OF("fails_with_handles_open/closed"), "closed");
	assert_int_equal(count_names(place, EXPORT_OF("fails_with_handles_open")), 3);
}

static void threads_that_go_on_do_no_harm(void **state)
{
	struct host_fixture *place = *state;
	struct some *some = run_some(place, "fails_while_threads_go_on");

	assert_some(some, some->exit_code == 1);
	assert_host_text(place, EXPORT_OF("fails_while_threads_go_on/closed"), "closed");
}

/* Twice, so that it is removed once. */
static void a_tree_may_be_deeper_than_the_hosts_paths(void **state)
{
	struct host_fixture *place = *state;

	for (int run = 0; run < 2; run++) {
		struct some *some = run_some(place, "fails_with_a_deep_tree");
		int fd = -1;

		assert_some(some, some->exit_code == 1);
		assert_some(some, strstr(some->err, "files: 1, left out: 0") != NULL);
		fd = open(at(place, EXPORT_OF("fails_with_a_deep_tree")), O_DIRECTORY | O_CLOEXEC);
		for (int level = 0; level < 600; level++) {
			int below = openat(fd, "directory", O_DIRECTORY | O_CLOEXEC);

			assert_true(below >= 0);
			assert_int_equal(close(fd), 0);
			fd = below;
		}
		assert_int_equal(faccessat(fd, "f", R_OK, 0), 0);
		assert_int_equal(close(fd), 0);
		assert_int_equal(count_names(place, "exports"), 1);
	}
}

static void names_are_made_safe_for_the_host(void **state)
{
	struct host_fixture *place = *state;
	struct some some = {.place = place,
						.test = "fails_with_a_file",
						.program = "/some where/.the:program*",
						.export_dir = "."};

	some_start(&some);
	some_wait(&some);
	assert_some(&some, some.exit_code == 1);
	assert_host_text(place, "_the_program_.fails_with_a_file/f", "text");
}

/* Eight processes fail in the same test at the same time: one export is left, and it is whole. */
static void processes_side_by_side_leave_one_whole_export(void **state)
{
	static struct some some[8];
	struct host_fixture *place = *state;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < (int)COUNT_OF(some); i++) {
			some[i] = (struct some){
				.place = place, .test = "fails_with_a_tree", .export_dir = "exports", .number = i};
			some_start(&some[i]);
		}
		for (size_t i = 0; i < COUNT_OF(some); i++) {
			some_wait(&some[i]);
			assert_some(&some[i], some[i].exit_code == 1);
			assert_some(&some[i],
						strstr(some[i].err, PROGRAM ".fails_with_a_tree (files: 5") != NULL);
		}
		assert_int_equal(count_names(place, "exports"), 1);
		assert_int_equal(count_names(place, EXPORT_OF("fails_with_a_tree")), 5);
		assert_host_text(place, EXPORT_OF("fails_with_a_tree/directory/file"), "in a directory");
	}
}

static void an_export_that_cannot_be_is_reported(void **state)
{
	struct host_fixture *place = *state;
	struct some *some = NULL;

	host_text(place, "exports", "a file");
	some = run_some(place, "fails_with_a_tree");
	assert_some(some, some->exit_code == 1);
	assert_some(some, strstr(some->err, "Not a directory") != NULL);
	assert_some(some, strstr(some->err, "FAILED") != NULL);
	assert_host_text(place, "exports", "a file");
}

/* What the component prints is apart from what a program reads. */
static void other_formats_of_output_stay_whole(void **state)
{
	static const char *const formats[] = {"TAP", "XML", "SUBUNIT"};
	struct host_fixture *place = *state;

	for (size_t i = 0; i < COUNT_OF(formats); i++) {
		struct some some = {.place = place,
							.test = "fails_with_handles_open",
							.export_dir = "exports",
							.output = formats[i]};

		some_start(&some);
		some_wait(&some);
		assert_some(&some, some.exit_code == 1);
		assert_some(&some, strstr(some.out, "dmemfs:") == NULL);
		assert_some(&some, strstr(some.err, "its workspace is in") != NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_TEST(a_test_that_fails_leaves_its_tree),
		HOST_TEST(a_test_that_passes_leaves_nothing),
		HOST_TEST(a_test_that_is_skipped_leaves_nothing),
		HOST_TEST(a_test_that_crashes_leaves_its_tree),
		HOST_TEST(without_a_directory_it_is_below_the_working_directory),
		HOST_TEST(the_directory_is_made_with_its_parents),
		HOST_TEST(a_failure_replaces_the_one_before),
		HOST_TEST(a_link_in_the_place_is_replaced_and_not_followed),
		HOST_TEST(what_is_held_for_writing_is_named_and_left_out),
		HOST_TEST(threads_that_go_on_do_no_harm),
		HOST_TEST(a_tree_may_be_deeper_than_the_hosts_paths),
		HOST_TEST(names_are_made_safe_for_the_host),
		HOST_TEST(processes_side_by_side_leave_one_whole_export),
		HOST_TEST(an_export_that_cannot_be_is_reported),
		HOST_TEST(other_formats_of_output_stay_whole),
	};

	return cmocka_run_group_tests_name("testing export", tests, NULL, NULL);
}
