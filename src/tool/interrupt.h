/* SPDX-License-Identifier: MIT */
/*
 * What the main thread waits for while workers work: a signal that ends the run, the last worker's
 * end, or the time to draw the progress again. One pipe wakes it for the first two.
 */
#ifndef DMEMFS_TOOL_INTERRUPT_H
#define DMEMFS_TOOL_INTERRUPT_H

#include <stdbool.h>

/**
 * Catch SIGINT, SIGTERM and SIGHUP from now on, except those that are ignored.
 *
 * Returns false, with errno, if there is no pipe to be had.
 */
bool interrupt_catch(void);

/** The signal that was caught, or 0. Any thread. */
int interrupt_signal(void);

/** The same, and forget it, so that the next one shows. */
int interrupt_take(void);

/** Wake the main thread. Any thread. */
void interrupt_wake(void);

/** Sleep until woken, or for so many milliseconds; negative: for ever. The main thread only. */
void interrupt_wait(int milliseconds);

/** The same, or until a descriptor is readable. */
void interrupt_wait_for(int fd, int milliseconds);

/** End the process by the signal that was caught, as if it had not been. */
_Noreturn void interrupt_die(void);

#endif
