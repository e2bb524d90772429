/* SPDX-License-Identifier: MIT */
/* Looking through bytes of text in blocks: for what is well-formed, and for where it stops. */
#ifndef DMEMFS_TEXT_SCAN_H
#define DMEMFS_TEXT_SCAN_H

#include <stddef.h>
#include <stdint.h>

/* Where the first of two bytes is, or `size`. */
size_t mfs__text_find(const uint8_t *bytes, size_t size, uint8_t stop, uint8_t other);

/* The length of the longest prefix that is whole characters of UTF-8, well-formed. */
size_t mfs__text_utf8_check(const uint8_t *bytes, size_t size);

/* The same, up to the first of two bytes, which are ASCII. */
size_t mfs__text_utf8_span(const uint8_t *bytes, size_t size, uint8_t stop, uint8_t other);

/* The length of the longest prefix that is ASCII, up to the first of two bytes. */
size_t mfs__text_ascii_span(const uint8_t *bytes, size_t size, uint8_t stop, uint8_t other);

#endif
