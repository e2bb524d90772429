/* SPDX-License-Identifier: MIT */
/*
 * Does a directory that is renamed, moved or exchanged take all that is below it along, at one
 * instant, and is what would break the tree or pull a file from under its handle refused without
 * any change?
 */
#include "support.h"

#include "fs/filesystem.h"
#include "step_aside.h"
#include "tree_text.h"

static void assert_counts(mfs *fs, uint64_t files, uint64_t directories)
{
	mfs_usage usage = usage_of(fs);

	assert_int_equal(usage.files, files);
	assert_int_equal(usage.directories, directories);
	assert_true(mfs__validate(fs));
}

/** What the path names is the same node as before, as far as can be told from its figures. */
static void assert_same_info(mfs *fs, const char *path, const mfs_info *before)
{
	mfs_info info = info_of(fs, path);

	assert_int_equal(info.size, before->size);
	assert_int_equal(info.created_at, before->created_at);
	assert_int_equal(info.modified_at, before->modified_at);
	assert_int_equal(info.generation, before->generation);
	assert_int_equal(info.is_dir, before->is_dir);
}

/** The names in a directory, each followed by a space. */
static void assert_names(mfs *fs, const char *path, const char *want)
{
	struct text text = {.bytes = NULL};
	char **names = NULL;
	int64_t count = mfs_listdir(fs, path, &names);

	assert_true(count >= 0);
	text_add(&text, "");
	for (int64_t i = 0; i < count; i++) {
		text_add(&text, names[i]);
		text_add(&text, " ");
	}
	mfs_names_free(names);
	assert_string_equal(text.bytes, want);
	free(text.bytes);
}

/* "/a" with three levels of directories, a file in each, and "/z" beside it. */
static void make_sample(mfs *fs)
{
	make_dir(fs, "/a/b/c");
	make_dir(fs, "/a/empty");
	make_text(fs, "/a/f", "in a");
	make_text(fs, "/a/b/f", "in b");
	make_text(fs, "/a/b/c/f", "in c");
	make_dir(fs, "/z/y");
	make_text(fs, "/z/f", "in z");
}

static const char sample[] = "/\n"
							 "/a/\n"
							 "/a/b/\n"
							 "/a/b/c/\n"
							 "/a/b/c/f 4 in c\n"
							 "/a/b/f 4 in b\n"
							 "/a/empty/\n"
							 "/a/f 4 in a\n"
							 "/z/\n"
							 "/z/f 4 in z\n"
							 "/z/y/\n";

/*
 * What goes along
 */

static void a_directory_takes_along_what_is_below(void **state)
{
	mfs *fs = *state;
	mfs_info top;
	mfs_info inner;
	mfs_info file;
	mfs_info info;

	make_sample(fs);
	assert_tree(fs, sample);
	top = info_of(fs, "/a/b");
	inner = info_of(fs, "/a/b/c");
	file = info_of(fs, "/a/b/c/f");

	/* In the same directory, into another one, down, up to the root. */
	assert_code(mfs_rename(fs, "/a/b", "/a/q", 0), 0);
	assert_names(fs, "/a", "empty f q ");
	assert_code(mfs_rename(fs, "/a/q", "/z/q", 0), 0);
	assert_names(fs, "/a", "empty f ");
	assert_names(fs, "/z", "f q y ");
	assert_code(mfs_rename(fs, "/z/q", "/z/y/q", 0), 0);
	assert_names(fs, "/z", "f y ");
	assert_names(fs, "/z/y", "q ");
	assert_code(mfs_rename(fs, "/z/y/q", "/b", MFS_RENAME_REPLACE), 0);
	assert_names(fs, "/", "a b z ");
	assert_names(fs, "/z/y", "");

	assert_refused(fs, mfs_stat(fs, "/a/b", &info), MFS_ENOENT);
	assert_refused(fs, mfs_stat(fs, "/a/b/c/f", &info), MFS_ENOENT);
	assert_false(mfs_exists(fs, "/z/q"));
	assert_false(mfs_exists(fs, "/z/y/q/c/f"));
	assert_same_info(fs, "/b", &top);
	assert_same_info(fs, "/b/c", &inner);
	assert_same_info(fs, "/b/c/f", &file);
	assert_tree(fs, "/\n"
					"/a/\n"
					"/a/empty/\n"
					"/a/f 4 in a\n"
					"/b/\n"
					"/b/c/\n"
					"/b/c/f 4 in c\n"
					"/b/f 4 in b\n"
					"/z/\n"
					"/z/f 4 in z\n"
					"/z/y/\n");
	assert_counts(fs, 4, 6);
}

static void a_directory_that_moved_is_one_like_any_other(void **state)
{
	mfs *fs = *state;

	make_sample(fs);
	assert_code(mfs_rename(fs, "/a", "/z/y/a", 0), 0);
	/* Names come and go below it, and it moves again, from where it is now. */
	make_dir(fs, "/z/y/a/b/c/new/er");
	make_text(fs, "/z/y/a/b/c/new/f", "newer");
	assert_code(mfs_remove(fs, "/z/y/a/f"), 0);
	assert_code(mfs_rename(fs, "/z/y/a/b", "/b", 0), 0);
	assert_code(mfs_rename(fs, "/z", "/b/c/new/er/z", 0), 0);
	assert_tree(fs, "/\n"
					"/b/\n"
					"/b/c/\n"
					"/b/c/f 4 in c\n"
					"/b/c/new/\n"
					"/b/c/new/er/\n"
					"/b/c/new/er/z/\n"
					"/b/c/new/er/z/f 4 in z\n"
					"/b/c/new/er/z/y/\n"
					"/b/c/new/er/z/y/a/\n"
					"/b/c/new/er/z/y/a/empty/\n"
					"/b/c/new/f 5 newer\n"
					"/b/f 4 in b\n");
	assert_counts(fs, 4, 8);
	/* What was below it once is above it now: the other way round is refused from here on. */
	assert_refused(fs, mfs_rename(fs, "/b", "/b/c/new/er/z/b", 0), MFS_EINVAL);
	/* The names that it left are free, and each can be removed one by one. */
	make_dir(fs, "/z/y/a");
	assert_code(mfs_remove(fs, "/z/y/a"), 0);
	assert_code(mfs_remove(fs, "/b/c/new/er/z/y/a/empty"), 0);
	assert_code(mfs_remove(fs, "/b/c/new/er/z/y/a"), 0);
	assert_code(mfs_remove(fs, "/b/c/new/er/z/y"), 0);
	assert_refused(fs, mfs_remove(fs, "/b/c/new/er/z"), MFS_ENOTEMPTY);
	assert_counts(fs, 4, 7);
}

