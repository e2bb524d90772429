/* SPDX-License-Identifier: MIT */
/*
 * Writing and reading mixed in one case, as a program does that makes files and uses them. Part of
 * loops.h.
 */
#ifndef DMEMFS_BENCHMARKS_LOOPS_MIXED_H
#define DMEMFS_BENCHMARKS_LOOPS_MIXED_H

#include "loops_base.h"
#include "loops_files.h"

/*
 * small_files_rw: root/index/s0/f0 to f299, all of which are made and then read; then the same in
 * s1, and so on.
 */

/* Set the worker's path to where the names of a set's files begin. Returns that place. */
static inline char *set_set_path(struct bench_worker *w, uint32_t set)
{
	char *at = bench_decimal(w->path + w->name_at, set);

	memcpy(at, "/f", sizeof("/f"));
	return at + 2;
}

static void set_up_small_files(struct bench_worker *w)
{
	make_own_directories(w);
	for (unsigned i = 0; i < w->threads; i++) {
		set_own_path(w, i, "/s");
		for (uint32_t set = 0; set < BENCH_SMALL_SETS; set++) {
			bench_decimal(w->path + w->name_at, set);
			op_mkdir(w, w->path);
		}
	}
}

static void begin_small_files(struct bench_worker *w)
{
	begin_buffer(w);
	set_own_path(w, w->index, "/s");
	stamp_page(w->buffer, BENCH_PAGE, 0);
}

/* What is read goes to the buffer's second page; the first one is what is written. */
static inline void read_small_file(struct bench_worker *w, uint64_t word)
{
	union bench_handle handle = op_open_read(w, w->path);

	op_read(w, handle, w->buffer + BENCH_PAGE, BENCH_PAGE);
	op_close(w, handle);
	check_word(w->buffer + BENCH_PAGE, word, w->path);
}

static inline uint64_t small_word(uint32_t set, uint32_t number)
{
	return (uint64_t)set * BENCH_SMALL_FILES + number;
}

/* Measured. */
static void measure_small_files(struct bench_worker *w)
{
	for (uint32_t set = 0; set < BENCH_SMALL_SETS; set++) {
		char *name = set_set_path(w, set);
		for (uint32_t number = 0; number < BENCH_SMALL_FILES; number++) {
			uint64_t word = small_word(set, number);
			bench_decimal(name, number);
			memcpy(w->buffer, &word, sizeof(word));
			union bench_handle handle = op_open_write(w, w->path);
			op_write(w, handle, w->buffer, BENCH_PAGE);
			op_close(w, handle);
		}
		for (uint32_t number = 0; number < BENCH_SMALL_FILES; number++) {
			bench_decimal(name, number);
			read_small_file(w, small_word(set, number));
		}
	}
}

static void finish_small_files(struct bench_worker *w)
{
	unsigned char *got = w->buffer + BENCH_PAGE;

	for (uint32_t set = 0; set < BENCH_SMALL_SETS; set++) {
		char *name = set_set_path(w, set);
		for (uint32_t number = 0; number < BENCH_SMALL_FILES; number++) {
			bench_decimal(name, number);
			if (w->thorough) {
				read_small_file(w, small_word(set, number));
				memcpy(got, &(uint64_t){0}, sizeof(uint64_t));
				check_page(got, BENCH_PAGE, 0, w->path);
			}
			op_remove(w, w->path);
		}
	}
}

/*
 * stream_write_read and large_stream_write_read: root/index/file, which is made and then read. The
 * file of the round before has been removed outside the clock.
 */

/* Measured. */
static void measure_stream_write_read(struct bench_worker *w)
{
	write_pieces(w, w->ops, BENCH_PIECE);
	read_pieces(w, w->ops, BENCH_PIECE);
}

/* A piece that was read has left the last one's first word in the buffer, which is rewritten. */
static inline void finish_write_read(struct bench_worker *w, size_t piece)
{
	if (op_stat(w, w->path) != (int64_t)(w->ops * piece))
		bench_die("%s: wrong size", w->path);
	if (w->thorough)
		check_pieces(w, w->ops, piece);
	op_remove(w, w->path);
}

