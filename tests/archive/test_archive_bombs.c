/* SPDX-License-Identifier: MIT */
/*
 * Do the limits of the workspace stop archives that grow too large, whatever they say about their
 * sizes, before much work is done, and is nothing left then?
 */
#include "hostile.h"

#include <signal.h>

/** Neither way leaves anything but the files that were whole: `files` of them if streamed. */
static void assert_stopped(const char *what, const struct bytes *bytes, int code, uint64_t files)
{
	for (size_t w = 0; w < COUNT_OF(all_ways); w++) {
		mfs *fs = hostile_workspace();
		int64_t got = expand_hostile(fs, "/", bytes, &all_ways[w], NULL);

		if (got != code) {
			print_error("%s, %s: %s\n", what, all_ways[w].name, got < 0 ? mfs_last_error() : "");
		}
		assert_code(got, code);
		assert_int_equal(usage_of(fs).files, all_ways[w].streaming ? files : 0);
		free_workspace(fs);
	}
}

/*
 * Much from little
 */

enum { ZEROS = 64 * 1024 * 1024 };

/** A file of zeros in a zip, a thousand times smaller than it says. */
static void zip_of_zeros(struct zip *zip, const char *path)
{
	unsigned char *zeros = allocate(ZEROS);

	zip_deflated(zip, path, zeros, ZEROS);
	free(zeros);
}

static void a_zip_of_zeros_is_stopped(void **state)
{
	struct zip zip = {0};

	(void)state;
	zip_file(&zip, "good", "1");
	zip_of_zeros(&zip, "zeros");
	zip_end(&zip);
	assert_true(zip.bytes.size < ZEROS / 500);
	assert_stopped("zip", &zip.bytes, MFS_EQUOTA, 1);
	bytes_free(&zip.bytes);
}

/** The size that the headers give is small, or none: only what comes counts. */
static void a_zip_that_hides_its_size_is_stopped(void **state)
{
	static const uint32_t sizes[] = {0, 1, 1000, UINT32_MAX - 1};
	unsigned char *zeros = allocate(ZEROS);
	struct bytes plain = {zeros, ZEROS, ZEROS};
	struct bytes packed = bytes_compress(&plain, "gzip");

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		enum { LENGTH_AT_END = 8 };
		struct zip zip = {0};
		struct zip_header header = {.path = "zeros",
									.method = 8,
									.flags = LENGTH_AT_END,
									.packed_size = (uint32_t)(packed.size - 18),
									.size = sizes[i]};

		zip_raw(&zip, &header, &header, packed.data + 10, packed.size - 18);
		zip_end(&zip);
		for (size_t w = 0; w < COUNT_OF(all_ways); w++) {
			mfs *fs = hostile_workspace();
			int64_t code = expand_hostile(fs, "/", &zip.bytes, &all_ways[w], NULL);

			assert_either(code, MFS_EQUOTA, MFS_EFORMAT);
			assert_int_equal(usage_of(fs).files, 0);
			free_workspace(fs);
		}
		bytes_free(&zip.bytes);
	}
	bytes_free(&packed);
	free(zeros);
}

static void compressed_tars_of_zeros_are_stopped(void **state)
{
	static const char *const filters[] = {"gzip", "bzip2", "xz", "lzma", "zstd", "lz4"};
	unsigned char *zeros = allocate(ZEROS / 4);
	struct bytes tar = {0};

	(void)state;
	tar_file(&tar, "good", "1");
	tar_entry(&tar, "zeros", TAR_FILE, zeros, ZEROS / 4);
	tar_end(&tar);
	free(zeros);
	for (size_t i = 0; i < COUNT_OF(filters); i++) {
		struct bytes packed = bytes_compress(&tar, filters[i]);

		assert_stopped(filters[i], &packed, MFS_EQUOTA, 1);
		bytes_free(&packed);
	}
	bytes_free(&tar);
}

/** Many files, each small enough, are together too much. */
static void many_small_files_are_stopped(void **state)
{
	enum { FILES = 100 };
	unsigned char *zeros = allocate(64 * KIB);
	struct bytes tar = {0};

	(void)state;
	for (int i = 0; i < FILES; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "f%d", i);
		tar_entry(&tar, name, TAR_FILE, zeros, 64 * KIB);
	}
	tar_end(&tar);
	free(zeros);
	struct bytes packed = bytes_compress(&tar, "zstd");

	/* Each is charged its bytes and the overhead of its chunk. */
	assert_stopped("small files", &packed, MFS_EQUOTA, HOSTILE_QUOTA / (64 * KIB + 64));
	bytes_free(&packed);
	bytes_free(&tar);
}

