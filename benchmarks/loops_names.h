/* SPDX-License-Identifier: MIT */
/*
 * The cases of names in directories: list, rename, make. Part of loops.h.
 */
#ifndef DMEMFS_BENCHMARKS_LOOPS_NAMES_H
#define DMEMFS_BENCHMARKS_LOOPS_NAMES_H

#include "loops_base.h"

/*
 * listdir_1k: root/index with f0 to f999.
 */

/* Make the empty files f0, f1, ... of a directory of each thread's own. */
static void make_names(struct bench_worker *w, uint32_t count)
{
	make_own_directories(w);
	for (unsigned i = 0; i < w->threads; i++) {
		set_own_path(w, i, "/f");
		make_empty_files(w, count);
	}
}

static void set_up_listdir_1k(struct bench_worker *w)
{
	make_names(w, BENCH_LIST_NAMES);
}

static void begin_listdir_1k(struct bench_worker *w)
{
	begin_buffer(w);
	set_own_path(w, w->index, "");
}

/* Measured. */
static void measure_listdir_1k(struct bench_worker *w)
{
	for (uint64_t done = 0; done < w->ops; done += BENCH_LIST_NAMES) {
		if (bench_unlikely(op_list(w, w->path) != BENCH_LIST_NAMES))
			bench_die("%s: wrong number of names", w->path);
	}
}

/*
 * listdir_10k: root/index with f0 to f9999.
 */

static void set_up_listdir_10k(struct bench_worker *w)
{
	make_names(w, BENCH_LIST_MANY);
}

static void begin_own_directory(struct bench_worker *w)
{
	set_own_path(w, w->index, "");
}

/* Measured. */
static void measure_listdir_10k(struct bench_worker *w)
{
	for (uint64_t done = 0; done < w->ops; done += BENCH_LIST_MANY) {
		if (bench_unlikely(op_list_sorted(w, w->path) != BENCH_LIST_MANY))
			bench_die("%s: wrong number of names", w->path);
	}
}

/*
 * rename_file_same_dir: root/index/f0 to f999 become g0 to g999, and then f0 to f999 again.
 * rename_across_dirs: root/index/a/f0 to f999 go to root/index/b, and then back. The sizes tell the
 * files apart.
 */

static inline int64_t rename_size(uint32_t number)
{
	return 1 + (int64_t)(number % 251);
}

/* Make the files whose names begin with the worker's path. */
static void make_renamed_files(struct bench_worker *w)
{
	make_buffer(w);
	for (uint32_t number = 0; number < BENCH_RENAMES; number++) {
		bench_decimal(w->path + w->name_at, number);
		union bench_handle handle = op_open_write(w, w->path);
		op_write(w, handle, w->buffer, (size_t)rename_size(number));
		op_close(w, handle);
	}
	free_buffer(w);
}

static void set_up_rename_file_same_dir(struct bench_worker *w)
{
	make_own_directories(w);
	for (unsigned i = 0; i < w->threads; i++) {
		set_own_path(w, i, "/f");
		make_renamed_files(w);
	}
}

static void begin_rename_file_same_dir(struct bench_worker *w)
{
	set_own_path(w, w->index, "/g");
	keep_as_to(w);
	set_own_path(w, w->index, "/f");
}

static void set_up_rename_across_dirs(struct bench_worker *w)
{
	make_own_directories(w);
	for (unsigned i = 0; i < w->threads; i++) {
		set_own_path(w, i, "/b");
		op_mkdir(w, w->path);
		set_own_path(w, i, "/a");
		op_mkdir(w, w->path);
		set_own_path(w, i, "/a/f");
		make_renamed_files(w);
	}
}

static void begin_rename_across_dirs(struct bench_worker *w)
{
	set_own_path(w, w->index, "/b/f");
	keep_as_to(w);
	set_own_path(w, w->index, "/a/f");
}

/* Measured. */
static inline void rename_files(struct bench_worker *w, char *from, size_t from_at, char *to,
								size_t to_at)
{
	for (uint32_t number = 0; number < BENCH_RENAMES; number++) {
		bench_decimal(from + from_at, number);
		bench_decimal(to + to_at, number);
		op_rename(w, from, to);
	}
}

