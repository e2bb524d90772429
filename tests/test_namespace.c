/* SPDX-License-Identifier: MIT */
/*
 * What do mkdir, remove and rename do to the tree, and what do they refuse?
 */
#include "support.h"

static mfs *workspace_of_nodes(uint64_t max_nodes)
{
	mfs_options options = {.struct_size = sizeof(options)};

	options.max_nodes = max_nodes;
	return new_workspace(&options);
}

static void assert_counts(mfs *fs, uint64_t files, uint64_t directories)
{
	mfs_usage usage = usage_of(fs);

	assert_int_equal(usage.files, files);
	assert_int_equal(usage.directories, directories);
}

/*
 * Directories
 */

static void mkdir_makes_the_parents_that_are_missing(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/a");
	make_dir(fs, "/a/b/c/d");
	assert_true(mfs_is_dir(fs, "/a/b"));
	assert_true(mfs_is_dir(fs, "/a/b/c"));
	assert_true(mfs_is_dir(fs, "/a/b/c/d"));
	assert_counts(fs, 0, 4);
}

static void mkdir_of_what_exists_is_refused_but_for_exist_ok(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/a/b");
	make_text(fs, "/f", "content");
	assert_refused(fs, mfs_mkdir(fs, "/a/b", 0), MFS_EEXIST);
	assert_refused(fs, mfs_mkdir(fs, "/a", 0), MFS_EEXIST);
	assert_refused(fs, mfs_mkdir(fs, "/", 0), MFS_EEXIST);
	assert_refused(fs, mfs_mkdir(fs, "/f", 0), MFS_EEXIST);
	assert_code(mfs_mkdir(fs, "/a/b", MFS_EXIST_OK), 0);
	assert_code(mfs_mkdir(fs, "/a", MFS_EXIST_OK), 0);
	assert_code(mfs_mkdir(fs, "/", MFS_EXIST_OK), 0);
	assert_code(mfs_mkdir(fs, "/a/b/c", MFS_EXIST_OK), 0);
	/* Only a directory that exists is success. */
	assert_refused(fs, mfs_mkdir(fs, "/f", MFS_EXIST_OK), MFS_EEXIST);
	assert_text(fs, "/f", "content");
	assert_counts(fs, 1, 3);
}

static void mkdir_below_a_file_is_refused(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/d");
	make_text(fs, "/d/f", "content");
	assert_refused(fs, mfs_mkdir(fs, "/d/f/x", 0), MFS_ENOTDIR);
	assert_refused(fs, mfs_mkdir(fs, "/d/f/x/y", MFS_EXIST_OK), MFS_ENOTDIR);
	assert_text(fs, "/d/f", "content");
	assert_counts(fs, 1, 1);
}

static void mkdir_makes_all_or_nothing_at_the_node_limit(void **state)
{
	mfs *fs = workspace_of_nodes(4);

	(void)state;
	make_dir(fs, "/a");
	assert_refused(fs, mfs_mkdir(fs, "/a/b/c/d/e", 0), MFS_ENODES);
	assert_refused(fs, mfs_mkdir(fs, "/v/w/x/y", MFS_EXIST_OK), MFS_ENODES);
	assert_false(mfs_exists(fs, "/a/b"));
	assert_false(mfs_exists(fs, "/v"));
	assert_counts(fs, 0, 1);
	make_dir(fs, "/a/b/c/d");
	assert_counts(fs, 0, 4);
	free_workspace(fs);
}

struct mkdirs {
	mfs *fs;
	pthread_barrier_t *start;
	int made;
	int found;
	int failed;
	pthread_t thread;
};

static void *run_mkdirs(void *argument)
{
	struct mkdirs *mkdirs = argument;

	for (int round = 0; round < 100; round++) {
		char path[32];
		int code = 0;

		snprintf(path, sizeof(path), "/r%d/a/b/c", round);
		pthread_barrier_wait(mkdirs->start);
		code = mfs_mkdir(mkdirs->fs, path, 0);
		mkdirs->made += code == 0;
		mkdirs->found += code == MFS_EEXIST;
		mkdirs->failed += code != 0 && code != MFS_EEXIST;
	}
	return NULL;
}

