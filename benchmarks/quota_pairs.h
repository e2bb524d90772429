/* SPDX-License-Identifier: MIT */
/*
 * The library's quota by itself, for a loop that calls nothing else.
 *
 * The quota is not part of the public interface, and libdmemfs.so shows nothing of it. So this is a
 * small shared library of its own, linked with the same objects, of which it shows only the
 * functions below: the quota's code is what libdmemfs.so has, with the same calls and the same way
 * to a thread's stripe, and nothing of it gets between the benchmark and libdmemfs.so.
 */
#ifndef DMEMFS_BENCHMARKS_QUOTA_PAIRS_H
#define DMEMFS_BENCHMARKS_QUOTA_PAIRS_H

#include <stdbool.h>
#include <stdint.h>

#define BENCH_SHOWN __attribute__((visibility("default")))

struct mfs__quota;

/** Make a quota as a workspace has it. Returns NULL when there is no memory. */
BENCH_SHOWN struct mfs__quota *bench_quota_new(uint64_t limit);
BENCH_SHOWN void bench_quota_free(struct mfs__quota *quota);

/** Let the quota see threads take turns, until it opens its credits. Returns false if it does not.
 */
BENCH_SHOWN bool bench_quota_open(struct mfs__quota *quota);

/** Reserve `bytes` and release them, `count` times. Returns false when that was refused. */
BENCH_SHOWN bool bench_quota_pairs(struct mfs__quota *quota, uint64_t bytes, uint64_t count);

/** Returns what is reserved. */
BENCH_SHOWN uint64_t bench_quota_used(struct mfs__quota *quota);

#endif
