/* SPDX-License-Identifier: MIT */
/*
 * The threads of a context: workers, of which there is a fixed number, and waiters, which are
 * started as they are needed.
 *
 * Of the waiters there is always one to spare, as far as threads can be had: who takes an operation
 * and leaves nobody idle behind starts another one first. So the threads that submit, and the
 * workers, never start any. When as many as may wait do wait, the spare one does not take the next
 * operation: it looks after the deadlines of those that queue.
 */
#ifndef DMEMFS_ASYNC_CREW_H
#define DMEMFS_ASYNC_CREW_H

#include "deadlines.h"
#include "queue.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs_async;

struct mfs__async_thread {
	pthread_t thread;
	bool started; /* or about to be */
};

/** Guarded by the context's mutex, but for what is constant. */
struct mfs__async_crew {
	struct mfs_async *context; /* constant */
	struct mfs__async_queue queue;
	struct mfs__async_deadlines deadlines; /* of the queue; not without a spare thread */
	size_t limit;                          /* constant: operations that may run */
	size_t running;                        /* operations that run */
	/* Threads: at most `room`, which is constant; `room` > `limit`: there is a spare one. */
	struct mfs__async_thread *threads;
	size_t room;
	size_t started;
	size_t idle;         /* threads that sleep */
	size_t tokens;       /* of these, so many are to wake: 0 or 1 */
	bool send;           /* a signal, when the mutex is given back */
	bool ends;           /* threads end when the queue is empty */
	int64_t alarm;       /* when an idle thread wakes by itself */
	pthread_cond_t wake; /* a token is there, or the end */
};

/** Returns false if there is no memory. */
bool mfs__async_crew_init(struct mfs__async_crew *crew, struct mfs_async *context, size_t limit,
						  size_t room);

/** Start so many threads. Returns false if there are less. */
bool mfs__async_crew_start(struct mfs__async_crew *crew, size_t count);

/** Let the threads end, and wait until they have. The queue is empty, and the mutex not held. */
void mfs__async_crew_end(struct mfs__async_crew *crew);

/** Free what init took. In a child of fork too, whose copies of the threads never ended. */
void mfs__async_crew_destroy(struct mfs__async_crew *crew);

/** Queue an operation. With the mutex, as what follows. */
void mfs__async_crew_add(struct mfs__async_crew *crew, struct mfs__async_operation *operation);

/** Take an operation out of the queue. */
void mfs__async_crew_drop(struct mfs__async_crew *crew, struct mfs__async_operation *operation);

/** See to it that a thread looks at the queue. */
void mfs__async_crew_wake(struct mfs__async_crew *crew);

#endif
