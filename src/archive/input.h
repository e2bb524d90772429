/* SPDX-License-Identifier: MIT */
/*
 * The bytes of an archive, from wherever they come, block by block. What lies in memory or in a
 * workspace is given as it lies there; what the host has is read in pieces of 256 KiB.
 */
#ifndef DMEMFS_ARCHIVE_INPUT_H
#define DMEMFS_ARCHIVE_INPUT_H

#include "fault.h"

#include <dmemfs/archive.h>

/** The most that is kept for probing. */
#define MFS__ARCHIVE_HEAD_MAX ((size_t)64 << 10)

/** Used by one thread at a time. */
struct mfs_archive_input {
	int kind; /* MFS_ARCHIVE_...: of the source */
	int fd;
	bool owns_fd;
	bool can_seek;
	mfs_file *file;
	const unsigned char *memory;
	int64_t base; /* where in the descriptor the archive begins, if it can seek */
	int64_t size; /* of the archive, if it can seek; else 0 */
	int64_t at;   /* of the next block */
	/* What was read and not given yet, part of `buffer`. */
	const unsigned char *pending;
	size_t pending_size;
	unsigned char *buffer;      /* of the host's bytes */
	unsigned char *head_buffer; /* where the head does not lie in one piece */
	struct mfs__archive_fault fault;
};

/**
 * Open a source. Returns 0, or a code with its reason in `fault`; to be closed in both cases.
 */
int mfs__archive_input_open(struct mfs_archive_input *input, const mfs_archive_source *source);

void mfs__archive_input_close(struct mfs_archive_input *input);

/**
 * The first bytes: `size` of them, at most MFS__ARCHIVE_HEAD_MAX, or all of a shorter archive. To
 * be called before anything is read, any number of times; valid until then. Returns how many, or a
 * code.
 */
int64_t mfs__archive_input_head(struct mfs_archive_input *input, size_t size, const void **head);

/** Can the archive's bytes be had at once, so that no read waits for somebody who writes them? */
static inline bool mfs__archive_input_is_at_hand(const struct mfs_archive_input *input)
{
	return input->can_seek;
}

/**
 * The next block, valid until the next call on the input. Returns its length, 0 at the end, or a
 * code.
 */
int64_t mfs__archive_input_next(struct mfs_archive_input *input, const void **block);

/** Pass over up to `size` bytes. Returns how many, also none where it takes a read to do so. */
int64_t mfs__archive_input_skip(struct mfs_archive_input *input, int64_t size);

/** Go to a place in an input that can seek. Past the end means the end. Returns it. */
int64_t mfs__archive_input_seek(struct mfs_archive_input *input, int64_t offset);

#endif
