/* SPDX-License-Identifier: MIT */
/*
 * dmemfs: an in-process filesystem in memory, for many threads, under a hard quota.
 *
 * A workspace (`mfs`) holds a tree of directories and files inside one process. Threads need no
 * registration and no set-up: any thread may call any function on any workspace or handle at any
 * time, except where a comment says otherwise.
 *
 * Conventions
 *
 *   Results     A function returns 0, a count (>= 0), or a negative `MFS_E...` code. When a code
 *               comes back, nothing has changed. mfs_strerror() explains a code;
 *               mfs_last_error() tells what this thread's last failure was about.
 *   Paths       Absolute, separated by '/'; '\' reads as '/'. A path without a leading separator,
 *               and "", start at the root. Empty components and "." are dropped, ".." takes back
 *               the component before it, as text; to climb above the root is MFS_EINVAL. Names
 *               are bytes: 1 to MFS_NAME_MAX of them, anything but NUL, '/' and '\', compared
 *               exactly. A path is at most MFS_PATH_MAX bytes long. There are no links.
 *   Sizes       Bytes. Offsets and sizes are signed 64-bit numbers, never negative.
 *   Timeouts    Milliseconds on the monotonic clock, MFS_NO_WAIT, or MFS_WAIT_FOREVER. A zeroed
 *               field means its default, so "do not wait" has a name of its own.
 *   NULL        A NULL argument that is not said to be allowed gives MFS_EINVAL.
 *
 * Locking of files
 *
 *   Every file has a fair reader-writer lock. A handle takes it when it is opened and keeps it
 *   until it is closed: shared for mode "rb", exclusive for the other modes. While a handle holds
 *   it, remove and rename of the file answer MFS_EBUSY at once. A handle opened with MFS_O_SHARED
 *   takes the lock for the length of each call instead, as POSIX descriptors seem to: such
 *   handles never stand in the way of remove and rename, and a file that is removed under them
 *   lives on, charged, until the last of them is closed.
 *
 * Fork
 *
 *   After fork() the child has its own copy of every workspace and of every open handle, in a
 *   consistent state, whatever other threads were doing: calls that were under way in other
 *   threads either happened completely before the fork or have no effect in the child. Handles
 *   stay open in the child and keep their file locks until the child closes them.
 */
#ifndef DMEMFS_DMEMFS_H
#define DMEMFS_DMEMFS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#if defined(__GNUC__)
#define MFS_API                 __attribute__((visibility("default")))
#define MFS_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define MFS_API
#define MFS_PRINTF(text, first)
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define MFS_VERSION_MAJOR 0
#define MFS_VERSION_MINOR 1
#define MFS_VERSION_PATCH 0

/** The longest name of a file or directory, in bytes, without the terminating NUL. */
#define MFS_NAME_MAX 255
/** The longest path, in bytes, without the terminating NUL. */
#define MFS_PATH_MAX 65535

/** A timeout that never runs out. */
#define MFS_WAIT_FOREVER INT64_C(-1)
/** A timeout that tries once and does not wait: MFS_EBUSY instead of MFS_ETIMEDOUT. */
#define MFS_NO_WAIT INT64_C(-2)

/*
 * Errors
 */

/**
 * Every error: name, value, message. The value is -errno where an errno says the same. The one
 * list from which the enum, mfs_error_name() and mfs_strerror() are made.
 */
#define MFS_ERROR_MAP(X)                                                                           \
	X(MFS_EINVAL, -EINVAL, "invalid argument")                                                     \
	X(MFS_ENOENT, -ENOENT, "no such file or directory")                                            \
	X(MFS_EEXIST, -EEXIST, "file or directory exists")                                             \
	X(MFS_EISDIR, -EISDIR, "is a directory")                                                       \
	X(MFS_ENOTDIR, -ENOTDIR, "not a directory")                                                    \
	X(MFS_ENOTEMPTY, -ENOTEMPTY, "directory not empty")                                            \
	X(MFS_ENAMETOOLONG, -ENAMETOOLONG, "path or name too long")                                    \
	X(MFS_EBUSY, -EBUSY, "in use by an open handle")                                               \
	X(MFS_ETIMEDOUT, -ETIMEDOUT, "timed out")                                                      \
	X(MFS_EBADF, -EBADF, "handle is closed, or not open for this")                                 \
	X(MFS_ENOTSUP, -ENOTSUP, "not supported")                                                      \
	X(MFS_EFBIG, -EFBIG, "file would grow past the largest offset")                                \
	X(MFS_EMFILE, -EMFILE, "too many open handles")                                                \
	X(MFS_ENOMEM, -ENOMEM, "out of memory")                                                        \
	X(MFS_EQUOTA, -EDQUOT, "quota exceeded")                                                       \
	X(MFS_ENODES, -ENOSPC, "limit of files and directories reached")                               \
	X(MFS_ECANCELED, -ECANCELED, "canceled")                                                       \
	X(MFS_EAGAIN, -EAGAIN, "no room in the queue now")                                             \
	X(MFS_EILSEQ, -EILSEQ, "not a character of the encoding")                                      \
	X(MFS_EMEMGUARD, -1000, "refused by the memory guard")                                         \
	X(MFS_EHOST, -1001, "refused by the host's filesystem")                                        \
	X(MFS_EFORMAT, -1002, "damaged, or of a format that is not known")

enum {
#define MFS_ERROR_ENUM(name, value, message) name = (value),
	MFS_ERROR_MAP(MFS_ERROR_ENUM)
#undef MFS_ERROR_ENUM
};

/**
 * The message for a code.
 *
 * Returns a constant string, never NULL: "success" for 0 and positive numbers, "unknown error" for
 * a negative number that is no MFS_E code.
 */
MFS_API const char *mfs_strerror(int code);

/** The name of a code, such as "MFS_ENOENT". Returns a constant string, "0" or "unknown". */
MFS_API const char *mfs_error_name(int code);

/**
 * This thread's last failure in full, with path or numbers: "open of /a/b: no such file or
 * directory". Successful calls do not change it, but for those that had to wait for quota;
 * mfs_exists() and its like never do. Paths longer than about 200 bytes are shortened in the
 * middle.
 *
 * Valid until: the thread's next failing call, or its next mfs_last_error().
 * Returns the message, "" when nothing has failed yet. Never NULL.
 */
MFS_API const char *mfs_last_error(void);

/**
 * Note this thread's last failure, for libraries that are built on this one: mfs_last_error() will
 * give the text that `format` and what follows it make, as printf() would, cut after 511 bytes.
 * What mfs_last_error() gave before may be part of it. Successes are not noted.
 *
 * Returns `code`, for `return mfs_set_last_error(MFS_EINVAL, ...)`.
 */
MFS_API int mfs_set_last_error(int code, const char *format, ...) MFS_PRINTF(2, 3);

/** True of MFS_EQUOTA and MFS_ENODES: a limit of the workspace refused the call. */
MFS_API bool mfs_is_quota_error(int code);

/** The library's version, "major.minor.patch". */
MFS_API const char *mfs_version(void);

/*
 * Workspaces
 */

/** A workspace. Opaque. */
typedef struct mfs mfs;

/**
 * An open file. Opaque; not a pointer to be followed. A handle that was closed is recognised: calls
 * on it give MFS_EBADF, also after other files were opened.
 */
typedef struct mfs_file mfs_file;

/** How a file may be written; see mfs_options.default_storage. */
enum {
	MFS_STORAGE_AUTO = 0,          /**< sequential until a write that is not at the end */
	MFS_STORAGE_SEQUENTIAL = 1,    /**< a write that is not at the end is MFS_ENOTSUP */
	MFS_STORAGE_RANDOM_ACCESS = 2, /**< writes anywhere */
};

/** When the memory guard looks; see mfs_options.memory_guard. */
enum {
	MFS_GUARD_NONE = 0,
	/** Once: mfs_new() asks whether max_quota is available. */
	MFS_GUARD_INIT = 1,
	/** Whenever memory is taken for files: against the last sample, less what was taken since. */
	MFS_GUARD_PER_WRITE = 2,
};

