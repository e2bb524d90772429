/* SPDX-License-Identifier: MIT */
/*
 * Do connections in WAL mode share one index and its locks, and is it gone with the last of them?
 */
#include "support.h"

#include "database.h"
#include "vfs_file.h"

#define REGION (32 * KIB)
#define SLOTS  SQLITE_SHM_NLOCK

#define LOCK_SHARED      (SQLITE_SHM_LOCK | SQLITE_SHM_SHARED)
#define LOCK_EXCLUSIVE   (SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE)
#define UNLOCK_SHARED    (SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED)
#define UNLOCK_EXCLUSIVE (SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE)

static unsigned char *mapped(struct vfs_file *f, int region)
{
	void volatile *bytes = NULL;

	assert_sqlite(NULL, shm_map(f, region, 1, &bytes), SQLITE_OK);
	assert_non_null(bytes);
	return (unsigned char *)(uintptr_t)bytes;
}

static struct vfs_file open_mapped(const char *path)
{
	struct vfs_file f = open_vfs_file(path, MAIN_DB);

	(void)mapped(&f, 0);
	return f;
}

static void a_region_is_made_when_it_is_asked_for_and_zeroed(void **state)
{
	struct vfs_file f = open_vfs_file("/db", MAIN_DB);
	void volatile *bytes = &f;

	(void)state;
	assert_sqlite(NULL, shm_map(&f, 0, 0, &bytes), SQLITE_OK);
	assert_null((void *)(uintptr_t)bytes);
	assert_zeros(mapped(&f, 3), REGION);
	/* Those before it are there, too. */
	for (int region = 0; region < 4; region++) {
		assert_sqlite(NULL, shm_map(&f, region, 0, &bytes), SQLITE_OK);
		assert_non_null((void *)(uintptr_t)bytes);
	}
	assert_sqlite(NULL, shm_map(&f, 4, 0, &bytes), SQLITE_OK);
	assert_null((void *)(uintptr_t)bytes);
	close_vfs_file(&f);
}

static void connections_see_the_same_memory_at_the_same_place(void **state)
{
	struct vfs_file one = open_vfs_file("/db", MAIN_DB);
	struct vfs_file other = open_vfs_file("/db", MAIN_DB);
	struct vfs_file elsewhere = open_vfs_file("/elsewhere", MAIN_DB);
	unsigned char *first = mapped(&one, 0);

	(void)state;
	memset(first, 7, REGION);
	assert_ptr_equal(mapped(&other, 0), first);
	/* More regions do not move it. */
	for (int region = 1; region < 100; region++) {
		unsigned char *bytes = mapped(&other, region);

		bytes[0] = (unsigned char)region;
		assert_ptr_equal(mapped(&one, region), bytes);
	}
	assert_ptr_equal(mapped(&one, 0), first);
	assert_int_equal(first[REGION - 1], 7);
	assert_zeros(mapped(&elsewhere, 0), REGION);
	close_vfs_file(&one);
	assert_int_equal(first[0], 7);
	close_vfs_file(&other);
	close_vfs_file(&elsewhere);
}

static void the_index_goes_with_its_last_user(void **state)
{
	struct vfs_file one = open_mapped("/db");
	struct vfs_file other = open_mapped("/db");

	(void)state;
	for (int remove = 0; remove <= 1; remove++) {
		memset(mapped(&one, 1), 7, REGION);
		/* The other one has it still, whatever the first one wants of it. */
		assert_sqlite(NULL, shm_unmap(&one, remove), SQLITE_OK);
		assert_int_equal(mapped(&other, 1)[0], 7);
		assert_int_equal(mapped(&one, 1)[0], 7);
		assert_sqlite(NULL, shm_unmap(&one, remove), SQLITE_OK);
		assert_sqlite(NULL, shm_unmap(&other, remove), SQLITE_OK);
		assert_sqlite(NULL, shm_unmap(&other, remove), SQLITE_OK);
		assert_zeros(mapped(&other, 1), REGION);
		assert_zeros(mapped(&one, 0), REGION);
	}
	close_vfs_file(&one);
	close_vfs_file(&other);
}

