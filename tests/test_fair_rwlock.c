/* SPDX-License-Identifier: MIT */
/*
 * Does the lock exclude whom it must, serve those who wait in the order of arrival, starve nobody,
 * and stay whole whoever unlocks it and whoever stops waiting?
 */
#include "support.h"

#include "await.h"
#include "base/clock.h"
#include "base/fair_rwlock.h"

/* Far enough away to count as a hang, near enough to end one. */
#define FAR (30 * MFS__NS_PER_S)

/* Readers that passed a writer after which the next one waits the longest: 1.28 s. */
#define PASSED_OFTEN 7

static void assert_unlocked(struct mfs__rwlock *lock)
{
	assert_int_equal(atomic_load(&lock->state), 0);
	assert_int_equal(atomic_load(&lock->queue_lock), 0);
	assert_null(lock->head);
	assert_null(lock->tail);
}

/* A thread that takes the lock, stays inside until told to leave, and unlocks. */
struct contender {
	struct mfs__rwlock *lock;
	bool writer;
	int64_t deadline;
	atomic_int *entered; /* counts who got in, to number the places */
	int place;           /* valid once inside or joined */
	int64_t returned_at; /* valid once done */
	atomic_bool inside;
	atomic_bool leave;
	atomic_bool done; /* got in and out again, or gave up */
	bool got_in;      /* valid once joined */
	struct mfs__rwlock_waiter waiter;
	pthread_t thread;
};

/* mfs__rwlock_lock_until(), with a ticket that outlives the thread. */
static bool take(struct contender *contender)
{
	struct mfs__rwlock *lock = contender->lock;

	if (contender->writer ? mfs__rwlock_try_write(lock) : mfs__rwlock_try_read(lock))
		return true;
	if (!mfs__rwlock_wait(lock, contender->writer, contender->deadline, &contender->waiter))
		return false;
	mfs__rwlock_wait_done(&contender->waiter);
	return true;
}

static void *contend(void *argument)
{
	struct contender *contender = argument;

	contender->got_in = take(contender);
	contender->returned_at = mfs__now();
	if (contender->got_in) {
		contender->place = atomic_fetch_add(contender->entered, 1);
		atomic_store(&contender->inside, true);
		while (!atomic_load(&contender->leave))
			(void)sched_yield();
		atomic_store(&contender->inside, false);
		if (contender->writer)
			mfs__rwlock_unlock_write(contender->lock);
		else
			mfs__rwlock_unlock_read(contender->lock);
	}
	atomic_store(&contender->done, true);
	return NULL;
}

static void contender_start(struct contender *contender, struct mfs__rwlock *lock, bool writer,
							int64_t deadline, atomic_int *entered)
{
	*contender = (struct contender){
		.lock = lock, .writer = writer, .deadline = deadline, .entered = entered, .place = -1};
	contender->thread = start_thread(contend, contender);
}

static bool is_inside(struct contender *contender)
{
	return atomic_load(&contender->inside);
}

static void contender_leave(struct contender *contender)
{
	atomic_store(&contender->leave, true);
	join_thread(contender->thread);
}

static void lock_has_24_bytes(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct mfs__rwlock), 24);
}

static void readers_share_and_a_writer_excludes(void **state)
{
	struct mfs__rwlock lock = {0};

	(void)state;
	assert_true(mfs__rwlock_try_read(&lock));
	assert_true(mfs__rwlock_try_read(&lock));
	assert_false(mfs__rwlock_try_write(&lock));
	mfs__rwlock_unlock_read(&lock);
	assert_false(mfs__rwlock_try_write(&lock));
	mfs__rwlock_unlock_read(&lock);
	assert_true(mfs__rwlock_try_write(&lock));
	assert_false(mfs__rwlock_try_write(&lock));
	assert_false(mfs__rwlock_try_read(&lock));
	mfs__rwlock_unlock_write(&lock);
	assert_unlocked(&lock);
}

