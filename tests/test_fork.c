/* SPDX-License-Identifier: MIT */
/*
 * Does a forked child find its workspaces whole, whatever other threads were doing?
 *
 * The fork is forced into the moment in question: a thread is held inside the library until the
 * fork has begun, or is known to wait. The child reports by its exit code.
 */
#include "support.h"

#include "base/compiler.h"
#include "base/fork.h"
#include "base/reclaim.h"
#include "base/test_hook.h"
#include "fs/filesystem.h"

#include <sys/wait.h>

static mfs *fs;

static int set_up(void **state)
{
	(void)state;
	return mfs_new(NULL, &fs) || mfs_mkdir(fs, "/d", 0);
}

static int tear_down(void **state)
{
	(void)state;
	return !mfs__validate(fs) || mfs_free(fs);
}

static int make(const char *path, const char *text)
{
	mfs_file *file;

	if (mfs_open(fs, path, "wb", &file))
		return 1;
	return mfs_write(file, text, strlen(text)) != (int64_t)strlen(text) || mfs_close(file);
}

/* Fork, let the child do its part, and check that it returned 0. Hangs are the timeout's. */
static void check_child(int (*part)(void))
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(part());
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		print_error("child: wait status %#x\n", (unsigned)status);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* The child's part that nearly every test ends with: everything works. Returns 0, or a line. */
static int everything_works(void)
{
	char **names;
	mfs *another;

	if (!mfs__validate(fs))
		return __LINE__ % 256;
	for (int i = 0; i < 60; i++) {
		char path[32];
		(void)snprintf(path, sizeof path, "/child%d", i);
		if (make(path, "text") || (i % 2 && mfs_remove(fs, path)))
			return __LINE__ % 256;
	}
	if (mfs_listdir(fs, "/", &names) < 30)
		return __LINE__ % 256;
	mfs_names_free(names);
	if (mfs_rename(fs, "/child0", "/child2", MFS_RENAME_REPLACE))
		return __LINE__ % 256;
	if (mfs_new(NULL, &another) || mfs_mkdir(another, "/x", 0) || mfs_free(another))
		return __LINE__ % 256;
	return mfs__validate(fs) ? 0 : __LINE__ % 256;
}

static void child_can_use_the_workspace(void **state)
{
	(void)state;
	assert_int_equal(make("/d/a", "text"), 0);
	check_child(everything_works);
	assert_false(mfs_exists(fs, "/child0"));
}

static int free_the_workspace(void)
{
	int line = everything_works();

	return line ? line : mfs_free(fs) ? 255 : 0;
}

static void child_can_free_the_workspace(void **state)
{
	(void)state;
	assert_int_equal(make("/d/a", "text"), 0);
	check_child(free_the_workspace);
	assert_true(mfs_exists(fs, "/d/a"));
}

static int fork_again(void)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		_exit(everything_works());
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		return __LINE__ % 256;
	return everything_works();
}

static void child_of_a_child_can_use_it_too(void **state)
{
	(void)state;
	check_child(fork_again);
}

/*
 * In the middle of a rename
 */

/* Set once the rename is half published. */
static atomic_bool rename_is_half_done;

static void hold_until_fork(const char *point)
{
	if (strcmp(point, "commit: half published") != 0)
		return;
	atomic_store_explicit(&rename_is_half_done, true, memory_order_relaxed);
	/* Until the fork has shut the gate, and so waits for this thread. */
	while (!atomic_load_explicit(&mfs__gate_shut, memory_order_relaxed))
		sched_yield();
}

static void *rename_a(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)mfs_rename(fs, "/d/a", "/d/b", 0);
}

static int see_whole_rename(void)
{
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_relaxed);
	if (mfs_exists(fs, "/d/a") || !mfs_exists(fs, "/d/b"))
		return __LINE__ % 256;
	return everything_works();
}

