/* SPDX-License-Identifier: MIT */
/*
 * dmemfs_sqlite_speed: how fast SQLite is on a database in a workspace, beside one in a file of
 * /dev/shm, through SQLite's default VFS, and beside ":memory:", where no file is at all.
 *
 * One thread, one connection; all sides run the same statements, prepared once, on the same rows: a
 * number as the key and some 100 bytes of text. They take turns, each round begins with another
 * one, and the first round does not count. Databases are opened, filled and removed outside of the
 * clock. What reads find is added up and compared, so that it cannot be left out.
 */
#include "dmemfs/sqlite.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST_ROUNDS       99u
#define DEFAULT_REPEAT    7u
#define DEFAULT_ROWS      100000u
#define DEFAULT_COMMITS   2000u
#define MOST_OPERATIONS   10000000u
#define DEFAULT_CACHE_KIB 2000u
#define MOST_CACHE_KIB    (1u << 30)
#define QUOTA             (UINT64_C(8) << 30)
#define MMAP_SIZE         (UINT64_C(1) << 30)
#define TEXT_LEAST        90u
#define TEXT_SPREAD       21u
#define NS_PER_S          1e9
#define VFS               "dmemfs_speed"

enum side { DMEMFS, TMPFS, MEMORY, SIDES };

static const char *const side_names[SIDES] = {"dmemfs", "tmpfs", "memory"};

struct options {
	unsigned repeat;
	unsigned rows;
	unsigned commits;
	unsigned cache;
	const char *synchronous;
	const char *only_case; /* NULL: all */
	int only_side;         /* SIDES: all */
};

struct bench {
	struct options options;
	mfs *fs;
	/* A database for each side that is filled before the first round, for the cases that read. */
	sqlite3 *filled[SIDES];
};

/* What one run of a case took, and what it found. */
struct run {
	double ns; /* for one operation */
	uint64_t found;
};

struct test {
	const char *name;
	struct run (*run)(struct bench *bench, enum side side);
	/* Also for ":memory:", which has no files for a rollback journal, a log or a mapping. */
	bool in_memory;
	const char *what;
};

/* The directory of this process on tmpfs, "" before it is made. */
static char top[64];

/* A signal has come: its number. */
static volatile sig_atomic_t interrupted;

/*
 * Ending
 */

/* The host's path of a database. */
static void host_path(const char *name, char *path, size_t size)
{
	(void)snprintf(path, size, "%s/%s", top, name);
}

static void remove_top(void)
{
	static const char *const names[] = {"filled",        "fresh",     "filled-journal",
										"fresh-journal", "fresh-wal", "fresh-shm"};
	char path[sizeof top + 32];

	if (top[0] == '\0')
		return;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		host_path(names[i], path, sizeof path);
		(void)unlink(path);
	}
	(void)rmdir(top);
}

static _Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void die(const char *format, ...)
{
	va_list arguments;

	(void)fflush(stdout);
	(void)fputs("dmemfs_sqlite_speed: ", stderr);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fputc('\n', stderr);
	remove_top();
	exit(1);
}

static void note_signal(int number)
{
	interrupted = number;
}

/*
 * Databases
 */

static void execute(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		die("%s: %s", sql, sqlite3_errmsg(db));
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *statement = NULL;

	if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK)
		die("%s: %s", sql, sqlite3_errmsg(db));
	return statement;
}

/* Run a statement that gives no rows, and make it ready for the next time. */
static void step(sqlite3 *db, sqlite3_stmt *statement)
{
	if (sqlite3_step(statement) != SQLITE_DONE || sqlite3_reset(statement) != SQLITE_OK)
		die("%s: %s", sqlite3_sql(statement), sqlite3_errmsg(db));
}

static void close_database(sqlite3 *db)
{
	if (sqlite3_close(db) != SQLITE_OK)
		die("close: %s", sqlite3_errmsg(db));
}

