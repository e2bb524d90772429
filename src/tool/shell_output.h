/* SPDX-License-Identifier: MIT */
/*
 * A file of the host that the shell writes. It is written under another name beside its own and
 * then renamed, so that it is the old one or whole. But what is there and is no regular file, such
 * as a pipe, or is a link, such as /dev/stdout, is written to where it is.
 */
#ifndef DMEMFS_TOOL_SHELL_OUTPUT_H
#define DMEMFS_TOOL_SHELL_OUTPUT_H

#include <stdbool.h>

struct shell_output {
	int fd;
	const char *path; /* the caller's */
	char *temporary;  /* or NULL */
};

/** Open it. Returns false, with errno. */
bool shell_output_begin(struct shell_output *output, const char *path);

/** Give it its name, on the disk, and close it. Returns false, with errno; then it is dropped. */
bool shell_output_publish(struct shell_output *output);

/** Close it, and leave nothing of it. */
void shell_output_drop(struct shell_output *output);

#endif
