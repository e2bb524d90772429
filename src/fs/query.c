/* SPDX-License-Identifier: MIT */
/* Calls that look at one path, or one handle: exists, stat. They take no lock but the handle's. */
#include "base/error.h"
#include "base/fork.h"
#include "base/test_hook.h"
#include "fs/handle_table.h"
#include "fs/listing.h"
#include "fs/node.h"

#include <sched.h>

/* A stat looks this often while the path changes, then it makes moves of directories wait. */
#define STAT_TRIES 64

/*
 * Find the node of a path. On success the caller is inside a read-side section, which it leaves; on
 * failure it is not, and nothing is noted.
 */
static int find_node(mfs *fs, const char *text, struct mfs__node **node)
{
	struct mfs__path path;
	struct mfs__lookup found;

	*node = NULL;
	int code = mfs__path_begin(&path, text);
	if (mfs__unlikely(code))
		return code;
	mfs__rcu_lock();
	code = mfs__lookup(&fs->tree, &path, &found, MFS__LOOKUP_UNGATED);
	if (!code && !found.node)
		code = MFS_ENOENT;
	if (mfs__unlikely(code))
		mfs__rcu_unlock();
	mfs__path_end(&path);
	*node = code ? NULL : found.node;
	return code;
}

bool mfs_exists(mfs *fs, const char *path)
{
	struct mfs__node *node;

	if (!fs || !path || find_node(fs, path, &node))
		return false;
	mfs__rcu_unlock();
	return true;
}

bool mfs_is_dir(mfs *fs, const char *path)
{
	struct mfs__node *node;

	if (!fs || !path || find_node(fs, path, &node))
		return false;
	bool is_dir = node->is_dir;
	mfs__rcu_unlock();
	return is_dir;
}

bool mfs_is_file(mfs *fs, const char *path)
{
	struct mfs__node *node;

	if (!fs || !path || find_node(fs, path, &node))
		return false;
	bool is_dir = node->is_dir;
	mfs__rcu_unlock();
	return !is_dir;
}

/*
 * After a node's attributes were read: were they those of what the path led to? A file that got
 * another path may have been written to since. Inside the section in which it was found.
 */
static bool is_still_there(mfs *fs, struct mfs__path *path, const struct mfs__lookup *found,
						   enum mfs__lookup_mode mode)
{
	struct mfs__lookup again;
	bool is_claimed = false;

	if (found->dentry && !mfs__node_has_name(found->node, found->dentry->renames, &is_claimed))
		return false;
	if (mfs__tree_has_moved(&fs->tree, found->moves))
		return false;
	if (mfs__likely(!is_claimed || found->node->is_dir))
		return true;
	/* It is about to get another path, or has. A dentry that was taken out does not come back. */
	return !mfs__lookup(&fs->tree, path, &again, mode) && !again.is_renewed &&
		   again.dentry == found->dentry && again.moves == found->moves;
}

static int try_stat(mfs *fs, struct mfs__path *path, enum mfs__lookup_mode mode, mfs_info *out)
{
	struct mfs__lookup found;

	mfs__rcu_lock();
	int code = mfs__lookup(&fs->tree, path, &found, mode);
	if (!code && !found.node)
		code = MFS_ENOENT;
	if (!code) {
		mfs_info info = mfs__info_of(found.node);
		mfs__yield("stat: attributes read");
		if (mfs__likely(is_still_there(fs, path, &found, mode)))
			*out = info;
		else
			code = MFS__AGAIN;
	}
	mfs__rcu_unlock();
	return code;
}

/* Moves of directories keep coming in between: make them wait. */
static int stat_settled(mfs *fs, struct mfs__path *path, mfs_info *out)
{
	unsigned gate = mfs__gate_enter();
	int code;

	pthread_mutex_lock(&fs->tree.claims);
	while ((code = try_stat(fs, path, MFS__LOOKUP_EXCLUSIVE, out)) == MFS__AGAIN)
		sched_yield(); /* the file is being renamed */
	pthread_mutex_unlock(&fs->tree.claims);
	mfs__gate_leave(gate);
	return code;
}

static inline int stat_path(mfs *fs, struct mfs__node *start, const char *path, mfs_info *out)
{
	struct mfs__path walked;

	if (!path || !out)
		return mfs__fail_path(MFS_EINVAL, "stat", path);
	int code = mfs__path_begin(&walked, path);
	if (mfs__unlikely(code))
		return mfs__fail_path(code, "stat", path);
	walked.start = start;
	unsigned tries = 0;
	while ((code = try_stat(fs, &walked, MFS__LOOKUP_UNGATED, out)) == MFS__AGAIN &&
		   ++tries < STAT_TRIES)
		mfs__cpu_relax();
	if (mfs__unlikely(code == MFS__AGAIN))
		code = stat_settled(fs, &walked, out);
	mfs__path_end(&walked);
	return code ? mfs__fail_path(code, "stat", path) : 0;
}

int mfs_stat(mfs *fs, const char *path, mfs_info *out)
{
	return fs ? stat_path(fs, NULL, path, out) : mfs__fail_path(MFS_EINVAL, "stat", path);
}

int mfs_stat_at(mfs_node *base, const char *path, mfs_info *out)
{
	if (!base)
		return mfs__fail_path(MFS_EINVAL, "stat", path);
	return stat_path(base->fs, base->node, path, out);
}

int mfs_fstat(mfs_file *file, mfs_info *out)
{
	if (!out)
		return mfs__fail(MFS_EINVAL, "mfs_fstat: NULL");
	struct mfs__handle *handle = mfs__handle_lock(file, false);
	if (!handle)
		return MFS_EBADF;
	mfs__rcu_lock();
	*out = mfs__info_of(&handle->file->node);
	mfs__rcu_unlock();
	mfs__handle_unlock(handle, false);
	return 0;
}

int64_t mfs_get_size(mfs *fs, const char *path)
{
	mfs_info info = {0};

	int code = mfs_stat(fs, path, &info);
	if (code)
		return code;
	return info.is_dir ? mfs__fail_path(MFS_EISDIR, "get_size", path) : info.size;
}
