/* SPDX-License-Identifier: MIT */
/*
 * Is a snapshot a database of its own, as the original was at one instant, whatever others do to
 * that, and is there nothing where it fails?
 */
#include "support.h"

#include "database.h"

static const char *const modes[] = {
	"PRAGMA journal_mode=delete", "PRAGMA journal_mode=truncate", "PRAGMA journal_mode=persist",
	"PRAGMA journal_mode=memory", "PRAGMA journal_mode=wal",
};

/* 500 rows, whose numbers add up to 0 in each state of the database. */
static void fill(sqlite3 *db)
{
	run_sql(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, n, b); CREATE INDEX i ON t(n)");
	run_sql(db, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<500) "
				"INSERT INTO t SELECT i, 0, printf('%01000d', i) FROM c");
}

static const char SUM[] = "SELECT sum(n) FROM t";
static const char MOVE[] = "BEGIN; UPDATE t SET n=n+1 WHERE a%2=0; UPDATE t SET n=n-1 WHERE a%2=1;"
						   "COMMIT";

static void assert_good_copy(const char *path, sqlite3_int64 first)
{
	sqlite3 *copy = open_database(path);

	assert_integrity(copy);
	assert_int_equal(number_of(copy, "SELECT count(*) FROM t"), 500);
	assert_int_equal(number_of(copy, SUM), 0);
	assert_int_equal(number_of(copy, "SELECT n FROM t WHERE a=2"), first);
	close_database(copy);
}

static void remove_copy(mfs *fs, const char *path)
{
	char wal[64];

	assert_code(mfs_remove(fs, path), 0);
	(void)snprintf(wal, sizeof(wal), "%s-wal", path);
	assert_false(mfs_exists(fs, wal));
}

static void a_copy_and_its_original_go_their_own_ways(void **state)
{
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		sqlite3 *db = open_database("/db");
		sqlite3 *copy = NULL;

		run_sql(db, modes[i]);
		fill(db);
		run_sql(db, MOVE);
		assert_code(mfs_sqlite_snapshot(db, "/copy"), 0);
		run_sql(db, MOVE);
		run_sql(db, "DELETE FROM t WHERE a>400");
		copy = open_database("/copy");
		assert_int_equal(number_of(copy, "SELECT n FROM t WHERE a=2"), 1);
		run_sql(copy, "UPDATE t SET b='changed'");
		assert_int_equal(number_of(db, "SELECT count(*) FROM t WHERE b='changed'"), 0);
		assert_int_equal(number_of(copy, "SELECT count(*) FROM t WHERE b='changed'"), 500);
		assert_integrity(copy);
		close_database(copy);
		assert_int_equal(number_of(db, "SELECT count(*) FROM t"), 400);
		assert_integrity(db);
		close_database(db);
		remove_copy(fs, "/copy");
		assert_code(mfs_remove(fs, "/db"), 0);
		(void)mfs_remove(fs, "/db-journal");
	}
	assert_code(used_bytes(fs), 0);
}

/* How many of the bytes of two files are the same memory. */
static int64_t shared_bytes(mfs *fs, const char *one, const char *other)
{
	mfs_file *a = open_file(fs, one, "rb");
	mfs_file *b = open_file(fs, other, "rb");
	const void *mine = NULL;
	const void *theirs = NULL;
	int64_t shared = 0;
	int64_t length;

	for (int64_t at = 0; (length = mfs_view(a, at, &mine)) > 0; at += length) {
		if (mfs_view(b, at, &theirs) > 0 && theirs == mine) {
			shared += length;
		}
	}
	close_file(a);
	close_file(b);
	return shared;
}

static void chunks_are_shared_and_charged(void **state)
{
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		sqlite3 *db = open_database("/db");
		mfs_usage before;
		mfs_usage after;

		run_sql(db, modes[i]);
		run_sql(db, "CREATE TABLE t(b); INSERT INTO t VALUES(zeroblob(9000000))");
		run_sql(db, "PRAGMA wal_checkpoint(truncate)");
		before = usage_of(fs);
		assert_code(mfs_sqlite_snapshot(db, "/copy"), 0);
		after = usage_of(fs);
		assert_true(after.used_bytes - before.used_bytes >= 9000000);
		close_database(db);
		/* All but the last chunk, which may have room for more. */
		assert_true(shared_bytes(fs, "/db", "/copy") >= 9000000 - (int64_t)(2 * MIB));
		assert_code(mfs_remove(fs, "/copy"), 0);
		(void)mfs_remove(fs, "/copy-wal");
		assert_code(mfs_remove(fs, "/db"), 0);
		(void)mfs_remove(fs, "/db-journal");
	}
}

