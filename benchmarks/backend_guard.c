/* SPDX-License-Identifier: MIT */
/*
 * Writes that allocate in a workspace with a memory guard (MFS_GUARD_PER_WRITE), beside the same in
 * one without: what the guard costs. Each thread has a file of its own, open all along, which grows
 * to 1 MiB by pages and is emptied again, so that all of its chunks are charged and allocated anew.
 */
#include "dmemfs/dmemfs.h"

#include "bench.h"

#include <stdlib.h>

#define QUOTA_BYTES (UINT64_C(1) << 40)

static void check(int64_t result, const char *what)
{
	if (bench_unlikely(result < 0))
		bench_die("dmemfs: %s: %s (%s)", what, mfs_strerror((int)result), mfs_last_error());
}

static void *make_with(int guard)
{
	mfs_options options = {
		.struct_size = sizeof(options),
		.max_quota = QUOTA_BYTES,
		.memory_guard = guard,
		.memory_guard_action = MFS_GUARD_FAIL,
	};
	mfs *fs;

	check(mfs_new(&options, &fs), "mfs_new");
	return fs;
}

static void *make_guarded(const char *root)
{
	(void)root;
	return make_with(MFS_GUARD_PER_WRITE);
}

static void *make_unguarded(const char *root)
{
	(void)root;
	return make_with(MFS_GUARD_NONE);
}

static void drop(void *place, const char *root)
{
	bench_dmemfs.drop(place, root);
}

static void settle(void *place)
{
	bench_dmemfs.settle(place);
}

static void begin(struct bench_worker *w)
{
	mfs_file *file;

	w->buffer = aligned_alloc(BENCH_PAGE, BENCH_PAGE);
	if (!w->buffer)
		bench_die("out of memory");
	memset(w->buffer, 1, BENCH_PAGE);
	snprintf(w->path, sizeof(w->path), "/%u", w->index);
	check(mfs_open(w->place, w->path, "wb", &file), "open");
	w->handle.file = file;
}

static void end(struct bench_worker *w)
{
	check(mfs_close(w->handle.file), "close");
	check(mfs_remove(w->place, w->path), "remove");
	free(w->buffer);
}

/* Measured. */
static void measure(struct bench_worker *w)
{
	for (uint64_t done = 0; done < w->ops; done += BENCH_GROWTH_PAGES) {
		for (unsigned page = 0; page < BENCH_GROWTH_PAGES; page++) {
			int64_t got = mfs_pwrite(w->handle.file, w->buffer, BENCH_PAGE,
									 (int64_t)page * (int64_t)BENCH_PAGE);
			if (bench_unlikely(got != BENCH_PAGE))
				check(got < 0 ? got : MFS_EINVAL, "pwrite");
		}
		check(mfs_truncate(w->handle.file, 0), "truncate");
	}
}

static const struct bench_steps steps[BENCH_CASE_COUNT] = {
	[BENCH_append_alloc] = {.begin = begin, .measure = measure, .end = end},
};

const struct bench_backend bench_guarded = {
	.name = "dmemfs",
	.make = make_guarded,
	.drop = drop,
	.settle = settle,
	.steps = steps,
};

const struct bench_backend bench_unguarded = {
	.name = "unguarded",
	.make = make_unguarded,
	.drop = drop,
	.settle = settle,
	.steps = steps,
};
