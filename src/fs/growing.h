/* SPDX-License-Identifier: MIT */
/* Arrays that grow by doubling. */
#ifndef MFS_FS_GROWING_H
#define MFS_FS_GROWING_H

#include "base/alloc.h"

#include <stddef.h>
#include <stdint.h>

/**
 * See to it that an array of *room elements of `size` bytes has room for `wanted`. NULL with no
 * room is an empty array. Returns the array, which may have moved, or NULL without memory; then the
 * old one is as it was.
 */
static inline void *mfs__grow(void *array, size_t *room, size_t wanted, size_t size)
{
	size_t next = *room ? *room : 16;

	if (wanted <= *room)
		return array;
	while (next < wanted && next <= SIZE_MAX / 2)
		next *= 2;
	if (next < wanted || next > SIZE_MAX / size)
		return NULL;
	void *grown = *room ? mfs__realloc(array, *room * size, next * size) : mfs__alloc(next * size);
	if (grown)
		*room = next;
	return grown;
}

#endif
