/* SPDX-License-Identifier: MIT */
/*
 * The cases: what each one sets up, and its measured loop. Included by a backend after it has
 * defined, as static inline functions that die on any error,
 *
 *   op_stat op_open_read op_open_write op_open_update op_open_append op_close
 *   op_read op_write op_pread op_pwrite op_truncate op_remove op_mkdir op_list
 *
 * Functions named measure_ are the measured regions. Everything else is outside the clock.
 *
 * Every file's data says which file it belongs to and where: see stamp_page(). The loops look at
 * the size of each result and at the first word of what they read; the warm-up round of each run
 * is followed by a look at all of it.
 */
#ifndef DMEMFS_BENCHMARKS_LOOPS_H
#define DMEMFS_BENCHMARKS_LOOPS_H

#include "bench.h"

#include <stdlib.h>
#include <string.h>

enum {
	HOT_SIZE = 100,
	DEEP_SIZE = 1024,
};

/*
 * Data and paths
 */

/* Fill `size` bytes, a multiple of 8, so that they tell `number` and their place. */
static void stamp_page(unsigned char *at, size_t size, uint64_t number)
{
	for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
		uint64_t word = number + (i << 40);
		memcpy(at + i, &word, sizeof(word));
	}
}

static void check_page(const unsigned char *at, size_t size, uint64_t number, const char *path)
{
	for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
		uint64_t word;
		memcpy(&word, at + i, sizeof(word));
		if (word != number + (i << 40))
			bench_die("%s: wrong data at offset %zu", path, i);
	}
}

/* What a loop does: the first word only. */
static inline void check_word(const unsigned char *at, uint64_t number, const char *path)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	if (bench_unlikely(word != number))
		bench_die("%s: wrong data", path);
}

static void make_buffer(struct bench_worker *w)
{
	w->buffer = aligned_alloc(BENCH_PAGE, BENCH_PIECE);
	if (!w->buffer)
		bench_die("out of memory");
	memset(w->buffer, 0, BENCH_PIECE);
}

static void free_buffer(struct bench_worker *w)
{
	free(w->buffer);
	w->buffer = NULL;
}

/* Set the worker's path to root/name. */
static void set_path(struct bench_worker *w, const char *name)
{
	int length = snprintf(w->path, sizeof(w->path), "%s/%s", w->root, name);

	if (length < 0 || (size_t)length >= sizeof(w->path))
		bench_die("path too long");
	w->name_at = (size_t)length;
}

/* Set the worker's path to root/index, a directory of a thread's own. */
static void set_own_path(struct bench_worker *w, unsigned index, const char *behind)
{
	char name[64];

	snprintf(name, sizeof(name), "%u%s", index, behind);
	set_path(w, name);
}

/* Set-up of the cases in which each thread has a directory of its own. */
static void make_own_directories(struct bench_worker *w)
{
	for (unsigned i = 0; i < w->threads; i++) {
		set_own_path(w, i, "");
		op_mkdir(w, w->path);
	}
}

/* Set-up of the cases in which each thread has a file of its own: root/index/file. */
static void make_own_files(struct bench_worker *w, uint64_t size)
{
	make_own_directories(w);
	make_buffer(w);
	for (unsigned i = 0; i < w->threads; i++) {
		set_own_path(w, i, "/file");
		union bench_handle handle = op_open_write(w, w->path);
		for (uint64_t done = 0; done < size; done += BENCH_PIECE) {
			uint64_t left = size - done;
			stamp_page(w->buffer, BENCH_PIECE, done);
			op_write(w, handle, w->buffer, left < BENCH_PIECE ? (size_t)left : BENCH_PIECE);
		}
		op_close(w, handle);
	}
	free_buffer(w);
}

static void begin_buffer(struct bench_worker *w)
{
	make_buffer(w);
	w->random = UINT64_C(0x9E3779B97F4A7C15) * (w->index + 1);
}

/*
 * stat_hot: root/dir/file, one for all threads.
 */

