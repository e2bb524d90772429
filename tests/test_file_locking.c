/* SPDX-License-Identifier: MIT */
/*
 * Who gets a file's lock, in which order, how long does the rest wait, and whom does that hold up?
 */
#include "support.h"

/** Long enough never to pass in a test that goes well. */
#define LONG_WAIT 20000

static void readers_share_a_file(void **state)
{
	mfs *fs = *state;
	mfs_file *readers[50];
	mfs_file *file = NULL;

	make_text(fs, "/f", "content");
	for (size_t i = 0; i < COUNT_OF(readers); i++) {
		assert_code(open_with(fs, "/f", "rb", 0, MFS_NO_WAIT, &readers[i]), 0);
	}
	for (size_t i = 0; i < COUNT_OF(readers); i++) {
		assert_handle_holds(readers[i], "content", 7);
		assert_refused(fs, open_with(fs, "/f", "r+b", 0, MFS_NO_WAIT, &file), MFS_EBUSY);
		close_file(readers[i]);
	}
	assert_code(try_open(fs, "/f", "r+b"), 0);
}

struct meeting {
	mfs *fs;
	pthread_barrier_t *inside;
	int code;
	pthread_t thread;
};

/** Opens for reading and waits until all others have it open, too. */
static void *meet_inside(void *argument)
{
	struct meeting *meeting = argument;
	mfs_file *file = NULL;

	meeting->code = mfs_open(meeting->fs, "/f", "rb", &file);
	pthread_barrier_wait(meeting->inside);
	if (meeting->code == 0) {
		meeting->code = mfs_close(file);
	}
	return NULL;
}

