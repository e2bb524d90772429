/* SPDX-License-Identifier: MIT */
/* The commands of the shell. Each returns whether it has succeeded; if not, it has complained. */
#ifndef DMEMFS_TOOL_SHELL_COMMANDS_H
#define DMEMFS_TOOL_SHELL_COMMANDS_H

#include "shell_state.h"

#include <stdbool.h>
#include <stddef.h>

typedef bool shell_run(struct shell *shell, int argc, char **argv);

struct shell_command {
	const char *name;
	const char *arguments; /* as in a usage */
	const char *summary;   /* a line */
	const char *details;   /* more lines, or "" */
	shell_run *run;
	bool expands; /* wildcards in its arguments */
};

/** The command of that name, or NULL. */
const struct shell_command *shell_find_command(const char *name);

/** The command number `index` in the order of the names, or NULL behind the last one. */
const struct shell_command *shell_command_at(size_t index);

/** The arguments of a command, taken apart. */
struct shell_arguments {
	const char *values[128]; /* by the letter: NULL if not given, "" for one without a value */
	char **operands;
	int count; /* of operands */
};

/**
 * Take the arguments apart. `letters` as for getopt(). Returns false after a complaint: about an
 * option, or about less operands than `least` or more than `most`, which is negative for no limit.
 */
bool shell_take_arguments(const struct shell *shell, int argc, char **argv, const char *letters,
						  int least, int most, struct shell_arguments *out);

/* Looking. */
shell_run shell_cat, shell_cd, shell_du, shell_find, shell_glob, shell_ls, shell_pwd, shell_stat,
	shell_stats, shell_tree;
/* Changing. */
shell_run shell_cp, shell_mkdir, shell_mv, shell_rm, shell_rmdir, shell_write;
/* The host. */
shell_run shell_get, shell_load, shell_put, shell_save;
shell_run shell_mount_command, shell_umount;
/* The shell itself. */
shell_run shell_echo, shell_exit, shell_help;

#endif
