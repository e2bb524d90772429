/* SPDX-License-Identifier: MIT */
/* Opening of files. */
#include "error.h"
#include "file.h"

#include <string.h>

#define ALL_TYPES                                                                                  \
	(SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_TRANSIENT_DB |                        \
	 SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_TEMP_JOURNAL | SQLITE_OPEN_SUBJOURNAL |                \
	 SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL)

void mfs__sqlite_temp_name(char *out)
{
	uint64_t number;

	sqlite3_randomness(sizeof number, &number);
	(void)sqlite3_snprintf(MFS__SQLITE_TEMP_SIZE, out, "/.sqlite-%016llx",
						   (unsigned long long)number);
}

/* A file without a name. It is in an import, where nobody finds it, and goes with that. */
static int open_nameless(struct mfs__sqlite_file *file)
{
	int code = mfs_import_begin(file->vfs->fs, &file->import);

	if (code)
		return code;
	code = mfs_import_open(file->import, "temporary", "x+b", NULL, &file->handle);
	if (code) {
		(void)mfs_import_abort(file->import);
		file->import = NULL;
	}
	return code;
}

static int open_shared(mfs *fs, const char *path, const char *mode, mfs_file **out)
{
	const mfs_open_options options = {.struct_size = sizeof options, .flags = MFS_O_SHARED};

	return mfs_open_ex(fs, path, mode, &options, out);
}

/*
 * Open a file that may be there, or make it. Others may remove and make it meanwhile. Without a
 * parent, neither way works.
 */
static int open_or_make(mfs *fs, const char *path, bool is_likely_new, mfs_file **out)
{
	bool makes = is_likely_new;

	for (;;) {
		int code = open_shared(fs, path, makes ? "x+b" : "r+b", out);
		if (code != (makes ? MFS_EEXIST : MFS_ENOENT))
			return code;
		makes = !makes;
	}
}

static int open_named(struct mfs__sqlite_file *file, int flags)
{
	mfs *fs = file->vfs->fs;

	if (file->is_immutable)
		return mfs_open(fs, file->path, "rb", &file->handle);
	if (!(flags & SQLITE_OPEN_READWRITE))
		return open_shared(fs, file->path, "rb", &file->handle);
	if (!(flags & SQLITE_OPEN_CREATE))
		return open_shared(fs, file->path, "r+b", &file->handle);
	if (flags & SQLITE_OPEN_EXCLUSIVE)
		return open_shared(fs, file->path, "x+b", &file->handle);
	return open_or_make(fs, file->path, file->type == SQLITE_OPEN_MAIN_JOURNAL, &file->handle);
}

/* Returns 0, or a code, and then nothing is open. */
static int open_file(struct mfs__sqlite_file *file, int flags)
{
	struct mfs__sqlite_database *database = NULL;
	mfs_info info;

	if (!file->path)
		return open_nameless(file);
	if (file->type == SQLITE_OPEN_MAIN_DB) {
		database = mfs__sqlite_database_new();
		if (!database)
			return mfs_set_last_error(MFS_ENOMEM, "open of %.200s: %s", file->path,
									  mfs_strerror(MFS_ENOMEM));
	}
	int code = open_named(file, flags);
	if (code) {
		mfs__sqlite_database_free(database);
		return code;
	}
	if (database) {
		/* Cannot fail: the handle is open. */
		(void)mfs_fstat(file->handle, &info);
		file->inode = info.inode;
		file->database = mfs__sqlite_database_join(database, info.inode);
	}
	if (flags & SQLITE_OPEN_DELETEONCLOSE)
		(void)mfs_remove(file->vfs->fs, file->path);
	return 0;
}

static int fail(const char *path, int code)
{
	/* Without waiting, as SQLite can do that by itself. */
	int otherwise = code == MFS_ETIMEDOUT || code == MFS_EBUSY ? SQLITE_BUSY : SQLITE_CANTOPEN;
	int result = mfs__sqlite_result(code, SQLITE_NOMEM, otherwise);

	if (result == SQLITE_CANTOPEN && code != MFS_ENOENT)
		sqlite3_log(result, "dmemfs: %s: %s", path ? path : "temporary file", mfs_last_error());
	return result;
}

int mfs__sqlite_open(sqlite3_vfs *base, const char *path, sqlite3_file *out, int flags,
					 int *out_flags)
{
	struct mfs__sqlite_file *file = (struct mfs__sqlite_file *)out;

	memset(file, 0, sizeof *file);
	file->vfs = (struct mfs__sqlite_vfs *)base;
	file->path = path;
	file->type = flags & ALL_TYPES;
	file->is_fresh = true;
	file->is_powersafe = true;
	if (path && file->type == SQLITE_OPEN_MAIN_DB) {
		file->is_powersafe = sqlite3_uri_boolean(path, "psow", 1) != 0;
		file->is_immutable = sqlite3_uri_boolean(path, "immutable", 0) != 0;
	}
	if (file->is_immutable)
		flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
	(void)atomic_fetch_add_explicit(&file->vfs->files, 1, memory_order_relaxed);
	int code = open_file(file, flags);
	if (code) {
		/* pairs with mfs_sqlite_unregister */
		(void)atomic_fetch_sub_explicit(&file->vfs->files, 1, memory_order_release);
		return fail(path, code);
	}
	out->pMethods = file->database ? &mfs__sqlite_database_methods : &mfs__sqlite_file_methods;
	if (out_flags)
		*out_flags = flags;
	return SQLITE_OK;
}
