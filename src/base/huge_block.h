/* SPDX-License-Identifier: MIT */
/*
 * Blocks of 2 MiB, each on a huge page where the system gives one, for the bulk of large files.
 *
 * The first touch of fresh memory costs several times what copying into it does; with huge pages a
 * fraction of that, and with a block that was used a moment ago nothing. So freed blocks are kept
 * for a while: as many and as long as base/memory.h says, which is 512 MiB and a second or two. The
 * last workspace's end gives all back.
 *
 * One mutex guards the idle blocks. It is taken once for 2 MiB of data.
 */
#ifndef MFS_BASE_HUGE_BLOCK_H
#define MFS_BASE_HUGE_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MFS__HUGE_SIZE ((size_t)2 << 20)

/** A block of MFS__HUGE_SIZE bytes, not cleared. Returns NULL when there is no memory. */
void *mfs__huge_alloc(void);

/** Free a block. */
void mfs__huge_free(void *block);

/** The same for allocators, which do not count as users: tests neither count nor fail them. */
void *mfs__huge_take(void);
void mfs__huge_put(void *block);

/** Give idle blocks back to the system: those that are idle for long or too many, or all. */
void mfs__huge_trim(bool all);

/** Are there idle blocks? A hint. */
bool mfs__huge_has_idle(void);

/** Bytes of idle blocks. */
uint64_t mfs__huge_idle_bytes(void);

/**
 * Fresh memory of the system at a multiple of `alignment`, a power of two and at least a page; with
 * `huge`, on huge pages if the process wants them. To be given back by munmap(). Returns NULL when
 * there is no memory.
 */
void *mfs__map_aligned(size_t size, size_t alignment, bool huge);

#endif
