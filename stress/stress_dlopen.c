/* SPDX-License-Identifier: MIT */
/*
 * stress_dlopen [--count N] [--threads N] [--linger N] [LIBRARY]
 *
 * A threaded program that loads the library, uses it and unloads it, again and again. It is linked
 * with neither the library nor jemalloc. LIBRARY is the path of libdmemfs.so; the build's own one
 * when there is none.
 *
 * What a PASS says: COUNT times (1,000 unless told otherwise)
 *   - the library could be loaded at run time, by a process that has threads already;
 *   - threads used a workspace, which was then freed, and the library was closed;
 *   - threads that had used the library ended after it was closed, some of them right then, some
 *     as many as LINGER rounds later, with whatever the library had left behind for a thread's end;
 * and in the end no thread of the library ran any more, and no memory was lost that grows with the
 * rounds: resident memory was at most RSS_SLACK_KIB above what it was after the first tenth.
 *
 * What it does not say: that the library's code goes away when it is closed. It does not, on
 * purpose: what it leaves behind for the ends of threads must stay callable.
 */
#include "common.h"

#include "dmemfs/dmemfs.h"

#include <dlfcn.h>
#include <getopt.h>
#include <pthread.h>

#define MAX_THREADS   64
#define MAX_LINGER    100
#define RSS_SLACK_KIB 2048
#define WATCHDOG_S    60

/* The functions that are used, under their own names without "mfs_". */
#define FUNCTIONS(X)                                                                               \
	X(new)                                                                                         \
	X(free)                                                                                        \
	X(open)                                                                                        \
	X(close)                                                                                       \
	X(read)                                                                                        \
	X(write)                                                                                       \
	X(mkdir)                                                                                       \
	X(remove)                                                                                      \
	X(rename)                                                                                      \
	X(stat)                                                                                        \
	X(stats)                                                                                       \
	X(last_error)

struct library {
	void *handle;
#define FUNCTION_FIELD(name) __typeof__(&mfs_##name) name;
	FUNCTIONS(FUNCTION_FIELD)
#undef FUNCTION_FIELD
};

/* The threads of one round. They use the library, meet the main thread, wait for leave, and end. */
struct round {
	struct library library;
	mfs *fs;
	unsigned threads;
	pthread_t ids[MAX_THREADS];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under lock. */
	unsigned index;
	unsigned finished;
	bool may_leave;
};

/* Atomic: what the main thread is at, for the watchdog. */
static _Atomic uint64_t rounds_done;

static void load(struct library *library, const char *path)
{
	library->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library->handle)
		stress_die("dlopen of %s: %s", path, dlerror());
