/* SPDX-License-Identifier: MIT */
/*
 * Is what was retired freed, all of it, never before the readers that may see it have left, and
 * never piling up without a bound; and does the thread that frees come and go with its users?
 */
#include "support.h"

#include "await.h"
#include "base/alloc.h"
#include "base/rcu.h"
#include "base/reclaim.h"
#include "base/stripe.h"

#include <dirent.h>
#include <signal.h>

/* What the library promises: the bound, and what stripes may hold besides. */
#define BOUND        (16 * MIB)
#define STRIPE_SLACK (64 * KIB)

#define CANARY UINT64_C(0x5ca1ab1e0ddba115)

struct object {
	struct mfs__retired retired;
	uint64_t canary;
	uint64_t number;
};

/* `size` bytes, an object with its canary at the start. For any thread. */
static struct object *make_object(size_t size, uint64_t number)
{
	struct mfs__retired *block = mfs__retirable_new(NULL, size);

	if (!block)
		abort();
	struct object *object = mfs__container_of(block, struct object, retired);
	object->canary = CANARY ^ number;
	object->number = number;
	return object;
}

static bool is_intact(const struct object *object)
{
	return object->canary == (CANARY ^ object->number);
}

/* All the chances that a thread needs which does, or does not do, what cannot be waited for. */
static void spin_for(int64_t duration)
{
	int64_t until = mfs__now() + duration;

	while (mfs__now() < until)
		(void)sched_yield();
}

static long live_before;

static int setup(void **state)
{
	(void)state;
	live_before = mfs__alloc_live();
	return 0;
}

/* Whatever a test did, nothing stays. */
static int teardown(void **state)
{
	(void)state;
	return mfs__alloc_live() == live_before && mfs__reclaim_pending() == 0 ? 0 : -1;
}

static void last_user_frees_all_that_is_retired(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		mfs__reclaim_begin();
		for (uint64_t i = 0; i < 1000; i++) {
			size_t size = sizeof(struct object) + i;
			mfs__retire(&make_object(size, i)->retired);
		}
		mfs__reclaim_end();
		assert_int_equal(mfs__alloc_live(), live_before);
		assert_int_equal(mfs__reclaim_pending(), 0);
	}
}

static void what_is_retired_is_freed_without_further_calls(void **state)
{
	(void)state;
	mfs__reclaim_begin();
	/* One small object, which wakes nobody by its size. */
	mfs__retire(&make_object(sizeof(struct object), 1)->retired);
	AWAIT(mfs__alloc_live() == live_before);
	AWAIT(mfs__reclaim_pending() == 0);
	/* And again, when the thread has long gone to sleep for want of anything to do. */
	spin_for(20 * MFS__NS_PER_MS);
	mfs__retire(&make_object(sizeof(struct object), 2)->retired);
	AWAIT(mfs__alloc_live() == live_before);
	AWAIT(mfs__reclaim_pending() == 0);
	mfs__reclaim_end();
}

static void other_users_keep_what_is_retired_going(void **state)
{
	(void)state;
	mfs__reclaim_begin();
	mfs__reclaim_begin();
	mfs__retire(&make_object(sizeof(struct object), 1)->retired);
	mfs__reclaim_end();
	AWAIT(mfs__alloc_live() == live_before);
	mfs__retire(&make_object(sizeof(struct object), 2)->retired);
	AWAIT(mfs__alloc_live() == live_before);
	mfs__reclaim_end();
}

/* A thread that enters a section, follows a published pointer, and stays until told to leave. */
struct reader {
	MFS__RCU(struct object) * source;
	bool nested;
	atomic_bool inside;
	atomic_bool leave;
	uint64_t looks; /* valid once joined */
	uint64_t damaged;
	pthread_t thread;
};

static void *read_and_stay(void *argument)
{
	struct reader *reader = argument;

	mfs__rcu_lock();
	if (reader->nested) {
		/* The inner section's end ends nothing. */
		mfs__rcu_lock();
		mfs__rcu_unlock();
	}
	const struct object *object = mfs__rcu_read(reader->source);
	atomic_store(&reader->inside, true);
	while (!atomic_load(&reader->leave)) {
		reader->looks++;
		reader->damaged += !is_intact(object);
		(void)sched_yield();
	}
	reader->damaged += !is_intact(object);
	mfs__rcu_unlock();
	return NULL;
}

