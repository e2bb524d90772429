/* SPDX-License-Identifier: MIT */
/* Locks: a stripe's mutex, then the mutex of the spans. huge_block.c has its own, taken last. */
#include "base/page_pool.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/huge_block.h"
#include "base/memory.h"
#include "base/reclaim.h"
#include "base/stripe.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#if MFS__SANITIZED

/* Sanitizers only watch memory that malloc gave. */
void *mfs__page_alloc(void)
{
	return mfs__alloc(MFS__PAGE_SIZE);
}

void mfs__page_free(void *page)
{
	mfs__free(page, MFS__PAGE_SIZE);
}

void mfs__page_trim(bool all)
{
	(void)all;
}

bool mfs__page_has_idle(void)
{
	return false;
}

uint64_t mfs__page_idle_bytes(void)
{
	return 0;
}

#else

/* Pages of a span, the header's own included. */
#define SPAN_PAGES ((unsigned)(MFS__HUGE_SIZE / MFS__PAGE_SIZE))
#define WORDS      (SPAN_PAGES / 64)
/* Pages that a stripe keeps, and how many it takes or gives at a time. */
#define KEPT       64
#define BATCH      32
/* The free pages of a span that is left alone go back in runs of so many. */
#define RUN_PAGES  16
/* Spans that are looked after at a time, with the mutex held. */
#define TRIM_SPANS 32

struct span {
	/* Under the mutex of the spans. */
	struct span *next; /* in the list of spans with free pages */
	struct span **link;
	int64_t used_at;      /* when a page was last taken or given back */
	uint64_t free[WORDS]; /* a bit for each page; the header's page is never free */
	unsigned free_count;
	bool trimmed; /* since then, the free pages went back */
};

_Static_assert(sizeof(struct span) <= MFS__PAGE_SIZE, "the header fits into a page");

static pthread_mutex_t spans_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct span *spans; /* those with free pages; under spans_mutex */
/* Atomic, changed under spans_mutex: is there a span with free pages that were not given back? */
static atomic_bool has_idle;
/* Atomic, changed under spans_mutex: free pages of spans of which none were given back. */
static _Atomic uint64_t idle_pages;

static struct stripe {
	_Alignas(2 * MFS__CACHE_LINE) pthread_mutex_t mutex;
	/* Under mutex. */
	unsigned count;
	void *pages[KEPT];
} stripes[MFS__STRIPES] = {[0 ... MFS__STRIPES - 1] = {.mutex = PTHREAD_MUTEX_INITIALIZER}};

static struct span *span_of(void *page)
{
	char *at = page;

	return (struct span *)(void *)(at - ((uintptr_t)at & (MFS__HUGE_SIZE - 1)));
}

/* Under spans_mutex. */
static void list_insert(struct span *span)
{
	span->next = spans;
	span->link = &spans;
	if (spans)
		spans->link = &span->next;
	spans = span;
}

/* Under spans_mutex. */
static void list_remove(struct span *span)
{
	*span->link = span->next;
	if (span->next)
		span->next->link = span->link;
}

/* Under spans_mutex. */
static void count_idle(int change)
{
	uint64_t pages = atomic_load_explicit(&idle_pages, memory_order_relaxed);

	atomic_store_explicit(&idle_pages, pages + (uint64_t)(int64_t)change, memory_order_relaxed);
}

/* Under spans_mutex. Returns NULL when there is no memory. */
static struct span *span_new(void)
{
	struct span *span = mfs__huge_take();

	if (!span)
		return NULL;
	/* The block may hold what its last user left there. */
	*span = (struct span){.free_count = SPAN_PAGES - 1};
	count_idle(SPAN_PAGES - 1);
	memset(span->free, 0xff, sizeof span->free);
	span->free[0] &= ~UINT64_C(1);
	list_insert(span);
	return span;
}

/* There are free pages that may go back to the system once they are idle: the reclaimer is to look.
 */
static void note_idle(void)
{
	if (!atomic_exchange_explicit(&has_idle, true, memory_order_relaxed))
		mfs__reclaim_nudge();
}

/* Under spans_mutex: take the first free page of a span that has one. */
static void *take_page(struct span *span)
{
	unsigned word = 0;

	while (!span->free[word])
		word++;
	unsigned bit = (unsigned)__builtin_ctzll(span->free[word]);
	span->free[word] &= span->free[word] - 1;
	if (!span->trimmed)
		count_idle(-1);
	if (--span->free_count == 0)
		list_remove(span);
	return (char *)span + (word * 64 + bit) * MFS__PAGE_SIZE;
}

