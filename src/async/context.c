/* SPDX-License-Identifier: MIT */
/* Making and freeing contexts, and what all calls on them need. */
#include "context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S  1000000000
#define NS_PER_MS 1000000

#define DEFAULT_WORKERS     8
#define DEFAULT_MAX_WAITING 64
#define DEFAULT_CAPACITY    1024
#define DEFAULT_STACK_SIZE  ((size_t)256 << 10)

#define WORKERS_MAX     256
#define MAX_WAITING_MAX 4096
#define CAPACITY_MAX    (1u << 20)
#define STACK_SIZE_MIN  ((size_t)64 << 10)
#define STACK_SIZE_MAX  ((size_t)1 << 30)

int64_t mfs__async_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t mfs__async_deadline(int64_t timeout)
{
	int64_t now = mfs__async_now();

	return timeout < (MFS__ASYNC_NEVER - now) / NS_PER_MS ? now + timeout * NS_PER_MS
														  : MFS__ASYNC_NEVER;
}

void mfs__async_cond_init(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;

	/* None of this can fail with these arguments. */
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(condition, &attributes);
	(void)pthread_condattr_destroy(&attributes);
}

int mfs__async_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t deadline)
{
	const struct timespec until = {deadline / NS_PER_S, deadline % NS_PER_S};

	if (deadline == MFS__ASYNC_NEVER)
		return pthread_cond_wait(condition, mutex);
	return pthread_cond_timedwait(condition, mutex, &until);
}

int mfs__async_check(const struct mfs_async *context, const char *call)
{
	if (!context)
		return mfs_set_last_error(MFS_EINVAL, "%s: the context is NULL", call);
	if (context->orphan)
		return mfs_set_last_error(MFS_ENOTSUP, "%s: the context is the parent process's", call);
	return 0;
}

void mfs__async_lock(struct mfs_async *context)
{
	(void)pthread_mutex_lock(&context->mutex);
}

void mfs__async_unlock(struct mfs_async *context)
{
	bool worker = context->workers.send;
	bool waiter = context->waiters.send;
	bool collector = context->tell_collectors;

	context->workers.send = false;
	context->waiters.send = false;
	context->tell_collectors = false;
	(void)pthread_mutex_unlock(&context->mutex);
	/* Who wakes finds the mutex free. */
	if (worker)
		(void)pthread_cond_signal(&context->workers.wake);
	if (waiter)
		(void)pthread_cond_signal(&context->waiters.wake);
	if (collector)
		(void)pthread_cond_signal(&context->completed);
}

void mfs__async_send(struct mfs_async *context)
{
	if (context->workers.send)
		(void)pthread_cond_signal(&context->workers.wake);
	if (context->waiters.send)
		(void)pthread_cond_signal(&context->waiters.wake);
	if (context->tell_collectors)
		(void)pthread_cond_signal(&context->completed);
	context->workers.send = false;
	context->waiters.send = false;
	context->tell_collectors = false;
}

static unsigned cores(void)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (online < 1)
		return 1;
	return online < DEFAULT_WORKERS ? (unsigned)online : DEFAULT_WORKERS;
}

/* Read the options, with the defaults in the place of zeros. Returns 0 or MFS_EINVAL, noted. */
static int read_options(mfs_async_options *out, const mfs_async_options *given)
{
	*out = (mfs_async_options){0};
	if (given &&
		(!mfs__async_copy_options(out, given, sizeof *out) || out->struct_size != sizeof *out))
		return mfs_set_last_error(MFS_EINVAL, "struct_size of mfs_async_options");
	if (out->workers > WORKERS_MAX)
		return mfs_set_last_error(MFS_EINVAL, "workers of mfs_async_options");
	if (out->max_waiting > MAX_WAITING_MAX)
		return mfs_set_last_error(MFS_EINVAL, "max_waiting of mfs_async_options");
	if (out->capacity > CAPACITY_MAX)
		return mfs_set_last_error(MFS_EINVAL, "capacity of mfs_async_options");
	if (out->reserved)
		return mfs_set_last_error(MFS_EINVAL, "reserved of mfs_async_options");
	if (out->stack_size && (out->stack_size < STACK_SIZE_MIN || out->stack_size > STACK_SIZE_MAX))
		return mfs_set_last_error(MFS_EINVAL, "stack_size of mfs_async_options");
	if (!out->workers)
		out->workers = cores();
	if (!out->max_waiting)
		out->max_waiting = DEFAULT_MAX_WAITING;
	if (!out->capacity)
		out->capacity = DEFAULT_CAPACITY;
	if (!out->stack_size)
		out->stack_size = DEFAULT_STACK_SIZE;
	return 0;
}