/** An archive in an archive is a file, whatever it would grow to. */
static void archives_in_archives_are_files(void **state)
{
	struct zip inner = {0};
	struct bytes level = {0};

	(void)state;
	zip_of_zeros(&inner, "zeros");
	zip_end(&inner);
	level = inner.bytes;
	for (int depth = 0; depth < 5; depth++) {
		struct zip outer = {0};

		zip_deflated(&outer, "layer.zip", level.data, level.size);
		zip_end(&outer);
		for (size_t w = 0; w < COUNT_OF(all_ways); w++) {
			mfs *fs = hostile_workspace();

			assert_code(expand_hostile(fs, "/", &outer.bytes, &all_ways[w], NULL), 1);
			assert_file_holds(fs, "/layer.zip", level.data, level.size);
			free_workspace(fs);
		}
		bytes_free(&level);
		level = outer.bytes;
	}
	bytes_free(&level);
}

/** Compressed again and again: one compression is undone, the rest is no archive. */
static void compressions_in_compressions_end(void **state)
{
	struct bytes level = {0};

	(void)state;
	tar_file(&level, "good", "1");
	tar_end(&level);
	for (int depth = 0; depth < 60; depth++) {
		struct bytes packed = bytes_compress(&level, depth % 2 == 0 ? "gzip" : "zstd");

		bytes_free(&level);
		level = packed;
	}
	for (size_t w = 0; w < COUNT_OF(all_ways); w++) {
		mfs *fs = hostile_workspace();

		assert_either(expand_hostile(fs, "/", &level, &all_ways[w], NULL), MFS_EFORMAT, 1);
		free_workspace(fs);
	}
	bytes_free(&level);
}

/*
 * Claims
 */

#define TEN_GIB (UINT64_C(10) << 30)

static void octal(unsigned char *at, size_t width, uint64_t number)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%0*llo", (int)width - 1, (unsigned long long)number);
	memcpy(at, text, width);
}

/** A header of 10 GiB that has a few bytes behind it, whether the archive goes on or not. */
static void a_claim_of_10_gib_is_stopped(void **state)
{
	struct bytes tar = {0};

	(void)state;
	tar_file(&tar, "good", "1");
	tar_header(&tar, "huge", TAR_FILE, NULL, TEN_GIB);
	assert_stopped("cut", &tar, MFS_EQUOTA, 1);
	bytes_extend(&tar, 100000);
	assert_stopped("with bytes", &tar, MFS_EQUOTA, 1);
	bytes_free(&tar);
}

static void a_claim_in_pax_is_stopped(void **state)
{
	static const char *const sizes[] = {"10737418240", "1152921504606846976"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct bytes tar = {0};

		tar_file(&tar, "good", "1");
		tar_pax(&tar, "size", sizes[i], strlen(sizes[i]));
		tar_file(&tar, "huge", "some bytes");
		tar_end(&tar);
		assert_stopped(sizes[i], &tar, MFS_EQUOTA, 1);
		bytes_free(&tar);
	}
}

/** Sizes that are no sizes: refused as damage, or as too much, or taken for another number. */
static void claims_that_are_no_numbers_do_no_harm(void **state)
{
	static const char *const sizes[] = {
		"-1", "18446744073709551615", "9223372036854775808", "99999999999999999999999", "x", ""};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct bytes tar = {0};

		tar_pax(&tar, "size", sizes[i], strlen(sizes[i]));
		tar_file(&tar, "huge", "some bytes");
		tar_end(&tar);
		for (size_t w = 0; w < COUNT_OF(all_ways); w++) {
			mfs *fs = hostile_workspace();
			int64_t code = expand_hostile(fs, "/", &tar, &all_ways[w], NULL);

			assert_true(code == MFS_EQUOTA || code == MFS_EFORMAT || code >= 0);
			free_workspace(fs);
		}
		bytes_free(&tar);
	}
}

