/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the public API share: workspaces, files made and checked in one call, checks
 * that name the error code, reproducible random numbers, and threads that open files.
 *
 * cmocka's assertions leave a test by longjmp, so only the main thread may use them. Other threads
 * keep their results, and the test looks at them after the join.
 *
 * Include it first: it asks the C library for everything that the tests need.
 */
#ifndef DMEMFS_TESTS_SUPPORT_H
#define DMEMFS_TESTS_SUPPORT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dmemfs/dmemfs.h"

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Checks
 */

static inline void support__check_code(int64_t got, int64_t want, const char *what,
									   const char *file, int line)
{
	if (got == want) {
		return;
	}
	print_error("%s gave %lld (%s), expected %lld (%s)\n", what, (long long)got,
				got < 0 && got > -100000 ? mfs_error_name((int)got) : "a count", (long long)want,
				want < 0 && want > -100000 ? mfs_error_name((int)want) : "a count");
	_fail(file, line);
}

static inline void support__check_either(int64_t got, int64_t one, int64_t other, const char *what,
										 const char *file, int line)
{
	if (got != other) {
		support__check_code(got, one, what, file, line);
	}
}

/** The expression gives this code or count; prints the names of the codes when not. */
#define assert_code(expression, want)                                                              \
	support__check_code((int64_t)(expression), (int64_t)(want), #expression, __FILE__, __LINE__)

/** The expression gives one of two codes or counts, where the API leaves the choice open. */
#define assert_either(expression, one, other)                                                      \
	support__check_either((int64_t)(expression), (int64_t)(one), (int64_t)(other), #expression,    \
						  __FILE__, __LINE__)

/** Gives this thread a last error that support__check_message() recognises as an old one. */
static inline void support__mark_last_error(mfs *fs)
{
	mfs_info info;

	assert_code(mfs_stat(fs, "/the marker", &info), MFS_ENOENT);
	assert_non_null(strstr(mfs_last_error(), "/the marker"));
}

static inline void support__check_message(const char *what, const char *file, int line)
{
	const char *message = mfs_last_error();

	if (message[0] == '\0' || strstr(message, "/the marker") != NULL) {
		print_error("%s left the last error \"%s\"\n", what, message);
		_fail(file, line);
	}
}

/** The expression gives this code and a message of its own in mfs_last_error(). */
#define assert_refused(fs, expression, want)                                                       \
	do {                                                                                           \
		support__mark_last_error(fs);                                                              \
		assert_code(expression, want);                                                             \
		support__check_message(#expression, __FILE__, __LINE__);                                   \
	} while (0)

/** assert_refused() with two codes to choose from. */
#define assert_refused_either(fs, expression, one, other)                                          \
	do {                                                                                           \
		support__mark_last_error(fs);                                                              \
		assert_either(expression, one, other);                                                     \
		support__check_message(#expression, __FILE__, __LINE__);                                   \
	} while (0)

/*
 * Workspaces
 */

static inline mfs *new_workspace(const mfs_options *options)
{
	mfs *fs = NULL;

	assert_code(mfs_new(options, &fs), 0);
	assert_non_null(fs);
	return fs;
}

/** A workspace whose files are charged their memory and nothing for each chunk. */
static inline mfs *new_plain_workspace(uint64_t quota)
{
	mfs_options options = {.struct_size = sizeof(options)};

	options.max_quota = quota;
	options.chunk_overhead = -1;
	return new_workspace(&options);
}

static inline void free_workspace(mfs *fs)
{
	assert_code(mfs_free(fs), 0);
}

/** cmocka fixture: a workspace with the default options in *state. */
static inline int workspace_setup(void **state)
{
	mfs *fs = NULL;
	int code = mfs_new(NULL, &fs);

	*state = fs;
	return code;
}

/** cmocka fixture: fails when the test left a handle open. */
static inline int workspace_teardown(void **state)
{
	return mfs_free(*state);
}

/** A test on a workspace of its own with the default options. */
#define WORKSPACE_TEST(function)                                                                   \
	cmocka_unit_test_setup_teardown(function, workspace_setup, workspace_teardown)

static inline mfs_usage usage_of(mfs *fs)
{
	mfs_usage usage;

	assert_code(mfs_stats(fs, &usage), 0);
	return usage;
}

static inline uint64_t used_bytes(mfs *fs)
{
	return usage_of(fs).used_bytes;
}

static inline mfs_info info_of(mfs *fs, const char *path)
{
	mfs_info info;

	assert_code(mfs_stat(fs, path, &info), 0);
	return info;
}

/*
 * Files
 */

static inline mfs_file *open_file(mfs *fs, const char *path, const char *mode)
{
	mfs_file *file = NULL;

	assert_code(mfs_open(fs, path, mode, &file), 0);
	assert_non_null(file);
	return file;
}

/** Opens with options, without assertions: for any thread. */
static inline int open_with(mfs *fs, const char *path, const char *mode, unsigned flags,
							int64_t lock_timeout, mfs_file **out)
{
	mfs_open_options options = {.struct_size = sizeof(options)};

	options.flags = flags;
	options.lock_timeout = lock_timeout;
	return mfs_open_ex(fs, path, mode, &options, out);
}

static inline mfs_file *open_shared(mfs *fs, const char *path, const char *mode)
{
	mfs_file *file = NULL;

	assert_code(open_with(fs, path, mode, MFS_O_SHARED, 0, &file), 0);
	assert_non_null(file);
	return file;
}

/** What an open that does not wait answers; closes what it opened. For any thread. */
static inline int try_open(mfs *fs, const char *path, const char *mode)
{
	mfs_file *file = NULL;
	int code = open_with(fs, path, mode, 0, MFS_NO_WAIT, &file);

	if (code == 0) {
		code = mfs_close(file);
	}
	return code;
}

static inline void close_file(mfs_file *file)
{
	assert_code(mfs_close(file), 0);
}

static inline void *allocate(size_t size)
{
	void *memory = calloc(1, size > 0 ? size : 1);

	assert_non_null(memory);
	return memory;
}

static inline void make_file(mfs *fs, const char *path, const void *data, size_t size)
{
	mfs_file *file = open_file(fs, path, "wb");

	assert_code(mfs_write(file, data, size), size);
	close_file(file);
}

static inline void make_text(mfs *fs, const char *path, const char *text)
{
	make_file(fs, path, text, strlen(text));
}

static inline void make_dir(mfs *fs, const char *path)
{
	assert_code(mfs_mkdir(fs, path, 0), 0);
}

/** What a readable handle reads from its start is exactly this. The cursor stays. */
static inline void assert_handle_holds(mfs_file *file, const void *data, size_t size)
{
	unsigned char *buffer = allocate(size + 1);

	assert_code(mfs_pread(file, buffer, size + 1, 0), size);
	assert_int_equal(memcmp(buffer, data, size), 0);
	free(buffer);
}

/** The file at a path holds exactly this. */
static inline void assert_file_holds(mfs *fs, const char *path, const void *data, size_t size)
{
	mfs_file *file = open_file(fs, path, "rb");

	assert_handle_holds(file, data, size);
	close_file(file);
	assert_code(mfs_get_size(fs, path), size);
}

static inline void assert_text(mfs *fs, const char *path, const char *text)
{
	assert_file_holds(fs, path, text, strlen(text));
}

static inline void assert_zeros(const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] != 0) {
			print_error("byte %zu is %u\n", i, bytes[i]);
			fail();
		}
	}
}

