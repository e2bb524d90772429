/* SPDX-License-Identifier: MIT */
/*
 * Do names and bytes come as they are in each format and compression, and is everything else told
 * to be damaged or unknown?
 */
#include "expanding.h"

#include <locale.h>
#include <sys/stat.h>

static int64_t expand(mfs *fs, const char *to, const struct bytes *bytes, unsigned flags)
{
	mfs_archive_options options = {.struct_size = sizeof(options), .flags = flags};

	return expand_bytes(mfs_expand_archive, fs, to, bytes, &options);
}

/** Expands, checks the code and that nothing is left, and frees the bytes. */
static void assert_unreadable(mfs *fs, struct bytes *bytes, int want)
{
	assert_refused(fs, expand(fs, "/to", bytes, 0), want);
	assert_nothing(fs);
	bytes_free(bytes);
}

/*
 * Compression
 */

static const char *const compressions[] = {"gzip", "bzip2", "xz", "lzma", "zstd", "lz4"};

static void each_compression_is_undone(void **state)
{
	mfs *fs = *state;
	size_t size = 3 * MIB / 2 + 1;
	struct bytes tar = large_tar(size);

	for (size_t i = 0; i < COUNT_OF(compressions); i++) {
		struct bytes packed = bytes_compress(&tar, compressions[i]);

		assert_code(expand(fs, "/to", &packed, 0), 1);
		assert_file_holds(fs, "/to/large", tar.data + TAR_HEADER_SIZE, size);
		assert_code(mfs_rmtree(fs, "/to"), 0);
		assert_code(expand_pipe(mfs_expand_archive, fs, "/to", &packed, NULL), 1);
		assert_file_holds(fs, "/to/large", tar.data + TAR_HEADER_SIZE, size);
		assert_code(mfs_rmtree(fs, "/to"), 0);
		bytes_free(&packed);
	}
	bytes_free(&tar);
}

/* Blocks of lz4 have 4 MiB, more than the thread that unpacks gives at a time. */
static void blocks_of_any_size_are_unpacked(void **state)
{
	mfs *fs = *state;
	size_t size = 13 * MIB + 5;
	struct bytes tar = large_tar(size);
	struct bytes packed = bytes_compress(&tar, "lz4");

	assert_code(expand(fs, "/to", &packed, 0), 1);
	assert_file_holds(fs, "/to/large", tar.data + TAR_HEADER_SIZE, size);
	bytes_free(&packed);
	bytes_free(&tar);
}

static void zip_comes_with_and_without_its_directory(void **state)
{
	mfs *fs = *state;
	struct zip zip = {0};
	struct bytes text = {0};

	memset(bytes_extend(&text, 300000), 'x', 300000);
	zip_directory(&zip, "dir/");
	zip_file(&zip, "dir/stored", "text");
	zip_deflated(&zip, "deflated", text.data, text.size);
	zip_end(&zip);
	for (int round = 0; round < 2; round++) {
		assert_code(round == 0 ? expand(fs, "/to", &zip.bytes, 0)
							   : expand_pipe(mfs_expand_archive, fs, "/to", &zip.bytes, NULL),
					2);
		assert_text(fs, "/to/dir/stored", "text");
		assert_file_holds(fs, "/to/deflated", text.data, text.size);
		assert_code(mfs_rmtree(fs, "/to"), 0);
	}
	bytes_free(&text);
	bytes_free(&zip.bytes);
}

static void gzip_may_have_several_members_and_garbage_behind(void **state)
{
	mfs *fs = *state;
	struct bytes tar = small_tar();
	struct bytes head = {tar.data, 700, 700};
	struct bytes tail = {tar.data + 700, tar.size - 700, tar.size - 700};
	struct bytes packed = bytes_compress(&head, "gzip");
	struct bytes more = bytes_compress(&tail, "gzip");

	bytes_append(&packed, more.data, more.size);
	assert_code(expand(fs, "/members", &packed, 0), 2);
	assert_small_tar(fs, "/members");
	bytes_extend(&packed, 1000);
	assert_code(expand(fs, "/zeros", &packed, 0), 2);
	bytes_append(&packed, "garbage", 7);
	assert_code(expand(fs, "/garbage", &packed, 0), 2);
	assert_small_tar(fs, "/garbage");
	bytes_free(&more);
	bytes_free(&packed);
	bytes_free(&tar);
}

/*
 * Damage
 */

