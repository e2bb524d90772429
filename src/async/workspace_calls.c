/* SPDX-License-Identifier: MIT */
/* Operations on workspaces, and those of one's own. */
#include "call.h"

static int64_t run_workspace_new(struct mfs__async_call *call, mfs_async_output *output)
{
	return mfs_new(call->copied, &output->fs);
}

/* The memory guard's source may hang. */
static const struct mfs__async_kind workspace_new_kind = {.place = MFS__ASYNC_WAITER,
														  .run = run_workspace_new};

int64_t mfs_async_workspace_new(mfs_async *context, const mfs_options *options, void *user)
{
	struct mfs__async_call call = {.kind = &workspace_new_kind, .user = user};
	const struct mfs__async_inputs inputs = {.options = options, .size = sizeof *options};

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_workspace_free(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_free(call->fs);
}

static const struct mfs__async_kind workspace_free_kind = {
	.place = MFS__ASYNC_WAITER, .closes = true, .run = run_workspace_free};

int64_t mfs_async_workspace_free(mfs_async *context, mfs *fs, void *user)
{
	struct mfs__async_call call = {.kind = &workspace_free_kind, .user = user, .fs = fs};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_wait_for_space(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_wait_for_space(call->fs, call->size, mfs__async_left(call));
}

/* To look once is not to wait, nor for a thread. */
static void prepare_wait_for_space(struct mfs__async_call *call)
{
	if (call->timeout == 0 || call->timeout == MFS_NO_WAIT)
		call->place = MFS__ASYNC_WORKER;
}

static const struct mfs__async_kind wait_for_space_kind = {
	.place = MFS__ASYNC_WAITER, .prepare = prepare_wait_for_space, .run = run_wait_for_space};

int64_t mfs_async_wait_for_space(mfs_async *context, mfs *fs, uint64_t bytes, int64_t timeout,
								 void *user)
{
	struct mfs__async_call call = {
		.kind = &wait_for_space_kind, .user = user, .fs = fs, .size = bytes, .timeout = timeout};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_reservation_new(struct mfs__async_call *call, mfs_async_output *output)
{
	return mfs_reservation_new(call->fs, call->size, &output->reservation);
}

static const struct mfs__async_kind reservation_new_kind = {.place = MFS__ASYNC_WAITER,
															.run = run_reservation_new};

int64_t mfs_async_reservation_new(mfs_async *context, mfs *fs, uint64_t bytes, void *user)
{
	struct mfs__async_call call = {
		.kind = &reservation_new_kind, .user = user, .fs = fs, .size = bytes};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_function(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	if (!call->function)
		return mfs_set_last_error(MFS_EINVAL, "mfs_async_call: NULL");
	if (call->flags & ~(unsigned)MFS_ASYNC_MAY_WAIT)
		return mfs_set_last_error(MFS_EINVAL, "mfs_async_call: flags");
	return call->function(call->argument);
}

static void prepare_function(struct mfs__async_call *call)
{
	if (call->flags & MFS_ASYNC_MAY_WAIT)
		call->place = MFS__ASYNC_WAITER;
}

static const struct mfs__async_kind function_kind = {.place = MFS__ASYNC_WORKER,
													 .sets_errno = true,
													 .prepare = prepare_function,
													 .run = run_function};

int64_t mfs_async_call(mfs_async *context, mfs_async_function *function, void *argument,
					   unsigned flags, void *user)
{
	struct mfs__async_call call = {.kind = &function_kind,
								   .user = user,
								   .function = function,
								   .argument = argument,
								   .flags = flags};

	return mfs__async_submit(context, &call, NULL);
}
