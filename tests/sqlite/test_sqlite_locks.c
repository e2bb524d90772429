/* SPDX-License-Identifier: MIT */
/*
 * Do connections lock each other out as SQLite's file locking says, in each of its five states and
 * from any number of threads?
 */
#include "support.h"

#include "database.h"
#include "vfs_file.h"

#define NONE      SQLITE_LOCK_NONE
#define SHARED    SQLITE_LOCK_SHARED
#define RESERVED  SQLITE_LOCK_RESERVED
#define PENDING   SQLITE_LOCK_PENDING
#define EXCLUSIVE SQLITE_LOCK_EXCLUSIVE

/* Brings a file from NONE to a level. PENDING takes another one that reads. */
static void bring_to(struct vfs_file *f, int level, struct vfs_file *reader)
{
	if (level == NONE) {
		return;
	}
	assert_sqlite(NULL, file_lock(f, SHARED), SQLITE_OK);
	if (level == RESERVED || level == EXCLUSIVE) {
		assert_sqlite(NULL, file_lock(f, level), SQLITE_OK);
	} else if (level == PENDING) {
		assert_sqlite(NULL, file_lock(reader, SHARED), SQLITE_OK);
		assert_sqlite(NULL, file_lock(f, EXCLUSIVE), SQLITE_BUSY);
	}
	assert_int_equal(lock_level(f), level);
}

