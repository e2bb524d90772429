/* SPDX-License-Identifier: MIT */
/*
 * Do transactions of eight threads behave as if one came after the other, in each journal mode,
 * while connections come and go, and the database is rebuilt, copied, and changes its mode?
 *
 * The threads move money between accounts, note each transfer in a log and count it. In each read
 * transaction the sum of the money is the same, there are as many notes as were counted, and no
 * count goes back.
 */
#include "support.h"

#include "database.h"

#define DB        "/bank"
#define THREADS   8
#define ACCOUNTS  48
#define MONEY     (ACCOUNTS * 1000)
#define TRANSFERS 100
#define READS     100
#define CHORES    30
#define OPENINGS  40
#define COPIES    40
/* Nobody waits for so long for a lock but one who is forgotten. */
#define PATIENCE_NS INT64_C(30000000000)

static const char *const modes[] = {"delete", "truncate", "persist", "wal"};

/* What all threads of a test share. */
struct bank {
	mfs *fs;
	const char *mode;
	pthread_barrier_t start;
};

struct worker {
	struct bank *bank;
	void (*work)(struct worker *worker);
	int number;
	struct rng rng;
	/* What the thread has done, and its first failure: */
	int transfers;
	int reads;
	int code;
	const char *what;
	char message[160];
	pthread_t thread;
};

/*
 * For the threads: without assertions
 */

/* Keep what has failed; all else of this worker is skipped. */
static void fail_worker(struct worker *worker, int code, const char *what, sqlite3 *db)
{
	if (worker->what != NULL)
		return;
	worker->code = code;
	worker->what = what;
	snprintf(worker->message, sizeof(worker->message), "%s", db != NULL ? sqlite3_errmsg(db) : "");
}

static int64_t now_ns(void)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The busy handler: others first, as long as it takes. */
static int step_aside(void *user, int tries)
{
	(void)user;
	(void)tries;
	(void)sched_yield();
	return 1;
}

static bool is_busy(int code)
{
	return (code & 0xff) == SQLITE_BUSY;
}

/* Open, with a cache that holds a part of the database. NULL after a failure. */
static sqlite3 *worker_open(struct worker *worker)
{
	sqlite3 *db = try_database(DB, TEST_VFS);
	char sql[96];

	if (db == NULL) {
		fail_worker(worker, SQLITE_CANTOPEN, "open", NULL);
		return NULL;
	}
	/* A log is a property of the database, the others of a connection. */
	snprintf(sql, sizeof(sql), "PRAGMA cache_size = 8; PRAGMA journal_mode = %s",
			 worker->bank->mode);
	if (strcmp(worker->bank->mode, "wal") == 0)
		snprintf(sql, sizeof(sql), "PRAGMA cache_size = 8");
	if (worker->number % 2 == 0)
		(void)sqlite3_busy_timeout(db, (int)(PATIENCE_NS / 1000000));
	else
		(void)sqlite3_busy_handler(db, step_aside, NULL);
	int code = try_sql(db, sql);

	if (code != SQLITE_OK && !is_busy(code))
		fail_worker(worker, code, sql[0] == 'P' ? "journal_mode" : sql, db);
	return db;
}

static void worker_close(struct worker *worker, sqlite3 *db)
{
	int code = sqlite3_close(db);

	if (code != SQLITE_OK)
		fail_worker(worker, code, "close", NULL);
}

/* Move money between two accounts, on what was read before. Returns the code of what has failed. */
static int transfer_once(struct worker *worker, sqlite3 *db, bool immediate)
{
	size_t from = rng_below(&worker->rng, ACCOUNTS);
	size_t to = (from + 1 + rng_below(&worker->rng, ACCOUNTS - 1)) % ACCOUNTS;
	int amount = (int)rng_below(&worker->rng, 50);
	sqlite3_int64 from_has = 0;
	sqlite3_int64 to_has = 0;
	char sql[512];
	int code = try_sql(db, immediate ? "BEGIN IMMEDIATE" : "BEGIN");

	if (code != SQLITE_OK)
		return code;
	snprintf(sql, sizeof(sql), "SELECT money FROM account WHERE id = %zu", from);
	code = try_number(db, sql, &from_has);
	if (code != SQLITE_ROW)
		return code;
	snprintf(sql, sizeof(sql), "SELECT money FROM account WHERE id = %zu", to);
	code = try_number(db, sql, &to_has);
	if (code != SQLITE_ROW)
		return code;
	snprintf(sql, sizeof(sql),
			 "UPDATE account SET money = %lld WHERE id = %zu;"
			 "UPDATE account SET money = %lld WHERE id = %zu;"
			 "UPDATE counter SET n = n + 1 WHERE id = %d;"
			 "INSERT INTO note VALUES (NULL, printf('%%0100d', %d)); COMMIT",
			 (long long)from_has - amount, from, (long long)to_has + amount, to, worker->number,
			 worker->number);
	return try_sql(db, sql);
}