/** What the memory guard does; see mfs_options.memory_guard_action. */
enum {
	MFS_GUARD_WARN = 0, /**< on_warning is called, and the call goes on */
	MFS_GUARD_FAIL = 1, /**< the call is refused: MFS_EMEMGUARD */
};

/** Where the memory guard's last sample comes from; see mfs_usage.guard_source. */
enum {
	MFS_MEMORY_UNKNOWN = 0,   /**< no sample, or none that says anything: the guard allows all */
	MFS_MEMORY_SYSTEM = 1,    /**< the whole system's, such as MemAvailable of /proc/meminfo */
	MFS_MEMORY_CGROUP_V1 = 2, /**< a limit of a control group, version 1 */
	MFS_MEMORY_CGROUP_V2 = 3, /**< a limit of a control group, version 2 */
	MFS_MEMORY_HOOK = 4,      /**< mfs_memory_options.available */
};

/**
 * Options of a workspace. A zeroed field means its default, so `mfs_options o = {0}` and NULL are
 * the same. Later versions add fields at the end only, and only look at them when struct_size says
 * that they are there: set it to sizeof(mfs_options). 0 stands for the fields of version 0.1.
 */
typedef struct mfs_options {
	size_t struct_size;
	/** Bytes that files may hold, overhead included. Default 256 MiB. At most INT64_MAX. */
	uint64_t max_quota;
	/** Files and directories that may exist, the root not counted. Default: no limit. */
	uint64_t max_nodes;
	/** MFS_STORAGE_...; how new files may be written. Default MFS_STORAGE_AUTO. */
	int default_storage;
	/** MFS_GUARD_...: default MFS_GUARD_NONE. */
	int memory_guard;
	/** MFS_GUARD_WARN (default) or MFS_GUARD_FAIL. */
	int memory_guard_action;
	/** 0, or 1: what files and directories take besides data counts against max_quota, too. */
	int charge_metadata;
	/**
	 * Milliseconds between two samples of the guard. Default 1000. The process has one thread that
	 * samples, as often as the most impatient workspace wants; where the kernel tells of memory
	 * pressure, also then.
	 */
	int64_t memory_guard_interval;
	/**
	 * Size in bytes up to which a file of MFS_STORAGE_AUTO may become one of random access; past
	 * it, a write that is not at the end is MFS_ENOTSUP. Default 512 MiB.
	 */
	uint64_t promotion_hard_limit;
	/**
	 * Bytes charged for each chunk besides its memory. Default 64, what a chunk's bookkeeping
	 * takes. -1: nothing is charged.
	 */
	int64_t chunk_overhead;
	/** How long open waits for a file's lock. Milliseconds, default 30000. */
	int64_t default_lock_timeout;
	/**
	 * Called with the memory guard's warnings, at most once in an interval, with no lock held, from
	 * the thread that met the cause, at the end of its call. It may call any function of the
	 * library but mfs_free() of this workspace. Default: a line on standard error, once.
	 */
	void (*on_warning)(void *user, const char *message);
	/** Passed to on_warning. */
	void *user;
	/** Bytes of the available memory that the guard leaves alone. Default 16 MiB. */
	uint64_t memory_guard_keep;
	/**
	 * How long calls on handles, mfs_open_ex() with preallocate, and mfs_reservation_new() wait for
	 * quota that they need for data and that there is not, before they give MFS_EQUOTA.
	 * Milliseconds; default MFS_NO_WAIT. See mfs_wait_for_space().
	 */
	int64_t space_timeout;
} mfs_options;

/**
 * Make an empty workspace.
 *
 * `options` may be NULL. Takes some ten microseconds; the process's first workspace also starts the
 * thread that frees removed nodes ("mfs-reclaim", all signals blocked), the first one with
 * MFS_GUARD_PER_WRITE the thread that samples ("mfs-guard", likewise). A memory guard's first
 * sample is taken by this call.
 *
 * Errors: MFS_EINVAL (a field out of range), MFS_EMEMGUARD (MFS_GUARD_INIT), MFS_ENOMEM.
 * Returns 0 and the workspace in *out, to be freed with mfs_free().
 */
MFS_API int mfs_new(const mfs_options *options, mfs **out);

/**
 * Free a workspace and all that is in it. NULL is allowed.
 *
 * Thread safety: no other call on the workspace may be under way or follow. Handles are noticed,
 * calls under way are not.
 * Blocks for a grace period (microseconds, or tens of milliseconds while other workspaces are busy)
 * when it was the last one, whose reclaimer thread ends with it, and for a sample that is being
 * taken when it was the last one with MFS_GUARD_PER_WRITE. A workspace that held 16 MiB or more
 * gives its memory back to the system before this returns; what a smaller one had may stay with the
 * allocator. Calls the functions of buffers that were handed over, see mfs_write_adopt().
 *
 * Errors: MFS_EBUSY (handles are open, or reservations are there; the workspace stays as it is).
 * Returns 0.
 */
MFS_API int mfs_free(mfs *fs);

/** What a workspace holds; see mfs_stats(). */
typedef struct mfs_usage {
	uint64_t used_bytes;     /**< charged now; never more than quota_bytes */
	uint64_t quota_bytes;    /**< the limit */
	uint64_t free_bytes;     /**< quota_bytes - used_bytes */
	uint64_t peak_bytes;     /**< the most that was ever charged at once; see below */
	uint64_t files;          /**< files in the tree */
	uint64_t directories;    /**< directories in the tree, the root not counted */
	uint64_t max_nodes;      /**< limit of files + directories, 0: none */
	uint64_t chunks;         /**< pieces of memory that hold file data */
	uint64_t chunk_overhead; /**< bytes charged for each chunk besides its memory */
	uint64_t open_handles;   /**< handles not closed yet */
	uint64_t retired_bytes;  /**< whole process: removed nodes that wait for readers */
	uint64_t idle_bytes;     /**< whole process: freed memory that is kept for the next file */
	uint64_t reserved_bytes; /**< of used_bytes: set aside by reservations and not drawn yet */
	uint64_t live_bytes;     /**< of used_bytes: all else, what files hold */
	/** Files and directories, names and tables; part of live_bytes if charged. */
	uint64_t metadata_bytes;
	uint64_t waiters; /**< calls that wait for space */
	/* The memory guard: */
	uint64_t guard_available; /**< bytes at the last sample; 0 where the source is unknown */
	int64_t guard_sample_age; /**< milliseconds since that; -1: no sample was taken */
	uint64_t guard_refusals;  /**< how often it refused this workspace, or had to warn */
	int guard_source;         /**< of the last sample, MFS_MEMORY_... */
	int reserved_int;
	uint64_t reserved[8];
} mfs_usage;

/**
 * Count what the workspace holds.
 *
 * Each figure is exact when nobody writes; while others do, it is right to within what they change
 * during the call. Takes no lock but, where there are reservations, that of their list. 200 to 300
 * ns.
 *
 * While several threads write, each may have up to 256 KiB in hand, that is set aside for its next
 * writes and taken back before any call is refused. used_bytes does not count that, but peak_bytes
 * may.
 *
 * Returns 0 and the figures in *out.
 */
MFS_API int mfs_stats(mfs *fs, mfs_usage *out);

/**
 * Wait until `bytes` of the quota are free, so that a write of as much, its overhead included,
 * would succeed: the back-pressure for those who fill a workspace that others empty.
 *
 * The thread sleeps. When space is given back, as many are woken as it is enough for, in the order
 * of arrival; whoever finds that others did not take theirs is woken, too. Nothing is set aside for
 * the caller: use mfs_options.space_timeout for writes that wait, and that get what they wait for,
 * or mfs_reservation_new() for more than one write. `timeout`: milliseconds, 0, MFS_NO_WAIT or
 * MFS_WAIT_FOREVER.
 *
 * Errors: MFS_EQUOTA (more than max_quota, which can never be free), MFS_ETIMEDOUT, MFS_EBUSY
 * (MFS_NO_WAIT), MFS_EINVAL. Returns 0.
 */
MFS_API int mfs_wait_for_space(mfs *fs, uint64_t bytes, int64_t timeout);

/** Quota that is set aside. Opaque. */
typedef struct mfs_reservation mfs_reservation;