static void a_transaction_that_is_not_committed_is_not_in_it(void **state)
{
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		sqlite3 *db = open_database("/db");
		sqlite3 *writer = open_database("/db");

		run_sql(db, modes[i]);
		fill(db);
		/* RESERVED, and nothing in the file yet: the other one goes on. */
		run_sql(writer, "BEGIN IMMEDIATE; UPDATE t SET n=n+1 WHERE a<10");
		assert_code(mfs_sqlite_snapshot(db, "/copy"), 0);
		assert_refused(fs, mfs_sqlite_snapshot(writer, "/other"), MFS_EBUSY);
		assert_false(mfs_exists(fs, "/other"));
		run_sql(writer, "COMMIT");
		assert_good_copy("/copy", 0);
		remove_copy(fs, "/copy");
		close_database(writer);
		close_database(db);
		assert_code(mfs_remove(fs, "/db"), 0);
		(void)mfs_remove(fs, "/db-journal");
	}
}

static void a_writer_with_changes_in_the_file_keeps_it_off(void **state)
{
	mfs *fs = *state;
	sqlite3 *db = open_database("/db");
	sqlite3 *writer = open_database("/db");

	fill(db);
	run_sql(writer, "PRAGMA cache_size=5; BEGIN; UPDATE t SET n=n+1");
	assert_sqlite(writer, sqlite3_db_cacheflush(writer), SQLITE_OK);
	assert_refused(fs, mfs_sqlite_snapshot(db, "/copy"), MFS_EBUSY);
	assert_non_null(strstr(mfs_last_error(), "locked"));
	assert_false(mfs_exists(fs, "/copy"));
	run_sql(writer, "ROLLBACK");
	assert_code(mfs_sqlite_snapshot(db, "/copy"), 0);
	assert_good_copy("/copy", 0);
	close_database(writer);
	close_database(db);
}

static void a_hot_journal_is_rolled_back_first(void **state)
{
	mfs *fs = *state;
	sqlite3 *writer = open_database("/db");
	sqlite3 *db = NULL;

	fill(writer);
	run_sql(writer, "PRAGMA cache_size=5; BEGIN; UPDATE t SET n=n+1");
	assert_sqlite(writer, sqlite3_db_cacheflush(writer), SQLITE_OK);
	assert_code(mfs_copy(fs, "/db", "/dead"), 0);
	assert_code(mfs_copy(fs, "/db-journal", "/dead-journal"), 0);
	run_sql(writer, "ROLLBACK");
	close_database(writer);
	db = open_database("/dead");
	assert_code(mfs_sqlite_snapshot(db, "/copy"), 0);
	assert_good_copy("/copy", 0);
	close_database(db);
}

static void it_stands_within_a_read_transaction(void **state)
{
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		sqlite3 *db = open_database("/db");
		sqlite3 *writer = open_database("/db");
		bool is_wal = strstr(modes[i], "wal") != NULL;

		run_sql(db, modes[i]);
		fill(db);
		run_sql(db, "BEGIN");
		assert_int_equal(number_of(db, SUM), 0);
		assert_sqlite(writer, try_sql(writer, MOVE), is_wal ? SQLITE_OK : SQLITE_BUSY);
		if (!is_wal) {
			run_sql(writer, "ROLLBACK");
		}
		assert_code(mfs_sqlite_snapshot(db, "/copy"), 0);
		/* The transaction goes on, with what it saw. */
		assert_int_equal(sqlite3_get_autocommit(db), 0);
		assert_int_equal(number_of(db, "SELECT n FROM t WHERE a=2"), 0);
		run_sql(db, "COMMIT");
		/* Of a log the copy has all that was committed. */
		assert_good_copy("/copy", is_wal ? 1 : 0);
		remove_copy(fs, "/copy");
		close_database(writer);
		close_database(db);
		assert_code(mfs_remove(fs, "/db"), 0);
		(void)mfs_remove(fs, "/db-journal");
	}
}

/* When the statement that holds the read transaction ends. */
struct end_of_reading {
	mfs *fs;
	int ends;
	int ends_with_copy;
};

