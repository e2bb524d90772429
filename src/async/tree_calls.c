/* SPDX-License-Identifier: MIT */
/* Operations on the tree. */
#include "call.h"

static int64_t run_mkdir(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_mkdir(call->fs, call->path, call->flags);
}

static const struct mfs__async_kind mkdir_kind = {.place = MFS__ASYNC_WORKER, .run = run_mkdir};

int64_t mfs_async_mkdir(mfs_async *context, mfs *fs, const char *path, unsigned flags, void *user)
{
	struct mfs__async_call call = {.kind = &mkdir_kind, .user = user, .fs = fs, .flags = flags};
	const struct mfs__async_inputs inputs = {.path = path};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_remove(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_remove(call->fs, call->path);
}

static const struct mfs__async_kind remove_kind = {.place = MFS__ASYNC_WORKER, .run = run_remove};

int64_t mfs_async_remove(mfs_async *context, mfs *fs, const char *path, void *user)
{
	struct mfs__async_call call = {.kind = &remove_kind, .user = user, .fs = fs};
	const struct mfs__async_inputs inputs = {.path = path};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_rename(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_rename(call->fs, call->path, call->path_2, call->flags);
}

static const struct mfs__async_kind rename_kind = {.place = MFS__ASYNC_WORKER, .run = run_rename};

int64_t mfs_async_rename(mfs_async *context, mfs *fs, const char *from, const char *to,
						 unsigned flags, void *user)
{
	struct mfs__async_call call = {.kind = &rename_kind, .user = user, .fs = fs, .flags = flags};
	const struct mfs__async_inputs inputs = {.path = from, .path_2 = to};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_move(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_move(call->fs, call->path, call->path_2, call->flags);
}

static const struct mfs__async_kind move_kind = {.place = MFS__ASYNC_WORKER, .run = run_move};

int64_t mfs_async_move(mfs_async *context, mfs *fs, const char *from, const char *to,
					   unsigned flags, void *user)
{
	struct mfs__async_call call = {.kind = &move_kind, .user = user, .fs = fs, .flags = flags};
	const struct mfs__async_inputs inputs = {.path = from, .path_2 = to};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_rmtree(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_rmtree(call->fs, call->path);
}

static const struct mfs__async_kind rmtree_kind = {.place = MFS__ASYNC_WORKER, .run = run_rmtree};

int64_t mfs_async_rmtree(mfs_async *context, mfs *fs, const char *path, void *user)
{
	struct mfs__async_call call = {.kind = &rmtree_kind, .user = user, .fs = fs};
	const struct mfs__async_inputs inputs = {.path = path};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_copy(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_copy(call->fs, call->path, call->path_2);
}

static const struct mfs__async_kind copy_kind = {.place = MFS__ASYNC_WAITER, .run = run_copy};

int64_t mfs_async_copy(mfs_async *context, mfs *fs, const char *from, const char *to, void *user)
{
	struct mfs__async_call call = {.kind = &copy_kind, .user = user, .fs = fs};
	const struct mfs__async_inputs inputs = {.path = from, .path_2 = to};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_copy_tree(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_copy_tree(call->fs, call->path, call->path_2);
}

static const struct mfs__async_kind copy_tree_kind = {.place = MFS__ASYNC_WAITER,
													  .run = run_copy_tree};

int64_t mfs_async_copy_tree(mfs_async *context, mfs *fs, const char *from, const char *to,
							void *user)
{
	struct mfs__async_call call = {.kind = &copy_tree_kind, .user = user, .fs = fs};
	const struct mfs__async_inputs inputs = {.path = from, .path_2 = to};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_listdir(struct mfs__async_call *call, mfs_async_output *output)
{
	return mfs_listdir(call->fs, call->path, &output->names);
}

static const struct mfs__async_kind listdir_kind = {.place = MFS__ASYNC_WORKER, .run = run_listdir};

int64_t mfs_async_listdir(mfs_async *context, mfs *fs, const char *path, void *user)
{
	struct mfs__async_call call = {.kind = &listdir_kind, .user = user, .fs = fs};
	const struct mfs__async_inputs inputs = {.path = path};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_glob(struct mfs__async_call *call, mfs_async_output *output)
{
	return mfs_glob(call->fs, call->path, &output->names);
}

static const struct mfs__async_kind glob_kind = {.place = MFS__ASYNC_WORKER, .run = run_glob};

int64_t mfs_async_glob(mfs_async *context, mfs *fs, const char *pattern, void *user)
{
	struct mfs__async_call call = {.kind = &glob_kind, .user = user, .fs = fs};
	const struct mfs__async_inputs inputs = {.path = pattern};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_opendir(struct mfs__async_call *call, mfs_async_output *output)
{
	return mfs_opendir(call->fs, call->path, &output->dir);
}

static const struct mfs__async_kind opendir_kind = {.place = MFS__ASYNC_WORKER, .run = run_opendir};

int64_t mfs_async_opendir(mfs_async *context, mfs *fs, const char *path, void *user)
{
	struct mfs__async_call call = {.kind = &opendir_kind, .user = user, .fs = fs};
	const struct mfs__async_inputs inputs = {.path = path};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_walk_open(struct mfs__async_call *call, mfs_async_output *output)
{
	return mfs_walk_open(call->fs, call->path, &output->walk);
}

static const struct mfs__async_kind walk_open_kind = {.place = MFS__ASYNC_WORKER,
													  .run = run_walk_open};

int64_t mfs_async_walk_open(mfs_async *context, mfs *fs, const char *path, void *user)
{
	struct mfs__async_call call = {.kind = &walk_open_kind, .user = user, .fs = fs};
	const struct mfs__async_inputs inputs = {.path = path};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_walk_next(struct mfs__async_call *call, mfs_async_output *output)
{
	return mfs_walk_next(call->object, &output->level);
}

static const struct mfs__async_kind walk_next_kind = {.place = MFS__ASYNC_WORKER,
													  .run = run_walk_next};

int64_t mfs_async_walk_next(mfs_async *context, mfs_walk *walk, void *user)
{
	struct mfs__async_call call = {.kind = &walk_next_kind, .user = user, .object = walk};

	return mfs__async_submit(context, &call, NULL);
}