/** The old sparse files of GNU: a map in the header, and hardly a byte. */
static void a_sparse_file_of_gnu_is_stopped(void **state)
{
	struct bytes tar = {0};

	(void)state;
	tar_file(&tar, "good", "1");
	unsigned char *header = tar_header(&tar, "sparse", TAR_GNU_SPARSE, NULL, 512);

	memcpy(header + TAR_MAGIC_AT, "ustar  ", 8);
	octal(header + 386, 12, 0);
	octal(header + 398, 12, 512);
	/* In twelve octal digits there is room for 8 GiB, less one. */
	octal(header + 483, 12, (UINT64_C(8) << 30) - 1);
	tar_set_checksum(header);
	bytes_extend(&tar, 512);
	tar_file(&tar, "later", "2");
	tar_end(&tar);
	assert_stopped("GNU sparse", &tar, MFS_EQUOTA, 1);
	bytes_free(&tar);
}

/** The same with pax, where the map lies before the bytes. */
static void a_sparse_file_of_pax_is_stopped(void **state)
{
	struct bytes tar = {0};
	struct bytes records = {0};
	char map[512] = "1\n0\n512\n";

	(void)state;
	tar_file(&tar, "good", "1");
	tar_pax_record(&records, "GNU.sparse.major", "1", 1);
	tar_pax_record(&records, "GNU.sparse.minor", "0", 1);
	tar_pax_record(&records, "GNU.sparse.name", "sparse", 6);
	tar_pax_record(&records, "GNU.sparse.realsize", "10737418240", 11);
	tar_pax_records(&tar, &records);
	tar_header(&tar, "GNUSparseFile.0/sparse", TAR_FILE, NULL, 1024);
	bytes_append(&tar, map, sizeof(map));
	bytes_extend(&tar, 512);
	tar_file(&tar, "later", "2");
	tar_end(&tar);
	assert_stopped("pax sparse", &tar, MFS_EQUOTA, 1);
	bytes_free(&tar);
}

/** No byte of data, but a map that libarchive would make a list of, in memory of its own. */
static void a_sparse_file_of_many_pieces_is_stopped(void **state)
{
	enum { PIECES = 1500000 };
	static const char count[] = "1500000\n";
	struct bytes tar = {0};
	struct bytes map = {0};
	struct bytes records = {0};

	(void)state;
	tar_pax_record(&records, "GNU.sparse.major", "1", 1);
	tar_pax_record(&records, "GNU.sparse.minor", "0", 1);
	tar_pax_record(&records, "GNU.sparse.name", "sparse", 6);
	tar_pax_record(&records, "GNU.sparse.realsize", "0", 1);
	tar_pax_records(&tar, &records);
	bytes_append(&map, count, sizeof(count) - 1);
	for (int i = 0; i < PIECES; i++) {
		bytes_append(&map, "0\n0\n", 4);
	}
	tar_entry(&tar, "GNUSparseFile.0/sparse", TAR_FILE, map.data, map.size);
	tar_end(&tar);
	assert_stopped("a map of many pieces", &tar, MFS_EFORMAT, 0);
	bytes_free(&map);
	bytes_free(&tar);
}

/** What is sparse and small enough reads as zeros where it has no bytes. */
static void small_sparse_files_come_in(void **state)
{
	struct bytes tar = {0};
	struct bytes records = {0};
	char map[512] = "2\n1000\n4\n5000\n0\n";
	unsigned char want[5000] = {0};

	(void)state;
	tar_pax_record(&records, "GNU.sparse.major", "1", 1);
	tar_pax_record(&records, "GNU.sparse.minor", "0", 1);
	tar_pax_record(&records, "GNU.sparse.name", "sparse", 6);
	tar_pax_record(&records, "GNU.sparse.realsize", "5000", 4);
	tar_pax_records(&tar, &records);
	tar_header(&tar, "GNUSparseFile.0/sparse", TAR_FILE, NULL, 512 + 4);
	bytes_append(&tar, map, sizeof(map));
	memcpy(bytes_extend(&tar, 512), "here", 4);
	tar_file(&tar, "later", "2");
	tar_end(&tar);
	memcpy(want + 1000, "here", 4);
	for (size_t w = 0; w < COUNT_OF(all_ways); w++) {
		mfs *fs = hostile_workspace();

		assert_code(expand_hostile(fs, "/", &tar, &all_ways[w], NULL), 2);
		assert_file_holds(fs, "/sparse", want, sizeof(want));
		assert_text(fs, "/later", "2");
		free_workspace(fs);
	}
	bytes_free(&tar);
}

