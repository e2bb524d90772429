/* SPDX-License-Identifier: MIT */
#include "base/rcu.h"

#if MFS__TSAN
char mfs__rcu_period;
#endif

void mfs__rcu_synchronize(void)
{
	urcu_bp_synchronize_rcu();
#if MFS__TSAN
	__tsan_acquire(&mfs__rcu_period);
#endif
}

void mfs__rcu_before_fork(void)
{
	urcu_bp_before_fork();
}

void mfs__rcu_after_fork_parent(void)
{
	urcu_bp_after_fork_parent();
}

void mfs__rcu_after_fork_child(void)
{
	urcu_bp_after_fork_child();
}
