/* SPDX-License-Identifier: MIT */
/* Does a node stand for the file or directory itself, whatever its name is? */
#include "support.h"

static mfs_node *root_node(mfs *fs)
{
	mfs_node *node = NULL;

	assert_code(mfs_node_root(fs, &node), 0);
	assert_non_null(node);
	return node;
}

static mfs_node *node_of(mfs_node *base, const char *path)
{
	mfs_node *node = NULL;

	assert_code(mfs_node_get(base, path, &node), 0);
	assert_non_null(node);
	return node;
}

/* The node of a path from the root. */
static mfs_node *node_at(mfs *fs, const char *path)
{
	mfs_node *root = root_node(fs);
	mfs_node *node = node_of(root, path);

	assert_code(mfs_node_put(root), 0);
	return node;
}

static void put(mfs_node *node)
{
	assert_code(mfs_node_put(node), 0);
}

static mfs_info node_info(mfs_node *node, int named)
{
	mfs_info info;

	assert_code(mfs_node_stat(node, &info), named);
	return info;
}

static uint64_t inode_of(mfs *fs, const char *path)
{
	return info_of(fs, path).inode;
}

static void paths_start_at_the_node(void **state)
{
	mfs *fs = *state;
	mfs_info info;

	assert_code(mfs_mkdir(fs, "/a/b/c", 0), 0);
	make_file(fs, "/a/b/c/file", "bytes", 5);
	mfs_node *a = node_at(fs, "/a");
	mfs_node *b = node_of(a, "b");
	assert_code(mfs_stat_at(b, "c/file", &info), 0);
	assert_code(info.size, 5);
	/* With a separator in front, too. */
	assert_code(mfs_stat_at(b, "/c/../c/./file", &info), 0);
	assert_code(mfs_stat_at(b, "", &info), 0);
	assert_true(info.is_dir);
	assert_true(info.inode == inode_of(fs, "/a/b"));
	assert_refused(fs, mfs_stat_at(b, "..", &info), MFS_EINVAL);
	assert_refused(fs, mfs_stat_at(b, "c/../../b", &info), MFS_EINVAL);
	assert_refused(fs, mfs_stat_at(b, "missing", &info), MFS_ENOENT);
	assert_refused(fs, mfs_stat_at(b, "c/file/more", &info), MFS_ENOTDIR);
	put(b);
	put(a);
}

static void everything_is_done_from_a_node(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;
	mfs_dir *dir = NULL;
	mfs_entry entry;

	assert_code(mfs_mkdir(fs, "/base", 0), 0);
	assert_code(mfs_mkdir(fs, "/other", 0), 0);
	mfs_node *base = node_at(fs, "/base");
	mfs_node *other = node_at(fs, "/other");
	assert_code(mfs_mkdir_at(base, "x/y", 0), 0);
	assert_refused(fs, mfs_mkdir_at(base, "x/y", 0), MFS_EEXIST);
	assert_code(mfs_mkdir_at(base, "x/y", MFS_EXIST_OK), 0);
	assert_code(mfs_mkdir_at(base, "", MFS_EXIST_OK), 0);
	assert_code(mfs_open_at(base, "x/y/file", "xb", NULL, &file), 0);
	assert_code(mfs_write(file, "abc", 3), 3);
	assert_code(mfs_close(file), 0);
	assert_code(mfs_get_size(fs, "/base/x/y/file"), 3);
	assert_code(mfs_rename_at(base, "x/y/file", other, "moved", 0), 0);
	assert_code(mfs_get_size(fs, "/other/moved"), 3);
	assert_code(mfs_opendir_at(other, "", &dir), 0);
	assert_code(mfs_readdir(dir, &entry), 1);
	assert_string_equal(entry.name, "moved");
	assert_true(entry.info.inode == inode_of(fs, "/other/moved"));
	assert_code(mfs_readdir(dir, &entry), 0);
	assert_code(mfs_closedir(dir), 0);
	assert_code(mfs_set_modified_at(other, "moved", -5), 0);
	assert_code(info_of(fs, "/other/moved").modified_at, -5);
	assert_code(mfs_remove_at(other, "moved", 0), 0);
	assert_false(mfs_exists(fs, "/other/moved"));
	put(other);
	put(base);
}

