/* SPDX-License-Identifier: MIT */
/*
 * Writing a directory of the workspace to the host.
 *
 * One walk (mfs_walk_next()) finds what there is to do. Whichever thread wants work goes on with
 * it, and takes some files of the level that it is at; so nothing is queued.
 *
 * A file is written under a name that nobody can guess, made anew in the same directory, and then
 * renamed. What is at the final name is never opened, so a link there leads nowhere; rename
 * replaces it. Below a directory that the export itself has made there is nothing to be replaced,
 * and nobody who could rely on it yet: there, files are made anew at their final names, which costs
 * half as much. Directories are entered as host/host_dir.h says.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/test_hook.h"
#include "fs/filesystem.h"
#include "host/chunk_parts.h"
#include "host/held_file.h"
#include "host/host_dir.h"
#include "host/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALL "export_to_dir"

/* Files that a thread takes at a time. */
#define BATCH_FILES 16
/* A file of so many bytes is copied before it is written, so that nobody waits for the host. */
#define BUFFER_SIZE ((size_t)256 << 10)
/* Waiting for a file's lock, a thread looks this often whether to go on. Milliseconds. */
#define LOCK_WAIT INT64_C(100)
/* Random numbers that are fetched at a time: no more than 256 bytes. */
#define RANDOM_NUMBERS 32
/* Names for one file that are tried: two that are the same are not met in a lifetime. */
#define NAME_TRIES     100
#define TEMPORARY_SIZE 40

/* What one thread works with. */
struct worker {
	unsigned number;
	struct mfs__host_dir place;
	struct mfs__held_file held;
	/* The files taken: how many, the directory's path in the workspace, and the names with a NUL
	 * behind each. */
	unsigned count;
	struct mfs__text names;
	struct mfs__text source; /* the directory's path and, behind it, a file's */
	size_t source_directory; /* length of the directory's */
	struct mfs__text target; /* the same on the host */
	size_t target_directory;
	unsigned char *buffer;
	uint64_t random[RANDOM_NUMBERS];
	unsigned random_left;
};

struct exporter {
	struct mfs__transfer transfer;
	mfs *fs;
	bool only_dirty;
	bool is_fresh;      /* the directory of the host was made by this call */
	size_t base_length; /* of the exported directory's path, 0 for the root */
	struct worker *workers;
	/* Under the transfer's mutex. */
	mfs_walk *walk;
	mfs_walk_level level;
	size_t next_file;  /* of the level */
	bool has_level;    /* and not all of it has been taken */
	bool has_base;     /* base_length is known */
	bool walk_is_done; /* or has failed */
};

static struct exporter *exporter_of(struct mfs__transfer *transfer)
{
	return mfs__container_of(transfer, struct exporter, transfer);
}

/*
 * Failures: each ends the export. They return false.
 */

static bool stop(struct exporter *exporter, int code)
{
	mfs__transfer_stop(&exporter->transfer, code);
	return false;
}

static const char *target_of(const struct exporter *exporter, const struct worker *worker)
{
	return worker->target.bytes ? worker->target.bytes : exporter->transfer.host_path;
}

static bool fail_host(struct exporter *exporter, const struct worker *worker, int error)
{
	return stop(exporter, mfs__fail_host(error, CALL, target_of(exporter, worker)));
}

static bool fail_memory(struct exporter *exporter, const struct worker *worker)
{
	return fail_host(exporter, worker, ENOMEM);
}

/* A call for the file that the worker's source names gave `code`. */
static bool fail_workspace(struct exporter *exporter, const struct worker *worker, int code)
{
	return stop(exporter, mfs__fail_path(code, CALL, worker->source.bytes));
}

static bool go_on(struct exporter *exporter, const struct worker *worker)
{
	return mfs__transfer_go_on(&exporter->transfer, worker->number, target_of(exporter, worker));
}

/*
 * Taking files
 */

