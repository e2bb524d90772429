/* SPDX-License-Identifier: MIT */
/*
 * Is an archive that was made by an enemy refused, or are its bad entries left out: names that lead
 * elsewhere, links, devices, files in the place of directories?
 */
#include "hostile.h"

#include <signal.h>
#include <sys/stat.h>

/*
 * Entries that are refused, or left out
 */

static void absolute(struct bytes *tar)
{
	tar_file(tar, "/etc/passwd", "x");
}

static void absolute_many_slashes(struct bytes *tar)
{
	tar_file(tar, "///etc/passwd", "x");
}

static void absolute_directory(struct bytes *tar)
{
	tar_directory(tar, "/");
}

static void up(struct bytes *tar)
{
	tar_file(tar, "../x", "x");
}

static void only_up(struct bytes *tar)
{
	tar_directory(tar, "..");
}

static void up_and_out(struct bytes *tar)
{
	tar_file(tar, "a/../../b", "x");
}

static void up_within(struct bytes *tar)
{
	tar_file(tar, "a/../b", "x");
}

static void up_at_the_end(struct bytes *tar)
{
	tar_directory(tar, "a/b/..");
}

static void up_behind_dots(struct bytes *tar)
{
	tar_file(tar, "./.././x", "x");
}

static void drive(struct bytes *tar)
{
	tar_file(tar, "C:/x", "x");
}

static void drive_alone(struct bytes *tar)
{
	tar_file(tar, "z:x", "x");
}

static void backslash(struct bytes *tar)
{
	tar_file(tar, "a\\b", "x");
}

static void backslash_up(struct bytes *tar)
{
	tar_file(tar, "..\\..\\x", "x");
}

static void share(struct bytes *tar)
{
	tar_file(tar, "\\\\host\\share", "x");
}

static void empty(struct bytes *tar)
{
	tar_file(tar, "", "x");
}

static void pax_absolute(struct bytes *tar)
{
	tar_pax(tar, "path", "/etc/passwd", 11);
	tar_file(tar, "harmless", "x");
}

static void long_name_up(struct bytes *tar)
{
	char path[200];

	memset(path, 'a', sizeof(path));
	memcpy(path, "b/../../", 8);
	path[sizeof(path) - 1] = '\0';
	tar_file(tar, path, "x");
}