static void a_node_goes_with_what_it_stands_for(void **state)
{
	mfs *fs = *state;
	mfs_info info;

	assert_code(mfs_mkdir(fs, "/a/b", 0), 0);
	make_file(fs, "/a/b/file", "x", 1);
	mfs_node *b = node_at(fs, "/a/b");
	mfs_node *file = node_of(b, "file");
	assert_code(mfs_move(fs, "/a/b", "/elsewhere/deep/c", 0), 0);
	assert_code(mfs_stat_at(b, "file", &info), 0);
	assert_code(mfs_mkdir_at(b, "new", 0), 0);
	assert_true(mfs_is_dir(fs, "/elsewhere/deep/c/new"));
	/* Another one of the old name is another one. */
	assert_code(mfs_mkdir(fs, "/a/b", 0), 0);
	assert_code(mfs_stat_at(b, "file", &info), 0);
	assert_false(inode_of(fs, "/a/b") == node_info(b, 1).inode);
	assert_code(mfs_rename(fs, "/elsewhere/deep/c/file", "/renamed", 0), 0);
	assert_true(node_info(file, 1).inode == inode_of(fs, "/renamed"));
	assert_refused(fs, mfs_stat_at(b, "file", &info), MFS_ENOENT);
	put(file);
	put(b);
}

static void a_node_of_what_was_removed_refuses(void **state)
{
	mfs *fs = *state;
	mfs_info info;
	mfs_file *file = NULL;
	mfs_dir *dir = NULL;
	mfs_node *node = NULL;

	assert_code(mfs_mkdir(fs, "/top/a/b", 0), 0);
	make_file(fs, "/top/a/b/file", "1234", 4);
	mfs_node *root = root_node(fs);
	mfs_node *a = node_at(fs, "/top/a");
	mfs_node *b = node_at(fs, "/top/a/b");
	mfs_node *gone = node_at(fs, "/top/a/b/file");
	assert_code(mfs_rmtree(fs, "/top"), 0);
	mfs_node *const nodes[] = {a, b};
	for (size_t i = 0; i < COUNT_OF(nodes); i++) {
		assert_code(mfs_node_stat(nodes[i], &info), 0);
		assert_true(info.is_dir);
		assert_refused(fs, mfs_stat_at(nodes[i], "", &info), MFS_ENOENT);
		assert_refused(fs, mfs_stat_at(nodes[i], "b", &info), MFS_ENOENT);
		assert_refused(fs, mfs_node_get(nodes[i], "", &node), MFS_ENOENT);
		assert_refused(fs, mfs_mkdir_at(nodes[i], "new", 0), MFS_ENOENT);
		assert_refused(fs, mfs_mkdir_at(nodes[i], "", MFS_EXIST_OK), MFS_ENOENT);
		assert_refused(fs, mfs_open_at(nodes[i], "new", "wb", NULL, &file), MFS_ENOENT);
		assert_refused(fs, mfs_opendir_at(nodes[i], "", &dir), MFS_ENOENT);
		assert_refused(fs, mfs_remove_at(nodes[i], "b", 0), MFS_ENOENT);
		assert_refused(fs, mfs_rename_at(nodes[i], "b", root, "b", 0), MFS_ENOENT);
		assert_refused(fs, mfs_set_modified_at(nodes[i], "", 1), MFS_ENOENT);
	}
	assert_code(mfs_mkdir(fs, "/dir", 0), 0);
	assert_refused(fs, mfs_rename_at(root, "dir", a, "dir", 0), MFS_ENOENT);
	assert_code(mfs_node_stat(gone, &info), 0);
	assert_code(info.size, 4);
	assert_refused(fs, mfs_open_at(gone, "", "rb", NULL, &file), MFS_ENOENT);
	assert_code(used_bytes(fs), 0);
	put(gone);
	put(b);
	put(a);
	put(root);
}

static void a_file_is_opened_by_its_node(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;
	mfs_open_options shared = {.struct_size = sizeof shared, .flags = MFS_O_SHARED};
	char bytes[8];

	make_file(fs, "/file", "old", 3);
	mfs_node *node = node_at(fs, "/file");
	assert_code(mfs_rename(fs, "/file", "/other", 0), 0);
	assert_code(mfs_open_at(node, "", "rb", NULL, &file), 0);
	assert_code(mfs_read(file, bytes, sizeof bytes), 3);
	/* It is a holder like any other. */
	assert_refused(fs, mfs_remove(fs, "/other"), MFS_EBUSY);
	assert_code(mfs_close(file), 0);
	assert_code(mfs_open_at(node, "", "wb", NULL, &file), 0);
	assert_code(mfs_write(file, "new!", 4), 4);
	assert_code(mfs_close(file), 0);
	assert_code(mfs_open_at(node, "", "r+b", &shared, &file), 0);
	assert_code(mfs_remove(fs, "/other"), 0);
	assert_code(mfs_read(file, bytes, sizeof bytes), 4);
	assert_code(mfs_pwrite(file, "longer", 6, 0), 6);
	assert_code(node_info(node, 0).size, 6);
	assert_code(mfs_close(file), 0);
	assert_refused(fs, mfs_open_at(node, "", "rb", &shared, &file), MFS_ENOENT);
	put(node);
}

