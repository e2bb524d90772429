/* SPDX-License-Identifier: MIT */
/*
 * What a child of fork() has to clean up after calls that were under way in other threads.
 *
 * Some calls hold a file of the workspace open, or have a walk, between two visits to the gate
 * (base/fork.h). A child inherits these but not the thread that would close them: files would stay
 * locked, and the workspace could not be freed. So such calls enter themselves here, and the child
 * closes what they had.
 */
#ifndef MFS_FS_FORK_GUARD_H
#define MFS_FS_FORK_GUARD_H

#include <pthread.h>

/** The entry of a call, in its own memory. */
struct mfs__fork_guard {
	/* Constant while entered. */
	pthread_mutex_t *mutex; /* held over the fork, so that what it guards is whole; or NULL */
	void (*child)(struct mfs__fork_guard *guard); /* called in the child; or NULL */
	/* Under the list's mutex. */
	struct mfs__fork_guard *next;
	struct mfs__fork_guard **link;
	/* Constant while entered. */
	unsigned list;
};

/** Enter. Outside the gate, with no lock held. In a child, all entries are gone. */
void mfs__fork_guard_enter(struct mfs__fork_guard *guard);

/** Leave; in the process that entered. */
void mfs__fork_guard_leave(struct mfs__fork_guard *guard);

#endif
