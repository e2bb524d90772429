/* SPDX-License-Identifier: MIT */
/*
 * Expands whatever bytes the fuzzer comes up with, in both ways, and ends the process where a
 * promise is not kept: that the quota and the limit of nodes hold, that an atomic expansion that
 * fails leaves nothing, that no handle stays open, and that what has come in makes an archive from
 * which it comes again.
 *
 * The first byte of an input chooses the options, see below; the rest is the archive.
 */
#include "dmemfs/archive.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define QUOTA     (UINT64_C(1) << 20)
#define MAX_NODES 1000
/* What a pipe holds without a reader. */
#define PIPE_SIZE 65536

/* Bits of an input's first byte. */
enum {
	SKIP_UNSAFE = 1 << 0,
	CONFLICT_SHIFT = 1, /* two bits */
	ALL_FORMATS = 1 << 3,
	FROM_PIPE = 1 << 4,
	FROM_FILE = 1 << 5,
	BELOW = 1 << 6,
	MEETS_FILES = 1 << 7,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds, const char *promise, const char *call)
{
	if (!holds) {
		(void)fprintf(stderr, "%s: not kept: %s (last error: %s)\n", call, promise,
					  mfs_last_error());
		abort();
	}
}

static mfs *new_workspace(uint64_t quota)
{
	mfs_options options = {.struct_size = sizeof(options)};
	mfs *fs = NULL;

	options.max_quota = quota;
	options.max_nodes = MAX_NODES;
	check(mfs_new(&options, &fs) == 0, "a workspace", "mfs_new");
	return fs;
}

static mfs_usage usage_of(mfs *fs)
{
	mfs_usage usage;

	check(mfs_stats(fs, &usage) == 0, "figures", "mfs_stats");
	return usage;
}

static void make_file(mfs *fs, const char *path, const void *data, size_t size)
{
	mfs_file *file = NULL;

	check(mfs_open(fs, path, "wb", &file) == 0, "a file", "mfs_open");
	check(mfs_write(file, data, size) == (int64_t)size, "bytes", "mfs_write");
	check(mfs_close(file) == 0, "closed", "mfs_close");
}

/** What is in a workspace can be packed, and comes back from that. */
static void check_round_trip(mfs *fs)
{
	mfs *copy = new_workspace(QUOTA * 2);
	mfs_usage usage = usage_of(fs);
	mfs_archive_create_options options = {.struct_size = sizeof(options)};
	int fd = memfd_create("archive", MFD_CLOEXEC);

	options.format = usage.files % 2 == 0 ? MFS_ARCHIVE_TAR : MFS_ARCHIVE_ZIP;
	check(fd >= 0, "a descriptor", "memfd_create");
	check(mfs_create_archive(fs, "/", fd, &options) == (int64_t)usage.files, "all files",
		  "mfs_create_archive");
	check(lseek(fd, 0, SEEK_SET) == 0, "the start", "lseek");
	mfs_archive_source source = mfs_archive_from_fd(fd);

	check(mfs_expand_archive(copy, "/", &source, NULL) == (int64_t)usage.files, "all files again",
		  "mfs_expand_archive");
	check(usage_of(copy).directories == usage.directories, "all directories again",
		  "mfs_expand_archive");
	check(close(fd) == 0, "closed", "close");
	check(mfs_free(copy) == 0, "freed", "mfs_free");
}

static void expand(uint8_t bits, const uint8_t *data, size_t size, bool streaming)
{
	const char *call = streaming ? "mfs_expand_archive_streaming" : "mfs_expand_archive";
	mfs_archive_options options = {.struct_size = sizeof(options)};
	mfs_archive_progress result = {.files = UINT64_MAX};
	mfs_archive_source source = mfs_archive_from_memory(data, size);
	mfs *fs = new_workspace(QUOTA);
	mfs *other = NULL;
	int ends[2] = {-1, -1};

	options.on_unsafe =
		(bits & SKIP_UNSAFE) != 0 ? MFS_ARCHIVE_SKIP_UNSAFE : MFS_ARCHIVE_REFUSE_UNSAFE;
	options.on_conflict = (bits >> CONFLICT_SHIFT) % 4 % 3;
	options.flags = (bits & ALL_FORMATS) != 0 ? MFS_ARCHIVE_ALL_FORMATS : 0;
	options.result = &result;
	if ((bits & MEETS_FILES) != 0) {
		make_file(fs, "/a", "file", 4);
		check(mfs_mkdir(fs, "/d", 0) == 0, "a directory", "mfs_mkdir");
		make_file(fs, "/d/a", "file", 4);
	}
	if ((bits & FROM_PIPE) != 0 && size < PIPE_SIZE) {
		check(pipe2(ends, O_CLOEXEC) == 0, "a pipe", "pipe2");
		check(write(ends[1], data, size) == (ssize_t)size, "all written", "write");
		check(close(ends[1]) == 0, "closed", "close");
		source = mfs_archive_from_fd(ends[0]);
	} else if ((bits & FROM_FILE) != 0) {
		other = new_workspace(UINT64_C(1) << 30);
		make_file(other, "/archive", data, size);
		source = mfs_archive_from_file(other, "/archive");
	}

	mfs_usage before = usage_of(fs);
	const char *to = (bits & BELOW) != 0 ? "/d/e" : "/";
	int64_t files = streaming ? mfs_expand_archive_streaming(fs, to, &source, &options)
							  : mfs_expand_archive(fs, to, &source, &options);
	mfs_usage usage = usage_of(fs);

	check(usage.used_bytes <= QUOTA && usage.peak_bytes <= QUOTA, "within the quota", call);
	check(usage.files + usage.directories <= MAX_NODES, "within the limit of nodes", call);
	check(usage.open_handles == 0, "no handle is open", call);
	check(result.path == NULL && result.files <= result.entries, "a result", call);
	if (files < 0) {
		check(strcmp(mfs_error_name((int)files), "unknown") != 0, "a known code", call);
		check(mfs_last_error()[0] != '\0', "a reason", call);
	} else {
		check(result.files == (uint64_t)files, "the same count", call);
	}
	if (files < 0 && !streaming) {
		check(usage.used_bytes == before.used_bytes, "no bytes are left", call);
		check(usage.files == before.files && usage.directories == before.directories,
			  "nothing is left", call);
	}
	if (files > 0 && !streaming) {
		check_round_trip(fs);
	}
	if (ends[0] >= 0) {
		check(close(ends[0]) == 0, "closed", "close");
	}
	check(mfs_free(fs) == 0, "freed", "mfs_free");
	check(mfs_free(other) == 0, "freed", "mfs_free");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* One that stays: the process's threads need not start and end with each input. */
	static mfs *keeper;

	if (keeper == NULL) {
		keeper = new_workspace(QUOTA);
	}
	if (size > 0) {
		expand(data[0], data + 1, size - 1, false);
		expand(data[0], data + 1, size - 1, true);
	}
	return 0;
}
