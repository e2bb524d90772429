/* SPDX-License-Identifier: MIT */
/* Commands that look at a directory and all below it. */
#include "bytes.h"
#include "shell_commands.h"
#include "shell_interrupt.h"
#include "shell_path.h"
#include "shell_traversal.h"
#include "size.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * tree
 */

/* Print the lines that lead to a name, and note for those below whether theirs goes on. */
static bool draw_branch(const struct shell_traversal *traversal, struct bytes *last)
{
	size_t above = traversal->depth - 1;

	last->length = above;
	if (!bytes_append(last, traversal->is_last ? "\1" : "\0", 1))
		return false;
	for (size_t i = 0; i < above; i++)
		(void)fputs(last->data[i] ? "    " : "|   ", stdout);
	(void)fputs(traversal->is_last ? "`-- " : "|-- ", stdout);
	return true;
}

static bool draw_tree(const struct shell *shell, struct shell_traversal *traversal, uint64_t most)
{
	struct bytes last = {0};
	uint64_t files = 0;
	uint64_t directories = 0;
	bool good = true;

	while (!shell_interrupted()) {
		enum shell_step step = shell_traversal_next(traversal);
		if (step == SHELL_STEP_END)
			break;
		if (step == SHELL_STEP_LEAVE)
			continue;
		if (step == SHELL_STEP_FAILED) {
			good = shell_complain_last(shell, "tree");
			continue;
		}
		if (!draw_branch(traversal, &last)) {
			good = shell_complain(shell, "tree", "out of memory");
			break;
		}
		shell_print_name(shell, traversal->name);
		(void)puts(step == SHELL_STEP_ENTER ? "/" : "");
		files += step == SHELL_STEP_FILE;
		directories += step == SHELL_STEP_ENTER;
		if (step == SHELL_STEP_ENTER && traversal->depth >= most)
			shell_traversal_skip(traversal);
	}
	(void)printf("\n%" PRIu64 " %s, %" PRIu64 " %s\n", directories,
				 directories == 1 ? "directory" : "directories", files,
				 files == 1 ? "file" : "files");
	bytes_free(&last);
	return good;
}

bool shell_tree(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;
	struct shell_traversal traversal;
	uint64_t most = UINT64_MAX;

	if (!shell_take_arguments(shell, argc, argv, "L:", 0, 1, &arguments))
		return false;
	if (arguments.values['L'] && (!size_parse(arguments.values['L'], &most) || !most))
		return shell_complain(shell, "tree", "not a depth: %s", arguments.values['L']);
	const char *argument = arguments.count ? arguments.operands[0] : ".";
	char *path = shell_path(shell, "tree", argument);
	if (!path)
		return false;
	bool good = shell_traversal_begin(&traversal, shell->fs, path) == 0;
	free(path);
	if (!good)
		return shell_complain_last(shell, "tree");
	shell_print_name(shell, argument);
	(void)putchar('\n');
	good = draw_tree(shell, &traversal, most);
	shell_traversal_end(&traversal);
	return good;
}

/*
 * du
 */

/* How du shows sizes, and of what. */
struct summing {
	const struct shell *shell;
	bool files;
	bool units;
	bool only_total;
	const char *path;     /* of the directory that is summed up */
	const char *argument; /* by which the user calls it */
};

/* Print a line about a path, which is called as the user began to. */
static void print_size(const struct summing *summing, const char *path, uint64_t size)
{
	size_t length = summing->path[1] ? strlen(summing->path) : 0;

	if (summing->units)
		(void)printf("%10s  ", size_format(size).text);
	else
		(void)printf("%12" PRIu64 "  ", size);
	if (!path[length] || !path[1]) {
		shell_print_name(summing->shell, summing->argument);
	} else if (strcmp(summing->argument, ".") == 0) {
		shell_print_name(summing->shell, path + length + 1);
	} else {
		char *name = NULL;
		bool slash = summing->argument[strlen(summing->argument) - 1] == '/';
		if (asprintf(&name, "%s%s", summing->argument, path + length + slash) >= 0)
			shell_print_name(summing->shell, name);
		free(name);
	}
	(void)putchar('\n');
}

