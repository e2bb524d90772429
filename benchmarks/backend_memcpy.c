/* SPDX-License-Identifier: MIT */
/*
 * The least that any filesystem must do in the cases that move bytes: memcpy() of the same bytes
 * between the worker's buffer and memory of its own, which was touched before, but for
 * stream_write_fresh. No paths, no locks. The memory is in huge pages where the system gives them.
 *
 * What several threads share in a case is here each one's own; to read it takes the same, and to
 * write it takes no more.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE   ((size_t)2 << 20)
#define SMALL_BYTES ((size_t)BENCH_SMALL_SETS * BENCH_SMALL_FILES * BENCH_PAGE)
#define MANY_BYTES  ((size_t)BENCH_MANY_READ * BENCH_PAGE)

/* Memory that nobody has touched, on the border of a huge page. To be given to unmap(). */
static unsigned char *map(size_t size)
{
	unsigned char *from =
		mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (from == MAP_FAILED)
		bench_die("out of memory");
	size_t before = -(uintptr_t)from & (HUGE_PAGE - 1);
	if ((before > 0 && munmap(from, before) < 0) ||
		munmap(from + before + size, HUGE_PAGE - before) < 0)
		bench_die("memcpy: munmap failed");
	/* A refusal leaves small pages, which is no error. */
	(void)madvise(from + before, size, MADV_HUGEPAGE);
	return from + before;
}

static void unmap(unsigned char *memory, size_t size)
{
	if (munmap(memory, size) < 0)
		bench_die("memcpy: munmap failed");
}

/* The buffer is as large as the largest piece of all cases. */
static void make_buffer(struct bench_worker *w)
{
	w->buffer = aligned_alloc(BENCH_PAGE, BENCH_LARGE_PIECE);
	if (!w->buffer)
		bench_die("out of memory");
	memset(w->buffer, 1, BENCH_LARGE_PIECE);
}

static void make_memory(struct bench_worker *w, size_t size)
{
	make_buffer(w);
	w->memory = map(size);
	for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
		uint64_t word = at;
		memcpy(w->memory + at, &word, sizeof(word));
	}
	w->random = UINT64_C(0x9E3779B97F4A7C15) * (w->index + 1);
}

