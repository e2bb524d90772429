/* SPDX-License-Identifier: MIT */
/* Open files, as SQLite has them. */
#ifndef MFS_SQLITE_FILE_H
#define MFS_SQLITE_FILE_H

#include "database.h"
#include "vfs.h"

#include <dmemfs/dmemfs.h>

struct mfs__sqlite_file {
	/* First, as SQLite has it. NULL methods: not open. */
	sqlite3_file base;
	struct mfs__sqlite_vfs *vfs;
	mfs_file *handle;
	/* A file without a name is one of an import that never comes into the workspace. Or NULL. */
	mfs_import *import;
	/* Normal form, SQLite's memory, which stays until the file is closed. NULL: no name. */
	const char *path;
	/* One of SQLITE_OPEN_MAIN_DB and so on. */
	int type;
	/* The code of the last failure of a call on this file. */
	int last_code;
	/* SQLITE_FCNTL_CHUNK_SIZE: the size grows and shrinks in multiples of this; 0: any. */
	int size_step;
	bool is_powersafe;
	bool keeps_wal;
	/*
	 * The file's storage mode is random access, or does not matter yet; see
	 * mfs__sqlite_file_methods.
	 */
	bool is_random;

	/* Of main databases: */
	struct mfs__sqlite_database *database;
	uint64_t inode;
	/* SQLITE_LOCK_...: what this file holds of the database's lock. */
	int level;
	/* Nothing was read since the file was opened, or came to SHARED: nothing depends on it yet. */
	bool is_fresh;
	/* The handle keeps the file's lock, and gives views. */
	bool is_immutable;
	struct mfs__sqlite_wal_share wal;
	/* SQLITE_FCNTL_MMAP_SIZE: how far into the file views are given; and how many are out. */
	sqlite3_int64 view_limit;
	unsigned views;
};

/** The methods of main databases, and those of all other files, which nobody locks. */
extern const sqlite3_io_methods mfs__sqlite_database_methods;
extern const sqlite3_io_methods mfs__sqlite_file_methods;

/**
 * A file control of the component's own: gives the file under whatever other VFS a program has put
 * before it, if that passes controls on. The argument is a mfs__sqlite_question.
 */
#define MFS__SQLITE_FCNTL_FILE 0x646d6673

struct mfs__sqlite_question {
	/* mfs__sqlite_database_methods of who asks: there may be two copies of this code. */
	const void *asker;
	struct mfs__sqlite_file *file;
};

int mfs__sqlite_file_control(sqlite3_file *base, int operation, void *argument);

/** Write a name that no file of the root is likely to have: MFS__SQLITE_TEMP_SIZE bytes. */
#define MFS__SQLITE_TEMP_SIZE 32
void mfs__sqlite_temp_name(char *out);

#endif
