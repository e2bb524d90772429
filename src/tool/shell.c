/* SPDX-License-Identifier: MIT */
/* The command `dmemfs shell`: its arguments, and the loop that reads lines and runs commands. */
#include "shell.h"

#include "bytes.h"
#include "contents.h"
#include "shell_commands.h"
#include "shell_interrupt.h"
#include "shell_line.h"
#include "shell_mount.h"
#include "shell_path.h"
#include "shell_state.h"
#include "shell_words.h"
#include "size.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"usage: dmemfs shell [option]... [ARCHIVE|DIR]\n"
	"\n"
	"Type commands that work on a workspace in memory, with what is in ARCHIVE or DIR,\n"
	"or empty. 'help' lists them. Without a terminal they are read from standard input.\n"
	"\n"
	"  -c, --command TEXT   run the commands in TEXT instead\n"
	"  -e, --exit-on-error  stop at the first command that fails\n"
	"  -q, --quota SIZE     bytes that the workspace may hold; K, M or G behind a number\n"
	"                       multiply it by 1024, 1024^2 or 1024^3; default: half of the\n"
	"                       memory\n"
	"  -n, --max-nodes N    files and directories that it may hold; default: no limit\n"
	"  -h, --help           this text\n"
	"\n"
	"Nothing is written back: 'get' and 'save' copy to the host. Links and the like are\n"
	"left out of ARCHIVE or DIR.\n"
	"\n"
	"On a terminal, Tab completes commands and paths, the arrow keys bring earlier lines\n"
	"back, Ctrl-C gives up the line or the command, and Ctrl-D ends the shell.\n"
	"\n"
	"Exit codes: 0 done, 1 a command failed (but not if a person typed it), 2 wrong\n"
	"usage, 3 the quota is too small for ARCHIVE or DIR.\n";

/*
 * Commands
 */

/* The arguments of a command: pointers, each to be freed. */
struct vector {
	struct bytes pointers;
	int count;
};

static char **vector_strings(const struct vector *vector)
{
	return (char **)(void *)vector->pointers.data;
}

/* Takes the text over; false without memory, or for NULL. */
static bool vector_add(struct vector *vector, char *text)
{
	if (!text)
		return false;
	if (!bytes_append(&vector->pointers, &text, sizeof text)) {
		free(text);
		return false;
	}
	vector->count++;
	return true;
}

static void vector_free(struct vector *vector)
{
	for (int i = 0; i < vector->count; i++)
		free(vector_strings(vector)[i]);
	bytes_free(&vector->pointers);
}

/* Add what a pattern matches, which must be something. Returns false after a complaint. */
static bool add_matches(struct shell *shell, struct vector *vector, const char *command,
						const struct shell_word *word)
{
	char **paths;
	long count = shell_matches(shell, command, word->pattern, &paths);
	bool good = count > 0;

	if (count == 0)
		(void)shell_complain(shell, command, "nothing matches %s", word->text);
	for (long i = 0; i < count && good; i++) {
		good = vector_add(vector, paths[i]);
		paths[i] = NULL;
		if (!good)
			(void)shell_complain(shell, command, "out of memory");
	}
	if (count >= 0)
		shell_matches_free(paths, count);
	return good;
}

/* Run a command whose words end with one without text. Returns whether it succeeded. */
static bool run_command(struct shell *shell, const struct shell_word *words)
{
	const struct shell_command *command = shell_find_command(words[0].text);
	struct vector vector = {0};
	char *end = NULL;
	bool good = true;

	if (!command)
		return shell_complain(shell, "shell", "there is no command '%s'; see 'help'",
							  words[0].text);
	for (const struct shell_word *word = words; word->text && good; word++) {
		if (word->pattern && command->expands && word > words) {
			good = add_matches(shell, &vector, command->name, word);
		} else if (!vector_add(&vector, strdup(word->text))) {
			good = shell_complain(shell, command->name, "out of memory");
		}
	}
	if (good && !bytes_append(&vector.pointers, &end, sizeof end))
		good = shell_complain(shell, command->name, "out of memory");
	if (good)
		good = command->run(shell, vector.count, vector_strings(&vector));
	vector_free(&vector);
	if (fflush(stdout) == EOF) {
		int reason = errno;
		clearerr(stdout);
		if (!shell_interrupted())
			good = shell_complain(shell, command->name, "standard output: %s", strerror(reason));
	}
	return good;
}

/* Run the commands of a line, unless something is wrong with it. Returns whether all succeeded. */
static bool run_line(struct shell *shell, const char *line, size_t length, bool stop_at_failure)
{
	struct shell_words words;
	const char *complaint = shell_split(line, length, &words);
	bool good = true;

	if (complaint)
		return shell_complain(shell, "shell", "%s", complaint);
	for (size_t i = 0; i < words.count && !shell->quit && !shell_interrupted(); i++) {
		good = run_command(shell, &words.words[i]) && good;
		while (words.words[i].text)
			i++;
		if (!good && stop_at_failure)
			break;
	}
	shell_words_free(&words);
	return good;
}

/* Returns whether all commands succeeded. */
static bool run_lines(struct shell *shell, struct shell_lines *lines, bool stop_at_failure)
{
	bool good = true;

	while (!shell->quit && !shell_ending_signal() && (good || !stop_at_failure)) {
		const char *line;
		size_t length;
		switch (shell_lines_next(lines, &line, &length)) {
		case SHELL_LINE_READ:
			shell_clear_interrupt();
			good = run_line(shell, line, length, stop_at_failure) && good;
			break;
		case SHELL_LINE_INTERRUPTED:
			shell_clear_interrupt();
			break;
		case SHELL_LINE_FAILED:
			return shell_complain(shell, "shell", "standard input: %s", strerror(errno));
		case SHELL_LINE_END:
			return good;
		}
	}
	return good;
}

