/* SPDX-License-Identifier: MIT */
/*
 * Fork: the child has no threads to carry operations out, and shares the descriptors with its
 * parent. So its contexts are orphans, which can be freed and nothing else. The mutexes of all
 * contexts are held across the fork, so that what there is to free is consistent.
 *
 * The order of locks: the list of contexts, then any number of contexts. Nothing waits with one of
 * them, and no call of the library is made.
 */
#ifndef DMEMFS_ASYNC_FORK_H
#define DMEMFS_ASYNC_FORK_H

#include <stdbool.h>

struct mfs_async;

/** What a context is linked by. Guarded by the mutex of the list. */
struct mfs__async_link {
	struct mfs_async *next;
	struct mfs_async *previous;
};

/** Let forks know of a context. Returns false if there is no memory for the handlers. */
bool mfs__async_enlist(struct mfs_async *context);

void mfs__async_delist(struct mfs_async *context);

#endif
