/* SPDX-License-Identifier: MIT */
/*
 * The backend on RocksDB's in-memory environment. It is there only where RocksDB was found when the
 * program was built; BENCH_ROCKSDB is defined then.
 */
#ifndef DMEMFS_BENCHMARKS_BACKEND_ROCKSDB_H
#define DMEMFS_BENCHMARKS_BACKEND_ROCKSDB_H

#include "bench.h"

extern const struct bench_backend bench_rocksdb;

/** The cases that the environment can do. The others must not be run. */
extern const bool bench_rocksdb_cases[BENCH_CASE_COUNT];

/** Such as "7.8.3". */
const char *bench_rocksdb_version(void);

#endif
