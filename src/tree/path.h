/* SPDX-License-Identifier: MIT */
/*
 * Paths, read component by component without a copy.
 *
 * A lookup walks over the text as the caller gave it. "." and empty components are skipped on the
 * way. ".." takes back a component as text, whether or not that exists, so a path that has one is
 * folded into a copy first; that is found out on the way, since hardly any path has one.
 */
#ifndef MFS_TREE_PATH_H
#define MFS_TREE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A name within a path, with its hash. Valid as long as the path's text. */
struct mfs__name {
	const char *text; /* not terminated */
	uint32_t length;
	uint32_t hash;
};

struct mfs__node;

/** A path on its way through a call. */
struct mfs__path {
	const char *text;
	size_t length;
	struct mfs__node *start; /* pinned; NULL: the root. Set after mfs__path_begin(). */
	char *folded;            /* the copy without "..", to be freed, or NULL */
	size_t folded_size;
};

/** Where a walk over a path stands. */
struct mfs__path_cursor {
	const char *next;
	const char *end;
};

/** What mfs__path_next() found. */
enum mfs__path_step {
	MFS__PATH_END,      /* nothing more */
	MFS__PATH_NAME,     /* a name */
	MFS__PATH_UP,       /* "..": the path must be folded */
	MFS__PATH_TOO_LONG, /* a name of more than MFS_NAME_MAX bytes */
};

/** Begin with a caller's path. Returns 0, or MFS_ENAMETOOLONG for more than MFS_PATH_MAX bytes. */
int mfs__path_begin(struct mfs__path *path, const char *text);

/** Free the folded copy, if there is one. */
void mfs__path_end(struct mfs__path *path);

/** Replace the text by a copy without "..". Returns 0, MFS_EINVAL (above the root), MFS_ENOMEM. */
int mfs__path_fold(struct mfs__path *path);

/**
 * Fold the path if it has a "..", and see that all its names are short enough: a walk over it then
 * finds names, and nothing else. Returns 0, MFS_EINVAL, MFS_ENAMETOOLONG, MFS_ENOMEM.
 */
int mfs__path_settle(struct mfs__path *path);

static inline struct mfs__path_cursor mfs__path_start(const struct mfs__path *path)
{
	return (struct mfs__path_cursor){path->text, path->text + path->length};
}

/** Find the next component and hash it. About a nanosecond for each byte, a few for each name. */
enum mfs__path_step mfs__path_next(struct mfs__path_cursor *cursor, struct mfs__name *name);

#endif
