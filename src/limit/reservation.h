/* SPDX-License-Identifier: MIT */
/*
 * Who pays for bytes: first what a call was granted while it waited, then its job's reservation,
 * then the quota. All three are reserved in the quota already, or will be.
 */
#ifndef MFS_LIMIT_RESERVATION_H
#define MFS_LIMIT_RESERVATION_H

#include "limit/quota.h"

/** Quota that is set aside for a job; what the public mfs_reservation is. */
struct mfs_reservation {
	/* Constant after creation. */
	struct mfs *fs;
	uint64_t bytes;
	/* Under the mutex of the workspace's list. */
	struct mfs_reservation *next;
	struct mfs_reservation **link;
	/* Held by who draws less than it needs, and may have to give it back: nobody who finds too
	 * little because of that is refused. Before the quota's mutex. */
	pthread_mutex_t mutex;
	/* Atomic, any thread: what is not drawn, at most `bytes`. */
	_Alignas(2 * MFS__CACHE_LINE) _Atomic uint64_t left;
	/* Atomic, any thread: open handles that draw on it. */
	_Atomic uint64_t handles;
};

/** What the bytes of a call are charged to. */
struct mfs__payer {
	struct mfs__quota *quota;
	struct mfs_reservation *reservation; /* or NULL */
	uint64_t granted;                    /* the call's own: reserved for it, and not used yet */
	uint64_t
		missing; /* the call's own: what the quota did not have last; 0: not to be waited for */
};

/** Reserve `amount`: as mfs__quota_reserve(), with nothing drawn on if it fails. */
int mfs__payer_reserve(struct mfs__payer *payer, uint64_t amount);

/** Give `amount` back: to the reservation up to what was drawn on it, the rest to the quota. */
void mfs__payer_release(struct mfs__payer *payer, uint64_t amount);

#endif