/* Measured. */
static void measure_rename_files(struct bench_worker *w)
{
	for (uint64_t done = 0; done < w->ops; done += UINT64_C(2) * BENCH_RENAMES) {
		rename_files(w, w->path, w->name_at, w->to, w->to_at);
		rename_files(w, w->to, w->to_at, w->path, w->name_at);
	}
}

/* The files whose names begin with `path` are those that were made, and no others are there. */
static void check_renamed_files(struct bench_worker *w, char *path, size_t name_at)
{
	for (uint32_t number = 0; number < BENCH_RENAMES; number++) {
		bench_decimal(path + name_at, number);
		if (op_stat(w, path) != rename_size(number))
			bench_die("%s: wrong size", path);
	}
	char *last = strrchr(path, '/');
	*last = '\0';
	if (op_list_sorted(w, path) != BENCH_RENAMES)
		bench_die("%s: wrong number of names", path);
	*last = '/';
}

static void finish_rename_files(struct bench_worker *w)
{
	check_renamed_files(w, w->path, w->name_at);
	if (!w->thorough)
		return;
	rename_files(w, w->path, w->name_at, w->to, w->to_at);
	check_renamed_files(w, w->to, w->to_at);
	rename_files(w, w->to, w->to_at, w->path, w->name_at);
}

/*
 * rename_dir_1k: root/index/f with 1,000 files becomes root/index/g, and then root/index/f again.
 */

static void set_up_rename_dir_1k(struct bench_worker *w)
{
	make_own_directories(w);
	for (unsigned i = 0; i < w->threads; i++) {
		set_own_path(w, i, "/f");
		op_mkdir(w, w->path);
		set_own_path(w, i, "/f/f");
		make_renamed_files(w);
	}
}

static void begin_rename_dir_1k(struct bench_worker *w)
{
	begin_rename_file_same_dir(w);
}

/* Measured. */
static void measure_rename_dir_1k(struct bench_worker *w)
{
	for (uint64_t done = 0; done < w->ops; done += 2) {
		op_rename(w, w->path, w->to);
		op_rename(w, w->to, w->path);
	}
}

static void finish_rename_dir_1k(struct bench_worker *w)
{
	set_own_path(w, w->index, "/f/f");
	check_renamed_files(w, w->path, w->name_at);
	begin_rename_dir_1k(w);
	if (!w->thorough)
		return;
	op_rename(w, w->path, w->to);
	set_own_path(w, w->index, "/g/f");
	check_renamed_files(w, w->path, w->name_at);
	begin_rename_dir_1k(w);
	op_rename(w, w->to, w->path);
}

/*
 * mkdir_deep50: root/index/c0/d1/d2/.../d49, and c1 to c99. The worker's second path holds what
 * follows the first name of a chain.
 */

static void begin_mkdir_deep50(struct bench_worker *w)
{
	char *at = w->to;

	for (uint32_t level = 1; level < BENCH_DEPTH; level++) {
		*at++ = '/';
		*at++ = 'd';
		at = bench_decimal(at, level);
	}
	w->to_at = (size_t)(at - w->to);
	set_own_path(w, w->index, "/c");
}

/* Measured. */
static void measure_mkdir_deep50(struct bench_worker *w)
{
	for (uint32_t chain = 0; chain * BENCH_DEPTH < w->ops; chain++) {
		char *at = bench_decimal(w->path + w->name_at, chain);
		memcpy(at, w->to, w->to_at + 1);
		op_mkdir_chain(w, w->path, at);
	}
}

static void finish_mkdir_deep50(struct bench_worker *w)
{
	set_own_path(w, w->index, "");
	struct bench_sum sum = op_walk(w, w->path);
	if (sum.directories != w->ops || sum.files != 0)
		bench_die("%s: wrong number of directories", w->path);
	set_own_path(w, w->index, "/c");
	for (uint32_t chain = 0; chain * BENCH_DEPTH < w->ops; chain++) {
		bench_decimal(w->path + w->name_at, chain);
		op_rmtree(w, w->path);
	}
}

#endif
