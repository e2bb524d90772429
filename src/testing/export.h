/* SPDX-License-Identifier: MIT */
/* The workspace of a failed test, on the host. */
#ifndef DMEMFS_TESTING_EXPORT_H
#define DMEMFS_TESTING_EXPORT_H

#include <dmemfs/dmemfs.h>

/*
 * Write all of a workspace to where <dmemfs/testing.h> says, and say so. Waits for nobody: what
 * cannot be had now is reported and left out.
 */
void mfs__testing_export(mfs *fs, const char *test);

#endif
