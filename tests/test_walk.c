/* SPDX-License-Identifier: MIT */
/*
 * Does a walk come to each directory of a tree once, in order, with all that is in it at one
 * instant, and does it go on safely and end, whatever happens to the tree meanwhile?
 */
#include "support.h"

#include "base/alloc.h"
#include "fs/filesystem.h"

#include <sys/wait.h>

/* More than a walk here allocates. */
enum { MOST_ALLOCATIONS = 200 };

static mfs_walk *open_walk(mfs *fs, const char *path)
{
	mfs_walk *walk = NULL;

	assert_code(mfs_walk_open(fs, path, &walk), 0);
	assert_non_null(walk);
	return walk;
}

static void close_walk(mfs_walk *walk)
{
	assert_code(mfs_walk_close(walk), 0);
}

static void add_names(char *out, size_t size, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t used = strlen(out);
		(void)snprintf(out + used, size - used, i ? " %s" : "%s", names[i]);
	}
}

/* A level as text: "/path: directories | files". */
static void describe(const mfs_walk_level *level, char *out, size_t size)
{
	(void)snprintf(out, size, "%s: ", level->path);
	add_names(out, size, level->directories, level->directory_count);
	(void)snprintf(out + strlen(out), size - strlen(out), " | ");
	add_names(out, size, level->files, level->file_count);
}

static void assert_level(mfs_walk *walk, const char *expected)
{
	mfs_walk_level level;
	char got[1024];

	assert_code(mfs_walk_next(walk, &level), 1);
	describe(&level, got, sizeof got);
	assert_string_equal(got, expected);
}

static void assert_end(mfs_walk *walk)
{
	mfs_walk_level level;

	assert_code(mfs_walk_next(walk, &level), 0);
	assert_code(mfs_walk_next(walk, &level), 0);
	close_walk(walk);
}

/* The tree that most tests begin with. */
static void make_tree(mfs *fs)
{
	make_dir(fs, "/a/deep/deeper");
	make_dir(fs, "/b");
	make_dir(fs, "/a.b");
	make_text(fs, "/f2", "content");
	make_text(fs, "/f10", "content");
	make_text(fs, "/a/x", "content");
	make_text(fs, "/a/deep/y", "content");
	make_text(fs, "/b/z", "content");
}

static void every_directory_comes_once_in_order(void **state)
{
	mfs *fs = *state;

	make_tree(fs);
	mfs_walk *walk = open_walk(fs, "/");
	assert_level(walk, "/: a a.b b | f10 f2");
	assert_level(walk, "/a: deep | x");
	assert_level(walk, "/a/deep: deeper | y");
	assert_level(walk, "/a/deep/deeper:  | ");
	assert_level(walk, "/a.b:  | ");
	assert_level(walk, "/b:  | z");
	assert_end(walk);
}

static void a_walk_begins_where_it_is_told(void **state)
{
	const char *paths[] = {"/a/deep", "a/deep", "//a\\.\\deep//", "/b/../a/nope/../deep/."};
	mfs *fs = *state;

	make_tree(fs);
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		mfs_walk *walk = open_walk(fs, paths[i]);
		assert_level(walk, "/a/deep: deeper | y");
		assert_level(walk, "/a/deep/deeper:  | ");
		assert_end(walk);
	}
	mfs_walk *walk = open_walk(fs, "");
	assert_level(walk, "/: a a.b b | f10 f2");
	close_walk(walk);
}

static void an_empty_workspace_has_one_level(void **state)
{
	mfs_walk *walk = open_walk(*state, "/");

	assert_level(walk, "/:  | ");
	assert_end(walk);
}