static void readers_of_many_threads_are_inside_at_once(void **state)
{
	enum { THREADS = 8 };
	mfs *fs = *state;
	struct meeting meetings[THREADS];
	pthread_barrier_t inside;

	make_text(fs, "/f", "content");
	assert_int_equal(pthread_barrier_init(&inside, NULL, THREADS), 0);
	for (int i = 0; i < THREADS; i++) {
		meetings[i].fs = fs;
		meetings[i].inside = &inside;
		meetings[i].thread = start_thread(meet_inside, &meetings[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		join_thread(meetings[i].thread);
		assert_code(meetings[i].code, 0);
	}
	pthread_barrier_destroy(&inside);
}

static void a_writer_keeps_everybody_out(void **state)
{
	static const char *const holders[] = {"wb", "ab", "r+b", "xb"};
	static const char *const others[] = {"rb", "wb", "ab", "r+b"};
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(holders); i++) {
		mfs_file *holder = NULL;
		mfs_file *file = NULL;

		if (mfs_exists(fs, "/f") && strcmp(holders[i], "xb") == 0) {
			assert_code(mfs_remove(fs, "/f"), 0);
		}
		holder = open_file(fs, "/f", holders[i]);
		for (size_t j = 0; j < COUNT_OF(others); j++) {
			assert_refused(fs, open_with(fs, "/f", others[j], 0, MFS_NO_WAIT, &file), MFS_EBUSY);
		}
		close_file(holder);
		assert_code(try_open(fs, "/f", "r+b"), 0);
	}
}

static void waiting_ends_with_the_timeout(void **state)
{
	static const char *const holders[] = {"rb", "r+b"};
	mfs *fs = *state;

	make_text(fs, "/f", "content");
	for (size_t i = 0; i < COUNT_OF(holders); i++) {
		mfs_file *holder = open_file(fs, "/f", holders[i]);
		mfs_file *file = NULL;
		int64_t before = clock_ns(CLOCK_MONOTONIC);
		int64_t waited = 0;

		assert_refused(fs, open_with(fs, "/f", "r+b", 0, 50, &file), MFS_ETIMEDOUT);
		waited = clock_ns(CLOCK_MONOTONIC) - before;
		/* Not earlier, and not as late as the default of the workspace. */
		assert_in_range(waited, 50000000, INT64_C(15000000000));
		assert_int_equal(usage_of(fs).open_handles, 1);
		close_file(holder);
	}
}

static void the_workspace_has_a_default_timeout(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	mfs *fs = NULL;
	mfs_file *holder = NULL;
	mfs_file *file = NULL;

	(void)state;
	options.default_lock_timeout = 30;
	fs = new_workspace(&options);
	holder = open_file(fs, "/f", "wb");
	assert_refused(fs, mfs_open(fs, "/f", "rb", &file), MFS_ETIMEDOUT);
	assert_refused(fs, open_with(fs, "/f", "rb", 0, 0, &file), MFS_ETIMEDOUT);
	assert_refused(fs, open_with(fs, "/f", "rb", 0, MFS_NO_WAIT, &file), MFS_EBUSY);
	close_file(holder);
	free_workspace(fs);
	options.default_lock_timeout = MFS_NO_WAIT;
	fs = new_workspace(&options);
	holder = open_file(fs, "/f", "wb");
	assert_refused(fs, mfs_open(fs, "/f", "rb", &file), MFS_EBUSY);
	assert_refused(fs, open_with(fs, "/f", "rb", 0, 30, &file), MFS_ETIMEDOUT);
	close_file(holder);
	free_workspace(fs);
}

static void who_gave_up_waiting_stands_in_nobodys_way(void **state)
{
	mfs *fs = *state;
	mfs_file *reader = NULL;
	mfs_file *file = NULL;
	struct opener other = {.fs = fs, .path = "/f", .mode = "rb", .lock_timeout = MFS_NO_WAIT};

	make_text(fs, "/f", "content");
	reader = open_file(fs, "/f", "rb");
	assert_refused(fs, open_with(fs, "/f", "r+b", 0, 20, &file), MFS_ETIMEDOUT);
	assert_code(try_open(fs, "/f", "rb"), 0);
	opener_start(&other);
	assert_code(opener_join(&other), 0);
	close_file(other.file);
	close_file(reader);
	assert_code(try_open(fs, "/f", "r+b"), 0);
	/* The same for a reader that waited for a writer. */
	file = open_file(fs, "/f", "r+b");
	assert_refused(fs, open_with(fs, "/f", "rb", 0, 20, &reader), MFS_ETIMEDOUT);
	close_file(file);
	assert_code(try_open(fs, "/f", "r+b"), 0);
	assert_code(mfs_remove(fs, "/f"), 0);
}

static void who_waits_gets_in_after_the_close(void **state)
{
	static const struct {
		const char *holder;
		const char *waiter;
	} cases[] = {
		{"rb", "r+b"}, {"rb", "wb"}, {"rb", "ab"},  {"wb", "rb"},
		{"wb", "wb"},  {"ab", "rb"}, {"r+b", "ab"}, {"r+b", "rb"},
	};
	static const int64_t timeouts[] = {LONG_WAIT, MFS_WAIT_FOREVER};
	mfs *fs = *state;

	make_text(fs, "/f", "content");
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct opener waiter = {.fs = fs, .path = "/f", .mode = cases[i].waiter};
		mfs_file *holder = open_file(fs, "/f", cases[i].holder);

		waiter.lock_timeout = timeouts[i % 2];
		opener_start_waiting(&waiter);
		close_file(holder);
		assert_code(opener_join(&waiter), 0);
		/* Closed by another thread than the one that opened it. */
		close_file(waiter.file);
		assert_code(try_open(fs, "/f", "r+b"), 0);
	}
}

static void all_readers_that_wait_get_in_together(void **state)
{
	enum { READERS = 4 };
	mfs *fs = *state;
	struct opener readers[READERS];
	mfs_file *writer = open_file(fs, "/f", "wb");

	memset(readers, 0, sizeof(readers));
	for (int i = 0; i < READERS; i++) {
		readers[i].fs = fs;
		readers[i].path = "/f";
		readers[i].mode = "rb";
		readers[i].lock_timeout = LONG_WAIT;
		opener_start_waiting(&readers[i]);
	}
	close_file(writer);
	for (int i = 0; i < READERS; i++) {
		assert_code(opener_join(&readers[i]), 0);
	}
	for (int i = 0; i < READERS; i++) {
		close_file(readers[i].file);
	}
}

