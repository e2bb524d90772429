/* SPDX-License-Identifier: MIT */
/*
 * Names are bytes, and those of an archive may have been chosen by an enemy: what a terminal would
 * obey must not reach it. Harmless is well-formed UTF-8 without control characters and without
 * those that change the direction of text.
 *
 * Each function appends a NUL, too, which `length` does not count, and returns false without
 * memory.
 */
#ifndef DMEMFS_TOOL_SHELL_ESCAPE_H
#define DMEMFS_TOOL_SHELL_ESCAPE_H

#include "bytes.h"

#include <stdbool.h>

/** A name as a person sees it: as it is if it is harmless, or else as $'...', which may be typed.
 */
bool shell_append_shown(struct bytes *to, const char *name);

/** A name as a word of the shell, which shell_split() reads as the same bytes. */
bool shell_append_quoted(struct bytes *to, const char *name);

/** Text of many lines or none with what is not harmless in it replaced by escapes. */
bool shell_append_message(struct bytes *to, const char *text);

/** The bytes of the character that `text`, which is not "", begins with: 1 if it is no UTF-8. */
size_t shell_character_length(const char *text);

#endif
