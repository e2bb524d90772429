/* SPDX-License-Identifier: MIT */
/*
 * stress_limits [reserve] [--pinned] [--threads N] [--seconds S] [--seed X] [--phase MS]
 *                         [--stripes N]
 * stress_limits churn     [--threads N] [--seconds S] [--hold S] [--pinned]
 *
 * Do limits hold exactly, and does memory stay within its bounds, when everybody is at them?
 *
 * reserve: 64 threads, 32 with --pinned on one processor, take amounts and give them back, in
 * rounds of 2 seconds: of a quota by itself, and as files of a workspace, with and without a memory
 * guard that takes back all that is free once a millisecond. Limits are from 1000 bytes to 256 MiB,
 * often filled to the last byte. A PASS says, for the interleavings that this run has met:
 *   - never was more taken than the limit, and never more said to be used;
 *   - no request was refused that fitted for the whole of its call: none at all in the rounds in
 *     which every thread keeps below a cap of its own and the caps are the limit, and in the others
 *     none of which the program can tell (limits_reserve.c says how);
 *   - mfs_wait_for_space() with MFS_NO_WAIT found free what was free;
 *   - at rest, what is used was what is held, to the byte, before and after all was given back, and
 *     the rest was to be had at once, and not a byte more.
 * What it does not say: that a refusal in a round without caps was right while others were past the
 * limit too, that no other interleaving fails (tests/models goes through them all, for a model), or
 * anything about speed.
 *
 * churn: 4 threads create and remove files of 4 KiB as fast as they can, while a reader sleeps for
 * 10 seconds at a time within an open directory. A PASS says that, looked at each 100 ms, never
 * more than 16 MiB and 64 KiB for each stripe was retired, that resident memory grew by no more
 * than the quota of 256 MiB and a fifth, and that the reader found all that was there when he
 * began.
 *
 * The program is linked with the library's insides. stress_limits_hooked is the same with the test
 * hooks, at which threads are held up now and then inside the library.
 */
#include "limits_parts.h"

#include "base/stripe.h"
#include "base/test_hook.h"

#include <getopt.h>
#include <sched.h>

#define RESERVE_THREADS 64
#define PINNED_THREADS  32
#define CHURN_THREADS   4
/* So often a thread is held up at a hook. */
#define DISTURB_ONE_IN 32

#ifdef MFS_TEST_HOOKS
/* 0 for threads that are not workers. */
static _Thread_local uint64_t disturb_random;

static void disturb(const char *point)
{
	(void)point;
	if (disturb_random == 0 || stress_below(&disturb_random, DISTURB_ONE_IN) != 0)
		return;
	if (stress_below(&disturb_random, 2)) {
		sched_yield();
		return;
	}
	uint32_t count = UINT32_C(1) << stress_below(&disturb_random, 12);
	for (volatile uint32_t i = 0; i < count; i++)
		;
}

static void set_hook(void)
{
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, disturb, memory_order_release);
}

void limits_disturb(uint64_t seed)
{
	disturb_random = seed | 1;
}
#else
static void set_hook(void)
{
}

void limits_disturb(uint64_t seed)
{
	(void)seed;
}
#endif

/* Keep the whole process on the first processor that it may use. */
static void pin(void)
{
	cpu_set_t allowed;
	cpu_set_t one;
	unsigned first = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		stress_die("sched_getaffinity failed");
	while (first < CPU_SETSIZE - 1 && !CPU_ISSET(first, &allowed))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		stress_die("sched_setaffinity failed");
}

static void parse_options(struct limits_options *options, int count, char **arguments)
{
	static const struct option known[] = {
		{"threads", required_argument, NULL, 't'}, {"seconds", required_argument, NULL, 's'},
		{"seed", required_argument, NULL, 'x'},    {"phase", required_argument, NULL, 'p'},
		{"stripes", required_argument, NULL, 'r'}, {"hold", required_argument, NULL, 'h'},
		{"pinned", no_argument, NULL, 'o'},        {NULL, 0, NULL, 0},
	};
	int letter;

	while ((letter = getopt_long(count, arguments, "", known, NULL)) != -1) {
		switch (letter) {
		case 't':
			options->threads = (unsigned)stress_number(optarg, 1, LIMITS_MAX_THREADS, false);
			break;
		case 's':
			options->seconds = stress_number(optarg, 1, 1000000, false);
			break;
		case 'x':
			options->seed = stress_number(optarg, 0, UINT64_MAX, false);
			break;
		case 'p':
			options->phase_ms = stress_number(optarg, 1, 1000000, false);
			break;
		case 'r':
			options->stripes = (unsigned)stress_number(optarg, 1, MFS__STRIPES, false);
			break;
		case 'h':
			options->hold_s = stress_number(optarg, 0, 1000000, false);
			break;
		case 'o':
			options->pinned = true;
			break;
		default:
			stress_die("usage: stress_limits [reserve|churn] [--threads N] [--seconds S] "
					   "[--seed X] [--phase MS] [--stripes N] [--hold S] [--pinned]");
		}
	}
	if (optind != count)
		stress_die("unexpected argument: %s", arguments[optind]);
}

int main(int count, char **arguments)
{
	struct limits_options options = {
		.seconds = 60,
		.seed = (uint64_t)time(NULL),
		.phase_ms = 2000,
		.hold_s = 10,
	};
	bool churn = count > 1 && strcmp(arguments[1], "churn") == 0;
	bool named = churn || (count > 1 && strcmp(arguments[1], "reserve") == 0);

	parse_options(&options, count - named, arguments + named);
	if (options.threads == 0)
		options.threads = churn ? CHURN_THREADS : options.pinned ? PINNED_THREADS : RESERVE_THREADS;
	printf("stress_limits: %s%s --threads %u --seconds %llu --seed %llu --phase %llu --stripes %u "
		   "--hold %llu\n",
		   churn ? "churn" : "reserve", options.pinned ? " --pinned" : "", options.threads,
		   (unsigned long long)options.seconds, (unsigned long long)options.seed,
		   (unsigned long long)options.phase_ms, options.stripes,
		   (unsigned long long)options.hold_s);
	fflush(stdout);
	if (options.pinned)
		pin();
	set_hook();
	if (churn)
		limits_churn(&options);
	else
		limits_reserve(&options);
	return stress_verdict("stress_limits");
}
