/* SPDX-License-Identifier: MIT */
/*
 * A workspace's tree as text: to compare the tree before and after a call, and to print both when
 * they differ. Made from listings, so that it does not depend on the library's own walks.
 *
 * A line for each node, a directory before what is in it: "/d/" for a directory, "/d/f 7 content"
 * for a file, with its size and its first bytes, and a hash of its bytes when it has more.
 */
#ifndef DMEMFS_TESTS_TREE_TEXT_H
#define DMEMFS_TESTS_TREE_TEXT_H

#include "support.h"

/* Text that grows. */
struct text {
	char *bytes; /* terminated; NULL: none yet */
	size_t length;
	size_t size;
};

static inline void text_append(struct text *text, const char *bytes, size_t length)
{
	if (text->size < text->length + length + 1) {
		text->size = 2 * (text->length + length + 1);
		text->bytes = realloc(text->bytes, text->size);
		assert_non_null(text->bytes);
	}
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
	text->bytes[text->length] = '\0';
}

static inline void text_add(struct text *text, const char *string)
{
	text_append(text, string, strlen(string));
}

/** FNV-1a: short, and good enough to tell contents apart. */
static inline uint64_t hash_bytes(const unsigned char *bytes, size_t size)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/** Paths that are still to be looked at; the one that was added last comes first. */
struct paths {
	char **items;
	size_t count;
	size_t size;
};

static inline void paths_push(struct paths *paths, char *path)
{
	if (paths->count == paths->size) {
		paths->size = 2 * paths->size + 16;
		paths->items = realloc(paths->items, paths->size * sizeof(*paths->items));
		assert_non_null(paths->items);
	}
	paths->items[paths->count++] = path;
}

static inline char *paths_pop(struct paths *paths)
{
	return paths->items[--paths->count];
}

static inline void paths_free(struct paths *paths)
{
	while (paths->count > 0)
		free(paths_pop(paths));
	free(paths->items);
}

/** "directory/name" in a block of its own; `directory` is "" for the root. */
static inline char *joined(const char *directory, const char *name)
{
	size_t length = strlen(directory);
	size_t size = length + strlen(name) + 2;
	char *path = allocate(size);

	memcpy(path, directory, length);
	path[length] = '/';
	memcpy(path + length + 1, name, size - length - 1);
	return path;
}

/** The rest of a file's line. A file that a handle holds for writing shows its size only. */
static inline void text_add_file(struct text *text, mfs *fs, const char *path, size_t size)
{
	enum { SHOWN = 24 };
	unsigned char *bytes = allocate(size + 1);
	mfs_file *file = NULL;
	char line[96];
	int code = open_with(fs, path, "rb", 0, MFS_NO_WAIT, &file);

	(void)snprintf(line, sizeof(line), " %zu ", size);
	text_add(text, line);
	if (code == MFS_EBUSY) {
		text_add(text, "(held)");
	} else {
		assert_code(code, 0);
		assert_code(mfs_pread(file, bytes, size + 1, 0), size);
		close_file(file);
		for (size_t i = 0; i < size && i < SHOWN; i++) {
			bool plain = bytes[i] >= ' ' && bytes[i] < 0x7f;

			text_append(text, plain ? (const char *)&bytes[i] : ".", 1);
		}
		(void)snprintf(line, sizeof(line), " #%llx", (unsigned long long)hash_bytes(bytes, size));
		if (size > SHOWN)
			text_add(text, line);
	}
	free(bytes);
}

/** The tree below the root, to be freed with free(). For small trees. */
static inline char *tree_text(mfs *fs)
{
	struct text text = {.bytes = NULL};
	struct paths paths = {.items = NULL};

	paths_push(&paths, joined("", ""));
	while (paths.count > 0) {
		char *path = paths_pop(&paths);
		bool is_root = strcmp(path, "/") == 0;
		mfs_info info = info_of(fs, path);

		text_add(&text, path);
		if (!info.is_dir) {
			text_add_file(&text, fs, path, (size_t)info.size);
		} else {
			char **names = NULL;
			int64_t count = mfs_listdir(fs, path, &names);

			assert_true(count >= 0);
			if (!is_root)
				text_add(&text, "/");
			for (int64_t i = count - 1; i >= 0; i--)
				paths_push(&paths, joined(is_root ? "" : path, names[i]));
			mfs_names_free(names);
		}
		text_add(&text, "\n");
		free(path);
	}
	paths_free(&paths);
	return text.bytes;
}

/** The tree and the counters at one time. */
struct snapshot {
	char *tree;
	mfs_usage usage;
};

static inline struct snapshot take_snapshot(mfs *fs)
{
	return (struct snapshot){tree_text(fs), usage_of(fs)};
}

/** Is everything as it was? The figures that only grow, or come back late, are left out. */
static inline void support__check_unchanged(mfs *fs, const struct snapshot *before,
											const char *file, int line)
{
	struct snapshot now = take_snapshot(fs);
	bool same = strcmp(now.tree, before->tree) == 0;

	if (!same)
		print_error("the tree was\n%s\nand is now\n%s\n", before->tree, now.tree);
	free(now.tree);
	if (!same)
		_fail(file, line);
	support__check_code((int64_t)now.usage.used_bytes, (int64_t)before->usage.used_bytes,
						"used_bytes", file, line);
	support__check_code((int64_t)now.usage.files, (int64_t)before->usage.files, "files", file,
						line);
	support__check_code((int64_t)now.usage.directories, (int64_t)before->usage.directories,
						"directories", file, line);
	support__check_code((int64_t)now.usage.chunks, (int64_t)before->usage.chunks, "chunks", file,
						line);
	support__check_code((int64_t)now.usage.open_handles, (int64_t)before->usage.open_handles,
						"open_handles", file, line);
}

#define assert_unchanged(fs, before) support__check_unchanged(fs, before, __FILE__, __LINE__)

static inline void drop_snapshot(struct snapshot *snapshot)
{
	free(snapshot->tree);
	snapshot->tree = NULL;
}

static inline void support__check_tree(mfs *fs, const char *want, const char *file, int line)
{
	char *tree = tree_text(fs);
	bool same = strcmp(tree, want) == 0;

	if (!same)
		print_error("the tree is\n%s\nand should be\n%s\n", tree, want);
	free(tree);
	if (!same)
		_fail(file, line);
}

/** The tree is exactly this text. */
#define assert_tree(fs, want) support__check_tree(fs, want, __FILE__, __LINE__)

#endif
