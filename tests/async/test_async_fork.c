/* SPDX-License-Identifier: MIT */
/* Can the child of a fork free the context that it cannot use, whatever the parent was doing? */
#include "async_support.h"

#include <poll.h>
#include <sys/wait.h>

/* Runs a function in a child. Its exit code is 0 if the function returns true. */
static void check_in_child(bool (*check)(mfs *fs, mfs_async *context), mfs *fs, mfs_async *context)
{
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		_exit(check(fs, context) ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static bool is_refused(int64_t code)
{
	return code == MFS_ENOTSUP && strstr(mfs_last_error(), "parent") != NULL;
}

static bool refuses_all_but_free(mfs *fs, mfs_async *context)
{
	mfs_async_completion done;

	return is_refused(mfs_async_mkdir(context, fs, "/child", 0, NULL)) &&
		   is_refused(mfs_async_collect(context, &done, 1)) &&
		   is_refused(mfs_async_wait(context, &done, 1, MFS_WAIT_FOREVER)) &&
		   is_refused(mfs_async_cancel(context, 1)) && is_refused(mfs_async_fd(context)) &&
		   is_refused(mfs_async_pending(context)) &&
		   is_refused(mfs_async_shutdown(context, MFS_ASYNC_CANCEL)) &&
		   mfs_async_free(context) == 0;
}

static void the_child_can_free_and_nothing_else(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(2, 2, 16);
	mfs_async *second = new_context(1, 1, 16);
	struct pollfd watched = {.fd = mfs_async_fd(context), .events = POLLIN};
	int64_t number = complete_mkdir(context, fs, "/d");

	check_in_child(refuses_all_but_free, fs, context);
	check_in_child(refuses_all_but_free, fs, second);
	/* To the parent, nothing has happened: the descriptors are one and the same. */
	assert_int_equal(poll(&watched, 1, (int)HANG_MS), 1);
	(void)completion_of(context, number);
	assert_int_equal(poll(&watched, 1, 0), 0);
	free_context(second);
	free_context(context);
}

static bool frees(mfs *fs, mfs_async *context)
{
	(void)fs;
	return mfs_async_free(context) == 0;
}

static void what_queues_and_waits_is_freed_in_the_child(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 64);
	struct gate gate;
	struct gate waiting;

	gate_init(&gate);
	gate_init(&waiting);
	(void)occupy(context, &gate, 0);
	(void)occupy(context, &waiting, MFS_ASYNC_MAY_WAIT);
	for (int i = 0; i < 5; i++) {
		/* Each has a copy of its paths. */
		accepted(mfs_async_mkdir(context, fs, "/d", MFS_EXIST_OK, NULL));
		accepted(mfs_async_copy(context, fs, "/none", "/other", NULL));
	}
	check_in_child(frees, fs, context);
	gate_open(&gate);
	gate_open(&waiting);
	for (int i = 0; i < 12; i++) {
		(void)next_completion(context);
	}
	gate_destroy(&gate);
	gate_destroy(&waiting);
	free_context(context);
}

static bool starts_its_own(mfs *fs, mfs_async *context)
{
	mfs_async_completion done;
	mfs_async *own = NULL;

	return mfs_async_free(context) == 0 && mfs_async_new(NULL, &own) == 0 &&
		   mfs_async_mkdir(own, fs, "/own", 0, NULL) > 0 &&
		   mfs_async_wait(own, &done, 1, HANG_MS) == 1 && done.result == 0 &&
		   mfs_exists(fs, "/own") && mfs_async_free(own) == 0;
}

static void the_child_may_have_a_context_of_its_own(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(2, 2, 16);

	check_in_child(starts_its_own, fs, context);
	assert_false(mfs_exists(fs, "/own"));
	free_context(context);
}

/* A thread that keeps a context as busy as it can. */
struct busy {
	mfs *fs;
	mfs_async *context;
	_Atomic bool stop;
	size_t begun; /* once joined */
	size_t collected;
};

static void *keep_busy(void *argument)
{
	struct busy *busy = argument;
	mfs_async_completion done[8];

	while (!atomic_load(&busy->stop) || busy->collected < busy->begun) {
		int64_t count;

		if (!atomic_load(&busy->stop)) {
			busy->begun += mfs_async_mkdir(busy->context, busy->fs, "/d", MFS_EXIST_OK, NULL) > 0;
			busy->begun += mfs_async_copy(busy->context, busy->fs, "/none", "/other", NULL) > 0;
		}
		count = mfs_async_collect(busy->context, done, 8);
		busy->collected += count > 0 ? (size_t)count : 0;
	}
	return NULL;
}

static void a_fork_may_come_at_any_time(void **state)
{
	enum { FORKS = 30 };
	struct busy busy = {.fs = *state};
	pthread_t thread;

	if (SANITIZED) {
		print_message("skipped: a sanitizer's allocator may be locked in the child\n");
		skip();
	}
	busy.context = new_context(3, 3, 64);
	thread = start_thread(keep_busy, &busy);
	for (int i = 0; i < FORKS; i++) {
		check_in_child(i % 2 ? frees : starts_its_own, busy.fs, busy.context);
	}
	atomic_store(&busy.stop, true);
	join_thread(thread);
	assert_int_equal(busy.begun, busy.collected);
	free_context(busy.context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(the_child_can_free_and_nothing_else),
		WORKSPACE_TEST(what_queues_and_waits_is_freed_in_the_child),
		WORKSPACE_TEST(the_child_may_have_a_context_of_its_own),
		WORKSPACE_TEST(a_fork_may_come_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
