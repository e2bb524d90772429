/* SPDX-License-Identifier: MIT */
/*
 * Do MFS_O_SHARED handles that read and overwrite one file work beside each other, and is each
 * call's part of a chunk seen whole or not at all?
 *
 * A thread is held at a point inside such a call, and what must be able to go on meanwhile, or must
 * not, is done beside it.
 */
#include "support.h"

#include "await.h"
#include "base/test_hook.h"
#include "fs/filesystem.h"
#include "fs/handle_table.h"
#include "tree/file_lock.h"

#define CHUNK (2 * MIB)
#define SIZE  (4 * CHUNK)

static mfs *fs;

/* The thread that has `is_subject` is held at `held_at` until it is let go. */
static const char *held_at;
static atomic_bool is_held;
static atomic_bool let_go;
static _Thread_local bool is_subject;

static void hook(const char *point)
{
	if (!is_subject || strcmp(point, held_at) != 0)
		return;
	is_subject = false;
	atomic_store(&is_held, true);
	AWAIT(atomic_load(&let_go));
}

/* A call of a thread of its own. */
struct call {
	mfs_file *file;
	int64_t offset;
	unsigned char byte; /* what is written; 0 reads */
	size_t size;
	int64_t result;
	unsigned char *buffer;
	bool is_subject;
	atomic_bool is_over;
	pthread_t thread;
};

static void *run_call(void *argument)
{
	struct call *call = argument;

	is_subject = call->is_subject;
	if (call->byte) {
		memset(call->buffer, call->byte, call->size);
		call->result = mfs_pwrite(call->file, call->buffer, call->size, call->offset);
	} else {
		call->result = mfs_pread(call->file, call->buffer, call->size, call->offset);
	}
	atomic_store(&call->is_over, true);
	return NULL;
}

static void start_call(struct call *call)
{
	call->buffer = allocate(call->size);
	atomic_init(&call->is_over, false);
	call->thread = start_thread(run_call, call);
}

static void end_call(struct call *call)
{
	join_thread(call->thread);
	assert_code(call->result, call->size);
	free(call->buffer);
}

/* Start a call that is held at a point, and wait until it is there. */
static void hold_call(struct call *call, const char *point)
{
	held_at = point;
	atomic_store(&is_held, false);
	atomic_store(&let_go, false);
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, hook, memory_order_release);
	call->is_subject = true;
	start_call(call);
	AWAIT(atomic_load(&is_held));
}

static void let_call_go(struct call *call)
{
	atomic_store(&let_go, true);
	end_call(call);
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
}

static struct mfs__file *inside(mfs_file *file)
{
	struct mfs__handle *handle = mfs__handle_lock(file, false);
	struct mfs__file *data = handle->file;

	mfs__handle_unlock(handle, false);
	return data;
}

static bool is_parallel(mfs_file *file)
{
	return atomic_load(&inside(file)->parallel) != NULL;
}

static void begin_parallel(mfs_file *file)
{
	struct mfs__file *data = inside(file);

	assert_true(mfs__file_try(data, true));
	mfs__file_begin_parallel(data);
	mfs__file_unlock(data, true);
	assert_true(is_parallel(file));
}

static int set_up(void **state)
{
	mfs_options options = {.default_storage = MFS_STORAGE_RANDOM_ACCESS};
	mfs_file *file;

	(void)state;
	return mfs_new(&options, &fs) || mfs_open(fs, "/f", "wb", &file) ||
		   mfs_truncate(file, (int64_t)SIZE) || mfs_close(file);
}

static int tear_down(void **state)
{
	(void)state;
	return !mfs__validate(fs) || mfs_free(fs);
}

/* Every byte from `offset` on is this one. */
static bool holds(mfs_file *file, int64_t offset, size_t size, unsigned char byte)
{
	unsigned char *buffer = allocate(size);
	bool same = mfs_pread(file, buffer, size, offset) == (int64_t)size;

	for (size_t i = 0; i < size; i++)
		same = same && buffer[i] == byte;
	free(buffer);
	return same;
}

