/* SPDX-License-Identifier: MIT */
#include "queue.h"

#include "context.h"

void mfs__async_append(struct mfs__async_queue *queue, struct mfs__async_operation *operation)
{
	operation->next = NULL;
	operation->previous = queue->last;
	if (queue->last)
		queue->last->next = operation;
	else
		queue->first = operation;
	queue->last = operation;
}

void mfs__async_prepend(struct mfs__async_queue *queue, struct mfs__async_operation *operation)
{
	operation->next = queue->first;
	operation->previous = NULL;
	if (queue->first)
		queue->first->previous = operation;
	else
		queue->last = operation;
	queue->first = operation;
}

void mfs__async_unlink(struct mfs__async_queue *queue, struct mfs__async_operation *operation)
{
	if (operation->previous)
		operation->previous->next = operation->next;
	else
		queue->first = operation->next;
	if (operation->next)
		operation->next->previous = operation->previous;
	else
		queue->last = operation->previous;
}
