/* SPDX-License-Identifier: MIT */
/*
 * Fixtures for tests of a database: the rows are made once, and each test begins with a copy.
 *
 * Tests that need tables full of rows spend most of their time making them. Here the database is
 * serialised into a workspace, from which every test takes what it needs:
 *
 *   - The master is handed over to the workspace as one buffer (mfs_write_adopt), not copied.
 *   - A test has a file of its own. mfs_copy makes it by sharing the master's memory.
 *   - A test that only reads has a database over a view of the file: no copy at all.
 *   - A test that writes copies the bytes to memory that SQLite may grow, and frees. What it leaves
 *     replaces its file by a rename, and is there to be looked at.
 *
 * One does so where many tests, in many threads, must not see each other's changes.
 */
#include <dmemfs/dmemfs.h>

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#define MASTER "/shop.db"
enum { TESTS = 4, ROUNDS = 3, ITEMS = 5000 };

static void check(const char *what, bool holds)
{
	if (!holds) {
		fprintf(stderr, "%s\n", what);
		exit(1);
	}
}

/* Returns the result of a call of the workspace that must succeed. */
static int64_t need(int64_t result)
{
	check(mfs_last_error(), result >= 0);
	return result;
}

static void need_sql(sqlite3 *db, int code)
{
	check(sqlite3_errmsg(db), code == SQLITE_OK);
}

static int64_t count_items(sqlite3 *db)
{
	sqlite3_stmt *query = NULL;

	need_sql(db, sqlite3_prepare_v2(db, "SELECT count(*) FROM item", -1, &query, NULL));
	check("the query gives no row", sqlite3_step(query) == SQLITE_ROW);
	int64_t count = sqlite3_column_int64(query, 0);
	need_sql(db, sqlite3_finalize(query));
	return count;
}

static void release_serialised(void *user, void *buffer, size_t length)
{
	(void)user;
	(void)length;
	sqlite3_free(buffer);
}

/* Save a database as a file, written aside and published whole. The file takes SQLite's buffer. */
static void save(mfs *fs, sqlite3 *db, const char *path)
{
	mfs_file *file = NULL;
	sqlite3_int64 size = 0;
	char aside[64];

	void *bytes = sqlite3_serialize(db, "main", &size, 0);
	check("no memory to serialise", bytes != NULL);
	snprintf(aside, sizeof aside, "%s.tmp", path);
	need(mfs_open(fs, aside, "wb", &file));
	need(mfs_write_adopt(file, bytes, (size_t)size, release_serialised, NULL));
	need(mfs_close(file));
	need(mfs_rename(fs, aside, path, MFS_RENAME_REPLACE));
}

/* A database in memory: these bytes, or an empty one. */
static sqlite3 *open_bytes(void *bytes, int64_t size, unsigned flags)
{
	sqlite3 *db = NULL;

	check("SQLite does not open", sqlite3_open(":memory:", &db) == SQLITE_OK);
	if (bytes != NULL)
		need_sql(db, sqlite3_deserialize(db, "main", bytes, size, size, flags));
	return db;
}

/* A file's bytes where they are. They lie in one piece, as they were handed over as one buffer. */
static void *bytes_of(mfs_file *file)
{
	struct iovec run;
	char *start = NULL;
	char *end = NULL;
	int64_t offset = 0;

	while (need(mfs_view_runs(file, &offset, INT64_MAX, &run, 1)) > 0) {
		check("a file lies in several pieces", start == NULL || run.iov_base == end);
		start = start != NULL ? start : run.iov_base;
		end = (char *)run.iov_base + run.iov_len;
	}
	return start;
}

/* Count the items of a file, with a database over the memory of the file itself. */
static int64_t count_in_file(mfs *fs, const char *path)
{
	mfs_file *file = NULL;

	need(mfs_open(fs, path, "rb", &file));
	int64_t size = need(mfs_get_size(fs, path));
	sqlite3 *db = open_bytes(bytes_of(file), size, SQLITE_DESERIALIZE_READONLY);
	int64_t count = count_items(db);
	int refused = sqlite3_exec(db, "DELETE FROM item", NULL, NULL, NULL);
	check("a view was written to", refused == SQLITE_READONLY);
	/* What is viewed is there until the handle is closed: the database goes first. */
	need_sql(db, sqlite3_close(db));
	need(mfs_close(file));
	return count;
}

/* A database to read and write, in memory that SQLite grows and frees. */
static sqlite3 *open_to_write(mfs *fs, const char *path)
{
	mfs_file *file = NULL;
	int64_t size = need(mfs_get_size(fs, path));
	void *bytes = sqlite3_malloc64((sqlite3_uint64)size);

	check("no memory for a copy", bytes != NULL);
	need(mfs_open(fs, path, "rb", &file));
	check("the file has become shorter", need(mfs_read(file, bytes, (size_t)size)) == size);
	need(mfs_close(file));
	return open_bytes(bytes, size, SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE);
}

/* A test that is run several times: each time it finds the master's rows, and leaves none. */
static void *run_test(void *fs)
{
	static _Atomic int runs;
	char path[32];

	for (int round = 0; round < ROUNDS; round++) {
		snprintf(path, sizeof path, "/tests/%d.db", runs++);
		need(mfs_copy(fs, MASTER, path));
		sqlite3 *db = open_to_write(fs, path);
		check("a test found what another one left", count_items(db) == ITEMS);
		need_sql(db, sqlite3_exec(db, "DELETE FROM item", NULL, NULL, NULL));
		save(fs, db, path);
		need_sql(db, sqlite3_close(db));
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[TESTS];
	mfs *fs = NULL;

	need(mfs_new(NULL, &fs));
	need(mfs_mkdir(fs, "/tests", 0));
	/* The slow part, once. */
	sqlite3 *db = open_bytes(NULL, 0, 0);
	const char *fill =
		"CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price INTEGER);"
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
		"INSERT INTO item SELECT i, 'item ' || i, i * 10 FROM n;";
	need_sql(db, sqlite3_exec(db, fill, NULL, NULL, NULL));
	save(fs, db, MASTER);
	need_sql(db, sqlite3_close(db));
	printf("the master: %d items, %lld bytes\n", ITEMS, (long long)mfs_get_size(fs, MASTER));
	for (int i = 0; i < TESTS; i++)
		check("no thread", pthread_create(&threads[i], NULL, run_test, fs) == 0);
	for (int i = 0; i < TESTS; i++)
		check("no join", pthread_join(threads[i], NULL) == 0);
	printf("%d threads ran a test %d times each: it always found %d items\n", TESTS, ROUNDS, ITEMS);
	check("what a test did is lost", count_in_file(fs, "/tests/0.db") == 0);
	check("the master was changed", count_in_file(fs, MASTER) == ITEMS);
	printf("the tests have deleted theirs, the master still has %d\n", ITEMS);
	need(mfs_free(fs));
	return 0;
}
