/* SPDX-License-Identifier: MIT */
/*
 * Does a limit hold exactly: is what fits granted and what does not fit refused, whatever other
 * threads do between looking at the limit and taking from it?
 */
#include "support.h"

#include "base/test_hook.h"
#include "limit/quota.h"

#include <semaphore.h>

static void exactly_the_limit_fits(void **state)
{
	struct mfs__quota quota;

	(void)state;
	mfs__quota_init(&quota, 100, 0, NULL);
	assert_int_equal(mfs__quota_used(&quota), 0);
	assert_code(mfs__quota_reserve(&quota, 60), 0);
	assert_code(mfs__quota_reserve(&quota, 40), 0);
	assert_int_equal(mfs__quota_used(&quota), 100);
	assert_code(mfs__quota_reserve(&quota, 1), MFS_EQUOTA);
	assert_code(mfs__quota_reserve(&quota, 0), 0);
	mfs__quota_release(&quota, 1);
	assert_code(mfs__quota_reserve(&quota, 2), MFS_EQUOTA);
	assert_code(mfs__quota_reserve(&quota, 1), 0);
	mfs__quota_release(&quota, 100);
	assert_int_equal(mfs__quota_used(&quota), 0);
	mfs__quota_destroy(&quota);
}

static void refusal_changes_nothing(void **state)
{
	struct mfs__quota quota;

	(void)state;
	mfs__quota_init(&quota, 10, 0, NULL);
	assert_code(mfs__quota_reserve(&quota, 7), 0);
	for (uint64_t amount = 4; amount < 40; amount++)
		assert_code(mfs__quota_reserve(&quota, amount), MFS_EQUOTA);
	assert_int_equal(mfs__quota_used(&quota), 7);
	assert_int_equal(mfs__quota_peak(&quota), 7);
	assert_code(mfs__quota_reserve(&quota, 3), 0);
	mfs__quota_destroy(&quota);
}

static void limit_of_nothing_has_room_for_nothing(void **state)
{
	struct mfs__quota quota;

	(void)state;
	mfs__quota_init(&quota, 0, 0, NULL);
	assert_code(mfs__quota_reserve(&quota, 1), MFS_EQUOTA);
	assert_code(mfs__quota_reserve(&quota, 0), 0);
	assert_int_equal(mfs__quota_peak(&quota), 0);
	mfs__quota_destroy(&quota);
}

static void sums_that_overflow_are_refused(void **state)
{
	struct mfs__quota quota;

	(void)state;
	mfs__quota_init(&quota, 10, 0, NULL);
	assert_code(mfs__quota_reserve(&quota, 5), 0);
	/* 5 + these wrap around to 4 and less, or to 5 and more. */
	assert_code(mfs__quota_reserve(&quota, UINT64_MAX), MFS_EQUOTA);
	assert_code(mfs__quota_reserve(&quota, UINT64_MAX - 4), MFS_EQUOTA);
	assert_code(mfs__quota_reserve(&quota, UINT64_MAX - 5), MFS_EQUOTA);
	assert_code(mfs__quota_reserve(&quota, UINT64_C(1) << 63), MFS_EQUOTA);
	assert_int_equal(mfs__quota_used(&quota), 5);

	mfs__quota_destroy(&quota);
	mfs__quota_init(&quota, UINT64_MAX, 0, NULL);
	assert_code(mfs__quota_reserve(&quota, UINT64_MAX), 0);
	assert_code(mfs__quota_reserve(&quota, 1), MFS_EQUOTA);
	assert_code(mfs__quota_reserve(&quota, UINT64_MAX), MFS_EQUOTA);
	mfs__quota_release(&quota, UINT64_MAX);
	assert_code(mfs__quota_reserve(&quota, UINT64_MAX - 1), 0);
	assert_code(mfs__quota_reserve(&quota, 1), 0);
	assert_int_equal(mfs__quota_peak(&quota), UINT64_MAX);
	mfs__quota_destroy(&quota);
}

