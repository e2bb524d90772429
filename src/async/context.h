/* SPDX-License-Identifier: MIT */
/*
 * A context: operations in preallocated slots, on their way from submission to collection.
 *
 *   free -> in line -> queued for workers -> running -> done -> free
 *                            |                  ^
 *                            v                  |
 *                        queued for waiters ----+
 *
 * One mutex guards all of it. It is held for some list operations at a time, and for the system
 * call that makes the descriptor readable or not, so that this is never out of step with the
 * queue. Nothing waits with it, no call of the library is made, and no memory is taken. Signals to
 * threads are collected while it is held and sent when it has been given back.
 */
#ifndef DMEMFS_ASYNC_CONTEXT_H
#define DMEMFS_ASYNC_CONTEXT_H

#include "call.h"
#include "crew.h"
#include "fork.h"
#include "notifier.h"
#include "queue.h"
#include "turn.h"

#include <pthread.h>

enum mfs__async_state {
	MFS__ASYNC_FREE,
	MFS__ASYNC_IN_LINE, /* for its turn on an object */
	MFS__ASYNC_QUEUED,  /* for the crew that call.place says */
	MFS__ASYNC_RUNNING,
	MFS__ASYNC_DONE,
};

/* An operation has two objects at most. */
#define MFS__ASYNC_OBJECTS 2

/** A slot. Guarded by the context's mutex; while it is running, its thread's own but for links. */
struct mfs__async_operation {
	struct mfs__async_operation *next; /* of a queue */
	struct mfs__async_operation *previous;
	struct mfs__async_turn turns[MFS__ASYNC_OBJECTS];
	unsigned lines; /* in which it is not first yet */
	enum mfs__async_state state;
	size_t place;   /* in the deadlines of its crew's queue, or 0 */
	int64_t number; /* of this use of the slot */
	struct mfs__async_call call;
	/* The completion: */
	int64_t result;
	int host_errno;
	const char *message; /* NULL: "" */
	mfs_async_output output;
};

struct mfs_async {
	pthread_mutex_t mutex;
	/* Constant: */
	size_t capacity;
	/* An operation's number is its slot's, plus as many of these as the slot has had uses. As small
	 * as can be: the slot that was used last is the next one. */
	int64_t number_step;
	struct mfs__async_operation *operations;
	char (*messages)[MFS_ASYNC_MESSAGE_SIZE]; /* one for each operation, guarded as that is */
	size_t stack_size;
	/* Guarded by the mutex: */
	struct mfs__async_queue vacant; /* free slots; the one used last comes first */
	struct mfs__async_queue done;
	size_t pending; /* slots that are not free */
	struct mfs__async_lines lines;
	struct mfs__async_crew workers;
	struct mfs__async_crew waiters;
	int shut; /* 0, or MFS_ASYNC_... */
	struct mfs__async_notifier notifier;
	pthread_cond_t completed; /* `done` is not empty, or nothing can come any more */
	size_t collectors;        /* that wait for `completed` */
	bool tell_collectors;     /* when the mutex is given back */
	/* Set in the child of a fork, which has one thread then. */
	bool orphan;
	/* Guarded as fork.h says. */
	struct mfs__async_link link;
};

/** Returns 0, or why there can be no call on the context, noted. */
int mfs__async_check(const struct mfs_async *context, const char *call);

void mfs__async_lock(struct mfs_async *context);

/** Give the mutex back, and wake who is to be woken. */
void mfs__async_unlock(struct mfs_async *context);

/** Wake who is to be woken: for those about to wait with the mutex, which gives it back. */
void mfs__async_send(struct mfs_async *context);

/** A condition on the clock of timeouts. */
void mfs__async_cond_init(pthread_cond_t *condition);

/** Wait for a condition until `deadline`. Returns 0, or not 0 when it has come. */
int mfs__async_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t deadline);

/** Queue an operation whose turn it is for its crew. */
void mfs__async_dispatch(struct mfs_async *context, struct mfs__async_operation *operation);

/** An operation has its result: put it among the completions, and let those behind it move up. */
void mfs__async_complete(struct mfs_async *context, struct mfs__async_operation *operation);

/**
 * Complete an operation that has not begun with MFS_ECANCELED. Returns its copies, to be freed.
 */
void *mfs__async_cancel(struct mfs_async *context, struct mfs__async_operation *operation);

/** Now in nanoseconds, on the clock of timeouts. */
int64_t mfs__async_now(void);

/** When a timeout of so many milliseconds, >= 0, that begins now is over. */
int64_t mfs__async_deadline(int64_t timeout);

#endif
