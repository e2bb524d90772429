/* SPDX-License-Identifier: MIT */
/*
 * What comes of an archive that is cut anywhere, has any byte changed, or contradicts itself? An
 * error and nothing else, or files that are whole.
 */
#include "hostile.h"

#include <signal.h>

static const struct way two_ways[] = {
	{.name = "atomic"},
	{.name = "streaming", .streaming = true, .on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE},
};

/* What the small archives hold. */
#define FIRST  "the first file, which is not very long"
#define SECOND "the second file: 0123456789 0123456789 0123456789"

static struct bytes small_tar(void)
{
	struct bytes tar = {0};

	tar_directory(&tar, "dir/");
	tar_file(&tar, "dir/first", FIRST);
	tar_file(&tar, "empty", "");
	tar_file(&tar, "second", SECOND);
	tar_end(&tar);
	return tar;
}

static struct bytes small_zip(void)
{
	struct zip zip = {0};

	zip_directory(&zip, "dir/");
	zip_deflated(&zip, "dir/first", FIRST, strlen(FIRST));
	zip_file(&zip, "empty", "");
	zip_deflated(&zip, "second", SECOND, strlen(SECOND));
	zip_end(&zip);
	return zip.bytes;
}

/** An archive of each kind: "tar", "zip", or a compression of the tar. */
static struct bytes small_archive(const char *kind)
{
	struct bytes tar = small_tar();

	if (strcmp(kind, "tar") == 0) {
		return tar;
	}
	struct bytes packed = strcmp(kind, "zip") == 0 ? small_zip() : bytes_compress(&tar, kind);

	bytes_free(&tar);
	return packed;
}

static const char *const kinds[] = {"tar", "zip", "gzip", "bzip2", "xz", "lzma", "zstd", "lz4"};

/** A code that tells of a damaged archive, or of what damage may look like. */
static bool is_refusal(int64_t code)
{
	return code == MFS_EFORMAT || code == MFS_EINVAL || code == MFS_ENOTSUP || code == MFS_EEXIST ||
		   code == MFS_EISDIR || code == MFS_ENOTDIR || code == MFS_ENAMETOOLONG ||
		   code == MFS_EQUOTA || code == MFS_ENODES;
}

/** The file is as it was packed, or is not there. Returns whether it is there. */
static bool is_whole(mfs *fs, const char *path, const char *text)
{
	if (!mfs_is_file(fs, path)) {
		return false;
	}
	assert_text(fs, path, text);
	return true;
}

/** Expands what was cut: each file that is there is whole, and success means that all are. */
static void assert_cut(const char *kind, const struct bytes *bytes, const struct way *way,
					   bool may_end_early)
{
	mfs *fs = hostile_workspace();
	int64_t code = expand_hostile(fs, "/", bytes, way, NULL);
	int64_t files = (int64_t)is_whole(fs, "/dir/first", FIRST) + is_whole(fs, "/empty", "") +
					is_whole(fs, "/second", SECOND);

	assert_int_equal(usage_of(fs).files, files);
	if (code < 0 ? !is_refusal(code) : code != files || (files < 3 && !may_end_early)) {
		print_error("%s, cut to %zu bytes, %s: gave %lld, %s, and has %lld files\n", kind,
					bytes->size, way->name, (long long)code,
					code < 0 ? mfs_last_error() : "success", (long long)files);
		fail();
	}
	free_workspace(fs);
}

static void cut_anywhere_it_is_an_error_or_whole(void **state)
{
	(void)state;
	for (size_t k = 0; k < COUNT_OF(kinds); k++) {
		struct bytes whole = small_archive(kinds[k]);

		for (size_t length = 0; length < whole.size; length++) {
			/* A block of its own size, so that a read behind it is seen. */
			struct bytes cut = {.size = 0};
			/* A tar without its last two blocks is usual; between two entries it may end, too. */
			bool may_end_early = strcmp(kinds[k], "tar") == 0 && length > 0 && length % 512 == 0;

			bytes_append(&cut, whole.data, length);
			for (size_t w = 0; w < COUNT_OF(two_ways); w++) {
				assert_cut(kinds[k], &cut, &two_ways[w], may_end_early);
			}
			bytes_free(&cut);
		}
		assert_cut(kinds[k], &whole, &two_ways[0], false);
		bytes_free(&whole);
	}
}

/** From a pipe, nothing tells where the archive ends but the archive. */
static void cut_in_a_pipe_it_is_an_error_or_whole(void **state)
{
	const struct way way = {.name = "atomic, from a pipe", .by_pipe = true};

	(void)state;
	for (size_t k = 0; k < COUNT_OF(kinds); k++) {
		struct bytes cut = small_archive(kinds[k]);

		while (cut.size > 0) {
			cut.size -= cut.size < 13 ? cut.size : 13;
			assert_cut(kinds[k], &cut, &way,
					   strcmp(kinds[k], "tar") == 0 && cut.size > 0 && cut.size % 512 == 0);
		}
		bytes_free(&cut);
	}
}

