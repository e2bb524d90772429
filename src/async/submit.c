/* SPDX-License-Identifier: MIT */
/* Accepting operations: what is copied, and on which way they are sent. */
#include "context.h"

#include <stdlib.h>
#include <string.h>

#define NS_PER_MS 1000000

/* Of an options struct; more is a mistake. */
#define OPTIONS_SIZE_MAX 4096

/* Room for a text that is cut where it is too long for a path, so that it still is too long. */
static size_t text_room(const char *text)
{
	return text ? strnlen(text, MFS_PATH_MAX + 1) + 1 : 0;
}

static const char *put_text(char **at, const char *text)
{
	char *start = *at;

	if (!text)
		return NULL;
	size_t length = strnlen(text, MFS_PATH_MAX + 1);
	memcpy(start, text, length);
	start[length] = '\0';
	*at = start + length + 1;
	return start;
}

bool mfs__async_copy_options(void *to, const void *options, size_t known)
{
	size_t given;

	memset(to, 0, known);
	memcpy(&given, options, sizeof given);
	if (given == 0)
		given = known;
	if (given < sizeof given || given > OPTIONS_SIZE_MAX)
		return false;
	for (size_t i = known; i < given; i++)
		if (((const char *)options)[i])
			return false;
	if (given > known)
		given = known;
	memcpy(to, options, given);
	memcpy(to, &given, sizeof given);
	return true;
}

/* Copy what the call is to keep, as one block. Returns 0 or a code. */
static int copy_inputs(struct mfs__async_call *call, const struct mfs__async_inputs *inputs)
{
	bool has_bytes = inputs->bytes || inputs->options;
	size_t room = (has_bytes ? inputs->size : 0) + text_room(inputs->path) +
				  text_room(inputs->path_2) + text_room(inputs->mode);

	if (!room)
		return 0;
	char *at = malloc(room);
	if (!at)
		return MFS_ENOMEM;
	call->copies = at;
	if (has_bytes) {
		/* First, as the block is aligned. */
		call->copied = at;
		if (inputs->bytes)
			memcpy(at, inputs->bytes, inputs->size);
		else if (!mfs__async_copy_options(at, inputs->options, inputs->size))
			return MFS_EINVAL;
		at += inputs->size;
	}
	call->path = put_text(&at, inputs->path);
	call->path_2 = put_text(&at, inputs->path_2);
	call->mode = put_text(&at, inputs->mode);
	return 0;
}

/* Put the call into a slot and send it on its way. With the mutex. Returns its number or a code. */
static int64_t accept(mfs_async *context, const struct mfs__async_call *call)
{
	struct mfs__async_operation *operation = context->vacant.first;
	const void *const objects[MFS__ASYNC_OBJECTS] = {
		call->object, call->object_2 != call->object ? call->object_2 : NULL};

	if (context->shut)
		return MFS_ECANCELED;
	if (!operation)
		return MFS_EAGAIN;
	mfs__async_unlink(&context->vacant, operation);
	context->pending++;
	/* After the last one the slot's numbers begin anew. */
	if (operation->number > INT64_MAX - context->number_step)
		operation->number %= context->number_step;
	operation->number += context->number_step;
	operation->call = *call;
	memset(&operation->output, 0, sizeof operation->output);
	operation->lines = 0;
	for (int i = 0; i < MFS__ASYNC_OBJECTS; i++)
		if (objects[i] &&
			!mfs__async_turn_take(&context->lines, &operation->turns[i], operation, objects[i]))
			operation->lines++;
	if (operation->lines)
		operation->state = MFS__ASYNC_IN_LINE;
	else
		mfs__async_dispatch(context, operation);
	return operation->number;
}

static const char *reason(int64_t code)
{
	switch (code) {
	case MFS_EAGAIN:
		return "as many operations as the context's capacity are not collected yet";
	case MFS_ECANCELED:
		return "the context is shut down";
	case MFS_EINVAL:
		return "struct_size of the options, or what lies behind the known ones";
	default:
		return mfs_strerror((int)code);
	}
}

int64_t mfs__async_submit(mfs_async *context, struct mfs__async_call *call,
						  const struct mfs__async_inputs *inputs)
{
	int64_t result = mfs__async_check(context, "operation");

	if (result)
		return result;
	if (inputs)
		result = copy_inputs(call, inputs);
	if (!result) {
		call->place = call->kind->place;
		call->deadline = MFS__ASYNC_NEVER;
		if (call->kind->prepare)
			call->kind->prepare(call);
		if (call->timeout > 0)
			call->deadline = mfs__async_deadline(call->timeout);
		mfs__async_lock(context);
		result = accept(context, call);
		mfs__async_unlock(context);
	}
	if (result < 0) {
		free(call->copies);
		(void)mfs_set_last_error((int)result, "operation not accepted: %s", reason(result));
	}
	return result;
}

int64_t mfs__async_left(const struct mfs__async_call *call)
{
	if (call->deadline == MFS__ASYNC_NEVER)
		return call->timeout;
	int64_t left = (call->deadline - mfs__async_now() + NS_PER_MS - 1) / NS_PER_MS;
	return left < 0 ? 0 : left;
}
