/* SPDX-License-Identifier: MIT */
#include "shell_line.h"

#include "bytes.h"
#include "shell_escape.h"
#include "shell_interrupt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes that are read at once. */
#define READ_SIZE 16384

#ifndef TOOL_HAS_LIBEDIT

/* Lines are read as the terminal gives them. */
struct shell_editor *shell_editor_new(struct shell *shell)
{
	(void)shell;
	return NULL;
}

enum shell_line_result shell_editor_next(struct shell_editor *editor, const char **line,
										 size_t *length)
{
	(void)editor;
	(void)line;
	(void)length;
	return SHELL_LINE_END;
}

void shell_editor_free(struct shell_editor *editor)
{
	(void)editor;
}

#endif

char *shell_prompt(const struct shell *shell)
{
	struct bytes prompt = {0};

	if (bytes_append(&prompt, "dmemfs:", 7) && shell_append_shown(&prompt, shell->directory) &&
		bytes_append(&prompt, "> ", 3))
		return (char *)prompt.data;
	bytes_free(&prompt);
	return NULL;
}

bool shell_lines_begin(struct shell_lines *lines, struct shell *shell, const char *text)
{
	*lines = (struct shell_lines){.shell = shell, .rest = text};
	if (shell->interactive)
		lines->editor = shell_editor_new(shell);
#ifdef TOOL_HAS_LIBEDIT
	return !shell->interactive || lines->editor;
#else
	return true;
#endif
}

static enum shell_line_result next_of_text(struct shell_lines *lines, const char **line,
										   size_t *length)
{
	if (!*lines->rest)
		return SHELL_LINE_END;
	*line = lines->rest;
	*length = strcspn(lines->rest, "\n");
	lines->rest += *length + (lines->rest[*length] == '\n');
	return SHELL_LINE_READ;
}

/* Read on. Returns SHELL_LINE_READ if there is more, or what ends it. */
static enum shell_line_result read_input(struct bytes *input)
{
	for (;;) {
		if (!bytes_reserve(input, READ_SIZE)) {
			errno = ENOMEM;
			return SHELL_LINE_FAILED;
		}
		if (!shell_wait_for_input(STDIN_FILENO))
			return SHELL_LINE_INTERRUPTED;
		ssize_t count = read(STDIN_FILENO, input->data + input->length, READ_SIZE);
		if (count > 0) {
			input->length += (size_t)count;
			return SHELL_LINE_READ;
		}
		if (count == 0)
			return SHELL_LINE_END;
		if (errno != EINTR && errno != EAGAIN)
			return SHELL_LINE_FAILED;
	}
}

static enum shell_line_result next_of_input(struct shell_lines *lines, const char **line,
											size_t *length)
{
	struct bytes *input = &lines->input;
	size_t searched = 0;

	/* What was a line goes; the rest moves up. */
	input->length -= lines->taken;
	if (input->length)
		memmove(input->data, input->data + lines->taken, input->length);
	lines->taken = 0;
	for (;;) {
		const unsigned char *newline = NULL;
		if (searched < input->length)
			newline = memchr(input->data + searched, '\n', input->length - searched);
		enum shell_line_result result = SHELL_LINE_READ;
		searched = input->length;
		if (!newline)
			result = read_input(input);
		/* The last line may have no end. */
		bool is_line = newline || (result == SHELL_LINE_END && input->length);
		if (is_line || result != SHELL_LINE_READ) {
			*line = (const char *)input->data;
			*length = newline ? (size_t)(newline - input->data) : input->length;
			lines->taken = *length + (newline ? 1 : 0);
			return is_line ? SHELL_LINE_READ : result;
		}
	}
}

static void print_prompt(const struct shell *shell)
{
	char *prompt = shell_prompt(shell);

	(void)fputs(prompt ? prompt : "", stdout);
	(void)fflush(stdout);
	free(prompt);
}

enum shell_line_result shell_lines_next(struct shell_lines *lines, const char **line,
										size_t *length)
{
	if (lines->rest)
		return next_of_text(lines, line, length);
	if (lines->editor)
		return shell_editor_next(lines->editor, line, length);
	if (lines->shell->interactive)
		print_prompt(lines->shell);
	return next_of_input(lines, line, length);
}

void shell_lines_end(struct shell_lines *lines)
{
	shell_editor_free(lines->editor);
	bytes_free(&lines->input);
	*lines = (struct shell_lines){0};
}