/** Each byte is changed. What has checksums for its data gives right data, or none. */
static void changed_anywhere_it_does_no_harm(void **state)
{
	static const unsigned char changes[] = {0x01, 0x80, 0xff};

	(void)state;
	for (size_t k = 0; k < COUNT_OF(kinds); k++) {
		struct bytes bytes = small_archive(kinds[k]);

		for (size_t at = 0; at < bytes.size; at++) {
			unsigned char before = bytes.data[at];
			mfs *fs = hostile_workspace();

			bytes.data[at] ^= changes[at % COUNT_OF(changes)];
			for (size_t w = 0; w < COUNT_OF(two_ways); w++) {
				int64_t code = expand_hostile(fs, w == 0 ? "/a" : "/b", &bytes, &two_ways[w], NULL);

				if (code < 0 && !is_refusal(code)) {
					print_error("%s, byte %zu, %s: %s\n", kinds[k], at, two_ways[w].name,
								mfs_last_error());
					fail();
				}
			}
			bytes.data[at] = before;
			free_workspace(fs);
		}
		bytes_free(&bytes);
	}
}

static void damaged_data_is_noticed(void **state)
{
	static const char *const checked[] = {"zip", "gzip", "bzip2", "xz"};
	unsigned char *noise = allocate(20000);
	struct rng rng = {1};

	(void)state;
	rng_fill(&rng, noise, 20000);
	for (size_t k = 0; k < COUNT_OF(checked); k++) {
		struct bytes tar = {0};
		struct zip zip = {0};

		tar_entry(&tar, "noise", TAR_FILE, noise, 20000);
		tar_end(&tar);
		zip_deflated(&zip, "noise", noise, 20000);
		zip_end(&zip);
		struct bytes bytes = k == 0 ? zip.bytes : bytes_compress(&tar, checked[k]);

		bytes.data[bytes.size / 2] ^= 0x10;
		for (size_t w = 0; w < COUNT_OF(all_ways); w++) {
			mfs *fs = hostile_workspace();

			assert_code(expand_hostile(fs, "/", &bytes, &all_ways[w], NULL), MFS_EFORMAT);
			assert_int_equal(usage_of(fs).files, 0);
			free_workspace(fs);
		}
		bytes_free(&bytes);
		bytes_free(&tar);
		if (k != 0) {
			bytes_free(&zip.bytes);
		}
	}
	free(noise);
}

static void what_is_no_archive_is_refused(void **state)
{
	static const struct {
		const char *data;
		size_t size;
	} cases[] = {{"", 0},       {"x", 1},  {"#!/bin/sh\necho hello\n", 21}, {"\x1f\x8b\x08", 3},
				 {"PK\3\4", 4}, {"PK", 2}, {"\x28\xb5\x2f\xfd", 4},         {"\0\0\0\0", 4}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct bytes bytes = {0};

		bytes_append(&bytes, cases[i].data, cases[i].size);
		for (size_t w = 0; w < COUNT_OF(all_ways); w++) {
			for (unsigned flags = 0; flags <= MFS_ARCHIVE_ALL_FORMATS; flags++) {
				mfs *fs = hostile_workspace();
				struct way way = all_ways[w];

				way.flags = flags;
				assert_code(expand_hostile(fs, "/", &bytes, &way, NULL), MFS_EFORMAT);
				assert_tree(fs, "/\n");
				free_workspace(fs);
			}
		}
		bytes_free(&bytes);
	}
}

/** What would be read without its directory could have links, which are not known then. */
static void a_zip_that_can_be_sought_needs_its_directory(void **state)
{
	struct zip zip = {0};
	mfs *fs = hostile_workspace();

	(void)state;
	zip_file(&zip, "a", "text");
	zip_end(&zip);
	mfs_archive_source source = mfs_archive_from_memory(zip.bytes.data, zip.bytes.size - 10);

	assert_code(mfs_expand_archive(fs, "/", &source, NULL), MFS_EFORMAT);
	assert_tree(fs, "/\n");
	source = mfs_archive_from_memory(zip.bytes.data, zip.bytes.size);
	assert_code(mfs_expand_archive(fs, "/", &source, NULL), 1);
	free_workspace(fs);
	bytes_free(&zip.bytes);
}

/*
 * Zips that contradict themselves
 */

static void expand_any_way(const struct zip *zip)
{
	for (size_t w = 0; w < COUNT_OF(all_ways); w++) {
		mfs *fs = hostile_workspace();
		int64_t code = expand_hostile(fs, "/", &zip->bytes, &all_ways[w], NULL);

		if (code < 0 && !is_refusal(code)) {
			print_error("%s: %s\n", all_ways[w].name, mfs_last_error());
			fail();
		}
		free_workspace(fs);
	}
}