static void an_open_file_has_a_node(void **state)
{
	mfs *fs = *state;
	mfs_node *node = NULL;
	mfs_file *file = NULL;
	mfs_import *import = NULL;

	file = open_file(fs, "/file", "xb");
	assert_code(mfs_file_node(file, &node), 0);
	assert_code(mfs_write(file, "abc", 3), 3);
	assert_code(mfs_close(file), 0);
	assert_code(node_info(node, 1).size, 3);
	assert_true(node_info(node, 1).inode == inode_of(fs, "/file"));
	put(node);
	/* Also when it has no name any more. */
	assert_code(open_with(fs, "/file", "r+b", MFS_O_SHARED, 0, &file), 0);
	assert_code(mfs_remove(fs, "/file"), 0);
	assert_code(mfs_file_node(file, &node), 0);
	assert_code(mfs_write(file, "longer", 6), 6);
	assert_code(node_info(node, 0).size, 6);
	assert_code(mfs_close(file), 0);
	assert_code(used_bytes(fs), 0);
	put(node);
	assert_refused(fs, mfs_file_node(file, &node), MFS_EBADF);
	assert_null(node);
	assert_code(mfs_import_begin(fs, &import), 0);
	assert_code(mfs_import_open(import, "/new", "wb", NULL, &file), 0);
	assert_refused(fs, mfs_file_node(file, &node), MFS_ENOTSUP);
	assert_refused(fs, mfs_file_node(file, NULL), MFS_EINVAL);
	assert_code(mfs_close(file), 0);
	assert_code(mfs_import_abort(import), 0);
}

static void a_file_is_no_place_for_names(void **state)
{
	mfs *fs = *state;
	mfs_info info;
	mfs_file *file = NULL;
	mfs_dir *dir = NULL;

	make_file(fs, "/file", "x", 1);
	mfs_node *node = node_at(fs, "/file");
	mfs_node *root = root_node(fs);
	assert_refused(fs, mfs_stat_at(node, "x", &info), MFS_ENOTDIR);
	assert_refused(fs, mfs_mkdir_at(node, "x", 0), MFS_ENOTDIR);
	assert_refused(fs, mfs_mkdir_at(node, "", MFS_EXIST_OK), MFS_EEXIST);
	assert_refused(fs, mfs_open_at(node, "x", "wb", NULL, &file), MFS_ENOTDIR);
	assert_refused(fs, mfs_open_at(node, "", "xb", NULL, &file), MFS_EEXIST);
	assert_refused(fs, mfs_opendir_at(node, "", &dir), MFS_ENOTDIR);
	/* What has no name there cannot lose it or get another one. */
	assert_refused(fs, mfs_remove_at(node, "", 0), MFS_EINVAL);
	assert_refused(fs, mfs_rename_at(node, "", root, "x", 0), MFS_EINVAL);
	assert_refused(fs, mfs_rename_at(root, "file", node, "", MFS_RENAME_REPLACE), MFS_EINVAL);
	assert_refused(fs, mfs_open_at(root, "", "rb", NULL, &file), MFS_EISDIR);
	put(root);
	put(node);
}

static void remove_at_minds_the_kind(void **state)
{
	mfs *fs = *state;

	assert_code(mfs_mkdir(fs, "/dir", 0), 0);
	make_file(fs, "/file", "x", 1);
	mfs_node *root = root_node(fs);
	assert_refused(fs, mfs_remove_at(root, "dir", MFS_REMOVE_FILE), MFS_EISDIR);
	assert_refused(fs, mfs_remove_at(root, "file", MFS_REMOVE_DIRECTORY), MFS_ENOTDIR);
	assert_refused(fs, mfs_remove_at(root, "dir", MFS_REMOVE_FILE | MFS_REMOVE_DIRECTORY),
				   MFS_EINVAL);
	assert_refused(fs, mfs_remove_at(root, "dir", 4), MFS_EINVAL);
	assert_code(mfs_remove_at(root, "dir", MFS_REMOVE_DIRECTORY), 0);
	assert_code(mfs_remove_at(root, "file", MFS_REMOVE_FILE), 0);
	put(root);
}

static void a_directory_does_not_come_below_itself_by_a_node(void **state)
{
	mfs *fs = *state;

	assert_code(mfs_mkdir(fs, "/a/b/c", 0), 0);
	mfs_node *root = root_node(fs);
	mfs_node *b = node_at(fs, "/a/b");
	mfs_node *c = node_at(fs, "/a/b/c");
	assert_refused(fs, mfs_rename_at(root, "a", c, "a", 0), MFS_EINVAL);
	assert_refused(fs, mfs_rename_at(root, "a", b, "c", MFS_RENAME_EXCHANGE), MFS_EINVAL);
	/* The same directory by two bases. */
	assert_refused(fs, mfs_rename_at(root, "a/b/c", b, "c", 0), MFS_EEXIST);
	assert_code(mfs_rename_at(root, "a/b/c", b, "c", MFS_RENAME_REPLACE), 0);
	assert_code(mfs_rename_at(b, "c", root, "c", 0), 0);
	assert_true(mfs_is_dir(fs, "/c"));
	put(c);
	put(b);
	put(root);
}

