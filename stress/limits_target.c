/* SPDX-License-Identifier: MIT */
/*
 * What threads take from: a quota by itself, or the files of a workspace, whose sizes are what is
 * charged.
 *
 * A file takes memory ahead while it grows, where there is room. When it is closed it keeps just
 * what it holds, as long as it was not grown again after it was cut; so files are made once, cut
 * perhaps, and removed. Nothing is charged for a chunk besides its bytes.
 */
#include "limits_parts.h"

#include "base/clock.h"
#include "base/compiler.h"
#include "fs/filesystem.h"
#include "limit/space.h"

#define DIRECTORIES 16
#define PATH_SIZE   64
#define FILE_MOST   (256 * KIB)
#define PIECES      4
/* As in file/chunk_list.h: the first chunk has so much, each further one as much as all before. */
#define FIRST_CHUNK UINT64_C(4096)

#define BATCH         (128 * KIB)
#define PLENTY        (UINT64_C(1) << 40)
#define GUARD_MS      1
#define WAIT_MS       2
#define SCARCE_ONE_IN 3

/* Atomic, any thread. */
static atomic_bool scarce;
/* Atomic, any thread: numbers of files. */
static _Atomic uint64_t next_number;

static const unsigned char bytes_to_write[FILE_MOST];

void limits_memory_is_scarce(bool is_scarce)
{
	atomic_store_explicit(&scarce, is_scarce, memory_order_relaxed);
}

static int available(void *user, uint64_t *bytes)
{
	uint64_t *random = user;

	/* Called by one thread at a time. */
	bool little = atomic_load_explicit(&scarce, memory_order_relaxed) &&
				  stress_below(random, SCARCE_ONE_IN) == 0;
	*bytes = little ? MIB : PLENTY;
	return 0;
}

static uint64_t revoke_unused(struct mfs__guard_member *member)
{
	struct limits_target *target = mfs__container_of(member, struct limits_target, member);

	return mfs__quota_revoke(target->quota);
}

static uint64_t pending(struct mfs__guard_member *member)
{
	(void)member;
	return 0;
}

static void make_quota(struct limits_target *target, uint64_t limit)
{
	target->quota = &target->own_quota;
	target->member = (struct mfs__guard_member){
		.fails = true,
		.interval_ns = (int64_t)(GUARD_MS * NS_PER_MS),
		.revoke = revoke_unused,
		.pending = pending,
	};
	mfs__quota_init(target->quota, limit, BATCH, target->guarded ? &target->member : NULL);
	if (target->guarded)
		mfs__guard_join(&target->member);
}

static void make_workspace(struct limits_target *target, uint64_t limit)
{
	mfs_options options = {
		.struct_size = sizeof(options),
		.max_quota = limit,
		.chunk_overhead = -1,
		.memory_guard = target->guarded ? MFS_GUARD_PER_WRITE : MFS_GUARD_NONE,
		.memory_guard_action = MFS_GUARD_FAIL,
		.memory_guard_interval = GUARD_MS,
		.memory_guard_keep = 1,
	};
	char path[PATH_SIZE];

	if (mfs_new(&options, &target->fs) < 0)
		stress_die("mfs_new: %s", mfs_last_error());
	for (unsigned i = 0; i < DIRECTORIES; i++) {
		snprintf(path, sizeof(path), "/%u", i);
		if (mfs_mkdir(target->fs, path, 0) < 0)
			stress_fail("mfs_mkdir: %s", mfs_last_error());
	}
	target->quota = &target->fs->quota;
}

void limits_target_make(struct limits_target *target, bool files, bool guarded, uint64_t limit)
{
	static uint64_t random = 1;
	mfs_memory_options memory = {
		.struct_size = sizeof(memory),
		.available = available,
		.user = &random,
	};

	if (mfs_configure_memory(&memory) < 0)
		stress_fail("mfs_configure_memory: %s", mfs_last_error());
	*target = (struct limits_target){.guarded = guarded};
	if (files)
		make_workspace(target, limit);
	else
		make_quota(target, limit);
}

void limits_target_drop(struct limits_target *target)
{
	if (target->fs) {
		if (mfs_free(target->fs) < 0)
			stress_fail("mfs_free: %s", mfs_last_error());
		return;
	}
	if (target->guarded)
		mfs__guard_leave(&target->member);
	mfs__quota_destroy(target->quota);
}

