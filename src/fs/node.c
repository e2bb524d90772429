/* SPDX-License-Identifier: MIT */
/*
 * References to files and directories themselves. The calls that start at one are beside those that
 * start at the root; what lookups make of a start is in tree/lookup.c.
 *
 * A node is a pin, and a pin keeps memory, nothing more: of a file that is removed the data goes,
 * and what was below a directory goes with it. So whoever starts at a node first looks whether that
 * has been removed, inside the section in which it follows names.
 */
#include "fs/node.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/fork.h"
#include "fs/handle_table.h"
#include "fs/listing.h"
#include "fs/namespace.h"

#include <sched.h>

/* Find and pin what a path names, inside the gate. */
static int pin_path(mfs *fs, struct mfs__path *path, struct mfs__node **out)
{
	for (;;) {
		struct mfs__lookup found;
		mfs__rcu_lock();
		int code = mfs__lookup(&fs->tree, path, &found, MFS__LOOKUP_GATED);
		if (!code && !found.node)
			code = MFS_ENOENT;
		bool pinned = !code && mfs__pin(found.node);
		mfs__rcu_unlock();
		if (pinned)
			*out = found.node;
		if (code || pinned)
			return code;
		sched_yield(); /* its name is about to go */
	}
}

static int get_node(mfs *fs, struct mfs__node *start, const char *path, mfs_node **out)
{
	struct mfs__path walked;

	int code = mfs__path_begin(&walked, path);
	if (code)
		return mfs__fail_path(code, "node", path);
	walked.start = start;
	struct mfs_node *node = mfs__alloc(sizeof *node);
	if (!node)
		return mfs__fail_path(MFS_ENOMEM, "node", path);
	node->fs = fs;
	unsigned gate = mfs__gate_enter();
	code = pin_path(fs, &walked, &node->node);
	if (!code)
		mfs__count(&fs->counters[mfs__stripe()].handles, 1);
	mfs__gate_leave(gate);
	mfs__path_end(&walked);
	if (code) {
		mfs__free(node, sizeof *node);
		return mfs__fail_path(code, "node", path);
	}
	*out = node;
	return 0;
}

int mfs_node_root(mfs *fs, mfs_node **out)
{
	if (out)
		*out = NULL;
	if (!fs || !out)
		return mfs__fail(MFS_EINVAL, "mfs_node_root: NULL");
	return get_node(fs, NULL, "/", out);
}

int mfs_node_get(mfs_node *base, const char *path, mfs_node **out)
{
	if (out)
		*out = NULL;
	if (!base || !path || !out)
		return mfs__fail_path(MFS_EINVAL, "node", path);
	return get_node(base->fs, base->node, path, out);
}

int mfs_file_node(mfs_file *file, mfs_node **out)
{
	if (!out)
		return mfs__fail(MFS_EINVAL, "mfs_file_node: NULL");
	*out = NULL;
	struct mfs_node *node = mfs__alloc(sizeof *node);
	if (!node)
		return mfs__fail(MFS_ENOMEM, "mfs_file_node");
	unsigned gate = mfs__gate_enter();
	struct mfs__handle *handle = mfs__handle_lock(file, false);
	int code = handle ? 0 : MFS_EBADF;
	if (handle) {
		/* What is staged is freed with its import, pinned or not. */
		if (handle->import) {
			code = mfs__fail(MFS_ENOTSUP, "mfs_file_node: of an import");
		} else {
			*node = (struct mfs_node){handle->fs, &handle->file->node};
			mfs__node_pin(node->node);
			mfs__count(&node->fs->counters[mfs__stripe()].handles, 1);
		}
		mfs__handle_unlock(handle, false);
	}
	mfs__gate_leave(gate);
	if (code) {
		mfs__free(node, sizeof *node);
		return code;
	}
	*out = node;
	return 0;
}

int mfs_node_put(mfs_node *node)
{
	if (!node)
		return 0;
	unsigned gate = mfs__gate_enter();
	mfs__count(&node->fs->counters[mfs__stripe()].handles, -1);
	mfs__unpin(node->node);
	mfs__gate_leave(gate);
	mfs__call_end();
	mfs__free(node, sizeof *node);
	return 0;
}

int mfs_node_stat(mfs_node *node, mfs_info *out)
{
	if (!node || !out)
		return mfs__fail(MFS_EINVAL, "mfs_node_stat: NULL");
	mfs__rcu_lock();
	*out = mfs__info_of(node->node);
	mfs__rcu_unlock();
	return !mfs__node_is_unlinked(node->node);
}
