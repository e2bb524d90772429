/* SPDX-License-Identifier: MIT */
/*
 * Many threads take and give back near a limit, in rounds. What a round takes from, and how large
 * the limit is, changes from round to round, and so does what the program knows:
 *
 *   caps  Each thread keeps below a cap of its own, and the caps are the limit together. So
 * whatever is asked for fits, and no request may be refused. The threads share nothing of this
 *         program but mailboxes.
 *   free  No caps. Two words are kept by all threads. `least` is what is taken at least: added to
 *         after a success, taken from before something is given back. It never exceeds the limit.
 *         `most` is what is taken at most, beside what is just asked for: added to before a
 * request, taken from after it was refused, or after what it got has been given back. It also
 * counts how often it went past the limit. Of a request during which that count stays the same, and
 *         that found no more than the limit, it is known that it fits at every instant: it may not
 *         be refused.
 *
 * A tide says how full the limit is to be, so that the quota's credits open, close and are called
 * in. What a thread took another one may give back: through a mailbox, with its part of the cap.
 */
#include "limits_parts.h"

#include "base/stripe.h"

#include <pthread.h>
#include <sched.h>

#define SLOTS     64
#define HANG_S    60
#define SAMPLE_MS 4
#define TIDE_MS   20
/* To look, or to get in line, closes the quota: rarely, or it would never be open. */
#define LOOK_ONE_IN    4096
#define IN_LINE_ONE_IN 2048
/* So few requests need not have met the limit. */
#define ENOUGH_REQUESTS 100000
/* Of the word `most`: bytes below, above them how often they went past the limit. */
#define MOST_BITS  38
#define MOST_BYTES ((UINT64_C(1) << MOST_BITS) - 1)
/* Of a mailbox: bytes below, above them the number of the file. */
#define MAIL_BITS  29
#define MAIL_BYTES ((UINT64_C(1) << MAIL_BITS) - 1)

_Static_assert(LIMITS_LIMIT_MAX <= MAIL_BYTES, "amounts have room in a mailbox");
_Static_assert(LIMITS_LIMIT_MAX <= MOST_BYTES / (LIMITS_MAX_THREADS + 1), "the sums have room");

struct run;

struct worker {
	/* Atomic, any thread: something handed over, or 0. On a line of its own. */
	_Alignas(128) _Atomic uint64_t mailbox;
	/* Atomic, set by the worker: its steps, for who looks whether it goes on. */
	_Alignas(128) _Atomic uint64_t steps;
	struct run *run;
	unsigned index;
	pthread_t thread;
	uint64_t random;
	/* The worker's own during a round, the main thread's between rounds. */
	struct limits_holding slots[SLOTS];
	uint64_t held;
	uint64_t cap;
	/* Counts of all rounds. */
	uint64_t taken;
	uint64_t refused;
	uint64_t guarded_off; /* refused by the memory guard */
	uint64_t known;       /* taken without a cap, and known to have to be granted */
	uint64_t looks;
};

struct run {
	const struct limits_options *options;
	unsigned threads;
	struct worker *workers;
	pthread_barrier_t barrier;
	/* Set by the main thread while the workers wait at the barrier. */
	struct limits_target target;
	bool over;
	bool has_caps;
	uint64_t limit;
	unsigned stripes;
	/* Atomic, any thread: who has come to the barrier. */
	_Atomic unsigned arrived;
	/* Atomic: the round is to end. */
	atomic_bool stop;
	/* Atomic, set by the main thread: how full the limit is to be, in percent. */
	_Atomic unsigned tide;
	/* Atomic, any thread. See the top. */
	_Alignas(128) _Atomic uint64_t least;
	_Alignas(128) _Atomic uint64_t most;
	/* The main thread's: of the samples that it took, in how many the credits were open. */
	uint64_t samples;
	uint64_t open_samples;
	uint64_t used_most;
};

/*
 * What is known in rounds without caps. These words are changed in sequentially consistent order,
 * so that nothing of a request goes before them or after them.
 */

/* Returns the word as it is now. */
static uint64_t add_most(struct run *run, uint64_t bytes)
{
	uint64_t old = atomic_load_explicit(&run->most, memory_order_relaxed);
	uint64_t now;

	do {
		now = old + bytes;
		if ((now & MOST_BYTES) > run->limit)
			now += UINT64_C(1) << MOST_BITS;
	} while (!atomic_compare_exchange_weak_explicit(&run->most, &old, now, memory_order_seq_cst,
													memory_order_relaxed));
	return now;
}

