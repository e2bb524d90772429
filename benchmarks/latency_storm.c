/* SPDX-License-Identifier: MIT */
/*
 * dmemfs_latency: how long single calls on one path take while other threads create, rename and
 * remove files, on a workspace, on tmpfs, and for the clock alone, which shows what the scheduler
 * costs. README.md says how to read the figures.
 */
#include "dmemfs/dmemfs.h"

#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <linux/magic.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define ROOT_SIZE  128u
#define PATH_SIZE  256u
#define FILE_BYTES 64u
/* Files that a thread of the storm makes, renames and removes before it begins anew. */
#define BATCH        64u
#define WARM_UP      1000u
#define CLOCK_CALLS  10000u
#define CLOCK_PARTS  100u
#define MOST_THREADS 256u
#define MOST_ROUNDS  99u
#define MOST_COUNTS  16u
#define NS_PER_S     UINT64_C(1000000000)

enum side { DMEMFS, TMPFS, CLOCK, SIDES };
enum what { STAT, OPEN_READ_CLOSE, WHATS };
enum where { NOWHERE, ELSEWHERE, SAME_DIRECTORY };

static const char *const side_names[SIDES] = {"dmemfs", "tmpfs", "clock"};
static const char *const what_names[WHATS] = {"stat", "open-read-close"};
static const char *const where_names[] = {"-", "elsewhere", "same directory"};

/*
 * Ending early
 */

/* Atomic, any thread: the directory of tmpfs to remove; NULL: none. */
static _Atomic(const char *) root_to_remove;
/* Atomic: somebody is ending the process. */
static _Atomic bool ending;

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place)
{
	(void)info;
	(void)type;
	(void)place;
	return remove(path);
}

static void clean_up(void)
{
	/* pairs with tmpfs_begin() */
	const char *root = atomic_load_explicit(&root_to_remove, memory_order_acquire);

	/* Other threads may still be adding to it, or removing from it what is found here. */
	for (int i = 0; root && i < 100; i++) {
		if (nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0 || access(root, F_OK) < 0)
			break;
	}
}

