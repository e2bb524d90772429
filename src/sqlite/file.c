/* SPDX-License-Identifier: MIT */
/* Reading and writing of open files. */
#include "file.h"

#include "error.h"

#include <string.h>

/*
 * A file that is only written at its end stays sequential, until it may be too large to become one
 * of random access (mfs_options.promotion_hard_limit). A file of SQLite will sooner or later be
 * written elsewhere. When it comes to this size, its last byte is written twice, which makes it one
 * of random access. Most journals never come here.
 */
#define RANDOM_FROM (INT64_C(64) << 10)

/* Pages are looked at with this much behind them: SQLite reads a little past the end of a page that
 * is damaged. */
#define VIEW_MARGIN 256

static inline struct mfs__sqlite_file *file_of(sqlite3_file *base)
{
	return (struct mfs__sqlite_file *)base;
}

static int fail(struct mfs__sqlite_file *file, int code, int otherwise)
{
	int result = mfs__sqlite_result(code, SQLITE_IOERR_NOMEM, otherwise);

	file->last_code = code;
	if (result == otherwise)
		sqlite3_log(result, "dmemfs: %s: %s", file->path ? file->path : "temporary file",
					mfs_last_error());
	return result;
}

static int file_close(sqlite3_file *base)
{
	struct mfs__sqlite_file *file = file_of(base);
	struct mfs__sqlite_database *database = file->database;

	if (database) {
		mfs__sqlite_wal_index_unmap(&database->wal_index, &file->wal);
		mfs__sqlite_lock_lower(&database->lock, file->level, SQLITE_LOCK_NONE);
		mfs__sqlite_database_leave(database);
	}
	(void)mfs_close(file->handle);
	if (file->import)
		(void)mfs_import_abort(file->import);
	base->pMethods = NULL;
	/* pairs with mfs_sqlite_unregister */
	(void)atomic_fetch_sub_explicit(&file->vfs->files, 1, memory_order_release);
	return SQLITE_OK;
}

/*
 * Somebody keeps the file's lock for longer than calls wait. Where a transaction begins SQLite can
 * be told that it is busy, and nothing has to be undone. Within one, it would go on as if the
 * statement could be tried again, whatever part of it is done.
 */
static int fail_read(struct mfs__sqlite_file *file, int code)
{
	if (file->is_fresh && (code == MFS_ETIMEDOUT || code == MFS_EBUSY)) {
		file->last_code = code;
		return SQLITE_BUSY;
	}
	return fail(file, code, SQLITE_IOERR_READ);
}

static int file_read(sqlite3_file *base, void *buffer, int size, sqlite3_int64 offset)
{
	struct mfs__sqlite_file *file = file_of(base);
	int64_t length = mfs_pread(file->handle, buffer, (size_t)size, offset);

	if (length < 0)
		return fail_read(file, (int)length);
	file->is_fresh = false;
	if (length == size)
		return SQLITE_OK;
	memset((char *)buffer + length, 0, (size_t)(size - length));
	return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *base, const void *buffer, int size, sqlite3_int64 offset)
{
	struct mfs__sqlite_file *file = file_of(base);
	int64_t end = offset + size;
	int64_t length = mfs_pwrite(file->handle, buffer, (size_t)size, offset);

	if (length < 0)
		return fail(file, (int)length, SQLITE_IOERR_WRITE);
	if (end >= RANDOM_FROM && !file->is_random && size) {
		file->is_random = true;
		(void)mfs_pwrite(file->handle, (const char *)buffer + size - 1, 1, end - 1);
	}
	return SQLITE_OK;
}

/* A size as SQLITE_FCNTL_CHUNK_SIZE wants it. */
static int64_t round_size(const struct mfs__sqlite_file *file, int64_t size)
{
	int64_t step = file->size_step;

	return step > 0 ? (size + step - 1) / step * step : size;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	struct mfs__sqlite_file *file = file_of(base);
	int code = mfs_truncate(file->handle, round_size(file, size));

	return code ? fail(file, code, SQLITE_IOERR_TRUNCATE) : SQLITE_OK;
}

static int file_sync(sqlite3_file *base, int flags)
{
	(void)base;
	(void)flags;
	return SQLITE_OK;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *size)
{
	struct mfs__sqlite_file *file = file_of(base);
	mfs_info info;
	int code = mfs_fstat(file->handle, &info);

	if (code)
		return fail(file, code, SQLITE_IOERR_FSTAT);
	*size = info.size;
	return SQLITE_OK;
}