static void regions_have_one_size(void **state)
{
	struct vfs_file f = open_mapped("/db");
	void volatile *bytes = &f;

	(void)state;
	assert_sqlite(NULL, f.file->pMethods->xShmMap(f.file, 0, 4096, 1, &bytes),
				  SQLITE_IOERR_SHMSIZE);
	assert_null((void *)(uintptr_t)bytes);
	close_vfs_file(&f);
}

static void locks_need_the_index(void **state)
{
	struct vfs_file f = open_vfs_file("/db", MAIN_DB);

	(void)state;
	assert_sqlite(NULL, shm_lock(&f, 0, 1, LOCK_EXCLUSIVE), SQLITE_IOERR_SHMLOCK);
	close_vfs_file(&f);
}

static void shared_locks_go_together_and_exclusive_ones_do_not(void **state)
{
	static const struct {
		int held;
		int wanted;
		int result;
	} rows[] = {
		{LOCK_SHARED, LOCK_SHARED, SQLITE_OK},
		{LOCK_SHARED, LOCK_EXCLUSIVE, SQLITE_BUSY},
		{LOCK_EXCLUSIVE, LOCK_SHARED, SQLITE_BUSY},
		{LOCK_EXCLUSIVE, LOCK_EXCLUSIVE, SQLITE_BUSY},
	};
	struct vfs_file one = open_mapped("/db");
	struct vfs_file other = open_mapped("/db");

	(void)state;
	for (int slot = 0; slot < SLOTS; slot++) {
		for (size_t i = 0; i < COUNT_OF(rows); i++) {
			int unlock = rows[i].held == LOCK_SHARED ? UNLOCK_SHARED : UNLOCK_EXCLUSIVE;
			int other_unlock = rows[i].wanted == LOCK_SHARED ? UNLOCK_SHARED : UNLOCK_EXCLUSIVE;

			assert_sqlite(NULL, shm_lock(&one, slot, 1, rows[i].held), SQLITE_OK);
			/* What is held already is granted, and counts once. */
			assert_sqlite(NULL, shm_lock(&one, slot, 1, rows[i].held), SQLITE_OK);
			assert_sqlite(NULL, shm_lock(&other, slot, 1, rows[i].wanted), rows[i].result);
			/* Its neighbours are free. */
			assert_sqlite(NULL, shm_lock(&other, (slot + 1) % SLOTS, 1, LOCK_EXCLUSIVE), SQLITE_OK);
			assert_sqlite(NULL, shm_lock(&other, (slot + 1) % SLOTS, 1, UNLOCK_EXCLUSIVE),
						  SQLITE_OK);
			assert_sqlite(NULL, shm_lock(&other, slot, 1, other_unlock), SQLITE_OK);
			assert_sqlite(NULL, shm_lock(&one, slot, 1, unlock), SQLITE_OK);
			/* A lock that is not held is given back without harm. */
			assert_sqlite(NULL, shm_lock(&one, slot, 1, unlock), SQLITE_OK);
			assert_sqlite(NULL, shm_lock(&other, slot, 1, LOCK_EXCLUSIVE), SQLITE_OK);
			assert_sqlite(NULL, shm_lock(&other, slot, 1, UNLOCK_EXCLUSIVE), SQLITE_OK);
		}
	}
	close_vfs_file(&one);
	close_vfs_file(&other);
}

static void several_locks_are_had_together_or_not_at_all(void **state)
{
	struct vfs_file one = open_mapped("/db");
	struct vfs_file other = open_mapped("/db");

	(void)state;
	for (int held = 0; held < SLOTS; held++) {
		int kind = held % 2 == 0 ? LOCK_SHARED : LOCK_EXCLUSIVE;

		assert_sqlite(NULL, shm_lock(&one, held, 1, kind), SQLITE_OK);
		for (int first = 0; first < SLOTS; first++) {
			for (int count = 1; count <= SLOTS - first; count++) {
				bool is_free = held < first || held >= first + count;

				assert_sqlite(NULL, shm_lock(&other, first, count, LOCK_EXCLUSIVE),
							  is_free ? SQLITE_OK : SQLITE_BUSY);
				/* What was not had is free to others. */
				for (int slot = first; slot < first + count; slot++) {
					int want = is_free ? SQLITE_BUSY : SQLITE_OK;

					assert_sqlite(NULL, shm_lock(&one, slot, 1, kind), want);
					if (slot != held) {
						assert_sqlite(NULL, shm_lock(&one, slot, 1, SQLITE_SHM_UNLOCK), SQLITE_OK);
					}
				}
				assert_sqlite(NULL, shm_lock(&other, first, count, UNLOCK_EXCLUSIVE), SQLITE_OK);
			}
		}
		assert_sqlite(NULL, shm_lock(&one, held, 1, SQLITE_SHM_UNLOCK), SQLITE_OK);
	}
	close_vfs_file(&one);
	close_vfs_file(&other);
}

