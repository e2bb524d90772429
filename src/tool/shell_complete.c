/* SPDX-License-Identifier: MIT */
#include "shell_complete.h"

#include "bytes.h"
#include "shell_commands.h"
#include "shell_escape.h"
#include "shell_path.h"
#include "shell_words.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool add_name(struct shell_completion *completion, const char *name, bool is_directory)
{
	/* Doubled each time that the count is a power of 2. */
	if ((completion->count & (completion->count - 1)) == 0) {
		size_t room = completion->count ? 2 * completion->count : 1;
		char **grown = reallocarray(completion->names, room, sizeof *grown);
		if (!grown)
			return false;
		completion->names = grown;
	}
	char **place = &completion->names[completion->count];
	if (asprintf(place, "%s%s", name, is_directory ? "/" : "") < 0)
		return false;
	completion->count++;
	return true;
}

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static bool add_commands(struct shell_completion *completion, const char *start)
{
	const struct shell_command *command;

	for (size_t i = 0; (command = shell_command_at(i)); i++)
		if (starts_with(command->name, start) && !add_name(completion, command->name, false))
			return false;
	return true;
}

/* Add the names of a directory that go on as `start`. */
static bool add_paths(struct shell *shell, struct shell_completion *completion,
					  const char *directory, const char *start, bool only_directories)
{
	mfs_dir *dir = NULL;
	mfs_entry entry;
	bool good = true;

	/* What cannot be read has no candidates. */
	if (mfs_opendir(shell->fs, directory, &dir) < 0)
		return true;
	while (good && mfs_readdir(dir, &entry) > 0) {
		bool hidden = *entry.name == '.' && *start != '.';
		if (starts_with(entry.name, start) && !hidden && (entry.info.is_dir || !only_directories))
			good = add_name(completion, entry.name, entry.info.is_dir);
	}
	(void)mfs_closedir(dir);
	return good;
}

/* How many bytes all candidates begin with, without a part of a character. */
static size_t shared_length(const struct shell_completion *completion)
{
	const char *first = completion->names[0];
	size_t length = strlen(first);
	size_t whole = 0;

	for (size_t i = 1; i < completion->count; i++) {
		size_t same = 0;
		while (same < length && first[same] == completion->names[i][same])
			same++;
		length = same;
	}
	while (whole < length) {
		size_t next = whole + shell_character_length(first + whole);
		if (next > length)
			break;
		whole = next;
	}
	return whole;
}

/* Write what is to stand in the place of the word, of which `kept` bytes stay. */
static bool make_word(struct shell_completion *completion, const struct shell_partial *partial,
					  size_t kept)
{
	struct bytes whole = {0};
	struct bytes quoted = {0};
	const char *first = completion->names[0];
	size_t shared = shared_length(completion);
	bool is_path = partial->command != NULL;
	bool good = true;

	/* A name is not to be taken for an option. */
	if (is_path && !kept && *first == '-' && shared && *partial->text != '-')
		good = bytes_append(&whole, "./", 2);
	good = good && bytes_append(&whole, partial->text, kept) &&
		   bytes_append(&whole, first, shared) && bytes_append(&whole, "", 1);
	completion->has_more = good && strcmp((const char *)whole.data, partial->text) != 0;
	good = good && (whole.length == 1 ? bytes_append(&quoted, "", 1)
									  : shell_append_quoted(&quoted, (const char *)whole.data));
	bool is_done = completion->count == 1 && first[strlen(first) - 1] != '/';
	if (good && is_done)
		good = bytes_append(&quoted, " ", 2);
	completion->has_more = completion->has_more || is_done;
	bytes_free(&whole);
	if (!good) {
		bytes_free(&quoted);
		return false;
	}
	completion->word = (char *)quoted.data;
	return true;
}

static int compare_names(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

/* Add the names of a directory of the host that go on as `start`. */
static bool add_host_paths(struct shell_completion *completion, const char *directory,
						   const char *start)
{
	DIR *stream = opendir(directory);
	const struct dirent *entry;
	bool good = true;

	if (!stream)
		return true;
	while (good && (entry = readdir(stream))) {
		struct stat info;
		if (!starts_with(entry->d_name, start) || (*entry->d_name == '.' && *start != '.'))
			continue;
		bool is_directory =
			fstatat(dirfd(stream), entry->d_name, &info, 0) == 0 && S_ISDIR(info.st_mode);
		good = add_name(completion, entry->d_name, is_directory);
	}
	(void)closedir(stream);
	if (completion->count)
		qsort(completion->names, completion->count, sizeof *completion->names, compare_names);
	return good;
}

/* Does the word name something of the host? */
static bool is_of_host(const struct shell_partial *partial)
{
	static const char *const commands[] = {"load", "mount", "put", "save"};

	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (strcmp(partial->command, commands[i]) == 0)
			return partial->index == 1;
	return strcmp(partial->command, "get") == 0 && partial->index == 2;
}

/* *kept is how many bytes of the word are the directory in which the candidates are. */
static bool find_candidates(struct shell *shell, struct shell_completion *completion,
							const struct shell_partial *partial, size_t *kept)
{
	const char *slash = strrchr(partial->text, '/');
	const char *command = partial->command;
	const char *complaint;
	char *path = NULL;

	if (!command || strcmp(command, "help") == 0)
		return add_commands(completion, partial->text);
	*kept = slash ? (size_t)(slash + 1 - partial->text) : 0;
	const char *name = partial->text + *kept;
	char *directory = *kept ? strndup(partial->text, *kept) : strdup(".");
	bool good = directory != NULL;
	if (good && is_of_host(partial)) {
		good = add_host_paths(completion, directory, name);
	} else if (good) {
		bool only_directories = strcmp(command, "cd") == 0 || strcmp(command, "rmdir") == 0;
		path = shell_resolve(shell, directory, &complaint);
		good = path && add_paths(shell, completion, path, name, only_directories);
	}
	free(path);
	free(directory);
	return good;
}

bool shell_complete(struct shell *shell, const char *line, size_t length,
					struct shell_completion *out)
{
	struct shell_partial partial;
	size_t kept = 0;

	*out = (struct shell_completion){0};
	if (!shell_split_partial(line, length, &partial))
		return false;
	out->start = partial.start;
	bool good = find_candidates(shell, out, &partial, &kept) && out->count &&
				make_word(out, &partial, kept);
	shell_partial_free(&partial);
	if (!good)
		shell_completion_free(out);
	return good;
}

void shell_completion_free(struct shell_completion *completion)
{
	for (size_t i = 0; i < completion->count; i++)
		free(completion->names[i]);
	free(completion->names);
	free(completion->word);
	*completion = (struct shell_completion){0};
}