static void name_too_long(struct bytes *tar)
{
	char path[MFS_NAME_MAX + 2];

	memset(path, 'n', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	tar_file(tar, path, "x");
}

/** Nearly as much as a header of pax may have, see below. */
static void name_of_a_million_bytes(struct bytes *tar)
{
	size_t length = 999000;
	char *path = allocate(length + 1);

	memset(path, 'n', length);
	tar_pax(tar, "path", path, length);
	tar_file(tar, "harmless", "x");
	free(path);
}

static void path_too_long(struct bytes *tar)
{
	enum { LENGTH = 70000 };
	char *path = allocate(LENGTH + 1);

	for (size_t i = 0; i < LENGTH; i++) {
		path[i] = i % 100 == 99 ? '/' : 'p';
	}
	path[LENGTH - 1] = 'p';
	tar_file(tar, path, "x");
	free(path);
}

static void symlink_out(struct bytes *tar)
{
	tar_link(tar, "link", TAR_SYMLINK, "/etc");
}

static void hard_link_inside(struct bytes *tar)
{
	tar_link(tar, "link", TAR_HARD_LINK, "good");
}

static void hard_link_out(struct bytes *tar)
{
	tar_link(tar, "link", TAR_HARD_LINK, "/etc/passwd");
}

/** Only with pax may there be bytes behind a hard link. */
static void hard_link_with_bytes(struct bytes *tar)
{
	tar_pax(tar, "comment", "x", 1);
	tar_header(tar, "link", TAR_HARD_LINK, "good", 5);
	memcpy(bytes_extend(tar, 512), "bytes", 5);
}

static void pax_hard_link(struct bytes *tar)
{
	tar_pax(tar, "linkpath", "/etc/passwd", 11);
	tar_link(tar, "link", TAR_HARD_LINK, "good");
}

/** The header itself has no target. */
static void pax_hard_link_alone(struct bytes *tar)
{
	tar_pax(tar, "linkpath", "/etc/passwd", 11);
	tar_link(tar, "link", TAR_HARD_LINK, "");
}

static void fifo(struct bytes *tar)
{
	tar_header(tar, "fifo", TAR_FIFO, NULL, 0);
}

static void char_device(struct bytes *tar)
{
	tar_header(tar, "null", TAR_CHAR_DEVICE, NULL, 0);
}

static void block_device(struct bytes *tar)
{
	tar_header(tar, "sda", TAR_BLOCK_DEVICE, NULL, 0);
}

static void repeat(struct bytes *tar)
{
	tar_file(tar, "good", "twice");
}

static void repeat_otherwise_spelled(struct bytes *tar)
{
	tar_file(tar, ".//./good", "twice");
}

static void file_then_directory(struct bytes *tar)
{
	tar_directory(tar, "good/");
}

static void file_then_below(struct bytes *tar)
{
	tar_file(tar, "good/x/y", "x");
}

static void directory_then_file(struct bytes *tar)
{
	tar_file(tar, "dir", "x");
}

struct bad {
	const char *what;
	void (*add)(struct bytes *tar);
	int code;
};

static const struct bad bad_entries[] = {
	{"an absolute path", absolute, MFS_EINVAL},
	{"an absolute path of many slashes", absolute_many_slashes, MFS_EINVAL},
	{"the root", absolute_directory, MFS_EINVAL},
	{"a path up", up, MFS_EINVAL},
	{"nothing but up", only_up, MFS_EINVAL},
	{"a path that leads out", up_and_out, MFS_EINVAL},
	{"a path up that stays inside", up_within, MFS_EINVAL},
	{"a path that ends up", up_at_the_end, MFS_EINVAL},
	{"a path up behind dots", up_behind_dots, MFS_EINVAL},
	{"a drive", drive, MFS_EINVAL},
	{"a drive without a slash", drive_alone, MFS_EINVAL},
	{"a backslash", backslash, MFS_EINVAL},
	{"a path up with backslashes", backslash_up, MFS_EINVAL},
	{"a share", share, MFS_EINVAL},
	{"an empty name", empty, MFS_EINVAL},
	{"an absolute path in pax", pax_absolute, MFS_EINVAL},
	{"a path up in a long name", long_name_up, MFS_EINVAL},
	{"a name too long", name_too_long, MFS_ENAMETOOLONG},
	{"a name of a million bytes", name_of_a_million_bytes, MFS_ENAMETOOLONG},
	{"a path too long", path_too_long, MFS_ENAMETOOLONG},
	{"a symbolic link", symlink_out, MFS_ENOTSUP},
	{"a hard link to a file before", hard_link_inside, MFS_ENOTSUP},
	{"a hard link to a file outside", hard_link_out, MFS_ENOTSUP},
	{"a hard link with bytes", hard_link_with_bytes, MFS_ENOTSUP},
	{"a hard link in pax", pax_hard_link, MFS_ENOTSUP},
	{"a hard link in pax alone", pax_hard_link_alone, MFS_ENOTSUP},
	{"a fifo", fifo, MFS_ENOTSUP},
	{"a character device", char_device, MFS_ENOTSUP},
	{"a block device", block_device, MFS_ENOTSUP},
};

/** Entries that clash with one before. Streamed, that is one of the workspace by then. */
static const struct bad clashing_entries[] = {
	{"a file twice", repeat, MFS_EEXIST},
	{"a file twice, spelled otherwise", repeat_otherwise_spelled, MFS_EEXIST},
	{"a directory in the place of a file", file_then_directory, MFS_ENOTDIR},
	{"a file below a file", file_then_below, MFS_ENOTDIR},
	{"a file in the place of a directory", directory_then_file, MFS_EISDIR},
};

/** The bad entry between good ones. */
static struct bytes around(const struct bad *bad)
{
	struct bytes tar = {0};

	tar_directory(&tar, "dir");
	tar_file(&tar, "good", "1");
	bad->add(&tar);
	tar_file(&tar, "later", "2");
	tar_end(&tar);
	return tar;
}

/** Expands each of the entries, all ways, and compares with what should come of it. */
static void check_entries(const struct bad *entries, size_t count, const struct way *ways,
						  size_t way_count, bool leaves_out)
{
	for (size_t i = 0; i < count; i++) {
		struct bytes tar = around(&entries[i]);

		for (size_t w = 0; w < way_count; w++) {
			/* What came before the bad entry is there only if it was streamed. */
			const char *refused = ways[w].streaming ? "/\n/dir/\n/good 1 1\n" : "/\n";

			hostile__check(entries[i].what, &tar, &ways[w], leaves_out ? 2 : entries[i].code,
						   leaves_out ? "/\n/dir/\n/good 1 1\n/later 1 2\n" : refused,
						   leaves_out ? 1 : 0, __FILE__, __LINE__);
		}
		bytes_free(&tar);
	}
}

static void bad_entries_are_refused(void **state)
{
	static const struct way ways[] = {
		{.name = "atomic"},
		{.name = "streaming", .streaming = true},
		{.name = "streaming, overwriting", .streaming = true, .on_conflict = MFS_ARCHIVE_OVERWRITE},
		{.name = "atomic, overwriting", .on_conflict = MFS_ARCHIVE_OVERWRITE},
		{.name = "atomic, all formats", .flags = MFS_ARCHIVE_ALL_FORMATS},
	};

	(void)state;
	check_entries(bad_entries, COUNT_OF(bad_entries), ways, COUNT_OF(ways), false);
}

static void bad_entries_are_left_out(void **state)
{
	static const struct way ways[] = {
		{.name = "atomic", .on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE},
		{.name = "streaming", .streaming = true, .on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE},
	};

	(void)state;
	check_entries(bad_entries, COUNT_OF(bad_entries), ways, COUNT_OF(ways), true);
}

static void clashing_entries_are_refused_or_left_out(void **state)
{
	static const struct way refusing[] = {
		{.name = "atomic"},
		{.name = "atomic, overwriting", .on_conflict = MFS_ARCHIVE_OVERWRITE},
		{.name = "atomic, keeping", .on_conflict = MFS_ARCHIVE_SKIP},
		{.name = "streaming", .streaming = true},
		{.name = "streaming, leaving out", .streaming = true, .on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE},
	};
	static const struct way leaving_out[] = {
		{.name = "atomic", .on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE},
		{.name = "atomic, overwriting",
		 .on_conflict = MFS_ARCHIVE_OVERWRITE,
		 .on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE},
	};

	(void)state;
	check_entries(clashing_entries, COUNT_OF(clashing_entries), refusing, COUNT_OF(refusing),
				  false);
	check_entries(clashing_entries, COUNT_OF(clashing_entries), leaving_out, COUNT_OF(leaving_out),
				  true);
}

/** A link is left out, so a path through it makes a directory of its own. */
static void nothing_goes_through_a_link(void **state)
{
	static const struct way ways[] = {
		{.name = "atomic", .on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE},
		{.name = "streaming", .streaming = true, .on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE},
	};
	static const char *const targets[] = {"/etc", "..", "elsewhere", "."};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(targets); i++) {
		struct bytes tar = {0};

		tar_directory(&tar, "elsewhere");
		tar_link(&tar, "link", TAR_SYMLINK, targets[i]);
		tar_file(&tar, "link/file", "x");
		tar_end(&tar);
		for (size_t w = 0; w < COUNT_OF(ways); w++) {
			hostile__check(targets[i], &tar, &ways[w], 1,
						   "/\n/elsewhere/\n/link/\n/link/file 1 x\n", 1, __FILE__, __LINE__);
		}
		bytes_free(&tar);
	}
}