static void any_thread_may_close_a_handle(void **state)
{
	static const char *const modes[] = {"rb", "r+b", "wb"};
	mfs *fs = *state;

	make_text(fs, "/f", "content");
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		for (unsigned flags = 0; flags <= MFS_O_SHARED; flags += MFS_O_SHARED) {
			struct opener opener = {.fs = fs, .path = "/f", .mode = modes[i], .flags = flags};

			opener_start(&opener);
			assert_code(opener_join(&opener), 0);
			/* The thread that opened it has ended. */
			close_file(opener.file);
			assert_code(try_open(fs, "/f", "r+b"), 0);
		}
	}
}

/** Yields until one of the openers is in. Returns which. */
static int first_in(struct opener *openers, int count)
{
	for (;;) {
		for (int i = 0; i < count; i++) {
			if (atomic_load(&openers[i].returned)) {
				return i;
			}
		}
		sched_yield();
	}
}

static void writers_get_in_in_the_order_of_arrival(void **state)
{
	enum { WRITERS = 4 };
	mfs *fs = *state;
	struct opener writers[WRITERS];
	mfs_file *holder = open_file(fs, "/f", "wb");

	memset(writers, 0, sizeof(writers));
	for (int i = 0; i < WRITERS; i++) {
		writers[i].fs = fs;
		writers[i].path = "/f";
		writers[i].mode = "r+b";
		writers[i].lock_timeout = LONG_WAIT;
		opener_start_waiting(&writers[i]);
	}
	close_file(holder);
	for (int i = 0; i < WRITERS; i++) {
		assert_int_equal(first_in(writers + i, WRITERS - i), 0);
		assert_code(opener_join(&writers[i]), 0);
		close_file(writers[i].file);
	}
}

static void a_reader_that_came_later_waits_for_the_writer_before(void **state)
{
	mfs *fs = *state;
	struct opener waiters[2] = {
		{.fs = fs, .path = "/f", .mode = "r+b", .lock_timeout = LONG_WAIT},
		{.fs = fs, .path = "/f", .mode = "rb", .lock_timeout = LONG_WAIT},
	};
	mfs_file *holder = open_file(fs, "/f", "wb");

	opener_start_waiting(&waiters[0]);
	opener_start_waiting(&waiters[1]);
	close_file(holder);
	assert_int_equal(first_in(waiters, 2), 0);
	assert_code(opener_join(&waiters[0]), 0);
	/* The writer holds it, so the reader cannot have it. */
	assert_false(atomic_load(&waiters[1].returned));
	close_file(waiters[0].file);
	assert_code(opener_join(&waiters[1]), 0);
	close_file(waiters[1].file);
}

static void a_reader_reads_the_file_again_while_a_writer_waits(void **state)
{
	mfs *fs = *state;
	struct opener writer = {.fs = fs, .path = "/f", .mode = "r+b", .lock_timeout = LONG_WAIT};
	mfs_file *readers[4];

	make_text(fs, "/f", "content");
	readers[0] = open_file(fs, "/f", "rb");
	opener_start_waiting(&writer);
	for (size_t i = 1; i < COUNT_OF(readers); i++) {
		assert_code(open_with(fs, "/f", "rb", 0, 5000, &readers[i]), 0);
		assert_false(atomic_load(&writer.returned));
	}
	for (size_t i = 0; i < COUNT_OF(readers); i++) {
		assert_handle_holds(readers[i], "content", 7);
		close_file(readers[i]);
	}
	assert_code(opener_join(&writer), 0);
	close_file(writer.file);
}

struct stream {
	mfs *fs;
	const char *mode;
	atomic_bool *stop;
	pthread_barrier_t *start;
	int64_t rounds;
	int failures;
	pthread_t thread;
};

/** Opens and closes a file without a pause. */
static void *open_and_close(void *argument)
{
	struct stream *stream = argument;

	pthread_barrier_wait(stream->start);
	while (!atomic_load(stream->stop)) {
		mfs_file *file = NULL;

		if (open_with(stream->fs, "/f", stream->mode, 0, LONG_WAIT, &file) == 0) {
			stream->failures += mfs_close(file) != 0;
			stream->rounds++;
		} else {
			stream->failures++;
		}
	}
	return NULL;
}