static void many_threads_make_the_same_directories(void **state)
{
	enum { THREADS = 4 };
	mfs *fs = *state;
	struct mkdirs mkdirs[THREADS];
	pthread_barrier_t start;
	int made = 0;

	assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
	memset(mkdirs, 0, sizeof(mkdirs));
	for (int i = 0; i < THREADS; i++) {
		mkdirs[i].fs = fs;
		mkdirs[i].start = &start;
		mkdirs[i].thread = start_thread(run_mkdirs, &mkdirs[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		join_thread(mkdirs[i].thread);
		assert_int_equal(mkdirs[i].failed, 0);
		made += mkdirs[i].made;
	}
	assert_int_equal(made, 100);
	assert_counts(fs, 0, 400);
	pthread_barrier_destroy(&start);
}

/*
 * Removing
 */

static void remove_takes_files_and_empty_directories(void **state)
{
	mfs *fs = *state;
	mfs_info info;
	mfs_file *file = NULL;

	make_dir(fs, "/d");
	make_text(fs, "/d/f", "content");
	assert_refused(fs, mfs_remove(fs, "/d"), MFS_ENOTEMPTY);
	assert_text(fs, "/d/f", "content");
	assert_code(mfs_remove(fs, "/d/f"), 0);
	assert_false(mfs_exists(fs, "/d/f"));
	assert_refused(fs, mfs_stat(fs, "/d/f", &info), MFS_ENOENT);
	assert_refused(fs, mfs_remove(fs, "/d/f"), MFS_ENOENT);
	assert_code(mfs_remove(fs, "/d"), 0);
	assert_false(mfs_exists(fs, "/d"));
	assert_refused(fs, mfs_open(fs, "/d/f", "wb", &file), MFS_ENOENT);
	assert_counts(fs, 0, 0);
	/* The names are free again, for either kind. */
	make_text(fs, "/d", "a file now");
	assert_text(fs, "/d", "a file now");
}

static void remove_refuses_the_root_and_what_is_not_there(void **state)
{
	mfs *fs = *state;

	assert_refused(fs, mfs_remove(fs, "/"), MFS_EINVAL);
	assert_refused(fs, mfs_remove(fs, ""), MFS_EINVAL);
	assert_refused(fs, mfs_remove(fs, "/a/.."), MFS_EINVAL);
	make_text(fs, "/f", "content");
	assert_refused(fs, mfs_remove(fs, "/"), MFS_EINVAL);
	assert_refused(fs, mfs_remove(fs, "/nope"), MFS_ENOENT);
	assert_refused(fs, mfs_remove(fs, "/nope/neither"), MFS_ENOENT);
	assert_refused(fs, mfs_remove(fs, "/f/x"), MFS_ENOTDIR);
	assert_text(fs, "/f", "content");
	assert_counts(fs, 1, 0);
}

static void a_file_that_is_held_is_not_removed_or_renamed(void **state)
{
	static const char *const modes[] = {"rb", "r+b", "wb", "ab"};
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		mfs_file *file = NULL;

		make_text(fs, "/other", "other");
		make_text(fs, "/f", "content");
		file = open_file(fs, "/f", modes[i]);
		assert_refused(fs, mfs_remove(fs, "/f"), MFS_EBUSY);
		assert_refused(fs, mfs_rename(fs, "/f", "/g", 0), MFS_EBUSY);
		assert_refused(fs, mfs_rename(fs, "/f", "/other", MFS_RENAME_REPLACE), MFS_EBUSY);
		assert_refused(fs, mfs_rename(fs, "/other", "/f", MFS_RENAME_REPLACE), MFS_EBUSY);
		assert_true(mfs_is_file(fs, "/f"));
		assert_false(mfs_exists(fs, "/g"));
		assert_text(fs, "/other", "other");
		assert_counts(fs, 2, 0);
		close_file(file);
		assert_code(mfs_rename(fs, "/f", "/g", 0), 0);
		assert_code(mfs_remove(fs, "/g"), 0);
	}
}

/*
 * Renaming
 */

static void rename_gives_a_file_another_name(void **state)
{
	mfs *fs = *state;
	mfs_info before;
	mfs_info after;

	make_dir(fs, "/a/b");
	make_dir(fs, "/c");
	make_text(fs, "/a/f", "content");
	before = info_of(fs, "/a/f");
	assert_code(mfs_rename(fs, "/a/f", "/a/g", 0), 0);
	assert_false(mfs_exists(fs, "/a/f"));
	assert_text(fs, "/a/g", "content");
	assert_code(mfs_rename(fs, "/a/g", "/a/b/g", 0), 0);
	assert_false(mfs_exists(fs, "/a/g"));
	assert_text(fs, "/a/b/g", "content");
	assert_code(mfs_rename(fs, "/a/b/g", "/c/h", MFS_RENAME_REPLACE), 0);
	assert_false(mfs_exists(fs, "/a/b/g"));
	assert_code(mfs_rename(fs, "/c/h", "/h", 0), 0);
	assert_text(fs, "/h", "content");
	after = info_of(fs, "/h");
	assert_int_equal(after.created_at, before.created_at);
	assert_int_equal(after.modified_at, before.modified_at);
	assert_int_equal(after.generation, before.generation);
	assert_counts(fs, 1, 3);
	assert_code(mfs_remove(fs, "/a/b"), 0);
	assert_code(mfs_remove(fs, "/c"), 0);
}

static void rename_replaces_a_file_only_when_told_to(void **state)
{
	mfs *fs = *state;
	uint64_t used = 0;

	make_dir(fs, "/d");
	make_text(fs, "/old", "the old content");
	make_text(fs, "/new", "the new content");
	used = used_bytes(fs);
	assert_refused(fs, mfs_rename(fs, "/new", "/old", 0), MFS_EEXIST);
	assert_text(fs, "/old", "the old content");
	assert_text(fs, "/new", "the new content");
	assert_code(mfs_rename(fs, "/new", "/old", MFS_RENAME_REPLACE), 0);
	assert_false(mfs_exists(fs, "/new"));
	assert_text(fs, "/old", "the new content");
	assert_counts(fs, 1, 1);
	assert_int_equal(used_bytes(fs), used / 2);
	make_text(fs, "/d/x", "third");
	assert_code(mfs_rename(fs, "/old", "/d/x", MFS_RENAME_REPLACE), 0);
	assert_text(fs, "/d/x", "the new content");
	assert_counts(fs, 1, 1);
	assert_int_equal(used_bytes(fs), used / 2);
}

static void rename_to_the_same_name(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/d");
	make_text(fs, "/d/f", "content");
	assert_refused(fs, mfs_rename(fs, "/d/f", "/d/f", 0), MFS_EEXIST);
	assert_refused(fs, mfs_rename(fs, "/d/f", "d//x/../f/", 0), MFS_EEXIST);
	assert_code(mfs_rename(fs, "/d/f", "/d/f", MFS_RENAME_REPLACE), 0);
	assert_code(mfs_rename(fs, "/d/f", "d\\.\\f", MFS_RENAME_REPLACE), 0);
	assert_refused(fs, mfs_rename(fs, "/d/g", "/d/g", MFS_RENAME_REPLACE), MFS_ENOENT);
	assert_refused(fs, mfs_rename(fs, "/d/g", "/d/g", 0), MFS_ENOENT);
	assert_text(fs, "/d/f", "content");
	assert_counts(fs, 1, 1);
}

static void rename_needs_a_file_and_a_parent(void **state)
{
	mfs *fs = *state;

	make_text(fs, "/f", "content");
	make_text(fs, "/other", "other");
	for (unsigned flags = 0; flags <= MFS_RENAME_REPLACE; flags += MFS_RENAME_REPLACE) {
		assert_refused(fs, mfs_rename(fs, "/nope", "/x", flags), MFS_ENOENT);
		assert_refused(fs, mfs_rename(fs, "/nope/nope", "/x", flags), MFS_ENOENT);
		assert_refused(fs, mfs_rename(fs, "/f", "/nope/x", flags), MFS_ENOENT);
		assert_refused(fs, mfs_rename(fs, "/f/x", "/x", flags), MFS_ENOTDIR);
		assert_refused(fs, mfs_rename(fs, "/f", "/other/x", flags), MFS_ENOTDIR);
		assert_refused(fs, mfs_rename(fs, "/f", "/f/x", flags), MFS_ENOTDIR);
	}
	assert_text(fs, "/f", "content");
	assert_text(fs, "/other", "other");
	assert_counts(fs, 2, 0);
}

static void rename_replaces_no_directory_by_a_file(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/d/e");
	make_text(fs, "/f", "content");
	/* Without the flag both causes hold: the name exists, and it is a directory. */
	assert_refused_either(fs, mfs_rename(fs, "/f", "/d", 0), MFS_EEXIST, MFS_EISDIR);
	assert_refused(fs, mfs_rename(fs, "/f", "/d", MFS_RENAME_REPLACE), MFS_EISDIR);
	assert_refused(fs, mfs_rename(fs, "/f", "/d/e", MFS_RENAME_REPLACE), MFS_EISDIR);
	assert_refused_either(fs, mfs_rename(fs, "/f", "/", MFS_RENAME_REPLACE), MFS_EISDIR,
						  MFS_EINVAL);
	assert_refused(fs, mfs_rename(fs, "/", "/g", 0), MFS_EINVAL);
	assert_text(fs, "/f", "content");
	assert_true(mfs_is_dir(fs, "/d/e"));
	assert_false(mfs_exists(fs, "/g"));
	assert_counts(fs, 1, 2);
}

struct changer {
	mfs *fs;
	atomic_bool *stop;
	atomic_int rounds;
	int failures;
};

/** Moves the one file to and fro between two directories and two names. */
static void *move_to_and_fro(void *argument)
{
	static const char *const names[] = {"/d/a", "/d/b", "/e/a", "/d/c"};
	struct changer *changer = argument;

	while (!atomic_load(changer->stop)) {
		for (size_t i = 0; i < COUNT_OF(names); i++) {
			int code = mfs_rename(changer->fs, names[i], names[(i + 1) % COUNT_OF(names)], 0);

			changer->failures += code != 0;
		}
		atomic_fetch_add(&changer->rounds, 1);
	}
	return NULL;
}

static void a_file_that_moves_is_listed_once_at_most(void **state)
{
	mfs *fs = *state;
	atomic_bool stop = false;
	struct changer changer = {.fs = fs, .stop = &stop};
	pthread_t thread;
	int twice = 0;

	make_dir(fs, "/d");
	make_dir(fs, "/e");
	make_text(fs, "/d/a", "content");
	thread = start_thread(move_to_and_fro, &changer);
	for (int i = 0; i < 3000 || atomic_load(&changer.rounds) < 100; i++) {
		char **names = NULL;
		int64_t count = mfs_listdir(fs, "/d", &names);

		twice += count != 0 && count != 1;
		mfs_names_free(names);
	}
	atomic_store(&stop, true);
	join_thread(thread);
	assert_int_equal(twice, 0);
	assert_int_equal(changer.failures, 0);
	assert_text(fs, "/d/a", "content");
	assert_counts(fs, 1, 2);
}

/** Writes aside and renames over, again and again. */
static void *replace_again_and_again(void *argument)
{
	struct changer *changer = argument;

	while (!atomic_load(changer->stop)) {
		mfs_file *file = NULL;
		char text[32];
		int size = snprintf(text, sizeof(text), "version %d", atomic_load(&changer->rounds));
		int code = mfs_open(changer->fs, "/aside", "wb", &file);

		if (code == 0) {
			changer->failures += mfs_write(file, text, (size_t)size) != size;
			changer->failures += mfs_close(file) != 0;
			code = mfs_rename(changer->fs, "/aside", "/d/f", MFS_RENAME_REPLACE);
		}
		/* A reader that has the file open is a good reason, and the only one. */
		changer->failures += code != 0 && code != MFS_EBUSY;
		atomic_fetch_add(&changer->rounds, 1);
	}
	return NULL;
}

static void a_file_that_is_replaced_is_always_there(void **state)
{
	mfs *fs = *state;
	atomic_bool stop = false;
	struct changer changer = {.fs = fs, .stop = &stop};
	pthread_t thread;
	int missing = 0;
	int torn = 0;

	make_dir(fs, "/d");
	make_text(fs, "/d/f", "version");
	thread = start_thread(replace_again_and_again, &changer);
	for (int i = 0; i < 3000; i++) {
		mfs_info info = {.size = 0};
		char **names = NULL;

		missing += mfs_stat(fs, "/d/f", &info) != 0;
		torn += info.size < 7;
		missing += !mfs_is_file(fs, "/d/f");
		missing += mfs_listdir(fs, "/d", &names) != 1;
		mfs_names_free(names);
		if (i % 4 == 0) {
			mfs_file *file = NULL;
			char text[32] = {0};

			if (mfs_open(fs, "/d/f", "rb", &file) != 0) {
				missing++;
				continue;
			}
			torn += mfs_read(file, text, sizeof(text)) < 7 || memcmp(text, "version", 7) != 0;
			torn += mfs_close(file) != 0;
		}
	}
	atomic_store(&stop, true);
	join_thread(thread);
	assert_int_equal(missing, 0);
	assert_int_equal(torn, 0);
	assert_int_equal(changer.failures, 0);
}

/*
 * What is told about nodes
 */

static void stat_tells_a_directory_from_a_file(void **state)
{
	mfs *fs = *state;
	int64_t before = clock_ns(CLOCK_REALTIME) - 10000000;
	mfs_info info;

	make_dir(fs, "/d");
	make_text(fs, "/d/f", "content");
	info = info_of(fs, "/d");
	assert_true(info.is_dir);
	assert_int_equal(info.size, 0);
	assert_int_equal(info.generation, 0);
	assert_in_range(info.created_at, before, clock_ns(CLOCK_REALTIME));
	info = info_of(fs, "/d/f");
	assert_false(info.is_dir);
	assert_int_equal(info.size, 7);
	assert_int_equal(info.generation, 1);
	assert_true(info_of(fs, "/").is_dir);

	assert_code(mfs_get_size(fs, "/d/f"), 7);
	assert_refused(fs, mfs_get_size(fs, "/d"), MFS_EISDIR);
	assert_refused(fs, mfs_get_size(fs, "/"), MFS_EISDIR);
	assert_refused(fs, mfs_get_size(fs, "/nope"), MFS_ENOENT);
	assert_refused(fs, mfs_get_size(fs, "/d/f/x"), MFS_ENOTDIR);
	assert_refused(fs, mfs_stat(fs, "/nope", &info), MFS_ENOENT);
	assert_refused(fs, mfs_stat(fs, "/nope/x", &info), MFS_ENOENT);
	assert_refused(fs, mfs_stat(fs, "/d/f/x", &info), MFS_ENOTDIR);
	assert_true(mfs_exists(fs, "/d") && mfs_is_dir(fs, "/d") && !mfs_is_file(fs, "/d"));
	assert_true(mfs_exists(fs, "/d/f") && !mfs_is_dir(fs, "/d/f") && mfs_is_file(fs, "/d/f"));
	assert_false(mfs_exists(fs, "/x") || mfs_is_dir(fs, "/x") || mfs_is_file(fs, "/x"));
	assert_false(mfs_exists(fs, "/d/f/x"));
}

/** True when `path` was modified since the last call, which `last` remembers. */
static bool was_modified(mfs *fs, const char *path, int64_t *last)
{
	int64_t now = info_of(fs, path).modified_at;
	bool modified = now != *last;

	assert_true(now >= *last);
	*last = now;
	return modified;
}

static void a_directory_is_modified_when_its_names_change(void **state)
{
	mfs *fs = *state;
	int64_t d = 0;
	int64_t e = 0;
	mfs_file *file = NULL;
	int64_t created = 0;

	make_dir(fs, "/d");
	make_dir(fs, "/e");
	created = info_of(fs, "/d").created_at;
	assert_true(was_modified(fs, "/d", &d));
	assert_true(was_modified(fs, "/e", &e));
	await_clock_tick();
	make_text(fs, "/d/f", "content");
	assert_true(was_modified(fs, "/d", &d));
	await_clock_tick();
	assert_code(mfs_rename(fs, "/d/f", "/d/g", 0), 0);
	assert_true(was_modified(fs, "/d", &d));
	assert_false(was_modified(fs, "/e", &e));
	await_clock_tick();
	assert_code(mfs_rename(fs, "/d/g", "/e/f", 0), 0);
	assert_true(was_modified(fs, "/d", &d));
	assert_true(was_modified(fs, "/e", &e));
	await_clock_tick();
	make_dir(fs, "/d/sub");
	assert_true(was_modified(fs, "/d", &d));
	await_clock_tick();
	assert_code(mfs_remove(fs, "/d/sub"), 0);
	assert_true(was_modified(fs, "/d", &d));
	await_clock_tick();
	/* Neither the data of its files nor what fails nor names further down are changes. */
	file = open_file(fs, "/e/f", "r+b");
	assert_code(mfs_write(file, "x", 1), 1);
	close_file(file);
	assert_refused(fs, mfs_mkdir(fs, "/e/f", 0), MFS_EEXIST);
	assert_refused(fs, mfs_remove(fs, "/e/nope"), MFS_ENOENT);
	assert_false(was_modified(fs, "/e", &e));
	make_dir(fs, "/e/sub");
	assert_true(was_modified(fs, "/e", &e));
	await_clock_tick();
	make_dir(fs, "/e/sub/sub");
	assert_false(was_modified(fs, "/e", &e));
	assert_false(was_modified(fs, "/d", &d));
	assert_int_equal(info_of(fs, "/d").created_at, created);
}

static void the_node_limit_is_exact(void **state)
{
	mfs *fs = workspace_of_nodes(10);
	mfs_file *file = NULL;

	(void)state;
	make_dir(fs, "/d");
	for (int i = 0; i < 9; i++) {
		char path[16];

		snprintf(path, sizeof(path), "/d/f%d", i);
		make_text(fs, path, path);
	}
	assert_int_equal(usage_of(fs).max_nodes, 10);
	assert_counts(fs, 9, 1);
	assert_refused(fs, mfs_open(fs, "/d/new", "wb", &file), MFS_ENODES);
	assert_refused(fs, mfs_open(fs, "/d/new", "ab", &file), MFS_ENODES);
	assert_refused(fs, mfs_open(fs, "/d/new", "xb", &file), MFS_ENODES);
	assert_refused(fs, mfs_mkdir(fs, "/new", 0), MFS_ENODES);
	assert_true(mfs_is_quota_error(MFS_ENODES));
	assert_false(mfs_exists(fs, "/d/new"));
	assert_false(mfs_exists(fs, "/new"));
	assert_counts(fs, 9, 1);
	/* What needs no node goes on. */
	assert_code(mfs_mkdir(fs, "/d", MFS_EXIST_OK), 0);
	close_file(open_file(fs, "/d/f0", "wb"));
	assert_code(mfs_rename(fs, "/d/f0", "/f0", 0), 0);
	/* One gone makes room for one. */
	assert_code(mfs_rename(fs, "/f0", "/d/f1", MFS_RENAME_REPLACE), 0);
	make_dir(fs, "/new");
	assert_refused(fs, mfs_open(fs, "/d/new", "wb", &file), MFS_ENODES);
	assert_code(mfs_remove(fs, "/new"), 0);
	assert_code(mfs_remove(fs, "/d/f2"), 0);
	make_dir(fs, "/two/more");
	assert_refused(fs, mfs_mkdir(fs, "/three", 0), MFS_ENODES);
	free_workspace(fs);
}

struct node_maker {
	mfs *fs;
	int number;
	int made;
	int failures;
	pthread_t thread;
};

static void *make_nodes(void *argument)
{
	struct node_maker *maker = argument;

	for (int i = 0; i < 200; i++) {
		char path[32];
		int code = 0;

		if (i % 2 == 0) {
			snprintf(path, sizeof(path), "/d%d-%d", maker->number, i);
			code = mfs_mkdir(maker->fs, path, 0);
		} else {
			mfs_file *file = NULL;

			snprintf(path, sizeof(path), "/f%d-%d", maker->number, i);
			code = mfs_open(maker->fs, path, "xb", &file);
			if (code == 0) {
				maker->failures += mfs_close(file) != 0;
			}
		}
		maker->made += code == 0;
		maker->failures += code != 0 && code != MFS_ENODES;
	}
	return NULL;
}

static void the_node_limit_is_exact_for_many_threads(void **state)
{
	enum { THREADS = 4, NODES = 501 };
	mfs *fs = workspace_of_nodes(NODES);
	struct node_maker makers[THREADS];
	mfs_usage usage;
	int made = 0;

	(void)state;
	memset(makers, 0, sizeof(makers));
	for (int i = 0; i < THREADS; i++) {
		makers[i].fs = fs;
		makers[i].number = i;
		makers[i].thread = start_thread(make_nodes, &makers[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		join_thread(makers[i].thread);
		assert_int_equal(makers[i].failures, 0);
		made += makers[i].made;
	}
	assert_int_equal(made, NODES);
	usage = usage_of(fs);
	assert_int_equal(usage.files + usage.directories, NODES);
	free_workspace(fs);
}

static void stats_count_files_directories_and_handles(void **state)
{
	mfs *fs = *state;
	mfs_usage usage = usage_of(fs);
	mfs_file *one = NULL;
	mfs_file *two = NULL;

	assert_int_equal(usage.files, 0);
	assert_int_equal(usage.directories, 0);
	assert_int_equal(usage.open_handles, 0);
	assert_int_equal(usage.max_nodes, 0);
	assert_int_equal(usage.used_bytes, 0);
	assert_int_equal(usage.chunks, 0);
	assert_int_equal(usage.quota_bytes, 256 * MIB);
	make_dir(fs, "/d/e");
	one = open_file(fs, "/d/f", "wb");
	two = open_file(fs, "/g", "wb");
	usage = usage_of(fs);
	assert_int_equal(usage.files, 2);
	assert_int_equal(usage.directories, 2);
	assert_int_equal(usage.open_handles, 2);
	close_file(one);
	assert_int_equal(usage_of(fs).open_handles, 1);
	close_file(two);
	assert_int_equal(usage_of(fs).open_handles, 0);
	assert_code(mfs_remove(fs, "/g"), 0);
	assert_code(mfs_remove(fs, "/d/e"), 0);
	usage = usage_of(fs);
	assert_int_equal(usage.files, 1);
	assert_int_equal(usage.directories, 1);
}

static void workspaces_know_nothing_of_each_other(void **state)
{
	mfs *fs = *state;
	mfs *other = new_workspace(NULL);

	make_text(fs, "/f", "content");
	assert_false(mfs_exists(other, "/f"));
	make_text(other, "/f", "other");
	assert_text(fs, "/f", "content");
	assert_text(other, "/f", "other");
	/* Freed with all that is in it. */
	make_dir(other, "/d/e/f");
	free_workspace(other);
	assert_text(fs, "/f", "content");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(mkdir_makes_the_parents_that_are_missing),
		WORKSPACE_TEST(mkdir_of_what_exists_is_refused_but_for_exist_ok),
		WORKSPACE_TEST(mkdir_below_a_file_is_refused),
		cmocka_unit_test(mkdir_makes_all_or_nothing_at_the_node_limit),
		WORKSPACE_TEST(many_threads_make_the_same_directories),
		WORKSPACE_TEST(remove_takes_files_and_empty_directories),
		WORKSPACE_TEST(remove_refuses_the_root_and_what_is_not_there),
		WORKSPACE_TEST(a_file_that_is_held_is_not_removed_or_renamed),
		WORKSPACE_TEST(rename_gives_a_file_another_name),
		WORKSPACE_TEST(rename_replaces_a_file_only_when_told_to),
		WORKSPACE_TEST(rename_to_the_same_name),
		WORKSPACE_TEST(rename_needs_a_file_and_a_parent),
		WORKSPACE_TEST(rename_replaces_no_directory_by_a_file),
		WORKSPACE_TEST(a_file_that_moves_is_listed_once_at_most),
		WORKSPACE_TEST(a_file_that_is_replaced_is_always_there),
		WORKSPACE_TEST(stat_tells_a_directory_from_a_file),
		WORKSPACE_TEST(a_directory_is_modified_when_its_names_change),
		cmocka_unit_test(the_node_limit_is_exact),
		cmocka_unit_test(the_node_limit_is_exact_for_many_threads),
		WORKSPACE_TEST(stats_count_files_directories_and_handles),
		WORKSPACE_TEST(workspaces_know_nothing_of_each_other),
	};

	return cmocka_run_group_tests_name("namespace", tests, NULL, NULL);
}
