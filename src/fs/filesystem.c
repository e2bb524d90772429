/* SPDX-License-Identifier: MIT */
/* Making, freeing and checking workspaces. */
#include "fs/filesystem.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "base/huge_block.h"
#include "base/page_pool.h"
#include "base/reclaim.h"
#include "fs/handle_table.h"
#include "fs/staging.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PROMOTION_LIMIT (UINT64_C(512) << 20)
#define DEFAULT_CHUNK_OVERHEAD  64
#define DEFAULT_LOCK_TIMEOUT    INT64_C(30000)
#define NO_OVERHEAD             INT64_C(-1)
/* What a file takes besides its data, about; and what a workspace must have held for its memory to
 * go back at once. Less may stay warm for a moment. */
#define NODE_BYTES 256
#define TRIM_BYTES (UINT64_C(16) << 20)
/* No options struct is ever this large: a larger struct_size is a mistake, and not read from. */
#define OPTIONS_SIZE_MAX 4096

bool mfs__options_copy(void *out, size_t known, size_t oldest, const void *options)
{
	size_t given;

	memset(out, 0, known);
	if (!options)
		return true;
	memcpy(&given, options, sizeof given);
	if (given == 0)
		given = oldest;
	if (given < oldest || given > OPTIONS_SIZE_MAX)
		return false;
	for (size_t i = known; i < given; i++)
		if (((const char *)options)[i])
			return false;
	memcpy(out, options, given < known ? given : known);
	return true;
}

bool mfs__timeout_is_valid(int64_t timeout)
{
	return timeout >= 0 || timeout == MFS_WAIT_FOREVER || timeout == MFS_NO_WAIT;
}

static const char *fault_of(const mfs_options *options)
{
	if (options->max_quota > INT64_MAX)
		return "max_quota of mfs_options";
	if (options->default_storage < MFS_STORAGE_AUTO ||
		options->default_storage > MFS_STORAGE_RANDOM_ACCESS)
		return "default_storage of mfs_options";
	if (options->memory_guard < MFS_GUARD_NONE || options->memory_guard > MFS_GUARD_PER_WRITE)
		return "memory_guard of mfs_options";
	if (options->memory_guard_action < MFS_GUARD_WARN ||
		options->memory_guard_action > MFS_GUARD_FAIL)
		return "memory_guard_action of mfs_options";
	if (options->memory_guard_interval < 0)
		return "memory_guard_interval of mfs_options";
	if (options->charge_metadata < 0 || options->charge_metadata > 1)
		return "charge_metadata of mfs_options";
	if (!mfs__timeout_is_valid(options->space_timeout))
		return "space_timeout of mfs_options";
	if (options->chunk_overhead < NO_OVERHEAD || options->chunk_overhead > INT32_MAX)
		return "chunk_overhead of mfs_options";
	if (!mfs__timeout_is_valid(options->default_lock_timeout))
		return "default_lock_timeout of mfs_options";
	return NULL;
}

static void fork_prepare(void)
{
	mfs__handle_table_fork_prepare();
	mfs__guard_fork_prepare();
}

static void fork_parent(void)
{
	mfs__guard_fork_parent();
	mfs__handle_table_fork_after();
}

static void fork_child(void)
{
	mfs__guard_fork_child();
	mfs__handle_table_fork_after();
	mfs__staging_fork_child();
}

static void prepare_process_once(void)
{
	static const struct mfs__fork_hooks hooks = {fork_prepare, fork_parent, fork_child};

	mfs__inode_numbers_init();

	mfs__fork_install(&hooks);
}

static void prepare_process(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, prepare_process_once);
}

