/* SPDX-License-Identifier: MIT */
/*
 * When a connection is killed, after any of the things that it does to files and locks, do the next
 * ones find the database as it was before its transaction, or as it is after it, and whole?
 *
 * The transaction changes every page, makes the database longer or shorter, and has so small a
 * cache that pages go to the file long before it ends. Kills come from the shim: none of the
 * killed connection's locks is given back by a call, they go because its files are closed.
 */
#include "support.h"

#include "database.h"
#include "shim_vfs.h"

#define SHIM     "dmemfs_shim"
#define DB       "/db"
#define OTHER    "/other"
#define TEMPLATE "/template"

/* What a database may be found as. */
enum state {
	TORN = 0,
	OLD = 1,
	NEW = 2,
	BUSY = 3,
};

static const char *const modes[] = {"delete", "truncate", "persist", "wal"};

#define TABLE                                                                                      \
	"PRAGMA page_size = 1024; PRAGMA auto_vacuum = full;"                                          \
	"CREATE TABLE t (k INTEGER PRIMARY KEY, g INTEGER NOT NULL, v TEXT NOT NULL);"                 \
	"CREATE INDEX by_g ON t (g, k);"                                                               \
	"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30)"                \
	"INSERT INTO t SELECT i, 1, printf('%0400d', i) FROM n;"

/* From 30 rows of generation 1 to 40 or 16 of generation 2. */
#define GROW                                                                                       \
	"UPDATE t SET g = 2, v = printf('%0400d', k * 2);"                                             \
	"WITH RECURSIVE n (i) AS (SELECT 31 UNION ALL SELECT i + 1 FROM n WHERE i < 40)"               \
	"INSERT INTO t SELECT i, 2, printf('%0400d', i * 2) FROM n;"
#define SHRINK                                                                                     \
	"DELETE FROM t WHERE k > 16;"                                                                  \
	"UPDATE t SET g = 2, v = printf('%0400d', k * 2);"

struct change {
	const char *sql;
	int rows;
};

enum { GROWS, SHRINKS, RESTARTS, SWITCHES };

static const struct change changes[] = {
	[GROWS] = {"BEGIN;" GROW "COMMIT", 40},
	[SHRINKS] = {"BEGIN;" SHRINK "COMMIT", 16},
	/* Of a log: all is brought to the database, then the log is written from its start again. */
	[RESTARTS] = {"BEGIN;" SHRINK "COMMIT; PRAGMA wal_checkpoint(RESTART); UPDATE t SET g = 2;"
				  "PRAGMA wal_checkpoint(TRUNCATE); UPDATE t SET g = 2 WHERE k = 1",
				  16},
	[SWITCHES] = {"PRAGMA journal_mode = wal; BEGIN;" SHRINK "COMMIT;"
				  "PRAGMA journal_mode = delete",
				  16},
};

/* A journal mode, a change, a workspace with the template in it, and the shim. */
struct setting {
	const char *mode;
	struct change change;
	mfs *fs;
	struct shim shim;
};

static bool is_wal(const struct setting *setting)
{
	return strcmp(setting->mode, "wal") == 0;
}

/* Let a name be a copy of another, or not be if that is not. */
static void put_copy(mfs *fs, const char *from, const char *to, const char *suffix)
{
	char source[32];
	char target[32];

	snprintf(source, sizeof(source), "%s%s", from, suffix);
	snprintf(target, sizeof(target), "%s%s", to, suffix);
	if (mfs_exists(fs, target))
		assert_code(mfs_remove(fs, target), 0);
	if (mfs_exists(fs, source))
		assert_code(mfs_copy(fs, source, target), 0);
}

/* The same for a database and what belongs to it. */
static void put_database(mfs *fs, const char *from, const char *to)
{
	put_copy(fs, from, to, "");
	put_copy(fs, from, to, "-journal");
	put_copy(fs, from, to, "-wal");
}

static void setting_begin(struct setting *setting, const char *mode, struct change change)
{
	char sql[64];

	setting->mode = mode;
	setting->change = change;
	setting->fs = new_database_workspace(NULL);
	assert_sqlite(NULL, shim_register(&setting->shim, SHIM, TEST_VFS), SQLITE_OK);
	sqlite3 *db = open_database(TEMPLATE);

	snprintf(sql, sizeof(sql), "PRAGMA journal_mode = %s", is_wal(setting) ? "wal" : "delete");
	run_sql(db, TABLE);
	run_sql(db, sql);
	close_database(db);
	assert_false(mfs_exists(setting->fs, TEMPLATE "-wal"));
}

