/* SPDX-License-Identifier: MIT */
#include "fork.h"

#include "context.h"

#include <pthread.h>

static pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct mfs_async *contexts; /* guarded by list_mutex */
static bool installed;             /* guarded by list_mutex */

static void prepare(void)
{
	(void)pthread_mutex_lock(&list_mutex);
	for (struct mfs_async *context = contexts; context; context = context->link.next)
		(void)pthread_mutex_lock(&context->mutex);
}

static void release(void)
{
	for (struct mfs_async *context = contexts; context; context = context->link.next)
		(void)pthread_mutex_unlock(&context->mutex);
	(void)pthread_mutex_unlock(&list_mutex);
}

static void release_in_child(void)
{
	for (struct mfs_async *context = contexts; context; context = context->link.next)
		context->orphan = true;
	release();
}

bool mfs__async_enlist(struct mfs_async *context)
{
	(void)pthread_mutex_lock(&list_mutex);
	if (!installed)
		installed = pthread_atfork(prepare, release, release_in_child) == 0;
	bool enlisted = installed;
	if (enlisted) {
		context->link.previous = NULL;
		context->link.next = contexts;
		if (contexts)
			contexts->link.previous = context;
		contexts = context;
	}
	(void)pthread_mutex_unlock(&list_mutex);
	return enlisted;
}

void mfs__async_delist(struct mfs_async *context)
{
	(void)pthread_mutex_lock(&list_mutex);
	if (context->link.previous)
		context->link.previous->link.next = context->link.next;
	else
		contexts = context->link.next;
	if (context->link.next)
		context->link.next->link.previous = context->link.previous;
	(void)pthread_mutex_unlock(&list_mutex);
}