/*
 * Random numbers, the same in each run
 */

struct rng {
	uint64_t state; /* never 0 */
};

static inline uint64_t rng_next(struct rng *rng)
{
	rng->state ^= rng->state >> 12;
	rng->state ^= rng->state << 25;
	rng->state ^= rng->state >> 27;
	return rng->state * UINT64_C(2685821657736338717);
}

/** A number below `bound`. */
static inline size_t rng_below(struct rng *rng, size_t bound)
{
	return (size_t)((rng_next(rng) >> 11) % bound);
}

static inline void rng_fill(struct rng *rng, void *bytes, size_t size)
{
	unsigned char *at = bytes;

	while (size > 0) {
		uint64_t number = rng_next(rng);
		size_t part = size < sizeof(number) ? size : sizeof(number);

		memcpy(at, &number, part);
		at += part;
		size -= part;
	}
}

/*
 * Time
 */

static inline int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	assert_int_equal(clock_gettime(clock, &now), 0);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/** Spins until the clock of file times has moved on, a few milliseconds. */
static inline void await_clock_tick(void)
{
	for (int tick = 0; tick < 2; tick++) {
		int64_t before = clock_ns(CLOCK_REALTIME_COARSE);

		while (clock_ns(CLOCK_REALTIME_COARSE) == before) {
			sched_yield();
		}
	}
}

