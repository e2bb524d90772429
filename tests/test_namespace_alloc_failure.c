/* SPDX-License-Identifier: MIT */
/*
 * Does a call on trees that runs out of memory leave everything as it was? The calls on single
 * files are in test_alloc_failure.c; here are those that move, copy, remove, look at, import and
 * export trees, and those that write to files which share their chunks with copies.
 *
 * Each call is made with its n-th allocation failing, for every n until none fails. After each
 * failure the workspace must look as before, nothing may stay allocated, and every lock must be
 * free. A call that succeeds although an allocation failed must have done what it does otherwise.
 */
#include "support.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/reclaim.h"
#include "fs/filesystem.h"

#include <ftw.h>
#include <sys/stat.h>

/* More than any call here allocates. */
enum { MOST_ALLOCATIONS = 400 };

/* How long what was retired may take to be freed. */
#define MOST_NS (10 * MFS__NS_PER_S)

/* A directory of the host with what is imported, and one for what is exported. */
static char host_root[64];
static char host_source[80];
static char host_target[80];

/* What a call is made on, and what it is. */
struct call {
	int64_t (*run)(mfs *fs);
	/* Looks at what it has done outside of the workspace, also when it has failed. May be NULL. */
	void (*check)(mfs *fs, int64_t result);
	/* It need not allocate: then there is nothing to fail. */
	bool may_not_allocate;
	/* A directory may take a larger table although the call fails, and keep it. */
	bool may_grow;
};

/*
 * The tree
 */

enum { LARGE = 100000 };

static void make_bytes(mfs *fs, const char *path, size_t size, uint64_t seed)
{
	struct rng rng = {seed};
	unsigned char *bytes = allocate(size);

	rng_fill(&rng, bytes, size);
	make_file(fs, path, bytes, size);
	free(bytes);
}

static mfs *new_tree(void)
{
	mfs *fs = new_workspace(NULL);

	/*
	 * More names in a directory than have a slot of their own, and not so many that its table grows
	 * with one or two more of them.
	 */
	make_dir(fs, "/d/empty");
	make_dir(fs, "/d/full");
	make_bytes(fs, "/d/a", 100, 1);
	make_bytes(fs, "/d/b", 5000, 2);
	make_bytes(fs, "/d/c", 0, 3);
	make_dir(fs, "/d/more");
	make_dir(fs, "/d/and");
	make_dir(fs, "/d/others");
	make_bytes(fs, "/d/full/a", 10, 4);
	make_dir(fs, "/t/s/u");
	make_dir(fs, "/t/v");
	make_bytes(fs, "/t/1", 200, 5);
	make_bytes(fs, "/t/2", 20, 6);
	make_bytes(fs, "/t/s/3", 4096, 7);
	make_bytes(fs, "/t/s/4", 4097, 8);
	make_bytes(fs, "/t/s/u/5", 20000, 9);
	make_bytes(fs, "/t/s/u/6", 0, 10);
	/* Three files that share all their chunks. */
	make_dir(fs, "/shared");
	make_bytes(fs, "/shared/one", LARGE, 11);
	assert_code(mfs_copy(fs, "/shared/one", "/shared/two"), 0);
	assert_code(mfs_copy(fs, "/shared/two", "/shared/three"), 0);
	return fs;
}

/*
 * All that can be seen of it
 */

/* The paths of a workspace, a directory before what is in it. */
struct paths {
	char **list;
	size_t count;
	size_t room;
};

static void paths_add(struct paths *paths, const char *parent, const char *name)
{
	if (paths->count == paths->room) {
		paths->room = paths->room ? 2 * paths->room : 32;
		paths->list = realloc(paths->list, paths->room * sizeof(*paths->list));
		assert_non_null(paths->list);
	}
	char **path = &paths->list[paths->count++];
	assert_true(asprintf(path, "%s/%s", parent, name) > 0);
}

static struct paths paths_of(mfs *fs)
{
	struct paths paths = {NULL, 0, 0};
	char **names;

	paths_add(&paths, "", "");
	for (size_t i = 0; i < paths.count; i++) {
		if (!mfs_is_dir(fs, paths.list[i]))
			continue;
		assert_true(mfs_listdir(fs, paths.list[i], &names) >= 0);
		for (size_t j = 0; names[j]; j++)
			paths_add(&paths, i == 0 ? "" : paths.list[i], names[j]);
		mfs_names_free(names);
	}
	return paths;
}

static void paths_free(struct paths *paths)
{
	for (size_t i = 0; i < paths->count; i++)
		free(paths->list[i]);
	free(paths->list);
}

static uint64_t hash_of(const void *bytes, size_t size)
{
	const unsigned char *at = bytes;
	uint64_t hash = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ at[i]) * UINT64_C(1099511628211);
	return hash;
}

static uint64_t hash_of_file(mfs *fs, const char *path, size_t size)
{
	unsigned char *bytes = allocate(size + 1);
	mfs_file *file = open_file(fs, path, "rb");

	assert_code(mfs_read(file, bytes, size + 1), size);
	close_file(file);
	uint64_t hash = hash_of(bytes, size);
	free(bytes);
	return hash;
}

struct picture {
	char *tree;
	char usage[256];
};

