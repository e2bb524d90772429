/* SPDX-License-Identifier: MIT */
#include "input.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes that are read from the host at a time. */
#define BUFFER_SIZE ((size_t)256 << 10)
/* The most that is given at a time: decompressors count blocks in 32 bits. */
#define BLOCK_MAX ((size_t)1 << 20)

/*
 * Opening
 */

/* A regular file can be read anywhere and at once; all else is read as it comes. */
static int open_descriptor(struct mfs_archive_input *input)
{
	struct stat info;

	if (fstat(input->fd, &info) != 0)
		return mfs__archive_fault_host(&input->fault, errno);
	if (S_ISREG(info.st_mode)) {
		input->base = input->owns_fd ? 0 : lseek(input->fd, 0, SEEK_CUR);
		if (input->base < 0)
			return mfs__archive_fault_host(&input->fault, errno);
		input->can_seek = true;
		input->size = info.st_size > input->base ? info.st_size - input->base : 0;
	}
	input->buffer = malloc(BUFFER_SIZE);
	if (!input->buffer)
		return mfs__archive_fault(&input->fault, MFS_ENOMEM, "%s", mfs_strerror(MFS_ENOMEM));
	return 0;
}

static int open_host_path(struct mfs_archive_input *input, const char *path)
{
	input->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (input->fd < 0)
		return mfs__archive_fault_host(&input->fault, errno);
	input->owns_fd = true;
	return open_descriptor(input);
}

static int open_file(struct mfs_archive_input *input, mfs *fs, const char *path)
{
	int code = mfs_open(fs, path, "rb", &input->file);

	if (code)
		return mfs__archive_fault(&input->fault, code, "%s", mfs_last_error());
	int64_t size = mfs_seek(input->file, 0, SEEK_END);
	if (size < 0)
		return mfs__archive_fault(&input->fault, (int)size, "%s", mfs_last_error());
	input->can_seek = true;
	input->size = size;
	return 0;
}

int mfs__archive_input_open(struct mfs_archive_input *input, const mfs_archive_source *source)
{
	*input = (struct mfs_archive_input){.kind = source->kind, .fd = -1};
	switch (source->kind) {
	case MFS_ARCHIVE_HOST_PATH:
		if (source->path)
			return open_host_path(input, source->path);
		break;
	case MFS_ARCHIVE_FD:
		if (source->fd >= 0) {
			input->fd = source->fd;
			return open_descriptor(input);
		}
		break;
	case MFS_ARCHIVE_MEMORY:
		if ((source->data || source->size == 0) && source->size <= (uint64_t)INT64_MAX) {
			input->memory = source->data;
			input->size = (int64_t)source->size;
			input->can_seek = true;
			return 0;
		}
		break;
	case MFS_ARCHIVE_FILE:
		if (source->fs && source->path)
			return open_file(input, source->fs, source->path);
		break;
	default:
		return mfs__archive_fault(&input->fault, MFS_EINVAL, "kind of mfs_archive_source");
	}
	return mfs__archive_fault(&input->fault, MFS_EINVAL, "mfs_archive_source does not say where");
}

void mfs__archive_input_close(struct mfs_archive_input *input)
{
	if (input->owns_fd)
		(void)close(input->fd);
	(void)mfs_close(input->file);
	free(input->buffer);
	free(input->head_buffer);
}

/*
 * Reading
 */

/* Up to `size` bytes from where the pending ones end. Returns how many, 0 at the end, or a code. */
static int64_t read_host(struct mfs_archive_input *input, void *buffer, size_t size)
{
	for (;;) {
		ssize_t got = input->can_seek
						  ? pread(input->fd, buffer, size,
								  input->base + input->at + (int64_t)input->pending_size)
						  : read(input->fd, buffer, size);
		if (got >= 0)
			return got;
		if (errno != EINTR)
			return mfs__archive_fault_host(&input->fault, errno);
	}
}

static int64_t head_of_host(struct mfs_archive_input *input, size_t size, const void **head)
{
	/* The pending bytes are at the start of the buffer, as nothing was given. */
	while (input->pending_size < size) {
		int64_t got = read_host(input, input->buffer + input->pending_size,
								BUFFER_SIZE - input->pending_size);
		if (got < 0)
			return got;
		if (got == 0)
			break;
		input->pending = input->buffer;
		input->pending_size += (size_t)got;
	}
	*head = input->buffer;
	return (int64_t)(input->pending_size < size ? input->pending_size : size);
}

