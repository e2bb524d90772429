/* SPDX-License-Identifier: MIT */
/* Telling a caller how far a call has come: of each entry, and now and then within a long one. */
#ifndef DMEMFS_ARCHIVE_REPORTER_H
#define DMEMFS_ARCHIVE_REPORTER_H

#include <dmemfs/archive.h>

#include <time.h>

/* Between two reports on a long entry, in nanoseconds. */
#define MFS__ARCHIVE_REPORT_INTERVAL INT64_C(100000000)
#define MFS__ARCHIVE_NS_PER_S        INT64_C(1000000000)

/** Used by one thread. All zeros but for the callback and its user. */
struct mfs__archive_reporter {
	bool (*on_progress)(void *user, const mfs_archive_progress *progress); /* or NULL */
	void *user;
	int64_t reported_at; /* CLOCK_MONOTONIC_COARSE */
};

static inline int64_t mfs__archive_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * MFS__ARCHIVE_NS_PER_S + now.tv_nsec;
}

/** Report. Returns false if the caller cancels. */
static inline bool mfs__archive_report(struct mfs__archive_reporter *reporter,
									   const mfs_archive_progress *progress)
{
	if (!reporter->on_progress)
		return true;
	reporter->reported_at = mfs__archive_now();
	return reporter->on_progress(reporter->user, progress);
}

/** Is it time for another report? Without a callback the clock is not looked at. */
static inline bool mfs__archive_report_is_due(const struct mfs__archive_reporter *reporter)
{
	return reporter->on_progress &&
		   mfs__archive_now() - reporter->reported_at >= MFS__ARCHIVE_REPORT_INTERVAL;
}

#endif
