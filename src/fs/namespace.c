/* SPDX-License-Identifier: MIT */
/*
 * Changes of the tree: mkdir, remove, rename.
 *
 * All follow one pattern. The lock-free walk finds the directories; they are pinned, the section
 * ends, their mutexes are taken (the one nearer to the root first), the names are looked up again,
 * everything that can fail is done, and then the change is committed. What is freed or retired is
 * seen to after the mutexes are given back.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "base/test_hook.h"
#include "fs/filesystem.h"

#include <sched.h>

static bool pin(struct mfs__directory *directory)
{
	return mfs__node_acquire(&directory->node, MFS__REFS_PIN, false);
}

static void unpin(struct mfs__directory *directory)
{
	mfs__node_release(&directory->node, MFS__REFS_PIN);
}

/*
 * Put a new node's first dentry into a directory whose mutex is held, or that nobody can see. The
 * nodes are reserved last, so that nothing is reserved for what is not made after all.
 */
static int insert(mfs *fs, struct mfs__directory *directory, struct mfs__node *node,
				  uint64_t reserve)
{
	struct mfs__slot_change change;

	mfs__directory_make_room(directory);
	int code = mfs__directory_prepare(directory, NULL, NULL, mfs__first_dentry(node), &change);
	if (code)
		return code;
	code = mfs__nodes_reserve(fs, reserve);
	if (code)
		mfs__directory_abandon(&change);
	else
		mfs__directory_commit(&change);
	return code;
}

/*
 * mkdir
 */

/*
 * Build the directories that are missing, one in the other, where nobody sees them. Returns the
 * topmost one in *top.
 */
static int build_chain(mfs *fs, struct mfs__directory *parent, const struct mfs__name *leaf,
					   struct mfs__path_cursor rest, struct mfs__directory **top)
{
	int64_t now = mfs__timestamp();
	struct mfs__directory *last = mfs__directory_new(leaf, parent, now);
	struct mfs__name name;

	*top = last;
	if (!last)
		return MFS_ENOMEM;
	while (mfs__path_next(&rest, &name) == MFS__PATH_NAME) {
		struct mfs__directory *next = mfs__directory_new(&name, last, now);
		int code = next ? insert(fs, last, &next->node, 0) : MFS_ENOMEM;
		if (code) {
			if (next) {
				mfs__directory_free_table(next);
				mfs__directory_free(next);
			}
			mfs__tree_free(fs, *top);
			return code;
		}
		last = next;
	}
	return 0;
}

/* Make what is missing below a pinned directory. */
static int make_missing(mfs *fs, const struct mfs__lookup *found, struct mfs__path_cursor rest)
{
	struct mfs__path_cursor counted = rest;
	struct mfs__name name;
	struct mfs__directory *top;
	uint64_t count = 1;

	while (mfs__path_next(&counted, &name) == MFS__PATH_NAME)
		count++;
	int code = build_chain(fs, found->parent, &found->leaf, rest, &top);
	if (code)
		return code;
	mfs__yield("mkdir: about to lock");
	if (!mfs__directory_lock(found->parent)) {
		code = MFS__AGAIN; /* the parent has gone: perhaps it is missing now, too */
	} else {
		if (mfs__directory_find_locked(found->parent, &found->leaf))
			code = MFS__AGAIN;
		else
			code = insert(fs, found->parent, &top->node, count);
		mfs__directory_unlock(found->parent);
	}
	if (code)
		mfs__tree_free(fs, top);
	else
		mfs__count(&fs->counters[mfs__stripe()].directories, (int64_t)count);
	return code;
}

static int try_mkdir(mfs *fs, struct mfs__path *path, bool exist_ok)
{
	struct mfs__lookup found;
	struct mfs__path_cursor rest;

	mfs__rcu_lock();
	int code = mfs__lookup_missing(fs->root, path, &found, &rest);
	if (!code && found.node)
		code = found.node->is_dir && exist_ok ? 0 : MFS_EEXIST;
	else if (!code && !pin(found.parent))
		code = MFS__AGAIN;
	mfs__rcu_unlock();
	if (code || found.node)
		return code;
	code = make_missing(fs, &found, rest);
	unpin(found.parent);
	return code;
}

int mfs_mkdir(mfs *fs, const char *path, unsigned flags)
{
	struct mfs__path walked;

	if (!fs || !path || (flags & ~(unsigned)MFS_EXIST_OK))
		return mfs__fail_path(MFS_EINVAL, "mkdir", path);
	int code = mfs__path_begin(&walked, path);
	if (code)
		return mfs__fail_path(code, "mkdir", path);
	unsigned gate = mfs__gate_enter();
	while ((code = try_mkdir(fs, &walked, (flags & MFS_EXIST_OK) != 0)) == MFS__AGAIN)
		sched_yield(); /* another call is at work there */
	mfs__gate_leave(gate);
	mfs__path_end(&walked);
	mfs__reclaim_throttle();
	if (code && !mfs_is_quota_error(code))
		(void)mfs__fail_path(code, "mkdir", path);
	return code;
}

