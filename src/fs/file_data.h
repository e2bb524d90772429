/* SPDX-License-Identifier: MIT */
/*
 * Changes of a file's data: chunk list, size, generation and charge together. Every function needs
 * the lock of a file that it changes held exclusively (or the file not published yet).
 */
#ifndef MFS_FS_FILE_DATA_H
#define MFS_FS_FILE_DATA_H

#include "fs/filesystem.h"

#include <sys/uio.h>

/** Make the file `size` bytes long, longer than it is, with zeros. Errors as mfs__chunks_prepare().
 */
int mfs__file_extend(mfs *fs, struct mfs__file *file, uint64_t size);

/** Make the file `size` bytes long, not longer than it is. */
void mfs__file_shorten(mfs *fs, struct mfs__file *file, uint64_t size);

/** Make the file `size` zeros, whatever it was. Errors as mfs__chunks_prepare(). */
int mfs__file_replace_by_zeros(mfs *fs, struct mfs__file *file, uint64_t size);

/**
 * Write the vector's bytes, `length` in all, at `offset`, filling a gap before it with zeros.
 *
 * Errors: as mfs__chunks_prepare(), and MFS_ENOTSUP, noted, for a storage mode that refuses.
 * Nothing has changed then. Returns 0.
 */
int mfs__file_write(mfs *fs, struct mfs__file *file, uint64_t offset, const struct iovec *vector,
					int count, size_t length);

/**
 * Give the new, empty and unpublished file `to` the bytes and the storage mode of `from`, by
 * sharing chunks, with `generation` and the time of now. The lock of `from` is held, at least
 * shared. The data is charged in full, so that writing to either file later needs no quota, but
 * memory.
 *
 * Errors: MFS_EQUOTA, noted with numbers, and MFS_ENOMEM. Nothing has changed then. Returns 0.
 */
int mfs__file_clone(mfs *fs, struct mfs__file *from, struct mfs__file *to, unsigned generation);

/** Give back what the file does not use. */
void mfs__file_trim(mfs *fs, struct mfs__file *file);

#endif
