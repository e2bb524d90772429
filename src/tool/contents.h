/* SPDX-License-Identifier: MIT */
/*
 * A tree of the workspace on the host: a directory there, or an archive where the tool was built
 * with the component for archives.
 */
#ifndef DMEMFS_TOOL_CONTENTS_H
#define DMEMFS_TOOL_CONTENTS_H

#include <dmemfs/dmemfs.h>

#include <stdbool.h>
#include <stdint.h>

/**
 * Bring the directory or the archive `host` into the workspace at `path`: all of it, or nothing.
 * Files that are there are replaced.
 *
 * `go_on` is asked now and then whether to, and may be NULL. What is neither a file nor a directory
 * is left out, as are entries of an archive that could do harm; *left_out counts them, and may be
 * NULL.
 *
 * Errors: those of mfs_import_from_dir() and mfs_expand_archive(), MFS_ENOTSUP (an archive, but the
 * tool was built without), MFS_ECANCELED. mfs_last_error() has the message. Returns 0.
 */
int contents_load(mfs *fs, const char *path, const char *host, bool (*go_on)(void),
				  uint64_t *left_out);

/**
 * Write the directory `path` of the workspace to `host`: to an archive if the name ends in .tar,
 * .tar.gz, .tgz, .tar.zst, .tzst or .zip, and is not that of a directory; else to a directory,
 * which may be there, with what else is in it.
 *
 * An archive comes under its name when it is complete and on the disk, and replaces the file that
 * was there, or that a link there led to.
 * Errors, `go_on` and return: as contents_load(), of mfs_export_to_dir() and mfs_create_archive().
 */
int contents_save(mfs *fs, const char *path, const char *host, bool (*go_on)(void));

/**
 * Whether contents_save() has a chance: the directory that `host` is to be in can be written to,
 * and an archive can be made if it is one.
 *
 * Returns 0, MFS_EHOST with errno, or MFS_ENOTSUP; mfs_last_error() has the message.
 */
int contents_can_save(const char *host);

#endif
