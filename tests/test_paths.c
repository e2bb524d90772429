/* SPDX-License-Identifier: MIT */
/*
 * Which file does a path name, and which paths are refused?
 */
#include "support.h"

#define MODES 5
static const char *const modes[MODES] = {"rb", "wb", "ab", "r+b", "xb"};

/** Every call that takes a path gives this code for it, and the three questions answer no. */
static void assert_bad_path(mfs *fs, const char *path, int code)
{
	mfs_usage before = usage_of(fs);
	mfs_file *file = NULL;
	mfs_info info;
	char **names = NULL;
	mfs_usage after;

	for (int i = 0; i < MODES; i++) {
		assert_refused(fs, mfs_open(fs, path, modes[i], &file), code);
	}
	assert_refused(fs, mfs_mkdir(fs, path, 0), code);
	assert_refused(fs, mfs_mkdir(fs, path, MFS_EXIST_OK), code);
	assert_refused(fs, mfs_remove(fs, path), code);
	assert_refused(fs, mfs_rename(fs, path, "/to", 0), code);
	assert_refused(fs, mfs_rename(fs, "/present", path, 0), code);
	assert_refused(fs, mfs_rename(fs, "/present", path, MFS_RENAME_REPLACE), code);
	assert_refused(fs, mfs_listdir(fs, path, &names), code);
	assert_refused(fs, mfs_stat(fs, path, &info), code);
	assert_refused(fs, mfs_get_size(fs, path), code);
	assert_false(mfs_exists(fs, path));
	assert_false(mfs_is_dir(fs, path));
	assert_false(mfs_is_file(fs, path));
	after = usage_of(fs);
	assert_int_equal(after.files, before.files);
	assert_int_equal(after.directories, before.directories);
	assert_int_equal(after.open_handles, before.open_handles);
}

/** A string of `size` times `byte`, with `end` behind it. To be freed. */
static char *repeat(char byte, size_t size, const char *end)
{
	char *text = allocate(size + strlen(end) + 1);

	memset(text, byte, size);
	strcpy(text + size, end);
	return text;
}

static void backslash_reads_as_slash(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "\\a\\b");
	make_text(fs, "\\a/b\\f", "text");
	assert_text(fs, "/a/b/f", "text");
	assert_true(mfs_is_file(fs, "a\\b\\f"));
	assert_true(mfs_is_dir(fs, "/a\\b\\"));
}

static void a_leading_separator_is_optional(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "a/b");
	make_text(fs, "a/b/f", "text");
	assert_text(fs, "/a/b/f", "text");
	assert_text(fs, "./a/b/f", "text");
	assert_code(mfs_rename(fs, "a/b/f", "g", 0), 0);
	assert_text(fs, "/g", "text");
}

static void the_empty_path_is_the_root(void **state)
{
	static const char *const roots[] = {"", "/", "\\", ".", "./", "/.", "//", "\\/\\", "/a/.."};
	mfs *fs = *state;
	char **names = NULL;

	make_dir(fs, "/only");
	for (size_t i = 0; i < COUNT_OF(roots); i++) {
		assert_true(mfs_exists(fs, roots[i]));
		assert_true(mfs_is_dir(fs, roots[i]));
		assert_false(mfs_is_file(fs, roots[i]));
		assert_true(info_of(fs, roots[i]).is_dir);
		assert_code(mfs_listdir(fs, roots[i], &names), 1);
		assert_string_equal(names[0], "only");
		assert_null(names[1]);
		mfs_names_free(names);
	}
}

static void repeated_and_trailing_separators_are_dropped(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "//a///b//");
	make_text(fs, "///a//b/f/", "text");
	assert_text(fs, "/a/b/f", "text");
	assert_text(fs, "/a/b/f///", "text");
	assert_text(fs, "/a\\/\\b\\\\f", "text");
	assert_true(mfs_is_dir(fs, "/a/b/////"));
}

static void single_dots_are_dropped(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/./a/./b/.");
	make_text(fs, "/a/././b/./f/.", "text");
	assert_text(fs, "/a/b/f", "text");
	assert_text(fs, ".\\a\\.\\b\\f", "text");
}