/* Open a database of a side and set what is the same for all. `parameters` go to its URI. */
static sqlite3 *open_database(const struct bench *bench, enum side side, const char *name,
							  const char *parameters)
{
	char uri[sizeof top + 128];
	char pragmas[128];
	sqlite3 *db = NULL;

	if (side == DMEMFS)
		(void)snprintf(uri, sizeof uri, "file:/%s?vfs=%s%s", name, VFS, parameters);
	else if (side == TMPFS)
		(void)snprintf(uri, sizeof uri, "file:%s/%s?x=1%s", top, name, parameters);
	else
		(void)snprintf(uri, sizeof uri, ":memory:");
	if (sqlite3_open_v2(uri, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI,
						NULL) != SQLITE_OK)
		die("%s: %s", uri, sqlite3_errmsg(db));
	(void)snprintf(pragmas, sizeof pragmas, "PRAGMA synchronous = %s; PRAGMA cache_size = -%u",
				   bench->options.synchronous, bench->options.cache);
	execute(db, pragmas);
	return db;
}

/* Remove a database that is closed. SQLite has removed its journal or log. */
static void remove_database(const struct bench *bench, enum side side, const char *name)
{
	char path[sizeof top + 32];

	if (side == DMEMFS) {
		(void)snprintf(path, sizeof path, "/%s", name);
		if (mfs_remove(bench->fs, path) != 0)
			die("%s", mfs_last_error());
	} else if (side == TMPFS) {
		host_path(name, path, sizeof path);
		if (unlink(path) != 0)
			die("%s: %s", path, strerror(errno));
	}
}

/* A database with an empty table, in a journal mode; NULL: as it is. */
static sqlite3 *open_fresh(const struct bench *bench, enum side side, const char *journal_mode)
{
	sqlite3 *db = open_database(bench, side, "fresh", "");
	char pragma[64];

	if (journal_mode) {
		(void)snprintf(pragma, sizeof pragma, "PRAGMA journal_mode = %s", journal_mode);
		execute(db, pragma);
	}
	execute(db, "CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT NOT NULL)");
	return db;
}

/*
 * Work
 */

static double now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * NS_PER_S + (double)time.tv_nsec;
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Insert rows with the keys 1 to `count` by a statement. Commit each by itself, or not. */
static void insert_rows(sqlite3 *db, sqlite3_stmt *insert, unsigned count)
{
	static char text[TEXT_LEAST + TEXT_SPREAD];
	uint64_t state = UINT64_C(88172645463325252);

	memset(text, 'x', sizeof text);
	for (unsigned key = 1; key <= count; key++) {
		text[key % TEXT_LEAST] = (char)('a' + key % 26);
		int length = (int)(TEXT_LEAST + random_next(&state) % TEXT_SPREAD);
		if (sqlite3_bind_int64(insert, 1, key) != SQLITE_OK ||
			sqlite3_bind_text(insert, 2, text, length, SQLITE_STATIC) != SQLITE_OK)
			die("bind: %s", sqlite3_errmsg(db));
		step(db, insert);
	}
}

/* Read `count` rows with random keys. Returns what their texts come to. */
static uint64_t read_rows(sqlite3 *db, sqlite3_stmt *select, unsigned rows, unsigned count)
{
	uint64_t state = UINT64_C(0x9E3779B97F4A7C15);
	uint64_t found = 0;

	for (unsigned i = 0; i < count; i++) {
		sqlite3_int64 key = (sqlite3_int64)(random_next(&state) % rows) + 1;
		if (sqlite3_bind_int64(select, 1, key) != SQLITE_OK || sqlite3_step(select) != SQLITE_ROW)
			die("select: %s", sqlite3_errmsg(db));
		const unsigned char *text = sqlite3_column_text(select, 0);
		int length = sqlite3_column_bytes(select, 0);
		found = found * 31 + (unsigned)length + text[length - 1] + text[0];
		/* To its end, where a statement outside of a transaction gives back its lock. */
		step(db, select);
	}
	return found;
}

