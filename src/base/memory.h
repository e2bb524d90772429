/* SPDX-License-Identifier: MIT */
/* What the process has chosen for the library's memory: mfs_configure_memory(). */
#ifndef MFS_BASE_MEMORY_H
#define MFS_BASE_MEMORY_H

#include <stdatomic.h>
#include <stdint.h>

/** Atomic, any thread, each by itself. */
struct mfs__memory {
	_Atomic uint64_t idle_bytes; /* of freed blocks that are kept, at most */
	_Atomic int64_t idle_ns;     /* that freed memory is kept, at least */
	/* that are retired before who retires helps to free; at most INT64_MAX */
	_Atomic uint64_t retired_bytes;
	atomic_bool huge_pages; /* of what is mapped from now on */
	atomic_bool arenas;     /* of workspaces that are made from now on */
};

extern struct mfs__memory mfs__memory;

#endif
