/* SPDX-License-Identifier: MIT */
#include "tree/lookup.h"

#include "base/fork.h"
#include "base/test_hook.h"

#include <dmemfs/dmemfs.h>

#include <sched.h>

/* Inside the walk: the path has to be folded, and then walked again. */
#define FOLD 1
/* Inside the walk: begin again, a directory has gone or is claimed. */
#define AGAIN 2
/* So often a lookup walks while directories move, then it makes the moves wait. */
#define LOOKUP_TRIES 64

/*
 * The walk has met its end early. What follows in the path decides all the same: a ".." may take
 * the missing part back, a name may be too long.
 */
static int end_early(struct mfs__path_cursor *cursor, int code)
{
	struct mfs__name name;

	for (;;) {
		switch (mfs__path_next(cursor, &name)) {
		case MFS__PATH_END:
			return code;
		case MFS__PATH_NAME:
			break;
		case MFS__PATH_UP:
			return FOLD;
		case MFS__PATH_TOO_LONG:
			code = MFS_ENAMETOOLONG;
			break;
		}
	}
}

/*
 * Look a name up under the directory's mutex, because renames keep coming in between. The section
 * is left for that, with the directory pinned, and a new one begun before the mutex is given back,
 * so that what was found is safe in it.
 */
static int find_contended(struct mfs__directory *directory, const struct mfs__name *name,
						  struct mfs__dentry **dentry, enum mfs__lookup_mode mode)
{
	if (!mfs__node_acquire(&directory->node, MFS__REFS_PIN))
		return AGAIN;
	mfs__rcu_unlock();
	unsigned gate = mode == MFS__LOOKUP_UNGATED ? mfs__gate_enter() : 0;
	bool locked = mfs__directory_lock(directory);
	mfs__rcu_lock();
	if (locked) {
		*dentry = mfs__directory_find_locked(directory, name);
		mfs__directory_unlock(directory);
	}
	mfs__node_release(&directory->node, MFS__REFS_PIN);
	if (mode == MFS__LOOKUP_UNGATED)
		mfs__gate_leave(gate);
	return locked ? 0 : AGAIN;
}

static int walk(struct mfs__directory *root, const struct mfs__path *path, struct mfs__lookup *out,
				struct mfs__path_cursor *rest, enum mfs__lookup_mode mode)
{
	struct mfs__path_cursor cursor = mfs__path_start(path);
	struct mfs__node *node = path->start ? path->start : &root->node;

	out->parent = NULL;
	out->dentry = NULL;
	if (rest)
		*rest = (struct mfs__path_cursor){cursor.end, cursor.end}; /* nothing */
	/* In the same section as the steps: if it is removed later, what is below it is retired later.
	 */
	if (mfs__unlikely(path->start && mfs__node_is_unlinked(node)))
		return end_early(&cursor, MFS_ENOENT);
	for (;;) {
		struct mfs__path_cursor before = cursor;
		struct mfs__name name;
		enum mfs__path_step step = mfs__path_next(&cursor, &name);
		if (step == MFS__PATH_END) {
			out->node = node;
			return 0;
		}
		if (mfs__unlikely(step != MFS__PATH_NAME))
			return step == MFS__PATH_UP ? FOLD : end_early(&cursor, MFS_ENAMETOOLONG);
		if (!node) {
			out->node = NULL;
			if (!rest)
				return end_early(&cursor, MFS_ENOENT);
			*rest = before;
			return end_early(&cursor, 0);
		}
		if (!node->is_dir)
			return end_early(&cursor, MFS_ENOTDIR);
		struct mfs__directory *directory = mfs__directory_of(node);
		struct mfs__dentry *dentry = NULL;
		if (mfs__unlikely(mfs__directory_find(directory, &name, &dentry) == MFS__FIND_CONTENDED)) {
			int code = find_contended(directory, &name, &dentry, mode);
			out->is_renewed = true;
			if (code)
				return code;
		}
		out->parent = directory;
		out->leaf = name;
		node = dentry ? dentry->node : NULL;
		out->dentry = dentry;
		mfs__yield("lookup: a step done");
	}
}

/* Walk while no directory moves. */
static int walk_settled(struct mfs__tree *tree, const struct mfs__path *path,
						struct mfs__lookup *out, struct mfs__path_cursor *rest,
						enum mfs__lookup_mode mode)
{
	unsigned gate = 0;

	if (mode != MFS__LOOKUP_EXCLUSIVE) {
		out->is_renewed = true;
		mfs__rcu_unlock();
		if (mode == MFS__LOOKUP_UNGATED)
			gate = mfs__gate_enter();
		pthread_mutex_lock(&tree->claims);
		mfs__rcu_lock();
	}
	int code = walk(tree->root, path, out, rest, MFS__LOOKUP_EXCLUSIVE);
	out->moves = atomic_load_explicit(&tree->moves, memory_order_relaxed);
	if (mode != MFS__LOOKUP_EXCLUSIVE) {
		pthread_mutex_unlock(&tree->claims);
		if (mode == MFS__LOOKUP_UNGATED)
			mfs__gate_leave(gate);
	}
	return code;
}

static int lookup(struct mfs__tree *tree, struct mfs__path *path, struct mfs__lookup *out,
				  struct mfs__path_cursor *rest, enum mfs__lookup_mode mode)
{
	out->is_renewed = false;
	for (unsigned tries = 1;; tries++) {
		/* pairs with mfs__tree_end_move */
		uint64_t moves = atomic_load_explicit(&tree->moves, memory_order_acquire);
		int code;
		if (mfs__unlikely(tries > LOOKUP_TRIES)) {
			code = walk_settled(tree, path, out, rest, mode);
		} else if (mfs__unlikely(moves & 1)) {
			mfs__cpu_relax();
			continue;
		} else {
			code = walk(tree->root, path, out, rest, mode);
#ifndef MFS_PLANT_NO_SEQUENCE_CHECK /* without it: a planted bug */
			if (mfs__unlikely(mfs__tree_has_moved(tree, moves)))
				continue;
#endif
			out->moves = moves;
		}
		if (mfs__likely(code <= 0))
			return code;
		out->is_renewed = true;
		mfs__rcu_unlock();
		if (code == FOLD)
			code = mfs__path_fold(path);
		else
			sched_yield(); /* a directory's name is about to go, or all below it to change */
		mfs__rcu_lock();
		if (code < 0)
			return code;
	}
}

int mfs__lookup(struct mfs__tree *tree, struct mfs__path *path, struct mfs__lookup *out,
				enum mfs__lookup_mode mode)
{
	return lookup(tree, path, out, NULL, mode);
}

int mfs__lookup_missing(struct mfs__tree *tree, struct mfs__path *path, struct mfs__lookup *out,
						struct mfs__path_cursor *rest, enum mfs__lookup_mode mode)
{
	return lookup(tree, path, out, rest, mode);
}
