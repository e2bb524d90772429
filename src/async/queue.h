/* SPDX-License-Identifier: MIT */
/* Queues of operations, linked through them. An operation is in one queue at most. */
#ifndef DMEMFS_ASYNC_QUEUE_H
#define DMEMFS_ASYNC_QUEUE_H

struct mfs__async_operation;

struct mfs__async_queue {
	struct mfs__async_operation *first;
	struct mfs__async_operation *last;
};

/** Put an operation, which is in no queue, at the end. */
void mfs__async_append(struct mfs__async_queue *queue, struct mfs__async_operation *operation);

/** Put it at the front. */
void mfs__async_prepend(struct mfs__async_queue *queue, struct mfs__async_operation *operation);

/** Take an operation out of the queue that it is in. */
void mfs__async_unlink(struct mfs__async_queue *queue, struct mfs__async_operation *operation);

#endif
