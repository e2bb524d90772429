/* SPDX-License-Identifier: MIT */
/*
 * Waiting for space: threads that sleep until a quota has as much free as they want.
 *
 * A waiter is one of two kinds. One takes what it waits for: whoever releases enough reserves it in
 * the waiter's name. The other only wants to know. Whoever releases goes through the queue in the
 * order of arrival and wakes those for which what is free is enough together, no more; others with
 * less modest wishes wait on. As those who only want to know may not take what they were told of,
 * the first that was passed over because of them is told to look again, a little later.
 *
 * While there is a waiter the quota is closed: all that is released comes to `room`, and who
 * releases sees that somebody waits.
 *
 * Between begin and end a fork may come: the waiter is then whole, in its quota's queue or out of
 * it, and the child abandons it.
 */
#ifndef MFS_LIMIT_SPACE_H
#define MFS_LIMIT_SPACE_H

#include "limit/quota.h"

struct mfs__space_waiter {
	/* Constant while it waits. */
	uint64_t bytes;
	bool takes;
	/* Atomic: MFS__SPACE_...; changed under the quota's mutex, the waiter sleeps on it. */
	_Atomic uint32_t state;
	/* Under the quota's mutex. */
	int code; /* once it is told: 0, or MFS_EMEMGUARD for one that takes */
	struct mfs__space_waiter *next;
	struct mfs__space_waiter **link;
};

/**
 * Look, and get in line if there is not enough. Returns true if there is no need to sleep: `code`
 * is set as mfs__space_end() would return it. With `bytes` at most the limit.
 */
bool mfs__space_begin(struct mfs__quota *quota, struct mfs__space_waiter *waiter, uint64_t bytes,
					  bool takes);

/** Sleep until told, or until it is time to look again. Returns false when the deadline has passed.
 */
bool mfs__space_sleep(struct mfs__space_waiter *waiter, int64_t deadline);

/** What mfs__space_end() returns to one that has to sleep again. */
#define MFS__SPACE_LATER 1

/**
 * Get out of the line, if there is, or was, enough, or the waiter gives up. Returns 0 if there is:
 * reserved for one that takes. MFS_EQUOTA if not, MFS_EMEMGUARD if the guard refuses, or
 * MFS__SPACE_LATER, still in line.
 */
int mfs__space_end(struct mfs__quota *quota, struct mfs__space_waiter *waiter, bool gives_up);

/** In the child of a fork: take out a waiter whose thread is not there. */
void mfs__space_abandon(struct mfs__quota *quota, struct mfs__space_waiter *waiter);

/** For mfs__quota_release(): wake those for whom there is enough. */
void mfs__space_serve(struct mfs__quota *quota);

#endif
