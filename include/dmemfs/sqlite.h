/* SPDX-License-Identifier: MIT */
/*
 * Databases of SQLite in a workspace: a VFS, which is what SQLite calls the filesystem under it. An
 * optional component: link dmemfs::sqlite (pkg-config dmemfs-sqlite) and SQLite 3.34 or later.
 *
 *     mfs_sqlite_register(fs, "scratch", false);
 *     sqlite3_open_v2("/jobs/a.db", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "scratch");
 *     sqlite3_open("file:/jobs/a.db?vfs=scratch", &db);      (with SQLITE_OPEN_URI or its default)
 *
 * All of SQLite works, unchanged: any number of connections, from any threads, to one database; all
 * journal modes, WAL included; ATTACH, VACUUM, backups, temporary tables. What is particular:
 *
 *   Durability  A database lives as long as its workspace. PRAGMA synchronous and sync calls cost
 *               and change nothing: each write is there for all others at once, and whole.
 *   Paths       As in dmemfs.h, from the root; directories must exist. At most 504 bytes in normal
 *               form, as SQLite has fixed buffers for names, and 247 in the last component, as it
 *               puts "-journal" behind it.
 *   Locking     Connections lock each other out as SQLite documents it, see "File Locking And
 *               Concurrency". These locks belong to the file, whatever name or VFS it was opened
 *               by, and only connections know of them.
 *   Other calls For calls of dmemfs.h a database in use is a file with MFS_O_SHARED handles. It can
 *               be removed or renamed, and its connections can still read it, but write to it no
 *               more (SQLITE_READONLY_DBMOVED). It can be read and written, at the user's risk. A
 *               handle that keeps the file's lock makes connections wait, up to the workspace's
 *               default_lock_timeout; then they give SQLITE_BUSY where a transaction begins, and
 *               within one SQLITE_IOERR.
 *   Limits      Without room (MFS_EQUOTA, MFS_EMEMGUARD, MFS_ENODES) SQLite gives SQLITE_FULL, and
 *               the transaction can be rolled back. Journals, the WAL, and temporary files are
 *               files of the workspace and are charged; PRAGMA temp_store=MEMORY keeps the latter
 *               out of it. The index of a WAL is memory of the process, 32 KiB for about 4,000
 *               pages in the WAL, and not charged.
 *   Storage     Writes are not at the end of a file: MFS_STORAGE_SEQUENTIAL is not for databases,
 *               and a database that was imported and is larger than promotion_hard_limit can only
 *               be read. Both give SQLITE_IOERR_WRITE.
 *   Memory map  PRAGMA mmap_size is for databases that are opened with immutable=1 in the URI:
 *               pages are then looked at where they are in the file's memory, without a copy, but
 *               for those at the end of a chunk. Such a connection keeps the file's lock, shared,
 *               until it is closed, so that nobody can write. For all other databases the size
 *               stays 0: what is written to a file that shares its memory with a copy gets new
 *               memory, and a pointer to the old one would be left behind.
 *   Fork        As SQLite says, a child must not touch connections of its parent. Nor may it use
 *               the VFS, whose locks are still held there by connections that it cannot close.
 *
 * The loadable extension dmemfs_sqlite.so, beside the library in dmemfs/, is for programs that know
 * nothing of dmemfs. Loading it makes a workspace and registers it as "dmemfs" until the process
 * ends: `.load` of the shell, sqlite3_load_extension(), and what bindings make of it. The
 * environment's DMEMFS_QUOTA is the workspace's max_quota: bytes, or with K, M, G or T behind them
 * KiB, MiB, GiB or TiB. Default 256M. It contains the component, and shares nothing with it.
 */
#ifndef DMEMFS_SQLITE_H
#define DMEMFS_SQLITE_H

#include "dmemfs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A connection, as in <sqlite3.h>. */
struct sqlite3;

/**
 * Make a workspace known to SQLite as a VFS of this name, of 1 to 255 bytes. `make_default`: it is
 * used where no VFS is named. A workspace may have several.
 *
 * Until it is unregistered it counts as an open handle: mfs_free() gives MFS_EBUSY.
 *
 * Errors: MFS_EEXIST (SQLite has a VFS of this name), MFS_EINVAL, MFS_ENOTSUP (SQLite was built
 * without a VFS for the host's files, which has the clock), MFS_ENOMEM. Returns 0.
 */
MFS_API int mfs_sqlite_register(mfs *fs, const char *name, bool make_default);

/**
 * Take back a VFS. If it was the default, the one before it is again.
 *
 * Thread safety: no connection may be opened by this name meanwhile, and none may be left that was,
 * not even one to ":memory:", of which this call knows nothing.
 *
 * Errors: MFS_EBUSY (a file is open by it; nothing has changed), MFS_ENOENT (SQLite has no VFS of
 * this name), MFS_EINVAL (it is not one of this library). Returns 0.
 */
MFS_API int mfs_sqlite_unregister(const char *name);

/**
 * Copy the main database of a connection, which may be in use by any number of others, to a new
 * file of the same workspace. The copy is a database of its own, as the original was at one instant
 * during this call. Missing directories are made.
 *
 * Bytes are not copied but shared, as by mfs_copy(): a database of 1 GiB takes some hundred
 * microseconds. The copy is charged in full. It has generation 0, as what mfs_copy_tree() makes.
 *
 * This is a read transaction, and waits for writers as such: as long as the connection's busy
 * handler says. In the rollback modes nobody writes to the database meanwhile. In WAL mode writers
 * go on, and the WAL is copied, too, to `path` with "-wal" behind it: both appear at one instant,
 * and whoever opens the copy finds all that was committed; also what was committed after the
 * read transaction began in which the connection may be. If it is in a transaction that has not
 * read yet, this is its first read.
 *
 * Thread safety: holds the connection's mutex; a connection that was opened with
 * SQLITE_OPEN_NOMUTEX must not be used by other threads meanwhile, as ever.
 *
 * Errors: MFS_EBUSY (the connection is inside a write transaction; SQLITE_BUSY or SQLITE_LOCKED),
 * MFS_EEXIST (there is something at `path`, or at `path` with "-wal" or "-journal" behind it),
 * MFS_EINVAL (the database is not in a workspace; path), MFS_EFORMAT (it is damaged, or no
 * database), MFS_ECANCELED (sqlite3_interrupt()), MFS_EHOST (SQLite failed otherwise), MFS_ENOTDIR,
 * MFS_EISDIR, MFS_ENAMETOOLONG, MFS_EQUOTA, MFS_EMEMGUARD, MFS_ENODES, MFS_ETIMEDOUT, MFS_EMFILE,
 * MFS_ENOMEM. mfs_last_error() has the message of SQLite. Returns 0.
 */
MFS_API int mfs_sqlite_snapshot(struct sqlite3 *db, const char *path);

#ifdef __cplusplus
}
#endif

#endif
