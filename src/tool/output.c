/* SPDX-License-Identifier: MIT */
#include "output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Returns 1 if the directory is empty, 0 if not, -1 with errno. */
static int is_empty(const char *path)
{
	DIR *stream = opendir(path);
	int result = 1;

	if (!stream)
		return -1;
	errno = 0;
	for (;;) {
		const struct dirent *entry = readdir(stream);
		if (!entry)
			break;
		if (!is_dot(entry->d_name)) {
			result = 0;
			break;
		}
	}
	if (result && errno)
		result = -1;
	int saved = errno;
	(void)closedir(stream);
	errno = saved;
	return result;
}

static mode_t mode_of_new_directory(void)
{
	mode_t mask = umask(0);

	(void)umask(mask);
	return 0777 & ~mask;
}

/* Where a path without slashes at its end has its last component. */
static char *last_component(char *path)
{
	char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Set target and parent for a path that does not exist, but whose parent does. */
static enum output_result place_new(struct output *output, const char *path)
{
	char *copy = strdup(path);
	char *parent = NULL;
	char *name;
	enum output_result result = OUTPUT_FAILED;

	if (!copy)
		return OUTPUT_FAILED;
	for (size_t length = strlen(copy); length > 1 && copy[length - 1] == '/'; length--)
		copy[length - 1] = '\0';
	name = last_component(copy);
	if (!*name || is_dot(name)) {
		errno = ENOENT;
		goto out;
	}
	if (name == copy) {
		parent = realpath(".", NULL);
	} else {
		/* Up to the slash, and with it, which stands for the root if it is the first byte. */
		char *head = strndup(copy, (size_t)(name - copy));
		if (!head)
			goto out;
		parent = realpath(head, NULL);
		int saved = errno;
		free(head);
		errno = saved;
	}
	if (!parent || asprintf(&output->target, "%s/%s", parent[1] ? parent : "", name) < 0)
		goto out;
	output->parent = parent;
	parent = NULL;
	output->mode = mode_of_new_directory();
	result = OUTPUT_OK;
out:
	free(parent);
	free(copy);
	return result;
}

/* The same for an empty directory that exists. */
static enum output_result place_existing(struct output *output, const char *path,
										 const struct stat *info)
{
	struct stat parent_info;

	output->target = realpath(path, NULL);
	if (!output->target)
		return OUTPUT_FAILED;
	const char *name = last_component(output->target);
	size_t length = (size_t)(name - output->target);
	output->parent = strndup(output->target, length > 1 ? length - 1 : 1);
	if (!output->parent || stat(output->parent, &parent_info) < 0)
		return OUTPUT_FAILED;
	/* A directory on which something is mounted cannot be replaced. */
	if (!*name || parent_info.st_dev != info->st_dev)
		return OUTPUT_IN_USE;
	output->mode = info->st_mode & 07777;
	return OUTPUT_OK;
}

enum output_result output_check(struct output *output, const char *path)
{
	struct stat info;
	enum output_result result;

	*output = (struct output){.directory = -1};
	if (stat(path, &info) == 0) {
		if (!S_ISDIR(info.st_mode))
			return OUTPUT_IN_USE;
		int empty = is_empty(path);
		if (empty <= 0)
			return empty ? OUTPUT_FAILED : OUTPUT_IN_USE;
		result = place_existing(output, path, &info);
	} else if (errno != ENOENT) {
		return OUTPUT_FAILED;
	} else if (lstat(path, &info) == 0) {
		return OUTPUT_IN_USE; /* a symbolic link to nothing */
	} else {
		result = place_new(output, path);
	}
	if (result == OUTPUT_OK && access(output->parent, W_OK | X_OK) < 0)
		return OUTPUT_FAILED;
	return result;
}

bool output_begin(struct output *output)
{
	char *path;

	if (asprintf(&path, "%s/.dmemfs-etl.XXXXXX", output->parent) < 0)
		return false;
	if (!mkdtemp(path)) {
		int saved = errno;
		free(path);
		errno = saved;
		return false;
	}
	output->temporary = path;
	output->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return output->directory >= 0;
}

/* Bring a file of the directory to the disk. Returns false with errno. */
static bool sync_file(int directory, const char *name)
{
	int file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (file < 0)
		return false;
	bool done = fsync(file) == 0;
	int saved = errno;
	(void)close(file);
	errno = saved;
	return done;
}

static bool sync_files(const char *path)
{
	DIR *stream = opendir(path);
	bool done = true;

	if (!stream)
		return false;
	while (done) {
		errno = 0;
		const struct dirent *entry = readdir(stream);
		if (!entry) {
			done = errno == 0;
			break;
		}
		done = is_dot(entry->d_name) || sync_file(dirfd(stream), entry->d_name);
	}
	int saved = errno;
	(void)closedir(stream);
	errno = saved;
	return done;
}

bool output_publish(struct output *output)
{
	/* The directory must not come to its name before what is in it. */
	if (!sync_files(output->temporary))
		return false;
	/* It was made for its owner alone. */
	if (fchmod(output->directory, output->mode) < 0 || fsync(output->directory) < 0 ||
		rename(output->temporary, output->target) < 0)
		return false;
	free(output->temporary);
	output->temporary = NULL;
	return true;
}

/* Remove the directory and the files in it. */
static void discard(const char *path)
{
	DIR *stream = opendir(path);

	if (stream) {
		for (;;) {
			const struct dirent *entry = readdir(stream);
			if (!entry)
				break;
			if (!is_dot(entry->d_name))
				(void)unlinkat(dirfd(stream), entry->d_name, 0);
		}
		(void)closedir(stream);
	}
	(void)rmdir(path);
}

void output_free(struct output *output)
{
	if (output->directory >= 0)
		(void)close(output->directory);
	if (output->temporary)
		discard(output->temporary);
	free(output->temporary);
	free(output->target);
	free(output->parent);
	*output = (struct output){.directory = -1};
}
