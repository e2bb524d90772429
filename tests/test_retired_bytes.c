/* SPDX-License-Identifier: MIT */
/*
 * Does what removed files and directories leave behind stay within the bound that the process has
 * chosen, whoever holds it up; and does nobody hold it up who only rests?
 */
#include "support.h"

#include "await.h"
#include "base/compiler.h"
#include "base/memory.h"
#include "base/rcu.h"
#include "base/reclaim.h"
#include "base/stripe.h"
#include "fs/filesystem.h"

#include <sys/wait.h>

/* What each stripe may hold besides the bound, and what one call retires here at most. */
#define STRIPE_SLACK (64 * KIB)
#define CALL_SLACK   (4 * KIB)

#define ALL_SLACK (MFS__STRIPES * STRIPE_SLACK)

enum { THREADS = 4, CHURNS = MFS__SANITIZED ? 4000 : 25000 };

static int bound_retired(uint64_t bytes)
{
	mfs_memory_options options = {.struct_size = sizeof(options)};

	options.retired_bytes = bytes;
	return mfs_configure_memory(&options);
}

static mfs *fs;

static int setup(void **state)
{
	(void)state;
	return mfs_configure_memory(NULL) || mfs_new(NULL, &fs);
}

static int teardown(void **state)
{
	(void)state;
	return !mfs__validate(fs) || mfs_free(fs) || mfs_configure_memory(NULL) ? -1 : 0;
}

static uint64_t retired_bytes(void)
{
	mfs_usage usage;

	return mfs_stats(fs, &usage) ? UINT64_MAX : usage.retired_bytes;
}

/* A thread that enters a read-side section, and stays until told to leave. */
struct reader {
	atomic_bool inside;
	atomic_bool leave;
	pthread_t thread;
};

static void *read_and_stay(void *argument)
{
	struct reader *reader = argument;

	mfs__rcu_lock();
	atomic_store(&reader->inside, true);
	while (!atomic_load(&reader->leave))
		(void)sched_yield();
	mfs__rcu_unlock();
	return NULL;
}

static void reader_start(struct reader *reader)
{
	*reader = (struct reader){.leave = false};
	reader->thread = start_thread(read_and_stay, reader);
	AWAIT(atomic_load(&reader->inside));
}

static void reader_leave(struct reader *reader)
{
	atomic_store(&reader->leave, true);
	join_thread(reader->thread);
}

/* Make and remove a file of 4 KiB. Returns 0 or a code. For any thread. */
static int churn_once(const char *path)
{
	static const char page[4096];
	mfs_file *file;

	int code = mfs_open(fs, path, "xb", &file);
	if (code)
		return code;
	int64_t written = mfs_write(file, page, sizeof(page));
	code = mfs_close(file);
	if (written < 0)
		code = (int)written;
	return code ? code : mfs_remove(fs, path);
}

/* A thread that churns, so often. */
struct churner {
	unsigned number;
	unsigned times;
	atomic_uint done;
	uint64_t most; /* that it saw retired after a call; valid once joined */
	int code;
	pthread_t thread;
};

static void *churn(void *argument)
{
	struct churner *churner = argument;
	char path[16];

	(void)snprintf(path, sizeof(path), "/%u", churner->number);
	while (!churner->code && atomic_load(&churner->done) < churner->times) {
		churner->code = churn_once(path);
		uint64_t retired = retired_bytes();
		if (retired > churner->most)
			churner->most = retired;
		atomic_fetch_add(&churner->done, 1);
	}
	return NULL;
}

static void churner_start(struct churner *churner, unsigned number, unsigned times)
{
	*churner = (struct churner){.number = number, .times = times};
	churner->thread = start_thread(churn, churner);
}

static void churner_join(struct churner *churner)
{
	join_thread(churner->thread);
	assert_code(churner->code, 0);
	assert_int_equal(churner->done, churner->times);
}