/* Say what went wrong, remove the directory on tmpfs, exit with 1. */
static _Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void die(const char *format, ...)
{
	va_list arguments;

	/*
	 * Only the first one speaks: the others fail because it is removing their files. Pairs with
	 * itself and wait_for_signal().
	 */
	if (atomic_exchange_explicit(&ending, true, memory_order_acq_rel)) {
		for (;;)
			pause();
	}
	fflush(stdout);
	fputs("dmemfs_latency: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	clean_up();
	_exit(1);
}

static void *wait_for_signal(void *argument)
{
	const sigset_t *signals = argument;
	int number = 0;

	/* pairs with die() */
	if (sigwait(signals, &number) != 0 ||
		atomic_exchange_explicit(&ending, true, memory_order_acq_rel))
		return NULL;
	clean_up();
	_exit(128 + number);
}

static void start_thread(pthread_t *thread, void *(*run)(void *), void *argument)
{
	int rc = pthread_create(thread, NULL, run, argument);

	if (rc != 0)
		die("cannot start a thread: %s", strerror(rc));
}

static void join_thread(pthread_t thread)
{
	int rc = pthread_join(thread, NULL);

	if (rc != 0)
		die("cannot join a thread: %s", strerror(rc));
}

/* Let a thread wait for what ends the program from outside, so that nothing stays in tmpfs. */
static void catch_signals(void)
{
	static sigset_t signals;
	pthread_t thread;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	int rc = pthread_sigmask(SIG_BLOCK, &signals, NULL);
	if (rc != 0)
		die("cannot block signals: %s", strerror(rc));
	start_thread(&thread, wait_for_signal, &signals);
	rc = pthread_detach(thread);
	if (rc != 0)
		die("cannot detach a thread: %s", strerror(rc));
}

/*
 * The histogram: log-linear, each power of two in 64 parts, so that a bucket's middle is less than
 * 1 % from all that is in it. Below 128 ns it is exact.
 */

enum {
	PART_BITS = 6,
	PARTS = 1 << PART_BITS,
	HIGHEST_BIT = 40,
	BUCKETS = (HIGHEST_BIT - PART_BITS + 1) * PARTS,
};

struct histogram {
	uint64_t count;
	uint64_t highest;
	uint64_t buckets[BUCKETS];
};

static inline unsigned bucket_of(uint64_t value)
{
	if (value < 2u * PARTS)
		return (unsigned)value;
	unsigned shift = 63u - (unsigned)__builtin_clzll(value) - PART_BITS;
	unsigned bucket = (shift << PART_BITS) + (unsigned)(value >> shift);
	return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double middle_of(unsigned bucket)
{
	if (bucket < 2u * PARTS)
		return bucket;
	unsigned shift = (bucket >> PART_BITS) - 1;
	uint64_t low = (uint64_t)(bucket - (shift << PART_BITS)) << shift;
	return (double)low + (double)((UINT64_C(1) << shift) - 1) / 2;
}

static inline void record(struct histogram *histogram, uint64_t value)
{
	histogram->buckets[bucket_of(value)]++;
	histogram->count++;
	if (value > histogram->highest)
		histogram->highest = value;
}

/* The value that so large a part of the samples does not exceed. */
static double quantile(const struct histogram *histogram, double part)
{
	uint64_t wanted = (uint64_t)ceil(part * (double)histogram->count);
	uint64_t seen = 0;

	for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
		seen += histogram->buckets[bucket];
		if (seen >= wanted && seen > 0) {
			double value = middle_of(bucket);
			return value < (double)histogram->highest ? value : (double)histogram->highest;
		}
	}
	die("no samples");
}

static inline uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

/* What a reading of the clock costs on average, in the part in which nothing else ran. */
static double clock_cost(void)
{
	uint64_t best = UINT64_MAX;

	for (unsigned part = 0; part < CLOCK_PARTS; part++) {
		uint64_t start = now();
		uint64_t end = start;
		for (unsigned i = 0; i < CLOCK_CALLS; i++)
			end = now();
		if (end - start < best)
			best = end - start;
	}
	return (double)best / CLOCK_CALLS;
}

/*
 * A turn: one side, one call, one storm, for so many seconds
 */

struct options {
	const char *json;
	const char *tmpfs;
	double seconds;
	unsigned rounds;
	bool one_core;
	unsigned threads[MOST_COUNTS];
	unsigned thread_counts;
};

struct turn {
	enum side side;
	enum what what;
	enum where where;
	unsigned threads;
	uint64_t nanoseconds;
	/* The same text on both sides. */
	const char *root;
	mfs *fs;
	char directory[PATH_SIZE];
	char target[PATH_SIZE];
	/* Passed by the storm's threads after their first batch, and by the one that measures. */
	pthread_barrier_t ready;
	/* Atomic: the storm is to end. */
	_Atomic bool stop;
	struct storm *storms;
	/*
	 * The measuring thread's own, and after its end the main thread's. Away from what the storm's
	 * threads read.
	 */
	_Alignas(128) int64_t size;
	unsigned char buffer[FILE_BYTES];
	struct histogram histogram;
	uint64_t elapsed;
	uint64_t operations;
};

/* A thread of the storm. */
struct storm {
	struct turn *turn;
	pthread_t thread;
	/* Its names are these and a number; at their ends a letter tells old from new. */
	char from[PATH_SIZE];
	char to[PATH_SIZE];
	size_t number_at;
	/* Atomic, written by this thread alone, on a line of its own: creations, renames, removals. */
	_Alignas(128) _Atomic uint64_t operations;
};

/* What every file holds; no byte is 0. */
static unsigned char content[FILE_BYTES];

static void make_path(char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void make_path(char *path, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int length = vsnprintf(path, PATH_SIZE, format, arguments);
	va_end(arguments);
	if (length < 0 || length >= (int)PATH_SIZE)
		die("path too long");
}

/*
 * The sides
 */

static _Noreturn void dmemfs_failed(const char *call, const char *path, int64_t result)
{
	if (result < 0)
		die("dmemfs: %s of %s: %s", call, path, mfs_strerror((int)result));
	die("dmemfs: %s of %s: only %lld bytes", call, path, (long long)result);
}

static void dmemfs_create(struct turn *turn, const char *path)
{
	mfs_file *file;
	int rc = mfs_open(turn->fs, path, "xb", &file);

	if (bench_unlikely(rc < 0))
		dmemfs_failed("open", path, rc);
	int64_t got = mfs_write(file, content, FILE_BYTES);
	if (bench_unlikely(got != (int64_t)FILE_BYTES))
		dmemfs_failed("write", path, got);
	rc = mfs_close(file);
	if (bench_unlikely(rc < 0))
		dmemfs_failed("close", path, rc);
}

static void dmemfs_rename(struct turn *turn, const char *from, const char *to)
{
	int rc = mfs_rename(turn->fs, from, to, 0);

	if (bench_unlikely(rc < 0))
		dmemfs_failed("rename", from, rc);
}

static void dmemfs_remove(struct turn *turn, const char *path)
{
	int rc = mfs_remove(turn->fs, path);

	if (bench_unlikely(rc < 0))
		dmemfs_failed("remove", path, rc);
}

static void dmemfs_make_directory(struct turn *turn, const char *path)
{
	int rc = mfs_mkdir(turn->fs, path, 0);

	if (rc < 0)
		dmemfs_failed("mkdir", path, rc);
}

static void dmemfs_begin(struct turn *turn)
{
	int rc = mfs_new(NULL, &turn->fs);

	if (rc < 0)
		dmemfs_failed("mfs_new", turn->root, rc);
	dmemfs_make_directory(turn, turn->root);
}

/* The last workspace takes its reclaimer along, so that the other sides have the machine. */
static void dmemfs_end(struct turn *turn)
{
	dmemfs_remove(turn, turn->root);
	int rc = mfs_free(turn->fs);
	if (rc < 0)
		dmemfs_failed("mfs_free", turn->root, rc);
}

static _Noreturn void tmpfs_failed(const char *call, const char *path, int64_t result)
{
	if (result < 0)
		die("tmpfs: %s of %s: %s", call, path, strerror(errno));
	die("tmpfs: %s of %s: only %lld bytes", call, path, (long long)result);
}

static void tmpfs_create(struct turn *turn, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	(void)turn;
	if (bench_unlikely(fd < 0))
		tmpfs_failed("open", path, fd);
	ssize_t got = write(fd, content, FILE_BYTES);
	if (bench_unlikely(got != (ssize_t)FILE_BYTES))
		tmpfs_failed("write", path, got);
	int rc = close(fd);
	if (bench_unlikely(rc < 0))
		tmpfs_failed("close", path, rc);
}

static void tmpfs_rename(struct turn *turn, const char *from, const char *to)
{
	int rc = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);

	(void)turn;
	if (bench_unlikely(rc < 0))
		tmpfs_failed("rename", from, rc);
}

static void tmpfs_remove(struct turn *turn, const char *path)
{
	int rc = unlink(path);

	(void)turn;
	if (bench_unlikely(rc < 0))
		tmpfs_failed("unlink", path, rc);
}

static void tmpfs_make_directory(struct turn *turn, const char *path)
{
	int rc = mkdir(path, 0700);

	(void)turn;
	if (rc < 0)
		tmpfs_failed("mkdir", path, rc);
}

static void tmpfs_remove_directory(struct turn *turn, const char *path)
{
	int rc = rmdir(path);

	(void)turn;
	if (rc < 0)
		tmpfs_failed("rmdir", path, rc);
}

static void tmpfs_begin(struct turn *turn)
{
	tmpfs_make_directory(turn, turn->root);
	/* pairs with clean_up() */
	atomic_store_explicit(&root_to_remove, turn->root, memory_order_release);
}

static void tmpfs_end(struct turn *turn)
{
	tmpfs_remove_directory(turn, turn->root);
	/* pairs with clean_up() */
	atomic_store_explicit(&root_to_remove, NULL, memory_order_release);
}

/* Called outside the measured calls only, so that pointers do. The clock's side has none. */
struct operations {
	void (*begin)(struct turn *turn);
	void (*end)(struct turn *turn);
	void (*make_directory)(struct turn *turn, const char *path);
	/* Fails for a directory that is not empty. */
	void (*remove_directory)(struct turn *turn, const char *path);
	void (*create)(struct turn *turn, const char *path);
	void (*rename)(struct turn *turn, const char *from, const char *to);
	void (*remove)(struct turn *turn, const char *path);
};

static const struct operations side_operations[SIDES] = {
	[DMEMFS] = {dmemfs_begin, dmemfs_end, dmemfs_make_directory, dmemfs_remove, dmemfs_create,
				dmemfs_rename, dmemfs_remove},
	[TMPFS] = {tmpfs_begin, tmpfs_end, tmpfs_make_directory, tmpfs_remove_directory, tmpfs_create,
			   tmpfs_rename, tmpfs_remove},
};

/*
 * The storm
 */

static void count_operation(struct storm *storm)
{
	uint64_t operations = atomic_load_explicit(&storm->operations, memory_order_relaxed);

	atomic_store_explicit(&storm->operations, operations + 1, memory_order_relaxed);
}

static void storm_batch(struct storm *storm, const struct operations *call)
{
	char *from_at = storm->from + storm->number_at;
	char *to_at = storm->to + storm->number_at;

	for (uint32_t number = 0; number < BATCH; number++) {
		bench_decimal(from_at, number);
		call->create(storm->turn, storm->from);
		count_operation(storm);
	}
	for (uint32_t number = 0; number < BATCH; number++) {
		bench_decimal(from_at, number);
		bench_decimal(to_at, number);
		call->rename(storm->turn, storm->from, storm->to);
		count_operation(storm);
	}
	for (uint32_t number = 0; number < BATCH; number++) {
		bench_decimal(to_at, number);
		call->remove(storm->turn, storm->to);
		count_operation(storm);
	}
}

/* Beside the clock: burn time, touch nothing. */
static void spin_batch(void)
{
	uint64_t state = BATCH;

	for (unsigned i = 0; i < BATCH; i++) {
		uint64_t random = bench_random(&state);
		/* Keeps the compiler from leaving it out. */
		__asm__ volatile("" : : "r"(random));
	}
}

static void *run_storm(void *argument)
{
	struct storm *storm = argument;
	struct turn *turn = storm->turn;
	const struct operations *call = &side_operations[turn->side];
	bool ready = false;

	while (!atomic_load_explicit(&turn->stop, memory_order_relaxed)) {
		if (turn->side == CLOCK)
			spin_batch();
		else
			storm_batch(storm, call);
		if (!ready)
			pthread_barrier_wait(&turn->ready);
		ready = true;
	}
	return NULL;
}

static void prepare_storm(struct turn *turn, unsigned index)
{
	struct storm *storm = &turn->storms[index];
	char directory[PATH_SIZE];

	storm->turn = turn;
	if (turn->side == CLOCK)
		return;
	memcpy(directory, turn->directory, sizeof(directory));
	if (turn->where == ELSEWHERE) {
		make_path(directory, "%s/own%u", turn->root, index);
		side_operations[turn->side].make_directory(turn, directory);
	}
	make_path(storm->from, "%.160s/t%u-a", directory, index);
	make_path(storm->to, "%.160s/t%u-b", directory, index);
	storm->number_at = strlen(storm->from);
	/* Room for the numbers of a batch. */
	if (storm->number_at > PATH_SIZE - 16)
		die("path too long");
}

static uint64_t sum_of_operations(const struct turn *turn)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < turn->threads; i++)
		sum += atomic_load_explicit(&turn->storms[i].operations, memory_order_relaxed);
	return sum;
}