static struct run bulk_insert(struct bench *bench, enum side side)
{
	sqlite3 *db = open_fresh(bench, side, NULL);
	sqlite3_stmt *insert = prepare(db, "INSERT INTO t VALUES (?, ?)");
	double begin = now();

	execute(db, "BEGIN");
	insert_rows(db, insert, bench->options.rows);
	execute(db, "COMMIT");
	struct run run = {.ns = (now() - begin) / bench->options.rows};
	(void)sqlite3_finalize(insert);
	close_database(db);
	remove_database(bench, side, "fresh");
	return run;
}

static struct run commits(struct bench *bench, enum side side, const char *journal_mode)
{
	sqlite3 *db = open_fresh(bench, side, journal_mode);
	sqlite3_stmt *insert = prepare(db, "INSERT INTO t VALUES (?, ?)");
	double begin = now();

	insert_rows(db, insert, bench->options.commits);
	struct run run = {.ns = (now() - begin) / bench->options.commits};
	(void)sqlite3_finalize(insert);
	close_database(db);
	remove_database(bench, side, "fresh");
	return run;
}

static struct run commit_delete(struct bench *bench, enum side side)
{
	return commits(bench, side, "delete");
}

static struct run commit_wal(struct bench *bench, enum side side)
{
	return commits(bench, side, "wal");
}

static struct run time_reads(const struct bench *bench, sqlite3 *db)
{
	sqlite3_stmt *select = prepare(db, "SELECT v FROM t WHERE k = ?");
	double begin = now();
	uint64_t found = read_rows(db, select, bench->options.rows, bench->options.rows);
	struct run run = {.ns = (now() - begin) / bench->options.rows, .found = found};

	(void)sqlite3_finalize(select);
	return run;
}

static struct run point_read(struct bench *bench, enum side side)
{
	return time_reads(bench, bench->filled[side]);
}

static struct run read_in_transaction(struct bench *bench, enum side side)
{
	execute(bench->filled[side], "BEGIN");
	struct run run = time_reads(bench, bench->filled[side]);
	execute(bench->filled[side], "COMMIT");
	return run;
}

static struct run read_immutable(struct bench *bench, enum side side)
{
	sqlite3 *db = open_database(bench, side, "filled", "&immutable=1");
	char pragma[64];

	(void)snprintf(pragma, sizeof pragma, "PRAGMA mmap_size = %llu", (unsigned long long)MMAP_SIZE);
	execute(db, pragma);
	struct run run = time_reads(bench, db);
	close_database(db);
	return run;
}

static const struct test tests[] = {
	{"sqlite_bulk_insert", bulk_insert, true, "--rows inserts in one transaction"},
	{"sqlite_tx_delete", commit_delete, false,
	 "--commits transactions of one insert, journal_mode = delete"},
	{"sqlite_tx_wal", commit_wal, false,
	 "--commits transactions of one insert, journal_mode = wal"},
	{"sqlite_point_read", point_read, true,
	 "--rows reads of random keys, each its own transaction"},
	{"sqlite_read_in_transaction", read_in_transaction, true, "the same reads in one transaction"},
	{"sqlite_read_immutable", read_immutable, false,
	 "the same reads, each its own transaction, immutable=1 and mmap_size = 1 GiB"},
};

#define TESTS (sizeof tests / sizeof tests[0])

static bool takes_part(const struct options *options, const struct test *test, enum side side)
{
	return (options->only_side == SIDES || options->only_side == (int)side) &&
		   (!options->only_case || strcmp(options->only_case, test->name) == 0) &&
		   (side != MEMORY || test->in_memory);
}

static void fill(struct bench *bench)
{
	for (enum side side = DMEMFS; side < SIDES; side++) {
		if (bench->options.only_side != SIDES && bench->options.only_side != (int)side)
			continue;
		sqlite3 *db = open_database(bench, side, "filled", "");
		execute(db, "CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT NOT NULL); BEGIN");
		sqlite3_stmt *insert = prepare(db, "INSERT INTO t VALUES (?, ?)");
		insert_rows(db, insert, bench->options.rows);
		(void)sqlite3_finalize(insert);
		execute(db, "COMMIT");
		bench->filled[side] = db;
	}
}

