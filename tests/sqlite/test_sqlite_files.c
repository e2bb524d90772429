/* SPDX-License-Identifier: MIT */
/*
 * Are the files that SQLite opens files of the workspace, with the names, the sizes and the life
 * that SQLite wants them to have, and does it learn what they can and cannot do?
 */
#include "support.h"

#include "database.h"
#include "vfs_file.h"

/*
 * Names
 */

static void a_path_has_one_form(void **state)
{
	static const struct {
		const char *path;
		const char *form;
	} rows[] = {
		{"x.db", "/x.db"},    {"/x.db", "/x.db"}, {"//a///b/", "/a/b"},  {"a\\b", "/a/b"},
		{"/a/./b/.", "/a/b"}, {"/a/../b", "/b"},  {"a/b/../../c", "/c"}, {"/a/..", "/"},
		{"/", "/"},           {"", "/"},          {"...", "/..."},       {"/.a/..b", "/.a/..b"},
	};
	sqlite3_vfs *vfs = test_vfs();
	char out[1024];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_sqlite(NULL, vfs->xFullPathname(vfs, rows[i].path, vfs->mxPathname, out), SQLITE_OK);
		assert_string_equal(out, rows[i].form);
	}
}

static void a_path_above_the_root_or_too_long_is_refused(void **state)
{
	static const char *const above[] = {"..", "/..", "/a/../..", "a/../../b"};
	sqlite3_vfs *vfs = test_vfs();
	char path[1024];
	char out[1024];
	sqlite3 *db = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(above); i++) {
		assert_sqlite(NULL, vfs->xFullPathname(vfs, above[i], vfs->mxPathname, out),
					  SQLITE_CANTOPEN);
	}
	/* To the byte, with and without what is dropped from it. */
	for (int size = 2; size <= 600; size++) {
		memset(path, 'x', sizeof(path));
		path[0] = '/';
		path[size] = '\0';
		memset(out, '#', sizeof(out));
		assert_sqlite(NULL, vfs->xFullPathname(vfs, path, 512, out),
					  size <= 511 ? SQLITE_OK : SQLITE_CANTOPEN);
		assert_int_equal(out[512], '#');
	}
	/* A database has room for the suffixes of its journals. */
	(void)snprintf(path, sizeof(path), "/%0199d/%0199d", 1, 2);
	assert_code(mfs_mkdir(*state, path, 0), 0);
	for (int size = 503; size <= 505; size++) {
		(void)snprintf(path + 400, sizeof(path) - 400, "/%0*d", size - 401, 3);
		assert_int_equal(strlen(path), size);
		assert_sqlite(
			NULL, sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, TEST_VFS),
			size <= 504 ? SQLITE_OK : SQLITE_CANTOPEN);
		if (size <= 504) {
			run_sql(db, "CREATE TABLE t(a)");
		}
		close_database(db);
	}
}

/*
 * Opening
 */

static void an_open_finds_makes_or_refuses(void **state)
{
	static const struct {
		const char *path;
		int flags;
		int result;
		bool is_there_after;
	} rows[] = {
		{"/old", SQLITE_OPEN_READONLY, SQLITE_OK, true},
		{"/old", SQLITE_OPEN_READWRITE, SQLITE_OK, true},
		{"/old", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, SQLITE_OK, true},
		{"/old", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXCLUSIVE,
		 SQLITE_CANTOPEN, true},
		{"/new", SQLITE_OPEN_READONLY, SQLITE_CANTOPEN, false},
		{"/new", SQLITE_OPEN_READWRITE, SQLITE_CANTOPEN, false},
		{"/new", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, SQLITE_OK, true},
		{"/new", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXCLUSIVE, SQLITE_OK,
		 true},
		{"/new", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_DELETEONCLOSE, SQLITE_OK,
		 false},
		{"/dir", SQLITE_OPEN_READONLY, SQLITE_CANTOPEN, true},
		{"/dir", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, SQLITE_CANTOPEN, true},
		{"/none/new", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, SQLITE_CANTOPEN, false},
		{"/old/new", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, SQLITE_CANTOPEN, false},
	};
	static const int types[] = {SQLITE_OPEN_MAIN_DB,      SQLITE_OPEN_MAIN_JOURNAL,
								SQLITE_OPEN_WAL,          SQLITE_OPEN_SUPER_JOURNAL,
								SQLITE_OPEN_TEMP_JOURNAL, SQLITE_OPEN_SUBJOURNAL,
								SQLITE_OPEN_TRANSIENT_DB, SQLITE_OPEN_TEMP_DB};
	mfs *fs = *state;

	make_text(fs, "/old", "old");
	make_dir(fs, "/dir");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		for (size_t t = 0; t < COUNT_OF(types); t++) {
			struct vfs_file f;
			int flags = rows[i].flags | types[t];

			assert_sqlite(NULL, try_vfs_file_with(rows[i].path, flags, 0, NULL, &f),
						  rows[i].result);
			if (rows[i].result == SQLITE_OK) {
				assert_int_equal(f.flags, flags);
				assert_int_equal(mfs_exists(fs, rows[i].path), rows[i].is_there_after);
				close_vfs_file(&f);
			}
			assert_int_equal(mfs_exists(fs, rows[i].path), rows[i].is_there_after);
			(void)mfs_remove(fs, "/new");
		}
	}
	assert_text(fs, "/old", "old");
	assert_code(usage_of(fs).open_handles, 1);
}