static struct picture picture_of(mfs *fs)
{
	struct picture picture = {NULL, ""};
	struct paths paths = paths_of(fs);
	mfs_usage usage = usage_of(fs);
	size_t size;
	FILE *out = open_memstream(&picture.tree, &size);

	assert_non_null(out);
	for (size_t i = 0; i < paths.count; i++) {
		const char *path = paths.list[i];
		mfs_info info = info_of(fs, path);
		(void)fprintf(out, "%s %s %lld %llu %llx\n", path, info.is_dir ? "directory" : "file",
					  (long long)info.size, (unsigned long long)info.generation,
					  info.is_dir ? 0ULL
								  : (unsigned long long)hash_of_file(fs, path, (size_t)info.size));
	}
	assert_int_equal(fclose(out), 0);
	paths_free(&paths);
	(void)snprintf(picture.usage, sizeof(picture.usage),
				   "used %llu files %llu directories %llu chunks %llu handles %llu",
				   (unsigned long long)usage.used_bytes, (unsigned long long)usage.files,
				   (unsigned long long)usage.directories, (unsigned long long)usage.chunks,
				   (unsigned long long)usage.open_handles);
	assert_true(mfs__validate(fs));
	return picture;
}

/* No lock is left behind: each file can be written, and each directory takes a name. */
static void assert_unlocked(mfs *fs)
{
	struct paths paths = paths_of(fs);

	for (size_t i = 0; i < paths.count; i++) {
		char *probe;

		if (!mfs_is_dir(fs, paths.list[i])) {
			assert_code(try_open(fs, paths.list[i], "r+b"), 0);
			continue;
		}
		assert_true(asprintf(&probe, "%s/probe", paths.list[i]) > 0);
		close_file(open_file(fs, probe, "xb"));
		assert_code(mfs_remove(fs, probe), 0);
		free(probe);
	}
	paths_free(&paths);
}

/*
 * Failing
 */

/* The blocks that are allocated once nothing is retired any more. */
static long settled_blocks(void)
{
	int64_t limit = mfs__now() + MOST_NS;

	while (mfs__reclaim_pending() > 0) {
		assert_true(mfs__now() < limit);
		mfs__reclaim_throttle();
		(void)sched_yield();
	}
	return mfs__alloc_live();
}

/* No more than so many blocks stay allocated, once what was retired is freed. */
static void assert_no_more_blocks(long blocks)
{
	int64_t limit = mfs__now() + MOST_NS;

	while (mfs__alloc_live() > blocks && mfs__now() < limit) {
		mfs__reclaim_throttle();
		(void)sched_yield();
	}
	assert_in_range(mfs__alloc_live(), 0, blocks);
}

static void assert_as_before(mfs *fs, const struct picture *before)
{
	struct picture after = picture_of(fs);

	assert_string_equal(after.tree, before->tree);
	assert_string_equal(after.usage, before->usage);
	free(after.tree);
}

/* What the call does, and gives, when nothing fails. */
static struct picture picture_of_success(const struct call *call, int64_t *result)
{
	mfs *fs = new_tree();

	*result = call->run(fs);
	assert_true(*result >= 0);
	struct picture done = picture_of(fs);
	free_workspace(fs);
	return done;
}

static void fail_everywhere(const struct call *call)
{
	int64_t good_result;
	struct picture done = picture_of_success(call, &good_result);
	long blocks_at_first = settled_blocks();
	bool failed = true;
	int failures = 0;
	long n = 1;

	while (failed) {
		mfs *fs = new_tree();
		int64_t result;

		/* Directories grow at once where they are going to. */
		assert_unlocked(fs);
		struct picture before = picture_of(fs);
		long blocks = settled_blocks();
		for (;; n++) {
			assert_true(n < MOST_ALLOCATIONS);
			mfs__alloc_fail_after(n);
			result = call->run(fs);
			failed = mfs__alloc_failed();
			mfs__alloc_fail_after(0);
			if (call->check)
				call->check(fs, result);
			if (result >= 0)
				break;
			assert_true(failed);
			assert_code(result, MFS_ENOMEM);
			assert_as_before(fs, &before);
			assert_unlocked(fs);
			if (!call->may_grow)
				assert_no_more_blocks(blocks);
			failures++;
		}
		n++;
		assert_code(result, good_result);
		struct picture after = picture_of(fs);
		assert_string_equal(after.tree, done.tree);
		/* Without memory for a smaller block a file keeps a larger one. */
		if (!failed)
			assert_string_equal(after.usage, done.usage);
		free(after.tree);
		free(before.tree);
		assert_unlocked(fs);
		assert_true(mfs__validate(fs));
		free_workspace(fs);
		assert_no_more_blocks(blocks_at_first);
	}
	free(done.tree);
	assert_true(failures > 0 || call->may_not_allocate);
}

/*
 * Calls that move and remove
 */

static int64_t run_rename_directory(mfs *fs)
{
	return mfs_rename(fs, "/t/s", "/t/a longer name than the old one had", 0);
}

static int64_t run_rename_directory_across(mfs *fs)
{
	return mfs_rename(fs, "/t/s", "/d/full/moved", 0);
}

static int64_t run_rename_directory_on_another(mfs *fs)
{
	return mfs_rename(fs, "/t/s", "/d/empty", MFS_RENAME_REPLACE);
}

