/* SPDX-License-Identifier: MIT */
/*
 * What the loops of all cases use: the data of files, and the worker's paths. Part of loops.h.
 *
 * Every file's data says which file it belongs to and where: see stamp_page(). The loops look at
 * the size of each result and at the first word of what they read; the warm-up round of each run
 * is followed by a look at all of it.
 */
#ifndef DMEMFS_BENCHMARKS_LOOPS_BASE_H
#define DMEMFS_BENCHMARKS_LOOPS_BASE_H

#include "bench.h"

#include <stdlib.h>
#include <string.h>

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

static void make_buffer_of(struct bench_worker *w, size_t size)
{
	w->buffer = aligned_alloc(BENCH_PAGE, size);
	if (!w->buffer)
		bench_die("out of memory");
	memset(w->buffer, 0, size);
}

static void make_buffer(struct bench_worker *w)
{
	make_buffer_of(w, BENCH_PIECE);
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

/* Let the worker's second path be what the first one is now. */
static void keep_as_to(struct bench_worker *w)
{
	memcpy(w->to, w->path, sizeof(w->to));
	w->to_at = w->name_at;
}

/* Set-up of the cases in which each thread has a directory of its own. */
static void make_own_directories(struct bench_worker *w)
{
	for (unsigned i = 0; i < w->threads; i++) {
		set_own_path(w, i, "");
		op_mkdir(w, w->path);
	}
}

/* Make the file of the worker's path. Each 64 KiB of it are stamped with the offset. */
static void make_file(struct bench_worker *w, uint64_t size)
{
	union bench_handle handle = op_open_write(w, w->path);

	for (uint64_t done = 0; done < size; done += BENCH_PIECE) {
		uint64_t left = size - done;
		stamp_page(w->buffer, BENCH_PIECE, done);
		op_write(w, handle, w->buffer, left < BENCH_PIECE ? (size_t)left : BENCH_PIECE);
	}
	op_close(w, handle);
}

/* What make_file() stamps: the word at an offset. The words of a page go on from its first one. */
static inline uint64_t file_word(uint64_t offset)
{
	uint64_t in_piece = offset % BENCH_PIECE;

	return offset - in_piece + (in_piece << 40);
}

/* Set-up of the cases in which each thread has a file of its own: root/index/file. */
static void make_own_files(struct bench_worker *w, uint64_t size)
{
	make_own_directories(w);
	make_buffer(w);
	for (unsigned i = 0; i < w->threads; i++) {
		set_own_path(w, i, "/file");
		make_file(w, size);
	}
	free_buffer(w);
}

/* Make empty files whose names are the worker's path and a number. */
static inline void make_empty_files(struct bench_worker *w, uint32_t count)
{
	for (uint32_t number = 0; number < count; number++) {
		bench_decimal(w->path + w->name_at, number);
		op_close(w, op_open_write(w, w->path));
	}
}

static void begin_buffer(struct bench_worker *w)
{
	make_buffer(w);
	w->random = UINT64_C(0x9E3779B97F4A7C15) * (w->index + 1);
}

#endif
