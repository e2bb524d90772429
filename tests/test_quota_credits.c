/* SPDX-License-Identifier: MIT */
/*
 * Does a limit hold exactly while parts of what is free lie in the credits of stripes, and while
 * they are on their way?
 */
#include "support.h"

#include "await.h"
#include "step_aside.h"

#include "base/stripe.h"
#include "base/test_hook.h"
#include "limit/guard.h"
#include "limit/quota.h"

#include <semaphore.h>

#define BATCH UINT64_C(64)
/* The smallest limit that has such batches, and credits at all. */
#define LIMIT (1024 * BATCH)
/* More calls than it takes to open a quota. */
#define MANY 100

/* Let the calling thread be one of this stripe. */
static void be_on_stripe(unsigned stripe)
{
	mfs__stripe_of_thread = stripe + 1;
}

static bool is_open(const struct mfs__quota *quota)
{
	return atomic_load_explicit(&quota->open, memory_order_relaxed) != NULL;
}

static uint64_t room_of(const struct mfs__quota *quota)
{
	return atomic_load_explicit(&quota->room, memory_order_relaxed);
}

static int64_t credit_of(const struct mfs__quota *quota, unsigned stripe)
{
	return atomic_load_explicit(&quota->credits[stripe].bytes, memory_order_relaxed);
}

/* A byte to and fro. Returns whether that worked. */
static bool touch(struct mfs__quota *quota, unsigned stripe)
{
	be_on_stripe(stripe);
	if (mfs__quota_reserve(quota, 1))
		return false;
	mfs__quota_release(quota, 1);
	return true;
}

/* Take turns, as two threads would. */
static void take_turns(struct mfs__quota *quota)
{
	for (unsigned i = 0; i < MANY && !is_open(quota); i++)
		assert_true(touch(quota, i % 2));
}

/* An open quota, with nothing reserved. The calling thread is on stripe 0. */
static void open_quota(struct mfs__quota *quota, uint64_t limit)
{
	mfs__quota_init(quota, limit, BATCH, NULL);
	take_turns(quota);
	assert_true(is_open(quota));
	be_on_stripe(0);
}

/* Let a stripe have a batch and more. The calling thread is on it then. */
static void fill_credit(struct mfs__quota *quota, unsigned stripe)
{
	be_on_stripe(stripe);
	assert_code(mfs__quota_reserve(quota, BATCH / 2), 0);
	mfs__quota_release(quota, BATCH / 2);
	assert_true(credit_of(quota, stripe) >= (int64_t)BATCH);
}

static void close_quota(struct mfs__quota *quota)
{
	pthread_mutex_lock(&quota->mutex);
	mfs__quota_close(quota);
	pthread_mutex_unlock(&quota->mutex);
}

/* Nothing is reserved, and that is known; then it goes. */
static void destroy_empty(struct mfs__quota *quota)
{
	assert_int_equal(mfs__quota_used(quota), 0);
	close_quota(quota);
	assert_int_equal(mfs__quota_used(quota), 0);
	assert_int_equal(room_of(quota), quota->limit);
	mfs__quota_destroy(quota);
}

/*
 * Opening and closing
 */

static void one_thread_works_on_the_room(void **state)
{
	struct mfs__quota quota;

	(void)state;
	mfs__quota_init(&quota, LIMIT, BATCH, NULL);
	for (unsigned i = 0; i < MANY; i++) {
		assert_true(touch(&quota, 7));
		assert_false(is_open(&quota));
	}
	destroy_empty(&quota);
}

static void threads_that_take_turns_get_credits(void **state)
{
	struct mfs__quota quota;

	(void)state;
	mfs__quota_init(&quota, LIMIT, BATCH, NULL);
	/* Once is no taking of turns. */
	assert_true(touch(&quota, 1));
	assert_true(touch(&quota, 2));
	assert_false(is_open(&quota));
	take_turns(&quota);
	assert_true(is_open(&quota));
	destroy_empty(&quota);
}

static void without_batches_it_never_opens(void **state)
{
	/* No batches wanted, or too few bytes for them. */
	static const struct {
		uint64_t limit;
		uint64_t batch;
	} cases[] = {{LIMIT, 0}, {INT64_MAX, 0}, {1, BATCH}, {1000, BATCH}};
	struct mfs__quota quota;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		mfs__quota_init(&quota, cases[i].limit, cases[i].batch, NULL);
		take_turns(&quota);
		assert_false(is_open(&quota));
		assert_code(mfs__quota_reserve(&quota, cases[i].limit), 0);
		assert_code(mfs__quota_reserve(&quota, 1), MFS_EQUOTA);
		mfs__quota_release(&quota, cases[i].limit);
		destroy_empty(&quota);
	}
	mfs__quota_init(&quota, 0, BATCH, NULL);
	assert_code(mfs__quota_reserve(&quota, 1), MFS_EQUOTA);
	assert_code(mfs__quota_reserve(&quota, 0), 0);
	destroy_empty(&quota);
}

