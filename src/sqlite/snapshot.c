/* SPDX-License-Identifier: MIT */
/*
 * A copy of a database in use.
 *
 * A read transaction is held while it is made. In the rollback modes that keeps writers from the
 * file. In WAL mode it does not, and there are two files that change. The database is copied first.
 * It has all that was checkpointed by then, and the log all that was not, and more:
 *
 *   - The log, when it is copied, has every frame that it had when the database was. It could lose
 *     them only by beginning anew, and that it may not while the transaction reads from it. If the
 *     transaction does not, as the log had been checkpointed as a whole when it began, then the
 *     database has all of these frames, and the log may begin anew: its new frames belong on top
 *     of a database as it was copied, since none of them gets into the database as long as somebody
 *     reads from that alone.
 *   - Frames that were checkpointed into the copied database are on top of it once more, which
 *     changes nothing. What is behind the last commit is left out by whoever opens the copy.
 *
 * Both files come into the workspace by one import, and so at one instant.
 */
#include <dmemfs/sqlite.h>

#include "error.h"
#include "file.h"
#include "path.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Note a failure of SQLite. */
static int refuse(sqlite3 *db, int result)
{
	return mfs_set_last_error(mfs__sqlite_code(result), "snapshot of a database: %s",
							  result == SQLITE_NOMEM ? sqlite3_errstr(result) : sqlite3_errmsg(db));
}

/* The file of this component that is under an open file of SQLite, or NULL. */
static struct mfs__sqlite_file *file_under(sqlite3_file *opened)
{
	struct mfs__sqlite_question question = {&mfs__sqlite_database_methods, NULL};

	if (!opened || !opened->pMethods ||
		opened->pMethods->xFileControl(opened, MFS__SQLITE_FCNTL_FILE, &question) != SQLITE_OK)
		return NULL;
	return question.file;
}

/* The files of a connection's main database; *wal is NULL in the rollback modes. */
static int find_files(sqlite3 *db, struct mfs__sqlite_file **main, struct mfs__sqlite_file **wal)
{
	sqlite3_file *opened = NULL;

	(void)sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &opened);
	*main = file_under(opened);
	if (!*main || (*main)->type != SQLITE_OPEN_MAIN_DB)
		return mfs_set_last_error(MFS_EINVAL,
								  "snapshot of a database: it is not a file of a workspace");
	opened = NULL;
	(void)sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &opened);
	*wal = file_under(opened);
	if (*wal && (*wal)->type != SQLITE_OPEN_WAL)
		*wal = NULL;
	return 0;
}

/* Stage a copy of a file. */
static int copy_file(mfs_import *import, const struct mfs__sqlite_file *from, const char *path)
{
	mfs_file *to;
	int code = mfs_import_open(import, path, "xb", NULL, &to);

	if (code)
		return code;
	int64_t length = mfs_copy_range(from->handle, 0, to, 0, INT64_MAX);
	(void)mfs_close(to);
	return length < 0 ? (int)length : 0;
}

/* Is there a journal that SQLite would take for one of the copy? */
static int check_journals(mfs *fs, const char *path)
{
	static const char *const suffixes[] = {"-journal", "-wal"};
	char journal[MFS__SQLITE_PATH_MAX + 1];

	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		(void)sqlite3_snprintf((int)sizeof journal, journal, "%s%s", path, suffixes[i]);
		if (mfs_exists(fs, journal))
			return mfs_set_last_error(MFS_EEXIST, "snapshot of a database: %.200s: %s", journal,
									  mfs_strerror(MFS_EEXIST));
	}
	return 0;
}

/* With a read transaction. */
static int copy_files(sqlite3 *db, const char *path)
{
	struct mfs__sqlite_file *main = NULL;
	struct mfs__sqlite_file *wal = NULL;
	char wal_path[MFS__SQLITE_PATH_MAX + 1];
	mfs_import *import = NULL;

	int code = find_files(db, &main, &wal);
	if (code)
		return code;
	code = check_journals(main->vfs->fs, path);
	if (!code)
		code = mfs_import_begin(main->vfs->fs, &import);
	if (code)
		return code;
	code = copy_file(import, main, path);
	if (!code && wal) {
		(void)sqlite3_snprintf((int)sizeof wal_path, wal_path, "%s-wal", path);
		code = copy_file(import, wal, wal_path);
	}
	if (!code) {
		int64_t files = mfs_import_commit(import, MFS_IMPORT_NEW);
		if (files >= 0)
			return 0;
		code = (int)files;
	}
	(void)mfs_import_abort(import);
	return code;
}

/* With the connection's mutex. */
static int snapshot(sqlite3 *db, const char *path)
{
	struct mfs__sqlite_file *main = NULL;
	struct mfs__sqlite_file *wal = NULL;
	sqlite3_stmt *reader;

	int code = find_files(db, &main, &wal);
	if (code)
		return code;
	if (sqlite3_txn_state(db, "main") == SQLITE_TXN_WRITE)
		return mfs_set_last_error(MFS_EBUSY,
								  "snapshot of a database: the connection is writing to it");
	/* As long as the statement stands at its row there is a read transaction. */
	int result =
		sqlite3_prepare_v2(db, "SELECT count(*) FROM main.sqlite_master", -1, &reader, NULL);
	if (result)
		return refuse(db, result);
	result = sqlite3_step(reader);
	code = result == SQLITE_ROW ? copy_files(db, path) : refuse(db, result);
	(void)sqlite3_finalize(reader);
	return code;
}

int mfs_sqlite_snapshot(sqlite3 *db, const char *path)
{
	char normal[MFS__SQLITE_DATABASE_PATH_MAX + 1];

	if (!db || !path)
		return mfs_set_last_error(MFS_EINVAL, "mfs_sqlite_snapshot: NULL");
	int code = mfs__sqlite_normal_path(path, normal, sizeof normal);
	if (code)
		return code;
	(void)sqlite3_mutex_enter(sqlite3_db_mutex(db));
	code = snapshot(db, normal);
	sqlite3_mutex_leave(sqlite3_db_mutex(db));
	return code;
}