static void fork_waits_for_a_rename_under_way(void **state)
{
	pthread_t renamer;
	void *result;

	(void)state;
	assert_int_equal(make("/d/a", "text"), 0);
	for (int i = 0; i < 100; i++) {
		char path[32];
		(void)snprintf(path, sizeof path, "/d/%d", i);
		assert_int_equal(make(path, ""), 0);
	}
	atomic_store_explicit(&rename_is_half_done, false, memory_order_relaxed);
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, hold_until_fork, memory_order_release);
	assert_int_equal(pthread_create(&renamer, NULL, rename_a, NULL), 0);
	while (!atomic_load_explicit(&rename_is_half_done, memory_order_relaxed))
		sched_yield();
	check_child(see_whole_rename);
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
	assert_int_equal(pthread_join(renamer, &result), 0);
	assert_ptr_equal(result, NULL);
	assert_true(mfs_exists(fs, "/d/b"));
}

/*
 * While a thread waits for a file's lock
 */

static mfs_file *held_file;

static struct mfs__rwlock *lock_of(const char *text)
{
	struct mfs__path path;
	struct mfs__lookup found = {0};

	assert_int_equal(mfs__path_begin(&path, text), 0);
	mfs__rcu_lock();
	int code = mfs__lookup(&fs->tree, &path, &found, MFS__LOOKUP_UNGATED);
	mfs__rcu_unlock();
	assert_int_equal(code, 0);
	return &mfs__file_of(found.node)->lock;
}

static void *open_a(void *unused)
{
	mfs_file *file;

	(void)unused;
	return mfs_open(fs, "/d/a", "wb", &file) || mfs_close(file) ? (void *)1 : NULL;
}

static int open_without_waiting(void)
{
	mfs_open_options options = {.lock_timeout = MFS_NO_WAIT};
	mfs_file *file;

	if (mfs_open_ex(fs, "/d/a", "wb", &options, &file) != MFS_EBUSY)
		return __LINE__ % 256;
	if (mfs_close(held_file))
		return __LINE__ % 256;
	/* Nobody waits in the child: the lock is free, not handed to a thread that is not there. */
	if (mfs_open_ex(fs, "/d/a", "wb", &options, &file) || mfs_close(file))
		return __LINE__ % 256;
	if (mfs_remove(fs, "/d/a"))
		return __LINE__ % 256;
	return free_the_workspace();
}

static void child_drops_the_queue_of_a_lock(void **state)
{
	pthread_t opener;
	void *result;

	(void)state;
	assert_int_equal(make("/d/a", "text"), 0);
	assert_code(mfs_open(fs, "/d/a", "rb", &held_file), 0);
	struct mfs__rwlock *lock = lock_of("/d/a");
	assert_int_equal(pthread_create(&opener, NULL, open_a, NULL), 0);
	while (mfs__rwlock_waiters(lock) < 1)
		sched_yield();
	check_child(open_without_waiting);
	assert_code(mfs_close(held_file), 0);
	assert_int_equal(pthread_join(opener, &result), 0);
	assert_ptr_equal(result, NULL);
}

/*
 * Imports in steps
 */

static mfs_import *import;
static mfs_file *staged;

static int stage(const char *path, const char *text)
{
	if (mfs_import_open(import, path, "wb", NULL, &staged))
		return 1;
	return mfs_write(staged, text, strlen(text)) != (int64_t)strlen(text);
}

static int commit_the_import(void)
{
	if (mfs_exists(fs, "/d/n/f") || mfs_import_commit(import, 0) != 1 ||
		mfs_get_size(fs, "/d/n/f") != 4)
		return __LINE__ % 256;
	return free_the_workspace();
}

static int abort_the_import(void)
{
	if (mfs_import_abort(import) || mfs_exists(fs, "/d/n"))
		return __LINE__ % 256;
	return free_the_workspace();
}