static void a_file_without_a_name_is_nowhere_and_charged(void **state)
{
	mfs *fs = *state;
	struct vfs_file f =
		open_vfs_file(NULL, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXCLUSIVE |
								SQLITE_OPEN_DELETEONCLOSE | SQLITE_OPEN_TEMP_DB);
	unsigned char *bytes = allocate(MIB);
	char **names = NULL;

	memset(bytes, 7, MIB);
	assert_code(mfs_listdir(fs, "/", &names), 0);
	mfs_names_free(names);
	assert_sqlite(NULL, file_write(&f, bytes, (int)MIB, 0), SQLITE_OK);
	assert_sqlite(NULL, file_write(&f, "abc", 3, 1000), SQLITE_OK);
	assert_true(used_bytes(fs) >= MIB);
	memset(bytes, 0, MIB);
	assert_sqlite(NULL, file_read(&f, bytes, (int)MIB, 0), SQLITE_OK);
	assert_memory_equal(bytes + 1000, "abc", 3);
	assert_int_equal(bytes[MIB - 1], 7);
	assert_int_equal(file_size(&f), MIB);
	close_vfs_file(&f);
	assert_code(used_bytes(fs), 0);
	free(bytes);
}

static void a_file_lives_on_when_its_name_is_deleted(void **state)
{
	mfs *fs = *state;
	sqlite3_vfs *vfs = test_vfs();
	struct vfs_file f = open_vfs_file("/f", A_JOURNAL);
	char buffer[3];

	assert_sqlite(NULL, file_write(&f, "abc", 3, 0), SQLITE_OK);
	assert_sqlite(NULL, vfs->xDelete(vfs, "/f", 1), SQLITE_OK);
	assert_false(mfs_exists(fs, "/f"));
	assert_sqlite(NULL, file_read(&f, buffer, 3, 0), SQLITE_OK);
	assert_memory_equal(buffer, "abc", 3);
	assert_true(used_bytes(fs) > 0);
	close_vfs_file(&f);
	assert_code(used_bytes(fs), 0);
}

static void a_delete_tells_why_it_fails(void **state)
{
	mfs *fs = *state;
	sqlite3_vfs *vfs = test_vfs();
	mfs_file *keeper = NULL;

	assert_sqlite(NULL, vfs->xDelete(vfs, "/none", 0), SQLITE_IOERR_DELETE_NOENT);
	assert_code(mfs_mkdir(fs, "/d/sub", 0), 0);
	assert_sqlite(NULL, vfs->xDelete(vfs, "/d", 0), SQLITE_IOERR_DELETE);
	assert_int_equal(vfs->xGetLastError(vfs, 0, NULL), ENOTEMPTY);
	keeper = open_file(fs, "/kept", "wb");
	assert_sqlite(NULL, vfs->xDelete(vfs, "/kept", 0), SQLITE_IOERR_DELETE);
	assert_int_equal(vfs->xGetLastError(vfs, 0, NULL), EBUSY);
	close_file(keeper);
	assert_sqlite(NULL, vfs->xDelete(vfs, "/kept", 0), SQLITE_OK);
}

