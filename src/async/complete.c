/* SPDX-License-Identifier: MIT */
/* The way of an operation from its turn to its collection, and canceling. */
#include "context.h"

#include <stdlib.h>
#include <string.h>

void mfs__async_dispatch(struct mfs_async *context, struct mfs__async_operation *operation)
{
	bool waits = operation->call.place == MFS__ASYNC_WAITER;
	struct mfs__async_crew *crew = waits ? &context->waiters : &context->workers;

	operation->state = MFS__ASYNC_QUEUED;
	mfs__async_crew_add(crew, operation);
	/* Where it cannot run yet, somebody has to look at the clock in time. */
	if (crew->running < crew->limit || operation->call.deadline < crew->alarm)
		mfs__async_crew_wake(crew);
}

void mfs__async_complete(struct mfs_async *context, struct mfs__async_operation *operation)
{
	bool first = !context->done.first;

	operation->state = MFS__ASYNC_DONE;
	mfs__async_append(&context->done, operation);
	if (first && context->notifier.readable >= 0)
		mfs__async_notifier_raise(&context->notifier);
	if (context->collectors)
		context->tell_collectors = true;
	for (int i = 0; i < MFS__ASYNC_OBJECTS; i++) {
		if (!operation->turns[i].object)
			continue;
		struct mfs__async_turn *next = mfs__async_turn_leave(&context->lines, &operation->turns[i]);
		if (next && --next->operation->lines == 0)
			mfs__async_dispatch(context, next->operation);
	}
}

void *mfs__async_cancel(struct mfs_async *context, struct mfs__async_operation *operation)
{
	void *copies = operation->call.copies;

	if (operation->state == MFS__ASYNC_QUEUED)
		mfs__async_crew_drop(operation->call.place == MFS__ASYNC_WAITER ? &context->waiters
																		: &context->workers,
							 operation);
	operation->call.copies = NULL;
	operation->result = MFS_ECANCELED;
	operation->host_errno = 0;
	operation->message = "canceled before it began";
	mfs__async_complete(context, operation);
	return copies;
}

static bool has_begun(const struct mfs__async_operation *operation)
{
	return operation->state != MFS__ASYNC_IN_LINE && operation->state != MFS__ASYNC_QUEUED;
}

int mfs_async_cancel(mfs_async *context, int64_t number)
{
	int code = mfs__async_check(context, "mfs_async_cancel");
	void *copies = NULL;

	if (code)
		return code;
	uint64_t index = (uint64_t)number % (uint64_t)context->number_step;
	if (number < 0 || index >= context->capacity)
		return mfs_set_last_error(MFS_ENOENT, "mfs_async_cancel: no operation %lld",
								  (long long)number);
	struct mfs__async_operation *operation = &context->operations[index];
	mfs__async_lock(context);
	if (operation->number != number || operation->state == MFS__ASYNC_FREE ||
		operation->state == MFS__ASYNC_DONE)
		code = MFS_ENOENT;
	else if (has_begun(operation))
		code = MFS_EBUSY;
	else
		copies = mfs__async_cancel(context, operation);
	mfs__async_unlock(context);
	free(copies);
	if (code)
		(void)mfs_set_last_error(code, "mfs_async_cancel: operation %lld %s", (long long)number,
								 code == MFS_EBUSY ? "has begun" : "has completed, or never was");
	return code;
}

int mfs_async_shutdown(mfs_async *context, int how)
{
	int code = mfs__async_check(context, "mfs_async_shutdown");

	if (code)
		return code;
	if (how != MFS_ASYNC_DRAIN && how != MFS_ASYNC_CANCEL)
		return mfs_set_last_error(MFS_EINVAL, "mfs_async_shutdown: how is %d", how);
	mfs__async_lock(context);
	if (how > context->shut)
		context->shut = how;
	for (size_t i = 0; how == MFS_ASYNC_CANCEL && i < context->capacity; i++) {
		struct mfs__async_operation *operation = &context->operations[i];
		if (!has_begun(operation) && !operation->call.kind->closes)
			free(mfs__async_cancel(context, operation));
	}
	/* Who waits may find that nothing can come any more. */
	context->tell_collectors = context->collectors > 0;
	mfs__async_unlock(context);
	return 0;
}

/* Fill a completion and free its slot. */
static void collect_one(struct mfs_async *context, struct mfs__async_operation *operation,
						mfs_async_completion *completion)
{
	completion->operation = operation->number;
	completion->user = operation->call.user;
	completion->result = operation->result;
	completion->host_errno = operation->host_errno;
	completion->reserved = 0;
	completion->output = operation->output;
	completion->message[0] = '\0';
	if (operation->message)
		memcpy(completion->message, operation->message, strlen(operation->message) + 1);
	operation->state = MFS__ASYNC_FREE;
	mfs__async_unlink(&context->done, operation);
	mfs__async_prepend(&context->vacant, operation);
	context->pending--;
}

/* Collect what is there. With the mutex. */
static int64_t collect(struct mfs_async *context, mfs_async_completion *completions, size_t max)
{
	size_t count = 0;

	while (count < max && context->done.first)
		collect_one(context, context->done.first, &completions[count++]);
	if (count && !context->done.first && context->notifier.readable >= 0)
		mfs__async_notifier_lower(&context->notifier);
	if (context->collectors && (context->done.first || (context->shut && !context->pending)))
		context->tell_collectors = true;
	return (int64_t)count;
}

static int check_collect(mfs_async *context, const mfs_async_completion *completions, size_t max,
						 const char *call)
{
	int code = mfs__async_check(context, call);

	if (!code && (!completions || !max))
		code = mfs_set_last_error(MFS_EINVAL, "%s: no room for completions", call);
	return code;
}

int64_t mfs_async_collect(mfs_async *context, mfs_async_completion *completions, size_t max)
{
	int64_t result = check_collect(context, completions, max, "mfs_async_collect");

	if (result)
		return result;
	mfs__async_lock(context);
	result = collect(context, completions, max);
	mfs__async_unlock(context);
	return result;
}

/* Wait until there is a completion, or cannot be one any more. With the mutex. Returns 0 or a code.
 */
static int await(struct mfs_async *context, int64_t timeout, int64_t deadline)
{
	int fault = 0;

	while (!context->done.first && !(context->shut && !context->pending)) {
		if (timeout == MFS_NO_WAIT)
			return MFS_EBUSY;
		if (fault)
			return MFS_ETIMEDOUT;
		mfs__async_send(context);
		context->collectors++;
		fault = mfs__async_cond_wait(&context->completed, &context->mutex, deadline);
		context->collectors--;
	}
	return 0;
}

int64_t mfs_async_wait(mfs_async *context, mfs_async_completion *completions, size_t max,
					   int64_t timeout)
{
	int64_t result = check_collect(context, completions, max, "mfs_async_wait");
	int64_t deadline = MFS__ASYNC_NEVER;

	if (result)
		return result;
	if (timeout < 0 && timeout != MFS_NO_WAIT && timeout != MFS_WAIT_FOREVER)
		return mfs_set_last_error(MFS_EINVAL, "mfs_async_wait: timeout is %lld",
								  (long long)timeout);
	if (timeout >= 0)
		deadline = mfs__async_deadline(timeout);
	mfs__async_lock(context);
	int code = await(context, timeout, deadline);
	result = code ? code : collect(context, completions, max);
	mfs__async_unlock(context);
	if (code)
		(void)mfs_set_last_error(code, "mfs_async_wait: %s", "no completion");
	return result;
}
