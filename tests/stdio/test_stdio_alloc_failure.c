/* SPDX-License-Identifier: MIT */
/*
 * Does an open that runs out of memory leave the file, and the handle, as they were?
 */
#include "support.h"

#include <errno.h>

#include "dmemfs/stdio.h"

#include "failing_malloc.h"

static void assert_refused_for_memory(mfs *fs, const FILE *f)
{
	assert_null(f);
	assert_int_equal(errno, ENOMEM);
	assert_non_null(strstr(mfs_last_error(), mfs_strerror(MFS_ENOMEM)));
	support__check_message("open", __FILE__, __LINE__);
	assert_text(fs, "/f", "text");
	assert_false(mfs_exists(fs, "/new"));
}

static void an_open_without_memory_touches_nothing(void **state)
{
	static const struct {
		const char *path;
		const char *mode;
	} cases[] = {{"/f", "r"},  {"/f", "w"},    {"/f", "a"},    {"/f", "r+"},
				 {"/f", "w+"}, {"/new", "wx"}, {"/new", "ax"}, {"/new", "a+"}};
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		FILE *f = NULL;
		long successes = 0;

		make_text(fs, "/f", "text");
		support__mark_last_error(fs);
		for (; f == NULL; successes++) {
			errno = 0;
			failing_malloc_after(successes);
			f = mfs_fopen(fs, cases[i].path, cases[i].mode);
			failing_malloc_after(-1);
			if (f == NULL) {
				assert_refused_for_memory(fs, f);
				assert_code(usage_of(fs).open_handles, 0);
			}
		}
		assert_true(successes > 1);
		assert_int_equal(fclose(f), 0);
		if (mfs_exists(fs, "/new")) {
			assert_code(mfs_remove(fs, "/new"), 0);
		}
	}
}

static void a_handle_stays_the_callers_without_memory(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;
	FILE *f = NULL;
	long successes = 0;

	make_text(fs, "/f", "text");
	file = open_shared(fs, "/f", "r+b");
	assert_code(mfs_seek(file, 2, SEEK_SET), 2);
	support__mark_last_error(fs);
	for (; f == NULL; successes++) {
		errno = 0;
		failing_malloc_after(successes);
		f = mfs_fdopen(file, "a");
		failing_malloc_after(-1);
		if (f == NULL) {
			assert_int_equal(mfs_tell(file), 2);
			assert_refused_for_memory(fs, f);
		}
	}
	assert_true(successes > 1);
	assert_int_equal(fclose(f), 0);
	assert_code(usage_of(fs).open_handles, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(an_open_without_memory_touches_nothing),
		WORKSPACE_TEST(a_handle_stays_the_callers_without_memory),
	};

	return cmocka_run_group_tests_name("stdio alloc failure", tests, NULL, NULL);
}