static void at_once_does_not_wait_and_leaves_no_trace(void **state)
{
	struct mfs__rwlock lock = {0};
	struct mfs__rwlock_waiter waiter;

	(void)state;
	assert_true(mfs__rwlock_lock_until(&lock, true, MFS__AT_ONCE));
	assert_false(mfs__rwlock_lock_until(&lock, true, MFS__AT_ONCE));
	assert_false(mfs__rwlock_lock_until(&lock, false, MFS__AT_ONCE));
	assert_false(mfs__rwlock_wait(&lock, false, MFS__AT_ONCE, &waiter));
	assert_int_equal(atomic_load(&lock.state), MFS__RWLOCK_WRITER);
	mfs__rwlock_unlock_write(&lock);
	assert_true(mfs__rwlock_lock_until(&lock, false, MFS__AT_ONCE));
	assert_true(mfs__rwlock_lock_until(&lock, false, MFS__AT_ONCE));
	assert_false(mfs__rwlock_lock_until(&lock, true, MFS__AT_ONCE));
	assert_int_equal(atomic_load(&lock.state), 2);
	mfs__rwlock_unlock_read(&lock);
	mfs__rwlock_unlock_read(&lock);
	assert_unlocked(&lock);
}

static void *unlock_write(void *lock)
{
	mfs__rwlock_unlock_write(lock);
	return NULL;
}

static void *unlock_read(void *lock)
{
	mfs__rwlock_unlock_read(lock);
	return NULL;
}

static void *lock_write(void *lock)
{
	mfs__rwlock_lock_write(lock);
	return NULL;
}

static void *lock_read(void *lock)
{
	mfs__rwlock_lock_read(lock);
	return NULL;
}

static void any_thread_may_unlock(void **state)
{
	struct mfs__rwlock lock = {0};

	(void)state;
	for (int round = 0; round < 20; round++) {
		mfs__rwlock_lock_write(&lock);
		join_thread(start_thread(unlock_write, &lock));
		assert_unlocked(&lock);
		mfs__rwlock_lock_read(&lock);
		join_thread(start_thread(unlock_read, &lock));
		assert_unlocked(&lock);
		/* The thread that locks is gone when another one unlocks. */
		join_thread(start_thread(lock_write, &lock));
		assert_false(mfs__rwlock_try_read(&lock));
		mfs__rwlock_unlock_write(&lock);
		assert_unlocked(&lock);
		join_thread(start_thread(lock_read, &lock));
		assert_false(mfs__rwlock_try_write(&lock));
		mfs__rwlock_unlock_read(&lock);
		assert_unlocked(&lock);
	}
}

static void another_thread_unlocks_for_one_that_waits(void **state)
{
	struct mfs__rwlock lock = {0};
	struct contender waiting;
	atomic_int entered = 0;

	(void)state;
	mfs__rwlock_lock_write(&lock);
	contender_start(&waiting, &lock, true, MFS__NEVER, &entered);
	AWAIT(mfs__rwlock_waiters(&lock) == 1);
	join_thread(start_thread(unlock_write, &lock));
	AWAIT(is_inside(&waiting));
	contender_leave(&waiting);
	assert_unlocked(&lock);
}

static void queued_writer_keeps_newcomers_out(void **state)
{
	struct mfs__rwlock lock = {0};
	struct contender writer;
	atomic_int entered = 0;

	(void)state;
	mfs__rwlock_lock_read(&lock);
	contender_start(&writer, &lock, true, MFS__NEVER, &entered);
	AWAIT(mfs__rwlock_waiters(&lock) == 1);
	/* It would fit: the lock is only held shared. */
	assert_false(mfs__rwlock_try_read(&lock));
	assert_false(mfs__rwlock_lock_until(&lock, false, MFS__AT_ONCE));
	assert_false(mfs__rwlock_try_write(&lock));
	assert_false(is_inside(&writer));
	mfs__rwlock_unlock_read(&lock);
	AWAIT(is_inside(&writer));
	contender_leave(&writer);
	assert_unlocked(&lock);
}

