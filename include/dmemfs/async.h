/* SPDX-License-Identifier: MIT */
/*
 * The calls of dmemfs.h for event loops: a thread that must not wait begins them, threads of a
 * context carry them out, and they come back as completions in a queue, of which a descriptor
 * tells. An optional component: link dmemfs::async (pkg-config dmemfs-async).
 *
 * Conventions are those of dmemfs.h: results, timeouts, struct_size, mfs_last_error(). Any thread
 * may call any of these functions at any time, except where a comment says otherwise.
 *
 *     watch(loop, mfs_async_fd(context), READABLE, on_completions);
 *     mfs_async_pread(context, file, request->buffer, request->size, 0, request);
 *
 *     void on_completions(void)
 *     {
 *         mfs_async_completion done[32];
 *         int64_t count;
 *         while ((count = mfs_async_collect(context, done, 32)) > 0)
 *             for (int64_t i = 0; i < count; i++)
 *                 answer(done[i].user, done[i].result);
 *     }
 *
 * Operations
 *
 *   A call of dmemfs.h that may block, or that takes as long as there are bytes or files, has an
 *   operation of its name here. It takes the call's arguments, less those for output, and `user`,
 *   a pointer that comes back with the completion. It returns the operation's number, > 0, or why
 *   it was not accepted, and then nothing has changed:
 *
 *     MFS_EAGAIN     as many operations as mfs_async_options.capacity says are not collected yet
 *     MFS_ECANCELED  the context is shut down
 *     MFS_ENOMEM     there is no memory for a copy of paths, options or vector
 *     MFS_EINVAL     `context` is NULL, or the options' struct_size is not one to be copied
 *     MFS_ENOTSUP    the context is the parent's, see "Fork"
 *
 *   An operation that was accepted completes exactly once. The completion has what the call would
 *   have returned and given out, the refusal of wrong arguments included.
 *
 *   Copied are paths, patterns and modes, options, and vectors of iovec. What belongs to the
 *   operation until it has completed is the memory to read from or write to, and the items of an
 *   import. Functions in options, and those that release buffers, are called by a thread of the
 *   context.
 *
 *   To begin an operation and to collect completions takes one mutex, which is held for some
 *   hundred nanoseconds for each of them, and for a system call where the queue of completions was
 *   empty or becomes so, but never during a call of dmemfs.h. To begin allocates the copies,
 *   nothing else. To shut down and cancel takes the mutex for all operations at once.
 *
 *   What is not here never waits and does little, and is for the loop's thread to call itself:
 *   mfs_stat(), mfs_exists() and the like, mfs_view(), mfs_readdir(), mfs_stats(), and what closes
 *   an iterator or frees a result. So may it read or write some kilobytes with a handle that no
 *   operation is using. All else, such as mfs_expand_archive(), is for mfs_async_call().
 *
 * Order
 *
 *   Operations on one handle are carried out one after the other, in the order in which they were
 *   accepted. So a write may be followed by mfs_async_close() at once. The same is true of one
 *   walk, one export and one import. While an operation waits for its turn it takes up no thread.
 *   Operations on different handles, and on paths, run side by side, in any order: to read one
 *   file in parallel, open several handles.
 *
 *   Completions come in the order in which the operations were completed.
 *
 * Waiting
 *
 *   `workers` threads carry out what never waits for other users of the library. What may wait has
 *   threads of its own, which are started as they are needed, up to `max_waiting`: calls on handles
 *   for which mfs_may_wait() gives 1, copies and exports of files, mfs_async_wait_for_space() with
 *   a timeout, reservations, making and freeing workspaces, what reads or writes descriptors or the
 *   host, and functions with MFS_ASYNC_MAY_WAIT. An open is tried without waiting by a worker, and
 *   only if its file is locked goes to those that wait; at once go opens with MFS_O_SHARED that
 *   empty or extend the file, and those whose preallocate may wait for quota. So a close that gives
 *   back a lock, or a removal that makes room, is never stuck behind those who wait for it.
 *
 *   The threads are the context's, so that a file's lock cannot know that the loop which opens the
 *   file again for reading reads it already: that open waits behind a writer that waits, for as
 *   long as mfs_open() says.
 *
 *   When `max_waiting` operations wait, further ones that may wait queue for a thread. They could
 *   be what the others wait for: where that may be, let max_waiting be as large as capacity, or
 *   choose short timeouts. The lock_timeout of an open and the timeout of
 *   mfs_async_wait_for_space() count from when the operation was accepted; the workspace's
 *   defaults, and space_timeout, from when a thread turns to it.
 *
 * Fork
 *
 *   A child of fork() has none of the threads. There, operations of a context are gone, and calls
 *   on it give MFS_ENOTSUP, but for mfs_async_free().
 */