static void each_level_lets_others_do_what_it_should(void **state)
{
	/* What another connection gets, while one is at a level: SHARED from NONE; and, if it had that
	 * before, RESERVED, EXCLUSIVE, and the level that it is at after that. */
	static const struct {
		int level;
		int shared;
		bool is_reserved;
		int reserved;
		int exclusive;
		int after;
	} rows[] = {
		{NONE, SQLITE_OK, false, SQLITE_OK, SQLITE_OK, EXCLUSIVE},
		{SHARED, SQLITE_OK, false, SQLITE_OK, SQLITE_BUSY, PENDING},
		{RESERVED, SQLITE_OK, true, SQLITE_BUSY, SQLITE_BUSY, SHARED},
		{PENDING, SQLITE_BUSY, true, SQLITE_BUSY, SQLITE_BUSY, SHARED},
		{EXCLUSIVE, SQLITE_BUSY, true, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct vfs_file one = open_vfs_file("/db", MAIN_DB);
		struct vfs_file other = open_vfs_file("/db", MAIN_DB);
		struct vfs_file reader = open_vfs_file("/db", MAIN_DB);

		/* From NONE. */
		bring_to(&one, rows[i].level, &reader);
		assert_int_equal(is_reserved(&other), rows[i].is_reserved);
		assert_int_equal(is_reserved(&one), rows[i].is_reserved);
		assert_sqlite(NULL, file_lock(&other, SHARED), rows[i].shared);
		assert_int_equal(lock_level(&other), rows[i].shared == SQLITE_OK ? SHARED : NONE);
		close_vfs_file(&one);
		close_vfs_file(&other);
		close_vfs_file(&reader);

		/* From SHARED, where that can be had beside the level. */
		for (int to = RESERVED; to <= EXCLUSIVE && rows[i].level != EXCLUSIVE;
			 to += EXCLUSIVE - RESERVED) {
			one = open_vfs_file("/db", MAIN_DB);
			other = open_vfs_file("/db", MAIN_DB);
			reader = open_vfs_file("/db", MAIN_DB);
			assert_sqlite(NULL, file_lock(&other, SHARED), SQLITE_OK);
			bring_to(&one, rows[i].level, &reader);
			assert_sqlite(NULL, file_lock(&other, to),
						  to == RESERVED ? rows[i].reserved : rows[i].exclusive);
			if (to == EXCLUSIVE) {
				assert_int_equal(lock_level(&other), rows[i].after);
			}
			assert_int_equal(lock_level(&one), rows[i].level);
			close_vfs_file(&one);
			close_vfs_file(&other);
			close_vfs_file(&reader);
		}
	}
}

static void a_lower_level_than_held_is_granted_and_changes_nothing(void **state)
{
	struct vfs_file one = open_vfs_file("/db", MAIN_DB);

	(void)state;
	for (int level = SHARED; level <= EXCLUSIVE; level++) {
		if (level == PENDING) {
			continue;
		}
		assert_sqlite(NULL, file_lock(&one, level), SQLITE_OK);
		for (int lower = SHARED; lower <= level; lower++) {
			assert_sqlite(NULL, file_lock(&one, lower), SQLITE_OK);
			assert_int_equal(lock_level(&one), level);
		}
		assert_sqlite(NULL, file_unlock(&one, level > SHARED ? SHARED : level), SQLITE_OK);
	}
	assert_sqlite(NULL, file_unlock(&one, NONE), SQLITE_OK);
	assert_sqlite(NULL, file_unlock(&one, NONE), SQLITE_OK);
	assert_int_equal(lock_level(&one), NONE);
	close_vfs_file(&one);
}

static void a_pending_writer_gets_its_turn(void **state)
{
	struct vfs_file writer = open_vfs_file("/db", MAIN_DB);
	struct vfs_file readers[2] = {open_vfs_file("/db", MAIN_DB), open_vfs_file("/db", MAIN_DB)};
	struct vfs_file late = open_vfs_file("/db", MAIN_DB);

	(void)state;
	assert_sqlite(NULL, file_lock(&readers[0], SHARED), SQLITE_OK);
	assert_sqlite(NULL, file_lock(&readers[1], SHARED), SQLITE_OK);
	assert_sqlite(NULL, file_lock(&writer, SHARED), SQLITE_OK);
	assert_sqlite(NULL, file_lock(&writer, RESERVED), SQLITE_OK);
	assert_sqlite(NULL, file_lock(&writer, EXCLUSIVE), SQLITE_BUSY);
	assert_int_equal(lock_level(&writer), PENDING);
	/* Who reads may go on, and nobody else may begin. */
	assert_sqlite(NULL, file_lock(&late, SHARED), SQLITE_BUSY);
	assert_sqlite(NULL, file_unlock(&readers[0], NONE), SQLITE_OK);
	assert_sqlite(NULL, file_lock(&readers[0], SHARED), SQLITE_BUSY);
	assert_sqlite(NULL, file_lock(&writer, EXCLUSIVE), SQLITE_BUSY);
	assert_int_equal(lock_level(&writer), PENDING);
	assert_sqlite(NULL, file_unlock(&readers[1], NONE), SQLITE_OK);
	assert_sqlite(NULL, file_lock(&writer, EXCLUSIVE), SQLITE_OK);
	assert_sqlite(NULL, file_lock(&late, SHARED), SQLITE_BUSY);
	/* Down to SHARED: others may read, and one may be the next to write. */
	assert_sqlite(NULL, file_unlock(&writer, SHARED), SQLITE_OK);
	assert_sqlite(NULL, file_lock(&late, SHARED), SQLITE_OK);
	assert_sqlite(NULL, file_lock(&late, RESERVED), SQLITE_OK);
	close_vfs_file(&writer);
	close_vfs_file(&readers[0]);
	close_vfs_file(&readers[1]);
	close_vfs_file(&late);
}

static void who_gives_up_pending_lets_readers_in(void **state)
{
	struct vfs_file writer = open_vfs_file("/db", MAIN_DB);
	struct vfs_file reader = open_vfs_file("/db", MAIN_DB);
	struct vfs_file late = open_vfs_file("/db", MAIN_DB);

	(void)state;
	for (int down = NONE; down <= SHARED; down++) {
		/* As for the rollback of a hot journal: not by way of RESERVED. */
		bring_to(&writer, PENDING, &reader);
		assert_sqlite(NULL, file_lock(&late, SHARED), SQLITE_BUSY);
		assert_sqlite(NULL, file_unlock(&writer, down), SQLITE_OK);
		assert_int_equal(lock_level(&writer), down);
		assert_false(is_reserved(&reader));
		assert_sqlite(NULL, file_lock(&late, SHARED), SQLITE_OK);
		assert_sqlite(NULL, file_unlock(&late, NONE), SQLITE_OK);
		assert_sqlite(NULL, file_unlock(&writer, NONE), SQLITE_OK);
		assert_sqlite(NULL, file_unlock(&reader, NONE), SQLITE_OK);
	}
	close_vfs_file(&writer);
	close_vfs_file(&reader);
	close_vfs_file(&late);
}

static void of_two_that_find_a_hot_journal_one_gets_it(void **state)
{
	struct vfs_file one = open_vfs_file("/db", MAIN_DB);
	struct vfs_file other = open_vfs_file("/db", MAIN_DB);

	(void)state;
	assert_sqlite(NULL, file_lock(&one, SHARED), SQLITE_OK);
	assert_sqlite(NULL, file_lock(&other, SHARED), SQLITE_OK);
	assert_sqlite(NULL, file_lock(&one, EXCLUSIVE), SQLITE_BUSY);
	assert_sqlite(NULL, file_lock(&other, EXCLUSIVE), SQLITE_BUSY);
	assert_int_equal(lock_level(&one), PENDING);
	assert_int_equal(lock_level(&other), SHARED);
	assert_sqlite(NULL, file_unlock(&other, NONE), SQLITE_OK);
	assert_sqlite(NULL, file_lock(&one, EXCLUSIVE), SQLITE_OK);
	close_vfs_file(&one);
	close_vfs_file(&other);
}

static void a_close_gives_the_lock_back(void **state)
{
	(void)state;
	for (int level = SHARED; level <= EXCLUSIVE; level++) {
		struct vfs_file one = open_vfs_file("/db", MAIN_DB);
		struct vfs_file reader = open_vfs_file("/db", MAIN_DB);
		struct vfs_file other = open_vfs_file("/db", MAIN_DB);

		bring_to(&one, level, &reader);
		close_vfs_file(&one);
		close_vfs_file(&reader);
		assert_false(is_reserved(&other));
		assert_sqlite(NULL, file_lock(&other, SHARED), SQLITE_OK);
		assert_sqlite(NULL, file_lock(&other, EXCLUSIVE), SQLITE_OK);
		close_vfs_file(&other);
	}
}

static void the_lock_is_the_files_whatever_its_name(void **state)
{
	mfs *fs = *state;
	struct vfs_file one = open_vfs_file("/db", MAIN_DB);
	struct vfs_file renamed;
	struct vfs_file made_again;

	assert_sqlite(NULL, file_lock(&one, SHARED), SQLITE_OK);
	assert_sqlite(NULL, file_lock(&one, EXCLUSIVE), SQLITE_OK);
	assert_code(mfs_rename(fs, "/db", "/other", 0), 0);
	renamed = open_vfs_file("/other", MAIN_DB);
	made_again = open_vfs_file("/db", MAIN_DB);
	assert_sqlite(NULL, file_lock(&renamed, SHARED), SQLITE_BUSY);
	assert_sqlite(NULL, file_lock(&made_again, SHARED), SQLITE_OK);
	close_vfs_file(&made_again);
	/* Removed, it is still the same file to those who have it open. */
	assert_code(mfs_remove(fs, "/other"), 0);
	assert_sqlite(NULL, file_lock(&renamed, SHARED), SQLITE_BUSY);
	close_vfs_file(&one);
	assert_sqlite(NULL, file_lock(&renamed, SHARED), SQLITE_OK);
	close_vfs_file(&renamed);
}

static void the_lock_is_the_same_by_every_vfs_of_the_workspace(void **state)
{
	mfs *fs = *state;
	sqlite3 *one = open_database("/db");
	sqlite3 *other = NULL;

	run_sql(one, "CREATE TABLE t(a); BEGIN EXCLUSIVE");
	assert_code(mfs_sqlite_register(fs, "second_name", false), 0);
	other = try_database("/db", "second_name");
	assert_non_null(other);
	assert_sqlite(other, try_sql(other, "SELECT * FROM t"), SQLITE_BUSY);
	run_sql(one, "COMMIT");
	run_sql(other, "SELECT * FROM t");
	close_database(other);
	close_database(one);
	assert_code(mfs_sqlite_unregister("second_name"), 0);
}

static void databases_of_two_workspaces_have_nothing_in_common(void **state)
{
	mfs *fs = new_workspace(NULL);
	sqlite3 *one = open_database("/db");
	sqlite3 *other = NULL;

	(void)state;
	assert_code(mfs_sqlite_register(fs, "second_workspace", false), 0);
	run_sql(one, "CREATE TABLE t(a); BEGIN EXCLUSIVE");
	other = try_database("/db", "second_workspace");
	assert_non_null(other);
	assert_int_equal(number_of(other, "SELECT count(*) FROM sqlite_master"), 0);
	close_database(other);
	run_sql(one, "COMMIT");
	close_database(one);
	assert_code(mfs_sqlite_unregister("second_workspace"), 0);
	free_workspace(fs);
}

static void many_databases_are_locked_each_by_itself(void **state)
{
	/* More than the table of open databases has places. */
	enum { COUNT = 600 };
	static struct vfs_file files[COUNT];
	char path[32];

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		(void)snprintf(path, sizeof(path), "/db %d", i);
		files[i] = open_vfs_file(path, MAIN_DB);
		assert_sqlite(NULL, file_lock(&files[i], SHARED), SQLITE_OK);
		assert_sqlite(NULL, file_lock(&files[i], EXCLUSIVE), SQLITE_OK);
	}
	for (int i = 0; i < COUNT; i += 7) {
		struct vfs_file other;

		(void)snprintf(path, sizeof(path), "/db %d", i);
		other = open_vfs_file(path, MAIN_DB);
		assert_sqlite(NULL, file_lock(&other, SHARED), SQLITE_BUSY);
		close_vfs_file(&other);
	}
	for (int i = 0; i < COUNT; i++) {
		close_vfs_file(&files[i]);
	}
}