static void finish_stream_write_read(struct bench_worker *w)
{
	finish_write_read(w, BENCH_PIECE);
}

static void begin_large_stream(struct bench_worker *w)
{
	make_buffer_of(w, BENCH_LARGE_PIECE);
	set_own_path(w, w->index, "/file");
	stamp_page(w->buffer, BENCH_LARGE_PIECE, 0);
}

/* Measured. */
static void measure_large_stream(struct bench_worker *w)
{
	write_pieces(w, w->ops, BENCH_LARGE_PIECE);
	read_pieces(w, w->ops, BENCH_LARGE_PIECE);
}

static void finish_large_stream(struct bench_worker *w)
{
	finish_write_read(w, BENCH_LARGE_PIECE);
}

/*
 * random_access_rw: root/index/file of 16 MiB, open all along. A page that is written has the first
 * word that make_file() gave it, and the others as in a page with the number 0.
 */

static void set_up_random_access(struct bench_worker *w)
{
	make_own_files(w, BENCH_MIXED_BYTES);
}

static void begin_random_access(struct bench_worker *w)
{
	begin_pwrite_4k(w);
	stamp_page(w->buffer, BENCH_PAGE, 0);
}

static inline uint64_t random_page(uint64_t *random)
{
	return bench_random(random) % (BENCH_MIXED_BYTES / BENCH_PAGE) * BENCH_PAGE;
}

/* Measured. */
static void measure_random_access(struct bench_worker *w)
{
	unsigned char *got = w->buffer + BENCH_PAGE;
	uint64_t random = w->random;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t offset = random_page(&random);
		uint64_t word = file_word(offset);
		memcpy(w->buffer, &word, sizeof(word));
		op_pwrite(w, w->handle, w->buffer, BENCH_PAGE, (int64_t)offset);
		offset = random_page(&random);
		op_pread(w, w->handle, got, BENCH_PAGE, (int64_t)offset);
		check_word(got, file_word(offset), w->path);
	}
	w->random = random;
}

static void finish_random_access(struct bench_worker *w)
{
	unsigned char *got = w->buffer + BENCH_PAGE;
	uint64_t written = 0;

	for (uint64_t offset = 0; w->thorough && offset < BENCH_MIXED_BYTES; offset += BENCH_PAGE) {
		op_pread(w, w->handle, got, BENCH_PAGE, (int64_t)offset);
		check_word(got, file_word(offset), w->path);
		uint64_t number;
		memcpy(&number, got + sizeof(number), sizeof(number));
		number -= UINT64_C(8) << 40;
		if (number == 0)
			written++;
		else if (number != file_word(offset))
			bench_die("%s: wrong data", w->path);
		memcpy(got, &number, sizeof(number));
		check_page(got, BENCH_PAGE, number, w->path);
	}
	if (w->thorough && written < 2)
		bench_die("%s: has not been written to", w->path);
}

/*
 * many_files_random_read: root/dir/f0 to f9999, one tree for all threads, visited as in
 * open_read4k_close_cold_100k.
 */

static void set_up_many_files(struct bench_worker *w)
{
	make_cold_tree(w, BENCH_MANY_READ, true);
}

static void begin_many_files(struct bench_worker *w)
{
	begin_cold(w);
	w->numbers = bench_order_below(w->order, BENCH_MANY_READ);
}

/* Measured. */
static void measure_many_files(struct bench_worker *w)
{
	read_in_order(w, w->numbers, BENCH_MANY_READ);
}

static void finish_many_files(struct bench_worker *w)
{
	if (w->thorough && w->index == 0)
		check_some_files(w, BENCH_MANY_READ);
}

static void end_many_files(struct bench_worker *w)
{
	free(w->numbers);
	free_buffer(w);
}

#endif