static void access_takes_an_empty_file_for_no_journal(void **state)
{
	static const struct {
		const char *path;
		int flags;
		int result;
	} rows[] = {
		{"/full", SQLITE_ACCESS_EXISTS, 1},      {"/full", SQLITE_ACCESS_READWRITE, 1},
		{"/full", SQLITE_ACCESS_READ, 1},        {"/empty", SQLITE_ACCESS_EXISTS, 0},
		{"/empty", SQLITE_ACCESS_READWRITE, 1},  {"/dir", SQLITE_ACCESS_EXISTS, 1},
		{"/none", SQLITE_ACCESS_EXISTS, 0},      {"/none", SQLITE_ACCESS_READWRITE, 0},
		{"/full/none", SQLITE_ACCESS_EXISTS, 0}, {"/..", SQLITE_ACCESS_EXISTS, 0},
	};
	mfs *fs = *state;
	sqlite3_vfs *vfs = test_vfs();

	make_text(fs, "/full", "x");
	make_text(fs, "/empty", "");
	make_dir(fs, "/dir");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int result = -1;

		assert_sqlite(NULL, vfs->xAccess(vfs, rows[i].path, rows[i].flags, &result), SQLITE_OK);
		assert_int_equal(result, rows[i].result);
	}
}

/*
 * Reading and writing
 */

static void a_read_past_the_end_gives_zeros_and_says_so(void **state)
{
	struct vfs_file f = open_vfs_file("/db", MAIN_DB);
	unsigned char buffer[8];

	(void)state;
	assert_sqlite(NULL, file_write(&f, "abcdef", 6, 0), SQLITE_OK);
	assert_sqlite(NULL, file_read(&f, buffer, 6, 0), SQLITE_OK);
	for (int offset = 0; offset <= 10; offset++) {
		int left = offset < 6 ? 6 - offset : 0;
		const char *rest = &"abcdef"[6 - left];

		memset(buffer, '#', sizeof(buffer));
		assert_sqlite(NULL, file_read(&f, buffer, 8, offset), SQLITE_IOERR_SHORT_READ);
		assert_int_equal(memcmp(buffer, rest, (size_t)left), 0);
		assert_zeros(buffer + left, 8 - (size_t)left);
	}
	/* The last error of the file stays what it was: this is none. */
	int last = -1;

	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_LAST_ERRNO, &last), SQLITE_OK);
	assert_int_equal(last, 0);
	close_vfs_file(&f);
}

static void writes_and_truncates_change_the_size(void **state)
{
	struct vfs_file f = open_vfs_file("/db", MAIN_DB);
	unsigned char buffer[10];

	(void)state;
	assert_int_equal(file_size(&f), 0);
	assert_sqlite(NULL, file_write(&f, "xyz", 3, 7), SQLITE_OK);
	assert_int_equal(file_size(&f), 10);
	assert_sqlite(NULL, file_read(&f, buffer, 10, 0), SQLITE_OK);
	assert_zeros(buffer, 7);
	assert_sqlite(NULL, file_truncate(&f, 8), SQLITE_OK);
	assert_int_equal(file_size(&f), 8);
	assert_sqlite(NULL, file_truncate(&f, 100), SQLITE_OK);
	assert_int_equal(file_size(&f), 100);
	assert_sqlite(NULL, f.file->pMethods->xSync(f.file, SQLITE_SYNC_FULL), SQLITE_OK);
	close_vfs_file(&f);
}

static void a_read_only_file_is_not_written(void **state)
{
	mfs *fs = *state;
	struct vfs_file f;
	int last = 0;

	make_text(fs, "/db", "text");
	f = open_vfs_file("/db", SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB);
	assert_sqlite(NULL, file_write(&f, "x", 1, 0), SQLITE_IOERR_WRITE);
	assert_sqlite(NULL, file_truncate(&f, 0), SQLITE_IOERR_TRUNCATE);
	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_LAST_ERRNO, &last), SQLITE_OK);
	assert_int_equal(last, EBADF);
	close_vfs_file(&f);
	assert_text(fs, "/db", "text");
}