static void setting_end(struct setting *setting)
{
	assert_sqlite(NULL, sqlite3_vfs_unregister(&setting->shim.vfs), SQLITE_OK);
	free_database_workspace(setting->fs);
}

/*
 * Open the database and make a change, which commits. Returns whether it was said to be complete.
 * Whatever happens, the connection is closed in the end.
 */
static bool make_change(const struct setting *setting, const char *vfs, const char *sql)
{
	sqlite3 *db = try_database(DB, vfs);
	char pragmas[96];

	if (db == NULL)
		return false;
	snprintf(pragmas, sizeof(pragmas), "PRAGMA cache_size = 4; PRAGMA journal_mode = %s",
			 setting->mode);
	bool complete = try_sql(db, pragmas) == SQLITE_OK && try_sql(db, sql) == SQLITE_OK;

	if (!complete && !sqlite3_get_autocommit(db))
		(void)try_sql(db, "ROLLBACK");
	close_database(db);
	return complete;
}

/* Kill after so many steps. False when it got through to its end. */
static bool kill_change(struct setting *setting, unsigned steps, const char *sql, bool *complete)
{
	shim_revive(&setting->shim, steps);
	*complete = make_change(setting, SHIM, sql);
	return setting->shim.dead;
}

/* The query that gives the state of a database. */
static void write_query(char *sql, size_t size, const char *schema, int new_rows)
{
	snprintf(sql, size,
			 "SELECT CASE WHEN sum(v <> printf('%%0400d', k * g)) > 0 THEN 0 "
			 "WHEN count(*) = 30 AND min(g) = 1 AND max(g) = 1 THEN 1 "
			 "WHEN count(*) = %d AND min(g) = 2 AND max(g) = 2 THEN 2 ELSE 0 END FROM %s.t",
			 new_rows, schema);
}

static enum state state_of(sqlite3 *db, const char *schema, int new_rows)
{
	char sql[512];
	sqlite3_int64 number = TORN;

	write_query(sql, sizeof(sql), schema, new_rows);
	int code = try_number(db, sql, &number);

	if ((code & 0xff) == SQLITE_BUSY)
		return BUSY;
	assert_sqlite(db, code, SQLITE_ROW);
	return (enum state)number;
}

/* What a new connection finds, which has to be whole. */
static enum state find_state(const struct setting *setting)
{
	sqlite3 *db = open_database(DB);
	enum state state = state_of(db, "main", setting->change.rows);

	if (state != BUSY)
		assert_integrity(db);
	close_database(db);
	return state;
}

/* The database file is not the template's, byte for byte. */
static bool is_changed(mfs *fs)
{
	void *old = NULL;
	void *present = NULL;
	int64_t old_size = mfs_export_buffer(fs, TEMPLATE, 0, &old);
	int64_t size = mfs_export_buffer(fs, DB, 0, &present);

	assert_true(old_size >= 0 && size >= 0);
	bool changed = size != old_size || memcmp(old, present, (size_t)size) != 0;

	mfs_buffer_free(old);
	mfs_buffer_free(present);
	return changed;
}

/* The same change goes through now, and leaves nothing behind. */
static void expect_change(const struct setting *setting)
{
	assert_true(make_change(setting, TEST_VFS, setting->change.sql));
	assert_int_equal(find_state(setting), NEW);
	assert_false(mfs_exists(setting->fs, DB "-wal"));
	if (strcmp(setting->mode, "delete") == 0)
		assert_false(mfs_exists(setting->fs, DB "-journal"));
}

/* Check all modes with the changes `which`: bits. */
static void for_each_setting(void (*check)(struct setting *setting), unsigned which)
{
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		for (size_t j = 0; j < COUNT_OF(changes); j++) {
			/* A checkpoint is nothing to the others. */
			if (!(which & 1u << j) || (j == RESTARTS && strcmp(modes[i], "wal") != 0))
				continue;
			static struct setting setting;

			setting_begin(&setting, modes[i], changes[j]);
			check(&setting);
			setting_end(&setting);
		}
	}
}

