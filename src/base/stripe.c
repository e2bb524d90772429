/* SPDX-License-Identifier: MIT */
#include "base/stripe.h"

#include <stdatomic.h>

_Thread_local unsigned mfs__stripe_of_thread;

unsigned mfs__stripe_assign(void)
{
	static atomic_uint next; /* atomic, any thread; wraps harmlessly */
	unsigned stripe = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % MFS__STRIPES;

	mfs__stripe_of_thread = stripe + 1;
	return stripe;
}
