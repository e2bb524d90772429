/* SPDX-License-Identifier: MIT */
/*
 * Operations on one object, such as an open file, take turns in the order of their submission. Each
 * object that is in use has a line. The lines are found by a hash table of the operations that are
 * first in them, so that nothing is allocated. All of it is guarded by the context's mutex.
 */
#ifndef DMEMFS_ASYNC_TURN_H
#define DMEMFS_ASYNC_TURN_H

#include <stdbool.h>
#include <stddef.h>

struct mfs__async_operation;

/** A place in a line. */
struct mfs__async_turn {
	struct mfs__async_operation *operation;
	const void *object; /* NULL: not in a line */
	struct mfs__async_turn *ahead;
	struct mfs__async_turn *behind;
	/* Of the first in a line: */
	struct mfs__async_turn *last;      /* of the same line */
	struct mfs__async_turn *next_line; /* of the same bucket */
};

struct mfs__async_lines {
	struct mfs__async_turn **buckets;
	unsigned shift; /* 64 less the number of bits of a bucket's number */
};

/** Make room for the lines of so many operations. Returns false if there is no memory. */
bool mfs__async_lines_init(struct mfs__async_lines *lines, size_t operations);

void mfs__async_lines_destroy(struct mfs__async_lines *lines);

/** Get in line for an object, not NULL. Returns true if it is the operation's turn at once. */
bool mfs__async_turn_take(struct mfs__async_lines *lines, struct mfs__async_turn *turn,
						  struct mfs__async_operation *operation, const void *object);

/** Leave the line, from any place. Returns the turn that has come by it, or NULL. */
struct mfs__async_turn *mfs__async_turn_leave(struct mfs__async_lines *lines,
											  struct mfs__async_turn *turn);

#endif
