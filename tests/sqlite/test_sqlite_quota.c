/* SPDX-License-Identifier: MIT */
/*
 * When the workspace is full at any write of a transaction, does SQLite say so, does the
 * transaction go without a trace while there is still no room, and go through when there is?
 */
#include "support.h"

#include "database.h"
#include "shim_vfs.h"

#define SHIM     "dmemfs_shim"
#define DB       "/db"
#define TEMPLATE "/template"
#define QUOTA    (768 * KIB)
/* The writes before each of which the quota is filled; the first round fills it before BEGIN. */
#define WRITES 200u
/* More than enough files to fill what is left between the sizes of chunks. */
#define FILLERS 64u

#define OLD_ROWS 120
#define NEW_ROWS 150

#define TABLE                                                                                      \
	"PRAGMA page_size = 1024;"                                                                     \
	"CREATE TABLE t (k INTEGER PRIMARY KEY, g INTEGER NOT NULL, v TEXT NOT NULL);"                 \
	"CREATE INDEX by_g ON t (g, k);"                                                               \
	"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120)"               \
	"INSERT INTO t SELECT i, 1, printf('%0400d', i) FROM n;"

#define PRAGMAS "PRAGMA cache_size = 4; PRAGMA temp_store = file; PRAGMA journal_mode = "

#define INSERT_MORE                                                                                \
	"WITH RECURSIVE n (i) AS (SELECT 121 UNION ALL SELECT i + 1 FROM n WHERE i < 150)"             \
	"INSERT INTO t SELECT i, 2, printf('%0400d', i * 2) FROM n"

/* One statement after the other, so that some come after one that has failed. */
static const char *const statements[] = {
	"BEGIN",
	"UPDATE t SET g = 2, v = printf('%0400d', k * 2)",
	INSERT_MORE,
	"COMMIT",
};

/* What fills a workspace. */
struct filler {
	mfs *fs;
	mfs_file *files[FILLERS];
	unsigned count;
	unsigned at_write; /* fills right before this one */
	int code;          /* what the last call gave */
	bool is_full;      /* not one more byte fitted then */
};

static void filler_name(unsigned number, char *name, size_t size)
{
	snprintf(name, size, "/filler%u", number);
}

/* Write to a file until not one more byte fits. Returns whether one did. */
static bool fill_file(struct filler *filler, mfs_file *file)
{
	static const unsigned char bytes[64 * KIB];
	size_t size = sizeof(bytes);
	bool fits = false;

	while (size > 0) {
		int64_t written = mfs_write(file, bytes, size);

		if (written < 0) {
			filler->code = (int)written;
			size /= 2;
		} else {
			fits = true;
		}
	}
	return fits;
}

/*
 * Write until a new file cannot take its first byte. A file's chunks have the sizes that they have,
 * so that there may be room left that is too small for the next one, but not for that of another
 * file. The files stay open: what they have in hand is theirs. For use inside a call of SQLite:
 * makes no assertions.
 */
static void fill(struct filler *filler)
{
	bool fits = true;

	filler->code = 0;
	filler->is_full = true;
	while (fits && filler->count < FILLERS) {
		mfs_file **file = &filler->files[filler->count];
		char name[32];

		filler_name(filler->count, name, sizeof(name));
		int code = mfs_open(filler->fs, name, "wb", file);

		fits = false;
		if (code == 0) {
			filler->count++;
			fits = fill_file(filler, *file);
		} else {
			filler->code = code;
		}
	}
	/* Nor does an older one take any more. */
	for (unsigned i = 0; i < filler->count; i++)
		filler->is_full &= !fill_file(filler, filler->files[i]);
}

static void unfill(struct filler *filler)
{
	char name[32];

	while (filler->count > 0) {
		filler->count--;
		close_file(filler->files[filler->count]);
		filler_name(filler->count, name, sizeof(name));
		assert_code(mfs_remove(filler->fs, name), 0);
	}
}