static void two_dots_take_back_the_name_before_as_text(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/a/b");
	make_text(fs, "/a/f", "text");
	assert_text(fs, "/a/b/../f", "text");
	assert_text(fs, "/a/b/../../a/f", "text");
	/* As text: neither a missing name nor a file stops it. */
	assert_text(fs, "/nope/../a/f", "text");
	assert_text(fs, "/nope/neither/../../a/f", "text");
	assert_text(fs, "/a/f/x/../../f", "text");
	assert_text(fs, "/a/f/..\\f", "text");
	assert_true(mfs_is_dir(fs, "/a/f/.."));
	/* A taken-back name that is "." or empty does not count. */
	assert_text(fs, "/a/b/./../f", "text");
	assert_text(fs, "/a/b//../f", "text");
	assert_false(mfs_exists(fs, "/nope"));
	make_dir(fs, "/new/../made");
	assert_true(mfs_is_dir(fs, "/made"));
	assert_false(mfs_exists(fs, "/new"));
}

static void dots_inside_a_name_are_ordinary_bytes(void **state)
{
	static const char *const names[] = {"...", "....", "..a", "a..", ".a", "a.", ". ", ".. "};
	mfs *fs = *state;
	char path[16];

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		snprintf(path, sizeof(path), "/%s", names[i]);
		make_text(fs, path, names[i]);
	}
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		snprintf(path, sizeof(path), "/%s", names[i]);
		assert_text(fs, path, names[i]);
	}
	assert_int_equal(usage_of(fs).files, COUNT_OF(names));
}

static void above_the_root_is_invalid(void **state)
{
	static const char *const paths[] = {
		"..",
		"/..",
		"\\..",
		"../",
		"/../",
		"/../..",
		"/./..",
		"/a/../..",
		"/nope/../..",
		"/../present",
		"/nope/../../x",
		"a/b/../../../c",
		"present/../../present",
	};
	mfs *fs = *state;

	make_text(fs, "/present", "text");
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		assert_bad_path(fs, paths[i], MFS_EINVAL);
	}
	assert_text(fs, "/present", "text");
}

static void a_name_has_at_most_255_bytes(void **state)
{
	mfs *fs = *state;
	char *longest = repeat('n', MFS_NAME_MAX, "");
	char *too_long = repeat('n', MFS_NAME_MAX + 1, "");
	char *in_between = repeat('n', MFS_NAME_MAX + 1, "/x");
	char **names = NULL;

	make_text(fs, "/present", "text");
	make_text(fs, longest, "text");
	assert_text(fs, longest, "text");
	assert_code(mfs_listdir(fs, "/", &names), 2);
	assert_string_equal(names[0], longest);
	mfs_names_free(names);
	assert_code(mfs_remove(fs, longest), 0);
	make_dir(fs, longest);
	assert_code(mfs_remove(fs, longest), 0);

	assert_bad_path(fs, too_long, MFS_ENAMETOOLONG);
	assert_bad_path(fs, in_between, MFS_ENAMETOOLONG);
	free(longest);
	free(too_long);
	free(in_between);
}

static void a_path_has_at_most_65535_bytes(void **state)
{
	mfs *fs = *state;
	char *longest = repeat('/', MFS_PATH_MAX - 7, "present");
	char *too_long = repeat('/', MFS_PATH_MAX - 6, "present");
	char *root = repeat('/', MFS_PATH_MAX, "");
	char *slashes = repeat('/', MIB, "");
	char *backslashes = repeat('\\', MIB, "");
	char *letters = repeat('a', MIB, "");

	make_text(fs, "/present", "text");
	assert_text(fs, longest, "text");
	assert_true(mfs_is_dir(fs, root));
	assert_bad_path(fs, too_long, MFS_ENAMETOOLONG);
	assert_bad_path(fs, slashes, MFS_ENAMETOOLONG);
	assert_bad_path(fs, backslashes, MFS_ENAMETOOLONG);
	assert_bad_path(fs, letters, MFS_ENAMETOOLONG);
	free(longest);
	free(too_long);
	free(root);
	free(slashes);
	free(backslashes);
	free(letters);
}