/* What libarchive would not notice in gzip: bits of a file. */
static void a_flipped_bit_in_gzip_is_noticed(void **state)
{
	mfs *fs = *state;
	struct bytes tar = large_tar(100 * KIB);
	struct bytes packed = bytes_compress(&tar, "gzip");

	for (size_t at = packed.size / 4; at < packed.size - 1000; at += packed.size / 40) {
		packed.data[at] ^= 0xff;
		assert_refused(fs, expand(fs, "/to", &packed, 0), MFS_EFORMAT);
		packed.data[at] ^= 0xff;
	}
	/* The checksum itself, and the length. */
	for (size_t behind = 1; behind <= 8; behind++) {
		packed.data[packed.size - behind] ^= 0x10;
		assert_refused(fs, expand(fs, "/to", &packed, 0), MFS_EFORMAT);
		packed.data[packed.size - behind] ^= 0x10;
	}
	assert_nothing(fs);
	bytes_free(&packed);
	bytes_free(&tar);
}

/* The entries are all there; what is missing is behind them. */
static void a_compressed_archive_without_its_end_is_noticed(void **state)
{
	mfs *fs = *state;
	struct bytes tar = small_tar();

	bytes_extend(&tar, 10240);
	for (size_t i = 0; i < COUNT_OF(compressions); i++) {
		if (strcmp(compressions[i], "lzma") == 0) {
			continue; /* it has no checksum, and may have no end */
		}
		struct bytes packed = bytes_compress(&tar, compressions[i]);

		packed.size -= 3;
		if (expand(fs, "/to", &packed, 0) != MFS_EFORMAT) {
			fail_msg("%s without its end is taken for whole", compressions[i]);
		}
		bytes_free(&packed);
	}
	assert_nothing(fs);
	bytes_free(&tar);
}

static void a_checksum_of_a_zip_entry_counts(void **state)
{
	struct zip zip = {0};
	struct zip_header header = {.path = "a", .crc = 1, .packed_size = 4, .size = 4};

	header.attributes = 0100644u << 16;
	zip_raw(&zip, &header, &header, "text", 4);
	zip_end(&zip);
	assert_unreadable(*state, &zip.bytes, MFS_EFORMAT);
}

static void a_tar_may_end_after_an_entry_but_not_within(void **state)
{
	mfs *fs = *state;
	struct bytes tar = small_tar();

	tar.size -= 1024;
	assert_code(expand(fs, "/whole", &tar, 0), 2);
	assert_small_tar(fs, "/whole");
	assert_code(mfs_rmtree(fs, "/whole"), 0);
	/* Within the last header, and within the bytes of a file. */
	tar.size -= 1;
	assert_refused(fs, expand(fs, "/to", &tar, 0), MFS_EFORMAT);
	tar.size = TAR_HEADER_SIZE * 2 + 3;
	assert_unreadable(fs, &tar, MFS_EFORMAT);
}

static void a_damaged_extended_header_is_noticed(void **state)
{
	struct bytes tar = {0};

	/* Its name would be lost, and the short one be taken. */
	tar_entry(&tar, "PaxHeaders/x", TAR_PAX, "99 path=real name\n", 18);
	tar_file(&tar, "short name", "text");
	tar_end(&tar);
	assert_unreadable(*state, &tar, MFS_EFORMAT);
}

static void what_is_no_archive_is_unknown(void **state)
{
	mfs *fs = *state;
	struct bytes empty = {0};
	struct bytes text = {0};
	struct bytes random = {0};
	struct bytes few_zeros = {0};
	struct bytes zeros = {0};
	struct rng rng = {.state = 7};

	bytes_append(&text, "This is no archive.\n", 20);
	rng_fill(&rng, bytes_extend(&random, 5000), 5000);
	bytes_extend(&few_zeros, 100);
	bytes_extend(&zeros, 10240);
	struct bytes packed_text = bytes_compress(&text, "gzip");

	assert_unreadable(fs, &empty, MFS_EFORMAT);
	assert_unreadable(fs, &text, MFS_EFORMAT);
	assert_unreadable(fs, &packed_text, MFS_EFORMAT);
	assert_unreadable(fs, &random, MFS_EFORMAT);
	assert_unreadable(fs, &few_zeros, MFS_EFORMAT);
	/* That is what tar makes of no files. */
	assert_code(expand(fs, "/", &zeros, 0), 0);
	assert_nothing(fs);
	bytes_free(&zeros);
}

/*
 * Names
 */

#define DECOMPOSED "e\xcc\x81"
#define COMPOSED   "\xc3\xa9"
#define LATIN      "caf\xe9"