/** Headers of many MiB are not taken into memory: the archive is damaged. */
static void headers_too_large_are_refused(void **state)
{
	static const char types[] = {TAR_PAX, TAR_PAX_GLOBAL, TAR_GNU_LONG_NAME, TAR_GNU_LONG_LINK};
	unsigned char *letters = allocate(3 * MIB);

	(void)state;
	memset(letters, 'n', 3 * MIB);
	for (size_t i = 0; i < COUNT_OF(types); i++) {
		struct bytes tar = {0};

		tar_entry(&tar, "large", types[i], letters, 3 * MIB);
		tar_file(&tar, "harmless", "x");
		tar_end(&tar);
		for (size_t w = 0; w < COUNT_OF(all_ways); w++) {
			mfs *fs = hostile_workspace();

			assert_either(expand_hostile(fs, "/", &tar, &all_ways[w], NULL), MFS_EFORMAT,
						  MFS_ENAMETOOLONG);
			assert_tree(fs, "/\n");
			free_workspace(fs);
		}
		/* The same, claimed only. */
		bytes_free(&tar);
		tar_header(&tar, "large", types[i], NULL, UINT64_C(10) << 30);
		tar_file(&tar, "harmless", "x");
		tar_end(&tar);
		for (size_t w = 0; w < COUNT_OF(all_ways); w++) {
			mfs *fs = hostile_workspace();

			assert_code(expand_hostile(fs, "/", &tar, &all_ways[w], NULL), MFS_EFORMAT);
			assert_tree(fs, "/\n");
			free_workspace(fs);
		}
		bytes_free(&tar);
	}
	free(letters);
}

