/* SPDX-License-Identifier: MIT */
#include "crew.h"

#include "context.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool mfs__async_crew_init(struct mfs__async_crew *crew, struct mfs_async *context, size_t limit,
						  size_t room)
{
	crew->context = context;
	crew->limit = limit;
	crew->room = room;
	crew->alarm = MFS__ASYNC_NEVER;
	crew->threads = calloc(room, sizeof *crew->threads);
	if (!crew->threads)
		return false;
	mfs__async_cond_init(&crew->wake);
	return true;
}

void mfs__async_crew_destroy(struct mfs__async_crew *crew)
{
	mfs__async_deadlines_destroy(&crew->deadlines);
	free(crew->threads);
}

void mfs__async_crew_wake(struct mfs__async_crew *crew)
{
	/* One at a time: who wakes sends the next one if there is more than it takes itself. */
	if (!crew->tokens && crew->idle) {
		crew->tokens = 1;
		crew->send = true;
	}
}

void mfs__async_crew_add(struct mfs__async_crew *crew, struct mfs__async_operation *operation)
{
	mfs__async_append(&crew->queue, operation);
	if (crew->deadlines.heap)
		mfs__async_deadlines_add(&crew->deadlines, operation);
}

void mfs__async_crew_drop(struct mfs__async_crew *crew, struct mfs__async_operation *operation)
{
	mfs__async_unlink(&crew->queue, operation);
	if (crew->deadlines.heap)
		mfs__async_deadlines_drop(&crew->deadlines, operation);
}

/* An operation in the queue whose time is over; or NULL, and in *next when the first one's is. */
static struct mfs__async_operation *find_expired(const struct mfs__async_crew *crew, int64_t *next)
{
	struct mfs__async_operation *first = mfs__async_deadlines_first(&crew->deadlines);

	*next = first ? first->call.deadline : MFS__ASYNC_NEVER;
	return first && first->call.deadline <= mfs__async_now() ? first : NULL;
}

/* Sleep until there is a token, or `until`. */
static void sleep_idle(struct mfs__async_crew *crew, int64_t until)
{
	int fault = 0;

	/* To wait gives the mutex back. */
	mfs__async_send(crew->context);
	crew->idle++;
	if (until != MFS__ASYNC_NEVER)
		crew->alarm = until;
	while (!crew->tokens && !crew->ends && !fault)
		fault = mfs__async_cond_wait(&crew->wake, &crew->context->mutex, until);
	if (until != MFS__ASYNC_NEVER)
		crew->alarm = MFS__ASYNC_NEVER;
	crew->idle--;
	crew->tokens = 0;
}

/* Wait for an operation and take it. Returns NULL when it is time to end. */
static struct mfs__async_operation *take(struct mfs__async_crew *crew)
{
	for (;;) {
		struct mfs__async_operation *operation = crew->queue.first;
		int64_t until = MFS__ASYNC_NEVER;
		/* This is the spare one. */
		if (operation && crew->running >= crew->limit)
			operation = find_expired(crew, &until);
		if (operation) {
			mfs__async_crew_drop(crew, operation);
			operation->state = MFS__ASYNC_RUNNING;
			crew->running++;
			if (crew->queue.first)
				mfs__async_crew_wake(crew);
			return operation;
		}
		if (crew->ends)
			return NULL;
		sleep_idle(crew, until);
	}
}

/* May its handles wait? */
static bool may_wait(const struct mfs__async_call *call)
{
	int waits = mfs_may_wait(call->object);

	/* The call itself shall say that it is closed. */
	if (waits)
		return waits == 1;
	return call->object_2 && mfs_may_wait(call->object_2) == 1;
}

/* Keep what the thread noted of a failure, and leave nothing of it for the next operation. */
static void take_message(struct mfs_async *context, struct mfs__async_operation *operation)
{
	const char *noted = mfs_last_error();
	bool wanted = operation->result < 0 || (operation->call.kind->may_fall_short &&
											operation->result < operation->call.length);

	operation->message = NULL;
	if (wanted && noted[0]) {
		char *message = context->messages[operation - context->operations];
		(void)snprintf(message, MFS_ASYNC_MESSAGE_SIZE, "%s", noted);
		operation->message = message;
	} else if (operation->result < 0) {
		operation->message =
			mfs_strerror(operation->result < INT32_MIN ? INT32_MIN : (int)operation->result);
	}
	if (noted[0])
		(void)mfs_set_last_error(MFS_EINVAL, "%s", "");
}