/*
 * The measured calls
 */

static inline void call_dmemfs_stat(struct turn *turn)
{
	mfs_info info;
	int rc = mfs_stat(turn->fs, turn->target, &info);

	if (bench_unlikely(rc < 0 || info.is_dir))
		dmemfs_failed("stat", turn->target, rc);
	turn->size = info.size;
}

static inline void call_dmemfs_read(struct turn *turn)
{
	mfs_file *file;
	int rc = mfs_open(turn->fs, turn->target, "rb", &file);

	if (bench_unlikely(rc < 0))
		dmemfs_failed("open", turn->target, rc);
	int64_t got = mfs_read(file, turn->buffer, FILE_BYTES);
	if (bench_unlikely(got != (int64_t)FILE_BYTES))
		dmemfs_failed("read", turn->target, got);
	rc = mfs_close(file);
	if (bench_unlikely(rc < 0))
		dmemfs_failed("close", turn->target, rc);
}

static inline void call_tmpfs_stat(struct turn *turn)
{
	struct stat info;
	int rc = stat(turn->target, &info);

	if (bench_unlikely(rc < 0 || S_ISDIR(info.st_mode)))
		tmpfs_failed("stat", turn->target, rc);
	turn->size = info.st_size;
}

static inline void call_tmpfs_read(struct turn *turn)
{
	int fd = open(turn->target, O_RDONLY);

	if (bench_unlikely(fd < 0))
		tmpfs_failed("open", turn->target, fd);
	ssize_t got = read(fd, turn->buffer, FILE_BYTES);
	if (bench_unlikely(got != (ssize_t)FILE_BYTES))
		tmpfs_failed("read", turn->target, got);
	int rc = close(fd);
	if (bench_unlikely(rc < 0))
		tmpfs_failed("close", turn->target, rc);
}