uint64_t limits_target_used(const struct limits_target *target)
{
	mfs_usage usage;

	if (!target->fs)
		return mfs__quota_used(target->quota);
	if (mfs_stats(target->fs, &usage) < 0)
		stress_fail("mfs_stats: %s", mfs_last_error());
	if (usage.used_bytes > usage.quota_bytes || usage.peak_bytes > usage.quota_bytes ||
		usage.free_bytes != usage.quota_bytes - usage.used_bytes)
		stress_fail("mfs_stats: %llu used, %llu peak, %llu free, of %llu",
					(unsigned long long)usage.used_bytes, (unsigned long long)usage.peak_bytes,
					(unsigned long long)usage.free_bytes, (unsigned long long)usage.quota_bytes);
	return usage.used_bytes;
}

/* All that is free, at once, and no byte more. */
static void check_quota_rest(struct limits_target *target, uint64_t free_bytes)
{
	int all = mfs__quota_reserve(target->quota, free_bytes);
	int more = mfs__quota_reserve(target->quota, 1);

	if (all != 0 || more != MFS_EQUOTA)
		stress_fail("at rest: %s for all of %llu free bytes, then %s for one more",
					mfs_error_name(all), (unsigned long long)free_bytes, mfs_error_name(more));
	if (all == 0)
		mfs__quota_release(target->quota, free_bytes);
	if (more == 0)
		mfs__quota_release(target->quota, 1);
}

static void check_workspace_rest(struct limits_target *target, uint64_t free_bytes)
{
	mfs_reservation *rest = NULL;
	mfs_reservation *more = NULL;
	int all = free_bytes ? mfs_reservation_new(target->fs, free_bytes, &rest) : 0;
	int one = mfs_reservation_new(target->fs, 1, &more);

	if (all != 0 || one != MFS_EQUOTA)
		stress_fail("at rest: %s for all of %llu free bytes, then %s for one more",
					mfs_error_name(all), (unsigned long long)free_bytes, mfs_error_name(one));
	if (mfs_reservation_free(more) < 0 || mfs_reservation_free(rest) < 0)
		stress_fail("mfs_reservation_free: %s", mfs_last_error());
}

void limits_target_check(struct limits_target *target, uint64_t held)
{
	uint64_t used = limits_target_used(target);
	uint64_t peak = mfs__quota_peak(target->quota);
	uint64_t limit = target->quota->limit;

	if (used != held)
		stress_fail("at rest: %llu used, %llu held", (unsigned long long)used,
					(unsigned long long)held);
	/* With a guard, a peak may be missed while free bytes go to and fro. */
	if ((peak < held) || peak > limit)
		stress_fail("at rest: peak %llu, %llu held, of %llu", (unsigned long long)peak,
					(unsigned long long)held, (unsigned long long)limit);
	if (held > limit)
		return;
	/* The guard's last sample may be one of little. */
	limits_memory_is_scarce(false);
	if (target->guarded)
		mfs__guard_sample();
	if (target->fs)
		check_workspace_rest(target, limit - held);
	else
		check_quota_rest(target, limit - held);
	used = limits_target_used(target);
	if (used != held)
		stress_fail("at rest, all taken and given back: %llu used, %llu held",
					(unsigned long long)used, (unsigned long long)held);
}

uint64_t limits_most(const struct limits_target *target)
{
	return target->fs ? FILE_MOST : LIMITS_LIMIT_MAX;
}

/* The chunks that hold so much, whole. */
static uint64_t whole_chunks(uint64_t bytes)
{
	uint64_t size = FIRST_CHUNK;

	while (size < bytes)
		size *= 2;
	return size;
}

uint64_t limits_price(const struct limits_target *target, enum limits_way way, uint64_t bytes)
{
	if (!target->fs || (bytes <= FIRST_CHUNK && way != LIMITS_PIECES))
		return bytes;
	return whole_chunks(bytes);
}

uint64_t limits_exact(const struct limits_target *target, uint64_t room)
{
	if (!target->fs || room <= FIRST_CHUNK)
		return room;
	uint64_t size = FIRST_CHUNK;
	while (size * 2 <= room && size * 2 <= FILE_MOST)
		size *= 2;
	return size;
}

/*
 * Quotas
 */

