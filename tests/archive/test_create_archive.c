/* SPDX-License-Identifier: MIT */
/*
 * Is an archive of a workspace the workspace: each name and each byte of it, for this library and
 * for others, whatever stands in the way?
 */
#include "create_archive.h"

#include <locale.h>
#include <spawn.h>

/*
 * What is in it
 */

static void a_tree_comes_back_from_each_format(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/empty");
	make_dir(fs, "/d/e/f");
	make_dir(fs, "/d/last");
	make_text(fs, "/nothing", "");
	make_text(fs, "/d/one", "1");
	make_random(fs, "/d/e/4095", 4095);
	make_random(fs, "/d/e/4096", 4096);
	make_random(fs, "/d/e/4097", 4097);
	make_random(fs, "/d/e/f/several MiB", 5 * MIB + 17);
	make_text(fs, "/ leading and trailing ", "x");
	make_text(fs, "/-rf", "x");
	make_text(fs, "/C:drive", "x");
	make_text(fs, "/line\nand\ttab", "x");
	make_text(fs, "/...", "x");
	assert_comes_back(fs, 11);
}

/** The names are the same in any locale of the process, whether UTF-8 or not. */
static void names_are_bytes(void **state)
{
	mfs *fs = *state;
	static const char *const locales[] = {"C", "C.UTF-8"};

	make_dir(fs, "/gr\xc3\xbc\xc3\x9f\x65");
	make_text(fs, "/gr\xc3\xbc\xc3\x9f\x65/\xe6\x97\xa5\xe6\x9c\xac", "UTF-8");
	make_text(fs, "/e\xcc\x81 and \xc3\xa9", "decomposed and composed");
	make_text(fs, "/\xf0\x9f\x90\x9f", "four bytes");
	make_text(fs, "/\xff\xfe", "no text at all");
	make_text(fs, "/caf\xe9", "Latin-1");
	make_text(fs, "/\xed\xa0\x80", "a surrogate");
	make_text(fs, "/\xc0\xaf", "overlong");
	make_text(fs, "/\xe0\x80\xaf", "overlong, of three bytes");
	make_text(fs, "/\xf4\x90\x80\x80", "larger than any character");
	make_text(fs, "/\xf8\x88\x80\x80\x80", "five bytes");
	make_text(fs, "/\xe6\x97", "cut");
	make_text(fs, "/\xe6\x97x", "cut, and more");
	make_text(fs, "/\xf4\x8f\xbf\xbd \xed\x9f\xbf \xe0\xa0\x80 \xf0\x90\x80\x80", "limits");
	make_dir(fs, "/\x80");
	for (size_t i = 0; i < COUNT_OF(locales); i++) {
		assert_non_null(setlocale(LC_ALL, locales[i]));
		assert_comes_back(fs, 13);
	}
	assert_non_null(setlocale(LC_ALL, "C"));
}

static void archives_do_not_depend_on_the_locale(void **state)
{
	mfs *fs = *state;

	make_text(fs, "/gr\xc3\xbc\xc3\x9f\x65", "UTF-8");
	make_text(fs, "/caf\xe9", "Latin-1");
	for (size_t i = 0; i < COUNT_OF(formats); i++) {
		mfs_archive_create_options options = in_format(formats[i]);
		struct bytes one = archive_of(fs, "/", &options, 2);

		assert_non_null(setlocale(LC_ALL, "C.UTF-8"));
		struct bytes other = archive_of(fs, "/", &options, 2);

		assert_non_null(setlocale(LC_ALL, "C"));
		assert_int_equal(one.size, other.size);
		assert_memory_equal(one.data, other.data, one.size);
		bytes_free(&one);
		bytes_free(&other);
	}
}

static void long_paths_come_back(void **state)
{
	mfs *fs = *state;
	const size_t lengths[] = {99, 100, 101, 102, 155, 156, 254, 255, 256, 257, 300, 1000, 5000};

	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		make_long_path(fs, (char)('a' + i), lengths[i]);
	}
	assert_comes_back(fs, COUNT_OF(lengths));
}

static void the_longest_path_comes_back(void **state)
{
	mfs *fs = *state;

	make_long_path(fs, 'p', MFS_PATH_MAX);
	make_dir(fs, "/d");
	/* Compressed it would be the same, and take longer. */
	for (int format = MFS_ARCHIVE_ZIP; format <= MFS_ARCHIVE_TAR; format++) {
		mfs_archive_create_options options = in_format(format);
		struct bytes archive = archive_of(fs, "/", &options, 1);
		mfs *copy = expanded(&archive, 1);
		mfs_usage usage = usage_of(copy);

		assert_int_equal(usage.directories, usage_of(fs).directories);
		assert_int_equal(usage.files, 1);
		free_workspace(copy);
	}
}