static void overwrites_that_collide_begin_to_go_beside_each_other(void **state)
{
	(void)state;
	mfs_file *a = open_shared(fs, "/f", "r+b");
	mfs_file *b = open_shared(fs, "/f", "r+b");
	struct call first = {.file = a, .byte = 1, .size = 4096};
	struct call second = {.file = b, .byte = 2, .size = 4096, .offset = (int64_t)CHUNK};

	struct mfs__file *data = inside(a);

	assert_false(is_parallel(a));
	hold_call(&first, "attributes: half changed");
	start_call(&second);
	AWAIT(mfs__rwlock_waiters(&data->lock) == 1);
	let_call_go(&first);
	end_call(&second);
	assert_true(is_parallel(a));
	assert_true(holds(a, 0, 4096, 1));
	assert_true(holds(a, (int64_t)CHUNK, 4096, 2));
	close_file(a);
	close_file(b);
}

static void calls_on_other_chunks_do_not_wait(void **state)
{
	(void)state;
	mfs_file *a = open_shared(fs, "/f", "r+b");
	mfs_file *b = open_shared(fs, "/f", "r+b");
	struct call held = {.file = a, .byte = 1, .size = 4096, .offset = (int64_t)CHUNK};
	unsigned char page[4096];

	begin_parallel(a);
	hold_call(&held, "parallel: about to write");
	memset(page, 2, sizeof page);
	assert_code(mfs_pwrite(b, page, sizeof page, (int64_t)(2 * CHUNK)), sizeof page);
	assert_true(holds(b, (int64_t)(2 * CHUNK), sizeof page, 2));
	assert_true(holds(b, (int64_t)(3 * CHUNK), sizeof page, 0));
	let_call_go(&held);
	assert_true(holds(b, (int64_t)CHUNK, sizeof page, 1));
	close_file(a);
	close_file(b);
}

static void a_read_waits_for_the_write_of_its_chunk(void **state)
{
	(void)state;
	mfs_file *a = open_shared(fs, "/f", "r+b");
	mfs_file *b = open_shared(fs, "/f", "rb");
	struct call held = {.file = a, .byte = 1, .size = 65536, .offset = (int64_t)CHUNK};
	struct call read = {.file = b, .size = 65536, .offset = (int64_t)CHUNK};

	begin_parallel(a);
	uint32_t index = mfs__chunk_index(CHUNK) % MFS__PARALLEL_CHUNKS;
	struct mfs__rwlock *lock = &atomic_load(&inside(a)->parallel)->chunks[index].lock;
	hold_call(&held, "parallel: about to write");
	start_call(&read);
	AWAIT(mfs__rwlock_waiters(lock) == 1);
	assert_false(atomic_load(&read.is_over));
	let_call_go(&held);
	join_thread(read.thread);
	for (size_t i = 0; i < read.size; i++)
		assert_int_equal(read.buffer[i], 1);
	free(read.buffer);
	close_file(a);
	close_file(b);
}

static void a_handle_that_keeps_the_lock_waits_for_calls_inside(void **state)
{
	(void)state;
	mfs_file *a = open_shared(fs, "/f", "r+b");
	struct call held = {.file = a, .byte = 1, .size = 4096};
	struct opener opener = {.fs = fs, .path = "/f", .mode = "rb"};

	begin_parallel(a);
	hold_call(&held, "parallel: about to write");
	assert_code(try_open(fs, "/f", "rb"), MFS_EBUSY);
	assert_code(try_open(fs, "/f", "r+b"), MFS_EBUSY);
	opener_start(&opener);
	opener_await_asleep(&opener);
	assert_false(atomic_load(&opener.returned));
	let_call_go(&held);
	join_thread(opener.thread);
	assert_code(opener.code, 0);
	assert_true(holds(opener.file, 0, 4096, 1));
	close_file(opener.file);
	close_file(a);
}