static int take_in_line(struct limits_target *target, uint64_t bytes)
{
	struct mfs__space_waiter waiter;

	if (mfs__space_begin(target->quota, &waiter, bytes, true))
		return waiter.code;
	mfs__space_sleep(&waiter, mfs__deadline(WAIT_MS));
	return mfs__space_end(target->quota, &waiter, true);
}

/*
 * Files
 */

static void path_of(char *path, const struct limits_holding *holding)
{
	snprintf(path, PATH_SIZE, "/%u/%llu", (unsigned)(holding->number % DIRECTORIES),
			 (unsigned long long)holding->number);
}

static int write_pieces(mfs_file *file, uint64_t bytes, uint64_t *random)
{
	for (unsigned left = PIECES; bytes > 0; left--) {
		uint64_t part = left > 1 ? 1 + stress_random(random) % bytes : bytes;
		int64_t code = mfs_write(file, bytes_to_write, part);
		if (code < 0)
			return (int)code;
		bytes -= part;
	}
	return 0;
}

static int fill(mfs_file *file, enum limits_way way, uint64_t bytes, uint64_t *random)
{
	int64_t code = 0;

	switch (way) {
	case LIMITS_AHEAD:
		break;
	case LIMITS_ZEROS:
		code = mfs_truncate(file, (int64_t)bytes);
		break;
	case LIMITS_PIECES:
		code = write_pieces(file, bytes, random);
		break;
	default:
		code = mfs_write(file, bytes_to_write, bytes);
		break;
	}
	return code < 0 ? (int)code : 0;
}

static void remove_file(struct limits_target *target, const char *path)
{
	if (mfs_remove(target->fs, path) < 0)
		stress_fail("mfs_remove: %s", mfs_last_error());
}

static int make_file(struct limits_target *target, enum limits_way way,
					 struct limits_holding *holding, uint64_t *random)
{
	mfs_open_options options = {
		.struct_size = sizeof(options),
		.preallocate = way == LIMITS_AHEAD ? (int64_t)holding->bytes : 0,
		.space_timeout = way == LIMITS_IN_LINE ? WAIT_MS : 0,
	};
	char path[PATH_SIZE];
	mfs_file *file;

	holding->number = atomic_fetch_add_explicit(&next_number, 1, memory_order_relaxed);
	path_of(path, holding);
	int code = mfs_open_ex(target->fs, path, "xb", &options, &file);
	if (code < 0)
		return code;
	code = fill(file, way, holding->bytes, random);
	if (mfs_close(file) < 0)
		stress_fail("mfs_close: %s", mfs_last_error());
	if (code < 0)
		remove_file(target, path);
	return code;
}

static void cut_file(struct limits_target *target, const char *path, uint64_t kept)
{
	mfs_file *file;
	int code = mfs_open(target->fs, path, "r+b", &file);

	if (code == 0) {
		code = mfs_truncate(file, (int64_t)kept);
		if (code == 0)
			code = mfs_close(file);
	}
	if (code < 0)
		stress_fail("cutting a file: %s", mfs_last_error());
}

/*
 * Both
 */

int limits_take(struct limits_target *target, enum limits_way way, struct limits_holding *holding,
				uint64_t *random)
{
	int code;

	if (target->fs)
		code = make_file(target, way, holding, random);
	else if (way == LIMITS_IN_LINE)
		code = take_in_line(target, holding->bytes);
	else
		code = mfs__quota_reserve(target->quota, holding->bytes);
	if (code != 0 && code != MFS_EQUOTA && code != MFS_EMEMGUARD)
		stress_fail("taking %llu bytes: %s, %s", (unsigned long long)holding->bytes,
					mfs_error_name(code), mfs_last_error());
	return code;
}

void limits_give(struct limits_target *target, struct limits_holding *holding, uint64_t kept)
{
	if (target->fs) {
		char path[PATH_SIZE];
		path_of(path, holding);
		if (kept > 0)
			cut_file(target, path, kept);
		else
			remove_file(target, path);
	} else {
		mfs__quota_release(target->quota, holding->bytes - kept);
	}
	holding->bytes = kept;
}

bool limits_is_free(struct limits_target *target, uint64_t bytes)
{
	struct mfs__space_waiter waiter;

	if (target->fs)
		return mfs_wait_for_space(target->fs, bytes, MFS_NO_WAIT) == 0;
	return mfs__space_begin(target->quota, &waiter, bytes, false) ||
		   mfs__space_end(target->quota, &waiter, true) == 0;
}
