/* SPDX-License-Identifier: MIT */
/*
 * Does a context that is shut down complete everything that it accepted, so that no result is lost
 * and no handle stays open, and accept nothing else?
 */
#include "async_support.h"

enum { IN_FLIGHT = 1000 };

/* What became of operations. */
struct tally {
	size_t succeeded;
	size_t canceled;
	size_t failed;
	size_t opened;
};

/* Collects everything as the header shows, closing what was opened. */
static struct tally collect_rest(mfs_async *context)
{
	struct tally tally = {0};
	mfs_async_completion done[32];
	int64_t count;

	while ((count = mfs_async_wait(context, done, COUNT_OF(done), HANG_MS)) > 0) {
		for (int64_t i = 0; i < count; i++) {
			tally.succeeded += done[i].result >= 0;
			tally.canceled += done[i].result == MFS_ECANCELED;
			tally.failed += done[i].result < 0 && done[i].result != MFS_ECANCELED;
			if (done[i].output.file != NULL) {
				tally.opened++;
				close_file(done[i].output.file);
			}
		}
	}
	assert_code(count, 0);
	return tally;
}

/* A thousand operations: opens, writes and closes, some of them of handles that were open before.
 */
static void begin_many(mfs_async *context, mfs *fs, size_t *closes)
{
	*closes = 0;
	for (size_t i = 0; i < IN_FLIGHT;) {
		char path[16];
		mfs_file *file;

		(void)snprintf(path, sizeof(path), "/%zu", i);
		file = open_file(fs, path, "wb");
		accepted(mfs_async_write(context, file, "x", 1, NULL));
		accepted(mfs_async_close(context, file, NULL));
		(*closes)++;
		(void)snprintf(path, sizeof(path), "/new%zu", i);
		accepted(mfs_async_open(context, fs, path, "wb", NULL, NULL));
		accepted(mfs_async_mkdir(context, fs, "/d", MFS_EXIST_OK, NULL));
		i += 4;
	}
}

static void what_was_accepted_is_drained(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(4, 4, IN_FLIGHT);
	size_t closes;
	struct tally tally;

	begin_many(context, fs, &closes);
	assert_code(mfs_async_shutdown(context, MFS_ASYNC_DRAIN), 0);
	tally = collect_rest(context);
	assert_int_equal(tally.succeeded, IN_FLIGHT);
	assert_int_equal(tally.opened, IN_FLIGHT / 4);
	assert_int_equal(usage_of(fs).open_handles, 0);
	free_context(context);
}

static void what_has_not_begun_is_canceled_but_closes(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, IN_FLIGHT + 1);
	struct gate gate;
	size_t closes;
	struct tally tally;

	gate_init(&gate);
	(void)occupy(context, &gate, 0);
	begin_many(context, fs, &closes);
	assert_code(mfs_async_shutdown(context, MFS_ASYNC_CANCEL), 0);
	gate_open(&gate);
	tally = collect_rest(context);
	/* With the function at the gate, which had begun. */
	assert_int_equal(tally.succeeded, closes + 1);
	assert_int_equal(tally.canceled, IN_FLIGHT - closes);
	assert_int_equal(tally.failed, 0);
	assert_int_equal(usage_of(fs).open_handles, 0);
	assert_false(mfs_exists(fs, "/d"));
	gate_destroy(&gate);
	free_context(context);
}

static void nothing_is_lost_when_workers_are_at_it(void **state)
{
	mfs *fs = *state;

	for (int round = 0; round < 5; round++) {
		mfs_async *context = new_context(4, 4, IN_FLIGHT);
		size_t closes;
		struct tally tally;

		begin_many(context, fs, &closes);
		assert_code(mfs_async_shutdown(context, MFS_ASYNC_CANCEL), 0);
		tally = collect_rest(context);
		assert_int_equal(tally.succeeded + tally.canceled, IN_FLIGHT);
		assert_int_equal(usage_of(fs).open_handles, 0);
		free_context(context);
	}
}

static void opens_that_wait_for_a_lock_complete(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(2, 2, IN_FLIGHT);
	mfs_file *holder = open_file(fs, "/f", "wb");
	mfs_open_options options = {.lock_timeout = 50};
	struct tally tally;

	for (int i = 0; i < 10; i++) {
		accepted(mfs_async_open(context, fs, "/f", "wb", &options, NULL));
	}
	assert_code(mfs_async_shutdown(context, MFS_ASYNC_CANCEL), 0);
	/* The lock is not given back: those that wait do so until their time is over. */
	tally = collect_rest(context);
	assert_int_equal(tally.canceled + tally.failed, 10);
	assert_true(tally.canceled >= 8);
	close_file(holder);
	free_context(context);
}

static void a_handle_that_is_opened_late_is_delivered(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, IN_FLIGHT);
	mfs_file *holder = open_file(fs, "/f", "wb");
	mfs_open_options options = {.lock_timeout = MFS_WAIT_FOREVER};
	struct tally tally;

	accepted(mfs_async_open(context, fs, "/f", "wb", &options, NULL));
	assert_code(mfs_async_shutdown(context, MFS_ASYNC_DRAIN), 0);
	close_file(holder);
	tally = collect_rest(context);
	assert_int_equal(tally.opened, 1);
	free_context(context);
}

