/* SPDX-License-Identifier: MIT */
/*
 * Does SQLite do on a workspace what it does on a disk, in each journal mode, with the files beside
 * a database that the mode says, and with none left over?
 */
#include "support.h"

#include "database.h"

/* What there is beside "/db" after a transaction. */
enum journal {
	NOTHING,
	EMPTY_JOURNAL,
	FULL_JOURNAL,
	WAL,
};

static const struct {
	const char *pragma;
	enum journal after;
	bool rolls_back;
} modes[] = {
	{"PRAGMA journal_mode=delete", NOTHING, true},
	{"PRAGMA journal_mode=truncate", EMPTY_JOURNAL, true},
	{"PRAGMA journal_mode=persist", FULL_JOURNAL, true},
	{"PRAGMA journal_mode=memory", NOTHING, true},
	{"PRAGMA journal_mode=wal", WAL, true},
	{"PRAGMA journal_mode=off", NOTHING, false},
};

static void assert_beside(mfs *fs, enum journal want)
{
	assert_int_equal(mfs_exists(fs, "/db-wal"), want == WAL);
	assert_int_equal(mfs_exists(fs, "/db-journal"), want == EMPTY_JOURNAL || want == FULL_JOURNAL);
	if (want == EMPTY_JOURNAL) {
		assert_code(mfs_get_size(fs, "/db-journal"), 0);
	}
	if (want == FULL_JOURNAL) {
		assert_true(mfs_get_size(fs, "/db-journal") > 0);
	}
	/* The index of a WAL is no file. */
	assert_false(mfs_exists(fs, "/db-shm"));
}

static void fill(sqlite3 *db)
{
	run_sql(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE INDEX i ON t(b)");
	run_sql(db, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<2000) "
				"INSERT INTO t SELECT i, printf('%0100d', i) FROM c");
}

static void each_mode_commits_rolls_back_and_cleans_up(void **state)
{
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		sqlite3 *db = open_database("/db");
		sqlite3 *other = NULL;

		run_sql(db, modes[i].pragma);
		/* So small a cache that changes are written before the commit. */
		run_sql(db, "PRAGMA cache_size=5");
		fill(db);
		assert_beside(fs, modes[i].after);
		run_sql(db, "BEGIN; DELETE FROM t WHERE a%2=0; UPDATE t SET b=b||'x'; COMMIT");
		assert_beside(fs, modes[i].after);
		assert_int_equal(number_of(db, "SELECT sum(length(b)) FROM t"), 1000 * 101);
		if (modes[i].rolls_back) {
			run_sql(db, "BEGIN; DELETE FROM t WHERE a%3=0; UPDATE t SET b='y'; ROLLBACK");
			run_sql(db, "BEGIN; SAVEPOINT s; UPDATE t SET b='y'; ROLLBACK TO s; COMMIT");
			assert_beside(fs, modes[i].after);
		}
		other = open_database("/db");
		assert_int_equal(number_of(other, "SELECT sum(length(b)) FROM t"), 1000 * 101);
		assert_integrity(other);
		close_database(other);
		close_database(db);
		assert_false(mfs_exists(fs, "/db-wal"));
		assert_code(usage_of(fs).open_handles, 1);
		assert_code(mfs_remove(fs, "/db"), 0);
		(void)mfs_remove(fs, "/db-journal");
		assert_code(used_bytes(fs), 0);
	}
}

static void a_database_goes_from_each_mode_to_each_other(void **state)
{
	mfs *fs = *state;
	sqlite3 *db = open_database("/db");

	fill(db);
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		for (size_t j = 0; j < COUNT_OF(modes); j++) {
			run_sql(db, modes[i].pragma);
			run_sql(db, "UPDATE t SET b=b||'x' WHERE a=1");
			run_sql(db, modes[j].pragma);
			run_sql(db, "UPDATE t SET b=b||'x' WHERE a=1");
			/* SQLite leaves persisted journals of earlier modes where it cannot delete them. */
			assert_int_equal(mfs_exists(fs, "/db-wal"), modes[j].after == WAL);
		}
	}
	assert_int_equal(number_of(db, "SELECT length(b) FROM t WHERE a=1"),
					 100 + 2 * COUNT_OF(modes) * COUNT_OF(modes));
	assert_integrity(db);
	close_database(db);
}