/** The limits are exact: what is just short enough comes in. */
static void long_names_come_in(void **state)
{
	static const struct way ways[] = {{.name = "atomic"}, {.name = "streaming", .streaming = true}};
	char *path = allocate(MFS_PATH_MAX);
	struct bytes tar = {0};

	(void)state;
	memset(path, 'n', MFS_NAME_MAX);
	tar_file(&tar, path, "x");
	/* With the '/' that the workspace puts before it, as long as a path may be. */
	for (size_t i = 0; i < MFS_PATH_MAX - 1; i++) {
		path[i] = i % 200 == 199 ? '/' : 'p';
	}
	path[MFS_PATH_MAX - 2] = 'q';
	tar_file(&tar, path, "y");
	tar_end(&tar);
	for (size_t w = 0; w < COUNT_OF(ways); w++) {
		mfs *fs = hostile_workspace();

		assert_code(expand_hostile(fs, "/", &tar, &ways[w], NULL), 2);
		assert_text(fs, path, "y");
		free_workspace(fs);
		/* Below a directory it is too long. */
		fs = hostile_workspace();
		assert_code(expand_hostile(fs, "/d", &tar, &ways[w], NULL), MFS_ENAMETOOLONG);
		assert_false(mfs_exists(fs, path));
		free_workspace(fs);
	}
	bytes_free(&tar);
	free(path);
}

/*
 * zip
 */

static void zip_with(struct zip *zip, const char *path, uint32_t mode, uint16_t flags)
{
	struct zip_header header = {.path = path,
								.flags = flags,
								.crc = crc32_of("data", 4),
								.packed_size = 4,
								.size = 4,
								.attributes = mode << 16};

	zip_file(zip, "good", "1");
	zip_raw(zip, &header, &header, "data", 4);
	zip_file(zip, "later", "2");
	zip_end(zip);
}

