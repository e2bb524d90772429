/* SPDX-License-Identifier: MIT */
/*
 * Does a fixture that runs out of memory say so, and do without?
 */
#include "host_files.h"

#include "dmemfs/testing.h"

#include "failing_malloc.h"

static bool ran;

static void writes_a_file(void **state)
{
	make_dir(*state, "/directory");
	make_text(*state, "/directory/f", "text");
	ran = true;
}

static void a_setup_without_memory_fails_and_leaves_nothing(void **state)
{
	const struct CMUnitTest test = mfs_unit_test(writes_a_file);
	void *of_test = NULL;
	int failed = -1;
	long successes = 0;

	(void)state;
	for (; failed != 0; successes++) {
		of_test = test.initial_state;
		failing_malloc_after(successes);
		failed = test.setup_func(&of_test);
		failing_malloc_after(-1);
		if (failed != 0) {
			assert_ptr_equal(of_test, test.initial_state);
		}
	}
	assert_true(successes > 1);
	ran = false;
	test.test_func(&of_test);
	assert_true(ran);
	assert_int_equal(test.teardown_func(&of_test), 0);
}

static void leaves_a_handle(void **state)
{
	make_dir(*state, "/directory");
	make_text(*state, "/directory/f", "text");
	(void)open_file(*state, "/directory/f", "rb");
}

static void an_export_without_memory_leaves_out_what_it_cannot_write(void **state)
{
	struct host_fixture *place = *state;
	const struct CMUnitTest test = mfs_unit_test(leaves_a_handle);
	const char *file = "test_testing_alloc_failure.leaves_a_handle/directory/f";
	long successes = 0;
	bool met = true;

	assert_int_equal(setenv("MFS_TEST_EXPORT_DIR", place->top, 1), 0);
	for (; met; successes++) {
		void *of_test = test.initial_state;

		assert_int_equal(test.setup_func(&of_test), 0);
		test.test_func(&of_test);
		failing_malloc_after(successes);
		assert_int_equal(test.teardown_func(&of_test), -1);
		met = failing_malloc_met();
		failing_malloc_after(-1);
		assert_int_equal(host_exists(place, file), !met);
	}
	assert_true(successes > 2);
	assert_host_text(place, file, "text");
	assert_int_equal(unsetenv("MFS_TEST_EXPORT_DIR"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_TEST(a_setup_without_memory_fails_and_leaves_nothing),
		HOST_TEST(an_export_without_memory_leaves_out_what_it_cannot_write),
	};

	return cmocka_run_group_tests_name("testing alloc failure", tests, NULL, NULL);
}