static void only_the_two_parents_are_modified(void **state)
{
	mfs *fs = *state;
	mfs_info from;
	mfs_info to;
	mfs_info moved;
	mfs_info beside;

	make_sample(fs);
	from = info_of(fs, "/a");
	to = info_of(fs, "/z/y");
	moved = info_of(fs, "/a/b");
	beside = info_of(fs, "/z");
	await_clock_tick();
	assert_code(mfs_rename(fs, "/a/b", "/z/y/b", 0), 0);
	assert_true(info_of(fs, "/a").modified_at > from.modified_at);
	assert_true(info_of(fs, "/z/y").modified_at > to.modified_at);
	assert_same_info(fs, "/z/y/b", &moved);
	assert_same_info(fs, "/z", &beside);

	from = info_of(fs, "/a");
	to = info_of(fs, "/z/y");
	await_clock_tick();
	assert_code(mfs_rename(fs, "/a/f", "/z/y/b", MFS_RENAME_EXCHANGE), 0);
	assert_true(info_of(fs, "/a").modified_at > from.modified_at);
	assert_true(info_of(fs, "/z/y").modified_at > to.modified_at);
	assert_same_info(fs, "/a/f", &moved);
	assert_same_info(fs, "/z", &beside);

	/* A refusal modifies nothing. */
	from = info_of(fs, "/a");
	to = info_of(fs, "/z/y");
	await_clock_tick();
	assert_refused(fs, mfs_rename(fs, "/a/f", "/z/y/b", 0), MFS_EEXIST);
	assert_refused(fs, mfs_rename(fs, "/a/f", "/a/f/c/x", 0), MFS_EINVAL);
	assert_same_info(fs, "/a", &from);
	assert_same_info(fs, "/z/y", &to);
}

static void a_directory_of_many_names_moves_whole(void **state)
{
	enum { NAMES = 3000 };
	mfs *fs = *state;
	char **names = NULL;

	make_dir(fs, "/many");
	make_dir(fs, "/to");
	for (int i = 0; i < NAMES; i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "/many/%d", i);
		if (i % 3 == 0)
			make_dir(fs, path);
		else
			make_text(fs, path, path + 6);
	}
	assert_code(mfs_rename(fs, "/many", "/to/here", 0), 0);
	assert_code(mfs_listdir(fs, "/to/here", &names), NAMES);
	mfs_names_free(names);
	for (int i = 0; i < NAMES; i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "/to/here/%d", i);
		if (i % 3 == 0)
			assert_true(mfs_is_dir(fs, path));
		else
			assert_text(fs, path, path + 9);
	}
	assert_counts(fs, NAMES - NAMES / 3, NAMES / 3 + 2);
}

/*
 * What is refused
 */

static void a_directory_needs_a_free_name_in_a_directory(void **state)
{
	mfs *fs = *state;
	struct snapshot before;

	make_sample(fs);
	before = take_snapshot(fs);
	for (unsigned flags = 0; flags <= MFS_RENAME_EXCHANGE; flags++) {
		int no_name = flags == MFS_RENAME_EXCHANGE ? MFS_ENOENT : 0;

		assert_refused(fs, mfs_rename(fs, "/nope", "/x", flags), MFS_ENOENT);
		assert_refused(fs, mfs_rename(fs, "/a/nope/b", "/x", flags), MFS_ENOENT);
		assert_refused(fs, mfs_rename(fs, "/a/f/b", "/x", flags), MFS_ENOTDIR);
		assert_refused(fs, mfs_rename(fs, "/a", "/nope/x", flags), MFS_ENOENT);
		assert_refused(fs, mfs_rename(fs, "/a", "/z/nope/neither/x", flags), MFS_ENOENT);
		assert_refused(fs, mfs_rename(fs, "/a", "/z/f/x", flags), MFS_ENOTDIR);
		assert_refused(fs, mfs_rename(fs, "/a/b", "/a/f/x", flags), MFS_ENOTDIR);
		if (no_name != 0)
			assert_refused(fs, mfs_rename(fs, "/a", "/x", flags), no_name);
	}
	/* Whatever the name stands for. */
	assert_refused(fs, mfs_rename(fs, "/a", "/z", 0), MFS_EEXIST);
	assert_refused(fs, mfs_rename(fs, "/a/empty", "/z/y", 0), MFS_EEXIST);
	assert_refused(fs, mfs_rename(fs, "/a", "/z/f", 0), MFS_EEXIST);
	assert_refused(fs, mfs_rename(fs, "/a/f", "/z/y", 0), MFS_EEXIST);
	assert_refused(fs, mfs_move(fs, "/a", "/z", 0), MFS_EEXIST);
	assert_refused(fs, mfs_move(fs, "/a", "/z/f", 0), MFS_EEXIST);
	assert_refused(fs, mfs_move(fs, "/nope", "/x/y", 0), MFS_ENOENT);
	assert_refused(fs, mfs_move(fs, "/nope/x", "/x/y", 0), MFS_ENOENT);
	assert_refused(fs, mfs_move(fs, "/a/f/x", "/x/y", 0), MFS_ENOTDIR);
	assert_refused(fs, mfs_move(fs, "/a", "/z/f/x", 0), MFS_ENOTDIR);
	assert_refused(fs, mfs_move(fs, "/a", "/z/f/x/y/z", 0), MFS_ENOTDIR);
	assert_refused(fs, mfs_move(fs, "/a/f", "/a/f/x/y", 0), MFS_ENOTDIR);
	assert_unchanged(fs, &before);
	assert_true(mfs__validate(fs));
	drop_snapshot(&before);
}

static void flags_are_checked(void **state)
{
	mfs *fs = *state;
	struct snapshot before;

	make_sample(fs);
	before = take_snapshot(fs);
	assert_refused(fs, mfs_rename(fs, "/a", "/z", MFS_RENAME_REPLACE | MFS_RENAME_EXCHANGE),
				   MFS_EINVAL);
	assert_refused(fs, mfs_rename(fs, "/a", "/x", 4), MFS_EINVAL);
	assert_refused(fs, mfs_rename(fs, "/a", "/x", ~0u), MFS_EINVAL);
	assert_refused(fs, mfs_move(fs, "/a", "/z", MFS_RENAME_EXCHANGE), MFS_EINVAL);
	assert_refused(fs, mfs_move(fs, "/a", "/x/y", 4), MFS_EINVAL);
	assert_refused(fs, mfs_move(fs, NULL, "/x", 0), MFS_EINVAL);
	assert_refused(fs, mfs_move(fs, "/a", NULL, 0), MFS_EINVAL);
	assert_refused(fs, mfs_move(NULL, "/a", "/x", 0), MFS_EINVAL);
	assert_refused(fs, mfs_move(fs, "/../a", "/x", 0), MFS_EINVAL);
	assert_refused(fs, mfs_move(fs, "/a", "/x/../../y", 0), MFS_EINVAL);
	assert_refused(fs, mfs_rename(fs, "/a", "/../y", MFS_RENAME_EXCHANGE), MFS_EINVAL);
	assert_unchanged(fs, &before);
	drop_snapshot(&before);
}