static void reader_start(struct reader *reader, _Atomic(struct object *) *source, bool nested)
{
	*reader = (struct reader){.source = source, .nested = nested};
	reader->thread = start_thread(read_and_stay, reader);
	AWAIT(atomic_load(&reader->inside));
}

static void reader_leave(struct reader *reader)
{
	atomic_store(&reader->leave, true);
	join_thread(reader->thread);
	assert_int_equal(reader->damaged, 0);
}

static void object_outlives_the_sections_that_may_see_it(bool nested)
{
	_Atomic(struct object *) source;
	struct reader reader;

	mfs__reclaim_begin();
	struct object *object = make_object(100 * KIB, 42);
	mfs__rcu_init(&source, object);
	reader_start(&reader, &source, nested);
	mfs__rcu_publish(&source, NULL);
	/* Large enough to wake the thread at once. */
	mfs__retire(&object->retired);
	/* All the chances that a hasty reclaimer needs. */
	int64_t until = mfs__now() + 30 * MFS__NS_PER_MS;
	while (mfs__now() < until) {
		assert_int_equal(mfs__alloc_live(), live_before + 1);
		assert_true(is_intact(object));
		assert_true(mfs__reclaim_pending() >= 100 * KIB);
		(void)sched_yield();
	}
	reader_leave(&reader);
	AWAIT(mfs__reclaim_pending() == 0);
	assert_int_equal(mfs__alloc_live(), live_before);
	mfs__reclaim_end();
}

static void object_outlives_an_open_section(void **state)
{
	(void)state;
	object_outlives_the_sections_that_may_see_it(false);
}

static void object_outlives_the_outer_section(void **state)
{
	(void)state;
	object_outlives_the_sections_that_may_see_it(true);
}

static void *end_user(void *done)
{
	mfs__reclaim_end();
	atomic_store((atomic_bool *)done, true);
	return NULL;
}

static void last_user_waits_for_readers(void **state)
{
	_Atomic(struct object *) source;
	struct reader reader;
	atomic_bool done = false;

	(void)state;
	mfs__reclaim_begin();
	struct object *object = make_object(sizeof(*object), 7);
	mfs__rcu_init(&source, object);
	reader_start(&reader, &source, false);
	mfs__rcu_publish(&source, NULL);
	mfs__retire(&object->retired);
	pthread_t ending = start_thread(end_user, &done);
	int64_t until = mfs__now() + 30 * MFS__NS_PER_MS;
	while (mfs__now() < until) {
		assert_false(atomic_load(&done));
		assert_true(is_intact(object));
		(void)sched_yield();
	}
	reader_leave(&reader);
	join_thread(ending);
	assert_true(atomic_load(&done));
	assert_int_equal(mfs__alloc_live(), live_before);
}

#define PIECE  (16 * KIB)
#define PIECES (64 * MIB / PIECE)

/* A thread that retires 64 MiB, being held back as the library wants it. */
struct retirer {
	atomic_size_t pieces; /* retired so far */
	uint64_t most;        /* pending that it saw; valid once joined */
	pthread_t thread;
};

static void *retire_much(void *argument)
{
	struct retirer *retirer = argument;

	for (size_t i = 0; i < PIECES; i++) {
		mfs__retire(&make_object(PIECE, i)->retired);
		uint64_t pending = mfs__reclaim_pending();
		if (pending > retirer->most)
			retirer->most = pending;
		atomic_store(&retirer->pieces, i + 1);
		mfs__reclaim_throttle();
	}
	return NULL;
}