/* Under the stripe's mutex. */
static void refill(struct stripe *stripe)
{
	pthread_mutex_lock(&spans_mutex);
	int64_t now = mfs__now();
	while (stripe->count < BATCH) {
		struct span *span = spans;
		if (!span) {
			span = span_new();
			if (!span)
				break;
			note_idle();
		}
		span->used_at = now;
		stripe->pages[stripe->count++] = take_page(span);
	}
	pthread_mutex_unlock(&spans_mutex);
	/* The lowest page is taken first. */
	for (unsigned i = 0; i < stripe->count / 2; i++) {
		void *page = stripe->pages[i];
		stripe->pages[i] = stripe->pages[stripe->count - 1 - i];
		stripe->pages[stripe->count - 1 - i] = page;
	}
}

/* Under the stripe's mutex: give the `count` pages that were kept longest back to their spans. */
static void spill(struct stripe *stripe, unsigned count)
{
	struct span *empty = NULL;

	if (count == 0)
		return;
	pthread_mutex_lock(&spans_mutex);
	int64_t now = mfs__now();
	for (unsigned i = 0; i < count; i++) {
		struct span *span = span_of(stripe->pages[i]);
		size_t number = (size_t)((char *)stripe->pages[i] - (char *)span) / MFS__PAGE_SIZE;
		span->free[number / 64] |= UINT64_C(1) << (number % 64);
		span->used_at = now;
		/* Of a span that was trimmed, what is cold counts again. It will soon go once more. */
		count_idle(span->trimmed ? (int)span->free_count + 1 : 1);
		span->trimmed = false;
		if (span->free_count++ == 0)
			list_insert(span);
		if (span->free_count == SPAN_PAGES - 1) {
			count_idle(-(int)span->free_count);
			list_remove(span);
			span->next = empty;
			empty = span;
		}
	}
	note_idle();
	pthread_mutex_unlock(&spans_mutex);
	stripe->count -= count;
	memmove(stripe->pages, stripe->pages + count, stripe->count * sizeof(void *));
	while (empty) {
		struct span *next = empty->next;
		mfs__huge_put(empty);
		empty = next;
	}
}

void *mfs__page_alloc(void)
{
	struct stripe *stripe = &stripes[mfs__stripe()];
	void *page = NULL;

	if (mfs__alloc_must_fail())
		return NULL;
	pthread_mutex_lock(&stripe->mutex);
	if (mfs__unlikely(stripe->count == 0))
		refill(stripe);
	if (mfs__likely(stripe->count != 0))
		page = stripe->pages[--stripe->count];
	pthread_mutex_unlock(&stripe->mutex);
	if (page)
		mfs__alloc_count(1);
	return page;
}

void mfs__page_free(void *page)
{
	struct stripe *stripe = &stripes[mfs__stripe()];

	mfs__alloc_count(-1);
	pthread_mutex_lock(&stripe->mutex);
	if (mfs__unlikely(stripe->count == KEPT))
		spill(stripe, BATCH);
	stripe->pages[stripe->count++] = page;
	pthread_mutex_unlock(&stripe->mutex);
}

/* Under spans_mutex: give the runs of free pages back to the system. They stay free, and cold. */
static void trim_span(struct span *span)
{
	unsigned start = 1;

	for (unsigned page = 1; page <= SPAN_PAGES; page++) {
		if (page < SPAN_PAGES && (span->free[page / 64] >> (page % 64) & 1))
			continue;
		if (page - start >= RUN_PAGES)
			(void)madvise((char *)span + start * MFS__PAGE_SIZE, (page - start) * MFS__PAGE_SIZE,
						  MADV_DONTNEED);
		start = page + 1;
	}
	span->trimmed = true;
	count_idle(-(int)span->free_count);
}

void mfs__page_trim(bool all)
{
	if (all) {
		for (unsigned i = 0; i < MFS__STRIPES; i++) {
			pthread_mutex_lock(&stripes[i].mutex);
			spill(&stripes[i], stripes[i].count);
			pthread_mutex_unlock(&stripes[i].mutex);
		}
	}
	pthread_mutex_lock(&spans_mutex);
	int64_t before = INT64_MAX;
	if (!all)
		before = mfs__now() - atomic_load_explicit(&mfs__memory.idle_ns, memory_order_relaxed);
	unsigned trimmed = 0;
	bool more = false;
	for (struct span *span = spans; span; span = span->next) {
		if (span->trimmed)
			continue;
		if (span->used_at < before && (all || trimmed < TRIM_SPANS)) {
			trim_span(span);
			trimmed++;
		} else {
			more = true;
		}
	}
	atomic_store_explicit(&has_idle, more, memory_order_relaxed);
	pthread_mutex_unlock(&spans_mutex);
}

bool mfs__page_has_idle(void)
{
	return atomic_load_explicit(&has_idle, memory_order_relaxed);
}

uint64_t mfs__page_idle_bytes(void)
{
	return atomic_load_explicit(&idle_pages, memory_order_relaxed) * MFS__PAGE_SIZE;
}

#endif
