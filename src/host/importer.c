/* SPDX-License-Identifier: MIT */
#include "host/importer.h"

#include "base/alloc.h"
#include "base/fork.h"
#include "base/reclaim.h"
#include "base/test_hook.h"
#include "host/chunk_parts.h"
#include "host/host_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes of directory entries that are read at a time. */
#define ENTRIES_SIZE ((size_t)32 << 10)
/* The first files of a directory are read by the thread that found them, without a job. */
#define OWN_FILES 32
/* Files, and bytes of their names, that make a job. */
#define JOB_FILES 32
#define JOB_NAMES ((size_t)1 << 10)
/* Jobs of files that wait for each thread, at most. */
#define JOBS_WAITING 4

enum job_kind { JOB_DIRECTORY, JOB_FILES_OF };

/* Work that any thread may take. */
struct mfs__import_job {
	struct mfs__import_job *next;
	struct mfs__directory *parent; /* staged, of what the names name */
	uint32_t depth;                /* of the parent; 0: the base */
	enum job_kind kind;
	unsigned count; /* of names */
	size_t size;    /* of the block */
	size_t length;  /* of the names, each with its NUL */
	char names[];
};

/* What one thread works with. */
struct mfs__import_worker {
	unsigned number;
	struct mfs__host_dir place;
	unsigned char *entries; /* of the directory that is read */
	/* The host's path of what the thread is at: a directory or, behind it, a name in it. */
	struct mfs__text path;
	struct mfs__directory *directory; /* the staged one that stands for it */
	uint32_t depth;                   /* its depth; 0: the base */
	size_t directory_length;          /* of its path */
	struct mfs__import_job *batch;    /* files for others, being collected */
};

static struct mfs__importer *importer_of(struct mfs__transfer *transfer)
{
	return mfs__container_of(transfer, struct mfs__importer, transfer);
}

/*
 * Failures: each ends the import. They return false.
 */

static bool stop(struct mfs__importer *importer, int code)
{
	mfs__transfer_stop(&importer->transfer, code);
	return false;
}

static const char *path_of(const struct mfs__importer *importer,
						   const struct mfs__import_worker *worker)
{
	return worker->path.bytes ? worker->path.bytes : importer->transfer.host_path;
}

/* A limit's refusal has been noted with its numbers. */
static bool fail(struct mfs__importer *importer, const struct mfs__import_worker *worker, int code)
{
	const char *path = path_of(importer, worker);

	return stop(importer, mfs__is_limit_error(code)
							  ? mfs__fail_because(code, MFS__IMPORT_CALL, path, mfs_last_error())
							  : mfs__fail_path(code, MFS__IMPORT_CALL, path));
}

static bool fail_host(struct mfs__importer *importer, const struct mfs__import_worker *worker,
					  int error)
{
	return stop(importer, mfs__fail_host(error, MFS__IMPORT_CALL, path_of(importer, worker)));
}

static bool go_on(struct mfs__importer *importer, const struct mfs__import_worker *worker)
{
	return mfs__transfer_go_on(&importer->transfer, worker->number, path_of(importer, worker));
}

/*
 * Jobs
 */

/* A job for names in the worker's directory. Returns NULL without memory. */
static struct mfs__import_job *job_new(enum job_kind kind, const struct mfs__import_worker *worker,
									   size_t room)
{
	struct mfs__import_job *job = mfs__alloc(sizeof *job + room);

	if (job)
		*job = (struct mfs__import_job){
			.kind = kind,
			.parent = worker->directory,
			.depth = worker->depth,
			.size = sizeof *job + room,
		};
	return job;
}

static void job_free(struct mfs__import_job *job)
{
	mfs__free(job, job->size);
}

static void job_add(struct mfs__import_job *job, const char *name, size_t length)
{
	memcpy(job->names + job->length, name, length + 1);
	job->length += length + 1;
	job->count++;
}

static void count_file_jobs(struct mfs__importer *importer, const struct mfs__import_job *job,
							int change)
{
	if (job->kind == JOB_FILES_OF)
		atomic_fetch_add_explicit(&importer->file_jobs, (unsigned)change, memory_order_relaxed);
}

static void push(struct mfs__importer *importer, struct mfs__import_job *job)
{
	struct mfs__transfer *transfer = &importer->transfer;

	pthread_mutex_lock(&transfer->mutex);
	job->next = importer->jobs;
	importer->jobs = job;
	count_file_jobs(importer, job, 1);
	pthread_cond_signal(&transfer->changed);
	pthread_mutex_unlock(&transfer->mutex);
}

