/* SPDX-License-Identifier: MIT */
/* What the commands of the shell share, and how they talk to the user. One thread. */
#ifndef DMEMFS_TOOL_SHELL_STATE_H
#define DMEMFS_TOOL_SHELL_STATE_H

#include <dmemfs/dmemfs.h>

#include <stdbool.h>

/** A workspace at a mount point; see shell_mount.h. */
struct shell_mount;

struct shell {
	mfs *fs;
	char *directory;           /* the current one: absolute, without "." and ".." */
	struct shell_mount *mount; /* or NULL */
	bool interactive;          /* a person types the commands */
	bool out_is_terminal;      /* standard output */
	bool err_is_terminal;      /* standard error */
	bool quit;                 /* no further command is wanted */
};

/**
 * Say on standard error why a command failed, behind its name. Names in the message reach a
 * terminal as shell_append_message() writes them. Returns false, for `return shell_complain(...)`.
 */
bool shell_complain(const struct shell *shell, const char *command, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** The same with mfs_last_error(). */
bool shell_complain_last(const struct shell *shell, const char *command);

/** Print a name or a path to standard output: on a terminal as shell_append_shown() writes it. */
void shell_print_name(const struct shell *shell, const char *name);

/** Print a time of the workspace, in nanoseconds, as local time to the second, or to the last. */
void shell_print_time(int64_t time, bool to_nanoseconds);

#endif