static void a_path_too_long_is_refused(void **state)
{
	mfs *fs = *state;
	char *path = allocate(MFS_PATH_MAX);

	/* Moved down, what has a path of 60000 bytes gets one that no call takes. */
	make_long_path(fs, 'p', 60000);
	memset(path, 'd', 6000);
	path[0] = '/';
	for (size_t i = 200; i < 6000; i += 200) {
		path[i] = '/';
	}
	assert_code(mfs_mkdir(fs, path, 0), 0);
	memcpy(path + 6000, "/p", 3);
	char *from = allocate(201);

	memset(from, 'p', 200);
	from[0] = '/';
	assert_code(mfs_rename(fs, from, path, 0), 0);
	int fd = new_memfd();

	assert_refused(fs, mfs_create_archive(fs, "/", fd, NULL), MFS_ENAMETOOLONG);
	assert_int_equal(usage_of(fs).open_handles, 0);
	assert_int_equal(close(fd), 0);
	free(from);
	free(path);
}

static void names_are_relative_to_the_directory(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/a/b/c");
	make_text(fs, "/a/b/c/f", "f");
	make_text(fs, "/a/b/g", "g");
	make_text(fs, "/a/other", "not in it");
	static const char *const paths[] = {"/a/b", "a\\b\\", "/a/./x/../b/"};

	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		struct bytes archive = archive_of(fs, paths[i], NULL, 2);
		mfs *copy = expanded(&archive, 2);

		assert_true(mfs_is_file(copy, "/g"));
		assert_true(mfs_is_file(copy, "/c/f"));
		assert_int_equal(usage_of(copy).directories, 1);
		free_workspace(copy);
	}
}

static void a_single_file_has_its_own_name(void **state)
{
	mfs *fs = *state;
	static const char *const paths[] = {"/d/f",      "d/f",           "d\\f",
										"/d//f/",    "/d/./f/.",      "/d/x/../f",
										"/d/f/x/..", "/d/f/x/./../.", "/x/y/../../d/f"};

	make_dir(fs, "/d");
	make_text(fs, "/d/f", "text");
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		struct bytes archive = archive_of(fs, paths[i], NULL, 1);
		mfs *copy = expanded(&archive, 1);

		assert_text(copy, "/f", "text");
		assert_int_equal(usage_of(copy).directories, 0);
		free_workspace(copy);
	}
}

static void an_empty_directory_makes_an_empty_archive(void **state)
{
	assert_comes_back(*state, 0);
}

/** Reads an archive with libarchive alone: "path size" for each entry, and checks the metadata. */
static char *entries_of(const struct bytes *bytes, mfs *fs)
{
	struct archive *archive = archive_read_new();
	struct archive_entry *entry = NULL;
	struct text text = {0};

	text_add(&text, "");
	assert_int_equal(archive_read_support_format_all(archive), ARCHIVE_OK);
	assert_true(archive_read_support_filter_all(archive) >= ARCHIVE_WARN);
	assert_int_equal(archive_read_open_memory(archive, bytes->data, bytes->size), ARCHIVE_OK);
	while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
		const char *path = archive_entry_pathname(entry);
		bool is_dir = archive_entry_filetype(entry) == AE_IFDIR;
		mfs_info info = info_of(fs, path);
		char size[32] = "";

		assert_int_equal(info.is_dir, is_dir);
		assert_int_equal(archive_entry_perm(entry), is_dir ? 0755 : 0644);
		assert_int_equal(archive_entry_uid(entry), 0);
		assert_int_equal(archive_entry_gid(entry), 0);
		assert_int_equal(archive_entry_mtime(entry), info.modified_at / 1000000000);
		text_add(&text, path);
		if (!is_dir) {
			(void)snprintf(size, sizeof(size), " %lld", (long long)archive_entry_size(entry));
		}
		text_add(&text, size);
		text_add(&text, "\n");
	}
	assert_int_equal(archive_read_free(archive), ARCHIVE_OK);
	return text.bytes;
}

static void entries_are_sorted_and_have_neutral_metadata(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/b/z");
	make_dir(fs, "/a");
	make_text(fs, "/b/z/2", "22");
	make_text(fs, "/b/z/1", "1");
	make_text(fs, "/b/y", "yyy");
	make_text(fs, "/c", "cccc");
	for (size_t i = 0; i < COUNT_OF(formats); i++) {
		mfs_archive_create_options options = in_format(formats[i]);
		struct bytes archive = archive_of(fs, "/", &options, 4);
		char *entries = entries_of(&archive, fs);

		assert_string_equal(entries, "c 4\na/\nb/\nb/y 3\nb/z/\nb/z/1 1\nb/z/2 2\n");
		free(entries);
		bytes_free(&archive);
	}
}

