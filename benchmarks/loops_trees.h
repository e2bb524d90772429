/* SPDX-License-Identifier: MIT */
/*
 * The cases of whole trees: walk, copy, remove, import, export. Part of loops.h.
 *
 * Trees that are made here have 10 directories in each directory, some levels deep, and 100 files
 * in each of the deepest ones: d0/d0/d0/f0 to d9/d9/d9/f99.
 */
#ifndef DMEMFS_BENCHMARKS_LOOPS_TREES_H
#define DMEMFS_BENCHMARKS_LOOPS_TREES_H

#include "host_tree.h"
#include "loops_base.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	TREE_FAN = 10,
	TREE_LEAF_FILES = 100,
	/* What mfs_transfer_options allows; both sides keep to it. */
	MOST_TEAM = 64,
};

/* How many of the deepest directories a tree with so many files has. */
static uint32_t tree_leaves(uint32_t files)
{
	return files / TREE_LEAF_FILES;
}

/* How many directories in all, the top not counted. */
static uint64_t tree_directories(uint32_t files)
{
	uint64_t sum = 0;

	for (uint32_t count = tree_leaves(files); count > 1; count /= TREE_FAN)
		sum += count;
	return sum;
}

/* Make a tree of so many files, of `size` bytes each, whose top does not exist yet. */
static void make_tree(struct bench_worker *w, const char *top, uint32_t files, size_t size)
{
	char path[BENCH_PATH_SIZE];
	uint32_t leaves = tree_leaves(files);
	size_t length = strlen(top);

	make_buffer(w);
	stamp_page(w->buffer, BENCH_PAGE, 0);
	memcpy(path, top, length + 1);
	op_mkdir(w, path);
	for (uint32_t leaf = 0; leaf < leaves; leaf++) {
		char *at = path + length;
		for (uint32_t below = leaves / TREE_FAN; below > 0; below /= TREE_FAN) {
			*at++ = '/';
			*at++ = 'd';
			at = bench_decimal(at, leaf / below % TREE_FAN);
			/* The first of the leaves that are below it. */
			if (leaf % below == 0)
				op_mkdir(w, path);
		}
		memcpy(at, "/f", 2);
		for (uint32_t number = 0; number < TREE_LEAF_FILES; number++) {
			bench_decimal(at + 2, number);
			union bench_handle handle = op_open_write(w, path);
			if (size > 0) {
				uint64_t word = leaf * UINT64_C(1000) + number;
				memcpy(w->buffer, &word, sizeof(word));
				op_write(w, handle, w->buffer, size);
			}
			op_close(w, handle);
		}
	}
	free_buffer(w);
}

/* The tree has as many files and directories as make_tree() made. */
static inline void check_counts(const struct bench_sum *sum, uint32_t files, const char *path)
{
	if (bench_unlikely(sum->files != files || sum->directories != tree_directories(files)))
		bench_die("%s: wrong number of files or directories", path);
}

static void check_sum(const struct bench_sum *got, const struct bench_sum *want, const char *path)
{
	if (got->files != want->files || got->directories != want->directories ||
		got->bytes != want->bytes || got->hash != want->hash)
		bench_die("%s: is not what was copied", path);
}

/*
 * walk_100k: root/tree, one for all threads, of empty files.
 */

static void set_up_walk_100k(struct bench_worker *w)
{
	set_path(w, "tree");
	make_tree(w, w->path, BENCH_TREE_FILES, 0);
}

static void begin_walk_100k(struct bench_worker *w)
{
	set_path(w, "tree");
}

/* Measured. A round is one walk. */
static void measure_walk_100k(struct bench_worker *w)
{
	struct bench_sum sum = op_walk(w, w->path);

	check_counts(&sum, BENCH_TREE_FILES, w->path);
}

/*
 * copy_tree_10k: root/index/tree to root/index/copy, which has been removed outside the clock.
 */

static void set_up_copy_tree_10k(struct bench_worker *w)
{
	make_own_directories(w);
	for (unsigned i = 0; i < w->threads; i++) {
		set_own_path(w, i, "/tree");
		make_tree(w, w->path, BENCH_TREE_COPIED, BENCH_PAGE);
	}
}

static void begin_copy_tree_10k(struct bench_worker *w)
{
	set_own_path(w, w->index, "/copy");
	keep_as_to(w);
	set_own_path(w, w->index, "/tree");
}

/* Measured. A round is one copy. */
static void measure_copy_tree_10k(struct bench_worker *w)
{
	op_copy_tree(w, w->path, w->to);
}

