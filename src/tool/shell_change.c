/* SPDX-License-Identifier: MIT */
/* Commands that change the workspace by itself. */
#include "bytes.h"
#include "shell_commands.h"
#include "shell_interrupt.h"
#include "shell_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Carries one thing out for a path. */
typedef bool change_one(struct shell *shell, const char *path,
						const struct shell_arguments *arguments);

/* Do the same for each operand, also when it failed for one. */
static bool for_each(struct shell *shell, const char *command,
					 const struct shell_arguments *arguments, change_one *change)
{
	bool good = true;

	for (int i = 0; i < arguments->count && !shell_interrupted(); i++) {
		char *path = shell_path(shell, command, arguments->operands[i]);
		good = path && change(shell, path, arguments) && good;
		free(path);
	}
	return good;
}

/*
 * mkdir, rmdir, rm
 */

static bool make_directory(struct shell *shell, const char *path,
						   const struct shell_arguments *arguments)
{
	bool parents = arguments->values['p'];

	/* The library makes them. */
	if (!parents) {
		mfs_info info;
		char *parent = strndup(path, (size_t)(shell_base_name(path) - path));
		int code = parent ? mfs_stat(shell->fs, parent, &info) : MFS_ENOMEM;
		free(parent);
		if (code < 0)
			return shell_complain(shell, "mkdir", "%s: %s", path, mfs_strerror(code));
	}
	if (mfs_mkdir(shell->fs, path, parents ? MFS_EXIST_OK : 0) < 0)
		return shell_complain_last(shell, "mkdir");
	return true;
}

bool shell_mkdir(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;

	return shell_take_arguments(shell, argc, argv, "p", 1, -1, &arguments) &&
		   for_each(shell, "mkdir", &arguments, make_directory);
}

/* The ground that the shell stands on stays. */
static bool may_go(const struct shell *shell, const char *command, const char *path)
{
	if (!shell_is_within(shell->directory, path) || !path[1])
		return true;
	return shell_complain(shell, command, "%s: is, or holds, the current directory", path);
}

static bool remove_directory(struct shell *shell, const char *path,
							 const struct shell_arguments *arguments)
{
	(void)arguments;
	if (mfs_is_file(shell->fs, path))
		return shell_complain(shell, "rmdir", "%s: not a directory", path);
	if (!may_go(shell, "rmdir", path))
		return false;
	return mfs_remove(shell->fs, path) == 0 || shell_complain_last(shell, "rmdir");
}

bool shell_rmdir(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;

	return shell_take_arguments(shell, argc, argv, "", 1, -1, &arguments) &&
		   for_each(shell, "rmdir", &arguments, remove_directory);
}

static bool remove_any(struct shell *shell, const char *path,
					   const struct shell_arguments *arguments)
{
	int code;

	if (arguments->values['r']) {
		if (!may_go(shell, "rm", path))
			return false;
		code = mfs_rmtree(shell->fs, path);
	} else if (mfs_is_dir(shell->fs, path)) {
		return shell_complain(shell, "rm", "%s: is a directory, which rm -r removes", path);
	} else {
		code = mfs_remove(shell->fs, path);
	}
	if (code == 0 || (code == MFS_ENOENT && arguments->values['f']))
		return true;
	return shell_complain_last(shell, "rm");
}

bool shell_rm(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;

	return shell_take_arguments(shell, argc, argv, "fr", 1, -1, &arguments) &&
		   for_each(shell, "rm", &arguments, remove_any);
}

/*
 * cp and mv
 */

/* Bring one thing to a path that differs from its own. */
typedef bool bring_to(struct shell *shell, const char *from, const char *to,
					  const struct shell_arguments *arguments);

static bool bring_one(struct shell *shell, const char *command, const char *from_argument,
					  const char *to_argument, const struct shell_arguments *arguments,
					  bring_to *bring)
{
	char *from = shell_path(shell, command, from_argument);
	char *to = from ? shell_destination(shell, command, to_argument, shell_base_name(from)) : NULL;
	bool good = to != NULL;

	if (good && strcmp(from, to) == 0)
		good = shell_complain(shell, command, "%s: is what it is to become", from);
	good = good && bring(shell, from, to, arguments);
	free(to);
	free(from);
	return good;
}