/* What the documentation says, for a few connections whose levels are known. */
static int model_lock(int *levels, size_t count, size_t who, int to)
{
	int highest = NONE;
	size_t readers = 0;

	if (levels[who] >= to) {
		return SQLITE_OK;
	}
	for (size_t i = 0; i < count; i++) {
		if (i != who) {
			highest = levels[i] > highest ? levels[i] : highest;
			readers += levels[i] >= SHARED;
		}
	}
	if (highest >= (to == SHARED ? PENDING : RESERVED)) {
		return SQLITE_BUSY;
	}
	if (to == EXCLUSIVE && readers > 0) {
		levels[who] = PENDING;
		return SQLITE_BUSY;
	}
	levels[who] = to;
	return SQLITE_OK;
}

static void any_sequence_of_calls_gives_what_the_model_gives(void **state)
{
	struct vfs_file files[4];
	int levels[4] = {NONE, NONE, NONE, NONE};
	struct rng rng = {42};
	unsigned exclusives = 0;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		files[i] = open_vfs_file("/db", MAIN_DB);
	}
	for (int step = 0; step < 50000; step++) {
		static const int targets[] = {SHARED, SHARED, RESERVED, EXCLUSIVE};
		size_t who = rng_below(&rng, COUNT_OF(files));

		if (rng_below(&rng, 3) == 0) {
			int down = rng_below(&rng, 2) == 0 ? NONE : SHARED;

			assert_sqlite(NULL, file_unlock(&files[who], down), SQLITE_OK);
			levels[who] = levels[who] > down ? down : levels[who];
		} else {
			int to = targets[rng_below(&rng, COUNT_OF(targets))];

			/* SQLite begins with SHARED. */
			if (levels[who] == NONE) {
				to = SHARED;
			}
			int want = model_lock(levels, COUNT_OF(files), who, to);

			assert_sqlite(NULL, file_lock(&files[who], to), want);
			exclusives += levels[who] == EXCLUSIVE;
		}
		for (size_t i = 0; i < COUNT_OF(files); i++) {
			assert_int_equal(lock_level(&files[i]), levels[i]);
		}
		bool reserved = false;

		for (size_t i = 0; i < COUNT_OF(files); i++) {
			reserved = reserved || levels[i] > SHARED;
		}
		assert_int_equal(is_reserved(&files[who]), reserved);
	}
	assert_true(exclusives > 100);
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		close_vfs_file(&files[i]);
	}
}

