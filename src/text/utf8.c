/* SPDX-License-Identifier: MIT */
/* Characters in UTF-8, one by one, and how many there are. */
#include "utf8.h"

#include <stdbool.h>
#include <string.h>

/*
 * Table 3-7 of the Unicode standard: after some first bytes the second one has a smaller range than
 * 0x80 to 0xBF, which keeps out longer forms than need be, surrogates, and what is too large.
 */
static bool second_is_good(uint8_t first, uint8_t second)
{
	switch (first) {
	case 0xE0:
		return second >= 0xA0 && second <= 0xBF;
	case 0xED:
		return second >= 0x80 && second <= 0x9F;
	case 0xF0:
		return second >= 0x90 && second <= 0xBF;
	case 0xF4:
		return second >= 0x80 && second <= 0x8F;
	default:
		return second >= 0x80 && second <= 0xBF;
	}
}

size_t mfs__text_utf8_length(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xC2 || first > 0xF4)
		return 0;
	return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

int mfs__text_utf8_next(const uint8_t *bytes, size_t size)
{
	size_t length = mfs__text_utf8_length(bytes[0]);

	if (length == 0)
		return -1;
	for (size_t i = 1; i < length; i++) {
		if (i == size)
			return 0;
		if (i == 1 ? !second_is_good(bytes[0], bytes[1]) : (bytes[i] & 0xC0) != 0x80)
			return -(int)i;
	}
	return (int)length;
}

uint32_t mfs__text_utf8_get(const uint8_t *bytes, size_t length)
{
	static const uint8_t bits_of_first[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
	uint32_t character = bytes[0] & bits_of_first[length];

	for (size_t i = 1; i < length; i++)
		character = character << 6 | (bytes[i] & 0x3Fu);
	return character;
}

size_t mfs__text_utf8_put(uint32_t character, uint8_t *to)
{
	size_t length = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
	static const uint8_t marks[] = {0, 0, 0xC0, 0xE0, 0xF0};

	for (size_t i = length - 1; i > 0; i--) {
		to[i] = (uint8_t)(0x80u | (character & 0x3Fu));
		character >>= 6;
	}
	to[0] = (uint8_t)(marks[length] | character);
	return length;
}

/* How many bytes of a word continue a character: the highest bit is set, the next one is not. */
static inline size_t continuing(uint64_t word)
{
	uint64_t each = (word >> 7) & (~word >> 6) & UINT64_C(0x0101010101010101);

	return (size_t)((each * UINT64_C(0x0101010101010101)) >> 56);
}

size_t mfs__text_utf8_count(const uint8_t *bytes, size_t size)
{
	size_t count = size;
	size_t at = 0;

	for (; size - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
		uint64_t word;
		memcpy(&word, bytes + at, sizeof word);
		count -= continuing(word);
	}
	for (; at < size; at++)
		count -= (bytes[at] & 0xC0) == 0x80;
	return count;
}

size_t mfs__text_utf8_cut(const uint8_t *bytes, size_t size, size_t limit)
{
	size_t at = 0;

	for (; limit >= sizeof(uint64_t) && size - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
		uint64_t word;
		memcpy(&word, bytes + at, sizeof word);
		limit -= sizeof word - continuing(word);
	}
	/* `at` may be within a character, whose first byte is counted already. */
	for (; at < size; at++) {
		if ((bytes[at] & 0xC0) == 0x80)
			continue;
		if (limit == 0)
			break;
		limit--;
	}
	return at;
}