static inline void call_nothing(struct turn *turn)
{
	(void)turn;
}

/* The call found the file as it was made. What it found is wiped out for the next one. */
static inline void check_stat(struct turn *turn)
{
	if (bench_unlikely(turn->size != (int64_t)FILE_BYTES))
		die("%s: %s: wrong size", side_names[turn->side], turn->target);
	turn->size = -1;
}

static inline void check_read(struct turn *turn)
{
	if (bench_unlikely(memcmp(turn->buffer, content, FILE_BYTES) != 0))
		die("%s: %s: wrong bytes", side_names[turn->side], turn->target);
	memset(turn->buffer, 0, FILE_BYTES);
}

static inline void check_nothing(struct turn *turn)
{
	(void)turn;
}

/* Inlined with constant functions: there is no indirect call inside the clock. */
static inline __attribute__((always_inline)) void
measure(struct turn *turn, void (*call)(struct turn *), void (*check)(struct turn *))
{
	for (unsigned i = 0; i < WARM_UP; i++) {
		call(turn);
		check(turn);
	}
	uint64_t operations = sum_of_operations(turn);
	const uint64_t begin = now();
	uint64_t end;
	do {
		uint64_t start = now();
		call(turn);
		end = now();
		record(&turn->histogram, end - start);
		check(turn);
	} while (end - begin < turn->nanoseconds);
	turn->elapsed = end - begin;
	turn->operations = sum_of_operations(turn) - operations;
}