#ifndef DMEMFS_ASYNC_H
#define DMEMFS_ASYNC_H

#include "dmemfs.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Contexts
 */

/** Threads, and the operations and completions that they have in hand. Opaque. */
typedef struct mfs_async mfs_async;

/** Options of a context. A zeroed field means its default; struct_size as in mfs_options. */
typedef struct mfs_async_options {
	size_t struct_size;
	/** Threads for what does not wait: 1 to 256. Default: as many as cores, up to 8. */
	unsigned workers;
	/** Operations that may wait at the same time: 1 to 4096. Default 64. */
	unsigned max_waiting;
	/**
	 * Operations that may be accepted and not collected yet: 1 to 1048576. Default 1024. Their
	 * memory, about 1 KiB each, is set aside by mfs_async_new().
	 */
	unsigned capacity;
	unsigned reserved;
	/** Bytes of each thread's stack: 64 KiB to 1 GiB. Default 256 KiB. */
	size_t stack_size;
} mfs_async_options;

/**
 * Make a context. `options` may be NULL. Starts `workers` threads and one of those that wait,
 * "mfs-async", with the program's signals blocked. They stay until mfs_async_free(), and so do
 * those that are started later.
 *
 * Errors: MFS_EINVAL, MFS_ENOMEM (also: no thread to be had).
 * Returns 0 and the context in *out, to be freed with mfs_async_free().
 */
MFS_API int mfs_async_new(const mfs_async_options *options, mfs_async **out);

/**
 * Free a context. NULL is allowed. Waits for nothing but its idle threads to end. In a child of
 * fork() it always succeeds, and what was in the queues is lost.
 *
 * Thread safety: no other call on the context may be under way or follow. A call that begins an
 * operation may still be under way when another thread collects its completion: join such threads
 * first.
 *
 * Errors: MFS_EBUSY (an operation has not completed, or was not collected; nothing has changed).
 * Returns 0.
 */
MFS_API int mfs_async_free(mfs_async *context);

/** What mfs_async_shutdown() does with operations that have not begun. */
enum {
	MFS_ASYNC_DRAIN = 1,  /**< they are carried out */
	MFS_ASYNC_CANCEL = 2, /**< they complete with MFS_ECANCELED, but closes are carried out */
};

/**
 * Accept no more operations. Does not wait: what was accepted completes as ever, and is to be
 * collected, as a completion may hold a handle that has to be closed. To end a context:
 *
 *     mfs_async_shutdown(context, MFS_ASYNC_CANCEL);
 *     while ((count = mfs_async_wait(context, done, 32, MFS_WAIT_FOREVER)) > 0)
 *         ...
 *     mfs_async_free(context);
 *
 * With MFS_ASYNC_CANCEL, mfs_async_close(), mfs_async_import_abort() and
 * mfs_async_workspace_free() are carried out all the same. What has begun goes on, also an open
 * that waits for a lock: it takes as long as its lock_timeout. May be called again, to cancel what
 * was to be drained.
 *
 * Errors: MFS_EINVAL, MFS_ENOTSUP. Returns 0.
 */
MFS_API int mfs_async_shutdown(mfs_async *context, int how);

/*
 * Completions
 */

/** The longest message of a completion, with the terminating NUL. */
#define MFS_ASYNC_MESSAGE_SIZE 512