static void it_does_not_open_where_little_is_free(void **state)
{
	struct mfs__quota quota;

	(void)state;
	mfs__quota_init(&quota, LIMIT, BATCH, NULL);
	be_on_stripe(0);
	assert_code(mfs__quota_reserve(&quota, LIMIT - 2 * BATCH), 0);
	take_turns(&quota);
	assert_false(is_open(&quota));
	mfs__quota_release(&quota, LIMIT - 2 * BATCH);
	take_turns(&quota);
	assert_true(is_open(&quota));
	destroy_empty(&quota);
}

static void it_closes_when_little_is_left_and_refuses_nothing_before_the_end(void **state)
{
	struct mfs__quota quota;
	uint64_t used = 0;

	(void)state;
	open_quota(&quota, LIMIT);
	/* Credit that lies about elsewhere. */
	for (unsigned stripe = 1; stripe < MFS__STRIPES; stripe++)
		fill_credit(&quota, stripe);
	be_on_stripe(0);
	while (is_open(&quota)) {
		assert_code(mfs__quota_reserve(&quota, 10), 0);
		used += 10;
		assert_true(used < LIMIT);
	}
	assert_true(LIMIT - used < LIMIT / 2);
	assert_int_equal(mfs__quota_used(&quota), used);
	for (; used < LIMIT; used++)
		assert_code(mfs__quota_reserve(&quota, 1), 0);
	assert_code(mfs__quota_reserve(&quota, 1), MFS_EQUOTA);
	assert_int_equal(mfs__quota_peak(&quota), LIMIT);
	mfs__quota_release(&quota, LIMIT);
	destroy_empty(&quota);
}

/*
 * Open
 */

static void small_amounts_leave_the_room_alone(void **state)
{
	struct mfs__quota quota;

	(void)state;
	open_quota(&quota, LIMIT);
	fill_credit(&quota, 0);
	uint64_t room = room_of(&quota);
	for (unsigned i = 0; i < BATCH; i++)
		assert_code(mfs__quota_reserve(&quota, 1), 0);
	assert_int_equal(mfs__quota_used(&quota), BATCH);
	for (unsigned i = 0; i < BATCH; i++)
		mfs__quota_release(&quota, 1);
	assert_int_equal(room_of(&quota), room);
	destroy_empty(&quota);
}

static void credit_that_grows_too_large_goes_back_to_the_room(void **state)
{
	struct mfs__quota quota;

	(void)state;
	open_quota(&quota, LIMIT);
	assert_code(mfs__quota_reserve(&quota, LIMIT / 2), 0);
	uint64_t room = room_of(&quota);
	for (unsigned i = 0; i < LIMIT / 2; i++) {
		mfs__quota_release(&quota, 1);
		assert_true(credit_of(&quota, 0) <= 2 * (int64_t)BATCH);
	}
	assert_true(is_open(&quota));
	assert_true(room_of(&quota) >= room + LIMIT / 2 - 2 * BATCH);
	destroy_empty(&quota);
}

static void more_than_a_batch_goes_past_the_credit(void **state)
{
	struct mfs__quota quota;

	(void)state;
	open_quota(&quota, LIMIT);
	fill_credit(&quota, 0);
	uint64_t room = room_of(&quota);
	int64_t credit = credit_of(&quota, 0);
	assert_code(mfs__quota_reserve(&quota, 3 * BATCH), 0);
	assert_int_equal(room_of(&quota), room - 3 * BATCH);
	mfs__quota_release(&quota, 3 * BATCH);
	assert_int_equal(room_of(&quota), room);
	assert_int_equal(credit_of(&quota, 0), credit);
	assert_true(is_open(&quota));
	destroy_empty(&quota);
}

