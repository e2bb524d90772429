/* SPDX-License-Identifier: MIT */
/*
 * stress_mixed [--threads N] [--seconds S] [--seed X] [--quota SIZE] [--nodes N] [--files N]
 *
 * Many threads do everything at once in one workspace whose quota and node limit are far too small
 * for them. Each has a directory of its own, which it compares with an exact model all the time;
 * they share other directories, whose data tells on its own whether it is whole.
 *
 * What a PASS says, for the interleavings that this run has met:
 *   - no call ended in an error but those that fit what the thread knew at that moment, and each of
 *     the two limits was met;
 *   - used and peak bytes were never seen above the quota;
 *   - under a lock from open to close, and for single calls on MFS_O_SHARED handles, nobody read
 *     half of a write, foreign bytes or old ones; appends were neither lost in part nor reordered;
 *   - an overwrite in place, a truncation and a removal were never refused for want of quota;
 *   - listings were sorted, without foreign names; a name that is replaced again and again was
 *     always there; of two names of one file that moves to and fro, each listing had exactly one;
 *   - a thread's own trees, imported, copied, moved, exchanged and removed, were always what its
 *     model says, and a write to a copy never showed in what it was copied from, nor the reverse;
 *   - of an import, a copy, a move, an exchange or a removal of a shared tree nobody saw a part, in
 *     any level of a walk, any listing, any copy, or by any two lookups under one open handle;
 *   - a directory that moves between two others was never found in both or in neither;
 *   - no directory was moved or removed while a handle below it was open;
 *   - a handle that another thread closed gave its lock back; closed handles were recognised;
 *   - at rest between rounds, with all handles closed: the counts of files and directories were
 *     those of a walk, every file held what it should, and used bytes were at least the data and at
 *     most the data with the room for growth that files may keep (an eighth);
 *   - after all was removed by the public calls, nothing was counted or charged, mfs_free() found
 *     nothing open, and resident memory was back within a tenth of its start plus RSS_SLACK.
 *
 * What it does not say: that no other interleaving fails (the race detector and the tests with
 * hooks look for those), that a request that fits is never refused (nobody knows here what others
 * hold at that instant), or anything about speed: the latencies in the table are those of many
 * threads on few processors, with the waits for file locks in them.
 *
 * Resident memory. The start is taken after a warm-up: the same threads work in a workspace of
 * their own, which is emptied and freed. So what a process pays once is in the start: code pages,
 * the allocator's arenas, the C library's cache of thread stacks, the library's table of handles.
 * At both moments the allocator is told to give back what is free. RSS_SLACK covers what still
 * varies by chance: pages that hold a few bytes which outlive the run (the allocator's bookkeeping
 * is not given back), and how deep the cached stacks were used. The memory of the models and
 * buffers is mapped by this program itself, and taken off both figures. Under a sanitizer resident
 * memory is printed only, since freed memory stays in quarantine there.
 */
#include "mixed.h"

#include <getopt.h>

#define RSS_SLACK_KIB (4 * KIB)
#define WATCHDOG_S    60
#define ROUND_S       10
#define SAMPLE_MS     20
#define ENOUGH_CALLS  200000

/* A thread that is asked to end. */
struct watchdog {
	const struct stress *stress;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop; /* under lock */
};

static void init_condition(pthread_mutex_t *lock, pthread_cond_t *wake)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(wake, &attributes);
	pthread_condattr_destroy(&attributes);
}

static struct timespec time_from_now(uint64_t ns)
{
	uint64_t at = stress_now() + ns;

	return (struct timespec){(time_t)(at / NS_PER_S), (long)(at % NS_PER_S)};
}

/*
 * Watchdog
 */

