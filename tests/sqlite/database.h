/* SPDX-License-Identifier: MIT */
/*
 * Databases for the tests that use SQLite as its users do: a VFS on a workspace, connections,
 * statements that must succeed, and single numbers as answers.
 *
 * Include it after "support.h".
 */
#ifndef DMEMFS_TESTS_DATABASE_H
#define DMEMFS_TESTS_DATABASE_H

#include "support.h"

#include <sqlite3.h>

#include "dmemfs/sqlite.h"

/** The name by which the tests register their VFS. */
#define TEST_VFS "dmemfs_test"

/** A workspace with the VFS on it. */
static inline mfs *new_database_workspace(const mfs_options *options)
{
	mfs *fs = new_workspace(options);

	assert_code(mfs_sqlite_register(fs, TEST_VFS, false), 0);
	return fs;
}

/** Fails when a connection is open, or has left a handle. */
static inline void free_database_workspace(mfs *fs)
{
	assert_code(mfs_sqlite_unregister(TEST_VFS), 0);
	free_workspace(fs);
}

/** cmocka fixtures: a workspace with the default options and the VFS on it in *state. */
static inline int database_setup(void **state)
{
	*state = new_database_workspace(NULL);
	return 0;
}

static inline int database_teardown(void **state)
{
	free_database_workspace(*state);
	return 0;
}

/** A test on a workspace of its own, with the VFS on it. */
#define DATABASE_TEST(function)                                                                    \
	cmocka_unit_test_setup_teardown(function, database_setup, database_teardown)

static inline void support__check_sqlite(int got, int want, const char *what, sqlite3 *db,
										 const char *file, int line)
{
	if (got == want)
		return;
	print_error("%s gave %d (%s), expected %d (%s)\n", what, got,
				db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(got), want, sqlite3_errstr(want));
	_fail(file, line);
}

/** The expression gives this result code of SQLite; `db` for its message, or NULL. */
#define assert_sqlite(db, expression, want)                                                        \
	support__check_sqlite(expression, want, #expression, db, __FILE__, __LINE__)

/** Opens through a VFS without assertions: for any thread. NULL when it fails. */
static inline sqlite3 *try_database(const char *path, const char *vfs)
{
	sqlite3 *db = NULL;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs) != SQLITE_OK) {
		(void)sqlite3_close(db);
		return NULL;
	}
	return db;
}

static inline sqlite3 *open_database(const char *path)
{
	sqlite3 *db = try_database(path, TEST_VFS);

	assert_non_null(db);
	return db;
}

static inline void close_database(sqlite3 *db)
{
	assert_sqlite(db, sqlite3_close(db), SQLITE_OK);
}

/** Runs statements and tells the result code. For any thread. */
static inline int try_sql(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

#define run_sql(db, sql) assert_sqlite(db, try_sql(db, sql), SQLITE_OK)

/** The number that a query gives. Returns SQLITE_ROW, or why there is none. For any thread. */
static inline int try_number(sqlite3 *db, const char *sql, sqlite3_int64 *number)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*number = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	return code;
}

static inline sqlite3_int64 number_of(sqlite3 *db, const char *sql)
{
	sqlite3_int64 number = -1;

	assert_sqlite(db, try_number(db, sql, &number), SQLITE_ROW);
	return number;
}

/** PRAGMA integrity_check finds nothing. */
static inline void assert_integrity(sqlite3 *db)
{
	sqlite3_stmt *statement = NULL;

	assert_sqlite(db, sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL),
				  SQLITE_OK);
	assert_sqlite(db, sqlite3_step(statement), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
	assert_sqlite(db, sqlite3_finalize(statement), SQLITE_OK);
}

#endif