static void child_and_parent_each_end_their_own_import(void **state)
{
	(void)state;
	assert_code(mfs_import_begin(fs, &import), 0);
	assert_int_equal(stage("/d/n/f", "text"), 0);
	close_file(staged);
	check_child(commit_the_import);
	assert_false(mfs_exists(fs, "/d/n"));
	check_child(abort_the_import);
	assert_code(mfs_import_commit(import, MFS_IMPORT_NEW), 1);
	assert_text(fs, "/d/n/f", "text");
	/* The other way round. */
	assert_code(mfs_rmtree(fs, "/d/n"), 0);
	assert_code(mfs_import_begin(fs, &import), 0);
	assert_int_equal(stage("/d/n/f", "text"), 0);
	close_file(staged);
	check_child(commit_the_import);
	assert_code(mfs_import_abort(import), 0);
	assert_false(mfs_exists(fs, "/d/n"));
}

static int go_on_with_the_import(void)
{
	if (mfs_import_commit(import, 0) != MFS_EBUSY || mfs_import_abort(import) != MFS_EBUSY ||
		mfs_free(fs) != MFS_EBUSY)
		return __LINE__ % 256;
	if (mfs_truncate(staged, 0) || mfs_pwrite(staged, "anew", 4, 0) != 4 || mfs_close(staged))
		return __LINE__ % 256;
	return commit_the_import();
}

static void child_has_its_own_handles_of_an_import(void **state)
{
	(void)state;
	assert_code(mfs_import_begin(fs, &import), 0);
	assert_int_equal(stage("/d/n/f", "of the parent"), 0);
	check_child(go_on_with_the_import);
	assert_code(mfs_write(staged, "!", 1), 1);
	assert_code(mfs_import_commit(import, 0), MFS_EBUSY);
	close_file(staged);
	assert_code(mfs_import_commit(import, 0), 1);
	assert_text(fs, "/d/n/f", "of the parent!");
}

/* What a thread does that the child does not have. */
static atomic_bool has_begun;
static atomic_bool may_end;

static void await(atomic_bool *flag)
{
	while (!atomic_load_explicit(flag, memory_order_relaxed))
		sched_yield();
}

static void *import_a_file(void *unused)
{
	(void)unused;
	intptr_t failures = mfs_import_begin(fs, &import) || stage("/d/n/f", "text");
	atomic_store_explicit(&has_begun, true, memory_order_relaxed);
	await(&may_end);
	failures += mfs_close(staged) || mfs_import_commit(import, 0) != 1;
	return (void *)failures;
}

static int end_what_another_thread_began(void)
{
	return mfs_close(staged) ? __LINE__ % 256 : abort_the_import();
}

/* Let a thread work until it is `has_begun`, fork, and let it end. */
static void fork_beside(void *(*work)(void *), int (*part)(void))
{
	pthread_t thread;
	void *result;

	atomic_store_explicit(&has_begun, false, memory_order_relaxed);
	atomic_store_explicit(&may_end, false, memory_order_relaxed);
	assert_int_equal(pthread_create(&thread, NULL, work, NULL), 0);
	await(&has_begun);
	check_child(part);
	atomic_store_explicit(&may_end, true, memory_order_relaxed);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, NULL);
}

static void child_can_end_an_import_that_another_thread_began(void **state)
{
	(void)state;
	fork_beside(import_a_file, end_what_another_thread_began);
	assert_text(fs, "/d/n/f", "text");
}

static void hold_commit_until_fork(const char *point)
{
	if (strcmp(point, "merge: a directory matched") != 0 ||
		atomic_load_explicit(&has_begun, memory_order_relaxed))
		return;
	atomic_store_explicit(&has_begun, true, memory_order_relaxed);
	/* Until the fork has shut the gate, and so waits for this thread. */
	while (!atomic_load_explicit(&mfs__gate_shut, memory_order_relaxed))
		sched_yield();
}

static void *commit_in_thread(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)(mfs_import_commit(import, 0) != 1);
}

static int see_whole_import(void)
{
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_relaxed);
	if (mfs_get_size(fs, "/d/n/f") != 4)
		return __LINE__ % 256;
	/* Nothing is left of the import that would keep the workspace. */
	return free_the_workspace();
}