static void report_hang(const struct stress *stress, unsigned stuck)
{
	fprintf(stderr, "FAIL stress_mixed: thread %u has been in one call for %d s\n", stuck,
			WATCHDOG_S);
	for (unsigned i = 0; i < stress->threads; i++) {
		struct worker *w = &stress->workers[i];
		fprintf(stderr, "  thread %u: %llu calls, now in %s of %s\n", i,
				(unsigned long long)atomic_load_explicit(&w->progress, memory_order_relaxed),
				call_name(atomic_load_explicit(&w->doing, memory_order_relaxed)), w->where);
	}
	abort();
}

static void *watch_threads(void *argument)
{
	struct watchdog *dog = argument;
	const struct stress *stress = dog->stress;
	uint64_t *seen = calloc(stress->threads, sizeof(*seen));
	unsigned *quiet = calloc(stress->threads, sizeof(*quiet));

	if (!seen || !quiet)
		stress_die("out of memory");
	pthread_mutex_lock(&dog->lock);
	while (!dog->stop) {
		struct timespec until = time_from_now(NS_PER_S);
		pthread_cond_timedwait(&dog->wake, &dog->lock, &until);
		for (unsigned i = 0; i < stress->threads; i++) {
			struct worker *w = &stress->workers[i];
			uint64_t progress = atomic_load_explicit(&w->progress, memory_order_relaxed);
			bool busy = atomic_load_explicit(&w->doing, memory_order_relaxed) >= 0;
			quiet[i] = busy && progress == seen[i] ? quiet[i] + 1 : 0;
			seen[i] = progress;
			if (quiet[i] >= WATCHDOG_S)
				report_hang(stress, i);
		}
	}
	pthread_mutex_unlock(&dog->lock);
	free(seen);
	free(quiet);
	return NULL;
}

/*
 * Rounds
 */

static void *work(void *argument)
{
	struct worker *w = argument;
	struct stress *stress = w->stress;

	while (!atomic_load_explicit(&stress->stop, memory_order_relaxed) && !stress_failed()) {
		uint32_t dice = below(w, 100);
		empty_mailbox(w, w);
		if (dice == 0)
			try_stale_handle(w);
		else if (dice == 1)
			call_stats(w);
		else if (dice < 34)
			private_step(w);
		else if (dice < 84)
			shared_step(w);
		else if (dice < 92)
			trees_step(w);
		else
			forest_step(w);
	}
	return NULL;
}

/* Let all threads work for a time; look at the workspace's figures meanwhile. */
static void run_round(struct stress *stress, uint64_t ns)
{
	struct worker *first = &stress->workers[0];
	uint64_t end = stress_now() + ns;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	mfs_usage usage;

	init_condition(&lock, &wake);
	atomic_store_explicit(&stress->stop, false, memory_order_relaxed);
	for (unsigned i = 0; i < stress->threads; i++) {
		struct worker *w = &stress->workers[i];
		if (pthread_create(&w->thread, NULL, work, w) != 0)
			stress_die("cannot start a thread");
	}
	pthread_mutex_lock(&lock);
	while (stress_now() < end && !stress_failed()) {
		struct timespec until = time_from_now(SAMPLE_MS * NS_PER_MS);
		pthread_cond_timedwait(&wake, &lock, &until);
		if (mfs_stats(first->fs, &usage) < 0 || usage.used_bytes > usage.quota_bytes ||
			usage.peak_bytes > usage.quota_bytes)
			stress_fail("used %llu, peak %llu of %llu bytes", (unsigned long long)usage.used_bytes,
						(unsigned long long)usage.peak_bytes,
						(unsigned long long)usage.quota_bytes);
	}
	pthread_mutex_unlock(&lock);
	atomic_store_explicit(&stress->stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < stress->threads; i++) {
		if (pthread_join(stress->workers[i].thread, NULL) != 0)
			stress_die("cannot join a thread");
	}
	for (unsigned i = 0; i < stress->threads; i++)
		empty_mailbox(first, &stress->workers[i]);
	pthread_cond_destroy(&wake);
	pthread_mutex_destroy(&lock);
}

