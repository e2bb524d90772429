/* SPDX-License-Identifier: MIT */
/*
 * Does mfs_rmtree() take all or nothing, give everything back, spare what handles hold, and leave
 * nothing behind that other threads put below at the same time?
 */
#include "support.h"

#include "fs/filesystem.h"
#include "step_aside.h"
#include "tree_text.h"

static void assert_counts(mfs *fs, uint64_t files, uint64_t directories)
{
	mfs_usage usage = usage_of(fs);

	assert_int_equal(usage.files, files);
	assert_int_equal(usage.directories, directories);
	assert_true(mfs__validate(fs));
}

static void assert_nothing_left(mfs *fs)
{
	mfs_usage usage = usage_of(fs);
	char **names = NULL;

	assert_code(mfs_listdir(fs, "/", &names), 0);
	mfs_names_free(names);
	assert_int_equal(usage.used_bytes, 0);
	assert_int_equal(usage.chunks, 0);
	assert_int_equal(usage.open_handles, 0);
	assert_counts(fs, 0, 0);
}

/* A tree of `width` directories in each of `width` directories, a file in each of them. */
static void make_tree(mfs *fs, const char *top, int width)
{
	char path[64];

	for (int i = 0; i < width; i++) {
		for (int k = 0; k < width; k++) {
			(void)snprintf(path, sizeof(path), "%s/d%d/e%d", top, i, k);
			make_dir(fs, path);
			(void)snprintf(path, sizeof(path), "%s/d%d/e%d/f", top, i, k);
			make_text(fs, path, path);
		}
		(void)snprintf(path, sizeof(path), "%s/d%d/f", top, i);
		make_text(fs, path, path);
	}
	(void)snprintf(path, sizeof(path), "%s/f", top);
	make_text(fs, path, path);
}

/*
 * What it takes
 */

static void a_file_goes(void **state)
{
	mfs *fs = *state;

	make_text(fs, "/f", "content");
	make_dir(fs, "/d");
	make_text(fs, "/d/f", "content");
	assert_code(mfs_rmtree(fs, "/f"), 0);
	assert_code(mfs_rmtree(fs, "/d/f"), 0);
	assert_tree(fs, "/\n/d/\n");
	assert_counts(fs, 0, 1);
	assert_code(mfs_rmtree(fs, "\\d\\.\\"), 0);
	assert_nothing_left(fs);
}

static void a_directory_goes_with_all_below(void **state)
{
	mfs *fs = *state;
	struct snapshot before;
	mfs_info info;
	mfs_file *file = NULL;

	make_dir(fs, "/beside/x");
	make_text(fs, "/beside/f", "stays");
	before = take_snapshot(fs);
	make_tree(fs, "/beside/t", 5);
	assert_code(mfs_rmtree(fs, "/beside/t"), 0);
	assert_unchanged(fs, &before);
	assert_true(mfs__validate(fs));
	assert_refused(fs, mfs_stat(fs, "/beside/t", &info), MFS_ENOENT);
	assert_refused(fs, mfs_stat(fs, "/beside/t/d1/e1/f", &info), MFS_ENOENT);
	assert_refused(fs, mfs_open(fs, "/beside/t/f", "wb", &file), MFS_ENOENT);
	assert_refused(fs, mfs_rmtree(fs, "/beside/t"), MFS_ENOENT);
	drop_snapshot(&before);

	/* The names are free again; only a part of a tree goes when a part is named. */
	make_tree(fs, "/t", 2);
	assert_code(mfs_rmtree(fs, "/t/d0"), 0);
	assert_code(mfs_rmtree(fs, "/t/d1/e1"), 0);
	assert_code(mfs_rmtree(fs, "/t/d1/f"), 0);
	assert_tree(fs, "/\n"
					"/beside/\n"
					"/beside/f 5 stays\n"
					"/beside/x/\n"
					"/t/\n"
					"/t/d1/\n"
					"/t/d1/e0/\n"
					"/t/d1/e0/f 10 /t/d1/e0/f\n"
					"/t/f 4 /t/f\n");
	assert_counts(fs, 3, 5);
	assert_code(mfs_rmtree(fs, "/t"), 0);
	assert_code(mfs_rmtree(fs, "/beside"), 0);
	assert_nothing_left(fs);
}

