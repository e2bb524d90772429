/* SPDX-License-Identifier: MIT */
/*
 * Stage 1: bring the host's files to /in, many at a time. A file that does not fit into a worker's
 * buffer is cut into parts, each behind a byte that belongs to no word, so that the parts can be
 * read by themselves. That, and names that the workspace does not take, is why this is not
 * mfs_import_from_dir().
 *
 * All of the input has to fit. A worker holds nothing in the workspace but finished files when it
 * waits for room: what the others give back when they close theirs. Once all of them wait, the
 * input does not fit.
 */
#include "stages.h"
#include "words.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Memory for the buffers of all workers, and of one: the largest part. */
#define BUFFERS_ALL   ((size_t)64 << 20)
#define BUFFERS_LEAST ((size_t)64 << 10)
#define BUFFERS_MOST  ((size_t)1 << 20)

/* Without a quota from the user: room for the input twice and a half, and for many small files. */
#define DEFAULT_QUOTA_LEAST    (UINT64_C(64) << 20)
#define DEFAULT_QUOTA_PER_FILE 256

static uint64_t default_quota(const struct host_tree *tree)
{
	if (tree->bytes > INT64_MAX / 4)
		return INT64_MAX;
	uint64_t quota = tree->bytes * 5 / 2 + (uint64_t)tree->file_count * DEFAULT_QUOTA_PER_FILE;
	return quota > DEFAULT_QUOTA_LEAST ? quota : DEFAULT_QUOTA_LEAST;
}

void ingest_prepare(struct run *run, uint64_t *bytes)
{
	mfs_options options = {.struct_size = sizeof options};
	mfs_usage usage;

	*bytes = run->tree.bytes;
	if (!run->quota)
		run->quota = default_quota(&run->tree);
	options.max_quota = run->quota;
	/* Nobody keeps a file that others want while waiting. */
	options.default_lock_timeout = MFS_WAIT_FOREVER;
	int code = mfs_new(&options, &run->fs);
	if (code) {
		(void)run_fail_workspace(run, code);
		return;
	}
	code = mfs_stats(run->fs, &usage);
	if (code) {
		(void)run_fail_workspace(run, code);
		return;
	}
	run->chunk_overhead = usage.chunk_overhead;
	/* What is surely needed, known before anything is read. */
	uint64_t need = run->tree.bytes + run->tree.non_empty * run->chunk_overhead;
	if (need > run->quota)
		(void)run_fail(run, EXIT_LIMIT,
					   "%s: the input needs at least %" PRIu64
					   " bytes in the workspace, the quota is %" PRIu64 " bytes",
					   mfs_strerror(MFS_EQUOTA), need, run->quota);
	else
		(void)run_mkdir(run, "/in");
}

/* Read until the buffer is full or the file ends, which *ended tells. */
static bool fill(struct run *run, int file, const char *path, struct bytes *buffer, bool *ended)
{
	*ended = false;
	while (buffer->length < buffer->room) {
		ssize_t got = read(file, buffer->data + buffer->length, buffer->room - buffer->length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return run_fail_host(run, path);
		if (!got) {
			*ended = true;
			break;
		}
		buffer->length += (size_t)got;
	}
	return true;
}

/* Where the buffer can be cut: behind the last byte that belongs to no word. 0: nowhere. */
static size_t find_cut(const struct bytes *buffer)
{
	size_t cut = buffer->length;

	while (cut && word_bytes[buffer->data[cut - 1]])
		cut--;
	return cut;
}

/* Copy a file that is open on the host. */
static bool copy_file(struct run *run, uint32_t number, int file, const char *path,
					  struct bytes *buffer)
{
	char name[WORKSPACE_PATH_SIZE];
	bool ended;

	buffer->length = 0;
	for (uint64_t part = 0; !run_is_stopping(run);) {
		if (!fill(run, file, path, buffer, &ended))
			return false;
		size_t cut = ended ? buffer->length : find_cut(buffer);
		if (!cut && !ended) {
			/* One word fills the buffer. */
			if (!bytes_reserve(buffer, buffer->room))
				return run_fail_memory(run);
			continue;
		}
		if (ended && part == 0)
			(void)snprintf(name, sizeof name, "/in/%08" PRIu32, number);
		else
			(void)snprintf(name, sizeof name, "/in/%08" PRIu32 ".%06" PRIu64, number, part);
		if (!run_append(run, name, buffer->data, cut))
			return false;
		run_add(&run->done_bytes, cut);
		run_add(&run->input_bytes, cut);
		if (ended)
			return true;
		memmove(buffer->data, buffer->data + cut, buffer->length - cut);
		buffer->length -= cut;
		part++;
	}
	return false;
}

static bool ingest_file(struct run *run, uint32_t number, const char *path, struct bytes *buffer)
{
	struct stat info;
	int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC;

	/* What was found in a directory was no link; a path that was given may be one. */
	if (!host_tree_is_one_file(&run->tree))
		flags |= O_NOFOLLOW;
	int file = open(path, flags);
	if (file < 0)
		return run_fail_host(run, path);
	bool done;
	if (fstat(file, &info) < 0)
		done = run_fail_host(run, path);
	else if (!S_ISREG(info.st_mode))
		done = run_fail(run, EXIT_FAILED, "%s: no longer a regular file", path);
	else
		done = copy_file(run, number, file, path, buffer);
	(void)close(file);
	return done;
}

void ingest_work(struct run *run, unsigned worker)
{
	struct bytes buffer = {0};
	struct bytes path = {0};
	uint64_t item;

	(void)worker;
	if (!bytes_reserve(&buffer, run_share(run, BUFFERS_ALL, BUFFERS_LEAST, BUFFERS_MOST))) {
		(void)run_fail_memory(run);
		return;
	}
	while (run_next_item(run, run->tree.file_count, &item)) {
		if (!host_tree_path(&run->tree, (uint32_t)item, &path)) {
			(void)run_fail_memory(run);
			break;
		}
		if (!ingest_file(run, (uint32_t)item, (const char *)path.data, &buffer))
			break;
	}
	bytes_free(&path);
	bytes_free(&buffer);
}
