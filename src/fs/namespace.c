/* SPDX-License-Identifier: MIT */
/* mkdir and remove, and what other changes of the tree share with them. */
#include "fs/namespace.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "base/test_hook.h"
#include "fs/node.h"

void mfs__bury_node(mfs *fs, struct mfs__dentry *dentry, bool data_stays)
{
	struct mfs__node *node = dentry->node;

	if (!node->is_dir && !data_stays)
		mfs__file_drop_data(fs, mfs__file_of(node));
	mfs__dentry_retire(dentry);
	mfs__unpin(node);
}

void mfs__bury(mfs *fs, struct mfs__dentry *dentry, bool data_stays, uint64_t bytes)
{
	struct mfs__counters *counters = &fs->counters[mfs__stripe()];

	mfs__count(dentry->node->is_dir ? &counters->directories : &counters->files, -1);
	mfs__nodes_release(fs, 1, bytes);
	mfs__bury_node(fs, dentry, data_stays);
}

/*
 * mkdir
 */

int mfs__chain_build(mfs *fs, struct mfs__directory *parent, const struct mfs__name *leaf,
					 struct mfs__path_cursor rest, struct mfs__chain *chain)
{
	int64_t now = mfs__timestamp();
	struct mfs__directory *last = mfs__directory_new(fs->arena, leaf, parent, now);
	struct mfs__name name;

	*chain = (struct mfs__chain){0};
	if (!last)
		return MFS_ENOMEM;
	*chain = (struct mfs__chain){last, last, 1, mfs__node_charge(mfs__first_dentry(&last->node))};
	while (mfs__path_next(&rest, &name) == MFS__PATH_NAME) {
		struct mfs__directory *next = mfs__directory_new(fs->arena, &name, last, now);
		int code =
			next ? mfs__directory_add(fs->arena, last, mfs__first_dentry(&next->node)) : MFS_ENOMEM;
		if (code) {
			if (next)
				mfs__directory_free(next);
			mfs__tree_free(fs, chain->top);
			*chain = (struct mfs__chain){0};
			return code;
		}
		chain->last = last = next;
		chain->count++;
		chain->bytes += mfs__node_charge(mfs__first_dentry(&next->node));
	}
	return 0;
}

/* Put a new directory, with those in it, into one whose mutex is held. */
static int attach(mfs *fs, struct mfs__directory *parent, const struct mfs__chain *chain)
{
	struct mfs__edit edit = {.in = mfs__first_dentry(&chain->top->node)};
	struct mfs__change change;

	int code = mfs__directory_prepare(fs->arena, parent, &edit, 1, &change);
	if (code)
		return code;
	/* Last, so that nothing is reserved for what is not made after all. */
	code = mfs__nodes_reserve(fs, chain->count, chain->bytes);
	if (code)
		mfs__directory_abandon(&change);
	else
		mfs__directory_commit(&change, 1);
	return code;
}

/* Make what is missing below a pinned directory. */
static int make_missing(mfs *fs, const struct mfs__lookup *found, struct mfs__path_cursor rest)
{
	struct mfs__chain chain;

	int code = mfs__chain_build(fs, found->parent, &found->leaf, rest, &chain);
	if (code)
		return code;
	mfs__yield("mkdir: about to lock");
	if (!mfs__tree_lock(&fs->tree, found->parent, found->moves)) {
		code = MFS__AGAIN; /* perhaps the parent is missing now, too */
	} else {
		if (mfs__directory_find_locked(found->parent, &found->leaf))
			code = MFS__AGAIN;
		else
			code = attach(fs, found->parent, &chain);
		mfs__directory_unlock(found->parent);
	}
	if (code)
		mfs__tree_free(fs, chain.top);
	else
		mfs__count(&fs->counters[mfs__stripe()].directories, (int64_t)chain.count);
	return code;
}

static int try_mkdir(mfs *fs, struct mfs__path *path, bool exist_ok, const struct mfs__tries *tries)
{
	struct mfs__lookup found;
	struct mfs__path_cursor rest;

	mfs__rcu_lock();
	int code = mfs__lookup_missing(&fs->tree, path, &found, &rest, mfs__tries_mode(tries));
	if (!code && found.node)
		code = found.node->is_dir && exist_ok ? 0 : MFS_EEXIST;
	else if (!code && !mfs__pin(&found.parent->node))
		code = MFS__AGAIN;
	mfs__rcu_unlock();
	if (code || found.node)
		return code;
	code = make_missing(fs, &found, rest);
	mfs__unpin(&found.parent->node);
	return code;
}

static int make_directory(mfs *fs, struct mfs__node *start, const char *path, unsigned flags)
{
	struct mfs__path walked;

	if (!path || (flags & ~(unsigned)MFS_EXIST_OK))
		return mfs__fail_path(MFS_EINVAL, "mkdir", path);
	int code = mfs__path_begin(&walked, path);
	if (code)
		return mfs__fail_path(code, "mkdir", path);
	walked.start = start;
	unsigned gate = mfs__gate_enter();
	struct mfs__tries tries = {.tree = &fs->tree};
	while ((code = try_mkdir(fs, &walked, (flags & MFS_EXIST_OK) != 0, &tries)) == MFS__AGAIN)
		mfs__tries_again(&tries); /* another call is at work there */
	mfs__tries_end(&tries);
	mfs__gate_leave(gate);
	mfs__path_end(&walked);
	mfs__call_end();
	if (code && !mfs__is_limit_error(code))
		(void)mfs__fail_path(code, "mkdir", path);
	return code;
}