/**
 * Set quota aside for a job. Handles that are opened with it (mfs_open_options.reservation) draw on
 * it first, and on the workspace's quota when it is used up. What such a handle gives back, when it
 * truncates a file or is closed with memory ahead, goes back to the reservation, up to what was
 * drawn on it. Any number of handles and threads may share one, at the price of a word that they
 * all write.
 *
 * Charged is the memory of chunks and their overhead: mfs_options.chunk_overhead for each of the
 * chunks that "Without copying" below describes. Waits for quota as a write does, see
 * mfs_options.space_timeout. With a memory guard, what is set aside counts as taken.
 *
 * Errors: MFS_EQUOTA, MFS_EMEMGUARD, MFS_EINVAL (0 bytes, or more than INT64_MAX), MFS_ENOMEM.
 * Returns 0 and the reservation in *out, to be freed with mfs_reservation_free().
 */
MFS_API int mfs_reservation_new(mfs *fs, uint64_t bytes, mfs_reservation **out);

/** Returns the bytes that are left of a reservation, or MFS_EINVAL. */
MFS_API int64_t mfs_reservation_left(mfs_reservation *reservation);

/**
 * End a reservation: what is left of it is free again. NULL is allowed. No other call with it may
 * be under way.
 *
 * Errors: MFS_EBUSY (handles that were opened with it are open). Returns 0.
 */
MFS_API int mfs_reservation_free(mfs_reservation *reservation);

/** How long freed memory is kept; see mfs_memory_options.idle_time. */
#define MFS_IDLE_NONE INT64_C(-1)

/** Whether to ask the system for huge pages; see mfs_memory_options.huge_pages. */
enum {
	MFS_HUGE_PAGES_AUTO = 0, /**< for blocks of 2 MiB and large arenas, where the system has them */
	MFS_HUGE_PAGES_NEVER = 1, /**< never */
};

/** Whether workspaces get arenas of jemalloc; see mfs_memory_options.arenas. */
enum {
	MFS_ARENAS_AUTO = 0,  /**< those of more than 1 MiB, where the process has jemalloc */
	MFS_ARENAS_NEVER = 1, /**< none: the process's allocator is used as it is */
};

/** How the library treats memory. A zeroed field means its default; struct_size as in mfs_options.
 */
typedef struct mfs_memory_options {
	size_t struct_size;
	/** Bytes of freed blocks of 2 MiB that are kept for the next file, at most. Default 512 MiB. */
	uint64_t idle_bytes;
	/** Milliseconds for which freed memory is kept, at least, or MFS_IDLE_NONE. Default 1000. */
	int64_t idle_time;
	/** MFS_HUGE_PAGES_... */
	int huge_pages;
	/** MFS_ARENAS_... */
	int arenas;
	/**
	 * Bytes that may be retired: removed nodes and replaced tables that readers may still look at.
	 * Past it, calls that retire help to wait for the readers and to free. Default 16 MiB.
	 */
	uint64_t retired_bytes;
	/**
	 * Where the memory guard learns how much memory is available, in the place of the system: a
	 * function that returns 0 and the bytes in *available, or anything else when it does not know.
	 * Called by the thread that samples, and by mfs_new(), with no lock held that other calls take;
	 * while it has not returned, the last sample counts.
	 */
	int (*available)(void *user, uint64_t *available);
	/** Passed to available. */
	void *user;
} mfs_memory_options;

/**
 * Choose how the library treats memory, for all workspaces of the process. NULL: the defaults. May
 * be called at any time, by any thread. `idle_bytes` and `idle_time` hold at once: what may not be
 * kept any longer goes back now. `huge_pages` holds for memory that is taken from the system from
 * now on, `arenas` for workspaces that are made from now on, `available` from the next sample on.
 *
 * Freed memory is kept because fresh memory costs several times as much to fill;
 * docs/performance.md has figures. Where other parts of the process need it more, keep less. When
 * the last workspace is freed, all goes back to the system whatever is set here.
 *
 * Errors: MFS_EINVAL, and nothing has changed. Returns 0.
 */
MFS_API int mfs_configure_memory(const mfs_memory_options *options);

/*
 * Opening files
 */

/** Flags for mfs_open_options.flags. */
enum {
	/** Take the file's lock for each call instead of from open to close; see the top. */
	MFS_O_SHARED = 1u << 0,
};

/** Options of mfs_open_ex(). A zeroed field means its default; struct_size as in mfs_options. */
typedef struct mfs_open_options {
	size_t struct_size;
	/**
	 * Bytes that the file has at least once it is open: a shorter one is extended with zeros, so
	 * that writes within them cannot fail for want of room. Needs a mode that writes.
	 */
	int64_t preallocate;
	/**
	 * How long to wait for the file's lock; for MFS_O_SHARED, in each call. Milliseconds; default:
	 * the workspace's default_lock_timeout.
	 */
	int64_t lock_timeout;
	/** MFS_O_... */
	unsigned flags;
	unsigned reserved;
	/** How long calls on the handle wait for quota; default: the workspace's space_timeout. */
	int64_t space_timeout;
	/** What the handle draws on first, see mfs_reservation_new(). Of the same workspace, or NULL.
	 */
	mfs_reservation *reservation;
} mfs_open_options;

/**
 * Open a file.
 *
 * | mode  | reads | writes | the file must | what happens                               |
 * |-------|-------|--------|---------------|--------------------------------------------|
 * | "rb"  | yes   | no     | exist         |                                            |
 * | "wb"  | no    | yes    |               | made, or emptied once the lock is held     |
 * | "ab"  | no    | yes    |               | made if missing; each write goes to the end |
 * | "r+b" | yes   | yes    | exist         |                                            |
 * | "xb"  | no    | yes    | not exist     | made                                       |
 * | "w+b" | yes   | yes    |               | as "wb"                                    |
 * | "a+b" | yes   | yes    |               | as "ab"; reads begin at the start          |
 * | "x+b" | yes   | yes    | not exist     | as "xb"                                    |
 *
 * The parent directory must exist. Waits for the file's lock in the order of arrival; a thread that
 * already reads the file and opens it again for reading gets in past a waiting writer after 10 to
 * 1280 milliseconds, so that it cannot lock itself out. If the file is removed, renamed or
 * replaced meanwhile, the path is looked up again.
 *
 * Errors: MFS_EINVAL (path, mode), MFS_ENAMETOOLONG, MFS_ENOENT (no file, no parent), MFS_ENOTDIR
 * (a parent is a file), MFS_EISDIR, MFS_EEXIST ("xb", "x+b"), MFS_EBUSY (MFS_NO_WAIT),
 * MFS_ETIMEDOUT, MFS_ENODES, MFS_EQUOTA (preallocate, charge_metadata), MFS_EMEMGUARD, MFS_EFBIG
 * (preallocate), MFS_EMFILE, MFS_ENOMEM. An "wb" that fails has not emptied the file. Returns 0 and
 * the handle in *out, to be closed with mfs_close(), by any thread.
 */
MFS_API int mfs_open(mfs *fs, const char *path, const char *mode, mfs_file **out);

/** mfs_open() with options, which may be NULL. */
MFS_API int mfs_open_ex(mfs *fs, const char *path, const char *mode,
						const mfs_open_options *options, mfs_file **out);

/*
 * Handles
 *
 * Any number of threads may use one handle. Calls that use the cursor (read, write, readv, writev,
 * seek, truncate) exclude each other on one handle; mfs_pread() calls run side by side. Every call
 * gives MFS_EBADF for a handle that is closed or NULL; calls on an MFS_O_SHARED handle also give
 * MFS_EBUSY or MFS_ETIMEDOUT when the file's lock was not to be had in time.
 */

/**
 * Read up to `size` bytes at the cursor and move it.
 *
 * Errors: MFS_EBADF (also: not open for reading), MFS_EINVAL.
 * Returns the bytes read, less than `size` only at the end of the file, 0 there.
 */
MFS_API int64_t mfs_read(mfs_file *file, void *buffer, size_t size);

/** Read up to `size` bytes at `offset`, which may lie past the end; the cursor stays. */
MFS_API int64_t mfs_pread(mfs_file *file, void *buffer, size_t size, int64_t offset);