static void set_up_stat_hot(struct bench_worker *w)
{
	set_path(w, "dir");
	op_mkdir(w, w->path);
	set_path(w, "dir/file");
	make_buffer(w);
	union bench_handle handle = op_open_write(w, w->path);
	op_write(w, handle, w->buffer, HOT_SIZE);
	op_close(w, handle);
	free_buffer(w);
}

static void begin_stat_hot(struct bench_worker *w)
{
	set_path(w, "dir/file");
}

/* Measured. */
static void measure_stat_hot(struct bench_worker *w)
{
	for (uint64_t i = 0; i < w->ops; i++) {
		if (bench_unlikely(op_stat(w, w->path) != HOT_SIZE))
			bench_die("%s: wrong size", w->path);
	}
}

/*
 * stat_cold_100k and open_read4k_close_cold_100k: root/dir/f0 to f99999, one tree for all threads.
 * Each thread visits all of them in the same random order, from a place of its own on.
 */

static inline int64_t cold_stat_size(uint32_t number)
{
	return 1 + (int64_t)(number % 64);
}

static void make_cold_tree(struct bench_worker *w, bool pages)
{
	set_path(w, "dir");
	op_mkdir(w, w->path);
	set_path(w, "dir/f");
	make_buffer(w);
	for (uint32_t number = 0; number < BENCH_COLD_FILES; number++) {
		bench_decimal(w->path + w->name_at, number);
		union bench_handle handle = op_open_write(w, w->path);
		stamp_page(w->buffer, BENCH_PAGE, number);
		op_write(w, handle, w->buffer, pages ? BENCH_PAGE : (size_t)cold_stat_size(number));
		op_close(w, handle);
	}
	free_buffer(w);
}

static void set_up_stat_cold_100k(struct bench_worker *w)
{
	make_cold_tree(w, false);
}

static void set_up_open_read4k_close_cold_100k(struct bench_worker *w)
{
	make_cold_tree(w, true);
}

static void begin_cold(struct bench_worker *w)
{
	begin_buffer(w);
	set_path(w, "dir/f");
}

/* Measured. */
static void measure_stat_cold_100k(struct bench_worker *w)
{
	uint32_t at = BENCH_COLD_FILES / w->threads * w->index;
	char *name = w->path + w->name_at;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint32_t number = w->order[at];
		bench_decimal(name, number);
		if (bench_unlikely(op_stat(w, w->path) != cold_stat_size(number)))
			bench_die("%s: wrong size", w->path);
		if (++at == BENCH_COLD_FILES)
			at = 0;
	}
}

/* Measured. */
static void measure_open_read4k_close_cold_100k(struct bench_worker *w)
{
	uint32_t at = BENCH_COLD_FILES / w->threads * w->index;
	char *name = w->path + w->name_at;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint32_t number = w->order[at];
		bench_decimal(name, number);
		union bench_handle handle = op_open_read(w, w->path);
		op_read(w, handle, w->buffer, BENCH_PAGE);
		op_close(w, handle);
		check_word(w->buffer, number, w->path);
		if (++at == BENCH_COLD_FILES)
			at = 0;
	}
}

static void finish_open_read4k_close_cold_100k(struct bench_worker *w)
{
	if (!w->thorough || w->index != 0)
		return;
	for (uint32_t number = 0; number < BENCH_COLD_FILES; number += 97) {
		bench_decimal(w->path + w->name_at, number);
		union bench_handle handle = op_open_read(w, w->path);
		op_read(w, handle, w->buffer, BENCH_PAGE);
		op_close(w, handle);
		check_page(w->buffer, BENCH_PAGE, number, w->path);
	}
}

/*
 * create_write4k_close, unlink, unlink_4k: root/index/f0 to f19999, a directory for each thread.
 */

static void begin_many(struct bench_worker *w)
{
	begin_buffer(w);
	set_own_path(w, w->index, "/f");
	stamp_page(w->buffer, BENCH_PAGE, 0);
}

