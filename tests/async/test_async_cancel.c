/* SPDX-License-Identifier: MIT */
/*
 * Does an operation that is canceled before it begins have no effect, and complete once; and is one
 * that has begun, or is gone, left alone?
 */
#include "async_support.h"

static void check_canceled(const mfs_async_completion *done, int64_t number)
{
	assert_true(done->operation == number);
	assert_code(done->result, MFS_ECANCELED);
	assert_string_equal(done->message, "canceled before it began");
	assert_null(done->output.file);
}

static void one_in_the_queue_is_canceled(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 16);
	struct gate gate;
	mfs_async_completion done;
	int64_t occupied;
	int64_t numbers[3];

	gate_init(&gate);
	occupied = occupy(context, &gate, 0);
	for (int i = 0; i < 3; i++) {
		const char *paths[] = {"/a", "/b", "/c"};

		numbers[i] = accepted(mfs_async_mkdir(context, fs, paths[i], 0, user_of((size_t)i)));
	}
	assert_code(mfs_async_cancel(context, numbers[1]), 0);
	/* At once, before what is ahead of it. */
	done = next_completion(context);
	check_canceled(&done, numbers[1]);
	assert_int_equal(number_of(&done), 1);
	gate_open(&gate);
	assert_true(next_completion(context).operation == occupied);
	assert_true(next_completion(context).operation == numbers[0]);
	assert_true(next_completion(context).operation == numbers[2]);
	assert_true(mfs_exists(fs, "/a"));
	assert_false(mfs_exists(fs, "/b"));
	assert_true(mfs_exists(fs, "/c"));
	gate_destroy(&gate);
	free_context(context);
}

/*
 * Of five operations in one line, those that `canceled` names by a digit are. Another one comes
 * afterwards.
 */
static void check_line(mfs *fs, const char *canceled, const char *left)
{
	mfs_async *context = new_context(1, 1, 16);
	mfs_file *file = open_file(fs, "/f", "wb");
	struct gate gate;
	int64_t numbers[5];

	gate_init(&gate);
	(void)occupy(context, &gate, 0);
	for (size_t i = 0; i < 5; i++) {
		numbers[i] = accepted(mfs_async_write(context, file, &"01234"[i], 1, NULL));
	}
	for (const char *c = canceled; *c != '\0'; c++) {
		mfs_async_completion done;

		assert_code(mfs_async_cancel(context, numbers[*c - '0']), 0);
		done = next_completion(context);
		check_canceled(&done, numbers[*c - '0']);
	}
	accepted(mfs_async_write(context, file, "5", 1, NULL));
	gate_open(&gate);
	for (size_t i = 0; i < 1 + strlen(left); i++) {
		assert_true(next_completion(context).result >= 0);
	}
	assert_code(result_of(context, mfs_async_close(context, file, NULL)), 0);
	assert_text(fs, "/f", left);
	gate_destroy(&gate);
	free_context(context);
}

static void those_behind_one_that_is_canceled_move_up(void **state)
{
	mfs *fs = *state;

	check_line(fs, "0", "12345");
	check_line(fs, "2", "01345");
	check_line(fs, "4", "01235");
	check_line(fs, "01", "2345");
	check_line(fs, "34", "0125");
	check_line(fs, "43", "0125");
	check_line(fs, "40", "1235");
	check_line(fs, "123", "045");
	check_line(fs, "01234", "5");
}

static void one_that_has_begun_is_left_alone(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 16);
	struct gate gate;
	int64_t number;

	gate_init(&gate);
	number = occupy(context, &gate, 0);
	assert_refused(fs, mfs_async_cancel(context, number), MFS_EBUSY);
	gate_open(&gate);
	assert_code(result_of(context, number), 0);
	gate_destroy(&gate);
	free_context(context);
}

static void one_that_is_gone_is_recognised(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 1);
	struct gate gate;
	int64_t old = accepted(mfs_async_mkdir(context, fs, "/d", 0, NULL));
	int64_t number;
	mfs_async_completion done;

	gate_init(&gate);
	/* Collected, and its slot in use again. */
	assert_code(result_of(context, old), 0);
	assert_refused(fs, mfs_async_cancel(context, old), MFS_ENOENT);
	number = occupy(context, &gate, 0);
	assert_refused(fs, mfs_async_cancel(context, old), MFS_ENOENT);
	gate_open(&gate);
	assert_code(result_of(context, number), 0);
	/* Completed, and not collected. */
	number = complete_mkdir(context, fs, "/e");
	assert_refused(fs, mfs_async_cancel(context, number), MFS_ENOENT);
	done = next_completion(context);
	assert_true(done.operation == number);
	assert_code(done.result, 0);
	/* Never was. */
	assert_refused(fs, mfs_async_cancel(context, 0), MFS_ENOENT);
	assert_refused(fs, mfs_async_cancel(context, -5), MFS_ENOENT);
	assert_refused(fs, mfs_async_cancel(context, INT64_MAX), MFS_ENOENT);
	assert_refused(fs, mfs_async_cancel(context, number + 1), MFS_ENOENT);
	gate_destroy(&gate);
	free_context(context);
}

