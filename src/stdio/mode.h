/* SPDX-License-Identifier: MIT */
/* The mode of a stream, as fopen() has it. */
#ifndef DMEMFS_STDIO_MODE_H
#define DMEMFS_STDIO_MODE_H

#include <stdbool.h>

struct mfs__stdio_mode {
	char access;    /* 'r', 'w' or 'a' */
	bool update;    /* '+': reads and writes */
	bool exclusive; /* 'x': the file must not exist */
};

/* Take a mode apart. Returns false if it is none. */
bool mfs__stdio_parse_mode(const char *text, struct mfs__stdio_mode *mode);

/* Whether streams of this mode read, and write. */
bool mfs__stdio_reads(const struct mfs__stdio_mode *mode);
bool mfs__stdio_writes(const struct mfs__stdio_mode *mode);

#endif