/*
 * Threads
 */

#define CONNECTIONS 4
/* Rounds of each thread, so many at least, and more until the threads got into each other's way so
 * often; or the last number, as there is no telling when they do. */
#define ROUNDS      500000
#define REFUSALS    5000
#define MOST_ROUNDS 2000000

/* Who is inside. Each thread writes what it holds after it has the lock, and takes it back before
 * it gives the lock back. */
struct arena {
	atomic_int readers;
	atomic_int reserved;
	atomic_int writers;
	atomic_int violations;
	atomic_int grants;
	atomic_int refusals;
	pthread_barrier_t start;
};

static bool is_enough(struct arena *arena, int round)
{
	return round >= MOST_ROUNDS || (round >= ROUNDS && atomic_load(&arena->refusals) >= REFUSALS);
}

struct contender {
	struct arena *arena;
	struct vfs_file file;
	uint64_t seed;
	pthread_t thread;
};

static void contend_for_exclusive(struct contender *c, struct rng *rng)
{
	struct arena *arena = c->arena;

	if (file_lock(&c->file, RESERVED) != SQLITE_OK) {
		atomic_fetch_add(&arena->refusals, 1);
		return;
	}
	if (atomic_fetch_add(&arena->reserved, 1) != 0) {
		atomic_fetch_add(&arena->violations, 1);
	}
	atomic_fetch_sub(&arena->readers, 1);
	for (size_t tries = 1 + rng_below(rng, 50); tries > 0; tries--) {
		if (file_lock(&c->file, EXCLUSIVE) == SQLITE_OK) {
			if (atomic_fetch_add(&arena->writers, 1) != 0 || atomic_load(&arena->readers) != 0) {
				atomic_fetch_add(&arena->violations, 1);
			}
			atomic_fetch_add(&arena->grants, 1);
			atomic_fetch_sub(&arena->writers, 1);
			break;
		}
		sched_yield();
	}
	atomic_fetch_add(&arena->readers, 1);
	atomic_fetch_sub(&arena->reserved, 1);
}