static void *run_measured(void *argument)
{
	struct turn *turn = argument;
	bool is_stat = turn->what == STAT;

	pthread_barrier_wait(&turn->ready);
	if (turn->side == CLOCK)
		measure(turn, call_nothing, check_nothing);
	else if (turn->side == DMEMFS && is_stat)
		measure(turn, call_dmemfs_stat, check_stat);
	else if (turn->side == DMEMFS)
		measure(turn, call_dmemfs_read, check_read);
	else if (is_stat)
		measure(turn, call_tmpfs_stat, check_stat);
	else
		measure(turn, call_tmpfs_read, check_read);
	atomic_store_explicit(&turn->stop, true, memory_order_relaxed);
	return NULL;
}

static void set_up(struct turn *turn)
{
	const struct operations *call = &side_operations[turn->side];

	make_path(turn->directory, "%s/here", turn->root);
	make_path(turn->target, "%s/here/target", turn->root);
	if (turn->side != CLOCK) {
		call->begin(turn);
		call->make_directory(turn, turn->directory);
		call->create(turn, turn->target);
	}
	for (unsigned i = 0; i < turn->threads; i++)
		prepare_storm(turn, i);
}

/* Nothing else may be left: a directory that is not empty cannot be removed. */
static void tear_down(struct turn *turn)
{
	const struct operations *call = &side_operations[turn->side];
	char own[PATH_SIZE];

	if (turn->side == CLOCK)
		return;
	call->remove(turn, turn->target);
	call->remove_directory(turn, turn->directory);
	for (unsigned i = 0; turn->where == ELSEWHERE && i < turn->threads; i++) {
		make_path(own, "%s/own%u", turn->root, i);
		call->remove_directory(turn, own);
	}
	call->end(turn);
}

/*
 * All threads are new in each turn, the measuring one, too. So their stripes in the library, which
 * are given out in turn, are their own.
 */
static void run_turn(struct turn *turn)
{
	pthread_t measured;

	if (turn->threads > 0) {
		turn->storms = aligned_alloc(_Alignof(struct storm), turn->threads * sizeof(struct storm));
		if (!turn->storms)
			die("out of memory");
		memset(turn->storms, 0, turn->threads * sizeof(struct storm));
	}
	set_up(turn);
	int rc = pthread_barrier_init(&turn->ready, NULL, turn->threads + 1);
	if (rc != 0)
		die("cannot make a barrier: %s", strerror(rc));
	start_thread(&measured, run_measured, turn);
	for (unsigned i = 0; i < turn->threads; i++)
		start_thread(&turn->storms[i].thread, run_storm, &turn->storms[i]);
	join_thread(measured);
	for (unsigned i = 0; i < turn->threads; i++)
		join_thread(turn->storms[i].thread);
	pthread_barrier_destroy(&turn->ready);
	tear_down(turn);
	free(turn->storms);
}

/*
 * Results
 */

enum figure { P50, P99, P999, HIGHEST, FIGURES };

struct round {
	double figures[FIGURES];
	uint64_t samples;
	uint64_t operations;
	uint64_t elapsed;
};

/* One side of one row. */
struct result {
	enum side side;
	enum what what;
	enum where where;
	unsigned threads;
	unsigned count;
	struct round rounds[MOST_ROUNDS];
	/* Medians of the rounds, but of the highest ones the highest. */
	double figures[FIGURES];
	double samples_per_s;
	double operations_per_s;
};

static int compare_doubles(const void *left, const void *right)
{
	double a = *(const double *)left;
	double b = *(const double *)right;

	return (a > b) - (a < b);
}

