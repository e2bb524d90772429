/* SPDX-License-Identifier: MIT */
/*
 * Archives into a workspace, and a workspace into an archive. An optional component: link
 * dmemfs::archive (pkg-config dmemfs-archive). libarchive does the reading and writing.
 *
 * Conventions are those of dmemfs.h: results, timeouts, struct_size, mfs_last_error(). Any thread
 * may call any of these functions at any time; a source that is a descriptor is used by one call at
 * a time.
 *
 * Only directories and regular files come out of an archive, with their names and their bytes:
 * owners, modes and times do not. Entries that could do harm are never followed, see
 * mfs_archive_options.on_unsafe.
 */
#ifndef DMEMFS_ARCHIVE_H
#define DMEMFS_ARCHIVE_H

#include "dmemfs.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Where an archive comes from
 */

/** See mfs_archive_source.kind. */
enum {
	MFS_ARCHIVE_HOST_PATH = 1, /**< a file of the host */
	MFS_ARCHIVE_FD = 2,        /**< a descriptor, read from where it is; a pipe will do */
	MFS_ARCHIVE_MEMORY = 3,    /**< bytes in memory */
	MFS_ARCHIVE_FILE = 4,      /**< a file of a workspace, the one that is expanded to or another */
};

/** What to read. Made by one of the functions below. What it points to is the caller's. */
typedef struct mfs_archive_source {
	int kind;         /**< MFS_ARCHIVE_... */
	int fd;           /**< MFS_ARCHIVE_FD */
	const char *path; /**< MFS_ARCHIVE_HOST_PATH, MFS_ARCHIVE_FILE */
	mfs *fs;          /**< MFS_ARCHIVE_FILE */
	const void *data; /**< MFS_ARCHIVE_MEMORY */
	size_t size;      /**< MFS_ARCHIVE_MEMORY; bytes */
} mfs_archive_source;

/** An archive that is a file of the host. */
static inline mfs_archive_source mfs_archive_from_host(const char *path)
{
	mfs_archive_source source = {MFS_ARCHIVE_HOST_PATH, -1, path, NULL, NULL, 0};
	return source;
}

/** An archive that a descriptor gives. It stays open, and its position is undefined afterwards. */
static inline mfs_archive_source mfs_archive_from_fd(int fd)
{
	mfs_archive_source source = {MFS_ARCHIVE_FD, fd, NULL, NULL, NULL, 0};
	return source;
}

/** An archive in memory, which must not change during the call. */
static inline mfs_archive_source mfs_archive_from_memory(const void *data, size_t size)
{
	mfs_archive_source source = {MFS_ARCHIVE_MEMORY, -1, NULL, NULL, data, size};
	return source;
}

/** An archive that is a file of a workspace. It is held open for reading during the call. */
static inline mfs_archive_source mfs_archive_from_file(mfs *fs, const char *path)
{
	mfs_archive_source source = {MFS_ARCHIVE_FILE, -1, path, fs, NULL, 0};
	return source;
}

/*
 * Formats of one's own
 */

/** The bytes of an archive, for an adapter that reads it. Opaque. */
typedef struct mfs_archive_input mfs_archive_input;

/**
 * Read up to `size` bytes of the archive from where the last read ended, the first bytes that were
 * probed included.
 *
 * Errors: those of the source. Returns the bytes read, less than `size` only at the end, 0 there.
 */
MFS_API int64_t mfs_archive_read(mfs_archive_input *input, void *buffer, size_t size);

/** What an entry is. */
enum {
	MFS_ARCHIVE_ENTRY_FILE = 1,
	MFS_ARCHIVE_ENTRY_DIRECTORY = 2,
	MFS_ARCHIVE_ENTRY_OTHER = 3, /**< a link, a device, a socket, a pipe: unsafe */
};

/** An entry of an archive, as an adapter tells of it. */
typedef struct mfs_archive_entry {
	const char *path; /**< as the archive has it; valid until the next call of next() or close() */
	int kind;         /**< MFS_ARCHIVE_ENTRY_... */
	int64_t size;     /**< bytes that it says it has, or -1; what read() gives is what counts */
} mfs_archive_entry;

/**
 * A format that a user adds. Every function is called by the thread that expands, with no lock
 * held. A negative number that they return ends the expansion with that code; what they noted with
 * mfs_set_last_error() is kept as the reason.
 */
typedef struct mfs_archive_adapter {
	size_t struct_size;
	const char *name; /**< of the format, for messages */
	/**
	 * Is it this format? `head` are the first bytes, up to 64 KiB of them, all of a shorter
	 * archive. Returns true if the adapter takes it.
	 */
	bool (*probe)(void *user, const void *head, size_t size);
	/** Begin. Returns 0 and in *archive what the other functions get, or a code. */
	int (*open)(void *user, mfs_archive_input *input, void **archive);
	/** Go to the next entry, also if the last one was not read to its end. Returns 1, 0, a code. */
	int (*next)(void *archive, mfs_archive_entry *entry);
	/** Read on in the entry's bytes. Returns how many, 0 at its end, or a code. */
	int64_t (*read)(void *archive, void *buffer, size_t size);
	/** End. Called once for each open() that succeeded. */
	void (*close)(void *archive);
	/** Passed to probe and open. */
	void *user;
} mfs_archive_adapter;

