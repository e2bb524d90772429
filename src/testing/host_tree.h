/* SPDX-License-Identifier: MIT */
/* Directories of the host, of any depth. Nothing here follows a link below its starting point. */
#ifndef DMEMFS_TESTING_HOST_TREE_H
#define DMEMFS_TESTING_HOST_TREE_H

/* Make a directory with its parents, or find it. Returns it, open, or -1 with errno. */
int mfs__testing_make_directories(const char *path);

/*
 * Make a directory below another one, with its parents, or find it. Components are separated by
 * '/'. Returns it, open, or -1 with errno.
 */
int mfs__testing_make_below(int top, const char *path);

/* Remove a directory with all below it, or a file. Returns 0, also if there is none, or -1 with
 * errno. */
int mfs__testing_remove(int parent, const char *name);

#endif