/* Until it succeeds: whoever has read may be too late to write, and has to begin again. */
static void transfer(struct worker *worker, sqlite3 *db, bool immediate)
{
	int64_t deadline = now_ns() + PATIENCE_NS;

	while (worker->what == NULL) {
		int code = transfer_once(worker, db, immediate);

		if (code == SQLITE_OK) {
			worker->transfers++;
			return;
		}
		if (!is_busy(code) || now_ns() > deadline)
			fail_worker(worker, code, "transfer", db);
		if (!sqlite3_get_autocommit(db)) {
			code = try_sql(db, "ROLLBACK");
			if (code != SQLITE_OK)
				fail_worker(worker, code, "rollback", db);
		}
		(void)sched_yield();
	}
}

/* Change everything, but for nothing. */
static void change_and_roll_back(struct worker *worker, sqlite3 *db)
{
	int code = try_sql(db, "BEGIN IMMEDIATE; UPDATE account SET money = 0, pad = zeroblob(90);"
						   "UPDATE counter SET n = n + 1000; DELETE FROM note; ROLLBACK");

	if (code != SQLITE_OK && !sqlite3_get_autocommit(db))
		(void)try_sql(db, "ROLLBACK");
	if (code != SQLITE_OK && !is_busy(code))
		fail_worker(worker, code, "change and roll back", db);
}

/* One number of a read transaction. -1 after a failure. */
static sqlite3_int64 read_number(struct worker *worker, sqlite3 *db, const char *sql)
{
	sqlite3_int64 number = -1;
	int code = try_number(db, sql, &number);

	if (code != SQLITE_ROW && !is_busy(code))
		fail_worker(worker, code, sql, db);
	return code == SQLITE_ROW ? number : -1;
}

/* A read transaction. Returns how many transfers it has seen, or `seen` if others were in the way.
 */
static sqlite3_int64 read_all(struct worker *worker, sqlite3 *db, sqlite3_int64 seen)
{
	static const char money[] = "SELECT sum(money) FROM account";
	int code = try_sql(db, "BEGIN");

	if (code != SQLITE_OK)
		fail_worker(worker, code, "begin to read", db);
	sqlite3_int64 first = read_number(worker, db, money);

	if (first >= 0) {
		sqlite3_int64 count = read_number(worker, db, "SELECT sum(n) FROM counter");
		sqlite3_int64 noted = read_number(worker, db, "SELECT count(*) FROM note");
		sqlite3_int64 again = read_number(worker, db, money);

		if (first != MONEY || again != MONEY)
			fail_worker(worker, (int)first, "money is not what it was", NULL);
		if (count < seen)
			fail_worker(worker, (int)count, "a transfer is gone", NULL);
		if (count != noted)
			fail_worker(worker, (int)noted, "not as many notes as transfers", NULL);
		seen = count;
		worker->reads++;
	}
	code = try_sql(db, "COMMIT");
	if (code != SQLITE_OK)
		fail_worker(worker, code, "end to read", db);
	return seen;
}

/*
 * Work
 */

static void write_transfers(struct worker *worker)
{
	sqlite3 *db = worker_open(worker);

	for (int i = 0; worker->what == NULL && i < TRANSFERS; i++) {
		if (i % 8 == 0)
			change_and_roll_back(worker, db);
		transfer(worker, db, i % 2 == 0);
	}
	worker_close(worker, db);
}

static void read_only(struct worker *worker)
{
	sqlite3 *db = worker_open(worker);
	sqlite3_int64 seen = 0;

	while (worker->what == NULL && worker->reads < READS)
		seen = read_all(worker, db, seen);
	worker_close(worker, db);
}

/* A connection for each transaction. */
static void come_and_go(struct worker *worker)
{
	sqlite3_int64 seen = 0;

	for (int i = 0; worker->what == NULL && i < OPENINGS; i++) {
		sqlite3 *db = worker_open(worker);

		if (db != NULL && worker->what == NULL) {
			if (i % 3 == 0)
				transfer(worker, db, i % 2 == 0);
			seen = read_all(worker, db, seen);
		}
		worker_close(worker, db);
	}
}