/* The last operand is where the others go. */
static bool bring_all(struct shell *shell, const char *command,
					  const struct shell_arguments *arguments, bring_to *bring)
{
	int last = arguments->count - 1;
	const char *to = arguments->operands[last];
	bool good = true;

	if (last > 1) {
		char *path = shell_path(shell, command, to);
		if (path && !mfs_is_dir(shell->fs, path))
			(void)shell_complain(shell, command, "%s: not a directory", path);
		good = path && mfs_is_dir(shell->fs, path);
		free(path);
		if (!good)
			return false;
	}
	for (int i = 0; i < last && !shell_interrupted(); i++)
		good = bring_one(shell, command, arguments->operands[i], to, arguments, bring) && good;
	return good;
}

/*
 * Copy a file over another one: aside, and then in its place at one instant. Returns 0 or a code.
 */
static int replace_by_copy(mfs *fs, const char *from, const char *to)
{
	int code = MFS_EEXIST;

	for (unsigned number = 0; code == MFS_EEXIST; number++) {
		char *aside = NULL;
		if (asprintf(&aside, "%.*s.copy-%u", (int)(shell_base_name(to) - to), to, number) < 0)
			return mfs_set_last_error(MFS_ENOMEM, "%s", mfs_strerror(MFS_ENOMEM));
		code = mfs_copy(fs, from, aside);
		if (code == 0) {
			code = mfs_rename(fs, aside, to, MFS_RENAME_REPLACE);
			if (code)
				(void)mfs_remove(fs, aside);
		}
		free(aside);
	}
	return code;
}

static bool copy(struct shell *shell, const char *from, const char *to,
				 const struct shell_arguments *arguments)
{
	int code;

	if (mfs_is_dir(shell->fs, from)) {
		if (!arguments->values['r'])
			return shell_complain(shell, "cp", "%s: is a directory, which cp -r copies", from);
		code = mfs_copy_tree(shell->fs, from, to);
	} else {
		code = mfs_copy(shell->fs, from, to);
		if (code == MFS_EEXIST && !arguments->values['n'] && mfs_is_file(shell->fs, to))
			code = replace_by_copy(shell->fs, from, to);
	}
	return code == 0 || shell_complain_last(shell, "cp");
}

bool shell_cp(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;

	return shell_take_arguments(shell, argc, argv, "nr", 2, -1, &arguments) &&
		   bring_all(shell, "cp", &arguments, copy);
}

static bool move(struct shell *shell, const char *from, const char *to,
				 const struct shell_arguments *arguments)
{
	if (mfs_rename(shell->fs, from, to, arguments->values['n'] ? 0 : MFS_RENAME_REPLACE) < 0)
		return shell_complain_last(shell, "mv");
	if (shell_is_within(shell->directory, from)) {
		/* The shell goes along. */
		char *directory = NULL;
		if (asprintf(&directory, "%s%s", to, shell->directory + strlen(from)) < 0)
			return shell_complain(shell, "mv", "out of memory");
		free(shell->directory);
		shell->directory = directory;
	}
	return true;
}

bool shell_mv(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;

	return shell_take_arguments(shell, argc, argv, "n", 2, -1, &arguments) &&
		   bring_all(shell, "mv", &arguments, move);
}

/*
 * write
 */

/* Make the text that the operands behind the first one say. Returns false without memory. */
static bool make_text(const struct shell_arguments *arguments, struct bytes *text)
{
	bool newline = arguments->count > 1 && !arguments->values['n'];

	for (int i = 1; i < arguments->count; i++) {
		const char *word = arguments->operands[i];
		if ((i > 1 && !bytes_append(text, " ", 1)) || !bytes_append(text, word, strlen(word)))
			return false;
	}
	return bytes_append(text, "\n", newline ? 1 : 0);
}

static int write_text(mfs *fs, const char *path, bool append, const struct bytes *text)
{
	/* With room for all of it, the old text is not lost to a refusal. */
	const mfs_open_options options = {
		.struct_size = sizeof options,
		.preallocate = append ? 0 : (int64_t)text->length,
	};
	mfs_file *file = NULL;

	int code = mfs_open_ex(fs, path, append ? "ab" : "wb", &options, &file);
	if (code)
		return code;
	if (text->length) {
		int64_t written = mfs_write(file, text->data, text->length);
		code = written < 0 ? (int)written : 0;
	}
	(void)mfs_close(file);
	return code;
}

bool shell_write(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;
	struct bytes text = {0};

	if (!shell_take_arguments(shell, argc, argv, "+an", 1, -1, &arguments))
		return false;
	char *path = shell_path(shell, "write", arguments.operands[0]);
	if (!path)
		return false;
	bool good = make_text(&arguments, &text) || shell_complain(shell, "write", "out of memory");
	if (good && write_text(shell->fs, path, arguments.values['a'], &text) < 0)
		good = shell_complain_last(shell, "write");
	bytes_free(&text);
	free(path);
	return good;
}
