/* SPDX-License-Identifier: MIT */
/*
 * What the connections to one database share. There is one of these for each file that is open as a
 * main database, found by the file's inode number, so that it does not matter by which name or VFS
 * a connection opened it.
 */
#ifndef MFS_SQLITE_DATABASE_H
#define MFS_SQLITE_DATABASE_H

#include "lock.h"
#include "wal_index.h"

struct mfs__sqlite_database {
	struct mfs__sqlite_lock lock;
	struct mfs__sqlite_wal_index wal_index;
	/* Constant. */
	uint64_t inode;
	/* Under the mutex of the table: open files, and the next one of the bucket. */
	unsigned users;
	struct mfs__sqlite_database *next;
};

/** Make one that is in no table. Returns NULL when there is no memory. */
struct mfs__sqlite_database *mfs__sqlite_database_new(void);
/** Free one that never came into the table. NULL is allowed. */
void mfs__sqlite_database_free(struct mfs__sqlite_database *database);

/**
 * Find the database of a file, of which the caller has a handle. `fresh` is taken over: it becomes
 * the database of the file, or is freed if there is one. To be given to
 * mfs__sqlite_database_leave(), before the handle is closed: after that the number may be another
 * file's.
 */
struct mfs__sqlite_database *mfs__sqlite_database_join(struct mfs__sqlite_database *fresh,
													   uint64_t inode);
void mfs__sqlite_database_leave(struct mfs__sqlite_database *database);

#endif