/* Returns the word as it was. */
static uint64_t subtract_most(struct run *run, uint64_t bytes)
{
	return atomic_fetch_sub_explicit(&run->most, bytes, memory_order_seq_cst);
}

static void add_least(struct run *run, uint64_t bytes)
{
	uint64_t now = atomic_fetch_add_explicit(&run->least, bytes, memory_order_seq_cst) + bytes;

	if (now > run->limit)
		stress_fail("%llu bytes are taken of %llu", (unsigned long long)now,
					(unsigned long long)run->limit);
}

static void subtract_least(struct run *run, uint64_t bytes)
{
	atomic_fetch_sub_explicit(&run->least, bytes, memory_order_seq_cst);
}

/*
 * A worker
 */

static uint64_t below(uint64_t *random, uint64_t limit)
{
	return limit ? stress_random(random) % limit : 0;
}

/* 1 to `most` bytes, if there is as much: often few. */
static uint64_t draw_bytes(struct worker *w, uint64_t most)
{
	const struct run *run = w->run;
	uint64_t fair = run->limit / run->threads;
	uint64_t range = most;

	switch (stress_below(&w->random, 8)) {
	case 0:
	case 1:
	case 2:
		range = fair < 4 * KIB ? fair : 4 * KIB;
		break;
	case 3:
	case 4:
		range = run->limit / 1024;
		break;
	case 5:
	case 6:
		range = fair / 4;
		break;
	default:
		if (stress_below(&w->random, 8))
			range = fair;
		break;
	}
	if (range > most)
		range = most;
	return range ? 1 + below(&w->random, range) : most;
}

static enum limits_way draw_way(struct worker *w)
{
	if (w->run->target.fs)
		return (enum limits_way)stress_below(&w->random, LIMITS_WAYS);
	return stress_below(&w->random, IN_LINE_ONE_IN) ? LIMITS_PLAIN : LIMITS_IN_LINE;
}

static struct limits_holding *find_slot(struct worker *w, bool taken)
{
	unsigned at = stress_below(&w->random, SLOTS);

	for (unsigned i = 0; i < SLOTS; i++) {
		struct limits_holding *slot = &w->slots[(at + i) % SLOTS];
		if ((slot->bytes != 0) == taken)
			return slot;
	}
	return NULL;
}

static void count_refusal(struct worker *w, int code)
{
	w->refused += code == MFS_EQUOTA;
	w->guarded_off += code == MFS_EMEMGUARD;
}

/* Take something that fits under the worker's cap: it may not be refused. */
static void take_capped(struct worker *w, struct limits_holding *slot)
{
	struct run *run = w->run;
	uint64_t room = w->cap - w->held;
	uint64_t most = limits_most(&run->target);
	enum limits_way way = draw_way(w);

	if (room == 0)
		return;
	slot->bytes = draw_bytes(w, room < most ? room : most);
	if (stress_below(&w->random, 4) == 0 || limits_price(&run->target, way, slot->bytes) > room) {
		way = LIMITS_PLAIN;
		slot->bytes = limits_exact(&run->target, room < most ? room : most);
	}
	uint64_t bytes = slot->bytes;
	int code = limits_take(&run->target, way, slot, &w->random);
	if (code == 0) {
		w->held += bytes;
		w->taken++;
		return;
	}
	slot->bytes = 0;
	count_refusal(w, code);
	stress_fail("%s for %llu bytes, way %d, to a thread that holds %llu of its cap of %llu",
				mfs_error_name(code), (unsigned long long)bytes, (int)way,
				(unsigned long long)w->held, (unsigned long long)w->cap);
}

/* Take something that may not fit, as like as not what just fits. */
static void take_free(struct worker *w, struct limits_holding *slot)
{
	struct run *run = w->run;
	uint64_t taken = atomic_load_explicit(&run->most, memory_order_relaxed) & MOST_BYTES;
	uint64_t room = taken < run->limit ? run->limit - taken : 0;
	uint64_t most = limits_most(&run->target);
	enum limits_way way = draw_way(w);

	if (most > run->limit)
		most = run->limit;
	slot->bytes = draw_bytes(w, most);
	if (room && stress_below(&w->random, 2)) {
		way = LIMITS_PLAIN;
		slot->bytes = limits_exact(&run->target, room < most ? room : most);
	}
	uint64_t bytes = slot->bytes;
	uint64_t price = limits_price(&run->target, way, bytes);
	uint64_t before = add_most(run, price);
	bool fits = (before & MOST_BYTES) <= run->limit;
	int code = limits_take(&run->target, way, slot, &w->random);
	if (code == 0) {
		add_least(run, bytes);
		uint64_t after = subtract_most(run, price - bytes);
		w->held += bytes;
		w->taken++;
		w->known += fits && before >> MOST_BITS == after >> MOST_BITS;
		return;
	}
	slot->bytes = 0;
	uint64_t after = subtract_most(run, price);
	count_refusal(w, code);
	if (code == MFS_EQUOTA && fits && before >> MOST_BITS == after >> MOST_BITS)
		stress_fail("refused: %llu bytes, way %d, while never more than %llu were taken of %llu, "
					"these counted in",
					(unsigned long long)bytes, (int)way, (unsigned long long)run->limit,
					(unsigned long long)run->limit);
}