/* Take the job that came last, or wait for one. Returns NULL when there will be none. */
static struct mfs__import_job *take(struct mfs__importer *importer,
									const struct mfs__import_worker *worker, bool was_busy)
{
	struct mfs__transfer *transfer = &importer->transfer;
	struct mfs__import_job *job = NULL;

	pthread_mutex_lock(&transfer->mutex);
	importer->busy -= was_busy;
	while (!atomic_load_explicit(&transfer->stopping, memory_order_relaxed)) {
		job = importer->jobs;
		if (job) {
			importer->jobs = job->next;
			importer->busy++;
			count_file_jobs(importer, job, -1);
			break;
		}
		if (!importer->busy) {
			pthread_cond_broadcast(&transfer->changed);
			break;
		}
		mfs__transfer_wait(transfer, worker->number, path_of(importer, worker));
	}
	pthread_mutex_unlock(&transfer->mutex);
	return job;
}

/*
 * Paths
 */

/* What a directory's name takes of its path: with the '/' before it, unless it is below the top. */
static size_t bytes_of(const struct mfs__importer *importer, struct mfs__directory *directory)
{
	return mfs__staged_name(directory)->length + (size_t)(directory->parent != importer->base);
}

/*
 * Let the worker's path be that of a staged directory: go up from where it is to the directory that
 * is above both, and write what is different, from its end. Returns false if that failed.
 */
static bool set_directory(struct mfs__importer *importer, struct mfs__import_worker *worker,
						  struct mfs__directory *directory, uint32_t depth)
{
	struct mfs__directory *here = worker->directory;
	struct mfs__directory *there = directory;
	uint32_t here_depth = worker->depth;
	uint32_t there_depth = depth;
	size_t same = worker->directory_length;
	size_t more = 0;

	while (here != there) {
		if (here_depth >= there_depth) {
			same -= bytes_of(importer, here);
			here = here->parent;
			here_depth--;
		} else {
			more += bytes_of(importer, there);
			there = there->parent;
			there_depth--;
		}
	}
	if (!mfs__text_reserve(&worker->path, same + more))
		return fail(importer, worker, MFS_ENOMEM);
	mfs__text_cut(&worker->path, same + more);
	char *end = worker->path.bytes + same + more;
	for (struct mfs__directory *at = directory; at != here; at = at->parent) {
		const struct mfs__dentry *dentry = mfs__staged_name(at);
		end -= dentry->length;
		memcpy(end, dentry->name, dentry->length);
		if (at->parent != importer->base)
			*--end = '/';
	}
	worker->directory = directory;
	worker->depth = depth;
	worker->directory_length = same + more;
	return true;
}

/* Let the worker's path be that of a name in its directory. Returns false if that failed. */
static bool set_name(struct mfs__importer *importer, struct mfs__import_worker *worker,
					 const char *name, size_t length)
{
	mfs__text_cut(&worker->path, worker->directory_length);
	return mfs__text_append_name(&worker->path, name, length) || fail(importer, worker, MFS_ENOMEM);
}

/* May what the worker's path names come to the workspace? */
static bool check_name(struct mfs__importer *importer, const struct mfs__import_worker *worker,
					   const char *name, size_t length)
{
	if (memchr(name, '\\', length))
		return stop(importer, mfs__fail_because(MFS_EINVAL, MFS__IMPORT_CALL, worker->path.bytes,
												"a name with a '\\'"));
	size_t below = worker->path.length - importer->top_length;
	if (length > MFS_NAME_MAX || importer->base_length + 1 + below > MFS_PATH_MAX)
		return fail(importer, worker, MFS_ENAMETOOLONG);
	return true;
}

/* A name that holds no separator, with its hash. */
static struct mfs__name hashed(const char *text, size_t length)
{
	struct mfs__path_cursor cursor = {text, text + length};
	struct mfs__name name;

	(void)mfs__path_next(&cursor, &name);
	return name;
}

/*
 * Files
 */

static pthread_mutex_t *filling_of(struct mfs__importer *importer, struct mfs__directory *directory)
{
	return &importer->filling[(uintptr_t)directory / sizeof *directory % MFS__IMPORT_MUTEXES];
}