int mfs_new(const mfs_options *options, mfs **out)
{
	mfs_options o;

	if (!out)
		return mfs__fail(MFS_EINVAL, "mfs_new: out");
	*out = NULL;
	if (!mfs__options_copy(&o, sizeof o, sizeof o, options))
		return mfs__fail(MFS_EINVAL, "struct_size of mfs_options");
	const char *fault = fault_of(&o);
	if (fault)
		return mfs__fail(MFS_EINVAL, fault);

	prepare_process();
	/* The counters want whole cache lines of their own, which malloc does not promise. */
	struct mfs *fs = mfs__alloc_aligned(_Alignof(struct mfs), sizeof *fs);
	if (!fs)
		return mfs__fail(MFS_ENOMEM, "mfs_new");
	memset(fs, 0, sizeof *fs);
	fs->arena = mfs__arena_init(&fs->own_arena);
	if (mfs__tree_init(&fs->tree, fs->arena)) {
		mfs__free_aligned(fs);
		return mfs__fail(MFS_ENOMEM, "mfs_new");
	}
	fs->chunk_overhead = o.chunk_overhead == NO_OVERHEAD ? 0
						 : o.chunk_overhead              ? (uint64_t)o.chunk_overhead
														 : DEFAULT_CHUNK_OVERHEAD;
	fs->promotion_hard_limit =
		o.promotion_hard_limit ? o.promotion_hard_limit : DEFAULT_PROMOTION_LIMIT;
	fs->default_lock_timeout =
		o.default_lock_timeout ? o.default_lock_timeout : DEFAULT_LOCK_TIMEOUT;
	fs->default_storage = (uint8_t)o.default_storage;
	fs->space_timeout = o.space_timeout ? o.space_timeout : MFS_NO_WAIT;
	fs->on_warning = o.on_warning;
	fs->user = o.user;
	fs->has_node_limit = o.max_nodes != 0;
	fs->charge_metadata = o.charge_metadata != 0;
	mfs__limits_init(fs, &o);
	mfs__reclaim_begin();
	int code = o.memory_guard == MFS_GUARD_INIT ? mfs__limits_check(fs) : 0;
	if (code) {
		(void)mfs_free(fs);
		return code;
	}
	*out = fs;
	return 0;
}

void mfs__file_drop_data(struct mfs *fs, struct mfs__file *file)
{
	struct mfs__spender by;

	mfs__spender_init(&by, fs);
	struct mfs__chunk_account account = mfs__account(&by);
	mfs__chunks_shrink(&file->chunks, &account, 0);
	if (mfs__unlikely(atomic_load_explicit(&file->parallel, memory_order_relaxed) != NULL))
		mfs__node_end_parallel(file);
}

void mfs__file_unshare(struct mfs *fs, struct mfs__file *file)
{
	struct mfs__node *node = &file->node;

	/* pairs with mfs__node_acquire and mfs__node_release: the data is freed after all use of it */
	uint64_t refs = atomic_fetch_sub_explicit(&node->refs, MFS__REFS_SHARED, memory_order_acq_rel) -
					MFS__REFS_SHARED;
	if ((refs & MFS__REFS_UNLINKED) && !(refs & MFS__REFS_SHARERS))
		mfs__file_drop_data(fs, file);
	mfs__node_release(node, MFS__REFS_PIN);
}

/* Files that wait to be freed while their first chunks are fetched into the cache. */
#define WAITING 8

/* A list of directories, through the links that retiring would use. */
struct worklist {
	struct mfs *fs;
	struct mfs__retired *first;
	struct mfs__file *waiting[WAITING]; /* in turn; NULL: none */
	unsigned next;
};

/* Let a file, if it is one, wait for its turn, and free the one whose turn it is, if there is one.
 */
static void free_in_turn(struct worklist *worklist, struct mfs__file *file)
{
	struct mfs__file **waiting = &worklist->waiting[worklist->next++ % WAITING];
	struct mfs__file *due = *waiting;

	*waiting = file;
	if (file && file->chunks.count) {
		const char *bytes = (const char *)mfs__chunk_at(&file->chunks, 0)->bytes;
		/* An allocator may keep its notes before a block. */
		__builtin_prefetch(bytes - MFS__CACHE_LINE / 4, 1);
	}
	if (due) {
		mfs__file_drop_data(worklist->fs, due);
		mfs__file_free(due);
	}
}

static bool free_child(void *user, struct mfs__dentry *dentry)
{
	struct worklist *worklist = user;
	struct mfs__node *node = dentry->node;

	if (dentry != mfs__first_dentry(node))
		mfs__dentry_free(dentry);
	if (node->is_dir) {
		struct mfs__directory *directory = mfs__directory_of(node);
		directory->retired.next = worklist->first;
		worklist->first = &directory->retired;
	} else {
		free_in_turn(worklist, mfs__file_of(node));
	}
	return true;
}