/* Measured in create_write4k_close. */
static void create_many_4k(struct bench_worker *w)
{
	char *name = w->path + w->name_at;

	for (uint64_t i = 0; i < w->ops; i++) {
		bench_decimal(name, (uint32_t)i);
		memcpy(w->buffer, &i, sizeof(i));
		union bench_handle handle = op_open_write(w, w->path);
		op_write(w, handle, w->buffer, BENCH_PAGE);
		op_close(w, handle);
	}
}

static void create_many_empty(struct bench_worker *w)
{
	char *name = w->path + w->name_at;

	for (uint64_t i = 0; i < w->ops; i++) {
		bench_decimal(name, (uint32_t)i);
		op_close(w, op_open_write(w, w->path));
	}
}

/* Measured in unlink and unlink_4k. */
static void remove_many(struct bench_worker *w)
{
	char *name = w->path + w->name_at;

	for (uint64_t i = 0; i < w->ops; i++) {
		bench_decimal(name, (uint32_t)i);
		op_remove(w, w->path);
	}
}

static void finish_create(struct bench_worker *w)
{
	char *name = w->path + w->name_at;

	for (uint64_t i = 0; i < w->ops; i++) {
		bench_decimal(name, (uint32_t)i);
		if (op_stat(w, w->path) != BENCH_PAGE)
			bench_die("%s: wrong size", w->path);
		if (!w->thorough)
			continue;
		union bench_handle handle = op_open_read(w, w->path);
		op_read(w, handle, w->buffer, BENCH_PAGE);
		op_close(w, handle);
		check_word(w->buffer, i, w->path);
		memcpy(w->buffer, &(uint64_t){0}, sizeof(uint64_t));
		check_page(w->buffer, BENCH_PAGE, 0, w->path);
	}
	remove_many(w);
}

static void finish_remove(struct bench_worker *w)
{
	set_own_path(w, w->index, "");
	if (op_list(w, w->path) != 0)
		bench_die("%s: not empty", w->path);
	set_own_path(w, w->index, "/f");
}

/*
 * pread_64, pread_4k, pread_4k_random, pwrite_4k: root/index/file, open all along. The word at
 * offset x of the file has the value x, in the pages' stamps: see make_own_files().
 */

static void set_up_pread(struct bench_worker *w)
{
	make_own_files(w, BENCH_PREAD_BYTES);
}

static void begin_pread(struct bench_worker *w)
{
	begin_buffer(w);
	set_own_path(w, w->index, "/file");
	w->handle = op_open_read(w, w->path);
}

static inline uint64_t pread_word(uint64_t offset)
{
	uint64_t in_piece = offset % BENCH_PIECE;

	return offset - in_piece + (in_piece << 40);
}

/* Measured. */
static void measure_pread_64(struct bench_worker *w)
{
	uint64_t random = w->random;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t offset = bench_random(&random) % (BENCH_PREAD_BYTES / 64) * 64;
		op_pread(w, w->handle, w->buffer, 64, (int64_t)offset);
		check_word(w->buffer, pread_word(offset), w->path);
	}
	w->random = random;
}

/* Measured. */
static void measure_pread_4k(struct bench_worker *w)
{
	for (uint64_t i = 0; i < w->ops; i++) {
		op_pread(w, w->handle, w->buffer, BENCH_PAGE, 0);
		check_word(w->buffer, 0, w->path);
	}
}

/* Measured. */
static void measure_pread_4k_random(struct bench_worker *w)
{
	uint64_t random = w->random;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t offset = bench_random(&random) % (BENCH_PREAD_BYTES / BENCH_PAGE) * BENCH_PAGE;
		op_pread(w, w->handle, w->buffer, BENCH_PAGE, (int64_t)offset);
		check_word(w->buffer, pread_word(offset), w->path);
	}
	w->random = random;
}

