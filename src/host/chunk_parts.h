/* SPDX-License-Identifier: MIT */
/* A file's bytes as the host's readv() and writev() want them. */
#ifndef MFS_HOST_CHUNK_PARTS_H
#define MFS_HOST_CHUNK_PARTS_H

#include "file/chunk_list.h"

#include <sys/uio.h>

/** Chunks that hold 1 MiB, from any offset: the first ten of a file hold 2 MiB. */
#define MFS__CHUNK_PARTS_MAX 12

/**
 * Where up to `size` bytes at `offset`, all within the capacity, are: chunk by chunk. Returns the
 * number of parts, at most MFS__CHUNK_PARTS_MAX.
 */
static inline int mfs__chunk_parts(struct mfs__chunk_list *chunks, uint64_t offset, size_t size,
								   struct iovec *parts)
{
	int count = 0;

	for (uint32_t i = mfs__chunk_index(offset); size && count < MFS__CHUNK_PARTS_MAX; i++) {
		struct mfs__chunk *chunk = mfs__chunk_at(chunks, i);
		size_t skip = (size_t)(offset - mfs__chunk_start(i));
		size_t part = chunk->capacity - skip < size ? chunk->capacity - skip : size;
		parts[count++] = (struct iovec){chunk->bytes + skip, part};
		offset += part;
		size -= part;
	}
	return count;
}

#endif