/*
 * remove
 */

/* A node that was taken out of the tree: free what can be freed, and let it go. */
static void bury(mfs *fs, struct mfs__dentry *dentry, bool data_stays)
{
	struct mfs__node *node = dentry->node;
	struct mfs__counters *counters = &fs->counters[mfs__stripe()];

	mfs__count(node->is_dir ? &counters->directories : &counters->files, -1);
	mfs__nodes_release(fs, 1);
	if (!node->is_dir && !data_stays)
		mfs__file_drop_data(fs, mfs__file_of(node));
	mfs__dentry_retire(dentry);
	mfs__node_release(node, MFS__REFS_PIN);
}

/* Under the parent's mutex: mark an empty directory unlinked. */
static int unlink_directory(struct mfs__directory *directory)
{
	bool shared;

	/* The parent's mutex is held: an ancestor comes first. */
	pthread_mutex_lock(&directory->mutex);
	bool empty = atomic_load_explicit(&directory->count, memory_order_relaxed) == 0;
	if (empty)
		(void)mfs__node_unlink(&directory->node, &shared); /* directories have no holders */
	pthread_mutex_unlock(&directory->mutex);
	return empty ? 0 : MFS_ENOTEMPTY;
}

/* Under the parent's mutex: take the name out. */
static int remove_locked(struct mfs__directory *parent, const struct mfs__name *leaf,
						 struct mfs__dentry **out, bool *data_stays)
{
	struct mfs__dentry *dentry = mfs__directory_find_locked(parent, leaf);
	struct mfs__slot_change change;

	if (!dentry)
		return MFS_ENOENT;
	int code = mfs__directory_prepare(parent, dentry, NULL, NULL, &change);
	if (code)
		return code;
	if (dentry->node->is_dir)
		code = unlink_directory(mfs__directory_of(dentry->node));
	else if (!mfs__node_unlink(dentry->node, data_stays))
		code = MFS_EBUSY;
	if (code) {
		mfs__directory_abandon(&change);
		return code;
	}
	mfs__yield("remove: unlinked");
	mfs__directory_commit(&change);
	*out = dentry;
	return 0;
}

static int try_remove(mfs *fs, struct mfs__path *path)
{
	struct mfs__lookup found;
	struct mfs__dentry *dentry = NULL;
	bool data_stays = false;

	mfs__rcu_lock();
	int code = mfs__lookup(fs->root, path, &found, true);
	if (!code && !found.parent)
		code = MFS_EINVAL; /* the root */
	else if (!code && (!found.node || !pin(found.parent)))
		code = MFS_ENOENT;
	mfs__rcu_unlock();
	if (code)
		return code;
	if (mfs__directory_lock(found.parent)) {
		code = remove_locked(found.parent, &found.leaf, &dentry, &data_stays);
		mfs__directory_unlock(found.parent);
	} else {
		code = MFS_ENOENT;
	}
	unpin(found.parent);
	if (!code)
		bury(fs, dentry, data_stays);
	return code;
}

int mfs_remove(mfs *fs, const char *path)
{
	struct mfs__path walked;

	if (!fs || !path)
		return mfs__fail_path(MFS_EINVAL, "remove", path);
	int code = mfs__path_begin(&walked, path);
	if (code)
		return mfs__fail_path(code, "remove", path);
	unsigned gate = mfs__gate_enter();
	code = try_remove(fs, &walked);
	mfs__gate_leave(gate);
	mfs__path_end(&walked);
	mfs__reclaim_throttle();
	return code ? mfs__fail_path(code, "remove", path) : 0;
}

/*
 * rename
 */

/* A rename on its way. */
struct renaming {
	struct mfs__directory *from_parent;
	struct mfs__directory *to_parent;
	struct mfs__name from_leaf;
	struct mfs__name to_leaf;
	bool replace;
	bool to_is_at_fault;          /* for the message */
	struct mfs__dentry *from;     /* the old name, taken out */
	struct mfs__dentry *replaced; /* what was at the destination, or NULL */
	bool replaced_data_stays;
};

/*
 * Find and pin the two directories. Both paths are walked in one section, so that what the first
 * found is still safe when the second is done; a walk that had to leave the section in between
 * would lose it, and so the first is pinned at once.
 */
static int find_parents(mfs *fs, struct mfs__path *from, struct mfs__path *to,
						struct renaming *renaming)
{
	struct mfs__lookup found;

	mfs__rcu_lock();
	int code = mfs__lookup(fs->root, from, &found, true);
	if (!code && !found.parent)
		code = MFS_EINVAL; /* the root */
	else if (!code && (!found.node || !pin(found.parent)))
		code = MFS_ENOENT;
	if (code)
		goto out;
	renaming->from_parent = found.parent;
	renaming->from_leaf = found.leaf;