static int64_t run_rename_directory_on_a_neighbour(mfs *fs)
{
	return mfs_rename(fs, "/t/s", "/t/v", MFS_RENAME_REPLACE);
}

static int64_t run_rename_file_across(mfs *fs)
{
	return mfs_rename(fs, "/d/b", "/t/s/b", 0);
}

static int64_t run_rename_file_on_another_across(mfs *fs)
{
	return mfs_rename(fs, "/d/b", "/t/s/u/5", MFS_RENAME_REPLACE);
}

static int64_t run_rename_onto_a_copy(mfs *fs)
{
	return mfs_rename(fs, "/d/b", "/shared/two", MFS_RENAME_REPLACE);
}

static int64_t run_exchange_files(mfs *fs)
{
	return mfs_rename(fs, "/d/a", "/d/b", MFS_RENAME_EXCHANGE);
}

static int64_t run_exchange_files_across(mfs *fs)
{
	return mfs_rename(fs, "/d/a", "/t/s/u/5", MFS_RENAME_EXCHANGE);
}

static int64_t run_exchange_directories(mfs *fs)
{
	return mfs_rename(fs, "/d/full", "/d/empty", MFS_RENAME_EXCHANGE);
}

static int64_t run_exchange_directories_across(mfs *fs)
{
	return mfs_rename(fs, "/d/full", "/t/s", MFS_RENAME_EXCHANGE);
}

static int64_t run_exchange_file_and_directory(mfs *fs)
{
	return mfs_rename(fs, "/t/s", "/d/b", MFS_RENAME_EXCHANGE);
}

static int64_t run_move_file(mfs *fs)
{
	return mfs_move(fs, "/d/b", "/new/parents/are/made/b", 0);
}

static int64_t run_move_file_below_existing(mfs *fs)
{
	return mfs_move(fs, "/d/b", "/t/v/new/b", MFS_RENAME_REPLACE);
}

static int64_t run_move_directory(mfs *fs)
{
	return mfs_move(fs, "/t", "/d/full/new/parents/t", 0);
}

static int64_t run_move_without_new_parents(mfs *fs)
{
	return mfs_move(fs, "/t/s", "/d/empty", MFS_RENAME_REPLACE);
}

static int64_t run_mkdir(mfs *fs)
{
	return mfs_mkdir(fs, "/t/s/../new/one/in/another", 0);
}

static int64_t run_remove_file(mfs *fs)
{
	return mfs_remove(fs, "/d/b");
}

static int64_t run_remove_directory(mfs *fs)
{
	return mfs_remove(fs, "/d/empty");
}

static int64_t run_remove_copy(mfs *fs)
{
	return mfs_remove(fs, "/shared/two");
}

static int64_t run_rmtree(mfs *fs)
{
	return mfs_rmtree(fs, "/t/s");
}

static int64_t run_rmtree_at_the_top(mfs *fs)
{
	return mfs_rmtree(fs, "/d/../t/.");
}

static int64_t run_rmtree_of_copies(mfs *fs)
{
	return mfs_rmtree(fs, "/shared");
}

static int64_t run_rmtree_of_a_file(mfs *fs)
{
	return mfs_rmtree(fs, "/d/b");
}

/*
 * Calls that copy
 */

static int64_t run_copy_small(mfs *fs)
{
	return mfs_copy(fs, "/d/a", "/d/full/copy");
}

static int64_t run_copy_empty(mfs *fs)
{
	return mfs_copy(fs, "/d/c", "/d/full/copy");
}

static int64_t run_copy_page(mfs *fs)
{
	return mfs_copy(fs, "/t/s/3", "/t/copy");
}

static int64_t run_copy_large(mfs *fs)
{
	return mfs_copy(fs, "/shared/one", "/shared/four");
}

static int64_t run_copy_tree(mfs *fs)
{
	return mfs_copy_tree(fs, "/t", "/d/full/copy");
}

static int64_t run_copy_tree_of_copies(mfs *fs)
{
	return mfs_copy_tree(fs, "/shared", "/copy");
}

static int64_t run_copy_tree_of_nothing(mfs *fs)
{
	return mfs_copy_tree(fs, "/d/empty", "/d/full/copy");
}

/*
 * Calls that write to files which share their chunks
 */

static int64_t write_to(mfs *fs, const char *path, const char *mode, size_t size, int64_t offset)
{
	unsigned char *bytes = allocate(size);
	mfs_file *file;

	memset(bytes, 'w', size);
	int64_t result = mfs_open(fs, path, mode, &file);
	if (result == 0) {
		result = mfs_pwrite(file, bytes, size, offset);
		assert_code(mfs_close(file), 0);
	}
	free(bytes);
	return result;
}

static int64_t resize(mfs *fs, const char *path, int64_t size)
{
	mfs_file *file;
	int code = mfs_open(fs, path, "r+b", &file);

	if (code == 0) {
		code = mfs_truncate(file, size);
		assert_code(mfs_close(file), 0);
	}
	return code;
}

static int64_t run_write_first_byte(mfs *fs)
{
	return write_to(fs, "/shared/one", "r+b", 1, 0);
}

static int64_t run_write_last_byte(mfs *fs)
{
	return write_to(fs, "/shared/two", "r+b", 1, LARGE - 1);
}

