/* SPDX-License-Identifier: MIT */
/*
 * Does a directory iterator give each name of a directory once, in order, with what was true of it
 * when the directory was opened?
 */
#include "support.h"

#include "base/alloc.h"
#include "base/test_hook.h"
#include "fs/filesystem.h"

#include <sys/wait.h>

/* More than opening a directory here allocates. */
enum { MOST_ALLOCATIONS = 20 };

static mfs_dir *open_dir(mfs *fs, const char *path)
{
	mfs_dir *dir = NULL;

	assert_code(mfs_opendir(fs, path, &dir), 0);
	assert_non_null(dir);
	return dir;
}

static void assert_next(mfs_dir *dir, const char *name)
{
	mfs_entry entry;

	assert_code(mfs_readdir(dir, &entry), 1);
	assert_string_equal(entry.name, name);
}

static void assert_end(mfs_dir *dir)
{
	mfs_entry entry;

	assert_code(mfs_readdir(dir, &entry), 0);
	assert_code(mfs_readdir(dir, &entry), 0);
	assert_code(mfs_closedir(dir), 0);
}

static void an_empty_directory_ends_at_once(void **state)
{
	assert_end(open_dir(*state, "/"));
}

static void entries_are_what_stat_says(void **state)
{
	mfs *fs = *state;
	size_t count = 0;
	char path[512];
	char name[256];
	mfs_entry entry;

	make_dir(fs, "/d");
	/* Lengths of all kinds, so that what is known of each name lies at any place. */
	for (size_t length = 1; length <= 255; length++) {
		memset(name, 'a' + (int)(length % 26), length);
		name[length] = '\0';
		(void)snprintf(path, sizeof path, "/d/%s", name);
		if (length % 5 == 0)
			make_dir(fs, path);
		else
			make_file(fs, path, path, length);
	}
	mfs_dir *dir = open_dir(fs, "d/.//");
	(void)snprintf(name, sizeof name, "%s", "");
	while (mfs_readdir(dir, &entry) == 1) {
		assert_true(strcmp(name, entry.name) < 0);
		(void)snprintf(name, sizeof name, "%s", entry.name);
		(void)snprintf(path, sizeof path, "/d/%s", name);
		mfs_info info = info_of(fs, path);
		assert_true(info.size == entry.info.size);
		assert_true(info.created_at == entry.info.created_at);
		assert_true(info.modified_at == entry.info.modified_at);
		assert_true(info.generation == entry.info.generation);
		assert_true(info.is_dir == entry.info.is_dir);
		count++;
	}
	assert_int_equal(count, 255);
	assert_end(dir);
}

static void later_changes_are_not_seen(void **state)
{
	mfs *fs = *state;
	mfs_entry entry;

	make_text(fs, "/d1", "1");
	make_dir(fs, "/d");
	make_text(fs, "/d/one", "content");
	make_text(fs, "/d/two", "content");
	mfs_dir *dir = open_dir(fs, "/d");
	make_text(fs, "/d/one", "a longer content");
	assert_code(mfs_rename(fs, "/d/two", "/d/three", 0), 0);
	make_text(fs, "/d/another", "content");
	assert_code(mfs_readdir(dir, &entry), 1);
	assert_string_equal(entry.name, "one");
	assert_int_equal(entry.info.size, 7);
	/* The directory itself may go. */
	assert_code(mfs_remove(fs, "/d/one"), 0);
	assert_code(mfs_remove(fs, "/d/three"), 0);
	assert_code(mfs_remove(fs, "/d/another"), 0);
	assert_code(mfs_remove(fs, "/d"), 0);
	assert_string_equal(entry.name, "one");
	assert_next(dir, "two");
	assert_end(dir);
}

