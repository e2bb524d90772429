/* SPDX-License-Identifier: MIT */
/*
 * Trees under construction, and how they come into the workspace: all at one instant.
 *
 * A staged tree is made of the same nodes as the live one, but no thread can find it. Its top
 * stands for the root. Committing merges it: what the workspace lacks is attached as it is,
 * directories that exist stay, files that exist are replaced.
 *
 * Every function is called inside the gate (base/fork.h), and between two stays inside it the
 * staged tree is consistent: a child of fork() abandons what threads that it does not have had
 * staged. So data may be read into a staged file's chunks outside the gate, but lists, sizes and
 * tables only change inside.
 */
#ifndef MFS_FS_STAGING_H
#define MFS_FS_STAGING_H

#include "fs/filesystem.h"

/** A tree under construction. Several threads may work on it, each directory by one at a time. */
struct mfs__staging {
	mfs *fs;
	struct mfs__directory *top;
	/* Atomic, any of its threads: nodes in it, the top not counted. */
	_Atomic uint64_t files;
	_Atomic uint64_t directories;
	_Atomic uint64_t bytes; /* likewise: of metadata, for these nodes */
	/* The list of all stagings of the process, under its mutex. */
	struct mfs__staging *next;
	struct mfs__staging **link;
};

/** Begin an empty tree. Returns 0 or MFS_ENOMEM. */
int mfs__staging_begin(struct mfs__staging *staging, mfs *fs);

/**
 * Find or make a directory in a staged one.
 *
 * Errors: MFS_ENOTDIR (a file is there), MFS_ENOMEM. Returns 0.
 */
int mfs__staging_mkdir(struct mfs__staging *staging, struct mfs__directory *parent,
					   const struct mfs__name *name, struct mfs__directory **out);

/**
 * Make an empty file in a staged directory, to be filled with no lock held. Its generation is 0
 * and stays so.
 *
 * Errors: MFS_EEXIST (a file is there), MFS_EISDIR, MFS_ENOMEM. Returns 0.
 */
int mfs__staging_file(struct mfs__staging *staging, struct mfs__directory *parent,
					  const struct mfs__name *name, struct mfs__file **out);

/**
 * Make a staged, empty file `size` bytes long, charged as exactly as a closed file. Its bytes are
 * the caller's to fill.
 *
 * Errors, noted: MFS_EQUOTA, MFS_EMEMGUARD, MFS_ENOMEM, MFS_EFBIG. Returns 0.
 */
int mfs__staging_make_room(struct mfs__staging *staging, struct mfs__file *file, uint64_t size);

/**
 * Merge the tree into the workspace, at one instant. Locks, and reserves nodes and metadata.
 *
 * Errors: MFS_EISDIR, MFS_ENOTDIR (kinds differ), MFS_EBUSY (a handle holds a file that would be
 * replaced), MFS_ENODES, MFS_EQUOTA, MFS_EMEMGUARD, MFS_ENOMEM: noted for `call`, with the path
 * where there is one. Then the workspace is as it was, and so is the staged tree. Returns 0, and
 * the staging is over.
 */
int mfs__staging_commit(struct mfs__staging *staging, const char *call);

/** For fs/merge.c: the tree is the workspace's now. */
void mfs__staging_end(struct mfs__staging *staging);

/** Free the tree with its data. */
void mfs__staging_abandon(struct mfs__staging *staging);

/** In the child of a fork: abandon all that is staged. */
void mfs__staging_fork_child(void);

#endif
