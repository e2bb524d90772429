/* SPDX-License-Identifier: MIT */
/*
 * A large file looked at run by run, where it is, beside reading it into a buffer. There is no peer
 * on tmpfs: the nearest thing is a mapping, which has no calls to be timed.
 */
#include "dmemfs/dmemfs.h"

#include "bench.h"

#include <stdlib.h>

#define RUNS_AT_ONCE 16

static void *make(const char *root)
{
	return bench_dmemfs.make(root);
}

static void drop(void *place, const char *root)
{
	bench_dmemfs.drop(place, root);
}

static void settle(void *place)
{
	bench_dmemfs.settle(place);
}

static void check(int64_t result, const char *what)
{
	if (bench_unlikely(result < 0))
		bench_die("dmemfs: %s: %s", what, mfs_strerror((int)result));
}

/* The first byte of each piece is its number's lowest one. */
static void set_up(struct bench_worker *w)
{
	unsigned char *piece = calloc(1, BENCH_PIECE);
	mfs_file *file;

	if (!piece)
		bench_die("out of memory");
	check(mfs_open(w->place, "/viewed", "xb", &file), "open");
	for (uint64_t i = 0; i < BENCH_VIEW_BYTES / BENCH_PIECE; i++) {
		piece[0] = (unsigned char)i;
		check(mfs_write(file, piece, BENCH_PIECE), "write");
	}
	check(mfs_close(file), "close");
	free(piece);
}

static void begin(struct bench_worker *w)
{
	mfs_file *file;

	w->buffer = malloc(BENCH_PIECE);
	if (!w->buffer)
		bench_die("out of memory");
	check(mfs_open(w->place, "/viewed", "rb", &file), "open");
	w->handle.file = file;
}

static void end(struct bench_worker *w)
{
	check(mfs_close(w->handle.file), "close");
	free(w->buffer);
}

/* Measured. A round is one look at the file. The first byte of each run is looked at. */
static void measure_view(struct bench_worker *w)
{
	struct iovec runs[RUNS_AT_ONCE];
	int64_t offset = 0;
	uint64_t at = 0;
	int count;

	while ((count = mfs_view_runs(w->handle.file, &offset, INT64_MAX, runs, RUNS_AT_ONCE)) > 0) {
		for (int i = 0; i < count; i++) {
			const unsigned char *first = runs[i].iov_base;
			if (bench_unlikely(at % BENCH_PIECE == 0 &&
							   first[0] != (unsigned char)(at / BENCH_PIECE)))
				bench_die("dmemfs: wrong data");
			at += runs[i].iov_len;
		}
	}
	check(count, "view");
	if (bench_unlikely(at != BENCH_VIEW_BYTES))
		bench_die("dmemfs: the file has another size");
}

/* Measured. A round is one reading of the file. */
static void measure_read(struct bench_worker *w)
{
	for (uint64_t i = 0; i < BENCH_VIEW_BYTES / BENCH_PIECE; i++) {
		int64_t got = mfs_pread(w->handle.file, w->buffer, BENCH_PIECE, (int64_t)(i * BENCH_PIECE));
		if (bench_unlikely(got != BENCH_PIECE || w->buffer[0] != (unsigned char)i))
			bench_die("dmemfs: wrong data");
	}
}

static const struct bench_steps view_steps[BENCH_CASE_COUNT] = {
	[BENCH_view_1g] = {.set_up = set_up, .begin = begin, .measure = measure_view, .end = end},
};

static const struct bench_steps read_steps[BENCH_CASE_COUNT] = {
	[BENCH_view_1g] = {.set_up = set_up, .begin = begin, .measure = measure_read, .end = end},
};

const struct bench_backend bench_view = {
	.name = "dmemfs",
	.make = make,
	.drop = drop,
	.settle = settle,
	.steps = view_steps,
};

const struct bench_backend bench_read = {
	.name = "read",
	.make = make,
	.drop = drop,
	.settle = settle,
	.steps = read_steps,
};
