/* SPDX-License-Identifier: MIT */
/* Paths of the workspace as arguments of commands: relative to the current directory. */
#ifndef DMEMFS_TOOL_SHELL_PATH_H
#define DMEMFS_TOOL_SHELL_PATH_H

#include "bytes.h"
#include "shell_state.h"

#include <stdbool.h>
#include <stddef.h>

/**
 * The absolute path that an argument names, without "." and "..", to be freed; "" is the current
 * directory. Returns NULL, and in *complaint why, if it climbs above the root, or without memory.
 */
char *shell_resolve(const struct shell *shell, const char *argument, const char **complaint);

/** The same, but NULL after a complaint to the user, also about an argument that is "". */
char *shell_path(const struct shell *shell, const char *command, const char *argument);

/** The name that such an absolute path ends in, in place; "" for the root. */
const char *shell_base_name(const char *path);

/** Does an absolute path name `directory`, or something below it? */
bool shell_is_within(const char *path, const char *directory);

/**
 * The path that a command should make of something called `name` and the argument that says where
 * it goes: below that if it is a directory, else that itself, which must not end in '/'. With a
 * `name` of "" it is what the argument says. To be freed; NULL after a complaint.
 */
char *shell_destination(const struct shell *shell, const char *command, const char *argument,
						const char *name);

/**
 * The last component of an argument, as the host or the workspace would see it: to be freed. "" for
 * those that stand for the directory itself: "/", ".", "..", "a/.". NULL without memory.
 */
char *shell_argument_name(const char *argument);

/** Append a path to a pattern of mfs_glob(), standing for itself. Returns false without memory. */
bool shell_append_literal(struct bytes *pattern, const char *path);

/**
 * Paths that match a pattern that is relative to the current directory. They are relative, too,
 * unless the pattern is not or they lie elsewhere; one that could be taken for an option begins
 * with "./". Returns how many, and in *paths an array to be given to shell_matches_free(); or -1
 * after a complaint.
 */
long shell_matches(const struct shell *shell, const char *command, const char *pattern,
				   char ***paths);

void shell_matches_free(char **paths, long count);

#endif
