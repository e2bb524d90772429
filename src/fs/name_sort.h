/* SPDX-License-Identifier: MIT */
/* Sorting names bytewise, fast enough to be no matter beside reading them. */
#ifndef MFS_FS_NAME_SORT_H
#define MFS_FS_NAME_SORT_H

#include <stddef.h>

/** Bytes after a name's NUL that must be readable, whatever they are: names are read in words. */
#define MFS__NAME_PAD 8

/**
 * Sort names, no two of them equal, of at most MFS_NAME_MAX + 1 bytes. Linear in their bytes.
 *
 * Returns 0, or MFS_ENOMEM with the names as they were.
 */
int mfs__names_sort(char **names, size_t count);

#endif
