/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool run_init(struct run *run)
{
	*run = (struct run){.exit_code = EXIT_OK};
	if (pthread_mutex_init(&run->failure_lock, NULL))
		return false;
	if (!room_init(&run->room)) {
		(void)pthread_mutex_destroy(&run->failure_lock);
		return false;
	}
	return true;
}

void run_destroy(struct run *run)
{
	mfs_names_free(run->staged);
	host_tree_free(&run->tree);
	free(run->failure);
	room_destroy(&run->room);
	(void)pthread_mutex_destroy(&run->failure_lock);
}

void run_stop(struct run *run)
{
	atomic_store_explicit(&run->stopping, true, memory_order_relaxed);
	room_close(&run->room);
}

size_t run_share(const struct run *run, size_t all, size_t least, size_t most)
{
	size_t share = all / run->threads;

	if (share < least)
		return least;
	return share < most ? share : most;
}

bool run_is_stopping(struct run *run)
{
	return atomic_load_explicit(&run->stopping, memory_order_relaxed);
}

bool run_fail(struct run *run, enum exit_code code, const char *format, ...)
{
	va_list arguments;
	char *message;

	va_start(arguments, format);
	if (vasprintf(&message, format, arguments) < 0)
		message = NULL;
	va_end(arguments);
	(void)pthread_mutex_lock(&run->failure_lock);
	if (run->exit_code == EXIT_OK) {
		run->exit_code = code;
		run->failure = message;
		message = NULL;
	}
	(void)pthread_mutex_unlock(&run->failure_lock);
	free(message);
	run_stop(run);
	return false;
}

bool run_fail_memory(struct run *run)
{
	return run_fail(run, EXIT_FAILED, "stage %s: out of memory", run->stage);
}

bool run_fail_host(struct run *run, const char *path)
{
	return run_fail(run, EXIT_FAILED, "%s: %s", path, strerror(errno));
}

bool run_fail_workspace(struct run *run, int64_t code)
{
	return run_fail(run, mfs_is_quota_error((int)code) ? EXIT_LIMIT : EXIT_FAILED, "stage %s: %s",
					run->stage, mfs_last_error());
}

bool run_next_item(struct run *run, uint64_t count, uint64_t *item)
{
	if (run_is_stopping(run))
		return false;
	*item = atomic_fetch_add_explicit(&run->next_item, 1, memory_order_relaxed);
	return *item < count;
}

uint64_t run_charge(const struct run *run, uint64_t size)
{
	const uint64_t last_chunk = UINT64_C(2) << 20;

	/* Chunks double from 4 KiB on up to 1 MiB, and then have all the same length. */
	return size + (12 + size / last_chunk) * run->chunk_overhead;
}

bool run_wait_for_room(struct run *run, int64_t code, uint64_t bytes, uint64_t seen, bool *alone)
{
	if (!mfs_is_quota_error((int)code))
		return run_fail_workspace(run, code);
	switch (room_wait(&run->room, run->fs, bytes < run->quota ? bytes : run->quota, seen,
					  alone != NULL)) {
	case ROOM_TRY_AGAIN:
		return true;
	case ROOM_ALONE:
		if (alone)
			*alone = true;
		return true;
	case ROOM_DEAD_END:
		return run_fail(run, EXIT_LIMIT,
						"%s in stage %s: %s, and no worker can make room; the input has %" PRIu64
						" bytes, the quota is %" PRIu64 " bytes",
						mfs_strerror((int)code), run->stage, mfs_last_error(), run->tree.bytes,
						run->quota);
	case ROOM_CLOSED:
		break;
	}
	return false;
}

bool run_append(struct run *run, const char *path, const void *bytes, size_t size)
{
	int64_t result;

	for (;;) {
		uint64_t seen = room_seen(&run->room);
		mfs_file *file;
		result = mfs_open(run->fs, path, "ab", &file);
		if (result < 0)
			return run_fail_workspace(run, result);
		result = mfs_write(file, bytes, size);
		(void)mfs_close(file);
		if (result >= 0)
			break;
		if (!run_wait_for_room(run, result, run_charge(run, size), seen, NULL))
			return false;
	}
	/* Closing the file gave back what had been taken ahead for it. */
	room_gave_back(&run->room);
	return true;
}

bool run_read(struct run *run, mfs_file *file, void *bytes, size_t size, uint64_t offset)
{
	int64_t got = mfs_pread(file, bytes, size, (int64_t)offset);

	if (got < 0)
		return run_fail_workspace(run, got);
	if ((uint64_t)got != size)
		return run_fail(run, EXIT_FAILED, "stage %s: a file in the workspace is too short",
						run->stage);
	return true;
}

bool run_mkdir(struct run *run, const char *path)
{
	int code = mfs_mkdir(run->fs, path, 0);

	return code ? run_fail_workspace(run, code) : true;
}

bool run_remove(struct run *run, const char *path)
{
	int code = mfs_remove(run->fs, path);

	if (code)
		return run_fail_workspace(run, code);
	room_gave_back(&run->room);
	return true;
}
