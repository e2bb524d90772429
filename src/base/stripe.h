/* SPDX-License-Identifier: MIT */
/*
 * Stripes: counters and lists that all threads write are kept MFS__STRIPES times over, each copy on
 * cache lines of its own. A thread uses the one its number points at, so that up to that many
 * threads share no line. Threads get their numbers in turn, and need not give them back.
 */
#ifndef MFS_BASE_STRIPE_H
#define MFS_BASE_STRIPE_H

#include "base/compiler.h"

#define MFS__STRIPES 64

/* The thread's own: its stripe plus one, 0 when it has none yet. */
extern _Thread_local unsigned mfs__stripe_of_thread;

/** Give the calling thread its stripe. Returns it. */
unsigned mfs__stripe_assign(void);

/** The calling thread's stripe, 0 to MFS__STRIPES - 1. About a nanosecond. */
static inline unsigned mfs__stripe(void)
{
	unsigned stripe = mfs__stripe_of_thread;

	return mfs__likely(stripe) ? stripe - 1 : mfs__stripe_assign();
}

#endif