static void free_memory(struct bench_worker *w, size_t size)
{
	free(w->buffer);
	unmap(w->memory, size);
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

static void begin_mixed(struct bench_worker *w)
{
	make_memory(w, BENCH_MIXED_BYTES);
}

static void end_mixed(struct bench_worker *w)
{
	free_memory(w, BENCH_MIXED_BYTES);
}

static void begin_large(struct bench_worker *w)
{
	make_memory(w, BENCH_LARGE_BYTES);
}

static void end_large(struct bench_worker *w)
{
	free_memory(w, BENCH_LARGE_BYTES);
}

static void begin_small(struct bench_worker *w)
{
	make_memory(w, SMALL_BYTES);
}

static void end_small(struct bench_worker *w)
{
	free_memory(w, SMALL_BYTES);
}

static void begin_many(struct bench_worker *w)
{
	make_memory(w, MANY_BYTES);
	w->numbers = bench_order_below(w->order, BENCH_MANY_READ);
}

static void end_many(struct bench_worker *w)
{
	free(w->numbers);
	free_memory(w, MANY_BYTES);
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
static inline void write_pieces(struct bench_worker *w, uint64_t at, uint64_t count, size_t piece)
{
	for (uint64_t i = at; i < at + count; i++) {
		uint64_t word = i * piece;
		memcpy(w->buffer, &word, sizeof(word));
		copy(w->memory + i * piece, w->buffer, piece);
	}
}

/* Measured. */
static inline void read_pieces(struct bench_worker *w, uint64_t at, uint64_t count, size_t piece)
{
	for (uint64_t i = at; i < at + count; i++) {
		copy(w->buffer, w->memory + i * piece, piece);
		check_word(w->buffer, i * piece);
	}
}

/* Measured. */
static void measure_append_4k(struct bench_worker *w)
{
	write_pieces(w, 0, w->ops, BENCH_PAGE);
}

/* Measured. */
static void measure_stream_write(struct bench_worker *w)
{
	write_pieces(w, 0, w->ops, BENCH_PIECE);
}

/* Measured. */
static void measure_stream_read(struct bench_worker *w)
{
	read_pieces(w, 0, w->ops, BENCH_PIECE);
}

static void prepare_fresh(struct bench_worker *w)
{
	w->memory = map(BENCH_STREAM_BYTES);
	w->faults = bench_page_faults();
}

static void finish_fresh(struct bench_worker *w)
{
	bench_check_fresh(w->faults, BENCH_STREAM_BYTES);
	unmap(w->memory, BENCH_STREAM_BYTES);
}

static void free_buffer(struct bench_worker *w)
{
	free(w->buffer);
}

/* Measured. */
static void measure_small_files(struct bench_worker *w)
{
	for (uint64_t set = 0; set < BENCH_SMALL_SETS; set++) {
		write_pieces(w, set * BENCH_SMALL_FILES, BENCH_SMALL_FILES, BENCH_PAGE);
		read_pieces(w, set * BENCH_SMALL_FILES, BENCH_SMALL_FILES, BENCH_PAGE);
	}
}

/* Measured. */
static void measure_stream_write_read(struct bench_worker *w)
{
	write_pieces(w, 0, w->ops, BENCH_PIECE);
	read_pieces(w, 0, w->ops, BENCH_PIECE);
}

/* Measured. */
static void measure_large_stream(struct bench_worker *w)
{
	write_pieces(w, 0, w->ops, BENCH_LARGE_PIECE);
	read_pieces(w, 0, w->ops, BENCH_LARGE_PIECE);
}

static inline uint64_t random_page(uint64_t *random)
{
	return bench_random(random) % (BENCH_MIXED_BYTES / BENCH_PAGE);
}

/* Measured. */
static void measure_random_access(struct bench_worker *w)
{
	uint64_t random = w->random;

	for (uint64_t i = 0; i < w->ops; i++) {
		write_pieces(w, random_page(&random), 1, BENCH_PAGE);
		read_pieces(w, random_page(&random), 1, BENCH_PAGE);
	}
	w->random = random;
}

/* Measured. */
static void measure_many_files(struct bench_worker *w)
{
	uint32_t at = BENCH_MANY_READ / w->threads * w->index;

	for (uint64_t i = 0; i < w->ops; i++) {
		read_pieces(w, w->numbers[at], 1, BENCH_PAGE);
		if (++at == BENCH_MANY_READ)
			at = 0;
	}
}

static const struct bench_steps copy_steps[BENCH_CASE_COUNT] = {
	[BENCH_pread_64] = {.begin = begin_pread, .measure = measure_pread_64, .end = end_pread},
	[BENCH_pread_4k] = {.begin = begin_pread, .measure = measure_pread_4k, .end = end_pread},
	[BENCH_pread_4k_random] = {.begin = begin_pread,
							   .measure = measure_pread_4k_random,
							   .end = end_pread},
	[BENCH_pwrite_4k] = {.begin = begin_pread, .measure = measure_pwrite_4k, .end = end_pread},
	[BENCH_append_4k] = {.begin = begin_mixed, .measure = measure_append_4k, .end = end_mixed},
	[BENCH_stream_write] = {.begin = begin_stream,
							.measure = measure_stream_write,
							.end = end_stream},
	[BENCH_stream_write_fresh] =
		{
			.begin = make_buffer,
			.prepare = prepare_fresh,
			.measure = measure_stream_write,
			.finish = finish_fresh,
			.end = free_buffer,
		},
	[BENCH_stream_read] = {.begin = begin_stream,
						   .measure = measure_stream_read,
						   .end = end_stream},
	[BENCH_DRBL] = {.begin = begin_pread, .measure = measure_pread_4k, .end = end_pread},
	[BENCH_DRBM] = {.begin = begin_pread, .measure = measure_pread_4k, .end = end_pread},
	[BENCH_DRBH] = {.begin = begin_pread, .measure = measure_pread_4k, .end = end_pread},
	[BENCH_DWAL] = {.begin = begin_mixed, .measure = measure_append_4k, .end = end_mixed},
	[BENCH_DWOL] = {.begin = begin_pread, .measure = measure_pwrite_4k, .end = end_pread},
	[BENCH_DWOM] = {.begin = begin_pread, .measure = measure_pwrite_4k, .end = end_pread},
	[BENCH_DWSL] = {.begin = begin_pread, .measure = measure_pwrite_4k, .end = end_pread},
	[BENCH_small_files_rw] = {.begin = begin_small,
							  .measure = measure_small_files,
							  .end = end_small},
	[BENCH_stream_write_read] = {.begin = begin_mixed,
								 .measure = measure_stream_write_read,
								 .end = end_mixed},
	[BENCH_random_access_rw] = {.begin = begin_mixed,
								.measure = measure_random_access,
								.end = end_mixed},
	[BENCH_large_stream_write_read] = {.begin = begin_large,
									   .measure = measure_large_stream,
									   .end = end_large},
	[BENCH_many_files_random_read] = {.begin = begin_many,
									  .measure = measure_many_files,
									  .end = end_many},
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