static void an_unmap_and_a_close_give_back_all_locks(void **state)
{
	(void)state;
	for (int closes = 0; closes <= 1; closes++) {
		struct vfs_file one = open_mapped("/db");
		struct vfs_file other = open_mapped("/db");

		assert_sqlite(NULL, shm_lock(&one, 0, 1, LOCK_EXCLUSIVE), SQLITE_OK);
		assert_sqlite(NULL, shm_lock(&one, 3, 1, LOCK_SHARED), SQLITE_OK);
		assert_sqlite(NULL, shm_lock(&one, 5, 3, LOCK_EXCLUSIVE), SQLITE_OK);
		if (closes) {
			close_vfs_file(&one);
		} else {
			assert_sqlite(NULL, shm_unmap(&one, 0), SQLITE_OK);
		}
		assert_sqlite(NULL, shm_lock(&other, 0, SLOTS, LOCK_EXCLUSIVE), SQLITE_OK);
		close_vfs_file(&other);
		if (!closes) {
			close_vfs_file(&one);
		}
	}
}

static void many_connections_hold_one_lock(void **state)
{
	struct vfs_file files[300];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		files[i] = open_mapped("/db");
		assert_sqlite(NULL, shm_lock(&files[i], 4, 1, LOCK_SHARED), SQLITE_OK);
	}
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		struct vfs_file last = open_mapped("/db");

		assert_sqlite(NULL, shm_lock(&last, 4, 1, LOCK_EXCLUSIVE), SQLITE_BUSY);
		close_vfs_file(&last);
		close_vfs_file(&files[i]);
	}
}

/* What the documentation of xShmLock says, for files whose locks are known: -1 exclusive. */
struct model {
	int held[3][SLOTS];
};

static int model_take(struct model *m, size_t who, int first, int count, bool exclusive)
{
	for (int slot = first; slot < first + count; slot++) {
		for (size_t i = 0; i < COUNT_OF(m->held); i++) {
			if (i != who && (m->held[i][slot] == -1 || (exclusive && m->held[i][slot] == 1))) {
				return SQLITE_BUSY;
			}
		}
	}
	for (int slot = first; slot < first + count; slot++) {
		m->held[who][slot] = exclusive ? -1 : 1;
	}
	return SQLITE_OK;
}

static void any_sequence_of_locks_gives_what_the_model_gives(void **state)
{
	struct model m = {0};
	struct vfs_file files[COUNT_OF(m.held)];
	struct rng rng = {99};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		files[i] = open_mapped("/db");
	}
	for (int step = 0; step < 50000; step++) {
		size_t who = rng_below(&rng, COUNT_OF(files));
		int first = (int)rng_below(&rng, SLOTS);
		int count = 1 + (int)rng_below(&rng, (size_t)(SLOTS - first));
		bool exclusive = rng_below(&rng, 2) == 0;
		bool holds = false;

		count = exclusive ? count : 1;
		for (int slot = first; slot < first + count; slot++) {
			holds = holds || m.held[who][slot] != 0;
		}
		if (holds) {
			/* SQLite never asks for a lock that it has. */
			assert_sqlite(NULL, shm_lock(&files[who], first, count, SQLITE_SHM_UNLOCK), SQLITE_OK);
			memset(&m.held[who][first], 0, (size_t)count * sizeof(int));
		} else {
			int want = model_take(&m, who, first, count, exclusive);

			assert_sqlite(
				NULL, shm_lock(&files[who], first, count, exclusive ? LOCK_EXCLUSIVE : LOCK_SHARED),
				want);
		}
	}
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		close_vfs_file(&files[i]);
	}
}