static struct bytes tar_of_names(void)
{
	struct bytes tar = {0};
	struct bytes records = {0};

	tar_file(&tar, LATIN " in ustar", "1");
	tar_file(&tar, DECOMPOSED " in ustar", "2");
	tar_pax(&tar, "path", DECOMPOSED " in pax", strlen(DECOMPOSED " in pax"));
	tar_file(&tar, "short", "3");
	tar_pax(&tar, "path", COMPOSED " in pax", strlen(COMPOSED " in pax"));
	tar_file(&tar, "short", "4");
	tar_pax(&tar, "path", LATIN " in pax", strlen(LATIN " in pax"));
	tar_file(&tar, "short", "5");
	tar_pax_record(&records, "hdrcharset", "BINARY", 6);
	tar_pax_record(&records, "path", LATIN " in binary", strlen(LATIN " in binary"));
	tar_pax_records(&tar, &records);
	tar_file(&tar, "short", "6");
	tar_end(&tar);
	return tar;
}

static struct bytes zip_of_names(void)
{
	static const char *const paths[] = {DECOMPOSED, COMPOSED, LATIN};
	struct zip zip = {0};

	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		struct zip_header header = {.path = paths[i],
									.flags = i < 2 ? 1u << 11 : 0, /* UTF-8 */
									.crc = crc32_of(paths[i], 1),
									.packed_size = 1,
									.size = 1,
									.attributes = 0100644u << 16};

		zip_raw(&zip, &header, &header, paths[i], 1);
	}
	zip_end(&zip);
	return zip.bytes;
}

static void names_are_bytes_in_any_locale(void **state)
{
	mfs *fs = *state;
	static const char *const locales[] = {"C", "C.UTF-8"};
	struct bytes tar = tar_of_names();
	struct bytes packed = bytes_compress(&tar, "gzip");
	struct bytes zip = zip_of_names();

	for (size_t i = 0; i < COUNT_OF(locales); i++) {
		assert_non_null(setlocale(LC_ALL, locales[i]));
		for (int round = 0; round < 4; round++) {
			unsigned flags = round / 2 == 0 ? 0 : MFS_ARCHIVE_ALL_FORMATS;

			assert_code(expand(fs, "/tar", round % 2 == 0 ? &tar : &packed, flags), 6);
			assert_text(fs, "/tar/" LATIN " in ustar", "1");
			assert_text(fs, "/tar/" DECOMPOSED " in ustar", "2");
			assert_text(fs, "/tar/" DECOMPOSED " in pax", "3");
			assert_text(fs, "/tar/" COMPOSED " in pax", "4");
			assert_text(fs, "/tar/" LATIN " in pax", "5");
			assert_text(fs, "/tar/" LATIN " in binary", "6");
			assert_code(expand(fs, "/zip", &zip, flags), 3);
			assert_text(fs, "/zip/" DECOMPOSED, "e");
			assert_text(fs, "/zip/" COMPOSED, "\xc3");
			assert_text(fs, "/zip/" LATIN, "c");
			assert_code(mfs_rmtree(fs, "/tar"), 0);
			assert_code(mfs_rmtree(fs, "/zip"), 0);
		}
		assert_string_equal(setlocale(LC_ALL, NULL), locales[i]);
		assert_true(uselocale((locale_t)0) == LC_GLOBAL_LOCALE);
	}
	assert_non_null(setlocale(LC_ALL, "C"));
	bytes_free(&zip);
	bytes_free(&packed);
	bytes_free(&tar);
}

static void a_zip_name_that_is_not_the_utf8_it_says_has_no_name(void **state)
{
	struct zip zip = {0};
	struct zip_header header = {.path = LATIN, .flags = 1u << 11};

	zip_raw(&zip, &header, &header, "", 0);
	zip_end(&zip);
	assert_unreadable(*state, &zip.bytes, MFS_EINVAL);
}

static void paths_may_have_dots_and_slashes_that_mean_nothing(void **state)
{
	mfs *fs = *state;
	struct bytes tar = {0};

	tar_directory(&tar, "./");
	tar_directory(&tar, ".");
	tar_file(&tar, "./a", "a");
	tar_file(&tar, "b/./c", "c");
	tar_file(&tar, "d//e", "e");
	tar_directory(&tar, "f//.//");
	/* Old archivers write a directory so. */
	tar_file(&tar, "g/", "");
	tar_file(&tar, "...", "dots");
	tar_file(&tar, "..h", "h");
	tar_end(&tar);
	assert_code(expand(fs, "/to", &tar, 0), 5);
	assert_text(fs, "/to/a", "a");
	assert_text(fs, "/to/b/c", "c");
	assert_text(fs, "/to/d/e", "e");
	assert_true(mfs_is_dir(fs, "/to/f"));
	assert_true(mfs_is_dir(fs, "/to/g"));
	assert_text(fs, "/to/...", "dots");
	assert_text(fs, "/to/..h", "h");
	assert_int_equal(usage_of(fs).directories, 5);
	bytes_free(&tar);
}