static void one_that_is_canceled_completes_once(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 16);
	struct gate gate;
	int64_t number;
	mfs_async_completion done[2];

	gate_init(&gate);
	(void)occupy(context, &gate, 0);
	number = accepted(mfs_async_mkdir(context, fs, "/d", 0, NULL));
	assert_code(mfs_async_cancel(context, number), 0);
	assert_refused(fs, mfs_async_cancel(context, number), MFS_ENOENT);
	assert_code(mfs_async_collect(context, done, 2), 1);
	check_canceled(&done[0], number);
	gate_open(&gate);
	assert_code(next_completion(context).result, 0);
	gate_destroy(&gate);
	free_context(context);
}

static void an_open_that_queues_for_a_thread_to_wait_is_canceled(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 16);
	mfs_file *holder = open_file(fs, "/f", "wb");
	struct gate gate;

	gate_init(&gate);
	(void)occupy(context, &gate, MFS_ASYNC_MAY_WAIT);
	/* Several times, for what the thread that looks at the clock may be at. */
	for (int i = 0; i < 20; i++) {
		mfs_open_options options = {.lock_timeout = 5};
		mfs_async_completion done;
		int64_t canceled = accepted(mfs_async_open(context, fs, "/f", "rb", &options, NULL));
		int64_t later;

		options.lock_timeout = 10;
		later = accepted(mfs_async_open(context, fs, "/f", "rb", &options, NULL));
		if (mfs_async_cancel(context, canceled) == 0) {
			done = next_completion(context);
			check_canceled(&done, canceled);
		} else {
			assert_code(next_completion(context).result, MFS_ETIMEDOUT);
		}
		/* Its time is over all the same. */
		assert_code(result_of(context, later), MFS_ETIMEDOUT);
		/* Alone, when what was to be looked for is gone. */
		canceled = accepted(mfs_async_open(context, fs, "/f", "rb", &options, NULL));
		if (mfs_async_cancel(context, canceled) == MFS_EBUSY) {
			AWAIT(mfs_async_cancel(context, canceled) != MFS_EBUSY);
		}
		(void)next_completion(context);
	}
	gate_open(&gate);
	assert_code(next_completion(context).result, 0);
	close_file(holder);
	gate_destroy(&gate);
	free_context(context);
}

/* A thread that cancels what the main thread begins, and workers that begin it: one of them wins.
 */
enum { RACES = 5000 };

struct canceler {
	mfs_async *context;
	_Atomic int64_t numbers[RACES]; /* written by the main thread, 0 until then */
	size_t canceled;                /* once joined */
	size_t other;
};

static void *cancel_each(void *argument)
{
	struct canceler *canceler = argument;

	for (size_t i = 0; i < RACES; i++) {
		int64_t number;
		int code;

		while ((number = atomic_load(&canceler->numbers[i])) == 0) {
			sched_yield();
		}
		code = mfs_async_cancel(canceler->context, number);
		canceler->canceled += code == 0;
		canceler->other += code != 0 && code != MFS_EBUSY && code != MFS_ENOENT;
	}
	return NULL;
}

static int64_t count_run(void *argument)
{
	(void)atomic_fetch_add((_Atomic size_t *)argument, 1);
	return 0;
}

static void either_it_is_canceled_or_it_runs(void **state)
{
	mfs_async *context = new_context(2, 2, RACES);
	struct canceler *canceler = allocate(sizeof(*canceler));
	_Atomic size_t runs = 0;
	size_t canceled = 0;
	pthread_t thread;

	(void)state;
	canceler->context = context;
	thread = start_thread(cancel_each, canceler);
	for (size_t i = 0; i < RACES; i++) {
		unsigned flags = i % 2 ? MFS_ASYNC_MAY_WAIT : 0;

		atomic_store(&canceler->numbers[i],
					 accepted(mfs_async_call(context, count_run, (void *)&runs, flags, NULL)));
	}
	for (size_t i = 0; i < RACES; i++) {
		canceled += next_completion(context).result == MFS_ECANCELED;
	}
	join_thread(thread);
	assert_int_equal(canceler->other, 0);
	assert_int_equal(canceler->canceled, canceled);
	assert_int_equal(runs + canceled, RACES);
	free(canceler);
	free_context(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(one_in_the_queue_is_canceled),
		WORKSPACE_TEST(those_behind_one_that_is_canceled_move_up),
		WORKSPACE_TEST(one_that_has_begun_is_left_alone),
		WORKSPACE_TEST(one_that_is_gone_is_recognised),
		WORKSPACE_TEST(one_that_is_canceled_completes_once),
		WORKSPACE_TEST(an_open_that_queues_for_a_thread_to_wait_is_canceled),
		cmocka_unit_test(either_it_is_canceled_or_it_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
