/* SPDX-License-Identifier: MIT */
/*
 * From a path to nodes.
 *
 * Two walks: the lock-free one, in which every call begins, and the locked one, in which a writer
 * looks again under the directory's mutex. The lock-free walk may only decide what the locked walk
 * could also have decided at some instant during the call.
 */
#ifndef MFS_TREE_LOOKUP_H
#define MFS_TREE_LOOKUP_H

#include "tree/directory.h"

/** Where a path leads. Valid inside the read-side section in which it was found. */
struct mfs__lookup {
	struct mfs__directory *parent; /* NULL for the root itself */
	struct mfs__name leaf;         /* in the path's text */
	struct mfs__node *node;        /* NULL: the parent has no such name */
	uint32_t renames;              /* of the node, when it got the name */
};

/**
 * Walk a path from `root`. To be called inside a read-side section; it may end that section and
 * begin another one, to fold a path with ".." or to take a directory's mutex that is contended.
 * `gated`: the caller is inside the gate (base/fork.h), which may not be entered twice.
 *
 * Errors: MFS_ENOENT (no parent), MFS_ENOTDIR (a parent is a file), MFS_EINVAL (above the root),
 * MFS_ENAMETOOLONG, MFS_ENOMEM.
 * Returns 0; the last component may be missing, then out->node is NULL.
 */
int mfs__lookup(struct mfs__directory *root, struct mfs__path *path, struct mfs__lookup *out,
				bool gated);

/**
 * The same, inside the gate, but a missing parent is no error: out->parent and out->leaf are then
 * the deepest directory that exists and the first name that it lacks, and *rest is what follows
 * that name.
 */
int mfs__lookup_missing(struct mfs__directory *root, struct mfs__path *path,
						struct mfs__lookup *out, struct mfs__path_cursor *rest);

#endif