/* With the mutex: come to a level of which something is left. Returns 1, 0 at the end, a code. */
static int find_level(struct exporter *exporter)
{
	while (!exporter->has_level) {
		if (exporter->walk_is_done)
			return 0;
		int code = mfs_walk_next(exporter->walk, &exporter->level);
		if (code != 1) {
			exporter->walk_is_done = true;
			return code;
		}
		if (!exporter->has_base) {
			/* The first level is the exported directory. */
			size_t length = strlen(exporter->level.path);
			exporter->base_length = length > 1 ? length : 0;
			exporter->has_base = true;
		}
		exporter->next_file = 0;
		/* A directory is made for its own sake, unless only files are asked for. */
		exporter->has_level = exporter->level.file_count > 0 || !exporter->only_dirty;
		if (!exporter->only_dirty)
			mfs__transfer_add(&exporter->transfer.files_found, exporter->level.file_count);
	}
	return 1;
}

/* With the mutex: copy some of the level's files. Returns false without memory. */
static bool copy_batch(struct exporter *exporter, struct worker *worker)
{
	const mfs_walk_level *level = &exporter->level;

	worker->count = 0;
	worker->names.length = 0;
	worker->source.length = 0;
	if (!mfs__text_append(&worker->source, level->path, strlen(level->path)))
		return false;
	worker->source_directory = worker->source.length;
	while (exporter->next_file < level->file_count && worker->count < BATCH_FILES) {
		const char *name = level->files[exporter->next_file];
		if (!mfs__text_append(&worker->names, name, strlen(name) + 1))
			return false;
		worker->count++;
		exporter->next_file++;
	}
	exporter->has_level = exporter->next_file < level->file_count;
	if (!exporter->has_level)
		mfs__transfer_add(&exporter->transfer.directories_done, 1);
	return true;
}

/* Take some files of a directory. Returns false at the end, or to stop. */
static bool take(struct exporter *exporter, struct worker *worker)
{
	struct mfs__transfer *transfer = &exporter->transfer;
	int code = 0;

	pthread_mutex_lock(&transfer->mutex);
	if (!atomic_load_explicit(&transfer->stopping, memory_order_relaxed)) {
		code = find_level(exporter);
		if (code == 1 && !copy_batch(exporter, worker))
			code = MFS_ENOMEM;
	}
	pthread_mutex_unlock(&transfer->mutex);
	if (code < 0)
		return stop(exporter, mfs__fail_path(code, CALL, transfer->host_path));
	return code == 1;
}

/*
 * Files
 */

/* Let the worker's paths be those of a file. Returns false without memory. */
static bool set_name(struct worker *worker, const char *name, size_t length)
{
	mfs__text_cut(&worker->source, worker->source_directory);
	mfs__text_cut(&worker->target, worker->target_directory);
	return mfs__text_append_name(&worker->source, name, length) &&
		   mfs__text_append_name(&worker->target, name, length);
}

/* Open the file that the worker's source names. Returns 0, a code, or MFS_ECANCELED to stop. */
static int open_source(struct exporter *exporter, struct worker *worker)
{
	int64_t timeout = exporter->fs->default_lock_timeout;

	if (timeout == MFS_NO_WAIT)
		return mfs__held_open(&worker->held, exporter->fs, worker->source.bytes, timeout);
	int64_t deadline = mfs__deadline(timeout);
	for (;;) {
		int64_t left = (deadline - mfs__now()) / MFS__NS_PER_MS + 1;
		int64_t wait = left < LOCK_WAIT ? left : LOCK_WAIT;
		int code =
			mfs__held_open(&worker->held, exporter->fs, worker->source.bytes, wait > 0 ? wait : 1);
		if (code != MFS_ETIMEDOUT || mfs__now() >= deadline)
			return code;
		if (!go_on(exporter, worker))
			return MFS_ECANCELED;
	}
}

