/* SPDX-License-Identifier: MIT */
#include "tree/lookup.h"

#include "base/fork.h"
#include "base/test_hook.h"

#include <dmemfs/dmemfs.h>

#include <sched.h>

/* Inside the walk: the path has to be folded, and then walked again. */
#define FOLD 1
/* Inside the walk: begin again, a directory went while its mutex was waited for. */
#define AGAIN 2

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
						  struct mfs__dentry **dentry, bool gated)
{
	if (!mfs__node_acquire(&directory->node, MFS__REFS_PIN, false))
		return AGAIN;
	mfs__rcu_unlock();
	unsigned gate = gated ? 0 : mfs__gate_enter();
	bool alive = mfs__directory_lock(directory);
	mfs__rcu_lock();
	if (alive) {
		*dentry = mfs__directory_find_locked(directory, name);
		mfs__directory_unlock(directory);
	}
	mfs__node_release(&directory->node, MFS__REFS_PIN);
	if (!gated)
		mfs__gate_leave(gate);
	return alive ? 0 : AGAIN;
}

static int walk(struct mfs__directory *root, const struct mfs__path *path, struct mfs__lookup *out,
				struct mfs__path_cursor *rest, bool gated)
{
	struct mfs__path_cursor cursor = mfs__path_start(path);
	struct mfs__node *node = &root->node;

	out->parent = NULL;
	out->renames = 0;
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
			int code = find_contended(directory, &name, &dentry, gated);
			if (code)
				return code;
		}
		out->parent = directory;
		out->leaf = name;
		node = dentry ? dentry->node : NULL;
		out->renames = dentry ? dentry->renames : 0;
	}
}

static int lookup(struct mfs__directory *root, struct mfs__path *path, struct mfs__lookup *out,
				  struct mfs__path_cursor *rest, bool gated)
{
	for (;;) {
		int code = walk(root, path, out, rest, gated);
		if (mfs__likely(code <= 0))
			return code;
		if (code == FOLD) {
			mfs__rcu_unlock();
			code = mfs__path_fold(path);
			mfs__rcu_lock();
			if (code)
				return code;
		} else {
			/* The directory's name is about to go. */
			mfs__rcu_unlock();
			sched_yield();
			mfs__rcu_lock();
		}
	}
}

int mfs__lookup(struct mfs__directory *root, struct mfs__path *path, struct mfs__lookup *out,
				bool gated)
{
	return lookup(root, path, out, NULL, gated);
}

int mfs__lookup_missing(struct mfs__directory *root, struct mfs__path *path,
						struct mfs__lookup *out, struct mfs__path_cursor *rest)
{
	*rest = (struct mfs__path_cursor){path->text, path->text}; /* nothing */
	return lookup(root, path, out, rest, true);
}