static void wrong_arguments_are_refused(void **state)
{
	mfs *fs = *state;
	mfs_walk *walk = NULL;
	mfs_walk_level level;

	make_tree(fs);
	assert_refused(fs, mfs_walk_open(fs, "/f2", &walk), MFS_ENOTDIR);
	assert_refused(fs, mfs_walk_open(fs, "/f2/x", &walk), MFS_ENOTDIR);
	assert_refused(fs, mfs_walk_open(fs, "/nope", &walk), MFS_ENOENT);
	assert_refused(fs, mfs_walk_open(fs, "/a/../..", &walk), MFS_EINVAL);
	assert_refused(fs, mfs_walk_open(fs, NULL, &walk), MFS_EINVAL);
	assert_refused(fs, mfs_walk_open(NULL, "/", &walk), MFS_EINVAL);
	assert_refused(fs, mfs_walk_open(fs, "/", NULL), MFS_EINVAL);
	assert_null(walk);
	assert_refused(fs, mfs_walk_next(NULL, &level), MFS_EINVAL);
	assert_refused(fs, mfs_walk_skip(NULL), MFS_EINVAL);
	walk = open_walk(fs, "/");
	assert_refused(fs, mfs_walk_skip(walk), MFS_EINVAL);
	assert_refused(fs, mfs_walk_next(walk, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_walk_skip(walk), MFS_EINVAL);
	assert_level(walk, "/: a a.b b | f10 f2");
	close_walk(walk);
	assert_code(mfs_walk_close(NULL), 0);
}

static void what_is_skipped_is_not_gone_into(void **state)
{
	mfs *fs = *state;

	make_tree(fs);
	mfs_walk *walk = open_walk(fs, "/");
	assert_level(walk, "/: a a.b b | f10 f2");
	assert_level(walk, "/a: deep | x");
	assert_code(mfs_walk_skip(walk), 0);
	assert_code(mfs_walk_skip(walk), 0);
	assert_level(walk, "/a.b:  | ");
	assert_code(mfs_walk_skip(walk), 0);
	assert_level(walk, "/b:  | z");
	assert_code(mfs_walk_skip(walk), 0);
	mfs_walk_level level;
	assert_code(mfs_walk_next(walk, &level), 0);
	assert_code(mfs_walk_skip(walk), 0);
	assert_end(walk);

	walk = open_walk(fs, "/");
	assert_level(walk, "/: a a.b b | f10 f2");
	assert_code(mfs_walk_skip(walk), 0);
	assert_end(walk);
}

static void an_open_walk_counts_as_a_handle(void **state)
{
	mfs *fs = *state;

	make_tree(fs);
	mfs_walk *walk = open_walk(fs, "/");
	assert_int_equal(usage_of(fs).open_handles, 1);
	assert_refused(fs, mfs_free(fs), MFS_EBUSY);
	assert_level(walk, "/: a a.b b | f10 f2");
	assert_refused(fs, mfs_free(fs), MFS_EBUSY);
	close_walk(walk);
	assert_int_equal(usage_of(fs).open_handles, 0);
}

/*
 * Changes between two steps
 */

static void what_is_removed_before_its_turn_is_left_out(void **state)
{
	mfs *fs = *state;

	make_tree(fs);
	mfs_walk *walk = open_walk(fs, "/");
	assert_level(walk, "/: a a.b b | f10 f2");
	assert_code(mfs_remove(fs, "/a.b"), 0);
	assert_level(walk, "/a: deep | x");
	assert_level(walk, "/a/deep: deeper | y");
	/* The directory where the walk stands, and the one above. */
	assert_code(mfs_remove(fs, "/a/deep/y"), 0);
	assert_code(mfs_remove(fs, "/a/deep/deeper"), 0);
	assert_code(mfs_remove(fs, "/a/deep"), 0);
	assert_code(mfs_remove(fs, "/a/x"), 0);
	assert_code(mfs_remove(fs, "/a"), 0);
	assert_level(walk, "/b:  | z");
	assert_end(walk);
}

static void what_comes_in_place_of_a_directory_counts(void **state)
{
	mfs *fs = *state;

	make_tree(fs);
	mfs_walk *walk = open_walk(fs, "/");
	assert_level(walk, "/: a a.b b | f10 f2");
	/* Another directory of the same name is met, a file is not. */
	assert_code(mfs_remove(fs, "/a.b"), 0);
	make_text(fs, "/a.b", "content");
	assert_code(mfs_remove(fs, "/b/z"), 0);
	assert_code(mfs_remove(fs, "/b"), 0);
	make_dir(fs, "/b/new");
	/* A directory that comes behind the walk is not. */
	make_dir(fs, "/c");
	assert_level(walk, "/a: deep | x");
	assert_code(mfs_walk_skip(walk), 0);
	assert_level(walk, "/b: new | ");
	assert_level(walk, "/b/new:  | ");
	assert_end(walk);
}

static void a_removed_directory_made_anew_is_another_one(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/a/b");
	mfs_walk *walk = open_walk(fs, "/");
	assert_level(walk, "/: a | ");
	assert_level(walk, "/a: b | ");
	assert_code(mfs_remove(fs, "/a/b"), 0);
	assert_code(mfs_remove(fs, "/a"), 0);
	make_dir(fs, "/a/b");
	assert_end(walk);
}

static void a_top_that_is_removed_ends_the_walk(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/a/b");
	mfs_walk *walk = open_walk(fs, "/a/b");
	mfs_walk *unused = open_walk(fs, "/a/b");
	assert_code(mfs_remove(fs, "/a/b"), 0);
	assert_end(walk);
	close_walk(unused);
}

static void a_tree_that_is_removed_around_the_walk_is_left(void **state)
{
	mfs *fs = *state;

	make_tree(fs);
	mfs_walk *walk = open_walk(fs, "/");
	assert_level(walk, "/: a a.b b | f10 f2");
	assert_level(walk, "/a: deep | x");
	assert_code(mfs_rmtree(fs, "/a"), 0);
	make_dir(fs, "/a/deep/deeper");
	assert_level(walk, "/a.b:  | ");
	assert_level(walk, "/b:  | z");
	assert_end(walk);
}

static void a_walk_goes_on_in_a_directory_that_is_moved(void **state)
{
	mfs *fs = *state;

	make_tree(fs);
	mfs_walk *walk = open_walk(fs, "/");
	assert_level(walk, "/: a a.b b | f10 f2");
	assert_level(walk, "/a: deep | x");
	/* Where it is now is behind the walk: it is not met again. */
	assert_code(mfs_rename(fs, "/a", "/A", 0), 0);
	make_dir(fs, "/a/deep");
	assert_level(walk, "/a/deep: deeper | y");
	assert_level(walk, "/a/deep/deeper:  | ");
	/* What is moved ahead of the walk is met there. */
	assert_code(mfs_rename(fs, "/A/deep", "/b/deep", 0), 0);
	assert_level(walk, "/a.b:  | ");
	assert_level(walk, "/b: deep | z");
	assert_level(walk, "/b/deep: deeper | y");
	assert_level(walk, "/b/deep/deeper:  | ");
	assert_end(walk);
}

static void a_directory_is_not_met_below_itself(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/a/x/y");
	mfs_walk *walk = open_walk(fs, "/");
	assert_level(walk, "/: a | ");
	assert_level(walk, "/a: x | ");
	assert_level(walk, "/a/x: y | ");
	assert_code(mfs_rename(fs, "/a/x", "/x", 0), 0);
	assert_code(mfs_rename(fs, "/a", "/x/y/a", 0), 0);
	assert_level(walk, "/a/x/y: a | ");
	assert_end(walk);
}

static void the_level_stays_until_the_next_call(void **state)
{
	mfs *fs = *state;
	mfs_walk_level level;
	char got[256];

	make_tree(fs);
	mfs_walk *walk = open_walk(fs, "/b");
	assert_code(mfs_walk_next(walk, &level), 1);
	assert_code(mfs_remove(fs, "/b/z"), 0);
	assert_code(mfs_remove(fs, "/b"), 0);
	make_text(fs, "/b", "content");
	describe(&level, got, sizeof got);
	assert_string_equal(got, "/b:  | z");
	assert_end(walk);
}

/*
 * Large and deep trees
 */

static void a_deep_tree_is_walked(void **state)
{
	enum { DEPTH = 20000 };
	mfs *fs = *state;
	char *path = allocate(2 * DEPTH + 8);
	mfs_walk_level level;
	size_t depth = 0;

	for (size_t i = 0; i < DEPTH; i++)
		memcpy(path + 2 * i, "/d", 3);
	make_dir(fs, path);
	mfs_walk *walk = open_walk(fs, "/");
	while (mfs_walk_next(walk, &level) == 1) {
		assert_int_equal(strlen(level.path), depth ? 2 * depth : 1);
		assert_int_equal(level.directory_count, depth == DEPTH ? 0 : 1);
		assert_int_equal(level.file_count, 0);
		depth++;
	}
	assert_int_equal(depth, DEPTH + 1);
	assert_end(walk);
	/* Closed at its deepest, where all directories are gone. */
	walk = open_walk(fs, "/");
	for (depth = 0; depth <= DEPTH; depth++)
		assert_code(mfs_walk_next(walk, &level), 1);
	assert_code(mfs_rmtree(fs, "/d"), 0);
	assert_end(walk);
	assert_int_equal(usage_of(fs).directories, 0);
	free(path);
}

static void a_wide_directory_is_split_and_sorted(void **state)
{
	enum { COUNT = 5000 };
	mfs *fs = *state;
	struct rng rng = {7};
	mfs_walk_level level;
	size_t directories = 0;
	char path[64];

	for (int i = 0; i < COUNT; i++) {
		(void)snprintf(path, sizeof path, "/%x-%d", (unsigned)rng_below(&rng, 4096), i);
		if (i % 3 == 0)
			make_dir(fs, path);
		else
			close_file(open_file(fs, path, "xb"));
	}
	mfs_walk *walk = open_walk(fs, "/");
	assert_code(mfs_walk_next(walk, &level), 1);
	assert_int_equal(level.directory_count, (COUNT + 2) / 3);
	assert_int_equal(level.file_count, COUNT - (COUNT + 2) / 3);
	for (size_t i = 1; i < level.directory_count; i++)
		assert_true(strcmp(level.directories[i - 1], level.directories[i]) < 0);
	for (size_t i = 1; i < level.file_count; i++)
		assert_true(strcmp(level.files[i - 1], level.files[i]) < 0);
	while (mfs_walk_next(walk, &level) == 1) {
		assert_true(directories == 0 || strcmp(path, level.path) < 0);
		(void)snprintf(path, sizeof path, "%s", level.path);
		directories++;
	}
	assert_int_equal(directories, (COUNT + 2) / 3);
	close_walk(walk);
}

/*
 * Want of memory
 */

/* A tree that makes everything in a walk grow: names, levels, path. */
static void make_growing_tree(mfs *fs)
{
	char path[512];

	for (int i = 0; i < 100; i++) {
		(void)snprintf(path, sizeof path, "/d%d", i);
		make_dir(fs, path);
		(void)snprintf(path, sizeof path, "/f%d", i);
		make_text(fs, path, "content");
	}
	for (size_t i = 0; i < 40; i++)
		memcpy(path + 4 * i, "/d50", 5);
	make_dir(fs, path);
}

/* Walk all with the n-th allocation failing: the step that fails is made again. */
static bool walk_with_failure(mfs *fs, long n, size_t *levels)
{
	mfs_walk *walk = NULL;
	mfs_walk_level level;
	int code;

	*levels = 0;
	mfs__alloc_fail_after(n);
	code = mfs_walk_open(fs, "/d50/..", &walk);
	if (code == MFS_ENOMEM) {
		assert_null(walk);
		assert_int_equal(usage_of(fs).open_handles, 0);
		code = mfs_walk_open(fs, "/", &walk);
	}
	assert_code(code, 0);
	for (;;) {
		code = mfs_walk_next(walk, &level);
		if (code == MFS_ENOMEM) {
			assert_true(mfs__alloc_failed());
			code = mfs_walk_next(walk, &level);
		}
		if (code != 1)
			break;
		++*levels;
	}
	assert_code(code, 0);
	close_walk(walk);
	bool failed = mfs__alloc_failed();
	mfs__alloc_fail_after(0);
	return failed;
}

static void a_step_that_runs_out_of_memory_can_be_made_again(void **state)
{
	mfs *fs = *state;
	size_t levels;
	bool failed = true;
	long n;

	make_growing_tree(fs);
	for (n = 1; failed; n++) {
		long live = mfs__alloc_live();
		assert_true(n < 2 * MOST_ALLOCATIONS);
		failed = walk_with_failure(fs, n, &levels);
		assert_int_equal(levels, 1 + 100 + 39);
		/* Fewer are fine: what making the tree has retired is freed at some time. */
		assert_true(mfs__alloc_live() <= live);
	}
	assert_true(n > 140);
	assert_true(mfs__validate(fs));
}

static void a_walk_can_be_closed_after_a_failure(void **state)
{
	mfs *fs = *state;
	mfs_walk_level level;

	make_growing_tree(fs);
	long live = mfs__alloc_live();
	mfs_walk *walk = open_walk(fs, "/");
	assert_code(mfs_walk_next(walk, &level), 1);
	mfs__alloc_fail_after(1);
	support__mark_last_error(fs);
	assert_code(mfs_walk_next(walk, &level), MFS_ENOMEM);
	support__check_message("mfs_walk_next", __FILE__, __LINE__);
	/* What failed was a directory of the level that came last. */
	assert_code(mfs_walk_skip(walk), 0);
	assert_code(mfs_walk_next(walk, &level), 0);
	close_walk(walk);
	/* Fewer are fine: what making the tree has retired is freed at some time. */
	assert_true(mfs__alloc_live() <= live);
}

/*
 * Forks and threads
 */

static void a_forked_child_goes_on(void **state)
{
	mfs *fs = *state;
	mfs_walk_level level;
	int status;

	make_tree(fs);
	mfs_walk *walk = open_walk(fs, "/");
	assert_level(walk, "/: a a.b b | f10 f2");
	assert_level(walk, "/a: deep | x");
	pid_t child = fork();
	if (child == 0) {
		int levels = 0;
		while (mfs_walk_next(walk, &level) == 1)
			levels++;
		_exit(levels == 4 && mfs_walk_close(walk) == 0 && mfs_free(fs) == 0 ? 0 : 1);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_level(walk, "/a/deep: deeper | y");
	close_walk(walk);
}

enum { PAIRS = 5, FILES = 300, ROUNDS = 100, CHANGES = 3000 };

struct changer {
	mfs *fs;
	atomic_bool stop;
	atomic_int changes; /* so far */
	int failures;
};

/* In each "/pN" there is "x" or "y" at any time: a file. */
static void *rename_pairs(void *argument)
{
	struct changer *changer = argument;
	bool is_y[PAIRS] = {false};
	struct rng rng = {11};
	char paths[2][32];

	while (!atomic_load(&changer->stop)) {
		atomic_fetch_add(&changer->changes, 1);
		size_t pair = rng_below(&rng, PAIRS);
		(void)snprintf(paths[0], sizeof paths[0], "/p%zu/x", pair);
		(void)snprintf(paths[1], sizeof paths[1], "/p%zu/y", pair);
		changer->failures += mfs_rename(changer->fs, paths[is_y[pair]], paths[!is_y[pair]], 0) != 0;
		is_y[pair] = !is_y[pair];
	}
	return NULL;
}

/* In each "/pN" a tree of directories comes and goes. */
static void *make_and_remove(void *argument)
{
	struct changer *changer = argument;
	struct rng rng = {13};
	char path[64];

	while (!atomic_load(&changer->stop)) {
		atomic_fetch_add(&changer->changes, 1);
		int used = snprintf(path, sizeof path, "/p%zu", rng_below(&rng, PAIRS));
		(void)snprintf(path + used, sizeof path - (size_t)used, "/t/u/v");
		changer->failures += mfs_mkdir(changer->fs, path, 0) != 0;
		for (int cut = 6; cut > 0; cut -= 2) {
			path[used + cut] = '\0';
			changer->failures += mfs_remove(changer->fs, path) != 0;
		}
	}
	return NULL;
}

static void each_level_is_of_one_instant(void **state)
{
	mfs *fs = *state;
	struct changer renamer = {.fs = fs};
	struct changer maker = {.fs = fs};
	char path[32];
	int wrong = 0;

	for (int i = 0; i < PAIRS; i++) {
		(void)snprintf(path, sizeof path, "/p%d/stays", i);
		make_dir(fs, path);
		(void)snprintf(path, sizeof path, "/p%d/x", i);
		make_text(fs, path, "content");
		/* Names that make reading a directory take longer than a rename. */
		for (int j = 0; j < FILES; j++) {
			(void)snprintf(path, sizeof path, "/p%d/%d", i, j);
			make_text(fs, path, "");
		}
	}
	pthread_t threads[] = {start_thread(rename_pairs, &renamer),
						   start_thread(make_and_remove, &maker)};
	for (int round = 0; round < ROUNDS || atomic_load(&renamer.changes) < CHANGES ||
						atomic_load(&maker.changes) < CHANGES;
		 round++) {
		mfs_walk *walk;
		mfs_walk_level level;
		int pairs = 0;
		int staying = 0;
		int code = mfs_walk_open(fs, "/", &walk);
		if (code) {
			wrong++;
			break;
		}
		while ((code = mfs_walk_next(walk, &level)) == 1) {
			size_t length = strlen(level.path);
			if (level.path[length - 1] == 's') {
				staying++;
			} else if (length > 1 && strchr(level.path + 1, '/') == NULL) {
				pairs++;
				wrong += level.file_count != FILES + 1;
				wrong += level.directory_count < 1 || level.directory_count > 2;
				wrong += strcmp(level.directories[0], "stays") != 0;
			}
		}
		wrong += code != 0 || pairs != PAIRS || staying != PAIRS;
		wrong += mfs_walk_close(walk) != 0;
	}
	atomic_store(&renamer.stop, true);
	atomic_store(&maker.stop, true);
	join_thread(threads[0]);
	join_thread(threads[1]);
	assert_int_equal(wrong, 0);
	assert_int_equal(renamer.failures, 0);
	assert_int_equal(maker.failures, 0);
}

enum { MOVED = 6 };

/* Each of some directories is moved into each other one, again and again. */
static void *move_around(void *argument)
{
	struct changer *changer = argument;
	char paths[MOVED][64];
	struct rng rng = {17};

	for (int i = 0; i < MOVED; i++)
		(void)snprintf(paths[i], sizeof paths[i], "/%d", i);
	while (!atomic_load(&changer->stop)) {
		size_t one = rng_below(&rng, MOVED);
		size_t other = rng_below(&rng, MOVED);
		char to[80];
		if (one == other || rng_below(&rng, 3) == 0)
			(void)snprintf(to, sizeof to, "/%zu", one);
		else
			(void)snprintf(to, sizeof to, "%s/%zu", paths[other], one);
		if (mfs_rename(changer->fs, paths[one], to, 0))
			continue; /* there already, or into itself */
		atomic_fetch_add(&changer->changes, 1);
		size_t length = strlen(paths[one]);
		for (int i = 0; i < MOVED; i++) {
			char moved[160];
			if (strncmp(paths[i], paths[one], length) == 0 &&
				(paths[i][length] == '/' || paths[i][length] == '\0') && i != (int)one) {
				(void)snprintf(moved, sizeof moved, "%s%s", to, paths[i] + length);
				(void)snprintf(paths[i], sizeof paths[i], "%.63s", moved);
			}
		}
		(void)snprintf(paths[one], sizeof paths[one], "%.63s", to);
	}
	return NULL;
}

static void walks_end_while_directories_move(void **state)
{
	mfs *fs = *state;
	struct changer mover = {.fs = fs};
	int wrong = 0;
	char path[32];

	for (int i = 0; i < MOVED; i++) {
		(void)snprintf(path, sizeof path, "/%d", i);
		make_dir(fs, path);
	}
	pthread_t thread = start_thread(move_around, &mover);
	for (int round = 0; round < ROUNDS || atomic_load(&mover.changes) < CHANGES; round++) {
		mfs_walk *walk;
		mfs_walk_level level;
		int code = mfs_walk_open(fs, "/", &walk);
		if (code) {
			wrong++;
			break;
		}
		while ((code = mfs_walk_next(walk, &level)) == 1) {
			/* Names on a path are of different directories. */
			bool seen[MOVED] = {false};
			for (const char *at = level.path; at && at[1]; at = strchr(at + 1, '/')) {
				wrong += seen[at[1] - '0'];
				seen[at[1] - '0'] = true;
			}
		}
		wrong += code != 0;
		wrong += mfs_walk_close(walk) != 0;
	}
	atomic_store(&mover.stop, true);
	join_thread(thread);
	assert_int_equal(wrong, 0);
	assert_int_equal(usage_of(fs).directories, MOVED);
	assert_true(mfs__validate(fs));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(every_directory_comes_once_in_order),
		WORKSPACE_TEST(a_walk_begins_where_it_is_told),
		WORKSPACE_TEST(an_empty_workspace_has_one_level),
		WORKSPACE_TEST(wrong_arguments_are_refused),
		WORKSPACE_TEST(what_is_skipped_is_not_gone_into),
		WORKSPACE_TEST(an_open_walk_counts_as_a_handle),
		WORKSPACE_TEST(what_is_removed_before_its_turn_is_left_out),
		WORKSPACE_TEST(what_comes_in_place_of_a_directory_counts),
		WORKSPACE_TEST(a_removed_directory_made_anew_is_another_one),
		WORKSPACE_TEST(a_top_that_is_removed_ends_the_walk),
		WORKSPACE_TEST(a_tree_that_is_removed_around_the_walk_is_left),
		WORKSPACE_TEST(a_walk_goes_on_in_a_directory_that_is_moved),
		WORKSPACE_TEST(a_directory_is_not_met_below_itself),
		WORKSPACE_TEST(the_level_stays_until_the_next_call),
		WORKSPACE_TEST(a_deep_tree_is_walked),
		WORKSPACE_TEST(a_wide_directory_is_split_and_sorted),
		WORKSPACE_TEST(a_step_that_runs_out_of_memory_can_be_made_again),
		WORKSPACE_TEST(a_walk_can_be_closed_after_a_failure),
		WORKSPACE_TEST(a_forked_child_goes_on),
		WORKSPACE_TEST(each_level_is_of_one_instant),
		WORKSPACE_TEST(walks_end_while_directories_move),
	};

	return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