static void names_that_are_too_long_are_refused(void **state)
{
	mfs *fs = *state;
	struct snapshot before;
	char name[MFS_NAME_MAX + 3];
	char *path = allocate(MFS_PATH_MAX + 2);

	make_sample(fs);
	before = take_snapshot(fs);
	memset(name, 'n', sizeof(name));
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	assert_refused(fs, mfs_rename(fs, "/a", name, 0), MFS_ENAMETOOLONG);
	assert_refused(fs, mfs_rename(fs, name, "/x", 0), MFS_ENAMETOOLONG);
	assert_refused(fs, mfs_move(fs, "/a", name, 0), MFS_ENAMETOOLONG);
	for (size_t i = 0; i <= MFS_PATH_MAX; i++)
		path[i] = i % 2 == 0 ? '/' : 'p';
	assert_refused(fs, mfs_rename(fs, "/a", path, 0), MFS_ENAMETOOLONG);
	assert_refused(fs, mfs_move(fs, "/a", path, 0), MFS_ENAMETOOLONG);
	assert_refused(fs, mfs_rename(fs, path, "/x", 0), MFS_ENAMETOOLONG);
	assert_unchanged(fs, &before);
	/* A missing parent whose name is too long, behind one that is missing, too. */
	memcpy(path, "/x", 2);
	memcpy(path + 2, name, sizeof(name));
	memcpy(path + 1 + sizeof(name), "/y", 3);
	assert_refused(fs, mfs_move(fs, "/a", path, 0), MFS_ENAMETOOLONG);
	assert_unchanged(fs, &before);
	/* The longest name of all is good. */
	name[sizeof(name) - 2] = '\0';
	assert_code(mfs_rename(fs, "/a", name, 0), 0);
	assert_true(mfs_is_dir(fs, name));
	assert_counts(fs, 4, 6);
	drop_snapshot(&before);
	free(path);
}

static void a_directory_does_not_go_into_itself(void **state)
{
	/* All of them "/a/..." for a name that is missing in a directory that exists. */
	static const char *const below[] = {
		"/a/x",      "a/x",          "//a//x",    "/a/./x",       "/a/x/",    "/a/x/.",
		"\\a\\x",    "a\\x",         "/./a/x",    "/a/b/x",       "/a/b/c/x", "/a/b/c/../x",
		"/z/../a/x", "/nope/../a/x", "/a/b/../x", "/a/nope/../x",
	};
	static const char *const to_what_exists[] = {"/a/b",    "/a/b/c", "/a//empty",
												 "a\\b\\.", "/a/f",   "/a/b/c/f"};
	mfs *fs = *state;
	struct snapshot before;

	make_sample(fs);
	before = take_snapshot(fs);
	for (size_t i = 0; i < COUNT_OF(below); i++) {
		assert_refused(fs, mfs_rename(fs, "/a", below[i], 0), MFS_EINVAL);
		assert_refused(fs, mfs_rename(fs, "a/.", below[i], MFS_RENAME_REPLACE), MFS_EINVAL);
		assert_refused(fs, mfs_move(fs, "\\a", below[i], 0), MFS_EINVAL);
		assert_refused(fs, mfs_move(fs, "/z/../a/", below[i], MFS_RENAME_REPLACE), MFS_EINVAL);
		/* Both causes hold: it is below itself, and there is nothing to change places with. */
		assert_refused_either(fs, mfs_rename(fs, "/a", below[i], MFS_RENAME_EXCHANGE), MFS_EINVAL,
							  MFS_ENOENT);
	}
	for (size_t i = 0; i < COUNT_OF(to_what_exists); i++) {
		const char *to = to_what_exists[i];
		bool is_dir = mfs_is_dir(fs, to);

		assert_refused_either(fs, mfs_rename(fs, "/a", to, 0), MFS_EINVAL, MFS_EEXIST);
		assert_refused_either(fs, mfs_move(fs, "/a", to, 0), MFS_EINVAL, MFS_EEXIST);
		if (is_dir && strstr(to, "empty") == NULL)
			assert_refused_either(fs, mfs_rename(fs, "/a", to, MFS_RENAME_REPLACE), MFS_EINVAL,
								  MFS_ENOTEMPTY);
		else if (is_dir)
			assert_refused(fs, mfs_rename(fs, "/a", to, MFS_RENAME_REPLACE), MFS_EINVAL);
		else
			assert_refused_either(fs, mfs_rename(fs, "/a", to, MFS_RENAME_REPLACE), MFS_EINVAL,
								  MFS_ENOTDIR);
		assert_refused(fs, mfs_rename(fs, "/a", to, MFS_RENAME_EXCHANGE), MFS_EINVAL);
		assert_refused(fs, mfs_rename(fs, to, "/a", MFS_RENAME_EXCHANGE), MFS_EINVAL);
	}
	/* The parents that mfs_move() would make are not made. */
	assert_refused(fs, mfs_move(fs, "/a", "/a/new/er", 0), MFS_EINVAL);
	assert_refused(fs, mfs_move(fs, "/a", "/a/b/c/new/er/still", 0), MFS_EINVAL);
	assert_refused_either(fs, mfs_rename(fs, "/a", "/a/nope/x", 0), MFS_EINVAL, MFS_ENOENT);
	/* On a directory that holds it: that one is not empty. */
	assert_refused(fs, mfs_rename(fs, "/a/b/c", "/a", MFS_RENAME_REPLACE), MFS_ENOTEMPTY);
	assert_refused(fs, mfs_rename(fs, "/a/b/c", "/a/b", MFS_RENAME_REPLACE), MFS_ENOTEMPTY);
	assert_refused(fs, mfs_move(fs, "/a/b/c", "/a", MFS_RENAME_REPLACE), MFS_ENOTEMPTY);
	assert_refused(fs, mfs_rename(fs, "/a/b/c", "/a", 0), MFS_EEXIST);
	assert_unchanged(fs, &before);
	assert_true(mfs__validate(fs));
	drop_snapshot(&before);

	/* What only looks like it: a longer name that begins the same, a path that leaves again. */
	make_dir(fs, "/ab");
	assert_code(mfs_rename(fs, "/a", "/ab/a", 0), 0);
	assert_code(mfs_rename(fs, "/ab/a", "/ab/a/../c", 0), 0);
	assert_code(mfs_rename(fs, "/ab/c", "/ab/c/b/../../../a", 0), 0);
	assert_code(mfs_remove(fs, "/ab"), 0);
	assert_tree(fs, sample);
}

