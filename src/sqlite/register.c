/* SPDX-License-Identifier: MIT */
/* Workspaces become known to SQLite, and unknown. */
#include <dmemfs/sqlite.h>

#include "error.h"
#include "vfs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Held while names are looked up and given or taken away. */
static pthread_mutex_t names = PTHREAD_MUTEX_INITIALIZER;

static int refuse(int code, const char *call, const char *name)
{
	return mfs_set_last_error(code, "%s of %.200s: %s", call, name, mfs_strerror(code));
}

/* SQLite's own VFS: the default one, or the one below if that is of this library. */
static sqlite3_vfs *find_host(void)
{
	sqlite3_vfs *first = sqlite3_vfs_find(NULL);
	struct mfs__sqlite_vfs *ours = first ? mfs__sqlite_vfs_of(first) : NULL;

	return ours ? ours->host : first;
}

/* With the mutex. */
static int register_vfs(mfs *fs, const char *name, size_t length, bool make_default)
{
	static const char call[] = "mfs_sqlite_register";

	/* This also makes SQLite ready for use. */
	if (sqlite3_vfs_find(name))
		return mfs_set_last_error(MFS_EEXIST, "%s of %.200s: SQLite has a VFS of this name", call,
								  name);
	sqlite3_vfs *host = find_host();
	if (!host)
		return mfs_set_last_error(MFS_ENOTSUP, "%s of %.200s: SQLite has no VFS of its own", call,
								  name);
	struct mfs__sqlite_vfs *vfs = malloc(sizeof *vfs + length + 1);
	if (!vfs)
		return refuse(MFS_ENOMEM, call, name);
	mfs__sqlite_vfs_init(&vfs->base);
	memcpy(vfs->name, name, length + 1);
	vfs->base.zName = vfs->name;
	vfs->fs = fs;
	vfs->host = host;
	atomic_init(&vfs->files, 0);
	int code = mfs_node_root(fs, &vfs->root);
	if (!code) {
		int result = sqlite3_vfs_register(&vfs->base, make_default);
		if (!result)
			return 0;
		(void)mfs_node_put(vfs->root);
		code = refuse(mfs__sqlite_code(result), call, name);
	}
	free(vfs);
	return code;
}

int mfs_sqlite_register(mfs *fs, const char *name, bool make_default)
{
	if (!fs || !name)
		return mfs_set_last_error(MFS_EINVAL, "mfs_sqlite_register: NULL");
	size_t length = strnlen(name, MFS_NAME_MAX + 1);
	if (length == 0 || length > MFS_NAME_MAX)
		return mfs_set_last_error(MFS_EINVAL, "mfs_sqlite_register: the name is %s",
								  length ? "too long" : "empty");
	(void)pthread_mutex_lock(&names);
	int code = register_vfs(fs, name, length, make_default);
	(void)pthread_mutex_unlock(&names);
	return code;
}

/* With the mutex. */
static int unregister_vfs(const char *name)
{
	static const char call[] = "mfs_sqlite_unregister";
	sqlite3_vfs *found = sqlite3_vfs_find(name);

	if (!found)
		return mfs_set_last_error(MFS_ENOENT, "%s of %.200s: SQLite has no VFS of this name", call,
								  name);
	struct mfs__sqlite_vfs *vfs = mfs__sqlite_vfs_of(found);
	if (!vfs)
		return mfs_set_last_error(MFS_EINVAL, "%s of %.200s: it is not of this library", call,
								  name);
	/* pairs with the end of file_close */
	uint64_t files = atomic_load_explicit(&vfs->files, memory_order_acquire);
	if (files)
		return mfs_set_last_error(MFS_EBUSY, "%s of %.200s: %llu files are open", call, name,
								  (unsigned long long)files);
	(void)sqlite3_vfs_unregister(found);
	(void)mfs_node_put(vfs->root);
	free(vfs);
	return 0;
}

int mfs_sqlite_unregister(const char *name)
{
	if (!name)
		return mfs_set_last_error(MFS_EINVAL, "mfs_sqlite_unregister: NULL");
	(void)pthread_mutex_lock(&names);
	int code = unregister_vfs(name);
	(void)pthread_mutex_unlock(&names);
	return code;
}