/* Carry an operation out. Returns false if it is to go to the waiters instead. */
static bool run(struct mfs_async *context, struct mfs__async_operation *operation)
{
	struct mfs__async_call *call = &operation->call;

	if (call->place == MFS__ASYNC_ASK && may_wait(call))
		return false;
	errno = 0;
	operation->result = call->kind->run(call, &operation->output);
	operation->host_errno = call->kind->sets_errno && operation->result == MFS_EHOST ? errno : 0;
	if (operation->result < 0)
		memset(&operation->output, 0, sizeof operation->output);
	take_message(context, operation);
	return !call->elsewhere;
}

static const int own_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};

static void *crew_main(void *argument);

static bool start_thread(struct mfs__async_thread *thread, struct mfs__async_crew *crew)
{
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t old;

	if (pthread_attr_init(&attributes))
		return false;
	bool started = pthread_attr_setstacksize(&attributes, crew->context->stack_size) == 0;
	/* The program's signals are not for these threads, but what a thread brings upon itself. */
	(void)sigfillset(&all);
	for (size_t i = 0; i < sizeof own_signals / sizeof own_signals[0]; i++)
		(void)sigdelset(&all, own_signals[i]);
	started = started && pthread_sigmask(SIG_SETMASK, &all, &old) == 0;
	if (started) {
		started = pthread_create(&thread->thread, &attributes, crew_main, crew) == 0;
		(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	(void)pthread_attr_destroy(&attributes);
	return started;
}

/* Start one more thread, if there is room. With the mutex, which is given back meanwhile. */
static bool add_thread(struct mfs__async_crew *crew)
{
	struct mfs__async_thread *thread = crew->threads;

	if (crew->started == crew->room)
		return false;
	while (thread->started)
		thread++;
	thread->started = true;
	crew->started++;
	mfs__async_unlock(crew->context);
	bool started = start_thread(thread, crew);
	mfs__async_lock(crew->context);
	if (!started) {
		thread->started = false;
		crew->started--;
	}
	return started;
}

static void *crew_main(void *argument)
{
	struct mfs__async_crew *crew = argument;
	struct mfs_async *context = crew->context;
	struct mfs__async_operation *operation;

	(void)pthread_setname_np(pthread_self(), "mfs-async");
	mfs__async_lock(context);
	while ((operation = take(crew))) {
		/* The last one that was to spare has just become busy. */
		if (crew->started == crew->running)
			(void)add_thread(crew);
		/* The thread's from now on, so that a child of a fork does not free them once more. */
		void *copies = operation->call.copies;
		operation->call.copies = NULL;
		mfs__async_unlock(context);
		bool ran = run(context, operation);
		if (ran)
			free(copies);
		mfs__async_lock(context);
		crew->running--;
		if (ran) {
			mfs__async_complete(context, operation);
		} else {
			operation->call.copies = copies;
			operation->call.place = MFS__ASYNC_WAITER;
			operation->call.elsewhere = false;
			if (context->shut == MFS_ASYNC_CANCEL)
				free(mfs__async_cancel(context, operation));
			else
				mfs__async_dispatch(context, operation);
		}
	}
	mfs__async_unlock(context);
	return NULL;
}

bool mfs__async_crew_start(struct mfs__async_crew *crew, size_t count)
{
	bool all = true;

	mfs__async_lock(crew->context);
	while (all && count-- > 0)
		all = add_thread(crew);
	mfs__async_unlock(crew->context);
	return all;
}

void mfs__async_crew_end(struct mfs__async_crew *crew)
{
	mfs__async_lock(crew->context);
	crew->ends = true;
	(void)pthread_cond_broadcast(&crew->wake);
	mfs__async_unlock(crew->context);
	/* No operation is left, so that nobody starts a thread any more. */
	for (size_t i = 0; i < crew->room; i++)
		if (crew->threads[i].started)
			(void)pthread_join(crew->threads[i].thread, NULL);
}