/* What may be refused as others are in the way, and must not do harm. */
static void do_chores(struct worker *worker, const char *const *chores, size_t count)
{
	sqlite3 *db = worker_open(worker);

	for (int i = 0; worker->what == NULL && i < CHORES; i++) {
		const char *chore = chores[(size_t)i % count];
		int code = try_sql(db, chore);

		if (code != SQLITE_OK && !is_busy(code) && (code & 0xff) != SQLITE_LOCKED)
			fail_worker(worker, code, chore, db);
		(void)read_all(worker, db, 0);
	}
	worker_close(worker, db);
}

static void rebuild(struct worker *worker)
{
	static const char *const chores[] = {
		"VACUUM",  "PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(TRUNCATE)",
		"REINDEX", "PRAGMA wal_checkpoint(RESTART)", "PRAGMA incremental_vacuum",
	};

	do_chores(worker, chores, COUNT_OF(chores));
}

/* Copies of the database, in each of which all must be as in a read transaction. */
static void make_copies(struct worker *worker)
{
	sqlite3 *db = worker_open(worker);
	sqlite3_int64 seen = 0;
	sqlite3_int64 copied = 0;
	char path[32];

	for (int i = 0; worker->what == NULL && i < COPIES; i++) {
		snprintf(path, sizeof(path), "/copy%d-%d", worker->number, i);
		/*
		 * What a read transaction has seen is in a later copy, too. The reverse need not hold: a
		 * copy may have what is in the log already, from a COMMIT that has not come back yet.
		 */
		seen = read_all(worker, db, seen);
		int code = mfs_sqlite_snapshot(db, path);

		if (code == MFS_EBUSY)
			continue;
		if (code != 0) {
			fail_worker(worker, code, mfs_error_name(code), db);
			break;
		}
		sqlite3 *copy = try_database(path, TEST_VFS);
		sqlite3_int64 damage = -1;

		if (copy == NULL) {
			fail_worker(worker, SQLITE_CANTOPEN, "open the copy", NULL);
			break;
		}
		copied = read_all(worker, copy, seen > copied ? seen : copied);
		code = try_number(copy,
						  "SELECT count(*) FROM pragma_integrity_check "
						  "WHERE integrity_check <> 'ok'",
						  &damage);
		if (code != SQLITE_ROW || damage != 0)
			fail_worker(worker, code, "the copy is damaged", copy);
		worker_close(worker, copy);
		(void)mfs_remove(worker->bank->fs, path);
	}
	worker_close(worker, db);
}

static void change_modes(struct worker *worker)
{
	/* A log is left only by a connection that is alone; so each try is short. */
	static const char *const chores[] = {
		"PRAGMA busy_timeout = 1; PRAGMA journal_mode = wal",
		"PRAGMA journal_mode = truncate",
		"PRAGMA journal_mode = wal",
		"PRAGMA journal_mode = persist",
		"PRAGMA journal_mode = delete",
	};

	do_chores(worker, chores, COUNT_OF(chores));
}

static void *worker_run(void *argument)
{
	struct worker *worker = argument;

	(void)pthread_barrier_wait(&worker->bank->start);
	worker->work(worker);
	return NULL;
}

/*
 * Tests
 */

static void make_bank(const char *mode)
{
	sqlite3 *db = open_database(DB);
	char sql[64];

	run_sql(db, "PRAGMA page_size = 1024; PRAGMA auto_vacuum = incremental;"
				"CREATE TABLE account (id INTEGER PRIMARY KEY, money INTEGER, pad BLOB);"
				"CREATE TABLE counter (id INTEGER PRIMARY KEY, n INTEGER);"
				"CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT);"
				"CREATE INDEX by_money ON account (money);"
				"WITH RECURSIVE i (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n < 47)"
				"INSERT INTO account SELECT n, 1000, zeroblob(200) FROM i;"
				"WITH RECURSIVE i (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n < 7)"
				"INSERT INTO counter SELECT n, 0 FROM i");
	assert_int_equal(number_of(db, "SELECT sum(money) FROM account"), MONEY);
	snprintf(sql, sizeof(sql), "PRAGMA journal_mode = %s", mode);
	run_sql(db, sql);
	close_database(db);
}

