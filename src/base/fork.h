/* SPDX-License-Identifier: MIT */
/*
 * Fork: the child finds every workspace consistent, whatever other threads were doing.
 *
 * Calls that change the tree, or open or close a handle, run inside the gate: an entry in a counter
 * of the thread's stripe. A fork shuts the gate, waits until nobody is inside, then takes the locks
 * of all handles (so that no call on a handle is under way), keeps waiting threads from moving and
 * the reclaimer between two rounds. Calls that only read need none of this.
 *
 * The gate is not entered twice by one thread. Nothing waits inside it or under a handle's lock:
 * not for a file's lock, not for room. So a fork waits for the calls that are under way, each as
 * long as it takes to copy its bytes, and for a grace period if the reclaimer waits for one.
 */
#ifndef MFS_BASE_FORK_H
#define MFS_BASE_FORK_H

#include "base/compiler.h"
#include "base/stripe.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mfs__gate_stripe {
	/* Atomic, any thread: how many are inside. */
	_Alignas(2 * MFS__CACHE_LINE) _Atomic uint32_t inside;
};

extern struct mfs__gate_stripe mfs__gate[MFS__STRIPES];
/* Atomic: 1 while a fork is under way. */
extern _Atomic uint32_t mfs__gate_shut;

/** The slow halves of entering and leaving. */
void mfs__gate_wait(unsigned stripe);
void mfs__gate_tell(unsigned stripe);

/** Go inside. Returns what mfs__gate_leave() wants. */
static inline unsigned mfs__gate_enter(void)
{
	unsigned stripe = mfs__stripe();

	/* pairs with the fork, which shuts the gate and then looks who is inside */
	atomic_fetch_add_explicit(&mfs__gate[stripe].inside, 1, memory_order_seq_cst);
	/* pairs with the fork */
	if (mfs__unlikely(atomic_load_explicit(&mfs__gate_shut, memory_order_seq_cst)))
		mfs__gate_wait(stripe);
	return stripe;
}

/** Go outside. */
static inline void mfs__gate_leave(unsigned stripe)
{
	/* pairs with the fork: what was done inside is complete in the child */
	atomic_fetch_sub_explicit(&mfs__gate[stripe].inside, 1, memory_order_seq_cst);
	/* pairs with the fork, which shuts the gate and then looks who is inside */
	if (mfs__unlikely(atomic_load_explicit(&mfs__gate_shut, memory_order_seq_cst)))
		mfs__gate_tell(stripe);
}

/** What a higher layer does around a fork. */
struct mfs__fork_hooks {
	void (*prepare)(void);
	void (*parent)(void);
	void (*child)(void);
};

/** Install the fork handlers, with those of the handle table. To be called once. */
void mfs__fork_install(const struct mfs__fork_hooks *hooks);

#endif