/* Add up the sizes below the directory where the traversal begins. */
static bool sum_directory(const struct summing *summing, struct shell_traversal *traversal)
{
	struct bytes sums = {0}; /* uint64_t for each directory that was entered */
	const uint64_t zero = 0;
	bool good = true;

	if (!bytes_append(&sums, &zero, sizeof zero))
		return shell_complain(summing->shell, "du", "out of memory");
	while (!shell_interrupted()) {
		enum shell_step step = shell_traversal_next(traversal);
		const char *path = (const char *)traversal->path.data;
		uint64_t *sum = (uint64_t *)(void *)(sums.data + sums.length) - 1;
		if (step == SHELL_STEP_END)
			break;
		if (step == SHELL_STEP_FAILED) {
			good = shell_complain_last(summing->shell, "du");
		} else if (step == SHELL_STEP_ENTER) {
			if (!bytes_append(&sums, &zero, sizeof zero)) {
				good = shell_complain(summing->shell, "du", "out of memory");
				break;
			}
		} else if (step == SHELL_STEP_FILE) {
			*sum += (uint64_t)traversal->info.size;
			if (summing->files && !summing->only_total)
				print_size(summing, path, (uint64_t)traversal->info.size);
		} else {
			if (traversal->depth)
				sum[-1] += *sum;
			if (!traversal->depth || !summing->only_total)
				print_size(summing, path, *sum);
			sums.length -= sizeof zero;
		}
	}
	bytes_free(&sums);
	return good;
}

static bool sum_argument(struct summing *summing)
{
	struct shell_traversal traversal;
	mfs_info info;
	bool good;

	if (mfs_stat(summing->shell->fs, summing->path, &info) < 0)
		return shell_complain_last(summing->shell, "du");
	if (!info.is_dir) {
		print_size(summing, summing->path, (uint64_t)info.size);
		return true;
	}
	if (shell_traversal_begin(&traversal, summing->shell->fs, summing->path) < 0)
		return shell_complain_last(summing->shell, "du");
	good = sum_directory(summing, &traversal);
	shell_traversal_end(&traversal);
	return good;
}

bool shell_du(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;
	bool good = true;

	if (!shell_take_arguments(shell, argc, argv, "ahs", 0, -1, &arguments))
		return false;
	struct summing summing = {
		.shell = shell,
		.files = arguments.values['a'],
		.units = arguments.values['h'],
		.only_total = arguments.values['s'],
	};
	for (int i = 0; i < arguments.count || i == 0; i++) {
		summing.argument = arguments.count ? arguments.operands[i] : ".";
		char *path = shell_path(shell, "du", summing.argument);
		summing.path = path;
		good = path && sum_argument(&summing) && good;
		free(path);
	}
	return good;
}

/*
 * glob and find
 */

bool shell_glob(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;
	bool good = true;

	if (!shell_take_arguments(shell, argc, argv, "", 1, -1, &arguments))
		return false;
	for (int i = 0; i < arguments.count; i++) {
		char **paths;
		if (!*arguments.operands[i]) {
			good = shell_complain(shell, "glob", "a pattern is empty");
			continue;
		}
		long count = shell_matches(shell, "glob", arguments.operands[i], &paths);
		if (count < 0) {
			good = false;
			continue;
		}
		for (long j = 0; j < count && !shell_interrupted(); j++) {
			shell_print_name(shell, paths[j]);
			(void)putchar('\n');
		}
		shell_matches_free(paths, count);
	}
	return good;
}

/* What find looks for. */
struct tests {
	const char *name; /* a pattern, or NULL */
	char kind;        /* 'f', 'd' or 0 */
	char relation;    /* of the size: '+', '-', '=' or 0 */
	uint64_t size;
};

static bool parse_test(const struct shell *shell, int option, const char *value,
					   struct tests *tests)
{
	const char *number = value;

