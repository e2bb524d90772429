/* SPDX-License-Identifier: MIT */
/*
 * Files of the VFS without SQLite above them: what is opened here is used by the calls of
 * sqlite3_io_methods, as the pager of SQLite uses them.
 *
 * Include it after "support.h" and "database.h".
 */
#ifndef DMEMFS_TESTS_VFS_FILE_H
#define DMEMFS_TESTS_VFS_FILE_H

#include "database.h"

#define MAIN_DB   (SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB)
#define A_JOURNAL (SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_JOURNAL)

static inline sqlite3_vfs *test_vfs(void)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(TEST_VFS);

	assert_non_null(vfs);
	return vfs;
}

/** An open file, and the name that has to live as long as it. */
struct vfs_file {
	sqlite3_file *file;
	sqlite3_filename name;
	int flags; /* that the open gave */
};

/** Opens, with parameters of a URI: "name\0value\0" for each of `parameters`; NULL path: no name.
 */
static inline int try_vfs_file_with(const char *path, int flags, int parameters,
									const char **values, struct vfs_file *out)
{
	sqlite3_vfs *vfs = test_vfs();
	int code;

	out->file = allocate((size_t)vfs->szOsFile);
	out->name = NULL;
	out->flags = -1;
	if (path != NULL) {
		out->name = sqlite3_create_filename(path, "", "", parameters, values);
		assert_non_null(out->name);
	}
	code = vfs->xOpen(vfs, out->name, out->file, flags, &out->flags);
	if (code != SQLITE_OK) {
		assert_null(out->file->pMethods);
		free(out->file);
		sqlite3_free_filename(out->name);
	}
	return code;
}

static inline int try_vfs_file(const char *path, int flags)
{
	struct vfs_file opened;
	int code = try_vfs_file_with(path, flags, 0, NULL, &opened);

	if (code == SQLITE_OK) {
		assert_sqlite(NULL, opened.file->pMethods->xClose(opened.file), SQLITE_OK);
		free(opened.file);
		sqlite3_free_filename(opened.name);
	}
	return code;
}

static inline struct vfs_file open_vfs_file(const char *path, int flags)
{
	struct vfs_file opened;

	assert_sqlite(NULL, try_vfs_file_with(path, flags, 0, NULL, &opened), SQLITE_OK);
	return opened;
}

static inline void close_vfs_file(struct vfs_file *opened)
{
	assert_sqlite(NULL, opened->file->pMethods->xClose(opened->file), SQLITE_OK);
	free(opened->file);
	sqlite3_free_filename(opened->name);
	opened->file = NULL;
}

/*
 * The methods, which any thread may use
 */

static inline int file_read(struct vfs_file *f, void *buffer, int size, sqlite3_int64 offset)
{
	return f->file->pMethods->xRead(f->file, buffer, size, offset);
}

static inline int file_write(struct vfs_file *f, const void *buffer, int size, sqlite3_int64 offset)
{
	return f->file->pMethods->xWrite(f->file, buffer, size, offset);
}

static inline int file_truncate(struct vfs_file *f, sqlite3_int64 size)
{
	return f->file->pMethods->xTruncate(f->file, size);
}

static inline sqlite3_int64 file_size(struct vfs_file *f)
{
	sqlite3_int64 size = -1;

	assert_sqlite(NULL, f->file->pMethods->xFileSize(f->file, &size), SQLITE_OK);
	return size;
}

static inline int file_control(struct vfs_file *f, int operation, void *argument)
{
	return f->file->pMethods->xFileControl(f->file, operation, argument);
}

static inline int file_lock(struct vfs_file *f, int level)
{
	return f->file->pMethods->xLock(f->file, level);
}

static inline int file_unlock(struct vfs_file *f, int level)
{
	return f->file->pMethods->xUnlock(f->file, level);
}

/** The level of the lock that a file holds. */
static inline int lock_level(struct vfs_file *f)
{
	int level = -1;

	(void)file_control(f, SQLITE_FCNTL_LOCKSTATE, &level);
	return level;
}

static inline bool is_reserved(struct vfs_file *f)
{
	int result = -1;

	assert_sqlite(NULL, f->file->pMethods->xCheckReservedLock(f->file, &result), SQLITE_OK);
	return result != 0;
}

static inline int shm_map(struct vfs_file *f, int region, int extend, void volatile **out)
{
	return f->file->pMethods->xShmMap(f->file, region, 32 * 1024, extend, out);
}

static inline int shm_lock(struct vfs_file *f, int first, int count, int flags)
{
	return f->file->pMethods->xShmLock(f->file, first, count, flags);
}

static inline int shm_unmap(struct vfs_file *f, int remove)
{
	return f->file->pMethods->xShmUnmap(f->file, remove);
}

#endif
