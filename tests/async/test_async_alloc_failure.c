/* SPDX-License-Identifier: MIT */
/*
 * Does a call that runs out of memory, at whichever allocation, or of threads, leave everything as
 * it was?
 */
#include "async_support.h"
#include "failing_malloc.h"

#include <sys/resource.h>

static void a_context_is_made_whole_or_not_at_all(void **state)
{
	long successes = 0;
	mfs_async *context = NULL;

	for (bool met = true; met; successes++) {
		int code;

		failing_malloc_after(successes);
		code = mfs_async_new(NULL, &context);
		met = failing_malloc_met();
		failing_malloc_after(-1);
		assert_code(code, met ? MFS_ENOMEM : 0);
		if (met) {
			assert_null(context);
			assert_string_not_equal(mfs_last_error(), "");
		}
	}
	/* The operations, their messages, the lines, two crews and the context itself. */
	assert_true(successes > 6);
	(void)state;
	free_context(context);
}

/* Operations that copy what they are passed. */
static int64_t begin_mkdir(mfs_async *context, mfs *fs)
{
	return mfs_async_mkdir(context, fs, "/made", 0, NULL);
}

static int64_t begin_rename(mfs_async *context, mfs *fs)
{
	return mfs_async_rename(context, fs, "/old", "/new", 0, NULL);
}

static int64_t begin_open(mfs_async *context, mfs *fs)
{
	mfs_open_options options = {.preallocate = 10};

	return mfs_async_open(context, fs, "/opened", "wb", &options, NULL);
}

/* Set by the test: what vectors are about. */
static mfs_file *vector_file;

static int64_t begin_writev(mfs_async *context, mfs *fs)
{
	struct iovec vector = {(void *)"v", 1};

	(void)fs;
	return mfs_async_writev(context, vector_file, &vector, 1, NULL);
}

static void an_operation_is_accepted_whole_or_not_at_all(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 4);
	int64_t (*const begin[])(mfs_async *, mfs *) = {begin_mkdir, begin_rename, begin_open,
													begin_writev};

	make_text(fs, "/old", "text");
	vector_file = open_file(fs, "/vector", "wb");
	for (size_t i = 0; i < COUNT_OF(begin); i++) {
		mfs_async_completion done;

		failing_malloc_after(0);
		assert_refused(fs, begin[i](context, fs), MFS_ENOMEM);
		assert_true(failing_malloc_met());
		assert_code(mfs_async_pending(context), 0);
		/* One allocation is all that it takes. */
		failing_malloc_after(1);
		done = completion_of(context, begin[i](context, fs));
		assert_false(failing_malloc_met());
		failing_malloc_after(-1);
		assert_true(done.result >= 0);
		if (done.output.file != NULL) {
			close_file(done.output.file);
		}
	}
	close_file(vector_file);
	free_context(context);
}

static void an_operation_without_copies_allocates_nothing(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(2, 2, 64);
	mfs_file *file = open_file(fs, "/f", "w+b");

	failing_malloc_after(0);
	for (int i = 0; i < 50; i++) {
		accepted(mfs_async_pwrite(context, file, "x", 1, i, NULL));
	}
	/* Failures too, whose messages have room. */
	accepted(mfs_async_pwrite(context, file, "x", 1, -1, NULL));
	for (int i = 0; i < 51; i++) {
		assert_code(next_completion(context).result, i < 50 ? 1 : MFS_EINVAL);
	}
	assert_true(mfs_async_fd(context) >= 0);
	assert_false(failing_malloc_met());
	failing_malloc_after(-1);
	close_file(file);
	free_context(context);
}

/* Lets the process have `more` bytes of addresses than it has. Returns the limit to go back to. */
static struct rlimit limit_addresses(size_t more)
{
	struct rlimit before;
	struct rlimit limit;
	unsigned long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "re");

	assert_non_null(statm);
	assert_int_equal(fscanf(statm, "%lu", &pages), 1);
	assert_int_equal(fclose(statm), 0);
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	limit = before;
	limit.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + more;
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	return before;
}

static void a_context_without_its_threads_is_not_made(void **state)
{
	const size_t stack = (size_t)1 << 30;
	mfs_async_options options = {.workers = 8, .stack_size = stack};
	mfs_async *context = NULL;
	struct rlimit before;
	int code;

	(void)state;
	if (SANITIZED) {
		print_message("skipped: a sanitizer needs the addresses that this takes away\n");
		skip();
	}
	/* Enough for some of them. */
	before = limit_addresses(stack * 3 + stack / 2);
	code = mfs_async_new(&options, &context);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	assert_code(code, MFS_ENOMEM);
	assert_string_equal(mfs_last_error(), "mfs_async_new: a thread could not be started");
	assert_null(context);
	assert_code(mfs_async_new(&options, &context), 0);
	free_context(context);
}

static void one_thread_that_waits_is_enough_to_go_on(void **state)
{
	const size_t stack = (size_t)1 << 30;
	mfs_async_options options = {.workers = 1, .stack_size = stack};
	mfs_async *context = NULL;
	struct gate gate;
	struct rlimit before;

	(void)state;
	if (SANITIZED) {
		print_message("skipped: a sanitizer needs the addresses that this takes away\n");
		skip();
	}
	assert_code(mfs_async_new(&options, &context), 0);
	gate_init(&gate);
	before = limit_addresses(stack / 2);
	(void)occupy(context, &gate, MFS_ASYNC_MAY_WAIT);
	for (int i = 0; i < 3; i++) {
		accepted(mfs_async_call(context, gate_pass, &gate, MFS_ASYNC_MAY_WAIT, NULL));
	}
	gate_open(&gate);
	for (int i = 0; i < 4; i++) {
		assert_code(next_completion(context).result, 0);
	}
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	/* Where there are threads again, there are enough. */
	gate.is_open = false;
	(void)occupy(context, &gate, MFS_ASYNC_MAY_WAIT);
	(void)occupy(context, &gate, MFS_ASYNC_MAY_WAIT);
	gate_open(&gate);
	assert_code(next_completion(context).result, 0);
	assert_code(next_completion(context).result, 0);
	gate_destroy(&gate);
	free_context(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_context_is_made_whole_or_not_at_all),
		WORKSPACE_TEST(an_operation_is_accepted_whole_or_not_at_all),
		WORKSPACE_TEST(an_operation_without_copies_allocates_nothing),
		cmocka_unit_test(a_context_without_its_threads_is_not_made),
		cmocka_unit_test(one_thread_that_waits_is_enough_to_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
