/* SPDX-License-Identifier: MIT */
/* Memory that grows with what is put into it. */
#ifndef DMEMFS_TEXT_BUFFER_H
#define DMEMFS_TEXT_BUFFER_H

#include <dmemfs/dmemfs.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Zeroed: empty. */
struct mfs__text_buffer {
	uint8_t *bytes;
	size_t length; /* bytes that are in use */
	size_t room;   /* bytes that there are */
};

/* Have room for `more` bytes behind those in use. Returns 0 or MFS_ENOMEM, noted. */
static inline int mfs__text_buffer_grow(struct mfs__text_buffer *buffer, size_t more)
{
	if (more <= buffer->room - buffer->length)
		return 0;
	size_t least = more <= SIZE_MAX / 2 - buffer->length ? buffer->length + more : SIZE_MAX;
	size_t room = buffer->room > SIZE_MAX / 4 ? SIZE_MAX : buffer->room + buffer->room / 2;

	room = room > least ? room : least;
	uint8_t *grown = realloc(buffer->bytes, room);
	if (!grown)
		return mfs_set_last_error(MFS_ENOMEM, "%zu bytes of text", room);
	buffer->bytes = grown;
	buffer->room = room;
	return 0;
}

/* Put bytes behind those in use. Returns 0 or MFS_ENOMEM, noted. */
static inline int mfs__text_buffer_put(struct mfs__text_buffer *buffer, const void *bytes,
									   size_t length)
{
	int code = mfs__text_buffer_grow(buffer, length);

	if (code)
		return code;
	if (length)
		memcpy(buffer->bytes + buffer->length, bytes, length);
	buffer->length += length;
	return 0;
}

static inline void mfs__text_buffer_free(struct mfs__text_buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct mfs__text_buffer){NULL, 0, 0};
}

#endif