static void nodes_count_as_open_handles(void **state)
{
	mfs *fs = new_plain_workspace(MIB);
	mfs *other = *state;

	mfs_node *node = root_node(fs);
	mfs_node *stranger = root_node(other);
	assert_code(usage_of(fs).open_handles, 1);
	assert_refused(fs, mfs_rename_at(node, "a", stranger, "b", 0), MFS_EINVAL);
	assert_code(mfs_free(fs), MFS_EBUSY);
	put(stranger);
	put(node);
	free_workspace(fs);
}

static void inodes_tell_files_apart_and_stay(void **state)
{
	enum { FILES = 500 };
	mfs *fs = *state;
	mfs_file *files[FILES];
	uint64_t numbers[FILES];
	char path[32];
	mfs_info info;

	for (int i = 0; i < FILES; i++) {
		(void)snprintf(path, sizeof path, "/%d", i);
		assert_code(open_with(fs, path, "xb", MFS_O_SHARED, 0, &files[i]), 0);
		assert_code(mfs_fstat(files[i], &info), 0);
		numbers[i] = info.inode;
		/* Removed, but open: still not another one's. */
		if (i % 2)
			assert_code(mfs_remove(fs, path), 0);
	}
	for (int i = 0; i < FILES; i++) {
		for (int j = 0; j < i; j++)
			assert_false(numbers[i] == numbers[j]);
		assert_code(mfs_fstat(files[i], &info), 0);
		assert_true(info.inode == numbers[i]);
	}
	assert_code(mfs_rename(fs, "/0", "/renamed", 0), 0);
	assert_true(inode_of(fs, "/renamed") == numbers[0]);
	for (int i = 0; i < FILES; i++)
		assert_code(mfs_close(files[i]), 0);
}

static void bad_arguments_are_refused(void **state)
{
	mfs *fs = *state;
	mfs_node *root = root_node(fs);
	mfs_node *node = NULL;
	mfs_info info;
	mfs_file *file = NULL;
	mfs_dir *dir = NULL;

	assert_refused(fs, mfs_node_root(NULL, &node), MFS_EINVAL);
	assert_refused(fs, mfs_node_root(fs, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_node_get(NULL, "/", &node), MFS_EINVAL);
	assert_refused(fs, mfs_node_get(root, NULL, &node), MFS_EINVAL);
	assert_refused(fs, mfs_node_get(root, "/", NULL), MFS_EINVAL);
	assert_refused(fs, mfs_node_stat(NULL, &info), MFS_EINVAL);
	assert_refused(fs, mfs_node_stat(root, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_stat_at(NULL, "", &info), MFS_EINVAL);
	assert_refused(fs, mfs_stat_at(root, NULL, &info), MFS_EINVAL);
	assert_refused(fs, mfs_open_at(NULL, "", "rb", NULL, &file), MFS_EINVAL);
	assert_refused(fs, mfs_opendir_at(NULL, "", &dir), MFS_EINVAL);
	assert_refused(fs, mfs_mkdir_at(NULL, "a", 0), MFS_EINVAL);
	assert_refused(fs, mfs_mkdir_at(root, "a", 8), MFS_EINVAL);
	assert_refused(fs, mfs_remove_at(NULL, "a", 0), MFS_EINVAL);
	assert_refused(fs, mfs_rename_at(NULL, "a", root, "b", 0), MFS_EINVAL);
	assert_refused(fs, mfs_rename_at(root, "a", root, NULL, 0), MFS_EINVAL);
	assert_refused(fs, mfs_set_modified_at(NULL, "a", 0), MFS_EINVAL);
	assert_refused(fs, mfs_fstat(NULL, &info), MFS_EBADF);
	assert_code(mfs_node_put(NULL), 0);
	put(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(paths_start_at_the_node),
		WORKSPACE_TEST(everything_is_done_from_a_node),
		WORKSPACE_TEST(a_node_goes_with_what_it_stands_for),
		WORKSPACE_TEST(a_node_of_what_was_removed_refuses),
		WORKSPACE_TEST(a_file_is_opened_by_its_node),
		WORKSPACE_TEST(an_open_file_has_a_node),
		WORKSPACE_TEST(a_file_is_no_place_for_names),
		WORKSPACE_TEST(remove_at_minds_the_kind),
		WORKSPACE_TEST(a_directory_does_not_come_below_itself_by_a_node),
		WORKSPACE_TEST(nodes_count_as_open_handles),
		WORKSPACE_TEST(inodes_tell_files_apart_and_stay),
		WORKSPACE_TEST(bad_arguments_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
