/* SPDX-License-Identifier: MIT */
/*
 * What imports and exports of whole trees share: a team of threads, their progress, and how they
 * end.
 *
 * The calling thread works as the others do, and it alone calls the user's callback, with no mutex
 * held and outside the gate, so that the callback may make any call. All signals are blocked in the
 * other threads. If the callback forks, the child has the calling thread alone: it finds itself an
 * orphan, gives up everything and returns.
 */
#ifndef MFS_HOST_TRANSFER_H
#define MFS_HOST_TRANSFER_H

#include "base/error.h"
#include "fs/fork_guard.h"

#include <dmemfs/dmemfs.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** The largest number of threads, and without an option. */
#define MFS__TRANSFER_THREADS_MAX     64
#define MFS__TRANSFER_THREADS_DEFAULT 8

/** Bytes that are moved between two looks at whether to go on, at most. */
#define MFS__TRANSFER_PIECE ((size_t)1 << 20)

struct mfs__transfer {
	/* Constant while threads work. */
	const char *call;      /* for messages */
	const char *host_path; /* as the caller gave it */
	mfs_transfer_options options;
	unsigned threads;
	void (*work)(struct mfs__transfer *transfer, unsigned worker);
	pid_t process;
	struct mfs__fork_guard guard;
	/* Atomic, any thread. */
	_Atomic bool stopping;
	_Atomic uint64_t files_done;
	_Atomic uint64_t files_found;
	_Atomic uint64_t bytes_done;
	_Atomic uint64_t bytes_found;
	_Atomic uint64_t directories_done;
	_Atomic uint64_t skipped;
	/* Guards what follows, and where the work comes from. Held over a fork. */
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* there is work, or a reason to stop, or a thread has ended */
	unsigned running;       /* threads, without the calling one */
	int code;               /* the first failure, or 0 */
	char failure[MFS__FAILURE_SIZE];
	/* The calling thread's own. */
	int64_t next_report;
	bool is_orphan; /* in a child of the process that began */
};

/**
 * Read a caller's options, which may be NULL; `flags` are those that are allowed. Returns 0 or
 * MFS_EINVAL, noted.
 */
int mfs__transfer_options(mfs_transfer_options *out, const mfs_transfer_options *given,
						  unsigned flags);

/**
 * Begin, with options that were read. `child` is called in children, see fs/fork_guard.h, with
 * the transfer's guard; NULL for nothing. Returns 0, or MFS_ENOMEM, noted.
 */
int mfs__transfer_begin(struct mfs__transfer *transfer, const char *call, const char *host_path,
						const mfs_transfer_options *options,
						void (*child)(struct mfs__fork_guard *guard));

/**
 * Let up to transfer->threads threads do `work`, each with a number of its own, 0 for the calling
 * one. All have ended when it returns, unless the transfer is an orphan.
 *
 * Returns 0, or the first failure, noted in the calling thread.
 */
int mfs__transfer_run(struct mfs__transfer *transfer,
					  void (*work)(struct mfs__transfer *transfer, unsigned worker));

/** To be called at the end, also of an orphan. */
void mfs__transfer_end(struct mfs__transfer *transfer);

/*
 * For workers. `path` is what they were at lately, on the host.
 */

/** To be asked again and again: report the progress if it is time. Returns false to stop. */
bool mfs__transfer_go_on(struct mfs__transfer *transfer, unsigned worker, const char *path);

/**
 * With the mutex, which it gives back meanwhile: wait until something may have changed. Reports
 * the progress when it is time.
 */
void mfs__transfer_wait(struct mfs__transfer *transfer, unsigned worker, const char *path);

/** Stop everything because of `code`. This thread has noted why; the calling thread will. */
void mfs__transfer_stop(struct mfs__transfer *transfer, int code);

static inline void mfs__transfer_add(_Atomic uint64_t *counter, uint64_t amount)
{
	atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

#endif
