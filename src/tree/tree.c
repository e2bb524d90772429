/* SPDX-License-Identifier: MIT */
#include "tree/tree.h"

#include "base/clock.h"

#include <dmemfs/dmemfs.h>

#include <sched.h>

/* So often a call tries before it lets moves of directories wait for it. */
#define TRIES 32

int mfs__tree_init(struct mfs__tree *tree, struct mfs__arena *arena)
{
	struct mfs__name no_name = {"", 0, 0};

	tree->root = mfs__directory_new(arena, &no_name, NULL, mfs__timestamp());
	if (!tree->root)
		return MFS_ENOMEM;
	atomic_init(&tree->moves, 0);
	return pthread_mutex_init(&tree->claims, NULL) ? MFS_ENOMEM : 0;
}

bool mfs__tree_lock(struct mfs__tree *tree, struct mfs__directory *directory, uint64_t moves)
{
	return mfs__tree_lock_pair(tree, directory, directory, moves);
}

bool mfs__tree_lock_pair(struct mfs__tree *tree, struct mfs__directory *a, struct mfs__directory *b,
						 uint64_t moves)
{
	if (!mfs__directory_lock_pair(a, b))
		return false;
	/* A move claims what it moves under the mutex that is held now: it is over, or begins later. */
	if (mfs__likely(!mfs__tree_has_moved(tree, moves)))
		return true;
	mfs__directory_unlock_pair(a, b);
	return false;
}

void mfs__tree_begin_move(struct mfs__tree *tree)
{
	uint64_t moves = atomic_load_explicit(&tree->moves, memory_order_relaxed);

	/* Relaxed: the publications that follow carry it with them. */
	atomic_store_explicit(&tree->moves, moves + 1, memory_order_relaxed);
}

void mfs__tree_end_move(struct mfs__tree *tree)
{
	uint64_t moves = atomic_load_explicit(&tree->moves, memory_order_relaxed);

	/* pairs with the first load of a lookup */
	atomic_store_explicit(&tree->moves, moves + 1, memory_order_release);
}

bool mfs__tree_is_below(struct mfs__directory *directory, struct mfs__directory *top)
{
	for (; directory; directory = directory->parent)
		if (directory == top)
			return true;
	return false;
}

void mfs__tries_again(struct mfs__tries *tries)
{
	if (++tries->count >= TRIES)
		mfs__tries_exclusive(tries);
	if (tries->count < 4 || tries->exclusive) {
		sched_yield();
		return;
	}
	/* Whoever has claimed what this call wants is through when the mutex is free. */
	pthread_mutex_lock(&tries->tree->claims);
	pthread_mutex_unlock(&tries->tree->claims);
}

void mfs__tries_exclusive(struct mfs__tries *tries)
{
	if (!tries->exclusive)
		pthread_mutex_lock(&tries->tree->claims);
	tries->exclusive = true;
}

void mfs__tries_end(struct mfs__tries *tries)
{
	if (tries->exclusive)
		pthread_mutex_unlock(&tries->tree->claims);
	tries->exclusive = false;
}
