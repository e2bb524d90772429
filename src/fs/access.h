/* SPDX-License-Identifier: MIT */
/* A call on an open handle: what it locks, from its begin to its end. */
#ifndef MFS_FS_ACCESS_H
#define MFS_FS_ACCESS_H

#include "fs/handle_table.h"
#include "tree/file_lock.h"

#include <sys/uio.h>

/** The largest offset: sizes are signed 64-bit numbers in the interface. */
#define MFS__OFFSET_MAX INT64_MAX

/** What a call of an MFS_O_SHARED handle wants with the file. Others have its lock anyway. */
enum mfs__access_kind {
	MFS__ACCESS_READ,      /* read bytes, beside others that read, or overwrite others */
	MFS__ACCESS_OVERWRITE, /* overwrite bytes, beside others, if that turns out to be enough */
	MFS__ACCESS_SHARE,     /* read, or share chunks, while nobody writes */
	MFS__ACCESS_CHANGE,    /* change size, chunk list or bytes, alone */
	MFS__ACCESS_KEPT,      /* something that only a lock that is kept protects: MFS_ENOTSUP */
};

struct mfs__access {
	struct mfs__handle *handle; /* NULL: the call has ended */
	bool exclusive;             /* the handle's lock is held exclusively */
	bool file_locked;           /* this call has the file's lock */
	bool file_exclusive;        /* exclusively */
	bool beside;                /* shared, and without keeping parallel calls out */
	bool waited;                /* `waiter` is registered */
	/* Not NULL: a parallel call. */
	struct mfs__parallel *parallel;
	unsigned stripe;
	bool changed; /* which has changed the data */
	struct mfs__rwlock_waiter waiter;
};

/**
 * Begin a call: the handle's lock, shared or exclusive, what its mode must allow (MFS__MODE_READ,
 * MFS__MODE_WRITE), and for an MFS_O_SHARED handle a way to the file. A read may find itself beside
 * parallel calls that overwrite: mfs__access_read() minds that.
 *
 * Errors, noted, with nothing held: MFS_EBADF, MFS_EBUSY, MFS_ETIMEDOUT, MFS_ENOTSUP. Returns 0.
 */
int mfs__access_begin(struct mfs__access *access, mfs_file *file, bool exclusive, unsigned needed,
					  enum mfs__access_kind kind);

/**
 * A parallel call turns out to need the file alone. Errors and return as above; after a failure
 * mfs__access_end() may be called, and does nothing.
 */
int mfs__access_change(struct mfs__access *access, mfs_file *file);

void mfs__access_end(struct mfs__access *access);

/** The same for calls that may let go of chunks, or take memory: tells the owners of buffers, and
 * warns. */
void mfs__access_end_change(struct mfs__access *access);

/** Copy bytes of the file, all within its size. */
void mfs__access_read(struct mfs__access *access, uint64_t offset, void *target, size_t length);

/** Where a handle writes that was told to write at `offset`: in append mode at the end. */
static inline uint64_t mfs__handle_target(const struct mfs__handle *handle, uint64_t offset)
{
	return handle->mode & MFS__MODE_APPEND ? mfs__node_size(&handle->file->node) : offset;
}

/** How much of `size` bytes at `offset` the file has. */
static inline size_t mfs__access_readable(struct mfs__access *access, uint64_t offset, size_t size)
{
	uint64_t end = mfs__node_size(&access->handle->file->node);

	if (offset >= end)
		return 0;
	return size < end - offset ? size : (size_t)(end - offset);
}

#endif