static void bad_entries_of_a_zip_are_refused_or_left_out(void **state)
{
	enum { ENCRYPTED = 1, UTF8 = 1 << 11 };
	static const struct {
		const char *path;
		uint32_t mode;
		uint16_t flags;
		int code;
	} cases[] = {
		{"/etc/passwd", S_IFREG | 0644, 0, MFS_EINVAL},
		{"../x", S_IFREG | 0644, 0, MFS_EINVAL},
		{"a/../../b", S_IFREG | 0644, 0, MFS_EINVAL},
		{"C:/x", S_IFREG | 0644, 0, MFS_EINVAL},
		{"..\\x", S_IFREG | 0644, 0, MFS_EINVAL},
		{"", S_IFREG | 0644, 0, MFS_EINVAL},
		{"link", S_IFLNK | 0777, 0, MFS_ENOTSUP},
		{"good", S_IFREG | 0644, 0, MFS_EEXIST},
		{"good/x", S_IFREG | 0644, 0, MFS_ENOTDIR},
		{"secret", S_IFREG | 0644, ENCRYPTED, MFS_ENOTSUP},
		{"\xff\xfe", S_IFREG | 0644, UTF8, MFS_EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct zip zip = {0};
		static const struct way ways[] = {
			{.name = "atomic"},
			{.name = "streaming", .streaming = true},
			{.name = "atomic, leaving out", .on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE},
			{.name = "streaming, leaving out",
			 .streaming = true,
			 .on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE},
		};

		zip_with(&zip, cases[i].path, cases[i].mode, cases[i].flags);
		for (size_t w = 0; w < COUNT_OF(ways); w++) {
			bool clashes = cases[i].code == MFS_EEXIST || cases[i].code == MFS_ENOTDIR;
			bool skips =
				ways[w].on_unsafe == MFS_ARCHIVE_SKIP_UNSAFE && !(clashes && ways[w].streaming);
			const char *refused = ways[w].streaming ? "/\n/good 1 1\n" : "/\n";

			hostile__check(cases[i].path, &zip.bytes, &ways[w], skips ? 2 : cases[i].code,
						   skips ? "/\n/good 1 1\n/later 1 2\n" : refused, skips ? 1 : 0, __FILE__,
						   __LINE__);
		}
		bytes_free(&zip.bytes);
	}
}

/** libarchive takes them for what archivers of Windows mean. Nothing leads up by them. */
static void backslashes_in_a_zip_are_slashes(void **state)
{
	(void)state;
	for (size_t w = 0; w < COUNT_OF(all_ways); w++) {
		struct zip zip = {0};
		mfs *fs = hostile_workspace();

		zip_file(&zip, "a\\b", "x");
		zip_end(&zip);
		assert_either(expand_hostile(fs, "/", &zip.bytes, &all_ways[w], NULL), 1, MFS_EINVAL);
		assert_int_equal(usage_of(fs).files, mfs_is_file(fs, "/a/b"));
		bytes_free(&zip.bytes);
		free_workspace(fs);
	}
}

/*
 * Other formats
 */

static void sockets_and_devices_of_cpio_are_refused(void **state)
{
	static const unsigned types[] = {AE_IFSOCK, AE_IFIFO, AE_IFCHR, AE_IFBLK, AE_IFLNK};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(types); i++) {
		struct bytes cpio = {0};
		struct archive *archive = archive_write_new();
		struct archive_entry *entry = archive_entry_new();
		const struct way refuse = {.name = "refusing", .flags = MFS_ARCHIVE_ALL_FORMATS};
		const struct way skip = {.name = "leaving out",
								 .flags = MFS_ARCHIVE_ALL_FORMATS,
								 .on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE};

		assert_int_equal(archive_write_set_format_cpio_newc(archive), ARCHIVE_OK);
		assert_int_equal(archive_write_open(archive, &cpio, NULL, make_archive__append, NULL),
						 ARCHIVE_OK);
		archive_entry_set_pathname(entry, "special");
		archive_entry_set_filetype(entry, types[i]);
		archive_entry_set_symlink(entry, "/etc/passwd");
		archive_entry_set_perm(entry, 0644);
		archive_entry_set_size(entry, 0);
		assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
		archive_entry_free(entry);
		assert_int_equal(archive_write_free(archive), ARCHIVE_OK);
		hostile__check("cpio", &cpio, &refuse, MFS_ENOTSUP, "/\n", 0, __FILE__, __LINE__);
		hostile__check("cpio", &cpio, &skip, 0, "/\n", 1, __FILE__, __LINE__);
		bytes_free(&cpio);
	}
}

/*
 * Against what the workspace has
 */