static void largest_limit_holds(void **state)
{
	struct mfs__quota quota;

	(void)state;
	open_quota(&quota, INT64_MAX);
	assert_code(mfs__quota_reserve(&quota, 1), 0);
	assert_code(mfs__quota_reserve(&quota, (uint64_t)INT64_MAX + 1), MFS_EQUOTA);
	assert_code(mfs__quota_reserve(&quota, UINT64_MAX), MFS_EQUOTA);
	assert_code(mfs__quota_reserve(&quota, INT64_MAX), MFS_EQUOTA);
	be_on_stripe(1);
	assert_code(mfs__quota_reserve(&quota, INT64_MAX - 1), 0);
	assert_code(mfs__quota_reserve(&quota, 1), MFS_EQUOTA);
	assert_int_equal(mfs__quota_used(&quota), INT64_MAX);
	mfs__quota_release(&quota, INT64_MAX);
	destroy_empty(&quota);
}

static void credits_are_called_back_before_anybody_is_refused(void **state)
{
	struct mfs__quota quota;

	(void)state;
	for (uint64_t over = 0; over < 2; over++) {
		open_quota(&quota, LIMIT);
		for (unsigned stripe = 0; stripe < MFS__STRIPES; stripe++) {
			fill_credit(&quota, stripe);
			assert_code(mfs__quota_reserve(&quota, 1), 0);
		}
		uint64_t rest = LIMIT - MFS__STRIPES;
		be_on_stripe(5);
		assert_code(mfs__quota_reserve(&quota, rest + over), over ? MFS_EQUOTA : 0);
		assert_false(is_open(&quota));
		assert_int_equal(mfs__quota_used(&quota), over ? MFS__STRIPES : LIMIT);
		mfs__quota_release(&quota, over ? MFS__STRIPES : LIMIT);
		destroy_empty(&quota);
	}
}

static void what_is_used_is_exact_at_rest(void **state)
{
	struct mfs__quota quota;
	struct rng rng = {11};
	uint64_t used = 0;
	unsigned open_at_rest = 0;

	(void)state;
	mfs__quota_init(&quota, LIMIT, BATCH, NULL);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t amount = rng_below(&rng, i % 16 ? BATCH : LIMIT / 2);
		be_on_stripe((unsigned)rng_below(&rng, MFS__STRIPES));
		if (rng_below(&rng, 2)) {
			int code = mfs__quota_reserve(&quota, amount);
			assert_code(code, used + amount <= LIMIT ? 0 : MFS_EQUOTA);
			used += code ? 0 : amount;
		} else {
			amount = amount < used ? amount : used;
			mfs__quota_release(&quota, amount);
			used -= amount;
		}
		assert_int_equal(mfs__quota_used(&quota), used);
		open_at_rest += is_open(&quota);
	}
	/* It was open, and it was closed. */
	assert_in_range(open_at_rest, 100, 19900);
	mfs__quota_release(&quota, used);
	destroy_empty(&quota);
}

static void peak_is_exact_while_closed_and_counts_credits_while_open(void **state)
{
	struct mfs__quota quota;

	(void)state;
	open_quota(&quota, LIMIT);
	close_quota(&quota);
	uint64_t before = mfs__quota_peak(&quota);
	be_on_stripe(0);
	assert_code(mfs__quota_reserve(&quota, before + 5), 0);
	mfs__quota_release(&quota, 5);
	assert_code(mfs__quota_reserve(&quota, 2), 0);
	assert_int_equal(mfs__quota_peak(&quota), before + 5);
	mfs__quota_release(&quota, before + 2);
	take_turns(&quota);
	assert_true(is_open(&quota));
	be_on_stripe(0);
	assert_code(mfs__quota_reserve(&quota, before + 10 * BATCH), 0);
	for (unsigned i = 0; i < BATCH; i++)
		assert_code(mfs__quota_reserve(&quota, 1), 0);
	uint64_t used = before + 11 * BATCH;
	assert_int_equal(mfs__quota_used(&quota), used);
	assert_in_range(mfs__quota_peak(&quota), used, used + 2 * BATCH * MFS__STRIPES);
	mfs__quota_release(&quota, used);
	destroy_empty(&quota);
}

static void released_after_closing_comes_to_the_room(void **state)
{
	struct mfs__quota quota;

	(void)state;
	open_quota(&quota, LIMIT);
	assert_code(mfs__quota_reserve(&quota, 20), 0);
	close_quota(&quota);
	assert_int_equal(room_of(&quota), LIMIT - 20);
	assert_true(credit_of(&quota, 0) < 0);
	mfs__quota_release(&quota, 20);
	assert_int_equal(room_of(&quota), LIMIT);
	assert_true(credit_of(&quota, 0) < 0);
	destroy_empty(&quota);
}

