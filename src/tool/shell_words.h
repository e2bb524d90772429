/* SPDX-License-Identifier: MIT */
/*
 * A line of the shell, taken apart into commands and their words.
 *
 * Blanks end a word, ';' ends a command, '#' where a word could begin makes the rest a comment. In
 * '...' everything stands for itself; in "..." all but '"' and '\', before which a '\' takes their
 * meaning away; elsewhere '\' takes the meaning from any byte. $'...' knows \a \b \e \f \n \r \t
 * \v \\ \' \" and \xHH. There are no variables, pipes, jobs or redirections: | & < and > have to be
 * quoted, so that nobody believes that they do something.
 */
#ifndef DMEMFS_TOOL_SHELL_WORDS_H
#define DMEMFS_TOOL_SHELL_WORDS_H

#include <stdbool.h>
#include <stddef.h>

struct shell_word {
	char *text; /* NULL: the end of a command */
	/**
	 * The same for mfs_glob(), with what was quoted standing for itself, or NULL if no wildcard is
	 * unquoted. A set such as [a-z] has none in it if its ']', '-' or '!' is quoted.
	 */
	char *pattern;
};

/** All zeros: none. */
struct shell_words {
	struct shell_word *words;
	size_t count;
	size_t room;
};

/**
 * Take a line apart. A command is one word or more, and one word without text.
 *
 * Returns NULL, and the words to be freed; or a message, and no words.
 */
const char *shell_split(const char *line, size_t length, struct shell_words *out);

void shell_words_free(struct shell_words *words);

/** The word that ends where a line ends, for its completion. */
struct shell_partial {
	char *text;    /* so far; an open quote counts as closed */
	size_t start;  /* where in the line it begins */
	char *command; /* the name of the command of which it is an argument, or NULL: it is the name */
	size_t index;  /* in the words of the command */
};

/**
 * Find the last word of a line that is being typed: "" behind a blank.
 *
 * Returns false in a comment, behind what shell_split() would not accept, and without memory.
 */
bool shell_split_partial(const char *line, size_t length, struct shell_partial *out);

void shell_partial_free(struct shell_partial *partial);

#endif