static void while_a_handle_keeps_the_lock_shared_calls_only_read(void **state)
{
	(void)state;
	mfs_file *a = NULL;
	unsigned char page[4096] = {0};

	assert_code(open_with(fs, "/f", "r+b", MFS_O_SHARED, MFS_NO_WAIT, &a), 0);
	begin_parallel(a);
	mfs_file *reader = open_file(fs, "/f", "rb");
	assert_code(mfs_pwrite(a, page, sizeof page, 0), MFS_EBUSY);
	assert_true(holds(a, 0, sizeof page, 0));
	close_file(reader);
	assert_code(mfs_pwrite(a, page, sizeof page, 0), sizeof page);
	mfs_file *writer = open_file(fs, "/f", "r+b");
	assert_code(mfs_pwrite(a, page, sizeof page, 0), MFS_EBUSY);
	assert_code(mfs_pread(a, page, sizeof page, 0), MFS_EBUSY);
	close_file(writer);
	close_file(a);
}

static void changes_of_the_size_work_all_the_same(void **state)
{
	(void)state;
	mfs_file *a = open_shared(fs, "/f", "r+b");
	mfs_file *end = open_shared(fs, "/f", "ab");

	begin_parallel(a);
	assert_code(mfs_write(end, "end", 3), 3);
	assert_code(mfs_pwrite(a, "xyz", 3, (int64_t)SIZE + 10), 3);
	assert_code(mfs_get_size(fs, "/f"), SIZE + 13);
	assert_true(holds(a, (int64_t)SIZE + 3, 7, 0));
	assert_code(mfs_truncate(a, 100), 0);
	assert_code(mfs_pwrite(a, "a", 1, 99), 1);
	assert_code(mfs_pwrite(a, "b", 1, 100), 1);
	assert_code(mfs_get_size(fs, "/f"), 101);
	close_file(a);
	close_file(end);
}

static void a_copy_does_not_see_later_writes(void **state)
{
	(void)state;
	mfs_file *a = open_shared(fs, "/f", "r+b");
	unsigned char page[4096];

	begin_parallel(a);
	assert_code(mfs_copy(fs, "/f", "/copy"), 0);
	memset(page, 7, sizeof page);
	assert_code(mfs_pwrite(a, page, sizeof page, (int64_t)CHUNK), sizeof page);
	assert_true(holds(a, (int64_t)CHUNK, sizeof page, 7));
	mfs_file *copy = open_file(fs, "/copy", "rb");
	assert_true(holds(copy, (int64_t)CHUNK, sizeof page, 0));
	close_file(copy);
	close_file(a);
}

static void the_generation_counts_every_call_and_outlives_the_handles(void **state)
{
	(void)state;
	mfs_file *a = open_shared(fs, "/f", "r+b");
	mfs_file *b = open_shared(fs, "/f", "r+b");
	mfs_info before = info_of(fs, "/f");
	char byte = 1;

	begin_parallel(a);
	await_clock_tick();
	for (int i = 0; i < 10; i++) {
		assert_code(mfs_pwrite(a, &byte, 1, i), 1);
		assert_code(mfs_pwrite(b, &byte, 1, i), 1);
	}
	mfs_info during = info_of(fs, "/f");
	assert_int_equal(during.generation, before.generation + 20);
	assert_true(during.modified_at > before.modified_at);
	assert_int_equal(during.size, before.size);
	struct mfs__file *data = inside(a);
	close_file(a);
	assert_non_null(atomic_load(&data->parallel));
	close_file(b);
	assert_null(atomic_load(&data->parallel));
	mfs_info after = info_of(fs, "/f");
	assert_int_equal(after.generation, during.generation);
	assert_int_equal(after.modified_at, during.modified_at);
}

static void a_removed_file_lives_until_its_handles_are_closed(void **state)
{
	(void)state;
	mfs_file *a = open_shared(fs, "/f", "r+b");
	char byte = 5;

	begin_parallel(a);
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_code(mfs_pwrite(a, &byte, 1, (int64_t)CHUNK), 1);
	assert_true(holds(a, (int64_t)CHUNK, 1, 5));
	assert_true(used_bytes(fs) >= SIZE);
	close_file(a);
	assert_int_equal(used_bytes(fs), 0);
}