	renaming->to_is_at_fault = true;
	code = mfs__lookup(fs->root, to, &found, true);
	if (!code && !found.parent)
		code = MFS_EINVAL;
	else if (!code && !pin(found.parent))
		code = MFS__AGAIN; /* the directory is about to go */
	if (code) {
		unpin(renaming->from_parent);
		goto out;
	}
	renaming->to_parent = found.parent;
	renaming->to_leaf = found.leaf;
	renaming->to_is_at_fault = false;
out:
	mfs__rcu_unlock();
	return code;
}

/* Under both mutexes: may this rename be? Returns 0 with `from` and `replaced` set. */
static int check_rename(struct renaming *r)
{
	r->from = mfs__directory_find_locked(r->from_parent, &r->from_leaf);
	if (!r->from)
		return MFS_ENOENT;
	if (r->from->node->is_dir)
		return MFS_ENOTSUP;
	r->replaced = mfs__directory_find_locked(r->to_parent, &r->to_leaf);
	if (!r->replaced || r->replaced == r->from)
		return r->replaced && !r->replace ? MFS_EEXIST : 0;
	r->to_is_at_fault = !r->replace || r->replaced->node->is_dir;
	if (!r->replace)
		return MFS_EEXIST;
	return r->replaced->node->is_dir ? MFS_EISDIR : 0;
}

/* Under both mutexes: mark the file and what it replaces, so that no handle comes in between. */
static int claim_files(struct renaming *r)
{
	if (!mfs__node_claim(r->from->node))
		return MFS_EBUSY;
	if (r->replaced && !mfs__node_unlink(r->replaced->node, &r->replaced_data_stays)) {
		mfs__node_unclaim(r->from->node);
		return MFS_EBUSY;
	}
	return 0;
}

/* Under both mutexes: prepare the change of one slot or two, claim the files, and commit. */
static int rename_locked(struct renaming *r)
{
	struct mfs__slot_change in = {0};
	struct mfs__slot_change out = {0};

	int code = check_rename(r);
	if (code || r->replaced == r->from)
		return code;
	struct mfs__dentry *to = mfs__dentry_new(&r->to_leaf, r->from->node, r->from->renames + 1);
	if (!to)
		return MFS_ENOMEM;
	mfs__directory_make_room(r->to_parent);
	bool one_slot = r->from_parent == r->to_parent &&
					mfs__directory_same_slot(r->to_parent, r->from->hash, to->hash);
	code = mfs__directory_prepare(r->to_parent, r->replaced, one_slot ? r->from : NULL, to, &in);
	if (!code && !one_slot)
		code = mfs__directory_prepare(r->from_parent, r->from, NULL, NULL, &out);
	if (!code)
		code = claim_files(r);
	if (code)
		goto fail;
	if (one_slot)
		mfs__directory_commit(&in);
	else
		mfs__directory_commit_pair(&in, &out);
	mfs__node_renamed(r->from->node);
	/* Now, not later: without the mutex the file may be removed, and the old name with it. */
	mfs__dentry_retire(r->from);
	return 0;

fail:
	mfs__directory_abandon(&in);
	mfs__directory_abandon(&out);
	mfs__dentry_free(to);
	return code;
}

static int try_rename(mfs *fs, struct mfs__path *from, struct mfs__path *to, struct renaming *r)
{
	int code = find_parents(fs, from, to, r);

	if (code)
		return code;
	bool replaced = false;
	if (mfs__directory_lock_pair(r->from_parent, r->to_parent)) {
		code = rename_locked(r);
		replaced = !code && r->replaced && r->replaced != r->from;
		mfs__directory_unlock_pair(r->from_parent, r->to_parent);
	} else {
		code = MFS__AGAIN; /* one of the directories is about to go */
	}
	if (replaced)
		bury(fs, r->replaced, r->replaced_data_stays);
	unpin(r->from_parent);
	unpin(r->to_parent);
	return code;
}

int mfs_rename(mfs *fs, const char *from, const char *to, unsigned flags)
{
	struct mfs__path walked_from;
	struct mfs__path walked_to;

	if (!fs || !from || !to || (flags & ~(unsigned)MFS_RENAME_REPLACE))
		return mfs__fail_path(MFS_EINVAL, "rename", from);
	int code = mfs__path_begin(&walked_from, from);
	if (code)
		return mfs__fail_path(code, "rename", from);
	code = mfs__path_begin(&walked_to, to);
	if (code)
		return mfs__fail_path(code, "rename to", to);
	unsigned gate = mfs__gate_enter();
	struct renaming r = {.replace = (flags & MFS_RENAME_REPLACE) != 0};
	while ((code = try_rename(fs, &walked_from, &walked_to, &r)) == MFS__AGAIN)
		sched_yield(); /* another call is at work there */
	mfs__gate_leave(gate);
	mfs__path_end(&walked_from);
	mfs__path_end(&walked_to);
	mfs__reclaim_throttle();
	if (!code)
		return 0;
	return r.to_is_at_fault ? mfs__fail_path(code, "rename to", to)
							: mfs__fail_path(code, "rename", from);
}