/* Make a staged file that has room for `size` bytes, and that size. */
static int stage_file(struct mfs__importer *importer, struct mfs__directory *parent,
					  const struct mfs__name *name, uint64_t size, struct mfs__file **file)
{
	pthread_mutex_t *filling = filling_of(importer, parent);
	unsigned gate = mfs__gate_enter();

	pthread_mutex_lock(filling);
	int code = mfs__staging_file(&importer->staging, parent, name, file);
	pthread_mutex_unlock(filling);
	if (!code)
		code = mfs__staging_make_room(&importer->staging, *file, size);
	mfs__gate_leave(gate);
	mfs__reclaim_throttle();
	mfs__guard_notice();
	return code;
}

/* Cut a staged file to what there was to be read. */
static void cut(struct mfs__importer *importer, struct mfs__file *file, uint64_t size)
{
	unsigned gate = mfs__gate_enter();
	struct mfs__spender by;

	mfs__spender_init(&by, importer->fs);
	struct mfs__chunk_account account = mfs__account(&by);
	mfs__chunks_shrink(&file->chunks, &account, size);
	mfs__node_modify(&file->node, size, 0);
	mfs__gate_leave(gate);
}

/* Read a file of the host into a staged one. Returns false if that failed, or to stop. */
static bool read_data(struct mfs__importer *importer, struct mfs__import_worker *worker, int fd,
					  struct mfs__file *file, uint64_t size)
{
	struct iovec parts[MFS__CHUNK_PARTS_MAX];
	uint64_t offset = 0;

	while (offset < size) {
		uint64_t left = size - offset;
		size_t piece = left < MFS__TRANSFER_PIECE ? (size_t)left : MFS__TRANSFER_PIECE;
		ssize_t got = readv(fd, parts, mfs__chunk_parts(&file->chunks, offset, piece, parts));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_host(importer, worker, errno);
		if (got == 0) {
			cut(importer, file, offset);
			break;
		}
		offset += (uint64_t)got;
		mfs__transfer_add(&importer->transfer.bytes_done, (uint64_t)got);
		mfs__yield("import: piece read");
		if (offset < size && !go_on(importer, worker))
			return false;
	}
	return true;
}

/* A file of the host that is open. */
static bool import_open_file(struct mfs__importer *importer, struct mfs__import_worker *worker,
							 int fd, const char *name, size_t length)
{
	struct mfs__transfer *transfer = &importer->transfer;
	struct mfs__file *file;
	struct stat info;

	if (fstat(fd, &info))
		return fail_host(importer, worker, errno);
	if (!S_ISREG(info.st_mode)) {
		mfs__transfer_add(&transfer->skipped, 1);
		return true;
	}
	uint64_t size = (uint64_t)info.st_size;
	mfs__transfer_add(&transfer->bytes_found, size);
	struct mfs__name hashed_name = hashed(name, length);
	int code = stage_file(importer, worker->directory, &hashed_name, size, &file);
	/* A directory that changes while it is read may give a name twice. */
	if (code == MFS_EEXIST || code == MFS_EISDIR)
		return true;
	if (code)
		return fail(importer, worker, code);
	if (!read_data(importer, worker, fd, file, size))
		return false;
	mfs__transfer_add(&transfer->files_done, 1);
	return true;
}

/* Import a file of the worker's directory, which is open as `parent`. */
static bool import_file(struct mfs__importer *importer, struct mfs__import_worker *worker,
						int parent, const char *name, size_t length)
{
	int fd;

	if (!set_name(importer, worker, name, length) || !go_on(importer, worker) ||
		!check_name(importer, worker, name, length))
		return false;
	do {
		/* O_NONBLOCK: in case it has become a pipe. */
		fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	} while (fd < 0 && (errno == EINTR || ((errno == EMFILE || errno == ENFILE) &&
										   mfs__host_dir_spare(&worker->place))));
	if (fd < 0) {
		if (errno == ENOENT)
			return true; /* it has gone meanwhile */
		if (!mfs__host_is_other(errno))
			return fail_host(importer, worker, errno);
		mfs__transfer_add(&importer->transfer.skipped, 1);
		return true;
	}
	bool done = import_open_file(importer, worker, fd, name, length);
	(void)close(fd);
	return done;
}

/*
 * Directories
 */

static void push_batch(struct mfs__importer *importer, struct mfs__import_worker *worker)
{
	if (worker->batch)
		push(importer, worker->batch);
	worker->batch = NULL;
}