static void a_wide_directory_goes(void **state)
{
	enum { NAMES = 5000 };
	mfs *fs = *state;

	make_dir(fs, "/wide");
	for (int i = 0; i < NAMES; i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "/wide/%d", i);
		if (i % 2 == 0)
			make_dir(fs, path);
		else
			make_text(fs, path, "content");
	}
	assert_counts(fs, NAMES / 2, NAMES / 2 + 1);
	assert_code(mfs_rmtree(fs, "/wide"), 0);
	assert_nothing_left(fs);
}

static void quota_and_nodes_come_back_in_full(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	unsigned char *data = allocate(MIB);
	mfs *fs = NULL;
	mfs_file *file = NULL;

	(void)state;
	options.max_quota = 4 * MIB;
	options.max_nodes = 8;
	options.chunk_overhead = -1;
	fs = new_workspace(&options);
	for (int round = 0; round < 3; round++) {
		make_dir(fs, "/t/a");
		make_dir(fs, "/t/b/c");
		make_file(fs, "/t/f", data, MIB);
		make_file(fs, "/t/a/f", data, MIB);
		make_file(fs, "/t/b/f", data, MIB);
		make_file(fs, "/t/b/c/f", data, MIB);
		assert_int_equal(usage_of(fs).free_bytes, 0);
		assert_refused(fs, mfs_mkdir(fs, "/more", 0), MFS_ENODES);
		assert_code(mfs_rmtree(fs, "/t/b"), 0);
		assert_int_equal(used_bytes(fs), 2 * MIB);
		assert_counts(fs, 2, 2);
		/* What came back can be used at once. */
		make_dir(fs, "/t/b/c/d");
		make_file(fs, "/t/b/c/d/f", data, 2 * MIB - MIB);
		assert_refused(fs, mfs_open(fs, "/t/more/f", "wb", &file), MFS_ENOENT);
		assert_counts(fs, 3, 5);
		assert_code(mfs_rmtree(fs, "/t"), 0);
		assert_nothing_left(fs);
	}
	free_workspace(fs);
	free(data);
}

/*
 * What it refuses
 */