/*
 * The workspace at rest
 */

struct found {
	uint64_t files;
	uint64_t directories;
	uint64_t bytes;
};

/* Count what lies below a directory, and check what the shared directories hold. */
static void walk(struct worker *w, const char *directory, bool shared, struct found *found)
{
	char **names;
	char path[PATH_SIZE];
	mfs_info info;
	int64_t count = call_listdir(w, *directory ? directory : "/", 0, &names);

	for (int64_t i = 0; i < count; i++) {
		if (snprintf(path, sizeof(path), "%s/%s", directory, names[i]) >= (int)sizeof(path))
			stress_fail("a path is too long: %s", path);
		bool check = shared || (*directory == '\0' && names[i][0] != 'p');
		if (shared && !shared_name_is_known(w->stress, directory, names[i]))
			stress_fail("%s is a foreign name", path);
		if (call_stat(w, path, 0, &info) < 0)
			continue;
		if (info.is_dir) {
			found->directories++;
			walk(w, path, check, found);
			continue;
		}
		found->files++;
		found->bytes += (uint64_t)info.size;
		if (check)
			shared_check_file(w, path, names[i]);
	}
	mfs_names_free(names);
}

/* Between rounds: nobody works, no handle is open. */
static void check_at_rest(struct stress *stress)
{
	struct worker *first = &stress->workers[0];
	struct found found = {0};
	uint64_t own_bytes = 0;
	mfs_usage usage;

	for (unsigned i = 0; i < stress->threads && !stress_failed(); i++)
		own_bytes += private_check(&stress->workers[i]) + trees_check(&stress->workers[i]);
	forest_check(first);
	for (unsigned i = 0; i < stress->threads; i++)
		empty_mailbox(first, &stress->workers[i]);
	walk(first, "", false, &found);
	if (mfs_stats(first->fs, &usage) < 0)
		stress_fail("mfs_stats: %s", mfs_last_error());
	uint64_t overhead = usage.chunks * usage.chunk_overhead;
	uint64_t most = found.bytes + found.bytes / 8 + overhead + found.files;
	if (usage.files != found.files || usage.directories != found.directories ||
		usage.open_handles != 0 || usage.files + usage.directories > usage.max_nodes ||
		found.bytes < own_bytes || usage.used_bytes < found.bytes + overhead ||
		usage.used_bytes > most) {
		stress_fail(
			"at rest: %llu files (%llu found), %llu directories (%llu found), %llu handles, "
			"%llu used bytes for %llu bytes of data in %llu chunks",
			(unsigned long long)usage.files, (unsigned long long)found.files,
			(unsigned long long)usage.directories, (unsigned long long)found.directories,
			(unsigned long long)usage.open_handles, (unsigned long long)usage.used_bytes,
			(unsigned long long)found.bytes, (unsigned long long)usage.chunks);
	}
	printf("at rest: %llu files, %llu directories, %llu KiB of data, %llu KiB used, peak %llu KiB, "
		   "%llu KiB resident\n",
		   (unsigned long long)usage.files, (unsigned long long)usage.directories,
		   (unsigned long long)(found.bytes / KIB), (unsigned long long)(usage.used_bytes / KIB),
		   (unsigned long long)(usage.peak_bytes / KIB),
		   (unsigned long long)stress_status("VmRSS:"));
	fflush(stdout);
}

static void remove_below(struct worker *w, const char *directory)
{
	char **names;
	char path[PATH_SIZE];
	mfs_info info;
	int64_t count = call_listdir(w, *directory ? directory : "/", 0, &names);

	for (int64_t i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		if (call_stat(w, path, 0, &info) == 0 && info.is_dir)
			remove_below(w, path);
		call_remove(w, path, 0);
	}
	mfs_names_free(names);
}

