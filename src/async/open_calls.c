/* SPDX-License-Identifier: MIT */
/* Operations that open files. */
#include "call.h"

#include <string.h>

/* The options, or those that stand for none. */
static mfs_open_options options_of(const struct mfs__async_call *call)
{
	mfs_open_options options = {.struct_size = sizeof options};

	if (call->copied)
		memcpy(&options, call->copied, sizeof options);
	return options;
}

/* May it wait for anything but the lock that the handle keeps? */
static void prepare_open(struct mfs__async_call *call)
{
	mfs_open_options options = options_of(call);
	bool empties = call->mode && call->mode[0] == 'w';
	bool extends = options.preallocate > 0;

	if (extends && options.space_timeout != MFS_NO_WAIT)
		call->place = MFS__ASYNC_WAITER;
	if (!(options.flags & MFS_O_SHARED))
		call->timeout = options.lock_timeout;
	else if ((empties || extends) && options.lock_timeout != MFS_NO_WAIT)
		call->place = MFS__ASYNC_WAITER;
}

static int64_t run_open(struct mfs__async_call *call, mfs_async_output *output)
{
	mfs_open_options options = options_of(call);
	bool shared = (options.flags & MFS_O_SHARED) != 0;
	/* The lock_timeout of a shared handle is for the calls on it, too. */
	bool tries = call->place == MFS__ASYNC_WORKER && !shared &&
				 (options.lock_timeout >= 0 || options.lock_timeout == MFS_WAIT_FOREVER);

	/* Its time ran out in the queue: one try, which takes no millisecond of those behind it. */
	int64_t left = mfs__async_left(call);
	bool late = !tries && !shared && call->timeout > 0 && left == 0;

	if (tries || late)
		options.lock_timeout = MFS_NO_WAIT;
	else if (!shared)
		options.lock_timeout = left;
	int code = mfs_open_ex(call->fs, call->path, call->mode, &options, &output->file);
	call->elsewhere = tries && code == MFS_EBUSY;
	if (late && code == MFS_EBUSY)
		code = mfs_set_last_error(MFS_ETIMEDOUT, "open of %.400s: %s", call->path,
								  mfs_strerror(MFS_ETIMEDOUT));
	return code;
}

static const struct mfs__async_kind open_kind = {
	.place = MFS__ASYNC_WORKER, .prepare = prepare_open, .run = run_open};

int64_t mfs_async_open(mfs_async *context, mfs *fs, const char *path, const char *mode,
					   const mfs_open_options *options, void *user)
{
	struct mfs__async_call call = {.kind = &open_kind, .user = user, .fs = fs};
	const struct mfs__async_inputs inputs = {
		.path = path, .mode = mode, .options = options, .size = sizeof *options};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_import_open(struct mfs__async_call *call, mfs_async_output *output)
{
	return mfs_import_open(call->object, call->path, call->mode, call->copied, &output->file);
}

/* It never waits for a lock, but may wait for room. */
static void prepare_import_open(struct mfs__async_call *call)
{
	mfs_open_options options = options_of(call);

	if (options.preallocate > 0 && options.space_timeout != MFS_NO_WAIT)
		call->place = MFS__ASYNC_WAITER;
}

static const struct mfs__async_kind import_open_kind = {
	.place = MFS__ASYNC_WORKER, .prepare = prepare_import_open, .run = run_import_open};

int64_t mfs_async_import_open(mfs_async *context, mfs_import *import, const char *path,
							  const char *mode, const mfs_open_options *options, void *user)
{
	struct mfs__async_call call = {.kind = &import_open_kind, .user = user, .object = import};
	const struct mfs__async_inputs inputs = {
		.path = path, .mode = mode, .options = options, .size = sizeof *options};

	return mfs__async_submit(context, &call, &inputs);
}
