/* SPDX-License-Identifier: MIT */
/* Setting when a file or directory changed last. */
#include "base/error.h"
#include "base/fork.h"
#include "fs/lock_wait.h"
#include "fs/namespace.h"
#include "fs/node.h"
#include "tree/file_lock.h"

/* A call on its way, inside the gate. */
struct setting {
	mfs *fs;
	struct mfs__path path;
	int64_t modified_at;
	struct mfs__lock_wait wait;
	unsigned gate;
	struct mfs__tries tries;
};

/* With a file's lock: does the path still lead there? It may have been waited for. */
static bool is_still_there(struct setting *s, const struct mfs__node *node)
{
	struct mfs__lookup found;

	mfs__rcu_lock();
	int code = mfs__lookup(&s->fs->tree, &s->path, &found, mfs__tries_mode(&s->tries));
	bool is_there = !code && found.node == node;
	mfs__rcu_unlock();
	return is_there;
}

static int set_file(struct setting *s, struct mfs__file *file)
{
	if (!mfs__file_try(file, true)) {
		mfs__tries_end(&s->tries); /* nothing waits with the mutex of claims */
		int code = mfs__lock_wait(&s->wait, file, true, &s->gate);
		if (code)
			return code;
	}
	bool is_there = is_still_there(s, &file->node);
	if (is_there)
		mfs__node_set_modified(&file->node, s->modified_at);
	mfs__file_unlock(file, true);
	return is_there ? 0 : MFS__AGAIN;
}

static int set_directory(struct setting *s, struct mfs__directory *directory, uint64_t moves)
{
	if (!mfs__tree_lock(&s->fs->tree, directory, moves))
		return MFS__AGAIN;
	mfs__node_set_modified(&directory->node, s->modified_at);
	mfs__directory_unlock(directory);
	return 0;
}

static int try_set(struct setting *s)
{
	struct mfs__lookup found;

	mfs__rcu_lock();
	int code = mfs__lookup(&s->fs->tree, &s->path, &found, mfs__tries_mode(&s->tries));
	if (!code && !found.node)
		code = MFS_ENOENT;
	else if (!code && !mfs__pin(found.node))
		code = MFS__AGAIN;
	mfs__rcu_unlock();
	if (code)
		return code;
	code = found.node->is_dir ? set_directory(s, mfs__directory_of(found.node), found.moves)
							  : set_file(s, mfs__file_of(found.node));
	mfs__unpin(found.node);
	return code;
}

static int set_modified(mfs *fs, struct mfs__node *start, const char *path, int64_t modified_at)
{
	struct setting s = {
		.fs = fs,
		.modified_at = modified_at,
		.wait = {.timeout = fs->default_lock_timeout},
		.tries = {.tree = &fs->tree},
	};

	int code = path ? mfs__path_begin(&s.path, path) : MFS_EINVAL;
	if (code)
		return mfs__fail_path(code, "set_modified", path);
	s.path.start = start;
	s.gate = mfs__gate_enter();
	while ((code = try_set(&s)) == MFS__AGAIN)
		mfs__tries_again(&s.tries); /* another call is at work there */
	mfs__tries_end(&s.tries);
	mfs__gate_leave(s.gate);
	mfs__path_end(&s.path);
	mfs__call_end();
	return code ? mfs__fail_path(code, "set_modified", path) : 0;
}

int mfs_set_modified(mfs *fs, const char *path, int64_t modified_at)
{
	if (!fs)
		return mfs__fail_path(MFS_EINVAL, "set_modified", path);
	return set_modified(fs, NULL, path, modified_at);
}

int mfs_set_modified_at(mfs_node *base, const char *path, int64_t modified_at)
{
	if (!base)
		return mfs__fail_path(MFS_EINVAL, "set_modified", path);
	return set_modified(base->fs, base->node, path, modified_at);
}