static void *contend(void *argument)
{
	struct contender *c = argument;
	struct arena *arena = c->arena;
	struct rng rng = {c->seed};

	(void)pthread_barrier_wait(&arena->start);
	for (int round = 0; !is_enough(arena, round); round++) {
		if (file_lock(&c->file, SHARED) != SQLITE_OK) {
			atomic_fetch_add(&arena->refusals, 1);
			continue;
		}
		atomic_fetch_add(&arena->readers, 1);
		if (atomic_load(&arena->writers) != 0) {
			atomic_fetch_add(&arena->violations, 1);
		}
		if (rng_below(&rng, 32) == 0) {
			contend_for_exclusive(c, &rng);
		}
		atomic_fetch_sub(&arena->readers, 1);
		(void)file_unlock(&c->file, NONE);
	}
	return NULL;
}

static void threads_never_read_beside_a_writer_nor_write_beside_each_other(void **state)
{
	struct contender contenders[CONNECTIONS];
	struct arena arena = {0};
	struct vfs_file last;

	(void)state;
	assert_int_equal(pthread_barrier_init(&arena.start, NULL, CONNECTIONS), 0);
	for (size_t i = 0; i < CONNECTIONS; i++) {
		contenders[i].arena = &arena;
		contenders[i].seed = 7 + i;
		contenders[i].file = open_vfs_file("/db", MAIN_DB);
	}
	for (size_t i = 0; i < CONNECTIONS; i++) {
		contenders[i].thread = start_thread(contend, &contenders[i]);
	}
	for (size_t i = 0; i < CONNECTIONS; i++) {
		join_thread(contenders[i].thread);
	}
	assert_int_equal(atomic_load(&arena.violations), 0);
	assert_true(atomic_load(&arena.grants) > 0);
	/* Nothing is left of the locks. */
	last = open_vfs_file("/db", MAIN_DB);
	assert_sqlite(NULL, file_lock(&last, SHARED), SQLITE_OK);
	assert_sqlite(NULL, file_lock(&last, EXCLUSIVE), SQLITE_OK);
	close_vfs_file(&last);
	for (size_t i = 0; i < CONNECTIONS; i++) {
		close_vfs_file(&contenders[i].file);
	}
	assert_int_equal(pthread_barrier_destroy(&arena.start), 0);
}

