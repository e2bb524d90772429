/* SPDX-License-Identifier: MIT */
/*
 * RocksDB's in-memory environment for C: NewMemEnv(), by the interface that RocksDB itself uses,
 * rocksdb::FileSystem. A thin layer: one call here is one call there, beside the path's
 * std::string, which each thread uses again.
 *
 * Functions return a value below 0, or NULL, when the environment returned an error;
 * rocksdb_env_error() says which.
 */
#ifndef DMEMFS_BENCHMARKS_ROCKSDB_ENV_H
#define DMEMFS_BENCHMARKS_ROCKSDB_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rocksdb_env;
struct rocksdb_file;

enum rocksdb_mode {
	/** NewRandomAccessFile(). */
	ROCKSDB_READ,
	/** NewWritableFile(): takes the place of a file that is there. */
	ROCKSDB_WRITE,
	/** ReopenWritableFile(): appends to a file that is there. */
	ROCKSDB_APPEND,
	/** NewRandomRWFile(). */
	ROCKSDB_UPDATE,
};

struct rocksdb_env *rocksdb_env_new(void);
void rocksdb_env_free(struct rocksdb_env *env);
/** What the calling thread's last failure was; valid until its next one. */
const char *rocksdb_env_error(void);
/** Such as "7.8.3". */
const char *rocksdb_env_version(void);

bool rocksdb_env_exists(struct rocksdb_env *env, const char *path);
int64_t rocksdb_env_size(struct rocksdb_env *env, const char *path);
int rocksdb_env_mkdir(struct rocksdb_env *env, const char *path);
int rocksdb_env_remove(struct rocksdb_env *env, const char *path);
int rocksdb_env_rename(struct rocksdb_env *env, const char *from, const char *to);
/** The number of names, all of which have been looked at. */
int64_t rocksdb_env_list(struct rocksdb_env *env, const char *path);

struct rocksdb_file *rocksdb_env_open(struct rocksdb_env *env, const char *path,
									  enum rocksdb_mode mode);
int rocksdb_env_close(struct rocksdb_file *file);
/** READ or UPDATE. Returns how much was there. */
int64_t rocksdb_env_pread(struct rocksdb_file *file, void *buffer, size_t size, uint64_t offset);
/** UPDATE. */
int rocksdb_env_pwrite(struct rocksdb_file *file, const void *buffer, size_t size, uint64_t offset);
/** WRITE or APPEND. */
int rocksdb_env_append(struct rocksdb_file *file, const void *buffer, size_t size);
/** WRITE or APPEND. The environment only makes files shorter; longer they become by zeros. */
int rocksdb_env_truncate(struct rocksdb_file *file, uint64_t size);
/** UPDATE. */
int rocksdb_env_sync(struct rocksdb_file *file);

#ifdef __cplusplus
}
#endif

#endif