static void the_root_stays(void **state)
{
	static const char *const roots[] = {"/", "", ".", "//", "/a/..", "\\", "/./"};
	mfs *fs = *state;
	struct snapshot before;

	make_sample(fs);
	before = take_snapshot(fs);
	for (size_t i = 0; i < COUNT_OF(roots); i++) {
		const char *root = roots[i];

		assert_refused(fs, mfs_rename(fs, root, "/x", 0), MFS_EINVAL);
		assert_refused(fs, mfs_rename(fs, root, "/a/x", MFS_RENAME_REPLACE), MFS_EINVAL);
		assert_refused(fs, mfs_rename(fs, root, "/a", MFS_RENAME_EXCHANGE), MFS_EINVAL);
		assert_refused(fs, mfs_rename(fs, root, root, 0), MFS_EINVAL);
		assert_refused(fs, mfs_move(fs, root, "/x/y", 0), MFS_EINVAL);
		assert_refused(fs, mfs_rename(fs, "/a", root, 0), MFS_EINVAL);
		assert_refused(fs, mfs_rename(fs, "/a", root, MFS_RENAME_REPLACE), MFS_EINVAL);
		assert_refused(fs, mfs_rename(fs, "/a", root, MFS_RENAME_EXCHANGE), MFS_EINVAL);
		assert_refused(fs, mfs_move(fs, "/a", root, 0), MFS_EINVAL);
		assert_refused(fs, mfs_move(fs, "/a", root, MFS_RENAME_REPLACE), MFS_EINVAL);
	}
	assert_unchanged(fs, &before);
	drop_snapshot(&before);
}

static void a_directory_on_its_own_name(void **state)
{
	mfs *fs = *state;

	make_sample(fs);
	assert_refused(fs, mfs_rename(fs, "/a/b", "/a/b", 0), MFS_EEXIST);
	assert_refused(fs, mfs_rename(fs, "/a/b", "a\\x\\..\\b", 0), MFS_EEXIST);
	assert_refused(fs, mfs_move(fs, "/a/b", "/a/b/", 0), MFS_EEXIST);
	assert_code(mfs_rename(fs, "/a/b", "/a/b", MFS_RENAME_REPLACE), 0);
	assert_code(mfs_rename(fs, "/a/b", "/a//b/.", MFS_RENAME_EXCHANGE), 0);
	assert_code(mfs_move(fs, "/a/b", "/a/b", MFS_RENAME_REPLACE), 0);
	assert_code(mfs_rename(fs, "/a/f", "/a/f", MFS_RENAME_EXCHANGE), 0);
	assert_refused(fs, mfs_rename(fs, "/a/n", "/a/n", MFS_RENAME_EXCHANGE), MFS_ENOENT);
	assert_refused(fs, mfs_rename(fs, "/a/n", "/a/n", MFS_RENAME_REPLACE), MFS_ENOENT);
	assert_refused(fs, mfs_rename(fs, "/a/n", "/a/n", 0), MFS_ENOENT);
	assert_tree(fs, sample);
	assert_counts(fs, 4, 6);
}

/*
 * Replacing
 */

static void a_directory_replaces_an_empty_one_only(void **state)
{
	mfs *fs = *state;
	struct snapshot before;
	mfs_info moved;

	make_sample(fs);
	before = take_snapshot(fs);
	assert_refused(fs, mfs_rename(fs, "/a", "/z", MFS_RENAME_REPLACE), MFS_ENOTEMPTY);
	assert_refused(fs, mfs_rename(fs, "/a/empty", "/a/b", MFS_RENAME_REPLACE), MFS_ENOTEMPTY);
	assert_refused(fs, mfs_rename(fs, "/a", "/z/f", MFS_RENAME_REPLACE), MFS_ENOTDIR);
	assert_refused(fs, mfs_rename(fs, "/a/empty", "/a/f", MFS_RENAME_REPLACE), MFS_ENOTDIR);
	assert_refused(fs, mfs_rename(fs, "/a/f", "/a/empty", MFS_RENAME_REPLACE), MFS_EISDIR);
	assert_refused(fs, mfs_rename(fs, "/a/f", "/z", MFS_RENAME_REPLACE), MFS_EISDIR);
	assert_refused(fs, mfs_move(fs, "/a", "/z", MFS_RENAME_REPLACE), MFS_ENOTEMPTY);
	assert_refused(fs, mfs_move(fs, "/a", "/z/f", MFS_RENAME_REPLACE), MFS_ENOTDIR);
	assert_refused(fs, mfs_move(fs, "/a/f", "/z", MFS_RENAME_REPLACE), MFS_EISDIR);
	assert_unchanged(fs, &before);
	drop_snapshot(&before);

	moved = info_of(fs, "/a/b");
	assert_code(mfs_rename(fs, "/a/b", "/z/y", MFS_RENAME_REPLACE), 0);
	assert_same_info(fs, "/z/y", &moved);
	assert_names(fs, "/a", "empty f ");
	assert_names(fs, "/z/y", "c f ");
	assert_counts(fs, 4, 5);
	/* In its own directory; and one that was not empty once. */
	assert_code(mfs_rename(fs, "/a/empty", "/a/x", MFS_RENAME_REPLACE), 0);
	make_dir(fs, "/a/gone");
	make_text(fs, "/a/gone/f", "gone");
	assert_code(mfs_remove(fs, "/a/gone/f"), 0);
	assert_code(mfs_move(fs, "/a/x", "/a/gone", MFS_RENAME_REPLACE), 0);
	assert_names(fs, "/a", "f gone ");
	/* The replaced one is gone: what came from it to stay is only its name. */
	make_text(fs, "/a/gone/f", "new");
	assert_tree(fs, "/\n"
					"/a/\n"
					"/a/f 4 in a\n"
					"/a/gone/\n"
					"/a/gone/f 3 new\n"
					"/z/\n"
					"/z/f 4 in z\n"
					"/z/y/\n"
					"/z/y/c/\n"
					"/z/y/c/f 4 in c\n"
					"/z/y/f 4 in b\n");
	assert_counts(fs, 5, 5);
}