static void fill_before_write(void *user, unsigned number)
{
	struct filler *filler = user;

	if (number == filler->at_write)
		fill(filler);
}

/* It was full then; what is rolled back since gives room back. */
static void assert_was_filled(const struct filler *filler)
{
	assert_code(filler->code, MFS_EQUOTA);
	assert_in_range(filler->count, 1, FILLERS - 1);
	assert_true(filler->is_full);
}

/* A kind of workspace and journal. */
struct setting {
	const char *mode;
	bool charge_metadata;
	mfs *fs;
	struct shim shim;
	struct filler filler;
};

static void setting_begin(struct setting *setting)
{
	mfs_options options = {.struct_size = sizeof(options), .max_quota = QUOTA};
	char sql[64];

	options.charge_metadata = setting->charge_metadata;
	setting->fs = new_database_workspace(&options);
	setting->filler = (struct filler){.fs = setting->fs};
	assert_sqlite(NULL, shim_register(&setting->shim, SHIM, TEST_VFS), SQLITE_OK);
	setting->shim.before_write = fill_before_write;
	setting->shim.user = &setting->filler;
	sqlite3 *db = open_database(TEMPLATE);

	snprintf(sql, sizeof(sql), "PRAGMA journal_mode = %s", setting->mode);
	run_sql(db, TABLE);
	run_sql(db, sql);
	close_database(db);
}

static void setting_end(struct setting *setting)
{
	assert_sqlite(NULL, sqlite3_vfs_unregister(&setting->shim.vfs), SQLITE_OK);
	free_database_workspace(setting->fs);
}

/* The database as a connection sees it has so many rows, all of them right. */
static void assert_rows(sqlite3 *db, int rows)
{
	assert_int_equal(number_of(db, "SELECT count(*) FROM t"), rows);
	assert_int_equal(number_of(db, "SELECT sum(g = 1) FROM t"), rows == OLD_ROWS ? rows : 0);
	assert_int_equal(number_of(db, "SELECT sum(v <> printf('%0400d', k * g)) FROM t"), 0);
	assert_integrity(db);
}

/* Also as others see it. */
static void assert_rows_for_all(sqlite3 *db, int rows)
{
	sqlite3 *other = open_database(DB);

	assert_rows(db, rows);
	assert_rows(other, rows);
	close_database(other);
}

/* Run the transaction, until a statement fails. Returns its code, SQLITE_OK if none does. */
static int run_transaction(sqlite3 *db)
{
	int code = SQLITE_OK;

	for (size_t i = 0; code == SQLITE_OK && i < COUNT_OF(statements); i++)
		code = try_sql(db, statements[i]);
	return code;
}

static sqlite3 *open_copy(struct setting *setting)
{
	char pragmas[128];
	sqlite3 *db = NULL;

	assert_code(mfs_copy(setting->fs, TEMPLATE, DB), 0);
	shim_revive(&setting->shim, SHIM_NEVER);
	db = try_database(DB, SHIM);
	assert_non_null(db);
	snprintf(pragmas, sizeof(pragmas), PRAGMAS "%s", setting->mode);
	run_sql(db, pragmas);
	/* Reads the schema, so that the first write is the transaction's. */
	assert_int_equal(number_of(db, "SELECT count(*) FROM t"), OLD_ROWS);
	setting->shim.writes = 0;
	return db;
}

/*
 * The quota is filled at a write. Returns whether the transaction was refused. Closes the database
 * while there is no room, or later.
 */
