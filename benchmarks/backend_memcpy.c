/* SPDX-License-Identifier: MIT */
/*
 * The least that any filesystem must do in the cases that move bytes: memcpy() of the same bytes
 * between the worker's buffer and memory of its own, which was touched before. No paths, no locks.
 * The memory is in huge pages where the system gives them.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void make_memory(struct bench_worker *w, size_t size)
{
	w->buffer = aligned_alloc(BENCH_PAGE, BENCH_PIECE);
	w->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!w->buffer || w->memory == MAP_FAILED)
		bench_die("out of memory");
	/* A refusal leaves small pages, which is no error. */
	(void)madvise(w->memory, size, MADV_HUGEPAGE);
	memset(w->buffer, 1, BENCH_PIECE);
	for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
		uint64_t word = at;
		memcpy(w->memory + at, &word, sizeof(word));
	}
	w->random = UINT64_C(0x9E3779B97F4A7C15) * (w->index + 1);
}

static void free_memory(struct bench_worker *w, size_t size)
{
	free(w->buffer);
	if (munmap(w->memory, size) < 0)
		bench_die("memcpy: munmap failed");
}

static void begin_pread(struct bench_worker *w)
{
	make_memory(w, BENCH_PREAD_BYTES);
}

static void end_pread(struct bench_worker *w)
{
	free_memory(w, BENCH_PREAD_BYTES);
}

static void begin_stream(struct bench_worker *w)
{
	make_memory(w, BENCH_STREAM_BYTES);
}

static void end_stream(struct bench_worker *w)
{
	free_memory(w, BENCH_STREAM_BYTES);
}

/* Copy, and let the compiler believe that somebody reads all of it. */
static inline void copy(void *to, const void *from, size_t size)
{
	memcpy(to, from, size);
	__asm__ volatile("" : : "r"(to) : "memory");
}

static inline void check_word(const unsigned char *at, uint64_t want)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	if (bench_unlikely(word != want))
		bench_die("memcpy: wrong data");
}

/* Measured. */
static void measure_pread_64(struct bench_worker *w)
{
	uint64_t random = w->random;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t offset = bench_random(&random) % (BENCH_PREAD_BYTES / 64) * 64;
		copy(w->buffer, w->memory + offset, 64);
		check_word(w->buffer, offset);
	}
	w->random = random;
}

/* Measured. */
static void measure_pread_4k(struct bench_worker *w)
{
	for (uint64_t i = 0; i < w->ops; i++) {
		copy(w->buffer, w->memory, BENCH_PAGE);
		check_word(w->buffer, 0);
	}
}

/* Measured. */
static void measure_pread_4k_random(struct bench_worker *w)
{
	uint64_t random = w->random;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t offset = bench_random(&random) % (BENCH_PREAD_BYTES / BENCH_PAGE) * BENCH_PAGE;
		copy(w->buffer, w->memory + offset, BENCH_PAGE);
		check_word(w->buffer, offset);
	}
	w->random = random;
}

/* Measured. */
static void measure_pwrite_4k(struct bench_worker *w)
{
	for (uint64_t i = 1; i <= w->ops; i++) {
		memcpy(w->buffer, &i, sizeof(i));
		copy(w->memory, w->buffer, BENCH_PAGE);
	}
}

/* Measured. */
static void measure_stream_write(struct bench_worker *w)
{
	for (uint64_t i = 0; i < w->ops; i++) {
		uint64_t word = i * BENCH_PIECE;
		memcpy(w->buffer, &word, sizeof(word));
		copy(w->memory + i * BENCH_PIECE, w->buffer, BENCH_PIECE);
	}
}

/* Measured. */
static void measure_stream_read(struct bench_worker *w)
{
	for (uint64_t i = 0; i < w->ops; i++) {
		copy(w->buffer, w->memory + i * BENCH_PIECE, BENCH_PIECE);
		check_word(w->buffer, i * BENCH_PIECE);
	}
}

static const struct bench_steps copy_steps[BENCH_CASE_COUNT] = {
	[BENCH_pread_64] = {.begin = begin_pread, .measure = measure_pread_64, .end = end_pread},
	[BENCH_pread_4k] = {.begin = begin_pread, .measure = measure_pread_4k, .end = end_pread},
	[BENCH_pread_4k_random] = {.begin = begin_pread,
							   .measure = measure_pread_4k_random,
							   .end = end_pread},
	[BENCH_pwrite_4k] = {.begin = begin_pread, .measure = measure_pwrite_4k, .end = end_pread},
	[BENCH_stream_write] = {.begin = begin_stream,
							.measure = measure_stream_write,
							.end = end_stream},
	[BENCH_stream_read] = {.begin = begin_stream,
						   .measure = measure_stream_read,
						   .end = end_stream},
};

static void *make(const char *root)
{
	(void)root;
	return NULL;
}

static void drop(void *place, const char *root)
{
	(void)place;
	(void)root;
}

static void settle(void *place)
{
	(void)place;
}

const struct bench_backend bench_memcpy = {
	.name = "memcpy",
	.make = make,
	.drop = drop,
	.settle = settle,
	.steps = copy_steps,
};
