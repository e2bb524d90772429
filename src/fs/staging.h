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

/** A tree under construction. Several threads may work on it, each directory by one at a time, or
 * one thread on all of it, by paths. */
struct mfs__staging {
	mfs *fs;
	struct mfs__directory *top;
	/* Atomic, any of its threads: nodes in it, the top not counted. */
	_Atomic uint64_t files;
	_Atomic uint64_t directories;
	_Atomic uint64_t bytes; /* likewise: of metadata, for these nodes */
	bool is_listed; /* constant; if not, it lasts longer than a call, also in the child of a fork */
	/* The list of all stagings that last as long as a call, under its mutex. */
	struct mfs__staging *next;
	struct mfs__staging **link;
};

/** Begin an empty tree, which a forked child abandons, or keeps. Returns 0 or MFS_ENOMEM. */
int mfs__staging_begin(struct mfs__staging *staging, mfs *fs, bool keeps_in_child);

/** Where a path leads to in a staged tree. */
struct mfs__staged_place {
	struct mfs__directory *parent; /* the last directory on the way that is there */
	struct mfs__dentry *found;     /* what the path names; NULL: nothing, or the root */
	struct mfs__name missing;      /* the first name that is not there; no text: none */
	struct mfs__path_cursor rest;  /* those behind it */
	struct mfs__name leaf;         /* the path's last name; no text: the root */
	uint64_t count;                /* of names that are not there */
	uint64_t bytes;                /* of metadata, for those above the leaf */
};

/**
 * Find a path. It stays the caller's, and must stay while the place is used.
 *
 * Errors: MFS_ENOTDIR (a file is on the way), MFS_EINVAL, MFS_ENAMETOOLONG, MFS_ENOMEM. Returns 0.
 */
int mfs__staging_find(struct mfs__staging *staging, struct mfs__path *path,
					  struct mfs__staged_place *place);

/**
 * May so many nodes more be staged, with so many bytes of metadata? No tree is built that the
 * workspace's limits can never take. Returns 0, or MFS_ENODES or MFS_EQUOTA, noted.
 */
int mfs__staging_admit(struct mfs__staging *staging, uint64_t nodes, uint64_t bytes);

/** The same of all that a place lacks, the leaf being a directory or a file. */
int mfs__staging_admit_at(struct mfs__staging *staging, const struct mfs__staged_place *place,
						  bool is_dir);

/**
 * Put a new node, with the leaf's name, where the path leads, and the directories that are missing
 * above it. Returns 0, or MFS_ENOMEM: nothing has changed then, and the node is the caller's.
 */
int mfs__staging_attach(struct mfs__staging *staging, const struct mfs__staged_place *place,
						struct mfs__node *node);

/**
 * Make a directory by its path, and those above it. Errors: as mfs__staging_find() and
 * mfs__staging_admit(), MFS_ENOTDIR (a file is there). Returns 0.
 */
int mfs__staging_make_path(struct mfs__staging *staging, struct mfs__path *path);

/**
 * Find or make a directory in a staged one.
 *
 * Errors: MFS_ENOTDIR (a file is there), MFS_ENOMEM, those of mfs__staging_admit(). Returns 0.
 */
int mfs__staging_mkdir(struct mfs__staging *staging, struct mfs__directory *parent,
					   const struct mfs__name *name, struct mfs__directory **out);

/**
 * Make an empty file in a staged directory, to be filled with no lock held. Its generation is 0
 * and stays so.
 *
 * Errors: MFS_EEXIST (a file is there), MFS_EISDIR, MFS_ENOMEM, those of mfs__staging_admit().
 * Returns 0.
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
 * `flags`: 0, MFS_IMPORT_NEW or MFS_IMPORT_KEEP.
 *
 * Errors: MFS_EISDIR, MFS_ENOTDIR (kinds differ), MFS_EEXIST (MFS_IMPORT_NEW), MFS_EBUSY (a handle
 * holds a file that would be replaced), MFS_ENODES, MFS_EQUOTA, MFS_EMEMGUARD, MFS_ENOMEM: noted
 * for `call`, with the path where there is one. Then the workspace is as it was, and so is the
 * staged tree. Returns 0, and how many files have come in in *files; the staging is over.
 */
int mfs__staging_commit(struct mfs__staging *staging, const char *call, unsigned flags,
						uint64_t *files);

/** For fs/merge.c: the tree is the workspace's now. */
void mfs__staging_end(struct mfs__staging *staging);

/** Free the tree with its data. */
void mfs__staging_abandon(struct mfs__staging *staging);

/** In the child of a fork: abandon all that is staged. */
void mfs__staging_fork_child(void);

#endif