/** A stream of openers in one mode does not keep an opener in another mode out. */
static void run_stream(mfs *fs, const char *stream_mode, const char *mode)
{
	enum { THREADS = 4 };
	struct stream streams[THREADS];
	atomic_bool stop = false;
	pthread_barrier_t start;
	int got_in = 0;

	make_text(fs, "/f", "content");
	assert_int_equal(pthread_barrier_init(&start, NULL, THREADS + 1), 0);
	memset(streams, 0, sizeof(streams));
	for (int i = 0; i < THREADS; i++) {
		streams[i].fs = fs;
		streams[i].mode = stream_mode;
		streams[i].stop = &stop;
		streams[i].start = &start;
		streams[i].thread = start_thread(open_and_close, &streams[i]);
	}
	pthread_barrier_wait(&start);
	for (int i = 0; i < 50; i++) {
		mfs_file *file = NULL;

		if (open_with(fs, "/f", mode, 0, LONG_WAIT, &file) == 0) {
			got_in += mfs_close(file) == 0;
		}
	}
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++) {
		join_thread(streams[i].thread);
		assert_int_equal(streams[i].failures, 0);
	}
	assert_int_equal(got_in, 50);
	pthread_barrier_destroy(&start);
}

static void a_stream_of_readers_lets_a_writer_in(void **state)
{
	run_stream(*state, "rb", "r+b");
}

static void a_stream_of_writers_lets_a_reader_in(void **state)
{
	run_stream(*state, "r+b", "rb");
}

static void a_stream_of_writers_lets_a_writer_in(void **state)
{
	run_stream(*state, "ab", "r+b");
}

static void waiting_for_one_file_holds_up_nothing_else(void **state)
{
	mfs *fs = *state;
	struct opener waiter = {.fs = fs, .path = "/d/f", .mode = "r+b", .lock_timeout = LONG_WAIT};
	mfs_file *holder = NULL;
	mfs_file *shared = NULL;
	char **names = NULL;

	make_dir(fs, "/d");
	make_text(fs, "/d/g", "content");
	make_text(fs, "/d/f", "content");
	holder = open_file(fs, "/d/f", "r+b");
	opener_start_waiting(&waiter);
	/* In the same directory and elsewhere. */
	make_text(fs, "/d/new", "content");
	make_text(fs, "/new", "content");
	make_dir(fs, "/d/sub/sub");
	assert_text(fs, "/d/g", "content");
	assert_code(mfs_rename(fs, "/d/new", "/d/old", 0), 0);
	assert_code(mfs_rename(fs, "/d/old", "/old", 0), 0);
	assert_code(mfs_remove(fs, "/old"), 0);
	assert_code(mfs_listdir(fs, "/d", &names), 3);
	mfs_names_free(names);
	/* The file itself, but for its data. */
	assert_code(info_of(fs, "/d/f").size, 7);
	assert_code(mfs_get_size(fs, "/d/f"), 7);
	assert_true(mfs_is_file(fs, "/d/f"));
	assert_code(mfs_write(holder, "C", 1), 1);
	assert_refused(fs, mfs_remove(fs, "/d/f"), MFS_EBUSY);
	assert_refused(fs, mfs_rename(fs, "/d/f", "/d/x", 0), MFS_EBUSY);
	assert_refused(fs, mfs_rename(fs, "/d/g", "/d/f", MFS_RENAME_REPLACE), MFS_EBUSY);
	assert_refused(fs, mfs_remove(fs, "/d"), MFS_ENOTEMPTY);
	shared = open_shared(fs, "/d/g", "r+b");
	assert_code(mfs_write(shared, "C", 1), 1);
	close_file(shared);
	/* All of this while the other thread waits. */
	assert_false(atomic_load(&waiter.returned));
	close_file(holder);
	assert_code(opener_join(&waiter), 0);
	close_file(waiter.file);
	assert_text(fs, "/d/f", "Content");
}

struct caller {
	mfs_file *file;
	_Atomic bool returned;
	int64_t result;
};