static void who_retires_too_much_waits_for_readers(void **state)
{
	_Atomic(struct object *) source;
	struct reader reader;
	struct retirer retirer = {0};
	const uint64_t allowed = BOUND + MFS__STRIPES * STRIPE_SLACK + PIECE;

	(void)state;
	mfs__reclaim_begin();
	mfs__rcu_init(&source, make_object(sizeof(struct object), 1));
	reader_start(&reader, &source, false);
	retirer.thread = start_thread(retire_much, &retirer);
	AWAIT(mfs__reclaim_pending() > BOUND);
	/* It goes no further, however long the reader stays. */
	int64_t until = mfs__now() + 150 * MFS__NS_PER_MS; /* past the throttle's own deadline */
	while (mfs__now() < until) {
		assert_true(mfs__reclaim_pending() <= allowed);
		(void)sched_yield();
	}
	assert_true(atomic_load(&retirer.pieces) * PIECE <= allowed);
	reader_leave(&reader);
	join_thread(retirer.thread);
	assert_int_equal(atomic_load(&retirer.pieces), PIECES);
	assert_true(retirer.most > BOUND);
	assert_true(retirer.most <= allowed);
	struct object *last = atomic_load(&source);
	mfs__retire(&last->retired);
	mfs__reclaim_end();
}

static void throttle_lets_through_what_is_little(void **state)
{
	_Atomic(struct object *) source;
	struct reader reader;

	(void)state;
	mfs__reclaim_begin();
	struct object *object = make_object(BOUND / 2, 1);
	mfs__rcu_init(&source, object);
	reader_start(&reader, &source, false);
	mfs__rcu_publish(&source, NULL);
	mfs__retire(&object->retired);
	/* Comes back although nothing can be freed. */
	mfs__reclaim_throttle();
	assert_int_equal(mfs__reclaim_pending(), BOUND / 2);
	reader_leave(&reader);
	mfs__reclaim_end();
}

#define SWAPPERS 4
#define LOOKERS  2
#define SWAPS    3000

static _Atomic(struct object *) swapped[8];
static atomic_bool swapping_over;

struct swapper {
	struct rng rng;
	uint64_t damaged;
	uint64_t looks;
	pthread_t thread;
};

static void *swap(void *argument)
{
	struct swapper *swapper = argument;

	for (uint64_t i = 0; i < SWAPS; i++) {
		size_t size = sizeof(struct object) + rng_below(&swapper->rng, 2000);
		struct object *object = make_object(size, (i << 16) | size);
		_Atomic(struct object *) *slot = &swapped[rng_below(&swapper->rng, COUNT_OF(swapped))];
		/* pairs with mfs__rcu_read, and with the exchange of who retires it */
		struct object *old = atomic_exchange_explicit(slot, object, memory_order_acq_rel);
		swapper->damaged += !is_intact(old);
		mfs__retire(&old->retired);
		mfs__reclaim_throttle();
	}
	return NULL;
}

static void *look(void *argument)
{
	struct swapper *looker = argument;

	while (!atomic_load(&swapping_over)) {
		mfs__rcu_lock();
		for (size_t i = 0; i < COUNT_OF(swapped); i++)
			looker->damaged += !is_intact(mfs__rcu_read(&swapped[i]));
		mfs__rcu_unlock();
		looker->looks++;
	}
	return NULL;
}

static void many_threads_retire_under_readers(void **state)
{
	struct swapper swappers[SWAPPERS];
	struct swapper lookers[LOOKERS];

	(void)state;
	mfs__reclaim_begin();
	atomic_store(&swapping_over, false);
	for (size_t i = 0; i < COUNT_OF(swapped); i++)
		mfs__rcu_init(&swapped[i], make_object(sizeof(struct object), sizeof(struct object)));
	for (unsigned i = 0; i < LOOKERS; i++) {
		lookers[i] = (struct swapper){.looks = 0};
		lookers[i].thread = start_thread(look, &lookers[i]);
	}
	for (unsigned i = 0; i < SWAPPERS; i++) {
		swappers[i] = (struct swapper){.rng = {500 + i}};
		swappers[i].thread = start_thread(swap, &swappers[i]);
	}
	for (unsigned i = 0; i < SWAPPERS; i++) {
		join_thread(swappers[i].thread);
		assert_int_equal(swappers[i].damaged, 0);
	}
	atomic_store(&swapping_over, true);
	for (unsigned i = 0; i < LOOKERS; i++) {
		join_thread(lookers[i].thread);
		assert_int_equal(lookers[i].damaged, 0);
	}
	for (size_t i = 0; i < COUNT_OF(swapped); i++) {
		struct object *object = atomic_load(&swapped[i]);
		mfs__retire(&object->retired);
	}
	mfs__reclaim_end();
}