static int note_end(unsigned event, void *user, void *statement, void *nanoseconds)
{
	struct end_of_reading *end = user;

	(void)event;
	(void)statement;
	(void)nanoseconds;
	end->ends++;
	end->ends_with_copy += mfs_exists(end->fs, "/copy");
	return 0;
}

static void the_read_transaction_ends_when_the_copy_is_there(void **state)
{
	struct end_of_reading end = {.fs = *state};
	sqlite3 *db = open_database("/db");

	fill(db);
	assert_sqlite(db, sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE, note_end, &end), SQLITE_OK);
	assert_code(mfs_sqlite_snapshot(db, "/copy"), 0);
	assert_true(end.ends > 0);
	assert_int_equal(end.ends_with_copy, end.ends);
	close_database(db);
}

static void a_copy_has_what_is_only_in_the_log(void **state)
{
	mfs *fs = *state;
	sqlite3 *db = open_database("/db");
	sqlite3 *reader = open_database("/db");

	run_sql(db, "PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0");
	/* The log: with all of the database, with a part that is checkpointed, wholly checkpointed,
	 * begun anew, empty. */
	fill(db);
	assert_code(mfs_sqlite_snapshot(db, "/all"), 0);
	run_sql(reader, "BEGIN");
	assert_int_equal(number_of(reader, SUM), 0);
	run_sql(db, MOVE);
	run_sql(db, "PRAGMA wal_checkpoint");
	assert_code(mfs_sqlite_snapshot(db, "/part"), 0);
	run_sql(reader, "COMMIT");
	run_sql(db, "PRAGMA wal_checkpoint");
	assert_code(mfs_sqlite_snapshot(db, "/whole"), 0);
	run_sql(db, MOVE);
	assert_code(mfs_sqlite_snapshot(db, "/anew"), 0);
	run_sql(db, "PRAGMA wal_checkpoint(truncate)");
	assert_code(mfs_sqlite_snapshot(db, "/empty"), 0);
	assert_code(mfs_get_size(fs, "/empty-wal"), 0);
	assert_good_copy("/all", 0);
	assert_good_copy("/part", 1);
	assert_good_copy("/whole", 1);
	assert_good_copy("/anew", 2);
	assert_good_copy("/empty", 2);
	close_database(reader);
	close_database(db);
}

static void what_is_in_the_way_is_left_alone(void **state)
{
	static const char *const taken[] = {"/copy", "/copy-wal", "/copy-journal"};
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(modes); i += COUNT_OF(modes) - 1) {
		sqlite3 *db = open_database("/db");
		char **names = NULL;

		run_sql(db, modes[i]);
		fill(db);
		for (size_t t = 0; t < COUNT_OF(taken); t++) {
			int64_t before;

			make_text(fs, taken[t], "in the way");
			before = mfs_listdir(fs, "/", &names);
			mfs_names_free(names);
			assert_refused(fs, mfs_sqlite_snapshot(db, "/copy"), MFS_EEXIST);
			assert_text(fs, taken[t], "in the way");
			assert_code(mfs_listdir(fs, "/", &names), before);
			mfs_names_free(names);
			assert_code(mfs_remove(fs, taken[t]), 0);
		}
		assert_refused(fs, mfs_sqlite_snapshot(db, "/db"), MFS_EEXIST);
		make_text(fs, "/file", "");
		assert_refused(fs, mfs_sqlite_snapshot(db, "/file/copy"), MFS_ENOTDIR);
		assert_code(mfs_remove(fs, "/file"), 0);
		close_database(db);
		assert_code(mfs_remove(fs, "/db"), 0);
	}
}

static void a_path_is_taken_as_sqlite_takes_it(void **state)
{
	mfs *fs = *state;
	sqlite3 *db = open_database("/db");
	char path[600];

	run_sql(db, "PRAGMA journal_mode=wal");
	fill(db);
	assert_code(mfs_sqlite_snapshot(db, "a\\b/./../copy/"), 0);
	assert_true(mfs_is_file(fs, "/a/copy"));
	assert_true(mfs_is_file(fs, "/a/copy-wal"));
	assert_good_copy("/a/copy", 0);
	assert_refused(fs, mfs_sqlite_snapshot(db, "/.."), MFS_EINVAL);
	assert_refused_either(fs, mfs_sqlite_snapshot(db, "/"), MFS_EISDIR, MFS_EINVAL);
	(void)snprintf(path, sizeof(path), "/%0199d/%0199d/%0103d", 1, 2, 3);
	assert_int_equal(strlen(path), 504);
	assert_code(mfs_sqlite_snapshot(db, path), 0);
	assert_good_copy(path, 0);
	(void)snprintf(path, sizeof(path), "/%0199d/%0199d/%0104d", 1, 2, 3);
	assert_refused(fs, mfs_sqlite_snapshot(db, path), MFS_ENAMETOOLONG);
	close_database(db);
}