static void peak_is_the_most_that_was_used(void **state)
{
	struct mfs__quota quota;

	(void)state;
	mfs__quota_init(&quota, 100, 0, NULL);
	assert_code(mfs__quota_reserve(&quota, 30), 0);
	assert_code(mfs__quota_reserve(&quota, 20), 0);
	assert_int_equal(mfs__quota_peak(&quota), 50);
	mfs__quota_release(&quota, 50);
	assert_int_equal(mfs__quota_peak(&quota), 50);
	assert_code(mfs__quota_reserve(&quota, 49), 0);
	assert_int_equal(mfs__quota_peak(&quota), 50);
	assert_code(mfs__quota_reserve(&quota, 90), MFS_EQUOTA);
	assert_int_equal(mfs__quota_peak(&quota), 50);
	assert_code(mfs__quota_reserve(&quota, 2), 0);
	assert_int_equal(mfs__quota_peak(&quota), 51);
	mfs__quota_destroy(&quota);
}

/*
 * A thread that goes from stop to stop, one step each time it is told to: it reserves, stops each
 * time it has seen room, stops when it has what it wanted, releases that.
 */
enum stop {
	STOP_READY,
	STOP_ROOM_SEEN,
	STOP_HOLDS,
	STOP_REFUSED, /* final */
	STOP_RELEASED /* final */
};

struct actor {
	struct mfs__quota *quota;
	uint64_t amount;
	enum stop stop; /* where it stands; the controller looks between steps only */
	bool end;       /* no more rounds */
	sem_t go;
	sem_t stopped;
	pthread_t thread;
};

/* The thread's own: its actor, or NULL for threads that never stop. */
static _Thread_local struct actor *self;

static void stop_at(struct actor *actor, enum stop stop)
{
	actor->stop = stop;
	(void)sem_post(&actor->stopped);
	while (sem_wait(&actor->go))
		continue; /* interrupted by a signal */
}

static void stop_where_room_was_seen(const char *point)
{
	if (self && strcmp(point, "quota: room seen") == 0)
		stop_at(self, STOP_ROOM_SEEN);
}

static void *act(void *argument)
{
	self = argument;
	while (stop_at(self, STOP_READY), !self->end) {
		if (mfs__quota_reserve(self->quota, self->amount) == 0) {
			stop_at(self, STOP_HOLDS);
			mfs__quota_release(self->quota, self->amount);
			stop_at(self, STOP_RELEASED);
		} else {
			stop_at(self, STOP_REFUSED);
		}
	}
	return NULL;
}

static enum stop await_stop(struct actor *actor)
{
	while (sem_wait(&actor->stopped))
		continue; /* interrupted by a signal */
	return actor->stop;
}

/* Let the actor go to its next stop. */
static enum stop step(struct actor *actor)
{
	assert_int_equal(sem_post(&actor->go), 0);
	return await_stop(actor);
}

static void actor_start(struct actor *actor, struct mfs__quota *quota, uint64_t amount)
{
	*actor = (struct actor){.quota = quota, .amount = amount};
	assert_int_equal(sem_init(&actor->go, 0, 0), 0);
	assert_int_equal(sem_init(&actor->stopped, 0, 0), 0);
	actor->thread = start_thread(act, actor);
	assert_int_equal(await_stop(actor), STOP_READY);
}

/* The actor stands at STOP_READY. */
static void actor_end(struct actor *actor)
{
	actor->end = true;
	assert_int_equal(sem_post(&actor->go), 0);
	join_thread(actor->thread);
	assert_int_equal(sem_destroy(&actor->go), 0);
	assert_int_equal(sem_destroy(&actor->stopped), 0);
}