static void give(struct worker *w, struct limits_holding *slot, uint64_t kept)
{
	struct run *run = w->run;
	uint64_t bytes = slot->bytes - kept;

	w->held -= bytes;
	if (!run->has_caps)
		subtract_least(run, bytes);
	limits_give(&run->target, slot, kept);
	if (!run->has_caps)
		(void)subtract_most(run, bytes);
}

/* Give it to another worker, unless he has not looked at the last one yet. */
static void hand_over(struct worker *w, struct limits_holding *slot)
{
	struct run *run = w->run;
	struct worker *other = &run->workers[stress_below(&w->random, run->threads)];
	uint64_t bytes = slot->bytes;
	uint64_t mail = slot->number << MAIL_BITS | bytes;
	uint64_t none = 0;

	/* pairs with take_mail */
	if (!atomic_compare_exchange_strong_explicit(&other->mailbox, &none, mail, memory_order_release,
												 memory_order_relaxed))
		return;
	*slot = (struct limits_holding){0};
	w->held -= bytes;
	w->cap -= run->has_caps ? bytes : 0;
}

/* Take over what was handed over. Returns false if that was nothing. */
static bool take_mail(struct worker *w, struct limits_holding *slot)
{
	/* pairs with hand_over */
	uint64_t mail = atomic_exchange_explicit(&w->mailbox, 0, memory_order_acquire);

	if (mail == 0)
		return false;
	*slot = (struct limits_holding){.bytes = mail & MAIL_BYTES, .number = mail >> MAIL_BITS};
	w->held += slot->bytes;
	w->cap += w->run->has_caps ? slot->bytes : 0;
	return true;
}

/* What fits under the cap is free, and seen to be. */
static void look(struct worker *w)
{
	struct run *run = w->run;
	uint64_t bytes = run->has_caps ? w->cap - w->held : below(&w->random, run->limit + 1);

	w->looks++;
	if (!limits_is_free(&run->target, bytes) && run->has_caps)
		stress_fail("%llu bytes are not free to a thread that holds %llu of its cap of %llu",
					(unsigned long long)bytes, (unsigned long long)w->held,
					(unsigned long long)w->cap);
}

static bool wants_more(struct worker *w)
{
	struct run *run = w->run;
	uint64_t tide = atomic_load_explicit(&run->tide, memory_order_relaxed);
	uint64_t whole = run->has_caps ? w->cap : run->limit;
	uint64_t held = w->held;

	if (!run->has_caps)
		held = atomic_load_explicit(&run->most, memory_order_relaxed) & MOST_BYTES;
	bool more = held < whole / 100 * tide + whole % 100 * tide / 100;
	/* Past the full tide only rarely, or nothing would be known of anything. */
	return stress_below(&w->random, tide >= 100 ? 32 : 8) ? more : !more;
}

static void step(struct worker *w)
{
	struct limits_holding *slot = find_slot(w, false);

	if (slot && atomic_load_explicit(&w->mailbox, memory_order_relaxed) && take_mail(w, slot))
		return;
	if (stress_below(&w->random, LOOK_ONE_IN) == 0)
		look(w);
	if (slot && wants_more(w)) {
		if (w->run->has_caps)
			take_capped(w, slot);
		else
			take_free(w, slot);
		return;
	}
	slot = find_slot(w, true);
	if (!slot)
		return;
	if (stress_below(&w->random, 16) == 0)
		hand_over(w, slot);
	else
		give(w, slot, stress_below(&w->random, 4) ? 0 : below(&w->random, slot->bytes));
}

static void meet(struct run *run)
{
	/* pairs with meet_workers */
	atomic_fetch_add_explicit(&run->arrived, 1, memory_order_release);
	(void)pthread_barrier_wait(&run->barrier);
}

