/* SPDX-License-Identifier: MIT */
/* Bytes of a snapshot on their way to a descriptor of the host. */
#ifndef MFS_HOST_DESCRIPTOR_H
#define MFS_HOST_DESCRIPTOR_H

#include "file/chunk_list.h"

/**
 * Write the `length` bytes from `offset`, all of which the snapshot has, to a descriptor, in as
 * many steps as that takes. With no lock held, as it may block.
 *
 * Returns how many were written; *error is 0, or the errno for which it is not all of them.
 */
uint64_t mfs__snapshot_write(const struct mfs__snapshot *snapshot, uint64_t offset, uint64_t length,
							 int fd, int *error);

#endif