/* Get numbers that nobody can guess. Returns false with errno. */
static bool fetch_random(struct worker *worker)
{
	ssize_t got;

	do {
		/* So few bytes come at once, or not at all. */
		got = getrandom(worker->random, sizeof worker->random, 0);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return false;
	worker->random_left = (unsigned)got / sizeof worker->random[0];
	return true;
}

/* Make a file of that name, if there is nothing yet. Returns its descriptor, or -1 with errno. */
static int create_new(struct worker *worker, int directory, const char *name)
{
	for (;;) {
		int fd =
			openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
		if (fd >= 0)
			return fd;
		bool has_spared =
			(errno == EMFILE || errno == ENFILE) && mfs__host_dir_spare(&worker->place);
		if (errno != EINTR && !has_spared)
			return -1;
	}
}

/* Make a file with a name of its own. Returns its descriptor, or -1 with errno. */
static int create_temporary(struct worker *worker, int directory, char *name)
{
	for (int tries = 0;; tries++) {
		if (!worker->random_left && !fetch_random(worker))
			return -1;
		uint64_t number = worker->random[--worker->random_left];
		(void)snprintf(name, TEMPORARY_SIZE, ".dmemfs-%016" PRIx64 ".tmp", number);
		int fd = create_new(worker, directory, name);
		if (fd >= 0 || errno != EEXIST || tries == NAME_TRIES)
			return fd;
	}
}

/* Write up to `size` bytes of the file that is held open, from its chunks. Returns as writev(). */
static ssize_t write_from_chunks(struct worker *worker, int fd, uint64_t offset, size_t size)
{
	struct iovec parts[MFS__CHUNK_PARTS_MAX];

	return writev(fd, parts, mfs__held_parts(&worker->held, offset, size, parts));
}

/*
 * Copy the file that is held open, and let it go: before it is written, if it fits into the buffer.
 * A larger one is not copied to a buffer. Returns false if that failed, or to stop.
 */
static bool copy_data(struct exporter *exporter, struct worker *worker, int fd)
{
	uint64_t size = (uint64_t)worker->held.info.size;
	bool is_buffered = size <= BUFFER_SIZE;
	bool done = true;

	if (is_buffered) {
		int64_t got = mfs_pread(worker->held.file, worker->buffer, (size_t)size, 0);
		mfs__held_close(&worker->held);
		if (got != (int64_t)size)
			return fail_workspace(exporter, worker, got < 0 ? (int)got : MFS_EBADF);
	}
	for (uint64_t offset = 0; done && offset < size;) {
		uint64_t left = size - offset;
		size_t piece = left < MFS__TRANSFER_PIECE ? (size_t)left : MFS__TRANSFER_PIECE;
		ssize_t written = is_buffered ? write(fd, worker->buffer + offset, piece)
									  : write_from_chunks(worker, fd, offset, piece);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			done = fail_host(exporter, worker, written < 0 ? errno : EIO);
			break;
		}
		offset += (uint64_t)written;
		mfs__transfer_add(&exporter->transfer.bytes_done, (uint64_t)written);
		mfs__yield("export: piece written");
		if (offset < size)
			done = go_on(exporter, worker);
	}
	if (!is_buffered)
		mfs__held_close(&worker->held);
	return done;
}

/* Write the file that is held open: at its name, or under a temporary one that is then renamed. */
static bool write_file(struct exporter *exporter, struct worker *worker, int directory,
					   const char *name)
{
	char temporary[TEMPORARY_SIZE];
	const char *first_name = name;

	int fd = exporter->is_fresh ? create_new(worker, directory, name) : -1;
	if (fd < 0 && (!exporter->is_fresh || errno == EEXIST)) {
		fd = create_temporary(worker, directory, temporary);
		first_name = temporary;
	}
	if (fd < 0) {
		int error = errno;
		mfs__held_close(&worker->held);
		return fail_host(exporter, worker, error);
	}
	bool done = copy_data(exporter, worker, fd);
	if (close(fd) && errno != EINTR && done)
		done = fail_host(exporter, worker, errno);
	if (done && first_name != name && renameat(directory, first_name, directory, name))
		done = fail_host(exporter, worker, errno);
	/* In a child it is still the parent's. */
	if (!done && !exporter->transfer.is_orphan)
		(void)unlinkat(directory, first_name, 0);
	return done;
}

