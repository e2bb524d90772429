/* SPDX-License-Identifier: MIT */
/*
 * stress_limits: what its parts share.
 *
 *   stress_limits.c   what it proves; the command line
 *   limits_reserve.c  many threads at the limit: rounds, threads, what is checked
 *   limits_target.c   what they take from: a quota, or the files of a workspace
 *   limits_churn.c    memory while files come and go beside a reader that sleeps
 */
#ifndef DMEMFS_STRESS_LIMITS_H
#define DMEMFS_STRESS_LIMITS_H

#include "common.h"

#include "limit/guard.h"
#include "limit/quota.h"

#include "dmemfs/dmemfs.h"

#define LIMITS_MAX_THREADS 1000
/* No limit is larger, so that amounts have 29 bits. */
#define LIMITS_LIMIT_MAX (256 * MIB)

struct limits_options {
	unsigned threads; /* 0: the mode's default */
	unsigned stripes; /* 0: another number in each round */
	uint64_t seconds;
	uint64_t seed;
	uint64_t phase_ms;
	uint64_t hold_s;
	bool pinned;
};

void limits_reserve(const struct limits_options *options);
void limits_churn(const struct limits_options *options);

/** Let the calling thread, a worker, be held up inside the library, where that has test hooks. */
void limits_disturb(uint64_t seed);

/*
 * What threads take from
 */

/** Something that was taken and not given back. All zeros: nothing. */
struct limits_holding {
	uint64_t bytes;
	uint64_t number; /* of files: which one */
};

struct limits_target {
	struct mfs__quota *quota;
	mfs *fs;      /* NULL: the quota alone */
	bool guarded; /* with a memory guard that looks every millisecond */
	struct mfs__quota own_quota;
	struct mfs__guard_member member;
};

/** How a holding is taken; the numbers of files. */
enum limits_way {
	LIMITS_PLAIN,   /**< a reservation; a file by one write */
	LIMITS_IN_LINE, /**< by getting in line for space; a file that waits for it */
	LIMITS_ZEROS,   /**< a file, by mfs_truncate() */
	LIMITS_AHEAD,   /**< a file, by mfs_open_options.preallocate */
	LIMITS_PIECES,  /**< a file, by some writes */
	LIMITS_WAYS,
};

void limits_target_make(struct limits_target *target, bool files, bool guarded, uint64_t limit);
void limits_target_drop(struct limits_target *target);

/** Nobody works: is all that is not held to be had, and no more? */
void limits_target_check(struct limits_target *target, uint64_t held);

/** What the library says is used. */
uint64_t limits_target_used(const struct limits_target *target);

/** What the memory guard finds available: plenty, or now and then next to nothing. */
void limits_memory_is_scarce(bool scarce);

/** The most bytes that one holding may have. */
uint64_t limits_most(const struct limits_target *target);

/** What taking `bytes` in that way takes at most, for a moment: room ahead is given back. */
uint64_t limits_price(const struct limits_target *target, enum limits_way way, uint64_t bytes);

/** The largest amount, at most `room`, that takes exactly what it is when taken LIMITS_PLAIN. */
uint64_t limits_exact(const struct limits_target *target, uint64_t room);

/** Take holding->bytes. Returns 0, MFS_EQUOTA or MFS_EMEMGUARD; anything else is a failure. */
int limits_take(struct limits_target *target, enum limits_way way, struct limits_holding *holding,
				uint64_t *random);

/** Give back all but `kept` bytes of a holding. */
void limits_give(struct limits_target *target, struct limits_holding *holding, uint64_t kept);

/** Does the library say that so much is free now? Does not wait. */
bool limits_is_free(struct limits_target *target, uint64_t bytes);

#endif
