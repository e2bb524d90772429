/* SPDX-License-Identifier: MIT */
/*
 * Unpacking ahead of the entries: a thread of its own undoes the compression into a ring of
 * buffers, while the caller's makes files of what is there. It starts once an archive has turned
 * out to be large, and only for input that is at hand: a thread that waits for a pipe could not be
 * stopped.
 */
#ifndef DMEMFS_ARCHIVE_READ_AHEAD_H
#define DMEMFS_ARCHIVE_READ_AHEAD_H

#include "unpack.h"

#include <pthread.h>
#include <sys/types.h>

#define MFS__ARCHIVE_SLOTS 4

struct mfs__archive_read_ahead {
	struct mfs__archive_unpack unpack; /* the thread's, while there is one */
	struct mfs__archive_fault fault;   /* the caller's: what next() gave */
	/* The caller's: */
	uint64_t unpacked; /* bytes given without the thread */
	bool may_start;
	bool has_thread;
	bool holds_slot; /* the caller works with the oldest one that is full */
	pid_t process;
	pthread_t thread;
	unsigned char *buffers; /* slots, one behind the other */
	/* The rest is guarded by the mutex; a slot's bytes are the thread's until it is full. */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned first; /* the oldest full slot */
	unsigned full;  /* slots that are full */
	size_t sizes[MFS__ARCHIVE_SLOTS];
	bool has_ended; /* there will be no more slots: the end, or the fault of `unpack` */
	bool stopping;  /* nobody wants more */
};

/** Open. Returns 0 or a code with its reason in `fault`; to be closed in both cases. */
int mfs__archive_read_ahead_open(struct mfs__archive_read_ahead *ahead,
								 struct mfs_archive_input *input, bool all);

/** Close, and wait for the thread. What it had not unpacked yet is left. */
void mfs__archive_read_ahead_close(struct mfs__archive_read_ahead *ahead);

/**
 * The next block, valid until the next call. Returns its length, 0 at the end, or a code with its
 * reason in `fault`.
 */
int64_t mfs__archive_read_ahead_next(struct mfs__archive_read_ahead *ahead, const void **block);

/**
 * Read what is behind the entries, so that the checksums at the end are looked at. Where there is
 * more than some padding it is left. Returns 0, or a code with its reason in `fault`.
 */
int mfs__archive_read_ahead_finish(struct mfs__archive_read_ahead *ahead);

#endif
