/* SPDX-License-Identifier: MIT */
/* The table of commands, what they share, and those that are about the shell itself. */
#include "shell_commands.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* Sorted by name. */
static const struct shell_command commands[] = {
	{"cat", "PATH...", "write files to standard output", "", shell_cat, true},
	{"cd", "[PATH]", "change the current directory", "Without PATH to the root.\n", shell_cd, true},
	{"cp", "[-r] [-n] FROM... TO", "copy files, and with -r directories",
	 "Into TO if it is a directory. A file replaces a file, at one instant, unless -n\n"
	 "is given; a directory needs a new name. The bytes are shared until one side\n"
	 "writes, but charged.\n",
	 shell_cp, true},
	{"du", "[-a] [-h] [-s] [PATH]...", "add up the sizes of files",
	 "A line for each directory, with the bytes of all files below it; -a: for each\n"
	 "file, too; -s: only for each PATH; -h: in units.\n",
	 shell_du, true},
	{"echo", "[WORD]...", "print words", "", shell_echo, false},
	{"exit", "", "end the shell", "", shell_exit, false},
	{"find", "[PATH]... [-name PATTERN] [-type f|d] [-size [+|-]SIZE]", "list what is below PATH",
	 "All tests have to hold. A SIZE is a number of bytes, with K, M or G behind it of\n"
	 "1024, 1024^2, 1024^3 bytes: +SIZE is more, -SIZE less; only files have one.\n"
	 "PATTERN is what a name matches; it needs no quotes.\n",
	 shell_find, false},
	{"get", "PATH [HOST]", "copy a file or a directory to the host",
	 "Into HOST if it is a directory; HOST is the host's current directory by default.\n"
	 "PATH/. stands for what is in a directory. Files replace files, each of which is\n"
	 "the old one or whole at any time.\n",
	 shell_get, true},
	{"glob", "PATTERN...", "list what matches",
	 "* any bytes, ? a character, [a-z] [!a-z] one of a set, and ** as a whole name any\n"
	 "number of directories. Patterns need no quotes here. As arguments of other\n"
	 "commands they are replaced by what matches, unless they are quoted.\n",
	 shell_glob, false},
	{"help", "[COMMAND]", "list the commands, or explain one", "", shell_help, false},
	{"load", "HOST [PATH]", "bring in an archive, or what is in a directory of the host",
	 "Into the directory PATH, by default the current one: all of it at one instant, or\n"
	 "nothing. Files replace files. Links and the like, and what is unsafe in an\n"
	 "archive, are left out and counted.\n",
	 shell_load, false},
	{"ls", "[-a] [-h] [-l] [PATH]...", "list a directory",
	 "Directories have a '/' behind their names. -a: also names that begin with a dot;\n"
	 "-l: with kind, size and time of modification; -h: sizes in units. On a terminal,\n"
	 "names that could harm it are shown as $'...', which may be typed.\n",
	 shell_ls, true},
	{"mkdir", "[-p] PATH...", "make directories",
	 "-p: with their parents, and one that exists is no failure.\n", shell_mkdir, true},
	{"mount", "MOUNTPOINT", "show the workspace to all programs, in a directory of the host",
	 "Until umount, or the shell's end.\n", shell_mount_command, false},
	{"mv", "[-n] FROM... TO", "move files and directories, or rename one",
	 "Into TO if it is a directory. A file replaces a file, at one instant, unless -n\n"
	 "is given.\n",
	 shell_mv, true},
	{"put", "HOST [PATH]", "copy a file or a directory of the host into the workspace",
	 "Into PATH if it is a directory; PATH is the current directory by default. HOST/.\n"
	 "stands for what is in a directory. All of it at one instant, or nothing. Files\n"
	 "replace files; links and the like are left out and counted.\n",
	 shell_put, false},
	{"pwd", "", "print the current directory", "", shell_pwd, false},
	{"quit", "", "end the shell", "", shell_exit, false},
	{"rm", "[-f] [-r] PATH...", "remove files, and with -r directories",
	 "A directory goes with all that is in it, at one instant. -f: what does not exist\n"
	 "is no failure.\n",
	 shell_rm, true},
	{"rmdir", "PATH...", "remove empty directories", "", shell_rmdir, true},
	{"save", "HOST [PATH]", "write what is in a directory to an archive of the host",
	 "A name that ends in .tar, .tar.gz, .tgz, .tar.zst, .tzst or .zip says which kind;\n"
	 "any other is that of a directory. PATH is the current directory by default.\n",
	 shell_save, false},
	{"stat", "PATH...", "tell what is known of a file or a directory", "", shell_stat, true},
	{"stats", "", "tell what the workspace holds", "", shell_stats, false},
	{"tree", "[-L DEPTH] [PATH]", "draw a directory and all below it", "-L: down to that depth.\n",
	 shell_tree, true},
	{"umount", "[-l]", "end what mount began",
	 "-l: also if programs use it, which then get ENOTCONN.\n", shell_umount, false},
	{"write", "[-a] [-n] PATH [WORD]...", "write words to a file, and a newline",
	 "In the place of what was there, or with -a behind it. -n: no newline. Without\n"
	 "words the file becomes empty.\n",
	 shell_write, false},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

const struct shell_command *shell_find_command(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

const struct shell_command *shell_command_at(size_t index)
{
	return index < COMMAND_COUNT ? &commands[index] : NULL;
}

static bool complain_usage(const struct shell *shell, const char *name)
{
	return shell_complain(shell, name, "usage: %s %s", name, shell_find_command(name)->arguments);
}

bool shell_take_arguments(const struct shell *shell, int argc, char **argv, const char *letters,
						  int least, int most, struct shell_arguments *out)
{
	int option;

	*out = (struct shell_arguments){0};
	/* Start again: getopt has looked at other arguments before. */
	optind = 0;
	opterr = 0;
	while ((option = getopt(argc, argv, letters)) != -1) {
		if (option == '?') {
			(void)shell_complain(shell, argv[0], "unknown option, or one without its value: -%c",
								 optopt);
			return complain_usage(shell, argv[0]);
		}
		out->values[option] = optarg ? optarg : "";
	}
	out->operands = argv + optind;
	out->count = argc - optind;
	if (out->count < least || (most >= 0 && out->count > most))
		return complain_usage(shell, argv[0]);
	return true;
}

bool shell_echo(struct shell *shell, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (i > 1)
			(void)putchar(' ');
		shell_print_name(shell, argv[i]);
	}
	(void)putchar('\n');
	return true;
}

bool shell_exit(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;

	if (!shell_take_arguments(shell, argc, argv, "", 0, 0, &arguments))
		return false;
	shell->quit = true;
	return true;
}

bool shell_help(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;

	if (!shell_take_arguments(shell, argc, argv, "", 0, 1, &arguments))
		return false;
	if (arguments.count) {
		const struct shell_command *command = shell_find_command(arguments.operands[0]);
		if (!command)
			return shell_complain(shell, "help", "there is no command '%s'", arguments.operands[0]);
		(void)printf("usage: %s%s%s\n%s\n%s", command->name, *command->arguments ? " " : "",
					 command->arguments, command->summary, command->details);
		return true;
	}
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		(void)printf("%-7s %s\n", commands[i].name, commands[i].summary);
	(void)fputs(
		"\n'help COMMAND' says more. Commands are separated by ';' or the end of the line.\n"
		"'...' \"...\" \\ and $'...' quote, # begins a comment, * ? [...] and ** are\n"
		"wildcards. Options come in any order; behind -- there are none.\n",
		stdout);
	return true;
}