/** mfs_read() into several buffers, filled in order, as one call. `count` is at most 1024. */
MFS_API int64_t mfs_readv(mfs_file *file, const struct iovec *vector, int count);

/**
 * Write `size` bytes at the cursor (mode "ab": at the end) and move it behind them.
 *
 * All or nothing. A gap between the end of the file and the cursor is filled with zeros. Memory is
 * taken ahead for further appends while the quota has room, and given back at close.
 *
 * Errors: MFS_EBADF (also: not open for writing), MFS_EQUOTA, MFS_ENOMEM, MFS_EFBIG, MFS_ENOTSUP (a
 * sequential file, not at the end), MFS_EINVAL.
 * Returns `size`.
 */
MFS_API int64_t mfs_write(mfs_file *file, const void *buffer, size_t size);

/** Write `size` bytes at `offset` (mode "ab": at the end all the same); the cursor stays. */
MFS_API int64_t mfs_pwrite(mfs_file *file, const void *buffer, size_t size, int64_t offset);

/** mfs_write() from several buffers, in order, as one call: all of them or none. At most 1024. */
MFS_API int64_t mfs_writev(mfs_file *file, const struct iovec *vector, int count);

/**
 * Move the cursor: from the start (SEEK_SET), from where it is (SEEK_CUR), or back from the end
 * (SEEK_END with offset <= 0). Past the end is allowed for the first two.
 *
 * Errors: MFS_EBADF, MFS_EINVAL (a negative or too large target, a positive offset from the end).
 * Returns the new position.
 */
MFS_API int64_t mfs_seek(mfs_file *file, int64_t offset, int whence);

/** Returns the cursor's position. */
MFS_API int64_t mfs_tell(mfs_file *file);

/**
 * Make the file `size` bytes long: shorter, giving memory and quota back, or longer, with zeros. A
 * cursor beyond a shorter file's end moves to it.
 *
 * Errors: MFS_EBADF (also: not open for writing), MFS_EINVAL, MFS_EQUOTA, MFS_ENOMEM, MFS_EFBIG.
 * Returns 0.
 */
MFS_API int mfs_truncate(mfs_file *file, int64_t size);

/** Does nothing, as every write is visible at once. Returns 0, or MFS_EBADF. */
MFS_API int mfs_flush(mfs_file *file);

/**
 * Close a handle, by any thread; NULL is allowed. Waits for calls of other threads on it. Gives
 * back the file's lock and the memory that the file does not use; a file that is opened and
 * appended to again and again keeps up to an eighth of its last chunk, at most 256 KiB, for the
 * next time. Cannot fail for a handle that is open.
 *
 * Errors: MFS_EBADF (closed before).
 * Returns 0.
 */
MFS_API int mfs_close(mfs_file *file);

/** Returns 1 when the handle may read, 0 when not, or MFS_EBADF. */
MFS_API int mfs_readable(mfs_file *file);
/** Returns 1 when the handle may write, 0 when not, or MFS_EBADF. */
MFS_API int mfs_writable(mfs_file *file);
/** Returns 1 (every file can be sought in), or MFS_EBADF. */
MFS_API int mfs_seekable(mfs_file *file);
/**
 * Returns 1 when calls on the handle may wait for other handles: for the file's lock (MFS_O_SHARED)
 * or for quota (space_timeout). 0 when they never do, or MFS_EBADF.
 */
MFS_API int mfs_may_wait(mfs_file *file);

/*
 * Without copying
 *
 * A file's bytes lie in pieces of memory, its chunks: of 4 KiB, 4 KiB, 8 KiB and so on doubling up
 * to 1 MiB, then of 2 MiB each. A small file is one piece. These calls hand the pieces out, take
 * some in, and let files share them. What lies together is called a run; it ends where a chunk
 * ends, or the file.
 *
 * Views and reservations need a handle that keeps the file's lock: with MFS_O_SHARED they give
 * MFS_ENOTSUP.
 */

/**
 * The longest run of the file's bytes from `offset`, where they are. Not to be written to.
 *
 * Valid until: the handle is closed. For mode "r+b" also only until the next call that changes the
 * file through this handle.
 *
 * Errors: MFS_EBADF (also: not open for reading), MFS_EINVAL, MFS_ENOTSUP (MFS_O_SHARED).
 * Returns how many bytes lie at *data: 0, with *data NULL, at the end of the file or past it. About
 * 15 ns, whatever the length.
 */
MFS_API int64_t mfs_view(mfs_file *file, int64_t offset, const void **data);

/**
 * Iterate over the runs of the bytes from *offset to `end`: fill up to `count` entries of `runs`,
 * which writev() takes as they are, and move *offset behind them. An `end` past the end of the file
 * means its end; INT64_MAX is allowed. `count` is at least 1.
 *
 *     int64_t at = 0;
 *     struct iovec runs[16];
 *     for (int n; (n = mfs_view_runs(file, &at, INT64_MAX, runs, 16)) > 0;)
 *         ...
 *
 * Valid until, errors: as mfs_view(). The iterator is the offset: there is nothing to close.
 * Returns how many entries are filled, 0 when nothing is left.
 */
MFS_API int mfs_view_runs(mfs_file *file, int64_t *offset, int64_t end, struct iovec *runs,
						  int count);

/**
 * Make room for up to `size` bytes at the cursor (mode "ab": at the end) and hand it out to be
 * filled in place. mfs_commit() makes the bytes part of the file.
 *
 * What lies past the end of the file is not cleared. Where the file has bytes already, these are
 * what is handed out, and to change them changes the file at once, committed or not.
 *
 * Valid until: the handle's next call that writes, truncates, seeks, reserves or commits, or from
 * which bytes are copied (mfs_copy_range(), mfs_read_to_fd()), or its close. These drop a
 * reservation that is not committed; what it took stays for the next writes, until the handle is
 * closed.
 *
 * Errors: MFS_EBADF (also: not open for writing), MFS_EINVAL (size 0), MFS_ENOTSUP (MFS_O_SHARED; a
 * sequential file, not at the end), MFS_EQUOTA, MFS_ENOMEM, MFS_EFBIG.
 * Returns how many bytes may be filled at *data: at least 1, at most `size`, less where a chunk
 * ends before.
 */
MFS_API int64_t mfs_reserve(mfs_file *file, size_t size, void **data);

/**
 * Make the first `size` bytes of the reservation part of the file, and move the cursor behind them.
 * A gap between the end of the file and the reservation is filled with zeros. `size` 0 drops the
 * reservation. The generation grows by one, as for a write.
 *
 * Errors: MFS_EBADF, MFS_EINVAL (nothing is reserved, or less than `size`; a reservation that was
 * there stays). Returns 0.
 */
MFS_API int mfs_commit(mfs_file *file, size_t size);

/** Takes back a buffer that was handed over; see mfs_write_adopt(). */
typedef void mfs_release(void *user, void *buffer, size_t length);

/**
 * mfs_write() of a buffer that is handed over with it: its memory becomes the file's, chunk by
 * chunk. Only what fills a chunk in part is copied: what lies before the first chunk that the
 * write covers from its start, and where the file goes on behind the write, what lies behind the
 * last one. So a buffer written to an empty file is not copied at all.
 *
 * On success the buffer belongs to the library, which never writes to it (it may be read-only
 * memory; nobody else may change it). A later write to such a chunk takes a copy of it. When the
 * last chunk is gone that lies in the buffer, also those of copies of the file, release(user,
 * buffer, length) is called once: by the thread whose call let go of it, with no lock held, before
 * that call returns. If nothing had to be kept that is this call. It may call any function of the
 * library but not mfs_free() of this workspace; where that calls it, the workspace is gone already.
 * After a fork, the child calls it for its own copy, but not for what other threads were letting go
 * of just then.
 *
 * The quota is charged for what is adopted as for what is copied. `release` may be NULL for memory
 * that stays.
 *
 * Errors: as mfs_write(), and MFS_EINVAL (NULL, length 0). The buffer is then the caller's, and
 * `release` is not called. Returns `length`.
 */
MFS_API int64_t mfs_write_adopt(mfs_file *file, void *buffer, size_t length, mfs_release *release,
								void *user);

