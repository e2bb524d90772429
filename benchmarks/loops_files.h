/* SPDX-License-Identifier: MIT */
/*
 * The cases of single files and their data. Part of loops.h.
 */
#ifndef DMEMFS_BENCHMARKS_LOOPS_FILES_H
#define DMEMFS_BENCHMARKS_LOOPS_FILES_H

#include "loops_base.h"

enum {
	HOT_SIZE = 100,
	DEEP_SIZE = 1024,
};

/*
 * stat_hot: root/dir/file, one for all threads.
 */

/* Make the file of the worker's path. */
static void make_hot_file(struct bench_worker *w)
{
	make_buffer(w);
	union bench_handle handle = op_open_write(w, w->path);
	op_write(w, handle, w->buffer, HOT_SIZE);
	op_close(w, handle);
	free_buffer(w);
}

static void set_up_stat_hot(struct bench_worker *w)
{
	set_path(w, "dir");
	op_mkdir(w, w->path);
	set_path(w, "dir/file");
	make_hot_file(w);
}

static void begin_stat_hot(struct bench_worker *w)
{
	set_path(w, "dir/file");
}

/* Measured. */
static inline void stat_again(struct bench_worker *w, int64_t size)
{
	for (uint64_t i = 0; i < w->ops; i++) {
		if (bench_unlikely(op_stat(w, w->path) != size))
			bench_die("%s: wrong size", w->path);
	}
}

/* Measured. */
static void measure_stat_hot(struct bench_worker *w)
{
	stat_again(w, HOT_SIZE);
}

/*
 * stat_cold_100k and open_read4k_close_cold_100k: root/dir/f0 to f99999, one tree for all threads.
 * Each thread visits all of them in the same random order, from a place of its own on.
 */

static inline int64_t cold_stat_size(uint32_t number)
{
	return 1 + (int64_t)(number % 64);
}

