/* SPDX-License-Identifier: MIT */
/*
 * A VFS for tests that stands between SQLite and another VFS: it counts what a connection does to
 * files and locks, calls the test right before each write, and can kill the connection.
 *
 * A killed connection is one whose process has ended, for all that its files can tell: each of its
 * calls fails from then on, whether it would change something, give back a lock or only look; and
 * when SQLite closes the connection, the files below are closed and nothing else happens to them.
 * So a lock goes because its file is closed, or it does not go.
 *
 * One connection at a time has a shim, and one thread uses it.
 */
#ifndef DMEMFS_TESTS_SHIM_VFS_H
#define DMEMFS_TESTS_SHIM_VFS_H

#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/** Do not kill. */
#define SHIM_NEVER UINT_MAX

struct shim {
	sqlite3_vfs vfs;
	sqlite3_vfs *below;
	/* Calls that change files or locks: opens, writes, truncates, deletes, syncs, locks. */
	unsigned steps;
	/* So many steps are done, the next one kills. */
	unsigned kill_after;
	bool dead;
	unsigned writes; /* calls of xWrite */
	/* If set, called right before each write that is passed on, the first one is 1. */
	void (*before_write)(void *user, unsigned number);
	void *user;
};

struct shim_file {
	sqlite3_file base;
	struct shim *shim;
	sqlite3_file *below; /* in the memory behind this */
};

static inline struct shim_file *shim__file(sqlite3_file *file)
{
	return (struct shim_file *)(void *)file;
}

/* The connection is alive, and does something that only looks. */
static inline bool shim__alive(sqlite3_file *file)
{
	return !shim__file(file)->shim->dead;
}

/* The connection is alive after one more step. */
static inline bool shim__step(struct shim *shim)
{
	if (!shim->dead && shim->steps == shim->kill_after)
		shim->dead = true;
	if (!shim->dead)
		shim->steps++;
	return !shim->dead;
}

static inline int shim__close(sqlite3_file *file)
{
	sqlite3_file *below = shim__file(file)->below;

	return below->pMethods->xClose(below);
}

static inline int shim__read(sqlite3_file *file, void *buffer, int size, sqlite3_int64 offset)
{
	sqlite3_file *below = shim__file(file)->below;

	return shim__alive(file) ? below->pMethods->xRead(below, buffer, size, offset)
							 : SQLITE_IOERR_READ;
}

static inline int shim__write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
	sqlite3_file *below = shim__file(file)->below;
	struct shim *shim = shim__file(file)->shim;

	if (!shim__step(shim))
		return SQLITE_IOERR_WRITE;
	shim->writes++;
	if (shim->before_write != NULL)
		shim->before_write(shim->user, shim->writes);
	return below->pMethods->xWrite(below, data, size, offset);
}

static inline int shim__truncate(sqlite3_file *file, sqlite3_int64 size)
{
	sqlite3_file *below = shim__file(file)->below;

	return shim__step(shim__file(file)->shim) ? below->pMethods->xTruncate(below, size)
											  : SQLITE_IOERR_TRUNCATE;
}

static inline int shim__sync(sqlite3_file *file, int flags)
{
	sqlite3_file *below = shim__file(file)->below;

	return shim__step(shim__file(file)->shim) ? below->pMethods->xSync(below, flags)
											  : SQLITE_IOERR_FSYNC;
}

static inline int shim__file_size(sqlite3_file *file, sqlite3_int64 *size)
{
	sqlite3_file *below = shim__file(file)->below;

	return shim__alive(file) ? below->pMethods->xFileSize(below, size) : SQLITE_IOERR_FSTAT;
}

static inline int shim__lock(sqlite3_file *file, int level)
{
	sqlite3_file *below = shim__file(file)->below;

	return shim__step(shim__file(file)->shim) ? below->pMethods->xLock(below, level)
											  : SQLITE_IOERR_LOCK;
}

static inline int shim__unlock(sqlite3_file *file, int level)
{
	sqlite3_file *below = shim__file(file)->below;

	return shim__step(shim__file(file)->shim) ? below->pMethods->xUnlock(below, level)
											  : SQLITE_IOERR_UNLOCK;
}

static inline int shim__check_reserved_lock(sqlite3_file *file, int *reserved)
{
	sqlite3_file *below = shim__file(file)->below;

	return shim__alive(file) ? below->pMethods->xCheckReservedLock(below, reserved)
							 : SQLITE_IOERR_CHECKRESERVEDLOCK;
}

static inline int shim__file_control(sqlite3_file *file, int operation, void *argument)
{
	sqlite3_file *below = shim__file(file)->below;

	return shim__alive(file) ? below->pMethods->xFileControl(below, operation, argument)
							 : SQLITE_NOTFOUND;
}

static inline int shim__sector_size(sqlite3_file *file)
{
	sqlite3_file *below = shim__file(file)->below;

	return below->pMethods->xSectorSize(below);
}

static inline int shim__device_characteristics(sqlite3_file *file)
{
	sqlite3_file *below = shim__file(file)->below;

	return below->pMethods->xDeviceCharacteristics(below);
}

static inline int shim__shm_map(sqlite3_file *file, int region, int size, int extend,
								void volatile **memory)
{
	sqlite3_file *below = shim__file(file)->below;

	*memory = NULL;
	return shim__step(shim__file(file)->shim)
			   ? below->pMethods->xShmMap(below, region, size, extend, memory)
			   : SQLITE_IOERR_SHMMAP;
}

static inline int shim__shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
	sqlite3_file *below = shim__file(file)->below;

	return shim__step(shim__file(file)->shim)
			   ? below->pMethods->xShmLock(below, offset, count, flags)
			   : SQLITE_IOERR_SHMLOCK;
}