/** What a call gave out. Which one is said with each operation. All bytes are 0 after a failure. */
typedef union mfs_async_output {
	mfs *fs;
	mfs_reservation *reservation;
	mfs_file *file;
	void *buffer;
	char **names;
	mfs_dir *dir;
	mfs_walk *walk;
	mfs_walk_level level;
	mfs_import *import;
	mfs_export *export_iterator;
	mfs_export_item item;
} mfs_async_output;

/** An operation that has completed. */
typedef struct mfs_async_completion {
	int64_t operation; /**< its number */
	void *user;        /**< as it was passed */
	int64_t result;    /**< what the call returned, or MFS_ECANCELED */
	/**
	 * errno, where `result` is MFS_EHOST and the call is mfs_async_read_to_fd(),
	 * mfs_async_write_from_fd(), mfs_async_export_fd() or mfs_async_call(); else 0.
	 */
	int host_errno;
	int reserved;
	mfs_async_output output;
	/** What mfs_last_error() says of the failure; "" after a success, but for the one that
	 * mfs_async_write_from_fd() names. */
	char message[MFS_ASYNC_MESSAGE_SIZE];
} mfs_async_completion;

/**
 * Take up to `max` completions out of the queue, the oldest first. Never blocks. `max` is at least
 * 1.
 *
 * Errors: MFS_EINVAL, MFS_ENOTSUP. Returns how many are filled, 0 when there are none.
 */
MFS_API int64_t mfs_async_collect(mfs_async *context, mfs_async_completion *completions,
								  size_t max);

/**
 * mfs_async_collect() that waits until there is a completion: for those without a loop. `timeout`:
 * milliseconds, 0, MFS_NO_WAIT or MFS_WAIT_FOREVER.
 *
 * Errors: MFS_ETIMEDOUT, MFS_EBUSY (MFS_NO_WAIT), MFS_EINVAL, MFS_ENOTSUP.
 * Returns how many are filled; 0 when the context is shut down and all is collected.
 */
MFS_API int64_t mfs_async_wait(mfs_async *context, mfs_async_completion *completions, size_t max,
							   int64_t timeout);

/**
 * A descriptor that is readable while there are completions to collect, and at no other time: an
 * eventfd on Linux, a pipe elsewhere. For epoll, poll, select, libuv, libevent and their like, who
 * only watch it: to read from it is this library's business. It becomes readable anew whenever the
 * first completion comes to an empty queue, so that who watches for edges collects until 0 is
 * returned.
 *
 * Made by the first call. Valid until: mfs_async_free(), which closes it. Close-on-exec is set.
 *
 * Errors: MFS_EHOST (errno has the reason), MFS_EINVAL, MFS_ENOTSUP. Returns the descriptor.
 */
MFS_API int mfs_async_fd(mfs_async *context);

/** Returns how many operations were accepted and are not collected yet, or MFS_EINVAL or
 * MFS_ENOTSUP. */
MFS_API int64_t mfs_async_pending(mfs_async *context);

/**
 * Cancel an operation that has not begun: it has no effect, and completes with MFS_ECANCELED. One
 * that is canceled while it waits for its turn lets those behind it move up.
 *
 * An open that was tried, and now queues for a thread to wait with, has not begun. A transfer that
 * has begun is canceled by its on_progress.
 *
 * Errors: MFS_EBUSY (it has begun), MFS_ENOENT (it has completed, or there never was one of that
 * number), MFS_EINVAL, MFS_ENOTSUP. Returns 0.
 */
MFS_API int mfs_async_cancel(mfs_async *context, int64_t operation);

/*
 * Operations of one's own
 */

/** A function for mfs_async_call(). What it returns is the completion's result. */
typedef int64_t mfs_async_function(void *argument);

/** Flag for mfs_async_call(): the function may wait, for a lock, a descriptor, anything. */
enum { MFS_ASYNC_MAY_WAIT = 1u << 0 };

