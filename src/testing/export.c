/* SPDX-License-Identifier: MIT */
/*
 * Writing the workspace of a failed test to the host.
 *
 * mfs_export_to_dir() would wait for files that are held for writing, and end at the first; and a
 * failed test tends to leave handles open. So each file is opened without waiting here.
 *
 * All is written to a directory of another name first, and then put in the place of what the last
 * failure left. So runs of the same test side by side do not mix.
 */
#include "export.h"
#include "host_tree.h"

#include <dmemfs/testing.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_DIRECTORY "dmemfs-failed"
/* So much of a program's and of a test's name, so that both are a name of the host. */
#define NAME_PART 110
/* So much of a path is printed: cmocka cuts a message after about 1000 bytes. */
#define PRINTED "%.400s"
/* Bytes that go to the host at a time. */
#define PIECE (INT64_C(1) << 20)
/* Others that put an export in the same place at the same time are met so often, at most. */
#define PLACE_TRIES 100

struct export
{
	mfs *fs;
	const char *test;
	unsigned files;
	unsigned left_out;
	/* The directory of the last level, open, and its path with room for a name behind it. Levels
	 * below it begin there, so that deep trees are not entered from the top each time. */
	int directory;
	char *path;
	size_t length; /* of the path, 0 for the root */
};

static void report(struct export *e, const char *path, const char *reason)
{
	e->left_out++;
	print_error("dmemfs: %.100s: " PRINTED " is left out: " PRINTED "\n", e->test, path, reason);
}

/* Likewise for what errno tells. */
static void report_host(struct export *e, const char *path)
{
	char reason[128];
	char buffer[80];
	int error = errno;

#if defined(__GLIBC__)
	(void)snprintf(reason, sizeof reason, "%s", strerror_r(error, buffer, sizeof buffer));
#else
	(void)snprintf(reason, sizeof reason, "%s",
				   strerror_r(error, buffer, sizeof buffer) ? "?" : buffer);
#endif
	report(e, path, reason);
}

/* The name of this program, without directories. */
static const char *program_name(void)
{
#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__)
	return getprogname();
#else
	return program_invocation_short_name;
#endif
}

/* Put a name behind another one, with what might be no name of the host replaced. */
static void append_name(char *to, size_t *length, const char *name)
{
	size_t end = *length + NAME_PART;

	for (; *name && *length < end; name++) {
		bool plain = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
					 (*name >= '0' && *name <= '9') || *name == '_' || *name == '-' ||
					 (*name == '.' && *length);
		to[(*length)++] = (char)(plain ? *name : '_');
	}
	to[*length] = '\0';
}

/* Write an open file to a descriptor. Returns 0, or a code, noted. */
static int copy_out(mfs_file *file, int fd)
{
	int64_t at = 0;
	int64_t length;

	do {
		length = mfs_read_to_fd(file, at, PIECE, fd);
		if (length < 0)
			return (int)length;
		at += length;
	} while (length);
	return 0;
}

/* Export the file of the last level whose path is in `e->path`. */
static void export_file(struct export *e)
{
	const mfs_open_options options = {.struct_size = sizeof options, .lock_timeout = MFS_NO_WAIT};
	mfs_file *file;

	int code = mfs_open_ex(e->fs, e->path, "rb", &options, &file);
	if (code == MFS_ENOENT)
		return; /* removed by a thread that goes on */
	if (code == MFS_EBUSY) {
		report(e, e->path, "it is held for writing");
		return;
	}
	if (code) {
		report(e, e->path, mfs_last_error());
		return;
	}
	int fd = openat(e->directory, e->path + e->length + 1, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
					0666);
	if (fd < 0) {
		report_host(e, e->path);
	} else {
		code = copy_out(file, fd);
		if (close(fd) && !code)
			report_host(e, e->path);
		else if (code)
			report(e, e->path, mfs_last_error());
		else
			e->files++;
	}
	(void)mfs_close(file);
}

static void leave_level(struct export *e)
{
	if (e->directory >= 0)
		(void)close(e->directory);
	free(e->path);
	e->directory = -1;
	e->path = NULL;
}

