/* SPDX-License-Identifier: MIT */
#include "fs/fork_guard.h"

#include "base/compiler.h"
#include "base/stripe.h"

/* Few enough to be held all at once under the race detector. */
#define LISTS 16

struct list {
	_Alignas(2 * MFS__CACHE_LINE) pthread_mutex_t mutex;
	struct mfs__fork_guard *first; /* under mutex */
};

/*
 * Order: lists by number, then the mutexes of the entries. These are locked together by forks
 * alone, which all hold the lists. Nothing is locked in addition to a list elsewhere.
 */
#define EMPTY_LIST                                                                                 \
	{                                                                                              \
		.mutex = PTHREAD_MUTEX_INITIALIZER                                                         \
	}
#define FOUR_LISTS EMPTY_LIST, EMPTY_LIST, EMPTY_LIST, EMPTY_LIST
static struct list lists[LISTS] = {FOUR_LISTS, FOUR_LISTS, FOUR_LISTS, FOUR_LISTS};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
	for (unsigned i = 0; i < LISTS; i++) {
		pthread_mutex_lock(&lists[i].mutex);
		for (struct mfs__fork_guard *guard = lists[i].first; guard; guard = guard->next)
			if (guard->mutex)
				pthread_mutex_lock(guard->mutex);
	}
}

static void unlock_list(struct list *list)
{
	for (struct mfs__fork_guard *guard = list->first; guard; guard = guard->next)
		if (guard->mutex)
			pthread_mutex_unlock(guard->mutex);
	pthread_mutex_unlock(&list->mutex);
}

static void parent(void)
{
	for (unsigned i = 0; i < LISTS; i++)
		unlock_list(&lists[i]);
}

static void child(void)
{
	for (unsigned i = 0; i < LISTS; i++) {
		for (struct mfs__fork_guard *guard = lists[i].first; guard; guard = guard->next)
			if (guard->child)
				guard->child(guard);
		unlock_list(&lists[i]);
		/* The threads that would leave are not there. */
		lists[i].first = NULL;
	}
}

/*
 * After the handlers of the layers below, which were installed with the first workspace: so these
 * run before them when a fork is prepared, and after them, with all in working order, in the child.
 */
static void install(void)
{
	/* Fails only for want of memory; a child then has to live with what is left open. */
	(void)pthread_atfork(prepare, parent, child);
}

void mfs__fork_guard_enter(struct mfs__fork_guard *guard)
{
	(void)pthread_once(&once, install);
	guard->list = mfs__stripe() % LISTS;
	struct list *list = &lists[guard->list];
	pthread_mutex_lock(&list->mutex);
	guard->next = list->first;
	guard->link = &list->first;
	if (guard->next)
		guard->next->link = &guard->next;
	list->first = guard;
	pthread_mutex_unlock(&list->mutex);
}

void mfs__fork_guard_leave(struct mfs__fork_guard *guard)
{
	struct list *list = &lists[guard->list];

	pthread_mutex_lock(&list->mutex);
	*guard->link = guard->next;
	if (guard->next)
		guard->next->link = guard->link;
	pthread_mutex_unlock(&list->mutex);
}