static void equal_trees_make_equal_archives(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/d/e");
	make_random(fs, "/d/file", 100000);
	make_text(fs, "/d/e/\xc3\xbc", "text");
	for (size_t i = 0; i < COUNT_OF(formats); i++) {
		mfs_archive_create_options options = in_format(formats[i]);
		struct bytes one = archive_of(fs, "/", &options, 2);
		struct bytes other = archive_of(fs, "/", &options, 2);

		assert_int_equal(one.size, other.size);
		assert_memory_equal(one.data, other.data, one.size);
		if (formats[i] == MFS_ARCHIVE_TAR_GZIP) {
			/* gzip's header has room for the time of day. */
			assert_memory_equal(one.data, "\x1f\x8b\x08\0\0\0\0\0", 8);
		}
		bytes_free(&one);
		bytes_free(&other);
	}
}

static void levels_are_those_of_the_compressor(void **state)
{
	mfs *fs = *state;
	static const struct {
		int format;
		int highest;
	} cases[] = {{MFS_ARCHIVE_TAR_ZSTD, 22}, {MFS_ARCHIVE_TAR_GZIP, 9}, {MFS_ARCHIVE_ZIP, 9}};
	struct text text = {0};
	struct rng rng = {1};

	for (int i = 0; i < 10000; i++) {
		static const char *const words[] = {"rain ", "in ",   "the ",   "mainly ", "stays ",
											"and ",  "not\n", "plain ", "where ",  "hardly "};

		text_add(&text, words[rng_below(&rng, COUNT_OF(words))]);
	}
	make_file(fs, "/text", text.bytes, text.length);
	free(text.bytes);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		mfs_archive_create_options options = in_format(cases[i].format);

		options.level = 1;
		struct bytes low = archive_of(fs, "/", &options, 1);

		options.level = cases[i].highest;
		struct bytes high = archive_of(fs, "/", &options, 1);

		assert_true(high.size < low.size);
		bytes_free(&low);
		mfs *copy = expanded(&high, 1);

		assert_same(fs, copy);
		free_workspace(copy);
		options.level++;
		assert_refused(fs, mfs_create_archive(fs, "/", 1, &options), MFS_EINVAL);
	}
}

static void only_dirty_files_are_written(void **state)
{
	mfs *fs = *state;
	const mfs_import_item items[] = {{.path = "/clean", .data = "1", .size = 1},
									 {.path = "/d/clean", .data = "2", .size = 1},
									 {.path = "/d/changed", .data = "3", .size = 1},
									 {.path = "/empty", .flags = MFS_IMPORT_DIRECTORY}};
	mfs_archive_create_options options = in_format(MFS_ARCHIVE_TAR);

	assert_code(mfs_import_tree(fs, items, COUNT_OF(items)), 0);
	make_text(fs, "/d/changed", "changed");
	make_text(fs, "/new", "new");
	options.flags = MFS_ONLY_DIRTY;
	/* A clean file that is held for writing holds nobody up. */
	mfs_file *held = open_file(fs, "/clean", "r+b");
	int fd = new_memfd();

	assert_code(mfs_create_archive(fs, "/", fd, &options), 2);
	close_file(held);
	struct bytes archive = take_bytes(fd);
	char *entries = entries_of(&archive, fs);

	assert_string_equal(entries, "new 3\nd/changed 7\n");
	free(entries);
	bytes_free(&archive);
	archive = archive_of(fs, "/clean", &options, 0);
	bytes_free(&archive);
	archive = archive_of(fs, "/d/changed", &options, 1);
	bytes_free(&archive);
}

/*
 * The system's own programs
 */

