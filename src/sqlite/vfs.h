/* SPDX-License-Identifier: MIT */
/* Workspaces, as SQLite knows them. */
#ifndef MFS_SQLITE_VFS_H
#define MFS_SQLITE_VFS_H

#include "sqlite_api.h"

#include <dmemfs/dmemfs.h>

#include <stdatomic.h>
#include <stdint.h>

struct mfs__sqlite_vfs {
	/* First, as SQLite has it. */
	sqlite3_vfs base;
	/* Constant. */
	mfs *fs;
	/* Of the root: the workspace cannot be freed. */
	mfs_node *root;
	/* The VFS of the host's files: clock, random numbers, and loading of libraries are its. */
	sqlite3_vfs *host;
	/* Atomic: files that are open, counted by those who open and close. */
	_Atomic uint64_t files;
	/* base.zName. */
	char name[];
};

/** SQLite's VFS of this name as one of ours, or NULL if it is another library's. */
struct mfs__sqlite_vfs *mfs__sqlite_vfs_of(sqlite3_vfs *vfs);

/** Fill in all of `base` but its name. */
void mfs__sqlite_vfs_init(sqlite3_vfs *base);

/* xOpen: open.c. */
int mfs__sqlite_open(sqlite3_vfs *base, const char *path, sqlite3_file *out, int flags,
					 int *out_flags);

#endif
