/* SPDX-License-Identifier: MIT */
/*
 * A call that spends quota, and may wait for it.
 *
 * Nothing waits with a lock held or inside the gate. So a call that is refused ends what it has
 * begun, waits here, and tries again from the start, with what it was granted.
 */
#ifndef MFS_FS_SPENDER_H
#define MFS_FS_SPENDER_H

#include "fs/fork_guard.h"
#include "limit/reservation.h"
#include "limit/space.h"

#include <dmemfs/dmemfs.h>

struct mfs__handle;

/** A wait for space, in memory that a child of a fork finds. */
struct mfs__space_wait {
	struct mfs__quota *quota;
	struct mfs__space_waiter waiter;
	bool in_line; /* changes inside the gate */
};

/**
 * Wait until `bytes`, no more than the limit, are free; with `takes`, they are then reserved. With
 * nothing held, outside of the gate.
 *
 * Returns 0, MFS_EQUOTA at the deadline, or MFS_EMEMGUARD. Inside the gate, which the caller
 * leaves: so that a fork finds what was granted in one hand or in the other.
 */
int mfs__space_wait(struct mfs__space_wait *wait, struct mfs__quota *quota, uint64_t bytes,
					bool takes, int64_t deadline, unsigned *gate);

/** In a child: take it out of the line. */
void mfs__space_wait_abandon(struct mfs__space_wait *wait);

struct mfs__spender {
	struct mfs *fs;
	struct mfs__payer payer;
	int64_t timeout; /* how long it waits for quota: of the public interface, never 0 */
	/* Once it has waited: */
	bool waited;
	bool has_deadline;
	int64_t deadline;
	struct mfs__space_wait wait;
	struct mfs__fork_guard guard; /* a child gives back what its thread was granted */
};

/** Of a call that does not wait, and draws on no reservation. */
void mfs__spender_init(struct mfs__spender *spender, struct mfs *fs);

/** Of a call on a handle that is begun, for the first time or again. */
void mfs__spender_of_handle(struct mfs__spender *spender, const struct mfs__handle *handle);

/**
 * The call has ended with `code`, and holds nothing. If it was refused and may wait, wait until it
 * is granted what it missed. Returns true if it is to be tried again.
 */
bool mfs__spender_again(struct mfs__spender *spender, int64_t code);

/** Give back what is left of what was granted. For a call that has used mfs__spender_again(). */
void mfs__spender_end(struct mfs__spender *spender);

#endif
