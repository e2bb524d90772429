/* SPDX-License-Identifier: MIT */
/* Are as many operations accepted as there is capacity for, to the one, and is collecting what
 * makes room? */
#include "async_support.h"

enum { CAPACITY = 4 };

static void one_more_than_the_capacity_is_refused(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, CAPACITY);
	struct gate gate;
	mfs_async_completion done;

	gate_init(&gate);
	(void)occupy(context, &gate, 0);
	for (int i = 1; i < CAPACITY; i++) {
		accepted(
			mfs_async_mkdir(context, fs, i == CAPACITY - 1 ? "/last" : "/d", MFS_EXIST_OK, NULL));
	}
	assert_refused(fs, mfs_async_mkdir(context, fs, "/refused", 0, NULL), MFS_EAGAIN);
	assert_code(mfs_async_pending(context), CAPACITY);
	gate_open(&gate);
	/* None is collected. */
	AWAIT(mfs_exists(fs, "/last"));
	assert_refused(fs, mfs_async_mkdir(context, fs, "/refused", 0, NULL), MFS_EAGAIN);
	/* Room for exactly one. */
	assert_code(mfs_async_wait(context, &done, 1, HANG_MS), 1);
	accepted(mfs_async_mkdir(context, fs, "/accepted", 0, NULL));
	assert_refused(fs, mfs_async_mkdir(context, fs, "/refused", 0, NULL), MFS_EAGAIN);
	for (int i = 0; i < CAPACITY; i++) {
		assert_code(next_completion(context).result, 0);
	}
	assert_false(mfs_exists(fs, "/refused"));
	assert_true(mfs_exists(fs, "/accepted"));
	gate_destroy(&gate);
	free_context(context);
}

static void a_refused_operation_leaves_the_line_of_its_handle_alone(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 2);
	mfs_file *file = open_file(fs, "/f", "wb");
	struct gate gate;

	gate_init(&gate);
	(void)occupy(context, &gate, 0);
	accepted(mfs_async_write(context, file, "a", 1, NULL));
	assert_refused(fs, mfs_async_write(context, file, "b", 1, NULL), MFS_EAGAIN);
	gate_open(&gate);
	assert_code(next_completion(context).result, 0);
	assert_code(next_completion(context).result, 1);
	assert_code(result_of(context, mfs_async_write(context, file, "c", 1, NULL)), 1);
	assert_code(result_of(context, mfs_async_close(context, file, NULL)), 0);
	assert_text(fs, "/f", "ac");
	gate_destroy(&gate);
	free_context(context);
}

static void one_that_is_canceled_takes_room_until_it_is_collected(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 2);
	struct gate gate;
	int64_t number;

	gate_init(&gate);
	(void)occupy(context, &gate, 0);
	number = accepted(mfs_async_mkdir(context, fs, "/d", 0, NULL));
	assert_code(mfs_async_cancel(context, number), 0);
	assert_refused(fs, mfs_async_mkdir(context, fs, "/d", 0, NULL), MFS_EAGAIN);
	assert_code(next_completion(context).result, MFS_ECANCELED);
	number = accepted(mfs_async_mkdir(context, fs, "/d", 0, NULL));
	gate_open(&gate);
	assert_code(next_completion(context).result, 0);
	assert_true(next_completion(context).operation == number);
	gate_destroy(&gate);
	free_context(context);
}

/* Threads that begin and collect at the same time, each as often as it can. */
enum { THREADS = 3, EACH = 2000 };

struct user {
	mfs_async *context;
	mfs *fs;
	size_t accepted; /* once joined, as the rest */
	size_t collected;
	size_t failed;
	pthread_t thread;
};

static void *begin_and_collect(void *argument)
{
	struct user *user = argument;

	while (user->accepted < EACH || user->collected < EACH) {
		mfs_async_completion done;
		int64_t number = MFS_EAGAIN;
		int64_t count;

		if (user->accepted < EACH) {
			number = mfs_async_mkdir(user->context, user->fs, "/d", MFS_EXIST_OK, NULL);
		}
		user->accepted += number > 0;
		user->failed += number < 0 && number != MFS_EAGAIN;
		count = user->collected < EACH ? mfs_async_collect(user->context, &done, 1) : 0;
		user->collected += count == 1;
		user->failed += count < 0 || (count == 1 && done.result != 0);
		if (number < 0 && count == 0) {
			sched_yield();
		}
	}
	return NULL;
}

static void threads_share_the_capacity(void **state)
{
	struct user users[THREADS];
	mfs_async *context = new_context(2, 1, CAPACITY);

	for (int i = 0; i < THREADS; i++) {
		users[i] = (struct user){.context = context, .fs = *state};
		users[i].thread = start_thread(begin_and_collect, &users[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		join_thread(users[i].thread);
		assert_int_equal(users[i].failed, 0);
	}
	free_context(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(one_more_than_the_capacity_is_refused),
		WORKSPACE_TEST(a_refused_operation_leaves_the_line_of_its_handle_alone),
		WORKSPACE_TEST(one_that_is_canceled_takes_room_until_it_is_collected),
		WORKSPACE_TEST(threads_share_the_capacity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
