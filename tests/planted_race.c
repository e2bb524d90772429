/* SPDX-License-Identifier: MIT */
/*
 * Does the race detector see what it is there for?
 *
 * A workload in which a missing grace period, a plain store where a publication belongs, and a
 * write to a chunk without the file's lock would each be a race. planted_race.sh runs it on builds
 * with one of these bugs planted, which must be reported, and on the sound one, which must be
 * silent.
 *
 * The detector forgets accesses that are too many accesses ago, so the threads are paced: they rest
 * for some microseconds between calls. The rest orders nothing.
 */
#include <dmemfs/dmemfs.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROUNDS = 3000, NAMES = 8, THREADS = 2 };

static mfs *fs;
static atomic_bool done;

static void must(int64_t result)
{
	if (result >= 0)
		return;
	fprintf(stderr, "planted_race: %s\n", mfs_last_error());
	_exit(1);
}

static void path_of(char *path, size_t size, unsigned number)
{
	(void)snprintf(path, size, "/dir/%u", number % NAMES);
}

/* Makes and removes the same few names, so that buckets and nodes come and go. */
static void *make_and_remove(void *argument)
{
	unsigned seed = (unsigned)(uintptr_t)argument;

	for (unsigned i = 0; i < ROUNDS; i++) {
		char path[32];
		mfs_file *file;

		seed = seed * 1664525u + 1013904223u;
		path_of(path, sizeof path, seed >> 8);
		if (!mfs_open(fs, path, "xb", &file)) {
			must(mfs_write(file, path, sizeof path));
			must(mfs_close(file));
		} else {
			(void)mfs_remove(fs, path);
		}
		if (i % 4 == 0)
			usleep(50);
	}
	return NULL;
}

static void *look(void *argument)
{
	unsigned seed = (unsigned)(uintptr_t)argument;

	for (unsigned i = 0; !atomic_load_explicit(&done, memory_order_relaxed); i++) {
		char path[32];
		mfs_info info;
		char **names;

		seed = seed * 1664525u + 1013904223u;
		path_of(path, sizeof path, seed >> 8);
		(void)mfs_stat(fs, path, &info);
		must(mfs_listdir(fs, "/dir", &names));
		mfs_names_free(names);
		if (i % 8 == 0)
			usleep(20);
	}
	return NULL;
}

static void *write_shared(void *argument)
{
	mfs_open_options options = {.flags = MFS_O_SHARED};
	uint64_t value = (uint64_t)(uintptr_t)argument;
	mfs_file *file;

	must(mfs_open_ex(fs, "/shared", "r+b", &options, &file));
	for (unsigned i = 0; i < ROUNDS; i++) {
		must(mfs_pwrite(file, &value, sizeof value, (int64_t)(i % 4 * sizeof value)));
		must(mfs_pread(file, &value, sizeof value, 0));
		if (i % 4 == 0)
			usleep(20);
	}
	must(mfs_close(file));
	return NULL;
}

int main(void)
{
	static void *(*const writers[])(void *) = {make_and_remove, write_shared};
	pthread_t writer[2 * THREADS];
	pthread_t reader[THREADS];
	mfs_file *file;

	must(mfs_new(NULL, &fs));
	must(mfs_mkdir(fs, "/dir", 0));
	must(mfs_open(fs, "/shared", "wb", &file));
	must(mfs_truncate(file, 4096));
	must(mfs_close(file));
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&reader[i], NULL, look, (void *)(i + 1)))
			return 1;
	for (uintptr_t i = 0; i < 2 * THREADS; i++)
		if (pthread_create(&writer[i], NULL, writers[i % 2], (void *)(i + 11)))
			return 1;
	for (unsigned i = 0; i < 2 * THREADS; i++)
		(void)pthread_join(writer[i], NULL);
	atomic_store_explicit(&done, true, memory_order_relaxed);
	for (unsigned i = 0; i < THREADS; i++)
		(void)pthread_join(reader[i], NULL);
	must(mfs_free(fs));
	return 0;
}
