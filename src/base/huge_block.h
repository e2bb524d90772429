/* SPDX-License-Identifier: MIT */
/*
 * Blocks of 2 MiB, each on a huge page where the system gives one, for the bulk of large files.
 *
 * The first touch of fresh memory costs several times what copying into it does; with huge pages a
 * fraction of that, and with a block that was used a moment ago nothing. So freed blocks are kept
 * for a while: at most MFS__HUGE_IDLE_MAX of them, each for a second or two. The last workspace's
 * end gives all back.
 *
 * One mutex guards the idle blocks. It is taken once for 2 MiB of data.
 */
#ifndef MFS_BASE_HUGE_BLOCK_H
#define MFS_BASE_HUGE_BLOCK_H

#include <stdbool.h>
#include <stddef.h>

#define MFS__HUGE_SIZE ((size_t)2 << 20)
/** Idle blocks that are kept: 512 MiB. */
#define MFS__HUGE_IDLE_MAX 256

/** A block of MFS__HUGE_SIZE bytes, not cleared. Returns NULL when there is no memory. */
void *mfs__huge_alloc(void);

/** Free a block. */
void mfs__huge_free(void *block);

/** The same for allocators, which do not count as users: tests neither count nor fail them. */
void *mfs__huge_take(void);
void mfs__huge_put(void *block);

/** Give idle blocks back to the system: those that are idle for long, or all. */
void mfs__huge_trim(bool all);

/** Are there idle blocks? A hint. */
bool mfs__huge_has_idle(void);

#endif
