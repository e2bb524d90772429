/* SPDX-License-Identifier: MIT */
/*
 * The way from where a walk began down to where it is: a stack of pinned directories, what is left
 * to do in each, and the path of the last one.
 *
 * A walk finds each directory by its name in the one before, not by its path. So it goes on when
 * directories above are moved or removed, and no path is too long for it.
 *
 * How a walk ends. A step does one of the things that are left to do in the last directory, of
 * which there are finitely many, as they were copied at one instant; nothing is ever added. So a
 * walk without an end would have to go deeper and deeper. Each directory on the trail is another
 * one, since none is put there twice: however directories are moved, the trail is no longer than
 * there are directories. (Whoever makes new directories below the walk, one in the other, faster
 * than it comes down, keeps it busy until the limit of nodes or memory is reached, moves or not.)
 */
#ifndef MFS_FS_TRAIL_H
#define MFS_FS_TRAIL_H

#include "fs/listing.h"

/** A directory on the trail. */
struct mfs__trail_step {
	struct mfs__directory *directory; /* pinned */
	size_t path_length;               /* of its path; 0: the root */
	struct mfs__listing listing;
	/* What is left to do, in the walk's own terms: names in the listing, or in `extra`. */
	char **next;
	char **end;
	void *extra; /* a block of the walk's own, or NULL */
	size_t extra_size;
};

/** A trail. All zeros: an empty one, of the root. */
struct mfs__trail {
	struct mfs__trail_step *steps;
	size_t depth;
	size_t room;
	/* The directories on it, as a hash table of 0 or 2^k places. */
	struct mfs__directory **members;
	size_t member_room;
	char *path; /* "" is the root; not terminated */
	size_t path_length;
	size_t path_room;
};

/** Begin an empty trail at a path, which has no "..". Returns 0 or MFS_ENOMEM. */
int mfs__trail_begin(struct mfs__trail *trail, const struct mfs__path *path);

/** Take all steps back, with their pins, and free the trail. */
void mfs__trail_end(struct mfs__trail *trail);

/** Is the directory on the trail? */
bool mfs__trail_has(const struct mfs__trail *trail, const struct mfs__directory *directory);

/**
 * Put a step on the trail, of a directory that is not there: its path is that of the step before,
 * and the name (for the first step: nothing). The trail takes over pin, listing and extra block.
 *
 * Returns 0, or MFS_ENOMEM with all as it was.
 */
int mfs__trail_push(struct mfs__trail *trail, const struct mfs__trail_step *step, const char *name,
					size_t length);

/** Free what a step has that is not on a trail, or not any more, and its pin. */
void mfs__trail_drop(struct mfs__trail_step *step);

/** Take the last step back. */
void mfs__trail_pop(struct mfs__trail *trail);

/** The last step, or NULL. */
static inline struct mfs__trail_step *mfs__trail_last(const struct mfs__trail *trail)
{
	return trail->depth ? &trail->steps[trail->depth - 1] : NULL;
}

/** The path of the last step: "/" for the root. Valid until the trail changes. */
const char *mfs__trail_path(struct mfs__trail *trail);

#endif
