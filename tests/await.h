/* SPDX-License-Identifier: MIT */
/*
 * Waiting for what another thread does: AWAIT(condition) gives the processor away until the
 * condition holds. What has not come after a minute is a hang, and ends the program: a failed
 * assertion would return from a test whose threads still use its variables.
 */
#ifndef DMEMFS_TESTS_AWAIT_H
#define DMEMFS_TESTS_AWAIT_H

#include "base/clock.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define AWAIT_LIMIT (60 * MFS__NS_PER_S)

#define AWAIT(condition)                                                                           \
	do {                                                                                           \
		int64_t await_limit_ = mfs__now() + AWAIT_LIMIT;                                           \
		while (!(condition)) {                                                                     \
			if (mfs__now() > await_limit_) {                                                       \
				(void)fprintf(stderr, "%s:%d: never came: %s\n", __FILE__, __LINE__, #condition);  \
				abort();                                                                           \
			}                                                                                      \
			(void)sched_yield();                                                                   \
		}                                                                                          \
	} while (0)

#endif