/*
 * Changing places
 */

static void two_directories_change_places(void **state)
{
	mfs *fs = *state;
	mfs_info one;
	mfs_info other;
	struct snapshot before;
	mfs_usage usage;

	make_sample(fs);
	usage = usage_of(fs);
	one = info_of(fs, "/a/b");
	other = info_of(fs, "/z");
	assert_code(mfs_rename(fs, "/a/b", "/z", MFS_RENAME_EXCHANGE), 0);
	assert_same_info(fs, "/z", &one);
	assert_same_info(fs, "/a/b", &other);
	assert_tree(fs, "/\n"
					"/a/\n"
					"/a/b/\n"
					"/a/b/f 4 in z\n"
					"/a/b/y/\n"
					"/a/empty/\n"
					"/a/f 4 in a\n"
					"/z/\n"
					"/z/c/\n"
					"/z/c/f 4 in c\n"
					"/z/f 4 in b\n");
	assert_code(mfs_rename(fs, "/a/b", "/z", MFS_RENAME_EXCHANGE), 0);
	assert_tree(fs, sample);
	/* In one directory. */
	assert_code(mfs_rename(fs, "/a", "/z", MFS_RENAME_EXCHANGE), 0);
	assert_names(fs, "/a", "f y ");
	assert_names(fs, "/z", "b empty f ");
	assert_code(mfs_rename(fs, "/a", "/z", MFS_RENAME_EXCHANGE), 0);
	assert_tree(fs, sample);
	assert_counts(fs, 4, 6);
	assert_int_equal(used_bytes(fs), usage.used_bytes);

	before = take_snapshot(fs);
	assert_refused(fs, mfs_rename(fs, "/a", "/nope", MFS_RENAME_EXCHANGE), MFS_ENOENT);
	assert_refused(fs, mfs_rename(fs, "/nope", "/a", MFS_RENAME_EXCHANGE), MFS_ENOENT);
	assert_refused(fs, mfs_rename(fs, "/nope", "/neither", MFS_RENAME_EXCHANGE), MFS_ENOENT);
	assert_refused(fs, mfs_rename(fs, "/a/b", "/z/nope", MFS_RENAME_EXCHANGE), MFS_ENOENT);
	assert_unchanged(fs, &before);
	drop_snapshot(&before);
}

static void a_file_and_a_directory_change_places(void **state)
{
	mfs *fs = *state;
	mfs_info directory;
	mfs_info file;

	make_sample(fs);
	directory = info_of(fs, "/a/b");
	file = info_of(fs, "/z/f");
	assert_code(mfs_rename(fs, "/a/b", "/z/f", MFS_RENAME_EXCHANGE), 0);
	assert_same_info(fs, "/z/f", &directory);
	assert_same_info(fs, "/a/b", &file);
	assert_text(fs, "/a/b", "in z");
	assert_text(fs, "/z/f/c/f", "in c");
	/* The file first, and in one directory. */
	assert_code(mfs_rename(fs, "/a/f", "/a/empty", MFS_RENAME_EXCHANGE), 0);
	assert_true(mfs_is_dir(fs, "/a/f"));
	assert_text(fs, "/a/empty", "in a");
	assert_code(mfs_rename(fs, "/a/empty", "/a/f", MFS_RENAME_EXCHANGE), 0);
	assert_code(mfs_rename(fs, "/a/b", "/z/f", MFS_RENAME_EXCHANGE), 0);
	assert_tree(fs, sample);
	/* A directory with a file in it, either way. */
	assert_refused(fs, mfs_rename(fs, "/a", "/a/f", MFS_RENAME_EXCHANGE), MFS_EINVAL);
	assert_refused(fs, mfs_rename(fs, "/a/b/c/f", "/a", MFS_RENAME_EXCHANGE), MFS_EINVAL);
	assert_tree(fs, sample);
	assert_counts(fs, 4, 6);
}

static void two_files_change_places(void **state)
{
	mfs *fs = *state;
	mfs_info one;
	mfs_info other;

	make_sample(fs);
	one = info_of(fs, "/a/f");
	other = info_of(fs, "/a/b/f");
	assert_code(mfs_rename(fs, "/a/f", "/a/b/f", MFS_RENAME_EXCHANGE), 0);
	assert_same_info(fs, "/a/b/f", &one);
	assert_same_info(fs, "/a/f", &other);
	assert_text(fs, "/a/f", "in b");
	assert_text(fs, "/a/b/f", "in a");
	make_text(fs, "/a/g", "beside");
	assert_code(mfs_rename(fs, "/a/g", "/a/f", MFS_RENAME_EXCHANGE), 0);
	assert_text(fs, "/a/f", "beside");
	assert_text(fs, "/a/g", "in b");
	assert_counts(fs, 5, 6);
}

/*
 * Handles
 */

