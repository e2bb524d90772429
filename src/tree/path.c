/* SPDX-License-Identifier: MIT */
#include "tree/path.h"

#include "base/alloc.h"
#include "base/compiler.h"

#include <dmemfs/dmemfs.h>

#include <string.h>

#define BYTES(byte) (UINT64_C(0x0101010101010101) * (byte))

/* An odd number with bits well mixed: 2^64 divided by the golden ratio. */
#define HASH_FACTOR UINT64_C(0x9e3779b97f4a7c15)

/* Eight bytes, the first in the lowest place whatever the machine's byte order. */
static uint64_t load8(const char *from)
{
	uint64_t word;

	memcpy(&word, from, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

/* The same from `length` < 8 bytes, the others zero. */
static uint64_t load_few(const char *from, size_t length)
{
	uint64_t word = 0;

	for (size_t i = 0; i < length; i++)
		word |= (uint64_t)(unsigned char)from[i] << (8 * i);
	return word;
}

/* The top bit of each byte of the word that is `byte`; bytes above the first such may lie. */
static uint64_t find_byte(uint64_t word, unsigned char byte)
{
	uint64_t zeroed = word ^ BYTES(byte);

	return (zeroed - BYTES(0x01)) & ~zeroed & BYTES(0x80);
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * HASH_FACTOR;
	return hash ^ (hash >> 29);
}

static uint32_t finish(uint64_t hash, uint32_t length)
{
	hash = (hash + length) * HASH_FACTOR;
	return (uint32_t)(hash >> 32);
}

int mfs__path_begin(struct mfs__path *path, const char *text)
{
	*path = (struct mfs__path){.text = text, .length = strnlen(text, MFS_PATH_MAX + 1)};
	return path->length > MFS_PATH_MAX ? MFS_ENAMETOOLONG : 0;
}

void mfs__path_end(struct mfs__path *path)
{
	if (mfs__unlikely(path->folded != NULL))
		mfs__free(path->folded, path->folded_size);
}

/* "." is nothing, ".." needs the whole path: anything else is a name. */
static enum mfs__path_step step_of(const char *start, size_t length)
{
	if (mfs__unlikely(start[0] == '.' && length <= 2)) {
		if (length == 1)
			return MFS__PATH_END;
		if (start[1] == '.')
			return MFS__PATH_UP;
	}
	return mfs__likely(length <= MFS_NAME_MAX) ? MFS__PATH_NAME : MFS__PATH_TOO_LONG;
}

enum mfs__path_step mfs__path_next(struct mfs__path_cursor *cursor, struct mfs__name *name)
{
	const char *at = cursor->next;
	const char *end = cursor->end;
	const char *start = at;
	uint64_t hash = 0;

	for (;;) {
		size_t left = (size_t)(end - at);
		uint64_t word = mfs__likely(left >= 8) ? load8(at) : load_few(at, left);
		uint64_t found = find_byte(word, '/') | find_byte(word, '\\');
		if (mfs__unlikely(!found && left > 8)) {
			hash = mix(hash, word);
			at += 8;
			continue;
		}
		/* The component ends in this word: at its lowest mark, which is a true one, or with it. */
		unsigned bytes = found ? (unsigned)__builtin_ctzll(found) / 8 : (unsigned)left;
		at += bytes;
		cursor->next = found ? at + 1 : at;
		size_t length = (size_t)(at - start);
		if (mfs__likely(length != 0)) {
			if (bytes)
				hash = mix(hash, word & (~UINT64_C(0) >> (64 - 8 * bytes)));
			enum mfs__path_step step = step_of(start, length);
			if (mfs__likely(step != MFS__PATH_END)) {
				name->text = start;
				name->length = (uint32_t)length;
				name->hash = finish(hash, name->length);
				return step;
			}
		}
		if (!found)
			return MFS__PATH_END;
		/* Nothing between two separators, or ".": begin anew behind it. */
		at = start = cursor->next;
		hash = 0;
	}
}

int mfs__path_fold(struct mfs__path *path)
{
	size_t size = path->length + 1;
	char *folded = mfs__alloc(size);
	struct mfs__path_cursor cursor = mfs__path_start(path);
	struct mfs__name name;
	size_t length = 0; /* of "/name/name" so far */

	if (!folded)
		return MFS_ENOMEM;
	for (;;) {
		enum mfs__path_step step = mfs__path_next(&cursor, &name);
		if (step == MFS__PATH_END)
			break;
		if (step == MFS__PATH_UP) {
			if (length == 0) {
				mfs__free(folded, size);
				return MFS_EINVAL;
			}
			while (folded[--length] != '/')
				continue;
			continue;
		}
		if (step == MFS__PATH_TOO_LONG) {
			mfs__free(folded, size);
			return MFS_ENAMETOOLONG;
		}
		/* A path without a leading separator needs one byte more than it has: the NUL's. */
		folded[length++] = '/';
		memcpy(folded + length, name.text, name.length);
		length += name.length;
	}
	path->text = folded;
	path->length = length;
	path->folded = folded;
	path->folded_size = size;
	return 0;
}

int mfs__path_settle(struct mfs__path *path)
{
	struct mfs__path_cursor cursor = mfs__path_start(path);
	struct mfs__name name;
	enum mfs__path_step step;

	do
		step = mfs__path_next(&cursor, &name);
	while (step == MFS__PATH_NAME);
	if (step == MFS__PATH_UP)
		return mfs__path_fold(path); /* which looks at the other names, too */
	return step == MFS__PATH_TOO_LONG ? MFS_ENAMETOOLONG : 0;
}