static void what_the_quota_refuses_is_full_and_changes_nothing(void **state)
{
	mfs *fs = new_plain_workspace(64 * KIB);
	struct vfs_file f;
	unsigned char *bytes = allocate(128 * KIB);
	int last = 0;

	(void)state;
	assert_code(mfs_sqlite_register(fs, TEST_VFS, false), 0);
	f = open_vfs_file("/db", MAIN_DB);
	assert_sqlite(NULL, file_write(&f, bytes, 8192, 0), SQLITE_OK);
	assert_sqlite(NULL, file_write(&f, bytes, (int)(128 * KIB), 8192), SQLITE_FULL);
	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_LAST_ERRNO, &last), SQLITE_OK);
	assert_int_equal(last, EDQUOT);
	assert_sqlite(NULL, file_truncate(&f, (sqlite3_int64)(128 * KIB)), SQLITE_FULL);
	assert_int_equal(file_size(&f), 8192);
	close_vfs_file(&f);
	free(bytes);
	free_database_workspace(fs);
}

static void a_limit_of_files_is_full(void **state)
{
	mfs_options options = {.struct_size = sizeof(options), .max_nodes = 1};
	mfs *fs = new_database_workspace(&options);

	(void)state;
	assert_sqlite(NULL, try_vfs_file("/one", MAIN_DB), SQLITE_OK);
	assert_sqlite(NULL, try_vfs_file("/two", MAIN_DB), SQLITE_FULL);
	assert_false(mfs_exists(fs, "/two"));
	free_database_workspace(fs);
}

/*
 * Storage modes: a file that was written from its start to its end is written anywhere.
 */

static void a_large_file_can_be_written_anywhere(void **state)
{
	mfs_options options = {.struct_size = sizeof(options), .promotion_hard_limit = 256 * KIB};
	mfs *fs = new_database_workspace(&options);
	static const int types[] = {A_JOURNAL, MAIN_DB,
								SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_WAL};
	unsigned char page[4096];
	unsigned char read_back[4096];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(types); i++) {
		struct vfs_file f = open_vfs_file("/f", types[i]);

		for (int n = 0; n < 256; n++) {
			memset(page, n, sizeof(page));
			assert_sqlite(NULL, file_write(&f, page, sizeof(page), (sqlite3_int64)n * 4096),
						  SQLITE_OK);
		}
		memset(page, 99, sizeof(page));
		assert_sqlite(NULL, file_write(&f, page, sizeof(page), 0), SQLITE_OK);
		for (int n = 1; n < 256; n++) {
			memset(page, n, sizeof(page));
			assert_sqlite(NULL, file_read(&f, read_back, sizeof(page), (sqlite3_int64)n * 4096),
						  SQLITE_OK);
			assert_memory_equal(read_back, page, sizeof(page));
		}
		assert_int_equal(file_size(&f), 256 * 4096);
		close_vfs_file(&f);
		assert_code(mfs_remove(fs, "/f"), 0);
	}
	free_database_workspace(fs);
}

static void a_sequential_workspace_is_not_for_databases(void **state)
{
	mfs_options options = {.struct_size = sizeof(options),
						   .default_storage = MFS_STORAGE_SEQUENTIAL};
	mfs *fs = new_database_workspace(&options);
	sqlite3 *db = open_database("/db");

	(void)state;
	(void)try_sql(db, "CREATE TABLE t(a)");
	assert_sqlite(db, try_sql(db, "CREATE TABLE u(a); INSERT INTO u VALUES(1)"), SQLITE_IOERR);
	assert_int_equal(sqlite3_extended_errcode(db), SQLITE_IOERR_WRITE);
	close_database(db);
	free_database_workspace(fs);
}

/*
 * File controls
 */

static void a_file_tells_the_name_of_its_vfs_and_of_none_other(void **state)
{
	struct vfs_file f = open_vfs_file("/db", MAIN_DB);
	char *name = NULL;
	char *second = NULL;
	int number = -1;

	(void)state;
	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_VFSNAME, &name), SQLITE_OK);
	assert_string_equal(name, TEST_VFS);
	sqlite3_free(name);
	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_TEMPFILENAME, &name), SQLITE_OK);
	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_TEMPFILENAME, &second), SQLITE_OK);
	assert_string_not_equal(name, second);
	assert_sqlite(NULL, try_vfs_file(name, SQLITE_OPEN_READONLY | SQLITE_OPEN_TEMP_DB),
				  SQLITE_CANTOPEN);
	assert_sqlite(NULL, try_vfs_file(name, MAIN_DB), SQLITE_OK);
	sqlite3_free(name);
	sqlite3_free(second);
	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_EXTERNAL_READER, &number), SQLITE_OK);
	assert_int_equal(number, 0);
	assert_sqlite(NULL, file_control(&f, 123456, &number), SQLITE_NOTFOUND);
	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_SYNC, NULL), SQLITE_NOTFOUND);
	close_vfs_file(&f);
}

