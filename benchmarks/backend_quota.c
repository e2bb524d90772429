/* SPDX-License-Identifier: MIT */
/*
 * A quota that all threads share, beside the least that a limit could cost if it were one word: an
 * addition to it and a subtraction from it, by all threads, that do not even look at the limit.
 *
 * With several threads the quota is open before the clock starts, as it is in a workspace in which
 * they all write. With one it works on its one word.
 */
#include "bench.h"
#include "quota_pairs.h"

#include <stdatomic.h>
#include <stdlib.h>

#define LIMIT (UINT64_C(1) << 30)

static void *make(const char *root)
{
	(void)root;
	struct mfs__quota *quota = bench_quota_new(LIMIT);

	if (!quota)
		bench_die("out of memory");
	return quota;
}

static void drop(void *place, const char *root)
{
	(void)root;
	bench_quota_free(place);
}

static void settle(void *place)
{
	(void)place;
}

static void set_up(struct bench_worker *w)
{
	if (w->threads > 1 && !bench_quota_open(w->place))
		bench_die("quota: it does not open");
}

/* Measured. */
static void measure(struct bench_worker *w)
{
	if (!bench_quota_pairs(w->place, BENCH_PAGE, w->ops))
		bench_die("quota: refused");
}

/* All have ended their rounds. */
static void finish(struct bench_worker *w)
{
	if (w->index == 0 && bench_quota_used(w->place) != 0)
		bench_die("quota: something is left");
}

/* On a line of its own, and the next one, too. */
struct word {
	_Alignas(128) _Atomic uint64_t used;
};

static void *make_word(const char *root)
{
	(void)root;
	struct word *word = aligned_alloc(_Alignof(struct word), sizeof(struct word));

	if (!word)
		bench_die("out of memory");
	atomic_init(&word->used, 0);
	return word;
}

static void drop_word(void *place, const char *root)
{
	(void)root;
	free(place);
}

/* Measured. */
static void measure_word(struct bench_worker *w)
{
	struct word *word = w->place;

	for (uint64_t i = 0; i < w->ops; i++) {
		atomic_fetch_add_explicit(&word->used, BENCH_PAGE, memory_order_relaxed);
		atomic_fetch_sub_explicit(&word->used, BENCH_PAGE, memory_order_relaxed);
	}
}

static const struct bench_steps quota_steps[BENCH_CASE_COUNT] = {
	[BENCH_quota_reserve_release] = {.set_up = set_up, .measure = measure, .finish = finish},
};

static const struct bench_steps word_steps[BENCH_CASE_COUNT] = {
	[BENCH_quota_reserve_release] = {.measure = measure_word},
};

const struct bench_backend bench_quota = {
	.name = "dmemfs",
	.make = make,
	.drop = drop,
	.settle = settle,
	.steps = quota_steps,
};

const struct bench_backend bench_word = {
	.name = "fetch_add",
	.make = make_word,
	.drop = drop_word,
	.settle = settle,
	.steps = word_steps,
};
