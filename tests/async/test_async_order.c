/* SPDX-License-Identifier: MIT */
/*
 * Are operations on one handle carried out in the order of their submission, with no thread kept by
 * those that wait for their turn, and those on others beside them?
 */
#include "async_support.h"

enum { WORKERS = 4, FILES = 5, ROUNDS = 400 };

static void a_close_may_follow_at_once(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(WORKERS, 4, 64);
	mfs_file *file = open_file(fs, "/f", "wb");
	char byte = 'x';

	for (size_t i = 0; i < 20; i++) {
		accepted(mfs_async_write(context, file, &byte, 1, user_of(i)));
	}
	accepted(mfs_async_close(context, file, user_of(20)));
	accepted(mfs_async_write(context, file, &byte, 1, user_of(21)));
	for (size_t i = 0; i < 22; i++) {
		mfs_async_completion done = next_completion(context);

		assert_int_equal(number_of(&done), i);
		assert_code(done.result, i < 20 ? 1 : i == 20 ? 0 : MFS_EBADF);
	}
	assert_int_equal(mfs_get_size(fs, "/f"), 20);
	free_context(context);
}

/* What is written and read back at the cursor of each of several handles, all at the same time. */
struct record {
	mfs_file *file;
	uint32_t written[ROUNDS];
	uint32_t read[ROUNDS];
	size_t completed; /* of its operations, which are numbered from 0 */
};

static void cursors_move_in_the_order_of_submission(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(WORKERS, 4, FILES * ROUNDS * 3);
	struct record *records = allocate(FILES * sizeof(*records));

	for (size_t f = 0; f < FILES; f++) {
		char path[8];

		(void)snprintf(path, sizeof(path), "/%zu", f);
		records[f].file = open_file(fs, path, "w+b");
	}
	for (size_t i = 0; i < ROUNDS; i++) {
		for (size_t f = 0; f < FILES; f++) {
			struct record *r = &records[f];

			r->written[i] = (uint32_t)(f * ROUNDS + i);
			accepted(mfs_async_write(context, r->file, &r->written[i], 4, user_of(f)));
			accepted(mfs_async_seek(context, r->file, (int64_t)i * 4, SEEK_SET, user_of(f)));
			accepted(mfs_async_read(context, r->file, &r->read[i], 4, user_of(f)));
		}
	}
	for (size_t i = 0; i < (size_t)FILES * ROUNDS * 3; i++) {
		mfs_async_completion done = next_completion(context);
		struct record *r = &records[number_of(&done)];
		size_t step = r->completed % 3;

		assert_code(done.result, step == 1 ? r->completed / 3 * 4 : 4);
		r->completed++;
	}
	for (size_t f = 0; f < FILES; f++) {
		assert_memory_equal(records[f].written, records[f].read, sizeof(records[f].read));
		close_file(records[f].file);
	}
	free(records);
	free_context(context);
}

static void waiting_for_a_turn_takes_no_worker(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 64);
	mfs_file *busy = open_file(fs, "/busy", "w+b");
	mfs_file *other = open_file(fs, "/other", "wb");
	int ends[2];
	int64_t first;

	assert_int_equal(pipe(ends), 0);
	first = occupy_handle(context, busy, ends[0]);
	for (size_t i = 0; i < 10; i++) {
		accepted(mfs_async_pwrite(context, busy, "z", 1, 0, user_of(i)));
	}
	/* Both by the one worker, though ten operations came before. */
	assert_code(result_of(context, mfs_async_write(context, other, "o", 1, NULL)), 1);
	assert_code(result_of(context, mfs_async_mkdir(context, fs, "/d", 0, NULL)), 0);

	assert_int_equal(write(ends[1], "a", 1), 1);
	assert_true(next_completion(context).operation == first);
	for (size_t i = 0; i < 10; i++) {
		mfs_async_completion done = next_completion(context);

		assert_int_equal(number_of(&done), i);
	}
	assert_handle_holds(busy, "z", 1);
	close_file(busy);
	close_file(other);
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(close(ends[1]), 0);
	free_context(context);
}

/* A copy's handles: `held` is busy when the copy begins. */
static void check_copy_waits_for(mfs *fs, bool source_is_held)
{
	mfs_async *context = new_context(2, 2, 64);
	mfs_file *from = open_file(fs, "/from", "w+b");
	mfs_file *to = open_file(fs, "/to", "w+b");
	char byte = 0;
	int ends[2];
	int64_t numbers[4];

	assert_code(mfs_write(from, "old", 3), 3);
	assert_int_equal(pipe(ends), 0);
	numbers[0] = occupy_handle(context, source_is_held ? from : to, ends[0]);
	numbers[1] = accepted(mfs_async_copy_range(context, from, 0, to, 0, 3, NULL));
	/* On the handle that is free, and yet after the copy. */
	numbers[2] = accepted(mfs_async_pread(context, source_is_held ? to : from, &byte, 1, 0, NULL));
	numbers[3] = accepted(mfs_async_mkdir(context, fs, "/d", 0, NULL));
	assert_true(next_completion(context).operation == numbers[3]);
	assert_int_equal(write(ends[1], "n", 1), 1);
	for (int i = 0; i < 3; i++) {
		assert_true(next_completion(context).operation == numbers[i]);
	}
	assert_int_equal(byte, source_is_held ? 'n' : 'o');
	assert_handle_holds(to, source_is_held ? "nld" : "old", 3);
	assert_code(mfs_remove(fs, "/d"), 0);
	close_file(from);
	close_file(to);
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(close(ends[1]), 0);
	free_context(context);
}

