/* SPDX-License-Identifier: MIT */
#include "size.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool size_parse(const char *text, uint64_t *out)
{
	uint64_t size = 0;
	unsigned shift = 0;

	if (*text < '0' || *text > '9')
		return false;
	for (; *text >= '0' && *text <= '9'; text++) {
		uint64_t digit = (uint64_t)(*text - '0');
		if (size > (INT64_MAX - digit) / 10)
			return false;
		size = 10 * size + digit;
	}
	switch (*text) {
	case 'K':
	case 'k':
		shift = 10;
		break;
	case 'M':
	case 'm':
		shift = 20;
		break;
	case 'G':
	case 'g':
		shift = 30;
		break;
	default:
		break;
	}
	if (shift)
		text++;
	if (*text || size > (uint64_t)INT64_MAX >> shift)
		return false;
	*out = size << shift;
	return true;
}

bool size_parse_count(const char *text, uint64_t *out)
{
	return *text && !text[strspn(text, "0123456789")] && size_parse(text, out) && *out > 0;
}

uint64_t size_default_quota(void)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long page_size = sysconf(_SC_PAGESIZE);

	return pages > 0 && page_size > 0 ? (uint64_t)pages * (uint64_t)page_size / 2 : 0;
}

struct size_text size_format(uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	struct size_text result;
	size_t unit = 0;
	double value = (double)bytes / 1024;

	if (bytes < 1024) {
		(void)snprintf(result.text, sizeof result.text, "%" PRIu64 " B", bytes);
		return result;
	}
	/* What would be written as 1024.0 is 1.0 of the next unit. */
	while (value >= 1023.95 && unit < sizeof units / sizeof units[0] - 1) {
		value /= 1024;
		unit++;
	}
	(void)snprintf(result.text, sizeof result.text, "%.1f %s", value, units[unit]);
	return result;
}
