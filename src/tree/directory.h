/* SPDX-License-Identifier: MIT */
/*
 * The table of a directory: names to dentries, read without a lock.
 *
 *   D1  A lookup is one acquire of the table and one of the bucket. It runs inside a read-side
 *       section and writes nothing. Buckets and dentries are immutable; tables only have their
 *       slots replaced.
 *   D2  A change of one slot is atomic for lookups by itself. A change of more than one (a rename)
 *       makes the directory's seq odd before its first store and even after its last; a lookup that
 *       sees it odd, or changed, looks again.
 *   D3  Every change does the same with `version`, which is what listings compare.
 *   D4  A table of twice the size takes over the old buckets as they are, each for two slots; an
 *       entry counts for the slot that its hash points at. A lookup that still has the old table
 *       sees the names as they were when it was replaced, during the lookup.
 *   D5  Memory is allocated before the first store: a change that begins is carried out.
 *
 * Writers hold the directory's mutex from preparing a change until it is committed.
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
 * the directory has been removed.
 */
bool mfs__directory_lock(struct mfs__directory *directory);

/** The same for two directories, which may be one: the one nearer to the root first. */
bool mfs__directory_lock_pair(struct mfs__directory *a, struct mfs__directory *b);

void mfs__directory_unlock(struct mfs__directory *directory);
void mfs__directory_unlock_pair(struct mfs__directory *a, struct mfs__directory *b);

/** Has it been removed? Under its mutex the answer stays true. */
static inline bool mfs__directory_is_dead(struct mfs__directory *directory)
{
	return (atomic_load_explicit(&directory->node.refs, memory_order_relaxed) &
			MFS__REFS_UNLINKED) != 0;
}

/** A prepared change of one slot. All zeros: none. */
struct mfs__slot_change {
	struct mfs__directory *directory;
	uint32_t slot;
	struct mfs__bucket *bucket; /* the new one; NULL if the slot becomes empty */
	int64_t count;              /* names more, or less */
	int64_t name_bytes;
};

/**
 * Prepare to take up to two dentries, of the same slot, out of a directory and put one in. Any of
 * the three may be NULL. Call mfs__directory_make_room() first when something is put in.
 *
 * Returns 0 or MFS_ENOMEM.
 */
int mfs__directory_prepare(struct mfs__directory *directory, struct mfs__dentry *out1,
						   struct mfs__dentry *out2, struct mfs__dentry *in,
						   struct mfs__slot_change *change);

/** Forget a prepared change. */
void mfs__directory_abandon(struct mfs__slot_change *change);

/** Carry out one prepared change. Cannot fail. */
void mfs__directory_commit(struct mfs__slot_change *change);

/**
 * Carry out two prepared changes as one, of one directory or of two, whose mutexes are held: first
 * `in`, then `out`, so that even a torn view would show a name too many rather than none.
 */
void mfs__directory_commit_pair(struct mfs__slot_change *in, struct mfs__slot_change *out);

/** See to it that there is a table, and grow it if it is full and there is memory for that. */
void mfs__directory_make_room(struct mfs__directory *directory);

/** Do two names belong to the same slot? Under the mutex, after mfs__directory_make_room(). */
bool mfs__directory_same_slot(struct mfs__directory *directory, uint32_t hash1, uint32_t hash2);

/** Visit every dentry. Inside a read-side section or under the mutex; stops when `visit` says so.
 */
void mfs__directory_each(struct mfs__directory *directory,
						 bool (*visit)(void *user, struct mfs__dentry *dentry), void *user);

/** Retire, or free at once, the table and the buckets of a directory that nobody can enter. */
void mfs__directory_retire_table(struct mfs__directory *directory);
void mfs__directory_free_table(struct mfs__directory *directory);

/** Are table, buckets and counts as they should be? Under the mutex. */
bool mfs__directory_validate(struct mfs__directory *directory);

#endif
