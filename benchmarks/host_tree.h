/* SPDX-License-Identifier: MIT */
/*
 * Whole trees of the host by system calls, as a careful program would do it: what the workspace's
 * calls for trees are measured against, and how their results are checked.
 *
 * Every function dies on an error. Links, devices, sockets and pipes are left out, as the library
 * leaves them out.
 */
#ifndef DMEMFS_BENCHMARKS_HOST_TREE_H
#define DMEMFS_BENCHMARKS_HOST_TREE_H

#include "bench.h"

/** Read the names in a directory and sort them. Returns how many there are. */
uint64_t bench_host_list(const char *path);

/** Walk through a tree, each directory's names sorted. Returns the files and directories. */
struct bench_sum bench_host_walk(const char *path);

/** Remove a tree of directories and regular files. */
void bench_host_remove(const char *path);

/**
 * Copy a tree to a name that does not exist yet, by so many threads, the caller's one of them.
 *
 * `whole`: to an empty directory in which nobody ever finds a part of a file under its name. Each
 * one is written under another name first and then renamed.
 */
void bench_host_copy(const char *from, const char *to, unsigned threads, bool whole);

/** Read all that is in a tree. Not for measured regions. */
void bench_host_sum(const char *path, struct bench_sum *sum);

#endif