static void bound_holds_however_long_a_reader_stays(void **state)
{
	static const uint64_t bounds[] = {1, 256 * KIB, 4 * MIB};
	struct reader reader;
	struct churner churner;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bounds); i++) {
		uint64_t allowed = bounds[i] + ALL_SLACK + CALL_SLACK;
		assert_code(bound_retired(bounds[i]), 0);
		reader_start(&reader);
		churner_start(&churner, 0, 60000);
		AWAIT(retired_bytes() > bounds[i]);
		/* It is held back, past the deadline of its waits. */
		int64_t until = mfs__now() + 50 * MFS__NS_PER_MS;
		while (mfs__now() < until)
			assert_in_range(retired_bytes(), 0, allowed);
		assert_true(atomic_load(&churner.done) < churner.times);
		reader_leave(&reader);
		churner_join(&churner);
		assert_in_range(churner.most, bounds[i], allowed);
		AWAIT(retired_bytes() == 0);
	}
}

/* With one thread, what is beyond the bound is that of its stripe. */
static void each_call_leaves_no_more_than_the_bound(void **state)
{
	const uint64_t bound = 100 * KIB;
	struct churner churner;

	(void)state;
	assert_code(bound_retired(bound), 0);
	churner_start(&churner, 0, CHURNS);
	churner_join(&churner);
	assert_true(churner.most <= bound + STRIPE_SLACK + CALL_SLACK);
}

static void bound_holds_while_threads_churn(void **state)
{
	const uint64_t bound = 256 * KIB;
	struct churner churners[THREADS];

	(void)state;
	assert_code(bound_retired(bound), 0);
	for (unsigned i = 0; i < THREADS; i++)
		churner_start(&churners[i], i, CHURNS);
	for (unsigned i = 0; i < THREADS; i++)
		churner_join(&churners[i]);
	for (unsigned i = 0; i < THREADS; i++)
		assert_true(churners[i].most <= bound + ALL_SLACK + THREADS * CALL_SLACK);
	AWAIT(retired_bytes() == 0);
	assert_int_equal(used_bytes(fs), 0);
}

static void default_bound_is_sixteen_mebibytes(void **state)
{
	struct reader reader;
	struct churner churner;

	(void)state;
	assert_code(bound_retired(1), 0);
	assert_code(mfs_configure_memory(NULL), 0);
	reader_start(&reader);
	churner_start(&churner, 0, 100000);
	AWAIT(retired_bytes() > 16 * MIB);
	assert_in_range(retired_bytes(), 16 * MIB, 16 * MIB + STRIPE_SLACK + CALL_SLACK);
	reader_leave(&reader);
	churner_join(&churner);
}

/* Beside a reader mfs_configure_memory() would wait for the grace period, to give memory back. */
static void change_bound(uint64_t bytes)
{
	atomic_store_explicit(&mfs__memory.retired_bytes, bytes, memory_order_relaxed);
}

/* What holds is the bound of now. */
static void bound_may_be_lowered_and_raised(void **state)
{
	struct reader reader;
	struct churner first;
	struct churner second;

	(void)state;
	reader_start(&reader);
	churner_start(&first, 0, 5000);
	churner_join(&first);
	assert_true(retired_bytes() > 512 * KIB);
	change_bound(256 * KIB);
	churner_start(&second, 0, 100);
	int64_t until = mfs__now() + 20 * MFS__NS_PER_MS;
	while (mfs__now() < until)
		assert_true(atomic_load(&second.done) == 0);
	change_bound(64 * MIB);
	churner_join(&second);
	reader_leave(&reader);
}

/* A fork keeps out whoever would free. */
static void who_retires_goes_on_once_something_can_be_freed(void **state)
{
	const uint64_t bound = 128 * KIB;
	struct reader reader;
	struct churner churner;

	(void)state;
	assert_code(bound_retired(bound), 0);
	for (unsigned round = 0; round < 20; round++) {
		reader_start(&reader);
		churner_start(&churner, 0, 3000);
		AWAIT(retired_bytes() > bound);
		unsigned done = atomic_load(&churner.done);
		assert_true(done < churner.times);
		reader_leave(&reader);
		churner_join(&churner);
		AWAIT(retired_bytes() == 0);
	}
}

/* A default size of stacks that no thread can get. */
static void allow_no_threads(void)
{
	pthread_attr_t attributes;

	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, (size_t)1 << 46);
	(void)pthread_setattr_default_np(&attributes);
	(void)pthread_attr_destroy(&attributes);
}

