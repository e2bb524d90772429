/* SPDX-License-Identifier: MIT */
/*
 * Signals that end the shell, or only the line. They are noted, so that the shell can give a mount
 * point back and remove half a file of the host before it goes.
 */
#ifndef DMEMFS_TOOL_SHELL_INTERRUPT_H
#define DMEMFS_TOOL_SHELL_INTERRUPT_H

#include <stdbool.h>

/**
 * Catch SIGHUP, SIGTERM, SIGPIPE and SIGINT from now on, except those that are ignored. The first
 * that ends the shell is noted, the second one ends it at once. SIGINT ends it unless a person
 * types: then it only interrupts. Returns false, with errno, if there is no pipe to be had.
 */
bool shell_catch_signals(bool interactive);

/** Wait until a descriptor can be read. Returns false as soon as the shell is interrupted. */
bool shell_wait_for_input(int fd);

/** Is whatever is under way to be given up? */
bool shell_interrupted(void);

/** The opposite, for contents_load() and contents_save(). */
bool shell_goes_on(void);

/** The signal that ends the shell, or 0. */
int shell_ending_signal(void);

/** A new line begins: a SIGINT that came before has done its work. */
void shell_clear_interrupt(void);

/** End the process by the signal that ends the shell. */
_Noreturn void shell_die(void);

#endif
