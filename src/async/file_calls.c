/* SPDX-License-Identifier: MIT */
/* Operations on open files. */
#include "call.h"

/* Of the library. */
#define VECTOR_MAX 1024

/* A vector of a length that the call refuses is not looked at, and not copied. */
static struct mfs__async_inputs vector_inputs(const struct iovec *vector, int count)
{
	if (count < 1 || count > VECTOR_MAX)
		return (struct mfs__async_inputs){0};
	return (struct mfs__async_inputs){.bytes = vector, .size = (size_t)count * sizeof *vector};
}

static int64_t run_close(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_close(call->object);
}

/* It waits for calls under way, and these hold no handle while they wait. */
static const struct mfs__async_kind close_kind = {
	.place = MFS__ASYNC_WORKER, .closes = true, .run = run_close};

int64_t mfs_async_close(mfs_async *context, mfs_file *file, void *user)
{
	struct mfs__async_call call = {.kind = &close_kind, .user = user, .object = file};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_read(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_read(call->object, call->buffer, call->size);
}

static const struct mfs__async_kind read_kind = {.place = MFS__ASYNC_ASK, .run = run_read};

int64_t mfs_async_read(mfs_async *context, mfs_file *file, void *buffer, size_t size, void *user)
{
	struct mfs__async_call call = {
		.kind = &read_kind, .user = user, .object = file, .buffer = buffer, .size = size};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_pread(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_pread(call->object, call->buffer, call->size, call->offset);
}

static const struct mfs__async_kind pread_kind = {.place = MFS__ASYNC_ASK, .run = run_pread};

int64_t mfs_async_pread(mfs_async *context, mfs_file *file, void *buffer, size_t size,
						int64_t offset, void *user)
{
	struct mfs__async_call call = {.kind = &pread_kind,
								   .user = user,
								   .object = file,
								   .buffer = buffer,
								   .size = size,
								   .offset = offset};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_readv(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_readv(call->object, call->copied, call->number);
}

static const struct mfs__async_kind readv_kind = {.place = MFS__ASYNC_ASK, .run = run_readv};

int64_t mfs_async_readv(mfs_async *context, mfs_file *file, const struct iovec *vector, int count,
						void *user)
{
	struct mfs__async_call call = {
		.kind = &readv_kind, .user = user, .object = file, .number = count};
	const struct mfs__async_inputs inputs = vector_inputs(vector, count);

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_write(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_write(call->object, call->constant, call->size);
}

static const struct mfs__async_kind write_kind = {.place = MFS__ASYNC_ASK, .run = run_write};

int64_t mfs_async_write(mfs_async *context, mfs_file *file, const void *buffer, size_t size,
						void *user)
{
	struct mfs__async_call call = {
		.kind = &write_kind, .user = user, .object = file, .constant = buffer, .size = size};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_pwrite(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_pwrite(call->object, call->constant, call->size, call->offset);
}

static const struct mfs__async_kind pwrite_kind = {.place = MFS__ASYNC_ASK, .run = run_pwrite};

int64_t mfs_async_pwrite(mfs_async *context, mfs_file *file, const void *buffer, size_t size,
						 int64_t offset, void *user)
{
	struct mfs__async_call call = {.kind = &pwrite_kind,
								   .user = user,
								   .object = file,
								   .constant = buffer,
								   .size = size,
								   .offset = offset};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_writev(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_writev(call->object, call->copied, call->number);
}

static const struct mfs__async_kind writev_kind = {.place = MFS__ASYNC_ASK, .run = run_writev};

int64_t mfs_async_writev(mfs_async *context, mfs_file *file, const struct iovec *vector, int count,
						 void *user)
{
	struct mfs__async_call call = {
		.kind = &writev_kind, .user = user, .object = file, .number = count};
	const struct mfs__async_inputs inputs = vector_inputs(vector, count);

	return mfs__async_submit(context, &call, &inputs);
}

static int64_t run_seek(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_seek(call->object, call->offset, call->number);
}

static const struct mfs__async_kind seek_kind = {.place = MFS__ASYNC_ASK, .run = run_seek};

int64_t mfs_async_seek(mfs_async *context, mfs_file *file, int64_t offset, int whence, void *user)
{
	struct mfs__async_call call = {
		.kind = &seek_kind, .user = user, .object = file, .offset = offset, .number = whence};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_truncate(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_truncate(call->object, call->offset);
}

static const struct mfs__async_kind truncate_kind = {.place = MFS__ASYNC_ASK, .run = run_truncate};

int64_t mfs_async_truncate(mfs_async *context, mfs_file *file, int64_t size, void *user)
{
	struct mfs__async_call call = {
		.kind = &truncate_kind, .user = user, .object = file, .offset = size};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_reserve(struct mfs__async_call *call, mfs_async_output *output)
{
	return mfs_reserve(call->object, call->size, &output->buffer);
}

static const struct mfs__async_kind reserve_kind = {.place = MFS__ASYNC_ASK, .run = run_reserve};

int64_t mfs_async_reserve(mfs_async *context, mfs_file *file, size_t size, void *user)
{
	struct mfs__async_call call = {
		.kind = &reserve_kind, .user = user, .object = file, .size = size};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_commit(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_commit(call->object, call->size);
}

static const struct mfs__async_kind commit_kind = {.place = MFS__ASYNC_ASK, .run = run_commit};

int64_t mfs_async_commit(mfs_async *context, mfs_file *file, size_t size, void *user)
{
	struct mfs__async_call call = {
		.kind = &commit_kind, .user = user, .object = file, .size = size};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_write_adopt(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_write_adopt(call->object, call->buffer, call->size, call->release, call->argument);
}

static const struct mfs__async_kind write_adopt_kind = {.place = MFS__ASYNC_ASK,
														.run = run_write_adopt};

int64_t mfs_async_write_adopt(mfs_async *context, mfs_file *file, void *buffer, size_t length,
							  mfs_release *release, void *release_user, void *user)
{
	struct mfs__async_call call = {.kind = &write_adopt_kind,
								   .user = user,
								   .object = file,
								   .buffer = buffer,
								   .size = length,
								   .release = release,
								   .argument = release_user};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_copy_range(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_copy_range(call->object, call->offset, call->object_2, call->offset_2, call->length);
}

static const struct mfs__async_kind copy_range_kind = {.place = MFS__ASYNC_ASK,
													   .run = run_copy_range};

int64_t mfs_async_copy_range(mfs_async *context, mfs_file *from, int64_t from_offset, mfs_file *to,
							 int64_t to_offset, int64_t size, void *user)
{
	struct mfs__async_call call = {.kind = &copy_range_kind,
								   .user = user,
								   .object = from,
								   .object_2 = to,
								   .offset = from_offset,
								   .offset_2 = to_offset,
								   .length = size};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_read_to_fd(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_read_to_fd(call->object, call->offset, call->length, call->number);
}

static const struct mfs__async_kind read_to_fd_kind = {
	.place = MFS__ASYNC_WAITER, .sets_errno = true, .run = run_read_to_fd};

int64_t mfs_async_read_to_fd(mfs_async *context, mfs_file *file, int64_t offset, int64_t size,
							 int fd, void *user)
{
	struct mfs__async_call call = {.kind = &read_to_fd_kind,
								   .user = user,
								   .object = file,
								   .offset = offset,
								   .length = size,
								   .number = fd};

	return mfs__async_submit(context, &call, NULL);
}

static int64_t run_write_from_fd(struct mfs__async_call *call, mfs_async_output *output)
{
	(void)output;
	return mfs_write_from_fd(call->object, call->offset, call->length, call->number);
}

static const struct mfs__async_kind write_from_fd_kind = {.place = MFS__ASYNC_WAITER,
														  .may_fall_short = true,
														  .sets_errno = true,
														  .run = run_write_from_fd};

int64_t mfs_async_write_from_fd(mfs_async *context, mfs_file *file, int64_t offset, int64_t size,
								int fd, void *user)
{
	struct mfs__async_call call = {.kind = &write_from_fd_kind,
								   .user = user,
								   .object = file,
								   .offset = offset,
								   .length = size,
								   .number = fd};

	return mfs__async_submit(context, &call, NULL);
}
