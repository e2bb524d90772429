/* SPDX-License-Identifier: MIT */
/*
 * What the library uses of jemalloc, where the process has it. The references are weak: jemalloc's
 * own declarations would make them strong. Sanitizers only watch memory that malloc gave, so that
 * their builds do without.
 */
#ifndef MFS_BASE_JEMALLOC_H
#define MFS_BASE_JEMALLOC_H

#include "base/compiler.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

/** Functions by which an arena of jemalloc gets its memory; true means that they refuse. */
struct mfs__extent_hooks {
	void *(*alloc)(struct mfs__extent_hooks *hooks, void *address, size_t size, size_t alignment,
				   bool *zero, bool *commit, unsigned arena);
	bool (*dalloc)(struct mfs__extent_hooks *hooks, void *address, size_t size, bool committed,
				   unsigned arena);
	void (*destroy)(struct mfs__extent_hooks *hooks, void *address, size_t size, bool committed,
					unsigned arena);
	bool (*commit)(struct mfs__extent_hooks *hooks, void *address, size_t size, size_t offset,
				   size_t length, unsigned arena);
	bool (*decommit)(struct mfs__extent_hooks *hooks, void *address, size_t size, size_t offset,
					 size_t length, unsigned arena);
	bool (*purge_lazy)(struct mfs__extent_hooks *hooks, void *address, size_t size, size_t offset,
					   size_t length, unsigned arena);
	bool (*purge_forced)(struct mfs__extent_hooks *hooks, void *address, size_t size, size_t offset,
						 size_t length, unsigned arena);
	bool (*split)(struct mfs__extent_hooks *hooks, void *address, size_t size, size_t size_a,
				  size_t size_b, bool committed, unsigned arena);
	bool (*merge)(struct mfs__extent_hooks *hooks, void *a, size_t size_a, void *b, size_t size_b,
				  bool committed, unsigned arena);
};

/** Flags of mallocx() and its like: an arena, a cache of threads, no such cache. */
#define MFS__IN_ARENA(arena)   (((unsigned)(arena) + 1) << 20)
#define MFS__WITH_CACHE(cache) (((unsigned)(cache) + 2) << 8)
#define MFS__WITHOUT_CACHE     (1U << 8)

#if MFS__SANITIZED

#define MFS__HAVE_JEMALLOC false

static inline void *mallocx(size_t size, int flags)
{
	(void)size;
	(void)flags;
	return NULL;
}

static inline void *rallocx(void *block, size_t size, int flags)
{
	(void)block;
	(void)size;
	(void)flags;
	return NULL;
}

static inline void sdallocx(void *block, size_t size, int flags)
{
	(void)block;
	(void)size;
	(void)flags;
}

static inline int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size)
{
	(void)name;
	(void)old;
	(void)old_size;
	(void)new;
	(void)new_size;
	return ENOENT;
}

#else

extern void *mallocx(size_t size, int flags) __attribute__((weak));
extern void *rallocx(void *block, size_t size, int flags) __attribute__((weak));
extern void sdallocx(void *block, size_t size, int flags) __attribute__((weak));
extern int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size)
	__attribute__((weak));

#define MFS__HAVE_JEMALLOC (mallocx && rallocx && sdallocx && mallctl)

#endif

#endif