/*
 * The workspace
 */

/* What the arguments say. */
struct arguments {
	uint64_t quota;
	uint64_t max_nodes;
	const char *text; /* of -c, or NULL */
	const char *from; /* or NULL */
	bool stop_at_failure;
	bool help;
};

static enum exit_code load(struct shell *shell, const char *from)
{
	uint64_t left_out = 0;
	int code = contents_load(shell->fs, "/", from, shell_goes_on, &left_out);

	if (code != 0) {
		(void)shell_complain(shell, "dmemfs", "%s: %s", from, mfs_last_error());
		return mfs_is_quota_error(code) ? EXIT_LIMIT : EXIT_FAILED;
	}
	if (left_out)
		(void)shell_complain(shell, "dmemfs", "%s: left out: %" PRIu64, from, left_out);
	return EXIT_OK;
}

static enum exit_code run_in_workspace(struct shell *shell, const struct arguments *arguments)
{
	struct shell_lines lines;

	if (arguments->from) {
		enum exit_code code = load(shell, arguments->from);
		if (code != EXIT_OK)
			return code;
	}
	shell->directory = strdup("/");
	bool good = shell->directory && shell_lines_begin(&lines, shell, arguments->text);
	if (!good) {
		(void)shell_complain(shell, "dmemfs", "out of memory");
		free(shell->directory);
		return EXIT_FAILED;
	}
	good = run_lines(shell, &lines, arguments->stop_at_failure);
	shell_lines_end(&lines);
	shell_mount_end(shell);
	free(shell->directory);
	return good || shell->interactive ? EXIT_OK : EXIT_FAILED;
}

static enum exit_code run(const struct arguments *arguments)
{
	const mfs_options options = {
		.struct_size = sizeof options,
		.max_quota = arguments->quota ? arguments->quota : size_default_quota(),
		.max_nodes = arguments->max_nodes,
		.memory_guard = MFS_GUARD_PER_WRITE,
		.memory_guard_action = MFS_GUARD_FAIL,
	};
	struct shell shell = {
		.interactive = !arguments->text && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO),
		.out_is_terminal = isatty(STDOUT_FILENO),
		.err_is_terminal = isatty(STDERR_FILENO),
	};

	if (!shell_catch_signals(shell.interactive)) {
		(void)shell_complain(&shell, "dmemfs", "%s", strerror(errno));
		return EXIT_FAILED;
	}
	if (mfs_new(&options, &shell.fs) != 0) {
		(void)shell_complain_last(&shell, "dmemfs");
		return EXIT_FAILED;
	}
	enum exit_code code = run_in_workspace(&shell, arguments);
	if (mfs_free(shell.fs) != 0) {
		(void)shell_complain_last(&shell, "dmemfs");
		code = EXIT_FAILED;
	}
	if (shell_ending_signal())
		shell_die();
	return code;
}

/*
 * Arguments
 */

static enum exit_code usage_error(const char *message, const char *argument)
{
	(void)fprintf(stderr, "dmemfs: shell: %s%s\nTry 'dmemfs shell --help'.\n", message, argument);
	return EXIT_USAGE;
}

static enum exit_code parse_arguments(int argc, char **argv, struct arguments *arguments)
{
	static const struct option options[] = {
		{"command", required_argument, NULL, 'c'}, {"exit-on-error", no_argument, NULL, 'e'},
		{"quota", required_argument, NULL, 'q'},   {"max-nodes", required_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
	};

	*arguments = (struct arguments){0};
	/* Start again: getopt has looked at the arguments before the command. */
	optind = 0;
	opterr = 0;
	for (;;) {
		int index = optind ? optind : 1;
		switch (getopt_long(argc, argv, ":c:eq:n:h", options, NULL)) {
		case -1:
			if (optind + 1 < argc)
				return usage_error("more than one ARCHIVE or DIR: ", argv[optind + 1]);
			arguments->from = optind < argc ? argv[optind] : NULL;
			return EXIT_OK;
		case 'c':
			arguments->text = optarg;
			break;
		case 'e':
			arguments->stop_at_failure = true;
			break;
		case 'q':
			if (!size_parse(optarg, &arguments->quota) || !arguments->quota)
				return usage_error("not a size such as 64M: ", optarg);
			break;
		case 'n':
			if (!size_parse_count(optarg, &arguments->max_nodes))
				return usage_error("not a number of files: ", optarg);
			break;
		case 'h':
			arguments->help = true;
			return EXIT_OK;
		case ':':
			return usage_error("a value is missing after ", argv[optind - 1]);
		default:
			return usage_error("unknown option: ", argv[index]);
		}
	}
}

enum exit_code shell_main(int argc, char **argv)
{
	struct arguments arguments;
	enum exit_code code = parse_arguments(argc, argv, &arguments);

	if (code != EXIT_OK)
		return code;
	if (arguments.help) {
		(void)fputs(help, stdout);
		return fflush(stdout) == EOF ? EXIT_FAILED : EXIT_OK;
	}
	/* For lines that are edited. Names are bytes in any locale, and those that are text are UTF-8.
	 */
	if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
		(void)setlocale(LC_CTYPE, "C.UTF-8");
	return run(&arguments);
}
