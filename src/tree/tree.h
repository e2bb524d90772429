/* SPDX-License-Identifier: MIT */
/*
 * The tree as a whole: what makes moves of directories safe.
 *
 *   T1  A lookup that meets no move of a directory saw its path as it was at one instant: each step
 *       is atomic by itself, and a directory keeps its place. So a move makes `moves` odd before
 *       its first store and even after its last, and a lookup that sees it odd, or changed, walks
 *       again.
 *   T2  A directory is claimed by marking it under its mutex. Nobody else changes a claimed
 *       directory, nor any file's path in it. Whoever moves, copies or removes a tree, or changes
 *       several directories at once, claims them all, from the top down, and holds the mutex of
 *       claims from before the first until after the last: there is one claimer at a time, and who
 *       meets a claimed directory waits for that mutex.
 *   T3  A writer that has locked a directory goes on only if that is alive, not claimed, and no
 *       directory was moved since the path was looked up: then the path still leads there, and
 *       does until the mutex is given back.
 *
 * Order of locks: the mutex of claims, then the mutexes of directories in the order of their
 * addresses. Nobody waits for the mutex of claims under a directory's.
 */
#ifndef MFS_TREE_TREE_H
#define MFS_TREE_TREE_H

#include "tree/directory.h"

struct mfs__tree {
	/* Constant after creation. */
	struct mfs__directory *root;
	/* Serialises those who claim directories. Taken inside the gate (base/fork.h), with no
	 * directory locked. */
	pthread_mutex_t claims;
	/* Atomic, changed under `claims`: odd while a move of a directory is half done. A cache line of
	 * its own: every lookup reads it. */
	_Alignas(2 * MFS__CACHE_LINE) _Atomic uint64_t moves;
};

/** An empty tree. Returns 0 or MFS_ENOMEM. */
int mfs__tree_init(struct mfs__tree *tree, struct mfs__arena *arena);

/** Has a directory been moved since `moves` was read? */
static inline bool mfs__tree_has_moved(struct mfs__tree *tree, uint64_t moves)
{
	/* Relaxed: what was read of a half-done move brought its odd number with it. */
	return atomic_load_explicit(&tree->moves, memory_order_relaxed) != moves;
}

/**
 * Take the mutex of a pinned directory to change it, as T3 says; `moves` is the lookup's. Returns
 * false, without the mutex, if the path has to be looked up again.
 */
bool mfs__tree_lock(struct mfs__tree *tree, struct mfs__directory *directory, uint64_t moves);

/** The same for two directories, which may be one. */
bool mfs__tree_lock_pair(struct mfs__tree *tree, struct mfs__directory *a, struct mfs__directory *b,
						 uint64_t moves);

/** Begin and end a move. The caller has the mutex of claims. */
void mfs__tree_begin_move(struct mfs__tree *tree);
void mfs__tree_end_move(struct mfs__tree *tree);

/** Is `directory` below `top`, or `top` itself? The caller has the mutex of claims, and is inside a
 * read-side section or has both pinned and alive. */
bool mfs__tree_is_below(struct mfs__directory *directory, struct mfs__directory *top);

/**
 * A call's tries. The first ones follow each other at once, later ones let other threads run, and
 * at last the mutex of claims is held for the length of a try, so that moves of directories
 * elsewhere cannot keep a call from its end for ever.
 */
struct mfs__tries {
	struct mfs__tree *tree;
	unsigned count;
	bool exclusive; /* the mutex of claims is held */
};

/** Before another try. The gate is entered, nothing is locked but what mfs__tries says. */
void mfs__tries_again(struct mfs__tries *tries);

/** Hold the mutex of claims from now on. */
void mfs__tries_exclusive(struct mfs__tries *tries);

/** Give the mutex of claims back, if it is held. */
void mfs__tries_end(struct mfs__tries *tries);

#endif
