/* SPDX-License-Identifier: MIT */
#include "base/huge_block.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/reclaim.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

/* How long a block stays idle, at least. */
#define IDLE_NS MFS__NS_PER_S

struct idle_block {
	void *block;
	int64_t since;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/* Under mutex: a stack, the most recently used block on top, so the oldest are at the bottom. */
static struct idle_block idle[MFS__HUGE_IDLE_MAX];
/* Atomic, changed under mutex. */
static atomic_uint idle_count;

/* Sanitizers only watch memory that malloc gave. */
#if MFS__SANITIZED

static void *map(void)
{
	return aligned_alloc(MFS__HUGE_SIZE, MFS__HUGE_SIZE);
}

static void unmap(void *block)
{
	free(block);
}

#else

static void *map(void)
{
	const size_t size = 2 * MFS__HUGE_SIZE;

	char *from = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (from == MAP_FAILED)
		return NULL;
	/* Keep the aligned half, give back what lies before and after it. */
	size_t before = -(uintptr_t)from & (MFS__HUGE_SIZE - 1);
	size_t after = MFS__HUGE_SIZE - before;
	char *block = from + before;
	if (before)
		(void)munmap(from, before);
	if (after)
		(void)munmap(block + MFS__HUGE_SIZE, after);
	/* Where there are no huge pages this fails, and small ones do. */
	(void)madvise(block, MFS__HUGE_SIZE, MADV_HUGEPAGE);
	return block;
}

static void unmap(void *block)
{
	(void)munmap(block, MFS__HUGE_SIZE);
}

#endif

void *mfs__huge_take(void)
{
	void *block = NULL;

	pthread_mutex_lock(&mutex);
	unsigned count = atomic_load_explicit(&idle_count, memory_order_relaxed);
	if (count) {
		block = idle[count - 1].block;
		atomic_store_explicit(&idle_count, count - 1, memory_order_relaxed);
	}
	pthread_mutex_unlock(&mutex);
	return block ? block : map();
}

void *mfs__huge_alloc(void)
{
	if (mfs__alloc_must_fail())
		return NULL;
	void *block = mfs__huge_take();
	if (block)
		mfs__alloc_count(1);
	return block;
}

void mfs__huge_free(void *block)
{
	mfs__alloc_count(-1);
	mfs__huge_put(block);
}

void mfs__huge_put(void *block)
{
	bool keep = false;

	/* An idle block would hide its use after freeing from a sanitizer. */
	if (!MFS__SANITIZED) {
		pthread_mutex_lock(&mutex);
		unsigned count = atomic_load_explicit(&idle_count, memory_order_relaxed);
		keep = count < MFS__HUGE_IDLE_MAX;
		if (keep) {
			idle[count] = (struct idle_block){block, mfs__now()};
			atomic_store_explicit(&idle_count, count + 1, memory_order_relaxed);
		}
		pthread_mutex_unlock(&mutex);
		if (keep && count == 0)
			mfs__reclaim_nudge(); /* whose thread looks after idle blocks */
	}
	if (!keep)
		unmap(block);
}

void mfs__huge_trim(bool all)
{
	struct idle_block old[MFS__HUGE_IDLE_MAX];
	int64_t before = all ? INT64_MAX : mfs__now() - IDLE_NS;
	unsigned trimmed = 0;

	pthread_mutex_lock(&mutex);
	unsigned count = atomic_load_explicit(&idle_count, memory_order_relaxed);
	while (trimmed < count && idle[trimmed].since < before) {
		old[trimmed] = idle[trimmed];
		trimmed++;
	}
	for (unsigned i = trimmed; i < count; i++)
		idle[i - trimmed] = idle[i];
	atomic_store_explicit(&idle_count, count - trimmed, memory_order_relaxed);
	pthread_mutex_unlock(&mutex);
	for (unsigned i = 0; i < trimmed; i++)
		unmap(old[i].block);
}

bool mfs__huge_has_idle(void)
{
	return atomic_load_explicit(&idle_count, memory_order_relaxed) != 0;
}
