/* SPDX-License-Identifier: MIT */
/*
 * Operations in a queue that have deadlines, the earliest one first: a heap, so that to find those
 * whose time is over takes as long with many that never give up as with none. Guarded by the
 * context's mutex.
 */
#ifndef DMEMFS_ASYNC_DEADLINES_H
#define DMEMFS_ASYNC_DEADLINES_H

#include <stdbool.h>
#include <stddef.h>

struct mfs__async_operation;

struct mfs__async_deadlines {
	struct mfs__async_operation **heap; /* from 1 on, so that 0 is no place in it */
	size_t count;
};

/** Make room for so many operations. Returns false if there is no memory. */
bool mfs__async_deadlines_init(struct mfs__async_deadlines *deadlines, size_t operations);

void mfs__async_deadlines_destroy(struct mfs__async_deadlines *deadlines);

/** Add an operation. One that has no deadline is left out. */
void mfs__async_deadlines_add(struct mfs__async_deadlines *deadlines,
							  struct mfs__async_operation *operation);

/** Take an operation out, if it is there. */
void mfs__async_deadlines_drop(struct mfs__async_deadlines *deadlines,
							   struct mfs__async_operation *operation);

/** Returns the operation with the earliest deadline, or NULL. */
struct mfs__async_operation *
mfs__async_deadlines_first(const struct mfs__async_deadlines *deadlines);

#endif
