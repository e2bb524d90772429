/* SPDX-License-Identifier: MIT */
/*
 * All memory of the library comes through here.
 *
 * Where the process has jemalloc (linked by the program, or preloaded), its sized interface is
 * used, through weak references: a library that needed Debian's libjemalloc could not be loaded by
 * dlopen, for that uses static thread-local storage. Elsewhere, and in sanitizer builds, which see
 * only what they intercept, it is the C library's malloc.
 *
 * Builds with MFS_TEST_HOOKS count the blocks that are live and can make any allocation fail.
 */
#ifndef MFS_BASE_ALLOC_H
#define MFS_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/** `size` > 0 bytes, not cleared, aligned for any type. Returns NULL when there is no memory. */
void *mfs__alloc(size_t size);

/** mfs__alloc(), cleared. */
void *mfs__alloc_zeroed(size_t size);

/**
 * Change a block's size, keeping what fits; may move it. Both sizes > 0. Returns the block, or NULL
 * when there is no memory, with the old block as it was.
 */
void *mfs__realloc(void *block, size_t old_size, size_t new_size);

/** Free a block of mfs__alloc(), whose size must be told. NULL is allowed. */
void mfs__free(void *block, size_t size);

/**
 * Have the C library give back what it keeps of freed memory, where that is the allocator and knows
 * how to. Its time grows with the memory that the process has: after much was freed.
 */
void mfs__alloc_trim(void);

/** Blocks with an alignment of their own, for what wants cache lines to itself. Not cleared. */
void *mfs__alloc_aligned(size_t alignment, size_t size);
void mfs__free_aligned(void *block);

/**
 * Memory for things that stay until the process ends. Not among the live blocks that tests count.
 */
void *mfs__alloc_immortal(size_t alignment, size_t size);
void mfs__free_immortal(void *block);

#ifdef MFS_TEST_HOOKS
/** For allocators beside this one: must this allocation fail? Count a block in or out. */
bool mfs__alloc_must_fail(void);
void mfs__alloc_count(long change);

/** Let the n-th allocation from now on fail (1: the next one), once. 0: none. */
void mfs__alloc_fail_after(long n);
/** Returns true when an allocation has failed because of mfs__alloc_fail_after(). */
bool mfs__alloc_failed(void);
/** Blocks allocated and not freed. */
long mfs__alloc_live(void);
#else
static inline bool mfs__alloc_must_fail(void)
{
	return false;
}

static inline void mfs__alloc_count(long change)
{
	(void)change;
}
#endif

#endif
