/* SPDX-License-Identifier: MIT */
/*
 * What the calls that change the tree share.
 *
 * All follow one pattern. The lock-free walk finds the directories; they are pinned, the section
 * ends, their mutexes are taken (tree/tree.h, T3), the names are looked up again, everything that
 * can fail is done, and then the change is committed. Calls on trees claim them before that (T2).
 * What is freed or retired is seen to after the mutexes are given back. A call that finds the tree
 * other than its lookup did says MFS__AGAIN and tries once more.
 */
#ifndef MFS_FS_NAMESPACE_H
#define MFS_FS_NAMESPACE_H

#include "fs/filesystem.h"

/** Pin a node inside a read-side section. Returns false if it is unlinked. */
static inline bool mfs__pin(struct mfs__node *node)
{
	return mfs__node_acquire(node, MFS__REFS_PIN);
}

static inline void mfs__unpin(struct mfs__node *node)
{
	mfs__node_release(node, MFS__REFS_PIN);
}

static inline enum mfs__lookup_mode mfs__tries_mode(const struct mfs__tries *tries)
{
	return tries->exclusive ? MFS__LOOKUP_EXCLUSIVE : MFS__LOOKUP_GATED;
}

/** What a path names, and the directory that it is in: that is pinned, and what is named, too, if
 * it is a directory. */
struct mfs__entry {
	struct mfs__lookup found;
	struct mfs__directory *directory; /* NULL: a file */
};

/**
 * Find what is to be removed, inside the gate. Returns 0 with the pins, MFS__AGAIN, MFS_EINVAL (the
 * root), MFS_ENOENT, or as mfs__lookup().
 */
int mfs__entry_find(mfs *fs, struct mfs__path *path, const struct mfs__tries *tries,
					struct mfs__entry *entry);

/** Give the pins back. */
void mfs__entry_unpin(struct mfs__entry *entry);

/** Let go of a node that was unlinked and whose name was taken out: free what can be freed. The
 * counts stay. */
void mfs__bury_node(mfs *fs, struct mfs__dentry *dentry, bool data_stays);

/** The same, and count it out; so many bytes of metadata are given back. */
void mfs__bury(mfs *fs, struct mfs__dentry *dentry, bool data_stays, uint64_t bytes);

/** Directories one in the other, which no other thread can find. */
struct mfs__chain {
	struct mfs__directory *top;
	struct mfs__directory *last;
	uint64_t count;
	uint64_t bytes; /* of metadata, for all of them */
};

/**
 * Build the directories `leaf` and those that `rest` names; `parent` is to be the top's.
 *
 * Returns 0, or MFS_ENOMEM with a chain of all zeros.
 */
int mfs__chain_build(mfs *fs, struct mfs__directory *parent, const struct mfs__name *leaf,
					 struct mfs__path_cursor rest, struct mfs__chain *chain);

/** Remove a file, or an empty directory: mfs_remove_at() without the gate and the message. */
int mfs__remove(mfs *fs, struct mfs__path *path, unsigned flags);

#endif
