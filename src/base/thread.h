/* SPDX-License-Identifier: MIT */
/* Starting the library's own threads: the program's signals are not for them. */
#ifndef MFS_BASE_THREAD_H
#define MFS_BASE_THREAD_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

/** Start a thread with all signals blocked, and a name of at most 15 bytes. Returns false if it
 * cannot be started. */
static inline bool mfs__thread_start(pthread_t *thread, const char *name, void *(*main)(void *))
{
	sigset_t all;
	sigset_t old;

	(void)sigfillset(&all);
	if (pthread_sigmask(SIG_SETMASK, &all, &old))
		return false;
	bool started = pthread_create(thread, NULL, main, NULL) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (started)
		(void)pthread_setname_np(*thread, name);
	return started;
}

#endif
