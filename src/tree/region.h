/* SPDX-License-Identifier: MIT */
/*
 * A directory and all that is below it, claimed: frozen until it is released or removed.
 *
 * Claimed from the top down, one mutex at a time. A claimed directory accepts no change, so what is
 * below it stays; when the last one is claimed, the region is as it was at that instant, and stays
 * so. The directories are linked through what retiring will use.
 */
#ifndef MFS_TREE_REGION_H
#define MFS_TREE_REGION_H

#include "tree/tree.h"

struct mfs__region {
	struct mfs__directory *first; /* the top; NULL: nothing is claimed */
	struct mfs__directory *last;
	uint64_t directories;
	uint64_t files;
	bool with_files; /* the files are claimed, too */
};

/**
 * Claim a directory that the caller has pinned, all below it, and, where `with_files`, each file.
 * The caller has the mutex of claims. Linear.
 *
 * Errors: MFS_EBUSY (a handle holds a file), MFS_ENOENT (the directory has been removed). Nothing
 * is claimed then. Returns 0.
 */
int mfs__region_claim(struct mfs__region *region, struct mfs__directory *top, bool with_files);

/** End the claims; the files came to another path, if `moved`. */
void mfs__region_release(struct mfs__region *region, bool moved);

/** The next directory of a region, each after the one that it is in. NULL after the last. */
static inline struct mfs__directory *mfs__region_next(struct mfs__directory *directory)
{
	return directory->retired.next
			   ? mfs__container_of(directory->retired.next, struct mfs__directory, retired)
			   : NULL;
}

#endif