static void empty(struct bench *bench)
{
	for (enum side side = DMEMFS; side < SIDES; side++) {
		if (bench->filled[side]) {
			close_database(bench->filled[side]);
			remove_database(bench, side, "filled");
		}
	}
}

/* Rounds of all cases and sides. */
static void measure(struct bench *bench, double times[TESTS][SIDES][MOST_ROUNDS])
{
	for (unsigned round = 0; round <= bench->options.repeat; round++) {
		for (size_t i = 0; i < TESTS; i++) {
			uint64_t found = 0;
			for (unsigned turn = 0; turn < SIDES; turn++) {
				enum side side = (round + turn) % SIDES;
				if (!takes_part(&bench->options, &tests[i], side))
					continue;
				struct run run = tests[i].run(bench, side);
				if (found != 0 && run.found != found)
					die("%s: the sides found different rows", tests[i].name);
				found = run.found;
				if (round > 0)
					times[i][side][round - 1] = run.ns;
				if (interrupted != 0)
					die("ended by signal %d", (int)interrupted);
			}
		}
	}
}

/*
 * Results
 */

static int compare(const void *one, const void *other)
{
	double a = *(const double *)one;
	double b = *(const double *)other;

	return (a > b) - (a < b);
}

/* Of sorted values. */
static double median(const double *values, unsigned count)
{
	return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void print_ratio(double over, double under)
{
	if (over > 0 && under > 0)
		printf(" %10.2fx", over / under);
	else
		printf(" %11s", "-");
}

static void print_results(const struct options *options, double times[TESTS][SIDES][MOST_ROUNDS])
{
	printf("SQLite %s, %u rows, synchronous = %s, cache_size = -%u; ns for one operation: the\n"
		   "median of %u rounds (least-most)\n\n",
		   sqlite3_libversion(), options->rows, options->synchronous, options->cache,
		   options->repeat);
	printf("%-26s", "case");
	for (enum side side = DMEMFS; side < SIDES; side++)
		printf(" %-24s", side_names[side]);
	printf(" %11s %11s\n", "tmpfs/", "dmemfs/");
	printf("%-26s %-24s %-24s %-24s %11s %11s\n", "", "", "", "", "dmemfs", "memory");
	for (size_t i = 0; i < TESTS; i++) {
		double medians[SIDES] = {0};
		if (options->only_case && strcmp(options->only_case, tests[i].name) != 0)
			continue;
		printf("%-26s", tests[i].name);
		for (enum side side = DMEMFS; side < SIDES; side++) {
			char cell[64] = "-";
			double *values = times[i][side];
			if (takes_part(options, &tests[i], side)) {
				qsort(values, options->repeat, sizeof *values, compare);
				medians[side] = median(values, options->repeat);
				(void)snprintf(cell, sizeof cell, "%.0f (%.0f-%.0f)", medians[side], values[0],
							   values[options->repeat - 1]);
			}
			printf(" %-24s", cell);
		}
		print_ratio(medians[TMPFS], medians[DMEMFS]);
		print_ratio(medians[DMEMFS], medians[MEMORY]);
		putchar('\n');
	}
	puts("\n\":memory:\" has no journal or log on a file, and nothing to be mapped: no figures "
		 "there.");
}

/*
 * The program
 */

static void print_usage(void)
{
	puts("usage: dmemfs_sqlite_speed [OPTION...]\n"
		 "\n"
		 "  --repeat N         rounds, after one that does not count (1 to 99, default 7)\n"
		 "  --rows N           rows to insert and to read (default 100000)\n"
		 "  --commits N        transactions of one row (default 2000)\n"
		 "  --synchronous MODE off, normal, full (default) or extra\n"
		 "  --cache KIB        SQLite's page cache (default 2000, as SQLite's own)\n"
		 "  --case NAME        this case only\n"
		 "  --side NAME        dmemfs, tmpfs or memory only\n"
		 "\n"
		 "cases:");
	for (size_t i = 0; i < TESTS; i++)
		printf("  %-27s %s\n", tests[i].name, tests[i].what);
}

static unsigned number_of(const char *option, const char *argument, unsigned most)
{
	char *end = NULL;
	unsigned long number = strtoul(argument, &end, 10);

	if (end == argument || *end != '\0' || number < 1 || number > most)
		die("--%s takes a number from 1 to %u", option, most);
	return (unsigned)number;
}

static const char *one_of(const char *option, const char *argument, const char *const *names,
						  size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], argument) == 0)
			return names[i];
	die("--%s: there is no %s", option, argument);
}

