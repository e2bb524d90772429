/* SPDX-License-Identifier: MIT */
/*
 * For tests of the memory guard: guarded workspaces, a source that says what the test wants, and a
 * look at the library's threads.
 *
 * Workspaces made here let their guard sample once in an hour, which is never: the tests sample.
 */
#ifndef DMEMFS_TESTS_GUARDED_H
#define DMEMFS_TESTS_GUARDED_H

#include "support.h"

#include "await.h"
#include "fs/filesystem.h"
#include "limit/guard.h"

#include <dirent.h>

#define AN_HOUR INT64_C(3600000)
#define PLENTY  (UINT64_C(1) << 40)

/* The source in the place of the system. Atomic, any thread. */
static struct {
	_Atomic uint64_t available;
	atomic_bool is_unknown;
	_Atomic uint64_t asked; /* so often */
} source;

static inline int ask_source(void *user, uint64_t *available)
{
	(void)user;
	*available = atomic_load(&source.available);
	atomic_fetch_add(&source.asked, 1);
	return atomic_load(&source.is_unknown) ? -1 : 0;
}

/**
 * For setup and teardown: let the test's source be asked, or the system again. What the kernel says
 * of pressure would bring samples at any time, so that it is not listened to.
 */
static inline void use_source(bool uses)
{
	mfs_memory_options options = {.struct_size = sizeof(options)};

	options.available = uses ? ask_source : NULL;
	(void)mfs_configure_memory(&options);
	mfs__memory_source_root(uses ? "/nonexistent" : NULL);
	atomic_store(&source.is_unknown, false);
	atomic_store(&source.available, PLENTY);
}

/** Let a function be asked in the place of the system; NULL: the system. */
static inline void ask_hook(int (*available)(void *user, uint64_t *available), void *user)
{
	mfs_memory_options options = {.struct_size = sizeof(options)};

	options.available = available;
	options.user = user;
	assert_code(mfs_configure_memory(&options), 0);
}

/** So much is available, and the guard knows it. */
static inline void say(uint64_t available)
{
	atomic_store(&source.is_unknown, false);
	atomic_store(&source.available, available);
	mfs__guard_sample();
}

/** What may be taken of what is available, less what workspaces keep. */
static inline uint64_t usable(uint64_t available)
{
	return available - available / 16;
}

/** A workspace with the guard that keeps one byte, and is charged nothing but memory. */
static inline mfs_options guarded_options(int action)
{
	mfs_options options = {.struct_size = sizeof(options)};

	options.max_quota = 64 * MIB;
	options.chunk_overhead = -1;
	options.memory_guard = MFS_GUARD_PER_WRITE;
	options.memory_guard_action = action;
	options.memory_guard_interval = AN_HOUR;
	options.memory_guard_keep = 1;
	return options;
}

static inline mfs *new_guarded(int action)
{
	mfs_options options = guarded_options(action);

	return new_workspace(&options);
}

/** Bytes to write. */
static unsigned char zeros[16 * 1024 * 1024];

/** An empty file, to be written to its end. It takes nothing of the next sample's allowance. */
static inline mfs_file *open_empty(mfs *fs)
{
	make_text(fs, "/empty", "");
	return open_file(fs, "/empty", "ab");
}

/** The file's workspace may take exactly so much more. */
static inline void assert_allows(mfs_file *file, uint64_t bytes)
{
	assert_code(mfs_write(file, zeros, bytes + 1), MFS_EMEMGUARD);
	assert_code(mfs_write(file, zeros, bytes), bytes);
	assert_code(mfs_write(file, zeros, 1), MFS_EMEMGUARD);
}

/** The threads of this process with that name, or with any if that is NULL; *tid is one of them. */
static inline unsigned count_threads(const char *wanted, long *tid)
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
		if (fgets(name, sizeof(name), file)) {
			name[strcspn(name, "\n")] = '\0';
			if (!wanted || strcmp(name, wanted) == 0) {
				count++;
				*tid = strtol(task->d_name, NULL, 10);
			}
		}
		(void)fclose(file);
	}
	(void)closedir(tasks);
	return count;
}

static inline unsigned count_guards(void)
{
	long tid;

	return count_threads("mfs-guard", &tid);
}

#endif