/* What each thread did is there, and nothing else. */
static void check_bank(const struct worker *workers)
{
	sqlite3 *db = open_database(DB);
	int transfers = 0;

	for (int i = 0; i < THREADS; i++) {
		char sql[64];

		snprintf(sql, sizeof(sql), "SELECT n FROM counter WHERE id = %d", i);
		assert_int_equal(number_of(db, sql), workers[i].transfers);
		transfers += workers[i].transfers;
	}
	assert_int_equal(number_of(db, "SELECT count(*) FROM note"), transfers);
	assert_int_equal(number_of(db, "SELECT sum(money) FROM account"), MONEY);
	assert_integrity(db);
	close_database(db);
}

static void run_bank(mfs *fs, const char *mode, void (*const *work)(struct worker *worker))
{
	struct bank bank = {.fs = fs, .mode = mode};
	struct worker workers[THREADS];

	make_bank(mode);
	assert_int_equal(pthread_barrier_init(&bank.start, NULL, THREADS), 0);
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){
			.bank = &bank, .work = work[i], .number = i, .rng = {.state = (uint64_t)i + 1}};
		workers[i].thread = start_thread(worker_run, &workers[i]);
	}
	for (int i = 0; i < THREADS; i++)
		join_thread(workers[i].thread);
	assert_int_equal(pthread_barrier_destroy(&bank.start), 0);
	for (int i = 0; i < THREADS; i++) {
		if (workers[i].what != NULL) {
			print_error("%s, thread %d: %s: %d (%s)\n", mode, i, workers[i].what, workers[i].code,
						workers[i].message);
			fail();
		}
	}
	check_bank(workers);
	/*
	 * Nothing but the database is left, and a journal that is to stay. SQLite may leave a log
	 * without a byte, on any VFS, when one connection closes it and another one is about to give
	 * up logs.
	 */
	assert_code(mfs_remove(fs, DB), 0);
	if (mfs_exists(fs, DB "-journal"))
		assert_code(mfs_remove(fs, DB "-journal"), 0);
	if (mfs_exists(fs, DB "-wal")) {
		assert_code(mfs_get_size(fs, DB "-wal"), 0);
		assert_code(mfs_remove(fs, DB "-wal"), 0);
	}
	assert_int_equal(usage_of(fs).files, 0);
}

static void test_transactions_of_many_threads_exclude_each_other(void **state)
{
	static void (*const work[THREADS])(struct worker * worker) = {
		write_transfers, write_transfers, write_transfers, write_transfers,
		read_only,       read_only,       read_only,       come_and_go,
	};

	for (size_t i = 0; i < COUNT_OF(modes); i++)
		run_bank(*state, modes[i], work);
}

static void test_connections_may_come_and_go_all_the_time(void **state)
{
	static void (*const work[THREADS])(struct worker * worker) = {
		come_and_go, come_and_go, come_and_go, come_and_go,
		come_and_go, come_and_go, come_and_go, come_and_go,
	};

	for (size_t i = 0; i < COUNT_OF(modes); i++)
		run_bank(*state, modes[i], work);
}

static void test_a_database_may_be_rebuilt_meanwhile(void **state)
{
	static void (*const work[THREADS])(struct worker * worker) = {
		write_transfers, write_transfers, read_only,   read_only,
		come_and_go,     rebuild,         come_and_go, rebuild,
	};

	for (size_t i = 0; i < COUNT_OF(modes); i++)
		run_bank(*state, modes[i], work);
}

static void test_a_journal_mode_may_change_meanwhile(void **state)
{
	static void (*const work[THREADS])(struct worker * worker) = {
		come_and_go,  come_and_go, come_and_go,     come_and_go,
		change_modes, read_only,   write_transfers, change_modes,
	};

	run_bank(*state, "delete", work);
	run_bank(*state, "wal", work);
}

static void test_a_copy_made_meanwhile_is_a_database_of_one_instant(void **state)
{
	static void (*const work[THREADS])(struct worker * worker) = {
		write_transfers, write_transfers, make_copies, make_copies,
		write_transfers, rebuild,         make_copies, come_and_go,
	};

	for (size_t i = 0; i < COUNT_OF(modes); i++)
		run_bank(*state, modes[i], work);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATABASE_TEST(test_transactions_of_many_threads_exclude_each_other),
		DATABASE_TEST(test_connections_may_come_and_go_all_the_time),
		DATABASE_TEST(test_a_database_may_be_rebuilt_meanwhile),
		DATABASE_TEST(test_a_journal_mode_may_change_meanwhile),
		DATABASE_TEST(test_a_copy_made_meanwhile_is_a_database_of_one_instant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
