/* SPDX-License-Identifier: MIT */
/*
 * Directories of the host for the tests of import and export: each test has one of its own, which
 * is removed at its end.
 */
#ifndef DMEMFS_TESTS_HOST_FILES_H
#define DMEMFS_TESTS_HOST_FILES_H

#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/** A workspace, and an empty directory of the host. */
struct host_fixture {
	mfs *fs;
	char top[64];
	char path[PATH_MAX]; /* what at() gave last */
};

static inline int host_setup(void **state)
{
	struct host_fixture *f = calloc(1, sizeof(*f));

	if (f == NULL) {
		return -1;
	}
	*state = f;
	/* In memory where that can be. */
	(void)snprintf(f->top, sizeof(f->top), "/dev/shm/dmemfs-test.XXXXXX");
	if (mkdtemp(f->top) == NULL) {
		(void)snprintf(f->top, sizeof(f->top), "/tmp/dmemfs-test.XXXXXX");
		if (mkdtemp(f->top) == NULL) {
			return -1;
		}
	}
	return mfs_new(NULL, &f->fs);
}

/**
 * Moves the directories that are in a directory to the one above, under names of their own, and
 * removes all else in it. Returns 0 or -1.
 */
static inline int host__flatten(int top, const char *name, unsigned *number)
{
	int fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry = NULL;
	int code = 0;

	if (stream == NULL) {
		return -1;
	}
	while (code == 0 && (entry = readdir(stream)) != NULL) {
		char moved[32];

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
			continue;
		}
		if (unlinkat(fd, entry->d_name, 0) == 0 || unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0) {
			continue;
		}
		do {
			(void)snprintf(moved, sizeof(moved), "moved.%u", (*number)++);
		} while (faccessat(top, moved, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
		code = renameat(fd, entry->d_name, top, moved);
	}
	(void)closedir(stream);
	return code;
}

/** Removes a tree of the host, in a time that does not depend on its depth. */
static inline int remove_host_tree(const char *path)
{
	int top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned number = 0;
	int code = top < 0 ? -1 : 0;

	/* Until only empty directories and files are left in it. */
	for (bool again = code == 0; again && code == 0;) {
		DIR *stream = opendir(path);
		const struct dirent *entry = NULL;

		again = false;
		while (stream != NULL && code == 0 && (entry = readdir(stream)) != NULL) {
			if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
				unlinkat(top, entry->d_name, 0) == 0 ||
				unlinkat(top, entry->d_name, AT_REMOVEDIR) == 0) {
				continue;
			}
			code = host__flatten(top, entry->d_name, &number);
			again = true;
		}
		if (stream == NULL || closedir(stream) != 0) {
			code = -1;
		}
	}
	if (top >= 0) {
		(void)close(top);
	}
	return code == 0 ? rmdir(path) : code;
}

static inline int host_teardown(void **state)
{
	struct host_fixture *f = *state;
	int code = mfs_free(f->fs);

	if (remove_host_tree(f->top) != 0) {
		code = -1;
	}
	free(f);
	return code;
}

#define HOST_TEST(function) cmocka_unit_test_setup_teardown(function, host_setup, host_teardown)

/** A path below the fixture's directory, good until the next call. */
static inline const char *at(struct host_fixture *f, const char *name)
{
	int length = snprintf(f->path, sizeof(f->path), "%s/%s", f->top, name);

	assert_true(length > 0 && (size_t)length < sizeof(f->path));
	return f->path;
}

static inline void host_dir(struct host_fixture *f, const char *name)
{
	assert_int_equal(mkdir(at(f, name), 0777), 0);
}

static inline void host_file(struct host_fixture *f, const char *name, const void *data,
							 size_t size)
{
	int fd = open(at(f, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	assert_int_equal(close(fd), 0);
}

static inline void host_text(struct host_fixture *f, const char *name, const char *text)
{
	host_file(f, name, text, strlen(text));
}

/** The file is a regular one, and holds exactly this. */
static inline void assert_host_holds(struct host_fixture *f, const char *name, const void *data,
									 size_t size)
{
	int fd = open(at(f, name), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	unsigned char *buffer = allocate(size + 1);
	size_t length = 0;

	assert_true(fd >= 0);
	for (;;) {
		ssize_t got = read(fd, buffer + length, size + 1 - length);

		assert_true(got >= 0);
		if (got == 0) {
			break;
		}
		length += (size_t)got;
	}
	assert_int_equal(length, size);
	assert_memory_equal(buffer, data, size);
	assert_int_equal(close(fd), 0);
	free(buffer);
}

static inline void assert_host_text(struct host_fixture *f, const char *name, const char *text)
{
	assert_host_holds(f, name, text, strlen(text));
}

static inline bool host_exists(struct host_fixture *f, const char *name)
{
	struct stat info;

	return lstat(at(f, name), &info) == 0;
}

/** Bytes of a pattern that depends on the seed. */
static inline unsigned char *pattern(size_t size, uint64_t seed)
{
	struct rng rng = {seed};
	unsigned char *bytes = allocate(size);

	rng_fill(&rng, bytes, size);
	return bytes;
}

static inline mfs_transfer_options with_threads(unsigned threads)
{
	mfs_transfer_options options = {.struct_size = sizeof(options)};

	options.threads = threads;
	return options;
}

/** The last error holds this text. */
static inline void assert_said(const char *text)
{
	if (strstr(mfs_last_error(), text) == NULL) {
		print_error("\"%s\" does not say \"%s\"\n", mfs_last_error(), text);
		fail();
	}
}

/** Lets the process have so many descriptors; returns the limit before. */
static inline struct rlimit limit_descriptors(rlim_t count)
{
	struct rlimit old;
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	limit = (struct rlimit){count, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return old;
}

/** How many descriptors the process has open. */
static inline unsigned count_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++) {
		count += fcntl(fd, F_GETFD) >= 0;
	}
	return count;
}

#endif
