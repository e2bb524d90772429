/* SPDX-License-Identifier: MIT */
/* The editor of lines: libedit, with a history in memory, and completion by Tab. */
#include "bytes.h"
#include "shell_complete.h"
#include "shell_escape.h"
#include "shell_interrupt.h"
#include "shell_line.h"

#include <histedit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

/* Lines that the history keeps. */
#define HISTORY_SIZE 1000
/* Candidates that are listed. */
#define MOST_LISTED 200

struct shell_editor {
	struct shell *shell;
	EditLine *line;
	History *history;
	char *prompt;
	bool given_up; /* the line, by Ctrl-C */
};

static char *get_prompt(EditLine *line)
{
	static char nothing[] = "";
	struct shell_editor *editor = NULL;

	(void)el_get(line, EL_CLIENTDATA, &editor);
	return editor->prompt ? editor->prompt : nothing;
}

/*
 * Completion
 */

/* The columns that a text takes on the terminal. */
static size_t width_of(const char *text)
{
	wchar_t wide[512];
	size_t length = mbstowcs(wide, text, sizeof wide / sizeof wide[0]);
	int width = length < sizeof wide / sizeof wide[0] ? wcswidth(wide, length) : -1;

	return width < 0 ? strlen(text) : (size_t)width;
}

static size_t terminal_width(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

/* Show the candidates below the line, row by row. */
static void list_candidates(const struct shell_completion *completion)
{
	size_t listed = completion->count < MOST_LISTED ? completion->count : MOST_LISTED;
	size_t widest = 0;
	struct bytes shown = {0};

	for (size_t i = 0; i < listed; i++) {
		shown.length = 0;
		if (!shell_append_shown(&shown, completion->names[i]))
			goto out;
		size_t width = width_of((const char *)shown.data);
		widest = width > widest ? width : widest;
	}
	size_t columns = terminal_width() / (widest + 2);
	for (size_t i = 0; i < listed; i++) {
		bool begins_row = columns < 2 || i % columns == 0;
		shown.length = 0;
		if (!shell_append_shown(&shown, completion->names[i]))
			goto out;
		bool ends_row = columns < 2 || (i + 1) % columns == 0 || i + 1 == listed;
		size_t blanks = ends_row ? 0 : widest + 2 - width_of((const char *)shown.data);
		(void)printf("%s%s%*s", begins_row ? "\n" : "", (const char *)shown.data, (int)blanks, "");
	}
	if (listed < completion->count)
		(void)printf("\n... and %zu more", completion->count - listed);
	(void)putchar('\n');
out:
	(void)fflush(stdout);
	bytes_free(&shown);
}

/* The characters in `length` bytes, or -1. */
static int count_characters(const char *text, size_t length)
{
	char *copy = strndup(text, length);
	size_t count = copy ? mbstowcs(NULL, copy, 0) : (size_t)-1;

	free(copy);
	return count == (size_t)-1 ? -1 : (int)count;
}

static unsigned char complete(EditLine *line, int key)
{
	struct shell_editor *editor = NULL;
	struct shell_completion completion;
	unsigned char result = CC_ERROR;

	(void)key;
	(void)el_get(line, EL_CLIENTDATA, &editor);
	const LineInfo *info = el_line(line);
	size_t length = (size_t)(info->cursor - info->buffer);
	if (!shell_complete(editor->shell, info->buffer, length, &completion))
		return CC_ERROR;
	if (completion.has_more) {
		int typed = count_characters(info->buffer + completion.start, length - completion.start);
		/* What the locale cannot write can be typed in no other way, either. */
		if (typed >= 0 && count_characters(completion.word, strlen(completion.word)) >= 0) {
			el_deletestr(line, typed);
			result = el_insertstr(line, completion.word) == 0 ? CC_REFRESH : CC_ERROR;
		}
	} else if (completion.count > 1) {
		list_candidates(&completion);
		result = CC_REDISPLAY;
	}
	shell_completion_free(&completion);
	return result;
}

/*
 * Lines
 */

static unsigned char give_up(EditLine *line, int key)
{
	struct shell_editor *editor = NULL;

	(void)key;
	(void)el_get(line, EL_CLIENTDATA, &editor);
	editor->given_up = true;
	return CC_NEWLINE;
}

struct shell_editor *shell_editor_new(struct shell *shell)
{
	struct shell_editor *editor = calloc(1, sizeof *editor);
	HistEvent event;

	if (!editor)
		return NULL;
	editor->shell = shell;
	editor->history = history_init();
	editor->line = el_init("dmemfs", stdin, stdout, stderr);
	if (!editor->history || !editor->line) {
		shell_editor_free(editor);
		return NULL;
	}
	(void)history(editor->history, &event, H_SETSIZE, HISTORY_SIZE);
	(void)history(editor->history, &event, H_SETUNIQUE, 1);
	(void)el_set(editor->line, EL_CLIENTDATA, editor);
	(void)el_set(editor->line, EL_HIST, history, editor->history);
	(void)el_set(editor->line, EL_EDITOR, "emacs");
	(void)el_set(editor->line, EL_PROMPT, get_prompt);
	/* Its own handlers put the terminal right and pass each signal on to the shell's. */
	(void)el_set(editor->line, EL_SIGNAL, 1);
	/* In wide characters: of others libedit makes copies that it never frees. */
	(void)el_wset(editor->line, EL_ADDFN, L"complete", L"Complete the word", complete);
	(void)el_wset(editor->line, EL_ADDFN, L"give-up", L"Give up the line", give_up);
	(void)el_set(editor->line, EL_BIND, "^I", "complete", NULL);
	/* A signal that comes between two keys would not be noticed: here Ctrl-C is a key. */
	(void)el_set(editor->line, EL_SETTY, "-d", "intr=", NULL);
	(void)el_set(editor->line, EL_BIND, "^C", "give-up", NULL);
	(void)el_set(editor->line, EL_BIND, "^R", "em-inc-search-prev", NULL);
	(void)el_source(editor->line, NULL);
	return editor;
}

enum shell_line_result shell_editor_next(struct shell_editor *editor, const char **line,
										 size_t *length)
{
	HistEvent event;
	int count = 0;

	free(editor->prompt);
	editor->prompt = shell_prompt(editor->shell);
	editor->given_up = false;
	const char *text = el_gets(editor->line, &count);
	if (editor->given_up || (!text && shell_interrupted())) {
		(void)puts("^C");
		return SHELL_LINE_INTERRUPTED;
	}
	if (!text || count <= 0) {
		/* Ctrl-D leaves the cursor where it is. */
		(void)putchar('\n');
		return SHELL_LINE_END;
	}
	*line = text;
	*length = (size_t)count;
	if (text[count - 1] == '\n')
		(*length)--;
	if (strspn(text, " \t\n") < *length)
		(void)history(editor->history, &event, H_ENTER, text);
	return SHELL_LINE_READ;
}

void shell_editor_free(struct shell_editor *editor)
{
	if (!editor)
		return;
	if (editor->line)
		el_end(editor->line);
	if (editor->history)
		history_end(editor->history);
	free(editor->prompt);
	free(editor);
}
