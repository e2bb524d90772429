/* SPDX-License-Identifier: MIT */
/*
 * Changes of a file's data: chunk list, size, generation and charge together. Every function needs
 * the lock of a file that it changes held exclusively (or the file not published yet). `by` pays.
 */
#ifndef MFS_FS_FILE_DATA_H
#define MFS_FS_FILE_DATA_H

#include "fs/filesystem.h"

#include <sys/uio.h>

/** Make the file `size` bytes long, longer than it is, with zeros. Errors as mfs__chunks_prepare().
 */
int mfs__file_extend(struct mfs__spender *by, struct mfs__file *file, uint64_t size);

/** Make the file `size` bytes long, not longer than it is. */
void mfs__file_shorten(struct mfs__spender *by, struct mfs__file *file, uint64_t size);

/** Make the file `size` zeros, whatever it was. Errors as mfs__chunks_prepare(). */
int mfs__file_replace_by_zeros(struct mfs__spender *by, struct mfs__file *file, uint64_t size);

/**
 * Write the vector's bytes, `length` in all, at `offset`, filling a gap before it with zeros.
 *
 * Errors: as mfs__chunks_prepare(), and MFS_ENOTSUP, noted, for a storage mode that refuses.
 * Nothing has changed then. Returns 0.
 */
int mfs__file_write(struct mfs__spender *by, struct mfs__file *file, uint64_t offset,
					const struct iovec *vector, int count, size_t length);

/**
 * May the file be written at `offset`, by its storage mode? Returns 0, or MFS_ENOTSUP, noted.
 */
int mfs__file_admit(mfs *fs, struct mfs__file *file, uint64_t offset);

/**
 * The file was written from `offset` to `end`: its storage mode follows, size, time and generation
 * change.
 */
void mfs__file_written(struct mfs__file *file, uint64_t offset, uint64_t end);

/**
 * May chunk `index` be the file's last, and hold nothing behind `end`, once the file is written up
 * to there? Not if there are chunks behind it, which a reservation may have left, too.
 */
bool mfs__file_ends_with(struct mfs__file *file, uint32_t index, uint64_t end);

/** Where bytes come from: `length` of them from the byte number `at` on, *part of which lie
 * together at what is returned. */
typedef const unsigned char *mfs__source(void *user, uint64_t at, uint64_t length, size_t *part);

/**
 * mfs__file_write() of `length` > 0 bytes, with chunks that the file takes over (see
 * mfs__chunks_splice()); what they do not bring is copied from the source. Errors as there. Returns
 * 0, and the chunks are the file's; or they still are the caller's.
 */
int mfs__file_splice(struct mfs__spender *by, struct mfs__file *file, uint64_t offset,
					 uint64_t length, const struct mfs__splice *splice, mfs__source *source,
					 void *user);

/**
 * Make the bytes from `offset` to `end`, which lie in one chunk, ready to be changed in place, with
 * what is there. Errors as mfs__chunks_prepare(). Returns 0.
 */
int mfs__file_open_up(struct mfs__spender *by, struct mfs__file *file, uint64_t offset,
					  uint64_t end);

/** Can these bytes, at least one, be overwritten by a parallel call? With the lock, or in such. */
bool mfs__file_can_overwrite(struct mfs__file *file, uint64_t offset, size_t length);

/** Overwrite them, in a parallel call. */
void mfs__file_overwrite(struct mfs__file *file, struct mfs__parallel *parallel, uint64_t offset,
						 const struct iovec *vector, int count);

/**
 * Give the new, empty and unpublished file `to` the bytes and the storage mode of `from`, by
 * sharing chunks, with `generation` and the time of now. The lock of `from` is held, at least
 * shared. The data is charged in full, so that writing to either file later needs no quota, but
 * memory.
 *
 * Errors: MFS_EQUOTA and MFS_EMEMGUARD, noted with numbers, and MFS_ENOMEM. Nothing has changed
 * then. Returns 0.
 */
int mfs__file_clone(mfs *fs, struct mfs__file *from, struct mfs__file *to, unsigned generation);

/** Give back what the file does not use. */
void mfs__file_trim(struct mfs__spender *by, struct mfs__file *file);

#endif