static void every_byte_but_the_separators_may_stand_in_a_name(void **state)
{
	mfs *fs = *state;
	char **names = NULL;
	char path[8];
	size_t at = 0;

	/* "c", then the byte, then "c": names that differ in one byte only. */
	for (int byte = 1; byte < 256; byte++) {
		if (byte != '/' && byte != '\\') {
			unsigned char content = (unsigned char)byte;

			snprintf(path, sizeof(path), "/c%cc", byte);
			make_file(fs, path, &content, 1);
		}
	}
	assert_code(mfs_listdir(fs, "/", &names), 253);
	for (int byte = 1; byte < 256; byte++) {
		if (byte != '/' && byte != '\\') {
			unsigned char content = (unsigned char)byte;

			snprintf(path, sizeof(path), "/c%cc", byte);
			assert_string_equal(names[at], path + 1);
			at++;
			assert_code(info_of(fs, path).size, 1);
			assert_file_holds(fs, path, &content, 1);
			assert_true(mfs_is_file(fs, path));
			assert_code(mfs_remove(fs, path), 0);
			assert_false(mfs_exists(fs, path));
		}
	}
	assert_null(names[at]);
	mfs_names_free(names);
}

static void every_byte_but_dot_and_the_separators_is_a_name(void **state)
{
	mfs *fs = *state;
	char path[3] = "/?";

	for (int byte = 1; byte < 256; byte++) {
		path[1] = (char)byte;
		if (byte != '/' && byte != '\\' && byte != '.') {
			make_dir(fs, path);
			assert_refused(fs, mfs_mkdir(fs, path, 0), MFS_EEXIST);
		}
	}
	assert_int_equal(usage_of(fs).directories, 252);
}

static void names_are_compared_exactly(void **state)
{
	static const char *const names[] = {"/name",  "/Name",        "/NAME", "/name ",
										"/ name", "/nam\xc3\xa9", "/namE"};
	mfs *fs = *state;
	char *base = repeat('n', MFS_NAME_MAX, "");

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		assert_false(mfs_exists(fs, names[i]));
		make_text(fs, names[i], names[i]);
	}
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		assert_text(fs, names[i], names[i]);
	}

	/* Names of full length, each differing from the first in one byte. */
	make_dir(fs, base);
	for (size_t i = 0; i < MFS_NAME_MAX; i++) {
		base[i] = 'N';
		assert_false(mfs_exists(fs, base));
		make_dir(fs, base);
		assert_true(mfs_is_dir(fs, base));
		base[i] = 'n';
	}
	assert_int_equal(usage_of(fs).directories, MFS_NAME_MAX + 1);
	free(base);
}

static void names_of_every_length_are_found_wherever_they_stand(void **state)
{
	mfs *fs = *state;
	char path[2 * MFS_NAME_MAX + 32];

	for (int length = 1; length <= MFS_NAME_MAX; length++) {
		char name[MFS_NAME_MAX + 1];

		for (int i = 0; i < length; i++) {
			name[i] = (char)('a' + (i + length) % 26);
		}
		name[length] = '\0';
		/* At the end of the path, before a separator, and between two, at every alignment. */
		make_dir(fs, name);
		snprintf(path, sizeof(path), "/%s", name);
		assert_true(mfs_is_dir(fs, path));
		snprintf(path, sizeof(path), "%s\\", name);
		assert_true(mfs_is_dir(fs, path));
		snprintf(path, sizeof(path), "//%s/f", name);
		make_text(fs, path, name);
		snprintf(path, sizeof(path), "/./%s/./f", name);
		assert_text(fs, path, name);
		snprintf(path, sizeof(path), "x/../%s/%s/../f", name, name);
		assert_text(fs, path, name);
	}
	assert_int_equal(usage_of(fs).directories, MFS_NAME_MAX);
}

static void a_path_may_be_50_deep(void **state)
{
	mfs *fs = *state;
	char path[50 * 10 + 16] = "";
	char up[50 * 3 + 8] = "";
	size_t length = 0;

	for (int depth = 0; depth < 50; depth++) {
		length += (size_t)snprintf(path + length, sizeof(path) - length, "/dir%d", depth);
		strcat(up, "/..");
	}
	make_dir(fs, path);
	assert_int_equal(usage_of(fs).directories, 50);
	strcpy(path + length, "/file");
	make_text(fs, path, "deep");
	assert_text(fs, path, "deep");
	path[length] = '\0';
	strcpy(path + length, up);
	assert_true(mfs_is_dir(fs, path));
	strcat(path, "/..");
	assert_false(mfs_exists(fs, path));
}

