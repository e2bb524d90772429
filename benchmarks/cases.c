/* SPDX-License-Identifier: MIT */
/*
 * The table of cases, and how a run goes: threads, rounds, the clock, calibration.
 *
 * A run starts its threads anew. Each goes through a warm-up round and then through the measured
 * ones. A round is: prepare, meet the others, MEASURE, meet the others, finish. Its time goes from
 * the first thread's start to the last one's end; the run's time is the sum over its rounds.
 *
 * A background thread meets the others at the same places and works from the first one on until the
 * last measured thread has ended.
 */
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* How long the measured part of a run should take, and how many rounds it may have. */
#define TARGET_NS  200e6
#define MAX_ROUNDS 32

/* What one page fault brings in, at most. */
#define HUGE_PAGE (UINT64_C(2) << 20)

/* Looks at the barrier before a thread gives its processor away. */
#define SPINS 5000

const struct bench_case bench_cases[BENCH_CASE_COUNT] = {
#define BENCH_CASE_ROW(name, unit, ops, fixed, bytes, what)                                        \
	[BENCH_##name] = {#name, (unit), (ops), (fixed), (bytes), (what)},
	BENCH_CASES(BENCH_CASE_ROW)
#undef BENCH_CASE_ROW
};

/* Spins, so that the threads leave it together: waking one up takes longer than many a round. */
struct barrier {
	unsigned threads;
	/* Atomic, any thread. */
	_Atomic unsigned waiting;
	/* Atomic; changed by the last one to come. */
	_Atomic unsigned phase;
};

struct run;

struct runner {
	_Alignas(128) struct bench_worker worker;
	struct run *run;
	pthread_t thread;
	uint64_t start;
	uint64_t end;
	/* Of the background thread: operations of the round. */
	uint64_t done;
};

struct run {
	/* Its place is changed by the thread with index 0 while the others wait at the barrier. */
	struct bench_instance *instance;
	const struct bench_steps *steps;
	struct barrier barrier;
	/* Measured threads; the background thread, if there is one, is the last of the runners. */
	unsigned workers;
	struct runner *runners;
	/* Written by the thread with index 0. */
	uint64_t total_ns;
	uint64_t background_ns;
	uint64_t background_ops;
	/*
	 * Atomic: measured threads at work. Set by the thread with index 0 before they meet, counted
	 * down by each. On a line of its own, as the background thread looks at it all the time.
	 */
	_Alignas(128) _Atomic unsigned working;
};

uint64_t bench_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t bench_page_faults(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_THREAD, &usage) < 0)
		bench_die("getrusage failed");
	return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

void bench_check_fresh(uint64_t faults, uint64_t bytes)
{
	/* A fault brings in a huge page at most. A little may come from what the allocator has. */
	if ((bench_page_faults() - faults) * HUGE_PAGE < bytes / 10 * 9)
		bench_die("the memory had been touched before");
}

uint32_t *bench_order_below(const uint32_t *order, uint32_t count)
{
	uint32_t *numbers = malloc(count * sizeof(*numbers));
	uint32_t found = 0;

	if (!numbers)
		bench_die("out of memory");
	for (uint32_t i = 0; i < BENCH_COLD_FILES; i++) {
		if (order[i] < count)
			numbers[found++] = order[i];
	}
	return numbers;
}

static void meet(struct barrier *barrier)
{
	unsigned phase = atomic_load_explicit(&barrier->phase, memory_order_acquire);

	/* acquire and release: the last one to come has seen what all others did before they came */
	if (atomic_fetch_add_explicit(&barrier->waiting, 1, memory_order_acq_rel) + 1 ==
		barrier->threads) {
		atomic_store_explicit(&barrier->waiting, 0, memory_order_relaxed);
		/* pairs with the load below */
		atomic_store_explicit(&barrier->phase, phase + 1, memory_order_release);
		return;
	}
	/* pairs with the store above */
	for (unsigned spins = 0; atomic_load_explicit(&barrier->phase, memory_order_acquire) == phase;
		 spins++) {
		if (spins > SPINS)
			sched_yield();
	}
}

/* The background thread, NULL if there is none. */
static struct runner *background_runner(const struct run *run)
{
	return run->barrier.threads > run->workers ? &run->runners[run->workers] : NULL;
}

/* Add up the times of the round that has just ended: from the first start to the last end. */
static void count_round(struct run *run)
{
	const struct runner *background = background_runner(run);
	uint64_t start = UINT64_MAX;
	uint64_t end = 0;

	for (unsigned i = 0; i < run->workers; i++) {
		if (run->runners[i].start < start)
			start = run->runners[i].start;
		if (run->runners[i].end > end)
			end = run->runners[i].end;
	}
	run->total_ns += end - start;
	if (background) {
		/* What it had begun when the last thread ended, it has finished and counted. */
		run->background_ns += background->end - start;
		run->background_ops += background->done;
	}
}

