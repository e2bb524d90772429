/* SPDX-License-Identifier: MIT */
/* An import in steps: a staged tree that lasts from mfs_import_begin() to its end. */
#ifndef MFS_FS_IMPORT_H
#define MFS_FS_IMPORT_H

#include "fs/staging.h"

struct mfs_import {
	struct mfs__staging staging; /* used by one call at a time */
	/* Atomic, any thread: handles of its files that are open. */
	_Atomic uint64_t handles;
};

#endif
