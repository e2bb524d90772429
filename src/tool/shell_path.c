/* SPDX-License-Identifier: MIT */
#include "shell_path.h"

#include "bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_slash(char byte)
{
	return byte == '/' || byte == '\\';
}

/* The length of the component at `text`. */
static size_t component_length(const char *text)
{
	size_t length = 0;

	while (text[length] && !is_slash(text[length]))
		length++;
	return length;
}

static bool is_dot(const char *text, size_t length)
{
	return length == 1 && *text == '.';
}

static bool is_dot_dot(const char *text, size_t length)
{
	return length == 2 && text[0] == '.' && text[1] == '.';
}

char *shell_resolve(const struct shell *shell, const char *argument, const char **complaint)
{
	struct bytes path = {0};
	const char *at = argument;

	*complaint = "out of memory";
	/* The root is without a slash until the end. */
	if (!is_slash(*argument) && shell->directory[1] &&
		!bytes_append(&path, shell->directory, strlen(shell->directory)))
		goto fail;
	while (*at) {
		size_t length = component_length(at);
		if (is_dot_dot(at, length)) {
			if (!path.length) {
				*complaint = "climbs above the root";
				goto fail;
			}
			while (path.data[--path.length] != '/')
				continue;
		} else if (length && !is_dot(at, length) &&
				   (!bytes_append(&path, "/", 1) || !bytes_append(&path, at, length))) {
			goto fail;
		}
		at += length;
		while (is_slash(*at))
			at++;
	}
	if ((path.length || bytes_append(&path, "/", 1)) && bytes_append(&path, "", 1))
		return (char *)path.data;
fail:
	bytes_free(&path);
	return NULL;
}

char *shell_path(const struct shell *shell, const char *command, const char *argument)
{
	const char *complaint;

	if (!*argument) {
		(void)shell_complain(shell, command, "a path is empty");
		return NULL;
	}
	char *path = shell_resolve(shell, argument, &complaint);
	if (!path)
		(void)shell_complain(shell, command, "%s: %s", argument, complaint);
	return path;
}

const char *shell_base_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

bool shell_is_within(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	if (length == 1)
		return true;
	return strncmp(path, directory, length) == 0 && (!path[length] || path[length] == '/');
}

char *shell_destination(const struct shell *shell, const char *command, const char *argument,
						const char *name)
{
	char *path = shell_path(shell, command, argument);
	char *below = NULL;

	if (!path || !*name)
		return path;
	if (!mfs_is_dir(shell->fs, path)) {
		if (!is_slash(argument[strlen(argument) - 1]))
			return path;
		(void)shell_complain(shell, command, "%s: no such directory", argument);
	} else if (asprintf(&below, "%s/%s", path[1] ? path : "", name) < 0) {
		below = NULL;
		(void)shell_complain(shell, command, "out of memory");
	}
	free(path);
	return below;
}

char *shell_argument_name(const char *argument)
{
	size_t end = strlen(argument);
	size_t start;

	while (end && argument[end - 1] == '/')
		end--;
	for (start = end; start && argument[start - 1] != '/'; start--)
		continue;
	const char *name = argument + start;
	size_t length = end - start;
	return is_dot(name, length) || is_dot_dot(name, length) ? strdup("") : strndup(name, length);
}

/*
 * Wildcards
 */

bool shell_append_literal(struct bytes *pattern, const char *path)
{
	for (; *path; path++) {
		bool special = strchr("*?[", *path) != NULL;
		if ((special && !bytes_append(pattern, "[", 1)) || !bytes_append(pattern, path, 1) ||
			(special && !bytes_append(pattern, "]", 1)))
			return false;
	}
	return true;
}

/* An absolute path as the user would write it, to be freed. */
static char *as_argument(const struct shell *shell, const char *path, bool relative)
{
	size_t length = shell->directory[1] ? strlen(shell->directory) : 0;

	if (!relative || !shell_is_within(path, shell->directory))
		return strdup(path);
	path += length;
	if (*path == '/')
		path++;
	if (!*path)
		return strdup(".");
	if (*path != '-')
		return strdup(path);
	char *safe = NULL;
	return asprintf(&safe, "./%s", path) < 0 ? NULL : safe;
}

long shell_matches(const struct shell *shell, const char *command, const char *pattern,
				   char ***paths)
{
	struct bytes whole = {0};
	bool relative = !is_slash(*pattern);
	char **found = NULL;
	char **result = NULL;
	long count = 0;

	*paths = NULL;
	if ((relative &&
		 (!shell_append_literal(&whole, shell->directory) || !bytes_append(&whole, "/", 1))) ||
		!bytes_append(&whole, pattern, strlen(pattern) + 1))
		goto no_memory;
	int64_t matches = mfs_glob(shell->fs, (const char *)whole.data, &found);
	if (matches < 0) {
		bytes_free(&whole);
		(void)shell_complain_last(shell, command);
		return -1;
	}
	result = calloc((size_t)matches + 1, sizeof *result);
	if (!result)
		goto no_memory;
	for (; count < matches; count++) {
		result[count] = as_argument(shell, found[count], relative);
		if (!result[count])
			goto no_memory;
	}
	mfs_names_free(found);
	bytes_free(&whole);
	*paths = result;
	return count;
no_memory:
	mfs_names_free(found);
	bytes_free(&whole);
	if (result)
		shell_matches_free(result, count);
	(void)shell_complain(shell, command, "out of memory");
	return -1;
}

void shell_matches_free(char **paths, long count)
{
	for (long i = 0; i < count; i++)
		free(paths[i]);
	free(paths);
}
