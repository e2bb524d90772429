/* SPDX-License-Identifier: MIT */
/*
 * The cases: what each one sets up, and its measured loop. Included by a backend after it has
 * defined, as static inline functions that die on any error,
 *
 *   op_stat op_open_read op_open_write op_open_update op_open_append op_close
 *   op_read op_write op_pread op_pwrite op_truncate op_remove op_mkdir op_list
 *   op_list_sorted op_rename op_mkdir_chain op_copy
 *   op_walk op_sum op_rmtree op_copy_tree op_import op_export op_settle
 *
 * Functions named measure_ are the measured regions. Everything else is outside the clock.
 */
#ifndef DMEMFS_BENCHMARKS_LOOPS_H
#define DMEMFS_BENCHMARKS_LOOPS_H

#include "bench.h"
#include "loops_files.h"
#include "loops_names.h"
#include "loops_trees.h"

static const struct bench_steps loop_steps[BENCH_CASE_COUNT] = {
	[BENCH_stat_hot] =
		{
			.set_up = set_up_stat_hot,
			.begin = begin_stat_hot,
			.measure = measure_stat_hot,
		},
	[BENCH_stat_cold_100k] =
		{
			.set_up = set_up_stat_cold_100k,
			.begin = begin_cold,
			.measure = measure_stat_cold_100k,
			.end = free_buffer,
		},
	[BENCH_open_read4k_close_cold_100k] =
		{
			.set_up = set_up_open_read4k_close_cold_100k,
			.begin = begin_cold,
			.measure = measure_open_read4k_close_cold_100k,
			.finish = finish_open_read4k_close_cold_100k,
			.end = free_buffer,
		},
	[BENCH_create_write4k_close] =
		{
			.set_up = make_own_directories,
			.begin = begin_many,
			.measure = create_many_4k,
			.finish = finish_create,
			.end = free_buffer,
		},
	[BENCH_unlink] =
		{
			.set_up = make_own_directories,
			.begin = begin_many,
			.prepare = create_many_empty,
			.measure = remove_many,
			.finish = finish_remove,
			.end = free_buffer,
		},
	[BENCH_unlink_4k] =
		{
			.set_up = make_own_directories,
			.begin = begin_many,
			.prepare = create_many_4k,
			.measure = remove_many,
			.finish = finish_remove,
			.end = free_buffer,
		},
	[BENCH_pread_64] =
		{
			.set_up = set_up_pread,
			.begin = begin_pread,
			.measure = measure_pread_64,
			.finish = finish_pread,
			.end = end_handle,
		},
	[BENCH_pread_4k] =
		{
			.set_up = set_up_pread,
			.begin = begin_pread,
			.measure = measure_pread_4k,
			.finish = finish_pread,
			.end = end_handle,
		},
	[BENCH_pread_4k_random] =
		{
			.set_up = set_up_pread,
			.begin = begin_pread,
			.measure = measure_pread_4k_random,
			.finish = finish_pread,
			.end = end_handle,
		},
	[BENCH_pwrite_4k] =
		{
			.set_up = set_up_pwrite_4k,
			.begin = begin_pwrite_4k,
			.prepare = prepare_pwrite_4k,
			.measure = measure_pwrite_4k,
			.finish = finish_pwrite_4k,
			.end = end_handle,
		},
	[BENCH_append_4k] =
		{
			.set_up = make_own_directories,
			.begin = begin_append_4k,
			.prepare = prepare_append_4k,
			.measure = measure_append_4k,
			.finish = finish_append_4k,
			.end = end_handle,
		},
	[BENCH_stream_write] =
		{
			.set_up = make_own_directories,
			.begin = begin_stream_write,
			.measure = measure_stream_write,
			.finish = finish_stream_write,
			.end = free_buffer,
		},
	[BENCH_stream_read] =
		{
			.set_up = set_up_stream_read,
			.begin = begin_stream_read,
			.measure = measure_stream_read,
			.finish = finish_stream_read,
			.end = free_buffer,
		},
	[BENCH_listdir_1k] =
		{
			.set_up = set_up_listdir_1k,
			.begin = begin_listdir_1k,
			.measure = measure_listdir_1k,
			.end = free_buffer,
		},
	[BENCH_deep50_open_read1k_close] =
		{
			.set_up = set_up_deep50_open_read1k_close,
			.begin = begin_deep50_open_read1k_close,
			.measure = measure_deep50_open_read1k_close,
			.finish = finish_deep50_open_read1k_close,
			.end = free_buffer,
		},
	[BENCH_listdir_10k] =
		{
			.set_up = set_up_listdir_10k,
			.begin = begin_own_directory,
			.measure = measure_listdir_10k,
		},
	[BENCH_rename_file_same_dir] =
		{
			.set_up = set_up_rename_file_same_dir,
			.begin = begin_rename_file_same_dir,
			.measure = measure_rename_files,
			.finish = finish_rename_files,
		},
	[BENCH_rename_across_dirs] =
		{
			.set_up = set_up_rename_across_dirs,
			.begin = begin_rename_across_dirs,
			.measure = measure_rename_files,
			.finish = finish_rename_files,
		},
	[BENCH_rename_dir_1k] =
		{
			.set_up = set_up_rename_dir_1k,
			.begin = begin_rename_dir_1k,
			.measure = measure_rename_dir_1k,
			.finish = finish_rename_dir_1k,
		},
	[BENCH_mkdir_deep50] =
		{
			.set_up = make_own_directories,
			.begin = begin_mkdir_deep50,
			.measure = measure_mkdir_deep50,
			.finish = finish_mkdir_deep50,
		},
	[BENCH_copy_64m] =
		{
			.set_up = set_up_copy_64m,
			.begin = begin_copy_64m,
			.measure = measure_copy_64m,
			.finish = finish_copy_64m,
			.end = free_buffer,
		},
	[BENCH_copy_tree_10k] =
		{
			.set_up = set_up_copy_tree_10k,
			.begin = begin_copy_tree_10k,
			.measure = measure_copy_tree_10k,
			.finish = finish_copy_tree_10k,
		},
	[BENCH_walk_100k] =
		{
			.set_up = set_up_walk_100k,
			.begin = begin_walk_100k,
			.measure = measure_walk_100k,
		},
	[BENCH_rmtree_100k] =
		{
			.set_up = make_own_directories,
			.begin = begin_rmtree_100k,
			.prepare = prepare_rmtree_100k,
			.measure = measure_rmtree_100k,
			.finish = finish_rmtree_100k,
		},
	[BENCH_rmtree_100k_freed] =
		{
			.set_up = make_own_directories,
			.begin = begin_rmtree_100k,
			.prepare = prepare_rmtree_100k,
			.measure = measure_rmtree_100k_freed,
			.finish = finish_rmtree_100k,
		},
	[BENCH_import_dir] =
		{
			.begin = begin_import_dir,
			.measure = measure_import_dir,
			.finish = finish_import_dir,
			.alone = true,
		},
	[BENCH_export_dir] =
		{
			.set_up = set_up_export_dir,
			.begin = begin_export_dir,
			.measure = measure_export_dir,
			.finish = finish_export_dir,
			.end = end_export_dir,
			.alone = true,
		},
	[BENCH_export_dir_whole] =
		{
			.set_up = set_up_export_dir,
			.begin = begin_export_dir,
			.measure = measure_export_dir_whole,
			.finish = finish_export_dir,
			.end = end_export_dir,
			.alone = true,
		},
};

#endif
