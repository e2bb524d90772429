/* SPDX-License-Identifier: MIT */
/* What SQLite asks of a VFS besides opening files. */
#include "vfs.h"

#include "error.h"
#include "file.h"
#include "path.h"

#include <string.h>

static struct mfs__sqlite_vfs *vfs_of(sqlite3_vfs *base)
{
	return (struct mfs__sqlite_vfs *)base;
}

static sqlite3_vfs *host_of(sqlite3_vfs *base)
{
	return vfs_of(base)->host;
}

static int vfs_delete(sqlite3_vfs *base, const char *path, int sync_directory)
{
	(void)sync_directory;
	int code = mfs_remove(vfs_of(base)->fs, path);
	if (!code)
		return SQLITE_OK;
	if (code == MFS_ENOENT)
		return SQLITE_IOERR_DELETE_NOENT;
	int result = mfs__sqlite_result(code, SQLITE_IOERR_NOMEM, SQLITE_IOERR_DELETE);
	if (result == SQLITE_IOERR_DELETE)
		sqlite3_log(result, "dmemfs: %s: %s", path, mfs_last_error());
	return result;
}

static int vfs_access(sqlite3_vfs *base, const char *path, int flags, int *out)
{
	mfs *fs = vfs_of(base)->fs;
	mfs_info info;

	/* First the question that notes no error: mostly SQLite looks for journals that are not there.
	 */
	*out = mfs_exists(fs, path);
	if (*out && flags == SQLITE_ACCESS_EXISTS) {
		/* A file without a byte is no journal, and counts as none. */
		*out = mfs_stat(fs, path, &info) == 0 && (info.is_dir || info.size > 0);
	}
	return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *base, const char *path, int size, char *out)
{
	(void)base;
	int code = mfs__sqlite_normal_path(path, out, (size_t)size);
	return code ? mfs__sqlite_result(code, SQLITE_NOMEM, SQLITE_CANTOPEN) : SQLITE_OK;
}

static void *vfs_library_open(sqlite3_vfs *base, const char *path)
{
	return host_of(base)->xDlOpen(host_of(base), path);
}

static void vfs_library_error(sqlite3_vfs *base, int size, char *out)
{
	host_of(base)->xDlError(host_of(base), size, out);
}

static void (*vfs_library_symbol(sqlite3_vfs *base, void *library, const char *name))(void)
{
	return host_of(base)->xDlSym(host_of(base), library, name);
}

static void vfs_library_close(sqlite3_vfs *base, void *library)
{
	host_of(base)->xDlClose(host_of(base), library);
}

static int vfs_randomness(sqlite3_vfs *base, int size, char *out)
{
	return host_of(base)->xRandomness(host_of(base), size, out);
}

static int vfs_sleep(sqlite3_vfs *base, int microseconds)
{
	return host_of(base)->xSleep(host_of(base), microseconds);
}

static int vfs_time(sqlite3_vfs *base, double *days)
{
	return host_of(base)->xCurrentTime(host_of(base), days);
}

static int vfs_time_int64(sqlite3_vfs *base, sqlite3_int64 *milliseconds)
{
	sqlite3_vfs *host = host_of(base);
	double days;

	if (host->iVersion >= 2 && host->xCurrentTimeInt64)
		return host->xCurrentTimeInt64(host, milliseconds);
	int result = host->xCurrentTime(host, &days);
	*milliseconds = (sqlite3_int64)(days * 86400000.0);
	return result;
}

static int vfs_last_error(sqlite3_vfs *base, int size, char *out)
{
	(void)base;
	if (size > 0 && out)
		(void)sqlite3_snprintf(size, out, "%s", mfs_last_error());
	return mfs__sqlite_last_errno();
}

struct mfs__sqlite_vfs *mfs__sqlite_vfs_of(sqlite3_vfs *vfs)
{
	return vfs->xOpen == mfs__sqlite_open ? vfs_of(vfs) : NULL;
}

void mfs__sqlite_vfs_init(sqlite3_vfs *base)
{
	*base = (sqlite3_vfs){
		.iVersion = 3,
		.szOsFile = (int)sizeof(struct mfs__sqlite_file),
		.mxPathname = MFS__SQLITE_PATH_MAX,
		.xOpen = mfs__sqlite_open,
		.xDelete = vfs_delete,
		.xAccess = vfs_access,
		.xFullPathname = vfs_full_path,
		.xDlOpen = vfs_library_open,
		.xDlError = vfs_library_error,
		.xDlSym = vfs_library_symbol,
		.xDlClose = vfs_library_close,
		.xRandomness = vfs_randomness,
		.xSleep = vfs_sleep,
		.xCurrentTime = vfs_time,
		.xGetLastError = vfs_last_error,
		.xCurrentTimeInt64 = vfs_time_int64,
	};
}
