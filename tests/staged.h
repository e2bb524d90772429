/* SPDX-License-Identifier: MIT */
/*
 * Imports in steps: trees told as text, staged, made in a workspace, and compared.
 *
 * A list such as "/d/f=text /d/e/" names files with what they hold, and directories, with a '/'
 * behind; parents need no mention. What makes and stages them asserts nothing, and ends the program
 * where it fails, so that any thread may do it.
 */
#ifndef DMEMFS_TESTS_STAGED_H
#define DMEMFS_TESTS_STAGED_H

#include "support.h"

#include "fs/filesystem.h"
#include "tree_text.h"

enum { PATH_ROOM = 64, TEXT_ROOM = 32 };

/** For what cannot fail, in any thread. */
#define must(condition)                                                                            \
	do {                                                                                           \
		if (!(condition)) {                                                                        \
			(void)fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition,      \
						  mfs_last_error());                                                       \
			abort();                                                                               \
		}                                                                                          \
	} while (0)

static inline int import_setup(void **state)
{
	return workspace_setup(state);
}

/** Whatever a test has done, the figures add up, and no import is left. */
static inline int import_teardown(void **state)
{
	return !mfs__validate(*state) || mfs_free(*state);
}

#define IMPORT_TEST(name) cmocka_unit_test_setup_teardown(name, import_setup, import_teardown)

/*
 * Trees as text
 */

struct node {
	char path[PATH_ROOM];
	char text[TEXT_ROOM];
	bool is_dir;
};

/** Take the first node off a list. Returns false at its end. */
static inline bool next_node(const char **list, struct node *node)
{
	while (**list == ' ')
		(*list)++;
	size_t length = strcspn(*list, " ");
	if (!length)
		return false;
	size_t path = strcspn(*list, "= ");
	node->is_dir = path == length;
	(void)snprintf(node->path, sizeof(node->path), "%.*s", (int)path, *list);
	(void)snprintf(node->text, sizeof(node->text), "%.*s",
				   node->is_dir ? 0 : (int)(length - path - 1),
				   *list + path + (node->is_dir ? 0 : 1));
	*list += length;
	return true;
}

static inline void make_parent(mfs *fs, const char *path)
{
	char parent[PATH_ROOM];
	const char *slash = strrchr(path, '/');

	(void)snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
	must(!mfs_mkdir(fs, parent, MFS_EXIST_OK));
}

/** Make nodes in the workspace, with the parents that are missing. */
static inline void make_live(mfs *fs, const char *list)
{
	struct node node;
	mfs_file *file;

	while (next_node(&list, &node)) {
		if (node.is_dir) {
			must(!mfs_mkdir(fs, node.path, MFS_EXIST_OK));
			continue;
		}
		make_parent(fs, node.path);
		must(!mfs_open(fs, node.path, "wb", &file));
		must(mfs_write(file, node.text, strlen(node.text)) == (int64_t)strlen(node.text));
		must(!mfs_close(file));
	}
}

/** Stage a file, in one write. */
static inline void stage(mfs_import *import, const char *path, const void *data, size_t size)
{
	mfs_file *file;

	must(!mfs_import_open(import, path, "wb", NULL, &file));
	must(mfs_write(file, data, size) == (int64_t)size);
	must(!mfs_close(file));
}

static inline void stage_text(mfs_import *import, const char *path, const char *text)
{
	stage(import, path, text, strlen(text));
}

static inline void make_staged(mfs_import *import, const char *list)
{
	struct node node;

	while (next_node(&list, &node)) {
		if (node.is_dir)
			must(!mfs_import_mkdir(import, node.path));
		else
			stage_text(import, node.path, node.text);
	}
}

/** The workspace's tree is what the list says, and no more. */
static inline void assert_holds(mfs *fs, const char *list)
{
	mfs *other = new_workspace(NULL);

	make_live(other, list);
	char *want = tree_text(other);
	assert_tree(fs, want);
	free(want);
	free_workspace(other);
}

static inline mfs_import *begin(mfs *fs)
{
	mfs_import *import = NULL;

	must(!mfs_import_begin(fs, &import) && import);
	return import;
}

static inline mfs_import *begin_with(mfs *fs, const char *list)
{
	mfs_import *import = begin(fs);

	make_staged(import, list);
	return import;
}

/** For the main thread. */
static inline mfs_file *open_staged(mfs_import *import, const char *path, const char *mode)
{
	mfs_file *file = NULL;

	assert_code(mfs_import_open(import, path, mode, NULL, &file), 0);
	assert_non_null(file);
	return file;
}

/** What an open answers; closes what it opened. */
static inline int try_staged(mfs_import *import, const char *path, const char *mode)
{
	mfs_file *file = NULL;
	int code = mfs_import_open(import, path, mode, NULL, &file);

	return code ? code : mfs_close(file);
}

static inline void assert_staged_text(mfs_import *import, const char *path, const char *text)
{
	mfs_file *file = open_staged(import, path, "rb");

	assert_handle_holds(file, text, strlen(text));
	close_file(file);
}

static inline void assert_clean(mfs *fs, const char *path)
{
	assert_int_equal(info_of(fs, path).generation, 0);
}

static inline unsigned char *random_bytes(size_t size, uint64_t seed)
{
	unsigned char *bytes = allocate(size);
	struct rng rng = {seed};

	rng_fill(&rng, bytes, size);
	return bytes;
}

/** The import has what the list says, to be opened and read. */
static inline void check_import(mfs_import *import, const char *list)
{
	struct node node;

	while (next_node(&list, &node)) {
		assert_code(try_staged(import, node.path, "rb"), node.is_dir ? MFS_EISDIR : 0);
		if (!node.is_dir)
			assert_staged_text(import, node.path, node.text);
	}
}

/*
 * What can be seen of a workspace
 */

static inline int64_t matches(mfs *fs, const char *pattern)
{
	char **paths = NULL;
	int64_t count = mfs_glob(fs, pattern, &paths);

	mfs_names_free(paths);
	return count;
}

static inline void assert_same_usage(mfs *one, mfs *other)
{
	mfs_usage a = usage_of(one);
	mfs_usage b = usage_of(other);

	assert_int_equal(a.used_bytes, b.used_bytes);
	assert_int_equal(a.live_bytes, b.live_bytes);
	assert_int_equal(a.metadata_bytes, b.metadata_bytes);
	assert_int_equal(a.chunks, b.chunks);
	assert_int_equal(a.files, b.files);
	assert_int_equal(a.directories, b.directories);
}

/*
 * Much
 */

/** A tree of many names, levels and bytes. */
static inline void stage_much(mfs_import *import, const unsigned char *bytes, size_t size)
{
	char path[PATH_ROOM + 64];

	for (int i = 0; i < 300; i++) {
		(void)snprintf(path, sizeof(path), "/much/%d/%d/some-name-%d", i % 7, i % 5, i);
		stage(import, path, bytes, size / (size_t)(i + 1));
	}
	(void)snprintf(path, sizeof(path), "/much/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16");
	must(!mfs_import_mkdir(import, path));
}

#endif