static int64_t run_write_across_chunks(mfs *fs)
{
	return write_to(fs, "/shared/two", "r+b", 20000, 4000);
}

static int64_t run_write_all(mfs *fs)
{
	return write_to(fs, "/shared/three", "r+b", LARGE, 0);
}

static int64_t run_write_past_the_end(mfs *fs)
{
	return write_to(fs, "/shared/two", "r+b", 50000, LARGE - 10000);
}

static int64_t run_write_behind_a_gap(mfs *fs)
{
	return write_to(fs, "/shared/two", "r+b", 100, LARGE + 40000);
}

static int64_t run_append_a_little(mfs *fs)
{
	return write_to(fs, "/shared/one", "ab", 1, 0);
}

static int64_t run_append_much(mfs *fs)
{
	return write_to(fs, "/shared/two", "ab", 200000, 0);
}

static int64_t run_shorten(mfs *fs)
{
	return resize(fs, "/shared/two", LARGE / 2 + 1);
}

static int64_t run_shorten_to_a_chunk(mfs *fs)
{
	return resize(fs, "/shared/two", 8192);
}

static int64_t run_shorten_to_nothing(mfs *fs)
{
	return resize(fs, "/shared/two", 0);
}

static int64_t run_lengthen(mfs *fs)
{
	return resize(fs, "/shared/two", LARGE + 100000);
}

static int64_t run_lengthen_a_little(mfs *fs)
{
	return resize(fs, "/shared/two", LARGE + 1);
}

static int64_t run_empty_a_copy(mfs *fs)
{
	mfs_file *file;
	int code = mfs_open(fs, "/shared/two", "wb", &file);

	return code ? code : mfs_close(file);
}

static int64_t run_empty_and_preallocate_a_copy(mfs *fs)
{
	mfs_open_options options = {.preallocate = 150000};
	mfs_file *file;
	int code = mfs_open_ex(fs, "/shared/two", "wb", &options, &file);

	return code ? code : mfs_close(file);
}

static int64_t run_preallocate_a_copy(mfs *fs)
{
	mfs_open_options options = {.preallocate = 150000};
	mfs_file *file;
	int code = mfs_open_ex(fs, "/shared/two", "r+b", &options, &file);

	return code ? code : mfs_close(file);
}

static int64_t run_create(mfs *fs)
{
	mfs_file *file;
	int code = mfs_open(fs, "/d/full/new", "xb", &file);

	return code ? code : mfs_close(file);
}

static int64_t run_write_a_page(mfs *fs)
{
	int code = mfs_copy(fs, "/t/s/3", "/t/copy");

	if (code)
		return code;
	int64_t result = write_to(fs, "/t/copy", "r+b", 100, 100);
	/* The copy came before the failure. */
	if (result < 0)
		assert_code(mfs_remove(fs, "/t/copy"), 0);
	return result;
}

/*
 * Calls that look. Each gives a number that stands for all it saw.
 */

/* Adds to a number for what was seen so far. */
static void see(uint64_t *seen, const void *bytes, size_t size)
{
	*seen = (*seen * 31) ^ hash_of(bytes, size);
}

static void see_text(uint64_t *seen, const char *text)
{
	see(seen, text, strlen(text));
}

static int64_t result_of(uint64_t seen)
{
	return (int64_t)(seen >> 1);
}

static int64_t run_listdir(mfs *fs)
{
	uint64_t seen = 0;
	char **names = NULL;
	int64_t count = mfs_listdir(fs, "/t", &names);

	if (count < 0) {
		assert_null(names);
		return count;
	}
	for (int64_t i = 0; i < count; i++)
		see_text(&seen, names[i]);
	mfs_names_free(names);
	return result_of(seen);
}

static int64_t run_readdir(mfs *fs)
{
	uint64_t seen = 0;
	mfs_dir *dir = NULL;
	mfs_entry entry;
	int code = mfs_opendir(fs, "/t/s", &dir);

	if (code) {
		assert_null(dir);
		return code;
	}
	while ((code = mfs_readdir(dir, &entry)) == 1) {
		see_text(&seen, entry.name);
		see(&seen, &entry.info.size, sizeof(entry.info.size));
	}
	assert_code(mfs_closedir(dir), 0);
	return code ? code : result_of(seen);
}

static void see_names(uint64_t *seen, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		see_text(seen, names[i]);
	see(seen, &count, sizeof(count));
}

/* After a failure the same step is tried again, or the walk ends. */
static int64_t walk(mfs *fs, const char *path, bool retry)
{
	uint64_t seen = 0;
	mfs_walk *steps = NULL;
	mfs_walk_level level;
	int code = mfs_walk_open(fs, path, &steps);

	if (code) {
		assert_null(steps);
		return code;
	}
	while ((code = mfs_walk_next(steps, &level)) == 1 || (code == MFS_ENOMEM && retry)) {
		if (code != 1)
			continue;
		see_text(&seen, level.path);
		see_names(&seen, level.directories, level.directory_count);
		see_names(&seen, level.files, level.file_count);
	}
	assert_code(mfs_walk_close(steps), 0);
	return code ? code : result_of(seen);
}

static int64_t run_walk(mfs *fs)
{
	return walk(fs, "/", false);
}