/*
 * Expanding
 */

/** What happens with a file whose name the workspace has; see mfs_archive_options.on_conflict. */
enum {
	MFS_ARCHIVE_ERROR = 0,     /**< MFS_EEXIST */
	MFS_ARCHIVE_SKIP = 1,      /**< the workspace's stays */
	MFS_ARCHIVE_OVERWRITE = 2, /**< the archive's replaces it */
};

/** What happens with entries that are not to be expanded; see mfs_archive_options.on_unsafe. */
enum {
	MFS_ARCHIVE_REFUSE_UNSAFE = 0, /**< the call fails */
	MFS_ARCHIVE_SKIP_UNSAFE = 1,   /**< they are left out, and counted */
};

/** Flags for mfs_archive_options.flags. */
enum {
	/**
	 * Read everything that libarchive reads by itself: also 7-Zip, RAR, CAB, ISO 9660, cpio, ar and
	 * so on, and what is compressed in other ways. No program is run for it. More code then meets
	 * what may have been made by an enemy, and some of these formats keep lists of their entries in
	 * memory that no quota limits.
	 */
	MFS_ARCHIVE_ALL_FORMATS = 1u << 0,
};

/**
 * How far an expansion or a creation has come. Counts only grow, but for `files` at the end of an
 * atomic expansion, where those that are conflicts are taken out.
 */
typedef struct mfs_archive_progress {
	uint64_t entries;     /**< met so far */
	uint64_t files;       /**< written */
	uint64_t directories; /**< entries that are directories */
	uint64_t bytes;       /**< of files, written */
	uint64_t unsafe;      /**< entries left out, see on_unsafe */
	/** Files left out as the workspace has them. Of an atomic expansion: known at its end. */
	uint64_t conflicts;
	const char *path; /**< of the entry that is at work; valid during the call; NULL: the end */
} mfs_archive_progress;

/** Options of an expansion. A zeroed field means its default; struct_size as in mfs_options. */
typedef struct mfs_archive_options {
	size_t struct_size;
	/**
	 * MFS_ARCHIVE_ERROR, MFS_ARCHIVE_SKIP or MFS_ARCHIVE_OVERWRITE: a file that the workspace has.
	 * Directories that exist stay, with what else is in them. A file where the workspace has a
	 * directory, or the other way round, is left out by SKIP and else MFS_EISDIR or MFS_ENOTDIR.
	 */
	int on_conflict;
	/**
	 * MFS_ARCHIVE_REFUSE_UNSAFE or MFS_ARCHIVE_SKIP_UNSAFE: entries whose path is absolute, names a
	 * drive, has a ".." or a '\', or is empty; a name or path that is too long; anything but a file
	 * or a directory, hard links included; a file whose name came before in the archive; a file
	 * where the archive has a directory, and the other way round; entries that are encrypted. The
	 * code is MFS_EINVAL, MFS_ENAMETOOLONG, MFS_ENOTSUP (no file and no directory, or encrypted),
	 * MFS_EEXIST, MFS_EISDIR or MFS_ENOTDIR. mfs_last_error() names the entry.
	 */
	int on_unsafe;
	/** 0 or MFS_ARCHIVE_ALL_FORMATS. */
	unsigned flags;
	/** How many `adapters` there are. */
	unsigned adapter_count;
	/** Formats that are tried before those of libarchive, in this order. */
	const mfs_archive_adapter *const *adapters;
	/**
	 * Called by the calling thread with no lock held, before each entry, about every 100 ms in long
	 * ones that are written, and at the end, for an atomic expansion before it becomes visible. To
	 * return false cancels: MFS_ECANCELED.
	 */
	bool (*on_progress)(void *user, const mfs_archive_progress *progress);
	/** Passed to on_progress. */
	void *user;
	/** Where the final counts go, also those of a failed call. May be NULL. */
	mfs_archive_progress *result;
} mfs_archive_options;