/* Collect a file for others to import. */
static bool add_to_batch(struct mfs__importer *importer, struct mfs__import_worker *worker,
						 const char *name, size_t length)
{
	struct mfs__import_job *batch = worker->batch;

	if (batch && (batch->count == JOB_FILES || JOB_NAMES - batch->length <= length))
		push_batch(importer, worker);
	if (!worker->batch)
		worker->batch = job_new(JOB_FILES_OF, worker, JOB_NAMES);
	if (!worker->batch)
		return fail(importer, worker, MFS_ENOMEM);
	job_add(worker->batch, name, length);
	return true;
}

static bool push_directory(struct mfs__importer *importer, struct mfs__import_worker *worker,
						   const char *name, size_t length)
{
	struct mfs__import_job *job = job_new(JOB_DIRECTORY, worker, length + 1);

	if (!job)
		return fail(importer, worker, MFS_ENOMEM);
	job_add(job, name, length);
	push(importer, job);
	return true;
}

/* What is it? Returns DT_UNKNOWN if it has gone; -1 if that failed. */
static int type_of(struct mfs__importer *importer, struct mfs__import_worker *worker, int parent,
				   const char *name)
{
	struct stat info;

	if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) == 0)
		return (int)IFTODT(info.st_mode);
	if (errno == ENOENT)
		return DT_UNKNOWN;
	if (set_name(importer, worker, name, strlen(name)))
		(void)fail_host(importer, worker, errno);
	return -1;
}