/*
 * Queue up one thread for each letter, W or R, then look who is served when. No R may follow a W
 * that follows an R: the last R would get in past the W, as L3 wants it.
 */
static void serve(const char *pattern)
{
	struct mfs__rwlock lock = {0};
	struct contender contenders[8];
	unsigned count = (unsigned)strlen(pattern);
	atomic_int entered = 0;

	assert_true(count <= COUNT_OF(contenders));
	mfs__rwlock_lock_write(&lock);
	for (unsigned i = 0; i < count; i++) {
		contender_start(&contenders[i], &lock, pattern[i] == 'W', MFS__NEVER, &entered);
		AWAIT(mfs__rwlock_waiters(&lock) == i + 1);
	}
	assert_int_equal(atomic_load(&entered), 0);
	assert_false(mfs__rwlock_try_read(&lock));
	mfs__rwlock_unlock_write(&lock);

	for (unsigned first = 0, end = 0; first < count; first = end) {
		for (end = first + 1; pattern[first] == 'R' && end < count && pattern[end] == 'R';)
			end++;
		/* All of a group are inside at once, and nobody else. */
		for (unsigned i = first; i < end; i++)
			AWAIT(is_inside(&contenders[i]));
		assert_int_equal(atomic_load(&entered), end);
		assert_int_equal(mfs__rwlock_waiters(&lock), count - end);
		assert_int_equal(atomic_load(&lock.state) & ~MFS__RWLOCK_QUEUED,
						 pattern[first] == 'W' ? MFS__RWLOCK_WRITER : end - first);
		for (unsigned i = first; i < end; i++) {
			assert_true(contenders[i].place >= (int)first && contenders[i].place < (int)end);
			if (i > first)
				assert_int_equal(mfs__rwlock_waiters(&lock), count - end);
			contender_leave(&contenders[i]);
		}
	}
	assert_unlocked(&lock);
}

static void waiting_threads_are_served_in_order(void **state)
{
	(void)state;
	serve("WRRW");
	serve("WWWW");
	serve("RRRR");
	serve("RRWW");
	serve("WWRR");
	serve("WWRRRRWW");
}

static void reader_that_reads_already_gets_in_past_a_writer(void **state)
{
	struct mfs__rwlock lock = {0};
	struct contender writer;
	atomic_int entered = 0;

	(void)state;
	mfs__rwlock_lock_read(&lock);
	contender_start(&writer, &lock, true, MFS__NEVER, &entered);
	AWAIT(mfs__rwlock_waiters(&lock) == 1);
	/* Without L3 this thread would wait for the writer, and the writer for this thread. */
	assert_true(mfs__rwlock_lock_until(&lock, false, mfs__now() + 5 * MFS__NS_PER_S));
	assert_true(mfs__rwlock_lock_until(&lock, false, mfs__now() + 5 * MFS__NS_PER_S));
	assert_false(is_inside(&writer));
	assert_int_equal(mfs__rwlock_waiters(&lock), 1);
	mfs__rwlock_unlock_read(&lock);
	mfs__rwlock_unlock_read(&lock);
	assert_false(is_inside(&writer));
	mfs__rwlock_unlock_read(&lock);
	AWAIT(is_inside(&writer));
	contender_leave(&writer);
	assert_unlocked(&lock);
}

static void reader_does_not_pass_a_writer_that_is_inside(void **state)
{
	struct mfs__rwlock lock = {0};

	(void)state;
	mfs__rwlock_lock_write(&lock);
	/* Longer than the patience of L3. */
	assert_false(mfs__rwlock_lock_until(&lock, false, mfs__now() + 50 * MFS__NS_PER_MS));
	assert_int_equal(atomic_load(&lock.state), MFS__RWLOCK_WRITER);
	mfs__rwlock_unlock_write(&lock);
	assert_unlocked(&lock);
}

/* The threads that are queued or were, counted so that the one that gives up may be either. */
static unsigned queued_or_gone(struct mfs__rwlock *lock, struct contender *one)
{
	unsigned gone = atomic_load(&one->done) ? 1 : 0; /* first: it leaves the queue before */

	return gone + mfs__rwlock_waiters(lock);
}