static void a_handle_below_is_in_the_way_until_it_is_closed(void **state)
{
	static const char *const modes[] = {"rb", "wb", "ab", "r+b"};
	static const char *const files[] = {"/a/f", "/a/b/f", "/a/b/c/f"};
	mfs *fs = *state;

	make_sample(fs);
	make_dir(fs, "/free/empty");
	for (size_t i = 0; i < COUNT_OF(modes) * COUNT_OF(files); i++) {
		const char *path = files[i % COUNT_OF(files)];
		mfs_file *file = open_file(fs, path, modes[i / COUNT_OF(files)]);
		struct snapshot before = take_snapshot(fs);

		assert_refused(fs, mfs_rename(fs, "/a", "/x", 0), MFS_EBUSY);
		assert_refused(fs, mfs_rename(fs, "/a", "/free/empty", MFS_RENAME_REPLACE), MFS_EBUSY);
		assert_refused(fs, mfs_rename(fs, "/a", "/z", MFS_RENAME_EXCHANGE), MFS_EBUSY);
		assert_refused(fs, mfs_rename(fs, "/z", "/a", MFS_RENAME_EXCHANGE), MFS_EBUSY);
		assert_refused(fs, mfs_rename(fs, "/z/f", "/a", MFS_RENAME_EXCHANGE), MFS_EBUSY);
		assert_refused(fs, mfs_rename(fs, "/z/f", path, MFS_RENAME_EXCHANGE), MFS_EBUSY);
		assert_refused(fs, mfs_rename(fs, path, "/z/f", MFS_RENAME_EXCHANGE), MFS_EBUSY);
		assert_refused(fs, mfs_rename(fs, path, "/z/y", MFS_RENAME_EXCHANGE), MFS_EBUSY);
		assert_refused(fs, mfs_move(fs, "/a", "/x/y/z", 0), MFS_EBUSY);
		assert_refused(fs, mfs_move(fs, path, "/x/y/z", 0), MFS_EBUSY);
		assert_unchanged(fs, &before);
		assert_true(mfs__validate(fs));
		drop_snapshot(&before);

		/* Beside the file everything may change, also right after the refusal. */
		make_dir(fs, "/a/b/c/new");
		assert_code(mfs_rename(fs, "/a/b/c/new", "/a/new", 0), 0);
		assert_code(mfs_rename(fs, "/a/new", "/a/b/new", 0), 0);
		assert_code(mfs_remove(fs, "/a/b/new"), 0);
		assert_code(mfs_rename(fs, "/free", "/a/b/c/free", 0), 0);
		assert_code(mfs_rename(fs, "/a/b/c/free", "/free", 0), 0);

		close_file(file);
		assert_code(mfs_rename(fs, "/a", "/x", 0), 0);
		assert_code(mfs_move(fs, "/x", "/free/empty", MFS_RENAME_REPLACE), 0);
		assert_code(mfs_rename(fs, "/free/empty", "/z", MFS_RENAME_EXCHANGE), 0);
		assert_code(mfs_rename(fs, "/free/empty", "/z", MFS_RENAME_EXCHANGE), 0);
		assert_code(mfs_rename(fs, "/free/empty", "/a", 0), 0);
		make_dir(fs, "/free/empty");
	}
	assert_counts(fs, 4, 8);
}

static void each_of_several_handles_is_in_the_way(void **state)
{
	mfs *fs = *state;
	mfs_file *first = NULL;
	mfs_file *second = NULL;
	mfs_file *third = NULL;

	make_sample(fs);
	first = open_file(fs, "/a/b/c/f", "rb");
	second = open_file(fs, "/a/b/c/f", "rb");
	third = open_file(fs, "/a/f", "r+b");
	assert_refused(fs, mfs_rename(fs, "/a", "/x", 0), MFS_EBUSY);
	close_file(first);
	assert_refused(fs, mfs_rename(fs, "/a", "/x", 0), MFS_EBUSY);
	close_file(third);
	assert_refused(fs, mfs_rename(fs, "/a", "/x", 0), MFS_EBUSY);
	assert_refused(fs, mfs_rename(fs, "/a/b", "/x", 0), MFS_EBUSY);
	close_file(second);
	assert_code(mfs_rename(fs, "/a", "/x", 0), 0);
	assert_text(fs, "/x/b/c/f", "in c");
}

static void shared_handles_go_along(void **state)
{
	mfs *fs = *state;
	mfs_file *writer = NULL;
	mfs_file *reader = NULL;

	make_sample(fs);
	writer = open_shared(fs, "/a/b/c/f", "r+b");
	reader = open_shared(fs, "/a/b/c/f", "rb");
	assert_code(mfs_rename(fs, "/a", "/x", 0), 0);
	assert_code(mfs_write(writer, "1st", 3), 3);
	assert_text(fs, "/x/b/c/f", "1stc");
	assert_handle_holds(reader, "1stc", 4);
	assert_code(mfs_rename(fs, "/x/b", "/z", MFS_RENAME_EXCHANGE), 0);
	assert_code(mfs_write(writer, "2nd", 3), 3);
	assert_text(fs, "/z/c/f", "1st2nd");
	assert_handle_holds(reader, "1st2nd", 6);
	assert_code(mfs_move(fs, "/z/c", "/p/q/r", 0), 0);
	assert_code(mfs_truncate(writer, 3), 0);
	assert_text(fs, "/p/q/r/f", "1st");
	assert_code(mfs_rename(fs, "/p/q/r/f", "/x/b", MFS_RENAME_EXCHANGE), 0);
	assert_handle_holds(reader, "1st", 3);
	assert_text(fs, "/x/b", "1st");
	/* A new file under the old name is another one. */
	make_dir(fs, "/a/b/c");
	make_text(fs, "/a/b/c/f", "another");
	assert_handle_holds(reader, "1st", 3);
	assert_int_equal(usage_of(fs).open_handles, 2);
	close_file(writer);
	close_file(reader);
	assert_counts(fs, 5, 11);
}

static void iterators_below_are_not_in_the_way(void **state)
{
	mfs *fs = *state;
	mfs_dir *dir = NULL;
	mfs_entry entry;

	make_sample(fs);
	assert_code(mfs_opendir(fs, "/a/b", &dir), 0);
	assert_code(mfs_rename(fs, "/a", "/x", 0), 0);
	assert_code(mfs_rename(fs, "/x/b/c", "/z", MFS_RENAME_EXCHANGE), 0);
	assert_code(mfs_readdir(dir, &entry), 1);
	assert_string_equal(entry.name, "c");
	assert_code(mfs_readdir(dir, &entry), 1);
	assert_string_equal(entry.name, "f");
	assert_code(mfs_readdir(dir, &entry), 0);
	assert_code(mfs_closedir(dir), 0);
}

/*
 * Limits
 */

static void moves_need_neither_quota_nor_nodes(void **state)
{
	enum { QUOTA = 64 * 1024 };
	mfs_options options = {.struct_size = sizeof(options)};
	mfs *fs = NULL;
	mfs_file *file = NULL;
	unsigned char *data = allocate(QUOTA);
	mfs_usage usage;

	(void)state;
	options.max_quota = QUOTA;
	options.max_nodes = 6;
	options.chunk_overhead = -1;
	fs = new_workspace(&options);
	make_dir(fs, "/a/b");
	make_dir(fs, "/c/d");
	make_file(fs, "/a/b/f", data, QUOTA);
	make_text(fs, "/c/g", "");
	assert_refused(fs, mfs_open(fs, "/more", "wb", &file), MFS_ENODES);
	usage = usage_of(fs);
	assert_int_equal(usage.free_bytes, 0);
	assert_code(mfs_rename(fs, "/a", "/x", 0), 0);
	assert_code(mfs_rename(fs, "/x", "/c/x", 0), 0);
	assert_code(mfs_rename(fs, "/c/x/b", "/c/d", MFS_RENAME_EXCHANGE), 0);
	assert_code(mfs_move(fs, "/c/d", "/d", 0), 0);
	assert_file_holds(fs, "/d/f", data, QUOTA);
	assert_int_equal(used_bytes(fs), usage.used_bytes);
	assert_int_equal(usage_of(fs).chunks, usage.chunks);
	assert_counts(fs, 2, 4);
	/* What is replaced gives its node back. */
	assert_code(mfs_rename(fs, "/d", "/c/x/b", MFS_RENAME_REPLACE), 0);
	assert_counts(fs, 2, 3);
	make_dir(fs, "/more");
	assert_refused(fs, mfs_mkdir(fs, "/most", 0), MFS_ENODES);
	assert_counts(fs, 2, 4);
	free_workspace(fs);
	free(data);
}