static void files_and_directories_do_not_take_each_others_place(void **state)
{
	static const struct {
		const char *what;
		int on_conflict;
		int code_of_file; /* a file of the archive, a directory of the workspace */
		int code_of_directory;
	} cases[] = {
		{"error", MFS_ARCHIVE_ERROR, MFS_EISDIR, MFS_ENOTDIR},
		{"overwrite", MFS_ARCHIVE_OVERWRITE, MFS_EISDIR, MFS_ENOTDIR},
		{"skip", MFS_ARCHIVE_SKIP, 1, 1},
	};
	struct bytes file = {0};
	struct bytes directory = {0};
	struct bytes below = {0};

	(void)state;
	tar_file(&file, "a", "good");
	tar_file(&file, "d", "a file");
	tar_end(&file);
	tar_file(&directory, "a", "good");
	tar_directory(&directory, "f/");
	tar_end(&directory);
	tar_file(&below, "a", "good");
	tar_file(&below, "f/x", "below a file");
	tar_end(&below);
	for (size_t i = 0; i < COUNT_OF(cases) * 2; i++) {
		struct way way = {.name = cases[i / 2].what,
						  .streaming = i % 2 == 1,
						  .on_conflict = cases[i / 2].on_conflict};
		bool skips = way.on_conflict == MFS_ARCHIVE_SKIP;
		const struct {
			const struct bytes *bytes;
			int code;
		} archives[] = {{&file, cases[i / 2].code_of_file},
						{&directory, cases[i / 2].code_of_directory},
						{&below, cases[i / 2].code_of_directory}};

		for (size_t k = 0; k < COUNT_OF(archives); k++) {
			mfs *fs = hostile_workspace();

			make_dir(fs, "/d");
			make_text(fs, "/d/inside", "i");
			make_text(fs, "/f", "f");
			int64_t code = expand_hostile(fs, "/", archives[k].bytes, &way, NULL);

			if (code != archives[k].code) {
				print_error("%s, %s, archive %zu\n", way.name,
							way.streaming ? "streaming" : "atomic", k);
			}
			assert_code(code, archives[k].code);
			/* What the workspace had is as it was. */
			assert_text(fs, "/d/inside", "i");
			assert_text(fs, "/f", "f");
			assert_int_equal(mfs_exists(fs, "/a"), skips || way.streaming);
			free_workspace(fs);
		}
	}
	bytes_free(&file);
	bytes_free(&directory);
	bytes_free(&below);
}

/** The directory that is expanded to is the root that nothing leaves. */
static void nothing_leaves_the_directory(void **state)
{
	mfs *fs = *state;
	struct snapshot before;

	make_dir(fs, "/to/deep");
	make_text(fs, "/secret", "s");
	make_text(fs, "/to/secret", "s");
	before = take_snapshot(fs);
	for (size_t i = 0; i < COUNT_OF(bad_entries); i++) {
		struct bytes tar = {0};

		bad_entries[i].add(&tar);
		tar_end(&tar);
		if (bad_entries[i].code == MFS_EINVAL) {
			for (size_t w = 0; w < COUNT_OF(all_ways); w++) {
				struct way way = all_ways[w];

				way.on_conflict = MFS_ARCHIVE_OVERWRITE;
				assert_either(expand_hostile(fs, "/to/deep", &tar, &way, NULL), MFS_EINVAL,
							  way.on_unsafe == MFS_ARCHIVE_SKIP_UNSAFE ? 0 : MFS_EINVAL);
				assert_unchanged(fs, &before);
			}
		}
		bytes_free(&tar);
	}
	drop_snapshot(&before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_entries_are_refused),
		cmocka_unit_test(bad_entries_are_left_out),
		cmocka_unit_test(clashing_entries_are_refused_or_left_out),
		cmocka_unit_test(nothing_goes_through_a_link),
		cmocka_unit_test(headers_too_large_are_refused),
		cmocka_unit_test(long_names_come_in),
		cmocka_unit_test(bad_entries_of_a_zip_are_refused_or_left_out),
		cmocka_unit_test(backslashes_in_a_zip_are_slashes),
		cmocka_unit_test(sockets_and_devices_of_cpio_are_refused),
		cmocka_unit_test(files_and_directories_do_not_take_each_others_place),
		WORKSPACE_TEST(nothing_leaves_the_directory),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, keep_a_workspace, free_the_workspace);
}
