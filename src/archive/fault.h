/* SPDX-License-Identifier: MIT */
/*
 * Why the bytes of an archive cannot be had. It is kept apart from the thread's last error, since
 * the thread that meets it may be another than the one that tells the caller.
 */
#ifndef DMEMFS_ARCHIVE_FAULT_H
#define DMEMFS_ARCHIVE_FAULT_H

#include <dmemfs/dmemfs.h>

/** Zeroed: none. The first one stays. */
struct mfs__archive_fault {
	int code;
	char reason[240];
};

/** Note a fault, unless there is one. Returns the code of the one that stays. */
int mfs__archive_fault(struct mfs__archive_fault *fault, int code, const char *format, ...)
	MFS_PRINTF(3, 4);

/** Note that the host refused: `error` is its errno, MFS_EHOST the code, or MFS_ENOMEM. */
int mfs__archive_fault_host(struct mfs__archive_fault *fault, int error);

#endif