/*
 * Entries that are special
 */

static void encrypted_entries_are_left_out(void **state)
{
	mfs *fs = *state;
	struct zip zip = {0};
	struct zip_header header = {.path = "secret", .flags = 1, .packed_size = 14, .size = 2};
	mfs_archive_progress result;
	mfs_archive_options options = {
		.struct_size = sizeof(options), .on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE, .result = &result};

	zip_file(&zip, "before", "1");
	zip_raw(&zip, &header, &header, "fourteen bytes", 14);
	zip_file(&zip, "after", "2");
	zip_end(&zip);
	assert_refused(fs, expand(fs, "/to", &zip.bytes, 0), MFS_ENOTSUP);
	assert_non_null(strstr(mfs_last_error(), "secret"));
	assert_non_null(strstr(mfs_last_error(), "encrypted"));
	assert_nothing(fs);
	assert_code(expand_bytes(mfs_expand_archive, fs, "/to", &zip.bytes, &options), 2);
	assert_int_equal(result.unsafe, 1);
	assert_text(fs, "/to/after", "2");
	assert_false(mfs_exists(fs, "/to/secret"));
	bytes_free(&zip.bytes);
}

/** An archive of one file, written by libarchive. */
static struct bytes written_by_libarchive(int (*set_format)(struct archive *), const char *filter,
										  const int64_t (*parts)[2], size_t part_count,
										  int64_t size)
{
	struct bytes bytes = {0};
	struct archive *archive = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	char *data = allocate((size_t)size);

	memset(data, 'x', (size_t)size);
	assert_int_equal(set_format(archive), ARCHIVE_OK);
	assert_int_equal(archive_write_set_bytes_in_last_block(archive, 1), ARCHIVE_OK);
	if (filter != NULL) {
		assert_int_equal(archive_write_add_filter_by_name(archive, filter), ARCHIVE_OK);
	}
	assert_int_equal(archive_write_open(archive, &bytes, NULL, make_archive__append, NULL),
					 ARCHIVE_OK);
	archive_entry_set_pathname(entry, "file");
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_size(entry, size);
	for (size_t i = 0; i < part_count; i++) {
		archive_entry_sparse_add_entry(entry, parts[i][0], parts[i][1]);
	}
	assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(archive, data, (size_t)size), size);
	archive_entry_free(entry);
	assert_int_equal(archive_write_free(archive), ARCHIVE_OK);
	free(data);
	return bytes;
}

static void holes_come_as_zeros(void **state)
{
	mfs *fs = *state;
	static const int64_t middle[][2] = {{0, 5000}, {70000, 3000}, {99000, 1000}};
	static const int64_t ends[][2] = {{40000, 3000}};

	for (int round = 0; round < 2; round++) {
		const int64_t(*parts)[2] = round == 0 ? middle : ends;
		size_t count = round == 0 ? COUNT_OF(middle) : COUNT_OF(ends);
		struct bytes tar =
			written_by_libarchive(archive_write_set_format_pax, NULL, parts, count, 100000);
		char *want = allocate(100000);

		for (size_t i = 0; i < count; i++) {
			memset(want + parts[i][0], 'x', (size_t)parts[i][1]);
		}
		/* It is sparse: most of the bytes are not there. */
		assert_true(tar.size < 50000);
		assert_code(expand(fs, "/to", &tar, 0), 1);
		assert_file_holds(fs, "/to/file", want, 100000);
		assert_code(mfs_rmtree(fs, "/to"), 0);
		free(want);
		bytes_free(&tar);
	}
}

/*
 * More formats
 */

