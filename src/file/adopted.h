/* SPDX-License-Identifier: MIT */
/*
 * Buffers that callers hand over: chunks lie in them, and whoever lets go of the last one of these
 * sees to it that the caller's function is told.
 *
 *   D1  Each chunk in a buffer has a share of its own (file/chunk_share.h) with MFS__SHARE_ADOPTED,
 *       whose owner is the buffer. The buffer counts the shares that have not ended.
 *   D2  The caller's function is never called under a lock: buffers that have ended wait in a list
 *       of the thread, until that calls mfs__adopted_release() at the end of its call.
 */
#ifndef MFS_FILE_ADOPTED_H
#define MFS_FILE_ADOPTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs__adopted;

/** What mfs_release is in the public interface. */
typedef void mfs__adopted_function(void *user, void *buffer, size_t length);

/**
 * Begin to use a buffer, with one use: the caller's. `release` may be NULL. Returns NULL when there
 * is no memory.
 */
struct mfs__adopted *mfs__adopted_new(void *buffer, size_t length, mfs__adopted_function *release,
									  void *user);

/**
 * Forget a buffer of which no chunk was made, and do not tell its owner.
 */
void mfs__adopted_forget(struct mfs__adopted *adopted);

/** Make room for the owners of shares up to `share`. Returns false when there is no memory. */
bool mfs__adopted_room(uint32_t share);

/** Count in a use: the bytes of `share`, which nobody else knows yet. There is room for it. */
void mfs__adopted_use(struct mfs__adopted *adopted, uint32_t share);

/** The last holder of `share` is gone: count out its use. */
void mfs__adopted_share_ended(uint32_t share);

/** Count out a use. The last one puts the buffer in the thread's list. */
void mfs__adopted_drop(struct mfs__adopted *adopted);

/** Tell the owners of the buffers in the thread's list. With no lock held. */
void mfs__adopted_release_all(void);

/** Are there any? */
extern _Thread_local struct mfs__adopted *mfs__adopted_ended;

static inline void mfs__adopted_release(void)
{
	if (__builtin_expect(mfs__adopted_ended != NULL, 0))
		mfs__adopted_release_all();
}

#endif