static void wrong_arguments_are_refused(void **state)
{
	mfs *fs = *state;
	mfs_dir *dir = NULL;
	mfs_entry entry;

	make_text(fs, "/f", "content");
	assert_refused(fs, mfs_opendir(fs, "/f", &dir), MFS_ENOTDIR);
	assert_refused(fs, mfs_opendir(fs, "/f/x", &dir), MFS_ENOTDIR);
	assert_refused(fs, mfs_opendir(fs, "/nope", &dir), MFS_ENOENT);
	assert_refused(fs, mfs_opendir(fs, "/..", &dir), MFS_EINVAL);
	assert_refused(fs, mfs_opendir(fs, NULL, &dir), MFS_EINVAL);
	assert_refused(fs, mfs_opendir(NULL, "/", &dir), MFS_EINVAL);
	assert_refused(fs, mfs_opendir(fs, "/", NULL), MFS_EINVAL);
	assert_null(dir);
	assert_refused(fs, mfs_readdir(NULL, &entry), MFS_EINVAL);
	dir = open_dir(fs, "/");
	assert_refused(fs, mfs_readdir(dir, NULL), MFS_EINVAL);
	assert_next(dir, "f");
	assert_end(dir);
	assert_code(mfs_closedir(NULL), 0);
}

static void an_open_directory_counts_as_a_handle(void **state)
{
	mfs *fs = *state;

	make_text(fs, "/f", "content");
	mfs_dir *dir = open_dir(fs, "/");
	assert_int_equal(usage_of(fs).open_handles, 1);
	assert_refused(fs, mfs_free(fs), MFS_EBUSY);
	/* It stands in nobody's way. */
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_code(mfs_closedir(dir), 0);
	assert_int_equal(usage_of(fs).open_handles, 0);
}

static void opening_that_runs_out_of_memory_changes_nothing(void **state)
{
	mfs *fs = *state;
	char path[32];
	mfs_dir *dir;
	bool failed = true;

	make_dir(fs, "/d/e");
	/* More than are sorted without an allocation. */
	for (int i = 0; i < 200; i++) {
		(void)snprintf(path, sizeof path, "/d/%d", i);
		make_text(fs, path, "content");
	}
	for (long n = 1; failed; n++) {
		long live = mfs__alloc_live();
		assert_true(n < MOST_ALLOCATIONS);
		mfs__alloc_fail_after(n);
		int code = mfs_opendir(fs, "/d/e/..", &dir);
		failed = mfs__alloc_failed();
		mfs__alloc_fail_after(0);
		if (failed) {
			assert_code(code, MFS_ENOMEM);
			assert_null(dir);
		} else {
			assert_true(n > 3);
			assert_code(code, 0);
			assert_code(mfs_closedir(dir), 0);
		}
		/* Fewer are fine: what filling the directory has retired is freed at some time. */
		assert_true(mfs__alloc_live() <= live);
		assert_int_equal(usage_of(fs).open_handles, 0);
	}
	assert_true(mfs__validate(fs));
}