static void the_parents_that_a_move_makes_are_counted(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	mfs *fs = NULL;
	struct snapshot before;

	(void)state;
	options.max_nodes = 7;
	fs = new_workspace(&options);
	make_dir(fs, "/a/b");
	make_text(fs, "/a/b/f", "content");
	make_text(fs, "/g", "other");
	before = take_snapshot(fs);
	/* 4 nodes are there; each of these needs 4 more. */
	assert_refused(fs, mfs_move(fs, "/a", "/p/q/r/s/a", 0), MFS_ENODES);
	assert_refused(fs, mfs_move(fs, "/g", "/p/q/r/s/g", 0), MFS_ENODES);
	assert_refused(fs, mfs_move(fs, "/g", "/a/b/p/q/r/s/g", MFS_RENAME_REPLACE), MFS_ENODES);
	assert_unchanged(fs, &before);
	assert_true(mfs__validate(fs));
	drop_snapshot(&before);
	assert_code(mfs_move(fs, "/a", "/p/q/r/a", 0), 0);
	assert_counts(fs, 2, 5);
	assert_text(fs, "/p/q/r/a/b/f", "content");
	assert_refused(fs, mfs_move(fs, "/g", "/x/g", 0), MFS_ENODES);
	/* With all parents there, none is needed. */
	assert_code(mfs_move(fs, "/g", "/p/q/r/a/b/f", MFS_RENAME_REPLACE), 0);
	assert_code(mfs_move(fs, "/p/q/r/a/b", "/b", 0), 0);
	assert_counts(fs, 1, 5);
	assert_text(fs, "/b/f", "other");
	assert_code(mfs_move(fs, "/b", "/x/b", MFS_RENAME_REPLACE), 0);
	assert_counts(fs, 1, 6);
	assert_refused(fs, mfs_mkdir(fs, "/y", 0), MFS_ENODES);
	free_workspace(fs);
}

static void a_move_makes_the_parents_that_are_missing(void **state)
{
	mfs *fs = *state;

	make_sample(fs);
	assert_code(mfs_move(fs, "/a/b/c", "/new/er/c", 0), 0);
	assert_code(mfs_move(fs, "/a/f", "a\\deep/er//f/", 0), 0);
	assert_code(mfs_move(fs, "/z/f", "/z/g", 0), 0);
	assert_code(mfs_move(fs, "/z", "/new/x/y/z", MFS_RENAME_REPLACE), 0);
	assert_code(mfs_move(fs, "/a", "/new/er/c/a", 0), 0);
	assert_tree(fs, "/\n"
					"/new/\n"
					"/new/er/\n"
					"/new/er/c/\n"
					"/new/er/c/a/\n"
					"/new/er/c/a/b/\n"
					"/new/er/c/a/b/f 4 in b\n"
					"/new/er/c/a/deep/\n"
					"/new/er/c/a/deep/er/\n"
					"/new/er/c/a/deep/er/f 4 in a\n"
					"/new/er/c/a/empty/\n"
					"/new/er/c/f 4 in c\n"
					"/new/x/\n"
					"/new/x/y/\n"
					"/new/x/y/z/\n"
					"/new/x/y/z/g 4 in z\n"
					"/new/x/y/z/y/\n");
	assert_counts(fs, 4, 12);
}

/*
 * Other threads
 */

struct changer {
	mfs *fs;
	atomic_bool *stop;
	atomic_int rounds;
	int failures;
};

static void *move_to_and_fro(void *argument)
{
	static const char *const places[] = {"/p/a", "/p/b", "/q/a", "/q/c/a"};
	struct changer *changer = argument;

	while (!atomic_load(changer->stop)) {
		for (size_t i = 0; i < COUNT_OF(places); i++) {
			int code = mfs_rename(changer->fs, places[i], places[(i + 1) % COUNT_OF(places)], 0);

			changer->failures += code != 0;
		}
		atomic_fetch_add(&changer->rounds, 1);
	}
	return NULL;
}

static void nobody_finds_a_directory_under_two_names(void **state)
{
	mfs *fs = *state;
	atomic_bool stop = false;
	struct changer changer = {.fs = fs, .stop = &stop};
	pthread_t thread;
	int wrong = 0;

	make_dir(fs, "/p/a/in/side");
	make_dir(fs, "/q/c");
	make_text(fs, "/p/a/in/side/f", "content");
	thread = start_thread(move_to_and_fro, &changer);
	for (int i = 0; i < 2000 || atomic_load(&changer.rounds) < 100; i++) {
		char **names = NULL;
		int64_t count = mfs_listdir(fs, "/p", &names);
		mfs_info info;
		int code = 0;

		wrong += count != 0 && count != 1;
		mfs_names_free(names);
		count = mfs_listdir(fs, "/q/a", &names);
		wrong += count != MFS_ENOENT && count != 1;
		mfs_names_free(names);
		code = mfs_stat(fs, "/q/c/a/in/side/f", &info);
		wrong += code != MFS_ENOENT && (code != 0 || info.size != 7);
		/* The directories that stay are always found. */
		wrong += !mfs_is_dir(fs, "/q/c") || mfs_stat(fs, "/p", &info) != 0;
	}
	atomic_store(&stop, true);
	join_thread(thread);
	assert_int_equal(wrong, 0);
	assert_int_equal(changer.failures, 0);
	assert_text(fs, "/p/a/in/side/f", "content");
	assert_counts(fs, 1, 6);
}

static void *exchange_again_and_again(void *argument)
{
	struct changer *changer = argument;

	while (!atomic_load(changer->stop)) {
		changer->failures += mfs_rename(changer->fs, "/p/a", "/b", MFS_RENAME_EXCHANGE) != 0;
		atomic_fetch_add(&changer->rounds, 1);
	}
	return NULL;
}