static void nothing_is_accepted_any_more(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 8);
	mfs_async_completion done;

	assert_code(mfs_async_shutdown(context, MFS_ASYNC_DRAIN), 0);
	assert_refused(fs, mfs_async_mkdir(context, fs, "/d", 0, NULL), MFS_ECANCELED);
	assert_code(mfs_async_pending(context), 0);
	assert_code(mfs_async_wait(context, &done, 1, MFS_WAIT_FOREVER), 0);
	assert_code(mfs_async_collect(context, &done, 1), 0);
	free_context(context);
}

static void what_drains_may_still_be_canceled(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 8);
	struct gate gate;
	struct tally tally;

	gate_init(&gate);
	(void)occupy(context, &gate, 0);
	accepted(mfs_async_mkdir(context, fs, "/d", 0, NULL));
	assert_code(mfs_async_shutdown(context, MFS_ASYNC_DRAIN), 0);
	assert_code(mfs_async_shutdown(context, MFS_ASYNC_CANCEL), 0);
	gate_open(&gate);
	tally = collect_rest(context);
	assert_int_equal(tally.canceled, 1);
	assert_int_equal(tally.succeeded, 1);
	gate_destroy(&gate);
	free_context(context);
}

static void a_context_is_not_freed_before_all_is_collected(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 8);
	struct gate gate;

	gate_init(&gate);
	(void)occupy(context, &gate, 0);
	assert_refused(fs, mfs_async_free(context), MFS_EBUSY);
	gate_open(&gate);
	assert_code(next_completion(context).result, 0);
	/* It was as it is: */
	(void)complete_mkdir(context, fs, "/d");
	assert_refused(fs, mfs_async_free(context), MFS_EBUSY);
	assert_code(next_completion(context).result, 0);
	gate_destroy(&gate);
	free_context(context);
}

/* A thread that waits for one completion. */
struct waiter {
	mfs_async *context;
	_Atomic pid_t tid;
	int64_t result; /* once joined */
	pthread_t thread;
};

static void *wait_for_one(void *argument)
{
	struct waiter *waiter = argument;
	mfs_async_completion done;

	atomic_store(&waiter->tid, gettid());
	waiter->result = mfs_async_wait(waiter->context, &done, 1, HANG_MS);
	return NULL;
}

static bool is_asleep(struct waiter *waiter)
{
	pid_t tid = atomic_load(&waiter->tid);
	char path[64];
	char line[512] = "";
	FILE *stat = NULL;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	stat = tid != 0 ? fopen(path, "re") : NULL;
	if (stat == NULL) {
		return false;
	}
	size_t length = fread(line, 1, sizeof(line) - 1, stat);

	assert_int_equal(fclose(stat), 0);
	return length > 0 && strstr(line, ") S ") != NULL;
}

static void every_thread_that_waits_hears_of_it(void **state)
{
	enum { THREADS = 3 };
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 8);
	struct waiter waiters[THREADS];
	struct gate gate;

	gate_init(&gate);
	(void)occupy(context, &gate, 0);
	for (int i = 0; i < THREADS; i++) {
		accepted(mfs_async_mkdir(context, fs, "/d", 0, NULL));
		waiters[i] = (struct waiter){.context = context};
		waiters[i].thread = start_thread(wait_for_one, &waiters[i]);
		AWAIT(is_asleep(&waiters[i]));
	}
	/* They complete all at once. */
	assert_code(mfs_async_shutdown(context, MFS_ASYNC_CANCEL), 0);
	for (int i = 0; i < THREADS; i++) {
		join_thread(waiters[i].thread);
		assert_code(waiters[i].result, 1);
	}
	gate_open(&gate);
	assert_code(next_completion(context).result, 0);
	gate_destroy(&gate);
	free_context(context);
}

static void contexts_come_and_go(void **state)
{
	mfs *fs = *state;

	for (int i = 0; i < 50; i++) {
		mfs_async *context = new_context(3, 3, 16);

		accepted(mfs_async_listdir(context, fs, "/", NULL));
		accepted(mfs_async_copy(context, fs, "/none", "/other", NULL));
		for (int n = 0; n < 2; n++) {
			mfs_names_free(next_completion(context).output.names);
		}
		free_context(context);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(what_was_accepted_is_drained),
		WORKSPACE_TEST(what_has_not_begun_is_canceled_but_closes),
		WORKSPACE_TEST(nothing_is_lost_when_workers_are_at_it),
		WORKSPACE_TEST(opens_that_wait_for_a_lock_complete),
		WORKSPACE_TEST(a_handle_that_is_opened_late_is_delivered),
		WORKSPACE_TEST(nothing_is_accepted_any_more),
		WORKSPACE_TEST(what_drains_may_still_be_canceled),
		WORKSPACE_TEST(a_context_is_not_freed_before_all_is_collected),
		WORKSPACE_TEST(every_thread_that_waits_hears_of_it),
		WORKSPACE_TEST(contexts_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
