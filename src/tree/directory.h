/* SPDX-License-Identifier: MIT */
/*
 * The table of a directory: names to dentries, read without a lock.
 *
 *   D1  A lookup is one acquire of the table and one of the bucket. It runs inside a read-side
 *       section and writes nothing. Buckets and dentries are immutable; tables only have their
 *       slots replaced.
 *   D2  A change of one slot is atomic for lookups by itself. A change of more than one, in one
 *       directory or in several, makes the seq of each directory odd before its first store and
 *       even after its last; a lookup that sees it odd, or changed, looks again.
 *   D3  Every change does the same with `version`, which is what listings compare.
 *   D4  A table of twice the size takes over the old buckets as they are, each for two slots; an
 *       entry counts for the slot that its hash points at. A lookup that still has the old table
 *       sees the names as they were when it was replaced, during the lookup.
 *   D5  Memory is allocated before the first store: a change that begins is carried out.
 *
 * Writers hold the directory's mutex from preparing a change until it is committed, or have
 * claimed it (tree/tree.h).
 */
#ifndef MFS_TREE_DIRECTORY_H
#define MFS_TREE_DIRECTORY_H

#include "tree/node.h"

/** What a lookup found. */
enum mfs__find_result {
	MFS__FIND_ABSENT,
	MFS__FIND_PRESENT,
	MFS__FIND_CONTENDED, /* a change was under way again and again: take the mutex and look */
};

/** Look a name up, inside a read-side section. A bounded number of tries. */
enum mfs__find_result mfs__directory_find(struct mfs__directory *directory,
										  const struct mfs__name *name,
										  struct mfs__dentry **dentry);

/** Look a name up under the mutex. Returns NULL if there is none. */
struct mfs__dentry *mfs__directory_find_locked(struct mfs__directory *directory,
											   const struct mfs__name *name);

/**
 * Take the mutex of a directory that the caller has pinned. Returns false, without the mutex, when
 * the directory has been removed or is claimed.
 */
bool mfs__directory_lock(struct mfs__directory *directory);

/**
 * The same, to read it: waits while it is claimed. Returns false, without the mutex, when it has
 * been removed. Not for claimers, nor under other mutexes.
 */
bool mfs__directory_lock_to_read(struct mfs__directory *directory);

/** mfs__directory_lock() for two directories, which may be one, in the order of their addresses. */
bool mfs__directory_lock_pair(struct mfs__directory *a, struct mfs__directory *b);

/** Take the mutex of a directory that no other thread can find: whatever else is locked, nobody can
 * be waited for. */
void mfs__directory_lock_unseen(struct mfs__directory *directory);

void mfs__directory_unlock(struct mfs__directory *directory);
void mfs__directory_unlock_pair(struct mfs__directory *a, struct mfs__directory *b);

/**
 * Claim a pinned directory, or one in a claimed directory. The caller has the mutex of claims.
 * Returns false if it has been removed.
 */
bool mfs__directory_claim(struct mfs__directory *directory);

/** Claim a directory whose mutex the caller has taken. */
void mfs__directory_claim_locked(struct mfs__directory *directory);

/** End a claim. */
void mfs__directory_unclaim(struct mfs__directory *directory);

/** Has it been removed? Under its mutex the answer stays true. */
static inline bool mfs__directory_is_dead(struct mfs__directory *directory)
{
	return mfs__node_is_unlinked(&directory->node);
}

/** A name that is to go, or to come: one of the two. */
struct mfs__edit {
	struct mfs__dentry *out;
	struct mfs__dentry *in;
	uint32_t slot; /* found by preparing */
};

/** A slot's next bucket. */
struct mfs__slot_change {
	uint32_t slot;
	struct mfs__bucket *bucket; /* NULL if the slot becomes empty */
};

/** So many slots' changes need no memory of their own. */
#define MFS__FEW_SLOTS 4

/** A prepared change of one directory. All zeros: none. */
struct mfs__change {
	struct mfs__directory *directory;
	int64_t count; /* names more, or less */
	int64_t name_bytes;
	uint32_t slots;
	uint32_t room;
	struct mfs__slot_change *many; /* if there are more than few */
	struct mfs__slot_change few[MFS__FEW_SLOTS];
};

/**
 * Prepare to take names out of a directory and put others in, in any number, which must all differ
 * once what goes is gone; new memory comes from the arena. Reorders the edits. May let the table
 * grow, which is no change to anyone.
 *
 * Returns 0, or MFS_ENOMEM with nothing prepared.
 */
int mfs__directory_prepare(struct mfs__arena *arena, struct mfs__directory *directory,
						   struct mfs__edit *edits, size_t count, struct mfs__change *change);

/** Forget a prepared change, if it is one. */
void mfs__directory_abandon(struct mfs__change *change);

/**
 * Carry out prepared changes of different directories as one. Those that are all zeros are left
 * out. Cannot fail.
 */
void mfs__directory_commit(struct mfs__change *changes, size_t count);

/**
 * Put a name into a directory that no other thread can find. What that replaces is freed at once.
 *
 * Returns 0 or MFS_ENOMEM.
 */
int mfs__directory_add(struct mfs__arena *arena, struct mfs__directory *directory,
					   struct mfs__dentry *dentry);

/** Visit every dentry. Inside a read-side section or under the mutex; stops when `visit` says so.
 */
void mfs__directory_each(struct mfs__directory *directory,
						 bool (*visit)(void *user, struct mfs__dentry *dentry), void *user);

/**
 * The table of a directory as of one instant: pointers to its buckets, which do not change. Whoever
 * has copied these can read the names after the instant, inside the same read-side section.
 */
struct mfs__table;

/** Bytes that an image of the directory takes now, and later at least as long as it does not grow.
 */
size_t mfs__directory_image_size(struct mfs__directory *directory);

/**
 * Copy the table to `image`, which has `size` bytes. Inside a read-side section; it is an image of
 * one instant if the directory's version is even and the same before and after, or the mutex is
 * held. Returns false, with nothing copied, if there is no room for it.
 */
bool mfs__directory_image(struct mfs__directory *directory, struct mfs__table *image, size_t size);

/** mfs__directory_each() for an image. */
void mfs__image_each(struct mfs__table *image,
					 bool (*visit)(void *user, struct mfs__dentry *dentry), void *user);

/** Retire, or free at once, the table and the buckets of a directory that nobody can enter. */
void mfs__directory_retire_table(struct mfs__directory *directory);
void mfs__directory_free_table(struct mfs__directory *directory);

/** Are table, buckets and counts as they should be? Under the mutex. */
bool mfs__directory_validate(struct mfs__directory *directory);

#endif
