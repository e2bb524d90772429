/* SPDX-License-Identifier: MIT */
/*
 * One directory, found and read: what listdir, the directory iterator, walks and glob share.
 *
 * The names of a listing are those of one instant. The read-side section in which they are copied
 * neither allocates nor blocks; they are sorted after it.
 */
#ifndef MFS_FS_LISTING_H
#define MFS_FS_LISTING_H

#include "fs/filesystem.h"

/** What mfs_names_free() frees: an array of names, and behind it their text. */
struct mfs__names_block {
	size_t size;
	char *names[];
};

/** What a listing holds. */
enum mfs__listing_kind {
	MFS__LIST_NAMES, /* names in one array */
	MFS__LIST_SPLIT, /* those of directories apart from those of files */
	MFS__LIST_INFO,  /* names in one array, each with mfs__listing_info() */
};

/** A listing. All zeros: none. */
struct mfs__listing {
	struct mfs__names_block *block;
	char **names; /* with MFS__LIST_SPLIT those of directories, else all */
	size_t count;
	char **files; /* with MFS__LIST_SPLIT */
	size_t file_count;
};

/**
 * Find the directory of a path and pin it, outside the gate and outside read-side sections. May
 * fold the path.
 *
 * Errors: MFS_ENOENT, MFS_ENOTDIR, MFS_EINVAL, MFS_ENAMETOOLONG, MFS_ENOMEM.
 * Returns 0 and the directory in *out, to be given to mfs__directory_unpin().
 */
int mfs__directory_at(mfs *fs, struct mfs__path *path, struct mfs__directory **out);

/**
 * Find a name in a pinned directory, likewise.
 *
 * Errors: MFS_ENOENT (no such name, or the directory itself has been removed).
 * Returns 0, and in *out the directory of that name, pinned, or NULL if it is a file's name.
 */
int mfs__directory_child(struct mfs__directory *parent, const struct mfs__name *name,
						 struct mfs__directory **out);

/**
 * Give a pin back. Inside the gate, which it enters: the last pin of a directory that was removed
 * retires it and its table, and a forked child must find both retired or neither.
 */
void mfs__directory_unpin(struct mfs__directory *directory);

/**
 * Read the names of a pinned directory, in no order. Takes no lock unless the directory changes
 * again and again.
 *
 * Returns 0 and the listing in *out, to be freed, MFS_ENOMEM, or MFS__AGAIN if the directory has
 * been removed; *out is then all zeros.
 */
int mfs__listing_read(struct mfs__directory *directory, enum mfs__listing_kind kind,
					  struct mfs__listing *out);

/** Sort the names, or those of directories and those of files. Returns 0 or MFS_ENOMEM. */
int mfs__listing_sort(struct mfs__listing *listing);

/**
 * Read and sort the names of a path's directory, as they were at an instant at which the path,
 * which starts at a pinned node or, for NULL, at the root, led there.
 *
 * Errors: as mfs_listdir(). Returns 0 and the listing in *out, to be freed.
 */
int mfs__listing_of(mfs *fs, struct mfs__node *start, const char *text, enum mfs__listing_kind kind,
					struct mfs__listing *out);

/** Free a listing. It is then all zeros. */
void mfs__listing_free(struct mfs__listing *listing);

/** What was known of a name of MFS__LIST_INFO. */
static inline const mfs_info *mfs__listing_info(const char *name)
{
	return (const mfs_info *)(const void *)name - 1;
}

/** What mfs_stat() says of a node. Inside a read-side section, or with a pin. */
static inline mfs_info mfs__info_of(struct mfs__node *node)
{
	struct mfs__attributes attributes = mfs__node_attributes(node);

	return (mfs_info){
		.size = (int64_t)attributes.size,
		.created_at = node->created_at,
		.modified_at = attributes.modified_at,
		.generation = attributes.generation,
		.is_dir = node->is_dir,
		.inode = mfs__node_inode(node),
	};
}

#endif