static void check_empty(struct worker *w)
{
	mfs_usage usage;

	if (mfs_stats(w->fs, &usage) < 0)
		stress_fail("mfs_stats: %s", mfs_last_error());
	if (usage.used_bytes != 0 || usage.files != 0 || usage.directories != 0 || usage.chunks != 0 ||
		usage.open_handles != 0) {
		stress_fail("after removing all: %llu used bytes, %llu files, %llu directories, %llu "
					"chunks, %llu handles",
					(unsigned long long)usage.used_bytes, (unsigned long long)usage.files,
					(unsigned long long)usage.directories, (unsigned long long)usage.chunks,
					(unsigned long long)usage.open_handles);
	}
}

/* A workspace with an open handle cannot be freed. */
static void check_busy(struct worker *w)
{
	mfs_file *file;

	if (call_open(w, "/last", "wb", MFS_NO_WAIT, 0, 0, 0, &file) < 0)
		return;
	if (mfs_free(w->fs) != MFS_EBUSY) {
		stress_fail("mfs_free() of a workspace with an open handle");
		abort();
	}
	call_close(w, file);
	call_remove(w, "/last", 0);
}

/* The life of a workspace: made, used in rounds, emptied, freed. */
static void run_workspace(struct stress *stress, uint64_t seconds, unsigned rounds)
{
	struct worker *first = &stress->workers[0];
	mfs_options options = {
		.struct_size = sizeof(options),
		.max_quota = stress->quota,
		.max_nodes = stress->nodes,
		.default_lock_timeout = 50,
	};
	mfs *fs = NULL;
	char path[PATH_SIZE];

	if (mfs_new(&options, &fs) < 0)
		stress_die("mfs_new: %s", mfs_last_error());
	for (unsigned i = 0; i < stress->threads; i++) {
		stress->workers[i].fs = fs;
		stress->workers[i].stale = NULL;
		private_reset(&stress->workers[i]);
		trees_reset(&stress->workers[i]);
		snprintf(path, sizeof(path), "/p%u", i);
		call_mkdir(&stress->workers[i], path, 0, 0);
	}
	shared_set_up(first);
	forest_set_up(first);
	for (unsigned i = 0; i < rounds && !stress_failed(); i++) {
		run_round(stress, seconds * NS_PER_S / rounds);
		check_at_rest(stress);
	}
	call_rmtree(first, "/trees", 0);
	remove_below(first, "");
	check_empty(first);
	check_busy(first);
	check_empty(first);
	if (mfs_free(fs) != 0)
		stress_fail("mfs_free: %s", mfs_last_error());
}

/*
 * The program
 */

static void print_table(const struct stress *stress)
{
	static const char *const names[ERROR_COUNT] = {
#define ERROR_NAME(name, value, message) #name,
		MFS_ERROR_MAP(ERROR_NAME)
#undef ERROR_NAME
	};

	printf("%-9s %10s %10s %12s  expected errors\n", "call", "calls", "errors", "longest us");
	for (unsigned kind = 0; kind < CALL_KIND_COUNT; kind++) {
		struct tally sum = {0};
		uint64_t errors = 0;
		for (unsigned i = 0; i < stress->threads; i++) {
			const struct tally *tally = &stress->workers[i].tallies[kind];
			sum.calls += tally->calls;
			if (tally->max_ns > sum.max_ns)
				sum.max_ns = tally->max_ns;
			for (unsigned bit = 0; bit < ERROR_COUNT; bit++) {
				sum.errors[bit] += tally->errors[bit];
				errors += tally->errors[bit];
			}
		}
		printf("%-9s %10llu %10llu %12.1f ", call_name((int)kind), (unsigned long long)sum.calls,
			   (unsigned long long)errors, (double)sum.max_ns / 1000);
		for (unsigned bit = 0; bit < ERROR_COUNT; bit++) {
			if (sum.errors[bit] != 0)
				printf(" %s %llu", names[bit] + strlen("MFS_E"),
					   (unsigned long long)sum.errors[bit]);
		}
		printf("\n");
	}
}

