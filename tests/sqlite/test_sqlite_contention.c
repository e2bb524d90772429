/* SPDX-License-Identifier: MIT */
/*
 * When eight threads want the locks of a database and of its log all the time, do these let in
 * nobody whom they should keep out, and put what they guard in order? Is the index of a log one
 * for all who have it mapped?
 *
 * The threads call the VFS as SQLite would, without SQLite.
 */
#include "support.h"

#include "database.h"

#define THREADS  8
#define ROUNDS   2000
#define SHM_SIZE 32768
/* So often a thread steps aside for others to try. */
#define TRY_YIELDS 100
#define SHM_SLOTS  8

/*
 * What the locks of one file guard. `value` and `slots` are plain: where a lock lets in two, the
 * race detector sees it, too.
 */
struct guarded {
	sqlite3_vfs *vfs;
	pthread_barrier_t start;
	_Atomic int entries; /* so often SHARED was given */
	_Atomic int shared;
	_Atomic int reserved;
	_Atomic int exclusive;
	long value; /* changed under EXCLUSIVE, read under SHARED */
	/* For the locks of a log: who is in, and a number for each slot. */
	_Atomic int slot_shared[SHM_SLOTS];
	_Atomic int slot_exclusive[SHM_SLOTS];
	long slots[SHM_SLOTS];
	/* For mappings: how many there are, changed under an exclusive lock of slot 0. */
	long mappings;
	_Atomic int tries; /* to get a lock */
	_Atomic int failures;
};

struct contender {
	struct guarded *guarded;
	sqlite3_file *file;
	struct rng rng;
	long changes;
	long slot_changes[SHM_SLOTS];
	pthread_t thread;
};

/*
 * What is counted is counted without order, so that nothing but the locks themselves puts what
 * they guard in order.
 */
