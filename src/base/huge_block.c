/* SPDX-License-Identifier: MIT */
#include "base/huge_block.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/memory.h"
#include "base/reclaim.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

/* At the start of an idle block. */
struct idle_block {
	/* Under mutex. */
	struct idle_block *older;
	struct idle_block *newer;
	int64_t since;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/* Under mutex. The newest block is taken first. */
static struct idle_block *newest;
static struct idle_block *oldest;
/* Atomic, changed under mutex. */
static _Atomic uint64_t idle_count;

void *mfs__map_aligned(size_t size, size_t alignment, bool huge)
{
	char *from =
		mmap(NULL, size + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (from == MAP_FAILED)
		return NULL;
	/* Keep the aligned part, give back what lies before and after it. */
	size_t before = -(uintptr_t)from & (alignment - 1);
	char *block = from + before;
	if (before)
		(void)munmap(from, before);
	if (alignment - before)
		(void)munmap(block + size, alignment - before);
	/* Where there are no huge pages this fails, and small ones do. */
	if (huge && atomic_load_explicit(&mfs__memory.huge_pages, memory_order_relaxed))
		(void)madvise(block, size, MADV_HUGEPAGE);
	return block;
}

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
	return mfs__map_aligned(MFS__HUGE_SIZE, MFS__HUGE_SIZE, true);
}

static void unmap(void *block)
{
	(void)munmap(block, MFS__HUGE_SIZE);
}

#endif

static uint64_t count_of_idle(void)
{
	return atomic_load_explicit(&idle_count, memory_order_relaxed);
}

static uint64_t idle_max(void)
{
	return atomic_load_explicit(&mfs__memory.idle_bytes, memory_order_relaxed) / MFS__HUGE_SIZE;
}

/* Under mutex. The count only changes here and where a block is put in. */
static void remove_idle(struct idle_block *block)
{
	if (block->older)
		block->older->newer = block->newer;
	else
		oldest = block->newer;
	if (block->newer)
		block->newer->older = block->older;
	else
		newest = block->older;
	atomic_store_explicit(&idle_count, count_of_idle() - 1, memory_order_relaxed);
}

void *mfs__huge_take(void)
{
	pthread_mutex_lock(&mutex);
	struct idle_block *block = newest;
	if (block)
		remove_idle(block);
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

/* Returns false if there are enough idle blocks already. */
static bool keep(struct idle_block *block)
{
	/* An idle block would hide its use after freeing from a sanitizer. */
	if (MFS__SANITIZED)
		return false;
	pthread_mutex_lock(&mutex);
	uint64_t count = count_of_idle();
	bool kept = count < idle_max();
	if (kept) {
		*block = (struct idle_block){.older = newest, .since = mfs__now()};
		if (newest)
			newest->newer = block;
		else
			oldest = block;
		newest = block;
		atomic_store_explicit(&idle_count, count + 1, memory_order_relaxed);
	}
	pthread_mutex_unlock(&mutex);
	if (kept && count == 0)
		mfs__reclaim_nudge(); /* whose thread looks after idle blocks */
	return kept;
}

void mfs__huge_put(void *block)
{
	if (!keep(block))
		unmap(block);
}

void mfs__huge_trim(bool all)
{
	struct idle_block *old = NULL;
	int64_t before = INT64_MAX;

	if (!all)
		before = mfs__now() - atomic_load_explicit(&mfs__memory.idle_ns, memory_order_relaxed);
	pthread_mutex_lock(&mutex);
	while (oldest && (oldest->since < before || count_of_idle() > idle_max())) {
		struct idle_block *block = oldest;
		remove_idle(block);
		block->older = old;
		old = block;
	}
	pthread_mutex_unlock(&mutex);
	while (old) {
		struct idle_block *next = old->older;
		unmap(old);
		old = next;
	}
}

bool mfs__huge_has_idle(void)
{
	return count_of_idle() != 0;
}

uint64_t mfs__huge_idle_bytes(void)
{
	return count_of_idle() * MFS__HUGE_SIZE;
}
