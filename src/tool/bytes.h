/* SPDX-License-Identifier: MIT */
/* A block of memory that grows. */
#ifndef DMEMFS_TOOL_BYTES_H
#define DMEMFS_TOOL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/** All zeros: empty. */
struct bytes {
	unsigned char *data;
	size_t length; /* in use */
	size_t room;   /* allocated */
};

/**
 * Make room for `more` bytes behind those in use; then `data` is not NULL, even for 0 bytes.
 * Returns false without memory.
 */
static inline bool bytes_reserve(struct bytes *bytes, size_t more)
{
	if (bytes->data && more <= bytes->room - bytes->length)
		return true;
	if (more > SIZE_MAX / 2 - bytes->length)
		return false;
	size_t room = bytes->room < 32 ? 64 : 2 * bytes->room;
	if (room < bytes->length + more)
		room = bytes->length + more;
	unsigned char *data = realloc(bytes->data, room);
	if (!data)
		return false;
	bytes->data = data;
	bytes->room = room;
	return true;
}

/** Append `length` bytes. Returns false without memory, and then has changed nothing. */
static inline bool bytes_append(struct bytes *bytes, const void *source, size_t length)
{
	if (!bytes_reserve(bytes, length))
		return false;
	if (length)
		memcpy(bytes->data + bytes->length, source, length);
	bytes->length += length;
	return true;
}

/** Give the memory back. The block may be used again. */
static inline void bytes_free(struct bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct bytes){0};
}

#endif
