/* SPDX-License-Identifier: MIT */
/* Does what waits for other users hold up nothing but itself, and for no longer than it may? */
#include "async_support.h"

#include <signal.h>

/* Long for a test, short for a timeout: it must have run out by itself. */
enum { SHORT_MS = 30 };

static int64_t open_for(mfs_async *context, mfs *fs, const char *path, const char *mode,
						int64_t lock_timeout, void *user)
{
	mfs_open_options options = {.struct_size = sizeof(options), .lock_timeout = lock_timeout};

	return accepted(mfs_async_open(context, fs, path, mode, &options, user));
}

/* Collects opens and closes, closing what was opened, until so many closes are done. */
static void collect_closes(mfs_async *context, size_t count)
{
	for (size_t closed = 0; closed < count;) {
		mfs_async_completion done = next_completion(context);

		assert_code(done.result, 0);
		if (done.output.file != NULL) {
			accepted(mfs_async_close(context, done.output.file, NULL));
		} else {
			closed++;
		}
	}
}

static void check_close_behind_opens(mfs *fs, unsigned max_waiting, size_t opens)
{
	mfs_async *context = new_context(1, max_waiting, 256);
	mfs_file *holder = open_by(context, fs, "/f", "wb");

	for (size_t i = 0; i < opens; i++) {
		/* Until it times out, this would hang. */
		open_for(context, fs, "/f", i % 2 ? "rb" : "r+b", MFS_WAIT_FOREVER, NULL);
	}
	accepted(mfs_async_close(context, holder, NULL));
	collect_closes(context, opens + 1);
	free_context(context);
}

static void a_close_passes_the_opens_that_wait_for_it(void **state)
{
	check_close_behind_opens(*state, 64, 4);
}

static void a_close_passes_more_opens_than_may_wait(void **state)
{
	check_close_behind_opens(*state, 1, 100);
}

static void a_held_lock_holds_up_nothing_else(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 2, 64);
	mfs_file *holder = open_file(fs, "/f", "wb");
	int64_t waiting[5];

	for (int i = 0; i < 5; i++) {
		waiting[i] = open_for(context, fs, "/f", "wb", MFS_WAIT_FOREVER, user_of(1));
	}
	for (int i = 0; i < 100; i++) {
		mfs_file *file = open_by(context, fs, "/g", "wb");

		assert_code(result_of(context, mfs_async_write(context, file, "g", 1, NULL)), 1);
		assert_code(result_of(context, mfs_async_close(context, file, NULL)), 0);
		assert_code(result_of(context, mfs_async_remove(context, fs, "/g", NULL)), 0);
	}
	assert_code(mfs_async_pending(context), 5);
	assert_true(waiting[0] != waiting[4]);
	close_file(holder);
	collect_closes(context, 5);
	free_context(context);
}

static void an_open_that_waits_gives_up_in_time(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 2, 64);
	mfs_file *holder = open_file(fs, "/f", "wb");
	mfs_async_completion done;

	done = completion_of(context, open_for(context, fs, "/f", "rb", SHORT_MS, NULL));
	assert_code(done.result, MFS_ETIMEDOUT);
	assert_string_equal(done.message, "open of /f: timed out");
	close_file(holder);
	free_context(context);
}

static void time_runs_also_in_the_queue_for_a_thread(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 64);
	mfs_file *holder = open_file(fs, "/f", "wb");
	struct gate gate;
	int64_t numbers[4];
	mfs_async_completion done;

	gate_init(&gate);
	/* The one thread that may wait. */
	(void)occupy(context, &gate, MFS_ASYNC_MAY_WAIT);
	/* The latest one first, and one that never has to give up: each has its own time. */
	numbers[0] = open_for(context, fs, "/f", "rb", SHORT_MS * 4, NULL);
	numbers[1] = open_for(context, fs, "/f", "rb", MFS_WAIT_FOREVER, NULL);
	numbers[2] = open_for(context, fs, "/f", "rb", SHORT_MS, NULL);
	numbers[3] = accepted(
		mfs_async_wait_for_space(context, fs, usage_of(fs).quota_bytes, SHORT_MS * 2, NULL));
	done = next_completion(context);
	assert_true(done.operation == numbers[2]);
	assert_code(done.result, MFS_ETIMEDOUT);
	assert_string_equal(done.message, "open of /f: timed out");
	done = next_completion(context);
	assert_true(done.operation == numbers[3]);
	/* Nothing is written: all of the quota is free, for who looks at last. */
	assert_code(done.result, 0);
	done = next_completion(context);
	assert_true(done.operation == numbers[0]);
	assert_code(done.result, MFS_ETIMEDOUT);

	gate_open(&gate);
	assert_code(next_completion(context).result, 0);
	close_file(holder);
	done = next_completion(context);
	assert_true(done.operation == numbers[1]);
	close_file(done.output.file);
	gate_destroy(&gate);
	free_context(context);
}

