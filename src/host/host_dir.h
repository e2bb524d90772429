/* SPDX-License-Identifier: MIT */
/*
 * A place in a tree of directories on the host, for one thread.
 *
 * Every step is relative to the descriptor of the directory above and follows no link. So whatever
 * others put where our directories were, we stay below the top: in the directories that we opened.
 * (One of these may be moved away meanwhile; then it is still the same directory.)
 *
 * Of the way from the top, a few directories are kept open to begin at, the fewer the further up:
 * a level that 2^n divides is kept until the place is 2^(n+1) levels below it. So a walk through a
 * tree d levels deep opens each of its directories about log(d) times, however often it comes back
 * from far below.
 */
#ifndef MFS_HOST_HOST_DIR_H
#define MFS_HOST_HOST_DIR_H

#include "host/text.h"

#include <stdbool.h>
#include <stdint.h>

/** The most that are kept open, enough for 2^16 levels, and the least. */
#define MFS__HOST_DIRS_MAX   32
#define MFS__HOST_DIRS_LEAST 2

/** A directory on the way that is open. */
struct mfs__host_level {
	uint32_t level; /* 1: below the top */
	int fd;
};

struct mfs__host_dir {
	/* Constant after mfs__host_dir_begin(). */
	int top;
	int flags;      /* for openat() */
	bool make;      /* what is missing */
	uint32_t limit; /* of what is kept open */
	/* Where we are. */
	struct mfs__text path; /* "a/b", "" for the top */
	uint32_t depth;        /* names in it */
	/* Open, the deepest last: the place itself, unless it is the top. */
	struct mfs__host_level levels[MFS__HOST_DIRS_MAX];
	uint32_t open;
};

/**
 * Begin at `top`, a descriptor that stays the caller's. `make`: make directories that are missing;
 * they are then only opened as places, else for reading. `limit` is at least MFS__HOST_DIRS_LEAST.
 */
void mfs__host_dir_begin(struct mfs__host_dir *dir, int top, bool make, uint32_t limit);

/** Close what is open, but for `top`. */
void mfs__host_dir_end(struct mfs__host_dir *dir);

/**
 * Go to `path`, relative to the top, without "." and "..". Returns its descriptor, which is good
 * until the next call, or -errno. Then dir->path is how far it came, and *failed, if not NULL, the
 * length of the path up to the directory that could not be opened: ENOTDIR or ELOOP say that it is
 * none, or a link to one.
 */
int mfs__host_dir_go(struct mfs__host_dir *dir, const char *path, size_t length, size_t *failed);

/**
 * The process has no descriptor left: close one that is not needed now. Returns false if there is
 * none.
 */
bool mfs__host_dir_spare(struct mfs__host_dir *dir);

/**
 * How many threads can work below `top`, `wanted` at most, and how many directories each may keep
 * open, so that half of the descriptors that the process has left stays for others.
 */
unsigned mfs__host_dir_share(int top, unsigned wanted, uint32_t *limit);

/** Is that what opening with O_NOFOLLOW answers when there is something else than was expected? */
bool mfs__host_is_other(int error);

#endif