/*
 * Entries without end
 */

enum { MANY = 1000000 };

struct many {
	int fd;
	unsigned written;
	struct bytes header; /* of each, but for the name */
};

/** Writes a million empty entries, or as many as are read. */
static void *write_many(void *argument)
{
	struct many *many = argument;
	unsigned char block[128 * TAR_HEADER_SIZE];

	while (many->written < MANY) {
		for (size_t i = 0; i < sizeof(block); i += TAR_HEADER_SIZE) {
			memcpy(block + i, many->header.data, TAR_HEADER_SIZE);
			(void)snprintf((char *)block + i, 100, "d%u/e%u", many->written % 7, many->written);
			tar_set_checksum(block + i);
			many->written++;
		}
		if (write(many->fd, block, sizeof(block)) != (ssize_t)sizeof(block)) {
			break;
		}
	}
	(void)close(many->fd);
	return NULL;
}

static void a_million_entries_are_stopped(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		mfs *fs = hostile_workspace();
		struct many many = {.written = 0};
		int ends[2];

		tar_header(&many.header, "", i / 2 == 1 ? TAR_DIRECTORY : TAR_FILE, NULL, 0);
		assert_int_equal(pipe(ends), 0);
		many.fd = ends[1];
		pthread_t thread = start_thread(write_many, &many);
		mfs_archive_source source = mfs_archive_from_fd(ends[0]);
		int64_t code = i % 2 == 0 ? mfs_expand_archive(fs, "/", &source, NULL)
								  : mfs_expand_archive_streaming(fs, "/", &source, NULL);

		assert_int_equal(close(ends[0]), 0);
		join_thread(thread);
		assert_code(code, MFS_ENODES);
		/* No more was read than it took to see. */
		assert_true(many.written < MANY / 10);
		mfs_usage usage = usage_of(fs);

		assert_int_equal(usage.open_handles, 0);
		assert_int_equal(usage.files + usage.directories, i % 2 == 0 ? 0 : HOSTILE_NODES);
		bytes_free(&many.header);
		free_workspace(fs);
	}
}

/** A directory of a zip with far more entries than nodes. */
static void a_zip_of_many_entries_is_stopped(void **state)
{
	struct zip zip = {0};

	(void)state;
	for (int i = 0; i < 50000; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "e%d", i);
		zip_file(&zip, name, "");
	}
	zip_end(&zip);
	assert_stopped("zip", &zip.bytes, MFS_ENODES, HOSTILE_NODES);
	bytes_free(&zip.bytes);
}

/** One path of many directories is as many nodes. */
static void a_deep_path_is_stopped(void **state)
{
	struct bytes tar = {0};
	char *path = allocate(4 * HOSTILE_NODES);

	(void)state;
	for (int i = 0; i < HOSTILE_NODES + 1; i++) {
		memcpy(path + (ptrdiff_t)i * 2, "d/", 2);
	}
	path[(HOSTILE_NODES + 1) * 2 - 1] = '\0';
	tar_file(&tar, "good", "1");
	tar_file(&tar, path, "deep");
	tar_end(&tar);
	assert_stopped("deep", &tar, MFS_ENODES, 1);
	free(path);
	bytes_free(&tar);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_zip_of_zeros_is_stopped),
		cmocka_unit_test(a_zip_that_hides_its_size_is_stopped),
		cmocka_unit_test(compressed_tars_of_zeros_are_stopped),
		cmocka_unit_test(many_small_files_are_stopped),
		cmocka_unit_test(archives_in_archives_are_files),
		cmocka_unit_test(compressions_in_compressions_end),
		cmocka_unit_test(a_claim_of_10_gib_is_stopped),
		cmocka_unit_test(a_claim_in_pax_is_stopped),
		cmocka_unit_test(claims_that_are_no_numbers_do_no_harm),
		cmocka_unit_test(a_sparse_file_of_gnu_is_stopped),
		cmocka_unit_test(a_sparse_file_of_pax_is_stopped),
		cmocka_unit_test(a_sparse_file_of_many_pieces_is_stopped),
		cmocka_unit_test(small_sparse_files_come_in),
		cmocka_unit_test(a_million_entries_are_stopped),
		cmocka_unit_test(a_zip_of_many_entries_is_stopped),
		cmocka_unit_test(a_deep_path_is_stopped),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, keep_a_workspace, free_the_workspace);
}
