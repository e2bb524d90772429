/* SPDX-License-Identifier: MIT */
/*
 * Files of a workspace as streams of the C library: FILE *, for code that wants one. An optional
 * component: link dmemfs::stdio (pkg-config dmemfs-stdio).
 *
 * A stream is used as any other: all of <stdio.h> that works on files works on it, and does the
 * same, with the same buffering by the C library, the same flockfile(), and the same care asked of
 * the user between reading and writing. It ends with fclose(). What is particular:
 *
 *   Errors      errno is -code where the code of dmemfs.h is an errno, so EDQUOT for the quota,
 *               ENOSPC for the limit of files, ETIMEDOUT for a file's lock; ENOMEM for the memory
 *               guard. mfs_last_error() has the text.
 *   Locking     A stream that mfs_fopen() opens does not hold the file's lock but takes it whenever
 *               the C library reads or writes (MFS_O_SHARED). So streams on one file stand beside
 *               each other as descriptors do, and the file can be renamed and removed under them.
 *               Against a handle that holds the lock they wait up to default_lock_timeout, and
 *               fail. Who wants the lock held, or other timeouts, opens a handle with
 *               mfs_open_ex() and makes it a stream with mfs_fdopen().
 *   Writing     What the C library writes at once (a full buffer, what is flushed, the whole blocks
 *               of a large fwrite()) is written whole or not at all. Where the quota refuses it,
 *               the stream's error indicator is set, fwrite(), fflush() or fclose() reports it, and
 *               what was in the buffer is lost, as on a full disk. fclose() closes the handle all
 *               the same.
 *   Workspace   A stream counts as an open handle: mfs_free() answers MFS_EBUSY until fclose().
 *   Fork        The child has its own copy of a stream, of what is in its buffer, and of the
 *               workspace. So what is flushed in one process does not come up in the other.
 *
 * What does not work: there is no descriptor, so fileno() gives -1 (EBADF). freopen() and wide
 * characters (fgetws() and its like) are not for such streams: glibc cannot do either, fwide() says
 * so by staying negative, and some of these functions crash there.
 */
#ifndef DMEMFS_STDIO_H
#define DMEMFS_STDIO_H

#include "dmemfs.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Open a file of a workspace as a stream.
 *
 * | mode | reads | writes | the file must | what happens                                 |
 * |------|-------|--------|---------------|----------------------------------------------|
 * | "r"  | yes   | no     | exist         |                                              |
 * | "w"  | no    | yes    |               | made, or emptied                             |
 * | "a"  | no    | yes    |               | made if missing; each write goes to the end  |
 * | "r+" | yes   | yes    | exist         |                                              |
 * | "w+" | yes   | yes    |               | as "w"                                       |
 * | "a+" | yes   | yes    |               | as "a"; reads begin at the start             |
 *
 * After the first letter '+', 'b', 'x' and 'e' may follow in any order, each once. 'x', not with
 * "r": the file must not exist. 'b' and 'e' change nothing. Writes of streams and handles that
 * append to one file never overwrite each other.
 *
 * The stream is fully buffered, by 4 KiB that it brings along. setvbuf() changes that as ever; a
 * larger buffer gains little, and makes fseek() slower.
 *
 * Errors (errno): EINVAL (NULL, mode, path), ENOENT, EEXIST ('x'), EISDIR, ENOTDIR, ENAMETOOLONG,
 * EBUSY and ETIMEDOUT ("w": a handle holds the file), ENOSPC and EDQUOT (the workspace's limits),
 * EMFILE, ENOMEM. A failing open has not made or emptied the file.
 * Returns the stream, to be closed with fclose(), or NULL with errno set.
 */
MFS_API FILE *mfs_fopen(mfs *fs, const char *path, const char *mode);

/**
 * Make an open handle a stream. It begins where the handle's cursor is, or with "a" at the end. On
 * success the handle is the stream's: fclose() closes it, and until then nobody else should move
 * its cursor.
 *
 * Modes as for mfs_fopen(), but nothing is made or emptied, and 'x' means nothing. The handle must
 * be open for what the mode says. With "a" each write first goes to the end; only a handle whose
 * own mode is "ab" or "a+b", or that holds the file's lock, does that in one step with the write.
 *
 * Errors (errno): EINVAL (NULL, mode, the handle reads or writes less than that), EBADF (closed, or
 * NULL), ENOMEM. The handle is then still the caller's.
 * Returns the stream, to be closed with fclose(), or NULL with errno set.
 */
MFS_API FILE *mfs_fdopen(mfs_file *file, const char *mode);

#ifdef __cplusplus
}
#endif

#endif