/** One write on a shared handle. */
static void *write_once(void *argument)
{
	struct caller *caller = argument;

	caller->result = mfs_write(caller->file, "C", 1);
	atomic_store(&caller->returned, true);
	return NULL;
}

static void a_waiting_shared_call_holds_up_nothing_else(void **state)
{
	mfs *fs = *state;
	struct caller caller = {.result = 0};
	mfs_file *holder = NULL;
	pthread_t thread;

	make_text(fs, "/f", "content");
	caller.file = open_shared(fs, "/f", "r+b");
	holder = open_file(fs, "/f", "rb");
	thread = start_thread(write_once, &caller);
	/* Whether or not the write waits already, it cannot end before the holder is closed. */
	make_text(fs, "/g", "content");
	assert_code(mfs_rename(fs, "/g", "/h", 0), 0);
	assert_handle_holds(holder, "content", 7);
	assert_code(mfs_get_size(fs, "/f"), 7);
	assert_false(atomic_load(&caller.returned));
	close_file(holder);
	join_thread(thread);
	assert_code(caller.result, 1);
	close_file(caller.file);
	assert_text(fs, "/f", "Content");
}

/*
 * Files that go while somebody waits for them
 */

/** Removes the file as soon as nobody holds it. */
static void *remove_when_free(void *argument)
{
	mfs *fs = argument;

	while (mfs_remove(fs, "/d/f") == MFS_EBUSY) {
		sched_yield();
	}
	return NULL;
}

/** Closes what the opener got, as soon as it has it. */
static int close_opened(struct opener *opener)
{
	int code = opener_join(opener);

	if (code == 0) {
		assert_code(mfs_close(opener->file), 0);
	}
	return code;
}

static void who_waits_for_a_file_that_is_removed_is_told_or_served(void **state)
{
	static const char *const modes[] = {"rb", "r+b", "wb", "ab"};
	mfs *fs = *state;

	make_dir(fs, "/d");
	for (int round = 0; round < 200; round++) {
		struct opener waiter = {.fs = fs, .path = "/d/f", .lock_timeout = LONG_WAIT};
		mfs_file *holder = open_file(fs, "/d/f", "wb");
		pthread_t remover;
		int code = 0;

		waiter.mode = modes[round % 4];
		waiter.flags = round % 8 < 4 ? 0 : MFS_O_SHARED;
		opener_start(&waiter);
		if (round % 3 != 0) {
			opener_await_asleep(&waiter);
		}
		remover = start_thread(remove_when_free, fs);
		close_file(holder);
		code = close_opened(&waiter);
		join_thread(remover);
		if (waiter.mode[0] == 'r') {
			assert_either(code, 0, MFS_ENOENT);
		} else {
			/* It makes the file anew. */
			assert_code(code, 0);
		}
		assert_int_equal(usage_of(fs).open_handles, 0);
		if (mfs_exists(fs, "/d/f")) {
			assert_code(mfs_remove(fs, "/d/f"), 0);
		}
	}
	assert_int_equal(usage_of(fs).files, 0);
}

static void who_waits_for_a_file_whose_directory_goes_is_told_or_served(void **state)
{
	mfs *fs = *state;

	for (int round = 0; round < 100; round++) {
		struct opener waiter = {.fs = fs, .path = "/d/f", .lock_timeout = LONG_WAIT};
		mfs_file *holder = NULL;
		int code = 0;

		make_dir(fs, "/d");
		holder = open_file(fs, "/d/f", "wb");
		waiter.mode = round % 2 == 0 ? "rb" : "ab";
		opener_start_waiting(&waiter);
		close_file(holder);
		/* Either may come first; whoever does, nobody hangs. */
		if (mfs_remove(fs, "/d/f") == 0) {
			(void)mfs_remove(fs, "/d");
		}
		code = close_opened(&waiter);
		assert_either(code, 0, MFS_ENOENT);
		if (mfs_exists(fs, "/d/f")) {
			assert_code(mfs_remove(fs, "/d/f"), 0);
		}
		if (mfs_exists(fs, "/d")) {
			assert_code(mfs_remove(fs, "/d"), 0);
		}
	}
	assert_int_equal(usage_of(fs).files, 0);
	assert_int_equal(usage_of(fs).directories, 0);
}

