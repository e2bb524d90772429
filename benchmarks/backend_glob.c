/* SPDX-License-Identifier: MIT */
/*
 * The cases of mfs_glob(). They have no peer on tmpfs, as neither the kernel nor the C library
 * knows a '**'. They stand beside a plain walk through the same tree, which no glob can do without:
 * what the patterns cost is the difference.
 *
 * The tree is root/d0/d0/d0 to root/d9/d9/d9, with 100 files in each of the deepest directories.
 * Their names are 24 times an 'a' and a number, so that a pattern with many '*' can be matched in
 * thousands of ways up to its last letter, which is wrong. In every tenth directory one name ends
 * in 'b', and one is "x".
 */
#include "dmemfs/dmemfs.h"

#include "bench.h"

#define LEAVES     1000u
#define LEAF_FILES 100u
#define LETTERS    "aaaaaaaaaaaaaaaaaaaaaaaa"
/* Every MATCH_STEP-th of the deepest directories has a name that matches. */
#define MATCH_STEP 10u

#define STARS_PATTERN     "/**/**/**/**/x"
#define BACKTRACK_PATTERN "/**/a*a*a*a*b"

static void *make(const char *root)
{
	return bench_dmemfs.make(root);
}

static void drop(void *place, const char *root)
{
	bench_dmemfs.drop(place, root);
}

static void settle(void *place)
{
	bench_dmemfs.settle(place);
}

static void make_file(const struct bench_worker *w, const char *path)
{
	mfs_file *file;
	int rc = mfs_open(w->place, path, "xb", &file);

	if (rc == 0)
		rc = mfs_close(file);
	if (rc < 0)
		bench_die("dmemfs: creation of %s: %s", path, mfs_strerror(rc));
}

static void set_up(struct bench_worker *w)
{
	for (uint32_t leaf = 0; leaf < LEAVES; leaf++) {
		int length = snprintf(w->path, sizeof(w->path), "%s/d%u/d%u/d%u/", w->root, leaf / 100,
							  leaf / 10 % 10, leaf % 10);
		if (length < 0 || (size_t)length > sizeof(w->path) - sizeof(LETTERS) - 16)
			bench_die("path too long");
		int rc = mfs_mkdir(w->place, w->path, 0);
		if (rc < 0)
			bench_die("dmemfs: mkdir of %s: %s", w->path, mfs_strerror(rc));
		char *name = w->path + length;
		size_t room = sizeof(w->path) - (size_t)length;
		for (uint32_t number = 0; number < LEAF_FILES; number++) {
			bool special = leaf % MATCH_STEP == 0;
			if (special && number == 0)
				snprintf(name, room, "x");
			else
				snprintf(name, room, "%s%u%s", LETTERS, number, special && number == 1 ? "b" : "");
			make_file(w, w->path);
		}
	}
}

static void find(const struct bench_worker *w, const char *pattern)
{
	char **paths;
	int64_t count = mfs_glob(w->place, pattern, &paths);

	if (bench_unlikely(count < 0))
		bench_die("dmemfs: glob of %s: %s", pattern, mfs_strerror((int)count));
	if (bench_unlikely(count != LEAVES / MATCH_STEP))
		bench_die("dmemfs: glob of %s: wrong number of paths", pattern);
	mfs_names_free(paths);
}

/* Measured. A round is one glob. */
static void measure_glob_stars(struct bench_worker *w)
{
	find(w, STARS_PATTERN);
}

/* Measured. A round is one glob. */
static void measure_glob_backtrack(struct bench_worker *w)
{
	find(w, BACKTRACK_PATTERN);
}

/* Measured. A round is one walk. All names are looked at. */
static void measure_walk(struct bench_worker *w)
{
	uint64_t files = 0;
	mfs_walk_level level;
	mfs_walk *walk;
	int rc = mfs_walk_open(w->place, "/", &walk);

	if (bench_unlikely(rc < 0))
		bench_die("dmemfs: walk: %s", mfs_strerror(rc));
	while ((rc = mfs_walk_next(walk, &level)) > 0) {
		for (size_t i = 0; i < level.file_count; i++)
			files += level.files[i][0] != '\0';
	}
	if (bench_unlikely(rc < 0 || files != BENCH_TREE_FILES))
		bench_die("dmemfs: walk: %s", rc < 0 ? mfs_strerror(rc) : "wrong number of files");
	mfs_walk_close(walk);
}

static const struct bench_steps glob_steps[BENCH_CASE_COUNT] = {
	[BENCH_glob_stars_100k] = {.set_up = set_up, .measure = measure_glob_stars},
	[BENCH_glob_backtrack_100k] = {.set_up = set_up, .measure = measure_glob_backtrack},
};

static const struct bench_steps walk_steps[BENCH_CASE_COUNT] = {
	[BENCH_glob_stars_100k] = {.set_up = set_up, .measure = measure_walk},
	[BENCH_glob_backtrack_100k] = {.set_up = set_up, .measure = measure_walk},
};

const struct bench_backend bench_glob = {
	.name = "dmemfs",
	.make = make,
	.drop = drop,
	.settle = settle,
	.steps = glob_steps,
};

const struct bench_backend bench_walk = {
	.name = "walk",
	.make = make,
	.drop = drop,
	.settle = settle,
	.steps = walk_steps,
};
