/* SPDX-License-Identifier: MIT */
#include "host_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

/* Close without losing the reason of a failure. */
static void close_quietly(int fd)
{
	int saved = errno;

	(void)close(fd);
	errno = saved;
}

/* One step down from `*fd`, which the new directory replaces. Returns 0, or -1 with errno. */
static int step_down(int *fd, const char *name, size_t length, int flags)
{
	char component[NAME_MAX + 1];

	if (length > NAME_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(component, name, length);
	component[length] = '\0';
	if (mkdirat(*fd, component, 0777) && errno != EEXIST)
		return -1;
	int next = openat(*fd, component, DIRECTORY | flags);
	if (next < 0)
		return -1;
	(void)close(*fd);
	*fd = next;
	return 0;
}

/* All steps of a path, from `fd`, which is closed. Returns the last directory, or -1 with errno. */
static int walk_down(int fd, const char *path, int flags)
{
	while (*path) {
		size_t length = strcspn(path, "/");
		if (length && step_down(&fd, path, length, flags)) {
			close_quietly(fd);
			return -1;
		}
		path += length;
		path += strspn(path, "/");
	}
	return fd;
}

int mfs__testing_make_directories(const char *path)
{
	int start = open(path[0] == '/' ? "/" : ".", DIRECTORY);

	return start < 0 ? -1 : walk_down(start, path, 0);
}

int mfs__testing_make_below(int top, const char *path)
{
	int start = openat(top, ".", DIRECTORY);

	return start < 0 ? -1 : walk_down(start, path, O_NOFOLLOW);
}

/* Remove a file or an empty directory. Returns 0, or -1 with errno. */
static int remove_one(int parent, const char *name)
{
	if (!unlinkat(parent, name, 0))
		return 0;
	return unlinkat(parent, name, AT_REMOVEDIR);
}

/*
 * Empty a directory of `top`: what is in it is removed, or moved up where it has something in it
 * itself. So the depth of a tree does not matter. Returns 0, or -1 with errno.
 */
static int flatten(int top, const char *name, unsigned *number)
{
	int fd = openat(top, name, DIRECTORY | O_NOFOLLOW);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	int result = 0;

	if (!directory) {
		if (fd >= 0)
			close_quietly(fd);
		return -1;
	}
	const struct dirent *entry;
	/* Nobody else reads this stream. */
	while (!result && (entry = readdir(directory))) { /* NOLINT(concurrency-mt-unsafe) */
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (!remove_one(fd, entry->d_name))
			continue;
		char moved[32];
		do {
			(void)snprintf(moved, sizeof moved, ".moved.%u", (*number)++);
		} while (!faccessat(top, moved, F_OK, AT_SYMLINK_NOFOLLOW));
		result = renameat(fd, entry->d_name, top, moved);
	}
	int saved = errno;
	(void)closedir(directory);
	errno = saved;
	return result;
}

/* Whether a directory has an entry left; its name in `name`. */
static bool first_entry(int top, char name[NAME_MAX + 1])
{
	int fd = openat(top, ".", DIRECTORY);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	bool found = false;

	if (!directory) {
		if (fd >= 0)
			(void)close(fd);
		return false;
	}
	const struct dirent *entry;
	while (!found && (entry = readdir(directory))) { /* NOLINT(concurrency-mt-unsafe) */
		found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
		if (found)
			(void)snprintf(name, NAME_MAX + 1, "%s", entry->d_name);
	}
	(void)closedir(directory);
	return found;
}

int mfs__testing_remove(int parent, const char *name)
{
	char entry[NAME_MAX + 1];
	unsigned number = 0;

	if (!remove_one(parent, name) || errno == ENOENT)
		return 0;
	int top = openat(parent, name, DIRECTORY | O_NOFOLLOW);
	if (top < 0)
		return -1;
	int result = 0;
	while (!result && first_entry(top, entry)) {
		if (remove_one(top, entry)) {
			result = flatten(top, entry, &number);
			if (!result)
				result = unlinkat(top, entry, AT_REMOVEDIR);
		}
	}
	close_quietly(top);
	return result ? -1 : unlinkat(parent, name, AT_REMOVEDIR);
}