/**
 * Expand an archive into a directory of the workspace, which is made with its parents if missing:
 * all of it at one instant, or nothing, for all who look. `options` may be NULL.
 *
 * Reads tar (ustar, pax, GNU) and zip, plain or compressed by gzip, bzip2, xz, lzma, zstd or lz4;
 * more with MFS_ARCHIVE_ALL_FORMATS and with adapters. Checksums are looked at where the format has
 * them, for which a compressed archive is read to the end of its source, up to 16 MiB behind its
 * entries. A tar may end after any entry, as some writers leave its end out. A zip from a pipe, or
 * that is compressed once more, is read without its directory, so that links in it are taken for
 * files that hold their targets; any other has to have one, with at most 16 KiB of comment behind
 * it.
 *
 * Names are bytes, whatever the locale; those that a format other than tar says are Unicode come as
 * UTF-8. libarchive ends a name at a NUL in it, and reads '\' as '/' in a zip that DOS has made.
 *
 * What has been read is charged to the quota at once; it is in mfs_import_begin()'s import until
 * all of it has come. So quota and max_nodes stop an archive that grows too large, and then nothing
 * is left of it; a large file is refused before it is read if it says that it cannot fit. What is
 * replaced stays charged until the end, so that there must be room for both.
 *
 * More than 1 MiB of a compressed archive, unless it comes from a pipe, is decompressed by a thread
 * that ends with the call. Memory besides the quota: 1.5 MiB, and what the format takes: the
 * directory of a zip, 50 MiB at most for the map of a sparse file in a tar, and the window of the
 * compression, which the archive's maker chose. That is 64 MiB at most as programs usually write
 * it, but could be 4 GiB for xz; it is address space only, until as much has been read.
 *
 * Errors: MFS_EFORMAT (damaged, cut short, or of no format that is known), those named at
 * on_conflict and on_unsafe, MFS_EHOST (the host refuses to read), MFS_EQUOTA, MFS_EMEMGUARD,
 * MFS_ENODES, MFS_ECANCELED, MFS_EBUSY (a handle holds a file that would be replaced), MFS_ENOTDIR
 * (`to` or a parent is a file), MFS_EINVAL, MFS_ENAMETOOLONG, MFS_ENOMEM; for MFS_ARCHIVE_FILE
 * those of mfs_open().
 * Returns how many files have come in.
 */
MFS_API int64_t mfs_expand_archive(mfs *fs, const char *to, const mfs_archive_source *source,
								   const mfs_archive_options *options);

/**
 * Expand an archive file by file: each appears, whole, as soon as it has been read, so that others
 * can work on the first while the last is still to come, and free them. Otherwise as
 * mfs_expand_archive().
 *
 * A file whose name came before in the archive meets the first one in the workspace, if it is still
 * there, and on_conflict says what happens. A call that fails leaves the files that it had
 * completed, and no part of one; options.result says how many. Errors and return as above.
 */
MFS_API int64_t mfs_expand_archive_streaming(mfs *fs, const char *to,
											 const mfs_archive_source *source,
											 const mfs_archive_options *options);

/*
 * Creating
 */

/** Formats of an archive that is made; see mfs_archive_create_options.format. */
enum {
	MFS_ARCHIVE_TAR_ZSTD = 0, /**< pax restricted, compressed by zstd */
	MFS_ARCHIVE_TAR_GZIP = 1, /**< pax restricted, compressed by gzip */
	MFS_ARCHIVE_ZIP = 2,      /**< deflated */
	MFS_ARCHIVE_TAR = 3,      /**< pax restricted, not compressed */
};

/** Options of a creation. A zeroed field means its default; struct_size as in mfs_options. */
typedef struct mfs_archive_create_options {
	size_t struct_size;
	/** MFS_ARCHIVE_TAR_ZSTD, MFS_ARCHIVE_TAR_GZIP, MFS_ARCHIVE_ZIP or MFS_ARCHIVE_TAR. */
	int format;
	/**
	 * Compression level as the compressor counts, 1 to 9 (zstd: 22); 0: its default. It means
	 * nothing for MFS_ARCHIVE_TAR.
	 */
	int level;
	/** 0, or MFS_ONLY_DIRTY. */
	unsigned flags;
	unsigned reserved;
	/** As in mfs_archive_options. */
	bool (*on_progress)(void *user, const mfs_archive_progress *progress);
	void *user;
	mfs_archive_progress *result;
} mfs_archive_create_options;

/**
 * Write a directory of the workspace, with all below it, or a single file, to a descriptor of the
 * host as an archive. Names in it are relative to `path`; a single file has its own name.
 * `options` may be NULL.
 *
 * Directories are read as mfs_walk_next() reads them; each file is as of one instant, and held open
 * for reading while it is written. The bytes go from the file's memory to the compressor. Entries
 * come in the walk's order: a directory, its files, then its directories, each sorted. They have
 * mode 0644 or 0755, owner 0 and the time of modification in whole seconds, so that equal trees
 * with equal times make equal archives (of zip, in one time zone). Names are bytes in any locale.
 * Files that are removed meanwhile are left out. With MFS_ONLY_DIRTY, directories have no entries.
 *
 * Memory besides: what the compressor needs, and 256 KiB. Short writes, and writes that a signal
 * interrupts, are repeated; SIGPIPE comes as from write().
 *
 * Errors: MFS_EHOST (errno has the reason), MFS_EBUSY and MFS_ETIMEDOUT (a file held for writing;
 * mfs_last_error() names it), MFS_ECANCELED, MFS_ENOENT, MFS_ENOTDIR, MFS_EINVAL,
 * MFS_ENAMETOOLONG, MFS_EMFILE, MFS_ENOMEM, MFS_ENOTSUP (libarchive was built without this
 * compression). What was written before a failure is no archive.
 * Returns how many files are in it.
 */
MFS_API int64_t mfs_create_archive(mfs *fs, const char *path, int fd,
								   const mfs_archive_create_options *options);

#ifdef __cplusplus
}
#endif

#endif