static void *work(void *argument)
{
	struct worker *w = argument;
	struct run *run = w->run;
	uint64_t steps = 0;

	limits_disturb(stress_random(&w->random));
	for (;;) {
		meet(run);
		if (run->over)
			return NULL;
		/* As if other threads had come and gone meanwhile. */
		mfs__stripe_of_thread = 1 + w->index % run->stripes;
		while (!atomic_load_explicit(&run->stop, memory_order_relaxed) && !stress_failed()) {
			step(w);
			atomic_store_explicit(&w->steps, ++steps, memory_order_relaxed);
			if (run->options->pinned && stress_below(&w->random, 256) == 0)
				sched_yield();
		}
		/* The main thread looks at what is held, here, and at what is left, above. */
		meet(run);
		struct limits_holding mail;
		if (take_mail(w, &mail))
			give(w, &mail, 0);
		for (unsigned i = 0; i < SLOTS; i++)
			if (w->slots[i].bytes)
				give(w, &w->slots[i], 0);
	}
}

/*
 * The main thread
 */

static void pause_ms(uint64_t ms)
{
	struct timespec time = {(time_t)(ms / 1000), (long)(ms % 1000 * NS_PER_MS)};

	(void)nanosleep(&time, NULL);
}

static _Noreturn void report_hang(const struct run *run)
{
	fprintf(stderr, "FAIL stress_limits: after %d s there are %u of %u threads\n", HANG_S,
			atomic_load_explicit(&run->arrived, memory_order_relaxed), run->threads);
	for (unsigned i = 0; i < run->threads; i++)
		fprintf(
			stderr, "  thread %u: %llu steps\n", i,
			(unsigned long long)atomic_load_explicit(&run->workers[i].steps, memory_order_relaxed));
	abort();
}

/* Meet all workers at the barrier. They all are seen to wait there before any of them goes on. */
static void meet_workers(struct run *run)
{
	uint64_t until = stress_now() + HANG_S * NS_PER_S;

	/* pairs with meet */
	while (atomic_load_explicit(&run->arrived, memory_order_acquire) < run->threads) {
		if (stress_now() > until)
			report_hang(run);
		pause_ms(1);
	}
}

static void let_go(struct run *run)
{
	atomic_store_explicit(&run->arrived, 0, memory_order_relaxed);
	(void)pthread_barrier_wait(&run->barrier);
}

/* For the length of a round: look at it, and let the tide come and go. */
static void watch(struct run *run, uint64_t *random)
{
	static const unsigned char tides[] = {100, 100, 100, 99, 97, 90, 70, 50, 20, 0};
	uint64_t now = stress_now();
	uint64_t end = now + run->options->phase_ms * NS_PER_MS;
	uint64_t turn = now;

	for (; now < end && !stress_failed(); now = stress_now()) {
		if (now >= turn) {
			unsigned tide = tides[stress_below(random, sizeof(tides))];
			atomic_store_explicit(&run->tide, tide, memory_order_relaxed);
			turn = now + TIDE_MS * NS_PER_MS;
		}
		uint64_t used = limits_target_used(&run->target);
		if (used > run->limit)
			stress_fail("%llu bytes are used of %llu", (unsigned long long)used,
						(unsigned long long)run->limit);
		if (used > run->used_most)
			run->used_most = used;
		run->samples++;
		run->open_samples +=
			atomic_load_explicit(&run->target.quota->open, memory_order_relaxed) != NULL;
		pause_ms(SAMPLE_MS);
	}
	atomic_store_explicit(&run->stop, true, memory_order_relaxed);
}

/* Divide the limit among the workers, unevenly. */
static void set_caps(struct run *run, uint64_t *random)
{
	uint64_t left = run->limit;

	for (unsigned i = 0; i < run->threads; i++) {
		struct worker *w = &run->workers[i];
		uint64_t fair = left / (run->threads - i);
		w->cap = i + 1 == run->threads ? left : fair / 2 + below(random, fair + 1);
		if (w->cap > left)
			w->cap = left;
		left -= w->cap;
	}
}

static uint64_t draw_limit(uint64_t *random, bool files)
{
	static const uint64_t limits[] = {1000, 9 * KIB, MIB, 16 * MIB, 64 * MIB, 255 * MIB};
	uint64_t limit = files ? (UINT64_C(2) << stress_below(random, 6)) * MIB
						   : limits[stress_below(random, sizeof(limits) / sizeof(limits[0]))];

	return limit + stress_below(random, 5000);
}

static uint64_t sum_of_held(const struct run *run)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < run->threads; i++) {
		const struct worker *w = &run->workers[i];
		sum += w->held + (atomic_load_explicit(&w->mailbox, memory_order_relaxed) & MAIL_BYTES);
	}
	return sum;
}

struct counts {
	uint64_t taken;
	uint64_t refused;
	uint64_t guarded_off;
	uint64_t known;
	uint64_t looks;
};