/**
 * Call a function in a thread of the context: for what has no operation here. Where it returns a
 * negative number, the message is what it left in mfs_last_error(), and host_errno its errno if the
 * number is MFS_EHOST. It may begin operations. `flags`: 0 or MFS_ASYNC_MAY_WAIT.
 */
MFS_API int64_t mfs_async_call(mfs_async *context, mfs_async_function *function, void *argument,
							   unsigned flags, void *user);

/*
 * Workspaces
 */

/** mfs_new(). Output: fs. */
MFS_API int64_t mfs_async_workspace_new(mfs_async *context, const mfs_options *options, void *user);

/** mfs_free(). No operation on the workspace may be under way or follow. */
MFS_API int64_t mfs_async_workspace_free(mfs_async *context, mfs *fs, void *user);

MFS_API int64_t mfs_async_wait_for_space(mfs_async *context, mfs *fs, uint64_t bytes,
										 int64_t timeout, void *user);

/** mfs_reservation_new(). Output: reservation. */
MFS_API int64_t mfs_async_reservation_new(mfs_async *context, mfs *fs, uint64_t bytes, void *user);

/*
 * Files
 */

/**
 * mfs_open_ex(); `options` may be NULL. Output: file. The lock_timeout of an open with MFS_O_SHARED
 * is for the calls on the handle too, and counts from when a thread turns to each.
 */
MFS_API int64_t mfs_async_open(mfs_async *context, mfs *fs, const char *path, const char *mode,
							   const mfs_open_options *options, void *user);

MFS_API int64_t mfs_async_close(mfs_async *context, mfs_file *file, void *user);

MFS_API int64_t mfs_async_read(mfs_async *context, mfs_file *file, void *buffer, size_t size,
							   void *user);
MFS_API int64_t mfs_async_pread(mfs_async *context, mfs_file *file, void *buffer, size_t size,
								int64_t offset, void *user);
MFS_API int64_t mfs_async_readv(mfs_async *context, mfs_file *file, const struct iovec *vector,
								int count, void *user);

MFS_API int64_t mfs_async_write(mfs_async *context, mfs_file *file, const void *buffer, size_t size,
								void *user);
MFS_API int64_t mfs_async_pwrite(mfs_async *context, mfs_file *file, const void *buffer,
								 size_t size, int64_t offset, void *user);
MFS_API int64_t mfs_async_writev(mfs_async *context, mfs_file *file, const struct iovec *vector,
								 int count, void *user);

/** mfs_seek(), in its turn between reads and writes. */
MFS_API int64_t mfs_async_seek(mfs_async *context, mfs_file *file, int64_t offset, int whence,
							   void *user);
MFS_API int64_t mfs_async_truncate(mfs_async *context, mfs_file *file, int64_t size, void *user);

/** mfs_reserve(). Output: buffer. */
MFS_API int64_t mfs_async_reserve(mfs_async *context, mfs_file *file, size_t size, void *user);
MFS_API int64_t mfs_async_commit(mfs_async *context, mfs_file *file, size_t size, void *user);

/** mfs_write_adopt(). The buffer is the caller's again where the completion is a failure. */
MFS_API int64_t mfs_async_write_adopt(mfs_async *context, mfs_file *file, void *buffer,
									  size_t length, mfs_release *release, void *release_user,
									  void *user);

/** mfs_copy_range(). Has its turn on both handles. */
MFS_API int64_t mfs_async_copy_range(mfs_async *context, mfs_file *from, int64_t from_offset,
									 mfs_file *to, int64_t to_offset, int64_t size, void *user);

/** mfs_read_to_fd(). There is no SIGPIPE: host_errno is EPIPE. */
MFS_API int64_t mfs_async_read_to_fd(mfs_async *context, mfs_file *file, int64_t offset,
									 int64_t size, int fd, void *user);

/** mfs_write_from_fd(). Where an error came after some bytes, the completion has its message. */
MFS_API int64_t mfs_async_write_from_fd(mfs_async *context, mfs_file *file, int64_t offset,
										int64_t size, int fd, void *user);

