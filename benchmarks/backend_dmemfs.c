/* SPDX-License-Identifier: MIT */
/*
 * The benchmark's cases on a workspace. A fresh one is made for each case and number of threads.
 */
#include "dmemfs/dmemfs.h"

#include "bench.h"

#include <time.h>

/* More than the cases ever hold: a workspace that runs into its quota is another benchmark. */
#define WORKSPACE_QUOTA (UINT64_C(1) << 40)

static _Noreturn void op_failed(const char *what, const char *path, int64_t result)
{
	if (result < 0)
		bench_die("dmemfs: %s of %s: %s (%s)", what, path, mfs_strerror((int)result),
				  mfs_last_error());
	bench_die("dmemfs: %s of %s: only %lld bytes", what, path, (long long)result);
}

static inline int64_t op_stat(struct bench_worker *w, const char *path)
{
	mfs_info info;
	int rc = mfs_stat(w->place, path, &info);

	if (bench_unlikely(rc < 0 || info.is_dir))
		op_failed("stat", path, rc);
	return info.size;
}

static inline union bench_handle op_open(struct bench_worker *w, const char *path, const char *mode)
{
	mfs_file *file;
	int rc = mfs_open(w->place, path, mode, &file);

	if (bench_unlikely(rc < 0))
		op_failed("open", path, rc);
	return (union bench_handle){.file = file};
}

static inline union bench_handle op_open_read(struct bench_worker *w, const char *path)
{
	return op_open(w, path, "rb");
}

static inline union bench_handle op_open_write(struct bench_worker *w, const char *path)
{
	return op_open(w, path, "wb");
}

static inline union bench_handle op_open_update(struct bench_worker *w, const char *path)
{
	return op_open(w, path, "r+b");
}

static inline union bench_handle op_open_append(struct bench_worker *w, const char *path)
{
	return op_open(w, path, "ab");
}

static inline void op_close(struct bench_worker *w, union bench_handle handle)
{
	int rc = mfs_close(handle.file);

	if (bench_unlikely(rc < 0))
		op_failed("close", w->path, rc);
}

static inline void op_read(struct bench_worker *w, union bench_handle handle, void *buffer,
						   size_t size)
{
	int64_t got = mfs_read(handle.file, buffer, size);

	if (bench_unlikely(got != (int64_t)size))
		op_failed("read", w->path, got);
}

static inline void op_write(struct bench_worker *w, union bench_handle handle, const void *buffer,
							size_t size)
{
	int64_t got = mfs_write(handle.file, buffer, size);

	if (bench_unlikely(got != (int64_t)size))
		op_failed("write", w->path, got);
}

static inline void op_pread(struct bench_worker *w, union bench_handle handle, void *buffer,
							size_t size, int64_t offset)
{
	int64_t got = mfs_pread(handle.file, buffer, size, offset);

	if (bench_unlikely(got != (int64_t)size))
		op_failed("pread", w->path, got);
}

static inline void op_pwrite(struct bench_worker *w, union bench_handle handle, const void *buffer,
							 size_t size, int64_t offset)
{
	int64_t got = mfs_pwrite(handle.file, buffer, size, offset);

	if (bench_unlikely(got != (int64_t)size))
		op_failed("pwrite", w->path, got);
}

static inline void op_truncate(struct bench_worker *w, union bench_handle handle, int64_t size)
{
	int rc = mfs_truncate(handle.file, size);

	if (bench_unlikely(rc < 0))
		op_failed("truncate", w->path, rc);
}

static inline void op_remove(struct bench_worker *w, const char *path)
{
	int rc = mfs_remove(w->place, path);

	if (bench_unlikely(rc < 0))
		op_failed("remove", path, rc);
}

static inline void op_mkdir(struct bench_worker *w, const char *path)
{
	int rc = mfs_mkdir(w->place, path, 0);

	if (bench_unlikely(rc < 0))
		op_failed("mkdir", path, rc);
}

/* The number of names, all of which have been taken out and looked at. */
static inline uint64_t op_list(struct bench_worker *w, const char *path)
{
	char **names;
	uint64_t count = 0;
	int64_t rc = mfs_listdir(w->place, path, &names);

	if (bench_unlikely(rc < 0))
		op_failed("listdir", path, rc);
	for (char **name = names; *name; name++)
		count += **name != '\0';
	mfs_names_free(names);
	return count;
}

#include "loops.h"

static void *make(const char *root)
{
	mfs *fs;
	mfs_options options = {.struct_size = sizeof(options), .max_quota = WORKSPACE_QUOTA};
	int rc = mfs_new(&options, &fs);

	if (rc < 0)
		bench_die("dmemfs: mfs_new: %s", mfs_strerror(rc));
	rc = mfs_mkdir(fs, root, MFS_EXIST_OK);
	if (rc < 0)
		bench_die("dmemfs: mkdir of %s: %s", root, mfs_strerror(rc));
	return fs;
}

static void drop(void *place, const char *root)
{
	int rc = mfs_free(place);

	if (rc < 0)
		bench_die("dmemfs: mfs_free with %s: %s", root, mfs_strerror(rc));
}

static void settle(void *place)
{
	/* At most half a second: the library may keep a small rest until there is more. */
	for (int i = 0; i < 500; i++) {
		mfs_usage usage;
		int rc = mfs_stats(place, &usage);
		if (rc < 0)
			bench_die("dmemfs: mfs_stats: %s", mfs_strerror(rc));
		if (usage.retired_bytes == 0)
			return;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

const struct bench_backend bench_dmemfs = {
	.name = "dmemfs",
	.make = make,
	.drop = drop,
	.settle = settle,
	.steps = loop_steps,
};
