/* SPDX-License-Identifier: MIT */
/* Operations that import and export. */
#include "call.h"

static int64_t run_import_tree(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_import_tree(call->fs, call->constant, call->size);
}

static const struct mfs__async_kind import_tree_kind = {.place = MFS__ASYNC_WORKER,
														.run = run_import_tree};

int64_t mfs_async_import_tree(mfs_async *context, mfs *fs, const mfs_import_item *items,
							  size_t count, void *user)
{
	struct mfs__async_call call = {
		.kind = &import_tree_kind, .user = user, .fs = fs, .constant = items, .size = count};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_import_begin(struct mfs__async_call *call, mfs_async_output *output)
{
	return mfs_import_begin(call->fs, &output->import);
}

static const struct mfs__async_kind import_begin_kind = {.place = MFS__ASYNC_WORKER,
														 .run = run_import_begin};

int64_t mfs_async_import_begin(mfs_async *context, mfs *fs, void *user)
{
	struct mfs__async_call call = {.kind = &import_begin_kind, .user = user, .fs = fs};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_import_mkdir(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_import_mkdir(call->object, call->path);
}

static const struct mfs__async_kind import_mkdir_kind = {.place = MFS__ASYNC_WORKER,
														 .run = run_import_mkdir};

int64_t mfs_async_import_mkdir(mfs_async *context, mfs_import *import, const char *path, void *user)
{
	struct mfs__async_call call = {.kind = &import_mkdir_kind, .user = user, .object = import};
	const struct mfs__async_inputs inputs = {.path = path};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_import_commit(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_import_commit(call->object, call->flags);
}

static const struct mfs__async_kind import_commit_kind = {.place = MFS__ASYNC_WORKER,
														  .run = run_import_commit};

int64_t mfs_async_import_commit(mfs_async *context, mfs_import *import, unsigned flags, void *user)
{
	struct mfs__async_call call = {
		.kind = &import_commit_kind, .user = user, .object = import, .flags = flags};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_import_abort(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_import_abort(call->object);
}

static const struct mfs__async_kind import_abort_kind = {
	.place = MFS__ASYNC_WORKER, .closes = true, .run = run_import_abort};

int64_t mfs_async_import_abort(mfs_async *context, mfs_import *import, void *user)
{
	struct mfs__async_call call = {.kind = &import_abort_kind, .user = user, .object = import};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_import_from_dir(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_import_from_dir(call->fs, call->path_2, call->path, call->copied);
}

static const struct mfs__async_kind import_from_dir_kind = {.place = MFS__ASYNC_WAITER,
															.run = run_import_from_dir};

int64_t mfs_async_import_from_dir(mfs_async *context, mfs *fs, const char *host_path,
								  const char *path, const mfs_transfer_options *options, void *user)
{
	struct mfs__async_call call = {.kind = &import_from_dir_kind, .user = user, .fs = fs};
	const struct mfs__async_inputs inputs = {
		.path = path, .path_2 = host_path, .options = options, .size = sizeof *options};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_export_to_dir(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_export_to_dir(call->fs, call->path, call->path_2, call->copied);
}

static const struct mfs__async_kind export_to_dir_kind = {.place = MFS__ASYNC_WAITER,
														  .run = run_export_to_dir};

int64_t mfs_async_export_to_dir(mfs_async *context, mfs *fs, const char *path,
								const char *host_path, const mfs_transfer_options *options,
								void *user)
{
	struct mfs__async_call call = {.kind = &export_to_dir_kind, .user = user, .fs = fs};
	const struct mfs__async_inputs inputs = {
		.path = path, .path_2 = host_path, .options = options, .size = sizeof *options};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_export_fd(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_export_fd(call->fs, call->path);
}

static const struct mfs__async_kind export_fd_kind = {
	.place = MFS__ASYNC_WAITER, .sets_errno = true, .run = run_export_fd};

int64_t mfs_async_export_fd(mfs_async *context, mfs *fs, const char *path, void *user)
{
	struct mfs__async_call call = {.kind = &export_fd_kind, .user = user, .fs = fs};
	const struct mfs__async_inputs inputs = {.path = path};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_export_buffer(struct mfs__async_call *call, mfs_async_output *output)
{
	return mfs_export_buffer(call->fs, call->path, call->size, &output->buffer);
}

static const struct mfs__async_kind export_buffer_kind = {.place = MFS__ASYNC_WAITER,
														  .run = run_export_buffer};

int64_t mfs_async_export_buffer(mfs_async *context, mfs *fs, const char *path, uint64_t max_size,
								void *user)
{
	struct mfs__async_call call = {
		.kind = &export_buffer_kind, .user = user, .fs = fs, .size = max_size};
	const struct mfs__async_inputs inputs = {.path = path};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_export_open(struct mfs__async_call *call, mfs_async_output *output)
{
	return mfs_export_open(call->fs, call->path, call->flags, &output->export_iterator);
}

static const struct mfs__async_kind export_open_kind = {.place = MFS__ASYNC_WORKER,
														.run = run_export_open};

int64_t mfs_async_export_open(mfs_async *context, mfs *fs, const char *path, unsigned flags,
							  void *user)
{
	struct mfs__async_call call = {
		.kind = &export_open_kind, .user = user, .fs = fs, .flags = flags};
	const struct mfs__async_inputs inputs = {.path = path};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_export_next(struct mfs__async_call *call, mfs_async_output *output)
{
	return mfs_export_next(call->object, &output->item);
}

static const struct mfs__async_kind export_next_kind = {.place = MFS__ASYNC_WAITER,
														.run = run_export_next};

int64_t mfs_async_export_next(mfs_async *context, mfs_export *iterator, void *user)
{
	struct mfs__async_call call = {.kind = &export_next_kind, .user = user, .object = iterator};

	return mfs__async_submit(context, &call, NULL);
}