static void a_copy_has_its_turn_on_both_handles(void **state)
{
	check_copy_waits_for(*state, true);
	check_copy_waits_for(*state, false);
}

static void copies_between_two_handles_both_ways_come_to_an_end(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(WORKERS, 4, 1000);
	mfs_file *a = open_file(fs, "/a", "w+b");
	mfs_file *b = open_file(fs, "/b", "w+b");

	assert_code(mfs_write(a, "abc", 3), 3);
	assert_code(mfs_write(b, "xyz", 3), 3);
	for (size_t i = 0; i < 1000; i++) {
		accepted(mfs_async_copy_range(context, i % 2 ? a : b, 0, i % 2 ? b : a, 0, 3, user_of(i)));
	}
	for (size_t i = 0; i < 1000; i++) {
		mfs_async_completion done = next_completion(context);

		assert_int_equal(number_of(&done), i);
		assert_code(done.result, 3);
	}
	assert_handle_holds(a, "xyz", 3);
	close_file(a);
	close_file(b);
	free_context(context);
}

static void steps_of_a_walk_come_in_order(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(WORKERS, 4, 64);
	mfs_walk *walk = NULL;

	for (int i = 0; i < 30; i++) {
		char path[16];

		(void)snprintf(path, sizeof(path), "/d%02d", i);
		make_dir(fs, path);
	}
	assert_code(mfs_walk_open(fs, "/", &walk), 0);
	for (size_t i = 0; i < 32; i++) {
		accepted(mfs_async_walk_next(context, walk, user_of(i)));
	}
	for (size_t i = 0; i < 32; i++) {
		mfs_async_completion done = next_completion(context);

		assert_int_equal(number_of(&done), i);
		assert_code(done.result, i < 31 ? 1 : 0);
	}
	assert_code(mfs_walk_close(walk), 0);
	free_context(context);
}

static void operations_on_different_handles_run_beside_each_other(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(2, 2, 64);
	struct gate gate;
	int64_t occupied;

	gate_init(&gate);
	occupied = occupy(context, &gate, 0);
	/* One worker does not come back: the other one does the rest. */
	for (int i = 0; i < 20; i++) {
		mfs_file *file = open_by(context, fs, "/f", "wb");

		assert_code(result_of(context, mfs_async_close(context, file, NULL)), 0);
	}
	gate_open(&gate);
	assert_true(next_completion(context).operation == occupied);
	gate_destroy(&gate);
	free_context(context);
}

static void as_many_run_at_once_as_there_are_workers(void **state)
{
	mfs_async *context = new_context(WORKERS, 1, 64);

	(void)state;
	/* Several times: most often all sleep when the first one begins, and none is awake at the last.
	 */
	for (int round = 0; round < 50; round++) {
		struct gate gate;

		gate_init(&gate);
		for (int i = 0; i < WORKERS; i++) {
			accepted(mfs_async_call(context, gate_pass, &gate, 0, NULL));
		}
		gate_await(&gate, WORKERS);
		gate_open(&gate);
		for (int i = 0; i < WORKERS; i++) {
			assert_code(next_completion(context).result, 0);
		}
		gate_destroy(&gate);
	}
	free_context(context);
}

/* Completions queue in the order of completion: one worker that begins them in turn completes so.
 */
static void completions_come_in_the_order_of_completion(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 2, 256);
	mfs_async_completion done[100];
	struct gate gate;
	int64_t occupied;

	gate_init(&gate);
	occupied = occupy(context, &gate, 0);
	for (size_t i = 0; i < 200; i++) {
		accepted(mfs_async_mkdir(context, fs, "/d", MFS_EXIST_OK, user_of(i)));
	}
	gate_open(&gate);
	assert_true(next_completion(context).operation == occupied);
	for (size_t at = 0; at < 200;) {
		int64_t count = mfs_async_wait(context, done, COUNT_OF(done), HANG_MS);

		assert_true(count > 0);
		for (int64_t i = 0; i < count; i++, at++) {
			assert_int_equal(number_of(&done[i]), at);
		}
	}
	gate_destroy(&gate);
	free_context(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(a_close_may_follow_at_once),
		WORKSPACE_TEST(cursors_move_in_the_order_of_submission),
		WORKSPACE_TEST(waiting_for_a_turn_takes_no_worker),
		WORKSPACE_TEST(a_copy_has_its_turn_on_both_handles),
		WORKSPACE_TEST(copies_between_two_handles_both_ways_come_to_an_end),
		WORKSPACE_TEST(steps_of_a_walk_come_in_order),
		WORKSPACE_TEST(operations_on_different_handles_run_beside_each_other),
		cmocka_unit_test(as_many_run_at_once_as_there_are_workers),
		WORKSPACE_TEST(completions_come_in_the_order_of_completion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
