/* SPDX-License-Identifier: MIT */
/* A file of the workspace that a call keeps open while it reads it. */
#ifndef MFS_HOST_HELD_FILE_H
#define MFS_HOST_HELD_FILE_H

#include "fs/fork_guard.h"

#include <dmemfs/dmemfs.h>

#include <sys/uio.h>

/** For one file after the other, by one thread. */
struct mfs__held_file {
	struct mfs__fork_guard guard;
	/* Set by mfs_open() inside the gate, so that a child sees it set as soon as the file is open.
	 * Stays as it is when the file is closed: to close it again does nothing. */
	mfs_file *file;
	mfs_info info; /* as long as it is open: nobody changes the file meanwhile */
};

void mfs__held_begin(struct mfs__held_file *held);
void mfs__held_end(struct mfs__held_file *held);

/** Is that what opening a file answers that was removed, or replaced by a directory? */
static inline bool mfs__held_is_gone(int code)
{
	return code == MFS_ENOENT || code == MFS_ENOTDIR || code == MFS_EISDIR;
}

/**
 * Open a file for reading, waiting for its lock for `timeout` as mfs_open_ex() does, 0: as long as
 * the workspace's default says. Errors are those of mfs_open(). Returns 0.
 */
int mfs__held_open(struct mfs__held_file *held, mfs *fs, const char *path, int64_t timeout);

/**
 * Where up to `size` bytes at `offset`, within the file, are in memory: see host/chunk_parts.h.
 * They stay there and do not change as long as the file is open. Returns the number of parts.
 */
int mfs__held_parts(struct mfs__held_file *held, uint64_t offset, size_t size, struct iovec *parts);

void mfs__held_close(struct mfs__held_file *held);

#endif
