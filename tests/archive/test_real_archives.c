/* SPDX-License-Identifier: MIT */
/*
 * What real_archives.sh runs: expands an archive in memory and writes what came to a directory of
 * the host, so that it can be compared with what other programs make of the archive.
 *
 *     test_real_archives atomic|streaming|all ARCHIVE DIRECTORY
 *
 * "all" is atomic, with all formats. Prints how many files came, and how many entries were left
 * out. Exits with 1 if anything fails.
 */
#include "dmemfs/archive.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define QUOTA (UINT64_C(4) << 30)

static int failed(const char *what)
{
	(void)fprintf(stderr, "%s: %s\n", what, mfs_last_error());
	return 1;
}

static int expand(mfs *fs, const char *how, const char *archive, const char *directory)
{
	mfs_archive_options options = {.struct_size = sizeof(options)};
	mfs_archive_source source = mfs_archive_from_host(archive);
	mfs_archive_progress result = {.files = 0};

	options.on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE;
	options.flags = strcmp(how, "all") == 0 ? MFS_ARCHIVE_ALL_FORMATS : 0;
	options.result = &result;
	int64_t files = strcmp(how, "streaming") == 0
						? mfs_expand_archive_streaming(fs, "/", &source, &options)
						: mfs_expand_archive(fs, "/", &source, &options);

	if (files < 0) {
		return failed(archive);
	}
	if (mfs_export_to_dir(fs, "/", directory, NULL) != 0) {
		return failed(directory);
	}
	printf("%" PRId64 " files, %" PRIu64 " entries left out\n", files, result.unsafe);
	return 0;
}

int main(int argc, char **argv)
{
	mfs_options options = {.struct_size = sizeof(options)};
	mfs *fs = NULL;

	if (argc != 4) {
		(void)fprintf(stderr, "usage: %s atomic|streaming|all ARCHIVE DIRECTORY\n", argv[0]);
		return 2;
	}
	options.max_quota = QUOTA;
	if (mfs_new(&options, &fs) != 0) {
		return failed("mfs_new");
	}
	int code = expand(fs, argv[1], argv[2], argv[3]);

	if (mfs_free(fs) != 0) {
		return failed("mfs_free");
	}
	return code;
}
