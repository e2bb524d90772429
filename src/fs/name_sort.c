/* SPDX-License-Identifier: MIT */
/*
 * Names are sorted by eight bytes at a time, which are kept beside the pointer, so that hardly any
 * comparison touches a name: first all by their first eight bytes, then each run of names that have
 * those in common by the next eight. Short runs are sorted by insertion, long ones by radix, only
 * by the bytes in which they differ. So no order of names and no choice of names makes it slow.
 */
#include "fs/name_sort.h"

#include "base/alloc.h"

#include <dmemfs/dmemfs.h>

#include <stdint.h>
#include <string.h>

#define KEY_BYTES 8
/* Up to so many are sorted by insertion, and without an allocation. */
#define FEW 40
/* Keys that a name can have, one after the other. */
#define LEVELS ((MFS_NAME_MAX + 1) / KEY_BYTES + 1)

struct item {
	uint64_t key;
	char *name;
};

/* A run of items whose names are equal in all keys so far; those before `at` are in order. */
struct run {
	size_t at;
	size_t end;
};

/* Eight bytes of a name from `depth` on, the first in the highest place, zeros behind its end. */
static uint64_t key_at(const char *name, size_t depth)
{
	uint64_t word;

	memcpy(&word, name + depth, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	/* The lowest mark is of a true zero byte: what is above it is not the name's. */
	uint64_t zeros = (word - UINT64_C(0x0101010101010101)) & ~word & UINT64_C(0x8080808080808080);
	if (zeros)
		word &= ((zeros & (~zeros + 1)) >> 7) - 1;
	return __builtin_bswap64(word);
}

static void sort_few(struct item *items, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct item item = items[i];
		size_t to = i;
		while (to > 0 && items[to - 1].key > item.key) {
			items[to] = items[to - 1];
			to--;
		}
		items[to] = item;
	}
}

/* One pass: from `from` to `to` in the order of one byte of the key. */
static void sort_by_byte(const struct item *from, struct item *to, size_t count, unsigned shift)
{
	size_t starts[256] = {0};
	size_t start = 0;

	for (size_t i = 0; i < count; i++)
		starts[from[i].key >> shift & 0xff]++;
	for (unsigned byte = 0; byte < 256; byte++) {
		size_t length = starts[byte];
		starts[byte] = start;
		start += length;
	}
	for (size_t i = 0; i < count; i++)
		to[starts[from[i].key >> shift & 0xff]++] = from[i];
}

/* Sort by the bytes of the key in which `bytes` has a bit, the lowest first. */
static void sort_by_bytes(struct item *items, struct item *spare, size_t count, uint64_t bytes)
{
	struct item *from = items;
	struct item *to = spare;

	for (unsigned shift = 0; shift < 64; shift += 8) {
		if (!(bytes >> shift & 0xff))
			continue;
		sort_by_byte(from, to, count, shift);
		struct item *swap = from;
		from = to;
		to = swap;
	}
	if (from != items)
		memcpy(items, from, count * sizeof *items);
}

/* Sort by the two highest bytes that differ, then what is equal in these by the other bytes. */
static void sort_many(struct item *items, struct item *spare, size_t count)
{
	uint64_t differing = 0;

	for (size_t i = 1; i < count; i++)
		differing |= items[i].key ^ items[0].key;
	if (!differing)
		return;
	unsigned shift = (unsigned)(63 - __builtin_clzll(differing)) / 8 * 8;
	uint64_t rest = differing & ((UINT64_C(1) << shift) - 1);
	if (rest)
		shift = (unsigned)(63 - __builtin_clzll(rest)) / 8 * 8;
	rest &= (UINT64_C(1) << shift) - 1;
	sort_by_bytes(items, spare, count, differing ^ rest);
	for (size_t first = 0, end; rest && first < count; first = end) {
		for (end = first + 1; end < count; end++)
			if (items[end].key >> shift != items[first].key >> shift)
				break;
		if (end - first <= FEW)
			sort_few(items + first, end - first);
		else
			sort_by_bytes(items + first, spare, end - first, rest);
	}
}

/* Sort items of one run by the key at `depth`. */
static void sort_run(struct item *items, struct item *spare, size_t count, size_t depth)
{
	for (size_t i = 0; i < count; i++)
		items[i].key = key_at(items[i].name, depth);
	if (count <= FEW)
		sort_few(items, count);
	else
		sort_many(items, spare, count);
}

static void sort_items(struct item *items, struct item *spare, size_t count)
{
	struct run runs[LEVELS] = {{0, count}};
	size_t level = 0;

	sort_run(items, spare, count, 0);
	for (;;) {
		struct run *run = &runs[level];
		if (run->at == run->end) {
			if (level == 0)
				return;
			level--;
			continue;
		}
		size_t first = run->at++;
		while (run->at < run->end && items[run->at].key == items[first].key)
			run->at++;
		/* Names that end within the key are equal when their keys are, so there are no two. */
		if (run->at - first == 1 || !(items[first].key & 0xff) || level + 1 == LEVELS)
			continue;
		size_t length = run->at - first;
		level++;
		runs[level] = (struct run){first, first + length};
		sort_run(items + first, spare, length, level * KEY_BYTES);
	}
}

int mfs__names_sort(char **names, size_t count)
{
	struct item few[FEW];
	struct item *items = few;
	size_t size = 2 * count * sizeof *items;

	if (count < 2)
		return 0;
	if (count > FEW) {
		items = mfs__alloc(size);
		if (!items)
			return MFS_ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		items[i].name = names[i];
	sort_items(items, items + count, count);
	for (size_t i = 0; i < count; i++)
		names[i] = items[i].name;
	if (items != few)
		mfs__free(items, size);
	return 0;
}
