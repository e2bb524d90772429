/* SPDX-License-Identifier: MIT */
/*
 * The benchmark's cases on RocksDB's in-memory environment: another filesystem inside the process,
 * a sorted map from whole paths to strings under one mutex.
 */
#include "backend_rocksdb.h"
#include "rocksdb_env.h"

#include <stdarg.h>

static _Noreturn void op_failed(const char *what, const char *path)
{
	bench_die("rocksdb: %s of %s: %s", what, path, rocksdb_env_error());
}

static inline int64_t op_stat(struct bench_worker *w, const char *path)
{
	int64_t size = rocksdb_env_size(w->place, path);

	if (bench_unlikely(size < 0))
		op_failed("size", path);
	return size;
}

/* Where op_read() goes on: the environment's files that can be read anywhere have no position. */
static _Thread_local uint64_t read_position;

static inline union bench_handle op_open(struct bench_worker *w, const char *path,
										 enum rocksdb_mode mode)
{
	struct rocksdb_file *file = rocksdb_env_open(w->place, path, mode);

	if (bench_unlikely(!file))
		op_failed("open", path);
	return (union bench_handle){.file = file};
}

/* A thread reads one file at a time, from its start. */
static inline union bench_handle op_open_read(struct bench_worker *w, const char *path)
{
	read_position = 0;
	return op_open(w, path, ROCKSDB_READ);
}

static inline union bench_handle op_open_write(struct bench_worker *w, const char *path)
{
	return op_open(w, path, ROCKSDB_WRITE);
}

static inline union bench_handle op_open_update(struct bench_worker *w, const char *path)
{
	return op_open(w, path, ROCKSDB_UPDATE);
}

static inline union bench_handle op_open_append(struct bench_worker *w, const char *path)
{
	return op_open(w, path, ROCKSDB_APPEND);
}

/* Nothing keeps others from a file that is open. */
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
	if (bench_unlikely(rocksdb_env_close(handle.file) < 0))
		op_failed("close", w->path);
}

static inline void op_pread(struct bench_worker *w, union bench_handle handle, void *buffer,
							size_t size, int64_t offset)
{
	int64_t got = rocksdb_env_pread(handle.file, buffer, size, (uint64_t)offset);

	if (bench_unlikely(got < 0))
		op_failed("read", w->path);
	if (bench_unlikely(got != (int64_t)size))
		bench_die("rocksdb: read of %s: only %lld bytes", w->path, (long long)got);
}

static inline void op_read(struct bench_worker *w, union bench_handle handle, void *buffer,
						   size_t size)
{
	op_pread(w, handle, buffer, size, (int64_t)read_position);
	read_position += size;
}

static inline void op_write(struct bench_worker *w, union bench_handle handle, const void *buffer,
							size_t size)
{
	if (bench_unlikely(rocksdb_env_append(handle.file, buffer, size) < 0))
		op_failed("append", w->path);
}

static inline void op_pwrite(struct bench_worker *w, union bench_handle handle, const void *buffer,
							 size_t size, int64_t offset)
{
	if (bench_unlikely(rocksdb_env_pwrite(handle.file, buffer, size, (uint64_t)offset) < 0))
		op_failed("write", w->path);
}

static inline void op_truncate(struct bench_worker *w, union bench_handle handle, int64_t size)
{
	if (bench_unlikely(rocksdb_env_truncate(handle.file, (uint64_t)size) < 0))
		op_failed("truncate", w->path);
}

static inline void op_flush(struct bench_worker *w, union bench_handle handle)
{
	if (bench_unlikely(rocksdb_env_sync(handle.file) < 0))
		op_failed("sync", w->path);
}

static inline bool op_exists(struct bench_worker *w, const char *path)
{
	return rocksdb_env_exists(w->place, path);
}

static inline void op_remove(struct bench_worker *w, const char *path)
{
	if (bench_unlikely(rocksdb_env_remove(w->place, path) < 0))
		op_failed("remove", path);
}

static inline void op_mkdir(struct bench_worker *w, const char *path)
{
	if (bench_unlikely(rocksdb_env_mkdir(w->place, path) < 0))
		op_failed("mkdir", path);
}

static inline uint64_t op_list(struct bench_worker *w, const char *path)
{
	int64_t count = rocksdb_env_list(w->place, path);

	if (bench_unlikely(count < 0))
		op_failed("list", path);
	return (uint64_t)count;
}