int mfs_mkdir(mfs *fs, const char *path, unsigned flags)
{
	if (!fs)
		return mfs__fail_path(MFS_EINVAL, "mkdir", path);
	return make_directory(fs, NULL, path, flags);
}

int mfs_mkdir_at(mfs_node *base, const char *path, unsigned flags)
{
	if (!base)
		return mfs__fail_path(MFS_EINVAL, "mkdir", path);
	return make_directory(base->fs, base->node, path, flags);
}

/*
 * remove
 */

int mfs__entry_find(mfs *fs, struct mfs__path *path, const struct mfs__tries *tries,
					struct mfs__entry *entry)
{
	struct mfs__lookup *found = &entry->found;

	entry->directory = NULL;
	mfs__rcu_lock();
	int code = mfs__lookup(&fs->tree, path, found, mfs__tries_mode(tries));
	if (!code && !found->parent)
		code = MFS_EINVAL; /* the root */
	else if (!code && !found->node)
		code = MFS_ENOENT;
	else if (!code && !mfs__pin(&found->parent->node))
		code = MFS__AGAIN;
	if (!code && found->node->is_dir) {
		if (mfs__pin(found->node)) {
			entry->directory = mfs__directory_of(found->node);
		} else {
			mfs__unpin(&found->parent->node);
			code = MFS__AGAIN;
		}
	}
	mfs__rcu_unlock();
	return code;
}

void mfs__entry_unpin(struct mfs__entry *entry)
{
	if (entry->directory)
		mfs__unpin(&entry->directory->node);
	mfs__unpin(&entry->found.parent->node);
}

/* A remove on its way. */
struct removing {
	struct mfs__entry entry;
	struct mfs__dentry *dentry; /* the name that was taken out */
	bool data_stays;
};

/* With the parent locked, and the child if it is a directory: take the name out. */
static int remove_locked(mfs *fs, struct removing *r)
{
	const struct mfs__lookup *found = &r->entry.found;
	struct mfs__directory *child = r->entry.directory;
	struct mfs__dentry *dentry = mfs__directory_find_locked(found->parent, &found->leaf);
	struct mfs__edit edit = {.out = dentry};
	struct mfs__change change;

	if (!dentry || (child ? dentry->node != &child->node : dentry->node->is_dir))
		return MFS__AGAIN;
	if (child && atomic_load_explicit(&child->count, memory_order_relaxed))
		return MFS_ENOTEMPTY;
	int code = mfs__directory_prepare(fs->arena, found->parent, &edit, 1, &change);
	if (code)
		return code;
	if (!mfs__node_unlink(dentry->node, &r->data_stays)) {
		mfs__directory_abandon(&change);
		return MFS_EBUSY;
	}
	mfs__yield("remove: unlinked");
	mfs__directory_commit(&change, 1);
	r->dentry = dentry;
	return 0;
}

/* May `flags` of mfs_remove_at() remove this? */
static int check_kind(const struct removing *r, unsigned flags)
{
	if (r->entry.directory)
		return flags & MFS_REMOVE_FILE ? MFS_EISDIR : 0;
	return flags & MFS_REMOVE_DIRECTORY ? MFS_ENOTDIR : 0;
}

static int try_remove(mfs *fs, struct mfs__path *path, const struct mfs__tries *tries,
					  unsigned flags)
{
	struct removing r = {0};

	int code = mfs__entry_find(fs, path, tries, &r.entry);
	if (code)
		return code;
	code = check_kind(&r, flags);
	if (code) {
		mfs__entry_unpin(&r.entry);
		return code;
	}
	struct mfs__directory *parent = r.entry.found.parent;
	/* A child must be empty and stay so, so it is locked, too. */
	struct mfs__directory *second = r.entry.directory ? r.entry.directory : parent;
	mfs__yield("remove: about to lock");
	if (mfs__tree_lock_pair(&fs->tree, parent, second, r.entry.found.moves)) {
		code = remove_locked(fs, &r);
		mfs__directory_unlock_pair(parent, second);
	} else {
		code = MFS__AGAIN;
	}
	if (!code)
		mfs__bury(fs, r.dentry, r.data_stays, mfs__node_charge(r.dentry));
	mfs__entry_unpin(&r.entry);
	return code;
}

int mfs__remove(mfs *fs, struct mfs__path *path, unsigned flags)
{
	struct mfs__tries tries = {.tree = &fs->tree};
	int code;

	while ((code = try_remove(fs, path, &tries, flags)) == MFS__AGAIN)
		mfs__tries_again(&tries);
	mfs__tries_end(&tries);
	return code;
}

static int remove_path(mfs *fs, struct mfs__node *start, const char *path, unsigned flags)
{
	struct mfs__path walked;

	if (!path)
		return mfs__fail_path(MFS_EINVAL, "remove", path);
	int code = mfs__path_begin(&walked, path);
	if (code)
		return mfs__fail_path(code, "remove", path);
	walked.start = start;
	unsigned gate = mfs__gate_enter();
	code = mfs__remove(fs, &walked, flags);
	mfs__gate_leave(gate);
	mfs__path_end(&walked);
	mfs__call_end();
	return code ? mfs__fail_path(code, "remove", path) : 0;
}

int mfs_remove(mfs *fs, const char *path)
{
	return fs ? remove_path(fs, NULL, path, 0) : mfs__fail_path(MFS_EINVAL, "remove", path);
}

int mfs_remove_at(mfs_node *base, const char *path, unsigned flags)
{
	const unsigned both = MFS_REMOVE_FILE | MFS_REMOVE_DIRECTORY;

	if (!base || (flags & ~both) || flags == both)
		return mfs__fail_path(MFS_EINVAL, "remove", path);
	return remove_path(base->fs, base->node, path, flags);
}
