/* SPDX-License-Identifier: MIT */
/*
 * Programs that know nothing of workspaces read files of one, and what they write comes back.
 *
 *   - A program is given a copy of a file as a descriptor, sealed, and reads it by a path that
 *     stands for the descriptor.
 *   - Its output comes back by a pipe, or through a file of the kernel's memory where the program
 *     wants a path for that, too.
 *
 * One does so where the work is done by somebody else's program: a compiler, a converter, `sort`.
 * docs/subprocess.md explains it, and quotes this file.
 */
/* For memfd_create(), pipe2() and environ. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dmemfs/dmemfs.h>

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static mfs *fs;

static void check(const char *what, bool holds)
{
	if (!holds) {
		fprintf(stderr, "%s\n", what);
		exit(1);
	}
}

static int64_t need(int64_t result)
{
	check(mfs_last_error(), result >= 0);
	return result;
}

/* The path of a descriptor, for this process and for a child that has it under the same number. */
struct fd_path {
	char text[32];
};

static struct fd_path path_of(int fd)
{
	struct fd_path path;

	snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", fd);
	return path;
}

/* Start a program that has these descriptors, and writes to `output`. */
static pid_t start(char *const command[], const int *fds, int count, int output)
{
	posix_spawn_file_actions_t actions;
	pid_t child;

	check("actions", posix_spawn_file_actions_init(&actions) == 0);
	/* A descriptor that is put in its own place is kept by the child, and by no other one. */
	for (int i = 0; i < count; i++)
		check("keep", posix_spawn_file_actions_adddup2(&actions, fds[i], fds[i]) == 0);
	check("output", posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO) == 0);
	check(command[0], posix_spawnp(&child, command[0], &actions, NULL, command, environ) == 0);
	posix_spawn_file_actions_destroy(&actions);
	return child;
}

/* Wait until a program has ended. Returns whether it has succeeded. */
static bool succeeds(pid_t child)
{
	int status = 0;

	check("wait", waitpid(child, &status, 0) == child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Take over all that comes from a descriptor, until its end, as a file. */
static void take(int fd, const char *path)
{
	mfs_file *file;
	int64_t at = 0;
	int64_t part;

	need(mfs_open(fs, path, "wb", &file));
	/* Only 0 is the end: what was taken before an error counts as a success. */
	while ((part = need(mfs_write_from_fd(file, at, INT64_MAX, fd))) > 0)
		at += part;
	need(mfs_close(file));
}

/* Run a program on a file, by path. What it prints becomes the file `to`. */
static void filter(char *program, const char *from, const char *to)
{
	int pipe_ends[2];
	int input = (int)need(mfs_export_fd(fs, from));
	struct fd_path path = path_of(input);
	char *command[] = {program, path.text, NULL};

	check("pipe", pipe2(pipe_ends, O_CLOEXEC) == 0);
	pid_t child = start(command, &input, 1, pipe_ends[1]);
	close(input);
	/* The pipe ends when nobody can write to it any more. */
	close(pipe_ends[1]);

	take(pipe_ends[0], "/filter.tmp");
	close(pipe_ends[0]);
	/* Not before the pipe is empty: a program that cannot write does not end. */
	check("the program failed", succeeds(child));
	need(mfs_rename(fs, "/filter.tmp", to, MFS_RENAME_REPLACE));
}

/* Run `sort -u`, which is told where to write. */
static void sort_uniquely(const char *from, const char *to)
{
	int fds[] = {(int)need(mfs_export_fd(fs, from)), memfd_create("sorted", MFD_CLOEXEC)};
	struct fd_path input = path_of(fds[0]);
	struct fd_path output = path_of(fds[1]);
	char *command[] = {"sort", "-u", "-o", output.text, input.text, NULL};

	check("memfd", fds[1] >= 0);
	check("sort failed", succeeds(start(command, fds, 2, STDERR_FILENO)));
	check("seek", lseek(fds[1], 0, SEEK_SET) == 0);
	take(fds[1], to);
	close(fds[0]);
	close(fds[1]);
}

static void put(const char *path, const char *text)
{
	mfs_file *file;

	need(mfs_open(fs, path, "wb", &file));
	need(mfs_write(file, text, strlen(text)));
	need(mfs_close(file));
}

static void expect(const char *path, const char *text)
{
	void *bytes;
	int64_t size = need(mfs_export_buffer(fs, path, 0, &bytes));

	printf("%s: %.*s", path, (int)size, (const char *)bytes);
	check("it should hold something else",
		  size == (int64_t)strlen(text) && memcmp(bytes, text, (size_t)size) == 0);
	mfs_buffer_free(bytes);
}

/* A descriptor shows the file as it was, to any number of programs. */
static void change_meanwhile(void)
{
	int input = (int)need(mfs_export_fd(fs, "/words"));
	struct fd_path path = path_of(input);
	char *look[] = {"grep", "-q", "pear", path.text, NULL};

	put("/words", "nothing of that\n");
	pid_t one = start(look, &input, 1, STDERR_FILENO);
	pid_t other = start(look, &input, 1, STDERR_FILENO);
	check("the copy has changed", succeeds(one) && succeeds(other));
	check("it can be written to", write(input, "x", 1) < 0);
	close(input);
}

int main(void)
{
	need(mfs_new(NULL, &fs));
	put("/words", "pear\nfig\npear\napple\n");
	filter("sort", "/words", "/sorted");
	expect("/sorted", "apple\nfig\npear\npear\n");
	sort_uniquely("/words", "/unique");
	expect("/unique", "apple\nfig\npear\n");
	change_meanwhile();
	need(mfs_free(fs));
	return 0;
}
