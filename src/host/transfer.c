/* SPDX-License-Identifier: MIT */
#include "host/transfer.h"

#include "base/clock.h"
#include "fs/filesystem.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REPORT_INTERVAL (100 * MFS__NS_PER_MS)
/* Workers keep nothing large on their stacks. */
#define STACK_SIZE ((size_t)512 << 10)

int mfs__transfer_options(mfs_transfer_options *out, const mfs_transfer_options *given,
						  unsigned flags)
{
	if (!mfs__options_copy(out, sizeof *out, sizeof *out, given))
		return mfs__fail(MFS_EINVAL, "struct_size of mfs_transfer_options");
	if (out->threads > MFS__TRANSFER_THREADS_MAX)
		return mfs__fail(MFS_EINVAL, "threads of mfs_transfer_options");
	if (out->flags & ~flags)
		return mfs__fail(MFS_EINVAL, "flags of mfs_transfer_options");
	return 0;
}

static unsigned default_threads(void)
{
	cpu_set_t cores;
	long count = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores)
																 : sysconf(_SC_NPROCESSORS_ONLN);

	if (count < 1)
		return 1;
	return count < MFS__TRANSFER_THREADS_DEFAULT ? (unsigned)count : MFS__TRANSFER_THREADS_DEFAULT;
}

int mfs__transfer_begin(struct mfs__transfer *transfer, const char *call, const char *host_path,
						const mfs_transfer_options *options,
						void (*child)(struct mfs__fork_guard *guard))
{
	pthread_condattr_t attributes;

	*transfer = (struct mfs__transfer){
		.call = call,
		.host_path = host_path,
		.options = *options,
		.threads = options->threads ? options->threads : default_threads(),
		.process = getpid(),
		.next_report = mfs__now() + REPORT_INTERVAL,
	};
	if (pthread_condattr_init(&attributes))
		goto no_memory;
	bool made = !pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) &&
				!pthread_cond_init(&transfer->changed, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	if (!made)
		goto no_memory;
	if (pthread_mutex_init(&transfer->mutex, NULL)) {
		(void)pthread_cond_destroy(&transfer->changed);
		goto no_memory;
	}
	transfer->guard.mutex = &transfer->mutex;
	transfer->guard.child = child;
	mfs__fork_guard_enter(&transfer->guard);
	return 0;

no_memory:
	return mfs__fail_path(MFS_ENOMEM, call, host_path);
}

void mfs__transfer_end(struct mfs__transfer *transfer)
{
	/* A child's copies of mutex and condition are in use by threads that it does not have. */
	if (transfer->is_orphan)
		return;
	mfs__fork_guard_leave(&transfer->guard);
	(void)pthread_cond_destroy(&transfer->changed);
	(void)pthread_mutex_destroy(&transfer->mutex);
}

void mfs__transfer_stop(struct mfs__transfer *transfer, int code)
{
	const char *text = mfs_last_error();

	pthread_mutex_lock(&transfer->mutex);
	if (!transfer->code) {
		transfer->code = code;
		(void)snprintf(transfer->failure, sizeof transfer->failure, "%s", text);
	}
	/* Under the mutex, so that nobody begins to wait after it; what else there is, is under it. */
	atomic_store_explicit(&transfer->stopping, true, memory_order_relaxed);
	pthread_cond_broadcast(&transfer->changed);
	pthread_mutex_unlock(&transfer->mutex);
}

/*
 * Progress
 */

