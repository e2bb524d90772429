/* SPDX-License-Identifier: MIT */
/*
 * The benchmark's cases on a directory of tmpfs, by plain system calls with absolute paths.
 */
#include "bench.h"
#include "host_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A record of getdents64(); the kernel's structure, which no header of the C library names. */
struct directory_record {
	uint64_t inode;
	int64_t next;
	uint16_t length;
	uint8_t type;
	char name[];
};

static _Noreturn void op_failed(const char *what, const char *path, int64_t result)
{
	if (result < 0)
		bench_die("tmpfs: %s of %s: %s", what, path, strerror(errno));
	bench_die("tmpfs: %s of %s: only %lld bytes", what, path, (long long)result);
}

static inline int64_t op_stat(struct bench_worker *w, const char *path)
{
	struct stat info;
	int rc = stat(path, &info);

	(void)w;
	if (bench_unlikely(rc < 0 || S_ISDIR(info.st_mode)))
		op_failed("stat", path, rc);
	return info.st_size;
}

static inline union bench_handle op_open(struct bench_worker *w, const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	(void)w;
	if (bench_unlikely(fd < 0))
		op_failed("open", path, fd);
	return (union bench_handle){.fd = fd};
}

static inline union bench_handle op_open_read(struct bench_worker *w, const char *path)
{
	return op_open(w, path, O_RDONLY);
}

static inline union bench_handle op_open_write(struct bench_worker *w, const char *path)
{
	return op_open(w, path, O_WRONLY | O_CREAT | O_TRUNC);
}

static inline union bench_handle op_open_update(struct bench_worker *w, const char *path)
{
	return op_open(w, path, O_RDWR);
}

static inline union bench_handle op_open_append(struct bench_worker *w, const char *path)
{
	return op_open(w, path, O_WRONLY | O_CREAT | O_APPEND);
}

/* Every descriptor can be one of many on its file. */
static inline union bench_handle op_open_read_shared(struct bench_worker *w, const char *path)
{
	return op_open_read(w, path);
}

static inline union bench_handle op_open_update_shared(struct bench_worker *w, const char *path)
{
	return op_open_update(w, path);
}

static inline void op_close(struct bench_worker *w, union bench_handle handle)
{
	int rc = close(handle.fd);

	if (bench_unlikely(rc < 0))
		op_failed("close", w->path, rc);
}

static inline void op_read(struct bench_worker *w, union bench_handle handle, void *buffer,
						   size_t size)
{
	ssize_t got = read(handle.fd, buffer, size);

	if (bench_unlikely(got != (ssize_t)size))
		op_failed("read", w->path, got);
}

static inline void op_write(struct bench_worker *w, union bench_handle handle, const void *buffer,
							size_t size)
{
	ssize_t got = write(handle.fd, buffer, size);

	if (bench_unlikely(got != (ssize_t)size))
		op_failed("write", w->path, got);
}

static inline void op_pread(struct bench_worker *w, union bench_handle handle, void *buffer,
							size_t size, int64_t offset)
{
	ssize_t got = pread(handle.fd, buffer, size, offset);

	if (bench_unlikely(got != (ssize_t)size))
		op_failed("pread", w->path, got);
}

static inline void op_pwrite(struct bench_worker *w, union bench_handle handle, const void *buffer,
							 size_t size, int64_t offset)
{
	ssize_t got = pwrite(handle.fd, buffer, size, offset);

	if (bench_unlikely(got != (ssize_t)size))
		op_failed("pwrite", w->path, got);
}

static inline void op_truncate(struct bench_worker *w, union bench_handle handle, int64_t size)
{
	int rc = ftruncate(handle.fd, size);

	if (bench_unlikely(rc < 0))
		op_failed("truncate", w->path, rc);
}

static inline void op_flush(struct bench_worker *w, union bench_handle handle)
{
	int rc = fsync(handle.fd);

	if (bench_unlikely(rc < 0))
		op_failed("fsync", w->path, rc);
}

static inline bool op_exists(struct bench_worker *w, const char *path)
{
	int rc = access(path, F_OK);

	(void)w;
	if (rc < 0 && errno != ENOENT)
		op_failed("access", path, rc);
	return rc == 0;
}

static inline void op_remove(struct bench_worker *w, const char *path)
{
	int rc = unlink(path);

	(void)w;
	if (bench_unlikely(rc < 0))
		op_failed("unlink", path, rc);
}

