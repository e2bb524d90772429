/* SPDX-License-Identifier: MIT */
/* Codes of the library as codes of SQLite, and back. */
#ifndef MFS_SQLITE_ERROR_H
#define MFS_SQLITE_ERROR_H

#include "sqlite_api.h"

/**
 * A call of the library has failed with `code`. Returns what SQLite is told: SQLITE_FULL where a
 * limit refuses, `no_memory` (of which there are several), or else `otherwise`.
 */
int mfs__sqlite_result(int code, int no_memory, int otherwise);

/** The errno of this thread's last failure, for xGetLastError. */
int mfs__sqlite_last_errno(void);

/** A code as an errno: its own if it has one. */
int mfs__sqlite_errno(int code);

/** The code for a failure of SQLite, which is not SQLITE_OK. */
int mfs__sqlite_code(int result);

#endif
