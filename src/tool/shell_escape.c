/* SPDX-License-Identifier: MIT */
#include "shell_escape.h"

#include <stdint.h>
#include <stdio.h>

/* The code point that `text`, ended by a NUL, begins with, and its length; or -1 and 1. */
static int32_t decode(const char *text, size_t *length)
{
	const unsigned char *bytes = (const unsigned char *)text;
	static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t count = 1;
	int32_t point = bytes[0];

	*length = 1;
	if (bytes[0] >= 0xf0 && bytes[0] <= 0xf4) {
		count = 4;
		point &= 0x07;
	} else if (bytes[0] >= 0xe0 && bytes[0] < 0xf0) {
		count = 3;
		point &= 0x0f;
	} else if (bytes[0] >= 0xc2 && bytes[0] < 0xe0) {
		count = 2;
		point &= 0x1f;
	} else if (bytes[0] >= 0x80) {
		return -1;
	}
	for (size_t i = 1; i < count; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return -1;
		point = point << 6 | (bytes[i] & 0x3f);
	}
	if (point < least[count] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
		return -1;
	*length = count;
	return point;
}

static bool is_harmless(int32_t point)
{
	if (point < 0x20 || (point >= 0x7f && point < 0xa0))
		return false;
	/* Marks and overrides of direction, and separators of lines and paragraphs. */
	return point != 0x61c && point != 0x200e && point != 0x200f &&
		   (point < 0x2028 || point > 0x202e) && (point < 0x2066 || point > 0x2069);
}

static bool all_harmless(const char *text)
{
	size_t length;

	for (; *text; text += length)
		if (!is_harmless(decode(text, &length)))
			return false;
	return true;
}

/* Append `count` bytes as escapes. */
static bool append_escapes(struct bytes *to, const char *text, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		static const char letters[] = "abtnvfr";
		unsigned char byte = (unsigned char)text[i];
		char escape[8];
		int length;
		if (byte >= '\a' && byte <= '\r')
			length = snprintf(escape, sizeof escape, "\\%c", letters[byte - '\a']);
		else
			length = snprintf(escape, sizeof escape, "\\x%02x", byte);
		if (!bytes_append(to, escape, (size_t)length))
			return false;
	}
	return true;
}

/* Append text with escapes for all that is not harmless, and a '\' before the bytes of `marked`. */
static bool append_escaped(struct bytes *to, const char *text, const char *marked)
{
	size_t length;

	for (; *text; text += length) {
		bool harmless = is_harmless(decode(text, &length));
		if (harmless && strchr(marked, *text) && !bytes_append(to, "\\", 1))
			return false;
		if (!(harmless ? bytes_append(to, text, length) : append_escapes(to, text, length)))
			return false;
	}
	return true;
}

static bool end(struct bytes *to)
{
	if (!bytes_append(to, "", 1))
		return false;
	to->length--;
	return true;
}

static bool append_dollar_quotes(struct bytes *to, const char *name)
{
	return bytes_append(to, "$'", 2) && append_escaped(to, name, "'\\") && bytes_append(to, "'", 1);
}

bool shell_append_shown(struct bytes *to, const char *name)
{
	if (!all_harmless(name))
		return append_dollar_quotes(to, name) && end(to);
	return bytes_append(to, name, strlen(name)) && end(to);
}

bool shell_append_quoted(struct bytes *to, const char *name)
{
	if (!*name)
		return bytes_append(to, "''", 2) && end(to);
	if (!all_harmless(name))
		return append_dollar_quotes(to, name) && end(to);
	/* A comment begins only where a word does. */
	if (*name == '#' && !bytes_append(to, "\\", 1))
		return false;
	return append_escaped(to, name, " \\'\"$;|&<>*?[") && end(to);
}

bool shell_append_message(struct bytes *to, const char *text)
{
	return append_escaped(to, text, "") && end(to);
}

size_t shell_character_length(const char *text)
{
	size_t length;

	(void)decode(text, &length);
	return length;
}