static void any_number_of_deadlines_is_kept_in_order(void **state)
{
	enum { OPENS = 200 };
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, OPENS + 4);
	mfs_file *holder = open_file(fs, "/f", "wb");
	int64_t numbers[OPENS];
	struct gate gate;

	gate_init(&gate);
	(void)occupy(context, &gate, MFS_ASYNC_MAY_WAIT);
	/* In an order that is not theirs, all different, and far away. */
	for (int i = 0; i < OPENS; i++) {
		numbers[i] =
			open_for(context, fs, "/f", "rb", HANG_MS * 10 + (i * 73 % OPENS) * HANG_MS, NULL);
	}
	/* From anywhere among them. */
	for (int i = 0; i < OPENS; i++) {
		int code;

		AWAIT((code = mfs_async_cancel(context, numbers[i * 31 % OPENS])) != MFS_EBUSY);
		assert_code(code, 0);
		assert_code(next_completion(context).result, MFS_ECANCELED);
	}
	/* All at once, and long before the thread is free. */
	for (int i = 0; i < OPENS; i++) {
		(void)open_for(context, fs, "/f", "rb", 1 + i * 73 % SHORT_MS, NULL);
	}
	for (int i = 0; i < OPENS; i++) {
		mfs_async_completion done = next_completion(context);

		assert_code(done.result, MFS_ETIMEDOUT);
		assert_string_equal(done.message, "open of /f: timed out");
	}
	gate_open(&gate);
	assert_code(next_completion(context).result, 0);
	close_file(holder);
	gate_destroy(&gate);
	free_context(context);
}

static void calls_on_shared_handles_wait_beside_the_workers(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 4, 64);
	mfs_file *holder;
	mfs_file *shared;
	mfs_open_options options = {.flags = MFS_O_SHARED, .lock_timeout = MFS_WAIT_FOREVER};
	int64_t number;

	shared =
		success_of(context, mfs_async_open(context, fs, "/f", "wb", &options, NULL)).output.file;
	holder = open_file(fs, "/f", "r+b");
	number = accepted(mfs_async_pwrite(context, shared, "s", 1, 0, NULL));
	/* By the one worker. */
	for (int i = 0; i < 20; i++) {
		assert_code(result_of(context, mfs_async_mkdir(context, fs, "/d", MFS_EXIST_OK, NULL)), 0);
	}
	close_file(holder);
	assert_code(result_of(context, number), 1);
	assert_code(result_of(context, mfs_async_close(context, shared, NULL)), 0);
	free_context(context);
}

static void a_shared_handle_keeps_the_timeout_it_was_opened_with(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 4, 64);
	mfs_open_options options = {.flags = MFS_O_SHARED, .lock_timeout = MFS_WAIT_FOREVER};
	mfs_file *holder = open_file(fs, "/f", "wb");
	int64_t number;
	mfs_file *shared;

	/* An open that has to wait, as it empties the file. */
	number = accepted(mfs_async_open(context, fs, "/f", "wb", &options, NULL));
	close_file(holder);
	shared = success_of(context, number).output.file;
	assert_code(mfs_may_wait(shared), 1);
	close_file(shared);
	options.lock_timeout = MFS_NO_WAIT;
	shared =
		success_of(context, mfs_async_open(context, fs, "/f", "wb", &options, NULL)).output.file;
	assert_code(mfs_may_wait(shared), 0);
	holder = open_file(fs, "/f", "r+b");
	assert_code(result_of(context, mfs_async_pwrite(context, shared, "s", 1, 0, NULL)), MFS_EBUSY);
	close_file(holder);
	close_file(shared);
	free_context(context);
}

