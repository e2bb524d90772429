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

	for (; size && count < MFS__CHUNK_PARTS_MAX; count++) {
		struct iovec *part = &parts[count];
		part->iov_base = mfs__chunks_part(chunks, offset, size, &part->iov_len);
		offset += part->iov_len;
		size -= part->iov_len;
	}
	return count;
}

#endif