static void a_file_grows_in_the_steps_that_were_asked_for(void **state)
{
	struct vfs_file f = open_vfs_file("/db", MAIN_DB);
	int step = 16 * 1024;
	sqlite3_int64 hint = 20000;

	(void)state;
	/* Without steps a hint is nothing but one. */
	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_SIZE_HINT, &hint), SQLITE_OK);
	assert_int_equal(file_size(&f), 0);
	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_CHUNK_SIZE, &step), SQLITE_OK);
	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_SIZE_HINT, &hint), SQLITE_OK);
	assert_int_equal(file_size(&f), 32 * 1024);
	hint = 100;
	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_SIZE_HINT, &hint), SQLITE_OK);
	assert_int_equal(file_size(&f), 32 * 1024);
	assert_sqlite(NULL, file_truncate(&f, 16 * 1024 + 1), SQLITE_OK);
	assert_int_equal(file_size(&f), 32 * 1024);
	assert_sqlite(NULL, file_truncate(&f, 16 * 1024), SQLITE_OK);
	assert_int_equal(file_size(&f), 16 * 1024);
	hint = INT64_C(1) << 40;
	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_SIZE_HINT, &hint), SQLITE_FULL);
	assert_int_equal(file_size(&f), 16 * 1024);
	close_vfs_file(&f);
}

static void flags_are_asked_for_set_and_cleared(void **state)
{
	static const int operations[] = {SQLITE_FCNTL_PERSIST_WAL, SQLITE_FCNTL_POWERSAFE_OVERWRITE};
	struct vfs_file f = open_vfs_file("/db", MAIN_DB);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(operations); i++) {
		for (int set = 0; set <= 1; set++) {
			int flag = set;

			assert_sqlite(NULL, file_control(&f, operations[i], &flag), SQLITE_OK);
			flag = -1;
			assert_sqlite(NULL, file_control(&f, operations[i], &flag), SQLITE_OK);
			assert_int_equal(flag, set);
		}
	}
	close_vfs_file(&f);
}

static void a_device_promises_what_the_uri_leaves_it(void **state)
{
	const char *parameters[] = {"psow", "0"};
	struct vfs_file f;
	int flags;

	(void)state;
	assert_sqlite(NULL, try_vfs_file_with("/db", MAIN_DB, 0, NULL, &f), SQLITE_OK);
	flags = f.file->pMethods->xDeviceCharacteristics(f.file);
	assert_int_equal(flags & SQLITE_IOCAP_POWERSAFE_OVERWRITE, SQLITE_IOCAP_POWERSAFE_OVERWRITE);
	assert_int_equal(flags & SQLITE_IOCAP_ATOMIC, SQLITE_IOCAP_ATOMIC);
	assert_int_equal(flags & SQLITE_IOCAP_BATCH_ATOMIC, 0);
	assert_int_equal(f.file->pMethods->xSectorSize(f.file), 512);
	close_vfs_file(&f);
	assert_sqlite(NULL, try_vfs_file_with("/db", MAIN_DB, 1, parameters, &f), SQLITE_OK);
	flags = f.file->pMethods->xDeviceCharacteristics(f.file);
	assert_int_equal(flags & SQLITE_IOCAP_POWERSAFE_OVERWRITE, 0);
	close_vfs_file(&f);
}

static void a_database_that_was_moved_is_not_written(void **state)
{
	mfs *fs = *state;
	struct vfs_file f = open_vfs_file("/raw", MAIN_DB);
	sqlite3 *db = open_database("/db");
	int moved = -1;

	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_HAS_MOVED, &moved), SQLITE_OK);
	assert_int_equal(moved, 0);
	assert_code(mfs_rename(fs, "/raw", "/away", 0), 0);
	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_HAS_MOVED, &moved), SQLITE_OK);
	assert_int_equal(moved, 1);
	/* Another file of its name is not it. */
	make_text(fs, "/raw", "");
	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_HAS_MOVED, &moved), SQLITE_OK);
	assert_int_equal(moved, 1);
	assert_code(mfs_rename(fs, "/away", "/raw", MFS_RENAME_REPLACE), 0);
	assert_sqlite(NULL, file_control(&f, SQLITE_FCNTL_HAS_MOVED, &moved), SQLITE_OK);
	assert_int_equal(moved, 0);
	close_vfs_file(&f);

	run_sql(db, "CREATE TABLE t(a); INSERT INTO t VALUES(1)");
	assert_code(mfs_rename(fs, "/db", "/away", 0), 0);
	assert_int_equal(number_of(db, "SELECT count(*) FROM t"), 1);
	assert_sqlite(db, try_sql(db, "INSERT INTO t VALUES(2)"), SQLITE_READONLY);
	assert_int_equal(sqlite3_extended_errcode(db), SQLITE_READONLY_DBMOVED);
	assert_code(mfs_rename(fs, "/away", "/db", 0), 0);
	run_sql(db, "INSERT INTO t VALUES(2)");
	close_database(db);
}

