/* SPDX-License-Identifier: MIT */
/* Time: deadlines on the monotonic clock, and coarse time stamps. Nanoseconds throughout. */
#ifndef MFS_BASE_CLOCK_H
#define MFS_BASE_CLOCK_H

#include <dmemfs/dmemfs.h>

#include <stdint.h>
#include <time.h>

#define MFS__NS_PER_MS INT64_C(1000000)
#define MFS__NS_PER_S  INT64_C(1000000000)

/** Deadlines that are not instants. */
#define MFS__NEVER   INT64_MAX
#define MFS__AT_ONCE INT64_MIN

static inline int64_t mfs__clock_read(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now); /* cannot fail for the clocks used here */
	return (int64_t)now.tv_sec * MFS__NS_PER_S + now.tv_nsec;
}

/** Nanoseconds on the clock that deadlines are on. About 20 ns. */
static inline int64_t mfs__now(void)
{
	return mfs__clock_read(CLOCK_MONOTONIC);
}

/** Nanoseconds since 1970, as of the last clock tick (1 to 4 ms ago). About 3 ns. */
static inline int64_t mfs__timestamp(void)
{
#ifdef CLOCK_REALTIME_COARSE
	return mfs__clock_read(CLOCK_REALTIME_COARSE);
#else
	return mfs__clock_read(CLOCK_REALTIME);
#endif
}

/** The deadline for a timeout of the public interface: milliseconds, or one of its constants. */
static inline int64_t mfs__deadline(int64_t timeout)
{
	if (timeout == MFS_NO_WAIT)
		return MFS__AT_ONCE;
	if (timeout == MFS_WAIT_FOREVER)
		return MFS__NEVER;
	int64_t now = mfs__now();
	if (timeout > (INT64_MAX - now) / MFS__NS_PER_MS)
		return MFS__NEVER;
	return now + timeout * MFS__NS_PER_MS;
}

#endif