static void finish_pread(struct bench_worker *w)
{
	if (!w->thorough)
		return;
	for (uint64_t offset = 0; offset < BENCH_PREAD_BYTES; offset += BENCH_PIECE) {
		op_pread(w, w->handle, w->buffer, BENCH_PIECE, (int64_t)offset);
		check_page(w->buffer, BENCH_PIECE, offset, w->path);
	}
}

static void end_handle(struct bench_worker *w)
{
	op_close(w, w->handle);
	free_buffer(w);
}

static void set_up_pwrite_4k(struct bench_worker *w)
{
	make_own_files(w, BENCH_PAGE);
}

static void begin_pwrite_4k(struct bench_worker *w)
{
	begin_buffer(w);
	set_own_path(w, w->index, "/file");
	w->handle = op_open_update(w, w->path);
}

static void prepare_pwrite_4k(struct bench_worker *w)
{
	stamp_page(w->buffer, BENCH_PAGE, 0);
}

/* Measured. */
static void measure_pwrite_4k(struct bench_worker *w)
{
	for (uint64_t i = 1; i <= w->ops; i++) {
		memcpy(w->buffer, &i, sizeof(i));
		op_pwrite(w, w->handle, w->buffer, BENCH_PAGE, 0);
	}
}

static void finish_pwrite_4k(struct bench_worker *w)
{
	memset(w->buffer, 0, BENCH_PAGE);
	op_pread(w, w->handle, w->buffer, BENCH_PAGE, 0);
	check_word(w->buffer, w->ops, w->path);
	memcpy(w->buffer, &(uint64_t){0}, sizeof(uint64_t));
	check_page(w->buffer, BENCH_PAGE, 0, w->path);
}

/*
 * append_4k: root/index/file, open all along, emptied between rounds.
 */

static void begin_append_4k(struct bench_worker *w)
{
	begin_buffer(w);
	set_own_path(w, w->index, "/file");
	w->handle = op_open_append(w, w->path);
}

/* Measured. */
static void measure_append_4k(struct bench_worker *w)
{
	for (uint64_t i = 0; i < w->ops; i++) {
		memcpy(w->buffer, &i, sizeof(i));
		op_write(w, w->handle, w->buffer, BENCH_PAGE);
	}
}

static void finish_append_4k(struct bench_worker *w)
{
	if (op_stat(w, w->path) != (int64_t)(w->ops * BENCH_PAGE))
		bench_die("%s: wrong size", w->path);
	if (w->thorough) {
		op_close(w, w->handle);
		union bench_handle handle = op_open_read(w, w->path);
		for (uint64_t i = 0; i < w->ops; i++) {
			op_read(w, handle, w->buffer, BENCH_PAGE);
			check_word(w->buffer, i, w->path);
			memcpy(w->buffer, &(uint64_t){0}, sizeof(uint64_t));
			check_page(w->buffer, BENCH_PAGE, 0, w->path);
		}
		op_close(w, handle);
		w->handle = op_open_append(w, w->path);
	}
	op_truncate(w, w->handle, 0);
}

static void prepare_append_4k(struct bench_worker *w)
{
	stamp_page(w->buffer, BENCH_PAGE, 0);
}

/*
 * stream_write and stream_read: root/index/file of 256 MiB. Written anew in each round: the file of
 * the round before has been removed outside the clock.
 */

static void begin_stream_write(struct bench_worker *w)
{
	begin_buffer(w);
	set_own_path(w, w->index, "/file");
	stamp_page(w->buffer, BENCH_PIECE, 0);
}

/* Measured. */
static void measure_stream_write(struct bench_worker *w)
{
	union bench_handle handle = op_open_write(w, w->path);

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t word = i * BENCH_PIECE;
		memcpy(w->buffer, &word, sizeof(word));
		op_write(w, handle, w->buffer, BENCH_PIECE);
	}
	op_close(w, handle);
}