/* The reclaimer's threads in this process; *tid is one of them. */
static unsigned count_reclaimers(long *tid)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *task;
	unsigned count = 0;

	assert_non_null(tasks);
	while ((task = readdir(tasks))) {
		char path[sizeof(task->d_name) + 32];
		char name[32] = "";

		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
		FILE *file = fopen(path, "re");
		if (!file)
			continue; /* the thread has just ended */
		if (fgets(name, sizeof(name), file) && strcmp(name, "mfs-reclaim\n") == 0) {
			count++;
			*tid = strtol(task->d_name, NULL, 10);
		}
		(void)fclose(file);
	}
	(void)closedir(tasks);
	return count;
}

static void thread_runs_while_there_are_users(void **state)
{
	long tid = 0;

	(void)state;
	/* A thread that was joined may still be listed for an instant. */
	AWAIT(count_reclaimers(&tid) == 0);
	for (int round = 0; round < 30; round++) {
		mfs__reclaim_begin();
		assert_int_equal(count_reclaimers(&tid), 1);
		mfs__reclaim_begin();
		assert_int_equal(count_reclaimers(&tid), 1);
		if (round % 2)
			mfs__retire(&make_object(sizeof(struct object), 1)->retired);
		mfs__reclaim_end();
		assert_int_equal(count_reclaimers(&tid), 1);
		mfs__reclaim_end();
		AWAIT(count_reclaimers(&tid) == 0);
		assert_int_equal(mfs__alloc_live(), live_before);
	}
}

static void thread_takes_no_signals(void **state)
{
	unsigned long long blocked = 0;
	bool found = false;
	char line[256];
	char path[64];
	long tid = 0;

	(void)state;
	mfs__reclaim_begin();
	/* A thread that has not run yet blocks all signals anyway. */
	mfs__retire(&make_object(sizeof(struct object), 1)->retired);
	AWAIT(mfs__alloc_live() == live_before);
	assert_int_equal(count_reclaimers(&tid), 1);
	(void)snprintf(path, sizeof(path), "/proc/self/task/%ld/status", tid);
	FILE *status = fopen(path, "re");
	assert_non_null(status);
	while (fgets(line, sizeof(line), status)) {
		if (strncmp(line, "SigBlk:", 7) == 0) {
			blocked = strtoull(line + 7, NULL, 16);
			found = true;
		}
	}
	(void)fclose(status);
	assert_true(found);
	static const int signals[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGCHLD};
	for (size_t i = 0; i < COUNT_OF(signals); i++)
		assert_true(blocked & (1ull << (signals[i] - 1)));
	mfs__reclaim_end();
}

static void *use_again_and_again(void *unused)
{
	(void)unused;
	for (uint64_t i = 0; i < 100; i++) {
		mfs__reclaim_begin();
		mfs__retire(&make_object(1000, i)->retired);
		mfs__reclaim_throttle();
		mfs__reclaim_end();
	}
	return NULL;
}

static void users_of_many_threads_come_and_go(void **state)
{
	pthread_t threads[4];
	long tid = 0;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		threads[i] = start_thread(use_again_and_again, NULL);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		join_thread(threads[i]);
	AWAIT(count_reclaimers(&tid) == 0);
	assert_int_equal(mfs__alloc_live(), live_before);
}

#define RECLAIM_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RECLAIM_TEST(last_user_frees_all_that_is_retired),
		RECLAIM_TEST(what_is_retired_is_freed_without_further_calls),
		RECLAIM_TEST(other_users_keep_what_is_retired_going),
		RECLAIM_TEST(object_outlives_an_open_section),
		RECLAIM_TEST(object_outlives_the_outer_section),
		RECLAIM_TEST(last_user_waits_for_readers),
		RECLAIM_TEST(who_retires_too_much_waits_for_readers),
		RECLAIM_TEST(throttle_lets_through_what_is_little),
		RECLAIM_TEST(many_threads_retire_under_readers),
		RECLAIM_TEST(thread_runs_while_there_are_users),
		RECLAIM_TEST(thread_takes_no_signals),
		RECLAIM_TEST(users_of_many_threads_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
