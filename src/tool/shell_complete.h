/* SPDX-License-Identifier: MIT */
/* What the word that is being typed may become: the name of a command, or a path. */
#ifndef DMEMFS_TOOL_SHELL_COMPLETE_H
#define DMEMFS_TOOL_SHELL_COMPLETE_H

#include "shell_state.h"

#include <stdbool.h>
#include <stddef.h>

/** The candidates for a word. */
struct shell_completion {
	size_t start;  /* where in the line the word begins */
	char *word;    /* what is to stand there instead, quoted: all that the candidates share */
	bool has_more; /* than the line has already */
	char **names;  /* the candidates, or their last components, sorted; directories with a '/' */
	size_t count;
};

/**
 * Complete the word that ends where `line` does. A word of which there is only one becomes whole,
 * with a blank behind it, or a '/' if it is a directory.
 *
 * Returns false if there are no candidates, or no memory.
 */
bool shell_complete(struct shell *shell, const char *line, size_t length,
					struct shell_completion *out);

void shell_completion_free(struct shell_completion *completion);

#endif