/* As the map is sorted. */
static inline uint64_t op_list_sorted(struct bench_worker *w, const char *path)
{
	return op_list(w, path);
}

static inline void op_rename(struct bench_worker *w, const char *from, const char *to)
{
	if (bench_unlikely(rocksdb_env_rename(w->place, from, to) < 0))
		op_failed("rename", from);
}

/*
 * What the environment has no counterpart of. loops.h is compiled whole, but the cases that come
 * here are not in bench_rocksdb_cases.
 */
static _Noreturn void no_counterpart(const char *name, ...)
{
	bench_die("rocksdb: there is no counterpart of %s", name);
}

static struct bench_sum no_sum(const char *name, ...)
{
	no_counterpart(name);
}

#define op_mkdir_chain(...) no_counterpart("op_mkdir_chain", __VA_ARGS__)
#define op_copy(...)        no_counterpart("op_copy", __VA_ARGS__)
#define op_walk(...)        no_sum("op_walk", __VA_ARGS__)
#define op_sum(...)         no_counterpart("op_sum", __VA_ARGS__)
#define op_rmtree(...)      no_counterpart("op_rmtree", __VA_ARGS__)
#define op_copy_tree(...)   no_counterpart("op_copy_tree", __VA_ARGS__)
#define op_import(...)      no_counterpart("op_import", __VA_ARGS__)
#define op_export(...)      no_counterpart("op_export", __VA_ARGS__)
#define op_check_fresh(...) no_counterpart("op_check_fresh", __VA_ARGS__)

/* What is removed is freed at once, or with the last handle. */
static inline void op_settle(struct bench_worker *w)
{
	(void)w;
}

#include "loops.h"

/*
 * A case that is added to loops.h is done here, too, when it is added to these lines. Left out are
 * whole trees; files of more than 16 MiB, which the environment copies as they grow; and MWRM, as
 * each rename looks at all paths.
 */
const bool bench_rocksdb_cases[BENCH_CASE_COUNT] = {
	[BENCH_stat_hot] = true,
	[BENCH_stat_cold_100k] = true,
	[BENCH_open_read4k_close_cold_100k] = true,
	[BENCH_create_write4k_close] = true,
	[BENCH_unlink] = true,
	[BENCH_unlink_4k] = true,
	[BENCH_pread_64] = true,
	[BENCH_pread_4k] = true,
	[BENCH_pread_4k_random] = true,
	[BENCH_pwrite_4k] = true,
	[BENCH_append_4k] = true,
	[BENCH_listdir_1k] = true,
	[BENCH_deep50_open_read1k_close] = true,
	[BENCH_listdir_10k] = true,
	[BENCH_rename_file_same_dir] = true,
	[BENCH_rename_across_dirs] = true,
	[BENCH_DRBL] = true,
	[BENCH_DRBM] = true,
	[BENCH_DRBH] = true,
	[BENCH_DRBH_bg] = true,
	[BENCH_DWAL] = true,
	[BENCH_DWOL] = true,
	[BENCH_DWOM] = true,
	[BENCH_DWSL] = true,
	[BENCH_MRPL] = true,
	[BENCH_MRPM] = true,
	[BENCH_MRPM_bg] = true,
	[BENCH_MRPH] = true,
	[BENCH_MRDL] = true,
	[BENCH_MRDM] = true,
	[BENCH_MRDM_bg] = true,
	[BENCH_MWCL] = true,
	[BENCH_MWCM] = true,
	[BENCH_MWUL] = true,
	[BENCH_MWUM] = true,
	[BENCH_MWUM_pair] = true,
	[BENCH_MWUM_bg] = true,
	[BENCH_MWRL] = true,
	[BENCH_small_files_rw] = true,
	[BENCH_stream_write_read] = true,
	[BENCH_random_access_rw] = true,
	[BENCH_many_files_random_read] = true,
	[BENCH_deep_tree_read] = true,
};

static void *make(const char *root)
{
	struct rocksdb_env *env = rocksdb_env_new();

	if (rocksdb_env_mkdir(env, root) < 0)
		op_failed("mkdir", root);
	return env;
}

static void drop(void *place, const char *root)
{
	(void)root;
	rocksdb_env_free(place);
}

static void settle(void *place)
{
	(void)place;
}

const char *bench_rocksdb_version(void)
{
	return rocksdb_env_version();
}

const struct bench_backend bench_rocksdb = {
	.name = "rocksdb",
	.make = make,
	.drop = drop,
	.settle = settle,
	.steps = loop_steps,
};
