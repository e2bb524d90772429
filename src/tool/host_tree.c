/* SPDX-License-Identifier: MIT */
#include "host_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Append a string with its NUL to the tree's text. Returns false without memory. */
static bool add_text(struct host_tree *tree, const char *string, size_t *offset)
{
	*offset = tree->text.length;
	return bytes_append(&tree->text, string, strlen(string) + 1);
}

/* Write `directory`/`name` or, where the directory is "", `name`. */
static bool join(struct bytes *path, const char *directory, const char *name)
{
	size_t length = strlen(directory);

	path->length = 0;
	if (!bytes_append(path, directory, length))
		return false;
	if (length && directory[length - 1] != '/' && !bytes_append(path, "/", 1))
		return false;
	return bytes_append(path, name, strlen(name) + 1);
}

static bool add_file(struct host_tree *tree, size_t directory, const char *name, off_t size)
{
	struct host_file file = {.directory = directory};

	if (tree->file_count == UINT32_MAX || !add_text(tree, name, &file.name) ||
		!bytes_append(&tree->files, &file, sizeof file))
		return false;
	tree->file_count++;
	tree->bytes += (uint64_t)size;
	tree->non_empty += size > 0;
	return true;
}

static bool add_directory(struct host_tree *tree, const char *path)
{
	size_t offset;

	return add_text(tree, path, &offset) &&
		   bytes_append(&tree->directories, &offset, sizeof offset);
}

/* One entry of a directory that is open as `fd`. `path` is scratch, and names what fails. */
static enum host_tree_result scan_entry(struct host_tree *tree, size_t directory, int fd,
										const char *name, struct bytes *path)
{
	struct stat info;
	bool added = true;

	if (!join(path, (const char *)tree->text.data + directory, name))
		return HOST_TREE_NO_MEMORY;
	if (fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return HOST_TREE_UNREADABLE;
	if (S_ISREG(info.st_mode))
		added = add_file(tree, directory, name, info.st_size);
	else if (S_ISDIR(info.st_mode))
		added = add_directory(tree, (const char *)path->data);
	else
		tree->skipped++;
	return added ? HOST_TREE_DONE : HOST_TREE_NO_MEMORY;
}

static enum host_tree_result scan_directory(struct host_tree *tree, size_t directory,
											struct bytes *path)
{
	enum host_tree_result result = HOST_TREE_DONE;
	const char *name = (const char *)tree->text.data + directory;

	if (!join(path, "", name))
		return HOST_TREE_NO_MEMORY;
	DIR *stream = opendir(name);
	if (!stream)
		return HOST_TREE_UNREADABLE;
	while (result == HOST_TREE_DONE) {
		errno = 0;
		const struct dirent *entry = readdir(stream);
		if (!entry) {
			/* A failure is the directory's, not that of the entry before. */
			(void)join(path, "", (const char *)tree->text.data + directory);
			result = errno ? HOST_TREE_UNREADABLE : HOST_TREE_DONE;
			break;
		}
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			result = scan_entry(tree, directory, dirfd(stream), entry->d_name, path);
	}
	int saved = errno;
	(void)closedir(stream);
	errno = saved;
	return result;
}

/* The path that was given. */
static enum host_tree_result scan_start(struct host_tree *tree, const char *start,
										struct bytes *path)
{
	struct stat info;
	size_t no_directory;

	if (!join(path, "", start) || !add_text(tree, "", &no_directory))
		return HOST_TREE_NO_MEMORY;
	if (stat(start, &info) < 0)
		return HOST_TREE_UNREADABLE;
	if (S_ISDIR(info.st_mode))
		return add_directory(tree, start) ? HOST_TREE_DONE : HOST_TREE_NO_MEMORY;
	if (!S_ISREG(info.st_mode)) {
		errno = EINVAL;
		return HOST_TREE_UNREADABLE;
	}
	return add_file(tree, no_directory, start, info.st_size) ? HOST_TREE_DONE : HOST_TREE_NO_MEMORY;
}

enum host_tree_result host_tree_scan(struct host_tree *tree, const char *path,
									 host_tree_go_on *go_on, void *context, char **failed)
{
	struct bytes current = {0};
	enum host_tree_result result = scan_start(tree, path, &current);

	*failed = NULL;
	/* The list of directories is the queue: it grows as they are scanned. */
	for (size_t i = 0; result == HOST_TREE_DONE; i++) {
		if (i == tree->directories.length / sizeof(size_t))
			break;
		size_t directory = ((const size_t *)(const void *)tree->directories.data)[i];
		result = go_on(context) ? scan_directory(tree, directory, &current) : HOST_TREE_STOPPED;
	}
	if (result == HOST_TREE_UNREADABLE)
		*failed = (char *)current.data;
	else
		bytes_free(&current);
	return result;
}

bool host_tree_path(const struct host_tree *tree, uint32_t index, struct bytes *path)
{
	const struct host_file *file =
		&((const struct host_file *)(const void *)tree->files.data)[index];
	const char *text = (const char *)tree->text.data;

	return join(path, text + file->directory, text + file->name);
}

bool host_tree_is_one_file(const struct host_tree *tree)
{
	return tree->file_count == 1 && tree->directories.length == 0;
}

void host_tree_free(struct host_tree *tree)
{
	bytes_free(&tree->text);
	bytes_free(&tree->files);
	bytes_free(&tree->directories);
	*tree = (struct host_tree){0};
}