static void waiter_that_gives_up_leaves_the_queue_whole(void **state)
{
	(void)state;
	for (unsigned position = 0; position < 3; position++) {
		for (unsigned kind = 0; kind < 2; kind++) {
			struct mfs__rwlock lock = {0};
			struct contender contenders[4];
			struct contender *impatient = &contenders[position];
			atomic_int entered = 0;

			mfs__rwlock_lock_write(&lock);
			for (unsigned i = 0; i < 3; i++) {
				bool gives_up = i == position;
				contender_start(&contenders[i], &lock, gives_up ? kind == 1 : true,
								gives_up ? mfs__now() + 20 * MFS__NS_PER_MS : MFS__NEVER, &entered);
				if (i < position)
					AWAIT(mfs__rwlock_waiters(&lock) == i + 1);
				else
					AWAIT(queued_or_gone(&lock, impatient) == i + 1);
			}
			join_thread(impatient->thread);
			assert_false(impatient->got_in);
			assert_true(impatient->returned_at >= impatient->deadline);
			assert_int_equal(mfs__rwlock_waiters(&lock), 2);
			/* The queue still takes a newcomer, behind the others. */
			contender_start(&contenders[3], &lock, true, MFS__NEVER, &entered);
			AWAIT(mfs__rwlock_waiters(&lock) == 3);
			mfs__rwlock_unlock_write(&lock);
			int place = 0;
			for (unsigned i = 0; i < 4; i++) {
				if (i == position)
					continue;
				AWAIT(is_inside(&contenders[i]));
				assert_int_equal(contenders[i].place, place++);
				contender_leave(&contenders[i]);
			}
			assert_unlocked(&lock);
		}
	}
}

static void only_waiter_that_gives_up_leaves_nothing(void **state)
{
	struct mfs__rwlock lock = {0};
	int64_t deadline = mfs__now() + 5 * MFS__NS_PER_MS;

	(void)state;
	mfs__rwlock_lock_read(&lock);
	assert_false(mfs__rwlock_lock_until(&lock, true, deadline));
	assert_true(mfs__now() >= deadline);
	assert_int_equal(atomic_load(&lock.state), 1);
	assert_null(lock.head);
	assert_null(lock.tail);
	/* Newcomers are not kept out by somebody who is not there any more. */
	assert_true(mfs__rwlock_try_read(&lock));
	mfs__rwlock_unlock_read(&lock);
	mfs__rwlock_unlock_read(&lock);
	assert_unlocked(&lock);
}

static void deadline_in_the_past_gives_up(void **state)
{
	struct mfs__rwlock lock = {0};

	(void)state;
	mfs__rwlock_lock_write(&lock);
	assert_false(mfs__rwlock_lock_until(&lock, true, mfs__now() - 1));
	assert_false(mfs__rwlock_lock_until(&lock, false, 0));
	assert_int_equal(atomic_load(&lock.state), MFS__RWLOCK_WRITER);
	mfs__rwlock_unlock_write(&lock);
	assert_unlocked(&lock);
	/* A deadline says how long to wait, not that there is a need to. */
	assert_true(mfs__rwlock_lock_until(&lock, true, mfs__now() - 1));
	mfs__rwlock_unlock_write(&lock);
	assert_unlocked(&lock);
}

