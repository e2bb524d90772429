/* SPDX-License-Identifier: MIT */
/* Stage 5: copy the index to the host. */
#include "stages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define BUFFER_SIZE ((size_t)256 << 10)

void export_prepare(struct run *run, uint64_t *bytes)
{
	*bytes = run_get(&run->index_bytes);
	if (!output_begin(&run->output))
		(void)run_fail_host(run, run->output.parent);
}

static bool write_all(int file, const unsigned char *bytes, size_t size)
{
	while (size) {
		ssize_t written = write(file, bytes, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return false;
		bytes += written;
		size -= (size_t)written;
	}
	return true;
}

static bool copy_out(struct run *run, mfs_file *from, int to, const char *name,
					 struct bytes *buffer)
{
	while (!run_is_stopping(run)) {
		int64_t size = mfs_read(from, buffer->data, buffer->room);
		if (size < 0)
			return run_fail_workspace(run, size);
		if (!size)
			return true;
		if (!write_all(to, buffer->data, (size_t)size))
			return run_fail_host(run, name);
		run_add(&run->done_bytes, (uint64_t)size);
	}
	return false;
}

static bool export_part(struct run *run, unsigned partition, struct bytes *buffer)
{
	char path[WORKSPACE_PATH_SIZE];
	char name[WORKSPACE_PATH_SIZE];
	mfs_file *from;

	(void)snprintf(path, sizeof path, INDEX_PATH, partition);
	(void)snprintf(name, sizeof name, INDEX_NAME, partition);
	int to = output_create(&run->output, name);
	if (to < 0)
		return run_fail_host(run, name);
	int code = mfs_open(run->fs, path, "rb", &from);
	bool done = false;
	if (code) {
		(void)run_fail_workspace(run, code);
	} else {
		done = copy_out(run, from, to, name, buffer);
		(void)mfs_close(from);
	}
	/* The directory must not come to its name before what is in it. */
	if (done && fsync(to) < 0)
		done = run_fail_host(run, name);
	if (close(to) < 0 && done)
		done = run_fail_host(run, name);
	return done;
}

void export_work(struct run *run, unsigned worker)
{
	struct bytes buffer = {0};
	uint64_t item;

	(void)worker;
	while (run_next_item(run, PARTITION_COUNT, &item)) {
		if (!bytes_reserve(&buffer, BUFFER_SIZE)) {
			(void)run_fail_memory(run);
			break;
		}
		if (!export_part(run, (unsigned)item, &buffer))
			break;
	}
	bytes_free(&buffer);
}

void export_finish(struct run *run)
{
	if (!output_publish(&run->output))
		(void)run_fail_host(run, run->output.target);
}
