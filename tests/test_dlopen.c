/* SPDX-License-Identifier: MIT */
/*
 * Can a program that has threads, and nothing that the library could need, load the library, use it
 * and unload it, again and again, while threads that used it live on and end after the unloading?
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dmemfs/dmemfs.h"

#define ROUNDS  1000
#define THREADS 2

#define check(condition)                                                                           \
	do {                                                                                           \
		if (!(condition)) {                                                                        \
			(void)fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);          \
			exit(EXIT_FAILURE);                                                                    \
		}                                                                                          \
	} while (0)

/* The library's functions, as found in this round. */
struct functions {
	int (*new)(const mfs_options *options, mfs **out);
	int (*free)(mfs *fs);
	int (*open)(mfs *fs, const char *path, const char *mode, mfs_file **out);
	int64_t (*write)(mfs_file *file, const void *buffer, size_t size);
	int64_t (*read)(mfs_file *file, void *buffer, size_t size);
	int (*close)(mfs_file *file);
	int (*remove)(mfs *fs, const char *path);
};

struct user {
	struct functions functions;
	pthread_barrier_t *used;     /* the threads are through with the library */
	pthread_barrier_t *unloaded; /* it is unloaded: the threads end */
	pthread_t thread;
};

static void *function(void *library, const char *name)
{
	void *address = dlsym(library, name);

	if (!address)
		(void)fprintf(stderr, "%s: %s\n", name, dlerror());
	check(address);
	return address;
}

/* POSIX lets a pointer to a function be found as one to an object; ISO C has no cast for it. */
#define FIND(library, functions, member)                                                           \
	do {                                                                                           \
		void *address_ = function((library), "mfs_" #member);                                      \
		memcpy(&(functions)->member, &address_, sizeof address_);                                  \
	} while (0)

static void find_functions(void *library, struct functions *functions)
{
	FIND(library, functions, new);
	FIND(library, functions, free);
	FIND(library, functions, open);
	FIND(library, functions, write);
	FIND(library, functions, read);
	FIND(library, functions, close);
	FIND(library, functions, remove);
}

static void *use(void *argument)
{
	struct user *user = argument;
	const struct functions *call = &user->functions;
	char buffer[8] = "";
	mfs *fs = NULL;
	mfs_file *file = NULL;

	check(call->new (NULL, &fs) == 0);
	check(call->open(fs, "/file", "wb", &file) == 0);
	check(call->write(file, "content", 7) == 7);
	check(call->close(file) == 0);
	check(call->open(fs, "/file", "rb", &file) == 0);
	check(call->read(file, buffer, sizeof buffer) == 7);
	check(memcmp(buffer, "content", 7) == 0);
	check(call->close(file) == 0);
	check(call->close(file) == MFS_EBADF);
	/* Something to reclaim, while this thread has been a reader. */
	check(call->remove(fs, "/file") == 0);
	check(call->free(fs) == 0);

	(void)pthread_barrier_wait(user->used);
	/* What the library left in this thread must not need it when the thread ends. */
	(void)pthread_barrier_wait(user->unloaded);
	return NULL;
}

int main(void)
{
	struct user users[2][THREADS];
	pthread_barrier_t used;
	pthread_barrier_t unloaded[2];

	/* Without these two the test would show nothing. */
	check(!dlopen(MFS_LIBRARY_PATH, RTLD_NOW | RTLD_NOLOAD));
	check(!dlsym(RTLD_DEFAULT, "mallocx"));
	check(pthread_barrier_init(&used, NULL, THREADS + 1) == 0);
	for (unsigned i = 0; i < 2; i++)
		check(pthread_barrier_init(&unloaded[i], NULL, THREADS + 1) == 0);

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct user *now = users[round % 2];
		struct user *before = users[(round + 1) % 2];

		void *library = dlopen(MFS_LIBRARY_PATH, RTLD_NOW | RTLD_LOCAL);
		if (!library)
			(void)fprintf(stderr, "%s\n", dlerror());
		check(library);
		for (unsigned i = 0; i < THREADS; i++) {
			find_functions(library, &now[i].functions);
			now[i].used = &used;
			now[i].unloaded = &unloaded[round % 2];
			check(pthread_create(&now[i].thread, NULL, use, &now[i]) == 0);
		}
		(void)pthread_barrier_wait(&used);
		check(dlclose(library) == 0);
		/* The threads of the round before end now, after two unloadings and a loading. */
		if (round > 0) {
			(void)pthread_barrier_wait(&unloaded[(round + 1) % 2]);
			for (unsigned i = 0; i < THREADS; i++)
				check(pthread_join(before[i].thread, NULL) == 0);
		}
	}
	(void)pthread_barrier_wait(&unloaded[(ROUNDS - 1) % 2]);
	for (unsigned i = 0; i < THREADS; i++)
		check(pthread_join(users[(ROUNDS - 1) % 2][i].thread, NULL) == 0);
	check(pthread_barrier_destroy(&used) == 0);
	for (unsigned i = 0; i < 2; i++)
		check(pthread_barrier_destroy(&unloaded[i]) == 0);
	(void)printf("%d rounds\n", ROUNDS);
	return EXIT_SUCCESS;
}