/**
 * Copy up to `size` bytes from one open file to another, or within one. Cursors stay. `to` in mode
 * "ab" takes them at its end, whatever `to_offset`. INT64_MAX copies all that is there.
 *
 * Chunks that the range covers whole, and that begin at the same place within a chunk of the same
 * length in both files, are shared as mfs_copy() shares them and cost no copy: all of them if the
 * offsets are equal, those past 2 MiB if they differ by a multiple of 2 MiB. All else is copied, as
 * is everything between two workspaces. The range read is as of one instant, so it may overlap the
 * range written.
 *
 * Errors: those of mfs_pread() and mfs_pwrite(). Returns the bytes copied, less than `size` only
 * where the source ends.
 */
MFS_API int64_t mfs_copy_range(mfs_file *from, int64_t from_offset, mfs_file *to, int64_t to_offset,
							   int64_t size);

/**
 * Write up to `size` bytes from `offset` to a descriptor of the host (a file, pipe or socket),
 * straight from the file's memory. The cursor stays. What is written is the file as of one instant.
 * No lock of this call is held while the descriptor blocks; short writes, and writes that a signal
 * interrupts, are repeated. SIGPIPE comes as from write().
 *
 * Errors: MFS_EHOST (errno has the host's reason), those of mfs_pread(), and MFS_ENOMEM.
 * Returns the bytes written: less than `size` where the file ends, or where the descriptor refused
 * more (a full pipe that does not block, say) after it took some.
 */
MFS_API int64_t mfs_read_to_fd(mfs_file *file, int64_t offset, int64_t size, int fd);

/**
 * Takes bytes of a file from where they are: `count` runs, in order, not to be written to and valid
 * during the call, though not in a child that is forked from it. See mfs_read_in_place().
 */
typedef int64_t mfs_take(void *user, const struct iovec *runs, int count);

/**
 * Call take(user, runs, count) with up to `size` bytes from `offset`, where they lie in the file's
 * memory, as of one instant: mfs_read_to_fd() for those who write otherwise. The cursor stays. It
 * is called once, in this thread, with no lock held, with a count of 0 if there are no bytes, and
 * may call any function of the library but mfs_free() of this workspace. Who overwrites a chunk
 * meanwhile takes a copy of it. `size` may be INT64_MAX.
 *
 * Errors: those of mfs_pread(), and MFS_ENOMEM; `take` has not been called then.
 * Returns what `take` returns.
 */
MFS_API int64_t mfs_read_in_place(mfs_file *file, int64_t offset, int64_t size, mfs_take *take,
								  void *user);

/**
 * Read up to `size` bytes from a descriptor of the host straight into the file's memory, from
 * `offset` on (mode "ab": at the end). The cursor stays.
 *
 * Works in pieces of up to 2 MiB, each of which appears at once when it is complete, or the input
 * ends. The quota for a piece is set aside before it is read, so that nothing is read that cannot
 * be kept; where there is not enough, the piece is as long as there is. No lock of this call is
 * held while the descriptor blocks. Reads on until `size` or the end of the input, also after
 * signals. `size` may be INT64_MAX.
 *
 * A piece that was read is lost where it finds no place: memory runs out, the handle is closed
 * meanwhile, with MFS_O_SHARED the file's lock is not to be had in time, or another thread has
 * changed the file's size so that the quota does not do.
 *
 * Errors: MFS_EHOST (errno has the host's reason), and those of mfs_pwrite().
 * Returns the bytes taken over: less than `size` at the end of the input, or where an error came
 * after some, which mfs_last_error() then tells. Made again, the call gives 0 at the end, or the
 * error if there still is one.
 */
MFS_API int64_t mfs_write_from_fd(mfs_file *file, int64_t offset, int64_t size, int fd);

/**
 * Copy a file, as of one instant, into a sealed memfd: a descriptor that any library or process can
 * read or map, and that nobody can change. Waits for the file's lock up to default_lock_timeout,
 * and gives it back before it copies. The memory is the kernel's, and not charged to the quota.
 * The memfd has the file's name. Close-on-exec is set; the position is 0. Linux only.
 *
 * Errors: MFS_EHOST (errno has the reason), MFS_ENOENT, MFS_EISDIR, MFS_ENOTDIR, MFS_EBUSY,
 * MFS_ETIMEDOUT, MFS_EINVAL, MFS_ENAMETOOLONG, MFS_EMFILE, MFS_ENOMEM, MFS_ENOTSUP (elsewhere).
 * Returns the descriptor, to be closed with close().
 */
MFS_API int mfs_export_fd(mfs *fs, const char *path);

/*
 * The tree
 */

/** Flag for mfs_mkdir(): a directory that exists already is success. */
enum { MFS_EXIST_OK = 1u << 0 };

/** Flags for mfs_rename() and mfs_move(); at most one of them. */
enum {
	/**
	 * Replace what is at the destination, atomically: no reader finds neither or both. A file
	 * replaces a file, a directory an empty directory.
	 */
	MFS_RENAME_REPLACE = 1u << 0,
	/** Let the two, which must both exist, change places, atomically. Not for mfs_move(). */
	MFS_RENAME_EXCHANGE = 1u << 1,
};

/** What a path names; see mfs_stat(). */
typedef struct mfs_info {
	int64_t size;        /**< bytes; 0 for a directory */
	int64_t created_at;  /**< nanoseconds since 1970-01-01 UTC, to the clock tick (1 to 4 ms) */
	int64_t modified_at; /**< last change of the data, or of a directory's names; likewise */
	uint64_t generation; /**< changes of the data so far; 0 for a directory */
	bool is_dir;
	/**
	 * Tells files and directories from each other: no other one of the process has the same as long
	 * as this one exists, or a handle or node of it is open. It keeps it when it gets another name;
	 * after it is gone, another one may get it.
	 */
	uint64_t inode;
} mfs_info;

/**
 * Make a directory, with the parents that are missing: all of them, visible at once, or none.
 *
 * `flags`: 0 or MFS_EXIST_OK.
 * Errors: MFS_EEXIST, MFS_ENOTDIR (a parent is a file), MFS_EINVAL, MFS_ENAMETOOLONG, MFS_ENODES,
 * MFS_EQUOTA (charge_metadata), MFS_EMEMGUARD, MFS_ENOMEM.
 * Returns 0.
 */
MFS_API int mfs_mkdir(mfs *fs, const char *path, unsigned flags);

/**
 * Remove a file or an empty directory.
 *
 * The quota is given back when the call returns, for a file that has MFS_O_SHARED handles when the
 * last of them is closed. Does not wait for anything but the directory's other writers.
 *
 * Errors: MFS_ENOENT, MFS_ENOTDIR, MFS_ENOTEMPTY, MFS_EBUSY (a handle holds the file), MFS_EINVAL
 * (path, root), MFS_ENAMETOOLONG, MFS_ENOMEM.
 * Returns 0.
 */
MFS_API int mfs_remove(mfs *fs, const char *path);

/**
 * Give a file or a directory another name, in the same directory or in another one, whose parent
 * must exist. What is below a directory goes with it.
 *
 * Atomic: whoever looks sees the file or the tree under one of the two names, never under both or
 * neither. `flags`: 0, MFS_RENAME_REPLACE or MFS_RENAME_EXCHANGE. `from` and `to` naming the same
 * thing: MFS_EEXIST without a flag, nothing to do with one.
 *
 * Cost: constant for files. Linear in the files and directories below for a directory, as each is
 * asked whether a handle holds it; the directories below accept no change meanwhile, calls that
 * want one wait. Directory renames of a workspace run one after the other.
 *
 * Errors: MFS_ENOENT (no `from`, no parent of `to`, with EXCHANGE no `to`), MFS_EEXIST (`to`
 * exists, no flag), MFS_EISDIR (a file on a directory), MFS_ENOTDIR (a parent is a file; a
 * directory on a file), MFS_ENOTEMPTY (a directory on one that is not empty), MFS_EBUSY (a handle
 * holds one of the files, or one below), MFS_EINVAL (the root; a directory into itself; flags),
 * MFS_ENAMETOOLONG, MFS_EQUOTA (charge_metadata: a new name may take more than the old one, but to
 * replace takes nothing), MFS_EMEMGUARD (likewise), MFS_ENOMEM. Returns 0.
 */