static void set_hook(mfs__yield_function *hook)
{
	/* pairs with the acquire load in mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, hook, memory_order_release);
}

static void room_that_was_seen_and_then_taken_is_refused(void **state)
{
	struct mfs__quota quota;
	struct actor late;

	(void)state;
	mfs__quota_init(&quota, 10, 0, NULL);
	set_hook(stop_where_room_was_seen);
	assert_code(mfs__quota_reserve(&quota, 9), 0);
	actor_start(&late, &quota, 1);
	assert_int_equal(step(&late), STOP_ROOM_SEEN);
	assert_code(mfs__quota_reserve(&quota, 1), 0);
	assert_int_equal(step(&late), STOP_REFUSED);
	assert_int_equal(mfs__quota_used(&quota), 10);
	assert_int_equal(mfs__quota_peak(&quota), 10);
	assert_int_equal(step(&late), STOP_READY);
	actor_end(&late);
	set_hook(NULL);
	mfs__quota_destroy(&quota);
}

static void room_that_was_given_back_in_between_is_granted(void **state)
{
	struct mfs__quota quota;
	struct actor late;

	(void)state;
	mfs__quota_init(&quota, 10, 0, NULL);
	set_hook(stop_where_room_was_seen);
	assert_code(mfs__quota_reserve(&quota, 9), 0);
	actor_start(&late, &quota, 1);

	/* Taken and given back: all is as it was. */
	assert_int_equal(step(&late), STOP_ROOM_SEEN);
	assert_code(mfs__quota_reserve(&quota, 1), 0);
	mfs__quota_release(&quota, 1);
	enum stop stop = step(&late);
	while (stop == STOP_ROOM_SEEN) /* where the processor's weak exchange fails for no reason */
		stop = step(&late);
	assert_int_equal(stop, STOP_HOLDS);
	assert_int_equal(mfs__quota_used(&quota), 10);
	assert_int_equal(step(&late), STOP_RELEASED);
	assert_int_equal(step(&late), STOP_READY);

	/* Taken, and more given back: it looks again and finds room again. */
	assert_int_equal(step(&late), STOP_ROOM_SEEN);
	assert_code(mfs__quota_reserve(&quota, 1), 0);
	mfs__quota_release(&quota, 3);
	assert_int_equal(step(&late), STOP_ROOM_SEEN);
	assert_int_equal(mfs__quota_used(&quota), 7);
	stop = step(&late);
	while (stop == STOP_ROOM_SEEN)
		stop = step(&late);
	assert_int_equal(stop, STOP_HOLDS);
	assert_int_equal(mfs__quota_used(&quota), 8);
	assert_int_equal(step(&late), STOP_RELEASED);
	assert_int_equal(step(&late), STOP_READY);
	actor_end(&late);
	set_hook(NULL);
	mfs__quota_destroy(&quota);
}

#define ACTORS    3
#define STEPS_MAX 64
#define LIMIT     10

/* Which of the actors that can go on goes on, for each step of a schedule. */
struct schedule {
	unsigned length;
	unsigned choice[STEPS_MAX];
	unsigned choices[STEPS_MAX];
};

/* Run one schedule, choosing the first actor where it says nothing yet. */
static void run_schedule(struct schedule *schedule, struct mfs__quota *quota, struct actor *actors)
{
	bool final[ACTORS] = {false};
	uint64_t held = 0;
	uint64_t most = 0;
	unsigned length = 0;

	mfs__quota_init(quota, LIMIT, 0, NULL);
	for (unsigned left = ACTORS; left > 0; length++) {
		assert_true(length < STEPS_MAX);
		if (length >= schedule->length) {
			schedule->choice[length] = 0;
			schedule->length = length + 1;
		}
		schedule->choices[length] = left;
		unsigned skip = left > 1 ? schedule->choice[length] % left : 0;
		struct actor *actor = actors;
		while (final[actor - actors] || skip-- > 0)
			actor++;

		enum stop stop = step(actor);
		if (stop == STOP_HOLDS) {
			held += actor->amount;
		} else if (stop == STOP_REFUSED) {
			/* Nobody else moved during the step: there was no room during all of it. */
			assert_true(held + actor->amount > LIMIT);
		} else if (stop == STOP_RELEASED) {
			held -= actor->amount;
		} else {
			assert_int_equal(stop, STOP_ROOM_SEEN);
			assert_true(held + actor->amount <= LIMIT);
		}
		if (stop == STOP_REFUSED || stop == STOP_RELEASED) {
			final[actor - actors] = true;
			left--;
		}
		if (held > most)
			most = held;
		/* After each step: exactly what is held, never more than the limit. */
		assert_int_equal(mfs__quota_used(quota), held);
		assert_true(held <= LIMIT);
		assert_int_equal(mfs__quota_peak(quota), most);
	}
	schedule->length = length;
	for (unsigned i = 0; i < ACTORS; i++)
		assert_int_equal(step(&actors[i]), STOP_READY);
	mfs__quota_destroy(quota);
}

