/* SPDX-License-Identifier: MIT */
/*
 * Handles: what an mfs_file stands for.
 *
 * An mfs_file is not a pointer but a number: a slot of the process's table of handles, and which
 * use of that slot. Slots are never freed, so a handle that was closed, by whomever, is recognised
 * as long as its slot has not been used 2^40 times since.
 *
 *   H1  A slot's lock excludes calls on the handle from each other, as far as they need that, and
 *       closing from all of them. Under the lock, `id` says whether the handle is the caller's.
 *   H2  Nothing waits for a file's lock or for room while it holds a slot's lock. A file's lock may
 *       only be tried for under it; who waits for a slot's lock may hold a file's lock.
 *   H3  Free slots are kept by stripe, so that threads which open and close files share nothing.
 */
#ifndef MFS_FS_HANDLE_TABLE_H
#define MFS_FS_HANDLE_TABLE_H

#include "base/compiler.h"
#include "base/fair_rwlock.h"

#include <dmemfs/dmemfs.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/** What a handle may do. */
enum {
	MFS__MODE_READ = 1u << 0,
	MFS__MODE_WRITE = 1u << 1,
	MFS__MODE_APPEND = 1u << 2,
	MFS__MODE_SHARED = 1u << 3,
};

struct mfs__file;

struct mfs__handle {
	/* Shared: a call that leaves the handle as it is. Exclusive: one that moves the cursor or
	 * writes, and closing. Two cache lines: the next handle may be another thread's. */
	_Alignas(2 * MFS__CACHE_LINE) struct mfs__rwlock lock;
	/* Atomic: the mfs_file that the slot is, or 0. Set when all else is; cleared under lock. */
	_Atomic uint64_t id;
	/* Constant while the handle is open. */
	struct mfs *fs;
	struct mfs__file *file;
	int64_t lock_timeout;
	int64_t space_timeout;
	struct mfs_reservation *reservation; /* or NULL */
	struct mfs_import *import;           /* which the file is part of, or NULL */
	unsigned mode;
	/* Under lock. */
	uint64_t position;
	uint64_t reserved_at; /* where what mfs_reserve() has handed out begins */
	uint64_t reserved;    /* how many bytes that is, or 0 */
	/* Under the mutex of the slot's stripe, while the slot is free; the user's otherwise. */
	struct mfs__handle *next_free;
	uint64_t uses;
	/* Constant. */
	uint32_t index;
	uint32_t stripe;
};

/** Take a free slot, with id 0. Returns 0, MFS_ENOMEM, or MFS_EMFILE when no number is left. */
int mfs__handle_take(struct mfs__handle **out);

/** Give a slot back, with id 0. */
void mfs__handle_give(struct mfs__handle *handle);

/** Make a slot that is filled in the handle that is returned. */
mfs_file *mfs__handle_open(struct mfs__handle *handle);

/**
 * Find the handle and take its lock. Returns NULL, with the failure MFS_EBADF noted, if it is not
 * open.
 */
struct mfs__handle *mfs__handle_lock(mfs_file *file, bool exclusive);

/** Before a fork and after it, in parent and child. */
void mfs__handle_table_fork_prepare(void);
void mfs__handle_table_fork_after(void);

static inline void mfs__handle_unlock(struct mfs__handle *handle, bool exclusive)
{
	mfs__rwlock_unlock(&handle->lock, exclusive);
}

#endif