MFS_API int mfs_rename(mfs *fs, const char *from, const char *to, unsigned flags);

/**
 * mfs_rename() that also makes the parents of `to` that are missing: all visible at once with what
 * was moved. `flags`: 0 or MFS_RENAME_REPLACE.
 *
 * Errors: as mfs_rename(), but for a missing parent of `to`; MFS_ENODES. Returns 0.
 */
MFS_API int mfs_move(mfs *fs, const char *from, const char *to, unsigned flags);

/**
 * Remove a file, or a directory and all that is below it, at once: no reader ever finds a part.
 *
 * Linear in the files and directories below. Quota as for mfs_remove().
 *
 * Errors: MFS_ENOENT, MFS_ENOTDIR, MFS_EBUSY (a handle holds the file, or one below), MFS_EINVAL
 * (path, root), MFS_ENAMETOOLONG, MFS_ENOMEM. Returns 0.
 */
MFS_API int mfs_rmtree(mfs *fs, const char *path);

/**
 * Copy a file to a name that does not exist yet, in a directory that does.
 *
 * The bytes are not copied: both files share their chunks, and a chunk becomes a file's own when
 * that file first writes to it. The copy is charged in full all the same, so that later writes need
 * no quota (they may need memory: MFS_ENOMEM). The copy has generation 1. Linear in the chunks: one
 * for each 2 MiB of a large file.
 *
 * Waits for a file that a handle holds for writing, up to the workspace's default_lock_timeout.
 *
 * Errors: MFS_ENOENT, MFS_EEXIST, MFS_EISDIR (`from` is a directory), MFS_ENOTDIR, MFS_EBUSY (the
 * workspace's timeout is MFS_NO_WAIT), MFS_ETIMEDOUT, MFS_EQUOTA, MFS_EMEMGUARD, MFS_ENODES,
 * MFS_EINVAL, MFS_ENAMETOOLONG, MFS_ENOMEM. Returns 0.
 */
MFS_API int mfs_copy(mfs *fs, const char *from, const char *to);

/**
 * Copy a directory and all that is below it, as it is at one instant, to a name that does not exist
 * yet, in a directory that does. The copy appears at once; its files have generation 0.
 *
 * Shares chunks as mfs_copy() does. While names are copied, the directories below `from` accept no
 * change. Waits for files that are held for writing, up to default_lock_timeout in all, and holds
 * up nobody while it waits.
 *
 * Errors: as mfs_copy(), but MFS_ENOTDIR when `from` is a file; MFS_EINVAL also for a copy of the
 * root or into itself. Returns 0.
 */
MFS_API int mfs_copy_tree(mfs *fs, const char *from, const char *to);

/**
 * The names in a directory, sorted bytewise, as they were at one instant during the call.
 *
 * Takes no lock unless the directory changes all the time. Linear in the names, plus the sort.
 *
 * Errors: MFS_ENOENT, MFS_ENOTDIR, MFS_EINVAL, MFS_ENAMETOOLONG, MFS_ENOMEM.
 * Returns the number of names, and in *names a NULL-terminated array of strings, one block of
 * memory to be freed with mfs_names_free().
 */
MFS_API int64_t mfs_listdir(mfs *fs, const char *path, char ***names);

/** Free what mfs_listdir() or mfs_glob() gave. NULL is allowed. */
MFS_API void mfs_names_free(char **names);

/** True if the path names a file or a directory; false also for a bad path. Takes no lock. */
MFS_API bool mfs_exists(mfs *fs, const char *path);
/** True if the path names a directory; false also for a bad path. Takes no lock. */
MFS_API bool mfs_is_dir(mfs *fs, const char *path);
/** True if the path names a file; false also for a bad path. Takes no lock. */
MFS_API bool mfs_is_file(mfs *fs, const char *path);

/**
 * Size, times and generation of a file or directory, as of one instant. Takes no lock and writes no
 * memory that other threads use.
 *
 * Errors: MFS_ENOENT, MFS_ENOTDIR, MFS_EINVAL, MFS_ENAMETOOLONG.
 * Returns 0 and the figures in *out.
 */
MFS_API int mfs_stat(mfs *fs, const char *path, mfs_info *out);

/**
 * The same for an open file, whatever its name is now, also when it has been removed. Does not wait
 * for the file's lock.
 *
 * Errors: MFS_EBADF, MFS_EINVAL. Returns 0 and the figures in *out.
 */
MFS_API int mfs_fstat(mfs_file *file, mfs_info *out);

/**
 * Set when a file's data, or a directory's names, changed last, in nanoseconds since 1970-01-01
 * UTC; any number will do. The generation stays. Waits for a file's lock up to the workspace's
 * default_lock_timeout.
 *
 * Errors: MFS_ENOENT, MFS_ENOTDIR, MFS_EBUSY, MFS_ETIMEDOUT, MFS_EINVAL, MFS_ENAMETOOLONG,
 * MFS_ENOMEM. Returns 0.
 */
MFS_API int mfs_set_modified(mfs *fs, const char *path, int64_t modified_at);

/** Returns a file's size in bytes; MFS_EISDIR for a directory; errors as mfs_stat(). */
MFS_API int64_t mfs_get_size(mfs *fs, const char *path);

/*
 * Nodes
 *
 * A node stands for a file or a directory itself, whatever its name is: it goes with it when that,
 * or a directory above, is renamed, by whomever. It is what a descriptor of a directory is to the
 * "at" calls of POSIX. It holds no lock and prevents no change, and any number of threads may use
 * one. Until it is given back it counts as an open handle for mfs_free(); a child has its own after
 * a fork.
 *
 * The calls below take paths that start at the directory `base`, instead of at the root; ".." above
 * it is MFS_EINVAL. "" is `base` itself, which may then be a file, too. When `base` has been
 * removed they give MFS_ENOENT. For all else they are what their namesakes are, but that a tree
 * which mfs_rmtree() removes goes at one instant for paths from the root only: for those who start
 * inside of it, one directory after the other, until the call returns.
 */

/** A reference to a file or directory. Opaque. */
typedef struct mfs_node mfs_node;

/** The root's node. Errors: MFS_EINVAL, MFS_ENOMEM. Returns 0; to be given to mfs_node_put(). */
MFS_API int mfs_node_root(mfs *fs, mfs_node **out);

/**
 * The node of what a path names. To be given to mfs_node_put().
 *
 * Errors: MFS_ENOENT, MFS_ENOTDIR, MFS_EINVAL, MFS_ENAMETOOLONG, MFS_ENOMEM.
 * Returns 0 and the node in *out.
 */
MFS_API int mfs_node_get(mfs_node *base, const char *path, mfs_node **out);

/**
 * The node of an open file, whatever its name is now, also when it has been removed.
 *
 * Errors: MFS_EBADF, MFS_ENOTSUP (a file of an import that is not committed), MFS_EINVAL,
 * MFS_ENOMEM. Returns 0 and the node in *out.
 */
MFS_API int mfs_file_node(mfs_file *file, mfs_node **out);

/** Give a node back; NULL is allowed. No other call with it may be under way. Returns 0. */
MFS_API int mfs_node_put(mfs_node *node);

/**
 * mfs_stat() of what a node stands for: also when it has been removed, its last figures. Takes no
 * lock. Errors: MFS_EINVAL. Returns 1 as long as it has a name, 0 when it has been removed.
 */
MFS_API int mfs_node_stat(mfs_node *node, mfs_info *out);

/** mfs_stat() from a node on. */
MFS_API int mfs_stat_at(mfs_node *base, const char *path, mfs_info *out);

/** mfs_open_ex() from a node on. */
MFS_API int mfs_open_at(mfs_node *base, const char *path, const char *mode,
						const mfs_open_options *options, mfs_file **out);

/** mfs_mkdir() from a node on. */
MFS_API int mfs_mkdir_at(mfs_node *base, const char *path, unsigned flags);

/** Flags of mfs_remove_at(); at most one of them. */
enum {
	MFS_REMOVE_FILE = 1u << 0,      /**< a directory is MFS_EISDIR */
	MFS_REMOVE_DIRECTORY = 1u << 1, /**< a file is MFS_ENOTDIR */
};

