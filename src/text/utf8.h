/* SPDX-License-Identifier: MIT */
/* Characters in UTF-8, one by one, and how many there are. */
#ifndef DMEMFS_TEXT_UTF8_H
#define DMEMFS_TEXT_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* U+FFFD, in the place of what is no character. */
#define MFS__TEXT_REPLACEMENT UINT32_C(0xFFFD)
#define MFS__TEXT_LAST        UINT32_C(0x10FFFF)

/* How many bytes a character with this first one has; 0: none begins so. */
size_t mfs__text_utf8_length(uint8_t first);

/*
 * What the first bytes, of which there is at least one, are:
 * the length of a character (1 to 4);
 * 0: a beginning of one, and all there is;
 * negative: damage, as many bytes as one replacement stands for.
 */
int mfs__text_utf8_next(const uint8_t *bytes, size_t size);

/* The character that mfs__text_utf8_next() gave the length of. */
uint32_t mfs__text_utf8_get(const uint8_t *bytes, size_t length);

/* Put a character down, up to 4 bytes. Returns its length. */
size_t mfs__text_utf8_put(uint32_t character, uint8_t *to);

/* How many characters well-formed UTF-8 has. */
size_t mfs__text_utf8_count(const uint8_t *bytes, size_t size);

/* How many of the bytes the first `limit` characters of well-formed UTF-8 take, at most `size`. */
size_t mfs__text_utf8_cut(const uint8_t *bytes, size_t size, size_t limit);

#endif