static uint64_t sum_of_calls(const struct stress *stress, int bit)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < stress->threads; i++) {
		for (unsigned kind = 0; kind < CALL_KIND_COUNT; kind++) {
			const struct tally *tally = &stress->workers[i].tallies[kind];
			sum += bit < 0 ? tally->calls : tally->errors[bit];
		}
	}
	return sum;
}

/* A run that never met a limit has not shown what it claims. */
static void check_limits_were_met(const struct stress *stress)
{
	uint64_t calls = sum_of_calls(stress, -1);

	if (calls < ENOUGH_CALLS) {
		printf("only %llu calls: whether the limits were met is not asked\n",
			   (unsigned long long)calls);
		return;
	}
	if (sum_of_calls(stress, ERROR_BIT_MFS_EQUOTA) == 0)
		stress_fail("the quota was never met: give a smaller one");
	if (sum_of_calls(stress, ERROR_BIT_MFS_ENODES) == 0)
		stress_fail("the limit of nodes was never met: give a smaller one");
}

/* Resident memory in KiB, without what this program has mapped for itself. */
static uint64_t resident(const struct stress *stress)
{
	uint64_t slots = PRIVATE_SLOTS * (uint64_t)PRIVATE_MAX;
	uint64_t own = stress->threads * (sizeof(*stress->workers) + 2 * stress->buffer_size + slots);

	stress_purge();
	return stress_status("VmRSS:") - own / KIB;
}

static void check_memory(uint64_t at_start, uint64_t before, uint64_t after)
{
	uint64_t most = before + before / 10 + RSS_SLACK_KIB;

	printf("resident: %llu KiB when the program started, %llu KiB after the warm-up, %llu KiB at "
		   "the end, at most %llu KiB allowed\n",
		   (unsigned long long)at_start, (unsigned long long)before, (unsigned long long)after,
		   (unsigned long long)most);
	if (STRESS_TSAN || STRESS_ASAN)
		printf("under a sanitizer resident memory is not judged\n");
	else if (after > most)
		stress_fail("resident memory has grown");
}

static void make_workers(struct stress *stress)
{
	stress->workers = stress_map(stress->threads * sizeof(*stress->workers));
	for (unsigned i = 0; i < stress->threads; i++) {
		struct worker *w = &stress->workers[i];
		w->stress = stress;
		w->index = i;
		w->random = stress_mix(stress->seed + i);
		atomic_init(&w->doing, -1);
		w->buffer = stress_map(stress->buffer_size);
		w->other = stress_map(stress->buffer_size);
		pthread_mutex_init(&w->mailbox_lock, NULL);
		for (unsigned slot = 0; slot < PRIVATE_SLOTS; slot++)
			w->slots[slot].data = stress_map(PRIVATE_MAX);
	}
}

static void drop_workers(struct stress *stress)
{
	for (unsigned i = 0; i < stress->threads; i++) {
		struct worker *w = &stress->workers[i];
		for (unsigned slot = 0; slot < PRIVATE_SLOTS; slot++)
			stress_unmap(w->slots[slot].data, PRIVATE_MAX);
		pthread_mutex_destroy(&w->mailbox_lock);
		stress_unmap(w->buffer, stress->buffer_size);
		stress_unmap(w->other, stress->buffer_size);
	}
	stress_unmap(stress->workers, stress->threads * sizeof(*stress->workers));
}