static void a_forked_child_goes_on(void **state)
{
	mfs *fs = *state;
	mfs_entry entry;
	int status;

	make_text(fs, "/a", "content");
	make_text(fs, "/b", "content");
	mfs_dir *dir = open_dir(fs, "/");
	assert_next(dir, "a");
	pid_t child = fork();
	if (child == 0) {
		bool good = mfs_readdir(dir, &entry) == 1 && strcmp(entry.name, "b") == 0 &&
					mfs_readdir(dir, &entry) == 0 && mfs_free(fs) == MFS_EBUSY &&
					mfs_closedir(dir) == 0 && mfs_free(fs) == 0;
		_exit(good ? 0 : 1);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_next(dir, "b");
	assert_end(dir);
}

/* More names than have room near each other: reading them takes longer than a rename. */
enum { NAMES = 1000, ROUNDS = 500, CHANGES = 10000 };

struct changer {
	mfs *fs;
	atomic_bool stop;
	atomic_int changes; /* so far; at least CHANGES once it has failed */
	int failures;
};

/* At any time there is "x" or "y", and its size is an odd number of bytes. */
static void *rename_and_write(void *argument)
{
	struct changer *changer = argument;
	const char *names[] = {"/d/x", "/d/y"};

	for (unsigned i = 0; !atomic_load(&changer->stop); i++) {
		mfs_file *file;
		changer->failures += mfs_rename(changer->fs, names[i % 2], names[1 - i % 2], 0) != 0;
		changer->failures += mfs_open(changer->fs, names[1 - i % 2], "ab", &file) != 0;
		if (changer->failures)
			break;
		changer->failures += mfs_write(file, "12", 2) != 2;
		if (i % 64 == 63)
			changer->failures += mfs_truncate(file, 1) != 0;
		changer->failures += mfs_close(file) != 0;
		atomic_fetch_add(&changer->changes, 1);
	}
	atomic_fetch_add(&changer->changes, CHANGES);
	return NULL;
}

static void entries_are_of_one_instant(void **state)
{
	mfs *fs = *state;
	struct changer changer = {.fs = fs};
	int wrong = 0;
	char path[32];

	make_dir(fs, "/d");
	for (int i = 0; i < NAMES; i++) {
		(void)snprintf(path, sizeof path, "/d/%d", i);
		make_text(fs, path, "odd");
	}
	make_text(fs, "/d/x", "1");
	pthread_t thread = start_thread(rename_and_write, &changer);
	for (int round = 0; round < ROUNDS || atomic_load(&changer.changes) < CHANGES; round++) {
		mfs_dir *dir;
		mfs_entry entry;
		int entries = 0;
		int moving = 0;
		if (mfs_opendir(fs, "/d", &dir)) {
			wrong++;
			break;
		}
		while (mfs_readdir(dir, &entry) == 1) {
			entries++;
			moving += entry.name[0] == 'x' || entry.name[0] == 'y';
			wrong += entry.info.size % 2 != 1 || entry.info.is_dir;
		}
		wrong += entries != NAMES + 1 || moving != 1;
		wrong += mfs_closedir(dir) != 0;
	}
	atomic_store(&changer.stop, true);
	join_thread(thread);
	assert_int_equal(wrong, 0);
	assert_int_equal(changer.failures, 0);
}

/*
 * Directories that move while a path is listed
 */

static mfs *hooked;
static int times_found;

static void move_the_directory(const char *point)
{
	if (strcmp(point, "listdir: directory found") != 0 || times_found++)
		return;
	assert_code(mfs_rename(hooked, "/d", "/e", 0), 0);
	make_dir(hooked, "/e/new");
}

static void move_another_directory(const char *point)
{
	if (strcmp(point, "listdir: directory found") != 0)
		return;
	times_found++;
	assert_code(mfs_rename(hooked, "/other", "/moved", 0), 0);
	assert_code(mfs_rename(hooked, "/moved", "/other", 0), 0);
}

static void call_at_points(mfs *fs, mfs__yield_function *function)
{
	hooked = fs;
	times_found = 0;
	atomic_store(&mfs__yield_hook, function);
}

static void what_is_moved_away_is_not_listed(void **state)
{
	mfs *fs = *state;
	mfs_dir *dir = NULL;
	char **names = NULL;

	/* "new" is never in "/d". */
	make_dir(fs, "/d/old");
	call_at_points(fs, move_the_directory);
	assert_code(mfs_opendir(fs, "/d", &dir), MFS_ENOENT);
	assert_int_equal(times_found, 1);
	call_at_points(fs, NULL);
	assert_code(mfs_rmtree(fs, "/e"), 0);
	make_dir(fs, "/d/old");
	call_at_points(fs, move_the_directory);
	assert_code(mfs_listdir(fs, "/d", &names), MFS_ENOENT);
	assert_int_equal(times_found, 1);
	call_at_points(fs, NULL);
}

static void moves_elsewhere_do_not_keep_a_listing_from_its_end(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/d/old");
	make_dir(fs, "/other");
	call_at_points(fs, move_another_directory);
	mfs_dir *dir = open_dir(fs, "/d/../d");
	assert_int_equal(times_found, 8);
	call_at_points(fs, NULL);
	assert_next(dir, "old");
	assert_end(dir);
	/* No lock is left behind. */
	assert_code(mfs_rename(fs, "/d", "/e", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(an_empty_directory_ends_at_once),
		WORKSPACE_TEST(entries_are_what_stat_says),
		WORKSPACE_TEST(later_changes_are_not_seen),
		WORKSPACE_TEST(wrong_arguments_are_refused),
		WORKSPACE_TEST(an_open_directory_counts_as_a_handle),
		WORKSPACE_TEST(opening_that_runs_out_of_memory_changes_nothing),
		WORKSPACE_TEST(a_forked_child_goes_on),
		WORKSPACE_TEST(entries_are_of_one_instant),
		WORKSPACE_TEST(what_is_moved_away_is_not_listed),
		WORKSPACE_TEST(moves_elsewhere_do_not_keep_a_listing_from_its_end),
	};

	return cmocka_run_group_tests_name("dir_iterator", tests, NULL, NULL);
}