static void check_kills(struct setting *setting)
{
	enum state before = OLD;
	unsigned half_written = 0;
	bool complete = false;
	bool killed = true;

	for (unsigned steps = 0; killed; steps++) {
		put_database(setting->fs, TEMPLATE, DB);
		killed = kill_change(setting, steps, setting->change.sql, &complete);
		bool changed = is_changed(setting->fs) ||
					   (is_wal(setting) && mfs_get_size(setting->fs, DB "-wal") > 0);
		enum state state = find_state(setting);

		assert_true(state == OLD || state == NEW);
		/* What was said to be complete stays, and there is one step that makes it so. */
		assert_false(complete && state == OLD);
		assert_false(before == NEW && state == OLD);
		assert_true(killed || complete);
		before = state;
		half_written += state == OLD && changed;
		if (state == OLD && steps % 4 == 0)
			expect_change(setting);
	}
	assert_int_equal(before, NEW);
	assert_true(setting->shim.writes >= 50);
	assert_true(half_written >= 20);
}

static void test_a_transaction_is_whole_or_gone_whenever_its_connection_is_killed(void **state)
{
	(void)state;
	for_each_setting(check_kills, 1u << GROWS | 1u << SHRINKS | 1u << RESTARTS | 1u << SWITCHES);
}

/* A connection that reads all along, and has so small a cache that it reads the file again. */
static sqlite3 *begin_reader(const struct setting *setting)
{
	sqlite3 *reader = open_database(DB);

	run_sql(reader, "PRAGMA cache_size = 1; BEGIN");
	assert_int_equal(state_of(reader, "main", setting->change.rows), OLD);
	return reader;
}

static void check_kills_beside_reader(struct setting *setting)
{
	bool complete = false;
	bool killed = true;
	unsigned busy = 0;

	for (unsigned steps = 0; killed; steps++) {
		put_database(setting->fs, TEMPLATE, DB);
		sqlite3 *reader = begin_reader(setting);

		killed = kill_change(setting, steps, setting->change.sql, &complete);
		/* Nobody writes to the database under the reader; the log is another matter. */
		assert_false(complete && !is_wal(setting));
		enum state now = find_state(setting);

		assert_true(now == OLD || (is_wal(setting) ? now == NEW : now == BUSY));
		assert_false(complete && now == OLD);
		busy += now == BUSY;
		assert_int_equal(state_of(reader, "main", setting->change.rows), OLD);
		/* The killed one's lock for writing is gone, whoever reads. */
		if (is_wal(setting) && now == OLD) {
			assert_true(make_change(setting, TEST_VFS, setting->change.sql));
			assert_int_equal(find_state(setting), NEW);
		}
		assert_int_equal(state_of(reader, "main", setting->change.rows), OLD);
		run_sql(reader, "COMMIT");
		if (is_wal(setting))
			assert_int_equal(state_of(reader, "main", setting->change.rows), NEW);
		close_database(reader);
		if (!is_wal(setting)) {
			assert_int_equal(find_state(setting), OLD);
			if (steps % 4 == 0)
				expect_change(setting);
		}
	}
	/* A hot journal cannot be rolled back while somebody reads. */
	assert_true(is_wal(setting) ? busy == 0 : busy > 0);
}

static void test_a_killed_writer_leaves_readers_alone(void **state)
{
	(void)state;
	/* While somebody reads, a database does not come to have a log. */
	for_each_setting(check_kills_beside_reader, 1u << GROWS | 1u << RESTARTS);
}

/* Kill the connection that finds what a killed one has left, at each of its steps. */
static void check_kills_in_recovery(struct setting *setting)
{
	bool complete = false;
	bool killed = true;
	unsigned rounds = 0;

	for (unsigned steps = 9; killed; steps += 19) {
		put_database(setting->fs, TEMPLATE, DB);
		killed = kill_change(setting, steps, setting->change.sql, &complete);
		put_database(setting->fs, DB, "/killed");
		enum state expected = find_state(setting);
		bool killed_again = true;

		for (unsigned later = 0; killed_again; later++) {
			put_database(setting->fs, "/killed", DB);
			shim_revive(&setting->shim, later);
			sqlite3 *db = try_database(DB, SHIM);
			sqlite3_int64 rows = 0;

			if (db != NULL) {
				(void)try_number(db, "SELECT count(*) FROM t", &rows);
				close_database(db);
			}
			killed_again = setting->shim.dead;
			assert_int_equal(find_state(setting), expected);
			rounds++;
		}
	}
	assert_true(rounds > 20);
}

static void test_a_recovery_that_is_killed_begins_again(void **state)
{
	(void)state;
	for_each_setting(check_kills_in_recovery, 1u << SHRINKS | 1u << SWITCHES);
}