static void parse_options(struct stress *stress, int count, char **arguments)
{
	static const struct option known[] = {
		{"threads", required_argument, NULL, 't'},
		{"seconds", required_argument, NULL, 's'},
		{"seed", required_argument, NULL, 'x'},
		{"quota", required_argument, NULL, 'q'},
		{"nodes", required_argument, NULL, 'n'},
		{"files", required_argument, NULL, 'f'},
		{NULL, 0, NULL, 0},
	};
	int letter;

	while ((letter = getopt_long(count, arguments, "", known, NULL)) != -1) {
		switch (letter) {
		case 't':
			stress->threads = (unsigned)stress_number(optarg, 1, MAX_THREADS, false);
			break;
		case 's':
			stress->seconds = stress_number(optarg, 1, 1000000, false);
			break;
		case 'x':
			stress->seed = stress_number(optarg, 0, UINT64_MAX, false);
			break;
		case 'q':
			stress->quota = stress_number(optarg, MIB, UINT64_C(1) << 40, true);
			break;
		case 'n':
			stress->nodes = stress_number(optarg, 1, UINT64_C(1) << 40, true);
			break;
		case 'f':
			stress->files = (unsigned)stress_number(optarg, 1, 100000, false);
			break;
		default:
			stress_die("usage: stress_mixed [--threads N] [--seconds S] [--seed X] [--quota SIZE] "
					   "[--nodes N] [--files N]");
		}
	}
	if (optind != count)
		stress_die("unexpected argument: %s", arguments[optind]);
}

int main(int count, char **arguments)
{
	uint64_t at_start = stress_status("VmRSS:");
	struct stress stress = {
		.threads = 50,
		.seconds = 60,
		.seed = (uint64_t)time(NULL),
		.files = 32,
	};
	struct watchdog dog = {.stress = &stress};
	pthread_t dog_thread;

	parse_options(&stress, count, arguments);
	if (stress.quota == 0)
		stress.quota = 1000 * KIB + stress.threads * 64 * KIB;
	if (stress.nodes == 0)
		stress.nodes = 350 + stress.threads * 28;
	if (stress.nodes < 150 + stress.threads)
		stress_die("the set-up alone needs %u nodes", 150 + stress.threads);
	for (unsigned i = 0; i < SHUTTLES; i++)
		pthread_mutex_init(&stress.shuttles[i].lock, NULL);
	pthread_mutex_init(&stress.bundle.lock, NULL);
	stress.buffer_size =
		(size_t)((2 * FILE_MAX + stress.threads * (uint64_t)LOG_APPENDS * LOG_RECORD_MAX + 4095) /
				 4096 * 4096);
	printf("stress_mixed: --threads %u --seconds %llu --seed %llu --quota %llu --nodes %llu "
		   "--files %u\n",
		   stress.threads, (unsigned long long)stress.seconds, (unsigned long long)stress.seed,
		   (unsigned long long)stress.quota, (unsigned long long)stress.nodes, stress.files);
	fflush(stdout);

	make_workers(&stress);
	init_condition(&dog.lock, &dog.wake);
	if (pthread_create(&dog_thread, NULL, watch_threads, &dog) != 0)
		stress_die("cannot start a thread");

	uint64_t warm_up = stress.seconds / 6 < 1 ? 1 : stress.seconds / 6 > 5 ? 5 : stress.seconds / 6;
	run_workspace(&stress, warm_up, 1);
	uint64_t before = resident(&stress);
	if (!stress_failed()) {
		uint64_t rounds = stress.seconds < 2 ? 1 : 1 + (stress.seconds + 1) / ROUND_S;
		run_workspace(&stress, stress.seconds, (unsigned)rounds);
	}
	uint64_t after = resident(&stress);

	pthread_mutex_lock(&dog.lock);
	dog.stop = true;
	pthread_cond_signal(&dog.wake);
	pthread_mutex_unlock(&dog.lock);
	pthread_join(dog_thread, NULL);
	print_table(&stress);
	check_limits_were_met(&stress);
	check_memory(at_start, before, after);
	drop_workers(&stress);
	for (unsigned i = 0; i < SHUTTLES; i++)
		pthread_mutex_destroy(&stress.shuttles[i].lock);
	pthread_mutex_destroy(&stress.bundle.lock);
	return stress_verdict("stress_mixed");
}
