/* SPDX-License-Identifier: MIT */
/*
 * A limit that holds exactly: bytes of data, or nodes.
 *
 *   Q1  `used` never exceeds `limit`: it only grows by a compare-and-swap from a value that leaves
 *       room for what is added.
 *   Q2  A request that fits is not refused: it is refused only on a value of `used`, current at
 * that instant, that leaves no room. Nothing is added first and taken back later.
 *
 * What is reserved counts as used. Reserve before allocating, release after freeing.
 */
#ifndef MFS_LIMIT_QUOTA_H
#define MFS_LIMIT_QUOTA_H

#include "base/compiler.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mfs__quota {
	/* Atomic, any thread. */
	_Alignas(2 * MFS__CACHE_LINE) _Atomic uint64_t used;
	_Atomic uint64_t peak;
	/* Constant after creation. */
	uint64_t limit;
};

void mfs__quota_init(struct mfs__quota *quota, uint64_t limit);

/** Add `amount` if it fits. Lock-free. Returns false, and changes nothing, if not. */
bool mfs__quota_reserve(struct mfs__quota *quota, uint64_t amount);

/** Take back `amount` that was reserved. Wait-free. */
void mfs__quota_release(struct mfs__quota *quota, uint64_t amount);

static inline uint64_t mfs__quota_used(const struct mfs__quota *quota)
{
	return atomic_load_explicit(&quota->used, memory_order_relaxed);
}

static inline uint64_t mfs__quota_peak(const struct mfs__quota *quota)
{
	return atomic_load_explicit(&quota->peak, memory_order_relaxed);
}

#endif