static int64_t run_walk_again(mfs *fs)
{
	return walk(fs, "/t", true);
}

static int64_t glob(mfs *fs, const char *pattern)
{
	uint64_t seen = 0;
	char **paths = NULL;
	int64_t count = mfs_glob(fs, pattern, &paths);

	if (count < 0) {
		assert_null(paths);
		return count;
	}
	assert_true(count > 0);
	for (int64_t i = 0; i < count; i++)
		see_text(&seen, paths[i]);
	mfs_names_free(paths);
	return result_of(seen);
}

static int64_t run_glob(mfs *fs)
{
	return glob(fs, "/t/*/[!x-z]/?");
}

static int64_t run_glob_everything(mfs *fs)
{
	return glob(fs, "/**");
}

static int64_t run_glob_anywhere(mfs *fs)
{
	return glob(fs, "/d/../**/s/**/[0-9]");
}

/*
 * Calls that import and export
 */

static int64_t run_import_tree(mfs *fs)
{
	static const char bytes[70000] = "imported";
	const mfs_import_item items[] = {
		{.path = "/t/1", .data = bytes, .size = 10},
		{.path = "/t/s/u/5", .data = bytes, .size = sizeof(bytes)},
		{.path = "/shared/two", .data = bytes, .size = 4096},
		{.path = "/new/parents/x", .data = bytes, .size = 5000},
		{.path = "/new/parents/../y", .data = NULL, .size = 0},
		{.path = "/t/new/z", .data = bytes, .size = 1},
		{.path = "/d/empty/only", .flags = MFS_IMPORT_DIRECTORY},
		{.path = "/d", .flags = MFS_IMPORT_DIRECTORY},
	};

	return mfs_import_tree(fs, items, COUNT_OF(items));
}

static int64_t run_import_many_files(mfs *fs)
{
	enum { COUNT = 40 };
	static const char bytes[COUNT] = "imported";
	char paths[COUNT][32];
	mfs_import_item items[COUNT];

	for (size_t i = 0; i < COUNT; i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "%s/%zu", i % 2 ? "/t/s" : "/new", i);
		items[i] = (mfs_import_item){.path = paths[i], .data = bytes, .size = i};
	}
	return mfs_import_tree(fs, items, COUNT);
}

static int64_t run_import_one_file(mfs *fs)
{
	const mfs_import_item item = {.path = "/d/full/new", .data = "text", .size = 4};

	return mfs_import_tree(fs, &item, 1);
}

/*
 * An import in steps. When its commit fails it is still there, with all that was staged; when the
 * opening of a file fails it is as before.
 */

struct staged {
	const char *path;
	size_t size; /* 0: a directory */
};

static mfs_import *pending; /* after a failure; else NULL */
static const struct staged *pending_tree;
static size_t pending_count; /* of its nodes that were staged */

static int stage_one(mfs_import *import, const struct staged *staged)
{
	mfs_file *file = NULL;

	if (!staged->size)
		return mfs_import_mkdir(import, staged->path);
	int code = mfs_import_open(import, staged->path, "wb", NULL, &file);
	if (code)
		return code;
	unsigned char *bytes = allocate(staged->size);
	memset(bytes, 's', staged->size);
	int64_t result = mfs_write(file, bytes, staged->size);
	free(bytes);
	assert_code(mfs_close(file), 0);
	return result < 0 ? (int)result : 0;
}

static int64_t import_in_steps(mfs *fs, const struct staged *tree, size_t count, unsigned flags)
{
	pending_tree = tree;
	pending_count = 0;
	int64_t result = mfs_import_begin(fs, &pending);
	if (result)
		return result;
	for (size_t i = 0; i < count; i++) {
		result = stage_one(pending, &tree[i]);
		if (result)
			return result;
		pending_count++;
	}
	result = mfs_import_commit(pending, flags);
	if (result >= 0)
		pending = NULL;
	return result;
}

static void check_pending(mfs *fs, int64_t result)
{
	if (!pending)
		return;
	assert_code(result, MFS_ENOMEM);
	for (size_t i = 0; i < pending_count; i++) {
		mfs_file *file = NULL;
		if (!pending_tree[i].size) {
			assert_code(mfs_import_mkdir(pending, pending_tree[i].path), 0);
			continue;
		}
		assert_code(mfs_import_open(pending, pending_tree[i].path, "r+b", NULL, &file), 0);
		assert_code(mfs_seek(file, 0, SEEK_END), pending_tree[i].size);
		close_file(file);
	}
	/* The step that failed can be made again. */
	uint64_t handles = usage_of(fs).open_handles;
	assert_int_equal(handles, 1);
	assert_code(stage_one(pending, &pending_tree[pending_count]), 0);
	assert_code(mfs_import_abort(pending), 0);
	pending = NULL;
}

/* The last one is for who makes a step again when it was the commit that failed. */
#define AGAIN                                                                                      \
	{                                                                                              \
		"/again", 1                                                                                \
	}

static int64_t run_import_in_steps(mfs *fs)
{
	static const struct staged tree[] = {
		{"/t/1", 10}, {"/t/s/u/5", 70000}, {"/shared/two", 4096},  {"/new/parents/x", 5000},
		{"/d", 0},    {"/t/new/z", 1},     {"/d/empty/only/2", 0}, {"/new/parents/../y/z", 3},
		AGAIN,
	};

	return import_in_steps(fs, tree, COUNT_OF(tree) - 1, 0);
}