/* Turn to the next schedule, the last choice first. Returns false after the last one. */
static bool next_schedule(struct schedule *schedule)
{
	while (schedule->length > 0) {
		unsigned last = schedule->length - 1;
		if (++schedule->choice[last] < schedule->choices[last])
			return true;
		schedule->length = last;
	}
	return false;
}

static void all_orders_of_three_threads_keep_the_limit(void **state)
{
	static const uint64_t amounts[ACTORS] = {6, 5, 4}; /* 6 + 4 and 5 + 4 fit, 6 + 5 do not */
	struct mfs__quota quota;
	struct actor actors[ACTORS];
	struct schedule schedule = {0};
	unsigned schedules = 0;

	(void)state;
	set_hook(stop_where_room_was_seen);
	for (unsigned i = 0; i < ACTORS; i++)
		actor_start(&actors[i], &quota, amounts[i]);
	do {
		run_schedule(&schedule, &quota, actors);
		schedules++;
	} while (next_schedule(&schedule));
	for (unsigned i = 0; i < ACTORS; i++)
		actor_end(&actors[i]);
	set_hook(NULL);
	/* Three threads of two steps and more: fewer would mean that orders were left out. */
	assert_true(schedules >= 90);
	print_message("%u orders\n", schedules);
}

#define SHARERS 4

struct sharer {
	struct mfs__quota *quota;
	struct rng rng;
	uint64_t over;
	uint64_t granted;
	pthread_t thread;
};

static void *share(void *argument)
{
	struct sharer *sharer = argument;

	for (int i = 0; i < 20000; i++) {
		uint64_t amount = rng_below(&sharer->rng, 600);
		if (mfs__quota_reserve(sharer->quota, amount))
			continue;
		sharer->granted++;
		if (mfs__quota_used(sharer->quota) > sharer->quota->limit)
			sharer->over++;
		mfs__quota_release(sharer->quota, amount);
	}
	return NULL;
}

static void threads_at_once_never_exceed_the_limit(void **state)
{
	struct mfs__quota quota;
	struct sharer sharers[SHARERS];

	(void)state;
	mfs__quota_init(&quota, 1000, 0, NULL);
	for (unsigned i = 0; i < SHARERS; i++) {
		sharers[i] = (struct sharer){.quota = &quota, .rng = {77 + i}};
		sharers[i].thread = start_thread(share, &sharers[i]);
	}
	for (unsigned i = 0; i < SHARERS; i++)
		join_thread(sharers[i].thread);
	for (unsigned i = 0; i < SHARERS; i++) {
		assert_int_equal(sharers[i].over, 0);
		assert_true(sharers[i].granted > 0);
	}
	assert_int_equal(mfs__quota_used(&quota), 0);
	assert_true(mfs__quota_peak(&quota) > 0);
	assert_true(mfs__quota_peak(&quota) <= 1000);
	mfs__quota_destroy(&quota);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exactly_the_limit_fits),
		cmocka_unit_test(refusal_changes_nothing),
		cmocka_unit_test(limit_of_nothing_has_room_for_nothing),
		cmocka_unit_test(sums_that_overflow_are_refused),
		cmocka_unit_test(peak_is_the_most_that_was_used),
		cmocka_unit_test(room_that_was_seen_and_then_taken_is_refused),
		cmocka_unit_test(room_that_was_given_back_in_between_is_granted),
		cmocka_unit_test(all_orders_of_three_threads_keep_the_limit),
		cmocka_unit_test(threads_at_once_never_exceed_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
