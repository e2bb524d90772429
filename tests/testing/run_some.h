/* SPDX-License-Identifier: MIT */
/* Runs tests of some_tests.c in processes of their own, and looks at what they leave. */
#ifndef DMEMFS_TESTS_TESTING_RUN_SOME_H
#define DMEMFS_TESTS_TESTING_RUN_SOME_H

#include "host_files.h"

#include <spawn.h>

/** How the program of the tests is called, and so what its exports begin with. */
#define PROGRAM "some_tests"

/** How to run a test, and what came of it. */
struct some {
	struct host_fixture *place; /* the working directory, where outputs are kept, too */
	const char *test;
	const char *program;    /* what it finds in argv[0]; NULL: PROGRAM */
	const char *export_dir; /* MFS_TEST_EXPORT_DIR; NULL: not set */
	const char *output;     /* CMOCKA_MESSAGE_OUTPUT; NULL: not set */
	const char *name;       /* SOME_NAME; NULL: not set */
	int number;             /* of runs side by side */
	pid_t pid;
	int exit_code;
	char out[8192];
	char err[8192];
};

static inline void some__set(const char *name, const char *value)
{
	assert_int_equal(value != NULL ? setenv(name, value, 1) : unsetenv(name), 0);
}

static inline void some_start(struct some *some)
{
	char out[PATH_MAX];
	char err[PATH_MAX];
	char *const arguments[] = {strdup(some->program != NULL ? some->program : PROGRAM),
							   strdup(some->test), NULL};
	posix_spawn_file_actions_t actions;

	(void)snprintf(out, sizeof(out), "%s/out.%d", some->place->top, some->number);
	(void)snprintf(err, sizeof(err), "%s/err.%d", some->place->top, some->number);
	some__set("MFS_TEST_EXPORT_DIR", some->export_dir);
	some__set("CMOCKA_MESSAGE_OUTPUT", some->output);
	some__set("SOME_NAME", some->name);
	assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
	assert_int_equal(posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out,
													  O_WRONLY | O_CREAT | O_TRUNC, 0666),
					 0);
	assert_int_equal(posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err,
													  O_WRONLY | O_CREAT | O_TRUNC, 0666),
					 0);
	assert_int_equal(posix_spawn_file_actions_addchdir_np(&actions, some->place->top), 0);
	assert_int_equal(posix_spawn(&some->pid, SOME_TESTS, &actions, NULL, arguments, environ), 0);
	assert_int_equal(posix_spawn_file_actions_destroy(&actions), 0);
	/* Not for this process. */
	some__set("CMOCKA_MESSAGE_OUTPUT", NULL);
	free(arguments[0]);
	free(arguments[1]);
}

static inline void some__read(const struct some *some, const char *what, char *text, size_t size)
{
	char path[PATH_MAX];
	FILE *f = NULL;
	size_t length = 0;

	(void)snprintf(path, sizeof(path), "%s/%s.%d", some->place->top, what, some->number);
	f = fopen(path, "re");
	assert_non_null(f);
	length = fread(text, 1, size - 1, f);
	text[length] = '\0';
	assert_int_equal(fclose(f), 0);
}

static inline void some_wait(struct some *some)
{
	int status = 0;

	assert_int_equal(waitpid(some->pid, &status, 0), some->pid);
	some__read(some, "out", some->out, sizeof(some->out));
	some__read(some, "err", some->err, sizeof(some->err));
	some->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	if (some->exit_code < 0 || some->exit_code > 1) {
		print_error("%s ended with %#x:\n%s%s\n", some->test, (unsigned)status, some->out,
					some->err);
		fail();
	}
}

/** Runs a test, whose export goes to "exports" below the fixture's directory. */
static inline struct some *run_some(struct host_fixture *place, const char *test)
{
	static struct some some;
	static char exports[PATH_MAX];

	(void)snprintf(exports, sizeof(exports), "%s/exports", place->top);
	some = (struct some){.place = place, .test = test, .export_dir = exports};
	some_start(&some);
	some_wait(&some);
	return &some;
}

/** Prints what a test printed when a check of it fails. */
#define assert_some(some, condition)                                                               \
	do {                                                                                           \
		if (!(condition)) {                                                                        \
			print_error("%s printed:\n%s%s\n", (some)->test, (some)->out, (some)->err);            \
			fail_msg("%s", #condition);                                                            \
		}                                                                                          \
	} while (0)

/** How many names a directory of the host has, or -1. */
static inline int count_names(struct host_fixture *place, const char *path)
{
	DIR *directory = opendir(at(place, path));
	const struct dirent *entry = NULL;
	int count = 0;

	if (directory == NULL) {
		return -1;
	}
	while ((entry = readdir(directory)) != NULL) {
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	}
	assert_int_equal(closedir(directory), 0);
	return count;
}

#endif