/* One of those who open the database at the same moment. */
struct finder {
	pthread_barrier_t *start;
	const char *sql;
	int code;
	sqlite3_int64 state;
	pthread_t thread;
};

static int step_aside(void *user, int tries)
{
	(void)user;
	(void)tries;
	(void)sched_yield();
	return 1;
}

static void *find(void *argument)
{
	struct finder *finder = argument;

	(void)pthread_barrier_wait(finder->start);
	sqlite3 *db = try_database(DB, TEST_VFS);

	if (db != NULL) {
		(void)sqlite3_busy_handler(db, step_aside, NULL);
		finder->code = try_number(db, finder->sql, &finder->state);
		(void)sqlite3_close(db);
	}
	return NULL;
}

static void check_finders(struct setting *setting)
{
	struct finder finders[6];
	pthread_barrier_t start;
	char sql[512];
	bool complete = false;
	bool killed = true;
	unsigned old = 0;

	write_query(sql, sizeof(sql), "main", setting->change.rows);
	assert_int_equal(pthread_barrier_init(&start, NULL, COUNT_OF(finders)), 0);
	for (unsigned steps = 11; killed; steps += 17) {
		put_database(setting->fs, TEMPLATE, DB);
		killed = kill_change(setting, steps, setting->change.sql, &complete);
		for (size_t i = 0; i < COUNT_OF(finders); i++) {
			finders[i] = (struct finder){.start = &start, .sql = sql, .code = SQLITE_CANTOPEN};
			finders[i].thread = start_thread(find, &finders[i]);
		}
		for (size_t i = 0; i < COUNT_OF(finders); i++)
			join_thread(finders[i].thread);
		for (size_t i = 0; i < COUNT_OF(finders); i++) {
			assert_sqlite(NULL, finders[i].code, SQLITE_ROW);
			assert_int_equal(finders[i].state, finders[0].state);
		}
		assert_int_equal(find_state(setting), finders[0].state);
		old += finders[0].state == OLD;
	}
	assert_int_equal(pthread_barrier_destroy(&start), 0);
	assert_true(old >= 5);
}

static void test_those_who_come_at_once_find_the_same(void **state)
{
	(void)state;
	for_each_setting(check_finders, 1u << GROWS | 1u << SHRINKS);
}

/* Both databases, as a new connection finds them. */
static enum state find_both(const struct setting *setting)
{
	sqlite3 *db = open_database(DB);

	run_sql(db, "ATTACH '" OTHER "' AS other");
	enum state one = state_of(db, "main", setting->change.rows);
	enum state other = state_of(db, "other", setting->change.rows);

	assert_int_equal(one, other);
	assert_integrity(db);
	close_database(db);
	return one;
}

static void test_a_transaction_over_two_databases_is_whole_or_gone_in_both(void **state)
{
	static const char sql[] =
		"ATTACH '" OTHER "' AS other; PRAGMA other.cache_size = 4; BEGIN;"
		"DELETE FROM t WHERE k > 16; UPDATE t SET g = 2, v = printf('%0400d', k * 2);"
		"DELETE FROM other.t WHERE k > 16; UPDATE other.t SET g = 2, v = printf('%0400d', k * 2);"
		"COMMIT";

	(void)state;
	/* With a log, each database would be whole by itself. */
	for (size_t i = 0; i < COUNT_OF(modes) - 1; i++) {
		static struct setting setting;
		enum state before = OLD;
		bool complete = false;
		bool killed = true;

		setting_begin(&setting, modes[i], changes[SHRINKS]);
		for (unsigned steps = 0; killed; steps++) {
			put_database(setting.fs, TEMPLATE, DB);
			put_database(setting.fs, TEMPLATE, OTHER);
			killed = kill_change(&setting, steps, sql, &complete);
			enum state now = find_both(&setting);

			assert_true(now == OLD || now == NEW);
			assert_false(complete && now == OLD);
			assert_false(before == NEW && now == OLD);
			before = now;
		}
		assert_int_equal(before, NEW);
		setting_end(&setting);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_transaction_is_whole_or_gone_whenever_its_connection_is_killed),
		cmocka_unit_test(test_a_killed_writer_leaves_readers_alone),
		cmocka_unit_test(test_a_recovery_that_is_killed_begins_again),
		cmocka_unit_test(test_those_who_come_at_once_find_the_same),
		cmocka_unit_test(test_a_transaction_over_two_databases_is_whole_or_gone_in_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
