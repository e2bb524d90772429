/* SPDX-License-Identifier: MIT */
/* Ways to expand archives that tests have made in memory, and to look at what became of them. */
#ifndef DMEMFS_TESTS_EXPANDING_H
#define DMEMFS_TESTS_EXPANDING_H

#include "make_archive.h"

#include "dmemfs/archive.h"

#include <signal.h>

typedef int64_t expand_function(mfs *fs, const char *to, const mfs_archive_source *source,
								const mfs_archive_options *options);

static inline int64_t expand_bytes(expand_function *expand, mfs *fs, const char *to,
								   const struct bytes *bytes, const mfs_archive_options *options)
{
	mfs_archive_source source = mfs_archive_from_memory(bytes->data, bytes->size);

	return expand(fs, to, &source, options);
}

/** A thread that writes bytes to a pipe, and closes it. */
struct piper {
	int fds[2];
	const struct bytes *bytes;
	pthread_t thread;
};

static inline void *piper__run(void *argument)
{
	struct piper *piper = argument;
	size_t at = 0;

	while (at < piper->bytes->size) {
		ssize_t written = write(piper->fds[1], piper->bytes->data + at, piper->bytes->size - at);

		if (written < 0) {
			break; /* nobody reads any more */
		}
		at += (size_t)written;
	}
	(void)close(piper->fds[1]);
	return NULL;
}

/** Expands from a pipe. */
static inline int64_t expand_pipe(expand_function *expand, mfs *fs, const char *to,
								  const struct bytes *bytes, const mfs_archive_options *options)
{
	struct piper piper = {.bytes = bytes};

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(piper.fds), 0);
	piper.thread = start_thread(piper__run, &piper);
	mfs_archive_source source = mfs_archive_from_fd(piper.fds[0]);
	int64_t result = expand(fs, to, &source, options);

	assert_int_equal(close(piper.fds[0]), 0);
	join_thread(piper.thread);
	return result;
}

/** There is nothing in the workspace, and nothing charged. */
static inline void assert_nothing(mfs *fs)
{
	mfs_usage usage = usage_of(fs);

	assert_int_equal(usage.files, 0);
	assert_int_equal(usage.directories, 0);
	assert_int_equal(usage.used_bytes, 0);
	assert_int_equal(usage.open_handles, 0);
}

/** A tar with "dir/", "dir/a" of 5 bytes and "b" of none. */
static inline struct bytes small_tar(void)
{
	struct bytes tar = {0};

	tar_directory(&tar, "dir/");
	tar_file(&tar, "dir/a", "bytes");
	tar_file(&tar, "b", "");
	tar_end(&tar);
	return tar;
}

static inline void assert_small_tar(mfs *fs, const char *to)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/dir/a", to);
	assert_text(fs, path, "bytes");
	snprintf(path, sizeof(path), "%s/b", to);
	assert_text(fs, path, "");
}

/** A tar of one file "large" of `size` random bytes, which are at `512` in it. */
static inline struct bytes large_tar(size_t size)
{
	struct bytes tar = {0};
	struct rng rng = {.state = 1};

	tar_header(&tar, "large", TAR_FILE, NULL, size);
	rng_fill(&rng, bytes_extend(&tar, (size + 511) / 512 * 512), size);
	tar_end(&tar);
	return tar;
}

#endif