	switch (option) {
	case 'n':
		if (!*value || strpbrk(value, "/\\") || !strcmp(value, ".") || !strcmp(value, ".."))
			return shell_complain(shell, "find", "not a pattern of a name: %s", value);
		tests->name = value;
		return true;
	case 't':
		if (strcmp(value, "f") != 0 && strcmp(value, "d") != 0)
			return shell_complain(shell, "find", "not a type, f or d: %s", value);
		tests->kind = *value;
		return true;
	case 's':
		tests->relation = '=';
		if (*number == '+' || *number == '-')
			tests->relation = *number++;
		if (!size_parse(number, &tests->size))
			return shell_complain(shell, "find", "not a size such as +64K: %s", value);
		return true;
	default:
		return shell_complain(shell, "find", "usage: find %s",
							  shell_find_command("find")->arguments);
	}
}

static bool passes(const struct tests *tests, const mfs_info *info)
{
	if (tests->kind && info->is_dir != (tests->kind == 'd'))
		return false;
	if (tests->relation && info->is_dir)
		return false;
	uint64_t size = (uint64_t)info->size;
	switch (tests->relation) {
	case '+':
		return size > tests->size;
	case '-':
		return size < tests->size;
	case '=':
		return size == tests->size;
	default:
		return true;
	}
}

static bool print_those_that_pass(const struct shell *shell, const struct tests *tests,
								  char **paths, long count)
{
	bool good = true;

	for (long i = 0; i < count && !shell_interrupted(); i++) {
		mfs_info info;
		char *path = shell_path(shell, "find", paths[i]);
		if (!path)
			return false;
		int code = mfs_stat(shell->fs, path, &info);
		free(path);
		/* What was removed since it was found is left out. */
		if (code == MFS_ENOENT || code == MFS_ENOTDIR)
			continue;
		if (code < 0) {
			good = shell_complain_last(shell, "find");
		} else if (passes(tests, &info)) {
			shell_print_name(shell, paths[i]);
			(void)putchar('\n');
		}
	}
	return good;
}

/* Everything below a directory whose name matches is what one pattern matches. */
static bool find_below(const struct shell *shell, const char *argument, const struct tests *tests)
{
	struct bytes pattern = {0};
	char **paths;
	mfs_info info;
	char *path = shell_path(shell, "find", argument);

	if (!path)
		return false;
	if (mfs_stat(shell->fs, path, &info) < 0) {
		free(path);
		return shell_complain_last(shell, "find");
	}
	free(path);
	if (!info.is_dir)
		return shell_complain(shell, "find", "%s: not a directory", argument);
	const char *deep = tests->name ? "/**/" : "/**";
	const char *name = tests->name ? tests->name : "";
	if (!shell_append_literal(&pattern, argument) || !bytes_append(&pattern, deep, strlen(deep)) ||
		!bytes_append(&pattern, name, strlen(name) + 1)) {
		bytes_free(&pattern);
		return shell_complain(shell, "find", "out of memory");
	}
	long count = shell_matches(shell, "find", (const char *)pattern.data, &paths);
	bytes_free(&pattern);
	if (count < 0)
		return false;
	bool good = print_those_that_pass(shell, tests, paths, count);
	shell_matches_free(paths, count);
	return good;
}

bool shell_find(struct shell *shell, int argc, char **argv)
{
	static const struct option options[] = {
		{"name", required_argument, NULL, 'n'},
		{"type", required_argument, NULL, 't'},
		{"size", required_argument, NULL, 's'},
		{NULL, 0, NULL, 0},
	};
	struct tests tests = {0};
	bool good = true;
	int option;

	optind = 0;
	opterr = 0;
	while ((option = getopt_long_only(argc, argv, "", options, NULL)) != -1)
		if (!parse_test(shell, option, optarg, &tests))
			return false;
	if (optind == argc)
		return find_below(shell, ".", &tests);
	for (int i = optind; i < argc && !shell_interrupted(); i++)
		good = find_below(shell, argv[i], &tests) && good;
	return good;
}