/* In a child, whose library has no thread and gets none. Returns 0 or a line. */
static int churn_without_thread(void)
{
	const uint64_t bound = 128 * KIB;
	struct churner churner = {.times = 20000};
	pthread_t thread;

	allow_no_threads();
	if (pthread_create(&thread, NULL, churn, &churner) == 0)
		return __LINE__ % 256;
	if (bound_retired(bound))
		return __LINE__ % 256;
	(void)churn(&churner);
	if (churner.code || churner.done != churner.times)
		return __LINE__ % 256;
	return churner.most <= bound + STRIPE_SLACK + CALL_SLACK ? 0 : __LINE__ % 256;
}

static void without_a_thread_who_retires_frees(void **state)
{
	int status = -1;

	(void)state;
	if (MFS__SANITIZED) {
		print_message("             skipped: the sanitizer chooses the size of stacks\n");
		skip();
	}
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(churn_without_thread());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

enum { NAMES = 300 };

static void make_names(void)
{
	char path[32];

	make_dir(fs, "/d");
	for (unsigned i = 0; i < NAMES; i++) {
		(void)snprintf(path, sizeof(path), "/d/%03u", i);
		make_text(fs, path, "text");
	}
}

/* All that is there goes, and with it what iterators were opened on. */
static void churn_and_remove_all(void)
{
	struct churner churner;

	assert_code(mfs_rmtree(fs, "/d"), 0);
	churner_start(&churner, 0, 2000);
	churner_join(&churner);
}

static void iterators_that_rest_hold_nothing_back(void **state)
{
	mfs_dir *dir;
	mfs_walk *walk;
	mfs_export *export;
	mfs_entry entry;
	mfs_walk_level level;
	mfs_export_item item;
	unsigned names = 0;
	int code;

	(void)state;
	make_names();
	assert_code(mfs_opendir(fs, "/d", &dir), 0);
	assert_code(mfs_readdir(dir, &entry), 1);
	assert_code(mfs_walk_open(fs, "/", &walk), 0);
	assert_code(mfs_walk_next(walk, &level), 1);
	assert_code(mfs_export_open(fs, "/d", 0, &export), 0);
	assert_code(mfs_export_next(export, &item), 1);
	churn_and_remove_all();
	AWAIT(retired_bytes() == 0);
	for (names = 1; (code = mfs_readdir(dir, &entry)) == 1; names++)
		assert_int_equal(strtoul(entry.name, NULL, 10), names);
	assert_code(code, 0);
	assert_int_equal(names, NAMES);
	assert_code(mfs_walk_next(walk, &level), 0);
	assert_code(mfs_export_next(export, &item), 0);
	assert_code(mfs_closedir(dir), 0);
	assert_code(mfs_walk_close(walk), 0);
	assert_code(mfs_export_close(export), 0);
}

/* Handles pin their file, and nothing else. */
static void open_handles_hold_nothing_else_back(void **state)
{
	(void)state;
	make_names();
	mfs_file *removed = open_shared(fs, "/d/000", "r+b");
	mfs_file *kept = NULL;
	make_text(fs, "/kept", "text");
	kept = open_file(fs, "/kept", "rb");
	churn_and_remove_all();
	AWAIT(retired_bytes() == 0);
	assert_handle_holds(removed, "text", 4);
	assert_handle_holds(kept, "text", 4);
	close_file(removed);
	close_file(kept);
	AWAIT(retired_bytes() == 0);
}

#define RETIRED_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RETIRED_TEST(bound_holds_however_long_a_reader_stays),
		RETIRED_TEST(each_call_leaves_no_more_than_the_bound),
		RETIRED_TEST(bound_holds_while_threads_churn),
		RETIRED_TEST(default_bound_is_sixteen_mebibytes),
		RETIRED_TEST(bound_may_be_lowered_and_raised),
		RETIRED_TEST(who_retires_goes_on_once_something_can_be_freed),
		RETIRED_TEST(without_a_thread_who_retires_frees),
		RETIRED_TEST(iterators_that_rest_hold_nothing_back),
		RETIRED_TEST(open_handles_hold_nothing_else_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