static void more_formats_come_where_they_are_wanted(void **state)
{
	mfs *fs = *state;
	static const struct {
		int (*set_format)(struct archive *);
		const char *filter;
	} more[] = {
		{archive_write_set_format_cpio, NULL},        {archive_write_set_format_7zip, NULL},
		{archive_write_set_format_ar_svr4, NULL},     {archive_write_set_format_iso9660, NULL},
		{archive_write_set_format_xar, NULL},         {archive_write_set_format_cpio, "gzip"},
		{archive_write_set_format_ustar, "compress"}, {archive_write_set_format_ustar, "lzip"},
		{archive_write_set_format_ustar, "uuencode"},
	};

	for (size_t i = 0; i < COUNT_OF(more); i++) {
		struct bytes bytes =
			written_by_libarchive(more[i].set_format, more[i].filter, NULL, 0, 10000);
		char want[10000];

		memset(want, 'x', sizeof(want));
		assert_refused(fs, expand(fs, "/to", &bytes, 0), MFS_EFORMAT);
		assert_nothing(fs);
		assert_code(expand(fs, "/to", &bytes, MFS_ARCHIVE_ALL_FORMATS), 1);
		assert_file_holds(fs, "/to/file", want, sizeof(want));
		assert_code(mfs_rmtree(fs, "/to"), 0);
		bytes_free(&bytes);
	}
}

static void a_list_of_names_is_no_archive(void **state)
{
	mfs *fs = *state;
	const char *text = "#mtree\n./etc/passwd type=file contents=/etc/passwd\n";
	struct bytes bytes = {0};

	bytes_append(&bytes, text, strlen(text));
	assert_refused(fs, expand(fs, "/to", &bytes, MFS_ARCHIVE_ALL_FORMATS), MFS_EFORMAT);
	assert_nothing(fs);
	bytes_free(&bytes);
}

/* libarchive would run lrzip, grzip and lzop for these. The programs here leave a trace. */
static void no_program_is_run(void **state)
{
	mfs *fs = *state;
	static const struct {
		const char *program;
		const char *magic;
		size_t size;
	} kinds[] = {
		{"lrzip", "LRZI\0\6", 6},
		{"grzip", "GRZipII\0\2\4:)", 12},
		{"lzop", "\x89LZO\0\r\n\x1a\n", 9},
	};
	char folder[] = "/tmp/dmemfs-test-XXXXXX";
	char path[64];
	char trace[64];
	const char *path_before = getenv("PATH");
	char *before = strdup(path_before != NULL ? path_before : "");

	assert_non_null(mkdtemp(folder));
	snprintf(trace, sizeof(trace), "%s/trace", folder);
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, kinds[i].program);
		FILE *script = fopen(path, "we");

		assert_non_null(script);
		fprintf(script, "#!/bin/sh\n: > %s\n", trace);
		assert_int_equal(fclose(script), 0);
		assert_int_equal(chmod(path, 0700), 0);
	}
	assert_int_equal(setenv("PATH", folder, 1), 0);
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		struct bytes bytes = {0};

		bytes_append(&bytes, kinds[i].magic, kinds[i].size);
		bytes_extend(&bytes, 1000);
		assert_refused(fs, expand(fs, "/to", &bytes, MFS_ARCHIVE_ALL_FORMATS), MFS_EFORMAT);
		assert_int_not_equal(access(trace, F_OK), 0);
		bytes_free(&bytes);
	}
	assert_int_equal(setenv("PATH", before, 1), 0);
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, kinds[i].program);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(folder), 0);
	free(before);
	assert_nothing(fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(each_compression_is_undone),
		WORKSPACE_TEST(blocks_of_any_size_are_unpacked),
		WORKSPACE_TEST(zip_comes_with_and_without_its_directory),
		WORKSPACE_TEST(gzip_may_have_several_members_and_garbage_behind),
		WORKSPACE_TEST(a_flipped_bit_in_gzip_is_noticed),
		WORKSPACE_TEST(a_compressed_archive_without_its_end_is_noticed),
		WORKSPACE_TEST(a_checksum_of_a_zip_entry_counts),
		WORKSPACE_TEST(a_tar_may_end_after_an_entry_but_not_within),
		WORKSPACE_TEST(a_damaged_extended_header_is_noticed),
		WORKSPACE_TEST(what_is_no_archive_is_unknown),
		WORKSPACE_TEST(names_are_bytes_in_any_locale),
		WORKSPACE_TEST(a_zip_name_that_is_not_the_utf8_it_says_has_no_name),
		WORKSPACE_TEST(paths_may_have_dots_and_slashes_that_mean_nothing),
		WORKSPACE_TEST(encrypted_entries_are_left_out),
		WORKSPACE_TEST(holes_come_as_zeros),
		WORKSPACE_TEST(more_formats_come_where_they_are_wanted),
		WORKSPACE_TEST(a_list_of_names_is_no_archive),
		WORKSPACE_TEST(no_program_is_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