static double sum_up_figure(const struct result *result, enum figure figure)
{
	double values[MOST_ROUNDS] = {0};
	unsigned count = result->count;

	for (unsigned i = 0; i < count; i++)
		values[i] = result->rounds[i].figures[figure];
	qsort(values, count, sizeof(*values), compare_doubles);
	if (figure == HIGHEST)
		return values[count - 1];
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void sum_up(struct result *result)
{
	uint64_t samples = 0;
	uint64_t operations = 0;
	uint64_t elapsed = 0;

	for (unsigned i = 0; i < result->count; i++) {
		samples += result->rounds[i].samples;
		operations += result->rounds[i].operations;
		elapsed += result->rounds[i].elapsed;
	}
	result->samples_per_s = (double)samples / (double)elapsed * 1e9;
	result->operations_per_s = (double)operations / (double)elapsed * 1e9;
	for (unsigned figure = 0; figure < FIGURES; figure++)
		result->figures[figure] = sum_up_figure(result, (enum figure)figure);
}

static void run_round(const struct options *options, const char *root, struct result *result)
{
	/* Too large for a stack, and touched before the clock runs. */
	static struct turn turn;

	memset(&turn, 0, sizeof(turn));
	turn.side = result->side;
	turn.what = result->what;
	turn.where = result->where;
	turn.threads = result->threads;
	turn.root = root;
	turn.nanoseconds = (uint64_t)(options->seconds * 1e9);
	turn.size = -1;
	run_turn(&turn);
	struct round *round = &result->rounds[result->count++];
	round->figures[P50] = quantile(&turn.histogram, 0.5);
	round->figures[P99] = quantile(&turn.histogram, 0.99);
	round->figures[P999] = quantile(&turn.histogram, 0.999);
	round->figures[HIGHEST] = (double)turn.histogram.highest;
	round->samples = turn.histogram.count;
	round->operations = turn.operations;
	round->elapsed = turn.elapsed;
}

static void print_head(void)
{
	printf("%-15s %-14s %5s  %-6s %9s %9s %9s %11s %11s %10s\n", "what", "storm", "thr.", "side",
		   "p50", "p99", "p99.9", "max", "samples/s", "storm/s");
}

static void print_side(const struct result *result)
{
	printf("%-15s %-14s %5u  %-6s %9.0f %9.0f %9.0f %11.0f %11.0f ", what_names[result->what],
		   where_names[result->where], result->threads, side_names[result->side],
		   result->figures[P50], result->figures[P99], result->figures[P999],
		   result->figures[HIGHEST], result->samples_per_s);
	if (result->side == CLOCK)
		printf("%10s\n", "-");
	else
		printf("%10.0f\n", result->operations_per_s);
}

static double ratio(double above, double below)
{
	return below > 0 ? above / below : NAN;
}

static void print_row(const struct result *sides)
{
	const struct result *ours = &sides[DMEMFS];
	const struct result *theirs = &sides[TMPFS];

	for (unsigned side = 0; side < SIDES; side++)
		print_side(&sides[side]);
	printf("%-15s %-14s %5u  %-6s", what_names[ours->what], where_names[ours->where], ours->threads,
		   "ratio");
	for (unsigned figure = 0; figure < FIGURES; figure++)
		printf(figure == HIGHEST ? " %11.2f" : " %9.2f",
			   ratio(theirs->figures[figure], ours->figures[figure]));
	printf(" %11.2f ", ratio(ours->samples_per_s, theirs->samples_per_s));
	if (ours->threads > 0)
		printf("%10.2f\n", ratio(ours->operations_per_s, theirs->operations_per_s));
	else
		printf("%10s\n", "-");
	fflush(stdout);
}

static void print_foot(void)
{
	printf("p50, p99, p99.9: ns of one call, a reading of the clock included; medians of the "
		   "rounds\n"
		   "max: of all rounds\n"
		   "storm/s: files created, renamed and removed by all threads of the storm together\n"
		   "clock: two readings of the clock with nothing between, beside threads that spin\n"
		   "ratio: tmpfs over dmemfs; of the last two dmemfs over tmpfs; more is better for "
		   "dmemfs\n");
}

/*
 * JSON
 */

/* The text has no quotes: it is made here, or comes from the system. */
static void put_text(FILE *file, const char *name, const char *text, const char *end)
{
	fprintf(file, "    \"%s\": \"%.*s\"%s\n", name, (int)strcspn(text, "\"\\\n"), text, end);
}

static void put_processor(FILE *file)
{
	char line[512];
	const char *name = "unknown";
	FILE *info = fopen("/proc/cpuinfo", "re");

	while (info && fgets(line, sizeof(line), info)) {
		const char *colon = strchr(line, ':');
		if (colon && strncmp(line, "model name", strlen("model name")) == 0) {
			name = colon + 1 + strspn(colon + 1, " \t");
			break;
		}
	}
	put_text(file, "cpu", name, ",");
	if (info)
		(void)fclose(info);
}

static void put_machine(FILE *file, double clock_ns)
{
	struct utsname system;
	char text[256];
	time_t seconds = time(NULL);
	struct tm utc;

	fputs("  \"machine\": {\n", file);
	put_processor(file);
	if (uname(&system) < 0)
		die("uname: %s", strerror(errno));
	snprintf(text, sizeof(text), "%.64s %.64s %.64s", system.sysname, system.release,
			 system.machine);
	put_text(file, "kernel", text, ",");
	if (!gmtime_r(&seconds, &utc) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		die("the date does not fit");
	put_text(file, "date", text, ",");
	put_text(file, "version", mfs_version(), ",");
	fprintf(file, "    \"cores\": %ld,\n    \"clock_ns\": %.2f\n  },\n",
			sysconf(_SC_NPROCESSORS_ONLN), clock_ns);
}

static void put_figures(FILE *file, const double *figures)
{
	fprintf(file, "\"p50\": %.1f, \"p99\": %.1f, \"p99_9\": %.1f, \"max\": %.0f", figures[P50],
			figures[P99], figures[P999], figures[HIGHEST]);
}

static void put_result(FILE *file, const struct result *result)
{
	fprintf(file, "    {\"what\": \"%s\", \"storm\": \"%s\", \"threads\": %u, \"side\": \"%s\", ",
			what_names[result->what], where_names[result->where], result->threads,
			side_names[result->side]);
	put_figures(file, result->figures);
	fprintf(file, ", \"samples_per_s\": %.0f, \"storm_per_s\": %.0f,\n     \"rounds\": [",
			result->samples_per_s, result->operations_per_s);
	for (unsigned i = 0; i < result->count; i++) {
		const struct round *round = &result->rounds[i];
		fputs(i ? ",\n      {" : "\n      {", file);
		put_figures(file, round->figures);
		fprintf(file, ", \"samples\": %llu, \"storm\": %llu, \"ns\": %llu}",
				(unsigned long long)round->samples, (unsigned long long)round->operations,
				(unsigned long long)round->elapsed);
	}
	fputs("]}", file);
}

static void write_json(const struct options *options, double clock_ns, const struct result *results,
					   size_t count)
{
	FILE *file = fopen(options->json, "we");

	if (!file)
		die("cannot write %s: %s", options->json, strerror(errno));
	fputs("{\n", file);
	put_machine(file, clock_ns);
	fprintf(file, "  \"seconds\": %g,\n  \"one_core\": %s,\n  \"results\": [\n", options->seconds,
			options->one_core ? "true" : "false");
	for (size_t i = 0; i < count; i++) {
		put_result(file, &results[i]);
		fputs(i + 1 < count ? ",\n" : "\n", file);
	}
	fputs("  ]\n}\n", file);
	int failed = ferror(file);
	if (fclose(file) != 0 || failed)
		die("cannot write %s", options->json);
}

/*
 * Options
 */

static void print_usage(FILE *file)
{
	fputs("usage: dmemfs_latency [--json FILE] [--threads 0,1,4,16] [--rounds 5] [--seconds 1]\n"
		  "                      [--one-core] [--tmpfs DIR]\n"
		  "\n"
		  "  --json FILE         where all rounds go\n"
		  "  --threads 0,1,...   numbers of threads that create, rename and remove\n"
		  "  --rounds N          turns of each side (default: 5)\n"
		  "  --seconds S         length of a turn (default: 1)\n"
		  "  --one-core          all threads on one core\n"
		  "  --tmpfs DIR         directory on tmpfs to work below (default: /dev/shm)\n",
		  file);
}

static _Noreturn void usage_error(const char *message, const char *value)
{
	fprintf(stderr, "dmemfs_latency: %s: %s\n", message, value);
	print_usage(stderr);
	exit(2);
}

static unsigned parse_number(const char *text, unsigned lowest, unsigned highest)
{
	char *end;

	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value < lowest ||
		value > highest)
		usage_error("not a number in range", text);
	return (unsigned)value;
}

static double parse_seconds(const char *text)
{
	char *end;

	errno = 0;
	double value = strtod(text, &end);
	if (errno != 0 || end == text || *end != '\0' || !(value >= 0.001 && value <= 3600))
		usage_error("not a number of seconds in range", text);
	return value;
}

static void parse_threads(struct options *options, char *list)
{
	char *rest = NULL;

	options->thread_counts = 0;
	for (char *item = strtok_r(list, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
		if (options->thread_counts == MOST_COUNTS)
			usage_error("too many numbers of threads", item);
		options->threads[options->thread_counts++] = parse_number(item, 0, MOST_THREADS);
	}
	if (options->thread_counts == 0)
		usage_error("no number of threads", "--threads");
}

static void parse_options(struct options *options, int count, char **arguments)
{
	static const struct option known[] = {
		{"json", required_argument, NULL, 'j'},   {"threads", required_argument, NULL, 't'},
		{"rounds", required_argument, NULL, 'r'}, {"seconds", required_argument, NULL, 's'},
		{"one-core", no_argument, NULL, '1'},     {"tmpfs", required_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
	};
	int letter;

	while ((letter = getopt_long(count, arguments, "", known, NULL)) != -1) {
		switch (letter) {
		case 'j':
			options->json = optarg;
			break;
		case 't':
			parse_threads(options, optarg);
			break;
		case 'r':
			options->rounds = parse_number(optarg, 1, MOST_ROUNDS);
			break;
		case 's':
			options->seconds = parse_seconds(optarg);
			break;
		case '1':
			options->one_core = true;
			break;
		case 'd':
			options->tmpfs = optarg;
			break;
		case 'h':
			print_usage(stdout);
			exit(0);
		default:
			print_usage(stderr);
			exit(2);
		}
	}
	if (optind != count)
		usage_error("unexpected argument", arguments[optind]);
}

/* Keep to the first core that the process may use. Threads that are started later do likewise. */
static void pin_to_one_core(void)
{
	cpu_set_t allowed;
	cpu_set_t one;
	size_t core = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		die("sched_getaffinity: %s", strerror(errno));
	while (core < CPU_SETSIZE && !CPU_ISSET(core, &allowed))
		core++;
	CPU_ZERO(&one);
	CPU_SET(core, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		die("sched_setaffinity: %s", strerror(errno));
}

static void check_places(const struct options *options)
{
	struct statfs info;

	if (statfs(options->tmpfs, &info) < 0)
		die("%s: %s", options->tmpfs, strerror(errno));
	if (info.f_type != TMPFS_MAGIC)
		die("%s is not on tmpfs", options->tmpfs);
	/* Before minutes of work whose results would have no place to go. */
	if (options->json) {
		FILE *file = fopen(options->json, "ae");
		if (!file || fclose(file) != 0)
			die("cannot write %s: %s", options->json, strerror(errno));
	}
}

/* All sides in turns. */
static void run_row(const struct options *options, const char *root, struct result *sides)
{
	for (unsigned round = 0; round < options->rounds; round++) {
		for (unsigned side = 0; side < SIDES; side++)
			run_round(options, root, &sides[side]);
	}
	for (unsigned side = 0; side < SIDES; side++)
		sum_up(&sides[side]);
	print_row(sides);
}

/* Returns the number of results. Without a storm there is no place for one. */
static size_t run_all(const struct options *options, const char *root, struct result *results)
{
	size_t count = 0;

	for (unsigned what = 0; what < WHATS; what++) {
		for (unsigned i = 0; i < options->thread_counts; i++) {
			unsigned threads = options->threads[i];
			enum where last = threads ? SAME_DIRECTORY : NOWHERE;
			for (enum where where = threads ? ELSEWHERE : NOWHERE; where <= last; where++) {
				struct result *sides = &results[count];
				for (unsigned side = 0; side < SIDES; side++) {
					sides[side].side = (enum side)side;
					sides[side].what = (enum what)what;
					sides[side].where = where;
					sides[side].threads = threads;
				}
				run_row(options, root, sides);
				count += SIDES;
			}
		}
	}
	return count;
}

int main(int count, char **arguments)
{
	struct options options = {
		.tmpfs = "/dev/shm",
		.seconds = 1,
		.rounds = 5,
		.threads = {0, 1, 4, 16},
		.thread_counts = 4,
	};
	char root[ROOT_SIZE];

	parse_options(&options, count, arguments);
	int length = snprintf(root, sizeof(root), "%s/mfsl%ld", options.tmpfs, (long)getpid());
	if (length < 0 || (size_t)length >= sizeof(root))
		usage_error("too long", options.tmpfs);
	check_places(&options);
	if (options.one_core)
		pin_to_one_core();
	catch_signals();
	for (unsigned i = 0; i < FILE_BYTES; i++)
		content[i] = (unsigned char)(i + 1);

	struct result *results =
		calloc((size_t)WHATS * 2 * options.thread_counts * SIDES, sizeof(*results));
	if (!results)
		die("out of memory");
	double clock_ns = clock_cost();
	printf("A reading of the clock takes %.1f ns. %s, %u rounds of %g s for each side.\n\n",
		   clock_ns, options.one_core ? "All threads on one core" : "All cores", options.rounds,
		   options.seconds);
	print_head();
	size_t result_count = run_all(&options, root, results);
	print_foot();
	if (options.json)
		write_json(&options, clock_ns, results, result_count);
	free(results);
	return 0;
}