static void who_waits_for_a_file_that_is_replaced_gets_the_one_at_the_path(void **state)
{
	mfs *fs = *state;

	for (int round = 0; round < 100; round++) {
		struct opener waiter = {.fs = fs, .path = "/f", .mode = "rb", .lock_timeout = LONG_WAIT};
		mfs_file *holder = NULL;
		int code = 0;

		make_text(fs, "/f", "old");
		make_text(fs, "/new", "new!");
		holder = open_file(fs, "/f", "r+b");
		opener_start_waiting(&waiter);
		close_file(holder);
		code = mfs_rename(fs, "/new", "/f", MFS_RENAME_REPLACE);
		assert_either(code, 0, MFS_EBUSY);
		assert_code(opener_join(&waiter), 0);
		if (code == 0) {
			assert_handle_holds(waiter.file, "new!", 4);
		} else {
			assert_handle_holds(waiter.file, "old", 3);
		}
		/* It is the file at the path, which its lock protects. */
		assert_refused(fs, mfs_remove(fs, "/f"), MFS_EBUSY);
		close_file(waiter.file);
	}
}

static void who_waits_for_a_file_that_is_renamed_away(void **state)
{
	mfs *fs = *state;

	for (int round = 0; round < 100; round++) {
		struct opener waiter = {.fs = fs, .path = "/f", .mode = "r+b", .lock_timeout = LONG_WAIT};
		mfs_file *holder = NULL;
		int renamed = 0;
		int opened = 0;

		make_text(fs, "/f", "content");
		holder = open_file(fs, "/f", "rb");
		opener_start_waiting(&waiter);
		close_file(holder);
		renamed = mfs_rename(fs, "/f", "/g", 0);
		assert_either(renamed, 0, MFS_EBUSY);
		opened = close_opened(&waiter);
		/* In the order of events: what it waited for went, or it had it first. */
		assert_either(opened, 0, renamed == 0 ? MFS_ENOENT : 0);
		assert_code(mfs_remove(fs, renamed == 0 ? "/g" : "/f"), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(readers_share_a_file),
		WORKSPACE_TEST(readers_of_many_threads_are_inside_at_once),
		WORKSPACE_TEST(a_writer_keeps_everybody_out),
		WORKSPACE_TEST(waiting_ends_with_the_timeout),
		cmocka_unit_test(the_workspace_has_a_default_timeout),
		WORKSPACE_TEST(who_gave_up_waiting_stands_in_nobodys_way),
		WORKSPACE_TEST(who_waits_gets_in_after_the_close),
		WORKSPACE_TEST(all_readers_that_wait_get_in_together),
		WORKSPACE_TEST(any_thread_may_close_a_handle),
		WORKSPACE_TEST(writers_get_in_in_the_order_of_arrival),
		WORKSPACE_TEST(a_reader_that_came_later_waits_for_the_writer_before),
		WORKSPACE_TEST(a_reader_reads_the_file_again_while_a_writer_waits),
		WORKSPACE_TEST(a_stream_of_readers_lets_a_writer_in),
		WORKSPACE_TEST(a_stream_of_writers_lets_a_reader_in),
		WORKSPACE_TEST(a_stream_of_writers_lets_a_writer_in),
		WORKSPACE_TEST(waiting_for_one_file_holds_up_nothing_else),
		WORKSPACE_TEST(a_waiting_shared_call_holds_up_nothing_else),
		WORKSPACE_TEST(who_waits_for_a_file_that_is_removed_is_told_or_served),
		WORKSPACE_TEST(who_waits_for_a_file_whose_directory_goes_is_told_or_served),
		WORKSPACE_TEST(who_waits_for_a_file_that_is_replaced_gets_the_one_at_the_path),
		WORKSPACE_TEST(who_waits_for_a_file_that_is_renamed_away),
	};

	return cmocka_run_group_tests_name("file locking", tests, NULL, NULL);
}
