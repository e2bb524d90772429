/* SPDX-License-Identifier: MIT */
/*
 * An archive's bytes without their compression. That is a step of its own, before the entries are
 * looked at, so that it can be read to its end: the checksums of a compressed stream come last, and
 * a reader of entries stops where the entries end. A thread may do this step, see read_ahead.h.
 *
 * gzip is undone by zlib, since libarchive does not look at its checksum; all else by libarchive.
 */
#ifndef DMEMFS_ARCHIVE_UNPACK_H
#define DMEMFS_ARCHIVE_UNPACK_H

#include "input.h"

#include <zlib.h>

struct archive;

/** Used by one thread at a time. */
struct mfs__archive_unpack {
	struct mfs_archive_input *input;
	struct archive *filters; /* libarchive's, with its format "raw"; or NULL */
	bool is_packed;          /* there is a compression */
	/* gzip: */
	bool has_zlib;
	bool in_member;  /* a member has begun and not ended */
	bool had_member; /* one has ended */
	z_stream zlib;
	unsigned char *buffer;
	struct mfs__archive_fault fault;
};

/**
 * Find out how an archive is compressed. `all`: by anything that libarchive undoes itself.
 *
 * Returns 0 or a code with its reason in `fault`; to be closed in both cases. Where there is no
 * compression and the input can seek, it is at its start again; else all reads go through
 * mfs__archive_unpack_next().
 */
int mfs__archive_unpack_open(struct mfs__archive_unpack *unpack, struct mfs_archive_input *input,
							 bool all);

void mfs__archive_unpack_close(struct mfs__archive_unpack *unpack);

/**
 * The next block, valid until the next call. Waits for no more input than it takes to give
 * something. Returns its length, 0 at the end, or a code.
 */
int64_t mfs__archive_unpack_next(struct mfs__archive_unpack *unpack, const void **block);

#endif