static void without_room_there_is_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(modes); i += COUNT_OF(modes) - 1) {
		mfs *fs = new_plain_workspace(16 * MIB);
		sqlite3 *db = NULL;
		mfs_usage before;
		uint64_t filled = 0;
		int code = MFS_EQUOTA;

		assert_code(mfs_sqlite_register(fs, TEST_VFS, false), 0);
		db = open_database("/db");
		run_sql(db, modes[i]);
		fill(db);
		make_file(fs, "/filler", NULL, 0);
		mfs_file *filler = open_file(fs, "/filler", "r+b");
		/* From a workspace that is full to one with just enough room. */
		before = usage_of(fs);
		for (uint64_t room = 0; code == MFS_EQUOTA; room += 64 * KIB) {
			uint64_t used;

			filled = before.free_bytes - room;
			assert_code(mfs_truncate(filler, (int64_t)(filled - filled % (2 * MIB))), 0);
			used = used_bytes(fs);
			code = mfs_sqlite_snapshot(db, "/copy");
			if (code != 0) {
				assert_code(code, MFS_EQUOTA);
				assert_code(used_bytes(fs), used);
				assert_false(mfs_exists(fs, "/copy"));
				assert_false(mfs_exists(fs, "/copy-wal"));
			}
		}
		assert_code(code, 0);
		close_file(filler);
		assert_code(mfs_remove(fs, "/filler"), 0);
		assert_good_copy("/copy", 0);
		close_database(db);
		free_database_workspace(fs);
	}
}

static void without_a_node_there_is_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(modes); i += COUNT_OF(modes) - 1) {
		mfs_options options = {.struct_size = sizeof(options), .max_nodes = 3};
		mfs *fs = new_database_workspace(&options);
		sqlite3 *db = open_database("/db");

		run_sql(db, modes[i]);
		fill(db);
		make_text(fs, "/one more", "");
		if (i == 0) {
			make_text(fs, "/another", "");
		}
		assert_refused(fs, mfs_sqlite_snapshot(db, "/copy"), MFS_ENODES);
		assert_false(mfs_exists(fs, "/copy"));
		assert_false(mfs_exists(fs, "/copy-wal"));
		close_database(db);
		free_database_workspace(fs);
	}
}

static void what_is_no_database_of_a_workspace_is_refused(void **state)
{
	static const char *const elsewhere[] = {":memory:", "", "/tmp"};
	mfs *fs = *state;
	sqlite3 *db = NULL;

	assert_refused(fs, mfs_sqlite_snapshot(NULL, "/copy"), MFS_EINVAL);
	for (size_t i = 0; i < COUNT_OF(elsewhere); i++) {
		const char *vfs = i == 1 ? TEST_VFS : NULL;

		(void)sqlite3_open_v2(elsewhere[i], &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs);
		if (i == 1) {
			/* A file of the workspace, but none of a name. */
			run_sql(db, "PRAGMA temp_store=file; PRAGMA cache_size=5; CREATE TABLE t(b);"
						"INSERT INTO t VALUES(zeroblob(1000000))");
		}
		assert_refused(fs, mfs_sqlite_snapshot(db, "/copy"), MFS_EINVAL);
		close_database(db);
	}
	db = open_database("/db");
	assert_refused(fs, mfs_sqlite_snapshot(db, NULL), MFS_EINVAL);
	close_database(db);
	make_text(fs, "/db",
			  "This is no database, however long it is read. It goes on and on and on "
			  "until there are more than a hundred bytes.");
	db = open_database("/db");
	assert_refused(fs, mfs_sqlite_snapshot(db, "/copy"), MFS_EFORMAT);
	assert_non_null(strstr(mfs_last_error(), "not a database"));
	assert_false(mfs_exists(fs, "/copy"));
	close_database(db);
}

static int interrupt_at_once(void *user)
{
	(void)user;
	return 1;
}

