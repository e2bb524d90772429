/* SPDX-License-Identifier: MIT */
/*
 * For tests of calls that meet: at some of the points of the library where another thread could
 * come in between (mfs__yield), let one come in. Calls of a microsecond would hardly ever meet
 * otherwise. A group setup and a group teardown for cmocka.
 */
#ifndef DMEMFS_TESTS_STEP_ASIDE_H
#define DMEMFS_TESTS_STEP_ASIDE_H

#include "base/test_hook.h"

#include <sched.h>
#include <stdint.h>

static inline void step_aside(const char *point)
{
	static _Thread_local uint64_t number;

	(void)point;
	/* Neither all points nor every n-th: threads that do the same must not keep step. */
	number = number * UINT64_C(6364136223846793005) + (uint64_t)(uintptr_t)&number + 1;
	if ((number >> 60) < 5)
		(void)sched_yield();
}

static inline int step_aside_setup(void **state)
{
	(void)state;
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, step_aside, memory_order_release);
	return 0;
}

static inline int step_aside_teardown(void **state)
{
	(void)state;
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
	return 0;
}

#endif