/* Is the file that the worker's source names known to be clean, without its lock? */
static bool is_clean(struct exporter *exporter, const struct worker *worker)
{
	mfs_info info;

	return exporter->only_dirty && mfs_stat(exporter->fs, worker->source.bytes, &info) == 0 &&
		   info.generation == 0;
}

/* The path of the worker's directory from the exported one, "" for that itself. */
static const char *path_below(const struct exporter *exporter, const struct worker *worker,
							  size_t *length)
{
	size_t start = exporter->base_length;

	/* What is left of it is "", "/" if the root is exported, or "/a/b". */
	if (start < worker->source_directory)
		start++;
	*length = worker->source_directory - start;
	return worker->source.bytes + start;
}

/* Go to the worker's directory, making it if it is missing. Returns -1 if that failed. */
static int go_there(struct exporter *exporter, struct worker *worker)
{
	size_t length;
	const char *path = path_below(exporter, worker, &length);
	size_t failed;

	int fd = mfs__host_dir_go(&worker->place, path, length, &failed);
	if (fd >= 0)
		return fd;
	mfs__text_cut(&worker->target, strlen(exporter->transfer.host_path));
	if (mfs__text_append_name(&worker->target, path, failed))
		(void)fail_host(exporter, worker, -fd);
	else
		(void)fail_memory(exporter, worker);
	return -1;
}

static bool export_file(struct exporter *exporter, struct worker *worker, const char *name)
{
	if (!set_name(worker, name, strlen(name)))
		return fail_memory(exporter, worker);
	if (!go_on(exporter, worker))
		return false;
	if (is_clean(exporter, worker))
		return true;
	int code = open_source(exporter, worker);
	if (mfs__held_is_gone(code))
		return true;
	if (code)
		return code == MFS_ECANCELED ? false : fail_workspace(exporter, worker, code);
	if (exporter->only_dirty) {
		if (worker->held.info.generation == 0) {
			mfs__held_close(&worker->held);
			return true;
		}
		mfs__transfer_add(&exporter->transfer.files_found, 1);
	}
	mfs__transfer_add(&exporter->transfer.bytes_found, (uint64_t)worker->held.info.size);
	/* A step of nowhere, when the directory is the one of the file before. */
	int directory = go_there(exporter, worker);
	if (directory < 0) {
		mfs__held_close(&worker->held);
		return false;
	}
	if (!write_file(exporter, worker, directory, name))
		return false;
	mfs__transfer_add(&exporter->transfer.files_done, 1);
	return true;
}

/* Export what was taken. */
static bool export_batch(struct exporter *exporter, struct worker *worker)
{
	size_t length;
	const char *path = path_below(exporter, worker, &length);

	mfs__text_cut(&worker->target, strlen(exporter->transfer.host_path));
	if (length && !mfs__text_append_name(&worker->target, path, length))
		return fail_memory(exporter, worker);
	worker->target_directory = worker->target.length;
	if (!exporter->only_dirty) {
		if (!go_on(exporter, worker) || go_there(exporter, worker) < 0)
			return false;
	}
	const char *name = worker->names.bytes;
	for (unsigned i = 0; i < worker->count; i++) {
		if (!export_file(exporter, worker, name))
			return false;
		name += strlen(name) + 1;
	}
	return true;
}

/*
 * Threads
 */