/* Make the directory of a level and enter it. Returns 0, or -1, reported. */
static int enter_level(struct export *e, int top, const char *level)
{
	size_t length = strcmp(level, "/") != 0 ? strlen(level) : 0;
	bool is_below = e->path && length > e->length && level[e->length] == '/' &&
					!memcmp(level, e->path, e->length);

	int directory = is_below ? mfs__testing_make_below(e->directory, level + e->length)
							 : mfs__testing_make_below(top, level);
	if (directory < 0) {
		report_host(e, level);
		return -1;
	}
	char *path = malloc(length + 1 + MFS_NAME_MAX + 1);
	if (!path) {
		(void)close(directory);
		report(e, level, mfs_strerror(MFS_ENOMEM));
		return -1;
	}
	leave_level(e);
	memcpy(path, level, length);
	path[length] = '/';
	e->path = path;
	e->length = length;
	e->directory = directory;
	return 0;
}

static void export_tree(struct export *e, int top)
{
	mfs_walk *walk;
	mfs_walk_level level;

	int code = mfs_walk_open(e->fs, "/", &walk);
	if (!code) {
		while ((code = mfs_walk_next(walk, &level)) == 1) {
			if (enter_level(e, top, level.path)) {
				(void)mfs_walk_skip(walk);
				continue;
			}
			for (size_t i = 0; i < level.file_count; i++) {
				(void)snprintf(e->path + e->length + 1, MFS_NAME_MAX + 1, "%s", level.files[i]);
				export_file(e);
			}
			e->path[e->length] = '\0';
		}
		leave_level(e);
		(void)mfs_walk_close(walk);
	}
	if (code)
		report(e, "the rest", mfs_last_error());
}

/*
 * Put what was written in the place of an older one, which goes. `aside` is a name that nobody else
 * uses. Returns 0, or -1 with errno.
 */
static int put_in_place(int base, const char *written, const char *name, const char *aside)
{
	for (unsigned tries = 0; tries < PLACE_TRIES; tries++) {
		if (mfs__testing_remove(base, aside))
			return -1;
		if (renameat(base, name, base, aside) && errno != ENOENT)
			return -1;
		if (!renameat(base, written, base, name))
			return mfs__testing_remove(base, aside);
		if (errno != EEXIST && errno != ENOTEMPTY)
			return -1;
	}
	return -1;
}

/* Export to a new directory in `base`, and give it its name. */
static void export_into(struct export *e, int base, const char *base_path, const char *name)
{
	char written[2 * NAME_PART + 32];
	char aside[2 * NAME_PART + 40];
	char absolute[PATH_MAX];

	(void)snprintf(written, sizeof written, ".%s.%" PRIdMAX, name, (intmax_t)getpid());
	(void)snprintf(aside, sizeof aside, "%s.old", written);
	/* What a process of this number left that ended in the middle. */
	int top = mfs__testing_remove(base, written) ? -1 : mfs__testing_make_below(base, written);
	if (top < 0) {
		report_host(e, base_path);
		return;
	}
	export_tree(e, top);
	(void)close(top);
	if (put_in_place(base, written, name, aside)) {
		report_host(e, name);
		name = written;
	}
	if (!realpath(base_path, absolute))
		(void)snprintf(absolute, sizeof absolute, "%s", base_path);
	print_error("dmemfs: %.100s: its workspace is in %.700s/%s (files: %u, left out: %u)\n",
				e->test, absolute, name, e->files, e->left_out);
}

void mfs__testing_export(mfs *fs, const char *test)
{
	struct export e = {.fs = fs, .test = test, .directory = -1};
	char name[2 * NAME_PART + 2];
	size_t length = 0;

	append_name(name, &length, program_name());
	name[length++] = '.';
	append_name(name, &length, test);
	/* The only thread that could change the environment is this one. */
	const char *base_path = getenv("MFS_TEST_EXPORT_DIR"); /* NOLINT(concurrency-mt-unsafe) */
	if (!base_path || !*base_path)
		base_path = DEFAULT_DIRECTORY;
	int base = mfs__testing_make_directories(base_path);
	if (base < 0) {
		report_host(&e, base_path);
		return;
	}
	export_into(&e, base, base_path, name);
	(void)close(base);
}