static void what_gives_room_passes_what_waits_for_it(void **state)
{
	mfs_options options = {
		.max_quota = 1000, .chunk_overhead = -1, .space_timeout = MFS_WAIT_FOREVER};
	mfs *fs = new_workspace(&options);
	mfs_async *context = new_context(1, 8, 64);
	mfs_open_options extended = {.preallocate = 500};
	char bytes[1000] = "";
	mfs_reservation *reservation = NULL;
	mfs_file *file;
	int64_t numbers[4];
	int64_t removed;

	(void)state;
	make_file(fs, "/full", bytes, sizeof(bytes));
	file = open_file(fs, "/g", "wb");
	numbers[0] = accepted(mfs_async_write(context, file, bytes, 200, NULL));
	AWAIT(usage_of(fs).waiters == 1);
	numbers[1] = accepted(mfs_async_open(context, fs, "/h", "wb", &extended, NULL));
	AWAIT(usage_of(fs).waiters == 2);
	numbers[2] = accepted(mfs_async_reservation_new(context, fs, 100, NULL));
	AWAIT(usage_of(fs).waiters == 3);
	numbers[3] = accepted(mfs_async_wait_for_space(context, fs, 100, MFS_WAIT_FOREVER, NULL));
	AWAIT(usage_of(fs).waiters == 4);
	removed = accepted(mfs_async_remove(context, fs, "/full", NULL));
	for (int i = 0; i < 5; i++) {
		mfs_async_completion done = next_completion(context);

		assert_code(done.result, done.operation == numbers[0] ? 200 : 0);
		if (done.operation == numbers[1]) {
			close_file(done.output.file);
		}
		if (done.operation == numbers[2]) {
			reservation = done.output.reservation;
		}
	}
	assert_true(removed > 0);
	close_file(file);
	assert_code(mfs_reservation_free(reservation), 0);
	free_context(context);
	free_workspace(fs);
}

static void as_many_wait_as_may_and_no_more(void **state)
{
	enum { MAY_WAIT = 5 };
	mfs *fs = *state;
	mfs_async *context = new_context(1, MAY_WAIT, 64);
	struct gate gate;
	struct gate second;

	gate_init(&gate);
	gate_init(&second);
	(void)occupy(context, &second, MFS_ASYNC_MAY_WAIT);
	/* The rest at once. */
	for (int i = 0; i < MAY_WAIT - 1; i++) {
		accepted(mfs_async_call(context, gate_pass, &gate, MFS_ASYNC_MAY_WAIT, NULL));
	}
	gate_await(&gate, MAY_WAIT - 1);
	for (int i = 0; i < 10; i++) {
		accepted(mfs_async_call(context, gate_pass, &gate, MFS_ASYNC_MAY_WAIT, NULL));
	}
	/* The workers are another matter. */
	assert_code(result_of(context, mfs_async_mkdir(context, fs, "/d", 0, NULL)), 0);
	assert_int_equal(gate_inside(&gate), MAY_WAIT - 1);
	/* When one comes back, the next one goes. */
	gate_open(&second);
	gate_await(&gate, MAY_WAIT);
	assert_int_equal(gate_inside(&gate), MAY_WAIT);
	gate_open(&gate);
	for (int i = 0; i < MAY_WAIT + 10; i++) {
		assert_code(next_completion(context).result, 0);
	}
	gate_destroy(&gate);
	gate_destroy(&second);
	free_context(context);
}

static void to_look_for_space_once_needs_no_thread_that_waits(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 64);
	struct gate gate;

	gate_init(&gate);
	(void)occupy(context, &gate, MFS_ASYNC_MAY_WAIT);
	assert_code(result_of(context, mfs_async_wait_for_space(context, fs, 1, MFS_NO_WAIT, NULL)), 0);
	assert_code(result_of(context, mfs_async_wait_for_space(context, fs, 1, 0, NULL)), 0);
	gate_open(&gate);
	assert_code(next_completion(context).result, 0);
	gate_destroy(&gate);
	free_context(context);
}

