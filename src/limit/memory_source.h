/* SPDX-License-Identifier: MIT */
/*
 * How much memory is available: to the system, and to the groups that limit this process.
 *
 * One file for each platform implements this: memory_source_linux.c, memory_source_macos.c,
 * memory_source_windows.c. A source that is missing, empty or malformed is unknown: never zero,
 * never a crash.
 */
#ifndef MFS_LIMIT_MEMORY_SOURCE_H
#define MFS_LIMIT_MEMORY_SOURCE_H

#include <dmemfs/dmemfs.h>

#include <stdbool.h>
#include <stdint.h>

struct mfs__memory_sample {
	uint64_t available; /* bytes; 0 if the source is unknown */
	int source;         /* MFS_MEMORY_..., of what limits most */
};

/**
 * Ask the platform. Takes about 100 microseconds. One call at a time.
 *
 * Returns true and the least of what the sources say in *sample, MFS_MEMORY_UNKNOWN if none says
 * anything. Returns false, with nothing changed, if it could not ask now but may later: no
 * descriptor was free, or no memory.
 */
bool mfs__memory_sample(struct mfs__memory_sample *sample);

/**
 * Open a descriptor that polls as POLLPRI when the kernel sees that threads wait for memory; if
 * that fails where it was opened, POLLERR. Close-on-exec. Returns it, or -1 where there is none.
 */
int mfs__memory_pressure_open(void);

/** For tests: read files below this folder, which has proc and sys/fs/cgroup, in the place of the
 * root folder; NULL: the root folder. Keeps the string. No sample may be under way. */
void mfs__memory_source_root(const char *folder);

#endif
