/* SPDX-License-Identifier: MIT */
#include "mode.h"

#include <stddef.h>
#include <string.h>

/* What may follow the first letter, in any order, each at most once. */
static const char modifiers[] = "+bex";

bool mfs__stdio_parse_mode(const char *text, struct mfs__stdio_mode *mode)
{
	unsigned seen = 0;

	if (text[0] != 'r' && text[0] != 'w' && text[0] != 'a')
		return false;
	for (const char *at = text + 1; *at; at++) {
		const char *modifier = strchr(modifiers, *at);
		if (!modifier)
			return false;
		unsigned bit = 1u << (modifier - modifiers);
		if (seen & bit)
			return false;
		seen |= bit;
	}
	mode->access = text[0];
	mode->update = (seen & 1u << 0) != 0;
	mode->exclusive = (seen & 1u << 3) != 0;
	return true;
}

bool mfs__stdio_reads(const struct mfs__stdio_mode *mode)
{
	return mode->access == 'r' || mode->update;
}

bool mfs__stdio_writes(const struct mfs__stdio_mode *mode)
{
	return mode->access != 'r' || mode->update;
}