static bool check_full_at(struct setting *setting, unsigned write, bool close_full)
{
	struct filler *filler = &setting->filler;
	uint64_t used = used_bytes(setting->fs);
	sqlite3 *db = open_copy(setting);

	filler->at_write = write;
	if (write == 0)
		fill(filler);
	int code = run_transaction(db);

	assert_was_filled(filler);
	assert_sqlite(db, code, code == SQLITE_OK ? SQLITE_OK : SQLITE_FULL);
	/* SQLite may have rolled back by itself. */
	if (code != SQLITE_OK && !sqlite3_get_autocommit(db))
		run_sql(db, "ROLLBACK");
	assert_true(sqlite3_get_autocommit(db) != 0);
	assert_rows_for_all(db, code == SQLITE_OK ? NEW_ROWS : OLD_ROWS);
	if (close_full) {
		fill(filler);
		close_database(db);
		db = try_database(DB, SHIM);
		assert_non_null(db);
		assert_rows_for_all(db, code == SQLITE_OK ? NEW_ROWS : OLD_ROWS);
	}
	unfill(filler);
	filler->at_write = SHIM_NEVER;
	if (code != SQLITE_OK)
		assert_sqlite(db, run_transaction(db), SQLITE_OK);
	assert_rows_for_all(db, NEW_ROWS);
	close_database(db);
	/* All is charged to one file, and to nothing any more when that is gone. */
	assert_false(mfs_exists(setting->fs, DB "-wal"));
	assert_false(mfs_exists(setting->fs, DB "-journal"));
	assert_code(mfs_remove(setting->fs, DB), 0);
	assert_int_equal(used_bytes(setting->fs), used);
	return code != SQLITE_OK;
}

static void check_full_at_writes(struct setting *setting, unsigned step)
{
	unsigned refused = 0;

	setting_begin(setting);
	setting->filler.at_write = SHIM_NEVER;
	sqlite3 *db = open_copy(setting);

	assert_sqlite(db, run_transaction(db), SQLITE_OK);
	assert_true(setting->shim.writes >= WRITES);
	close_database(db);
	assert_code(mfs_remove(setting->fs, DB), 0);
	for (unsigned write = 0; write <= WRITES; write += step)
		refused += check_full_at(setting, write, write / step % 2 == 1);
	assert_true(refused > WRITES / step / 2);
	setting_end(setting);
}

static void test_a_full_quota_refuses_a_transaction_at_any_write_of_a_rollback_journal(void **state)
{
	static struct setting setting = {.mode = "delete"};

	(void)state;
	check_full_at_writes(&setting, 1);
}

static void test_a_full_quota_refuses_a_transaction_at_any_write_of_a_log(void **state)
{
	static struct setting setting = {.mode = "wal"};

	(void)state;
	check_full_at_writes(&setting, 1);
}

static void test_a_quota_with_metadata_refuses_a_transaction_at_any_write(void **state)
{
	static struct setting rollback = {.mode = "delete", .charge_metadata = true};
	static struct setting log = {.mode = "wal", .charge_metadata = true};

	(void)state;
	check_full_at_writes(&rollback, 5);
	check_full_at_writes(&log, 5);
}

static mfs *new_limited_workspace(uint64_t nodes)
{
	mfs_options options = {.struct_size = sizeof(options), .max_nodes = nodes};

	return new_database_workspace(&options);
}

static void test_a_database_that_cannot_be_made_for_want_of_nodes_is_refused(void **state)
{
	mfs *fs = new_limited_workspace(1);
	sqlite3 *db = NULL;

	(void)state;
	make_text(fs, "/other", "x");
	int code = sqlite3_open_v2(DB, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, TEST_VFS);

	if (code == SQLITE_OK)
		code = try_sql(db, "CREATE TABLE t (k INTEGER PRIMARY KEY)");
	assert_sqlite(db, code, SQLITE_FULL);
	close_database(db);
	assert_false(mfs_exists(fs, DB));
	free_database_workspace(fs);
}

