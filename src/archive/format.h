/* SPDX-License-Identifier: MIT */
/* The formats that libarchive reads, as an adapter that is tried when no other one wants it. */
#ifndef DMEMFS_ARCHIVE_FORMAT_H
#define DMEMFS_ARCHIVE_FORMAT_H

#include <dmemfs/archive.h>

/** `user` is NULL for the usual formats; anything else: all. It takes whatever is offered. */
extern const mfs_archive_adapter mfs__archive_usual_formats;
extern const mfs_archive_adapter mfs__archive_all_formats;

#endif