static void make_cold_tree(struct bench_worker *w, uint32_t count, bool pages)
{
	set_path(w, "dir");
	op_mkdir(w, w->path);
	set_path(w, "dir/f");
	make_buffer(w);
	for (uint32_t number = 0; number < count; number++) {
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
	make_cold_tree(w, BENCH_COLD_FILES, false);
}

static void set_up_open_read4k_close_cold_100k(struct bench_worker *w)
{
	make_cold_tree(w, BENCH_COLD_FILES, true);
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

/* Measured. Visit `count` files in an order, from a place of the thread's own on. */
static inline void read_in_order(struct bench_worker *w, const uint32_t *order, uint32_t count)
{
	uint32_t at = count / w->threads * w->index;
	char *name = w->path + w->name_at;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint32_t number = order[at];
		bench_decimal(name, number);
		union bench_handle handle = op_open_read(w, w->path);
		op_read(w, handle, w->buffer, BENCH_PAGE);
		op_close(w, handle);
		check_word(w->buffer, number, w->path);
		if (++at == count)
			at = 0;
	}
}

/* Measured. */
static void measure_open_read4k_close_cold_100k(struct bench_worker *w)
{
	read_in_order(w, w->order, BENCH_COLD_FILES);
}

/* Look at every 97th of `count` files. */
static void check_some_files(struct bench_worker *w, uint32_t count)
{
	for (uint32_t number = 0; number < count; number += 97) {
		bench_decimal(w->path + w->name_at, number);
		union bench_handle handle = op_open_read(w, w->path);
		op_read(w, handle, w->buffer, BENCH_PAGE);
		op_close(w, handle);
		check_page(w->buffer, BENCH_PAGE, number, w->path);
	}
}

static void finish_open_read4k_close_cold_100k(struct bench_worker *w)
{
	if (w->thorough && w->index == 0)
		check_some_files(w, BENCH_COLD_FILES);
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
	make_empty_files(w, (uint32_t)w->ops);
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
 * pread_64, pread_4k, pread_4k_random, pwrite_4k: root/index/file, open all along.
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

/* Measured. */
static void measure_pread_64(struct bench_worker *w)
{
	uint64_t random = w->random;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t offset = bench_random(&random) % (BENCH_PREAD_BYTES / 64) * 64;
		op_pread(w, w->handle, w->buffer, 64, (int64_t)offset);
		check_word(w->buffer, file_word(offset), w->path);
	}
	w->random = random;
}

/* Measured. */
static inline void read_page(struct bench_worker *w, uint64_t offset)
{
	for (uint64_t i = 0; i < w->ops; i++) {
		op_pread(w, w->handle, w->buffer, BENCH_PAGE, (int64_t)offset);
		check_word(w->buffer, file_word(offset), w->path);
	}
}

/* Measured. */
static void measure_pread_4k(struct bench_worker *w)
{
	read_page(w, 0);
}

/* Measured. */
static void measure_pread_4k_random(struct bench_worker *w)
{
	uint64_t random = w->random;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t offset = bench_random(&random) % (BENCH_PREAD_BYTES / BENCH_PAGE) * BENCH_PAGE;
		op_pread(w, w->handle, w->buffer, BENCH_PAGE, (int64_t)offset);
		check_word(w->buffer, file_word(offset), w->path);
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
static inline void write_page(struct bench_worker *w, uint64_t offset)
{
	for (uint64_t i = 1; i <= w->ops; i++) {
		memcpy(w->buffer, &i, sizeof(i));
		op_pwrite(w, w->handle, w->buffer, BENCH_PAGE, (int64_t)offset);
	}
}

/* The page is as write_page() left it. */
static void check_written_page(struct bench_worker *w, uint64_t offset)
{
	memset(w->buffer, 0, BENCH_PAGE);
	op_pread(w, w->handle, w->buffer, BENCH_PAGE, (int64_t)offset);
	check_word(w->buffer, w->ops, w->path);
	memcpy(w->buffer, &(uint64_t){0}, sizeof(uint64_t));
	check_page(w->buffer, BENCH_PAGE, 0, w->path);
}

/* Measured. */
static void measure_pwrite_4k(struct bench_worker *w)
{
	write_page(w, 0);
}

static void finish_pwrite_4k(struct bench_worker *w)
{
	check_written_page(w, 0);
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

/* Measured. Write a new file of `count` pieces, each with its offset as the first word. */
static inline void write_pieces(struct bench_worker *w, uint64_t count, size_t piece)
{
	union bench_handle handle = op_open_write(w, w->path);

	for (uint64_t i = 0; i < count; i++) {
		uint64_t word = i * piece;
		memcpy(w->buffer, &word, sizeof(word));
		op_write(w, handle, w->buffer, piece);
	}
	op_close(w, handle);
}

/* Measured. Read a file of `count` pieces, each with its offset as the first word. */
static inline void read_pieces(struct bench_worker *w, uint64_t count, size_t piece)
{
	union bench_handle handle = op_open_read(w, w->path);

	for (uint64_t i = 0; i < count; i++) {
		op_read(w, handle, w->buffer, piece);
		check_word(w->buffer, i * piece, w->path);
	}
	op_close(w, handle);
}

/* All of a file that write_pieces() made, with 0 as the number of the buffer's stamp. */
static void check_pieces(struct bench_worker *w, uint64_t count, size_t piece)
{
	union bench_handle handle = op_open_read(w, w->path);

	for (uint64_t i = 0; i < count; i++) {
		op_read(w, handle, w->buffer, piece);
		check_word(w->buffer, i * piece, w->path);
		memcpy(w->buffer, &(uint64_t){0}, sizeof(uint64_t));
		check_page(w->buffer, piece, 0, w->path);
	}
	op_close(w, handle);
}

/* Measured. */
static void measure_stream_write(struct bench_worker *w)
{
	write_pieces(w, w->ops, BENCH_PIECE);
}

static void finish_stream_write(struct bench_worker *w)
{
	if (op_stat(w, w->path) != (int64_t)BENCH_STREAM_BYTES)
		bench_die("%s: wrong size", w->path);
	if (w->thorough)
		check_pieces(w, w->ops, BENCH_PIECE);
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
	read_pieces(w, w->ops, BENCH_PIECE);
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

/*
 * copy_64m: root/index/file to root/index/copy, which has been removed outside the clock.
 */

static void set_up_copy_64m(struct bench_worker *w)
{
	make_own_files(w, BENCH_COPY_BYTES);
}

static void begin_copy_64m(struct bench_worker *w)
{
	begin_buffer(w);
	set_own_path(w, w->index, "/copy");
	keep_as_to(w);
	set_own_path(w, w->index, "/file");
}

/* Measured. An operation is a copy, and a round has one. */
static void measure_copy_64m(struct bench_worker *w)
{
	op_copy(w, w->path, w->to);
}

static void finish_copy_64m(struct bench_worker *w)
{
	if (op_stat(w, w->to) != (int64_t)BENCH_COPY_BYTES)
		bench_die("%s: wrong size", w->to);
	if (w->thorough) {
		union bench_handle handle = op_open_read(w, w->to);
		for (uint64_t done = 0; done < BENCH_COPY_BYTES; done += BENCH_PIECE) {
			op_read(w, handle, w->buffer, BENCH_PIECE);
			check_page(w->buffer, BENCH_PIECE, done, w->to);
		}
		op_close(w, handle);
	}
	op_remove(w, w->to);
	op_settle(w);
}

#endif
