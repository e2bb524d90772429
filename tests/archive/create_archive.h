/* SPDX-License-Identifier: MIT */
/*
 * Archives that the library makes: to memory, and back into workspaces.
 */
#ifndef DMEMFS_TESTS_CREATE_ARCHIVE_H
#define DMEMFS_TESTS_CREATE_ARCHIVE_H

#include "make_archive.h"

#include "dmemfs/archive.h"

#include "host_files.h"
#include "tree_text.h"

#include <sys/mman.h>

/** The formats that an archive can be made in, and the names of their files. */
static const int formats[] = {MFS_ARCHIVE_TAR_ZSTD, MFS_ARCHIVE_TAR_GZIP, MFS_ARCHIVE_ZIP,
							  MFS_ARCHIVE_TAR};
static const char *const format_names[] = {"tar.zst", "tar.gz", "zip", "tar"};

static inline mfs_archive_create_options in_format(int format)
{
	mfs_archive_create_options options = {.struct_size = sizeof(options)};

	options.format = format;
	return options;
}

static inline int new_memfd(void)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/** What a descriptor of a file holds; closes it. */
static inline struct bytes take_bytes(int fd)
{
	struct bytes bytes = {0};
	struct stat info;

	assert_int_equal(fstat(fd, &info), 0);
	assert_int_equal(pread(fd, bytes_extend(&bytes, (size_t)info.st_size), (size_t)info.st_size, 0),
					 info.st_size);
	assert_int_equal(close(fd), 0);
	return bytes;
}

/** An archive of a directory that has so many files. */
static inline struct bytes archive_of(mfs *fs, const char *path,
									  const mfs_archive_create_options *options, int64_t files)
{
	int fd = new_memfd();

	assert_code(mfs_create_archive(fs, path, fd, options), files);
	assert_int_equal(usage_of(fs).open_handles, 0);
	return take_bytes(fd);
}

/** A new workspace with what is in the archive; frees that. */
static inline mfs *expanded(struct bytes *archive, int64_t files)
{
	mfs *fs = new_workspace(NULL);
	mfs_archive_source source = mfs_archive_from_memory(archive->data, archive->size);

	assert_code(mfs_expand_archive(fs, "/", &source, NULL), files);
	bytes_free(archive);
	return fs;
}

/** Both workspaces hold the same tree. */
static inline void assert_same(mfs *one, mfs *other)
{
	char *tree = tree_text(one);

	assert_tree(other, tree);
	free(tree);
}

/** A tree of the workspace comes back as it is, in each format. */
static inline void assert_comes_back(mfs *fs, int64_t files)
{
	for (size_t i = 0; i < COUNT_OF(formats); i++) {
		mfs_archive_create_options options = in_format(formats[i]);
		struct bytes archive = archive_of(fs, "/", &options, files);
		mfs *copy = expanded(&archive, files);

		assert_same(fs, copy);
		free_workspace(copy);
	}
}

static inline void make_random(mfs *fs, const char *path, size_t size)
{
	unsigned char *bytes = pattern(size, size + 1);

	make_file(fs, path, bytes, size);
	free(bytes);
}

/** Makes directories with a file in the last, until the file's path has so many bytes. */
static inline void make_long_path(mfs *fs, char first, size_t length)
{
	char *path = allocate(length + 1);

	memset(path, first, length);
	path[0] = '/';
	for (size_t i = 200; i + 1 < length; i += 200) {
		path[i] = '/';
	}
	char *last = strrchr(path, '/');

	if (last != path) {
		*last = '\0';
		assert_code(mfs_mkdir(fs, path, MFS_EXIST_OK), 0);
		*last = '/';
	}
	make_text(fs, path, "at the end");
	free(path);
}

#endif