void mfs__tree_free(struct mfs *fs, struct mfs__directory *top)
{
	/* One directory after the other, not one inside the other: the tree may be deep. */
	struct worklist worklist = {.fs = fs, .first = &top->retired};

	top->retired.next = NULL;
	while (worklist.first) {
		struct mfs__directory *directory =
			mfs__container_of(worklist.first, struct mfs__directory, retired);
		worklist.first = directory->retired.next;
		mfs__directory_each(directory, free_child, &worklist);
		mfs__directory_free_table(directory);
		mfs__directory_free(directory);
	}
	for (unsigned i = 0; i < WAITING; i++)
		free_in_turn(&worklist, NULL);
}

static int64_t sum_of_handles(struct mfs *fs)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < MFS__STRIPES; i++)
		sum += atomic_load_explicit(&fs->counters[i].handles, memory_order_relaxed);
	/* A sum taken while others open and close may miss the first half of a pair. */
	return sum > 0 ? sum : 0;
}

/* About what the allocator gave for a workspace at most: bytes, and some for each node. */
static uint64_t bytes_held(struct mfs *fs)
{
	int64_t nodes = 0;

	for (unsigned i = 0; i < MFS__STRIPES; i++)
		nodes += atomic_load_explicit(&fs->counters[i].files, memory_order_relaxed) +
				 atomic_load_explicit(&fs->counters[i].directories, memory_order_relaxed);
	return mfs__quota_peak(&fs->quota) + (uint64_t)(nodes > 0 ? nodes : 0) * NODE_BYTES;
}

int mfs_free(mfs *fs)
{
	if (!fs)
		return 0;
	int64_t handles = sum_of_handles(fs);
	if (handles)
		return mfs__fail_numbers(MFS_EBUSY, "mfs_free refused: %" PRIu64 " handles are open",
								 (uint64_t)handles, 0, 0);
	uint64_t reservations = atomic_load_explicit(&fs->reservation_count, memory_order_relaxed);
	if (reservations)
		return mfs__fail_numbers(MFS_EBUSY,
								 "mfs_free refused: %" PRIu64 " reservations are not freed",
								 reservations, 0, 0);
	if (fs->is_guarded)
		mfs__guard_leave(&fs->guard);
	uint64_t held = bytes_held(fs);
	unsigned gate = mfs__gate_enter();
	mfs__tree_free(fs, fs->tree.root);
	(void)pthread_mutex_destroy(&fs->tree.claims);
	mfs__limits_destroy(fs);
	mfs__arena_drop(fs->arena, held >= TRIM_BYTES);
	mfs__free_aligned(fs);
	mfs__gate_leave(gate);
	mfs__reclaim_end();
	if (held >= TRIM_BYTES)
		mfs__alloc_trim();
	mfs__adopted_release();
	return 0;
}

/* What reservations have left. Their list is locked inside the gate, lest a fork find it so. */
static uint64_t reserved_now(struct mfs *fs)
{
	if (!atomic_load_explicit(&fs->reservation_count, memory_order_relaxed))
		return 0;
	unsigned gate = mfs__gate_enter();
	uint64_t left = mfs__reservations_left(fs);
	mfs__gate_leave(gate);
	return left;
}