static void a_sequential_file_refuses_as_ever(void **state)
{
	mfs_options options = {.default_storage = MFS_STORAGE_SEQUENTIAL};

	(void)state;
	mfs *other = new_workspace(&options);
	make_text(other, "/s", "text");
	mfs_file *a = open_shared(other, "/s", "r+b");
	begin_parallel(a);
	assert_code(mfs_pwrite(a, "x", 1, 0), MFS_ENOTSUP);
	assert_code(mfs_pwrite(a, "x", 1, 4), 1);
	close_file(a);
	assert_text(other, "/s", "textx");
	free_workspace(other);
}

/*
 * Many threads: each write fills a page with one byte, in one chunk. Who reads a page finds one
 * byte in all of it. All begin with a file that has nothing for parallel calls yet.
 */

enum { THREADS = 4, CALLS = 3000, PAGES = 4 };

struct writer {
	unsigned number;
	unsigned torn;
	unsigned refused;
};

static void *write_and_read(void *argument)
{
	struct writer *writer = argument;
	struct rng rng = {writer->number + 1};
	mfs_file *file = NULL;
	unsigned char page[4096];

	if (open_with(fs, "/f", "r+b", MFS_O_SHARED, MFS_WAIT_FOREVER, &file))
		abort();
	for (unsigned i = 0; i < CALLS; i++) {
		int64_t offset = (int64_t)(CHUNK + rng_below(&rng, PAGES) * sizeof page);
		memset(page, (int)(1 + rng_below(&rng, 200)), sizeof page);
		writer->refused += mfs_pwrite(file, page, sizeof page, offset) != sizeof page;
		offset = (int64_t)(CHUNK + rng_below(&rng, PAGES) * sizeof page);
		writer->refused += mfs_pread(file, page, sizeof page, offset) != sizeof page;
		for (size_t at = 1; at < sizeof page; at++)
			writer->torn += page[at] != page[0];
		/* Now and then somebody wants the file alone. */
		if (i % 500 == writer->number)
			writer->refused += mfs_truncate(file, (int64_t)(SIZE + 1 + i)) != 0;
	}
	if (mfs_close(file))
		abort();
	return NULL;
}

static void nobody_sees_half_a_write(void **state)
{
	struct writer writers[THREADS] = {0};
	pthread_t threads[THREADS];
	uint64_t generation = info_of(fs, "/f").generation;

	(void)state;
	mfs_file *file = open_shared(fs, "/f", "r+b");
	begin_parallel(file);
	for (unsigned i = 0; i < THREADS; i++) {
		writers[i].number = i;
		threads[i] = start_thread(write_and_read, &writers[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		join_thread(threads[i]);
		assert_int_equal(writers[i].torn, 0);
		assert_int_equal(writers[i].refused, 0);
	}
	close_file(file);
	assert_int_equal(info_of(fs, "/f").generation,
					 generation + THREADS * (CALLS + (CALLS + 499) / 500));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(overwrites_that_collide_begin_to_go_beside_each_other,
										set_up, tear_down),
		cmocka_unit_test_setup_teardown(calls_on_other_chunks_do_not_wait, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_read_waits_for_the_write_of_its_chunk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_handle_that_keeps_the_lock_waits_for_calls_inside, set_up,
										tear_down),
		cmocka_unit_test_setup_teardown(while_a_handle_keeps_the_lock_shared_calls_only_read,
										set_up, tear_down),
		cmocka_unit_test_setup_teardown(changes_of_the_size_work_all_the_same, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_copy_does_not_see_later_writes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_generation_counts_every_call_and_outlives_the_handles,
										set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_removed_file_lives_until_its_handles_are_closed, set_up,
										tear_down),
		cmocka_unit_test(a_sequential_file_refuses_as_ever),
		cmocka_unit_test_setup_teardown(nobody_sees_half_a_write, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