/*
 * Threads
 */

#define CONNECTIONS 4
#define ROUNDS      500000

/* Who is inside, for each lock. Counted up after a lock is had, and down before it is given back.
 */
struct arena {
	atomic_int readers[SLOTS];
	atomic_int writers[SLOTS];
	atomic_int violations;
	atomic_int ranges;
	pthread_barrier_t start;
};

struct contender {
	struct arena *arena;
	struct vfs_file file;
	uint64_t seed;
	pthread_t thread;
};

static void check_inside(struct arena *arena, int first, int count, bool exclusive)
{
	for (int slot = first; slot < first + count; slot++) {
		atomic_int *mine = exclusive ? &arena->writers[slot] : &arena->readers[slot];

		if ((atomic_fetch_add(mine, 1) != 0 && exclusive) ||
			(exclusive && atomic_load(&arena->readers[slot]) != 0) ||
			(!exclusive && atomic_load(&arena->writers[slot]) != 0)) {
			atomic_fetch_add(&arena->violations, 1);
		}
	}
	for (int slot = first; slot < first + count; slot++) {
		atomic_fetch_sub(exclusive ? &arena->writers[slot] : &arena->readers[slot], 1);
	}
}

static void *contend(void *argument)
{
	struct contender *c = argument;
	struct rng rng = {c->seed};

	(void)pthread_barrier_wait(&c->arena->start);
	for (int round = 0; round < ROUNDS; round++) {
		bool exclusive = rng_below(&rng, 3) == 0;
		int first = (int)rng_below(&rng, SLOTS);
		int count = exclusive ? 1 + (int)rng_below(&rng, (size_t)(SLOTS - first)) : 1;

		if (shm_lock(&c->file, first, count, exclusive ? LOCK_EXCLUSIVE : LOCK_SHARED) ==
			SQLITE_OK) {
			check_inside(c->arena, first, count, exclusive);
			if (count > 1) {
				atomic_fetch_add(&c->arena->ranges, 1);
			}
			(void)shm_lock(&c->file, first, count, exclusive ? UNLOCK_EXCLUSIVE : UNLOCK_SHARED);
		}
	}
	return NULL;
}

static void threads_never_hold_what_another_one_has_exclusively(void **state)
{
	struct contender contenders[CONNECTIONS];
	struct arena arena = {0};

	(void)state;
	assert_int_equal(pthread_barrier_init(&arena.start, NULL, CONNECTIONS), 0);
	for (size_t i = 0; i < CONNECTIONS; i++) {
		contenders[i].arena = &arena;
		contenders[i].seed = 7 + i;
		contenders[i].file = open_mapped("/db");
	}
	for (size_t i = 0; i < CONNECTIONS; i++) {
		contenders[i].thread = start_thread(contend, &contenders[i]);
	}
	for (size_t i = 0; i < CONNECTIONS; i++) {
		join_thread(contenders[i].thread);
	}
	assert_int_equal(atomic_load(&arena.violations), 0);
	assert_true(atomic_load(&arena.ranges) > 0);
	assert_sqlite(NULL, shm_lock(&contenders[0].file, 0, SLOTS, LOCK_EXCLUSIVE), SQLITE_OK);
	for (size_t i = 0; i < CONNECTIONS; i++) {
		close_vfs_file(&contenders[i].file);
	}
	assert_int_equal(pthread_barrier_destroy(&arena.start), 0);
}

/* Takes a lock that only a range that fails can be in the way of, over and over, until it and the
 * other side have done so often enough. */
struct taker {
	struct vfs_file file;
	int kind;
	atomic_int rounds;
	atomic_int rounds_of_claimer;
	atomic_int failures;
	pthread_t thread;
};

static void *take_one(void *argument)
{
	struct taker *t = argument;

	while (atomic_load(&t->rounds_of_claimer) < ROUNDS || atomic_load(&t->rounds) < ROUNDS) {
		if (shm_lock(&t->file, 3, 1, t->kind) != SQLITE_OK) {
			atomic_fetch_add(&t->failures, 1);
		}
		(void)shm_lock(&t->file, 3, 1, SQLITE_SHM_UNLOCK);
		atomic_fetch_add(&t->rounds, 1);
	}
	return NULL;
}

