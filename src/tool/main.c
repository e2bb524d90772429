/* SPDX-License-Identifier: MIT */
/* The tool `dmemfs`: finds the command that its arguments name. */
#include "etl.h"

#include <dmemfs/dmemfs.h>

#include <stdio.h>
#include <string.h>

static const char help[] = "usage: dmemfs COMMAND [argument]...\n"
						   "       dmemfs --help | --version\n"
						   "\n"
						   "Commands:\n"
						   "  etl   build an index of the words in a tree of text files\n"
						   "\n"
						   "'dmemfs COMMAND --help' says more about a command.\n";

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
	if (strcmp(command, "etl") == 0)
		return (int)etl_main(argc - 1, argv + 1);
	if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0)
		return print(help);
	if (strcmp(command, "--version") == 0) {
		(void)printf("dmemfs %s\n", mfs_version());
		return fflush(stdout) == EOF ? EXIT_FAILED : EXIT_OK;
	}
	(void)fprintf(stderr, "dmemfs: there is no command '%s'\nTry 'dmemfs --help'.\n", command);
	return EXIT_USAGE;
}