/** mfs_remove() from a node on. `flags`: 0, MFS_REMOVE_FILE or MFS_REMOVE_DIRECTORY. */
MFS_API int mfs_remove_at(mfs_node *base, const char *path, unsigned flags);

/** mfs_rename() from a node to another, both of one workspace (MFS_EINVAL). */
MFS_API int mfs_rename_at(mfs_node *from_base, const char *from, mfs_node *to_base, const char *to,
						  unsigned flags);

/** mfs_set_modified() from a node on. */
MFS_API int mfs_set_modified_at(mfs_node *base, const char *path, int64_t modified_at);

/*
 * Looking at trees
 *
 * An iterator is used by one thread at a time, any thread. Until it is closed it counts as an open
 * handle for mfs_free(), and for nothing else: it holds no lock, prevents no change, and may rest
 * for as long as its user likes. It goes on safely whatever other threads do to the tree.
 */

/** A directory that is being read. Opaque. */
typedef struct mfs_dir mfs_dir;

/** What mfs_readdir() finds. */
typedef struct mfs_entry {
	const char *name; /**< valid until mfs_closedir() */
	mfs_info info;    /**< as of mfs_opendir() */
} mfs_entry;

/**
 * Open a directory for reading: its names, sorted bytewise, as they are at one instant during this
 * call.
 *
 * Errors: MFS_ENOENT, MFS_ENOTDIR, MFS_EINVAL, MFS_ENAMETOOLONG, MFS_ENOMEM.
 * Returns 0 and the iterator in *out, to be closed with mfs_closedir().
 */
MFS_API int mfs_opendir(mfs *fs, const char *path, mfs_dir **out);

/** mfs_opendir() from a node on. */
MFS_API int mfs_opendir_at(mfs_node *base, const char *path, mfs_dir **out);

/** The next name. Returns 1 with *entry filled, 0 at the end, or MFS_EINVAL. */
MFS_API int mfs_readdir(mfs_dir *dir, mfs_entry *entry);

/** Close a directory. NULL is allowed. Returns 0. */
MFS_API int mfs_closedir(mfs_dir *dir);

/** A walk through a tree. Opaque. */
typedef struct mfs_walk mfs_walk;

/** A directory that a walk has come to. All pointers are valid until the walk's next call. */
typedef struct mfs_walk_level {
	const char *path;               /**< of the directory, from the root, "/" for the root */
	const char *const *directories; /**< the names of directories in it, sorted bytewise */
	size_t directory_count;
	const char *const *files; /**< the names of files in it, sorted bytewise */
	size_t file_count;
} mfs_walk_level;

/**
 * Begin a walk through a directory and all below it: a directory first, then what is in it, in the
 * order of the names.
 *
 * Each level is as it was at one instant; the levels belong to different instants. What is removed
 * before the walk comes to it is left out. What is moved meanwhile may be left out or be met twice;
 * the walk ends all the same.
 *
 * Errors: MFS_ENOENT, MFS_ENOTDIR, MFS_EINVAL, MFS_ENAMETOOLONG, MFS_ENOMEM.
 * Returns 0 and the walk in *out, to be closed with mfs_walk_close().
 */
MFS_API int mfs_walk_open(mfs *fs, const char *path, mfs_walk **out);

/**
 * Go to the next directory. Returns 1 with *level filled, 0 at the end, MFS_EINVAL, or MFS_ENOMEM,
 * after which the same step may be tried again.
 */
MFS_API int mfs_walk_next(mfs_walk *walk, mfs_walk_level *level);

/** Do not go into the directories of the level that came last. Returns 0 or MFS_EINVAL. */
MFS_API int mfs_walk_skip(mfs_walk *walk);

/** End a walk. NULL is allowed. Returns 0. */
MFS_API int mfs_walk_close(mfs_walk *walk);

/**
 * The paths that match a pattern, sorted bytewise. Each component of the pattern matches a name:
 *
 *   *        any bytes, also none
 *   ?        one character: a code point of UTF-8, or one byte that is not part of one
 *   [abc]    one of these characters; [a-z] a range of them; [!abc] one that is not there. A ']'
 *            that comes first stands for itself. A '[' without its ']' is an ordinary character
 *   **       as a whole component: any number of directories, also none. At the end of a pattern:
 *            everything below
 *
 * All else stands for itself; nothing is special about names that begin with '.'. Files and
 * directories match; a pattern that ends in '/' matches as without it. No match is no error.
 *
 * One walk, whatever the pattern: each directory that can matter is read once, as of one instant,
 * and each of its names is matched once, in time proportional to its length and the pattern's.
 *
 * Errors: MFS_EINVAL (".." above the root, NULL), MFS_ENAMETOOLONG, MFS_ENOMEM.
 * Returns the number of paths, and in *paths a NULL-terminated array of strings, one block of
 * memory to be freed with mfs_names_free().
 */
MFS_API int64_t mfs_glob(mfs *fs, const char *pattern, char ***paths);

/*
 * Import and export
 */

/** Flag for mfs_import_item.flags: a directory, which may be there already; no data. */
enum { MFS_IMPORT_DIRECTORY = 1u << 0 };

/** A file or a directory for mfs_import_tree(). */
typedef struct mfs_import_item {
	const char *path;
	const void *data; /**< may be NULL if size is 0 */
	size_t size;      /**< bytes */
	unsigned flags;   /**< 0 or MFS_IMPORT_DIRECTORY */
	unsigned reserved;
} mfs_import_item;

/**
 * Write many files at once. Parents are made, existing files replaced; directories that exist stay,
 * with what else is in them. All or nothing, and all at one instant: no thread ever sees a part.
 *
 * The files have generation 0: they are not dirty (MFS_ONLY_DIRTY). What is replaced stays charged
 * until the new files are in place, so there must be room for both.
 *
 * Errors: MFS_EEXIST (a path twice), MFS_EISDIR (a file where a directory is), MFS_ENOTDIR (a
 * parent, or a directory's place, is a file), MFS_EBUSY (a handle holds a file to be replaced),
 * MFS_EQUOTA, MFS_EMEMGUARD, MFS_ENODES, MFS_EFBIG, MFS_EINVAL (the root as a file, flags, NULL),
 * MFS_ENAMETOOLONG, MFS_ENOMEM. mfs_last_error() names the path. Returns 0.
 */
MFS_API int mfs_import_tree(mfs *fs, const mfs_import_item *items, size_t count);

/** An import in steps. Opaque. */
typedef struct mfs_import mfs_import;

/** Flags for mfs_import_commit(); at most one of them. */
enum {
	/** The workspace must have none of the files: MFS_EEXIST. */
	MFS_IMPORT_NEW = 1u << 0,
	/**
	 * What the workspace has stays: files of the import whose names are taken are dropped, and so
	 * are directories, with all below them, whose names files have.
	 */
	MFS_IMPORT_KEEP = 1u << 1,
};

/**
 * Begin an import in steps: what mfs_import_tree() does, for those who do not have all the data at
 * once. A tree is built aside, where no other call finds it, and comes into the workspace at one
 * instant with mfs_import_commit(), or not at all.
 *
 * What is built counts against the quota at once, and the nodes when it comes in; but no import is
 * ever built with more nodes than max_nodes, nor with more metadata than max_quota where that is
 * charged.
 *
 * Thread safety: one call at a time on an import itself; handles that mfs_import_open() gave may be
 * used by any thread meanwhile. An import counts as an open handle for mfs_free(). After a fork the
 * child has its own, as it has its own handles.
 *
 * Errors: MFS_EINVAL, MFS_ENOMEM.
 * Returns 0 and the import in *out, to be ended by mfs_import_commit() or mfs_import_abort().
 */
MFS_API int mfs_import_begin(mfs *fs, mfs_import **out);

/**
 * Make a directory of the import, with its parents; one that the import has already is success.
 *
 * Errors: MFS_ENOTDIR (a file of the import), MFS_EINVAL, MFS_ENAMETOOLONG, MFS_ENODES, MFS_EQUOTA
 * (charge_metadata), MFS_ENOMEM. Returns 0.
 */
MFS_API int mfs_import_mkdir(mfs_import *import, const char *path);