static int64_t run_import_of_new_files(mfs *fs)
{
	static const struct staged tree[] = {
		{"/t/new", 100}, {"/t/s/u/new", 5000}, {"/new/parents/x", 5000}, {"/d/empty", 0}, AGAIN,
	};

	return import_in_steps(fs, tree, COUNT_OF(tree) - 1, MFS_IMPORT_NEW);
}

/* Files, directories on files, and files on directories are dropped, one in each directory. */
static int64_t run_import_that_keeps(mfs *fs)
{
	static const struct staged tree[] = {
		{"/t/1", 10},    {"/t/s/3/below/it/x", 70000}, {"/t/s/3/below/y", 10}, {"/t/v", 5000},
		{"/d/full", 10}, {"/d/empty/new", 10},         {"/t/new/z", 1},        {"/d/a/empty", 0},
		AGAIN,
	};

	return import_in_steps(fs, tree, COUNT_OF(tree) - 1, MFS_IMPORT_KEEP);
}

static int64_t run_import_that_keeps_all(mfs *fs)
{
	static const struct staged tree[] = {
		{"/t/1/below/1", 10}, {"/t/1/below/2", 10}, {"/d/a", 70000}, {"/d", 0}, AGAIN,
	};

	return import_in_steps(fs, tree, COUNT_OF(tree) - 1, MFS_IMPORT_KEEP);
}

static int64_t export_whole(mfs *fs, const char *path)
{
	void *buffer = NULL;
	int64_t size = mfs_export_buffer(fs, path, 0, &buffer);

	if (size < 0) {
		assert_null(buffer);
		return size;
	}
	uint64_t seen = hash_of(buffer, (size_t)size);
	mfs_buffer_free(buffer);
	return result_of(seen);
}

static int64_t run_export_buffer(mfs *fs)
{
	return export_whole(fs, "/d/../shared/one");
}

static int64_t run_export_empty_buffer(mfs *fs)
{
	return export_whole(fs, "/d/c");
}

static int64_t export_in_steps(mfs *fs, const char *path, unsigned flags, bool retry)
{
	uint64_t seen = 0;
	mfs_export *steps = NULL;
	mfs_export_item item;
	int code = mfs_export_open(fs, path, flags, &steps);

	if (code) {
		assert_null(steps);
		return code;
	}
	while ((code = mfs_export_next(steps, &item)) == 1 || (code == MFS_ENOMEM && retry)) {
		if (code != 1)
			continue;
		see_text(&seen, item.path);
		see(&seen, item.data, item.size);
		see(&seen, &item.generation, sizeof(item.generation));
	}
	assert_code(mfs_export_close(steps), 0);
	return code ? code : result_of(seen);
}

static int64_t run_export_steps(mfs *fs)
{
	return export_in_steps(fs, "/", 0, false);
}

static int64_t run_export_steps_again(mfs *fs)
{
	return export_in_steps(fs, "/t", MFS_ONLY_DIRTY, true);
}

static int64_t run_export_steps_of_a_file(mfs *fs)
{
	return export_in_steps(fs, "/shared/two", 0, false);
}

/* One thread: no other one allocates meanwhile. */
static const mfs_transfer_options one_thread = {.struct_size = sizeof(one_thread), .threads = 1};

static int64_t run_import_from_dir(mfs *fs)
{
	return mfs_import_from_dir(fs, host_source, "/new/parents/imported", &one_thread);
}

static int64_t run_import_from_dir_over_a_tree(mfs *fs)
{
	return mfs_import_from_dir(fs, host_source, "/t", &one_thread);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *at)
{
	(void)info;
	(void)type;
	(void)at;
	return remove(path);
}

