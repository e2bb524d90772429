/* SPDX-License-Identifier: MIT */
/*
 * Where the lines of the shell come from: the text of -c, standard input, or a person at a
 * terminal, who can edit them if the tool was built with libedit.
 */
#ifndef DMEMFS_TOOL_SHELL_LINE_H
#define DMEMFS_TOOL_SHELL_LINE_H

#include "bytes.h"
#include "shell_state.h"

#include <stdbool.h>
#include <stddef.h>

enum shell_line_result {
	SHELL_LINE_READ,
	SHELL_LINE_INTERRUPTED, /* it is dropped */
	SHELL_LINE_END,
	SHELL_LINE_FAILED, /* errno says why */
};

/** An editor of lines. Opaque. */
struct shell_editor;

struct shell_lines {
	struct shell *shell;
	const char *rest;            /* of the text of -c, or NULL */
	struct shell_editor *editor; /* or NULL */
	struct bytes input;          /* what was read of standard input */
	size_t taken;                /* of these bytes */
};

/** Begin: with the text of -c, or NULL. Returns false without memory. */
bool shell_lines_begin(struct shell_lines *lines, struct shell *shell, const char *text);

/** The next line, without its newline; it may have NULs in it. Valid until the next call. */
enum shell_line_result shell_lines_next(struct shell_lines *lines, const char **line,
										size_t *length);

void shell_lines_end(struct shell_lines *lines);

/** What stands before a line that a person types, to be freed; NULL without memory. */
char *shell_prompt(const struct shell *shell);

/*
 * The editor, on libedit
 */

struct shell_editor *shell_editor_new(struct shell *shell);
enum shell_line_result shell_editor_next(struct shell_editor *editor, const char **line,
										 size_t *length);
void shell_editor_free(struct shell_editor *editor);

#endif