static void a_range_that_is_refused_is_in_nobodys_way(void **state)
{
	static const int kinds[] = {LOCK_SHARED, LOCK_EXCLUSIVE};
	struct vfs_file holder = open_mapped("/db");
	struct vfs_file claimer = open_mapped("/db");

	(void)state;
	assert_sqlite(NULL, shm_lock(&holder, 7, 1, LOCK_SHARED), SQLITE_OK);
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		struct taker taker = {.kind = kinds[i]};
		int granted = 0;

		taker.file = open_mapped("/db");
		taker.thread = start_thread(take_one, &taker);
		while (atomic_load(&taker.rounds) < ROUNDS ||
			   atomic_load(&taker.rounds_of_claimer) < ROUNDS) {
			granted += shm_lock(&claimer, 3, 5, LOCK_EXCLUSIVE) == SQLITE_OK;
			atomic_fetch_add(&taker.rounds_of_claimer, 1);
		}
		join_thread(taker.thread);
		assert_int_equal(granted, 0);
		assert_int_equal(atomic_load(&taker.failures), 0);
		close_vfs_file(&taker.file);
	}
	close_vfs_file(&holder);
	close_vfs_file(&claimer);
}

/* The protocol of SQLite's index header: two copies, a barrier between. */
struct headers {
	struct vfs_file file;
	atomic_uint *copies;
	atomic_bool stop;
	atomic_int torn;
};

static void *write_headers(void *argument)
{
	struct headers *h = argument;

	for (unsigned value = 1; !atomic_load(&h->stop); value++) {
		atomic_store_explicit(&h->copies[1], value, memory_order_relaxed);
		h->file.file->pMethods->xShmBarrier(h->file.file);
		atomic_store_explicit(&h->copies[0], value, memory_order_relaxed);
		h->file.file->pMethods->xShmBarrier(h->file.file);
	}
	return NULL;
}

static void who_reads_behind_a_barrier_sees_what_was_before_the_writers(void **state)
{
	struct headers h = {0};
	struct vfs_file reader = open_mapped("/db");
	pthread_t writer;

	(void)state;
	h.file = open_mapped("/db");
	h.copies = (atomic_uint *)(void *)mapped(&h.file, 0);
	writer = start_thread(write_headers, &h);
	for (int round = 0; round < ROUNDS; round++) {
		unsigned first = atomic_load_explicit(&h.copies[0], memory_order_relaxed);

		reader.file->pMethods->xShmBarrier(reader.file);
		/* The second copy is written first, so it is as new or newer. */
		if (atomic_load_explicit(&h.copies[1], memory_order_relaxed) < first) {
			atomic_fetch_add(&h.torn, 1);
		}
	}
	atomic_store(&h.stop, true);
	join_thread(writer);
	assert_int_equal(atomic_load(&h.torn), 0);
	close_vfs_file(&reader);
	close_vfs_file(&h.file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATABASE_TEST(a_region_is_made_when_it_is_asked_for_and_zeroed),
		DATABASE_TEST(connections_see_the_same_memory_at_the_same_place),
		DATABASE_TEST(the_index_goes_with_its_last_user),
		DATABASE_TEST(regions_have_one_size),
		DATABASE_TEST(locks_need_the_index),
		DATABASE_TEST(shared_locks_go_together_and_exclusive_ones_do_not),
		DATABASE_TEST(several_locks_are_had_together_or_not_at_all),
		DATABASE_TEST(an_unmap_and_a_close_give_back_all_locks),
		DATABASE_TEST(many_connections_hold_one_lock),
		DATABASE_TEST(any_sequence_of_locks_gives_what_the_model_gives),
		DATABASE_TEST(threads_never_hold_what_another_one_has_exclusively),
		DATABASE_TEST(a_range_that_is_refused_is_in_nobodys_way),
		DATABASE_TEST(who_reads_behind_a_barrier_sees_what_was_before_the_writers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