static void finish_stream_write(struct bench_worker *w)
{
	if (op_stat(w, w->path) != (int64_t)BENCH_STREAM_BYTES)
		bench_die("%s: wrong size", w->path);
	if (w->thorough) {
		union bench_handle handle = op_open_read(w, w->path);
		for (uint64_t i = 0; i < w->ops; i++) {
			op_read(w, handle, w->buffer, BENCH_PIECE);
			check_word(w->buffer, i * BENCH_PIECE, w->path);
			memcpy(w->buffer, &(uint64_t){0}, sizeof(uint64_t));
			check_page(w->buffer, BENCH_PIECE, 0, w->path);
		}
		op_close(w, handle);
	}
	op_remove(w, w->path);
}

static void set_up_stream_read(struct bench_worker *w)
{
	make_own_files(w, BENCH_STREAM_BYTES);
}

static void begin_stream_read(struct bench_worker *w)
{
	begin_buffer(w);
	set_own_path(w, w->index, "/file");
}

/* Measured. */
static void measure_stream_read(struct bench_worker *w)
{
	union bench_handle handle = op_open_read(w, w->path);

	for (uint64_t i = 0; i < w->ops; i++) {
		op_read(w, handle, w->buffer, BENCH_PIECE);
		check_word(w->buffer, i * BENCH_PIECE, w->path);
	}
	op_close(w, handle);
}

static void finish_stream_read(struct bench_worker *w)
{
	if (!w->thorough)
		return;
	union bench_handle handle = op_open_read(w, w->path);
	for (uint64_t i = 0; i < w->ops; i++) {
		op_read(w, handle, w->buffer, BENCH_PIECE);
		check_page(w->buffer, BENCH_PIECE, i * BENCH_PIECE, w->path);
	}
	op_close(w, handle);
}

/*
 * listdir_1k: root/index with f0 to f999.
 */

static void set_up_listdir_1k(struct bench_worker *w)
{
	make_own_directories(w);
	for (unsigned i = 0; i < w->threads; i++) {
		set_own_path(w, i, "/f");
		for (uint32_t number = 0; number < BENCH_LIST_NAMES; number++) {
			bench_decimal(w->path + w->name_at, number);
			op_close(w, op_open_write(w, w->path));
		}
	}
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
 * deep50_open_read1k_close: root/index/d1/d2/.../d49/file: 50 directories below the root.
 */

static void set_deep_path(struct bench_worker *w, unsigned index, bool make)
{
	set_own_path(w, index, "");
	char *at = w->path + w->name_at;
	if (make)
		op_mkdir(w, w->path);
	for (uint32_t level = 1; level < BENCH_DEPTH; level++) {
		*at++ = '/';
		*at++ = 'd';
		at = bench_decimal(at, level);
		if (make)
			op_mkdir(w, w->path);
	}
	memcpy(at, "/file", sizeof("/file"));
}

static void set_up_deep50_open_read1k_close(struct bench_worker *w)
{
	make_buffer(w);
	for (unsigned i = 0; i < w->threads; i++) {
		set_deep_path(w, i, true);
		union bench_handle handle = op_open_write(w, w->path);
		stamp_page(w->buffer, DEEP_SIZE, i + 1);
		op_write(w, handle, w->buffer, DEEP_SIZE);
		op_close(w, handle);
	}
	free_buffer(w);
}

static void begin_deep50_open_read1k_close(struct bench_worker *w)
{
	begin_buffer(w);
	set_deep_path(w, w->index, false);
}

/* Measured. */
static void measure_deep50_open_read1k_close(struct bench_worker *w)
{
	for (uint64_t i = 0; i < w->ops; i++) {
		union bench_handle handle = op_open_read(w, w->path);
		op_read(w, handle, w->buffer, DEEP_SIZE);
		op_close(w, handle);
		check_word(w->buffer, w->index + 1, w->path);
	}
}

static void finish_deep50_open_read1k_close(struct bench_worker *w)
{
	check_page(w->buffer, DEEP_SIZE, w->index + 1, w->path);
}

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
};

#endif