static void page_sizes_of_all_kinds_work(void **state)
{
	mfs *fs = *state;

	for (int size = 512; size <= 65536; size *= 2) {
		char pragma[64];
		sqlite3 *db = open_database("/db");

		(void)snprintf(pragma, sizeof(pragma), "PRAGMA page_size=%d", size);
		run_sql(db, pragma);
		fill(db);
		run_sql(db, "BEGIN; UPDATE t SET b='y'; ROLLBACK");
		run_sql(db, "PRAGMA journal_mode=wal; UPDATE t SET b=b||'y'");
		assert_int_equal(number_of(db, "PRAGMA page_size"), size);
		assert_integrity(db);
		close_database(db);
		assert_code(mfs_get_size(fs, "/db") % size, 0);
		assert_code(mfs_remove(fs, "/db"), 0);
	}
}

static void a_wal_stays_where_it_is_told_to(void **state)
{
	mfs *fs = *state;
	sqlite3 *db = open_database("/db");
	int keep = 1;

	run_sql(db, "PRAGMA journal_mode=wal; CREATE TABLE t(a); INSERT INTO t VALUES(1)");
	assert_sqlite(db, sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep), SQLITE_OK);
	close_database(db);
	assert_true(mfs_exists(fs, "/db-wal"));
	db = open_database("/db");
	assert_int_equal(number_of(db, "SELECT count(*) FROM t"), 1);
	close_database(db);
	assert_false(mfs_exists(fs, "/db-wal"));
}

static void a_log_is_checkpointed_in_each_way(void **state)
{
	static const int ways[] = {SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_FULL,
							   SQLITE_CHECKPOINT_RESTART, SQLITE_CHECKPOINT_TRUNCATE};
	mfs *fs = *state;
	sqlite3 *db = open_database("/db");
	sqlite3 *reader = open_database("/db");

	run_sql(db, "PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0");
	fill(db);
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		int frames = -1;
		int done = -1;

		run_sql(db, "UPDATE t SET b=b||'x'");
		assert_sqlite(db, sqlite3_wal_checkpoint_v2(db, "main", ways[i], &frames, &done),
					  SQLITE_OK);
		assert_int_equal(done, frames);
		/* A reader keeps the log from beginning anew, and sees what it saw. */
		run_sql(reader, "BEGIN");
		assert_int_equal(number_of(reader, "SELECT length(b) FROM t WHERE a=1"), 101 + i);
		run_sql(db, "UPDATE t SET b=b");
		assert_sqlite(db,
					  sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
					  SQLITE_BUSY);
		run_sql(reader, "COMMIT");
	}
	assert_sqlite(db, sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
				  SQLITE_OK);
	assert_code(mfs_get_size(fs, "/db-wal"), 0);
	assert_integrity(reader);
	close_database(reader);
	close_database(db);
}

static void a_log_of_many_index_regions_is_read_by_all(void **state)
{
	sqlite3 *db = open_database("/db");
	sqlite3 *reader = open_database("/db");

	(void)state;
	run_sql(db, "PRAGMA page_size=512; PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0");
	run_sql(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
	assert_int_equal(number_of(reader, "SELECT count(*) FROM t"), 0);
	/* More pages than two regions can tell of. */
	run_sql(db, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<12000) "
				"INSERT INTO t SELECT i, zeroblob(400) FROM c");
	assert_int_equal(number_of(reader, "SELECT sum(length(b)) FROM t"), 12000 * 400);
	assert_integrity(reader);
	close_database(reader);
	close_database(db);
}

static void exclusive_mode_needs_no_shared_index(void **state)
{
	mfs *fs = *state;
	sqlite3 *db = open_database("/db");
	sqlite3 *other = open_database("/db");

	run_sql(db, "PRAGMA locking_mode=exclusive; PRAGMA journal_mode=wal; CREATE TABLE t(a)");
	run_sql(db, "INSERT INTO t VALUES(1)");
	assert_sqlite(other, try_sql(other, "SELECT * FROM t"), SQLITE_BUSY);
	/* Begun without an index that others see, the mode is left only with the log. */
	run_sql(db, "PRAGMA journal_mode=delete; PRAGMA locking_mode=normal; INSERT INTO t VALUES(2)");
	assert_int_equal(number_of(other, "SELECT count(*) FROM t"), 2);
	close_database(other);
	close_database(db);
	assert_false(mfs_exists(fs, "/db-wal"));
}

/*
 * More than one database
 */