static int count_in(_Atomic int *count)
{
	return atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static void count_out(_Atomic int *count)
{
	(void)atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

static int counted(_Atomic int *count)
{
	return atomic_load_explicit(count, memory_order_relaxed);
}

/*
 * Hold on until others have tried to get in, a moment when they must not. Some of the time, and
 * not for long, as they may all hold on to what they share.
 */
static void let_others_try(struct contender *contender)
{
	struct guarded *guarded = contender->guarded;
	int before = counted(&guarded->tries);

	if (rng_below(&contender->rng, 2) == 0)
		return;
	for (int i = 0; i < TRY_YIELDS && counted(&guarded->tries) - before < THREADS; i++)
		(void)sched_yield();
}

static void expect(struct contender *contender, bool right)
{
	if (!right)
		(void)count_in(&contender->guarded->failures);
}

static int open_raw(struct guarded *guarded, sqlite3_file *file)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB;
	/* As SQLite gives names: more strings may follow, none here. */
	static const char name[] = "/locked\0\0\0";

	memset(file, 0, (size_t)guarded->vfs->szOsFile);
	return guarded->vfs->xOpen(guarded->vfs, name, file, flags, &flags);
}

/* Under SHARED at least. */
static void look(struct contender *contender)
{
	struct guarded *guarded = contender->guarded;
	long value = guarded->value;

	expect(contender, counted(&guarded->exclusive) == 0);
	let_others_try(contender);
	expect(contender, guarded->value == value);
}

/*
 * RESERVED is held: try for EXCLUSIVE until others are gone. Nobody may come in meanwhile; each of
 * the others may have come in before and not be counted yet, once. False after a failure.
 */
static bool become_exclusive(struct contender *contender)
{
	struct guarded *guarded = contender->guarded;
	sqlite3_file *file = contender->file;
	int code = file->pMethods->xLock(file, SQLITE_LOCK_EXCLUSIVE);
	int before = counted(&guarded->entries);

	while (code == SQLITE_BUSY && counted(&guarded->failures) == 0) {
		(void)sched_yield();
		code = file->pMethods->xLock(file, SQLITE_LOCK_EXCLUSIVE);
		expect(contender, counted(&guarded->entries) - before < THREADS);
	}
	expect(contender, code == SQLITE_OK);
	return code == SQLITE_OK;
}

static void change_value(struct contender *contender)
{
	struct guarded *guarded = contender->guarded;
	int one = 0;

	expect(contender, count_in(&guarded->exclusive) == 0);
	expect(contender, counted(&guarded->shared) == 1);
	expect(contender, contender->file->pMethods->xCheckReservedLock(contender->file, &one) == 0);
	guarded->value++;
	contender->changes++;
	let_others_try(contender);
	expect(contender, counted(&guarded->shared) == 1);
	count_out(&guarded->exclusive);
}

/* SHARED is held: become the one who writes, and perhaps write. */
static void reserve(struct contender *contender)
{
	struct guarded *guarded = contender->guarded;
	sqlite3_file *file = contender->file;
	int code = file->pMethods->xLock(file, SQLITE_LOCK_RESERVED);
	int reserved = 0;

	expect(contender, code == SQLITE_OK || code == SQLITE_BUSY);
	if (code != SQLITE_OK)
		return;
	expect(contender, count_in(&guarded->reserved) == 0);
	expect(contender, file->pMethods->xCheckReservedLock(file, &reserved) == SQLITE_OK);
	expect(contender, reserved != 0);
	look(contender);
	if (rng_below(&contender->rng, 2) == 0 && become_exclusive(contender))
		change_value(contender);
	count_out(&guarded->reserved);
	if (rng_below(&contender->rng, 2) == 0) {
		expect(contender, file->pMethods->xUnlock(file, SQLITE_LOCK_SHARED) == SQLITE_OK);
		look(contender);
	}
}

static void *contend(void *argument)
{
	struct contender *contender = argument;
	struct guarded *guarded = contender->guarded;
	sqlite3_file *file = contender->file;

	(void)pthread_barrier_wait(&guarded->start);
	for (int i = 0; i < ROUNDS; i++) {
		int code = file->pMethods->xLock(file, SQLITE_LOCK_SHARED);

		(void)count_in(&guarded->tries);
		expect(contender, code == SQLITE_OK || code == SQLITE_BUSY);
		if (code != SQLITE_OK) {
			(void)sched_yield();
			continue;
		}
		(void)count_in(&guarded->entries);
		(void)count_in(&guarded->shared);
		look(contender);
		if (rng_below(&contender->rng, 2) == 0)
			reserve(contender);
		count_out(&guarded->shared);
		expect(contender, file->pMethods->xUnlock(file, SQLITE_LOCK_NONE) == SQLITE_OK);
	}
	return NULL;
}

/* Locks of some slots of a log: one exclusively or more, or one shared. */
static void *contend_for_slots(void *argument)
{
	struct contender *contender = argument;
	struct guarded *guarded = contender->guarded;
	sqlite3_file *file = contender->file;

	(void)pthread_barrier_wait(&guarded->start);
	for (int i = 0; i < ROUNDS; i++) {
		int first = (int)rng_below(&contender->rng, SHM_SLOTS);
		bool shared = rng_below(&contender->rng, 2) == 0;
		int count = shared ? 1 : 1 + (int)rng_below(&contender->rng, (size_t)(SHM_SLOTS - first));
		int kind = shared ? SQLITE_SHM_SHARED : SQLITE_SHM_EXCLUSIVE;
		int code = file->pMethods->xShmLock(file, first, count, SQLITE_SHM_LOCK | kind);

		(void)count_in(&guarded->tries);
		expect(contender, code == SQLITE_OK || code == SQLITE_BUSY);
		if (code != SQLITE_OK) {
			(void)sched_yield();
			continue;
		}
		for (int slot = first; slot < first + count; slot++) {
			(void)count_in(shared ? &guarded->slot_shared[slot] : &guarded->slot_exclusive[slot]);
			expect(contender, counted(&guarded->slot_exclusive[slot]) == (shared ? 0 : 1));
			expect(contender, shared || counted(&guarded->slot_shared[slot]) == 0);
			if (!shared) {
				guarded->slots[slot]++;
				contender->slot_changes[slot]++;
			} else {
				expect(contender, guarded->slots[slot] >= contender->slot_changes[slot]);
			}
		}
		let_others_try(contender);
		for (int slot = first; slot < first + count; slot++)
			expect(contender, counted(&guarded->slot_exclusive[slot]) == (shared ? 0 : 1));
		for (int slot = first; slot < first + count; slot++)
			count_out(shared ? &guarded->slot_shared[slot] : &guarded->slot_exclusive[slot]);
		code = file->pMethods->xShmLock(file, first, count, SQLITE_SHM_UNLOCK | kind);
		expect(contender, code == SQLITE_OK);
	}
	return NULL;
}

/* Under slot 0: the first word of the region counts its mappings, as `mappings` does. */
static void count_mapping(struct contender *contender, sqlite3_file *file, long volatile *region,
						  int change)
{
	int flags = SQLITE_SHM_EXCLUSIVE;
	int code = SQLITE_BUSY;

	while ((code = file->pMethods->xShmLock(file, 0, 1, SQLITE_SHM_LOCK | flags)) == SQLITE_BUSY &&
		   counted(&contender->guarded->failures) == 0)
		(void)sched_yield();
	expect(contender, code == SQLITE_OK);
	expect(contender, *region == contender->guarded->mappings);
	region[0] += change;
	region[1]++;
	contender->guarded->mappings += change;
	file->pMethods->xShmBarrier(file);
	expect(contender, file->pMethods->xShmLock(file, 0, 1, SQLITE_SHM_UNLOCK | flags) == SQLITE_OK);
}

/* Open, map, unmap and close: the region is there as long as anybody maps it, and then a new one.
 */
static void *map_and_unmap(void *argument)
{
	struct contender *contender = argument;
	struct guarded *guarded = contender->guarded;
	sqlite3_file *file = contender->file;

	(void)pthread_barrier_wait(&guarded->start);
	for (int i = 0; i < ROUNDS / 2; i++) {
		void volatile *region = NULL;

		if (open_raw(guarded, file) != SQLITE_OK) {
			expect(contender, false);
			return NULL;
		}
		int code = file->pMethods->xShmMap(file, 0, SHM_SIZE, 1, &region);

		(void)count_in(&guarded->tries);
		expect(contender, code == SQLITE_OK && region != NULL);
		if (region != NULL) {
			count_mapping(contender, file, region, 1);
			let_others_try(contender);
			count_mapping(contender, file, region, -1);
		}
		expect(contender, file->pMethods->xShmUnmap(file, i % 2) == SQLITE_OK);
		expect(contender, file->pMethods->xClose(file) == SQLITE_OK);
	}
	return NULL;
}

/* Nobody holds anything any more, and an index is a new one. By a file that was open all along. */
static void assert_all_is_free(sqlite3_file *file)
{
	int flags = SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE;
	void volatile *region = NULL;

	assert_sqlite(NULL, file->pMethods->xLock(file, SQLITE_LOCK_SHARED), SQLITE_OK);
	assert_sqlite(NULL, file->pMethods->xLock(file, SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
	assert_sqlite(NULL, file->pMethods->xShmMap(file, 0, SHM_SIZE, 1, &region), SQLITE_OK);
	assert_sqlite(NULL, file->pMethods->xShmLock(file, 0, SHM_SLOTS, flags), SQLITE_OK);
	assert_zeros((const unsigned char *)(uintptr_t)region, SHM_SIZE);
}

static void run_contenders(struct guarded *guarded, void *(*run)(void *), bool opened, bool mapped)
{
	struct contender contenders[THREADS];
	long changes = 0;
	long slot_changes[SHM_SLOTS] = {0};

	memset(guarded, 0, sizeof(*guarded));
	guarded->vfs = sqlite3_vfs_find(TEST_VFS);
	assert_non_null(guarded->vfs);
	sqlite3_file *keeper = allocate((size_t)guarded->vfs->szOsFile);

	assert_sqlite(NULL, open_raw(guarded, keeper), SQLITE_OK);
	assert_int_equal(pthread_barrier_init(&guarded->start, NULL, THREADS), 0);
	for (int i = 0; i < THREADS; i++) {
		void volatile *region = NULL;

		contenders[i] = (struct contender){.guarded = guarded, .rng = {.state = (uint64_t)i + 7}};
		contenders[i].file = allocate((size_t)guarded->vfs->szOsFile);
		if (opened)
			assert_sqlite(NULL, open_raw(guarded, contenders[i].file), SQLITE_OK);
		if (mapped)
			assert_sqlite(
				NULL,
				contenders[i].file->pMethods->xShmMap(contenders[i].file, 0, SHM_SIZE, 1, &region),
				SQLITE_OK);
	}
	for (int i = 0; i < THREADS; i++)
		contenders[i].thread = start_thread(run, &contenders[i]);
	for (int i = 0; i < THREADS; i++) {
		sqlite3_file *file = contenders[i].file;

		join_thread(contenders[i].thread);
		changes += contenders[i].changes;
		for (int slot = 0; slot < SHM_SLOTS; slot++)
			slot_changes[slot] += contenders[i].slot_changes[slot];
		if (mapped)
			assert_sqlite(NULL, file->pMethods->xShmUnmap(file, 1), SQLITE_OK);
		if (opened)
			assert_sqlite(NULL, file->pMethods->xClose(file), SQLITE_OK);
		free(file);
	}
	assert_int_equal(pthread_barrier_destroy(&guarded->start), 0);
	assert_int_equal(counted(&guarded->failures), 0);
	assert_int_equal(guarded->value, changes);
	for (int slot = 0; slot < SHM_SLOTS; slot++)
		assert_int_equal(guarded->slots[slot], slot_changes[slot]);
	assert_all_is_free(keeper);
	assert_sqlite(NULL, keeper->pMethods->xClose(keeper), SQLITE_OK);
	free(keeper);
}

static void test_locks_of_a_database_let_in_one_writer_or_many_readers(void **state)
{
	static struct guarded guarded;

	(void)state;
	run_contenders(&guarded, contend, true, false);
	assert_true(guarded.value > 0);
}

static void test_locks_of_a_log_let_in_one_or_those_who_share(void **state)
{
	static struct guarded guarded;

	(void)state;
	run_contenders(&guarded, contend_for_slots, true, true);
	assert_true(guarded.slots[0] > 0);
}

static void test_an_index_is_one_for_all_and_begins_empty_when_all_were_gone(void **state)
{
	static struct guarded guarded;

	(void)state;
	run_contenders(&guarded, map_and_unmap, false, false);
	assert_int_equal(guarded.mappings, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATABASE_TEST(test_locks_of_a_database_let_in_one_writer_or_many_readers),
		DATABASE_TEST(test_locks_of_a_log_let_in_one_or_those_who_share),
		DATABASE_TEST(test_an_index_is_one_for_all_and_begins_empty_when_all_were_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
