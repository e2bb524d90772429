/* SPDX-License-Identifier: MIT */
/*
 * Pages of 4 KiB out of huge blocks, for the chunks that every file of more than 2 KiB has.
 *
 * A general allocator treats a page as a thing of its own, and each thread's pages go back to where
 * that thread got them from. Here pages of all threads come from the same warm huge blocks, which
 * take one entry of the processor's address cache for 512 pages.
 *
 *   stripe  keeps some pages, under a mutex that only its threads take
 *   span    a huge block: a header in its first page, which says which of the others are free
 *
 * A span whose pages are all free goes back to the huge blocks. What is free in a span that has
 * been left alone for a while goes back to the system, in runs of 64 KiB and more.
 */
#ifndef MFS_BASE_PAGE_POOL_H
#define MFS_BASE_PAGE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MFS__PAGE_SIZE ((size_t)4096)

/** A page, not cleared. Returns NULL when there is no memory. */
void *mfs__page_alloc(void);

/** Free a page. */
void mfs__page_free(void *page);

/**
 * Give idle memory back to the system; with `all`, however short it has been idle, and what stripes
 * keep. That leaves nothing when no page is in use.
 */
void mfs__page_trim(bool all);

/** Is there memory that mfs__page_trim() may give back, now or later? A hint. */
bool mfs__page_has_idle(void);

/** Bytes of free pages that were not given back, but for those that stripes keep. */
uint64_t mfs__page_idle_bytes(void);

#endif
