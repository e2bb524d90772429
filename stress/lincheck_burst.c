/* SPDX-License-Identifier: MIT */
/* The threads of the linearizability check, and what holds them up inside the library. */
#include "lincheck_burst.h"

#include <sched.h>

#ifdef MFS_TEST_HOOKS
#include "base/test_hook.h"
#endif

/* So long a burst may take, of which a wait for a file's lock is the longest part. */
#define STUCK_S 60

/* Wait a moment, or let another thread run. */
static void pause_thread(uint64_t *random)
{
	if (stress_below(random, 2)) {
		sched_yield();
		return;
	}
	uint32_t count = 1u << stress_below(random, 12);
	for (volatile uint32_t i = 0; i < count; i++)
		;
}

#ifdef MFS_TEST_HOOKS
/* The worker that this thread is; NULL for other threads, which are not held up. */
static _Thread_local struct lincheck_worker *self;
static _Thread_local uint64_t disturb_random;

static void disturb(const char *point)
{
	(void)point;
	if (!self || !self->burst->plan.disturb_one_in)
		return;
	if (stress_below(&disturb_random, self->burst->plan.disturb_one_in) == 0)
		pause_thread(&disturb_random);
}

static void set_hook(void)
{
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, disturb, memory_order_release);
}
#else
static void set_hook(void)
{
}
#endif

static void run_burst(struct lincheck_worker *w)
{
	struct lincheck_burst *burst = w->burst;
	unsigned pause_one_in = burst->plan.pause_one_in;

	/* All at once; a wait for a lock would wake them one after the other. */
	atomic_fetch_add_explicit(&burst->ready, 1, memory_order_relaxed);
	while (atomic_load_explicit(&burst->ready, memory_order_relaxed) < burst->threads)
		sched_yield();
	for (unsigned i = 0; i < burst->calls_per_thread; i++) {
		if (pause_one_in && stress_below(&w->random, pause_one_in) == 0)
			pause_thread(&w->random);
		if (stress_below(&w->random, 3) == 0)
			lincheck_close(w);
		lincheck_make_call(w);
	}
	lincheck_close(w);
}

static void *work(void *argument)
{
	struct lincheck_worker *w = argument;
	struct lincheck_burst *burst = w->burst;
	uint64_t number = 0;

#ifdef MFS_TEST_HOOKS
	self = w;
	disturb_random = stress_mix(w->index);
#endif
	pthread_mutex_lock(&burst->lock);
	for (;;) {
		while (burst->number == number && !burst->stop)
			pthread_cond_wait(&burst->begin, &burst->lock);
		if (burst->stop)
			break;
		number = burst->number;
		pthread_mutex_unlock(&burst->lock);
		run_burst(w);
		pthread_mutex_lock(&burst->lock);
		if (--burst->running == 0)
			pthread_cond_signal(&burst->end);
	}
	pthread_mutex_unlock(&burst->lock);
	return NULL;
}

void lincheck_start(struct lincheck_burst *burst)
{
	pthread_condattr_t attributes;

	set_hook();
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_mutex_init(&burst->lock, NULL);
	pthread_cond_init(&burst->begin, &attributes);
	pthread_cond_init(&burst->end, &attributes);
	pthread_condattr_destroy(&attributes);
	burst->workers = calloc(burst->threads, sizeof(*burst->workers));
	if (!burst->workers)
		stress_die("out of memory");
	for (unsigned i = 0; i < burst->threads; i++) {
		struct lincheck_worker *w = &burst->workers[i];
		w->burst = burst;
		w->index = i;
		if (pthread_create(&w->thread, NULL, work, w) != 0)
			stress_die("cannot start a thread");
	}
}

void lincheck_stop(struct lincheck_burst *burst)
{
	pthread_mutex_lock(&burst->lock);
	burst->stop = true;
	pthread_cond_broadcast(&burst->begin);
	pthread_mutex_unlock(&burst->lock);
	for (unsigned i = 0; i < burst->threads; i++) {
		if (pthread_join(burst->workers[i].thread, NULL) != 0)
			stress_die("cannot join a thread");
	}
	free(burst->workers);
	pthread_cond_destroy(&burst->end);
	pthread_cond_destroy(&burst->begin);
	pthread_mutex_destroy(&burst->lock);
}

/* Threads wait for each other inside the library. Show what for. */
static void report_stuck(const struct lincheck_burst *burst)
{
	char text[LINCHECK_CALL_SIZE];

	printf("threads are stuck after %d s, in burst %llu of seed %llu; their last calls:\n", STUCK_S,
		   (unsigned long long)burst->number, (unsigned long long)burst->seed);
	for (unsigned i = 0; i < burst->threads; i++) {
		const struct lincheck_worker *w = &burst->workers[i];
		for (unsigned j = w->call_count < 3 ? 0 : w->call_count - 3; j < w->call_count; j++)
			printf("  thread %u  [%4u,%4u] %s\n", i, w->calls[j].invoked, w->calls[j].returned,
				   lincheck_call_text(&w->calls[j], text));
	}
	printf("FAIL stress_linearizability: stuck\n");
	fflush(stdout);
	abort();
}

void lincheck_run(struct lincheck_burst *burst)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += STUCK_S;
	atomic_store_explicit(&burst->moment, 0, memory_order_relaxed);
	atomic_store_explicit(&burst->ready, 0, memory_order_relaxed);
	pthread_mutex_lock(&burst->lock);
	burst->running = burst->threads;
	burst->number++;
	pthread_cond_broadcast(&burst->begin);
	while (burst->running > 0) {
		if (pthread_cond_timedwait(&burst->end, &burst->lock, &until) != 0 && burst->running > 0)
			report_stuck(burst);
	}
	pthread_mutex_unlock(&burst->lock);
}
