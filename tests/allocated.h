/* SPDX-License-Identifier: MIT */
/* What the process's allocator has given and not got back: jemalloc, or the C library's. */
#ifndef MFS_TESTS_ALLOCATED_H
#define MFS_TESTS_ALLOCATED_H

#include "support.h"

#include "await.h"
#include "base/compiler.h"
#include "base/jemalloc.h"
#include "base/reclaim.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

/** How many bytes that is, once what was retired is freed. Returns false, with a reason printed, if
 * the allocator does not say. */
static inline bool allocated_bytes(uint64_t *bytes)
{
	*bytes = 0;
	AWAIT((mfs__reclaim_throttle(), mfs__reclaim_pending() == 0));
	if (MFS__SANITIZED) {
		print_message("             skipped: sanitizers have an allocator of their own\n");
		return false;
	}
	if (MFS__HAVE_JEMALLOC) {
		uint64_t epoch = 1;
		size_t allocated = 0;
		size_t size = sizeof(allocated);
		(void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
		(void)mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
		if (mallctl("stats.allocated", &allocated, &size, NULL, 0)) {
			print_message("             skipped: this jemalloc keeps no statistics\n");
			return false;
		}
		*bytes = allocated;
		return true;
	}
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
	struct mallinfo2 info = mallinfo2();
	*bytes = info.uordblks + info.hblkhd;
	return true;
#else
	print_message("             skipped: this allocator tells nothing\n");
	return false;
#endif
}

#endif