static void work(struct mfs__transfer *transfer, unsigned number)
{
	struct exporter *exporter = exporter_of(transfer);
	struct worker *worker = &exporter->workers[number];
	const char *host_path = transfer->host_path;

	mfs__held_begin(&worker->held);
	worker->buffer = mfs__alloc(BUFFER_SIZE);
	if (!worker->buffer || !mfs__text_append(&worker->target, host_path, strlen(host_path)))
		(void)fail_memory(exporter, worker);
	else
		while (take(exporter, worker) && export_batch(exporter, worker))
			continue;
	if (!transfer->is_orphan)
		mfs__held_end(&worker->held);
	mfs__host_dir_end(&worker->place);
	mfs__text_free(&worker->names);
	mfs__text_free(&worker->source);
	mfs__text_free(&worker->target);
	if (worker->buffer)
		mfs__free(worker->buffer, BUFFER_SIZE);
}

/*
 * The walk, which is used under the transfer's mutex. A fork holds that, so that a child's copy of
 * the walk is whole.
 */

static int begin_walk(struct exporter *exporter, const char *path)
{
	pthread_mutex_lock(&exporter->transfer.mutex);
	int code = mfs_walk_open(exporter->fs, path, &exporter->walk);
	pthread_mutex_unlock(&exporter->transfer.mutex);
	return code ? mfs__fail_path(code, CALL, path) : 0;
}

static void end_walk(struct exporter *exporter)
{
	pthread_mutex_lock(&exporter->transfer.mutex);
	(void)mfs_walk_close(exporter->walk);
	exporter->walk = NULL;
	pthread_mutex_unlock(&exporter->transfer.mutex);
}

/* In a child, in which nobody else will. */
static void end_walk_in_child(struct mfs__fork_guard *guard)
{
	struct mfs__transfer *transfer = mfs__container_of(guard, struct mfs__transfer, guard);
	struct exporter *exporter = exporter_of(transfer);

	(void)mfs_walk_close(exporter->walk);
	exporter->walk = NULL;
}

/* The walk has begun, the directory of the host is open. */
static int export(struct exporter *exporter, int top)
{
	struct mfs__transfer *transfer = &exporter->transfer;
	uint32_t limit;

	transfer->threads = mfs__host_dir_share(top, transfer->threads, &limit);
	size_t size = transfer->threads * sizeof *exporter->workers;
	exporter->workers = mfs__alloc_zeroed(size);
	if (!exporter->workers)
		return mfs__fail_path(MFS_ENOMEM, CALL, transfer->host_path);
	for (unsigned i = 0; i < transfer->threads; i++) {
		exporter->workers[i].number = i;
		mfs__host_dir_begin(&exporter->workers[i].place, top, true, limit);
	}
	int code = mfs__transfer_run(transfer, work);
	/* The other threads of an orphan have left things behind that are theirs. */
	if (!transfer->is_orphan)
		mfs__free(exporter->workers, size);
	return code;
}

/* Open the directory of the host, made if it is missing. Returns a descriptor or -1 with errno. */
static int open_top(const char *host_path, bool *is_fresh)
{
	*is_fresh = mkdir(host_path, 0777) == 0;
	if (!*is_fresh && errno != EEXIST)
		return -1;
	return open(host_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int mfs_export_to_dir(mfs *fs, const char *path, const char *host_path,
					  const mfs_transfer_options *options)
{
	mfs_transfer_options given;
	struct exporter exporter = {.fs = fs};

	if (!fs || !path || !host_path)
		return mfs__fail_path(MFS_EINVAL, CALL, path);
	int code = mfs__transfer_options(&given, options, MFS_ONLY_DIRTY);
	if (code)
		return code;
	exporter.only_dirty = (given.flags & MFS_ONLY_DIRTY) != 0;
	code = mfs__transfer_begin(&exporter.transfer, CALL, host_path, &given, end_walk_in_child);
	if (code)
		return code;
	code = begin_walk(&exporter, path);
	if (!code) {
		int top = open_top(host_path, &exporter.is_fresh);
		if (top < 0) {
			code = mfs__fail_host(errno, CALL, host_path);
		} else {
			code = export(&exporter, top);
			(void)close(top);
		}
		end_walk(&exporter);
	}
	mfs__transfer_end(&exporter.transfer);
	return code;
}