/*
 * Beside handles that keep the file's lock
 */

static void a_kept_file_is_busy_at_the_start_and_an_error_within(void **state)
{
	mfs_options options = {.struct_size = sizeof(options), .default_lock_timeout = MFS_NO_WAIT};
	mfs *fs = new_database_workspace(&options);
	sqlite3 *db = open_database("/db");
	mfs_file *keeper = NULL;

	(void)state;
	/* So small a cache that what follows has to be read. */
	run_sql(db, "PRAGMA cache_size=1; CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
	run_sql(db, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<100) "
				"INSERT INTO t SELECT i, zeroblob(1000) FROM c");
	keeper = open_file(fs, "/db", "r+b");
	assert_sqlite(db, try_sql(db, "SELECT sum(length(b)) FROM t"), SQLITE_BUSY);
	assert_sqlite(db, try_sql(db, "BEGIN IMMEDIATE"), SQLITE_BUSY);
	close_file(keeper);
	run_sql(db, "BEGIN; SELECT count(*) FROM sqlite_master");
	keeper = open_file(fs, "/db", "r+b");
	assert_sqlite(db, try_sql(db, "SELECT sum(length(b)) FROM t"), SQLITE_IOERR);
	assert_int_equal(sqlite3_extended_errcode(db), SQLITE_IOERR_READ);
	close_file(keeper);
	(void)try_sql(db, "ROLLBACK");
	assert_int_equal(number_of(db, "SELECT sum(length(b)) FROM t"), 100000);
	/* Opening waits for nobody, the first look does. */
	close_database(db);
	keeper = open_file(fs, "/db", "r+b");
	assert_sqlite(NULL, try_vfs_file("/db", MAIN_DB), SQLITE_OK);
	db = NULL;
	int code = sqlite3_open_v2("/db", &db, SQLITE_OPEN_READWRITE, TEST_VFS);

	assert_true(code == SQLITE_BUSY ||
				(code == SQLITE_OK && try_sql(db, "SELECT * FROM t") == SQLITE_BUSY));
	close_database(db);
	close_file(keeper);
	free_database_workspace(fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATABASE_TEST(a_path_has_one_form),
		DATABASE_TEST(a_path_above_the_root_or_too_long_is_refused),
		DATABASE_TEST(an_open_finds_makes_or_refuses),
		DATABASE_TEST(a_file_without_a_name_is_nowhere_and_charged),
		DATABASE_TEST(a_file_lives_on_when_its_name_is_deleted),
		DATABASE_TEST(a_delete_tells_why_it_fails),
		DATABASE_TEST(access_takes_an_empty_file_for_no_journal),
		DATABASE_TEST(a_read_past_the_end_gives_zeros_and_says_so),
		DATABASE_TEST(writes_and_truncates_change_the_size),
		DATABASE_TEST(a_read_only_file_is_not_written),
		cmocka_unit_test(what_the_quota_refuses_is_full_and_changes_nothing),
		cmocka_unit_test(a_limit_of_files_is_full),
		cmocka_unit_test(a_large_file_can_be_written_anywhere),
		cmocka_unit_test(a_sequential_workspace_is_not_for_databases),
		DATABASE_TEST(a_file_tells_the_name_of_its_vfs_and_of_none_other),
		DATABASE_TEST(a_file_grows_in_the_steps_that_were_asked_for),
		DATABASE_TEST(flags_are_asked_for_set_and_cleared),
		DATABASE_TEST(a_device_promises_what_the_uri_leaves_it),
		DATABASE_TEST(a_database_that_was_moved_is_not_written),
		cmocka_unit_test(a_kept_file_is_busy_at_the_start_and_an_error_within),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