static int file_lock(sqlite3_file *base, int level)
{
	struct mfs__sqlite_file *file = file_of(base);
	int before = file->level;

	if (before >= level)
		return SQLITE_OK;
	file->level = mfs__sqlite_lock_raise(&file->database->lock, before, level);
	if (before == SQLITE_LOCK_NONE)
		file->is_fresh = true;
	return file->level == level ? SQLITE_OK : SQLITE_BUSY;
}

static int file_unlock(sqlite3_file *base, int level)
{
	struct mfs__sqlite_file *file = file_of(base);

	if (file->level > level) {
		mfs__sqlite_lock_lower(&file->database->lock, file->level, level);
		file->level = level;
	}
	return SQLITE_OK;
}

static int file_check_reserved(sqlite3_file *base, int *is_reserved)
{
	*is_reserved = mfs__sqlite_lock_is_reserved(&file_of(base)->database->lock);
	return SQLITE_OK;
}

static int unlocked_lock(sqlite3_file *base, int level)
{
	(void)base;
	(void)level;
	return SQLITE_OK;
}

static int unlocked_check_reserved(sqlite3_file *base, int *is_reserved)
{
	(void)base;
	*is_reserved = 0;
	return SQLITE_OK;
}

/* SQLite gives -1 to ask. */
static void control_flag(bool *flag, int *argument)
{
	if (*argument < 0)
		*argument = *flag;
	else
		*flag = *argument != 0;
}

/* The file will grow to `size`. Where it grows in steps, it does so now. */
static int control_size_hint(struct mfs__sqlite_file *file, int64_t size)
{
	mfs_info info;

	if (file->size_step <= 0)
		return SQLITE_OK;
	int code = mfs_fstat(file->handle, &info);
	if (!code && round_size(file, size) > info.size)
		code = mfs_truncate(file->handle, round_size(file, size));
	return code ? fail(file, code, SQLITE_IOERR_WRITE) : SQLITE_OK;
}

/* Answers with the limit so far, and changes it unless the new one is negative. */
static void control_view_limit(struct mfs__sqlite_file *file, sqlite3_int64 *limit)
{
	sqlite3_int64 before = file->view_limit;

	if (*limit >= 0 && file->is_immutable && !file->views)
		file->view_limit = *limit;
	*limit = before;
}

/* Has the database another name now, or none? */
static int has_moved(const struct mfs__sqlite_file *file)
{
	mfs_info info;

	if (!file->database)
		return 0;
	return mfs_stat(file->vfs->fs, file->path, &info) != 0 || info.inode != file->inode;
}

static int control_names(struct mfs__sqlite_file *file, int operation, void *argument)
{
	char name[MFS__SQLITE_TEMP_SIZE];
	const char *text = file->vfs->base.zName;

	if (operation == SQLITE_FCNTL_TEMPFILENAME) {
		mfs__sqlite_temp_name(name);
		text = name;
	}
	*(char **)argument = sqlite3_mprintf("%s", text);
	return *(char **)argument ? SQLITE_OK : SQLITE_NOMEM;
}

static int control_question(struct mfs__sqlite_file *file, struct mfs__sqlite_question *question)
{
	if (question->asker != &mfs__sqlite_database_methods)
		return SQLITE_NOTFOUND;
	question->file = file;
	return SQLITE_OK;
}

