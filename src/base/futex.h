/* SPDX-License-Identifier: MIT */
/* Waiting on a word of memory, by Linux futexes. Deadlines are those of base/clock.h. */
#ifndef MFS_BASE_FUTEX_H
#define MFS_BASE_FUTEX_H

#include "base/clock.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/**
 * Sleep while *word is `value`, until woken or until `deadline`. Wakes up for no reason, too: the
 * caller loops. Returns false when the deadline has passed.
 */
static inline bool mfs__futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline)
{
	struct timespec until;
	struct timespec *limit = NULL;

	if (deadline != MFS__NEVER) {
		until.tv_sec = (time_t)(deadline / MFS__NS_PER_S);
		until.tv_nsec = (long)(deadline % MFS__NS_PER_S);
		limit = &until;
	}
	int saved = errno;
	long result = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value, limit,
						  NULL, FUTEX_BITSET_MATCH_ANY);
	bool in_time = result == 0 || errno != ETIMEDOUT;
	errno = saved;
	return in_time;
}

/** Wake up to `count` threads that sleep on the word. The word need not exist any more. */
static inline void mfs__futex_wake(_Atomic uint32_t *word, int count)
{
	int saved = errno;

	(void)syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
	errno = saved;
}

#endif