int mfs_stats(mfs *fs, mfs_usage *out)
{
	int64_t files = 0;
	int64_t directories = 0;
	int64_t chunks = 0;
	int64_t metadata = 0;
	struct mfs__guard_report report;

	if (!fs || !out)
		return mfs__fail(MFS_EINVAL, "mfs_stats: NULL");
	for (unsigned i = 0; i < MFS__STRIPES; i++) {
		const struct mfs__counters *counters = &fs->counters[i];
		files += atomic_load_explicit(&counters->files, memory_order_relaxed);
		directories += atomic_load_explicit(&counters->directories, memory_order_relaxed);
		chunks += atomic_load_explicit(&counters->chunks, memory_order_relaxed);
		metadata += atomic_load_explicit(&counters->metadata, memory_order_relaxed);
	}
	uint64_t used = mfs__quota_used(&fs->quota);
	uint64_t peak = mfs__quota_peak(&fs->quota);
	uint64_t reserved = reserved_now(fs);
	if (reserved > used)
		reserved = used;
	mfs__guard_report(&report);
	/* A sum taken while others count may miss the first half of a pair of changes. */
	*out = (mfs_usage){
		.used_bytes = used,
		.quota_bytes = fs->quota.limit,
		.free_bytes = fs->quota.limit - used,
		.peak_bytes = peak > used ? peak : used,
		.files = files > 0 ? (uint64_t)files : 0,
		.directories = directories > 0 ? (uint64_t)directories : 0,
		.max_nodes = fs->nodes.limit,
		.chunks = chunks > 0 ? (uint64_t)chunks : 0,
		.chunk_overhead = fs->chunk_overhead,
		.open_handles = (uint64_t)sum_of_handles(fs),
		.retired_bytes = mfs__reclaim_pending(),
		.idle_bytes = mfs__huge_idle_bytes() + mfs__page_idle_bytes(),
		.reserved_bytes = reserved,
		.live_bytes = used - reserved,
		.metadata_bytes = metadata > 0 ? (uint64_t)metadata : 0,
		.waiters = atomic_load_explicit(&fs->quota.waiters, memory_order_relaxed),
		.guard_available = report.at ? report.sample.available : 0,
		.guard_sample_age = report.at ? (mfs__now() - report.at) / MFS__NS_PER_MS : -1,
		.guard_refusals = atomic_load_explicit(&fs->guard.refusals, memory_order_relaxed),
		.guard_source = report.at ? report.sample.source : MFS_MEMORY_UNKNOWN,
	};
	return 0;
}

/* What a walk over the whole tree adds up. */
struct census {
	struct mfs *fs;
	struct mfs__retired *first;
	struct mfs__directory *parent;
	uint64_t files;
	uint64_t directories;
	uint64_t chunks;
	uint64_t charge;
	uint64_t metadata;
	bool sound;
};

static bool count_child(void *user, struct mfs__dentry *dentry)
{
	struct census *census = user;
	struct mfs__node *node = dentry->node;
	uint64_t hold = atomic_load_explicit(&node->hold, memory_order_relaxed);

	if (hold & (MFS__HOLD_UNLINKED | MFS__HOLD_CLAIMED))
		census->sound = false;
	census->metadata += mfs__node_charge(dentry);
	if (node->is_dir) {
		struct mfs__directory *directory = mfs__directory_of(node);
		if (directory->parent != census->parent)
			census->sound = false;
		census->directories++;
		directory->retired.next = census->first;
		census->first = &directory->retired;
	} else {
		struct mfs__file *file = mfs__file_of(node);
		census->files++;
		census->chunks += file->chunks.count;
		census->charge += mfs__chunks_charge(&file->chunks, census->fs->chunk_overhead);
		if (!mfs__chunks_validate(&file->chunks, mfs__node_size(node)))
			census->sound = false;
	}
	return true;
}

bool mfs__validate(struct mfs *fs)
{
	struct census census = {.fs = fs, .first = &fs->tree.root->retired, .sound = true};
	mfs_usage usage;

	fs->tree.root->retired.next = NULL;
	while (census.first) {
		struct mfs__directory *directory =
			mfs__container_of(census.first, struct mfs__directory, retired);
		census.first = directory->retired.next;
		if (!mfs__directory_validate(directory))
			return false;
		census.parent = directory;
		mfs__directory_each(directory, count_child, &census);
	}
	if (mfs_stats(fs, &usage))
		return false;
	return census.sound && census.files == usage.files && census.directories == usage.directories &&
		   census.chunks == usage.chunks && census.metadata == usage.metadata_bytes &&
		   census.charge + (fs->charge_metadata ? census.metadata : 0) == usage.live_bytes &&
		   (!fs->has_node_limit ||
			census.files + census.directories == mfs__quota_used(&fs->nodes));
}
