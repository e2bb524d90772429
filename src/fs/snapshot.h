/* SPDX-License-Identifier: MIT */
/* Bytes of an open file that a call holds on to while it has no lock: as of one instant. */
#ifndef MFS_FS_SNAPSHOT_H
#define MFS_FS_SNAPSHOT_H

#include "file/chunk_list.h"
#include "fs/fork_guard.h"

#include <dmemfs/dmemfs.h>

struct mfs__held_snapshot {
	struct mfs__fork_guard guard; /* a child lets go of what it inherits */
	/* Changes under the lock of a handle, or inside the gate: a fork finds it whole. */
	struct mfs__snapshot snapshot;
	struct mfs *fs; /* where the chunks come from */
};

/**
 * Hold up to `size` >= 0 bytes from `offset` >= 0, with what mfs_pread() needs.
 *
 * Errors: those of mfs_pread(), MFS_ENOMEM. Returns how many bytes there are; then, also for none,
 * mfs__snapshot_release() must follow. Outside the gate, with no lock held, as that.
 */
int64_t mfs__snapshot_hold(struct mfs__held_snapshot *held, mfs_file *file, uint64_t offset,
						   uint64_t size);

void mfs__snapshot_release(struct mfs__held_snapshot *held);

#endif