/*
 * Threads
 */

static inline pthread_t start_thread(void *(*run)(void *), void *argument)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, run, argument), 0);
	return thread;
}

static inline void join_thread(pthread_t thread)
{
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/** A thread that opens one file and ends. Set the fields before `tid`, then opener_start(). */
struct opener {
	mfs *fs;
	const char *path;
	const char *mode;
	unsigned flags;
	int64_t lock_timeout;
	_Atomic pid_t tid;     /* set right before the call */
	_Atomic bool returned; /* set right after it */
	int code;              /* valid once `returned` or joined */
	mfs_file *file;        /* likewise, when code is 0 */
	pthread_t thread;
};

static inline void *support__opener_run(void *argument)
{
	struct opener *opener = argument;

	atomic_store(&opener->tid, gettid());
	opener->code = open_with(opener->fs, opener->path, opener->mode, opener->flags,
							 opener->lock_timeout, &opener->file);
	atomic_store(&opener->returned, true);
	return NULL;
}

static inline void opener_start(struct opener *opener)
{
	atomic_init(&opener->tid, 0);
	atomic_init(&opener->returned, false);
	opener->code = 1;
	opener->file = NULL;
	opener->thread = start_thread(support__opener_run, opener);
}

/**
 * Waits until the opener's thread sleeps in the kernel, as one does that waits for a file's lock,
 * or has come back. There is no way to ask the library who waits.
 */
static inline void opener_await_asleep(struct opener *opener)
{
	int64_t deadline = clock_ns(CLOCK_MONOTONIC) + INT64_C(20000000000);
	int asleep = 0;

	while (clock_ns(CLOCK_MONOTONIC) < deadline && !atomic_load(&opener->returned)) {
		pid_t tid = atomic_load(&opener->tid);
		char path[64];
		char line[512];
		size_t length = 0;
		FILE *stat = NULL;

		if (tid == 0) {
			sched_yield();
			continue;
		}
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
		stat = fopen(path, "re");
		if (stat == NULL) {
			/* The thread has ended. */
			return;
		}
		length = fread(line, 1, sizeof(line) - 1, stat);
		assert_int_equal(fclose(stat), 0);
		line[length] = '\0';
		/* "tid (name) S ...": the name may hold anything but is followed by the last ')'. */
		const char *state = strrchr(line, ')');

		/* Several times in a row: not for the moment that some inner lock takes. */
		asleep = state != NULL && strncmp(state, ") S", 3) == 0 ? asleep + 1 : 0;
		if (asleep == 5) {
			return;
		}
		sched_yield();
	}
	assert_true(atomic_load(&opener->returned));
}

/** Starts an opener and waits until it waits for the lock; fails when it does not have to. */
static inline void opener_start_waiting(struct opener *opener)
{
	opener_start(opener);
	opener_await_asleep(opener);
	assert_false(atomic_load(&opener->returned));
}

/** What the opener's call gave. */
static inline int opener_join(struct opener *opener)
{
	join_thread(opener->thread);
	return opener->code;
}

#endif
