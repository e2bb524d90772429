/* SPDX-License-Identifier: MIT */
/*
 * The regular files below a path of the host. Symbolic links are not followed, except the path
 * itself; what is neither file nor directory is counted and left out.
 */
#ifndef DMEMFS_TOOL_HOST_TREE_H
#define DMEMFS_TOOL_HOST_TREE_H

#include "bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A file: offsets of its directory's path and of its name in `text`. */
struct host_file {
	size_t directory;
	size_t name;
};

/** All zeros: no files. */
struct host_tree {
	struct bytes text;        /* paths and names, each ended by a NUL; "" stands for no directory */
	struct bytes files;       /* struct host_file each */
	struct bytes directories; /* offsets in `text`, size_t each */
	uint32_t file_count;
	uint64_t bytes;     /* sum of the files' sizes when they were found */
	uint64_t non_empty; /* files of more than 0 bytes */
	uint64_t skipped;   /* neither file nor directory */
};

/** Called before each directory. Returns false to stop. */
typedef bool host_tree_go_on(void *context);

enum host_tree_result {
	HOST_TREE_DONE,
	HOST_TREE_STOPPED,   /* `go_on` said so */
	HOST_TREE_NO_MEMORY, /* or more files than 32 bits count */
	HOST_TREE_UNREADABLE /* errno says why, *failed names what; to be freed */
};

/** Find the files at and below `path`. Whatever comes back, host_tree_free() frees the tree. */
enum host_tree_result host_tree_scan(struct host_tree *tree, const char *path,
									 host_tree_go_on *go_on, void *context, char **failed);

/** Write the path of file `index` to `path`, ended by a NUL. Returns false without memory. */
bool host_tree_path(const struct host_tree *tree, uint32_t index, struct bytes *path);

/** Was the path that of a file, which then is the only one? */
bool host_tree_is_one_file(const struct host_tree *tree);

void host_tree_free(struct host_tree *tree);

#endif
