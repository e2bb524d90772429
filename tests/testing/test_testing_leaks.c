/* SPDX-License-Identifier: MIT */
/*
 * Which workspace does a test get, and does the test fail for all that it leaves open or charged?
 */
#include "run_some.h"

static void each_test_has_its_quota(void **state)
{
	static const char *const tests[] = {"has_a_quota_of_1_mib", "has_the_quota_of_its_options",
										"passes_and_leaves_files"};

	for (size_t i = 0; i < COUNT_OF(tests); i++) {
		struct some *some = run_some(*state, tests[i]);

		assert_some(some, some->exit_code == 0);
		assert_some(some, strstr(some->out, " 1 test(s) run") != NULL);
	}
}

static void options_that_are_none_are_reported_and_the_test_is_not_run(void **state)
{
	struct some *some = run_some(*state, "never_runs");

	assert_some(some, some->exit_code == 1);
	assert_some(some, strstr(some->err, "never_runs has no workspace: ") != NULL);
	assert_some(some, strstr(some->err, "it ran") == NULL);
	assert_false(host_exists(*state, "exports"));
}

static void what_is_left_open_fails_the_test(void **state)
{
	static const struct {
		const char *test;
		const char *message;
	} cases[] = {
		{"leaves_a_handle", "leaves 1 open"},
		{"leaves_a_handle_on_a_removed_file", "leaves 1 open"},
		{"leaves_an_iterator", "leaves 1 open"},
		{"leaves_an_import", "leaves 1 open"},
		{"leaves_a_reservation", "leaves a reservation"},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct some *some = run_some(*state, cases[i].test);
		char export[PATH_MAX];

		assert_some(some, some->exit_code == 1);
		assert_some(some, strstr(some->err, cases[i].message) != NULL);
		(void)snprintf(export, sizeof(export), "exports/" PROGRAM ".%s", cases[i].test);
		assert_true(host_exists(*state, export));
	}
	assert_host_text(*state, "exports/" PROGRAM ".leaves_a_handle/f", "text");
}

/* It shows only when the workspace is freed, and then everything has been removed. */
static void a_reservation_that_is_used_up_fails_the_test(void **state)
{
	struct some *some = run_some(*state, "leaves_a_reservation_that_is_used_up");

	assert_some(some, some->exit_code == 1);
	assert_some(some, strstr(some->err, "leaves something open") != NULL);
}

static void quota_that_does_not_come_back_fails_the_test(void **state)
{
	struct some *some = run_some(*state, "loses_quota");

	assert_some(some, some->exit_code == 1);
	assert_some(some, strstr(some->err, "64 bytes, 0 files and 0 directories") != NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_TEST(each_test_has_its_quota),
		HOST_TEST(options_that_are_none_are_reported_and_the_test_is_not_run),
		HOST_TEST(what_is_left_open_fails_the_test),
		HOST_TEST(a_reservation_that_is_used_up_fails_the_test),
		HOST_TEST(quota_that_does_not_come_back_fails_the_test),
	};

	return cmocka_run_group_tests_name("testing leaks", tests, NULL, NULL);
}
