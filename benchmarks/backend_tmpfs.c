/* SPDX-License-Identifier: MIT */
/*
 * The benchmark's cases on a directory of tmpfs, by plain system calls with absolute paths.
 */
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
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

#include "loops.h"

static void *make(const char *root)
{
	if (mkdir(root, 0700) < 0)
		op_failed("mkdir", root, -1);
	bench_remove_on_exit(root);
	return NULL;
}

static void drop(void *place, const char *root)
{
	(void)place;
	if (bench_remove_tree(root) < 0)
		op_failed("removal", root, -1);
	bench_remove_on_exit(NULL);
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
