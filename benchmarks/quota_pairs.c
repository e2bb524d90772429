/* SPDX-License-Identifier: MIT */
#include "quota_pairs.h"

#include "base/alloc.h"
#include "base/stripe.h"
#include "limit/quota.h"

#include <stdatomic.h>

/* As for the bytes of a workspace. */
#define BATCH (UINT64_C(128) << 10)
/* More turns than it ever takes. */
#define TURNS 1000

struct mfs__quota *bench_quota_new(uint64_t limit)
{
	struct mfs__quota *quota =
		mfs__alloc_aligned(_Alignof(struct mfs__quota), sizeof(struct mfs__quota));

	if (quota)
		mfs__quota_init(quota, limit, BATCH, NULL);
	return quota;
}

void bench_quota_free(struct mfs__quota *quota)
{
	mfs__quota_destroy(quota);
	mfs__free_aligned(quota);
}

bool bench_quota_open(struct mfs__quota *quota)
{
	unsigned own = mfs__stripe();
	bool done = false;

	/* One thread plays two. */
	for (unsigned turn = 0; turn < TURNS && !done; turn++) {
		mfs__stripe_of_thread = 1 + turn % 2;
		done = !bench_quota_pairs(quota, 1, 1) ||
			   atomic_load_explicit(&quota->open, memory_order_relaxed);
	}
	mfs__stripe_of_thread = 1 + own;
	return atomic_load_explicit(&quota->open, memory_order_relaxed) != NULL;
}

/* Measured. */
bool bench_quota_pairs(struct mfs__quota *quota, uint64_t bytes, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		if (mfs__unlikely(mfs__quota_reserve(quota, bytes)))
			return false;
		mfs__quota_release(quota, bytes);
	}
	return true;
}

uint64_t bench_quota_used(struct mfs__quota *quota)
{
	return mfs__quota_used(quota);
}
