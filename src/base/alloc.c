/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"

#include "base/jemalloc.h"

#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#ifdef MFS_TEST_HOOKS

#include <stdatomic.h>

/* Atomic, any thread. */
static atomic_long fail_countdown;
static atomic_bool has_failed;
static atomic_long live_blocks;

void mfs__alloc_fail_after(long n)
{
	atomic_store_explicit(&has_failed, false, memory_order_relaxed);
	atomic_store_explicit(&fail_countdown, n, memory_order_relaxed);
}

bool mfs__alloc_failed(void)
{
	return atomic_load_explicit(&has_failed, memory_order_relaxed);
}

long mfs__alloc_live(void)
{
	return atomic_load_explicit(&live_blocks, memory_order_relaxed);
}

bool mfs__alloc_must_fail(void)
{
	if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) <= 0)
		return false;
	if (atomic_fetch_sub_explicit(&fail_countdown, 1, memory_order_relaxed) != 1)
		return false;
	atomic_store_explicit(&has_failed, true, memory_order_relaxed);
	return true;
}

void mfs__alloc_count(long change)
{
	atomic_fetch_add_explicit(&live_blocks, change, memory_order_relaxed);
}

#endif

void *mfs__alloc(size_t size)
{
	void *block;

	if (mfs__alloc_must_fail())
		return NULL;
	if (MFS__HAVE_JEMALLOC)
		block = mallocx(size, 0);
	else
		block = malloc(size);
	if (block)
		mfs__alloc_count(1);
	return block;
}

void *mfs__alloc_zeroed(size_t size)
{
	void *block = mfs__alloc(size);

	if (block)
		memset(block, 0, size);
	return block;
}

void *mfs__realloc(void *block, size_t old_size, size_t new_size)
{
	(void)old_size;
	if (mfs__alloc_must_fail())
		return NULL;
	if (MFS__HAVE_JEMALLOC)
		return rallocx(block, new_size, 0);
	return realloc(block, new_size);
}

void mfs__free(void *block, size_t size)
{
	if (!block)
		return;
	mfs__alloc_count(-1);
	if (MFS__HAVE_JEMALLOC)
		sdallocx(block, size, 0);
	else
		free(block);
}

void mfs__alloc_trim(void)
{
#if defined(__GLIBC__) && !MFS__SANITIZED
	if (!MFS__HAVE_JEMALLOC)
		(void)malloc_trim(0);
#endif
}

void *mfs__alloc_immortal(size_t alignment, size_t size)
{
	if (mfs__alloc_must_fail())
		return NULL;
	return aligned_alloc(alignment, size);
}

void mfs__free_immortal(void *block)
{
	free(block);
}

void *mfs__alloc_aligned(size_t alignment, size_t size)
{
	void *block = mfs__alloc_immortal(alignment, size);

	if (block)
		mfs__alloc_count(1);
	return block;
}

void mfs__free_aligned(void *block)
{
	if (!block)
		return;
	mfs__alloc_count(-1);
	free(block);
}