/* A file's first bytes lie in one piece, or are copied to one. */
static int64_t head_of_file(struct mfs_archive_input *input, int64_t size, const void **head)
{
	int64_t run = mfs_view(input->file, 0, head);

	if (run >= size)
		return size;
	if (run >= 0) {
		if (!input->head_buffer)
			input->head_buffer = malloc(MFS__ARCHIVE_HEAD_MAX);
		if (!input->head_buffer)
			return mfs__archive_fault(&input->fault, MFS_ENOMEM, "%s", mfs_strerror(MFS_ENOMEM));
		*head = input->head_buffer;
		run = mfs_pread(input->file, input->head_buffer, (size_t)size, 0);
	}
	if (run < 0)
		return mfs__archive_fault(&input->fault, (int)run, "%s", mfs_last_error());
	return run;
}

int64_t mfs__archive_input_head(struct mfs_archive_input *input, size_t size, const void **head)
{
	int64_t there = (int64_t)size < input->size ? (int64_t)size : input->size;

	switch (input->kind) {
	case MFS_ARCHIVE_MEMORY:
		*head = input->memory;
		return there;
	case MFS_ARCHIVE_FILE:
		return head_of_file(input, there, head);
	default:
		return head_of_host(input, size, head);
	}
}

/* Let there be a block pending. Returns its length, 0 at the end, or a code. */
static int64_t fill(struct mfs_archive_input *input)
{
	int64_t got = 0;

	if (input->fault.code)
		return input->fault.code;
	if (input->pending_size > 0)
		return (int64_t)input->pending_size;
	switch (input->kind) {
	case MFS_ARCHIVE_MEMORY:
		got = input->size - input->at;
		if (got > 0)
			input->pending = input->memory + input->at;
		break;
	case MFS_ARCHIVE_FILE: {
		const void *run;
		got = mfs_view(input->file, input->at, &run);
		if (got < 0)
			return mfs__archive_fault(&input->fault, (int)got, "%s", mfs_last_error());
		input->pending = run;
		break;
	}
	default:
		got = read_host(input, input->buffer, BUFFER_SIZE);
		if (got < 0)
			return got;
		input->pending = input->buffer;
		break;
	}
	input->pending_size = (size_t)got;
	return got;
}

static void take(struct mfs_archive_input *input, size_t size)
{
	input->pending += size;
	input->pending_size -= size;
	input->at += (int64_t)size;
}

int64_t mfs__archive_input_next(struct mfs_archive_input *input, const void **block)
{
	int64_t size = fill(input);

	if (size > (int64_t)BLOCK_MAX)
		size = (int64_t)BLOCK_MAX;
	if (size > 0) {
		*block = input->pending;
		take(input, (size_t)size);
	}
	return size;
}

int64_t mfs__archive_input_skip(struct mfs_archive_input *input, int64_t size)
{
	int64_t skipped = size < (int64_t)input->pending_size ? size : (int64_t)input->pending_size;

	if (skipped > 0)
		take(input, (size_t)skipped);
	if (input->can_seek && skipped < size && input->at < input->size) {
		int64_t rest = size - skipped;
		int64_t there = input->size - input->at;
		int64_t more = rest < there ? rest : there;
		input->at += more;
		skipped += more;
	}
	return skipped;
}

int64_t mfs__archive_input_seek(struct mfs_archive_input *input, int64_t offset)
{
	input->pending_size = 0;
	input->at = offset < input->size ? offset : input->size;
	return input->at;
}

/*
 * For adapters
 */

int64_t mfs_archive_read(mfs_archive_input *input, void *buffer, size_t size)
{
	size_t done = 0;

	if (!input || (!buffer && size > 0))
		return mfs_set_last_error(MFS_EINVAL, "mfs_archive_read: NULL");
	if (size > (uint64_t)INT64_MAX)
		return mfs_set_last_error(MFS_EINVAL, "mfs_archive_read: size");
	while (done < size) {
		int64_t there = fill(input);
		if (there < 0)
			return mfs_set_last_error((int)there, "%s", input->fault.reason);
		if (there == 0)
			break;
		size_t part = size - done < (size_t)there ? size - done : (size_t)there;
		memcpy((unsigned char *)buffer + done, input->pending, part);
		take(input, part);
		done += part;
	}
	return (int64_t)done;
}
