/* SPDX-License-Identifier: MIT */
/* What limits a workspace: its quotas, and what the memory guard wants of it. */
#include "base/clock.h"
#include "base/error.h"
#include "fs/filesystem.h"

#include <inttypes.h>
#include <stdio.h>

#define DEFAULT_QUOTA          (UINT64_C(256) << 20)
#define DEFAULT_GUARD_INTERVAL INT64_C(1000)
#define DEFAULT_GUARD_KEEP     (UINT64_C(16) << 20)
/* Some seventy years, with which deadlines do not overflow. */
#define GUARD_INTERVAL_MAX (INT64_MAX / MFS__NS_PER_MS / 4)
/* What goes to a stripe's credit at a time, at most. */
#define BYTES_BATCH (UINT64_C(128) << 10)
#define NODES_BATCH 64
/* The quota of metadata that is not charged, but guarded. */
#define NO_LIMIT (UINT64_C(1) << 62)

/*
 * What the guard calls
 */

static struct mfs *guarded(struct mfs__guard_member *member)
{
	return mfs__container_of(member, struct mfs, guard);
}

static uint64_t revoke_unused(struct mfs__guard_member *member)
{
	struct mfs *fs = guarded(member);

	return mfs__quota_revoke(&fs->quota) + mfs__quota_revoke(&fs->metadata);
}

static uint64_t pending(struct mfs__guard_member *member)
{
	struct mfs *fs = guarded(member);
	int64_t sum = 0;

	for (unsigned i = 0; i < MFS__STRIPES; i++)
		sum += atomic_load_explicit(&fs->counters[i].pending, memory_order_relaxed);
	return (sum > 0 ? (uint64_t)sum : 0) + mfs__reservations_left(fs);
}

static void warn(struct mfs__guard_member *member, const char *message)
{
	static atomic_bool warned;
	struct mfs *fs = guarded(member);

	if (fs->on_warning)
		fs->on_warning(fs->user, message);
	else if (!atomic_exchange_explicit(&warned, true, memory_order_relaxed))
		(void)fprintf(stderr, "dmemfs: %s\n", message);
}

int mfs__limits_check(struct mfs *fs)
{
	struct mfs__guard_report report;
	char message[128];

	mfs__guard_sample();
	mfs__guard_report(&report);
	uint64_t quota = fs->quota.limit;
	uint64_t available = report.sample.available;
	if (!report.at || report.sample.source == MFS_MEMORY_UNKNOWN || available >= quota)
		return 0;
	atomic_fetch_add_explicit(&fs->guard.refusals, 1, memory_order_relaxed);
	if (fs->guard.fails)
		return mfs__fail_numbers(MFS_EMEMGUARD,
								 "quota of %" PRIu64 " bytes refused by the memory guard: %" PRIu64
								 " are available",
								 quota, available, 0);
	(void)snprintf(message, sizeof message,
				   "memory guard: the quota is %" PRIu64 " bytes, but %" PRIu64 " are available",
				   quota, available);
	warn(&fs->guard, message);
	return 0;
}

void mfs__limits_init(struct mfs *fs, const mfs_options *o)
{
	int64_t interval = o->memory_guard_interval ? o->memory_guard_interval : DEFAULT_GUARD_INTERVAL;

	fs->is_guarded = o->memory_guard == MFS_GUARD_PER_WRITE;
	struct mfs__guard_member *guard = fs->is_guarded ? &fs->guard : NULL;
	fs->guard = (struct mfs__guard_member){
		.fails = o->memory_guard_action == MFS_GUARD_FAIL,
		.interval_ns =
			(interval < GUARD_INTERVAL_MAX ? interval : GUARD_INTERVAL_MAX) * MFS__NS_PER_MS,
		.keep = o->memory_guard_keep ? o->memory_guard_keep : DEFAULT_GUARD_KEEP,
		.revoke = revoke_unused,
		.pending = pending,
		.warn = warn,
	};
	mfs__quota_init(&fs->quota, o->max_quota ? o->max_quota : DEFAULT_QUOTA, BYTES_BATCH, guard);
	mfs__quota_init(&fs->nodes, o->max_nodes, NODES_BATCH, NULL);
	mfs__quota_init(&fs->metadata, NO_LIMIT, BYTES_BATCH, guard);
	(void)pthread_mutex_init(&fs->reservations_mutex, NULL);
	if (fs->is_guarded)
		mfs__guard_join(&fs->guard);
}

void mfs__limits_destroy(struct mfs *fs)
{
	mfs__quota_destroy(&fs->quota);
	mfs__quota_destroy(&fs->nodes);
	mfs__quota_destroy(&fs->metadata);
	(void)pthread_mutex_destroy(&fs->reservations_mutex);
}

/* Charge metadata, to whom it belongs. */
static int reserve_metadata(struct mfs *fs, uint64_t bytes)
{
	struct mfs__quota *quota = fs->charge_metadata ? &fs->quota : &fs->metadata;

	if (!bytes || (!fs->charge_metadata && !fs->is_guarded))
		return 0;
	int code = mfs__quota_reserve(quota, bytes);
	if (!code)
		return 0;
	if (code == MFS_EMEMGUARD)
		return mfs__guard_fail(&fs->guard, bytes);
	return mfs__fail_numbers(
		code, "%" PRIu64 " bytes of metadata refused: %" PRIu64 " of %" PRIu64 " bytes free", bytes,
		quota->limit - mfs__quota_used(quota), quota->limit);
}

int mfs__nodes_reserve(struct mfs *fs, uint64_t count, uint64_t bytes)
{
	if (fs->has_node_limit && count && mfs__quota_reserve(&fs->nodes, count))
		return mfs__fail_numbers(MFS_ENODES,
								 "%" PRIu64 " more refused: %" PRIu64 " of at most %" PRIu64
								 " files and directories exist",
								 count, mfs__quota_used(&fs->nodes), fs->nodes.limit);
	int code = reserve_metadata(fs, bytes);
	if (code) {
		if (fs->has_node_limit && count)
			mfs__quota_release(&fs->nodes, count);
		return code;
	}
	mfs__count(&fs->counters[mfs__stripe()].metadata, (int64_t)bytes);
	return 0;
}

void mfs__nodes_release(struct mfs *fs, uint64_t count, uint64_t bytes)
{
	if (fs->has_node_limit && count)
		mfs__quota_release(&fs->nodes, count);
	if (bytes && fs->charge_metadata)
		mfs__quota_release(&fs->quota, bytes);
	else if (bytes && fs->is_guarded)
		mfs__quota_release(&fs->metadata, bytes);
	mfs__count(&fs->counters[mfs__stripe()].metadata, -(int64_t)bytes);
}