#define FUNCTION_LOAD(name)                                                                        \
	do {                                                                                           \
		void *symbol = dlsym(library->handle, "mfs_" #name);                                       \
		if (!symbol)                                                                               \
			stress_die("%s has no mfs_%s", path, #name);                                           \
		memcpy(&library->name, &symbol, sizeof(symbol));                                           \
	} while (0);
	FUNCTIONS(FUNCTION_LOAD)
#undef FUNCTION_LOAD
}

static bool good(const struct library *library, const char *what, int64_t result, int64_t want)
{
	if (result == want)
		return true;
	stress_fail("%s: %lld instead of %lld: %s", what, (long long)result, (long long)want,
				library->last_error());
	return false;
}

/* A thread's use of the workspace: what it calls reaches every part that keeps data for threads. */
static void use(const struct library *l, mfs *fs, unsigned index)
{
	unsigned char data[600];
	unsigned char back[sizeof(data)];
	char directory[32];
	char path[48];
	char other[48];
	mfs_file *file;
	mfs_info info;

	snprintf(directory, sizeof(directory), "/d%u", index);
	snprintf(path, sizeof(path), "/d%u/f", index);
	snprintf(other, sizeof(other), "/d%u/g", index);
	if (!good(l, "mkdir", l->mkdir(fs, directory, 0), 0))
		return;
	for (unsigned i = 0; i < 3; i++) {
		record_fill(data, record_stamp(index, i + 1), sizeof(data), 0);
		if (!good(l, "open", l->open(fs, path, "wb", &file), 0))
			return;
		good(l, "write", l->write(file, data, sizeof(data)), sizeof(data));
		good(l, "close", l->close(file), 0);
		good(l, "rename", l->rename(fs, path, other, MFS_RENAME_REPLACE), 0);
		if (!good(l, "open", l->open(fs, other, "rb", &file), 0))
			return;
		good(l, "read", l->read(file, back, sizeof(back)), sizeof(back));
		good(l, "close", l->close(file), 0);
		if (memcmp(data, back, sizeof(data)) != 0)
			stress_fail("%s: wrong data", other);
	}
	/* An error, for the message that each thread keeps. */
	good(l, "stat", l->stat(fs, path, &info), MFS_ENOENT);
	if (!strstr(l->last_error(), path))
		stress_fail("the last error does not name %s", path);
	good(l, "remove", l->remove(fs, other), 0);
	good(l, "remove", l->remove(fs, directory), 0);
}

static void *run(void *argument)
{
	struct round *round = argument;

	pthread_mutex_lock(&round->lock);
	unsigned index = round->index++;
	pthread_mutex_unlock(&round->lock);
	use(&round->library, round->fs, index);
	pthread_mutex_lock(&round->lock);
	round->finished++;
	pthread_cond_broadcast(&round->changed);
	while (!round->may_leave)
		pthread_cond_wait(&round->changed, &round->lock);
	pthread_mutex_unlock(&round->lock);
	return NULL;
}

/* Load, use from all threads, free, unload. The threads are alive afterwards. */
static struct round *begin_round(const char *path, unsigned threads)
{
	struct round *round = calloc(1, sizeof(*round));
	mfs_usage usage;

	if (!round)
		stress_die("out of memory");
	struct library *l = &round->library;
	round->threads = threads;
	pthread_mutex_init(&round->lock, NULL);
	pthread_cond_init(&round->changed, NULL);
	load(l, path);
	if (!good(l, "mfs_new", l->new (NULL, &round->fs), 0))
		exit(1);
	for (unsigned i = 0; i < threads; i++) {
		if (pthread_create(&round->ids[i], NULL, run, round) != 0)
			stress_die("cannot start a thread");
	}
	pthread_mutex_lock(&round->lock);
	while (round->finished < threads)
		pthread_cond_wait(&round->changed, &round->lock);
	pthread_mutex_unlock(&round->lock);
	if (l->stats(round->fs, &usage) != 0 || usage.used_bytes != 0 || usage.directories != 0)
		stress_fail("the workspace is not empty");
	good(l, "mfs_free", l->free(round->fs), 0);
	if (dlclose(l->handle) != 0)
		stress_fail("dlclose: %s", dlerror());
	return round;
}

/* Let a round's threads end. */
static void end_round(struct round *round)
{
	if (!round)
		return;
	pthread_mutex_lock(&round->lock);
	round->may_leave = true;
	pthread_cond_broadcast(&round->changed);
	pthread_mutex_unlock(&round->lock);
	for (unsigned i = 0; i < round->threads; i++)
		pthread_join(round->ids[i], NULL);
	pthread_cond_destroy(&round->changed);
	pthread_mutex_destroy(&round->lock);
	free(round);
}

/* A thread that does nothing with the library, and ends the program if nobody else gets on. */
static void *watch(void *argument)
{
	uint64_t seen = 0;
	unsigned quiet = 0;

	(void)argument;
	for (;;) {
		struct timespec second = {.tv_sec = 1};
		nanosleep(&second, NULL);
		uint64_t done = atomic_load_explicit(&rounds_done, memory_order_relaxed);
		quiet = done == seen ? quiet + 1 : 0;
		seen = done;
		if (quiet >= WATCHDOG_S) {
			fprintf(stderr, "FAIL stress_dlopen: stuck after %llu rounds\n",
					(unsigned long long)done);
			abort();
		}
	}
	return NULL;
}

int main(int count, char **arguments)
{
	static const struct option known[] = {
		{"count", required_argument, NULL, 'c'},
		{"threads", required_argument, NULL, 't'},
		{"linger", required_argument, NULL, 'l'},
		{NULL, 0, NULL, 0},
	};
	const char *path = MFS_LIBRARY_PATH;
	uint64_t rounds = 1000;
	unsigned threads = 4;
	unsigned linger = 10;
	uint64_t early = 0;
	struct round *lingering[MAX_LINGER] = {NULL};
	pthread_t watcher;
	int letter;

	while ((letter = getopt_long(count, arguments, "", known, NULL)) != -1) {
		switch (letter) {
		case 'c':
			rounds = stress_number(optarg, 1, 1000000, false);
			break;
		case 't':
			threads = (unsigned)stress_number(optarg, 1, MAX_THREADS, false);
			break;
		case 'l':
			linger = (unsigned)stress_number(optarg, 1, MAX_LINGER, false);
			break;
		default:
			stress_die("usage: stress_dlopen [--count N] [--threads N] [--linger N] [LIBRARY]");
		}
	}
	if (optind < count)
		path = arguments[optind++];
	if (optind != count)
		stress_die("unexpected argument: %s", arguments[optind]);
	printf("stress_dlopen: --count %llu --threads %u --linger %u %s\n", (unsigned long long)rounds,
		   threads, linger, path);
	fflush(stdout);
	if (pthread_create(&watcher, NULL, watch, NULL) != 0 || pthread_detach(watcher) != 0)
		stress_die("cannot start a thread");

	for (uint64_t i = 0; i < rounds && !stress_failed(); i++) {
		struct round *round = begin_round(path, threads);
		if (i % 2 == 0) {
			end_round(round);
		} else {
			/* In the place of the round that has lingered longest. */
			struct round **place = &lingering[i / 2 % linger];
			end_round(*place);
			*place = round;
		}
		if (i == rounds / 10) {
			stress_purge();
			early = stress_status("VmRSS:");
		}
		atomic_fetch_add_explicit(&rounds_done, 1, memory_order_relaxed);
	}
	for (unsigned i = 0; i < linger; i++)
		end_round(lingering[i]);
	stress_purge();
	uint64_t late = stress_status("VmRSS:");
	uint64_t alive = stress_status("Threads:");
	printf("%llu rounds; %llu KiB resident after the first tenth, %llu KiB at the end; %llu "
		   "threads alive\n",
		   (unsigned long long)rounds_done, (unsigned long long)early, (unsigned long long)late,
		   (unsigned long long)alive);
	/* This one and the watcher; the race detector has one of its own. */
	if (alive > 2 + (uint64_t)STRESS_TSAN)
		stress_fail("threads of the library are alive");
	if (STRESS_TSAN || STRESS_ASAN)
		printf("under a sanitizer resident memory is not judged\n");
	else if (late > early + RSS_SLACK_KIB)
		stress_fail("resident memory has grown");
	return stress_verdict("stress_dlopen");
}
