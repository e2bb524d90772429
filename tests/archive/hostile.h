/* SPDX-License-Identifier: MIT */
/*
 * Ways to expand archives that were made by an enemy, and what has to hold afterwards whatever they
 * are: the quota held, a call that failed left no part of a file, an atomic one nothing at all, and
 * every handle is closed.
 */
#ifndef DMEMFS_TESTS_HOSTILE_H
#define DMEMFS_TESTS_HOSTILE_H

#include "make_archive.h"

#include "dmemfs/archive.h"

#include "tree_text.h"

#include <sys/mman.h>

#define HOSTILE_QUOTA (1 * MIB)
#define HOSTILE_NODES 1000

/** How an archive is expanded. */
struct way {
	const char *name;
	bool streaming;
	bool by_pipe; /* the source cannot seek */
	int on_unsafe;
	int on_conflict;
	unsigned flags;
};

/** Every way that matters for archives that cannot be expanded. */
static const struct way all_ways[] = {
	{.name = "atomic"},
	{.name = "atomic, from a pipe", .by_pipe = true},
	{.name = "streaming", .streaming = true},
	{.name = "streaming, from a pipe", .streaming = true, .by_pipe = true},
	{.name = "atomic, leaving out", .on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE},
	{.name = "streaming, leaving out", .streaming = true, .on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE},
};

/** A workspace that what is hostile is let into. */
static inline mfs *hostile_workspace(void)
{
	mfs_options options = {.struct_size = sizeof(options)};

	options.max_quota = HOSTILE_QUOTA;
	options.max_nodes = HOSTILE_NODES;
	return new_workspace(&options);
}

/**
 * Fixtures of a whole group: a workspace that is there all the time, so that the many that come and
 * go are not each the first and last of the process, whose threads start and end with them.
 */
static inline int keep_a_workspace(void **state)
{
	mfs *fs = NULL;
	int code = mfs_new(NULL, &fs);

	*state = fs;
	return code;
}

static inline int free_the_workspace(void **state)
{
	return mfs_free(*state);
}

struct pipe_writer {
	int fd;
	const struct bytes *bytes;
};

static inline void *hostile__write_pipe(void *argument)
{
	struct pipe_writer *writer = argument;
	size_t at = 0;

	while (at < writer->bytes->size) {
		ssize_t written = write(writer->fd, writer->bytes->data + at, writer->bytes->size - at);

		if (written <= 0) {
			break; /* nobody reads any more */
		}
		at += (size_t)written;
	}
	(void)close(writer->fd);
	return NULL;
}

/**
 * Expands an archive one way. Checks what holds for all archives, and that there is a reason for
 * what is refused. The program must ignore SIGPIPE.
 */
static inline int64_t expand_hostile(mfs *fs, const char *to, const struct bytes *bytes,
									 const struct way *way, mfs_archive_progress *result)
{
	mfs_archive_options options = {.struct_size = sizeof(options)};
	mfs_archive_source source = mfs_archive_from_memory(bytes->data, bytes->size);
	struct pipe_writer writer = {.bytes = bytes};
	mfs_usage before = usage_of(fs);
	pthread_t thread = 0;
	int ends[2] = {-1, -1};
	int64_t code = 0;

	options.on_unsafe = way->on_unsafe;
	options.on_conflict = way->on_conflict;
	options.flags = way->flags;
	options.result = result;
	if (way->by_pipe) {
		assert_int_equal(pipe(ends), 0);
		writer.fd = ends[1];
		thread = start_thread(hostile__write_pipe, &writer);
		source = mfs_archive_from_fd(ends[0]);
	}
	support__mark_last_error(fs);
	code = way->streaming ? mfs_expand_archive_streaming(fs, to, &source, &options)
						  : mfs_expand_archive(fs, to, &source, &options);
	if (way->by_pipe) {
		assert_int_equal(close(ends[0]), 0);
		join_thread(thread);
	}
	if (code < 0) {
		support__check_message(way->name, __FILE__, __LINE__);
	}

	mfs_usage usage = usage_of(fs);

	assert_true(usage.peak_bytes <= usage.quota_bytes);
	assert_int_equal(usage.open_handles, before.open_handles);
	if (code < 0 && !way->streaming) {
		assert_int_equal(usage.used_bytes, before.used_bytes);
		assert_int_equal(usage.files, before.files);
		assert_int_equal(usage.directories, before.directories);
	}
	if (code >= 0) {
		assert_true(usage.files <= before.files + (uint64_t)code);
	}
	return code;
}

/** Expands into a new workspace: gives this code, or count, and then the tree is this text. */
static inline void hostile__check(const char *what, const struct bytes *bytes,
								  const struct way *way, int64_t want, const char *tree,
								  uint64_t left_out, const char *file, int line)
{
	mfs *fs = hostile_workspace();
	mfs_archive_progress result = {.files = 99};
	int64_t got = expand_hostile(fs, "/", bytes, way, &result);
	char *found = tree_text(fs);

	if (got != want || strcmp(found, tree) != 0 || result.unsafe != left_out) {
		print_error("%s, %s: gave %lld (%s) and left out %llu, expected %lld and %llu\n", what,
					way->name, (long long)got, got < 0 ? mfs_last_error() : "",
					(unsigned long long)result.unsafe, (long long)want,
					(unsigned long long)left_out);
		print_error("the tree is\n%s\nand should be\n%s\n", found, tree);
		_fail(file, line);
	}
	free(found);
	free_workspace(fs);
}

#endif