static inline void op_mkdir(struct bench_worker *w, const char *path)
{
	int rc = mkdir(path, 0700);

	(void)w;
	if (bench_unlikely(rc < 0))
		op_failed("mkdir", path, rc);
}

/* The number of names but "." and "..", into the worker's buffer with as few calls as possible. */
static inline uint64_t op_list(struct bench_worker *w, const char *path)
{
	uint64_t count = 0;
	union bench_handle handle = op_open(w, path, O_RDONLY | O_DIRECTORY);

	for (;;) {
		long got = syscall(SYS_getdents64, handle.fd, w->buffer, BENCH_PIECE);
		if (bench_unlikely(got < 0))
			op_failed("getdents64", path, got);
		if (got == 0)
			break;
		for (long at = 0; at < got;) {
			const struct directory_record *record =
				(const struct directory_record *)(const void *)(w->buffer + at);
			count += record->name[0] != '.';
			at += record->length;
		}
	}
	op_close(w, handle);
	return count;
}

static inline uint64_t op_list_sorted(struct bench_worker *w, const char *path)
{
	(void)w;
	return bench_host_list(path);
}

static inline void op_rename(struct bench_worker *w, const char *from, const char *to)
{
	int rc = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);

	(void)w;
	if (bench_unlikely(rc < 0))
		op_failed("rename", from, rc);
}

/* Make all the directories of a path; the first one that is missing ends at `at`. */
static inline void op_mkdir_chain(struct bench_worker *w, char *path, char *at)
{
	for (; *at != '\0'; at += strcspn(at, "/")) {
		*at = '\0';
		op_mkdir(w, path);
		*at++ = '/';
	}
	op_mkdir(w, path);
}

/* In the kernel, which copies once; a buffer in between would copy twice. */
static inline void op_copy(struct bench_worker *w, const char *from, const char *to)
{
	union bench_handle in = op_open(w, from, O_RDONLY);
	union bench_handle out = op_open(w, to, O_WRONLY | O_CREAT | O_EXCL);
	ssize_t got;

	do {
		got = sendfile(out.fd, in.fd, NULL, BENCH_COPY_BYTES);
		if (bench_unlikely(got < 0))
			op_failed("sendfile", from, got);
	} while (got > 0);
	op_close(w, in);
	op_close(w, out);
}

static inline struct bench_sum op_walk(struct bench_worker *w, const char *path)
{
	(void)w;
	return bench_host_walk(path);
}

static inline void op_sum(struct bench_worker *w, const char *path, struct bench_sum *sum)
{
	(void)w;
	bench_host_sum(path, sum);
}

static inline void op_rmtree(struct bench_worker *w, const char *path)
{
	(void)w;
	bench_host_remove(path);
}

static inline void op_copy_tree(struct bench_worker *w, const char *from, const char *to)
{
	(void)w;
	bench_host_copy(from, to, 1, false);
}

static inline void op_import(struct bench_worker *w, const char *host_path, const char *path,
							 unsigned threads)
{
	(void)w;
	bench_host_copy(host_path, path, threads, false);
}

static inline void op_export(struct bench_worker *w, const char *path, const char *host_path,
							 unsigned threads, bool whole)
{
	(void)w;
	bench_host_copy(path, host_path, threads, whole);
}

static inline void op_settle(struct bench_worker *w)
{
	(void)w;
}

/* The kernel takes each page that is written anew from its free memory. */
static inline void op_check_fresh(struct bench_worker *w, uint64_t bytes)
{
	(void)w;
	(void)bytes;
}

#include "loops.h"

static void *make(const char *root)
{
	if (mkdir(root, 0700) < 0)
		op_failed("mkdir", root, -1);
	bench_remove_on_exit(BENCH_LEFTOVER_ROOT, root);
	return NULL;
}

static void drop(void *place, const char *root)
{
	(void)place;
	if (bench_remove_tree(root) < 0)
		op_failed("removal", root, -1);
	bench_remove_on_exit(BENCH_LEFTOVER_ROOT, NULL);
}

static void settle(void *place)
{
	(void)place;
}

const struct bench_backend bench_tmpfs = {
	.name = "tmpfs",
	.make = make,
	.drop = drop,
	.settle = settle,
	.steps = loop_steps,
};