static int allow_all(void *user, uint64_t *available)
{
	(void)user;
	*available = UINT64_C(1) << 40;
	return 0;
}

static uint64_t nothing(struct mfs__guard_member *member)
{
	(void)member;
	return 0;
}

static void what_the_guard_withholds_is_free_all_the_same(void **state)
{
	struct mfs__guard_member member = {.fails = true, .revoke = nothing, .pending = nothing};
	struct mfs__quota quota;

	(void)state;
	mfs__guard_set_hook(allow_all, NULL);
	mfs__guard_sample();
	mfs__quota_init(&quota, LIMIT, BATCH, &member);
	take_turns(&quota);
	assert_true(is_open(&quota));
	fill_credit(&quota, 0);
	assert_code(mfs__quota_reserve(&quota, 1), 0);
	assert_true(mfs__quota_revoke(&quota) > 0);
	assert_int_equal(credit_of(&quota, 0), 0);
	assert_int_equal(room_of(&quota), 0);
	assert_int_equal(mfs__quota_used(&quota), 1);
	assert_int_equal(mfs__quota_revoke(&quota), 0);
	assert_code(mfs__quota_reserve(&quota, LIMIT), MFS_EQUOTA);
	assert_code(mfs__quota_reserve(&quota, LIMIT - 1), 0);
	assert_code(mfs__quota_reserve(&quota, 1), MFS_EQUOTA);
	assert_int_equal(mfs__quota_used(&quota), LIMIT);
	mfs__quota_release(&quota, LIMIT);
	assert_int_equal(mfs__quota_used(&quota), 0);
	mfs__quota_destroy(&quota);
	mfs__guard_set_hook(NULL, NULL);
}

/*
 * Calls that meet
 */

/* A call in a thread of its own, held at a point of the library, if it has one. */
struct party {
	struct mfs__quota *quota;
	unsigned stripe;
	uint64_t amount;
	bool releases;
	const char *point; /* the thread's own, once it runs */
	sem_t held;
	sem_t go;
	_Atomic pid_t tid;
	_Atomic bool returned;
	int code;
	pthread_t thread;
};

/* The thread's own: its party, or NULL. */
static _Thread_local struct party *self;

static void hold(const char *point)
{
	if (!self || !self->point || strcmp(point, self->point) != 0)
		return;
	self->point = NULL;
	(void)sem_post(&self->held);
	while (sem_wait(&self->go))
		continue; /* interrupted by a signal */
}

static void set_hook(mfs__yield_function *hook)
{
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, hook, memory_order_release);
}

static void *take_part(void *argument)
{
	struct party *party = argument;

	self = party;
	be_on_stripe(party->stripe);
	atomic_store(&party->tid, gettid());
	if (party->releases)
		mfs__quota_release(party->quota, party->amount);
	else
		party->code = mfs__quota_reserve(party->quota, party->amount);
	atomic_store(&party->returned, true);
	return NULL;
}

/* Start it. If it is to be held, it is when this returns. */
static void party_start(struct party *party)
{
	bool held = party->point != NULL;

	assert_int_equal(sem_init(&party->held, 0, 0), 0);
	assert_int_equal(sem_init(&party->go, 0, 0), 0);
	party->thread = start_thread(take_part, party);
	if (held)
		AWAIT(sem_trywait(&party->held) == 0);
}