int mfs__sqlite_file_control(sqlite3_file *base, int operation, void *argument)
{
	struct mfs__sqlite_file *file = file_of(base);

	switch (operation) {
	case SQLITE_FCNTL_LOCKSTATE:
		*(int *)argument = file->level;
		return SQLITE_OK;
	case SQLITE_FCNTL_LAST_ERRNO:
		*(int *)argument = mfs__sqlite_errno(file->last_code);
		return SQLITE_OK;
	case SQLITE_FCNTL_CHUNK_SIZE:
		file->size_step = *(int *)argument;
		return SQLITE_OK;
	case SQLITE_FCNTL_SIZE_HINT:
		return control_size_hint(file, *(sqlite3_int64 *)argument);
	case SQLITE_FCNTL_PERSIST_WAL:
		control_flag(&file->keeps_wal, argument);
		return SQLITE_OK;
	case SQLITE_FCNTL_POWERSAFE_OVERWRITE:
		control_flag(&file->is_powersafe, argument);
		return SQLITE_OK;
	case SQLITE_FCNTL_MMAP_SIZE:
		control_view_limit(file, argument);
		return SQLITE_OK;
	case SQLITE_FCNTL_HAS_MOVED:
		*(int *)argument = has_moved(file);
		return SQLITE_OK;
	case SQLITE_FCNTL_VFSNAME:
	case SQLITE_FCNTL_TEMPFILENAME:
		return control_names(file, operation, argument);
#ifdef SQLITE_FCNTL_EXTERNAL_READER
	case SQLITE_FCNTL_EXTERNAL_READER:
		/* No other process reads the database. */
		*(int *)argument = 0;
		return SQLITE_OK;
#endif
	case MFS__SQLITE_FCNTL_FILE:
		return control_question(file, argument);
	default:
		return SQLITE_NOTFOUND;
	}
}

static int file_sector_size(sqlite3_file *base)
{
	(void)base;
	/* Nothing is ever lost around what is written. SQLite makes 512 bytes of less. */
	return 512;
}

static int file_characteristics(sqlite3_file *base)
{
	/*
	 * Nobody ever sees a part of a write, or a later write without an earlier one: neither other
	 * threads nor copies of the tree. And nothing is lost but all of it.
	 */
	int flags = SQLITE_IOCAP_ATOMIC | SQLITE_IOCAP_SAFE_APPEND | SQLITE_IOCAP_SEQUENTIAL;

#ifdef SQLITE_IOCAP_SUBPAGE_READ
	flags |= SQLITE_IOCAP_SUBPAGE_READ;
#endif
	if (file_of(base)->is_powersafe)
		flags |= SQLITE_IOCAP_POWERSAFE_OVERWRITE;
	return flags;
}

static int shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **out)
{
	struct mfs__sqlite_file *file = file_of(base);

	return mfs__sqlite_wal_index_map(&file->database->wal_index, &file->wal, region, size,
									 extend != 0, out);
}

static int shm_lock(sqlite3_file *base, int first, int count, int flags)
{
	struct mfs__sqlite_file *file = file_of(base);

	return mfs__sqlite_wal_index_lock(&file->database->wal_index, &file->wal, first, count, flags);
}

static void shm_barrier(sqlite3_file *base)
{
	mfs__sqlite_wal_index_barrier(&file_of(base)->database->wal_index);
}

static int shm_unmap(sqlite3_file *base, int remove)
{
	struct mfs__sqlite_file *file = file_of(base);

	/* The index has no file that could be removed, and goes with its last user anyway. */
	(void)remove;
	mfs__sqlite_wal_index_unmap(&file->database->wal_index, &file->wal);
	return SQLITE_OK;
}

static int file_fetch(sqlite3_file *base, sqlite3_int64 offset, int size, void **out)
{
	struct mfs__sqlite_file *file = file_of(base);
	const void *bytes;

	*out = NULL;
	if (offset + size > file->view_limit)
		return SQLITE_OK;
	if (mfs_view(file->handle, offset, &bytes) >= size + VIEW_MARGIN) {
		*out = (void *)(uintptr_t)bytes;
		file->views++;
	}
	return SQLITE_OK;
}

static int file_unfetch(sqlite3_file *base, sqlite3_int64 offset, void *page)
{
	(void)offset;
	if (page)
		file_of(base)->views--;
	return SQLITE_OK;
}

const sqlite3_io_methods mfs__sqlite_database_methods = {
	.iVersion = 3,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_check_reserved,
	.xFileControl = mfs__sqlite_file_control,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_characteristics,
	.xShmMap = shm_map,
	.xShmLock = shm_lock,
	.xShmBarrier = shm_barrier,
	.xShmUnmap = shm_unmap,
	.xFetch = file_fetch,
	.xUnfetch = file_unfetch,
};

const sqlite3_io_methods mfs__sqlite_file_methods = {
	.iVersion = 1,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = unlocked_lock,
	.xUnlock = unlocked_lock,
	.xCheckReservedLock = unlocked_check_reserved,
	.xFileControl = mfs__sqlite_file_control,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_characteristics,
};