static void writer_that_gives_up_lets_in_the_readers_behind_it(void **state)
{
	struct mfs__rwlock lock = {0};
	struct contender writer;
	struct contender readers[2];
	atomic_int entered = 0;

	(void)state;
	mfs__rwlock_lock_read(&lock);
	contender_start(&writer, &lock, true, mfs__now() + 200 * MFS__NS_PER_MS, &entered);
	AWAIT(queued_or_gone(&lock, &writer) == 1);
	/* So that L3 does not let the readers in before: they wait 1.28 s. */
	writer.waiter.passed = PASSED_OFTEN;
	for (unsigned i = 0; i < 2; i++) {
		contender_start(&readers[i], &lock, false, MFS__NEVER, &entered);
		AWAIT(is_inside(&readers[i]) || queued_or_gone(&lock, &writer) == i + 2);
	}
	join_thread(writer.thread);
	assert_false(writer.got_in);
	/* Giving up is what hands the lock on: nobody waits any longer, though nobody unlocked. */
	assert_int_equal(mfs__rwlock_waiters(&lock), 0);
	assert_int_equal(atomic_load(&lock.state), 3);
	AWAIT(is_inside(&readers[0]) && is_inside(&readers[1]));
	mfs__rwlock_unlock_read(&lock);
	contender_leave(&readers[0]);
	contender_leave(&readers[1]);
	assert_unlocked(&lock);
}

static void writer_that_gives_up_joins_the_readers_around_it(void **state)
{
	struct mfs__rwlock lock = {0};
	struct contender before;
	struct contender writer;
	struct contender after;
	struct contender last;
	atomic_int entered = 0;

	(void)state;
	mfs__rwlock_lock_write(&lock);
	contender_start(&before, &lock, false, MFS__NEVER, &entered);
	AWAIT(mfs__rwlock_waiters(&lock) == 1);
	contender_start(&writer, &lock, true, mfs__now() + 20 * MFS__NS_PER_MS, &entered);
	AWAIT(queued_or_gone(&lock, &writer) == 2);
	contender_start(&after, &lock, false, MFS__NEVER, &entered);
	AWAIT(queued_or_gone(&lock, &writer) == 3);
	contender_start(&last, &lock, true, MFS__NEVER, &entered);
	AWAIT(queued_or_gone(&lock, &writer) == 4);
	join_thread(writer.thread);
	assert_false(writer.got_in);
	mfs__rwlock_unlock_write(&lock);
	AWAIT(is_inside(&before) && is_inside(&after));
	assert_int_equal(mfs__rwlock_waiters(&lock), 1);
	contender_leave(&after);
	assert_false(is_inside(&last));
	contender_leave(&before);
	AWAIT(is_inside(&last));
	contender_leave(&last);
	assert_unlocked(&lock);
}

#define MIXED_THREADS 6
#define MIXED_ROUNDS  700

/* What the lock guards: plain, so that a lock that does not exclude loses counts. */
struct guarded {
	struct mfs__rwlock lock;
	uint64_t count;
	uint64_t twice;
};

struct mixer {
	struct guarded *guarded;
	struct rng rng;
	uint64_t written;
	uint64_t torn;
	uint64_t given_up;
	pthread_t thread;
};

static void *mix(void *argument)
{
	struct mixer *mixer = argument;
	struct guarded *guarded = mixer->guarded;

	for (int i = 0; i < MIXED_ROUNDS; i++) {
		bool writer = rng_below(&mixer->rng, 3) == 0;
		int64_t wait = (int64_t)rng_below(&mixer->rng, 2 * (size_t)MFS__NS_PER_MS);
		int64_t deadline = rng_below(&mixer->rng, 8) == 0 ? MFS__AT_ONCE : mfs__now() + wait;

		if (!mfs__rwlock_lock_until(&guarded->lock, writer, deadline)) {
			mixer->given_up++;
			continue;
		}
		uint64_t count = guarded->count;
		if (rng_below(&mixer->rng, 2) == 0)
			(void)sched_yield();
		if (guarded->count != count || guarded->twice != 2 * count)
			mixer->torn++;
		if (writer) {
			guarded->count = count + 1;
			guarded->twice = 2 * count + 2;
			mixer->written++;
			mfs__rwlock_unlock_write(&guarded->lock);
		} else {
			mfs__rwlock_unlock_read(&guarded->lock);
		}
	}
	return NULL;
}