static void a_path_may_have_as_many_names_as_fit(void **state)
{
	mfs *fs = *state;
	char *path = allocate(MFS_PATH_MAX + 1);
	size_t depth = MFS_PATH_MAX / 2;

	for (size_t i = 0; i < depth; i++) {
		memcpy(path + 2 * i, "/d", 2);
	}
	make_dir(fs, path);
	assert_int_equal(usage_of(fs).directories, depth);
	assert_true(mfs_is_dir(fs, path));
	assert_code(mfs_remove(fs, path), 0);
	assert_false(mfs_exists(fs, path));
	make_text(fs, path, "deep");
	assert_text(fs, path, "deep");
	free(path);
}

static void questions_about_bad_paths_are_answered_no_and_leave_no_error(void **state)
{
	mfs *fs = *state;
	char *slashes = repeat('/', MIB, "");
	char *name = repeat('n', MFS_NAME_MAX + 1, "");
	const char *const paths[] = {
		"/nope", "/nope/nope", "/present/below", "..", "/nope/../../x", slashes, name,
	};
	mfs_info info;
	char *message = NULL;

	make_text(fs, "/present", "text");
	assert_code(mfs_stat(fs, "/a failure to remember", &info), MFS_ENOENT);
	message = strdup(mfs_last_error());
	assert_non_null(message);
	assert_non_null(strstr(message, "/a failure to remember"));
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		assert_false(mfs_exists(fs, paths[i]));
		assert_false(mfs_is_dir(fs, paths[i]));
		assert_false(mfs_is_file(fs, paths[i]));
		assert_string_equal(mfs_last_error(), message);
	}
	/* Success leaves it as it is, too. */
	assert_true(mfs_exists(fs, "/present"));
	assert_text(fs, "/present", "text");
	assert_string_equal(mfs_last_error(), message);
	free(message);
	free(slashes);
	free(name);
}

static void the_message_of_a_failure_names_path_and_cause(void **state)
{
	mfs *fs = *state;
	char *path = repeat('/', 60000, "end-of-path");
	mfs_file *file = NULL;

	assert_refused(fs, mfs_open(fs, "/some/where", "rb", &file), MFS_ENOENT);
	assert_non_null(strstr(mfs_last_error(), "/some/where"));
	assert_non_null(strstr(mfs_last_error(), mfs_strerror(MFS_ENOENT)));
	/* A long path is shortened in the middle. */
	memset(path, 'a', 60000);
	for (size_t i = 0; i < 60000; i += 200) {
		path[i] = '/';
	}
	memcpy(path, "/start-of-path/", 15);
	assert_refused(fs, mfs_open(fs, path, "rb", &file), MFS_ENOENT);
	assert_in_range(strlen(mfs_last_error()), 1, 1000);
	assert_non_null(strstr(mfs_last_error(), "/start-of-path/"));
	assert_non_null(strstr(mfs_last_error(), "end-of-path"));
	assert_non_null(strstr(mfs_last_error(), mfs_strerror(MFS_ENOENT)));
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(backslash_reads_as_slash),
		WORKSPACE_TEST(a_leading_separator_is_optional),
		WORKSPACE_TEST(the_empty_path_is_the_root),
		WORKSPACE_TEST(repeated_and_trailing_separators_are_dropped),
		WORKSPACE_TEST(single_dots_are_dropped),
		WORKSPACE_TEST(two_dots_take_back_the_name_before_as_text),
		WORKSPACE_TEST(dots_inside_a_name_are_ordinary_bytes),
		WORKSPACE_TEST(above_the_root_is_invalid),
		WORKSPACE_TEST(a_name_has_at_most_255_bytes),
		WORKSPACE_TEST(a_path_has_at_most_65535_bytes),
		WORKSPACE_TEST(every_byte_but_the_separators_may_stand_in_a_name),
		WORKSPACE_TEST(every_byte_but_dot_and_the_separators_is_a_name),
		WORKSPACE_TEST(names_are_compared_exactly),
		WORKSPACE_TEST(names_of_every_length_are_found_wherever_they_stand),
		WORKSPACE_TEST(a_path_may_be_50_deep),
		WORKSPACE_TEST(a_path_may_have_as_many_names_as_fit),
		WORKSPACE_TEST(questions_about_bad_paths_are_answered_no_and_leave_no_error),
		WORKSPACE_TEST(the_message_of_a_failure_names_path_and_cause),
	};

	return cmocka_run_group_tests_name("paths", tests, NULL, NULL);
}
