/* SPDX-License-Identifier: MIT */
/*
 * Looking into an archive that a stranger sent: without a disk, and without harm.
 *
 *     expand_archive [ARCHIVE]
 *
 * The archive is expanded in memory, under a quota:
 *
 *   - It comes in whole or not at all: there is no half-expanded directory to clean up, whether it
 *     is damaged, too large, or full of tricks.
 *   - A bomb, which is small until it is expanded, meets the quota, and the quota is all that it
 *     can take. max_nodes does the same for a million empty files.
 *   - Paths that lead out of the directory, links, devices: the call fails with MFS_EINVAL or
 *     MFS_ENOTSUP, or leaves them out and counts them.
 *
 * Without an argument it makes two archives by itself: one that is all right, and a bomb.
 */
#include <dmemfs/archive.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

enum { BOMB_MIB = 200, QUOTA_MIB = 64, MAX_NODES = 10000 };

static void check(const char *what, bool holds)
{
	if (!holds) {
		fprintf(stderr, "%s\n", what);
		exit(1);
	}
}

/* Returns the result of a call that must succeed. */
static int64_t need(int64_t result)
{
	check(mfs_last_error(), result >= 0);
	return result;
}

static mfs *workspace(uint64_t quota)
{
	mfs_options options = {
		.struct_size = sizeof options, .max_quota = quota, .max_nodes = MAX_NODES};
	mfs *fs;

	need(mfs_new(&options, &fs));
	return fs;
}

/* Nothing may be left of an archive that was refused. */
static void check_empty(mfs *fs)
{
	mfs_usage usage;

	need(mfs_stats(fs, &usage));
	check("something is left of a refused archive",
		  usage.used_bytes == 0 && usage.files + usage.directories == 0);
}

/* Where one is in a large archive. To return false would stop it, and leave nothing. */
static bool show_progress(void *user, const mfs_archive_progress *progress)
{
	uint64_t *shown = user;

	if (progress->bytes / (16 * MIB) > *shown) {
		*shown = progress->bytes / (16 * MIB);
		printf("  ... %" PRIu64 " MiB\n", progress->bytes / MIB);
	}
	return true;
}

static void list(mfs *fs)
{
	mfs_walk *walk;
	mfs_walk_level level;

	need(mfs_walk_open(fs, "/in", &walk));
	while (need(mfs_walk_next(walk, &level)) > 0) {
		for (size_t i = 0; i < level.file_count; i++) {
			char path[4096];
			snprintf(path, sizeof path, "%s/%s", level.path, level.files[i]);
			printf("%12" PRId64 "  %s\n", mfs_get_size(fs, path), path);
		}
	}
	need(mfs_walk_close(walk));
}

/* Returns how many files came, or a code. */
static int64_t expand(const char *what, const mfs_archive_source *source)
{
	uint64_t shown = 0;
	mfs_archive_progress counts = {0};
	mfs_archive_options options = {
		.struct_size = sizeof options,
		.on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE,
		.on_progress = show_progress,
		.user = &shown,
		.result = &counts,
	};
	mfs *fs = workspace(QUOTA_MIB * MIB);

	printf("%s:\n", what);
	int64_t files = mfs_expand_archive(fs, "/in", source, &options);
	if (files >= 0) {
		list(fs);
		printf("  %" PRId64 " files of %" PRIu64 " bytes; %" PRIu64 " entries were not safe\n",
			   files, counts.bytes, counts.unsafe);
	} else {
		printf("  refused after %" PRIu64 " bytes: %s\n", counts.bytes, mfs_last_error());
		check_empty(fs);
	}
	need(mfs_free(fs));
	return files;
}

/* A file of the host, which nobody else finds, with what a workspace holds as an archive. */
static int archive_of(mfs *fs)
{
	char name[] = "/tmp/expand_archive_XXXXXX";
	int fd = mkstemp(name);

	check("no temporary file", fd >= 0 && unlink(name) == 0);
	need(mfs_create_archive(fs, "/", fd, NULL));
	check("no way back to the start", lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static void write_file(mfs *fs, const char *path, const void *bytes, size_t size, int times)
{
	mfs_file *file;

	need(mfs_open(fs, path, "xb", &file));
	for (int i = 0; i < times; i++)
		need(mfs_write(file, bytes, size));
	need(mfs_close(file));
}

static void show_own_archives(void)
{
	mfs *fs = workspace(2 * BOMB_MIB * MIB);

	need(mfs_mkdir(fs, "/letters/old", 0));
	write_file(fs, "/letters/hello", "Hello.\n", 7, 1);
	write_file(fs, "/letters/old/goodbye", "Goodbye.\n", 9, 1);
	int good = archive_of(fs);

	char *zeros = calloc(1, MIB);
	check("no memory", zeros != NULL);
	write_file(fs, "/bomb", zeros, MIB, BOMB_MIB);
	free(zeros);
	int bomb = archive_of(fs);
	off_t bomb_size = lseek(bomb, 0, SEEK_END);
	check("the bomb is not small", bomb_size < 1 << 20 && lseek(bomb, 0, SEEK_SET) == 0);
	need(mfs_free(fs));

	mfs_archive_source source = mfs_archive_from_fd(good);
	check("the good archive was refused", expand("an archive", &source) == 2);
	source = mfs_archive_from_fd(bomb);
	check("the bomb was not refused", expand("a bomb", &source) == MFS_EQUOTA);
	check("close", close(good) == 0 && close(bomb) == 0);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		mfs_archive_source source = mfs_archive_from_host(argv[1]);
		return expand(argv[1], &source) >= 0 ? 0 : 1;
	}
	show_own_archives();
	return 0;
}