/**
 * Open a file of the import, in any mode of mfs_open(); one that is made gets its parents, too. The
 * handle is like any other that keeps its file's lock, and has to be closed before the import can
 * end. The call never waits for the lock: MFS_EBUSY while another handle is in the way. `options`
 * may be NULL; MFS_O_SHARED is MFS_EINVAL.
 *
 * The files come into the workspace with generation 0, like all that is imported.
 *
 * Errors: MFS_ENOENT ("rb", "r+b"), MFS_EEXIST ("xb", "x+b"), MFS_EISDIR, MFS_ENOTDIR (a parent is
 * a file of the import), MFS_EBUSY, MFS_EINVAL, MFS_ENAMETOOLONG, MFS_ENODES, MFS_EQUOTA,
 * MFS_EMEMGUARD, MFS_EFBIG (preallocate), MFS_EMFILE, MFS_ENOMEM. Returns 0 and the handle in *out.
 */
MFS_API int mfs_import_open(mfs_import *import, const char *path, const char *mode,
							const mfs_open_options *options, mfs_file **out);

/**
 * Bring all that was built into the workspace, at one instant, as mfs_import_tree() does: existing
 * files are replaced, directories that exist stay with what else is in them. `flags`: 0,
 * MFS_IMPORT_NEW or MFS_IMPORT_KEEP.
 *
 * Errors: MFS_EBUSY (a handle of the import is open, or one holds a file to be replaced),
 * MFS_EEXIST (MFS_IMPORT_NEW), MFS_EISDIR (a file where a directory is), MFS_ENOTDIR (a directory's
 * place is a file), MFS_ENODES, MFS_EQUOTA and MFS_EMEMGUARD (charge_metadata), MFS_EINVAL,
 * MFS_ENOMEM. mfs_last_error() names the path. Then the workspace is as it was and the import, too:
 * it may be changed, and committed again, or ended by mfs_import_abort().
 * Returns how many files have come in; the import is gone.
 */
MFS_API int64_t mfs_import_commit(mfs_import *import, unsigned flags);

/**
 * End an import that is not to be: what was built is freed, and its quota with it. NULL is allowed.
 *
 * Errors: MFS_EBUSY (a handle of it is open; nothing has changed). Returns 0.
 */
MFS_API int mfs_import_abort(mfs_import *import);

/** How far a transfer between workspace and host has come. Counts only grow. */
typedef struct mfs_progress {
	uint64_t files_done;
	uint64_t files_found; /**< so far; grows until all directories are read */
	uint64_t bytes_done;
	uint64_t bytes_found;
	uint64_t directories_done;
	uint64_t skipped; /**< links, devices, sockets and pipes, which are not imported */
	const char *path; /**< of a file or directory done lately, on the host; valid during the call */
} mfs_progress;

/** Flags of mfs_transfer_options.flags and mfs_export_open(). */
enum {
	/** Only files that were written since they were made by an import: with generation > 0. */
	MFS_ONLY_DIRTY = 1u << 0,
};

/** Options of a transfer. A zeroed field means its default; struct_size as in mfs_options. */
typedef struct mfs_transfer_options {
	size_t struct_size;
	/** Threads that work, the caller's one of them: 1 to 64. Default: as many as cores, up to 8. */
	unsigned threads;
	/** 0, or for exports MFS_ONLY_DIRTY. */
	unsigned flags;
	/**
	 * Called by the calling thread, with no lock held (but that of a large file that is being
	 * exported), about every 100 ms and once when all work has succeeded: for an import before it
	 * becomes visible. To return false cancels the transfer.
	 */
	bool (*on_progress)(void *user, const mfs_progress *progress);
	/** Passed to on_progress. */
	void *user;
} mfs_transfer_options;

/**
 * Read a directory of the host, with all below it, into the workspace at `path`, as
 * mfs_import_tree() would: all or nothing, and all at one instant. `path` and its parents are made
 * if missing.
 *
 * Only directories and regular files are read, each file as long as it was when it was opened.
 * Links are not followed (`host_path` itself may be one), they and all else are skipped and
 * counted. A name with a '\' is MFS_EINVAL. Nobody is held up while the host is read.
 *
 * Errors: MFS_EHOST (the host refuses something; mfs_last_error() says what and which), and those
 * of mfs_import_tree(), MFS_ECANCELED. Then the workspace is as before. Returns 0.
 */
MFS_API int mfs_import_from_dir(mfs *fs, const char *host_path, const char *path,
								const mfs_transfer_options *options);

/**
 * Write a directory of the workspace, with all below it, into a directory of the host, which is
 * made if missing (its parent must exist).
 *
 * Each file is written under a temporary name and then renamed, so that a file of the host is
 * either the old one or whole. But where `host_path` was missing, files are written in place, and
 * nobody should look at them before the call returns. Files of the host whose names the workspace
 * has are replaced, others left alone. Nothing is ever written outside of `host_path`, whatever
 * links lie below it: a link where a directory should be is MFS_EHOST, a link where a file should
 * be is replaced.
 *
 * Each file is as of one instant; the directories are read as mfs_walk_next() reads them, and with
 * MFS_ONLY_DIRTY made only where a file needs them. New host files get mode 0666 and directories
 * 0777, less the umask, and the time of the export. A file of more than 256 KiB is held open for
 * reading while the host takes it.
 *
 * Errors: MFS_EHOST, MFS_ETIMEDOUT and MFS_EBUSY (mfs_last_error() names the file), MFS_ECANCELED,
 * MFS_ENOENT, MFS_ENOTDIR, MFS_EINVAL, MFS_ENAMETOOLONG, MFS_ENOMEM. What was written before a
 * failure stays on the host; no temporary name and no part of a file does. Returns 0.
 */
MFS_API int mfs_export_to_dir(mfs *fs, const char *path, const char *host_path,
							  const mfs_transfer_options *options);

/**
 * A file's bytes, as of one instant, in one block of memory. `max_size`: the most bytes that are
 * welcome, or 0 for no limit. Waits for the file's lock up to default_lock_timeout.
 *
 * Errors: MFS_EFBIG (more than max_size), MFS_ENOENT, MFS_EISDIR, MFS_ENOTDIR, MFS_EBUSY,
 * MFS_ETIMEDOUT, MFS_EINVAL, MFS_ENAMETOOLONG, MFS_ENOMEM.
 * Returns the size, and the bytes in *buffer, to be freed with mfs_buffer_free(). Never NULL, also
 * for an empty file.
 */
MFS_API int64_t mfs_export_buffer(mfs *fs, const char *path, uint64_t max_size, void **buffer);

/** Free what mfs_export_buffer() gave. NULL is allowed. */
MFS_API void mfs_buffer_free(void *buffer);

/** An export in steps. Opaque. */
typedef struct mfs_export mfs_export;

/** A file of an export. All pointers are valid until the iterator's next call. */
typedef struct mfs_export_item {
	const char *path; /**< from the root */
	const void *data; /**< never NULL */
	size_t size;      /**< bytes */
	uint64_t generation;
	int64_t modified_at; /**< as in mfs_info */
} mfs_export_item;

/**
 * Begin to export the files of a directory and all below it, or a single file, one by one in the
 * order of mfs_walk_next(). `flags`: 0 or MFS_ONLY_DIRTY.
 *
 * Errors: MFS_ENOENT, MFS_ENOTDIR, MFS_EINVAL, MFS_ENAMETOOLONG, MFS_ENOMEM.
 * Returns 0 and the iterator in *out, to be closed with mfs_export_close().
 */
MFS_API int mfs_export_open(mfs *fs, const char *path, unsigned flags, mfs_export **out);

/**
 * The next file, as of one instant. Files that are removed meanwhile are left out.
 *
 * Errors: MFS_EBUSY and MFS_ETIMEDOUT (a file held for writing; mfs_last_error() names it; the next
 * call goes on behind it), MFS_ENOMEM (the next call tries the same file again), MFS_EINVAL.
 * Returns 1 with *item filled, or 0 at the end.
 */
MFS_API int mfs_export_next(mfs_export *iterator, mfs_export_item *item);

/** End an export. NULL is allowed. Returns 0. */
MFS_API int mfs_export_close(mfs_export *iterator);

#ifdef __cplusplus
}
#endif

#endif
