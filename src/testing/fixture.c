/* SPDX-License-Identifier: MIT */
/*
 * A test's workspace, from its setup to its teardown.
 *
 * cmocka runs the teardown of a test that has failed, too, but does not tell it. An assertion
 * leaves the test by a longjmp, past mfs_test_run(); so a test has passed if that got control back.
 */
#include "export.h"

#include <dmemfs/testing.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUOTA (UINT64_C(1) << 20)

/* A test that is set up, in cmocka's state. One thread. */
struct run {
	const mfs_test *test;
	mfs *fs;
	bool passed;
	bool skipped;
	struct run *next; /* in `kept` */
};

/* The test that runs in this thread. */
static _Thread_local struct run *current;

/* Of tests whose workspaces are not freed, so that they do not look lost. By cmocka's thread. */
static struct run *kept;

static void keep(struct run *run)
{
	run->next = kept;
	kept = run;
}

int mfs_test_setup(void **state)
{
	const mfs_options small = {.struct_size = sizeof small, .max_quota = QUOTA};
	const mfs_test *test = *state;
	const mfs_options *options = test->options ? test->options : &small;

	struct run *run = calloc(1, sizeof *run);
	if (!run) {
		print_error("dmemfs: %.100s has no workspace: %s\n", test->name, mfs_strerror(MFS_ENOMEM));
		return -1;
	}
	if (mfs_new(options, &run->fs)) {
		print_error("dmemfs: %.100s has no workspace: %.500s\n", test->name, mfs_last_error());
		free(run);
		return -1;
	}
	run->test = test;
	*state = run;
	return 0;
}

void mfs_test_run(void **state)
{
	struct run *run = *state;
	void *fs = run->fs;

	current = run;
	run->test->function(&fs);
	run->passed = true;
}

void mfs_test_will_skip(void)
{
	if (current)
		current->skipped = true;
}

/* Remove everything. Returns 0, or a code, noted. */
static int remove_all(mfs *fs)
{
	char **names;
	char path[1 + MFS_NAME_MAX + 1];
	int result = 0;

	int64_t count = mfs_listdir(fs, "/", &names);
	if (count < 0)
		return (int)count;
	for (int64_t i = 0; i < count && !result; i++) {
		(void)snprintf(path, sizeof path, "/%s", names[i]);
		result = mfs_rmtree(fs, path);
	}
	mfs_names_free(names);
	return result;
}

/* Whether a test that has come to its end has left something open; says so. */
static bool leaves_handles(struct run *run)
{
	mfs_usage usage;

	if (mfs_stats(run->fs, &usage))
		return false;
	if (usage.open_handles)
		print_error("dmemfs: %.100s leaves %" PRIu64 " open: handles, iterators or imports\n",
					run->test->name, usage.open_handles);
	if (usage.reserved_bytes)
		print_error("dmemfs: %.100s leaves a reservation with %" PRIu64 " bytes\n", run->test->name,
					usage.reserved_bytes);
	return usage.open_handles || usage.reserved_bytes;
}

/*
 * Whether something is charged that no removal gives back; says so. Removes everything, and so the
 * workspace cannot be looked at any more.
 */
static bool leaves_charge(struct run *run)
{
	mfs_usage usage;

	int code = remove_all(run->fs);
	if (!code)
		code = mfs_stats(run->fs, &usage);
	if (code) {
		print_error("dmemfs: %.100s: what it leaves cannot be removed: %.500s\n", run->test->name,
					mfs_last_error());
		return true;
	}
	if (!usage.used_bytes && !usage.files && !usage.directories)
		return false;
	print_error("dmemfs: %.100s: with all removed, %" PRIu64 " bytes, %" PRIu64
				" files and %" PRIu64 " directories are still charged\n",
				run->test->name, usage.used_bytes, usage.files, usage.directories);
	return true;
}

/* Free a test's workspace if nothing is open. Returns whether it is gone. */
static bool end(struct run *run)
{
	if (mfs_free(run->fs)) {
		keep(run);
		return false;
	}
	free(run);
	return true;
}

int mfs_test_teardown(void **state)
{
	struct run *run = *state;

	current = NULL;
	if (run->skipped) {
		(void)end(run);
		return 0;
	}
	if (!run->passed) {
		mfs__testing_export(run->fs, run->test->name);
		keep(run);
		return 0;
	}
	if (leaves_handles(run)) {
		mfs__testing_export(run->fs, run->test->name);
		keep(run);
		return -1;
	}
	if (leaves_charge(run)) {
		keep(run);
		return -1;
	}
	const char *name = run->test->name;
	if (!end(run)) {
		print_error("dmemfs: %.100s leaves something open: %.500s\n", name, mfs_last_error());
		return -1;
	}
	return 0;
}
