/* SPDX-License-Identifier: MIT */
/*
 * One run of `dmemfs etl`: what its stages share, and what every stage does with it.
 *
 * The workspace during a run:
 *
 *   /in/00000042           a host file, or
 *   /in/00000043.000000    a part of a host file that was cut, and so on
 *   /stage/<worker>/<n>    a piece: the words of a batch of files; see piece.h
 *   /shuffle/<p>           a partition: the words of one hash class, from all pieces; see piece.h
 *   /out/index-<p>         the index's part for that partition
 *
 * Stages run one after the other; within one, the workers take items until there are none. Each
 * stage removes what it has read as it goes, so that the next form of the data finds room.
 */
#ifndef DMEMFS_TOOL_RUN_H
#define DMEMFS_TOOL_RUN_H

#include "exit_code.h"
#include "host_tree.h"
#include "output.h"
#include "room.h"

#include <dmemfs/dmemfs.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/** Words are divided among so many partitions by their hash: a power of 2. */
#define PARTITION_BITS  5
#define PARTITION_COUNT (1u << PARTITION_BITS)

/** Enough for every path in the workspace. */
#define WORKSPACE_PATH_SIZE 64

/** Where partition `p` is shuffled to, and where its part of the index is. For printf. */
#define SHUFFLE_PATH "/shuffle/%03u"
#define INDEX_NAME   "index-%03u"
#define INDEX_PATH   "/out/" INDEX_NAME

struct run {
	/* Constant while workers are at work. */
	const char *input;
	unsigned threads;
	uint64_t quota;          /* 0 until the default is known */
	uint64_t chunk_overhead; /* of the workspace */
	mfs *fs;                 /* NULL until the size of the input is known */
	const char *stage;
	struct host_tree tree;
	struct output output;
	char **staged; /* names in /in, for the stage that reads them */
	uint64_t staged_count;

	struct room room;

	/* Atomic, any thread. */
	_Atomic uint64_t next_item;
	_Atomic uint64_t done_bytes;     /* by this stage, for the progress */
	_Atomic uint64_t input_bytes;    /* brought to /in */
	_Atomic uint64_t piece_bytes;    /* written to /stage */
	_Atomic uint64_t index_bytes;    /* written to /out */
	_Atomic uint64_t words;          /* counted */
	_Atomic uint64_t distinct_words; /* in the index */
	_Atomic bool stopping;

	pthread_mutex_t failure_lock;
	/* Under `failure_lock`: the first failure. */
	enum exit_code exit_code;
	char *failure; /* what is said about it, or NULL */
};

/** Returns false if there are no resources for it. */
bool run_init(struct run *run);
void run_destroy(struct run *run);

/** End the run early, without a failure: a signal came. Any thread. */
void run_stop(struct run *run);

/** A share of `all` bytes of memory for each worker, within the two bounds. */
size_t run_share(const struct run *run, size_t all, size_t least, size_t most);

/** Is the run to end early? Asked before each item and each large step. */
bool run_is_stopping(struct run *run);

/*
 * Failures: each ends the run early. The first one is kept. All return false.
 */

bool run_fail(struct run *run, enum exit_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/** No memory outside of the workspace. */
bool run_fail_memory(struct run *run);
/** A host file, with errno. */
bool run_fail_host(struct run *run, const char *path);
/** A call on the workspace gave `code`, in this thread just now. */
bool run_fail_workspace(struct run *run, int64_t code);

/** Take the next of `count` items. Returns false when there is none or the run ends early. */
bool run_next_item(struct run *run, uint64_t count, uint64_t *item);

static inline void run_add(_Atomic uint64_t *counter, uint64_t amount)
{
	atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

static inline uint64_t run_get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/*
 * Files of the workspace. All but run_remove() need not be the only user of the file.
 */

/** What `size` bytes of a file are charged in the workspace, at most. */
uint64_t run_charge(const struct run *run, uint64_t size);

/**
 * A call that needs `bytes` of the quota at most was refused with `code`. If by a limit, wait for
 * room, as room_wait() does. `seen` was noted before the call. Returns true when the call should be
 * tried again; *alone, which may be NULL, tells whether the caller has to make do with less.
 */
bool run_wait_for_room(struct run *run, int64_t code, uint64_t bytes, uint64_t seen, bool *alone);

/**
 * Append to a file, which is made if missing: all bytes in one write. Waits for room, without
 * keeping the file's lock meanwhile.
 */
bool run_append(struct run *run, const char *path, const void *bytes, size_t size);

/** Read exactly `size` bytes at `offset`. */
bool run_read(struct run *run, mfs_file *file, void *bytes, size_t size, uint64_t offset);

bool run_mkdir(struct run *run, const char *path);

/** Remove a file or an empty directory, and tell those who wait for room. */
bool run_remove(struct run *run, const char *path);

#endif
