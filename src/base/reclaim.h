/* SPDX-License-Identifier: MIT */
/*
 * Deferred freeing with a bound.
 *
 * What a writer has made unreachable it retires; one thread of the process, "mfs-reclaim", waits
 * for a grace period, after which it is freed, by that thread or at the end of a call. Retired
 * bytes are counted; only past the bound does a call wait for a grace period: whoever calls
 * mfs__reclaim_throttle() then does the thread's work, or waits for who is at it.
 *
 * The thread runs while there is a workspace. After a fork, the child starts its own when it first
 * needs it. Where no thread can be started, mfs__reclaim_throttle() does the thread's work.
 */
#ifndef MFS_BASE_RECLAIM_H
#define MFS_BASE_RECLAIM_H

#include "base/arena.h"

#include <stddef.h>
#include <stdint.h>

/** First member of everything that is retired. */
struct mfs__retired {
	struct mfs__retired *next; /* for mfs__retire(); until then for the object's owner */
	/* Constant after creation: of the block, and where it came from. */
	uint32_t size;
	uint32_t slot;
};

/**
 * A block that can be retired, of `size` bytes, at most UINT32_MAX: it starts with the struct
 * above, which is filled in. The rest is not cleared. Returns NULL when there is no memory.
 */
struct mfs__retired *mfs__retirable_new(struct mfs__arena *arena, size_t size);

/** Free such a block at once. */
void mfs__retirable_free(struct mfs__retired *retired);

/**
 * Free such a block after a grace period. It must be unreachable for readers that come now. Never
 * fails, does not block.
 */
void mfs__retire(struct mfs__retired *retired);

/**
 * Free what is ready, and hold the caller back while too many bytes are retired. To be called with
 * no lock held, outside read-side sections. A load or two when there is nothing to wait for.
 */
void mfs__reclaim_throttle(void);

/** See to it that the thread, if it sleeps, looks soon at what has to be freed after a time. */
void mfs__reclaim_nudge(void);

/** Give memory that is idle for long back to the system. The thread does it from time to time. */
void mfs__reclaim_trim(void);

/** Give idle blocks and pages back, however long they are idle. */
void mfs__reclaim_give_back(void);

/** Count in a user, a workspace: the first one starts the thread. */
void mfs__reclaim_begin(void);

/**
 * Count out a user. The last one frees all that is retired, ends the thread and waits for that.
 */
void mfs__reclaim_end(void);

/** Bytes retired and not freed, to within a few kilobytes a thread while others retire. */
uint64_t mfs__reclaim_pending(void);

/** To be called before fork() and after it, in parent and child. */
void mfs__reclaim_fork_prepare(void);
void mfs__reclaim_fork_parent(void);
void mfs__reclaim_fork_child(void);

#endif
