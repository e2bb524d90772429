/* SPDX-License-Identifier: MIT */
#include "limit/quota.h"

#include "base/test_hook.h"

void mfs__quota_init(struct mfs__quota *quota, uint64_t limit)
{
	atomic_init(&quota->used, 0);
	atomic_init(&quota->peak, 0);
	quota->limit = limit;
}

bool mfs__quota_reserve(struct mfs__quota *quota, uint64_t amount)
{
	uint64_t used = atomic_load_explicit(&quota->used, memory_order_relaxed);

	do {
		if (amount > quota->limit - used)
			return false;
		mfs__yield("quota: room seen");
	} while (!atomic_compare_exchange_weak_explicit(&quota->used, &used, used + amount,
													memory_order_relaxed, memory_order_relaxed));
	used += amount;
	uint64_t peak = atomic_load_explicit(&quota->peak, memory_order_relaxed);
	while (mfs__unlikely(used > peak))
		if (atomic_compare_exchange_weak_explicit(&quota->peak, &peak, used, memory_order_relaxed,
												  memory_order_relaxed))
			break;
	return true;
}

void mfs__quota_release(struct mfs__quota *quota, uint64_t amount)
{
	atomic_fetch_sub_explicit(&quota->used, amount, memory_order_relaxed);
}