static int64_t look_at_thread(void *argument)
{
	sigset_t *blocked = argument;
	char name[16] = "";

	if (pthread_getname_np(pthread_self(), name, sizeof(name)) != 0 ||
		strcmp(name, "mfs-async") != 0) {
		return MFS_EINVAL;
	}
	return pthread_sigmask(SIG_SETMASK, NULL, blocked);
}

static void signals_are_not_for_the_threads(void **state)
{
	mfs_async *context = new_context(1, 1, 8);
	const unsigned flags[] = {0, MFS_ASYNC_MAY_WAIT};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(flags); i++) {
		sigset_t blocked;

		assert_code(
			result_of(context, mfs_async_call(context, look_at_thread, &blocked, flags[i], NULL)),
			0);
		assert_int_equal(sigismember(&blocked, SIGINT), 1);
		assert_int_equal(sigismember(&blocked, SIGCHLD), 1);
		assert_int_equal(sigismember(&blocked, SIGPIPE), 1);
	}
	free_context(context);
}

static void waiting_for_completions_ends_in_time(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 8);
	mfs_async_completion done;

	assert_refused(fs, mfs_async_wait(context, &done, 1, MFS_NO_WAIT), MFS_EBUSY);
	assert_refused(fs, mfs_async_wait(context, &done, 1, 0), MFS_ETIMEDOUT);
	assert_refused(fs, mfs_async_wait(context, &done, 1, SHORT_MS), MFS_ETIMEDOUT);
	free_context(context);
}

/* Threads that wait for completions at the same time. */
struct collector {
	mfs_async *context;
	size_t collected; /* once joined */
	pthread_t thread;
};

static void *collect_until_shut(void *argument)
{
	struct collector *collector = argument;
	mfs_async_completion done;

	while (mfs_async_wait(collector->context, &done, 1, MFS_WAIT_FOREVER) == 1) {
		collector->collected++;
	}
	return NULL;
}

static void several_threads_may_wait_for_completions(void **state)
{
	enum { THREADS = 4, OPERATIONS = 2000 };
	mfs *fs = *state;
	mfs_async *context = new_context(2, 2, OPERATIONS);
	struct collector collectors[THREADS];
	size_t collected = 0;

	for (int i = 0; i < THREADS; i++) {
		collectors[i] = (struct collector){.context = context};
		collectors[i].thread = start_thread(collect_until_shut, &collectors[i]);
	}
	for (int i = 0; i < OPERATIONS; i++) {
		accepted(mfs_async_mkdir(context, fs, "/d", MFS_EXIST_OK, NULL));
	}
	AWAIT(mfs_async_pending(context) == 0);
	assert_code(mfs_async_shutdown(context, MFS_ASYNC_DRAIN), 0);
	for (int i = 0; i < THREADS; i++) {
		join_thread(collectors[i].thread);
		collected += collectors[i].collected;
	}
	assert_int_equal(collected, OPERATIONS);
	free_context(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(a_close_passes_the_opens_that_wait_for_it),
		WORKSPACE_TEST(a_close_passes_more_opens_than_may_wait),
		WORKSPACE_TEST(a_held_lock_holds_up_nothing_else),
		WORKSPACE_TEST(an_open_that_waits_gives_up_in_time),
		WORKSPACE_TEST(time_runs_also_in_the_queue_for_a_thread),
		WORKSPACE_TEST(any_number_of_deadlines_is_kept_in_order),
		WORKSPACE_TEST(calls_on_shared_handles_wait_beside_the_workers),
		WORKSPACE_TEST(a_shared_handle_keeps_the_timeout_it_was_opened_with),
		cmocka_unit_test(what_gives_room_passes_what_waits_for_it),
		WORKSPACE_TEST(to_look_for_space_once_needs_no_thread_that_waits),
		WORKSPACE_TEST(as_many_wait_as_may_and_no_more),
		cmocka_unit_test(signals_are_not_for_the_threads),
		WORKSPACE_TEST(waiting_for_completions_ends_in_time),
		WORKSPACE_TEST(several_threads_may_wait_for_completions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
