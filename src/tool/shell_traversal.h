/* SPDX-License-Identifier: MIT */
/*
 * A walk through a directory of the workspace and all below it that tells of each file and
 * directory what it is, and of each directory also when all of it has been seen. Others may change
 * the tree meanwhile, through a mount point: what is gone is left out.
 */
#ifndef DMEMFS_TOOL_SHELL_TRAVERSAL_H
#define DMEMFS_TOOL_SHELL_TRAVERSAL_H

#include "bytes.h"

#include <dmemfs/dmemfs.h>

#include <stdbool.h>
#include <stddef.h>

enum shell_step {
	SHELL_STEP_FILE,
	SHELL_STEP_ENTER,  /* a directory */
	SHELL_STEP_LEAVE,  /* the directory that was entered last and not left yet */
	SHELL_STEP_FAILED, /* mfs_last_error() has the reason; the walk goes on behind it */
	SHELL_STEP_END,
};

/** Where the walk is. All of it is valid until the next step. */
struct shell_traversal {
	mfs *fs;
	struct bytes path;   /* ended by a NUL that `length` does not count */
	struct bytes frames; /* struct shell_frame each: directories that were entered */
	size_t depth;        /* of what the step is about: 0 for the directory that the walk began in */
	const char *name;    /* of a file or a directory that is entered */
	mfs_info info;       /* likewise */
	bool is_last;        /* likewise: in its directory */
	bool leaving;        /* the last step was SHELL_STEP_LEAVE */
};

/**
 * Begin in an absolute path, which is entered; the first step is about what is in it. Returns 0, to
 * be followed by shell_traversal_end(), or a code.
 */
int shell_traversal_begin(struct shell_traversal *traversal, mfs *fs, const char *path);

enum shell_step shell_traversal_next(struct shell_traversal *traversal);

/** Do not go into the directory that was entered by the last step; it is not left, either. */
void shell_traversal_skip(struct shell_traversal *traversal);

void shell_traversal_end(struct shell_traversal *traversal);

#endif
