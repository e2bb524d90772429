/* SPDX-License-Identifier: MIT */
/* Streams of the C library on handles of a workspace. */
#ifndef DMEMFS_STDIO_STREAM_H
#define DMEMFS_STDIO_STREAM_H

#include "mode.h"

#include <dmemfs/dmemfs.h>

#include <stdio.h>

/*
 * What the C library hands back to the functions of a stream. It calls them with the stream's own
 * lock held, so one thread at a time is here.
 */
struct mfs__stdio_stream {
	mfs_file *file; /* NULL until the stream is whole: then fclose() closes nothing */
	FILE *opened;   /* the stream itself */
	/* Each write moves the cursor to the end first: for a handle that may not be in mode "ab". */
	bool seeks_end;
	char buffer[]; /* the C library's */
};

/*
 * Make a stream without a handle, so that whatever can fail has failed before a file is touched.
 * Returns NULL, noted, if memory runs out.
 */
FILE *mfs__stdio_stream_new(const struct mfs__stdio_mode *mode, struct mfs__stdio_stream **out);

/* Make a code the errno that says it best. */
int mfs__stdio_errno(int code);

#endif