static void remove_host_tree(const char *path)
{
	if (access(path, F_OK) == 0)
		assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static mfs *exported_from;
static uint64_t exported_files;

/* What is on the host is in the workspace, whole. So no temporary name is there. */
static int check_one(const char *path, const struct stat *info, int type, struct FTW *at)
{
	char inside[256];

	(void)at;
	(void)snprintf(inside, sizeof(inside), "/t%s", path + strlen(host_target));
	if (type == FTW_D)
		return !mfs_is_dir(exported_from, inside);
	FILE *file = fopen(path, "re");
	if (!file)
		return 1;
	unsigned char *bytes = allocate((size_t)info->st_size);
	size_t got = fread(bytes, 1, (size_t)info->st_size, file);
	(void)fclose(file);
	if (got != (size_t)info->st_size) {
		free(bytes);
		return 1;
	}
	assert_file_holds(exported_from, inside, bytes, (size_t)info->st_size);
	free(bytes);
	exported_files++;
	return 0;
}

static int64_t run_export_to_dir(mfs *fs)
{
	return mfs_export_to_dir(fs, "/t", host_target, &one_thread);
}

static void check_target(mfs *fs, int64_t result)
{
	exported_from = fs;
	exported_files = 0;
	if (access(host_target, F_OK) == 0)
		assert_int_equal(nftw(host_target, check_one, 16, FTW_PHYS), 0);
	if (result == 0)
		assert_int_equal(exported_files, 6);
	remove_host_tree(host_target);
}

static void make_host_file(const char *name, size_t size)
{
	char path[128];
	unsigned char *bytes = allocate(size);
	struct rng rng = {size + 1};

	(void)snprintf(path, sizeof(path), "%s/%s", host_source, name);
	FILE *file = fopen(path, "wxe");
	assert_non_null(file);
	rng_fill(&rng, bytes, size);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
	free(bytes);
}

static void make_host_directory(const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", host_source, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static int make_host(void **state)
{
	const char *parent = getenv("TMPDIR");

	(void)state;
	(void)snprintf(host_root, sizeof(host_root), "%s/dmemfs-test-XXXXXX",
				   parent && strlen(parent) < 32 ? parent : "/tmp");
	if (!mkdtemp(host_root))
		return -1;
	(void)snprintf(host_source, sizeof(host_source), "%s/source", host_root);
	(void)snprintf(host_target, sizeof(host_target), "%s/target", host_root);
	make_host_directory("");
	make_host_file("1", 300);
	make_host_file("new", 0);
	make_host_directory("s");
	make_host_file("s/3", 5000);
	make_host_directory("s/new");
	make_host_file("s/new/large", 70000);
	make_host_directory("s/empty");
	return 0;
}

static int remove_host(void **state)
{
	(void)state;
	remove_host_tree(host_root);
	return 0;
}

/*
 * The tests
 */

#define FAILURE_TEST(name, ...)                                                                    \
	static void name##_fails_without_a_trace(void **state)                                         \
	{                                                                                              \
		static const struct call call = {.run = run_##name, __VA_ARGS__};                          \
		(void)state;                                                                               \
		fail_everywhere(&call);                                                                    \
	}

FAILURE_TEST(rename_directory)
FAILURE_TEST(rename_directory_across)
FAILURE_TEST(rename_directory_on_another)
FAILURE_TEST(rename_directory_on_a_neighbour)
FAILURE_TEST(rename_file_across)
FAILURE_TEST(rename_file_on_another_across)
FAILURE_TEST(rename_onto_a_copy)
FAILURE_TEST(exchange_files)
FAILURE_TEST(exchange_files_across)
FAILURE_TEST(exchange_directories)
FAILURE_TEST(exchange_directories_across)
FAILURE_TEST(exchange_file_and_directory)
FAILURE_TEST(move_file)
FAILURE_TEST(move_file_below_existing)
FAILURE_TEST(move_directory)
FAILURE_TEST(move_without_new_parents)
FAILURE_TEST(mkdir)
FAILURE_TEST(remove_file)
FAILURE_TEST(remove_directory)
FAILURE_TEST(remove_copy)
FAILURE_TEST(rmtree)
FAILURE_TEST(rmtree_at_the_top)
FAILURE_TEST(rmtree_of_copies)
FAILURE_TEST(rmtree_of_a_file)
FAILURE_TEST(copy_small)
FAILURE_TEST(copy_empty)
FAILURE_TEST(copy_page)
FAILURE_TEST(copy_large)
FAILURE_TEST(copy_tree)
FAILURE_TEST(copy_tree_of_copies)
FAILURE_TEST(copy_tree_of_nothing)
FAILURE_TEST(write_first_byte)
FAILURE_TEST(write_last_byte)
FAILURE_TEST(write_across_chunks)
FAILURE_TEST(write_all)
FAILURE_TEST(write_past_the_end)
FAILURE_TEST(write_behind_a_gap)
FAILURE_TEST(append_a_little)
FAILURE_TEST(append_much)
FAILURE_TEST(shorten, .may_not_allocate = true)
FAILURE_TEST(shorten_to_a_chunk, .may_not_allocate = true)
FAILURE_TEST(shorten_to_nothing, .may_not_allocate = true)
FAILURE_TEST(lengthen)
FAILURE_TEST(lengthen_a_little)
FAILURE_TEST(empty_a_copy, .may_not_allocate = true)
FAILURE_TEST(empty_and_preallocate_a_copy)
FAILURE_TEST(preallocate_a_copy)
FAILURE_TEST(create)
FAILURE_TEST(write_a_page)
FAILURE_TEST(listdir)
FAILURE_TEST(readdir)
FAILURE_TEST(walk)
FAILURE_TEST(walk_again)
FAILURE_TEST(glob)
FAILURE_TEST(glob_everything)
FAILURE_TEST(glob_anywhere)
FAILURE_TEST(import_tree)
FAILURE_TEST(import_many_files, .may_grow = true)
FAILURE_TEST(import_one_file)
FAILURE_TEST(import_in_steps, .check = check_pending)
FAILURE_TEST(import_of_new_files, .check = check_pending)
FAILURE_TEST(import_that_keeps, .check = check_pending)
FAILURE_TEST(import_that_keeps_all, .check = check_pending)
FAILURE_TEST(export_buffer)
FAILURE_TEST(export_empty_buffer)
FAILURE_TEST(export_steps)
FAILURE_TEST(export_steps_again)
FAILURE_TEST(export_steps_of_a_file)
FAILURE_TEST(import_from_dir)
FAILURE_TEST(import_from_dir_over_a_tree)
FAILURE_TEST(export_to_dir, .check = check_target)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rename_directory_fails_without_a_trace),
		cmocka_unit_test(rename_directory_across_fails_without_a_trace),
		cmocka_unit_test(rename_directory_on_another_fails_without_a_trace),
		cmocka_unit_test(rename_directory_on_a_neighbour_fails_without_a_trace),
		cmocka_unit_test(rename_file_across_fails_without_a_trace),
		cmocka_unit_test(rename_file_on_another_across_fails_without_a_trace),
		cmocka_unit_test(rename_onto_a_copy_fails_without_a_trace),
		cmocka_unit_test(exchange_files_fails_without_a_trace),
		cmocka_unit_test(exchange_files_across_fails_without_a_trace),
		cmocka_unit_test(exchange_directories_fails_without_a_trace),
		cmocka_unit_test(exchange_directories_across_fails_without_a_trace),
		cmocka_unit_test(exchange_file_and_directory_fails_without_a_trace),
		cmocka_unit_test(move_file_fails_without_a_trace),
		cmocka_unit_test(move_file_below_existing_fails_without_a_trace),
		cmocka_unit_test(move_directory_fails_without_a_trace),
		cmocka_unit_test(move_without_new_parents_fails_without_a_trace),
		cmocka_unit_test(mkdir_fails_without_a_trace),
		cmocka_unit_test(remove_file_fails_without_a_trace),
		cmocka_unit_test(remove_directory_fails_without_a_trace),
		cmocka_unit_test(remove_copy_fails_without_a_trace),
		cmocka_unit_test(rmtree_fails_without_a_trace),
		cmocka_unit_test(rmtree_at_the_top_fails_without_a_trace),
		cmocka_unit_test(rmtree_of_copies_fails_without_a_trace),
		cmocka_unit_test(rmtree_of_a_file_fails_without_a_trace),
		cmocka_unit_test(copy_small_fails_without_a_trace),
		cmocka_unit_test(copy_empty_fails_without_a_trace),
		cmocka_unit_test(copy_page_fails_without_a_trace),
		cmocka_unit_test(copy_large_fails_without_a_trace),
		cmocka_unit_test(copy_tree_fails_without_a_trace),
		cmocka_unit_test(copy_tree_of_copies_fails_without_a_trace),
		cmocka_unit_test(copy_tree_of_nothing_fails_without_a_trace),
		cmocka_unit_test(write_first_byte_fails_without_a_trace),
		cmocka_unit_test(write_last_byte_fails_without_a_trace),
		cmocka_unit_test(write_across_chunks_fails_without_a_trace),
		cmocka_unit_test(write_all_fails_without_a_trace),
		cmocka_unit_test(write_past_the_end_fails_without_a_trace),
		cmocka_unit_test(write_behind_a_gap_fails_without_a_trace),
		cmocka_unit_test(append_a_little_fails_without_a_trace),
		cmocka_unit_test(append_much_fails_without_a_trace),
		cmocka_unit_test(shorten_fails_without_a_trace),
		cmocka_unit_test(shorten_to_a_chunk_fails_without_a_trace),
		cmocka_unit_test(shorten_to_nothing_fails_without_a_trace),
		cmocka_unit_test(lengthen_fails_without_a_trace),
		cmocka_unit_test(lengthen_a_little_fails_without_a_trace),
		cmocka_unit_test(empty_a_copy_fails_without_a_trace),
		cmocka_unit_test(empty_and_preallocate_a_copy_fails_without_a_trace),
		cmocka_unit_test(preallocate_a_copy_fails_without_a_trace),
		cmocka_unit_test(create_fails_without_a_trace),
		cmocka_unit_test(write_a_page_fails_without_a_trace),
		cmocka_unit_test(listdir_fails_without_a_trace),
		cmocka_unit_test(readdir_fails_without_a_trace),
		cmocka_unit_test(walk_fails_without_a_trace),
		cmocka_unit_test(walk_again_fails_without_a_trace),
		cmocka_unit_test(glob_fails_without_a_trace),
		cmocka_unit_test(glob_everything_fails_without_a_trace),
		cmocka_unit_test(glob_anywhere_fails_without_a_trace),
		cmocka_unit_test(import_tree_fails_without_a_trace),
		cmocka_unit_test(import_many_files_fails_without_a_trace),
		cmocka_unit_test(import_one_file_fails_without_a_trace),
		cmocka_unit_test(import_in_steps_fails_without_a_trace),
		cmocka_unit_test(import_of_new_files_fails_without_a_trace),
		cmocka_unit_test(import_that_keeps_fails_without_a_trace),
		cmocka_unit_test(import_that_keeps_all_fails_without_a_trace),
		cmocka_unit_test(export_buffer_fails_without_a_trace),
		cmocka_unit_test(export_empty_buffer_fails_without_a_trace),
		cmocka_unit_test(export_steps_fails_without_a_trace),
		cmocka_unit_test(export_steps_again_fails_without_a_trace),
		cmocka_unit_test(export_steps_of_a_file_fails_without_a_trace),
		cmocka_unit_test(import_from_dir_fails_without_a_trace),
		cmocka_unit_test(import_from_dir_over_a_tree_fails_without_a_trace),
		cmocka_unit_test(export_to_dir_fails_without_a_trace),
	};

	return cmocka_run_group_tests(tests, make_host, remove_host);
}