static void a_transaction_on_two_databases_is_one(void **state)
{
	mfs *fs = *state;
	sqlite3 *db = open_database("/db");
	char **names = NULL;

	make_dir(fs, "/dir");
	run_sql(db, "ATTACH '/dir/other' AS o; CREATE TABLE t(a); CREATE TABLE o.u(a)");
	run_sql(db, "BEGIN; INSERT INTO t VALUES(1); INSERT INTO u VALUES(1); COMMIT");
	run_sql(db, "BEGIN; INSERT INTO t VALUES(2); INSERT INTO u VALUES(2); ROLLBACK");
	assert_int_equal(number_of(db, "SELECT (SELECT sum(a) FROM t)*10+(SELECT sum(a) FROM u)"), 11);
	/* No journal is left, and no super-journal. */
	assert_code(mfs_listdir(fs, "/", &names), 2);
	assert_string_equal(names[0], "db");
	assert_string_equal(names[1], "dir");
	mfs_names_free(names);
	assert_code(mfs_listdir(fs, "/dir", &names), 1);
	mfs_names_free(names);
	/* The other one is locked: then nothing of both is done. */
	sqlite3 *other = open_database("/dir/other");

	run_sql(other, "BEGIN; SELECT * FROM u");
	run_sql(db, "BEGIN; INSERT INTO t VALUES(3); INSERT INTO u VALUES(3)");
	assert_sqlite(db, try_sql(db, "COMMIT"), SQLITE_BUSY);
	run_sql(db, "ROLLBACK");
	assert_int_equal(number_of(db, "SELECT sum(a) FROM t"), 1);
	close_database(other);
	close_database(db);
}

static void a_database_is_attached_by_its_uri(void **state)
{
	sqlite3 *db = NULL;

	(void)state;
	assert_sqlite(NULL,
				  sqlite3_open_v2(":memory:", &db,
								  SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI,
								  NULL),
				  SQLITE_OK);
	run_sql(db, "ATTACH 'file:/db?vfs=" TEST_VFS "' AS m; CREATE TABLE m.t(a)");
	run_sql(db, "INSERT INTO t VALUES(1); DETACH m");
	run_sql(db, "ATTACH 'file:db?vfs=" TEST_VFS "&mode=ro' AS m");
	assert_int_equal(number_of(db, "SELECT count(*) FROM m.t"), 1);
	assert_sqlite(db, try_sql(db, "INSERT INTO m.t VALUES(2)"), SQLITE_READONLY);
	close_database(db);
}

static void copy_by_backup(sqlite3 *from, sqlite3 *to)
{
	sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");

	assert_non_null(backup);
	assert_sqlite(to, sqlite3_backup_step(backup, -1), SQLITE_DONE);
	assert_sqlite(to, sqlite3_backup_finish(backup), SQLITE_OK);
}

static void a_backup_goes_both_ways_between_memory_and_workspace(void **state)
{
	sqlite3 *memory = NULL;
	sqlite3 *db = open_database("/db");

	(void)state;
	fill(db);
	assert_sqlite(NULL, sqlite3_open(":memory:", &memory), SQLITE_OK);
	copy_by_backup(db, memory);
	close_database(db);
	run_sql(memory, "DELETE FROM t WHERE a>1000");
	db = open_database("/db");
	copy_by_backup(memory, db);
	assert_int_equal(number_of(db, "SELECT count(*) FROM t"), 1000);
	assert_integrity(db);
	close_database(memory);
	close_database(db);
}

/*
 * Files that SQLite makes for itself
 */

static void a_vacuum_makes_the_file_smaller(void **state)
{
	mfs *fs = *state;
	int64_t before;

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		sqlite3 *db = open_database("/db");

		run_sql(db, modes[i].pragma);
		run_sql(db, "PRAGMA temp_store=file");
		fill(db);
		run_sql(db, "DELETE FROM t WHERE a>100; PRAGMA wal_checkpoint(truncate)");
		before = mfs_get_size(fs, "/db");
		run_sql(db, "VACUUM; PRAGMA wal_checkpoint(truncate)");
		assert_true(mfs_get_size(fs, "/db") < before / 4);
		assert_integrity(db);
		close_database(db);
		assert_code(mfs_remove(fs, "/db"), 0);
		(void)mfs_remove(fs, "/db-journal");
	}
}

static void a_vacuum_into_another_file_makes_a_copy(void **state)
{
	sqlite3 *db = open_database("/db");
	sqlite3 *copy = NULL;

	(void)state;
	fill(db);
	run_sql(db, "VACUUM INTO '/copy'");
	assert_sqlite(db, try_sql(db, "VACUUM INTO '/copy'"), SQLITE_ERROR);
	close_database(db);
	copy = open_database("/copy");
	assert_int_equal(number_of(copy, "SELECT count(*) FROM t"), 2000);
	assert_integrity(copy);
	close_database(copy);
}

