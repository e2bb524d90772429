/* SPDX-License-Identifier: MIT */
#include "base/fork.h"

#include "base/fair_rwlock.h"
#include "base/futex.h"
#include "base/rcu.h"
#include "base/reclaim.h"

#include <pthread.h>

struct mfs__gate_stripe mfs__gate[MFS__STRIPES];
_Atomic uint32_t mfs__gate_shut;

/* Held from before a fork until after it: two threads may fork at once. */
static pthread_mutex_t fork_mutex = PTHREAD_MUTEX_INITIALIZER;

static const struct mfs__fork_hooks *handle_hooks; /* constant after installation */

void mfs__gate_wait(unsigned stripe)
{
	_Atomic uint32_t *inside = &mfs__gate[stripe].inside;

	do {
		atomic_fetch_sub_explicit(inside, 1, memory_order_relaxed);
		mfs__futex_wake(inside, 1);
		while (atomic_load_explicit(&mfs__gate_shut, memory_order_relaxed))
			(void)mfs__futex_wait(&mfs__gate_shut, 1, MFS__NEVER);
		/* pairs with shut_gate */
		atomic_fetch_add_explicit(inside, 1, memory_order_seq_cst);
		/* pairs with shut_gate */
	} while (atomic_load_explicit(&mfs__gate_shut, memory_order_seq_cst));
}

void mfs__gate_tell(unsigned stripe)
{
	mfs__futex_wake(&mfs__gate[stripe].inside, 1);
}

static void shut_gate(void)
{
	/* pairs with mfs__gate_enter */
	atomic_store_explicit(&mfs__gate_shut, 1, memory_order_seq_cst);
	for (unsigned i = 0; i < MFS__STRIPES; i++) {
		_Atomic uint32_t *inside = &mfs__gate[i].inside;
		uint32_t count;
		/* pairs with mfs__gate_enter and mfs__gate_leave */
		while ((count = atomic_load_explicit(inside, memory_order_seq_cst)))
			(void)mfs__futex_wait(inside, count, MFS__NEVER);
	}
}

static void open_gate(void)
{
	atomic_store_explicit(&mfs__gate_shut, 0, memory_order_relaxed);
	mfs__futex_wake(&mfs__gate_shut, INT32_MAX);
}

static void prepare(void)
{
	pthread_mutex_lock(&fork_mutex);
	shut_gate();
	handle_hooks->prepare();
	mfs__rwlock_fork_prepare();
	mfs__reclaim_fork_prepare();
	mfs__rcu_before_fork();
}

static void parent(void)
{
	mfs__rcu_after_fork_parent();
	mfs__reclaim_fork_parent();
	mfs__rwlock_fork_parent();
	handle_hooks->parent();
	open_gate();
	pthread_mutex_unlock(&fork_mutex);
}

static void child(void)
{
	mfs__rcu_after_fork_child();
	mfs__reclaim_fork_child();
	mfs__rwlock_fork_child();
	handle_hooks->child();
	/* Threads that came to the shut gate may have been counted at that instant. */
	for (unsigned i = 0; i < MFS__STRIPES; i++)
		atomic_store_explicit(&mfs__gate[i].inside, 0, memory_order_relaxed);
	open_gate();
	pthread_mutex_unlock(&fork_mutex);
}

void mfs__fork_install(const struct mfs__fork_hooks *hooks)
{
	handle_hooks = hooks;
	/* Fails only for want of memory; a fork is then as unsafe as without this library's care. */
	(void)pthread_atfork(prepare, parent, child);
}