/** Each pair of sizes, in each of the two headers. */
static void zips_may_lie_about_sizes(void **state)
{
	static const uint32_t sizes[] = {0, 1, 4, 5, 100, 0x7fffffff, 0x80000000, 0xffffffff};
	static const uint16_t methods[] = {0, 8, 99, 14};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes) * COUNT_OF(sizes) * COUNT_OF(methods); i++) {
		struct zip zip = {0};
		struct zip_header honest = {
			.path = "file", .crc = crc32_of("data", 4), .packed_size = 4, .size = 4};
		struct zip_header lie = {.path = "file",
								 .method = methods[i % COUNT_OF(methods)],
								 .crc = crc32_of("data", 4),
								 .packed_size = sizes[i / COUNT_OF(methods) % COUNT_OF(sizes)],
								 .size = sizes[i / COUNT_OF(methods) / COUNT_OF(sizes)]};

		zip_raw(&zip, &honest, &lie, "data", 4);
		lie.path = "other";
		honest.path = "other";
		zip_raw(&zip, &lie, &honest, "data", 4);
		zip_end(&zip);
		expand_any_way(&zip);
		bytes_free(&zip.bytes);
	}
}

/** The two headers name different files: one of them comes, and it is a safe one. */
static void zips_may_lie_about_names(void **state)
{
	static const struct {
		const char *local;
		const char *central;
	} cases[] = {{"safe", "/etc/passwd"}, {"/etc/passwd", "safe"}, {"safe", "../../x"},
				 {"../../x", "safe"},     {"one", "two"},          {"safe/", "safe"}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct zip zip = {0};
		struct zip_header local = {
			.path = cases[i].local, .crc = crc32_of("data", 4), .packed_size = 4, .size = 4};
		struct zip_header central = local;

		central.path = cases[i].central;
		zip_raw(&zip, &local, &central, "data", 4);
		zip_end(&zip);
		expand_any_way(&zip);
		bytes_free(&zip.bytes);
	}
}

/** Extra fields of zip64, with numbers that are too large, negative, or not there. */
static void zip64_may_be_nonsense(void **state)
{
	static const uint64_t numbers[] = {
		0,         4, UINT32_MAX, UINT64_C(10) << 30, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX - 3,
		UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(numbers) * 5; i++) {
		struct zip zip = {0};
		struct bytes extra = {0};
		/* How many of the numbers are there. */
		size_t count = i % 5;

		bytes_number(&extra, 1, 2);
		bytes_number(&extra, count * 8, 2);
		for (size_t n = 0; n < count; n++) {
			bytes_number(&extra, numbers[i / 5], 8);
		}
		struct zip_header header = {.path = "file",
									.crc = crc32_of("data", 4),
									.packed_size = UINT32_MAX,
									.size = UINT32_MAX,
									.extra = extra.data,
									.extra_size = (uint16_t)extra.size};

		zip_raw(&zip, &header, &header, "data", 4);
		zip_end(&zip);
		expand_any_way(&zip);
		bytes_free(&zip.bytes);
		bytes_free(&extra);
	}
}

/** The end of the directory gives any place and any count. */
static void the_directory_of_a_zip_may_be_anywhere(void **state)
{
	static const uint32_t numbers[] = {0, 1, 22, 0x7fffffff, 0xffffffff};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(numbers) * 3; i++) {
		struct zip zip = {.bytes = small_zip()};
		struct bytes number = {0};
		/* From the end: how many entries, how many bytes, where. */
		static const size_t at[] = {12, 10, 6};
		size_t width = i % 3 == 0 ? 2 : 4;

		bytes_number(&number, numbers[i / 3], width);
		memcpy(zip.bytes.data + zip.bytes.size - at[i % 3], number.data, width);
		expand_any_way(&zip);
		bytes_free(&number);
		bytes_free(&zip.bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_anywhere_it_is_an_error_or_whole),
		cmocka_unit_test(cut_in_a_pipe_it_is_an_error_or_whole),
		cmocka_unit_test(changed_anywhere_it_does_no_harm),
		cmocka_unit_test(damaged_data_is_noticed),
		cmocka_unit_test(what_is_no_archive_is_refused),
		cmocka_unit_test(a_zip_that_can_be_sought_needs_its_directory),
		cmocka_unit_test(zips_may_lie_about_sizes),
		cmocka_unit_test(zips_may_lie_about_names),
		cmocka_unit_test(zip64_may_be_nonsense),
		cmocka_unit_test(the_directory_of_a_zip_may_be_anywhere),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, keep_a_workspace, free_the_workspace);
}