static void mixed_threads_with_deadlines_lose_nothing(void **state)
{
	struct guarded guarded = {0};
	struct mixer mixers[MIXED_THREADS];
	uint64_t written = 0;

	(void)state;
	for (unsigned i = 0; i < MIXED_THREADS; i++) {
		mixers[i] = (struct mixer){.guarded = &guarded, .rng = {1000 + i}};
		mixers[i].thread = start_thread(mix, &mixers[i]);
	}
	for (unsigned i = 0; i < MIXED_THREADS; i++)
		join_thread(mixers[i].thread);
	for (unsigned i = 0; i < MIXED_THREADS; i++) {
		assert_int_equal(mixers[i].torn, 0);
		written += mixers[i].written;
	}
	assert_true(written > 0);
	assert_int_equal(guarded.count, written);
	assert_unlocked(&guarded.lock);
}

/* Threads that lock and unlock in a loop, so that the lock is hardly ever free. */
struct crowd {
	struct mfs__rwlock lock;
	bool writers;
	atomic_bool stop;
	atomic_uint rounds;
};

static void *crowd_run(void *argument)
{
	struct crowd *crowd = argument;

	while (!atomic_load(&crowd->stop)) {
		if (crowd->writers) {
			mfs__rwlock_lock_write(&crowd->lock);
			(void)sched_yield();
			mfs__rwlock_unlock_write(&crowd->lock);
		} else {
			mfs__rwlock_lock_read(&crowd->lock);
			(void)sched_yield();
			mfs__rwlock_unlock_read(&crowd->lock);
		}
		atomic_fetch_add(&crowd->rounds, 1);
	}
	return NULL;
}

static void get_in_against_a_crowd(bool writers)
{
	struct crowd crowd = {.writers = writers};
	pthread_t threads[4];
	unsigned missed = 0;

	for (unsigned i = 0; i < COUNT_OF(threads); i++)
		threads[i] = start_thread(crowd_run, &crowd);
	for (int i = 0; i < 20; i++) {
		unsigned before = atomic_load(&crowd.rounds);
		AWAIT(atomic_load(&crowd.rounds) - before >= 8);
		if (!mfs__rwlock_lock_until(&crowd.lock, !writers, mfs__now() + FAR)) {
			missed++;
			break;
		}
		if (writers)
			mfs__rwlock_unlock_read(&crowd.lock);
		else
			mfs__rwlock_unlock_write(&crowd.lock);
	}
	atomic_store(&crowd.stop, true);
	for (unsigned i = 0; i < COUNT_OF(threads); i++)
		join_thread(threads[i]);
	assert_int_equal(missed, 0);
	assert_unlocked(&crowd.lock);
}

static void writer_gets_in_against_readers(void **state)
{
	(void)state;
	get_in_against_a_crowd(false);
}

static void reader_gets_in_against_writers(void **state)
{
	(void)state;
	get_in_against_a_crowd(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lock_has_24_bytes),
		cmocka_unit_test(readers_share_and_a_writer_excludes),
		cmocka_unit_test(at_once_does_not_wait_and_leaves_no_trace),
		cmocka_unit_test(any_thread_may_unlock),
		cmocka_unit_test(another_thread_unlocks_for_one_that_waits),
		cmocka_unit_test(queued_writer_keeps_newcomers_out),
		cmocka_unit_test(waiting_threads_are_served_in_order),
		cmocka_unit_test(reader_that_reads_already_gets_in_past_a_writer),
		cmocka_unit_test(reader_does_not_pass_a_writer_that_is_inside),
		cmocka_unit_test(waiter_that_gives_up_leaves_the_queue_whole),
		cmocka_unit_test(only_waiter_that_gives_up_leaves_nothing),
		cmocka_unit_test(deadline_in_the_past_gives_up),
		cmocka_unit_test(writer_that_gives_up_lets_in_the_readers_behind_it),
		cmocka_unit_test(writer_that_gives_up_joins_the_readers_around_it),
		cmocka_unit_test(mixed_threads_with_deadlines_lose_nothing),
		cmocka_unit_test(writer_gets_in_against_readers),
		cmocka_unit_test(reader_gets_in_against_writers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
