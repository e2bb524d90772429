/* SPDX-License-Identifier: MIT */
/* Paths in the one form that SQLite knows them by. */
#ifndef MFS_SQLITE_PATH_H
#define MFS_SQLITE_PATH_H

#include <stddef.h>

/**
 * mxPathname, which SQLite takes for the length of the longest path. It reads names from journals
 * into buffers of the smallest page, 512 bytes, and has to be told no more than that.
 */
#define MFS__SQLITE_PATH_MAX 512
/** What SQLite puts behind a database's path at most: "-journal". */
#define MFS__SQLITE_SUFFIX_MAX 8
/** The longest path of a database. */
#define MFS__SQLITE_DATABASE_PATH_MAX (MFS__SQLITE_PATH_MAX - MFS__SQLITE_SUFFIX_MAX)

/**
 * Write the normal form of a path: from the root, with "/" before each component, no "." and no
 * "..". Returns 0, MFS_EINVAL if it leads above the root, or MFS_ENAMETOOLONG if it takes more than
 * `size` bytes with its NUL; noted.
 */
int mfs__sqlite_normal_path(const char *path, char *out, size_t size);

#endif