/* Let the thread with index 0 make the tree anew. */
static void renew_place(struct runner *runner)
{
	struct run *run = runner->run;
	struct bench_instance *instance = run->instance;

	meet(&run->barrier);
	if (runner->worker.index == 0 && instance->backend->renew)
		instance->place = instance->backend->renew(instance->place, instance->root);
	meet(&run->barrier);
	runner->worker.place = instance->place;
}

static void *run_thread(void *argument)
{
	struct runner *runner = argument;
	struct run *run = runner->run;
	struct bench_worker *w = &runner->worker;
	const struct bench_steps *steps = run->steps;
	const struct bench_case *info = &bench_cases[run->instance->id];

	if (steps->begin)
		steps->begin(w);
	for (unsigned round = 0; round <= run->instance->rounds; round++) {
		w->thorough = round == 0;
		w->ops = run->instance->ops;
		if (w->thorough && !info->fixed && w->ops > info->ops)
			w->ops = info->ops;
		if (steps->fresh)
			renew_place(runner);
		if (steps->prepare)
			steps->prepare(w);
		if (w->index == 0)
			atomic_store_explicit(&run->working, run->workers, memory_order_relaxed);
		meet(&run->barrier);

		/* The measured region. */
		runner->start = bench_now();
		steps->measure(w);
		runner->end = bench_now();

		/* pairs with bench_goes_on() */
		atomic_fetch_sub_explicit(&run->working, 1, memory_order_release);
		meet(&run->barrier);
		if (w->index == 0 && !w->thorough)
			count_round(run);
		if (steps->finish)
			steps->finish(w);
	}
	if (steps->end)
		steps->end(w);
	return NULL;
}

static void *run_background(void *argument)
{
	struct runner *runner = argument;
	struct run *run = runner->run;
	struct bench_worker *w = &runner->worker;
	const struct bench_steps *steps = run->steps;

	if (steps->background_begin)
		steps->background_begin(w);
	for (unsigned round = 0; round <= run->instance->rounds; round++) {
		w->ops = 0;
		if (steps->fresh)
			renew_place(runner);
		meet(&run->barrier);
		steps->background(w);
		runner->end = bench_now();
		runner->done = w->ops;
		meet(&run->barrier);
	}
	if (steps->background_end)
		steps->background_end(w);
	return NULL;
}

static void set_worker(struct bench_worker *w, const struct bench_instance *instance,
					   unsigned index)
{
	*w = (struct bench_worker){
		.place = instance->place,
		.root = instance->root,
		.order = instance->order,
		.host = instance->host,
		.index = index,
		.threads = instance->threads,
	};
}

double bench_instance_run(struct bench_instance *instance)
{
	const struct bench_steps *steps = &instance->backend->steps[instance->id];
	unsigned workers = steps->alone ? 1 : instance->threads;
	unsigned threads = workers + (steps->background ? 1 : 0);
	struct run run = {
		.instance = instance,
		.steps = steps,
		.workers = workers,
		.barrier = {.threads = threads},
	};

	run.runners = aligned_alloc(_Alignof(struct runner), threads * sizeof(struct runner));
	if (!run.runners)
		bench_die("out of memory");
	instance->backend->settle(instance->place);
	for (unsigned i = 0; i < threads; i++) {
		struct runner *runner = &run.runners[i];
		set_worker(&runner->worker, instance, i);
		runner->worker.working = &run.working;
		runner->run = &run;
		int rc = pthread_create(&runner->thread, NULL, i < workers ? run_thread : run_background,
								runner);
		if (rc != 0)
			bench_die("cannot start a thread: %s", strerror(rc));
	}
	for (unsigned i = 0; i < threads; i++) {
		int rc = pthread_join(run.runners[i].thread, NULL);
		if (rc != 0)
			bench_die("cannot join a thread: %s", strerror(rc));
	}
	free(run.runners);
	instance->background_ops_per_s = 0;
	if (run.background_ns > 0)
		instance->background_ops_per_s =
			(double)run.background_ops / (double)run.background_ns * 1e9;
	return (double)run.total_ns / ((double)instance->ops * instance->rounds);
}

void bench_instance_open(struct bench_instance *instance)
{
	const struct bench_case *info = &bench_cases[instance->id];
	const struct bench_steps *steps = &instance->backend->steps[instance->id];

	instance->place = instance->backend->make(instance->root);
	instance->ops = info->ops;
	instance->rounds = 1;
	if (steps->set_up) {
		struct bench_worker w;
		set_worker(&w, instance, 0);
		steps->set_up(&w);
	}

	double ns = bench_instance_run(instance);
	if (info->fixed) {
		double rounds = TARGET_NS / (ns * (double)info->ops);
		instance->rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : (unsigned)rounds;
	} else {
		double ops = TARGET_NS / ns;
		if (ops > (double)info->ops)
			instance->ops = (uint64_t)ops / info->unit * info->unit;
	}
}

void bench_instance_close(struct bench_instance *instance)
{
	instance->backend->drop(instance->place, instance->root);
}
