/* SPDX-License-Identifier: MIT */
/*
 * The cases: what each one sets up, and its measured loop. Included by a backend after it has
 * defined, as static inline functions that die on any error,
 *
 *   op_stat op_exists op_open_read op_open_write op_open_update op_open_append op_close
 *   op_open_read_shared op_open_update_shared
 *   op_read op_write op_pread op_pwrite op_truncate op_flush op_remove op_mkdir op_list
 *   op_list_sorted op_rename op_mkdir_chain op_copy
 *   op_walk op_sum op_rmtree op_copy_tree op_import op_export op_settle op_check_fresh
 *
 * Functions named measure_ are the measured regions, those named background_ work beside them.
 * Everything else is outside the clock.
 */
#ifndef DMEMFS_BENCHMARKS_LOOPS_H
#define DMEMFS_BENCHMARKS_LOOPS_H

#include "bench.h"
#include "loops_files.h"
#include "loops_fresh.h"
#include "loops_fxmark.h"
#include "loops_mixed.h"
#include "loops_names.h"
#include "loops_trees.h"

static const struct bench_steps loop_steps[BENCH_CASE_COUNT] =
	{
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
		[BENCH_stream_write_fresh] =
			{
				.begin = begin_stream_write,
				.prepare = prepare_stream_fresh,
				.measure = measure_stream_write,
				.finish = finish_stream_fresh,
				.end = free_buffer,
				.fresh = true,
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
		[BENCH_DRBL] =
			{
				.set_up = set_up_pwrite_4k,
				.begin = begin_pread,
				.measure = measure_pread_4k,
				.finish = finish_first_page,
				.end = end_handle,
			},
		[BENCH_DRBM] =
			{
				.set_up = set_up_regions,
				.begin = begin_read_shared,
				.measure = measure_read_region,
				.finish = finish_read_region,
				.end = end_handle,
			},
		[BENCH_DRBH] =
			{
				.set_up = set_up_shared_page,
				.begin = begin_read_shared,
				.measure = measure_pread_4k,
				.finish = finish_first_page,
				.end = end_handle,
			},
		[BENCH_DRBH_bg] =
			{
				.set_up = set_up_shared_page,
				.begin = begin_read_beside_writer,
				.measure = measure_pread_4k,
				.finish = finish_read_beside_writer,
				.end = end_handle,
				.background = background_write_page,
				.background_begin = begin_write_shared,
				.background_end = end_handle,
			},
		[BENCH_DWAL] =
			{
				.set_up = make_own_directories,
				.begin = begin_append_4k,
				.prepare = prepare_append_4k,
				.measure = measure_append_4k,
				.finish = finish_append_4k,
				.end = end_handle,
			},
		[BENCH_DWOL] =
			{
				.set_up = set_up_pwrite_4k,
				.begin = begin_pwrite_4k,
				.prepare = prepare_pwrite_4k,
				.measure = measure_pwrite_4k,
				.finish = finish_pwrite_4k,
				.end = end_handle,
			},
		[BENCH_DWOM] =
			{
				.set_up = set_up_regions,
				.begin = begin_write_shared,
				.prepare = prepare_pwrite_4k,
				.measure = measure_write_region,
				.finish = finish_write_region,
				.end = end_handle,
			},
		[BENCH_DWSL] =
			{
				.set_up = set_up_pwrite_4k,
				.begin = begin_pwrite_4k,
				.prepare = prepare_pwrite_4k,
				.measure = measure_write_flush,
				.finish = finish_pwrite_4k,
				.end = end_handle,
			},
		[BENCH_DWTL] =
			{
				.set_up = set_up_truncate,
				.begin = begin_pwrite_4k,
				.prepare = prepare_truncate,
				.measure = measure_truncate,
				.finish = finish_truncate,
				.end = end_handle,
			},
		[BENCH_MRPL] =
			{
				.set_up = set_up_own_depth,
				.begin = begin_own_depth,
				.measure = measure_stat_hot,
			},
		[BENCH_MRPM] =
			{
				.set_up = set_up_fan,
				.begin = begin_fan,
				.measure = measure_stat_fan,
			},
		[BENCH_MRPM_bg] =
			{
				.set_up = set_up_fan,
				.begin = begin_fan,
				.measure = measure_stat_fan,
				.background = background_create_remove,
				.background_begin = begin_fan_background,
			},
		[BENCH_MRPH] =
			{
				.set_up = set_up_fan,
				.begin = begin_fan,
				.measure = measure_stat_one_of_fan,
			},
		[BENCH_MRDL] =
			{
				.set_up = set_up_listdir_1k,
				.begin = begin_listdir_1k,
				.measure = measure_listdir_1k,
				.end = free_buffer,
			},
		[BENCH_MRDM] =
			{
				.set_up = set_up_shared_names,
				.begin = begin_shared_directory,
				.measure = measure_listdir_1k,
				.end = free_buffer,
			},
		[BENCH_MRDM_bg] =
			{
				.set_up = set_up_shared_names,
				.begin = begin_shared_directory,
				.measure = measure_list_beside_writer,
				.end = free_buffer,
				.background = background_create_remove,
				.background_begin = begin_name_background,
			},
		[BENCH_MWCL] =
			{
				.set_up = make_own_directories,
				.begin = begin_many,
				.measure = create_many_empty,
				.finish = finish_create_empty,
				.end = free_buffer,
			},
		[BENCH_MWCM] =
			{
				.set_up = make_shared_directory,
				.begin = begin_shared,
				.measure = create_many_4k,
				.finish = finish_create,
				.end = free_buffer,
			},
		[BENCH_MWUL] =
			{
				.set_up = make_own_directories,
				.begin = begin_many,
				.prepare = create_many_empty,
				.measure = remove_many,
				.finish = finish_remove,
				.end = free_buffer,
			},
		[BENCH_MWUM] =
			{
				.set_up = make_shared_directory,
				.begin = begin_shared,
				.prepare = create_many_empty,
				.measure = remove_many,
				.finish = finish_own_names,
				.end = free_buffer,
			},
		[BENCH_MWUM_pair] =
			{
				.set_up = set_up_shared_names,
				.begin = begin_shared,
				.measure = measure_create_remove,
				.finish = finish_own_names,
				.end = free_buffer,
			},
		[BENCH_MWUM_bg] =
			{
				.set_up = set_up_shared_names,
				.begin = begin_shared,
				.measure = measure_create_remove,
				.finish = finish_own_names,
				.end = free_buffer,
				.background = background_list,
				.background_begin = begin_shared_directory,
				.background_end = free_buffer,
			},
		[BENCH_MWRL] =
			{
				.set_up = set_up_rename_next,
				.begin = begin_rename_next,
				.measure = measure_rename_next,
				.finish = finish_rename_next,
				.end = free_buffer,
			},
		[BENCH_MWRM] =
			{
				.set_up = set_up_move,
				.begin = begin_move,
				.measure = measure_move,
				.finish = finish_move,
				.end = free_buffer,
			},
		[BENCH_small_files_rw] =
			{
				.set_up = set_up_small_files,
				.begin = begin_small_files,
				.measure = measure_small_files,
				.finish = finish_small_files,
				.end = free_buffer,
			},
		[BENCH_stream_write_read] =
			{
				.set_up = make_own_directories,
				.begin = begin_stream_write,
				.measure = measure_stream_write_read,
				.finish = finish_stream_write_read,
				.end = free_buffer,
			},
		[BENCH_random_access_rw] =
			{
				.set_up = set_up_random_access,
				.begin = begin_random_access,
				.measure = measure_random_access,
				.finish = finish_random_access,
				.end = end_handle,
			},
		[BENCH_large_stream_write_read] =
			{
				.set_up = make_own_directories,
				.begin = begin_large_stream,
				.measure = measure_large_stream,
				.finish = finish_large_stream,
				.end = free_buffer,
			},
		[BENCH_many_files_random_read] =
			{
				.set_up = set_up_many_files,
				.begin = begin_many_files,
				.measure = measure_many_files,
				.finish = finish_many_files,
				.end = end_many_files,
			},
		[BENCH_deep_tree_read] =
			{
				.set_up = set_up_deep50_open_read1k_close,
				.begin = begin_deep50_open_read1k_close,
				.measure = measure_deep50_open_read1k_close,
				.finish = finish_deep50_open_read1k_close,
				.end = free_buffer,
			},
};

#endif