/* Free the context's memory; its threads have ended, or are the parent's. */
static void destroy(mfs_async *context)
{
	mfs__async_notifier_close(&context->notifier);
	mfs__async_lines_destroy(&context->lines);
	mfs__async_crew_destroy(&context->workers);
	mfs__async_crew_destroy(&context->waiters);
	free(context->messages);
	free(context->operations);
	free(context);
}

static bool init(mfs_async *context, const mfs_async_options *options)
{
	context->notifier.readable = -1;
	context->capacity = options->capacity;
	context->number_step = 1;
	while (context->number_step < (int64_t)options->capacity)
		context->number_step *= 2;
	context->stack_size = options->stack_size;
	context->operations = calloc(context->capacity, sizeof *context->operations);
	/* Not touched until an operation fails. */
	context->messages = malloc(context->capacity * sizeof *context->messages);
	/* One waiter more than may wait, see crew.h. */
	size_t room = (size_t)options->max_waiting + 1;
	if (!context->operations || !context->messages ||
		!mfs__async_lines_init(&context->lines, context->capacity) ||
		!mfs__async_crew_init(&context->workers, context, options->workers, options->workers) ||
		!mfs__async_crew_init(&context->waiters, context, options->max_waiting, room) ||
		!mfs__async_deadlines_init(&context->waiters.deadlines, context->capacity))
		return false;
	for (size_t i = 0; i < context->capacity; i++) {
		context->operations[i].number = (int64_t)i;
		mfs__async_append(&context->vacant, &context->operations[i]);
	}
	(void)pthread_mutex_init(&context->mutex, NULL);
	mfs__async_cond_init(&context->completed);
	return true;
}

/* End the threads, so that only memory is left. */
static void end(mfs_async *context)
{
	mfs__async_crew_end(&context->workers);
	mfs__async_crew_end(&context->waiters);
	mfs__async_delist(context);
	(void)pthread_cond_destroy(&context->workers.wake);
	(void)pthread_cond_destroy(&context->waiters.wake);
	(void)pthread_cond_destroy(&context->completed);
	(void)pthread_mutex_destroy(&context->mutex);
}

int mfs_async_new(const mfs_async_options *options, mfs_async **out)
{
	mfs_async_options wanted;

	if (!out)
		return mfs_set_last_error(MFS_EINVAL, "mfs_async_new: NULL");
	*out = NULL;
	int code = read_options(&wanted, options);
	if (code)
		return code;
	mfs_async *context = calloc(1, sizeof *context);
	if (!context)
		return mfs_set_last_error(MFS_ENOMEM, "mfs_async_new: %s", mfs_strerror(MFS_ENOMEM));
	if (!init(context, &wanted) || !mfs__async_enlist(context)) {
		destroy(context);
		return mfs_set_last_error(MFS_ENOMEM, "mfs_async_new: %s", mfs_strerror(MFS_ENOMEM));
	}
	if (!mfs__async_crew_start(&context->workers, wanted.workers) ||
		!mfs__async_crew_start(&context->waiters, 1)) {
		end(context);
		destroy(context);
		return mfs_set_last_error(MFS_ENOMEM, "mfs_async_new: a thread could not be started");
	}
	*out = context;
	return 0;
}

int mfs_async_free(mfs_async *context)
{
	if (!context)
		return 0;
	if (context->orphan) {
		/* The mutex was held by the fork, and threads that are not here wait for conditions. */
		mfs__async_delist(context);
		for (size_t i = 0; i < context->capacity; i++)
			if (context->operations[i].state != MFS__ASYNC_FREE)
				free(context->operations[i].call.copies);
		destroy(context);
		return 0;
	}
	mfs__async_lock(context);
	size_t pending = context->pending;
	mfs__async_unlock(context);
	if (pending)
		return mfs_set_last_error(MFS_EBUSY, "mfs_async_free: %zu operations are not collected",
								  pending);
	end(context);
	destroy(context);
	return 0;
}

int mfs_async_fd(mfs_async *context)
{
	int code = mfs__async_check(context, "mfs_async_fd");
	int error = 0;

	if (code)
		return code;
	mfs__async_lock(context);
	if (context->notifier.readable < 0) {
		if (!mfs__async_notifier_open(&context->notifier))
			error = errno;
		else if (context->done.first)
			mfs__async_notifier_raise(&context->notifier);
	}
	int fd = context->notifier.readable;
	mfs__async_unlock(context);
	if (!error)
		return fd;
	char text[80];
	(void)mfs_set_last_error(MFS_EHOST, "mfs_async_fd: %s: %s", mfs_strerror(MFS_EHOST),
							 strerror_r(error, text, sizeof text));
	errno = error;
	return MFS_EHOST;
}

int64_t mfs_async_pending(mfs_async *context)
{
	int code = mfs__async_check(context, "mfs_async_pending");

	if (code)
		return code;
	mfs__async_lock(context);
	size_t pending = context->pending;
	mfs__async_unlock(context);
	return (int64_t)pending;
}
