/* SPDX-License-Identifier: MIT */
/*
 * The directory on the host to which the index goes. It is filled under another name beside it and
 * renamed at the end, so that it holds all of the index or nothing.
 */
#ifndef DMEMFS_TOOL_OUTPUT_H
#define DMEMFS_TOOL_OUTPUT_H

#include <stdbool.h>
#include <sys/stat.h>

/** All zeros: none. */
struct output {
	char *target;    /* absolute path */
	char *parent;    /* of the target */
	char *temporary; /* the directory that is being filled, or NULL */
	int directory;   /* open on it */
	mode_t mode;     /* that the target has or is to have */
};

enum output_result {
	OUTPUT_OK,
	OUTPUT_IN_USE, /* exists, and is not an empty directory that can be replaced */
	OUTPUT_FAILED, /* errno says why */
};

/**
 * See whether the index may go to `path`, which must not exist or be an empty directory. Call it
 * before other threads run. Whatever comes back, output_free() frees the output.
 */
enum output_result output_check(struct output *output, const char *path);

/** Make the directory to be filled. Returns false, with errno. */
bool output_begin(struct output *output);

/**
 * Bring the filled directory to the disk, and put it in its place. Returns false, with errno; it is
 * still to be freed.
 */
bool output_publish(struct output *output);

/** Remove what was filled and not published. */
void output_free(struct output *output);

#endif