/*
 * The tree
 */

MFS_API int64_t mfs_async_mkdir(mfs_async *context, mfs *fs, const char *path, unsigned flags,
								void *user);
MFS_API int64_t mfs_async_remove(mfs_async *context, mfs *fs, const char *path, void *user);
MFS_API int64_t mfs_async_rename(mfs_async *context, mfs *fs, const char *from, const char *to,
								 unsigned flags, void *user);
MFS_API int64_t mfs_async_move(mfs_async *context, mfs *fs, const char *from, const char *to,
							   unsigned flags, void *user);
MFS_API int64_t mfs_async_rmtree(mfs_async *context, mfs *fs, const char *path, void *user);
MFS_API int64_t mfs_async_copy(mfs_async *context, mfs *fs, const char *from, const char *to,
							   void *user);
MFS_API int64_t mfs_async_copy_tree(mfs_async *context, mfs *fs, const char *from, const char *to,
									void *user);

/** mfs_listdir(). Output: names. */
MFS_API int64_t mfs_async_listdir(mfs_async *context, mfs *fs, const char *path, void *user);
/** mfs_glob(). Output: names. */
MFS_API int64_t mfs_async_glob(mfs_async *context, mfs *fs, const char *pattern, void *user);
/** mfs_opendir(). Output: dir. */
MFS_API int64_t mfs_async_opendir(mfs_async *context, mfs *fs, const char *path, void *user);
/** mfs_walk_open(). Output: walk. */
MFS_API int64_t mfs_async_walk_open(mfs_async *context, mfs *fs, const char *path, void *user);
/** mfs_walk_next(). Output: level, which the walk's next step makes invalid. */
MFS_API int64_t mfs_async_walk_next(mfs_async *context, mfs_walk *walk, void *user);

/*
 * Import and export
 */

/** mfs_import_tree(). The items, with their paths and data, stay as they are until it completes. */
MFS_API int64_t mfs_async_import_tree(mfs_async *context, mfs *fs, const mfs_import_item *items,
									  size_t count, void *user);

/** mfs_import_begin(). Output: import. */
MFS_API int64_t mfs_async_import_begin(mfs_async *context, mfs *fs, void *user);
MFS_API int64_t mfs_async_import_mkdir(mfs_async *context, mfs_import *import, const char *path,
									   void *user);
/** mfs_import_open(); `options` may be NULL. Output: file. */
MFS_API int64_t mfs_async_import_open(mfs_async *context, mfs_import *import, const char *path,
									  const char *mode, const mfs_open_options *options,
									  void *user);
/** mfs_import_commit(). Begin it when the closes of the import's handles have completed. */
MFS_API int64_t mfs_async_import_commit(mfs_async *context, mfs_import *import, unsigned flags,
										void *user);
MFS_API int64_t mfs_async_import_abort(mfs_async *context, mfs_import *import, void *user);

MFS_API int64_t mfs_async_import_from_dir(mfs_async *context, mfs *fs, const char *host_path,
										  const char *path, const mfs_transfer_options *options,
										  void *user);
MFS_API int64_t mfs_async_export_to_dir(mfs_async *context, mfs *fs, const char *path,
										const char *host_path, const mfs_transfer_options *options,
										void *user);

/** mfs_export_fd(). */
MFS_API int64_t mfs_async_export_fd(mfs_async *context, mfs *fs, const char *path, void *user);
/** mfs_export_buffer(). Output: buffer. */
MFS_API int64_t mfs_async_export_buffer(mfs_async *context, mfs *fs, const char *path,
										uint64_t max_size, void *user);
/** mfs_export_open(). Output: export_iterator. */
MFS_API int64_t mfs_async_export_open(mfs_async *context, mfs *fs, const char *path, unsigned flags,
									  void *user);
/** mfs_export_next(). Output: item, which the iterator's next step makes invalid. */
MFS_API int64_t mfs_async_export_next(mfs_async *context, mfs_export *iterator, void *user);

#ifdef __cplusplus
}
#endif

#endif