static void the_root_and_what_is_not_there_are_refused(void **state)
{
	static const char *const roots[] = {"/", "", ".", "//", "/t/..", "\\", "/./"};
	mfs *fs = *state;
	struct snapshot before;
	char name[MFS_NAME_MAX + 3];

	for (size_t i = 0; i < COUNT_OF(roots); i++)
		assert_refused(fs, mfs_rmtree(fs, roots[i]), MFS_EINVAL);
	make_tree(fs, "/t", 2);
	before = take_snapshot(fs);
	for (size_t i = 0; i < COUNT_OF(roots); i++)
		assert_refused(fs, mfs_rmtree(fs, roots[i]), MFS_EINVAL);
	assert_refused(fs, mfs_rmtree(fs, "/nope"), MFS_ENOENT);
	assert_refused(fs, mfs_rmtree(fs, "/t/nope"), MFS_ENOENT);
	assert_refused(fs, mfs_rmtree(fs, "/nope/neither"), MFS_ENOENT);
	assert_refused(fs, mfs_rmtree(fs, "/t/f/x"), MFS_ENOTDIR);
	assert_refused(fs, mfs_rmtree(fs, "/t/f/x/y"), MFS_ENOTDIR);
	assert_refused(fs, mfs_rmtree(fs, "/t/../.."), MFS_EINVAL);
	assert_refused(fs, mfs_rmtree(fs, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_rmtree(NULL, "/t"), MFS_EINVAL);
	memset(name, 'n', sizeof(name));
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	assert_refused(fs, mfs_rmtree(fs, name), MFS_ENAMETOOLONG);
	assert_unchanged(fs, &before);
	assert_true(mfs__validate(fs));
	drop_snapshot(&before);
}

static void a_handle_below_keeps_the_whole_tree(void **state)
{
	static const char *const modes[] = {"rb", "wb", "ab", "r+b"};
	static const char *const files[] = {"/t/f", "/t/d0/f", "/t/d0/e0/f", "/t/d2/e1/f",
										"/t/d2/e2/f"};
	mfs *fs = *state;

	make_tree(fs, "/t", 3);
	for (size_t i = 0; i < COUNT_OF(modes) * COUNT_OF(files); i++) {
		const char *path = files[i % COUNT_OF(files)];
		mfs_file *file = open_file(fs, path, modes[i / COUNT_OF(files)]);
		struct snapshot before = take_snapshot(fs);

		assert_refused(fs, mfs_rmtree(fs, path), MFS_EBUSY);
		assert_refused(fs, mfs_rmtree(fs, "/t"), MFS_EBUSY);
		assert_refused(fs, mfs_rmtree(fs, "/t"), MFS_EBUSY);
		assert_unchanged(fs, &before);
		assert_true(mfs__validate(fs));
		drop_snapshot(&before);

		/* Nothing below is marked as gone: names come and go, files open, directories move. */
		make_dir(fs, "/t/d1/e1/new");
		make_text(fs, "/t/d1/e1/new/f", "content");
		assert_text(fs, "/t/d1/e1/f", "/t/d1/e1/f");
		assert_code(mfs_rename(fs, "/t/d1/e1/new", "/t/d0/e2/new", 0), 0);
		assert_code(mfs_rmtree(fs, "/t/d0/e2/new"), 0);
		close_file(file);
	}
	/* What lies beside the handle may go. */
	mfs_file *file = open_file(fs, "/t/d2/e1/f", "rb");

	assert_code(mfs_rmtree(fs, "/t/d1"), 0);
	assert_code(mfs_rmtree(fs, "/t/d2/e2"), 0);
	assert_refused(fs, mfs_rmtree(fs, "/t/d2"), MFS_EBUSY);
	close_file(file);
	assert_code(mfs_rmtree(fs, "/t"), 0);
	assert_nothing_left(fs);
}

/*
 * What lives on
 */

static void shared_handles_keep_their_files(void **state)
{
	enum { SIZE = 5000 };
	mfs *fs = new_plain_workspace(16 * MIB);
	unsigned char data[SIZE];
	unsigned char changed[SIZE];
	struct rng rng = {1};
	mfs_file *reader = NULL;
	mfs_file *writer = NULL;
	mfs_file *other = NULL;
	uint64_t one = 0;

	(void)state;
	rng_fill(&rng, data, sizeof(data));
	memcpy(changed, data, sizeof(data));
	make_tree(fs, "/t", 3);
	make_file(fs, "/alone", data, SIZE);
	one = used_bytes(fs);
	make_file(fs, "/t/d1/e1/held", data, SIZE);
	one = used_bytes(fs) - one;
	make_file(fs, "/t/other", data, SIZE);
	assert_code(mfs_remove(fs, "/alone"), 0);
	reader = open_shared(fs, "/t/d1/e1/held", "rb");
	writer = open_shared(fs, "/t/d1/e1/held", "r+b");
	other = open_shared(fs, "/t/other", "rb");

	assert_code(mfs_rmtree(fs, "/t"), 0);
	assert_false(mfs_exists(fs, "/t"));
	assert_int_equal(used_bytes(fs), 2 * one);
	assert_int_equal(usage_of(fs).files, 0);
	assert_int_equal(usage_of(fs).directories, 0);
	assert_int_equal(usage_of(fs).open_handles, 3);
	assert_handle_holds(reader, data, SIZE);
	assert_handle_holds(other, data, SIZE);
	memset(changed + 100, 'x', 1000);
	assert_code(mfs_pwrite(writer, changed + 100, 1000, 100), 1000);
	assert_handle_holds(reader, changed, SIZE);

	/* A new tree under the same names has nothing to do with them. */
	make_dir(fs, "/t/d1/e1");
	make_text(fs, "/t/d1/e1/held", "new");
	assert_handle_holds(reader, changed, SIZE);
	assert_text(fs, "/t/d1/e1/held", "new");
	assert_code(mfs_rmtree(fs, "/t"), 0);

	close_file(other);
	assert_int_equal(used_bytes(fs), one);
	close_file(writer);
	assert_int_equal(used_bytes(fs), one);
	assert_handle_holds(reader, changed, SIZE);
	close_file(reader);
	assert_nothing_left(fs);
	free_workspace(fs);
}

static void iterators_below_are_not_in_the_way(void **state)
{
	mfs *fs = *state;
	mfs_dir *dir = NULL;
	mfs_entry entry;

	make_tree(fs, "/t", 2);
	assert_code(mfs_opendir(fs, "/t/d1", &dir), 0);
	assert_code(mfs_rmtree(fs, "/t"), 0);
	assert_code(mfs_readdir(dir, &entry), 1);
	assert_string_equal(entry.name, "e0");
	assert_true(entry.info.is_dir);
	assert_code(mfs_readdir(dir, &entry), 1);
	assert_string_equal(entry.name, "e1");
	assert_code(mfs_readdir(dir, &entry), 1);
	assert_string_equal(entry.name, "f");
	assert_int_equal(entry.info.size, 7);
	assert_code(mfs_readdir(dir, &entry), 0);
	assert_code(mfs_closedir(dir), 0);
	assert_nothing_left(fs);
}

/*
 * Other threads
 */

enum { CREATORS = 3 };

struct creator {
	mfs *fs;
	pthread_barrier_t *barrier;
	int number;
	int rounds;
	int created;
	int wrong;
	pthread_t thread;
};

/* Try to bring one thing more below "/t", in one of three ways. Returns the code. */
static int create_below(struct creator *creator, int attempt)
{
	static const char *const places[] = {"/t", "/t/d0", "/t/d1/e1", "/t/d1/e0"};
	const char *place = places[(size_t)attempt % COUNT_OF(places)];
	mfs_file *file = NULL;
	char path[64];
	char aside[64];
	int code = 0;

	(void)snprintf(path, sizeof(path), "%s/new%d-%d", place, creator->number, attempt);
	(void)snprintf(aside, sizeof(aside), "/aside/%d-%d", creator->number, attempt);
	if (attempt % 3 == 0) {
		code = open_with(creator->fs, path, "xb", MFS_O_SHARED, 0, &file);
		if (code == 0) {
			creator->wrong += mfs_write(file, path, strlen(path)) != (int64_t)strlen(path);
			creator->wrong += mfs_close(file) != 0;
		}
	} else if (attempt % 3 == 1) {
		code = mfs_open(creator->fs, aside, "xb", &file);
		creator->wrong += code != 0 || mfs_write(file, path, 5) != 5 || mfs_close(file) != 0;
		code = mfs_rename(creator->fs, aside, path, 0);
		/* It has moved, or it is where it was. */
		creator->wrong += mfs_exists(creator->fs, aside) != (code != 0);
		if (code != 0)
			creator->wrong += mfs_remove(creator->fs, aside) != 0;
	} else {
		creator->wrong += mfs_mkdir(creator->fs, aside, 0) != 0;
		code = mfs_rename(creator->fs, aside, path, 0);
		creator->wrong += mfs_exists(creator->fs, aside) != (code != 0);
		if (code != 0)
			creator->wrong += mfs_remove(creator->fs, aside) != 0;
	}
	return code;
}

static void *create_until_it_is_gone(void *argument)
{
	struct creator *creator = argument;

	for (int round = 0; round < creator->rounds; round++) {
		int attempt = 0;
		int code = 0;

		(void)pthread_barrier_wait(creator->barrier);
		while (code == 0) {
			code = create_below(creator, attempt++);
			creator->created += code == 0;
		}
		creator->wrong += code != MFS_ENOENT;
		/* What is gone is gone: none of these makes its parents. */
		for (int more = 0; more < 4; more++)
			creator->wrong += create_below(creator, attempt + more) != MFS_ENOENT;
		(void)pthread_barrier_wait(creator->barrier);
	}
	return NULL;
}

/* Each creation comes before the removal, which then takes it, or after it, and finds no parent. */
static void what_is_created_at_the_same_time_goes_or_fails(void **state)
{
	enum { ROUNDS = 60 };
	mfs *fs = *state;
	struct creator creators[CREATORS];
	pthread_barrier_t barrier;
	int created = 0;
	int failures = 0;

	memset(creators, 0, sizeof(creators));
	assert_int_equal(pthread_barrier_init(&barrier, NULL, CREATORS + 1), 0);
	make_dir(fs, "/aside");
	for (int i = 0; i < CREATORS; i++) {
		creators[i].fs = fs;
		creators[i].barrier = &barrier;
		creators[i].number = i;
		creators[i].rounds = ROUNDS;
		creators[i].thread = start_thread(create_until_it_is_gone, &creators[i]);
	}
	for (int round = 0; round < ROUNDS; round++) {
		mfs_usage usage;

		/* No assertions before the join: the threads use this function's variables. */
		for (int i = 0; i < 2; i++) {
			failures += mfs_mkdir(fs, i == 0 ? "/t/d0" : "/t/d1/e0", 0) != 0;
			failures += mfs_mkdir(fs, i == 0 ? "/t/d1/e1" : "/t/d2/e0", 0) != 0;
		}
		(void)pthread_barrier_wait(&barrier);
		/* Let some rounds begin in the thick of it. */
		for (int i = 0; i < round % 8; i++)
			(void)sched_yield();
		failures += mfs_rmtree(fs, "/t") != 0;
		(void)pthread_barrier_wait(&barrier);
		failures += mfs_exists(fs, "/t");
		failures += !mfs__validate(fs);
		failures += mfs_stats(fs, &usage) != 0;
		failures += usage.files != 0 || usage.directories != 1 || usage.used_bytes != 0;
	}
	for (int i = 0; i < CREATORS; i++) {
		join_thread(creators[i].thread);
		failures += creators[i].wrong;
		created += creators[i].created;
	}
	assert_int_equal(pthread_barrier_destroy(&barrier), 0);
	assert_int_equal(failures, 0);
	assert_true(created > 0);
	assert_code(mfs_remove(fs, "/aside"), 0);
	assert_nothing_left(fs);
}

struct worker {
	mfs *fs;
	pthread_barrier_t *barrier;
	const char *path;
	int rounds;
	int succeeded;
	int wrong;
	pthread_t thread;
};

/** Starts threads that are alike but for their paths, and the barrier that they share with the
 * caller. */
static void start_workers(struct worker *workers, int count, struct worker common,
						  const char *const *paths, void *(*work)(void *))
{
	assert_int_equal(pthread_barrier_init(common.barrier, NULL, (unsigned)count + 1), 0);
	for (int i = 0; i < count; i++) {
		workers[i] = common;
		workers[i].path = paths[i];
		workers[i].thread = start_thread(work, &workers[i]);
	}
}

static void *remove_each_round(void *argument)
{
	struct worker *worker = argument;

	for (int round = 0; round < worker->rounds; round++) {
		int code = 0;

		(void)pthread_barrier_wait(worker->barrier);
		code = mfs_rmtree(worker->fs, worker->path);
		worker->succeeded += code == 0;
		worker->wrong += code != 0 && code != MFS_ENOENT;
		(void)pthread_barrier_wait(worker->barrier);
	}
	return NULL;
}

static void of_many_removals_of_one_tree_one_succeeds(void **state)
{
	enum { ROUNDS = 100, WORKERS = 4 };
	static const char *const paths[WORKERS] = {"/t", "/t", "/t/a", "/t/a/b"};
	mfs *fs = *state;
	struct worker workers[WORKERS];
	pthread_barrier_t barrier;
	int failures = 0;

	start_workers(workers, WORKERS,
				  (struct worker){.fs = fs, .barrier = &barrier, .rounds = ROUNDS}, paths,
				  remove_each_round);
	for (int round = 0; round < ROUNDS; round++) {
		mfs_usage usage;
		mfs_file *file = NULL;

		failures += mfs_mkdir(fs, "/t/a/b/c", 0) != 0;
		failures += mfs_open(fs, "/t/a/b/f", "xb", &file) != 0;
		failures += mfs_write(file, "content", 7) != 7;
		failures += mfs_close(file) != 0;
		(void)pthread_barrier_wait(&barrier);
		(void)pthread_barrier_wait(&barrier);
		failures += !mfs__validate(fs);
		failures += mfs_stats(fs, &usage) != 0;
		failures += usage.files != 0 || usage.directories != 0 || usage.used_bytes != 0;
	}
	for (int i = 0; i < WORKERS; i++) {
		join_thread(workers[i].thread);
		failures += workers[i].wrong;
	}
	assert_int_equal(pthread_barrier_destroy(&barrier), 0);
	assert_int_equal(failures, 0);
	assert_int_equal(workers[0].succeeded + workers[1].succeeded, ROUNDS);
	assert_nothing_left(fs);
}

/** Makes directories with their parents, so that what was removed comes again. */
static void *make_again_and_again(void *argument)
{
	struct worker *worker = argument;

	(void)pthread_barrier_wait(worker->barrier);
	for (int round = 0; round < worker->rounds; round++) {
		char path[64];
		int code = 0;

		(void)snprintf(path, sizeof(path), "%s/%d/x/y", worker->path, round % 10);
		code = mfs_mkdir(worker->fs, path, MFS_EXIST_OK);
		worker->wrong += code != 0;
		worker->succeeded += code == 0;
	}
	return NULL;
}

static void parents_are_made_again_while_they_are_removed(void **state)
{
	enum { ROUNDS = 1500, WORKERS = 2 };
	static const char *const paths[WORKERS] = {"/t/a", "/t/a/b"};
	mfs *fs = *state;
	struct worker workers[WORKERS];
	pthread_barrier_t barrier;
	int failures = 0;

	start_workers(workers, WORKERS,
				  (struct worker){.fs = fs, .barrier = &barrier, .rounds = ROUNDS}, paths,
				  make_again_and_again);
	(void)pthread_barrier_wait(&barrier);
	for (int round = 0; round < ROUNDS; round++) {
		int code = mfs_rmtree(fs, round % 2 == 0 ? "/t" : "/t/a");

		failures += code != 0 && code != MFS_ENOENT;
	}
	for (int i = 0; i < WORKERS; i++) {
		join_thread(workers[i].thread);
		failures += workers[i].wrong + ROUNDS - workers[i].succeeded;
	}
	assert_int_equal(pthread_barrier_destroy(&barrier), 0);
	assert_int_equal(failures, 0);
	/* What the tree shows is what is counted. */
	assert_true(mfs__validate(fs));
	assert_either(mfs_rmtree(fs, "/t"), 0, MFS_ENOENT);
	assert_nothing_left(fs);
}

struct replanter {
	mfs *fs;
	atomic_bool *stop;
	atomic_int rounds;
	int failures;
};

/** Makes a tree aside, brings it in as one, and removes it. */
static void *plant_and_remove(void *argument)
{
	struct replanter *replanter = argument;
	mfs *fs = replanter->fs;

	while (!atomic_load(replanter->stop)) {
		for (int i = 0; i < 6; i++) {
			char path[32];

			(void)snprintf(path, sizeof(path), "/aside/d/%d", i);
			replanter->failures += mfs_mkdir(fs, path, 0) != 0;
		}
		replanter->failures += mfs_rename(fs, "/aside", "/t", 0) != 0;
		replanter->failures += mfs_rmtree(fs, "/t") != 0;
		atomic_fetch_add(&replanter->rounds, 1);
	}
	return NULL;
}

static void nobody_finds_a_part(void **state)
{
	mfs *fs = *state;
	atomic_bool stop = false;
	struct replanter replanter = {.fs = fs, .stop = &stop};
	pthread_t thread = start_thread(plant_and_remove, &replanter);
	int wrong = 0;
	int found = 0;

	for (int i = 0; i < 3000 || found < 20; i++) {
		char **names = NULL;
		int64_t count = mfs_listdir(fs, "/t/d", &names);

		wrong += count != MFS_ENOENT && count != 6;
		found += count == 6;
		mfs_names_free(names);
		count = mfs_listdir(fs, "/t", &names);
		wrong += count != MFS_ENOENT && count != 1;
		mfs_names_free(names);
	}
	atomic_store(&stop, true);
	join_thread(thread);
	assert_int_equal(wrong, 0);
	assert_int_equal(replanter.failures, 0);
	assert_nothing_left(fs);
}

/** Opens a file again and again, and uses it for a moment. */
static void *hold_again_and_again(void *argument)
{
	struct worker *worker = argument;

	for (int round = 0; round < worker->rounds; round++) {
		mfs_file *file = NULL;
		int code = 0;

		(void)pthread_barrier_wait(worker->barrier);
		while ((code = mfs_open(worker->fs, worker->path, "r+b", &file)) == 0) {
			/* As long as the handle is open, the tree stays. */
			worker->wrong += !mfs_is_file(worker->fs, worker->path);
			worker->wrong += mfs_write(file, "again", 5) != 5;
			worker->wrong += !mfs_is_file(worker->fs, worker->path);
			worker->wrong += mfs_close(file) != 0;
			worker->succeeded++;
		}
		worker->wrong += code != MFS_ENOENT;
		(void)pthread_barrier_wait(worker->barrier);
	}
	return NULL;
}

static void a_tree_goes_only_between_two_handles(void **state)
{
	enum { ROUNDS = 50, WORKERS = 2 };
	static const char *const paths[WORKERS] = {"/t/a/b/f", "/t/c/f"};
	mfs *fs = *state;
	struct worker workers[WORKERS];
	pthread_barrier_t barrier;
	int failures = 0;

	start_workers(workers, WORKERS,
				  (struct worker){.fs = fs, .barrier = &barrier, .rounds = ROUNDS}, paths,
				  hold_again_and_again);
	for (int round = 0; round < ROUNDS; round++) {
		int code = 0;

		failures += mfs_mkdir(fs, "/t/a/b", 0) != 0 || mfs_mkdir(fs, "/t/c", 0) != 0;
		for (int i = 0; i < WORKERS; i++) {
			mfs_file *file = NULL;

			failures += mfs_open(fs, paths[i], "xb", &file) != 0 || mfs_close(file) != 0;
		}
		(void)pthread_barrier_wait(&barrier);
		while ((code = mfs_rmtree(fs, "/t")) == MFS_EBUSY)
			(void)sched_yield();
		failures += code != 0;
		(void)pthread_barrier_wait(&barrier);
		failures += mfs_exists(fs, "/t") || !mfs__validate(fs);
	}
	for (int i = 0; i < WORKERS; i++) {
		join_thread(workers[i].thread);
		failures += workers[i].wrong;
	}
	assert_int_equal(pthread_barrier_destroy(&barrier), 0);
	assert_int_equal(failures, 0);
	assert_nothing_left(fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(a_file_goes),
		WORKSPACE_TEST(a_directory_goes_with_all_below),
		WORKSPACE_TEST(a_wide_directory_goes),
		cmocka_unit_test(quota_and_nodes_come_back_in_full),
		WORKSPACE_TEST(the_root_and_what_is_not_there_are_refused),
		WORKSPACE_TEST(a_handle_below_keeps_the_whole_tree),
		cmocka_unit_test(shared_handles_keep_their_files),
		WORKSPACE_TEST(iterators_below_are_not_in_the_way),
		WORKSPACE_TEST(what_is_created_at_the_same_time_goes_or_fails),
		WORKSPACE_TEST(of_many_removals_of_one_tree_one_succeeds),
		WORKSPACE_TEST(parents_are_made_again_while_they_are_removed),
		WORKSPACE_TEST(nobody_finds_a_part),
		WORKSPACE_TEST(a_tree_goes_only_between_two_handles),
	};

	return cmocka_run_group_tests_name("rmtree", tests, step_aside_setup, step_aside_teardown);
}