/** Runs a program to its end. Returns its exit code, or -1 if there is no such program. */
static int run_program(char *const *arguments)
{
	pid_t child = 0;
	int status = 0;

	if (posix_spawnp(&child, arguments[0], NULL, NULL, arguments, environ) != 0) {
		return -1;
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void tar_and_unzip_read_it(void **state)
{
	struct host_fixture *f = *state;

	make_dir(f->fs, "/empty");
	make_dir(f->fs, "/d/e");
	make_text(f->fs, "/d/gr\xc3\xbc\xc3\x9f\x65", "text");
	make_text(f->fs, "/d/nothing", "");
	make_long_path(f->fs, 'l', 300);
	make_random(f->fs, "/d/e/large", 3 * MIB + 1);
	for (size_t i = 0; i < COUNT_OF(formats); i++) {
		mfs_archive_create_options options = in_format(formats[i]);
		struct bytes archive = archive_of(f->fs, "/", &options, 4);
		char directory[PATH_MAX];
		char file[PATH_MAX];
		char *tar[] = {"tar", "-x", "-f", file, "-C", directory, NULL};
		char *unzip[] = {"unzip", "-q", file, "-d", directory, NULL};
		char *const *program = formats[i] == MFS_ARCHIVE_ZIP ? unzip : tar;

		host_dir(f, format_names[i]);
		(void)snprintf(directory, sizeof(directory), "%s", f->path);
		(void)snprintf(file, sizeof(file), "archive.%s", format_names[i]);
		host_file(f, file, archive.data, archive.size);
		(void)snprintf(file, sizeof(file), "%s", f->path);
		bytes_free(&archive);
		int code = run_program(program);

		if (code == -1) {
			print_message("%s is not installed, %s is not read\n", program[0], format_names[i]);
			continue;
		}
		assert_int_equal(code, 0);
		mfs *copy = new_workspace(NULL);

		assert_code(mfs_import_from_dir(copy, directory, "/", NULL), 0);
		assert_same(f->fs, copy);
		free_workspace(copy);
	}
}

/*
 * Bad arguments
 */

static void bad_arguments_are_refused(void **state)
{
	mfs *fs = *state;
	mfs_archive_create_options options = {.struct_size = sizeof(options)};
	int fd = new_memfd();

	assert_refused(fs, mfs_create_archive(NULL, "/", fd, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_create_archive(fs, NULL, fd, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_create_archive(fs, "/..", fd, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_create_archive(fs, "/none", fd, NULL), MFS_ENOENT);
	make_text(fs, "/f", "f");
	assert_refused(fs, mfs_create_archive(fs, "/f/g", fd, NULL), MFS_ENOTDIR);
	options.struct_size = sizeof(options) - 1;
	assert_refused(fs, mfs_create_archive(fs, "/", fd, &options), MFS_EINVAL);
	options.struct_size = SIZE_MAX;
	assert_refused(fs, mfs_create_archive(fs, "/", fd, &options), MFS_EINVAL);
	options = in_format(4);
	assert_refused(fs, mfs_create_archive(fs, "/", fd, &options), MFS_EINVAL);
	options = in_format(-1);
	assert_refused(fs, mfs_create_archive(fs, "/", fd, &options), MFS_EINVAL);
	options = in_format(MFS_ARCHIVE_TAR);
	options.level = -1;
	assert_refused(fs, mfs_create_archive(fs, "/", fd, &options), MFS_EINVAL);
	options = in_format(MFS_ARCHIVE_TAR);
	options.flags = 2;
	assert_refused(fs, mfs_create_archive(fs, "/", fd, &options), MFS_EINVAL);
	options = in_format(MFS_ARCHIVE_TAR);
	options.reserved = 1;
	assert_refused(fs, mfs_create_archive(fs, "/", fd, &options), MFS_EINVAL);
	/* Nothing was written for any of them. */
	struct stat info;

	assert_int_equal(fstat(fd, &info), 0);
	assert_int_equal(info.st_size, 0);
	assert_int_equal(usage_of(fs).open_handles, 0);
	options = (mfs_archive_create_options){0};
	assert_code(mfs_create_archive(fs, "/", fd, &options), 1);
	assert_int_equal(close(fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(a_tree_comes_back_from_each_format),
		WORKSPACE_TEST(names_are_bytes),
		WORKSPACE_TEST(archives_do_not_depend_on_the_locale),
		WORKSPACE_TEST(long_paths_come_back),
		WORKSPACE_TEST(the_longest_path_comes_back),
		WORKSPACE_TEST(a_path_too_long_is_refused),
		WORKSPACE_TEST(names_are_relative_to_the_directory),
		WORKSPACE_TEST(a_single_file_has_its_own_name),
		WORKSPACE_TEST(an_empty_directory_makes_an_empty_archive),
		WORKSPACE_TEST(entries_are_sorted_and_have_neutral_metadata),
		WORKSPACE_TEST(equal_trees_make_equal_archives),
		WORKSPACE_TEST(levels_are_those_of_the_compressor),
		WORKSPACE_TEST(only_dirty_files_are_written),
		HOST_TEST(tar_and_unzip_read_it),
		WORKSPACE_TEST(bad_arguments_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