static void fork_waits_for_a_commit_under_way(void **state)
{
	(void)state;
	assert_code(mfs_import_begin(fs, &import), 0);
	assert_int_equal(stage("/d/n/f", "text"), 0);
	close_file(staged);
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, hold_commit_until_fork, memory_order_release);
	fork_beside(commit_in_thread, see_whole_import);
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
	assert_text(fs, "/d/n/f", "text");
}

/* The thread that ends the import is on its way out of the library. */
static void hold_release(void *user, void *buffer, size_t length)
{
	(void)user;
	(void)buffer;
	(void)length;
	atomic_store_explicit(&has_begun, true, memory_order_relaxed);
	await(&may_end);
}

static void *abort_in_thread(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)(mfs_import_abort(import) != 0);
}

static int see_no_import(void)
{
	return mfs_exists(fs, "/d/n") ? __LINE__ % 256 : free_the_workspace();
}

static void child_finds_an_import_that_is_ending_ended(void **state)
{
	static char buffer[4] = "text";

	(void)state;
	assert_code(mfs_import_begin(fs, &import), 0);
	assert_int_equal(stage("/d/n/f", ""), 0);
	assert_code(mfs_write_adopt(staged, buffer, 4, hold_release, NULL), 4);
	close_file(staged);
	fork_beside(abort_in_thread, see_no_import);
	/* A commit that replaces such a file. */
	mfs_file *live = open_file(fs, "/d/f", "wb");
	assert_code(mfs_write_adopt(live, buffer, 4, hold_release, NULL), 4);
	close_file(live);
	assert_code(mfs_import_begin(fs, &import), 0);
	assert_int_equal(stage("/d/f", "new"), 0);
	close_file(staged);
	fork_beside(commit_in_thread, see_no_import);
	assert_text(fs, "/d/f", "new");
}

static void *open_with_patience(void *unused)
{
	mfs_open_options options = {.preallocate = 700, .space_timeout = MFS_WAIT_FOREVER};
	mfs_file *file;

	(void)unused;
	return (void *)(intptr_t)(mfs_import_open(import, "/d/n/f", "wb", &options, &file) ||
							  mfs_close(file));
}

static void child_does_not_have_an_open_that_waits_for_quota(void **state)
{
	mfs_options options = {.max_quota = 1000, .chunk_overhead = -1};
	pthread_t opener;
	void *result;

	(void)state;
	assert_code(mfs_free(fs), 0);
	assert_code(mfs_new(&options, &fs), 0);
	assert_code(mfs_import_begin(fs, &import), 0);
	assert_int_equal(stage("/f", "text"), 0);
	assert_code(mfs_truncate(staged, 600), 0);
	close_file(staged);
	assert_code(mfs_wait_for_space(fs, 700, MFS_NO_WAIT), MFS_EBUSY);
	assert_int_equal(pthread_create(&opener, NULL, open_with_patience, NULL), 0);
	while (usage_of(fs).waiters == 0)
		sched_yield();
	check_child(abort_the_import);
	/* The parent's goes on when there is room. */
	assert_code(mfs_import_open(import, "/f", "wb", NULL, &staged), 0);
	close_file(staged);
	assert_int_equal(pthread_join(opener, &result), 0);
	assert_ptr_equal(result, NULL);
	assert_code(mfs_import_commit(import, 0), 2);
	assert_code(mfs_get_size(fs, "/d/n/f"), 700);
}

/*
 * While other threads do all kinds of things
 */

static atomic_bool stop;