/* An entry of the worker's directory, which is open as `fd`. `files` counts those found so far. */
static bool import_entry(struct mfs__importer *importer, struct mfs__import_worker *worker, int fd,
						 const struct dirent64 *entry, uint64_t *files)
{
	struct mfs__transfer *transfer = &importer->transfer;
	const char *name = entry->d_name;
	size_t length = strlen(name);
	int type = entry->d_type;

	if (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')))
		return true;
	if (type == DT_UNKNOWN)
		type = type_of(importer, worker, fd, name);
	if (type == DT_UNKNOWN)
		return true;
	if (type < 0)
		return false;
	if (type == DT_DIR)
		return push_directory(importer, worker, name, length);
	if (type != DT_REG) {
		mfs__transfer_add(&transfer->skipped, 1);
		return true;
	}
	mfs__transfer_add(&transfer->files_found, 1);
	if ((*files)++ < OWN_FILES || transfer->threads == 1 || length >= JOB_NAMES ||
		atomic_load_explicit(&importer->file_jobs, memory_order_relaxed) >=
			transfer->threads * JOBS_WAITING)
		return import_file(importer, worker, fd, name, length);
	return add_to_batch(importer, worker, name, length);
}

/* Read the worker's directory, which is open as `fd`. */
static bool read_directory(struct mfs__importer *importer, struct mfs__import_worker *worker,
						   int fd)
{
	uint64_t files = 0;

	for (;;) {
		ssize_t got = getdents64(fd, worker->entries, ENTRIES_SIZE);
		/* ENOENT: it has been removed, and has no entries any more. */
		if (got == 0 || (got < 0 && errno == ENOENT))
			break;
		if (got < 0) {
			mfs__text_cut(&worker->path, worker->directory_length);
			return fail_host(importer, worker, errno);
		}
		for (ssize_t at = 0; at < got;) {
			const struct dirent64 *entry = (const void *)(worker->entries + at);
			at += entry->d_reclen;
			if (!import_entry(importer, worker, fd, entry, &files))
				return false;
		}
	}
	mfs__transfer_add(&importer->transfer.directories_done, 1);
	push_batch(importer, worker);
	return true;
}

/*
 * Go where the worker's path leads. Returns a descriptor, -1 if there is no such directory any
 * more, which is no failure, or -2 if that failed.
 */
static int go(struct mfs__importer *importer, struct mfs__import_worker *worker)
{
	size_t failed;
	int fd = mfs__host_dir_go(&worker->place, worker->path.bytes + importer->top_length,
							  worker->path.length - importer->top_length, &failed);

	if (fd >= 0 || fd == -ENOENT)
		return fd >= 0 ? fd : -1;
	if (mfs__host_is_other(-fd)) {
		mfs__transfer_add(&importer->transfer.skipped, 1);
		return -1;
	}
	mfs__text_cut(&worker->path, importer->top_length + failed);
	(void)fail_host(importer, worker, -fd);
	return -2;
}

/*
 * Stage the directory that the worker's path names, below its directory, and be there. Returns 0,
 * or a code: MFS_ENOTDIR if there is a file already, from an earlier look at the name.
 */
static int enter_directory(struct mfs__importer *importer, struct mfs__import_worker *worker,
						   const char *name, size_t length)
{
	struct mfs__directory *parent = worker->directory;
	struct mfs__directory *directory;
	struct mfs__name hashed_name = hashed(name, length);
	pthread_mutex_t *filling = filling_of(importer, parent);
	unsigned gate = mfs__gate_enter();

	pthread_mutex_lock(filling);
	int code = mfs__staging_mkdir(&importer->staging, parent, &hashed_name, &directory);
	pthread_mutex_unlock(filling);
	mfs__gate_leave(gate);
	if (code)
		return code;
	worker->directory = directory;
	worker->depth++;
	worker->directory_length = worker->path.length;
	return 0;
}

static bool import_directory(struct mfs__importer *importer, struct mfs__import_worker *worker,
							 const struct mfs__import_job *job)
{
	size_t length = job->length - 1;

	if (!set_directory(importer, worker, job->parent, job->depth) ||
		!set_name(importer, worker, job->names, length) || !go_on(importer, worker) ||
		!check_name(importer, worker, job->names, length))
		return false;
	int fd = go(importer, worker);
	if (fd < 0)
		return fd == -1;
	int code = enter_directory(importer, worker, job->names, length);
	if (code == MFS_ENOTDIR)
		return true;
	return code ? fail(importer, worker, code) : read_directory(importer, worker, fd);
}

static bool import_files(struct mfs__importer *importer, struct mfs__import_worker *worker,
						 const struct mfs__import_job *job)
{
	const char *name = job->names;

	if (!set_directory(importer, worker, job->parent, job->depth))
		return false;
	int fd = go(importer, worker);
	if (fd < 0)
		return fd == -1;
	for (unsigned i = 0; i < job->count; i++) {
		size_t length = strlen(name);
		if (!import_file(importer, worker, fd, name, length))
			return false;
		name += length + 1;
	}
	return true;
}

static bool do_job(struct mfs__importer *importer, struct mfs__import_worker *worker,
				   const struct mfs__import_job *job)
{
	return job->kind == JOB_DIRECTORY ? import_directory(importer, worker, job)
									  : import_files(importer, worker, job);
}

/*
 * Threads
 */

static void work(struct mfs__transfer *transfer, unsigned number)
{
	struct mfs__importer *importer = importer_of(transfer);
	struct mfs__import_worker *worker = &importer->workers[number];
	struct mfs__import_job *job;
	/* The first one's is the top. */
	bool had_job = number == 0;
	bool going = true;

	worker->entries = mfs__alloc(ENTRIES_SIZE);
	/* Every path of the import starts so. */
	if (!worker->entries ||
		!mfs__text_append(&worker->path, transfer->host_path, strlen(transfer->host_path)) ||
		!mfs__text_append_name(&worker->path, "", 0))
		going = fail(importer, worker, MFS_ENOMEM);
	worker->directory = importer->base;
	worker->directory_length = worker->path.length;
	if (going && had_job)
		going = read_directory(importer, worker, worker->place.top);
	while (going && (job = take(importer, worker, had_job))) {
		had_job = true;
		going = do_job(importer, worker, job);
		job_free(job);
	}
	if (worker->batch)
		job_free(worker->batch);
	mfs__host_dir_end(&worker->place);
	mfs__text_free(&worker->path);
	if (worker->entries)
		mfs__free(worker->entries, ENTRIES_SIZE);
}

int mfs__import_run(struct mfs__importer *importer, int top)
{
	struct mfs__transfer *transfer = &importer->transfer;
	uint32_t limit;

	transfer->threads = mfs__host_dir_share(top, transfer->threads, &limit);
	size_t workers_size = transfer->threads * sizeof *importer->workers;
	importer->workers = mfs__alloc_zeroed(workers_size);
	if (!importer->workers)
		return mfs__fail_path(MFS_ENOMEM, MFS__IMPORT_CALL, transfer->host_path);
	for (unsigned i = 0; i < transfer->threads; i++) {
		importer->workers[i].number = i;
		mfs__host_dir_begin(&importer->workers[i].place, top, false, limit);
	}
	importer->busy = 1; /* the first one, see work() */
	int code = mfs__transfer_run(transfer, work);
	if (transfer->is_orphan)
		return code;
	while (importer->jobs) {
		struct mfs__import_job *job = importer->jobs;
		importer->jobs = job->next;
		job_free(job);
	}
	mfs__free(importer->workers, workers_size);
	return code;
}