static void finish_copy_tree_10k(struct bench_worker *w)
{
	struct bench_sum sum = op_walk(w, w->to);

	check_counts(&sum, BENCH_TREE_COPIED, w->to);
	if (w->thorough) {
		struct bench_sum source;
		op_sum(w, w->path, &source);
		op_sum(w, w->to, &sum);
		check_sum(&sum, &source, w->to);
	}
	op_rmtree(w, w->to);
	op_settle(w);
}

/*
 * rmtree_100k: root/index/tree, made anew outside the clock.
 * rmtree_100k_freed: the same, until all its memory is free again.
 */

static void begin_rmtree_100k(struct bench_worker *w)
{
	set_own_path(w, w->index, "/tree");
}

static void prepare_rmtree_100k(struct bench_worker *w)
{
	make_tree(w, w->path, BENCH_TREE_FILES, BENCH_PAGE);
}

/* Measured. A round is one tree. */
static void measure_rmtree_100k(struct bench_worker *w)
{
	op_rmtree(w, w->path);
}

/* Measured. A round is one tree. */
static void measure_rmtree_100k_freed(struct bench_worker *w)
{
	op_rmtree(w, w->path);
	op_settle(w);
}

static void finish_rmtree_100k(struct bench_worker *w)
{
	set_own_path(w, w->index, "");
	if (op_list_sorted(w, w->path) != 0)
		bench_die("%s: not empty", w->path);
	begin_rmtree_100k(w);
	op_settle(w);
}

/*
 * import_dir: a tree of the host to root/tree, which has been removed outside the clock.
 * export_dir: root/tree, a copy of the same tree, to a directory of tmpfs that does not exist yet.
 * export_dir_whole: the same to one that exists, in which nobody may ever find a part of a file.
 * One worker makes one call, which has as many threads as the run.
 */

static unsigned team(const struct bench_worker *w)
{
	return w->threads < MOST_TEAM ? w->threads : MOST_TEAM;
}

static void begin_import_dir(struct bench_worker *w)
{
	set_path(w, "tree");
}

/* Measured. A round is one import. */
static void measure_import_dir(struct bench_worker *w)
{
	op_import(w, w->host->tree, w->path, team(w));
}

static void finish_import_dir(struct bench_worker *w)
{
	const struct bench_sum *want = &w->host->sum;
	struct bench_sum sum = op_walk(w, w->path);

	if (sum.files != want->files || sum.directories != want->directories)
		bench_die("%s: wrong number of files or directories", w->path);
	if (w->thorough) {
		op_sum(w, w->path, &sum);
		check_sum(&sum, want, w->path);
	}
	op_rmtree(w, w->path);
	op_settle(w);
}

static void set_up_export_dir(struct bench_worker *w)
{
	set_path(w, "tree");
	op_import(w, w->host->tree, w->path, team(w));
}

static void begin_export_dir(struct bench_worker *w)
{
	if (mkdir(w->host->out, 0700) < 0)
		bench_die("mkdir of %s: %s", w->host->out, strerror(errno));
	bench_remove_on_exit(BENCH_LEFTOVER_OUT, w->host->out);
	int length = snprintf(w->to, sizeof(w->to), "%s/tree", w->host->out);
	if (length < 0 || (size_t)length >= sizeof(w->to))
		bench_die("path too long");
	set_path(w, "tree");
}

/* Measured. A round is one export. */
static void measure_export_dir(struct bench_worker *w)
{
	op_export(w, w->path, w->to, team(w), false);
}

/* Measured. A round is one export. */
static void measure_export_dir_whole(struct bench_worker *w)
{
	if (mkdir(w->to, 0777) < 0)
		bench_die("mkdir of %s: %s", w->to, strerror(errno));
	op_export(w, w->path, w->to, team(w), true);
}

static void finish_export_dir(struct bench_worker *w)
{
	const struct bench_sum *want = &w->host->sum;
	struct bench_sum sum = bench_host_walk(w->to);

	if (sum.files != want->files || sum.directories != want->directories)
		bench_die("%s: wrong number of files or directories", w->to);
	if (w->thorough) {
		bench_host_sum(w->to, &sum);
		check_sum(&sum, want, w->to);
	}
	bench_host_remove(w->to);
}

static void end_export_dir(struct bench_worker *w)
{
	if (rmdir(w->host->out) < 0)
		bench_die("removal of %s: %s", w->host->out, strerror(errno));
	bench_remove_on_exit(BENCH_LEFTOVER_OUT, NULL);
}

#endif