static void read_options(int count, char **arguments, struct options *options)
{
	static const struct option known[] = {
		{"repeat", required_argument, NULL, 'r'},
		{"rows", required_argument, NULL, 'n'},
		{"commits", required_argument, NULL, 'c'},
		{"synchronous", required_argument, NULL, 's'},
		{"cache", required_argument, NULL, 'k'},
		{"case", required_argument, NULL, 'o'},
		{"side", required_argument, NULL, 'b'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	static const char *const modes[] = {"off", "normal", "full", "extra"};
	const char *case_names[TESTS];
	int letter;

	for (size_t i = 0; i < TESTS; i++)
		case_names[i] = tests[i].name;
	*options = (struct options){.repeat = DEFAULT_REPEAT,
								.rows = DEFAULT_ROWS,
								.commits = DEFAULT_COMMITS,
								.cache = DEFAULT_CACHE_KIB,
								.synchronous = "full",
								.only_side = SIDES};
	while ((letter = getopt_long(count, arguments, "", known, NULL)) != -1) {
		switch (letter) {
		case 'r':
			options->repeat = number_of("repeat", optarg, MOST_ROUNDS);
			break;
		case 'n':
			options->rows = number_of("rows", optarg, MOST_OPERATIONS);
			break;
		case 'c':
			options->commits = number_of("commits", optarg, MOST_OPERATIONS);
			break;
		case 's':
			options->synchronous =
				one_of("synchronous", optarg, modes, sizeof modes / sizeof modes[0]);
			break;
		case 'k':
			options->cache = number_of("cache", optarg, MOST_CACHE_KIB);
			break;
		case 'o':
			options->only_case = one_of("case", optarg, case_names, TESTS);
			break;
		case 'b':
			options->only_side = 0;
			while (one_of("side", optarg, side_names, SIDES) != side_names[options->only_side])
				options->only_side++;
			break;
		case 'h':
			print_usage();
			exit(0);
		default:
			exit(2);
		}
	}
	if (optind < count) {
		(void)fprintf(stderr, "dmemfs_sqlite_speed: what is %s? See --help\n", arguments[optind]);
		exit(2);
	}
}

int main(int count, char **arguments)
{
	static double times[TESTS][SIDES][MOST_ROUNDS];
	struct bench bench = {.fs = NULL};
	struct sigaction act = {.sa_handler = note_signal};
	mfs_options options = {.struct_size = sizeof options, .max_quota = QUOTA};

	read_options(count, arguments, &bench.options);
	(void)sigaction(SIGINT, &act, NULL);
	(void)sigaction(SIGTERM, &act, NULL);
	(void)snprintf(top, sizeof top, "/dev/shm/dmemfs-sqlite.XXXXXX");
	if (!mkdtemp(top)) {
		top[0] = '\0';
		die("cannot make a directory in /dev/shm: %s", strerror(errno));
	}
	if (mfs_new(&options, &bench.fs) != 0 || mfs_sqlite_register(bench.fs, VFS, false) != 0)
		die("%s", mfs_last_error());
	fill(&bench);
	measure(&bench, times);
	print_results(&bench.options, times);
	empty(&bench);
	remove_top();
	if (mfs_sqlite_unregister(VFS) != 0 || mfs_free(bench.fs) != 0)
		die("%s", mfs_last_error());
	return 0;
}
