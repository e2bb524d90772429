/* SPDX-License-Identifier: MIT */
/* Sizes in bytes as people write and read them. */
#ifndef DMEMFS_TOOL_SIZE_H
#define DMEMFS_TOOL_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A size as text: "123 B", "1.2 MiB". */
struct size_text {
	char text[24];
};

/**
 * Read a size: a number of bytes, or of 1024, 1024^2, 1024^3 bytes with K, M or G behind it.
 *
 * Returns true and the size in *out; false for anything else and for more than INT64_MAX.
 */
bool size_parse(const char *text, uint64_t *out);

/** Read a number above 0 with nothing behind it. Returns true and the number in *out. */
bool size_parse_count(const char *text, uint64_t *out);

/** The quota of a workspace that has none given: half of the machine's memory, or 0 if unknown. */
uint64_t size_default_quota(void);

/** Write a size with at most four digits. */
struct size_text size_format(uint64_t bytes);

#endif