static bool is_asleep(pid_t tid)
{
	char path[64];
	char line[512] = "";

	(void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
	FILE *stat = fopen(path, "re");
	if (!stat)
		return false;
	(void)fgets(line, sizeof line, stat);
	(void)fclose(stat);
	/* "tid (name) S ...": the name may hold anything but is followed by the last ')'. */
	const char *end = strrchr(line, ')');
	return end && strncmp(end, ") S", 3) == 0;
}

/* Start one that is to wait for another one. Returns whether it does. */
static bool party_start_waiting(struct party *party)
{
	party_start(party);
	AWAIT(atomic_load(&party->returned) ||
		  (atomic_load(&party->tid) && is_asleep(atomic_load(&party->tid))));
	return !atomic_load(&party->returned);
}

static void party_let_go(struct party *party)
{
	assert_int_equal(sem_post(&party->go), 0);
}

static int party_end(struct party *party)
{
	join_thread(party->thread);
	assert_int_equal(sem_destroy(&party->held), 0);
	assert_int_equal(sem_destroy(&party->go), 0);
	return party->code;
}

/* More than anybody has that is held, so that it never fits. */
#define OVER 100

/* Somebody is held who has free bytes in his hands, with `used` reserved once he is through. Who
 * asks for all the rest, and `over` more, waits, and is answered as it is. */
static void ask_for_the_rest(struct party *held, uint64_t used, uint64_t over)
{
	struct mfs__quota *quota = held->quota;
	struct party asking = {.quota = quota, .stripe = 9, .amount = LIMIT - used + over};

	bool waited = party_start_waiting(&asking);
	party_let_go(held);
	int code = party_end(held);
	int asked = party_end(&asking);
	assert_true(waited);
	assert_code(code, 0);
	assert_code(asked, over ? MFS_EQUOTA : 0);
	if (!over)
		used = LIMIT;
	assert_int_equal(mfs__quota_used(quota), used);
	mfs__quota_release(quota, used);
	destroy_empty(quota);
}

static void nobody_is_refused_while_a_batch_goes_to_a_credit(void **state)
{
	(void)state;
	set_hook(hold);
	for (uint64_t over = 0; over <= OVER; over += OVER) {
		struct mfs__quota quota;
		struct party refills = {
			.quota = &quota, .stripe = 3, .amount = 7, .point = "quota: batch on its way"};

		open_quota(&quota, LIMIT);
		assert_code(mfs__quota_reserve(&quota, 10 * BATCH), 0);
		party_start(&refills);
		ask_for_the_rest(&refills, 10 * BATCH + refills.amount, over);
	}
	set_hook(NULL);
}

static void nobody_is_refused_while_a_batch_comes_from_a_credit(void **state)
{
	(void)state;
	set_hook(hold);
	for (uint64_t over = 0; over <= OVER; over += OVER) {
		struct mfs__quota quota;
		struct party hands_back = {.quota = &quota,
								   .stripe = 3,
								   .amount = BATCH,
								   .releases = true,
								   .point = "quota: batch on its way"};

		open_quota(&quota, LIMIT);
		be_on_stripe(3);
		assert_code(mfs__quota_reserve(&quota, 10 * BATCH), 0);
		uint64_t used = 10 * BATCH;
		while (credit_of(&quota, 3) + (int64_t)BATCH <= 2 * (int64_t)BATCH) {
			mfs__quota_release(&quota, BATCH);
			used -= BATCH;
		}
		party_start(&hands_back);
		ask_for_the_rest(&hands_back, used - BATCH, over);
	}
	set_hook(NULL);
}

static void nobody_is_refused_while_credits_are_collected(void **state)
{
	(void)state;
	set_hook(hold);
	for (uint64_t over = 0; over <= OVER; over += OVER) {
		struct mfs__quota quota;
		struct party collects = {
			.quota = &quota, .stripe = 5, .amount = 7, .point = "quota: credit collected"};

		open_quota(&quota, LIMIT);
		for (unsigned stripe = 0; stripe < 4; stripe++)
			fill_credit(&quota, stripe);
		be_on_stripe(5);
		uint64_t used = room_of(&quota);
		assert_code(mfs__quota_reserve(&quota, used), 0);
		party_start(&collects);
		/* Closed, and nothing in the room: to who does not look twice it is full. */
		assert_false(is_open(&quota));
		assert_int_equal(room_of(&quota), 0);
		ask_for_the_rest(&collects, used + collects.amount, over);
	}
	set_hook(NULL);
}

static void credit_that_was_seen_and_then_called_back_is_not_taken(void **state)
{
	struct mfs__quota quota;
	struct party late = {.quota = &quota, .stripe = 3, .amount = 5, .point = "quota: credit seen"};

	(void)state;
	set_hook(hold);
	open_quota(&quota, LIMIT);
	fill_credit(&quota, 3);
	party_start(&late);
	be_on_stripe(0);
	assert_code(mfs__quota_reserve(&quota, LIMIT), 0);
	party_let_go(&late);
	assert_code(party_end(&late), MFS_EQUOTA);

	/* Called back, and there again: it looks again. */
	mfs__quota_release(&quota, LIMIT);
	take_turns(&quota);
	fill_credit(&quota, 3);
	late = (struct party){.quota = &quota, .stripe = 3, .amount = 5, .point = "quota: credit seen"};
	party_start(&late);
	close_quota(&quota);
	take_turns(&quota);
	assert_true(is_open(&quota));
	party_let_go(&late);
	assert_code(party_end(&late), 0);
	assert_int_equal(mfs__quota_used(&quota), 5);
	mfs__quota_release(&quota, 5);
	destroy_empty(&quota);
	set_hook(NULL);
}

/*
 * Many at once
 */

#define SHARERS        8
#define CALLS          25000
#define STRESS_STRIPES 11 /* that they wander between */

/* A thread that never holds more than its share, so that together they never want too much. */
struct sharer {
	struct mfs__quota *quota;
	uint64_t share;
	struct rng rng;
	uint64_t refused;
	uint64_t over;
	uint64_t saw_open;
	pthread_t thread;
};

static void *share(void *argument)
{
	struct sharer *sharer = argument;
	uint64_t held = 0;

	for (unsigned i = 0; i < CALLS; i++) {
		/* Small amounts, now and then all; and mostly up, so that little is left. */
		bool all = rng_below(&sharer->rng, 32) == 0;
		bool reserves = rng_below(&sharer->rng, 4) > 0;
		if (rng_below(&sharer->rng, 8) == 0)
			be_on_stripe((unsigned)rng_below(&sharer->rng, STRESS_STRIPES));
		uint64_t most = reserves ? sharer->share - held : held;
		uint64_t amount = all ? most : rng_below(&sharer->rng, 2 * BATCH);
		if (amount > most)
			amount = most;
		if (!reserves) {
			mfs__quota_release(sharer->quota, amount);
			held -= amount;
		} else if (mfs__quota_reserve(sharer->quota, amount)) {
			sharer->refused++;
		} else {
			held += amount;
		}
		sharer->over += mfs__quota_used(sharer->quota) > sharer->quota->limit;
		sharer->saw_open += is_open(sharer->quota);
	}
	mfs__quota_release(sharer->quota, held);
	return NULL;
}

static void threads_that_keep_to_their_shares_are_never_refused(void **state)
{
	struct mfs__quota quota;
	struct sharer sharers[SHARERS];
	uint64_t saw_open = 0;

	(void)state;
	mfs__quota_init(&quota, LIMIT, BATCH, NULL);
	set_hook(step_aside);
	/* Nothing is over: the last byte is somebody's. */
	for (unsigned i = 0; i < SHARERS; i++) {
		sharers[i] =
			(struct sharer){.quota = &quota, .share = LIMIT / SHARERS, .rng = {99 + (uint64_t)i}};
		sharers[i].thread = start_thread(share, &sharers[i]);
	}
	for (unsigned i = 0; i < SHARERS; i++)
		join_thread(sharers[i].thread);
	set_hook(NULL);
	for (unsigned i = 0; i < SHARERS; i++) {
		assert_int_equal(sharers[i].refused, 0);
		assert_int_equal(sharers[i].over, 0);
		saw_open += sharers[i].saw_open;
	}
	print_message("open at %u in 100 calls\n", (unsigned)(saw_open * 100 / (SHARERS * CALLS)));
	assert_true(saw_open > 0);
	assert_true(saw_open < SHARERS * CALLS);
	assert_true(mfs__quota_peak(&quota) <= LIMIT);
	destroy_empty(&quota);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_thread_works_on_the_room),
		cmocka_unit_test(threads_that_take_turns_get_credits),
		cmocka_unit_test(without_batches_it_never_opens),
		cmocka_unit_test(it_does_not_open_where_little_is_free),
		cmocka_unit_test(it_closes_when_little_is_left_and_refuses_nothing_before_the_end),
		cmocka_unit_test(small_amounts_leave_the_room_alone),
		cmocka_unit_test(credit_that_grows_too_large_goes_back_to_the_room),
		cmocka_unit_test(more_than_a_batch_goes_past_the_credit),
		cmocka_unit_test(largest_limit_holds),
		cmocka_unit_test(credits_are_called_back_before_anybody_is_refused),
		cmocka_unit_test(what_is_used_is_exact_at_rest),
		cmocka_unit_test(peak_is_exact_while_closed_and_counts_credits_while_open),
		cmocka_unit_test(released_after_closing_comes_to_the_room),
		cmocka_unit_test(what_the_guard_withholds_is_free_all_the_same),
		cmocka_unit_test(nobody_is_refused_while_a_batch_goes_to_a_credit),
		cmocka_unit_test(nobody_is_refused_while_a_batch_comes_from_a_credit),
		cmocka_unit_test(nobody_is_refused_while_credits_are_collected),
		cmocka_unit_test(credit_that_was_seen_and_then_called_back_is_not_taken),
		cmocka_unit_test(threads_that_keep_to_their_shares_are_never_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
