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

#include "tree/tree.h"

/** Where a path leads. Valid inside the read-side section in which it was found. */
struct mfs__lookup {
	struct mfs__directory *parent; /* NULL for the root itself, or the start */
	struct mfs__name leaf;         /* in the path's text */
	struct mfs__node *node;        /* NULL: the parent has no such name */
	struct mfs__dentry *dentry;    /* by which the node was found; NULL likewise */
	uint64_t moves;                /* the tree's count, at the instant that all this was so */
	bool is_renewed;               /* the section was ended meanwhile, and another one begun */
};

/** What the caller of a lookup has already. */
enum mfs__lookup_mode {
	MFS__LOOKUP_UNGATED,   /* nothing */
	MFS__LOOKUP_GATED,     /* it is inside the gate (base/fork.h), which may not be entered twice */
	MFS__LOOKUP_EXCLUSIVE, /* and has the mutex of claims: no directory moves */
};

/**
 * Walk a path from the root, or from the node at which it starts; where that is what the path
 * names, there is no parent and no dentry, as for the root. To be called inside a read-side
 * section; it may end that section and begin another one, to fold a path with "..", or to take a
 * mutex because changes keep coming in between.
 *
 * Errors: MFS_ENOENT (no parent, a start that was removed), MFS_ENOTDIR (a parent is a file),
 * MFS_EINVAL (above the root), MFS_ENAMETOOLONG, MFS_ENOMEM. Returns 0; the last component may be
 * missing, then out->node is NULL.
 */
int mfs__lookup(struct mfs__tree *tree, struct mfs__path *path, struct mfs__lookup *out,
				enum mfs__lookup_mode mode);

/**
 * The same, but a missing parent is no error: out->parent and out->leaf are then the deepest
 * directory that exists and the first name that it lacks, and *rest is what follows that name.
 */
int mfs__lookup_missing(struct mfs__tree *tree, struct mfs__path *path, struct mfs__lookup *out,
						struct mfs__path_cursor *rest, enum mfs__lookup_mode mode);

#endif