static uint64_t get(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Call the user's callback, without the mutex. Returns false to stop. */
static bool report(struct mfs__transfer *transfer, const char *path)
{
	mfs_progress progress = {.path = path};

	/* First what is done: it must not come to be more than what was found. */
	progress.files_done = get(&transfer->files_done);
	progress.bytes_done = get(&transfer->bytes_done);
	progress.directories_done = get(&transfer->directories_done);
	progress.files_found = get(&transfer->files_found);
	progress.bytes_found = get(&transfer->bytes_found);
	progress.skipped = get(&transfer->skipped);
	bool go_on = transfer->options.on_progress(transfer->options.user, &progress);

	transfer->next_report = mfs__now() + REPORT_INTERVAL;
	if (getpid() != transfer->process) {
		transfer->is_orphan = true;
		atomic_store_explicit(&transfer->stopping, true, memory_order_relaxed);
		return false;
	}
	if (!go_on)
		mfs__transfer_stop(transfer, mfs__fail_path(MFS_ECANCELED, transfer->call, path));
	return go_on;
}

static bool is_stopping(struct mfs__transfer *transfer)
{
	return atomic_load_explicit(&transfer->stopping, memory_order_relaxed);
}

static bool reports(const struct mfs__transfer *transfer, unsigned worker)
{
	return worker == 0 && transfer->options.on_progress;
}

bool mfs__transfer_go_on(struct mfs__transfer *transfer, unsigned worker, const char *path)
{
	if (is_stopping(transfer))
		return false;
	if (reports(transfer, worker) && mfs__now() >= transfer->next_report)
		(void)report(transfer, path);
	return !is_stopping(transfer);
}

void mfs__transfer_wait(struct mfs__transfer *transfer, unsigned worker, const char *path)
{
	if (!reports(transfer, worker) || is_stopping(transfer)) {
		pthread_cond_wait(&transfer->changed, &transfer->mutex);
		return;
	}
	const struct timespec until = {
		.tv_sec = (time_t)(transfer->next_report / MFS__NS_PER_S),
		.tv_nsec = (long)(transfer->next_report % MFS__NS_PER_S),
	};
	(void)pthread_cond_timedwait(&transfer->changed, &transfer->mutex, &until);
	if (mfs__now() >= transfer->next_report) {
		pthread_mutex_unlock(&transfer->mutex);
		(void)report(transfer, path);
		pthread_mutex_lock(&transfer->mutex);
	}
}

/*
 * The team
 */

struct member {
	struct mfs__transfer *transfer;
	unsigned number;
};

static void *member_main(void *argument)
{
	const struct member *member = argument;
	struct mfs__transfer *transfer = member->transfer;

	transfer->work(transfer, member->number);
	pthread_mutex_lock(&transfer->mutex);
	transfer->running--;
	pthread_cond_broadcast(&transfer->changed);
	pthread_mutex_unlock(&transfer->mutex);
	return NULL;
}

/* Start the other threads, or as many of them as there can be. Returns how many. */
static unsigned start_members(struct mfs__transfer *transfer, pthread_t *threads,
							  struct member *members)
{
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t old;
	unsigned started = 0;

	if (transfer->threads == 1 || pthread_attr_init(&attributes))
		return 0;
	(void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
	(void)sigfillset(&all);
	if (!pthread_sigmask(SIG_SETMASK, &all, &old)) {
		while (started + 1 < transfer->threads) {
			members[started] = (struct member){transfer, started + 1};
			pthread_mutex_lock(&transfer->mutex);
			transfer->running++;
			pthread_mutex_unlock(&transfer->mutex);
			if (pthread_create(&threads[started], &attributes, member_main, &members[started])) {
				pthread_mutex_lock(&transfer->mutex);
				transfer->running--;
				pthread_mutex_unlock(&transfer->mutex);
				break;
			}
			started++;
		}
		(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	(void)pthread_attr_destroy(&attributes);
	return started;
}

/* Wait for the others. Returns false in a child, which does not have them. */
static bool await_members(struct mfs__transfer *transfer)
{
	pthread_mutex_lock(&transfer->mutex);
	while (transfer->running && !transfer->is_orphan)
		mfs__transfer_wait(transfer, 0, transfer->host_path);
	pthread_mutex_unlock(&transfer->mutex);
	return !transfer->is_orphan;
}

int mfs__transfer_run(struct mfs__transfer *transfer,
					  void (*work)(struct mfs__transfer *transfer, unsigned worker))
{
	pthread_t threads[MFS__TRANSFER_THREADS_MAX - 1];
	struct member members[MFS__TRANSFER_THREADS_MAX - 1];

	transfer->work = work;
	unsigned started = start_members(transfer, threads, members);
	work(transfer, 0);
	if (await_members(transfer)) {
		for (unsigned i = 0; i < started; i++)
			(void)pthread_join(threads[i], NULL);
		if (!transfer->code && transfer->options.on_progress)
			(void)report(transfer, transfer->host_path);
	}
	if (transfer->is_orphan)
		return mfs__fail_path(MFS_ECANCELED, transfer->call, transfer->host_path);
	return transfer->code ? mfs__fail_text(transfer->code, transfer->failure) : 0;
}
