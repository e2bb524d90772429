/* SPDX-License-Identifier: MIT */
/* Structs of options that callers of another version may have made. */
#ifndef DMEMFS_ARCHIVE_OPTIONS_H
#define DMEMFS_ARCHIVE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* No options struct is ever this large: a larger struct_size is a mistake, and not read from. */
#define MFS__ARCHIVE_OPTIONS_MAX 4096

/**
 * Copy the options that a caller gave, or none (NULL), to a struct of `size` bytes that begins with
 * its struct_size. Fields that only a later version knows must be zero. Returns false for a
 * struct_size that cannot be right.
 */
static inline bool mfs__archive_options_copy(void *out, size_t size, const void *given)
{
	size_t given_size;

	memset(out, 0, size);
	if (!given)
		return true;
	memcpy(&given_size, given, sizeof given_size);
	if (given_size == 0)
		given_size = size;
	if (given_size < size || given_size > MFS__ARCHIVE_OPTIONS_MAX)
		return false;
	for (size_t i = size; i < given_size; i++)
		if (((const char *)given)[i])
			return false;
	memcpy(out, given, size);
	return true;
}

#endif