static void *work(void *argument)
{
	unsigned seed = (unsigned)(uintptr_t)argument;
	mfs_open_options shared = {.flags = MFS_O_SHARED};
	mfs_file *common;
	intptr_t failures = 0;

	if (mfs_open_ex(fs, "/d/common", "r+b", &shared, &common))
		return (void *)1;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		char path[32];
		char other[32];
		char data[3000] = {0};
		seed = seed * 1664525u + 1013904223u;
		(void)snprintf(path, sizeof path, "/d/w%u", (seed >> 8) % 16);
		(void)snprintf(other, sizeof other, "/d/w%u", (seed >> 16) % 16);
		mfs_file *file;
		int code = mfs_open(fs, path, "ab", &file);
		if (!code) {
			failures += mfs_write(file, data, sizeof data) != sizeof data;
			failures += mfs_close(file) != 0;
		}
		(void)mfs_rename(fs, other, path, MFS_RENAME_REPLACE);
		if (seed % 4 == 0)
			(void)mfs_remove(fs, other);
		failures += mfs_pwrite(common, data, 100, seed % 1000) != 100;
		failures += mfs_pread(common, data, 100, 0) != 100;
	}
	failures += mfs_close(common) != 0;
	return (void *)failures;
}

static int read_all(void)
{
	char **names;
	mfs_open_options now = {.lock_timeout = MFS_NO_WAIT};
	int64_t count = mfs_listdir(fs, "/d", &names);

	if (count < 0)
		return __LINE__ % 256;
	for (int64_t i = 0; i < count; i++) {
		char path[300];
		char data[4096];
		mfs_file *file;
		(void)snprintf(path, sizeof path, "/d/%s", names[i]);
		int code = mfs_open_ex(fs, path, "rb", &now, &file);
		/* Another thread may have had it open at that instant, and has it so for ever. */
		if (code == MFS_EBUSY)
			continue;
		if (code || mfs_read(file, data, sizeof data) < 0 || mfs_close(file))
			return __LINE__ % 256;
	}
	mfs_names_free(names);
	return everything_works();
}

static void forks_among_busy_threads_give_whole_children(void **state)
{
	enum { WORKERS = 3 };
	pthread_t workers[WORKERS];

	(void)state;
	if (MFS__SANITIZED) {
		print_message("left out: the address sanitizer's allocator may be locked in the child, the "
					  "race detector allows no new threads in it\n");
		skip();
	}
	atomic_store_explicit(&stop, false, memory_order_relaxed);
	assert_int_equal(make("/d/common", "0123456789"), 0);
	for (uintptr_t i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&workers[i], NULL, work, (void *)(i + 1)), 0);
	for (int i = 0; i < 60; i++)
		check_child(read_all);
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	for (int i = 0; i < WORKERS; i++) {
		void *failures;
		assert_int_equal(pthread_join(workers[i], &failures), 0);
		assert_ptr_equal(failures, NULL);
	}
}

/*
 * The child's own reclaimer
 */

static int retire_much(void)
{
	for (int i = 0; i < 200000; i++) {
		char path[32];
		(void)snprintf(path, sizeof path, "/d/%d", i % 500);
		if (make(path, "x") || mfs_remove(fs, path))
			return __LINE__ % 256;
	}
	/* Each round retires some hundred bytes: without a reclaimer it would be above 40 MiB. */
	return mfs__reclaim_pending() < (24 << 20) ? free_the_workspace() : __LINE__ % 256;
}

static void child_reclaims_by_itself(void **state)
{
	(void)state;
	if (MFS__TSAN) {
		print_message("left out: the race detector allows no new threads in a forked child\n");
		skip();
	}
	check_child(retire_much);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(child_can_use_the_workspace),
		TEST(child_can_free_the_workspace),
		TEST(child_of_a_child_can_use_it_too),
		TEST(fork_waits_for_a_rename_under_way),
		TEST(child_drops_the_queue_of_a_lock),
		TEST(child_and_parent_each_end_their_own_import),
		TEST(child_has_its_own_handles_of_an_import),
		TEST(child_can_end_an_import_that_another_thread_began),
		TEST(fork_waits_for_a_commit_under_way),
		TEST(child_finds_an_import_that_is_ending_ended),
		TEST(child_does_not_have_an_open_that_waits_for_quota),
		TEST(forks_among_busy_threads_give_whole_children),
		TEST(child_reclaims_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
