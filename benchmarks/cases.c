/* SPDX-License-Identifier: MIT */
/*
 * The table of cases, and how a run goes: threads, rounds, the clock, calibration.
 *
 * A run starts its threads anew. Each goes through a warm-up round and then through the measured
 * ones. A round is: prepare, meet the others, MEASURE, meet the others, finish. Its time goes from
 * the first thread's start to the last one's end; the run's time is the sum over its rounds.
 */
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long the measured part of a run should take, and how many rounds it may have. */
#define TARGET_NS  200e6
#define MAX_ROUNDS 32

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
};

struct run {
	const struct bench_instance *instance;
	const struct bench_steps *steps;
	struct barrier barrier;
	struct runner *runners;
	/* Written by the thread with index 0. */
	uint64_t total_ns;
};

uint64_t bench_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
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

/* From the first start to the last end of the round that has just ended. */
static uint64_t round_ns(const struct run *run)
{
	uint64_t start = UINT64_MAX;
	uint64_t end = 0;

	for (unsigned i = 0; i < run->barrier.threads; i++) {
		if (run->runners[i].start < start)
			start = run->runners[i].start;
		if (run->runners[i].end > end)
			end = run->runners[i].end;
	}
	return end - start;
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
		if (steps->prepare)
			steps->prepare(w);
		meet(&run->barrier);

		/* The measured region. */
		runner->start = bench_now();
		steps->measure(w);
		runner->end = bench_now();

		meet(&run->barrier);
		if (w->index == 0 && !w->thorough)
			run->total_ns += round_ns(run);
		if (steps->finish)
			steps->finish(w);
	}
	if (steps->end)
		steps->end(w);
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
	struct run run = {.instance = instance, .steps = steps, .barrier = {.threads = workers}};

	run.runners = aligned_alloc(_Alignof(struct runner), workers * sizeof(struct runner));
	if (!run.runners)
		bench_die("out of memory");
	instance->backend->settle(instance->place);
	for (unsigned i = 0; i < workers; i++) {
		struct runner *runner = &run.runners[i];
		set_worker(&runner->worker, instance, i);
		runner->run = &run;
		int rc = pthread_create(&runner->thread, NULL, run_thread, runner);
		if (rc != 0)
			bench_die("cannot start a thread: %s", strerror(rc));
	}
	for (unsigned i = 0; i < workers; i++) {
		int rc = pthread_join(run.runners[i].thread, NULL);
		if (rc != 0)
			bench_die("cannot join a thread: %s", strerror(rc));
	}
	free(run.runners);
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