static struct counts count(const struct run *run)
{
	struct counts sum = {0};

	for (unsigned i = 0; i < run->threads; i++) {
		const struct worker *w = &run->workers[i];
		sum.taken += w->taken;
		sum.refused += w->refused;
		sum.guarded_off += w->guarded_off;
		sum.known += w->known;
		sum.looks += w->looks;
	}
	return sum;
}

static void print_round(const struct run *run, const struct counts *before)
{
	struct counts now = count(run);

	printf(
		"%s%s, %s, %llu bytes, %u stripes: %llu taken, %llu of them certain, %llu refused, %llu "
		"by the guard, most used %llu, open %llu %%\n",
		run->target.fs ? "files" : "quota", run->target.guarded ? " guarded" : "",
		run->has_caps ? "caps" : "free", (unsigned long long)run->limit, run->stripes,
		(unsigned long long)(now.taken - before->taken),
		(unsigned long long)(run->has_caps ? now.taken - before->taken : now.known - before->known),
		(unsigned long long)(now.refused - before->refused),
		(unsigned long long)(now.guarded_off - before->guarded_off),
		(unsigned long long)run->used_most,
		(unsigned long long)(run->open_samples * 100 / (run->samples ? run->samples : 1)));
	fflush(stdout);
}

/* One round. The number says what it takes from, and what is known. */
static void run_round(struct run *run, unsigned number, uint64_t *random)
{
	static const unsigned stripes[] = {MFS__STRIPES, MFS__STRIPES, 3, 1};
	bool files = number / 2 % 2;
	bool guarded = number / 4 % 2;
	struct counts before = count(run);

	run->has_caps = number % 2 == 0;
	run->limit = draw_limit(random, files);
	run->stripes = run->options->stripes ? run->options->stripes : stripes[stress_below(random, 4)];
	run->samples = 0;
	run->open_samples = 0;
	run->used_most = 0;
	atomic_store_explicit(&run->stop, false, memory_order_relaxed);
	atomic_store_explicit(&run->least, 0, memory_order_relaxed);
	atomic_store_explicit(&run->most, 0, memory_order_relaxed);
	limits_memory_is_scarce(false);
	limits_target_make(&run->target, files, guarded, run->limit);
	limits_memory_is_scarce(!run->has_caps);
	set_caps(run, random);

	let_go(run);
	watch(run, random);
	meet_workers(run);
	limits_target_check(&run->target, sum_of_held(run));
	let_go(run);
	meet_workers(run);
	limits_target_check(&run->target, 0);
	print_round(run, &before);
	limits_target_drop(&run->target);
}

/* A run that was never refused anything has not shown what it claims. */
static void check_limits_were_met(const struct run *run)
{
	struct counts sum = count(run);
	uint64_t requests = sum.taken + sum.refused + sum.guarded_off;

	printf("%llu requests, %llu refused, %llu by the guard; %llu certain ones without caps, %llu "
		   "looks\n",
		   (unsigned long long)requests, (unsigned long long)sum.refused,
		   (unsigned long long)sum.guarded_off, (unsigned long long)sum.known,
		   (unsigned long long)sum.looks);
	if (requests < ENOUGH_REQUESTS)
		printf("only %llu requests: whether the limits were met is not asked\n",
			   (unsigned long long)requests);
	else if (sum.refused == 0 || sum.known == 0)
		stress_fail("the limits were never met");
}

void limits_reserve(const struct limits_options *options)
{
	static struct run run;
	uint64_t random = options->seed;
	uint64_t end = stress_now() + options->seconds * NS_PER_S;

	run.options = options;
	run.threads = options->threads;
	run.workers = stress_map(run.threads * sizeof(*run.workers));
	if (pthread_barrier_init(&run.barrier, NULL, run.threads + 1) != 0)
		stress_die("cannot make a barrier");
	for (unsigned i = 0; i < run.threads; i++) {
		struct worker *w = &run.workers[i];
		w->run = &run;
		w->index = i;
		w->random = stress_mix(options->seed + i);
		if (pthread_create(&w->thread, NULL, work, w) != 0)
			stress_die("cannot start a thread");
	}
	meet_workers(&run);
	for (unsigned i = 0; stress_now() < end && !stress_failed(); i++)
		run_round(&run, i, &random);
	run.over = true;
	let_go(&run);
	for (unsigned i = 0; i < run.threads; i++)
		(void)pthread_join(run.workers[i].thread, NULL);
	check_limits_were_met(&run);
	(void)pthread_barrier_destroy(&run.barrier);
	stress_unmap(run.workers, run.threads * sizeof(*run.workers));
}