static void what_is_exchanged_is_always_there(void **state)
{
	mfs *fs = *state;
	atomic_bool stop = false;
	struct changer changer = {.fs = fs, .stop = &stop};
	pthread_t thread;
	int wrong = 0;

	make_dir(fs, "/p/a");
	make_dir(fs, "/b");
	make_text(fs, "/p/a/f", "one");
	make_text(fs, "/b/f", "other");
	thread = start_thread(exchange_again_and_again, &changer);
	for (int i = 0; i < 3000 || atomic_load(&changer.rounds) < 200; i++) {
		mfs_info info;

		wrong += !mfs_is_dir(fs, "/p/a") || !mfs_is_dir(fs, "/b");
		wrong += mfs_stat(fs, "/p/a/f", &info) != 0 || (info.size != 3 && info.size != 5);
		wrong += mfs_stat(fs, "/b/f", &info) != 0 || (info.size != 3 && info.size != 5);
	}
	atomic_store(&stop, true);
	join_thread(thread);
	assert_int_equal(wrong, 0);
	assert_int_equal(changer.failures, 0);
	assert_counts(fs, 2, 3);
}

/** Moves a file down into new parents, then takes these away as one. */
static void *move_into_new_parents(void *argument)
{
	struct changer *changer = argument;

	while (!atomic_load(changer->stop)) {
		changer->failures += mfs_move(changer->fs, "/old/y/f", "/x/y/f", 0) != 0;
		changer->failures += mfs_remove(changer->fs, "/old/y") != 0;
		changer->failures += mfs_remove(changer->fs, "/old") != 0;
		changer->failures += mfs_rename(changer->fs, "/x", "/old", 0) != 0;
		atomic_fetch_add(&changer->rounds, 1);
	}
	return NULL;
}

static void new_parents_come_with_what_was_moved(void **state)
{
	mfs *fs = *state;
	atomic_bool stop = false;
	struct changer changer = {.fs = fs, .stop = &stop};
	pthread_t thread;
	int wrong = 0;

	make_dir(fs, "/old/y");
	make_text(fs, "/old/y/f", "content");
	thread = start_thread(move_into_new_parents, &changer);
	for (int i = 0; i < 3000 || atomic_load(&changer.rounds) < 200; i++) {
		char **names = NULL;
		int64_t count = mfs_listdir(fs, "/x", &names);

		wrong += count != MFS_ENOENT && count != 1;
		mfs_names_free(names);
		count = mfs_listdir(fs, "/x/y", &names);
		wrong += count != MFS_ENOENT && count != 1;
		mfs_names_free(names);
	}
	atomic_store(&stop, true);
	join_thread(thread);
	assert_int_equal(wrong, 0);
	assert_int_equal(changer.failures, 0);
	assert_counts(fs, 1, 2);
}

/** Renames the directory to and fro; a handle below is a good reason not to. */
static void *pull_at_the_directory(void *argument)
{
	struct changer *changer = argument;
	bool here = true;

	while (!atomic_load(changer->stop)) {
		int code = here ? mfs_rename(changer->fs, "/a", "/z/a", 0)
						: mfs_rename(changer->fs, "/z/a", "/a", 0);

		changer->failures += code != 0 && code != MFS_EBUSY;
		if (code == 0) {
			here = !here;
			atomic_fetch_add(&changer->rounds, 1);
		}
	}
	return NULL;
}

/*
 * Between the moment when the move has asked every file below and the moment when it takes place,
 * no handle may come in: whoever holds one finds the path as it was for as long as he holds it.
 */
static void a_path_stays_while_a_handle_holds_it(void **state)
{
	static const char *const paths[] = {"/a/b/f", "/z/a/b/f"};
	mfs *fs = *state;
	atomic_bool stop = false;
	struct changer changer = {.fs = fs, .stop = &stop};
	pthread_t thread;
	int wrong = 0;
	int held = 0;

	make_dir(fs, "/a/b");
	make_dir(fs, "/z");
	make_text(fs, "/a/b/f", "content");
	thread = start_thread(pull_at_the_directory, &changer);
	for (int i = 0; i < 6000 || atomic_load(&changer.rounds) < 100; i++) {
		const char *path = paths[i % 2];
		mfs_file *file = NULL;
		int code = mfs_open(fs, path, i % 3 == 0 ? "r+b" : "rb", &file);

		if (code != 0) {
			wrong += code != MFS_ENOENT;
			continue;
		}
		held++;
		for (int look = 0; look < 5; look++)
			wrong += !mfs_is_file(fs, path);
		wrong += mfs_exists(fs, paths[1 - i % 2]);
		wrong += mfs_close(file) != 0;
	}
	atomic_store(&stop, true);
	join_thread(thread);
	assert_int_equal(wrong, 0);
	assert_int_equal(changer.failures, 0);
	assert_true(held > 0);
	assert_counts(fs, 1, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(a_directory_takes_along_what_is_below),
		WORKSPACE_TEST(a_directory_that_moved_is_one_like_any_other),
		WORKSPACE_TEST(only_the_two_parents_are_modified),
		WORKSPACE_TEST(a_directory_of_many_names_moves_whole),
		WORKSPACE_TEST(a_directory_needs_a_free_name_in_a_directory),
		WORKSPACE_TEST(flags_are_checked),
		WORKSPACE_TEST(names_that_are_too_long_are_refused),
		WORKSPACE_TEST(a_directory_does_not_go_into_itself),
		WORKSPACE_TEST(the_root_stays),
		WORKSPACE_TEST(a_directory_on_its_own_name),
		WORKSPACE_TEST(a_directory_replaces_an_empty_one_only),
		WORKSPACE_TEST(two_directories_change_places),
		WORKSPACE_TEST(a_file_and_a_directory_change_places),
		WORKSPACE_TEST(two_files_change_places),
		WORKSPACE_TEST(a_handle_below_is_in_the_way_until_it_is_closed),
		WORKSPACE_TEST(each_of_several_handles_is_in_the_way),
		WORKSPACE_TEST(shared_handles_go_along),
		WORKSPACE_TEST(iterators_below_are_not_in_the_way),
		cmocka_unit_test(moves_need_neither_quota_nor_nodes),
		cmocka_unit_test(the_parents_that_a_move_makes_are_counted),
		WORKSPACE_TEST(a_move_makes_the_parents_that_are_missing),
		WORKSPACE_TEST(nobody_finds_a_directory_under_two_names),
		WORKSPACE_TEST(what_is_exchanged_is_always_there),
		WORKSPACE_TEST(new_parents_come_with_what_was_moved),
		WORKSPACE_TEST(a_path_stays_while_a_handle_holds_it),
	};

	return cmocka_run_group_tests_name("directory moves", tests, step_aside_setup,
									   step_aside_teardown);
}