static void test_a_journal_that_cannot_be_made_for_want_of_nodes_refuses_the_change(void **state)
{
	static const char *const journals[] = {"delete", "truncate", "persist"};
	mfs *fs = new_limited_workspace(2);
	sqlite3 *db = open_database(DB);

	(void)state;
	run_sql(db, TABLE "PRAGMA cache_size = 4");
	make_text(fs, "/other", "x");
	for (size_t i = 0; i < COUNT_OF(journals); i++) {
		char sql[64];

		snprintf(sql, sizeof(sql), "PRAGMA journal_mode = %s", journals[i]);
		run_sql(db, sql);
		assert_sqlite(db, try_sql(db, "UPDATE t SET g = 2"), SQLITE_FULL);
		run_sql(db, "BEGIN");
		assert_sqlite(db, try_sql(db, "DELETE FROM t"), SQLITE_FULL);
		if (!sqlite3_get_autocommit(db))
			run_sql(db, "ROLLBACK");
		assert_rows_for_all(db, OLD_ROWS);
	}
	run_sql(db, "PRAGMA journal_mode = delete");
	assert_sqlite(db, try_sql(db, "PRAGMA journal_mode = wal"), SQLITE_FULL);
	assert_rows_for_all(db, OLD_ROWS);
	/* Without a file for the journal, or with room for it, the change goes through. */
	run_sql(db, "PRAGMA journal_mode = memory; UPDATE t SET g = 2, v = printf('%0400d', k * 2);"
				"PRAGMA journal_mode = delete");
	assert_code(mfs_remove(fs, "/other"), 0);
	run_sql(db, "UPDATE t SET g = 1, v = printf('%0400d', k)");
	assert_rows_for_all(db, OLD_ROWS);
	close_database(db);
	free_database_workspace(fs);
}

static void test_a_log_that_cannot_be_made_for_want_of_nodes_refuses_each_use(void **state)
{
	mfs *fs = new_limited_workspace(2);
	sqlite3 *db = open_database(DB);
	sqlite3_int64 rows = 0;

	(void)state;
	run_sql(db, TABLE "PRAGMA journal_mode = wal");
	close_database(db);
	make_text(fs, "/other", "x");
	db = open_database(DB);
	assert_sqlite(db, try_number(db, "SELECT count(*) FROM t", &rows), SQLITE_FULL);
	assert_code(mfs_remove(fs, "/other"), 0);
	assert_rows_for_all(db, OLD_ROWS);
	close_database(db);
	free_database_workspace(fs);
}

static void test_a_vacuum_without_room_leaves_the_database_as_it_was(void **state)
{
	static const char *const journals[] = {"delete", "wal"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(journals); i++) {
		static struct setting setting;
		unsigned refused = 0;
		bool done = false;

		setting = (struct setting){.mode = journals[i]};
		setting_begin(&setting);
		for (unsigned write = 0; !done; write += 7) {
			sqlite3 *db = open_copy(&setting);

			setting.filler.at_write = write;
			if (write == 0)
				fill(&setting.filler);
			int code = try_sql(db, "VACUUM");

			done = setting.filler.count == 0;
			assert_sqlite(db, code, code == SQLITE_OK ? SQLITE_OK : SQLITE_FULL);
			refused += code != SQLITE_OK;
			assert_rows_for_all(db, OLD_ROWS);
			unfill(&setting.filler);
			setting.filler.at_write = SHIM_NEVER;
			run_sql(db, "VACUUM");
			assert_rows_for_all(db, OLD_ROWS);
			close_database(db);
			assert_code(mfs_remove(setting.fs, DB), 0);
			assert_code(usage_of(setting.fs).files, 1);
		}
		assert_true(refused > 20);
		setting_end(&setting);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_a_full_quota_refuses_a_transaction_at_any_write_of_a_rollback_journal),
		cmocka_unit_test(test_a_full_quota_refuses_a_transaction_at_any_write_of_a_log),
		cmocka_unit_test(test_a_quota_with_metadata_refuses_a_transaction_at_any_write),
		cmocka_unit_test(test_a_database_that_cannot_be_made_for_want_of_nodes_is_refused),
		cmocka_unit_test(test_a_journal_that_cannot_be_made_for_want_of_nodes_refuses_the_change),
		cmocka_unit_test(test_a_log_that_cannot_be_made_for_want_of_nodes_refuses_each_use),
		cmocka_unit_test(test_a_vacuum_without_room_leaves_the_database_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
