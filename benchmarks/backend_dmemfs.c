/* SPDX-License-Identifier: MIT */
/*
 * The benchmark's cases on a workspace. A fresh one is made for each case and number of threads.
 */
#include "dmemfs/dmemfs.h"

#include "bench.h"

#include <string.h>
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

/* Handles that several threads can have on one file, one of which writes. */
static inline union bench_handle op_open_shared(struct bench_worker *w, const char *path,
												const char *mode)
{
	mfs_open_options options = {.struct_size = sizeof(options), .flags = MFS_O_SHARED};
	mfs_file *file;
	int rc = mfs_open_ex(w->place, path, mode, &options, &file);

	if (bench_unlikely(rc < 0))
		op_failed("open", path, rc);
	return (union bench_handle){.file = file};
}

static inline union bench_handle op_open_read_shared(struct bench_worker *w, const char *path)
{
	return op_open_shared(w, path, "rb");
}

static inline union bench_handle op_open_update_shared(struct bench_worker *w, const char *path)
{
	return op_open_shared(w, path, "r+b");
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

static inline void op_flush(struct bench_worker *w, union bench_handle handle)
{
	int rc = mfs_flush(handle.file);

	if (bench_unlikely(rc < 0))
		op_failed("flush", w->path, rc);
}

static inline bool op_exists(struct bench_worker *w, const char *path)
{
	return mfs_exists(w->place, path);
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

/* As the library always sorts. */
static inline uint64_t op_list_sorted(struct bench_worker *w, const char *path)
{
	return op_list(w, path);
}

static inline void op_rename(struct bench_worker *w, const char *from, const char *to)
{
	int rc = mfs_rename(w->place, from, to, 0);

	if (bench_unlikely(rc < 0))
		op_failed("rename", from, rc);
}

/* Make all the directories of a path; the first one that is missing ends at `at`. */
static inline void op_mkdir_chain(struct bench_worker *w, char *path, char *at)
{
	(void)at;
	op_mkdir(w, path);
}

static inline void op_copy(struct bench_worker *w, const char *from, const char *to)
{
	int rc = mfs_copy(w->place, from, to);

	if (bench_unlikely(rc < 0))
		op_failed("copy", from, rc);
}

/* Files and directories. All names are looked at. */
static inline struct bench_sum op_walk(struct bench_worker *w, const char *path)
{
	struct bench_sum sum = {0};
	mfs_walk_level level;
	mfs_walk *walk;
	int rc = mfs_walk_open(w->place, path, &walk);

	if (bench_unlikely(rc < 0))
		op_failed("walk", path, rc);
	while ((rc = mfs_walk_next(walk, &level)) > 0) {
		for (size_t i = 0; i < level.directory_count; i++)
			sum.directories += level.directories[i][0] != '\0';
		for (size_t i = 0; i < level.file_count; i++)
			sum.files += level.files[i][0] != '\0';
	}
	if (bench_unlikely(rc < 0))
		op_failed("walk", path, rc);
	mfs_walk_close(walk);
	return sum;
}

static inline void op_rmtree(struct bench_worker *w, const char *path)
{
	int rc = mfs_rmtree(w->place, path);

	if (bench_unlikely(rc < 0))
		op_failed("rmtree", path, rc);
}

static inline void op_copy_tree(struct bench_worker *w, const char *from, const char *to)
{
	int rc = mfs_copy_tree(w->place, from, to);

	if (bench_unlikely(rc < 0))
		op_failed("copy_tree", from, rc);
}

static inline void op_import(struct bench_worker *w, const char *host_path, const char *path,
							 unsigned threads)
{
	mfs_transfer_options options = {.struct_size = sizeof(options), .threads = threads};
	int rc = mfs_import_from_dir(w->place, host_path, path, &options);

	if (bench_unlikely(rc < 0))
		op_failed("import", host_path, rc);
}

/* Files are always whole here. */
static inline void op_export(struct bench_worker *w, const char *path, const char *host_path,
							 unsigned threads, bool whole)
{
	(void)whole;
	mfs_transfer_options options = {.struct_size = sizeof(options), .threads = threads};
	int rc = mfs_export_to_dir(w->place, path, host_path, &options);

	if (bench_unlikely(rc < 0))
		op_failed("export", path, rc);
}

/* Wait until what was removed has been freed. */
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

static inline void op_settle(struct bench_worker *w)
{
	settle(w->place);
}

/* What the calling thread wrote has gone to memory that nobody had touched before. */
static inline void op_check_fresh(struct bench_worker *w, uint64_t bytes)
{
	bench_check_fresh(w->faults, bytes);
}

/*
 * Sums, outside the clock: as bench_host_sum() makes them
 */

/* The hash of a path, of which the part before `path` is the top's. */
static uint64_t hash_path(const char *path)
{
	uint64_t hash = 0;

	while (*path == '/') {
		size_t length = strcspn(path + 1, "/");
		if (length > 0)
			hash = bench_hash_path(hash, path + 1, length);
		path += 1 + length;
	}
	return hash;
}

static void sum_file(struct bench_worker *w, const char *path, uint64_t path_hash,
					 struct bench_sum *sum)
{
	void *data;
	int64_t size = mfs_export_buffer(w->place, path, 0, &data);

	if (size < 0)
		op_failed("export_buffer", path, size);
	sum->hash += bench_hash(path_hash, data, (size_t)size);
	sum->bytes += (uint64_t)size;
	sum->files++;
	mfs_buffer_free(data);
}

static void op_sum(struct bench_worker *w, const char *top, struct bench_sum *sum)
{
	char path[4 * BENCH_PATH_SIZE];
	size_t top_length = 0;
	mfs_walk_level level;
	mfs_walk *walk;
	bool first = true;
	int rc = mfs_walk_open(w->place, top, &walk);

	*sum = (struct bench_sum){0};
	if (rc < 0)
		op_failed("walk", top, rc);
	while ((rc = mfs_walk_next(walk, &level)) > 0) {
		/* The root's own path, "/", is not the beginning of the others. */
		if (first && strcmp(level.path, "/") != 0)
			top_length = strlen(level.path);
		first = false;
		uint64_t hash = hash_path(level.path + top_length);
		for (size_t i = 0; i < level.directory_count; i++) {
			const char *name = level.directories[i];
			sum->hash += bench_hash_path(hash, name, strlen(name));
			sum->directories++;
		}
		for (size_t i = 0; i < level.file_count; i++) {
			const char *name = level.files[i];
			int length = snprintf(path, sizeof(path), "%s/%s", level.path, name);
			if (length < 0 || (size_t)length >= sizeof(path))
				bench_die("path too long");
			sum_file(w, path, bench_hash_path(hash, name, strlen(name)), sum);
		}
	}
	if (rc < 0)
		op_failed("walk", top, rc);
	mfs_walk_close(walk);
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

/* The end of the last workspace gives all memory back that the library keeps. */
static void *renew(void *place, const char *root)
{
	drop(place, root);
	return make(root);
}

const struct bench_backend bench_dmemfs = {
	.name = "dmemfs",
	.make = make,
	.drop = drop,
	.settle = settle,
	.renew = renew,
	.steps = loop_steps,
};
