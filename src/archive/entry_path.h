/* SPDX-License-Identifier: MIT */
/* The paths that archives have, which anybody may have made, and where in the workspace they lead.
 */
#ifndef DMEMFS_ARCHIVE_ENTRY_PATH_H
#define DMEMFS_ARCHIVE_ENTRY_PATH_H

#include <stddef.h>

/** Why a path is not safe: a code, and what to say. */
struct mfs__archive_refusal {
	int code;
	const char *reason; /* constant string */
};

/**
 * Append an entry's path to `out`, each component with a '/' before it: "./a//b/" becomes "/a/b",
 * and "." nothing. `room`: bytes from `out` on, with the NUL. `path` may be NULL: none.
 *
 * Returns 0; or a code, with *refusal filled, where the path is empty, or could lead out of the
 * directory that `out` stands for, here or on another system, or is too long.
 */
int mfs__archive_entry_path(char *out, size_t room, const char *path,
							struct mfs__archive_refusal *refusal);

#endif