static void temporary_files_are_charged_and_have_no_names(void **state)
{
	mfs *fs = *state;
	sqlite3 *db = open_database("/db");
	sqlite3_stmt *sorted = NULL;
	uint64_t before;
	char **names = NULL;

	run_sql(db, "PRAGMA temp_store=file; PRAGMA cache_size=10");
	fill(db);
	before = used_bytes(fs);
	run_sql(db, "CREATE TEMP TABLE big AS SELECT * FROM t; PRAGMA temp.cache_size=5");
	run_sql(db, "INSERT INTO big SELECT a+10000, b FROM t; UPDATE big SET b=b||'x'");
	assert_true(used_bytes(fs) > before + 200000);
	assert_code(mfs_listdir(fs, "/", &names), 1);
	mfs_names_free(names);
	/* A sort that does not fit into the cache. */
	assert_sqlite(db,
				  sqlite3_prepare_v2(
					  db,
					  "SELECT a FROM t, (SELECT 1 UNION SELECT 2) ORDER BY substr(b,50,51) DESC",
					  -1, &sorted, NULL),
				  SQLITE_OK);
	for (int n = 2000; n > 0; n--) {
		for (int twice = 0; twice < 2; twice++) {
			assert_sqlite(db, sqlite3_step(sorted), SQLITE_ROW);
			assert_int_equal(sqlite3_column_int(sorted, 0), n);
		}
	}
	assert_code(mfs_listdir(fs, "/", &names), 1);
	mfs_names_free(names);
	assert_sqlite(db, sqlite3_finalize(sorted), SQLITE_OK);
	assert_int_equal(number_of(db, "SELECT sum(length(b)) FROM big"), 4000 * 101);
	close_database(db);
	assert_true(used_bytes(fs) <= before);
	assert_code(usage_of(fs).open_handles, 1);
}

static void a_persisted_journal_of_an_earlier_transaction_is_no_danger(void **state)
{
	mfs *fs = *state;
	sqlite3 *db = open_database("/db");
	sqlite3 *other = NULL;

	run_sql(db, "PRAGMA journal_mode=persist; PRAGMA cache_size=5");
	fill(db);
	/* A long one first, of which records lie behind those of the short one. */
	run_sql(db, "UPDATE t SET b=b||'x'");
	run_sql(db, "BEGIN; UPDATE t SET b='y' WHERE a=1");
	/* A copy of the workspace as it is now: with a hot journal. */
	assert_code(mfs_mkdir(fs, "/copies", 0), 0);
	assert_sqlite(db, sqlite3_db_cacheflush(db), SQLITE_OK);
	assert_code(mfs_copy(fs, "/db", "/copies/db"), 0);
	assert_code(mfs_copy(fs, "/db-journal", "/copies/db-journal"), 0);
	other = open_database("/copies/db");
	assert_int_equal(number_of(other, "SELECT length(b) FROM t WHERE a=1"), 101);
	assert_int_equal(number_of(other, "SELECT sum(length(b)) FROM t"), 2000 * 101);
	assert_integrity(other);
	close_database(other);
	run_sql(db, "COMMIT");
	close_database(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATABASE_TEST(each_mode_commits_rolls_back_and_cleans_up),
		DATABASE_TEST(a_database_goes_from_each_mode_to_each_other),
		DATABASE_TEST(page_sizes_of_all_kinds_work),
		DATABASE_TEST(a_wal_stays_where_it_is_told_to),
		DATABASE_TEST(a_log_is_checkpointed_in_each_way),
		DATABASE_TEST(a_log_of_many_index_regions_is_read_by_all),
		DATABASE_TEST(exclusive_mode_needs_no_shared_index),
		DATABASE_TEST(a_transaction_on_two_databases_is_one),
		DATABASE_TEST(a_database_is_attached_by_its_uri),
		DATABASE_TEST(a_backup_goes_both_ways_between_memory_and_workspace),
		DATABASE_TEST(a_vacuum_makes_the_file_smaller),
		DATABASE_TEST(a_vacuum_into_another_file_makes_a_copy),
		DATABASE_TEST(temporary_files_are_charged_and_have_no_names),
		DATABASE_TEST(a_persisted_journal_of_an_earlier_transaction_is_no_danger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
