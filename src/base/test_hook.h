/* SPDX-License-Identifier: MIT */
/*
 * Points at which a test can hold a thread, to force an interleaving. They exist only in builds
 * with MFS_TEST_HOOKS, which are never installed; elsewhere they are nothing.
 */
#ifndef MFS_BASE_TEST_HOOK_H
#define MFS_BASE_TEST_HOOK_H

#ifdef MFS_TEST_HOOKS

#include <stdatomic.h>

typedef void mfs__yield_function(const char *point);

/* Atomic, any thread; set while no other thread is inside the library. */
extern _Atomic(mfs__yield_function *) mfs__yield_hook;

static inline void mfs__yield(const char *point)
{
	/* pairs with the release store of the test that sets the hook */
	mfs__yield_function *hook = atomic_load_explicit(&mfs__yield_hook, memory_order_acquire);
	if (hook)
		hook(point);
}

#else

#define mfs__yield(point) ((void)0)

#endif

#endif