static inline void shim__shm_barrier(sqlite3_file *file)
{
	sqlite3_file *below = shim__file(file)->below;

	below->pMethods->xShmBarrier(below);
}

static inline int shim__shm_unmap(sqlite3_file *file, int remove)
{
	sqlite3_file *below = shim__file(file)->below;

	return shim__step(shim__file(file)->shim) ? below->pMethods->xShmUnmap(below, remove)
											  : SQLITE_OK;
}

static inline int shim__fetch(sqlite3_file *file, sqlite3_int64 offset, int size, void **memory)
{
	sqlite3_file *below = shim__file(file)->below;

	*memory = NULL;
	return shim__alive(file) ? below->pMethods->xFetch(below, offset, size, memory)
							 : SQLITE_IOERR_MMAP;
}

static inline int shim__unfetch(sqlite3_file *file, sqlite3_int64 offset, void *memory)
{
	sqlite3_file *below = shim__file(file)->below;

	return below->pMethods->xUnfetch(below, offset, memory);
}

static const sqlite3_io_methods shim__methods = {
	.iVersion = 3,
	.xClose = shim__close,
	.xRead = shim__read,
	.xWrite = shim__write,
	.xTruncate = shim__truncate,
	.xSync = shim__sync,
	.xFileSize = shim__file_size,
	.xLock = shim__lock,
	.xUnlock = shim__unlock,
	.xCheckReservedLock = shim__check_reserved_lock,
	.xFileControl = shim__file_control,
	.xSectorSize = shim__sector_size,
	.xDeviceCharacteristics = shim__device_characteristics,
	.xShmMap = shim__shm_map,
	.xShmLock = shim__shm_lock,
	.xShmBarrier = shim__shm_barrier,
	.xShmUnmap = shim__shm_unmap,
	.xFetch = shim__fetch,
	.xUnfetch = shim__unfetch,
};

static inline int shim__open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
							 int *out_flags)
{
	struct shim *shim = vfs->pAppData;
	struct shim_file *self = shim__file(file);

	self->base.pMethods = NULL;
	if (!shim__step(shim))
		return SQLITE_CANTOPEN;
	self->shim = shim;
	self->below = (sqlite3_file *)(void *)(self + 1);
	memset(self->below, 0, (size_t)shim->below->szOsFile);
	int code = shim->below->xOpen(shim->below, name, self->below, flags, out_flags);
	/* A failed open may want to be closed all the same. */
	if (self->below->pMethods != NULL)
		self->base.pMethods = &shim__methods;
	return code;
}

static inline int shim__delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	struct shim *shim = vfs->pAppData;

	return shim__step(shim) ? shim->below->xDelete(shim->below, name, sync) : SQLITE_IOERR_DELETE;
}

static inline int shim__access(sqlite3_vfs *vfs, const char *name, int flags, int *result)
{
	struct shim *shim = vfs->pAppData;

	*result = 0;
	return shim->dead ? SQLITE_IOERR_ACCESS
					  : shim->below->xAccess(shim->below, name, flags, result);
}

static inline int shim__full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *path)
{
	struct shim *shim = vfs->pAppData;

	return shim->below->xFullPathname(shim->below, name, size, path);
}

static inline int shim__randomness(sqlite3_vfs *vfs, int size, char *bytes)
{
	struct shim *shim = vfs->pAppData;

	return shim->below->xRandomness(shim->below, size, bytes);
}

static inline int shim__sleep(sqlite3_vfs *vfs, int microseconds)
{
	struct shim *shim = vfs->pAppData;

	return shim->below->xSleep(shim->below, microseconds);
}

static inline int shim__current_time(sqlite3_vfs *vfs, double *now)
{
	struct shim *shim = vfs->pAppData;

	return shim->below->xCurrentTime(shim->below, now);
}

static inline int shim__current_time64(sqlite3_vfs *vfs, sqlite3_int64 *now)
{
	struct shim *shim = vfs->pAppData;

	return shim->below->xCurrentTimeInt64(shim->below, now);
}

static inline int shim__get_last_error(sqlite3_vfs *vfs, int size, char *text)
{
	struct shim *shim = vfs->pAppData;

	return shim->below->xGetLastError(shim->below, size, text);
}

/** Register a shim by a name, on top of a VFS. Returns SQLite's code. */
static inline int shim_register(struct shim *shim, const char *name, const char *below)
{
	*shim = (struct shim){.below = sqlite3_vfs_find(below), .kill_after = SHIM_NEVER};
	if (shim->below == NULL)
		return SQLITE_NOTFOUND;
	shim->vfs = (sqlite3_vfs){
		.iVersion = 2,
		.szOsFile = (int)sizeof(struct shim_file) + shim->below->szOsFile,
		.mxPathname = shim->below->mxPathname,
		.zName = name,
		.pAppData = shim,
		.xOpen = shim__open,
		.xDelete = shim__delete,
		.xAccess = shim__access,
		.xFullPathname = shim__full_pathname,
		.xRandomness = shim__randomness,
		.xSleep = shim__sleep,
		.xCurrentTime = shim__current_time,
		.xGetLastError = shim__get_last_error,
		.xCurrentTimeInt64 = shim__current_time64,
	};
	return sqlite3_vfs_register(&shim->vfs, 0);
}

/** The next connection is alive, and dies after so many steps, or SHIM_NEVER. */
static inline void shim_revive(struct shim *shim, unsigned kill_after)
{
	shim->steps = 0;
	shim->writes = 0;
	shim->kill_after = kill_after;
	shim->dead = false;
}

#endif