static void what_interrupts_a_query_interrupts_it(void **state)
{
	mfs *fs = *state;
	sqlite3 *db = open_database("/db");

	fill(db);
	sqlite3_progress_handler(db, 1, interrupt_at_once, NULL);
	assert_refused(fs, mfs_sqlite_snapshot(db, "/copy"), MFS_ECANCELED);
	sqlite3_progress_handler(db, 0, NULL, NULL);
	assert_code(mfs_sqlite_snapshot(db, "/copy"), 0);
	close_database(db);
}

static void an_empty_database_has_an_empty_copy(void **state)
{
	mfs *fs = *state;
	sqlite3 *db = open_database("/db");
	sqlite3 *copy = NULL;

	assert_code(mfs_sqlite_snapshot(db, "/copy"), 0);
	assert_code(mfs_get_size(fs, "/copy"), 0);
	copy = open_database("/copy");
	run_sql(copy, "CREATE TABLE t(a)");
	close_database(copy);
	close_database(db);
}

/* Try again at once: a sleep would miss the moments between the transactions of a busy writer. */
static int try_again(void *user, int tries)
{
	(void)user;
	sched_yield();
	return tries < 10000000;
}

/* Moves numbers about, and the log is checkpointed and begun anew all the time. */
struct writer {
	atomic_bool stop;
	atomic_int failures;
	const char *mode;
	pthread_t thread;
};

static void *write_all_the_time(void *argument)
{
	struct writer *w = argument;
	sqlite3 *db = try_database("/db", TEST_VFS);

	if (db == NULL) {
		atomic_fetch_add(&w->failures, 1);
		return NULL;
	}
	(void)sqlite3_busy_handler(db, try_again, NULL);
	(void)try_sql(db, "PRAGMA wal_autocheckpoint=20");
	for (unsigned round = 0; !atomic_load(&w->stop); round++) {
		if (try_sql(db, MOVE) != SQLITE_OK) {
			atomic_fetch_add(&w->failures, 1);
		}
		if (round % 5 == 4) {
			(void)try_sql(db, "PRAGMA wal_checkpoint(truncate)");
		}
	}
	(void)sqlite3_close(db);
	return NULL;
}

static void snapshots_beside_a_writer_are_whole(void **state)
{
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(modes); i += COUNT_OF(modes) - 1) {
		struct writer writer = {.mode = modes[i]};
		sqlite3 *db = open_database("/db");
		sqlite3_int64 before = 0;

		run_sql(db, modes[i]);
		fill(db);
		(void)sqlite3_busy_handler(db, try_again, NULL);
		writer.thread = start_thread(write_all_the_time, &writer);
		for (int round = 0; round < 10; round++) {
			sqlite3 *copy = NULL;
			int code = mfs_sqlite_snapshot(db, "/copy");
			sqlite3_int64 first = -1;

			if (code == 0) {
				copy = open_database("/copy");
				assert_integrity(copy);
				assert_int_equal(number_of(copy, SUM), 0);
				first = number_of(copy, "SELECT n FROM t WHERE a=2");
				close_database(copy);
				remove_copy(fs, "/copy");
				assert_true(first >= before);
				before = first;
			} else {
				assert_code(code, MFS_EBUSY);
			}
		}
		atomic_store(&writer.stop, true);
		join_thread(writer.thread);
		assert_int_equal(atomic_load(&writer.failures), 0);
		close_database(db);
		assert_code(mfs_remove(fs, "/db"), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATABASE_TEST(a_copy_and_its_original_go_their_own_ways),
		DATABASE_TEST(chunks_are_shared_and_charged),
		DATABASE_TEST(a_transaction_that_is_not_committed_is_not_in_it),
		DATABASE_TEST(a_writer_with_changes_in_the_file_keeps_it_off),
		DATABASE_TEST(a_hot_journal_is_rolled_back_first),
		DATABASE_TEST(it_stands_within_a_read_transaction),
		DATABASE_TEST(the_read_transaction_ends_when_the_copy_is_there),
		DATABASE_TEST(a_copy_has_what_is_only_in_the_log),
		DATABASE_TEST(what_is_in_the_way_is_left_alone),
		DATABASE_TEST(a_path_is_taken_as_sqlite_takes_it),
		cmocka_unit_test(without_room_there_is_nothing),
		cmocka_unit_test(without_a_node_there_is_nothing),
		DATABASE_TEST(what_is_no_database_of_a_workspace_is_refused),
		DATABASE_TEST(what_interrupts_a_query_interrupts_it),
		DATABASE_TEST(an_empty_database_has_an_empty_copy),
		DATABASE_TEST(snapshots_beside_a_writer_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
