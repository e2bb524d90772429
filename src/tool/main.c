/* SPDX-License-Identifier: MIT */
/* The tool `dmemfs`: finds the command that its arguments name. */
#include "etl.h"
#include "mount.h"
#include "shell.h"

#include <dmemfs/dmemfs.h>

#include <stdio.h>
#include <string.h>

static const char help[] = "usage: dmemfs COMMAND [argument]...\n"
						   "       dmemfs --help | --version\n"
						   "\n"
						   "Commands:\n"
						   "  etl    build an index of the words in a tree of text files\n"
						   "  mount  mount a filesystem in memory on a directory\n"
						   "  shell  work in a filesystem in memory by commands\n"
						   "\n"
						   "'dmemfs COMMAND --help' says more about a command.\n";

static const struct {
	const char *name;
	enum exit_code (*run)(int argc, char **argv);
} commands[] = {
	{"etl", etl_main},
	{"mount", mount_main},
	{"shell", shell_main},
};

static int print(const char *text)
{
	(void)fputs(text, stdout);
	return fflush(stdout) == EOF ? EXIT_FAILED : EXIT_OK;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : NULL;

	if (!command) {
		(void)fputs(help, stderr);
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (strcmp(command, commands[i].name) == 0)
			return (int)commands[i].run(argc - 1, argv + 1);
	if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0)
		return print(help);
	if (strcmp(command, "--version") == 0) {
		(void)printf("dmemfs %s\n", mfs_version());
		return fflush(stdout) == EOF ? EXIT_FAILED : EXIT_OK;
	}
	(void)fprintf(stderr, "dmemfs: there is no command '%s'\nTry 'dmemfs --help'.\n", command);
	return EXIT_USAGE;
}