/* Opens and closes the file all the time, with a lock between. */
static void *open_and_close(void *argument)
{
	struct contender *c = argument;
	sqlite3_vfs *vfs = sqlite3_vfs_find(TEST_VFS);

	(void)pthread_barrier_wait(&c->arena->start);
	for (int round = 0; round < ROUNDS / 500; round++) {
		sqlite3_file *file = c->file.file;
		int flags;

		if (vfs->xOpen(vfs, c->file.name, file, MAIN_DB, &flags) != SQLITE_OK) {
			atomic_fetch_add(&c->arena->violations, 1);
			break;
		}
		if (file_lock(&c->file, SHARED) == SQLITE_OK &&
			file_lock(&c->file, EXCLUSIVE) == SQLITE_OK) {
			if (atomic_fetch_add(&c->arena->writers, 1) != 0) {
				atomic_fetch_add(&c->arena->violations, 1);
			}
			atomic_fetch_add(&c->arena->grants, 1);
			atomic_fetch_sub(&c->arena->writers, 1);
		}
		(void)file->pMethods->xClose(file);
	}
	return NULL;
}

static void connections_that_come_and_go_share_one_lock(void **state)
{
	struct contender contenders[CONNECTIONS];
	struct arena arena = {0};

	(void)state;
	assert_int_equal(pthread_barrier_init(&arena.start, NULL, CONNECTIONS), 0);
	for (size_t i = 0; i < CONNECTIONS; i++) {
		contenders[i].arena = &arena;
		contenders[i].file.file = allocate((size_t)test_vfs()->szOsFile);
		contenders[i].file.name = sqlite3_create_filename("/db", "", "", 0, NULL);
		assert_non_null(contenders[i].file.name);
	}
	for (size_t i = 0; i < CONNECTIONS; i++) {
		contenders[i].thread = start_thread(open_and_close, &contenders[i]);
	}
	for (size_t i = 0; i < CONNECTIONS; i++) {
		join_thread(contenders[i].thread);
		free(contenders[i].file.file);
		sqlite3_free_filename(contenders[i].file.name);
	}
	assert_int_equal(atomic_load(&arena.violations), 0);
	assert_true(atomic_load(&arena.grants) > 0);
	assert_int_equal(pthread_barrier_destroy(&arena.start), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATABASE_TEST(each_level_lets_others_do_what_it_should),
		DATABASE_TEST(a_lower_level_than_held_is_granted_and_changes_nothing),
		DATABASE_TEST(a_pending_writer_gets_its_turn),
		DATABASE_TEST(who_gives_up_pending_lets_readers_in),
		DATABASE_TEST(of_two_that_find_a_hot_journal_one_gets_it),
		DATABASE_TEST(a_close_gives_the_lock_back),
		DATABASE_TEST(the_lock_is_the_files_whatever_its_name),
		DATABASE_TEST(the_lock_is_the_same_by_every_vfs_of_the_workspace),
		DATABASE_TEST(databases_of_two_workspaces_have_nothing_in_common),
		DATABASE_TEST(many_databases_are_locked_each_by_itself),
		DATABASE_TEST(any_sequence_of_calls_gives_what_the_model_gives),
		DATABASE_TEST(threads_never_read_beside_a_writer_nor_write_beside_each_other),
		DATABASE_TEST(connections_that_come_and_go_share_one_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
