/* SPDX-License-Identifier: MIT */
/* A workspace, and what its calls share. */
#ifndef MFS_FS_FILESYSTEM_H
#define MFS_FS_FILESYSTEM_H

#include "base/arena.h"
#include "base/reclaim.h"
#include "base/stripe.h"
#include "file/adopted.h"
#include "file/chunk_list.h"
#include "fs/spender.h"
#include "limit/guard.h"
#include "tree/lookup.h"

#include <dmemfs/dmemfs.h>

/** What a call's inner functions return when what was looked up has gone, or come, meanwhile. */
#define MFS__AGAIN 1

/** Counters that all threads write, once for each stripe; the sums are what counts. */
struct mfs__counters {
	/* Atomic, any thread. */
	_Alignas(2 * MFS__CACHE_LINE) _Atomic int64_t files;
	_Atomic int64_t directories;
	_Atomic int64_t chunks;
	_Atomic int64_t handles;
	_Atomic int64_t metadata; /* bytes: mfs__node_charge() of what is in the tree */
	_Atomic int64_t pending;  /* bytes that large writes have reserved and not written; guarded */
};

struct mfs {
	/* Constant after creation. */
	uint64_t chunk_overhead;
	uint64_t promotion_hard_limit;
	int64_t default_lock_timeout; /* of the public interface, never 0 */
	int64_t space_timeout;        /* likewise */
	uint8_t default_storage;
	bool has_node_limit;
	bool charge_metadata;
	bool is_guarded;
	void (*on_warning)(void *user, const char *message);
	void *user;
	struct mfs__arena *arena; /* of all that the tree is made of; NULL: the process's memory */
	/* Each with its own rules. */
	struct mfs__arena own_arena;
	struct mfs__tree tree;
	struct mfs__quota quota;
	struct mfs__quota nodes;    /* files and directories; only if has_node_limit */
	struct mfs__quota metadata; /* no limit but the guard; only if is_guarded, and not charged */
	struct mfs__guard_member guard;
	pthread_mutex_t reservations_mutex;
	struct mfs_reservation *reservations; /* under reservations_mutex */
	/* Atomic, changed under reservations_mutex. */
	_Atomic uint64_t reservation_count;
	struct mfs__counters counters[MFS__STRIPES];
};

/** Where chunks are charged by the calling thread. */
static inline struct mfs__chunk_account mfs__account(struct mfs__spender *spender)
{
	struct mfs *fs = spender->fs;

	return (struct mfs__chunk_account){&spender->payer, fs->chunk_overhead,
									   &fs->counters[mfs__stripe()].chunks, fs->arena, false};
}

/** The end of a call that may have retired or freed something, with no lock held. */
static inline void mfs__call_end(void)
{
	mfs__reclaim_throttle();
	mfs__adopted_release();
	mfs__guard_notice();
}

static inline void mfs__count(_Atomic int64_t *counter, int64_t change)
{
	atomic_fetch_add_explicit(counter, change, memory_order_relaxed);
}

/** Quotas, guard and list of reservations, of a workspace that is all zeros but for its options. */
void mfs__limits_init(struct mfs *fs, const mfs_options *options);
void mfs__limits_destroy(struct mfs *fs);

/** Is max_quota available? Returns 0, or MFS_EMEMGUARD, noted; or warns. */
int mfs__limits_check(struct mfs *fs);

/**
 * Reserve nodes, and bytes of metadata for them (mfs__node_charge()); either may be 0. Metadata is
 * counted always, and charged to the quota if the workspace's options say so. Returns 0, or
 * MFS_ENODES, MFS_EQUOTA or MFS_EMEMGUARD, noted, with nothing reserved.
 */
int mfs__nodes_reserve(struct mfs *fs, uint64_t count, uint64_t bytes);
void mfs__nodes_release(struct mfs *fs, uint64_t count, uint64_t bytes);

/** What reservations have left. */
uint64_t mfs__reservations_left(struct mfs *fs);

/** Free a file's data and give its quota back. The caller knows that nobody uses it. */
void mfs__file_drop_data(struct mfs *fs, struct mfs__file *file);

/**
 * A file's MFS_O_SHARED handle, or a call that works like one, is done with it: drop SHARED and PIN
 * of its `refs`, and with them what nobody else uses.
 */
void mfs__file_unshare(struct mfs *fs, struct mfs__file *file);

/** Free a directory and all below it, which no thread can reach: counts and nodes stay as they are.
 */
void mfs__tree_free(struct mfs *fs, struct mfs__directory *top);

/**
 * Read an options struct whose writer may know fewer fields: copy `known` bytes at most to `out`,
 * which has room for them, and clear the rest. Returns false if the writer knows and uses more.
 */
bool mfs__options_copy(void *out, size_t known, size_t oldest, const void *options);

/** Is this a timeout of the public interface, or 0 for the default? */
bool mfs__timeout_is_valid(int64_t timeout);

/** For tests: are tree, files, counters and quota as they should be? No other thread may work. */
bool mfs__validate(struct mfs *fs);

#endif
