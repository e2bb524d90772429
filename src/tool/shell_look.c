/* SPDX-License-Identifier: MIT */
/* Commands that look at a file or a directory by itself, or at the workspace. */
#include "shell_commands.h"
#include "shell_interrupt.h"
#include "shell_path.h"
#include "size.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What cat writes at once, between two looks for a signal. */
#define CAT_PIECE ((int64_t)1 << 20)

static bool print_file(const struct shell *shell, const char *path)
{
	mfs_file *file = NULL;
	int64_t offset = 0;
	int64_t count = mfs_open(shell->fs, path, "rb", &file);

	if (count < 0)
		return shell_complain_last(shell, "cat");
	do {
		count = mfs_read_to_fd(file, offset, CAT_PIECE, STDOUT_FILENO);
		offset += count;
	} while (count > 0 && !shell_interrupted());
	if (count < 0)
		(void)shell_complain_last(shell, "cat");
	(void)mfs_close(file);
	return count == 0;
}

bool shell_cat(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;
	bool good = true;

	if (!shell_take_arguments(shell, argc, argv, "", 1, -1, &arguments))
		return false;
	/* The files go past the stream. */
	if (fflush(stdout) == EOF)
		return shell_complain(shell, "cat", "standard output: %s", strerror(errno));
	for (int i = 0; i < arguments.count && !shell_interrupted(); i++) {
		char *path = shell_path(shell, "cat", arguments.operands[i]);
		good = path && print_file(shell, path) && good;
		free(path);
	}
	return good;
}

bool shell_cd(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;
	mfs_info info;

	if (!shell_take_arguments(shell, argc, argv, "", 0, 1, &arguments))
		return false;
	char *path = shell_path(shell, "cd", arguments.count ? arguments.operands[0] : "/");
	if (!path)
		return false;
	if (mfs_stat(shell->fs, path, &info) < 0) {
		free(path);
		return shell_complain_last(shell, "cd");
	}
	if (!info.is_dir) {
		(void)shell_complain(shell, "cd", "%s: not a directory", path);
		free(path);
		return false;
	}
	free(shell->directory);
	shell->directory = path;
	return true;
}

bool shell_pwd(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;

	if (!shell_take_arguments(shell, argc, argv, "", 0, 0, &arguments))
		return false;
	shell_print_name(shell, shell->directory);
	(void)putchar('\n');
	return true;
}

/*
 * ls
 */

/* How ls shows things. */
struct listing {
	const struct shell *shell;
	bool all;
	bool units;
	bool long_form;
};

static void list_entry(const struct listing *listing, const char *name, const mfs_info *info)
{
	if (listing->long_form) {
		if (info->is_dir)
			(void)printf("d %12s  ", "-");
		else if (listing->units)
			(void)printf("- %12s  ", size_format((uint64_t)info->size).text);
		else
			(void)printf("- %12" PRId64 "  ", info->size);
		shell_print_time(info->modified_at, false);
		(void)fputs("  ", stdout);
	}
	shell_print_name(listing->shell, name);
	(void)puts(info->is_dir && strcmp(name, "/") != 0 ? "/" : "");
}

static bool list_directory(const struct listing *listing, const char *path)
{
	mfs_dir *dir = NULL;
	mfs_entry entry;

	if (mfs_opendir(listing->shell->fs, path, &dir) < 0)
		return shell_complain_last(listing->shell, "ls");
	while (mfs_readdir(dir, &entry) > 0 && !shell_interrupted())
		if (listing->all || *entry.name != '.')
			list_entry(listing, entry.name, &entry.info);
	(void)mfs_closedir(dir);
	return true;
}

/* List an argument if it is a file, or if it is a directory, as `directories` says. */
static bool list_argument(const struct listing *listing, const char *argument, bool directories,
						  bool with_title, bool *printed)
{
	char *path = shell_path(listing->shell, "ls", argument);
	mfs_info info;
	bool good = true;

	if (!path)
		return false;
	if (mfs_stat(listing->shell->fs, path, &info) < 0) {
		/* Complained about once. */
		good = directories || shell_complain_last(listing->shell, "ls");
	} else if (info.is_dir == directories) {
		if (!directories)
			list_entry(listing, argument, &info);
		if (directories && with_title) {
			(void)fputs(*printed ? "\n" : "", stdout);
			shell_print_name(listing->shell, argument);
			(void)puts(":");
		}
		*printed = true;
		good = !directories || list_directory(listing, path);
	}
	free(path);
	return good;
}

bool shell_ls(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;
	bool printed = false;
	bool good = true;

	if (!shell_take_arguments(shell, argc, argv, "ahl", 0, -1, &arguments))
		return false;
	struct listing listing = {shell, arguments.values['a'], arguments.values['h'],
							  arguments.values['l']};
	if (!arguments.count)
		return list_argument(&listing, ".", true, false, &printed);
	/* Files first, then what is in the directories. */
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < arguments.count && !shell_interrupted(); i++)
			good = list_argument(&listing, arguments.operands[i], pass == 1, arguments.count > 1,
								 &printed) &&
				   good;
	return good;
}

/*
 * stat and stats
 */

static void print_stat(const struct shell *shell, const char *path, const mfs_info *info)
{
	shell_print_name(shell, path);
	(void)printf("\n  kind        %s\n", info->is_dir ? "directory" : "file");
	if (!info->is_dir)
		(void)printf("  size        %" PRId64 "\n  generation  %" PRIu64 "\n", info->size,
					 info->generation);
	(void)fputs("  modified    ", stdout);
	shell_print_time(info->modified_at, true);
	(void)fputs("\n  created     ", stdout);
	shell_print_time(info->created_at, true);
	(void)printf("\n  inode       %" PRIu64 "\n", info->inode);
}

bool shell_stat(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;
	bool good = true;

	if (!shell_take_arguments(shell, argc, argv, "", 1, -1, &arguments))
		return false;
	for (int i = 0; i < arguments.count; i++) {
		mfs_info info;
		char *path = shell_path(shell, "stat", arguments.operands[i]);
		if (!path)
			good = false;
		else if (mfs_stat(shell->fs, path, &info) < 0)
			good = shell_complain_last(shell, "stat");
		else
			print_stat(shell, path, &info);
		free(path);
	}
	return good;
}

static void print_bytes(const char *what, uint64_t bytes)
{
	(void)printf("%-14s %20" PRIu64 "  %s\n", what, bytes, size_format(bytes).text);
}

static void print_count(const char *what, uint64_t count)
{
	(void)printf("%-14s %20" PRIu64 "\n", what, count);
}

bool shell_stats(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;
	mfs_usage usage;

	if (!shell_take_arguments(shell, argc, argv, "", 0, 0, &arguments))
		return false;
	if (mfs_stats(shell->fs, &usage) < 0)
		return shell_complain_last(shell, "stats");
	print_bytes("quota", usage.quota_bytes);
	print_bytes("used", usage.used_bytes);
	print_bytes("free", usage.free_bytes);
	print_bytes("peak", usage.peak_bytes);
	print_bytes("reserved", usage.reserved_bytes);
	print_bytes("metadata", usage.metadata_bytes);
	print_count("files", usage.files);
	print_count("directories", usage.directories);
	if (usage.max_nodes)
		print_count("limit of both", usage.max_nodes);
	print_count("chunks", usage.chunks);
	print_bytes("each charged", usage.chunk_overhead);
	print_count("open handles", usage.open_handles);
	print_count("waiting", usage.waiters);
	print_bytes("retired", usage.retired_bytes);
	print_bytes("idle", usage.idle_bytes);
	return true;
}
